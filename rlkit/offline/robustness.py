"""Learners on spoilt logs: the same logs for every arm, what each scores, and how heavy-tailed its targets are.

What notebooks/03_offline/riql.ipynb measures with; its learner, its arms and its knobs stand in the notebook.
"""

import functools
import itertools

import numpy as np
import pandas as pd

from rlkit import checks
from rlkit.evaluations import of_kind
from rlkit.offline import Agent, transforms
from rlkit.offline.building import build
from rlkit.stats import Interval, paired_bootstrap

CORRUPTED = ("observations", "actions", "rewards", "dynamics")
MIX, TRANSITIONS = {"medium": 0.5, "random": 0.5}, 20_000  # shares of episodes
EDGES = np.linspace(-10.25, 10.25, 42)  # of histograms, in standard deviations
EVERY, EPISODES, PART = 500, 20, 5  # steps between looks, episodes in each; every fifth transition for the tails
COLUMNS = ("observations", "actions", "rewards", "next_observations", "terminated")


@functools.cache
def clean(task, seed):
    """The log of one seed: 20,000 transitions, half of the episodes medium, half random; rewards in units of their
    standard deviation. task: a name of `envs.names()`. Kept in memory, so that arms share it.
    """
    log = build(task, MIX, TRANSITIONS, seed=seed)
    return transforms.relabel(log, log.rewards / log.rewards.std())


@functools.cache
def spoilt(task, condition, seed, *, rate=0.3, scale=1.0, reward_scale=10.0):
    """The clean log with one column spoilt at random (`transforms.corrupt`), or as it is. Raises ValueError."""
    if checks.one_of("condition", condition, ("clean", *CORRUPTED)) == "clean":
        return clean(task, seed)
    how = {"rate": rate, "scale": scale, "reward_scale": reward_scale, "seed": seed}
    return transforms.corrupt(clean(task, seed), condition, **how)


def train(arms, names, task, conditions, seeds, steps, **noise):
    """One cell of a sweep: arms that share a learner, on all conditions and seeds at once -> (mean score, rows).

    arms: name -> (learner, what is an arm's own in each row, what all rows share, whether it has Q and V of the data's
    actions). names: of these arms. Rows have kind "row", task, arm, condition, seed and score, the list of looks; with
    Q and V also kurtosis and histogram of targets and errors (`tails`). noise: see `spoilt`.
    """
    keys = list(itertools.product(names, conditions, seeds))
    learner, own, shared, valued = arms[names[0]]
    own = {name: [arms[arm][1][name] for arm, _, _ in keys] for name in own}
    logs, agent = [spoilt(task, condition, seed, **noise) for _, condition, seed in keys], Agent()
    how = {"steps": steps, "evaluate_every": EVERY, "episodes": EPISODES, "agent": agent, **own, **shared}
    looks = [step.metrics["score"] for step in learner(logs, [seed for *_, seed in keys], **how)]
    inside = tails(agent, logs, shared["discount"]) if valued else [{}] * len(keys)
    rows = [
        {"kind": "row", "task": task, "arm": arm, "condition": condition, "seed": seed, "score": score.tolist()} | more
        for (arm, condition, seed), score, more in zip(keys, np.stack(looks, 1).round(4), inside, strict=True)
    ]
    return {"score": float(np.mean(looks[-1]))}, rows


def kurtosis(x) -> np.ndarray:
    """Excess kurtosis m4 / m2^2 - 3 over the last axis, m2 and m4 central moments: 0 for a normal distribution."""
    away = np.asarray(x, dtype=float) - np.mean(x, axis=-1, keepdims=True)
    return (away**4).mean(axis=-1) / (away**2).mean(axis=-1) ** 2 - 3


def tails(agent, logs, discount) -> list:
    """For each row its targets y = r + discount V(s') and errors y - Q(s, a) on every fifth transition of its log:
    {"target kurtosis", "target histogram", "error kurtosis", "error histogram"}, histograms in standard deviations
    from the mean, over EDGES; what lies beyond counts in the outermost bin.
    """
    o, a, r, following, ended = (np.stack([getattr(log, name)[::PART] for log in logs]) for name in COLUMNS)
    target = r + discount * ~ended * agent.value(following)
    rows = [{} for _ in logs]
    for name, values in (("target", target), ("error", target - agent.q(o, a))):
        z = (values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True)
        for row, weight, line in zip(rows, kurtosis(values), z.clip(-10, 10), strict=True):
            counts = np.histogram(line, EDGES)[0]
            row |= {f"{name} kurtosis": round(float(weight), 4), f"{name} histogram": counts.tolist()}
    return rows


def results(run) -> pd.DataFrame:
    """The rows of a run that `train` filled, with a column `final`, the last score; none before the first is done."""
    found = of_kind(run, "row")
    return found.assign(final=found["score"].str[-1]) if len(found) else found


def levels(tasks) -> dict:
    """task -> {"behaviour": score of the policies that made its log of seed 0, "expert": 1}."""
    logs = {task: clean(task, 0) for task in tasks}
    return {
        task: {"behaviour": float(log.score(log.facts["behaviour_return"])), "expert": 1.0}
        for task, log in logs.items()
    }


def by_seed(found, arm, conditions, tasks=None, value="final") -> np.ndarray:
    """A value of an arm [S, conditions], mean over tasks (None: all). Raises ValueError where one is missing."""
    here = found[(found["arm"] == arm) & found["task"].isin(tasks or found["task"].unique())]
    wide = here.pivot_table(value, "seed", ["condition", "task"])
    missing = [c for c in conditions if c not in wide]
    if missing:
        checks.fail("conditions", missing, f"among those of {arm}: {', '.join(here['condition'].unique())}")
    return np.stack([wide[c].mean(axis=1) for c in conditions], axis=1)


def contrast(found, one, other, value="final", tasks=None) -> Interval:
    """The mean of `one` minus that of `other`, each (arm, conditions), with its 95 % interval over seeds."""
    pair = {name: by_seed(found, *what, tasks, value) for name, what in (("one", one), ("other", other))}
    return paired_bootstrap(pair, lambda mean: mean["one"].mean(axis=-1) - mean["other"].mean(axis=-1))


def lie(task, condition, seed) -> pd.DataFrame:
    """The first spoilt row of the column `condition` (not "clean") of a log: what it says, what was true, both in the
    world's units, and their difference in standard deviations of that column in the clean log."""
    name = transforms.TARGETS[checks.one_of("condition", condition, CORRUPTED)]
    log, true = spoilt(task, condition, seed), getattr(clean(task, seed), name)
    row, what = log.facts["corrupted"][-1]["rows"][0], np.atleast_2d(getattr(log, name).T).T
    true = np.atleast_2d(true.T).T
    there = {"true": true[row], "in the log": what[row], "deviations": (what[row] - true[row]) / true.std(axis=0)}
    labels = log.facts["labels"] if "observations" in name else None
    return pd.DataFrame(there, index=labels).T.astype(float).round(2)


def means(found, *values) -> pd.DataFrame:
    """Means over seeds of columns of `results`, as text: a row for each task and arm, a column for each condition."""
    wide = found.pivot_table(list(values), ["task", "arm"], "condition", sort=False)[list(values)]
    return wide.map("{:.2f}".format).replace("nan", "")


def undeclared(found) -> pd.DataFrame:
    """What no clause of the claim tests: differences of means over seeds with their 95 % intervals (`contrast`)."""
    spoilt_logs = [condition for condition in found["condition"].unique() if condition != "clean"]
    gaps = {"score, RIQL: all spoilt - clean": (("RIQL", spoilt_logs), ("RIQL", ["clean"]))}
    for condition in spoilt_logs:
        gaps[f"score, RIQL: {condition} - clean"] = ("RIQL", [condition]), ("RIQL", ["clean"])
    gaps["score, clean: IQL - TD3+BC"] = ("IQL", ["clean"]), ("TD3+BC", ["clean"])
    for task in found["task"].unique():
        kurtosis = "error kurtosis", [task]
        gaps[f"kurtosis of errors, {task}, IQL: dynamics - clean"] = (
            ("IQL", ["dynamics"]),
            ("IQL", ["clean"]),
            *kurtosis,
        )
        for condition in ("clean", "dynamics"):
            name = f"kurtosis of errors, {task}, {condition}: RIQL - IQL"
            gaps[name] = ("RIQL", [condition]), ("IQL", [condition]), *kurtosis
    rows = {name: contrast(found, *gap) for name, gap in gaps.items()}
    ends = {name: [gap.estimate, gap.low, gap.high] for name, gap in rows.items()}
    return pd.DataFrame(ends, index=["estimate", "low", "high"]).T.round(2)
