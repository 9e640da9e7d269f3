"""How large values grow while a learner trains, and what V is asked to fit in the end.

What notebooks/03_offline/dual_rl.ipynb measures with; its losses and its knobs stand in the notebook.
"""

import numpy as np
import pandas as pd
import torch

from rlkit import checks
from rlkit.evaluations import of_kind
from rlkit.offline.algorithms.in_sample import in_sample
from rlkit.offline.algorithms.iql import weights
from rlkit.offline.rows import Agent, Rows
from rlkit.runs import Run

PART = 20  # every so many rows of a log are looked at
NO_NUMBER = 1e30  # stands for infinity and NaN, which JSON cannot hold
EDGES = np.linspace(-10.25, 10.25, 42)  # of the histogram of Q - V


def train(arms: dict, seeds, log, *, steps, sharpness, discount, polyak, **shared) -> tuple[dict, list]:
    """Learners of `in_sample` that differ in the loss of V alone, side by side in one call and watched: see `watch`.

    arms: name -> (loss of u [S, B] and knob [S, 1] -> [S], the arm's knobs, as many for each, the largest norm of V's
    gradient or None, the same for all arms of a call: a limit however large would be one). log: seed -> dataset.
    sharpness: policy weights exp(sharpness u) up to 100. shared: evaluate_every, episodes and others of `Rows`.
    Networks 64 x 64, Adam at 1e-3. Raises ValueError for different numbers of knobs, or limits.
    """
    if len({len(knobs) for _, knobs, _ in arms.values()}) != 1:
        checks.fail("knobs", {arm: knobs for arm, (_, knobs, _) in arms.items()}, "as many for each arm")
    (clip, *others) = {clip for *_, clip in arms.values()}
    if others:
        checks.fail("arms", {arm: clip for arm, (*_, clip) in arms.items()}, "of one gradient limit in a call")
    keys = [(arm, knob, seed) for arm, (_, knobs, _) in arms.items() for knob in knobs for seed in seeds]
    rows, agent = Rows([log(seed) for *_, seed in keys], [seed for *_, seed in keys], **shared), Agent()
    parts = rows.column("knob", [knob for _, knob, _ in keys]).chunk(len(arms))

    def value_loss(u):  # [S, B] -> [S]
        each = zip(arms.values(), u.chunk(len(arms)), parts, strict=True)
        return torch.cat([loss(part, knob) for (loss, _, _), part, knob in each])

    how = {"steps": steps, "discount": discount, "polyak": polyak, "learning_rate": 1e-3, "hidden": (64, 64)}
    learner = in_sample(rows, value_loss, lambda u: weights(u, sharpness), agent=agent, gradient_clip=clip, **how)
    return watch(learner, agent, keys, rows.datasets)


def watch(learner, agent, keys, logs) -> tuple[dict, list]:
    """Drain a learner and note at each look how large |Q| is: ({"score": its last mean}, one row for each key).

    keys: (arm, knob, seed) of each of the S rows; logs: their datasets; agent: the learner's, with q and value. A row
    has kind "row", arm, knob, seed, at (steps), score, size (the largest |Q| over every twentieth row of the log at
    each look, NO_NUMBER where it is none), and histogram, counts of Q - V over EDGES after the last step, without what
    is no number; what lies beyond counts in the outermost bin.
    """
    observations, actions = (np.stack([getattr(log, n)[::PART] for log in logs]) for n in ("observations", "actions"))
    at, scores, sizes = [], [], []
    for step in learner:
        at.append(step.step)
        scores.append(step.metrics["score"])
        q = agent.q(observations, actions)  # [S, N]
        sizes.append(np.where(np.isfinite(q), np.minimum(np.abs(q), NO_NUMBER), NO_NUMBER).max(axis=1))
    difference, rows = q - agent.value(observations), []
    for i, (arm, knob, seed) in enumerate(keys):
        u = difference[i][np.isfinite(difference[i])]
        counts = np.histogram(u.clip(EDGES[0], EDGES[-1]), EDGES)[0]
        row = {"kind": "row", "arm": arm, "knob": float(knob), "seed": int(seed), "at": at}
        row |= {"score": [round(float(score[i]), 4) for score in scores], "histogram": counts.tolist()}
        rows.append(row | {"size": [float(f"{size[i]:.5g}") for size in sizes]})
    return {"score": float(np.mean(scores[-1]))}, rows


def results(run: Run, bound: float) -> pd.DataFrame:
    """The rows that `watch` left in a run, with columns final, the last score, and blown: 1 where |Q| was ever larger
    than 10 times `bound`, the largest discounted return of the world, or no number; else 0.
    """
    found, bound = of_kind(run, "row"), checks.positive("bound", bound)
    if not len(found):
        return found
    return found.assign(final=found["score"].str[-1], blown=[float(max(sizes) > 10 * bound) for sizes in found["size"]])


def by_seed(found: pd.DataFrame, arm: str, value: str) -> np.ndarray:
    """A column of an arm as [S, knobs], in the order of seeds and knobs. Raises ValueError where one is missing."""
    here = found[found["arm"] == arm]
    wide = here.pivot_table(value, "seed", "knob")
    if not len(here) or wide.isna().any(axis=None):
        checks.fail("arm", arm, f"one that has {value} for each knob and seed: {', '.join(found['arm'].unique())}")
    return wide.to_numpy()


def overview(found: pd.DataFrame) -> pd.DataFrame:
    """For each arm the lists, over its knobs, of the share of seeds blown up, the median over seeds of the largest |Q|
    after the last step (at most 10,000), and the mean score.
    """
    last = found["size"].str[-1].clip(upper=1e4)
    groups = found.assign(last=last).groupby(["arm", "knob"], sort=False)
    columns = {"knobs": groups["knob"].first(), "share blown up": groups["blown"].mean()}
    columns |= {"largest |Q|": groups["last"].median().round().astype(int), "score": groups["final"].mean()}
    return pd.DataFrame({name: c.round(2).groupby("arm", sort=False).agg(list) for name, c in columns.items()})
