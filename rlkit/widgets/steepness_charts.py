"""How steep the values of several arms are, beside what the arms earn, while they train, at the end, and in pairs.

A run has rows of kind "result", one for each arm and call: "score", "slope", "state error" and "value error",
[S, looks] each; the first of an arm also "V" and "slope of V" over a grid, [S, speeds, angles].
"""

import numpy as np

from rlkit.evaluations import of_kind
from rlkit.html import table
from rlkit.stats import paired_bootstrap
from rlkit.widgets import svg

BASE = "single"  # the arm that the others' scores are compared with
SCORE = "score: 0 random, 1 expert"
SLOPE = "slope: mean of ||grad V(s)||, return per unit of observation"
LAST = 3  # looks whose mean is an arm's end
EXPERT = 7  # the greyest of the looks
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
    """Score, score minus that of BASE on the same seeds, and slope, of the arms that are there already, as HTML.

    Means over seeds; differences and slopes in bands of one standard error. arms: names, whose order gives their looks.
    every: real steps between two looks.
    """
    there = {arm: place for place, arm in enumerate(arms) if len(of_kind(run, "result", arm=arm))}

    def chart(what, unit, curves, bands=True):
        lines = []
        for arm, y in curves.items():
            line = svg.mean_and_error(arm, every * np.arange(1, y.shape[1] + 1), y)._replace(place=there[arm])
            lines.append(line if bands else line._replace(low=None, high=None))
        words = "; ".join(f"{line.label}: {svg.number(line.y[-1], 2)}" for line in lines)
        return svg.chart(lines, what, "real steps", unit, f"At the end: {words}", height=270)

    scores, apart = {arm: results(run, arm, "score") for arm in there}, {}
    if BASE in there:
        shared = {arm: min(len(y), len(scores[BASE])) for arm, y in scores.items()}  # arms come in turn
        apart = {arm: y[: shared[arm]] - scores[BASE][: shared[arm]] for arm, y in scores.items()}
    return (
        chart("score", SCORE, scores, bands=False)
        + chart("score, paired", f"score minus that of {BASE} on the same seeds", apart)
        + chart("slope", SLOPE, {arm: results(run, arm, "slope") for arm in there})
    )


def summary(run, arms) -> str:
    """The arms' ends as a table, with standard errors over seeds, and their CPU-seconds; HTML."""
    head = ("", "score", "score at the last look", "seeds that learned", "slope", "model's error", "error in value")
    rows = []
    for arm in arms:
        found = {what: ends(run, arm, what) for what in ("score", "slope", "state error", "value error")}
        found["last"] = results(run, arm, "score")[:, -1]
        cells = {
            what: f"{svg.number(each.mean(), 3)} ± {svg.number(each.std(ddof=1) / len(each) ** 0.5, 1)}"
            for what, each in found.items()
        }
        many = f"{(found['score'] > LEARNED).sum()} of {len(found['score'])}"
        row = (arm, cells["score"], cells["last"], many, cells["slope"], cells["state error"], cells["value error"])
        rows.append((*row, f"{seconds(run, arm).mean():.1f}"))
    words = "Means of the last three looks over seeds, ± one standard error. Learned: score above 0.5"
    return table((*head, "CPU-seconds a call"), rows, words)


def learned(run, arms) -> str:
    """How many seeds learned in every arm, in some and in none, and how alike the arms' scores are; a line of text."""
    scores = np.array([ends(run, arm, "score") for arm in arms])  # [arms, S]
    many = (scores > LEARNED).sum(0)
    alike = np.corrcoef(scores)[np.triu_indices(len(scores), 1)].mean()
    every, none = (many == len(scores)).sum(), (many == 0).sum()
    counts = f"Seeds that learned in all arms: {every}; in some: {len(many) - every - none}; in none: {none}."
    return f"{counts} Correlation of scores over seeds, mean over pairs of arms: {alike:.2f}"


def pairs(run, compared) -> str:
    """Arms against each other on the same seeds, at their ends, with 95 % intervals over seeds; an HTML table.

    compared: pairs of names. Ratios are of geometric means over seeds; scores are subtracted. "Error in value for one
    of the model's" is the ratio of the two errors, compared in the same way.
    """

    def each(arm):
        slope, state, value = (ends(run, arm, what) for what in ("slope", "state error", "value error"))
        return np.log([slope, state, value, value / state])  # [4, S]

    def apart(one, two):
        return np.array(paired_bootstrap({"one": one, "two": two}, lambda m: m["one"] - m["two"])[:3])

    rows = []
    for arm, other in compared:
        found = [np.exp(apart(*both)) for both in zip(each(arm), each(other), strict=True)]
        found.append(apart(ends(run, arm, "score"), ends(run, other, "score")))
        rows.append((f"{arm} against {other}", *("{:.2f} ({:.2f} to {:.2f})".format(*numbers) for numbers in found)))
    head = ("", "slope", "model's error", "error in value", "error in value for one of the model's")
    words = "Ratios, and the difference of scores, on the same seeds (95 % intervals). Looked at after the run"
    return table((*head, "score, difference"), rows, words)


def cliffs(run, arms, place: int) -> str:
    """The steepest slope of V along the angle at one speed, and in brackets the range of V over all that is drawn.

    Arms by seeds of the first call, an HTML table. place: number of the speed.
    """
    rows = []
    for arm in arms:
        first = of_kind(run, "result", arm=arm)
        slopes, value = (
            np.array(first[what].dropna().iloc[0], float) for what in ("slope of V", "V")
        )  # [S, ., angles]
        span = value.max((1, 2)) - value.min((1, 2))
        rows.append((arm, *(f"{a:.0f} ({b:.0f})" for a, b in zip(slopes[:, place].max(1), span, strict=True))))
    head = ("", *(f"seed {n}" for n in range(len(rows[0]) - 1)))
    return table(head, rows, "The steepest slope of V at this speed (and the range of V)")


def along(run, arms, show, angles, place: int, seed: int, words, expert=None) -> str:
    """V or its slope of all arms along the angle, at one speed, of one seed of the first call; an SVG string.

    show: "V" or "slope of V". angles: in degrees; place: number of the speed; words: title. expert: what one earns
    who follows the expert, drawn beside V, as long as angles; None for none.
    """
    lines = []
    for number, arm in enumerate(arms):
        y = np.array(of_kind(run, "result", arm=arm)[show].dropna().iloc[0], float)[seed, place]
        lines.append(svg.Line(arm, np.asarray(angles), y, place=number))
    if expert is not None and show == "V":
        lines.append(svg.Line("expert", np.asarray(angles), np.asarray(expert), place=EXPERT))
    where = "angle, degrees: 0 upright, both ends (-180, 180) hanging"
    return svg.chart(lines, words, where, words, words, height=320)
