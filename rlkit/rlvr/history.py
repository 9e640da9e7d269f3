"""What a training run says about its own problems: how often each was solved, visit after visit, and how that varied.

It is how one-shot RLVR picks its one training example: the one with the highest `historical_variance`.
"""

import numpy as np
import pandas as pd

from rlkit import checks


def accuracy_history(learner) -> pd.DataFrame:
    """Drain a learner: the share of right completions of each problem (row) at each of its visits (columns 1, 2, ...).

    learner: yields the Steps of `rlkit.rlvr.train(..., log_rollouts_every=1)`. Right is the part `correct`, whatever
    the reward was; all groups of a problem in one step are one visit. Rows are the problems' ids, in the order of the
    first visit; where a problem was visited less often than others, its last columns are NaN. Raises ValueError for a
    learner without rows of kind "sample".
    """
    visits = {}  # problem -> share of right completions at each visit
    for step in learner:
        right = {}
        for row in step.rollouts or ():
            if row.get("kind") == "sample":
                right.setdefault(row["problem"], []).append(row["reward_parts"]["correct"] >= 1)
        for problem, found in right.items():
            visits.setdefault(problem, []).append(float(np.mean(found)))
    if not visits:
        raise ValueError("learner: it yielded no rows of kind 'sample': must log its rollouts at every step")
    table = pd.DataFrame({problem: pd.Series(found) for problem, found in visits.items()}).T
    return table.set_axis(range(1, table.shape[1] + 1), axis=1)


def historical_variance(accuracy):
    """The variance of each problem's accuracy over its visits: [..., E] -> [...].

    mean of (a - mean of a)^2 over the E visits (the divisor is E). NaN stands for visits that did not take place, and
    is left out. The authors rank by its square root, which is the same order. Raises ValueError for infinity, numbers
    outside [0, 1], and a problem without any visit.
    Source: Wang et al. 2025 (arXiv 2504.20571), section 2, and the authors' data/data_selection.py.
    """
    accuracy = np.asarray(accuracy, dtype=float)
    there = ~np.isnan(accuracy)
    checks.probability("accuracy", accuracy[there])
    count = there.sum(-1)
    if not count.size or not count.all():
        raise ValueError(f"accuracy of shape {accuracy.shape}: must hold at least one visit of each problem")
    known = np.where(there, accuracy, 0.0)
    off = np.where(there, accuracy - (known.sum(-1) / count)[..., None], 0.0)
    return np.square(off).sum(-1) / count
