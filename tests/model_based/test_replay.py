"""What was lived: rings that forget the oldest, draws from the seed's own stream, worlds that start again."""

import numpy as np
import pytest
import torch

from rlkit import envs
from rlkit.model_based import Replay, Worlds
from rlkit.model_based.replay import mixed
from rlkit.offline.building import build


def block(values, seeds=2):
    """Transitions whose numbers tell which they are: observation [v, v], action v, reward v, next [v + 1, v + 1]."""
    v = np.tile(np.asarray(values, dtype=np.float32), (seeds, 1))
    wide = np.stack([v, v], 2)
    return wide, v[..., None], v, wide + 1, np.ones_like(v)


def test_it_returns_what_was_put_in_and_forgets_the_oldest():
    replay = Replay([0, 1], 2, 1, 4)
    replay.add(*block([1, 2, 3]))
    replay.add(*block([4, 5]))
    assert replay.size.tolist() == [4, 4]
    batch = replay.sample(400)
    assert batch.observations.shape == (2, 400, 2) and batch.pairs.shape == (2, 400, 3)
    assert set(batch.rewards.unique().tolist()) == {2, 3, 4, 5}
    assert torch.equal(batch.next_observations[..., 0], batch.rewards + 1)
    assert torch.equal(batch.actions[..., 0], batch.rewards) and torch.equal(batch.pairs[..., 2], batch.rewards)
    assert torch.equal(replay.table[0, torch.from_numpy(batch.indices[0]), 0], batch.rewards[0])
    shares = np.bincount(batch.rewards[0].long())[2:] / 400
    assert np.abs(shares - 0.25).max() < 0.08


def test_only_the_kept_transitions_enter_and_seeds_may_hold_different_numbers():
    replay = Replay([0, 1], 2, 1, 10)
    replay.add(*block([1, 2, 3]), np.array([[True, False, True], [False, False, True]]))
    assert replay.size.tolist() == [2, 1]
    batch = replay.sample(50)
    assert set(batch.rewards[0].tolist()) == {1, 3} and set(batch.rewards[1].tolist()) == {3}
    assert replay.all().rewards.tolist() == [[1], [3]]


def test_the_draws_of_a_seed_do_not_depend_on_the_others():
    many, alone = Replay([3, 4, 5], 2, 1, 10), Replay([5], 2, 1, 10)
    many.add(*block(range(8), 3)), alone.add(*block(range(8), 1))
    for _ in range(3):
        assert torch.equal(many.sample(16).rewards[2], alone.sample(16).rewards[0])


def test_a_log_becomes_a_replay_and_terminal_steps_do_not_continue():
    data = build("maze-corridor", "medium", 300, seed=0)
    replay = Replay.of(data, [0, 1])
    batch = replay.sample(64)
    assert replay.size.tolist() == [len(data)] * 2 and batch.actions.dtype == torch.int64
    np.testing.assert_array_equal(batch.continues.numpy() == 0, data.terminated[batch.indices])
    np.testing.assert_allclose(batch.next_observations, data.next_observations[batch.indices])
    both = mixed(batch, replay.sample(3))
    assert both.rewards.shape == (2, 67) and both.indices.shape == (2, 67)
    assert torch.equal(both.observations[:, :64], batch.observations)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: r.sample(3), "replay of seed 0 is empty: must hold transitions"),
        (lambda r: r.all(), "replay of seed 0 is empty"),
        (lambda r: r.add(*block([1.0, float("nan")])), "transition 1 of seed 0 holds NaN or infinity: must be finite"),
        (lambda r: r.add(*block([1, 2], seeds=1)), r"observations of shape \(1, 2, 2\): must be \[2, 2, 2\]"),
        (lambda r: r.add(*block(range(5))), "5 transitions at once: must be at most capacity=4"),
        (lambda r: Replay([0], 2, 1, 0), "capacity=0: must be a positive integer"),
        (lambda r: Replay.of([None], [0, 1]), "dataset: 1 of them for 2 seeds: must be one for each"),
    ],
)
def test_bad_input_is_one_line(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call(Replay([0, 1], 2, 1, 4))
    assert "\n" not in str(caught.value)


def test_worlds_start_again_and_each_seed_lives_alone():
    simulator = envs.simulator("pendulum")
    many, alone = Worlds(simulator, [0, 7]), Worlds(simulator, [7])
    for step in range(2 * simulator.horizon):
        actions = np.full((2, 1), np.sin(step / 9), np.float32)
        before = many.observations.copy()
        lived, single = many.step(actions), alone.step(actions[:1])
        for a, b in zip(lived, single, strict=True):
            np.testing.assert_array_equal(a[1], b[0])
        np.testing.assert_array_equal(before, lived.observations)
        assert lived.continues.all()  # the clock ends episodes here, never the return
        if (step + 1) % simulator.horizon:
            np.testing.assert_array_equal(many.observations, lived.next_observations)
    assert [len(found) for found in many.finished] == [2, 2] and many.finished[1] == alone.finished[0]
    assert not np.array_equal(many.observations, lived.next_observations)


def test_a_terminal_step_does_not_continue():
    worlds = Worlds(envs.simulator("maze-corridor"), [0])
    while not worlds.finished[0]:
        lived = worlds.step(np.array([1]))
    assert lived.continues.tolist() == [0.0]
