"""The pendulum against Gymnasium's, and its expert against what is known."""

import numpy as np
import pytest

from rlkit import envs
from rlkit.envs import pendulum


def test_same_trajectory_as_gymnasium():
    """20 starts, 200 steps, random torques beyond the limit too: observations, rewards, and the angle itself."""
    gymnasium = pytest.importorskip("gymnasium")
    theirs, ours, rng = gymnasium.make("Pendulum-v1").unwrapped, envs.simulator("pendulum"), np.random.default_rng(0)
    states, clipped = ours.start(rng, 20), 0
    for start in states:
        theirs.reset(seed=0)
        theirs.state, mine = start[:2].copy(), start[None]
        for action in rng.uniform(-1.3, 1.3, (200, 1)) if rng.random() < 0.5 else np.sign(rng.normal(size=(200, 1))):
            seen, reward, _, _, _ = theirs.step(2 * action)
            mine, paid, ended = ours.step(mine, action[None], np.zeros((1, 0)))
            assert ours.observe(mine)[0] == pytest.approx(seen, abs=1e-5) and mine[0, 0] == pytest.approx(
                theirs.state[0]
            )
            assert paid[0] == pytest.approx(reward, abs=1e-5) and not ended[0]
            clipped += abs(mine[0, 1]) == 8
    assert ours.horizon == 200 and clipped > 0, "the largest speed was met"


def test_starts_are_uniform():
    states = envs.simulator("pendulum").start(np.random.default_rng(0), 40_000)
    assert np.abs(states[:, 0]).max() <= np.pi and np.abs(states[:, 1]).max() <= 1 and (states[:, 2] == 0).all()
    assert states[:, :2].std(axis=0) == pytest.approx([np.pi / 3**0.5, 1 / 3**0.5], rel=0.01)


def test_hidden_lag():
    quick, slow = envs.simulator("pendulum"), envs.simulator("pendulum", lag=0.75)
    state = np.zeros((1, 3))
    speeds = [world.step(state, np.ones((1, 1)), np.zeros((1, 0)))[0][0, 1] for world in (quick, slow)]
    assert speeds == pytest.approx([0.3, 0.075]) and slow.observe(state).shape == (1, 3)
    state = slow.step(np.array([[0.0, 0.0, 2.0]]), -np.ones((1, 1)), np.zeros((1, 0)))[0]
    assert state[0, 2] == pytest.approx(0.75 * 2 - 0.25 * 2)


def test_interpolation_is_exact_on_the_grid_and_for_planes():
    speed = np.linspace(-8, 8, pendulum.SPEEDS)
    table = np.tile(3 - 2 * speed, pendulum.ANGLES)  # a plane that is flat along the (periodic) angle
    rng = np.random.default_rng(0)
    angle, at = rng.uniform(-7, 7, 500), rng.uniform(-8, 8, 500)
    nodes, weights = pendulum._corners(angle, at)
    assert (weights * table[nodes]).sum(axis=0) == pytest.approx(3 - 2 * at, abs=1e-12)
    assert (weights >= 0).all() and weights.sum(axis=0) == pytest.approx(1)
    peak = np.zeros(pendulum.ANGLES * pendulum.SPEEDS)
    peak[(pendulum.ANGLES - 1) * pendulum.SPEEDS] = 1  # the last angle, the lowest speed
    last = -np.pi + 2 * np.pi * (pendulum.ANGLES - 1) / pendulum.ANGLES
    value = lambda angle, speed: (lambda n, w: (w * peak[n]).sum())(*pendulum._corners(angle, speed))  # noqa: E731
    assert value(np.array(last), np.array(-8.0)) == pytest.approx(1) and value(np.array(last), np.array(8.0)) == 0
    assert value(np.array(last + np.pi / pendulum.ANGLES), np.array(-8.0)) == pytest.approx(0.5), "round the circle"


def test_the_plan_solves_its_bellman_equation():
    values = pendulum.plan()
    rng = np.random.default_rng(0)
    node = rng.integers(len(values), size=300)
    angle = -np.pi + 2 * np.pi * (node // pendulum.SPEEDS) / pendulum.ANGLES
    speed = np.linspace(-8, 8, pendulum.SPEEDS)[node % pendulum.SPEEDS]
    after, faster, reward = pendulum.move(angle[:, None], speed[:, None], np.linspace(-2, 2, pendulum.TORQUES))
    nodes, weights = pendulum._corners(after, faster)
    right = (reward + pendulum.DISCOUNT * (weights * values[nodes]).sum(axis=0)).max(axis=1)
    assert values[node] == pytest.approx(right, abs=0.1), "up to what 700 sweeps leave"


def test_qualities():
    found = envs.references("pendulum")
    assert found["random"] < -1_000 and -145 < found["expert"] < -120
    assert 0.4 < (found["medium"] - found["random"]) / (found["expert"] - found["random"]) < 0.6
    world = envs.simulator("pendulum")
    played = envs.rollout(world, envs.behaviour(world, "expert"), np.random.default_rng(1), 200)
    assert (played.rewards[:, -20:] > -0.001).all(), "upright at the end, from every start"


@pytest.mark.parametrize("lag", [1, -0.1, float("nan")])
def test_bad_input_gives_one_line(lag):
    with pytest.raises(ValueError, match="lag=") as error:
        envs.simulator("pendulum", lag=lag)
    assert "\n" not in str(error.value)
