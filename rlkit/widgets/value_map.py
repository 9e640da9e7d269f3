"""Value map: a maze cell by cell, with what its states are worth, where a policy goes and what the data never saw.

Two kinds of world: a finite maze (mdps.maze, or the simulator around it), whose states are cells, and a PointMaze, a
plane with walls that is asked on a grid. A number stands in each cell, so that colour tells nothing alone.
"""

import numpy as np

from rlkit import checks
from rlkit.html import table
from rlkit.widgets import show, svg
from rlkit.widgets.explorer import Explorer
from rlkit.widgets.heat import DOWN, UP

CELL = 44  # px
TOP = 24  # px above the cells, for the title
LETTERS = {"S": "start", "G": "goal", "T": "trap"}
ARROW = "M0 -9L3 -3H-3ZM0 -3V4"  # upwards, centred on its cell


class Grid:
    """A world as cells: walls [H, W], cells [C, 2] (row, column) of the free ones in order, letters [C], per: k points
    along each side of a cell (1 for a finite maze)."""

    def __init__(self, world):
        mdp = getattr(world, "mdp", world)
        self.simulator, self.per = world, 1
        if getattr(mdp, "positions", None) is not None:
            self.cells = np.asarray(mdp.positions, dtype=int)
            self.walls = np.ones(self.cells.max(axis=0) + 1, bool)
            self.walls[tuple(self.cells.T)] = False
            self.letters = [name if name in LETTERS else "" for name in mdp.names or [""] * len(self.cells)]
        elif getattr(world, "walls", None) is not None:
            self.walls = np.asarray(world.walls, dtype=bool)
            self.cells = np.argwhere(~self.walls)
            goals = {(int(y), int(x)) for x, y in world.goals} if len(world.goals) == 1 else set()
            self.letters = ["G" if tuple(cell) in goals else "" for cell in self.cells.tolist()]
        else:
            checks.fail("world", world, "a finite maze with positions, or a PointMaze")
        self.finite = getattr(mdp, "positions", None) is not None

    def points(self, per: int) -> np.ndarray:
        """The middles of per x per squares in each free cell, as (x, y), cell by cell: [C per^2, 2]."""
        inside = (np.arange(per) + 0.5) / per
        offsets = np.stack([a.ravel() for a in np.meshgrid(inside, inside)], axis=1)  # x fastest
        return (self.cells[:, None, ::-1] + offsets).reshape(-1, 2)

    def fitted(self, name: str, values) -> np.ndarray:
        """Values [C, k^2]; raises ValueError for NaN or another number of them."""
        flat = checks.finite(name, values)
        per = round((flat.size / len(self.cells)) ** 0.5)
        if flat.ndim != 1 or not per or flat.size != len(self.cells) * per**2 or (self.finite and per != 1):
            allowed = f"[{len(self.cells)}]" + ("" if self.finite else " times k^2, one for each of value_points")
            raise ValueError(f"{name} of shape {flat.shape}: must be {allowed}")
        return flat.reshape(len(self.cells), -1)


def value_points(world, per_cell: int = 4) -> np.ndarray:
    """The observations at which value_map draws values, to ask a learner: agent.value(value_points(maze))[seed].

    A finite maze: one-hot, [N, N]. A PointMaze: at rest in the middles of per_cell x per_cell squares of each free
    cell, with its first goal, [M, O]. Raises ValueError for another world.
    """
    grid = Grid(world)
    if grid.finite:
        return np.eye(len(grid.cells), dtype=np.float32)
    points = grid.points(checks.positive_int("per_cell", per_cell))
    states = np.zeros((len(points), world.start(np.random.default_rng(0), 1).shape[1]))
    states[:, :2] = points
    return world.observe(states)


def value_map(world, values, policy=None, *, seen=None, optimum=None, title="value", span=None) -> str:
    """The maze with its values, as HTML: blue is positive, orange negative, each cell with its (mean) number.

    world: a finite maze (FiniteMDP with positions, or its simulator) or a PointMaze. values: one for each state [N], or
    for each of value_points(world, k) [M]. policy, drawn as arrows: whole numbers [N] or chances [N, 4] (ties: several
    arrows), or pushes [M, 2]. seen: bool [N] or [M]; cells without any are hatched. optimum: values drawn beside these
    on the same scale. span: (lowest, highest) of the colours, by default what is drawn. Raises ValueError for NaN or
    other shapes.
    """
    grid = Grid(world)
    named = {title: grid.fitted("values", values)}
    if optimum is not None:
        named["optimum"] = grid.fitted("optimum", optimum)
    both = np.concatenate([v.ravel() for v in named.values()])
    span = (float(both.min()), float(both.max())) if span is None else span
    unseen = None if seen is None else ~grid.fitted("seen", np.asarray(seen, dtype=float)).astype(bool).any(axis=1)
    pictures = ""
    for name, found in named.items():
        own = name == title  # arrows and hatching belong to what was learnt
        arrows = _arrows(grid, policy) if policy is not None and own else {}
        pictures += picture(grid, name, found, arrows, unseen if own else None, span)
    words = f"Colour: {svg.number(span[0], 3)} to {svg.number(span[1], 3)}, blue above 0, orange below; the number is "
    words += "the cell's value." if grid.finite else "the mean over the cell."
    letters = [f"{letter} {what}" for letter, what in LETTERS.items() if letter in grid.letters]
    words += f" {', '.join(letters)}." if letters else ""
    words += " Arrows: what the policy prefers." if policy is not None else ""
    words += f" Hatched: not in the data ({int(unseen.sum())} of {len(unseen)} cells)." if seen is not None else ""
    columns = {name: [svg.number(v, 3) for v in found.mean(axis=1)] for name, found in named.items()}
    if seen is not None:
        columns["in the data"] = np.where(unseen, "no", "yes").tolist()
    rows = zip(*grid.cells.T.tolist(), *columns.values(), strict=True)
    head = ("row", "column", *columns)
    numbers = show.details("The numbers as a table", show.scroll(table(head, rows, title), f"{title} by cell"))
    return f'<div style="display:flex;flex-wrap:wrap;gap:12px">{pictures}</div>{show.note(words)}{numbers}'


def value_maps(world, snapshots: dict, policies: dict | None = None, **fixed) -> Explorer:
    """value_map over training: an Explorer with a slider over steps, all steps in the colours of one scale.

    snapshots: step -> values; policies: step -> policy; fixed: seen, optimum, title of value_map. Raises ValueError
    without snapshots, or when policies have other steps.
    """
    if not isinstance(snapshots, dict) or not snapshots:
        checks.fail("snapshots", snapshots, "a dictionary of step -> values, not empty")
    if policies is not None and set(policies) != set(snapshots):
        checks.fail("policies", sorted(policies), f"of the steps {sorted(snapshots)}")
    steps = sorted(snapshots)
    drawn = [*snapshots.values(), *([fixed["optimum"]] if fixed.get("optimum") is not None else [])]
    span = min(float(np.min(v)) for v in drawn), max(float(np.max(v)) for v in drawn)
    title = fixed.pop("title", "value")

    def draw(snapshot):
        step = steps[snapshot]
        policy = None if policies is None else policies[step]
        return value_map(world, snapshots[step], policy, title=f"{title}, step {step:,}", span=span, **fixed)

    return Explorer(draw, start={"snapshot": len(steps) - 1}, snapshot=range(len(steps)))


def shade(value: float, span) -> str:
    """The fill of a value: blue above 0, orange below, stronger the larger; paler than the text on it in any theme."""
    largest = max(abs(span[0]), abs(span[1])) or 1.0
    low = 0.0 if span[0] <= 0 <= span[1] else min(map(abs, span))
    share = min(1.0, max(0.0, (abs(value) - low) / ((largest - low) or 1.0)))
    return f"rgba({UP if value >= 0 else DOWN},{0.05 + 0.5 * share:.2f})"


def wall(x: float, y: float, side: float) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}" fill="currentColor" fill-opacity="0.6"/>'
    )


def hatch(x: float, y: float, side: float) -> str:
    """Diagonals over a cell, drawn as a path: a pattern would need an id, and ids of two pictures meet in one page."""
    half = side / 2
    path = f"M{x:.1f} {y + half:.1f}l{half:.1f} {-half:.1f}M{x:.1f} {y + side:.1f}l{side:.1f} {-side:.1f}"
    path += f"M{x + half:.1f} {y + side:.1f}l{half:.1f} {-half:.1f}"
    return f'<path d="{path}" stroke="currentColor" stroke-opacity="0.45"/>'


def _arrows(grid: Grid, policy) -> dict:
    """Cell -> the angles of its arrows in degrees, clockwise from up: action a of mdps.MOVES is 90 a."""
    policy = checks.finite("policy", policy)
    cells = len(grid.cells)
    if grid.finite and policy.shape == (cells,):
        return {c: [90.0 * int(policy[c])] for c in range(cells) if grid.letters[c] not in ("G", "T")}
    if grid.finite and policy.shape == (cells, 4):
        best = policy >= policy.max(axis=1, keepdims=True) - 1e-9
        ends = ("G", "T")
        return {c: [90.0 * a for a in np.flatnonzero(best[c])] for c in range(cells) if grid.letters[c] not in ends}
    if not grid.finite and policy.ndim == 2 and policy.shape[1] == 2 and len(policy) % cells == 0:
        mean = policy.reshape(cells, -1, 2).mean(axis=1)  # [C, 2], x and y, y down
        return {c: [float(np.degrees(np.arctan2(x, -y)))] for c, (x, y) in enumerate(mean) if np.hypot(x, y) > 1e-6}
    allowed = f"[{cells}] or [{cells}, 4]" if grid.finite else "[M, 2], one push for each of value_points"
    raise ValueError(f"policy of shape {policy.shape}: must be {allowed}")


def picture(grid: Grid, title, values, arrows, unseen, span, numbers=None, over="") -> str:
    """The cells as an SVG: values [C, k^2], NaN for nothing; numbers [C] printed (default: means); over: more SVG."""
    height, width = grid.walls.shape
    per = round(values.shape[1] ** 0.5)
    small = CELL / per
    numbers = values.mean(axis=1) if numbers is None else numbers
    parts = [svg.text(0, 15, svg.short(title, 40), "start", 'font-weight="700"')]
    parts += [wall(c * CELL, TOP + r * CELL, CELL) for r, c in np.argwhere(grid.walls)]
    for cell, (row, column) in enumerate(grid.cells.tolist()):
        x, y = column * CELL, TOP + row * CELL
        for k in np.flatnonzero(np.isfinite(values[cell])):
            place = f'x="{x + k % per * small:.1f}" y="{y + k // per * small:.1f}"'
            parts.append(
                f'<rect {place} width="{small:.1f}" height="{small:.1f}" fill="{shade(values[cell, k], span)}"/>'
            )
        if unseen is not None and unseen[cell]:
            parts.append(hatch(x, y, CELL))
        parts.append(
            f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" stroke="currentColor" stroke-opacity="0.25"/>'
        )
        parts.append(svg.text(x + CELL / 2, y + CELL - 5, svg.number(numbers[cell], 2), "middle", 'font-size="11"'))
        if grid.letters[cell]:
            parts.append(svg.text(x + 3, y + 12, grid.letters[cell], "start", 'font-size="11" font-weight="700"'))
        for angle in arrows.get(cell, ()):
            turn = f"translate({x + CELL / 2:.1f} {y + CELL / 2 - 5:.1f}) rotate({angle:.0f})"
            parts.append(f'<path d="{ARROW}" transform="{turn}" stroke="currentColor" fill="currentColor"/>')
    there = np.flatnonzero(np.isfinite(numbers))
    extremes = (there[f(numbers[there])] for f in (np.argmin, np.argmax)) if len(there) else ()
    spots = [f"{svg.number(numbers[i], 3)} in row {grid.cells[i][0]}, column {grid.cells[i][1]}" for i in extremes]
    said = f"{title}: lowest {spots[0]}; highest {spots[1]}." if spots else f"{title}: nothing to draw."
    return svg.frame("".join(parts) + over, width * CELL, TOP + height * CELL + 1, title, said)
