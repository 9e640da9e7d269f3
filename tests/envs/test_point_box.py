"""The box with a shelf: its equations by hand, its walls, and what its policies earn."""

import numpy as np
import pytest

from rlkit import envs
from rlkit.envs import point_box

NOTHING = np.zeros((3, 0))


def test_a_step_and_its_reward_by_hand():
    box = envs.simulator("point-box")
    states = np.array([[0.1, 0.0], [0.5, 1.1], [1.95, -1.95]])
    after, rewards, ended = box.step(states, np.array([[1.0, 0.5], [1.0, 0.0], [3.0, -1.0]]), NOTHING)
    assert after == pytest.approx(np.array([[0.3, 0.1], [0.7, 1.1], [2.0, -2.0]]))
    assert rewards == pytest.approx([1.1 / 1.2, 0.75, 0.0]) and not ended.any()


def test_the_reward_rises_to_the_shelf_and_ends_at_its_rim():
    x = np.array([-2, -0.8, -0.2, 0.4, 0.8, 0.9, 1.0, 2.0])
    found = point_box.reward(np.stack([x, np.zeros(8)], axis=1))
    assert found == pytest.approx([0, 0, 0.5, 1, 1, 0.5, 0, 0])
    assert point_box.reward(np.array([[0.6, 1.2], [0.6, -1.2], [0.6, 1.4]])) == pytest.approx([0.5, 0.5, 0])


def test_observations_tell_the_state():
    box, rng = envs.simulator("point-box"), np.random.default_rng(0)
    states = box.start(rng, 5_000)
    assert np.abs(states - point_box.START).max() <= 0.2 and states.mean(axis=0) == pytest.approx([-0.6, 0], abs=6e-3)
    assert box.place(box.observe(states)) == pytest.approx(states, abs=1e-6)


def test_the_expert_is_on_the_shelf_in_six_steps_and_stays():
    found = envs.references("point-box")
    played = envs.rollout(
        envs.simulator("point-box"),
        envs.behaviour(envs.simulator("point-box"), "expert"),
        np.random.default_rng(0),
        100,
    )
    assert (played.rewards[:, 6:] == 1).all() and found["expert"] > 27.5
    assert found["random"] < 0.25 * found["expert"] and found["random"] < found["medium"] < found["expert"]


def test_the_poor_policy_stays_where_it_started():
    box = envs.simulator("point-box")
    played = envs.rollout(box, envs.behaviour(box, "random"), np.random.default_rng(0), 200)
    assert np.abs(played.states - point_box.START).max() < 0.8
    assert (played.states[:, :, 0] > 0).mean() < 0.01, "it hardly ever comes near the shelf at 0.4"
