"""Which pairs of places a set of walks teaches: in one walk, after a swap of goals, and in the limit.

Places are numbers below `places`: cells, or clusters of states. A learner that imitates on the way to later places of
the same walk is taught the pairs of `pairs_in_one_walk`. Temporal data augmentation (Ghugare et al. 2024, arXiv
2401.11237) swaps the goal for a later one of another walk through the same place: `after_swap`. NumPy alone.
"""

import numpy as np

from rlkit import checks


def pairs_in_one_walk(place, end, places) -> np.ndarray:
    """bool [places, places]: whether some walk is in the first place and then, or at once, in the second.

    place: integers [N], the place of each row, walk after walk. end: integers [N], the row after the last one of the
    row's walk. places: how many there are. Raises: ValueError.
    """
    place, end = np.asarray(place), np.asarray(end)
    if place.ndim != 1 or end.shape != place.shape:
        checks.fail("end.shape", end.shape, f"that of place, {place.shape}, [N]")
    if place.dtype.kind not in "iu" or (place < 0).any() or (place >= checks.positive_int("places", places)).any():
        checks.fail("place", place, f"integers from 0 to {places - 1}")
    found = np.zeros((places, places), bool)
    for row, last in enumerate(end):
        found[place[row], place[row:last]] = True
    return found


def after_swap(seen) -> np.ndarray:
    """The pairs (s, w) that hold already, or for which some g has (s, g) and (g, w): bool [k, k] -> bool [k, k].

    One Boolean product, seen or seen x seen: what one swap of goals adds. Repeated until nothing changes it is the
    transitive closure, what a learner that bootstraps may find in the end. Raises: ValueError.
    """
    seen = np.asarray(seen)
    if seen.ndim != 2 or seen.shape[0] != seen.shape[1] or seen.dtype != bool:
        checks.fail("seen.shape, seen.dtype", (seen.shape, str(seen.dtype)), "[k, k] bools")
    return seen | (seen.astype(int) @ seen.astype(int) > 0)
