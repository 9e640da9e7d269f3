"""A square map of equal cells, with a pattern over some of them and paths: the point box as one picture."""

import numpy as np

from rlkit import checks
from rlkit.widgets import svg
from rlkit.widgets.value_map import hatch, shade

SIDE, TOP = 320, 22  # px


def box_map(title, values, *, hatched=None, shown=None, paths=(), half: float = 2.0, top: float | None = None) -> str:
    """Cells as colours, blue above 0 and orange below, x to the right and y upwards; SVG.

    values: [N^2], x fastest. hatched, shown: bool [N^2], cells with diagonals over them, and cells to draw at all; None
    for none and for all. paths: [T, 2] each, from -half to half. top: the size with the strongest colour; None for the
    largest shown. Raises ValueError for a number of cells that is no square, or values that are not finite.
    """
    values = checks.finite("values", values).ravel()
    count = round(len(values) ** 0.5)
    if count**2 != len(values):
        checks.fail("values.size", len(values), "a square number")
    shown = np.ones(len(values), bool) if shown is None else np.asarray(shown, dtype=bool)
    most = float(np.abs(values[shown]).max(initial=0.0)) if top is None else checks.positive("top", top)
    cell, parts = SIDE / count, [svg.text(0, 14, svg.short(title, 48), "start", 'font-weight="700"')]
    for number in np.flatnonzero(shown):
        x, y = number % count * cell, TOP + (count - 1 - number // count) * cell
        fill = shade(float(values[number]), (-most, most))
        parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{cell:.1f}" height="{cell:.1f}" fill="{fill}"/>')
        if hatched is not None and hatched[number]:
            parts.append(hatch(x, y, cell))
    for at in paths:
        px = (np.asarray(at) * [1, -1] + half) * SIDE / (2 * half) + [0, TOP]
        parts.append(f'<path d="{svg.path(*px.T)}" stroke="currentColor" stroke-width="1.5"/>')
        parts.append(f'<circle cx="{px[-1, 0]:.1f}" cy="{px[-1, 1]:.1f}" r="3.5" fill="currentColor"/>')
    parts.append(f'<rect y="{TOP}" width="{SIDE}" height="{SIDE}" stroke="currentColor" stroke-opacity="0.5"/>')
    ends = values[shown] if shown.any() else np.zeros(1)
    words = f"from {svg.number(float(ends.min()), 3)} to {svg.number(float(ends.max()), 3)}"
    parts.append(svg.text(0, TOP + SIDE + 15, words))
    return svg.frame("".join(parts), SIDE, TOP + SIDE + 20, title, words)
