"""Learners beside the controllers that made their logs, in the four near-real worlds.

What notebooks/03_offline/neorl2.ipynb measures with; its score, its learners and its knobs stand in the notebook.
"""

import functools
from types import SimpleNamespace

import numpy as np
import pandas as pd

from rlkit import checks, envs
from rlkit.evaluations import of_kind
from rlkit.offline.building import build
from rlkit.offline.evaluate import trajectories
from rlkit.offline.rows import Agent, Rows

TASKS = ("delay-pipe", "glucose", "rocket", "safe-cart")
HISTORY = "pipe, history"  # the delay-pipe with the last five actions at the end of the observation
GROUPS = (("delay-pipe",), (HISTORY,), ("glucose", "safe-cart"), ("rocket",))  # observations of one size in each
WRITTEN = {"random": "random", "controller": "medium", "expert": "expert"}  # policies written by hand
TRANSITIONS, EVERY, OWN_STREAM = 20_000, 500, 9


@functools.cache
def world(task):
    """The simulator of a task, one of TASKS or HISTORY; always the same object. Raises ValueError for others."""
    if checks.one_of("task", task, (*TASKS, HISTORY)) == HISTORY:
        return envs.simulator("delay-pipe", history=5)
    return envs.simulator(task)


@functools.cache
def log(task, seed):
    """The log of one seed: 20,000 transitions of the controller, or a few more, for episodes are whole."""
    return build(world(task), "medium", TRANSITIONS, seed)


def train(learners, kept, arm, tasks, seeds, steps, episodes, **numbers):
    """One cell of a sweep: an arm on tasks of one size of observation, all seeds at once -> (mean score, rows).

    learners: arm -> (learner, whether it takes `numbers`); an arm of WRITTEN is played instead of trained. All seeds
    and arms are tested by `episodes` episodes of the seed's own stream. Rows have kind "row", arm, task, seed, score,
    curve (scores while it trained, each EVERY steps) and fast, the share of test episodes in which the first
    observation left [-1, 1]: in safe-cart those above the speed limit. kept: a dictionary that is given (arm, task) ->
    the policy of the first seed, act(observations [B, O]) -> actions [B, A], or None for an arm of WRITTEN.
    """
    keys = [(task, seed) for task in tasks for seed in seeds]
    logs, worlds, each = [log(*key) for key in keys], [world(task) for task, _ in keys], [seed for _, seed in keys]
    curves, agent = [[] for _ in keys], Agent()
    if arm in WRITTEN:
        agent = by_hand(arm, keys, episodes)
    else:
        learner, numbered = learners[arm]
        how = {"steps": steps, "evaluate_every": EVERY, "agent": agent, "simulator": worlds}
        made = [step.metrics["score"] for step in learner(logs, each, **how, **(numbers if numbered else {}))]
        curves = np.stack(made, axis=1).round(3).tolist()  # [rows, looks]
    for number, task in enumerate(tasks):
        kept[arm, task] = None if arm in WRITTEN else functools.partial(_one, agent, number * len(seeds))
    returns, seen = trajectories(agent, Rows(logs, each, episodes=episodes, simulator=worlds))
    scores = np.array([data.score(value) for data, value in zip(logs, returns.mean(axis=1), strict=True)])
    fast = (np.abs(seen[..., 0]) > 1).any(axis=-1).mean(axis=-1)
    rows = [
        {"kind": "row", "arm": arm, "task": task, "seed": seed, "score": s, "curve": curve, "fast": f}
        for (task, seed), s, curve, f in zip(keys, scores.round(4).tolist(), curves, fast.tolist(), strict=True)
    ]
    return {"score": float(scores.mean())}, rows


def _one(agent, row, observations):
    return agent.act(observations)[row]


def by_hand(arm, keys, episodes):
    """Policies of WRITTEN in the place of learnt ones: act(observations [S, E, O]) -> [S, E, A] for S (task, seed)."""
    drive = [
        envs.behaviour(world(task), WRITTEN[arm])(episodes, np.random.default_rng([checks.seed(seed), OWN_STREAM]))
        for task, seed in keys
    ]
    return SimpleNamespace(act=lambda seen: np.stack([one(x) for one, x in zip(drive, seen, strict=True)]))


def results(run, value="score") -> dict:
    """arm -> task -> values [S] of the rows of `train`, in the order of the seeds, as far as the run has come."""
    found, rows = {}, of_kind(run, "row")
    for (arm, task), here in rows.groupby(["arm", "task"], sort=False) if len(rows) else ():
        found.setdefault(arm, {})[task] = np.array(here.sort_values("seed")[value].tolist())
    return found


def means(found) -> pd.DataFrame:
    """Mean scores over seeds, [arm, task], then over the tasks without HISTORY, and over those without the rocket.

    found: arm -> task -> scores [S], of `results`; a task that was not run is left out.
    """
    table = pd.DataFrame(found).map(np.mean).T
    tasks = [task for task in TASKS if task in table]
    table["mean of tasks"] = table[tasks].mean(axis=1)
    table["without the rocket"] = table[[task for task in tasks if task != "rocket"]].mean(axis=1)
    return table


def looks(run, task) -> tuple[dict, np.ndarray]:
    """(arm -> scores while it trained [S, N], their steps [N]) of all learners that were trained on a task."""
    found = {arm: tasks[task] for arm, tasks in results(run, "curve").items() if task in tasks}
    curves = {arm: curve for arm, curve in found.items() if curve.shape[1]}
    return curves, EVERY * np.arange(1, 1 + max((curve.shape[1] for curve in curves.values()), default=0))


def last_looks(run) -> pd.DataFrame:
    """What the last EVERY steps brought, in words, [arm, task]: the mean change of the score, how many seeds rose."""
    words = {}
    for task in (*TASKS, HISTORY):
        for arm, curve in looks(run, task)[0].items():
            change = curve[:, -1] - curve[:, -2]  # [S]
            mean = round(change.mean(), 2) + 0.0  # no "-0.00"
            words.setdefault(task, {})[arm] = f"{mean:+.2f} ({(change > 0).sum()} of {len(change)} rose)"
    return pd.DataFrame(words)


def answer(act, observations, move) -> str:
    """How a policy's action changes if all observations are moved: the mean change, and the share of rows that fall.

    act(observations [N, O]) -> actions [N, 1]; move: [O], added to each row of observations.
    """
    change = act(observations + np.float32(move)) - act(observations)  # [N, 1]
    return f"{change.mean():+.3f} (falls in {(change < 0).mean():.0%})"


def played(kept, arm, task, episodes=6, seed=7):
    """Episodes of an arm as `envs.Trajectories`; starts and noise are those of `seed`, the same for every arm."""
    policy = kept[arm, task]
    factory = envs.behaviour(world(task), WRITTEN[arm]) if policy is None else lambda count, rng: policy
    return envs.rollout(world(task), factory, np.random.default_rng(seed), episodes)
