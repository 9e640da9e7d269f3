"""Models of data that move: what they still know of the place where the data began, after each tenth of a stream.

A run has a row of kind "result" for each arm and task: "curve" [S, looks], for tasks "1-D" and "4-D" the base-2
logarithm of the error on the earliest region, for "car" a score; "whole" [S], errors on the whole way; for "1-D" also
"drawn", beliefs [tenths, places], and "true" [places]; "work" [tenths, S], multiplications of an update, where counted.
"""

import numpy as np

from rlkit.evaluations import of_kind
from rlkit.html import table
from rlkit.stats import paired_bootstrap
from rlkit.widgets import show, svg

UNITS = {task: "error on the earliest region, log2 (lower is better)" for task in ("1-D", "4-D")}
UNITS["car"] = "score (higher is better)"
COSTED = ("Losse", "dense", "online", "replay")  # in the table of costs, with four numbers


def kept(run, task, arm, what="curve") -> np.ndarray:
    """What a run keeps of an arm on a task, as an array. Raises ValueError if it does not."""
    rows = of_kind(run, "result", task=task, arm=arm)
    if not len(rows) or what not in rows or rows[what].isna().iloc[0] is True:
        raise ValueError(f"run {run.name!r}: it has no {what} of {arm!r} on {task!r}")
    return np.array(rows[what].iloc[0], dtype=float)


def page(run, arms) -> str:
    """For each task the mean of each arm over seeds, in a band of one standard error, as far as it is there. An arm
    that was asked at the end alone is a flat line. arms: names, whose order gives their looks. Returns HTML."""
    charts = []
    for task, unit in UNITS.items():
        lines = []
        for place, arm in enumerate(arms):
            if not len(of_kind(run, "result", task=task, arm=arm)):
                continue
            y = kept(run, task, arm)
            once = y.shape[1] == 1
            y = np.repeat(y, 10, axis=1) if once else y
            line = svg.mean_and_error(f"{arm}, at the end" if once else arm, np.arange(1, y.shape[1] + 1), y)
            lines.append(line._replace(place=place))
        x_label = "looks, a quarter of the steps apart" if task == "car" else "tenths of the stream that have passed"
        charts.append(svg.chart(lines, task, x_label, f"{task}: {unit}", f"{task}: {unit}, of {len(lines)} arms"))
    return "".join(charts)


def scores(run, arms, more=()) -> str:
    """The ends as a table, means over seeds: errors on the earliest region (geometric, as in the curves) and on the
    whole way, and the car's score at the third look, at the end, and of its worst seed.

    more: name -> task -> errors [S, 2], earliest and whole way, of answers that are no arm. Returns HTML.
    """
    head = ("", "1-D, earliest", "1-D, whole way", "4-D, earliest", "4-D, whole way")
    head, rows = (*head, "car, third look", "car, end", "car, worst seed"), []
    for arm in arms:
        row = [arm]
        for task in ("1-D", "4-D"):
            row += [f"{2 ** kept(run, task, arm)[:, -1].mean():.3f}", f"{kept(run, task, arm, 'whole').mean():.3f}"]
        if len(of_kind(run, "result", task="car", arm=arm)):
            score = kept(run, "car", arm)  # [S, 4]
            row += [f"{score[:, 2].mean():.2f}", f"{score[:, -1].mean():.2f}", f"{score[:, -1].min():.2f}"]
        rows.append((row + ["–"] * 3)[:8])
    for name, tasks in dict(more).items():
        row = [name]
        for task in ("1-D", "4-D"):
            errors = np.asarray(tasks[task]) if task in tasks else None
            row += ["–"] * 2 if errors is None else [f"{_middle(errors[:, 0]):.3f}", f"{errors[:, 1].mean():.3f}"]
        rows.append((*row, "–", "–", "–"))
    return table(head, rows, "means over seeds; errors at the end of the stream")


def changes(run, arms) -> str:
    """How an arm's own error on the earliest region changes from the first and the second tenth to the end, as a share
    of it, with 95 % intervals over seeds. Arms that were asked at the end alone are left out. Returns HTML."""
    head, rows = ("", *(f"{task}, since tenth {tenth}" for task in ("1-D", "4-D") for tenth in (1, 2))), []
    for arm in arms:
        curves = [kept(run, task, arm) for task in ("1-D", "4-D")]
        if curves[0].shape[1] > 1:
            rows.append((arm, *(_grown(curve[:, [tenth, -1]]) for curve in curves for tenth in (0, 1))))
    return table(
        head, rows, "an arm's own error, the end against earlier; of these only online, 4-D, since tenth 1 is a clause"
    )


def _grown(looks) -> str:
    """Growth of the error between two looks [S, 2] in log2, as a share."""
    found = paired_bootstrap({"looks": looks}, lambda m: m["looks"][..., 1] - m["looks"][..., 0])
    return "{:+.0%} ({:+.0%} to {:+.0%})".format(*(2 ** np.array(found[:3]) - 1))


def _middle(errors) -> float:
    """The geometric mean."""
    return float(np.exp(np.log(errors).mean()))


def belief(run, x, arm, tenth: int, arms) -> str:
    """What an arm's first seed believes after a tenth of the 1-D stream, beside the truth; a flat line marks where the
    rows of that tenth are. x: those of the whole stream, in order. Returns an SVG string."""
    drawn = kept(run, "1-D", arm, "drawn")
    after, true = drawn[min(tenth, len(drawn)) - 1], kept(run, "1-D", arm, "true")
    places, rows = np.linspace(-1, 1, len(true)), np.array_split(np.ravel(x), 10)[tenth - 1]
    low, high = true.min() - 1.5, true.max() + 1.5  # what leaves the frame is drawn at its edge
    lines = [svg.Line("the truth", places, true, place=len(arms))]
    lines.append(svg.Line(arm, places, np.clip(after, low, high), place=list(arms).index(arm)))
    lines.append(svg.level("rows of this tenth", np.quantile(rows, [0.02, 0.98]), low, len(arms) + 1))
    when = f"after tenth {tenth} of 10" if len(drawn) > 1 else "after the whole stream"
    return svg.chart(lines, arm, "x", f"{arm}, {when}", f"{arm} and the truth, {when}")


def costs(run, settings) -> str:
    """What an update costs, in multiplications, what a model keeps, and its time. Returns HTML.

    settings: arm -> (kind, names, task -> values), as models are made of. Losse: as counted, means over seeds, and how
    many are for neighbours. dense: 2 D^2. Networks: three for each weight (forward, and the gradient's two products)
    and row of a batch. Kept: D^2 for Losse and dense, weights of networks, and rows where they are stored. CPU is all
    of an arm's time, errors and pictures too, over rows and seeds.
    """
    from rlkit.model_based.online_models import BATCH, HIDDEN  # needs torch

    head = ("", "D", "K", "K³/3 (share)", "second tenth", "last tenth", "of these, neighbours", "dense with D")
    rows = []
    for task, arm in [("1-D", "Losse"), ("4-D", "Losse, 4 bins"), *(("4-D", arm) for arm in COSTED)]:
        kind, _, values = settings[arm]
        seconds = of_kind(run, "cell", task=task, arm=arm)["cpu_seconds"].iloc[0]
        each, numbers = 1e6 * seconds / len(run.seeds) / run.config["rows"], int(task[0])
        if kind == "losse":
            grids, bins, axes = values[task]
            many, active = grids * (bins + 2) ** axes, grids * 2**axes
            work, solved = kept(run, task, arm, "work").mean(axis=1), active**3 // 3
            row = [f"{many:,}", active, f"{solved:,} ({solved / work[-1]:.0%})"]
            row += [f"{n:,.0f}" for n in (work[1], work[-1], work[-1] - solved, 2 * many**2, many**2, each)]
        else:
            weights = (numbers + HIDDEN + 1) * HIDDEN  # of the three layers
            work = 2 * values[task][0] ** 2 if kind == "dense" else 3 * weights * (BATCH if kind == "replay" else 1)
            many = values[task][0] if kind == "dense" else None
            memory = many**2 if many else weights + (kind == "replay") * run.config["rows"] * (numbers + 1)
            row = [many or "–", "–", "–", *[f"{work:,}"] * 2, "–", "–", f"{memory:,}", f"{each:,.0f}"]
        rows.append((f"{arm}, {task}", *row))
    note = "K³/3: solving for the active block. Networks and dense run all seeds in one batch, Losse one by one."
    return table((*head, "numbers kept", "CPU, µs a row"), rows, "multiplications of an update") + show.note(note)
