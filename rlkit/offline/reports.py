"""What an offline experiment has shown: seeds as the unit, last and best both named, references beside them.

Arms (algorithms, conditions) that train side by side stand in one run, whose config says which row is what:

    config = rows_of(["bc", "top-10 % bc"], seeds=range(10)) | {"references": references(dataset)}
    run = Run.create("demo", config)      # config["seeds"] goes to the learner
    report(run)
"""

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from rlkit import checks
from rlkit.html import escape, table
from rlkit.runs import Run
from rlkit.stats import Interval, bootstrap_ci, iqm, widening

REFERENCES = ("behaviour", "random", "expert", "optimal")
REPLICATES = 10_000


def rows_of(arms, seeds) -> dict:
    """The config of a run whose S rows are arms x seeds: {"seeds": [S integers], "rows": [{"arm", "seed"}, ...]}.

    arms: their names; seeds: integers, the same for every arm. A hyper-parameter that differs between arms is then
    [alphas[row["arm"]] for row in config["rows"]]. Raises ValueError for a name or a seed that occurs twice, or none.
    """
    arms, seeds = list(arms), [checks.seed(seed) for seed in seeds]
    for name, values in (("arms", arms), ("seeds", seeds)):
        if not values or len(set(values)) != len(values):
            checks.fail(name, values, "at least one, each of them once")
    rows = [{"arm": arm, "seed": seed} for arm in arms for seed in seeds]
    return {"seeds": [row["seed"] for row in rows], "rows": rows}


def references(dataset) -> dict:
    """Lines to compare with, for run.config["references"]: {"return": {name: value}, "score": {name: value}}.

    Names are behaviour, random, expert and optimal, as far as dataset.facts knows their mean return; score is
    dataset.score of these, left out where the dataset has none.
    """
    known = {name: dataset.facts.get(f"{name}_return") for name in REFERENCES}
    known = {name: float(value) for name, value in known.items() if value is not None}
    if known.get("random") == known.get("expert"):  # unknown or equal: there is no score
        return {"return": known}
    return {"return": known, "score": {name: float(dataset.score(value)) for name, value in known.items()}}


def arms_of(run: Run) -> dict:
    """Arm -> its positions in [S]; a run without config["rows"] is one arm of its own name.

    Raises ValueError when the run does not say its seeds, or an arm has the same seed twice: episodes, or the same seed
    again, are no more independent runs.
    """
    if run.seeds is None:
        checks.fail(f"config['seeds'] of run {run.name}", None, "the list of seeds: they are the unit of a report")
    rows = run.config.get("rows", [{"arm": run.name, "seed": seed} for seed in run.seeds])
    if [row["seed"] for row in rows] != run.seeds:
        checks.fail(f"config['rows'] of run {run.name}", rows, "one for each of config['seeds'], in their order")
    arms = {}
    for position, row in enumerate(rows):
        arms.setdefault(row["arm"], []).append(position)
    for arm, positions in arms.items():
        seeds = [run.seeds[i] for i in positions]
        if len(set(seeds)) != len(seeds):
            checks.fail(f"seeds of {arm}", seeds, "different: the same seed again, or its episodes, are one run")
    return arms


def iqm_interval(scores) -> Interval:
    """IQM of one score per seed [S >= 2] and its 95 % bootstrap interval over seeds, widened for few seeds.

    `stats.bootstrap_ci` with seed 0 and 10,000 replicates, each end moved off by `stats.widening(S)`, for the plain
    percentile interval is too narrow. Simulated coverage with 3, 5 and 10 normal seeds: 95, 96 and 97 %.
    """
    plain = bootstrap_ci(scores, iqm, replicates=REPLICATES)
    low, high = (plain.estimate + widening(plain.seeds) * (end - plain.estimate) for end in (plain.low, plain.high))
    return plain._replace(low=low, high=high)


def improvement(x, y, z: float = 1.959964) -> tuple[float, float, float]:
    """P(X > Y) + P(X = Y) / 2 over all pairs of seeds, Mann-Whitney's U / (n m), with its 95 % interval.

    The interval is all theta with |estimate - theta| <= z sqrt(V(theta)),

        V = theta (1 - theta) [1 + N ((1 - theta) / (2 - theta) + theta / (1 + theta))] / (n m),  N = (n + m) / 2 - 1,

    which, unlike a bootstrap, keeps a width where every seed of x beats every seed of y. It takes x and y as
    independent, so it is too wide rather than too narrow where they share seeds. Source: Newcombe 2006, Statistics in
    Medicine 25:559, method 5; the number: Agarwal et al. 2021 (2108.13264). Raises ValueError for NaN or no values.
    """
    x, y = checks.finite("x", x), checks.finite("y", y)
    found = float(((x[:, None] > y) + 0.5 * (x[:, None] == y)).mean())
    pairs, extra = len(x) * len(y), (len(x) + len(y)) / 2 - 1

    def excess(theta):
        spread = 1 + extra * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (found - theta) ** 2 - z**2 * theta * (1 - theta) * spread / pairs

    low = 0.0 if found == 0 else brentq(excess, 1e-12, min(found, 1 - 1e-9))
    high = 1.0 if found == 1 else brentq(excess, max(found, 1e-9), 1 - 1e-12)
    return found, low, high


class Report:
    """What `report` returns: `table` and `improvement` are DataFrames; shown as two tables, printed as text.

    table, one row per arm: seeds, step, last (IQM over seeds of the last score) with low and high (95 %), best (IQM of
    each seed's best), and the references. improvement, one row per pair of arms: arm, over, probability, low, high.
    """

    def __init__(self, metric: str, arms: pd.DataFrame, pairs: pd.DataFrame, notes: list):
        self.metric, self.table, self.improvement, self.notes = metric, arms, pairs, notes

    def _cells(self) -> list:
        """The rows of the table as people read them."""
        return [
            (row["arm"], row["seeds"], f"{row['step']:,}", _said(row["last"], row["low"], row["high"]))
            + tuple(_number(row[name]) for name in ("best", *REFERENCES))
            for _, row in self.table.iterrows()
        ]

    def _pairs(self) -> list:
        return [
            (f"{row['arm']} over {row['over']}", _said(row["probability"], row["low"], row["high"]))
            for _, row in self.improvement.iterrows()
        ]

    HEAD = ("arm", "seeds", "step", "last: IQM [95 %]", "best (upper bound)", *REFERENCES)

    def __repr__(self) -> str:
        rows = [self.HEAD, *([str(cell) for cell in row] for row in self._cells())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        chances = [f"P({pair}) = {chance}" for pair, chance in self._pairs()]
        return "\n".join([f"{self.metric}, seeds as the unit", *lines, *chances, *self.notes])

    def _repr_html_(self) -> str:
        page = table(self.HEAD, self._cells(), f"{self.metric}, seeds as the unit")
        if len(self.improvement):
            head = ("pair", "probability of improvement [95 %]")
            page += table(head, self._pairs(), "Chance that a seed of the first arm ends above one of the second")
        return page + "".join(f'<p style="margin:2px 0;font-size:12px">{escape(note)}</p>' for note in self.notes)


def report(*runs: Run, metric: str = "score") -> Report:
    """The Report of one or more runs: for each arm the IQM over seeds of the last `metric`, with its interval.

    runs: each logged `metric` as one number per seed [S], the mean of its evaluation episodes; config["seeds"] names
    the seeds, config["rows"] the arms (`rows_of`), config["references"] the lines (`references`). A seed that is not
    finite is counted in the notes, and its arm has no IQM: to leave it out would flatter the arm.
    Raises ValueError without runs, for a metric that is not logged, or one that is not logged per seed.
    """
    if not runs:
        raise ValueError("runs=(): must be at least one Run")
    records, lasts, notes = [], {}, []
    for run in runs:
        steps, values = run.series(metric)  # [N], [N, S]
        arms = arms_of(run)
        if values.shape[1] != len(run.seeds):
            checks.fail(f"{metric} of run {run.name}", values[-1].tolist(), f"one for each of {len(run.seeds)} seeds")
        lines = run.config.get("references", {}).get(metric, {})
        for arm, positions in arms.items():
            name = arm if len(runs) == 1 or len(arms) == 1 else f"{run.name}: {arm}"
            name = f"{run.path.name}: {arm}" if name in lasts else name
            last, best = values[-1, positions], np.fmax.reduce(values[:, positions], axis=0)
            lasts[name] = last
            lost = int((~np.isfinite(last)).sum())
            if lost:
                notes.append(f"{name}: the last {metric} of {lost} of {len(last)} seeds is not finite.")
            found = iqm_interval(last) if not lost and len(last) > 1 else None
            middle = (found.estimate, found.low, found.high) if found else (np.nan if lost else last[0], np.nan, np.nan)
            row = {"arm": name, "seeds": len(last), "step": int(steps[-1])}
            row |= dict(zip(("last", "low", "high"), middle, strict=True))
            row["best"] = iqm(best) if np.isfinite(best).all() else np.nan
            records.append(row | {line: lines.get(line, np.nan) for line in REFERENCES})
        if run.state != "finished":
            notes.append(f"{run.name} is {run.state}: its last step is {steps[-1]:,}.")
    sound = [name for name, last in lasts.items() if np.isfinite(last).all()]
    pairs = [(a, b, *improvement(lasts[a], lasts[b])) for i, a in enumerate(sound) for b in sound[i + 1 :]]
    fewest = min(map(len, lasts.values()))
    if fewest < 5:
        notes.append(f"Only {fewest} seed{'s' * (fewest > 1)}: intervals of so few are rough.")
    notes.append(
        f"IQM over seeds; interval: bootstrap over seeds, {REPLICATES:,} replicates, widened for few seeds. "
        "Best is chosen by looking at the test: an upper bound."
    )
    columns = ("arm", "over", "probability", "low", "high")
    return Report(metric, pd.DataFrame(records), pd.DataFrame(pairs, columns=columns), notes)


def _number(value) -> str:
    return "–" if not np.isfinite(value) else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _said(value, low, high) -> str:
    return _number(value) + (f" [{_number(low)}, {_number(high)}]" if np.isfinite(low) else "")
