"""A square map of equal cells, with a pattern over some of them and paths: the point box as one picture."""

import numpy as np

from rlkit import checks
from rlkit.widgets import svg
from rlkit.widgets.value_map import hatch, shade

SIDE, TOP, LEFT = 320, 22, 26  # px


def box_map(
    title, values, *, hatched=None, shown=None, paths=(), boxes=(), start=None, half: float = 2.0, top=None
) -> str:
    """Cells as colours, blue above 0 and orange below, x to the right and y upwards, both from -half to half; SVG.

    values: [N^2], x fastest. hatched, shown: bool [N^2], cells with diagonals over them, and cells to draw at all; None
    for none and for all. paths: [T, 2] each, with a disc at the end. boxes: (left, bottom, right, top) each, dashed
    outlines. start: (x, y), a cross, or None. top: the size with the strongest colour; None for the largest shown.
    Raises ValueError for a number of cells that is no square, or values that are not finite.
    """
    values = checks.finite("values", values).ravel()
    count = round(len(values) ** 0.5)
    if count**2 != len(values):
        checks.fail("values.size", len(values), "a square number")
    shown = np.ones(len(values), bool) if shown is None else np.asarray(shown, dtype=bool)
    most = float(np.abs(values[shown]).max(initial=0.0)) if top is None else checks.positive("top", top)
    cell, parts = SIDE / count, [svg.text(0, 14, svg.short(title, 48), "start", 'font-weight="700"')]

    def at(places):
        """Places [T, 2] of the box in px."""
        return (np.asarray(places) * [1, -1] + half) * SIDE / (2 * half) + [0, TOP]

    for number in np.flatnonzero(shown):
        x, y = number % count * cell, TOP + (count - 1 - number // count) * cell
        fill = shade(float(values[number]), (-most, most))
        parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{cell:.1f}" height="{cell:.1f}" fill="{fill}"/>')
        if hatched is not None and hatched[number]:
            parts.append(hatch(x, y, cell))
    for left, bottom, right, upper in boxes:
        corners = at([(left, bottom), (right, bottom), (right, upper), (left, upper)])
        parts.append(f'<path d="{svg.path(*corners.T)}Z" stroke="currentColor" stroke-dasharray="4 3"/>')
    for points in map(at, paths):
        parts.append(f'<path d="{svg.path(*points.T)}" stroke="currentColor" stroke-width="1.5"/>')
        parts.append(f'<circle cx="{points[-1, 0]:.1f}" cy="{points[-1, 1]:.1f}" r="3.5" fill="currentColor"/>')
    if start is not None:
        x, y = at(start)
        parts.append(f'<path d="M{x - 5:.1f} {y:.1f}h10m-5 -5v10" stroke="currentColor" stroke-width="2.5"/>')
    parts.append(f'<rect y="{TOP}" width="{SIDE}" height="{SIDE}" stroke="currentColor" stroke-opacity="0.5"/>')
    for place, along in ((-half, "start"), (0.0, "middle"), (half, "end")):
        x, y = at((place, place))
        parts.append(svg.text(x, TOP + SIDE + 14, svg.number(place), along))
        parts.append(svg.text(-4, np.clip(y + 4, TOP + 10, TOP + SIDE), svg.number(place), "end"))
    parts += [svg.text(-4, TOP + SIDE / 4 + 4, "y", "end"), svg.text(SIDE / 4, TOP + SIDE + 14, "x", "middle")]
    ends = values[shown] if shown.any() else np.zeros(1)
    words = f"values from {svg.number(float(ends.min()), 3)} to {svg.number(float(ends.max()), 3)}"
    parts.append(svg.text(0, TOP + SIDE + 32, words))
    parts.append(svg.text(0, TOP + SIDE + 48, f"full blue: {svg.number(most, 3)}; full orange: {svg.number(-most, 3)}"))
    body = f'<g transform="translate({LEFT} 0)">{"".join(parts)}</g>'
    return svg.frame(body, LEFT + SIDE + 2, TOP + SIDE + 54, title, words)
