"""What walks teach about pairs of places, against walks followed with a finger and against paths in graphs."""

import re

import numpy as np
import pytest

from rlkit.offline.goals import after_swap, pairs_in_one_walk


def test_a_walk_teaches_later_places_and_no_earlier_ones():
    # 0 -> 1 -> 2 and 3 -> 1 -> 4: they meet in 1.
    place, end = np.array([0, 1, 2, 3, 1, 4]), np.array([3, 3, 3, 6, 6, 6])
    seen = pairs_in_one_walk(place, end, 5)
    expected = np.eye(5, dtype=bool)
    for pair in ((0, 1), (0, 2), (1, 2), (3, 1), (3, 4), (1, 4)):
        expected[pair] = True
    np.testing.assert_array_equal(seen, expected)
    swapped = after_swap(seen)
    new = {tuple(pair) for pair in np.argwhere(swapped & ~seen).tolist()}
    assert new == {(0, 4), (3, 2)}  # across, and never against the direction of a walk
    np.testing.assert_array_equal(seen, expected)  # what was given stays


def test_one_swap_joins_two_walks_and_not_three():
    chain = np.eye(4, dtype=bool) | np.eye(4, k=1, dtype=bool)  # 0 -> 1, 1 -> 2, 2 -> 3: three walks
    once = after_swap(chain)
    assert once[0, 2] and not once[0, 3]
    twice = after_swap(once)
    np.testing.assert_array_equal(twice, np.triu(np.ones((4, 4), bool)))
    np.testing.assert_array_equal(after_swap(twice), twice)  # the closure stays


def test_swaps_are_paths_of_two_edges():
    rng = np.random.default_rng(3)
    seen = rng.random((7, 7)) < 0.2
    swapped = after_swap(seen)
    for s in range(7):
        for w in range(7):
            assert swapped[s, w] == (seen[s, w] or any(seen[s, g] and seen[g, w] for g in range(7)))


@pytest.mark.parametrize(
    ("place", "end", "words"),
    [([0, 3], [2, 2], "place="), ([0, -1], [2, 2], "place="), ([0, 1], [2], "end.shape=")],
)
def test_walks_that_are_none_are_named_in_one_line(place, end, words):
    with pytest.raises(ValueError, match="^" + re.escape(words)) as raised:
        pairs_in_one_walk(place, end, 3)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("seen", [np.ones((2, 3), bool), np.ones((2, 2)), np.ones(4, bool)])
def test_pairs_that_are_no_square_of_bools_are_refused(seen):
    with pytest.raises(ValueError, match=re.escape("seen.shape, ")):
        after_swap(seen)
