"""How steep the values of several arms are, beside what the arms earn, while they train and at the end.

A run has rows of kind "result", one for each arm and call: "score", "slope", "state error" and "value error",
[S, looks] each; the first of an arm also "V" and "slope of V" over a grid, [S, speeds, angles].
"""

import numpy as np

from rlkit.evaluations import of_kind
from rlkit.html import table
from rlkit.widgets import svg

CURVES = {"score": "score", "slope": "slope: mean of ||grad V(s)||, return per unit of observation"}
LAST = 3  # looks whose mean is an arm's end
LEARNED = 0.5  # a score that nobody has who does not swing the pendulum up


def results(run, arm, what) -> np.ndarray:
    """What a run keeps of an arm, its seeds in order: [S, looks]. Raises ValueError if it does not."""
    rows = of_kind(run, "result", arm=arm)
    if not len(rows) or what not in rows:
        raise ValueError(f"run {run.name!r}: it has no {what} of {arm!r}")
    return np.concatenate([np.array(each, float) for each in rows[what]])


def ends(run, arm, what) -> np.ndarray:
    """The mean of the last three looks, [S]."""
    return results(run, arm, what)[:, -LAST:].mean(axis=1)


def seconds(run, arm) -> np.ndarray:
    """CPU-seconds of each call of an arm."""
    return of_kind(run, "cell", arm=arm)["cpu_seconds"].to_numpy(float)


def page(run, arms, every: int) -> str:
    """Score and slope of the arms that are there already, means over seeds in bands of one standard error, as HTML.

    arms: names, whose order gives their looks. every: real steps between two looks.
    """
    charts = []
    for what, unit in CURVES.items():
        lines = []
        for place, arm in enumerate(arms):
            if len(of_kind(run, "result", arm=arm)):
                y = results(run, arm, what)
                lines.append(svg.mean_and_error(arm, every * np.arange(1, y.shape[1] + 1), y)._replace(place=place))
        words = "; ".join(f"{line.label}: {svg.number(line.y[-1], 2)}" for line in lines)
        charts.append(svg.chart(lines, what, "real steps", unit, f"At the end: {words}", height=270))
    return "".join(charts)


def summary(run, arms) -> str:
    """The arms' ends as a table, with standard errors over seeds, and their CPU-seconds; HTML."""
    head = ("", "score", "seeds that learned", "slope", "model's error", "value-aware error", "CPU-seconds a call")
    rows = []
    for arm in arms:
        row, score = [arm], ends(run, arm, "score")
        for what in ("score", "slope", "state error", "value error"):
            found = ends(run, arm, what)
            row.append(f"{svg.number(found.mean(), 3)} ± {svg.number(found.std(ddof=1) / len(found) ** 0.5, 1)}")
        row.insert(2, f"{(score > LEARNED).sum()} of {len(score)}")
        rows.append((*row, f"{seconds(run, arm).mean():.1f}"))
    return table(head, rows, "Means of the last three looks over seeds, ± one standard error. Learned: score above 0.5")


def along(run, arms, show, angles, place: int, seed: int, words) -> str:
    """V or its slope of all arms along the angle, at one speed, of one seed of the first call; an SVG string.

    show: "V" or "slope of V". angles: in degrees; place: number of the speed; words: title.
    """
    lines = []
    for number, arm in enumerate(arms):
        y = np.array(of_kind(run, "result", arm=arm)[show].dropna().iloc[0], float)[seed, place]
        lines.append(svg.Line(arm, np.asarray(angles), y, place=number))
    return svg.chart(lines, words, "angle from upright, degrees", words, words, height=320)
