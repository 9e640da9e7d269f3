"""Error map: where over two dimensions of the states a model is wrong, and beside it where it doubts itself."""

import numpy as np
from scipy.stats import rankdata

from rlkit import checks
from rlkit.html import table
from rlkit.widgets import show, svg
from rlkit.widgets.floor_plan import HALO
from rlkit.widgets.value_map import hatch, shade

SIDE, LEFT, TOP, BOTTOM = 300, 52, 24, 40  # px: of the longer side of a map, and its margins
DECADES = 2  # from the palest to the strongest colour
WORST = 5  # cells that are numbered
SURE = 2  # an error above so many times the doubt is wrong and sure of it: 5 % of a Gaussian's errors are


def error_map(x_edges, y_edges, error, doubt, data=None, labels=("x", "y"), title="error of the model") -> str:
    """Two maps of a grid in one scale of colours, error and the model's own doubt, and how they agree; as HTML.

    x_edges [X + 1], y_edges [Y + 1]: of the cells. error, doubt [Y, X]: at least 0 and in the same units, such as
    `model_based.errors_over` gives. data [N, 2]: where the data lie; cells without any are hatched; None for no
    hatching. labels: of x and y. The colour is logarithmic over two decades. The five cells with the largest error
    carry the numbers 1 to 5, in both maps and in the table; a dot says that the error is above twice the doubt. The
    rank correlation of error and doubt over all cells (Spearman 1904) says whether the model knows where it is wrong.
    Raises ValueError for other shapes, and for numbers that are negative or not finite.
    """
    x_edges, y_edges = _edges("x_edges", x_edges), _edges("y_edges", y_edges)
    shape = len(y_edges) - 1, len(x_edges) - 1
    numbers = {}
    for name, values in (("error", error), ("doubt", doubt)):
        numbers[name] = checks.finite(name, values)
        if numbers[name].shape != shape:
            raise ValueError(f"{name} of shape {numbers[name].shape}: must be {list(shape)}, the cells of the edges")
        if (numbers[name] < 0).any():
            checks.fail(f"min({name})", float(numbers[name].min()), "at least 0")
    error, doubt = numbers.values()
    count, outside = _count(data, x_edges, y_edges)
    unseen = None if count is None else count == 0
    worst = np.argsort(-error, axis=None, kind="stable")[:WORST]
    top = float(max(error.max(), doubt.max()))
    x_label, y_label = (svg.short(str(label), 40) for label in labels)
    known, sure = rank_correlation(error.ravel(), doubt.ravel()), error > SURE * doubt
    maps = [
        _map(x_edges, y_edges, values, top, unseen, worst, sure, name, (x_label, y_label))
        for name, values in ((str(title), error), ("the model's own doubt", doubt))
    ]
    words = (
        f"Colour, the same in both maps: {svg.number(top / 10**DECADES, 2)} or less is faintest, {svg.number(top, 2)} "
    )
    words += f"strongest, logarithmic. Rank correlation of error and doubt over cells: {svg.number(known, 2)} "
    words += "(1: the model doubts itself most where it is most wrong; 0: its doubt says nothing)."
    words += f" Dot: error above {SURE} times the doubt ({int(sure.sum())} of {sure.size} cells)."
    if unseen is not None:
        words += f" Hatched: no data ({int(unseen.sum())} of {unseen.size} cells)."
        words += f" Rows of data outside the map: {outside:,}." if outside else ""
    page = f'<div style="display:flex;flex-wrap:wrap;gap:18px">{"".join(maps)}</div>{show.note(words)}'
    middles = (x_edges[1:] + x_edges[:-1]) / 2, (y_edges[1:] + y_edges[:-1]) / 2
    rows = []
    for place, cell in enumerate(worst, 1):
        y, x = divmod(int(cell), shape[1])
        at = svg.number(float(middles[0][x]), 3), svg.number(float(middles[1][y]), 3)
        told = svg.number(float(error[y, x]), 3), svg.number(float(doubt[y, x]), 3)
        rows.append((place, *at, *told) + (() if count is None else (f"{int(count[y, x]):,}",)))
    head = ("no.", x_label, y_label, "error", "doubt") + (() if count is None else ("rows of data",))
    page += table(head, rows, f"The {len(rows)} cells with the largest error, by their middles")
    if unseen is not None:
        rows = [_mean(name, where, error, doubt) for name, where in (("with data", ~unseen), ("without data", unseen))]
        page += table(("cells", "how many", "mean error", "mean doubt"), rows, "With and without data")
    return page


def rank_correlation(a, b) -> float:
    """Spearman's rank correlation of two arrays [N], ties with their mean rank; NaN where one of them is constant."""
    a, b = rankdata(a) - (len(a) + 1) / 2, rankdata(b) - (len(b) + 1) / 2
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size > 0 else float("nan")


def _edges(name, edges):
    edges = checks.finite(name, edges)
    if edges.ndim != 1 or len(edges) < 2 or (np.diff(edges) <= 0).any():
        checks.fail(name, edges.tolist(), "at least two numbers, each larger than the one before")
    return edges


def _count(data, x_edges, y_edges):
    """Rows of data in each cell [Y, X] and how many lie in none; (None, 0) without data."""
    if data is None:
        return None, 0
    data = np.asarray(data, dtype=float)
    if data.ndim != 2 or data.shape[1] != 2:
        raise ValueError(f"data of shape {data.shape}: must be [N, 2], x and y")
    count = np.histogram2d(data[:, 1], data[:, 0], (y_edges, x_edges))[0].astype(int)
    return count, len(data) - int(count.sum())


def _mean(name, where, error, doubt):
    means = (svg.number(float(values[where].mean()) if where.any() else None, 3) for values in (error, doubt))
    return (name, int(where.sum()), *means)


def _map(x_edges, y_edges, values, top, unseen, worst, sure, title, labels) -> str:
    """One map as an SVG; its cells are drawn as squares, y upwards."""
    rows, columns = values.shape
    side = SIDE / max(rows, columns)
    bottom, right = TOP + rows * side, LEFT + columns * side
    parts = [svg.text(0, 14, svg.short(title, 44), "start", 'font-weight="700"')]
    floor = top / 10**DECADES
    strength = np.log10(np.maximum(values, floor) / floor) if top > 0 else np.zeros_like(values)
    for y, x in np.ndindex(rows, columns):
        left, up = LEFT + x * side, bottom - (y + 1) * side
        place = f'x="{left:.1f}" y="{up:.1f}" width="{side:.1f}" height="{side:.1f}"'
        parts.append(f'<rect {place} fill="{shade(strength[y, x], (0.0, DECADES))}"/>')
        if unseen is not None and unseen[y, x]:
            parts.append(hatch(left, up, side))
        if sure[y, x]:
            middle = f'cx="{left + side / 2:.1f}" cy="{up + side / 2:.1f}"'
            parts.append(f'<circle {middle} r="{min(2.5, side / 4):.1f}" fill="currentColor"/>')
    for number, cell in enumerate(worst.tolist(), 1):
        y, x = divmod(cell, columns)
        left, up = LEFT + x * side, bottom - (y + 1) * side
        place = f'x="{left:.1f}" y="{up:.1f}" width="{side:.1f}" height="{side:.1f}"'
        parts.append(f'<rect {place} stroke="currentColor" stroke-width="1.5"/>')
        parts.append(svg.text(left + side / 2, up + side / 2 + 4, str(number), "middle", HALO))
    parts.append(f'<path d="M{LEFT} {TOP}V{bottom:.1f}H{right:.1f}" stroke="currentColor"/>')
    for value, name in svg.ticks(float(x_edges[0]), float(x_edges[-1]), 6):
        parts.append(
            svg.text(LEFT + np.interp(value, x_edges, np.arange(columns + 1)) * side, bottom + 16, name, "middle")
        )
    for value, name in svg.ticks(float(y_edges[0]), float(y_edges[-1]), 6):
        parts.append(
            svg.text(LEFT - 6, bottom - np.interp(value, y_edges, np.arange(rows + 1)) * side + 4, name, "end")
        )
    parts.append(svg.text((LEFT + right) / 2, bottom + 33, labels[0], "middle"))
    parts.append(
        f'<g transform="translate(12 {(TOP + bottom) / 2:.1f}) rotate(-90)">{svg.text(0, 0, labels[1], "middle")}</g>'
    )
    y, x = divmod(int(values.argmax()), columns)
    said = f"{title}: {svg.number(float(values.min()), 2)} to {svg.number(float(values.max()), 2)}, the largest at "
    said += f"{labels[0]} {svg.number(float((x_edges[x] + x_edges[x + 1]) / 2), 3)}, "
    said += f"{labels[1]} {svg.number(float((y_edges[y] + y_edges[y + 1]) / 2), 3)}"
    return svg.frame("".join(parts), round(right + 12), round(bottom + BOTTOM), title, said)
