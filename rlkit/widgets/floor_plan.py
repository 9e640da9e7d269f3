"""The floor plan of a PointMaze with points and paths on it, as one picture."""

import numpy as np

from rlkit import checks
from rlkit.widgets import svg
from rlkit.widgets.value_map import wall

TOP, LEGEND = 20, 17  # px for the title, and for each line of the legend
# Letters with a rim, to be read on dots and on paths, in the light and in the dark theme.
HALO = 'style="fill:#111;stroke:#fff;stroke-width:3;paint-order:stroke" font-weight="700"'


def floor_plan(world, title, *, points=None, paths=(), places=None, cell: int = 24) -> str:
    """Walls in grey, sets of points as small markers with a legend, paths as lines from a disc to a cross; SVG.

    world: a PointMaze. title: plain text. points: name -> [N, 2], paths: a list of [T, 2], both (x, y) in cells, y
    down. places: letter -> (row, column), written over all else in their cells. cell: px. Raises ValueError for other
    shapes, or numbers that are not finite.
    """
    walls = np.asarray(world.walls)
    height, width = walls.shape
    width_px, bottom = width * cell, TOP + height * cell
    parts = [svg.text(0, 14, svg.short(title, 40), "start", 'font-weight="700"')]
    parts += [wall(column * cell, TOP + row * cell, cell) for row, column in np.argwhere(walls)]
    sets = {name: _at(f"points[{name!r}]", given, cell) for name, given in (points or {}).items()}
    for number, (name, at) in enumerate(sets.items()):
        parts += [_small(number, x, y) for x, y in at.tolist()]
        y = bottom + LEGEND * (number + 1) - 3
        parts += [svg.marker(number, 6, y - 4), svg.text(16, y, svg.short(name, 40))]
    for number, given in enumerate(paths):
        at = _at(f"paths[{number}]", given, cell)
        line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at.tolist())
        (x, y), (a, b) = at[0], at[-1]
        parts.append(f'<path d="{line}" {svg.stroke(number, 1.5)}/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{svg.COLOURS[number % len(svg.COLOURS)]}"/>')
        parts.append(f'<path d="M{a - 3:.1f} {b - 3:.1f}l6 6m0 -6l-6 6" {svg.stroke(number, 2)}/>')
    for letter, (row, column) in (places or {}).items():
        middle = (column + 0.5) * cell, TOP + (row + 0.5) * cell + 4
        parts.append(svg.text(*middle, letter, "middle", HALO))
    longest = max((len(svg.short(name, 40)) for name in sets), default=0)
    said = [f"{len(at)} points: {name}" for name, at in sets.items()]
    for number, given in enumerate(paths):
        (x, y), (a, b) = given[0], given[-1]
        said.append(f"path {number + 1} from x {x:.1f}, y {y:.1f} to x {a:.1f}, y {b:.1f}")
    across = max(width_px, 24 + 7 * longest)
    return svg.frame("".join(parts), across, bottom + LEGEND * len(sets) + 2, title, "; ".join(said))


def _at(name, given, cell):
    """Points in cells [N, 2] -> px [N, 2]."""
    given = checks.finite(name, given)
    if given.ndim != 2 or given.shape[1] != 2 or not len(given):
        checks.fail(f"{name}.shape", given.shape, "[N, 2], (x, y) in cells, at least one row")
    return given * cell + [0, TOP]


def _small(number, x, y):
    """The marker of a series at less than half its size: hundreds of them lie on a few cells."""
    outline, colour = svg.MARKERS[number % len(svg.MARKERS)], svg.COLOURS[number % len(svg.COLOURS)]
    return f'<path d="{outline}" transform="translate({x:.1f} {y:.1f}) scale(0.4)" fill="{colour}" stroke="{colour}"/>'
