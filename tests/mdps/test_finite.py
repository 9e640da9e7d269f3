"""FiniteMDP: what it refuses, what it promises, and its draws."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from rlkit import mdps

STAY = np.eye(2)[:, None]  # two states, one action, nothing moves


def two_states(**changes):
    """State 0 moves to the terminal state 1 with chance 0.25, paid 2 for each try."""
    tables = {
        "transitions": np.array([[[0.75, 0.25]], [[0.0, 1.0]]]),
        "rewards": np.array([[2.0], [0.0]]),
        "start": np.array([1.0, 0.0]),
        "discount": 0.5,
        "terminal": np.array([False, True]),
    }
    return mdps.FiniteMDP(**(tables | changes))


def test_it_says_what_it_is():
    world = two_states()
    assert repr(world) == "FiniteMDP(2 states, 1 actions, discount=0.5, 1 terminal)"
    assert (world.states, world.actions) == (2, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transitions": np.ones((2, 1, 3))}, r"transitions of shape \(2, 1, 3\): must be \[N, A, N\]"),
        ({"transitions": STAY * 0.5}, r"sum of transitions\[0, 0\]=0.5: must be 1"),
        ({"transitions": STAY * -1.0}, r"transitions\[0, 0, 0\]=-1.0: must be in \[0, 1\]"),
        ({"rewards": np.zeros((2, 2))}, r"rewards of shape \(2, 2\): must be \(2, 1\)"),
        ({"rewards": np.array([[np.nan], [0.0]])}, r"rewards\[0, 0\]=nan: must be finite"),
        ({"start": np.array([0.5, 0.4])}, r"sum of start=0.9: must be 1"),
        ({"start": np.array([1.0])}, r"start of shape \(1,\): must be \(2,\)"),
        ({"discount": 1.0}, r"discount=1.0: must be above 0 and below 1"),
        ({"discount": 0}, r"discount=0: must be a finite number above 0"),
        ({"terminal": np.array([True, True])}, r"terminal state=0: must be absorbing"),
        ({"rewards": np.array([[2.0], [1.0]])}, r"terminal state=1: must be absorbing"),
        ({"terminal": np.array([True])}, r"terminal of shape \(1,\): must be \(2,\)"),
        ({"names": ["only one"]}, r"names of length 1: must be 2"),
        ({"positions": np.zeros((2, 3))}, r"positions of shape \(2, 3\): must be \(2, 2\)"),
    ],
)
def test_bad_tables_are_named_in_one_line(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        two_states(**changes)
    assert "\n" not in str(caught.value)


def test_nothing_in_it_can_change():
    rewards = np.array([[2.0], [0.0]])
    world = two_states(rewards=rewards)
    rewards[0] = 9.0
    assert world.rewards[0, 0] == 2.0, "a copy, not the caller's array"
    for table in (world.transitions, world.rewards, world.start, world.terminal):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 0
    with pytest.raises(FrozenInstanceError):
        world.discount = 0.9
    assert replace(world, discount=0.9).discount == 0.9


def test_draws_follow_the_chances_and_their_edges():
    """u below 0.7 gives the likeliest state, then the next; u of 0 and of 1 give states that can happen."""
    table = np.zeros((4, 1, 4))
    table[0, 0] = [0.0, 0.3, 0.7, 0.0]
    table[1:, 0, 3] = 1.0
    world = mdps.FiniteMDP(table, np.zeros((4, 1)), np.full(4, 0.25), 0.9, np.zeros(4, dtype=bool))
    uniforms = np.array([0.0, 0.699, 0.701, np.nextafter(1, 0), 1.0])
    states = np.zeros(5, dtype=int)
    assert world.sample(states, states, uniforms).tolist() == [2, 2, 1, 1, 1]
    assert world.sample(states + 1, states, uniforms).tolist() == [3] * 5
    u = (np.arange(10_000) + 0.5) / 10_000  # a grid instead of luck: shares are exact
    many = world.sample(np.zeros((100, 100), dtype=int), np.zeros((100, 100), dtype=int), u.reshape(100, 100))
    assert np.bincount(many.ravel(), minlength=4).tolist() == [0, 3_000, 7_000, 0]
