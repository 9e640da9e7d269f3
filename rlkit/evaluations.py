"""How often each problem was solved: the evaluation rows that a run keeps, and what is read from them.

One row is one evaluation: n samples on each of P problems, and how many of them were correct. pass@k, intervals over
problems and seeds, problems gained and lost all follow from these counts.
"""

import numpy as np
import pandas as pd

from rlkit import checks
from rlkit.stats import pass_at_k

KIND = "evaluation"
COLUMNS = ("arm", "seed", "split", "at", "samples", "problems", "correct")


def row(problems: list, correct: list, samples: int, *, at: int, **labels) -> dict:
    """A rollout row that holds one evaluation: problem ids [P], correct [P] of `samples` each, at training step `at`.

    labels: what JSON can hold, such as arm, seed, split, temperature. Raises ValueError for repeated problems, lists
    of different lengths, or a count outside 0..samples.
    """
    samples, at = checks.positive_int("samples", samples), checks.count("at", at)
    problems, correct = list(problems), [int(c) for c in correct]
    if not problems or len(set(problems)) != len(problems):
        checks.fail("problems", problems, "different ids, at least one")
    if len(correct) != len(problems):
        raise ValueError(f"correct: {len(correct)} counts for {len(problems)} problems: must be one for each")
    for c in correct:
        if not 0 <= c <= samples:
            checks.fail("correct", c, f"from 0 to {samples}")
    return {"kind": KIND, "at": at, "samples": samples, "problems": problems, "correct": correct, **labels}


def of_kind(run, kind: str, **labels) -> pd.DataFrame:
    """The rollout rows of a run with this kind, and with these values of its labels (arm="grpo"); none is no error."""
    rows = run.rollouts()
    for name, value in {"kind": kind, **labels}.items():
        rows = rows[rows[name] == value] if name in rows else rows.iloc[:0]
    return rows


def table(run) -> pd.DataFrame:
    """The evaluations of a run, one row each: arm, seed, split, at, samples, problems, correct, then other labels.

    arm is what the row says, else run.config["arm"], else the run's name; seed likewise (else 0); split else "test".
    """
    rows = of_kind(run, KIND).dropna(axis=1, how="all").reset_index(drop=True)
    defaults = {"arm": run.config.get("arm", run.name), "seed": run.config.get("seed", 0), "split": "test"}
    for name, value in defaults.items():
        rows[name] = rows[name].where(rows[name].notna(), value) if name in rows else value
    rows = rows.astype({name: int for name in ("seed", "at", "samples") if len(rows)})
    return rows[[c for c in COLUMNS if c in rows] + [c for c in rows if c not in (*COLUMNS, "kind", "step")]]


def counts(run, *, at=None, split: str | None = None) -> tuple:
    """(arm -> correct [S, P], samples, problem ids [P]) of a run, seeds and problems in one order for all arms.

    at: a training step, "first", or None for the last one of each arm and seed. split: only that one. Raises
    ValueError if there is no such evaluation, or if seeds, problems or samples differ between arms: those cannot be
    compared pair by pair.
    """
    rows = table(run)
    if split is not None and len(rows):
        rows = rows[rows["split"] == split]
    if len(rows) and at not in (None, "first"):
        rows = rows[rows["at"] == checks.count("at", at)]
    if not len(rows):
        raise ValueError(f"run {run.name!r}: it holds no evaluation with at={at!r}, split={split!r}")
    rows = rows.sort_values("at", kind="stable").groupby(["arm", "seed"], sort=False, as_index=False)
    rows = rows.first() if at == "first" else rows.last()
    samples, problems = rows["samples"].unique(), rows["problems"].iloc[0]
    if len(samples) > 1:
        raise ValueError(f"run {run.name!r}: evaluations with {sorted(map(int, samples))} samples: must be one number")
    found, seeds = {}, None
    for arm, group in rows.groupby("arm", sort=False):
        group = group.sort_values("seed")
        seeds = list(group["seed"]) if seeds is None else seeds
        if list(group["seed"]) != seeds:
            raise ValueError(f"arm {arm!r}: its seeds are {list(group['seed'])}: must be {seeds}, as in the first arm")
        if any(set(one) != set(problems) for one in group["problems"]):
            raise ValueError(f"arm {arm!r}: it was evaluated on other problems than the first arm")
        by_id = [dict(zip(p, c, strict=True)) for p, c in zip(group["problems"], group["correct"], strict=True)]
        found[arm] = np.array([[one[p] for p in problems] for one in by_id])  # [S, P]
    return found, int(samples[0]), list(problems)


def curves(correct, samples: int, k) -> np.ndarray:
    """pass@k of each problem: correct [..., P] of `samples`, k [K] -> [..., P, K]; for `stats.paired_bootstrap`."""
    return np.asarray(pass_at_k(samples, np.asarray(correct)[..., None], np.asarray(k)))
