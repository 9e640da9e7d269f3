"""The mountain car against Gymnasium's, and its behaviour policies."""

import numpy as np
import pytest

from rlkit import envs
from rlkit.envs import mountain_car


def test_same_trajectory_as_gymnasium():
    """30 starts over the whole space, 60 steps each: states, rewards and ends, walls and top speed met."""
    gymnasium = pytest.importorskip("gymnasium")
    theirs, ours = gymnasium.make("MountainCar-v0").unwrapped, envs.simulator("mountain-car")
    rng, ends, walls, clipped = np.random.default_rng(0), 0, 0, 0
    theirs.reset(seed=0)
    for start in rng.uniform(*mountain_car.MountainCar.bounds, (30, 2)):
        theirs.state, mine, held = start.copy(), start[None].astype(float), rng.integers(3)
        for step in range(60):
            action = held if step < 40 else rng.integers(3)
            seen, reward, ended, _, _ = theirs.step(int(action))
            mine, paid, over = ours.step(mine, np.array([action]), np.zeros((1, 0)))
            assert mine[0] == pytest.approx(theirs.state, abs=1e-12) and ours.observe(mine)[0] == pytest.approx(seen)
            assert (paid[0], over[0]) == (reward, ended)
            walls, clipped = walls + (mine[0, 0] == -1.2), clipped + (abs(mine[0, 1]) == 0.07)
            ends += ended
            if ended:
                break
    assert ends > 3 and walls > 3 and clipped > 3


def test_starts_are_at_rest_and_uniform():
    states = envs.simulator("mountain-car").start(np.random.default_rng(0), 20_000)
    assert (states[:, 1] == 0).all() and states[:, 0].min() >= -0.6 and states[:, 0].max() <= -0.4
    assert states[:, 0].mean() == pytest.approx(-0.5, abs=2e-3) and states[:, 0].std() == pytest.approx(
        0.2 / 12**0.5, rel=0.02
    )


def test_references_are_in_order():
    found = envs.references("mountain-car")
    assert found["random"] == pytest.approx(-200, abs=0.5) and found["expert"] == pytest.approx(-119.4, abs=1)
    share = (found["medium"] - found["random"]) / (found["expert"] - found["random"])
    assert 0.35 < share < 0.65 and found["optimal"] is None


def test_an_engine_alone_does_not_climb():
    world = envs.simulator("mountain-car")
    played = envs.rollout(world, lambda count, rng: lambda o: np.full(count, 2), np.random.default_rng(0), 20)
    assert (envs.returns(played) == -200).all() and played.states[..., 0].max() < 0
