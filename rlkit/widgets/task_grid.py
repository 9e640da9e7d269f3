"""Scores of arms on several tasks, each task with reference lines of its own; and the episodes behind such scores."""

import numpy as np

from rlkit import checks
from rlkit.html import COLOURS, DASHES, table
from rlkit.widgets import lines, show, svg

LEFT, ROW, TOP, WIDTH = 132, 24, 76, 760  # px: room for names, height of a row, room for heads, width of all
CUT = 'class="cut"'  # marks the arrows of intervals that are cut


def task_grid(scores: dict, levels: dict, title) -> str:
    """A row for each arm, a column for each task, as HTML: seeds as faint dots, their mean on its 95 % interval.

    scores: arm -> task -> values [S]; an arm may lack a task. levels: name -> task -> level, vertical lines of each
    column; the heads name them by their strokes. All columns share one scale; an interval that leaves it
    ends in an arrow at the edge.
    Intervals are Student's t over seeds. The numbers stand below as a table. title: plain text. Raises ValueError
    without scores.
    """
    tasks = list(dict.fromkeys(task for found in scores.values() for task in found))
    if not tasks:
        checks.fail("scores", scores, "arm -> task -> values, at least one")
    every = np.concatenate([np.ravel(v) for found in scores.values() for v in found.values()])
    every = np.concatenate([every, [level for found in levels.values() for level in found.values()]])
    low, high = float(every.min()) - 0.03, float(every.max()) + 0.03
    wide, bottom = (WIDTH - LEFT - 10) / len(tasks), TOP + ROW * len(scores)

    def at_x(column, value):
        share = (np.clip(value, low, high) - low) / (high - low)
        return LEFT + wide * column + 10 + share * (wide - 28)

    parts = [svg.text(8, 16, svg.short(title, 110), "start", 'font-weight="700"'), *_key(levels)]
    for column, task in enumerate(tasks):
        left, right = at_x(column, low), at_x(column, high)
        parts.append(svg.text((left + right) / 2, TOP - 12, svg.short(task, 20), "middle"))
        parts.append(f'<path d="M{left:.1f} {TOP - 4}V{bottom}H{right:.1f}" stroke="currentColor" opacity="0.4"/>')
        for value, _ in svg.ticks(low, high, 4):
            parts.append(svg.text(float(at_x(column, value)), bottom + 17, svg.number(value, 2), "middle"))
        for number, found in enumerate(levels.values()):
            if task in found:
                x = float(at_x(column, found[task]))
                parts.append(f'<path d="M{x:.1f} {TOP - 4}V{bottom}" {_stroke(number)}/>')
    records = []
    for number, (arm, found) in enumerate(scores.items()):
        y = TOP + ROW * (number + 0.5)
        parts.append(svg.text(LEFT - 6, y + 4, svg.short(arm, 19), "end"))
        cells = [_cell(parts, number, y, found[t], lambda v, c=c: at_x(c, v), (low, high)) if t in found else "–"
                 for c, t in enumerate(tasks)]  # fmt: skip
        records.append([arm, *cells])
    for name, found in levels.items():
        records.append([f"line: {name}", *(svg.number(found[t], 2) if t in found else "–" for t in tasks)])
    spoken = "; ".join(f"{r[0]}: {', '.join(f'{t} {w}' for t, w in zip(tasks, r[1:], strict=True))}" for r in records)
    picture = svg.frame("".join(parts), WIDTH, bottom + 28, title, spoken)
    said = "Dots: seeds. Mark: their mean, on its 95 % interval."
    said += " Arrow: the interval goes on beyond the edge; the table has its end." if CUT in picture else ""
    return picture + show.note(said) + show.details("The numbers as a table", table(("", *tasks), records, title))


def _cell(parts: list, number: int, y: float, values, at_x, scale) -> str:
    """Draw one arm on one task; returns its mean and interval in words."""
    values = np.asarray(values, dtype=float)
    said = svg.number(values.mean(), 2)
    for x in at_x(values):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="currentColor" fill-opacity="0.4"/>')
    if len(values) > 1:
        ends = [float(end[0]) for end in lines.interval(values[None], "mean")]
        a, b = at_x(np.array(ends))
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<path d="M{a:.1f} {y:.1f}H{b:.1f}" stroke="{colour}" stroke-width="2"/>')
        for x, cut, out in ((a, ends[0] < scale[0], -6), (b, ends[1] > scale[1], 6)):
            if cut:
                parts.append(f'<path {CUT} d="M{x:.1f} {y - 4:.1f}l{out} 4l{-out} 4" stroke="{colour}"/>')
        said += f" ({svg.number(ends[0], 2)} to {svg.number(ends[1], 2)})"
    parts.append(svg.marker(number, float(at_x(values.mean())), y))
    return said


def _stroke(number: int) -> str:
    return f'stroke="currentColor" stroke-width="1.5" stroke-dasharray="{DASHES[number % len(DASHES)] or "none"}"'


def _key(levels: dict) -> list:
    """What each line of the columns means, on one line below the title."""
    parts, x = [], 8.0
    for number, name in enumerate(levels):
        parts.append(f'<path d="M{x:.1f} 36h26" {_stroke(number)}/>' + svg.text(x + 32, 40, svg.short(name, 30)))
        x += 56 + 7 * len(svg.short(name, 30))
    return parts
