"""Share maps: what a rule does at each pair of two quantities, as a table of coloured cells with a number in each."""

import numpy as np

from rlkit import checks
from rlkit.widgets import svg
from rlkit.widgets.value_map import shade

WIDE, HIGH, LEFT, TOP, BOTTOM = 34, 24, 62, 44, 40  # px: a cell, room for names


def share_map(shares, x, y, x_label, y_label, title, faint) -> str:
    """Shares [rows of y, columns of x] from 0 to 1 as an SVG: each cell has its percentage, and is bluer the larger.

    The largest y stands on top. x, y: the quantities' values. faint: which cells are drawn so, of the shape of shares.
    The other texts are plain. Raises ValueError for shares outside of [0, 1] or another shape.
    """
    shares, x, y = checks.probability("shares", shares), checks.finite("x", x), checks.finite("y", y)
    if shares.shape != (len(y), len(x)):
        raise ValueError(f"shares of shape {shares.shape}: must be [{len(y)}, {len(x)}]")
    bottom, right = TOP + HIGH * len(y), LEFT + WIDE * len(x)
    parts = [svg.text(4, 15, svg.short(title, 60), "start", 'font-weight="700"'), svg.text(4, TOP - 10, y_label)]
    parts.append(svg.text((LEFT + right) / 2, bottom + 34, x_label, "middle"))
    for column, value in enumerate(x):
        parts.append(svg.text(LEFT + WIDE * (column + 0.5), bottom + 16, svg.number(value, 2), "middle"))
    for row, value in enumerate(y):
        top = bottom - HIGH * (row + 1)
        parts.append(svg.text(LEFT - 6, top + 16, svg.number(value, 2), "end"))
        for column, share in enumerate(shares[row]):
            place = f'x="{LEFT + WIDE * column}" y="{top}" width="{WIDE}" height="{HIGH}"'
            cell = f'<g opacity="{0.25 if faint[row][column] else 1}"><rect {place} '
            parts.append(f'{cell}fill="{shade(share, (0, 1))}" stroke="currentColor" stroke-opacity="0.2"/>')
            parts.append(svg.text(LEFT + WIDE * (column + 0.5), top + 16, f"{100 * share:.0f}", "middle") + "</g>")
    most = np.unravel_index(shares.argmax(), shares.shape)
    said = f"{title}: at most {100 * shares.max():.0f} %, at {x_label} {x[most[1]]:.2g}, {y_label} {y[most[0]]:.2g}; "
    said += f"at least {100 * shares.min():.0f} %"
    return svg.frame("".join(parts), right + 8, bottom + BOTTOM, title, said)
