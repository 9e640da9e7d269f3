"""Models of data that move: what they still know of the place where the data began, after each tenth of a stream.

A run has a row of kind "result" for each arm and task: "curve" [S, looks], for tasks "1-D" and "4-D" the base-2
logarithm of the error on the earliest region, for "car" a score; "whole" [S], errors on the whole way; for "1-D" also
"drawn", beliefs [tenths, places], and "true" [places]; "work" [tenths, S], multiplications of an update, where counted.
"""

import numpy as np

from rlkit.evaluations import of_kind
from rlkit.html import table
from rlkit.widgets import show, svg

UNITS = {"1-D": "error on the earliest region, log2", "4-D": "error on the earliest region, log2", "car": "score"}


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


def scores(run, arms) -> str:
    """The ends as a table, means over seeds: errors on the earliest region (geometric, as in the curves) and on the
    whole way, and the car's score. Returns HTML."""
    head, rows = ("", "1-D, earliest", "1-D, whole way", "4-D, earliest", "4-D, whole way", "car, score"), []
    for arm in arms:
        row = [arm]
        for task in ("1-D", "4-D"):
            row += [f"{2 ** kept(run, task, arm)[:, -1].mean():.3f}", f"{kept(run, task, arm, 'whole').mean():.3f}"]
        driven = len(of_kind(run, "result", task="car", arm=arm))
        rows.append((*row, f"{kept(run, 'car', arm)[:, -1].mean():.2f}" if driven else "–"))
    return table(head, rows, "at the end, means over seeds")


def belief(run, places, arm, tenth: int, rows, arms) -> str:
    """What an arm's first seed believes after a tenth of the 1-D stream, beside the truth; a flat line marks where the
    rows of that tenth are. places: x of "drawn"; rows: x of that tenth's rows. Returns an SVG string."""
    drawn = kept(run, "1-D", arm, "drawn")
    after, true, x = drawn[min(tenth, len(drawn)) - 1], kept(run, "1-D", arm, "true"), 10 * np.asarray(places)
    low, high = true.min() - 1.5, true.max() + 1.5  # what leaves the frame is drawn at its edge
    lines = [svg.Line("the truth", x, true, place=len(arms))]
    lines.append(svg.Line(arm, x, np.clip(after, low, high), place=list(arms).index(arm)))
    lines.append(svg.level("rows of this tenth", 10 * np.quantile(rows, [0.02, 0.98]), low, len(arms) + 1))
    when = f"after tenth {tenth} of 10" if len(drawn) > 1 else "after the whole stream"
    return svg.chart(lines, arm, "x, in tenths", f"{arm}, {when}", f"{arm} and the truth, {when}")


def costs(run, sizes) -> str:
    """What an update costs: sizes: (task, arm) -> (D, K), features and active ones. Returns HTML.

    Multiplications, means over seeds, and how many of them are for neighbours; CPU is all of an arm's time, errors and
    pictures too, over rows and seeds.
    """
    head = ("", "D", "K", "K³/3", "second tenth", "last tenth", "of these, neighbours", "dense with D", "CPU, µs a row")
    rows = []
    for (task, arm), (many, active) in sizes.items():
        work = kept(run, task, arm, "work").mean(axis=1)
        seconds = of_kind(run, "cell", task=task, arm=arm)["cpu_seconds"].iloc[0]
        each = 1e6 * seconds / len(run.seeds) / run.config["rows"]
        numbers = (many, active, active**3 // 3, work[1], work[-1], work[-1] - active**3 // 3, 2 * many**2, each)
        rows.append((f"{arm}, {task}", *(f"{number:,.0f}" for number in numbers)))
    return table(head, rows, "multiplications of an update") + show.note("K³/3: solving for the active block.")
