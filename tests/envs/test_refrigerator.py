"""The refrigerator: its law by hand, copies that do not touch, behaviours in their order."""

import numpy as np
import pytest

from rlkit import envs
from rlkit.envs import refrigerator
from rlkit.envs.refrigerator import COOLING, LEAK, REACH, SWING, WARMEST


def test_a_step_by_hand():
    world = envs.simulator("refrigerator")
    state, power = np.array([[7.5], [6.0]]), np.array([0.5 + SWING, 0.5 + REACH])  # 7.5 is a quarter of a period on
    after, rewards, ended = world.step(state, 2 * power[:, None] - 1, np.array([[0.0], [2.0]]))
    expected = [7.5 + LEAK - COOLING, 6.0 + LEAK - COOLING * np.exp(-0.5) + 0.1]
    assert after[:, 0] == pytest.approx(expected)
    assert rewards == pytest.approx(np.exp(-((after[:, 0] - 2) ** 2) / 2)) and not ended.any()
    assert world.step(np.array([[WARMEST]]), np.array([[-1.0]]), np.array([[30.0]]))[0] == WARMEST


def test_the_law_repeats_every_six_degrees():
    x, power = np.linspace(0, 6, 13), np.linspace(0, 1, 13)
    assert refrigerator.change(x, power) == pytest.approx(refrigerator.change(x + 6, power))
    assert np.ptp(refrigerator.change(x, 0.5)) > 0.3, "and differs in between"


def test_a_copy_in_an_array_is_the_copy_alone_and_places_are_states():
    world, rng = envs.simulator("refrigerator"), np.random.default_rng(0)
    states, actions, noise = world.start(rng, 9), rng.uniform(-1, 1, (9, 1)), rng.standard_normal((9, 1))
    together, alone = world.step(states, actions, noise), world.step(states[4:5], actions[4:5], noise[4:5])
    assert all(np.array_equal(a[4:5], b) for a, b in zip(together, alone, strict=True))
    assert np.array_equal(world.place(world.observe(states)), states.astype(np.float32).astype(float))
    assert (states >= 9).all() and world.observe(states).dtype == np.float32


def test_the_behaviours_are_in_their_order():
    found = envs.references("refrigerator")
    assert found["random"] + 10 < found["medium"] < found["expert"] - 10
    assert 48 < found["expert"] < 60, "of at most 60 minutes at the target"


def test_a_bad_noise_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"noise=-0\.1: must be a number of at least 0"):
        envs.simulator("refrigerator", noise=-0.1)
