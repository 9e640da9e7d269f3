"""Value divergence: how large |Q| grows while a learner trains, beside what it can be at most; for a LiveView."""

import numpy as np

from rlkit import checks
from rlkit.html import table
from rlkit.runs import Run
from rlkit.widgets import show, svg
from rlkit.widgets.lines import arms

BEYOND = 3  # times the bound, from where on a seed counts as blown up
GROWN, EARLY, LOOKS = 10, 4, 8  # without a bound: times the largest |Q| of a first fourth of at least so many looks
WIDE = 100  # largest to smallest number, from where on the scale is logarithmic
POINTS = 240  # of a line, at most


def value_divergence(run: Run, bound: float | None = None, metric: str = "q") -> str:
    """|Q| over steps, the mean over seeds and the largest seed, and in words how many seeds are blown up; as HTML.

        LiveView(run, lambda run: value_divergence(run, bound=100))

    run: one that logs `metric` for each seed; where it logs `<metric>_max` too, the largest comes from that. Arms named
    by config["rows"] have lines of their own. bound: the largest |discounted return| of the world, such as
    max |r| / (1 - discount): a level line, and 3 times it. A seed is blown up from the first step on at which its |Q|
    is above 3 bounds, or no number; without a bound, above 10 times its largest in the first fourth of 8 or more looks,
    or no number. The scale is logarithmic where numbers are far apart. Raises ValueError for a bound not above 0.
    """
    bound = None if bound is None else checks.positive("bound", bound)
    logged = [name for name in (metric, f"{metric}_max") if name in run.metric_names]
    if not logged:
        return show.note(f"{metric} is not logged yet, nor is {metric}_max.")
    curves, rows, words = [], [], []
    found = arms([run])
    for _, name, positions in found:
        of = f"{name}: " if len(found) > 1 else ""
        steps, usual = _sizes(run, logged[0], positions)
        curves.append((f"{of}mean over seeds", steps, usual.mean(axis=1)))
        steps, most = _sizes(run, logged[-1], positions)
        curves.append((f"{of}largest seed", steps, most.max(axis=1)))
        since, seeds = blown_up(steps, most, bound), _seeds(run, positions, most.shape[1])
        words.append(of + told(since))
        for seed, column, step in zip(seeds, most.T, since, strict=True):
            row = (seed, _number(column[-1]), _number(column.max()), "–" if step is None else f"{step:,}")
            rows.append((name, *row) if of else row)
    rule = f"above {svg.number(BEYOND * bound)}, {BEYOND} times the bound" if bound else ""
    rule = rule or f"above {GROWN} times its largest in the first fourth of the looks"
    picture = _chart(curves, bound, f"|{metric}| of {run.name}", " ".join(words))
    head = ("arm",) * (len(found) > 1) + ("seed", "last", "largest", "blown up since step")
    numbers = show.details("The numbers as a table", table(head, rows, f"|{metric}| by seed"))
    return picture + show.note(f"{' '.join(words)} Blown up: |Q| is {rule}, or no number.") + numbers


def blown_up(steps, sizes, bound=None) -> list:
    """For each seed the step since which it is blown up, or None: steps [N], |Q| sizes [N, S], inf where no number."""
    limit = np.full(sizes.shape[1], np.inf if bound is None else BEYOND * bound)
    if bound is None and len(sizes) >= LOOKS:
        early = sizes[: len(sizes) // EARLY].max(axis=0)
        limit = np.where(early > 0, GROWN * early, np.inf)
    beyond = (sizes > limit) | np.isinf(sizes)
    return [int(steps[column.argmax()]) if column.any() else None for column in beyond.T]


def told(since: list) -> str:
    """Blown up in 3 of 5 seeds, the first since step 4,000."""
    there = [step for step in since if step is not None]
    seeds = f"{len(since)} seed{'s' if len(since) > 1 else ''}"
    if not there:
        return f"Blown up in none of {seeds}."
    which = ", the first since" if len(there) > 1 else ", since"
    return f"Blown up in {len(there)} of {seeds}{which} step {min(there):,}."


def _sizes(run, metric, positions):
    """(steps [N], |values| [N, S]) of a metric, infinite where it is no number or none that can be drawn."""
    steps, values = run.series(metric)
    values = np.abs(values if positions is None or values.shape[1] == 1 else values[:, positions])
    return steps, np.where(np.isnan(svg.finite(values)), np.inf, values)


def _seeds(run, positions, count) -> list:
    """What to call the seeds of an arm in a table."""
    rows, seeds = run.config.get("rows"), run.seeds or []
    if positions is not None and len(positions) == count:
        return [str(rows[i].get("seed", i)) for i in positions]
    return list(map(str, seeds)) if len(seeds) == count else list(map(str, range(count)))


def _number(size) -> str:
    return svg.number(size, 3) if np.isfinite(size) else "no number"


def _chart(curves, bound, title, words) -> str:
    """curves, (label, steps [N], sizes [N]), mean and largest in turns -> SVG; marks at the top where no number."""
    levels = {} if bound is None else {"bound": bound, f"{BEYOND} times the bound": BEYOND * bound}
    every = np.concatenate([sizes for *_, sizes in curves] + [np.array(list(levels.values()))])
    there, lost = every[np.isfinite(every) & (every > 0)], np.isinf(every).any()
    high = float(there.max()) if len(there) else 1.0
    wide = bool(len(there)) and (lost or high > WIDE * there.min())

    def height(sizes):
        sizes = np.where(np.isfinite(sizes), sizes, np.nan)
        return np.log10(np.where(sizes > 0, sizes, np.nan)) if wide else sizes

    lines = []
    for place, (label, steps, sizes) in enumerate(curves):
        keep = svg.thin(height(sizes), POINTS)
        lines.append(svg.Line(label, steps[keep], height(sizes)[keep], place=place))
    for place, (label, steps, sizes) in list(enumerate(curves))[1::2]:  # of the largest; the mean's line just ends
        gone = np.isinf(sizes)
        if gone.any():
            at = np.full(int(gone.sum()), np.log10(2 * high))
            lines.append(svg.Line(f"{label}: no number", steps[gone], at, place=place))
    ends = np.concatenate([steps for _, steps, _ in curves])
    ends = np.array([ends.min(), ends.max()])
    for place, (label, size) in enumerate(levels.items(), len(curves)):
        lines.append(svg.level(f"{svg.number(size, 3)}: {label}", ends, height(np.array([size]))[0], place))
    words += " Marks at the top: no number." if lost else ""
    return svg.chart(lines, title, "step", "log10 of |Q|" if wide else "|Q|", words)
