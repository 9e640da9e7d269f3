"""Scores of arms under several conditions: learning curves, a grid of final scores, and how heavy a tail is."""

import numpy as np

from rlkit import checks
from rlkit.html import COLOURS, table
from rlkit.widgets import lines, show, svg

LEFT, ROW, TOP = 118, 28, 62  # px of the grid: room for names, height of a row, room for heads
FEW = 5  # seeds


def score_curves(curves: dict, steps, levels: dict, title, height: int = 300) -> str:
    """Learning curves: the mean over seeds of each arm in a band from the lowest seed to the highest, and level lines.

    curves: arm -> values [S, N]; steps [N]; levels: name -> level; title: plain text. Returns an SVG string. Raises
    ValueError for other shapes.
    """
    steps, drawn = checks.finite("steps", steps), []
    for arm, values in curves.items():
        values = np.asarray(values, dtype=float)
        if values.ndim != 2 or values.shape[1] != len(steps):
            raise ValueError(f"curves[{arm!r}] of shape {values.shape}: must be [S, {len(steps)}]")
        low, high = (values.min(axis=0), values.max(axis=0)) if len(values) > 1 else (None, None)
        drawn.append(svg.Line(arm, steps, values.mean(axis=0), low, high))
    words = "; ".join(f"{line.label}: {svg.number(line.y[-1], 2)} at step {steps[-1]:,.0f}" for line in drawn)
    ends = steps[[0, -1]]
    drawn += [svg.Line(name, ends, np.full(2, float(level))) for name, level in levels.items()]
    return svg.chart(drawn, title, "step", title, words, height=height)


def score_grid(scores: dict, levels: dict, title) -> str:
    """A row for each arm and a column for each condition, as HTML: each seed a faint dot, their mean a mark on its
    95 % interval (Student's t) if there are FEW seeds or more: from fewer it says little and would hide the rest. The
    numbers stand below as a table.

    scores: arm -> condition -> values [S]; an arm may lack a condition. levels: name -> level, a dotted line in every
    column. title: plain text. Raises ValueError without scores.
    """
    conditions = list(dict.fromkeys(name for found in scores.values() for name in found))
    if not conditions:
        checks.fail("scores", scores, "arm -> condition -> values, at least one")
    values = np.concatenate([np.ravel(v) for found in scores.values() for v in found.values()])
    low, high = min(0.0, *values), max(1.0, *values, *levels.values())
    wide, bottom = (740 - LEFT) / len(conditions), TOP + ROW * len(scores)

    def at_x(column, value):
        return LEFT + wide * column + 8 + (np.asarray(value) - low) / (high - low) * (wide - 20)

    parts = [svg.text(8, 16, svg.short(title, 100), "start", 'font-weight="700"')]
    for column, condition in enumerate(conditions):
        x, end = at_x(column, low), at_x(column, high)
        parts.append(svg.text((x + end) / 2, TOP - 14, condition, "middle"))
        parts.append(f'<path d="M{x:.1f} {bottom}H{end:.1f}" stroke="currentColor"/>')
        for tick in (0.0, 0.5, 1.0):
            place = at_x(column, tick)
            parts.append(f'<path d="M{place:.1f} {TOP - 6}V{bottom + 4}" stroke="currentColor" stroke-opacity="0.2"/>')
            parts.append(svg.text(place, bottom + 19, svg.number(tick), "middle"))
        for level in levels.values():
            dots = 'stroke="currentColor" stroke-width="1.5" stroke-dasharray="2 3"'
            parts.append(f'<path d="M{at_x(column, level):.1f} {TOP - 6}V{bottom}" {dots}/>')
    rows = []
    for number, (arm, found) in enumerate(scores.items()):
        y, row = TOP + ROW * (number + 0.5), [arm]
        parts.append(svg.text(LEFT - 8, y + 4, svg.short(arm, 18), "end"))
        for column, condition in enumerate(conditions):
            if condition not in found:
                row.append("–")
                continue
            seeds = np.asarray(found[condition], dtype=float)
            mean, words = seeds.mean(), svg.number(seeds.mean(), 2)
            for x in at_x(column, seeds):
                parts.append(f'<circle cx="{x:.1f}" cy="{y + 9:.1f}" r="1.8" fill="currentColor" fill-opacity="0.45"/>')
            if len(seeds) >= FEW:
                ends = [float(end[0]) for end in lines.interval(seeds[None], "mean")]
                a, b = at_x(column, np.clip(ends, low, high))  # wider than the column: cut at its edges
                colour = COLOURS[number % len(COLOURS)]
                parts.append(f'<path d="M{a:.1f} {y:.1f}H{b:.1f}" stroke="{colour}" stroke-width="2"/>')
                words += f" ({svg.number(ends[0], 2)} to {svg.number(ends[1], 2)})"
            parts.append(svg.marker(number, float(at_x(column, mean)), y))
            row.append(words)
        rows.append(row)
    said = "Dotted: " + ", ".join(f"{name} {svg.number(level, 2)}" for name, level in levels.items()) + ". "
    said += f"Small dots: seeds. Mark: their mean, with {FEW} seeds or more on its 95 % interval."
    spoken = "; ".join(
        f"{row[0]}: {', '.join(f'{c} {w}' for c, w in zip(conditions, row[1:], strict=True))}" for row in rows
    )
    picture = svg.frame("".join(parts), 750, bottom + 28, title, spoken)
    return picture + show.note(said) + show.details("The numbers as a table", table(("", *conditions), rows, title))


def tails(counts: dict, edges, title, x_label) -> str:
    """Histograms as lines on a logarithmic scale, beside a normal distribution of the same mean and deviation.

    counts: name -> counts [N] of standardised numbers in bins with edges [N + 1]. Where a line lies above the normal
    one far from 0 the tail is heavy. title, x_label: plain text. Returns an SVG string. Raises ValueError for others.
    """
    edges = checks.finite("edges", edges)
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    drawn = {}
    for name, found in counts.items():
        found = checks.finite(f"counts[{name!r}]", found)
        if found.shape != middle.shape or found.sum() <= 0:
            raise ValueError(f"counts[{name!r}] of shape {found.shape}: must be [{len(middle)}], some above 0")
        drawn[name] = found / found.sum()
    floor = 0.5 / max(np.sum(found) for found in counts.values())  # half a row of the data: an empty bin
    drawn["normal"] = width * np.exp(-(middle**2) / 2) / np.sqrt(2 * np.pi)
    heights = {name: np.log10(np.maximum(share, floor)) for name, share in drawn.items()}
    series = [svg.Line(name, middle, height) for name, height in heights.items()]
    beyond = {name: share[np.abs(middle) > 3].sum() for name, share in drawn.items()}
    words = "Further than 3 deviations from the mean: " + ", ".join(f"{n} {100 * b:.2f} %" for n, b in beyond.items())
    chart = svg.chart(series, title, x_label, "log10 of the share in a bin", words, height=280)
    return chart + show.note(words + ".")


def training_page(rows, levels: dict, every: int) -> str:
    """For each task the learning curves of all arms, means over the spoilt logs. rows: `offline.robustness.results`.

    levels: task -> name -> level; every: steps between two scores. Returns HTML; without rows it says so.
    """
    page = ""
    for task in rows["task"].unique() if len(rows) else ():
        here = rows[(rows["task"] == task) & (rows["condition"] != "clean")]
        means = here.groupby(["arm", "seed"], sort=False)["score"].apply(lambda s: np.mean(list(s), axis=0))
        curves = {arm: np.stack(list(means[arm])) for arm in here["arm"].unique()}
        steps = every * np.arange(1, 1 + len(next(iter(means))))
        page += score_curves(curves, steps, levels[task], f"{task}: score on spoilt logs")
    return page or show.note("The first learner is still at work.")


def final_page(rows, levels: dict) -> str:
    """For each task the grid of final scores, in the order of the rows. Arguments as `training_page`. Returns HTML."""
    page = ""
    for task in rows["task"].unique():
        scores = {}
        for key, final in rows[rows["task"] == task].groupby(["arm", "condition"], sort=False)["final"]:
            scores.setdefault(key[0], {})[key[1]] = final.to_numpy()
        page += score_grid(scores, levels[task], f"{task}: score after the last step")
    return page


def tails_page(rows, task, spoilt_column, show, edges) -> str:
    """`tails` of IQL on the clean and the spoilt log and of RIQL on the spoilt one, summed over seeds. show: "target"
    or "error"; edges: of the histograms in the rows. Returns HTML."""
    wanted = {
        "IQL, clean log": ("IQL", "clean"),
        "IQL, spoilt": ("IQL", spoilt_column),
        "RIQL, spoilt": ("RIQL", spoilt_column),
    }
    here = rows[rows["task"] == task].set_index(["arm", "condition"])[f"{show} histogram"]
    counts = {name: np.sum(list(here.loc[[key]]), axis=0) for name, key in wanted.items()}
    return tails(counts, edges, f"{task}, {spoilt_column} spoilt: {show}s of Q", "standard deviations from the mean")
