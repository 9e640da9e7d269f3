"""A 95 % interval of the IQM, 50,000 stratified replicates over 10 runs x 4 tasks, in CPU-seconds, beside rliable."""

import statistics
import time

import numpy as np
from scipy import stats as reference

from rlkit import stats

REPLICATES, ROUNDS = 50_000, 3
SCORES = np.random.default_rng(0).random((10, 4))  # [runs, tasks]


def _rliable():
    """(name, function) of rliable; where it cannot be imported beside our versions, its loop by its equation.

    Each replicate draws runs within tasks, cuts a quarter of all scores from each end with scipy's trim_mean and
    averages; the interval is the percentiles. That leaves out what the package spends around the loop.
    """
    try:
        from rliable import library, metrics
    except Exception:  # noqa: BLE001 - rliable 1.2 needs an arch that raises TypeError on import with pandas 3
        rng, tasks = np.random.RandomState(0), np.arange(SCORES.shape[1])

        def loop():
            drawn = [SCORES[rng.choice(len(SCORES), SCORES.shape), tasks] for _ in range(REPLICATES)]
            return np.percentile([reference.trim_mean(d, 0.25, axis=None) for d in drawn], [2.5, 97.5])

        return "rliable's resampling loop, transcribed", loop

    def package():
        found = library.get_interval_estimates(
            {"ours": SCORES}, lambda scores: np.array([metrics.aggregate_iqm(scores)]), reps=REPLICATES
        )
        return found[1]["ours"].ravel()

    return "rliable", package


def _cpu(function) -> tuple:
    """(median CPU-seconds of several calls, the last result)."""
    used = []
    for _ in range(ROUNDS):
        start = time.process_time()
        result = function()
        used.append(time.process_time() - start)
    return statistics.median(used), result


def rows() -> list:
    """One row: `ours` and `theirs` in CPU-seconds, `ratio` = theirs / ours; refuses to time intervals that differ."""
    name, theirs = _rliable()
    slow, expected = _cpu(theirs)
    fast, found = _cpu(lambda: stats.bootstrap_ci(SCORES, replicates=REPLICATES))
    np.testing.assert_allclose([found.low, found.high], expected, atol=0.01)
    work = f"95 % interval of the IQM, 10 runs x 4 tasks, 50,000 replicates; theirs: {name}"
    must = "<= 0.3 s and >= 20 x"
    return [{"work": work, "ours": fast, "theirs": slow, "ratio": slow / fast, "must": must}]


if __name__ == "__main__":
    for row in rows():
        print(row)
