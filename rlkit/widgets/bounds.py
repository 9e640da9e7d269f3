"""Confidence bounds side by side: one row per arm, its average, its interval, its true mean, and a remark."""

import math

from rlkit import html
from rlkit.widgets import show, svg

LEFT, RIGHT, ROW = 210, 500, 24  # px: where the scale begins and ends, and the height of a row


def bounds(labels, average, low, high, truth, notes, caption, span=(-0.5, 1.5)) -> str:
    """A picture of A intervals with a table of the same numbers; returns HTML that loads nothing.

    labels, notes: A texts, left and right of each row (a note "" leaves its row plain, any other prints it bold).
    average, low, high, truth: numbers [A]; an average that is NaN is an arm without data, its interval is not drawn.
    caption: plain text under the picture. span: the scale's ends; an interval that goes on beyond them gets an arrow.
    All text is escaped. Raises ValueError if the lists differ in length.
    """
    rows = list(zip(labels, average, low, high, truth, notes, strict=True))
    foot = 30 + ROW * len(rows)
    key = "Dot: average. Bar: its confidence interval, with an arrow where it goes on. Thick tick: true mean."

    def x(value):
        return LEFT + (min(max(value, span[0]), span[1]) - span[0]) / (span[1] - span[0]) * (RIGHT - LEFT)

    parts = [svg.text(LEFT - 12, 14, "arm", "end"), svg.text(LEFT, 14, "reward"), svg.text(RIGHT + 24, 14, "chosen by")]
    for value, name in svg.ticks(*span, 5):
        parts.append(f'<path d="M{x(value):.1f} 20V{foot}" stroke="currentColor" stroke-opacity="0.15"/>')
        parts.append(svg.text(x(value), foot + 16, name, "middle"))
    for i, (label, middle, lower, upper, true, note) in enumerate(rows):
        y, strong = 34 + ROW * i, 'font-weight="700"' if note else ""
        parts.append(svg.text(LEFT - 12, y + 4, svg.short(label, 34), "end", strong))
        if math.isfinite(middle):
            for end, beyond, way in ((lower, lower < span[0], -1), (upper, upper > span[1], 1)):
                tip = f"l{-5 * way} -4v8Z" if beyond else "m0 -5v10"
                parts.append(f'<path d="M{x(end):.1f} {y}{tip}" {svg.stroke(0)} fill="{html.COLOURS[0]}"/>')
            parts.append(
                f'<path d="M{x(lower):.1f} {y}H{x(upper):.1f}" {svg.stroke(0)}/>' + svg.marker(0, x(middle), y)
            )
        else:
            parts.append(svg.text(x(sum(span) / 2), y + 4, "no data", "middle"))
        parts.append(f'<path d="M{x(true):.1f} {y - 9}v18" stroke="{html.COLOURS[1]}" stroke-width="3"/>')
        parts.append(svg.text(RIGHT + 24, y + 4, svg.short(note, 44), "start", strong))
    said = "; ".join(f"{label}: average {svg.number(m)}, {note or 'not chosen'}" for label, m, _, _, _, note in rows)
    columns = ("arm", "average", "lower bound", "upper bound", "true mean", "chosen by")
    numbers = [(r[0], *(svg.number(v, 3) for v in r[1:5]), r[5] or "nobody") for r in rows]
    return (
        svg.frame("".join(parts), 780, foot + 24, "Arms with their confidence bounds", said)
        + show.note(key)
        + f'<div style="margin:4px 0">{html.escape(caption)}</div>'
        + show.details("The numbers as a table", html.table(columns, numbers))
    )
