"""Our simulators pass Gymnasium's checker, step as they do alone, and its own environments can be played."""

import warnings

import numpy as np
import pytest

from rlkit import envs

gymnasium = pytest.importorskip("gymnasium")
from gymnasium.utils.env_checker import check_env  # noqa: E402
from gymnasium.vector import AutoresetMode  # noqa: E402

IDS = sorted(env_id for env_id in gymnasium.registry if env_id.startswith("rlkit/"))


def test_every_name_is_registered():
    assert {gymnasium.spec(env_id).kwargs["name"] for env_id in IDS} == set(envs.names())
    expected = "PointMaze-U PointMaze-U-Dense PointMaze-FourRooms Pendulum Maze DelayPipe Glucose Rocket SafeCart"
    assert {f"rlkit/{name}-v0" for name in expected.split()} <= set(IDS)


@pytest.mark.parametrize("env_id", IDS)
def test_the_checker_finds_nothing(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(env_id)
        check_env(env.unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_vector_environments_stay_in_their_spaces(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        worlds = gymnasium.make_vec(env_id, num_envs=7, vectorization_mode="vector_entry_point")
    assert isinstance(worlds.unwrapped, envs.GymVectorEnv)
    assert worlds.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    seen, _ = worlds.reset(seed=3)
    worlds.action_space.seed(0)
    assert seen in worlds.observation_space
    for _ in range(30):
        seen, rewards, terminated, truncated, _ = worlds.step(worlds.action_space.sample())
        assert seen in worlds.observation_space and rewards.dtype == np.float64
        assert terminated.dtype == truncated.dtype == bool and rewards.shape == truncated.shape == (7,)


def test_one_copy_is_the_simulator():
    env, world = gymnasium.make("rlkit/PointMaze-U-v0", noise=0.4), envs.simulator("point-maze-u", noise=0.4)
    first, _ = env.reset(seed=11)
    rng = np.random.default_rng(11)
    state = world.start(rng, 1)
    assert np.array_equal(first, world.observe(state)[0])
    for t in range(100):
        action = np.array([np.cos(t), np.sin(t)], np.float32)
        state, reward, _ = world.step(state, action[None], rng.standard_normal((1, 2)))
        seen, paid, terminated, truncated, _ = env.step(action)
        assert np.array_equal(seen, world.observe(state)[0]) and paid == reward[0] and not terminated
        assert truncated == (t == 99)
    with pytest.raises(RuntimeError, match="must follow a reset"):
        env.unwrapped.step(action)


class Countdown:
    """Starts at 2, counts down; ends at 0, or is cut after 3 steps. Action 1 counts, 0 waits."""

    name, observation_size, action_size, actions, horizon, noise_size = "countdown", 1, None, 2, 3, 0

    def start(self, rng, count):
        return np.full((count, 1), 2.0)

    def observe(self, states):
        return states.astype(np.float32)

    def step(self, states, actions, noise):
        after = states - actions[:, None]
        return after, np.ones(len(states)), after[:, 0] <= 0


def test_autoreset_happens_in_the_next_step():
    worlds = envs.GymVectorEnv(Countdown(), 2)
    worlds.reset(seed=0)
    rows = [worlds.step(np.array([1, 0])) for _ in range(8)]
    seen, rewards, terminated, truncated = (np.stack(x) for x in list(zip(*rows, strict=True))[:4])
    assert seen[:, 0, 0].tolist() == [1, 0, 2, 1, 0, 2, 1, 0], "the last observation is seen, then the first"
    assert terminated[:, 0].tolist() == [0, 1, 0, 0, 1, 0, 0, 1] and not truncated[:, 0].any()
    assert rewards[:, 0].tolist() == [1, 1, 0, 1, 1, 0, 1, 1]
    assert truncated[:, 1].tolist() == [0, 0, 1, 0, 0, 0, 1, 0] and not terminated[:, 1].any()
    assert rewards[:, 1].tolist() == [1, 1, 1, 0, 1, 1, 1, 0]


def test_our_vector_environment_agrees_with_gymnasiums_own():
    """The same world in a SyncVectorEnv, deterministic after its start, through two ends of an episode."""
    ours = envs.GymVectorEnv(Countdown(), 3)
    theirs = gymnasium.vector.SyncVectorEnv([lambda: envs.GymEnv(Countdown())] * 3)
    ours.reset(seed=0), theirs.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(40):
        action = rng.integers(0, 2, 3)
        for mine, its in zip(ours.step(action)[:4], theirs.step(action)[:4], strict=True):
            assert np.array_equal(mine, its)


def test_the_same_seed_gives_the_same_bits():
    def played(seed):
        worlds = envs.GymVectorEnv(envs.simulator("point-maze-medium", noise=0.5), 5)
        first, _ = worlds.reset(seed=seed)
        return [first] + [worlds.step(np.full((5, 2), 0.3, np.float32))[0] for _ in range(160)]

    assert np.array_equal(played(4), played(4)) and not np.array_equal(played(4), played(5))


# Foreign environments


def test_a_foreign_environment_is_played_to_its_own_end():
    """Gymnasium's Pendulum under our expert earns what ours does; actions arrive as torques in [-2, 2]."""
    played = envs.gym_rollout("Pendulum-v1", envs.behaviour(envs.simulator("pendulum"), "expert"), 0, 20)
    assert played.observations.shape == (20, 201, 3) and played.actions.shape == (20, 200, 1) and played.states is None
    assert played.lengths.tolist() == [200] * 20 and not played.terminated.any()
    angle = np.arctan2(played.observations[..., 1], played.observations[..., 0])[:, :-1].astype(float)
    cost = angle**2 + 0.1 * played.observations[:, :-1, 2] ** 2 + 0.001 * (2 * played.actions[..., 0]) ** 2
    assert played.rewards == pytest.approx(-cost, abs=1e-4)
    assert -220 < envs.returns(played).mean() < -80


def test_a_foreign_environment_with_numbered_actions_and_early_ends():
    factory = lambda count, rng: lambda observations: rng.integers(0, 2, count)  # noqa: E731
    one, two = (envs.gym_rollout("CartPole-v1", factory, 7, 10) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one[:5], two[:5], strict=True))
    assert one.actions.dtype == np.int64 and one.actions.shape == (10, 500) and one.lengths.max() < 200
    assert (envs.returns(one) == one.lengths).all() and (one.terminated.argmax(axis=1) + 1 == one.lengths).all()
    last = one.observations[np.arange(10), one.lengths]
    assert (one.observations[:, -1] == last).all(), "an episode that has ended stands still"
    assert ((np.abs(last[:, 0]) > 2.4) | (np.abs(last[:, 2]) > 0.2095)).all(), (
        "where it ended, not where the next began"
    )


BAD = [
    (lambda: envs.gym_rollout("Pendulum-v1", None, -1, 2), "seed=-1: must be an integer of at least 0"),
    (lambda: envs.gym_rollout("Pendulum-v1", None, 0, 0), "episodes=0: must be a positive integer"),
    (lambda: envs.gym_rollout("rlkit/Pendulum-v0", None, 0, 2), "must be an environment with a time limit"),
    (lambda: envs.gym_rollout("FrozenLake-v1", None, 0, 2), "must be an environment whose observations are one row"),
    (lambda: envs.GymVectorEnv(Countdown(), 0), "num_envs=0: must be a positive integer"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_gives_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
