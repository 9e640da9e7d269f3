"""Maps of several quantities over one plane, with scales of their own or shared, and a band that is marked."""

import numpy as np

from rlkit import checks
from rlkit.widgets import show, svg
from rlkit.widgets.value_map import shade

WIDE, HIGH, LEFT, TOP, BOTTOM = 260, 150, 44, 30, 42  # px: of a map, and its margins


def plane_maps(maps: dict, x_edges, y_edges, labels, band=None, words: str = "", shared=()) -> str:
    """Maps, two in a row, as HTML: blue above 0, orange below, stronger the farther from 0, palest at 0.

    maps: name -> values [Y, X], in cells with edges x_edges [X + 1], y_edges [Y + 1]; the range of each stands over it.
    labels: of x and y. band: (low, high) along x, marked by dashed lines. words: said below. shared: groups of names
    with one scale of colours; any other map has its own. Raises ValueError for values of another shape or that are not
    finite.
    """
    x_edges, y_edges = checks.finite("x_edges", x_edges), checks.finite("y_edges", y_edges)
    shape, page = (len(y_edges) - 1, len(x_edges) - 1), ""
    groups = {name: group for group in shared for name in group}
    for name, values in maps.items():
        values = checks.finite(f"maps[{name!r}]", values)
        if values.shape != shape:
            raise ValueError(f"maps[{name!r}] of shape {values.shape}: must be {list(shape)}, the cells of the edges")
        together = [np.asarray(maps[other]) for other in groups.get(name, (name,))]
        span = min(0.0, *(float(v.min()) for v in together)), max(0.0, *(float(v.max()) for v in together))
        page += _map(name, values, x_edges, y_edges, labels, band, span)
    two = 2 * (LEFT + WIDE + 20)  # px
    columns = "display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:10px"
    page = f'<div style="{columns};max-width:{two}px">{page}</div>'
    return page + (show.note(words) if words else "")


def _map(name, values, x_edges, y_edges, labels, band, span) -> str:
    right, bottom = LEFT + WIDE, TOP + HIGH

    def at_x(x):
        return LEFT + (x - x_edges[0]) / (x_edges[-1] - x_edges[0]) * WIDE

    def at_y(y):
        return bottom - (y - y_edges[0]) / (y_edges[-1] - y_edges[0]) * HIGH

    low, high = float(values.min()), float(values.max())
    said = f"{svg.number(low, 2)} to {svg.number(high, 2)}"
    parts = [svg.text(0, 12, svg.short(name, 44), "start", 'font-weight="700"')]
    parts.append(svg.text(right, TOP - 5, said, "end", 'font-size="11"'))
    for row, column in np.ndindex(*values.shape):
        x, y = at_x(x_edges[column]), at_y(y_edges[row + 1])
        size = f'width="{at_x(x_edges[column + 1]) - x:.1f}" height="{at_y(y_edges[row]) - y:.1f}"'
        fill = shade(values[row, column], span)
        parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{fill}"/>')
    for edge in band or ():
        parts.append(f'<path d="M{at_x(edge):.1f} {TOP}V{bottom}" stroke="currentColor" stroke-dasharray="4 3"/>')
    for value, tick in svg.ticks(float(x_edges[0]), float(x_edges[-1]), 7):
        parts.append(svg.text(at_x(value), bottom + 15, tick, "middle"))
    for value, tick in svg.ticks(float(y_edges[0]), float(y_edges[-1]), 3):
        parts.append(svg.text(LEFT - 5, at_y(value) + 4, tick, "end"))
    parts.append(svg.text((LEFT + right) / 2, bottom + 32, labels[0], "middle"))
    turned = svg.text(0, 0, labels[1], "middle")
    parts.append(f'<g transform="translate(11 {(TOP + bottom) / 2:.0f}) rotate(-90)">{turned}</g>')
    row, column = np.unravel_index(values.argmax(), values.shape)
    most = f"{svg.number(x_edges[column], 3)} {labels[0]}, {svg.number(y_edges[row], 3)} {labels[1]}"
    return svg.frame("".join(parts), right + 10, bottom + BOTTOM, name, f"{name}: {said}, the largest near {most}")
