"""From learners to evidence: drain one arm into what a sweep keeps, read its curves back, compare at equal progress."""

import numpy as np
import pandas as pd

from rlkit import checks
from rlkit.evaluations import KIND, of_kind

CURVE = "curve"


def collect(learner, *, samples_of_step=(), **labels) -> tuple[dict, list]:
    """Drain a learner into (metrics, rows), the two things that a cell of `rlkit.measure.sweep` returns.

    metrics: the last value of every metric. rows: each evaluation row, the sample rows of the training steps in
    samples_of_step (they get an `at`), and one row of kind "curve" with all metrics over all steps; each row carries
    the labels (arm, seed, ...). Raises ValueError if the learner yields nothing.
    """
    rows, last, history = [], {}, {}
    for step in learner:
        for row in step.rollouts or ():
            if row.get("kind") == KIND or step.step in samples_of_step:
                rows.append({"at": step.step, **row, **labels})
        for name, value in step.metrics.items():
            history.setdefault(name, ([], []))
            history[name][0].append(step.step)
            history[name][1].append(float(value))
        last |= step.metrics
    if not last:
        raise ValueError("learner: it yielded no step: must yield at least one with metrics")
    curve = {name: {"step": steps, "value": values} for name, (steps, values) in history.items()}
    return {name: float(value) for name, value in last.items()}, [*rows, {"kind": CURVE, **labels, "curve": curve}]


def curves(run, metric: str) -> pd.DataFrame:
    """One metric of all arms that `collect` kept in a run: columns arm, seed (the labels), step, value.

    Raises ValueError for a run without such rows or an unknown metric.
    """
    rows = of_kind(run, CURVE)
    if not len(rows):
        raise ValueError(f"run {run.name!r}: it holds no curves: must be filled by cells that return collect(...)")
    known = list(dict.fromkeys(name for curve in rows["curve"] for name in curve))
    checks.one_of("metric", metric, known)
    labels = [name for name in ("arm", "seed") if name in rows]
    parts = [
        pd.DataFrame(row["curve"][metric]).assign(**{name: row[name] for name in labels})
        for _, row in rows.iterrows()
        if metric in row["curve"]
    ]
    return pd.concat(parts, ignore_index=True)[[*labels, "step", "value"]].astype({"step": int})


def at_matched(x, y, target):
    """y where x first reaches target, by straight lines between evaluations: how arms are compared at equal progress.

    x [..., E]: progress at the E evaluations of a path, such as pass@1 or the KL to the base; y [..., E] or
    [..., E, K]: what is compared; target: a number, or [...]. Where x starts beyond the target the first evaluation
    is taken; where it never gets there, the one with the largest x: choose targets that every arm reaches. Returns
    [...] or [..., K].
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.ndim < 1 or y.shape[: x.ndim] != x.shape or y.ndim > x.ndim + 1:
        raise ValueError(f"x of shape {x.shape}, y of shape {y.shape}: must be [..., E] and [..., E] or [..., E, K]")
    deep = y if y.ndim == x.ndim + 1 else y[..., None]
    target = np.broadcast_to(np.asarray(target, dtype=float), x.shape[:-1])[..., None]  # [..., 1]
    reached = x >= target
    right = np.where(reached.any(-1), reached.argmax(-1), x.argmax(-1))[..., None]  # [..., 1]
    left = np.where(reached.any(-1, keepdims=True), np.maximum(right - 1, 0), right)
    low, high = np.take_along_axis(x, left, -1), np.take_along_axis(x, right, -1)
    share = np.where(high > low, (target - low) / np.where(high > low, high - low, 1), 1.0)
    share = np.clip(share, 0, 1)[..., None]  # [..., 1, 1]
    before, after = (np.take_along_axis(deep, index[..., None], -2) for index in (left, right))
    found = ((1 - share) * before + share * after)[..., 0, :]
    return found if y.ndim == x.ndim + 1 else found[..., 0]
