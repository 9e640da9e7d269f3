"""Gymnasium in both directions: our simulators as its environments, and its environments for our policies.

`import rlkit.envs` registers each name of `envs.names()`: gymnasium.make("rlkit/PointMaze-U-v0", lag=0.3) and
gymnasium.make_vec("rlkit/PointMaze-U-v0", num_envs=100, vectorization_mode="vector_entry_point").
"""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import batch_space

from rlkit import checks
from rlkit.envs.rollouts import Trajectories, checked


def _spaces(simulator):
    """The spaces of one observation and one action. A world that does not state its `bounds` has those of float32."""
    low, high = getattr(simulator, "bounds", (np.finfo(np.float32).min, np.finfo(np.float32).max))
    seen = Box(low, high, (simulator.observation_size,), np.float32)
    if simulator.actions:
        return seen, Discrete(simulator.actions)
    return seen, Box(-1, 1, (simulator.action_size,), np.float32)


class GymEnv(gymnasium.Env):
    """One copy of a Simulator as a gymnasium.Env: truncated after simulator.horizon steps; no rendering.

    `reset(seed=...)` seeds starts and noise. Raises RuntimeError when a step follows the end of an episode.
    """

    metadata = {"render_modes": []}

    def __init__(self, simulator):
        self.simulator, self.state, self.clock = simulator, None, None
        self.observation_space, self.action_space = _spaces(simulator)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state, self.clock = self.simulator.start(self.np_random, 1), 0
        return self.simulator.observe(self.state)[0], {}

    def step(self, action):
        if self.clock is None:
            raise RuntimeError("step: must follow a reset, as the episode is over or has not begun")
        noise = self.np_random.standard_normal((1, self.simulator.noise_size))
        self.state, rewards, terminated = self.simulator.step(self.state, np.asarray(action)[None], noise)
        self.clock += 1
        ended, cut = bool(terminated[0]), self.clock >= self.simulator.horizon and not terminated[0]
        self.clock = None if ended or cut else self.clock
        return self.simulator.observe(self.state)[0], float(rewards[0]), ended, bool(cut), {}


class GymVectorEnv(gymnasium.vector.VectorEnv):
    """num_envs copies of a Simulator in one array, as a gymnasium.vector.VectorEnv.

    Autoreset is NEXT_STEP, Gymnasium's default: the step after an episode's end ignores that copy's action, returns
    the first observation of its next episode, and pays 0. One generator, seeded by `reset(seed=...)`, serves all
    copies. Raises ValueError for num_envs below 1.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, simulator, num_envs=1):
        self.simulator, self.num_envs = simulator, checks.positive_int("num_envs", num_envs)
        self.single_observation_space, self.single_action_space = _spaces(simulator)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.state = None

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.simulator.start(self.np_random, self.num_envs)
        self.clock, self.over = np.zeros(self.num_envs, int), np.zeros(self.num_envs, bool)
        return self.simulator.observe(self.state), {}

    def step(self, actions):
        if self.state is None:
            raise RuntimeError("step: must follow a reset")
        noise = self.np_random.standard_normal((self.num_envs, self.simulator.noise_size))
        state, rewards, terminated = self.simulator.step(self.state, np.asarray(actions), noise)
        over, self.clock = self.over, self.clock + 1
        if over.any():
            state[over] = self.simulator.start(self.np_random, int(over.sum()))
            rewards, terminated, self.clock = np.where(over, 0.0, rewards), terminated & ~over, self.clock * ~over
        truncated = (self.clock >= self.simulator.horizon) & ~terminated
        self.state, self.over = state, terminated | truncated
        return self.simulator.observe(state), rewards, terminated, truncated, {}


def make(name, **options):
    """Entry point of gymnasium.make: GymEnv(simulator(name, **options))."""
    from rlkit import envs

    return GymEnv(envs.simulator(name, **options))


def make_vector(name, num_envs=1, **options):
    """Entry point of gymnasium.make_vec: GymVectorEnv(simulator(name, **options), num_envs)."""
    from rlkit import envs

    return GymVectorEnv(envs.simulator(name, **options), num_envs)


def register(worlds):
    """Register worlds, name -> (module, class, options), as "rlkit/<Class>[-<Layout>][-Dense]-v0"; once."""
    for name, (_, kind, options) in worlds.items():
        layout = "-" + options["layout"].title().replace("-", "") if "layout" in options else ""
        env_id = f"rlkit/{kind}{layout}{'-Dense' if options.get('reward') == 'dense' else ''}-v0"
        if env_id not in gymnasium.registry:
            entries = {"entry_point": f"{__name__}:make", "vector_entry_point": f"{__name__}:make_vector"}
            gymnasium.register(env_id, **entries, kwargs={"name": name})


def gym_rollout(env_id, act_factory, seed, episodes) -> Trajectories:
    """Episodes of any Gymnasium environment, say MuJoCo's "Hopper-v5", as `rollouts.rollout` plays our own.

    act_factory acts in [-1, 1]^A; each action is mapped linearly to the environment's bounds: low + (a + 1) / 2
    (high - low). Copy e is reset with seed + e; the policy has a generator of its own from `seed`. The clock is the
    environment's own time limit. Trajectories.states is None. Raises ValueError for a world without time limit, with
    other observations than one row of numbers, or with other actions than numbers or a finite Box.
    """
    checks.seed(seed)
    checks.positive_int("episodes", episodes)
    clock = gymnasium.spec(env_id).max_episode_steps
    if clock is None:
        checks.fail("env_id", env_id, "an environment with a time limit (max_episode_steps)")
    worlds = SyncVectorEnv([lambda: gymnasium.make(env_id)] * episodes)
    try:
        return _play(worlds, env_id, act_factory, seed, clock)
    finally:
        worlds.close()


def _play(worlds, env_id, act_factory, seed, clock):
    one, seen, episodes = worlds.single_action_space, worlds.single_observation_space, worlds.num_envs
    if not isinstance(seen, Box) or len(seen.shape) != 1:
        checks.fail("env_id", env_id, f"an environment whose observations are one row of numbers, not {seen}")
    count = int(one.n) if isinstance(one, Discrete) and one.start == 0 else None
    if not count and not (isinstance(one, Box) and len(one.shape) == 1 and one.is_bounded()):
        checks.fail("env_id", env_id, f"an environment whose actions are numbers from 0 or a finite Box, not {one}")
    shape = (episodes,) if count else (episodes, *one.shape)
    act = act_factory(episodes, np.random.default_rng(seed).spawn(1)[0])
    observations = np.zeros((episodes, clock + 1, *seen.shape), np.float32)
    actions = np.zeros((episodes, clock, *shape[1:]), np.int64 if count else np.float32)
    rewards, terminated = np.zeros((episodes, clock)), np.zeros((episodes, clock), bool)
    alive, lengths = np.ones(episodes, bool), np.zeros(episodes, np.int64)
    observations[:, 0] = worlds.reset(seed=seed)[0]
    for t in range(clock):
        action = checked(act(observations[:, t]), shape, count)
        sent = action if count else (one.low + (action + 1.0) / 2 * (one.high - one.low)).astype(one.dtype)
        after, reward, ended, cut, _ = worlds.step(sent)
        actions[alive, t], rewards[alive, t], terminated[:, t] = action[alive], reward[alive], ended & alive
        observations[:, t + 1] = np.where(alive[:, None], after, observations[:, t])
        lengths += alive
        alive = alive & ~(ended | cut)
        if not alive.any():
            observations[:, t + 2 :] = observations[:, t + 1, None]
            break
    return Trajectories(observations, actions, rewards, terminated, lengths, None)
