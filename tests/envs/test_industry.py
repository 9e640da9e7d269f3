"""The four industrial worlds: physics by hand, quality of the controllers, the rules of a simulator."""

import numpy as np
import pytest

from rlkit.envs import delay_pipe, glucose, rocket, safe_cart
from rlkit.envs.rollouts import returns, rollout

WORLDS = [
    (delay_pipe, delay_pipe.DelayPipe()),
    (glucose, glucose.Glucose()),
    (rocket, rocket.Rocket()),
    (safe_cart, safe_cart.SafeCart()),
]
each_world = pytest.mark.parametrize(("module", "world"), WORLDS, ids=[world.name for _, world in WORLDS])
QUALITIES = ("random", "medium", "expert")


def constant(world, action):
    """A behaviour that always acts the same."""
    return lambda count, rng: lambda observations: np.full((count, world.action_size), action)


def play(world, state, actions, noise=None):
    """States and rewards of one copy from a state [D] under actions [T, A], without noise unless given."""
    states, rewards = [np.array(state, float)[None]], []
    for t, action in enumerate(actions):
        n = np.zeros((1, world.noise_size)) if noise is None else noise[t][None]
        after, reward, _ = world.step(states[-1], np.atleast_2d(action), n)
        states.append(after)
        rewards.append(reward[0])
    return np.concatenate(states), np.array(rewards)


# The rules of a simulator


@each_world
def test_shapes_types_and_labels(module, world):
    states = world.start(np.random.default_rng(0), 7)
    after, reward, ended = world.step(states, np.zeros((7, world.action_size)), np.zeros((7, world.noise_size)))
    assert after.shape == states.shape and reward.shape == ended.shape == (7,)
    assert after.dtype == reward.dtype == np.float64 and ended.dtype == bool
    assert world.observe(states).shape == (7, world.observation_size) and world.observe(states).dtype == np.float32
    assert len(world.labels) == world.observation_size and world.actions is None
    assert 100 <= world.horizon <= 200


@each_world
@pytest.mark.parametrize("quality", QUALITIES)
def test_a_copy_in_an_array_is_the_copy_alone(module, world, quality):
    """Bit for bit, for states, observations and rewards, along the whole episode."""
    trajectories = rollout(world, module.behaviour(quality), np.random.default_rng(3), 40)
    noise_rng = np.random.default_rng(4)
    for t in range(0, world.horizon, 7):
        states, actions = trajectories.states[:, t], trajectories.actions[:, t]
        noise = noise_rng.standard_normal((40, world.noise_size))
        together = (*world.step(states, actions, noise), world.observe(states))
        for row in (0, 13, 39):
            one = slice(row, row + 1)
            alone = (*world.step(states[one], actions[one], noise[one]), world.observe(states[one]))
            assert all(np.array_equal(a[one], b) for a, b in zip(together, alone, strict=True))


@each_world
@pytest.mark.parametrize("quality", QUALITIES)
def test_equal_seeds_give_equal_bits_and_other_seeds_do_not(module, world, quality):
    first, again, other = (
        rollout(world, module.behaviour(quality), np.random.default_rng(seed), 5) for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.states, other.states)


@each_world
def test_steps_leave_their_arguments_alone_and_clip_actions(module, world):
    states = world.start(np.random.default_rng(5), 4)
    kept, noise = states.copy(), np.ones((4, world.noise_size))
    wild = np.full((4, world.action_size), 7.0)
    outcomes = [world.step(states, actions, noise) for actions in (wild, np.ones_like(wild))]
    assert np.array_equal(states, kept) and (wild == 7).all()
    assert all(np.array_equal(a, b) for a, b in zip(*outcomes, strict=True))


@each_world
@pytest.mark.parametrize("quality", QUALITIES)
def test_observations_and_rewards_stay_of_order_one(module, world, quality):
    trajectories = rollout(world, module.behaviour(quality), np.random.default_rng(6), 200)
    assert np.abs(trajectories.observations).max() < 15
    ongoing = trajectories.rewards[~trajectories.terminated]
    assert ongoing.min() >= -3 and ongoing.max() <= 1
    assert 0.2 < trajectories.observations.std(axis=(0, 1)).max() < 5


# Controllers


@each_world
def test_random_below_medium_below_expert(module, world):
    """Medium lies 45 to 80 % of the way from random to expert, and both steps exceed 12 standard errors."""
    scores = {q: returns(rollout(world, module.behaviour(q), np.random.default_rng(7), 200)) for q in QUALITIES}
    mean = {q: scores[q].mean() for q in QUALITIES}
    error = {q: scores[q].std(ddof=1) / np.sqrt(200) for q in QUALITIES}
    assert mean["medium"] - mean["random"] > 12 * np.hypot(error["random"], error["medium"])
    assert mean["expert"] - mean["medium"] > 12 * np.hypot(error["medium"], error["expert"])
    assert 0.45 < (mean["medium"] - mean["random"]) / (mean["expert"] - mean["random"]) < 0.8


@pytest.mark.parametrize("module", [module for module, _ in WORLDS])
def test_an_unknown_quality_is_named(module):
    with pytest.raises(ValueError, match="quality='good': must be one of 'random', 'medium', 'expert'"):
        module.behaviour("good")


# The delay


def test_an_action_arrives_five_steps_later():
    """A pulse at t = 0 changes the sixth state after it for the first time, by exactly 0.1 m a unit."""
    world = delay_pipe.DelayPipe()
    start = world.start(np.random.default_rng(9), 1)[0]
    start[:3] = 1.0, 1.2, 0.0
    still, pulse = (play(world, start, np.array([first] + [0] * 9)[:, None])[0][:, 0] for first in (0.0, 0.5))
    assert np.array_equal(pulse[:6], still[:6])
    assert np.allclose(pulse[6:] - still[6:], 0.05, rtol=0, atol=1e-12)


def test_the_observation_hides_the_pipe_and_history_shows_it():
    start = delay_pipe.DelayPipe(7).start(np.random.default_rng(10), 1)[0]
    actions = np.linspace(-1, 0.9, 20)[:, None]
    full, _ = play(delay_pipe.DelayPipe(7), start, actions)
    seen = delay_pipe.DelayPipe(7).observe(full)
    assert seen.shape == (21, 9)
    assert np.allclose(seen[20, 2:], actions[-7:, 0]), "oldest first"
    assert (seen[0, 2:] == 0).all() and np.allclose(seen[3, 2:], [0, 0, 0, 0, *actions[:3, 0]])
    plain, _ = play(delay_pipe.DelayPipe(), np.delete(start, [3, 4]), actions)
    assert np.array_equal(delay_pipe.DelayPipe().observe(plain), seen[:, :2]), "history changes what is seen alone"


def test_history_changes_no_return():
    for quality in QUALITIES:
        with_, without = (
            returns(rollout(delay_pipe.DelayPipe(h), delay_pipe.behaviour(quality), np.random.default_rng(11), 20))
            for h in (8, 0)
        )
        assert np.array_equal(with_, without)


def test_reward_and_targets_of_the_pipe():
    world = delay_pipe.DelayPipe()
    states = np.array([[1.0, 1.1, 0.0, 0, 0, 0, 0, 0], [1.0, 1.3, 0, 0, 0, 0, 0, 0], [1.0, 1, 0, 0, 0, 0, 0, 0]])
    noise = np.array([[0, 2.0, 1], [0, 2.1, 1], [1, -2.1, -9]])
    after, reward, _ = world.step(states, np.zeros((3, 1)), noise)
    assert np.allclose(reward, [0.6, 0, 1])
    assert np.allclose(after[:, 1], [1.1, 1.3, 0.4]) and np.allclose(after[:, 2], [0, 0, 0.004])
    rng = np.random.default_rng(12)
    jumps = np.abs(rng.standard_normal(1_000_000)) > delay_pipe.JUMP
    assert jumps.mean() == pytest.approx(0.04, abs=0.001)


@pytest.mark.parametrize("history", [-1, 2.5, True])
def test_history_is_checked(history):
    with pytest.raises(ValueError, match=f"history={history}: must be an integer of at least 0"):
        delay_pipe.DelayPipe(history)


# Glucose


def fasting(start_at):
    state = glucose.Glucose().start(np.random.default_rng(13), 1)[0]
    state[0] = state[6] = start_at
    state[11:] = 0
    return state


@pytest.mark.parametrize("start_at", [70.0, 200.0])
def test_glucose_returns_to_base_without_meals(start_at):
    """At basal rate the distance to base shrinks by 0.99 each minute, exactly, and the pump's states stand still."""
    states, _ = play(glucose.Glucose(), fasting(start_at), np.zeros((144, 1)))
    wanted = 110 + (start_at - 110) * 0.99 ** (10 * np.arange(145))
    assert np.allclose(states[:, 0], wanted, rtol=0, atol=1e-6)
    assert np.allclose(states[:, 2:4], states[0, 2:4], rtol=1e-12)


def test_insulin_lowers_glucose_late():
    """One unit above basal: hardly anything in 10 minutes, the trough after an hour; the more insulin, the lower."""
    doses = [play(glucose.Glucose(), fasting(110.0), np.r_[dose, np.zeros(143)][:, None])[0][:, 0] for dose in (0.6, 1)]
    assert 109.5 < doses[1][1] < 110
    assert 6 < doses[1].argmin() < 18 and doses[1].min() < doses[0].min() < 100
    assert doses[1][-1] == pytest.approx(110, abs=1)


def test_a_meal_raises_glucose_by_what_arrives():
    """Alone 40 g would raise it by 0.8 * 40 g / 112 dL; P1 makes that less. Nothing happens before the meal."""
    state = fasting(110.0)
    state[8:14] = 5, 140, 141, 40, 0, 0
    states, _ = play(glucose.Glucose(), state, np.zeros((60, 1)))
    assert np.allclose(states[:6, 0], 110)
    assert states[6, 0] > 112 and 150 < states[:, 0].max() < 110 + 0.8 * 40_000 / 112
    observed = glucose.Glucose().observe(states)
    eaten = fasting(110.0)
    eaten[8:14] = 5, 140, 141, 90, 50, 50
    other = glucose.Glucose().observe(play(glucose.Glucose(), eaten, np.zeros((60, 1)))[0])
    assert np.array_equal(observed[:6], other[:6]), "nothing foretells a meal"


def test_meals_come_in_their_windows():
    meals = glucose.Glucose().start(np.random.default_rng(14), 2_000)[:, 8:]
    assert np.array_equal(meals[:, :3].min(axis=0), [3, 33, 69]) and np.array_equal(
        meals[:, :3].max(axis=0), [20, 50, 86]
    )
    assert meals[:, 3:].min() >= 20 and meals[:, 3:].max() <= 120
    assert np.allclose(meals[:, 3:].mean(axis=0), [45, 70, 80], atol=1.5)


def test_risk_is_least_at_112_and_equal_at_the_borders():
    grid = np.arange(40.0, 400.0, 0.1)
    assert grid[glucose.risk(grid).argmin()] == pytest.approx(112.5, abs=0.1)
    assert glucose.risk(np.array([70.0, 180.0])) / 7.75 == pytest.approx([1, 1], abs=0.01)


# The rocket


def test_the_rocket_falls_under_gravity():
    """Engine off, upright, no wind: z = z0 + v0 t - g t^2 / 2 to rounding, whatever the step."""
    start = [0.0, 50.0, 0.0, -3.0, 0.0, 0.0, 0.0]
    states, rewards = play(rocket.Rocket(), start, np.tile([-1.0, 1.0], (20, 1)))
    t = 0.1 * np.arange(21)
    assert np.allclose(states[:, 1], 50 - 3 * t - 9.81 * t**2 / 2, rtol=0, atol=1e-9)
    assert np.allclose(states[:, 3], -3 - 9.81 * t) and np.allclose(rewards, -0.05)
    assert (states[:, [0, 2, 4, 5]] == 0).all()


def test_thrust_lifts_gimbal_turns_and_lean_drives():
    world = rocket.Rocket()
    full, rewards = play(world, [0, 50, 0, 0, 0, 0, 0], np.tile([1.0, 0.0], (10, 1)))
    assert full[10, 3] == pytest.approx(20 - 9.81) and np.allclose(rewards, -0.1)
    turned, _ = play(world, [0, 50, 0, 0, 0, 0, 0], np.tile([0.0, 0.5], (1, 1)))
    assert turned[1, 5] == pytest.approx(-0.1 * 0.5 * 10 * np.sin(0.1)), "gimbal to the right tilts to the left"
    leaning, _ = play(world, [0, 50, 0, 0, 0.2, 0, 0], np.tile([0.0, 0.0], (1, 1)))
    assert leaning[1, 2] == pytest.approx(0.1 * 10 * np.sin(0.2))
    blown, _ = play(world, [0, 50, 0, 0, 0, 0, 4.0], np.tile([-1.0, 0.0], (1, 1)))
    assert blown[1, 2] == pytest.approx(0.1 * 0.1 * 4) and blown[1, 6] == pytest.approx(3.8)


def test_touchdowns():
    """Soft and upright on the pad pays 10, a fast one or one far away -10, half as good in one respect 0."""
    zero = np.zeros(5)
    x, climb, tilt = zero + [0, 5, 0, 0, 12], zero + [0, 0, -2.5, -6, 0], zero
    assert np.allclose(rocket.landing(x, zero, climb, tilt), [10, 0, 0, -10, -10])
    states = np.array([[0, 0.02, 0, -0.9, 0, 0, 0], [0, 0.2, 0, -0.9, 0, 0, 0], [49.9, 30, 5, 0, 0, 0, 0]])
    hover = np.tile([2 * 9.81 / 20 - 1, 0.0], (3, 1))
    _, reward, ended = rocket.Rocket().step(states, hover, np.zeros((3, 1)))
    assert ended.tolist() == [True, False, True]
    assert np.allclose(reward + 0.05 + 0.05 * 9.81 / 20, [20 * (1 - 0.9 / 5) - 10, 0, -10])


@pytest.mark.parametrize(("quality", "share"), [("medium", 0.9), ("expert", 0.97)])
def test_the_controllers_land(quality, share):
    world = rocket.Rocket()
    trajectories = rollout(world, rocket.behaviour(quality), np.random.default_rng(15), 200)
    last = trajectories.rewards[np.arange(200), trajectories.lengths - 1]
    assert (last > 0).mean() > share


# The limit


def test_the_cart_ends_exactly_when_it_is_too_fast():
    trajectories = rollout(safe_cart.SafeCart(), constant(safe_cart.SafeCart(), 1.0), np.random.default_rng(16), 100)
    speed = np.abs(trajectories.states[:, 1:, 1])  # [E, T]
    for episode, length in enumerate(trajectories.lengths):
        over = speed[episode, :length] > safe_cart.LIMIT
        assert over[-1] and not over[:-1].any()
        assert trajectories.terminated[episode, length - 1]
        assert trajectories.rewards[episode, length - 1] == -100
        assert np.allclose(trajectories.rewards[episode, : length - 1], speed[episode, : length - 1] / 2)


def test_the_limit_itself_is_allowed_in_both_directions():
    """Level ground, no gust: the force that ends a step at 2 m/s is allowed, a hair more is not."""
    hold = (2.0 - 1.9 * 0.95) / 0.1 / 3.0
    states = np.array([[0.0, 1.9]] * 2 + [[0.0, -1.9]] * 2)
    actions = hold * np.array([1 - 1e-9, 1 + 1e-9, -1 + 1e-9, -1 - 1e-9])[:, None]
    after, reward, ended = safe_cart.SafeCart().step(states, actions, np.zeros((4, 1)))
    assert ended.tolist() == [False, True, False, True]
    assert np.allclose(reward, [1, -100, -1, -100]) and np.allclose(np.abs(after[:, 1]), 2)


def test_a_careful_cart_violates_never_and_the_expert_hardly():
    cart = safe_cart.SafeCart()
    medium, expert, wild = (
        rollout(cart, safe_cart.behaviour(q), np.random.default_rng(17), 500).terminated.any(axis=1).mean()
        for q in ("medium", "expert", "random")
    )
    assert medium == 0 and expert < 0.04 and wild > 0.5
