"""Rollouts against a world whose every number is known."""

import numpy as np
import pytest

from rlkit import envs
from rlkit.envs.rollouts import returns, rollout


class Countdown:
    """State: what is left. Action 1 takes one away, 0 none; reward what was left; ends at 0."""

    name, observation_size, action_size, actions, horizon, noise_size = "countdown", 1, None, 2, 6, 0
    labels = ("left",)

    def start(self, rng, count):
        return np.arange(1.0, count + 1)[:, None]

    def observe(self, states):
        return states.astype(np.float32)

    def step(self, states, actions, noise):
        after = states - actions[:, None]
        return after, states[:, 0], after[:, 0] <= 0


def always(action):
    return lambda count, rng: lambda observations: np.full(count, action)


def test_an_episode_that_has_ended_stops_contributing():
    played = rollout(Countdown(), always(1), np.random.default_rng(0), episodes=8)
    assert played.lengths.tolist() == [1, 2, 3, 4, 5, 6, 6, 6]
    assert played.terminated.sum(axis=1).tolist() == [1] * 6 + [0, 0], "the last two are cut by the clock"
    assert played.terminated.argmax(axis=1)[:6].tolist() == [0, 1, 2, 3, 4, 5]
    left = [max(8 - t, 0) for t in range(7)]
    assert played.observations[7, :, 0].tolist() == left and played.states[7, :, 0].tolist() == left
    assert played.observations[1, :, 0].tolist() == [2, 1, 0, 0, 0, 0, 0]
    assert played.rewards[1].tolist() == [2, 1, 0, 0, 0, 0] and played.actions[1].tolist() == [1, 1, 0, 0, 0, 0]
    assert returns(played).tolist() == [1, 3, 6, 10, 15, 21, 27, 33]


def test_shapes_stay_when_all_episodes_end_early():
    played = rollout(Countdown(), always(1), np.random.default_rng(0), episodes=2, steps=5)
    assert played.observations.shape == (2, 6, 1) and played.actions.shape == (2, 5)
    assert played.rewards.tolist() == [[1, 0, 0, 0, 0], [2, 1, 0, 0, 0]]
    assert (played.observations[:, 2:] == 0).all()


def test_recorded_actions_lead_to_the_recorded_states_again():
    maze = envs.simulator("point-maze-u", lag=0.5)
    played = rollout(maze, envs.behaviour(maze, "medium"), np.random.default_rng(3), episodes=20)
    state = played.states[:, 0]
    for t in range(maze.horizon):
        state, reward, _ = maze.step(state, played.actions[:, t], np.zeros((20, 0)))
        assert np.array_equal(state, played.states[:, t + 1]) and np.array_equal(reward, played.rewards[:, t])


def test_equal_generators_give_equal_bits_and_share_starts_and_noise_between_policies():
    maze = envs.simulator("point-maze-medium", noise=0.5)
    one, two = (rollout(maze, envs.behaviour(maze, "medium"), np.random.default_rng(5), 30) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    push, rest = (
        rollout(maze, lambda count, rng, a=a: lambda o: np.full((count, 2), a), np.random.default_rng(5), 30)
        for a in (0.2, 0.0)
    )
    assert np.array_equal(push.states[:, 0], rest.states[:, 0])
    both = ~((push.states[:, 1, 2:4] == 0) | (rest.states[:, 1, 2:4] == 0))  # a wall stops that axis
    change = push.states[:, 1, 2:4] - rest.states[:, 1, 2:4]
    assert change[both] == pytest.approx(0.1 * 2.5 * 0.2, abs=1e-7), "the same force disturbs both"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rollout(Countdown(), always(1), np.random.default_rng(0), 0), "episodes=0: must be a positive"),
        (lambda: rollout(Countdown(), always(1), np.random.default_rng(0), 2, steps=0), "steps=0: must be a positive"),
        (lambda: rollout(Countdown(), always(2), np.random.default_rng(0), 2), "must be integers from 0 to 1"),
        (lambda: rollout(Countdown(), always(0.5), np.random.default_rng(0), 2), "must be integers from 0 to 1"),
        (lambda: rollout(envs.PointMaze(), always(0.0), np.random.default_rng(0), 2), r"\(2,\): must be \(2, 2\)"),
        (
            lambda: rollout(envs.PointMaze(), lambda c, r: lambda o: o[:, :2] * np.nan, np.random.default_rng(0), 2),
            "must be without NaN",
        ),
    ],
    ids=range(6),
)
def test_bad_input_gives_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
