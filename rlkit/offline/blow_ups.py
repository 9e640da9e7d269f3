"""How large values grow while a learner trains, what V is asked to fit in the end, and what follows for the scores.

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
from rlkit.stats import paired_bootstrap

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
    after the last step ("no number" where it is none), the largest |Q| of any seed at any look that is a number, and
    the mean score.
    """
    sizes = found["size"].map(np.array)
    seen = found.assign(last=sizes.str[-1], most=[max(s[s < NO_NUMBER], default=np.nan) for s in sizes])
    groups = seen.groupby(["arm", "knob"], sort=False)
    columns = {"knobs": groups["knob"].first(), "share blown up": groups["blown"].mean().round(2)}
    columns |= {"largest |Q|": groups["last"].median().map(_in_words), "most seen": groups["most"].max().map(_in_words)}
    columns["score"] = groups["final"].mean().round(2)
    return pd.DataFrame({name: column.groupby("arm", sort=False).agg(list) for name, column in columns.items()})


def _in_words(size):
    return round(size) if size < NO_NUMBER / 10 else "no number"  # a median of a number and none is none


def overshoot(found: pd.DataFrame, forms: dict, bound, sharpness) -> pd.DataFrame:
    """How far the largest |Q| of an arm lies above another's, beside an excess of V that would add up over time.

    forms: arm -> (the other arm, a function of the knob: the excess of V in one state). A row for each arm and knob:
    the excess, bound times the excess, the difference of both medians over seeds of the largest |Q| after the last
    step, and exp(-sharpness excess), what the excess does to policy weights exp(sharpness (Q - V)). bound:
    1 / (1 - discount). Raises KeyError for an arm that is not there.
    """
    last, rows = found.assign(last=found["size"].str[-1]), []
    for arm, (other, excess) in forms.items():
        both = last[last["arm"].isin([arm, other])].pivot_table("last", "knob", "arm", "median", sort=False)
        for knob, gap in (both[arm] - both[other]).items():
            rows.append((arm, knob, excess(knob), bound * excess(knob), gap, np.exp(-sharpness * excess(knob))))
    names = ["arm", "knob", "excess of V", "added up", "measured", "factor of the weights"]
    return pd.DataFrame(rows, columns=names).set_index(["arm", "knob"])


def leads(found: pd.DataFrame, groups: dict) -> pd.DataFrame:
    """For each arm its mean score over knobs, its best mean at one knob, and its lead over groups of arms.

    groups: name -> arms. A lead is the arm's mean over knobs - the mean over the group's arms and knobs, with its 95 %
    interval over seeds (`paired_bootstrap`), in words; a dash for an arm of a group. Raises ValueError as `by_seed`.
    """
    scores = {arm: by_seed(found, arm, "final") for arm in found["arm"].unique()}  # [S, knobs]
    own = {arm for arms in groups.values() for arm in arms}
    rows = {arm: {"mean": s.mean().round(2), "best knob": s.mean(axis=0).max().round(2)} for arm, s in scores.items()}
    for name, arms in groups.items():
        for arm, row in rows.items():
            row[f"lead over {name}"] = "–" if arm in own else _lead(scores, arm, arms)
    return pd.DataFrame.from_dict(rows, orient="index")


def _lead(scores, arm, arms) -> str:
    lead = paired_bootstrap(scores, lambda m: m[arm].mean(-1) - np.mean([m[a].mean(-1) for a in arms], axis=0))
    estimate, low, high = (round(end, 2) + 0.0 for end in lead[:3])  # -0.0 + 0.0 is 0.0
    return f"{estimate:+.2f} ({low:+.2f} to {high:+.2f})"
