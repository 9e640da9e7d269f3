"""Shares that add up to 1, such as the formats of an answer, while they change: stacked areas, and paths in a triangle.

Pure functions: arrays, or a run, in, HTML out (an SVG, and the same numbers as a table).
"""

import numpy as np

from rlkit import checks
from rlkit.html import COLOURS, table
from rlkit.widgets import show, svg

PANEL, TALL, GAP, TOP, LEFT = 132, 96, 14, 24, 40  # px of stacked areas: one panel, and what is around it
SIDE, CORNER = 420, 0.85  # px of the triangle; the share from which one part is said to rule
LEAST = 15  # px that an area must be high to bear its name


def stacked_shares(panels: dict, names, steps=None, *, columns: int = 5, title: str = "Shares over the steps") -> str:
    """Small stacked area charts side by side: how F shares add up, from the first name at the bottom to the last.

    panels: label -> shares [E, F], each row at least 0 and at most 1 in sum; what is missing to 1 stays empty. names:
    F names, written into the areas where there is room. steps [E]: where on the horizontal axis, default 0, 1, ....
    Raises ValueError for other shapes or numbers.
    """
    names = [svg.short(name, 16) for name in names]
    panels = {svg.short(label, 22): _shares(label, values, len(names)) for label, values in panels.items()}
    if not panels:
        checks.fail("panels", panels, "at least one")
    columns = min(checks.positive_int("columns", columns), len(panels))
    wide, down = PANEL + GAP, TALL + TOP + GAP
    parts, axes = [], []
    for number, (label, values) in enumerate(panels.items()):
        x = np.arange(len(values)) if steps is None else checks.finite("steps", steps)
        if x.shape != values.shape[:1] or len(x) < 2 or (np.diff(x) <= 0).any():
            checks.fail("steps", x, f"{len(values)} rising numbers, at least two: one for each row of {label!r}")
        axes.append(x)
        left, top = LEFT + number % columns * wide, TOP + number // columns * down
        parts.append(_panel(values, x, names, label, left, top, axis=number % columns == 0))
    rows = -(-len(panels) // columns)
    said = "; ".join(
        f"{label}: {_words(values[0], names)}, then {_words(values[-1], names)}" for label, values in panels.items()
    )
    picture = svg.frame("".join(parts), LEFT + columns * wide, rows * down + TOP - GAP, title, said)
    cells = [
        [label, when, *(f"{100 * share:.1f} %" for share in values[at])]
        for label, values in panels.items()
        for when, at in (("first", 0), ("last", -1))
    ]
    ends = {(x[0], x[-1]) for x in axes}
    across = f" Steps {svg.number(x[0])} to {svg.number(x[-1])}, from left to right." if len(ends) == 1 else ""
    order = f"From below: {', '.join(names)}; empty: anything else.{across}"
    return picture + show.note(order) + show.details("The numbers as a table", table(("", "step", *names), cells))


def share_panels(run, formats, names) -> str:
    """`stacked_shares` of a sweep as far as it has come, a panel for each training that `rlkit.rlvr.formats` followed.

    formats: their first words. names: a name for each number of a seed. What was never trained, such as the base, has
    no panel. Before the first training is done it says so. Needs torch.
    """
    from rlkit.rlvr.formats import paths

    found = {f"{names[seed]}, {arm}": path for (arm, seed), path in paths(run, formats).items() if len(path) > 1}
    return stacked_shares(found, formats) if found else show.note("The first learner is still at work.")


def triangle(paths: dict, names, *, corner: float = CORNER, title: str = "Shares of three") -> str:
    """Paths of three shares in a triangle: at a corner its part has everything, on the side across it nothing.

    paths: group -> shares [N, E, 3] or [E, 3]; each path is a line with a hollow ring where it starts and the group's
    marker where it ends. names: of the three parts. The shares are scaled to add up to 1. Dashed lines cut off the
    corners in which one part has at least `corner`. Raises ValueError for other shapes or numbers.
    """
    names = [svg.short(name, 16) for name in names]
    if len(names) != 3:
        checks.fail("names", names, "three names")
    if not 0.5 < checks.probability("corner", corner) < 1:
        checks.fail("corner", corner, "above 0.5 and below 1")
    groups = {}
    for group, values in paths.items():
        values = np.asarray(values, dtype=float)
        values = values[None] if values.ndim == 2 else values
        groups[svg.short(group)] = np.stack([_shares(group, path, 3) for path in values])
    if not groups:
        checks.fail("paths", paths, "at least one group")
    corners = np.array(
        [[LEFT + 30, TOP + SIDE * 0.866], [LEFT + 30 + SIDE / 2, TOP], [LEFT + 30 + SIDE, TOP + SIDE * 0.866]]
    )
    parts = [_outline(corners, 'stroke-width="1.5"')]
    for one in range(3):
        cut = [corner * corners[one] + (1 - corner) * corners[other] for other in range(3) if other != one]
        parts.append(_outline(np.array(cut), 'stroke-dasharray="3 3" stroke-opacity="0.7"'))
        for tenth in (0.25, 0.5, 0.75):
            line = [tenth * corners[one] + (1 - tenth) * corners[other] for other in range(3) if other != one]
            parts.append(_outline(np.array(line), 'stroke-opacity="0.12"'))
    (x0, y0), (x1, y1), (x2, y2) = corners
    parts += [
        svg.text(x0 - 4, y0 + 20, f"all {names[0]}", "middle"),
        svg.text(x2 + 4, y2 + 20, f"all {names[2]}", "middle"),
    ]
    parts.append(svg.text(x1, y1 - 8, f"all {names[1]}", "middle"))
    ends, cells, said = "", [], []
    for number, (group, values) in enumerate(groups.items()):
        places = values / values.sum(-1, keepdims=True) @ corners  # [N, E, 2]
        for path in places:
            line = "L".join(f"{x:.1f} {y:.1f}" for x, y in path[svg.thin(path[:, 0], 120)])
            parts.append(f'<path d="M{line}" {svg.stroke(number, 1.6)} stroke-opacity="0.8"/>')
            ends += f'<circle cx="{path[0, 0]:.1f}" cy="{path[0, 1]:.1f}" r="3.5" stroke="currentColor"/>'
            ends += svg.marker(number, *path[-1])
        y = TOP + 14 + 22 * number
        parts.append(f'<path d="M{x2 - 70:.1f} {y}h24" {svg.stroke(number)}/>' + svg.marker(number, x2 - 58, y))
        parts.append(svg.text(x2 - 38, y + 4, group))
        last = values[:, -1] / values[:, -1].sum(-1, keepdims=True)
        ruled = int((last.max(-1) >= corner).sum())
        many = f"{group}: {ruled} of {len(last)} end with one part at {100 * corner:g} % or more"
        said.append(many if len(last) > 1 else f"{group} ends at {_words(last[0], names)}")
        cells += [[group, number + 1, *(f"{100 * share:.1f} %" for share in end)] for number, end in enumerate(last)]
    words = "; ".join(said) + "."
    width = LEFT + SIDE + 190
    picture = svg.frame("".join(parts) + ends, width, int(TOP + SIDE * 0.866 + 32), title, words)
    twin = table(("", "path", *names), cells, "Where the paths end")
    return picture + show.note("Ring: start. Marker: end. " + words) + show.details("The numbers as a table", twin)


def _shares(label, values, count: int) -> np.ndarray:
    values = checks.finite(f"shares of {label}", values)
    if values.ndim != 2 or values.shape[1] != count:
        raise ValueError(f"shares of {label!r} of shape {values.shape}: must be [steps, {count}]")
    total = values.sum(-1)
    if (values < 0).any() or (total > 1 + 1e-6).any() or (total <= 0).any():
        raise ValueError(f"shares of {label!r}: {values[0].tolist()}, ...: must be at least 0, and above 0 to 1 in sum")
    return values


def _words(shares, names) -> str:
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in zip(names, shares, strict=True))


def _panel(values, steps, names, label, left: float, top: float, axis: bool) -> str:
    """One stacked chart at (left, top)."""
    x = left + (steps - steps[0]) / (steps[-1] - steps[0]) * PANEL  # [E]
    edges = np.concatenate([np.zeros((len(values), 1)), values.cumsum(1)], axis=1)  # [E, F + 1]
    heights = top + TALL * (1 - edges)
    parts, words = [svg.text(left, top - 7, label)], ""
    for part, name in enumerate(names):
        low, high = heights[:, part], heights[:, part + 1]
        points = [*zip(x, low, strict=True), *zip(x[::-1], high[::-1], strict=True)]
        outline = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
        parts.append(f'<path d="M{outline}Z" fill="{COLOURS[part % len(COLOURS)]}" fill-opacity="0.55"/>')
        parts.append(f'<path d="M{"L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, high, strict=True))}" {_THIN}/>')
        room = low - high
        inside = (x >= left + 4 + 3.5 * len(name)) & (x <= left + PANEL - 4 - 3.5 * len(name))
        at = int(np.where(inside, room, -1).argmax())
        if inside.any() and room[at] >= LEAST:
            words += svg.text(x[at], (low[at] + high[at]) / 2 + 4, name, "middle")
    parts.append(f'<path d="M{left} {top}v{TALL}h{PANEL}v{-TALL}Z" stroke="currentColor" stroke-opacity="0.6"/>')
    if axis:
        parts += [
            svg.text(left - 5, top + 5, "100 %", "end", _SMALL),
            svg.text(left - 5, top + TALL, "0", "end", _SMALL),
        ]
    return "".join(parts) + words


_THIN = 'stroke="currentColor" stroke-width="0.8" stroke-opacity="0.6"'
_SMALL = 'style="font-size:11px"'


def _outline(points, more: str) -> str:
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path d="M{line}{"Z" if len(points) > 2 else ""}" stroke="currentColor" {more}/>'
