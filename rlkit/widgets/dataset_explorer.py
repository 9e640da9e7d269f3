"""DatasetExplorer: where the data of an offline dataset is, what it pays, and each episode's path through it."""

import numpy as np

from rlkit import checks
from rlkit.html import table
from rlkit.widgets import dataset_charts, show, svg
from rlkit.widgets.dataset_charts import BOTTOM, HEIGHT, MOST, WIDTH
from rlkit.widgets.explorer import Explorer
from rlkit.widgets.value_map import CELL, TOP, Grid, picture, shade

PER = 4  # squares along each side of a PointMaze's cell
BINS = 28  # squares along each axis of a plane
LEFT = 62  # px, margin of a plane


class DatasetExplorer(Explorer):
    """An Explorer of a dataset: a map of the visited states, one episode's path over it, and all episodes' returns.

    dataset: rlkit.offline.Dataset. Colour: visits, mean reward, mean return-to-go (undiscounted), or the share of each
    quality where facts["episode_quality"] says it. return quantile, in %: which episode's path is drawn, 0 the worst
    and 100 the best. simulator: the world to draw it in, by default the one that the facts name: a finite maze has its
    cells, a PointMaze its walls, everything else a plane of the first two observations. Rows are counted in squares, so
    a long dataset is as quick as a short one. Raises ValueError for a finite maze with another number of states.
    """

    def __init__(self, dataset, simulator=None):
        places = _places(dataset, _world(dataset.facts) if simulator is None else simulator)
        columns = _columns(dataset)
        returns = checks.finite("facts['episode_returns']", dataset.facts.get("episode_returns", dataset.returns))
        order = np.argsort(returns, kind="stable")

        def draw(colour, return_quantile):
            episode = int(order[round(return_quantile / 100 * (len(order) - 1))])
            rows = np.arange(dataset.episode_starts[episode], dataset.episode_ends[episode] + 1)
            drawn, twin, words = places(colour, columns.get(colour), rows)
            bars = dataset_charts.histogram(returns, dataset.facts, returns[episode], episode)
            words += f" Line: episode {episode}, {len(rows):,} steps, return {svg.number(returns[episode])}, "
            words += f"from the circle to the square; it is at {return_quantile} % of the returns."
            more = show.details("The map as a table", show.scroll(twin, "map by place"))
            more += show.details(
                "The path as a table", show.scroll(dataset_charts.path_table(dataset, rows, columns), "path")
            )
            more += show.details("The dataset as a table", dataset_charts.facts_table(dataset, returns))
            flex = '<div style="display:flex;flex-wrap:wrap;align-items:flex-start;gap:18px">'
            return f"{flex}{drawn}{bars}</div>{show.note(words)}{more}"

        super().__init__(
            draw,
            start={"return_quantile": 75},
            colour={svg.short(name, 40): name for name in ("visits", *columns)},
            return_quantile=range(0, 101, 5),
        )


def _world(facts):
    """The simulator that the facts name, or None."""
    from rlkit import envs  # brings Gymnasium, which other widgets do without

    name, options = facts.get("simulator"), facts.get("options")
    if name not in envs.names() or not isinstance(options, dict):
        return None
    try:
        return envs.simulator(name, **options)
    except (TypeError, ValueError):  # options of a drawing that the facts cannot hold: a plane is drawn instead
        return None


def _columns(dataset) -> dict:
    """What a place can be coloured by: name -> a number for each row [N]."""
    rewards = dataset.rewards.astype(float)
    total = np.cumsum(rewards)
    columns = {"reward": rewards, "return-to-go": total[dataset.episode_ends][dataset.episode_of] - total + rewards}
    quality = np.array([str(name) for name in dataset.facts.get("episode_quality", [])])
    for name in list(dict.fromkeys(quality.tolist()))[:6]:
        columns[f"share of {name}"] = (quality == name)[dataset.episode_of].astype(float)
    return columns


def _means(index, size: int, values=None) -> tuple[np.ndarray, np.ndarray]:
    """Rows in each of `size` places and what is drawn there: the mean of values, or the rows; NaN without any."""
    count = np.bincount(index, minlength=size)
    drawn = count.astype(float) if values is None else np.bincount(index, values, size) / np.maximum(count, 1)
    return count, np.where(count > 0, drawn, np.nan)


def _span(shades) -> tuple[float, float]:
    there = shades[np.isfinite(shades)]
    return (float(there.min()), float(there.max())) if len(there) else (0.0, 0.0)


def _places(dataset, world):
    """A function (colour, values [N] or None, rows of the path) -> (SVG, table, words)."""
    mdp = getattr(world, "mdp", world)
    if getattr(mdp, "positions", None) is None and getattr(world, "walls", None) is None:
        return _plane(dataset)
    grid, seen = Grid(world), dataset.observations
    count = len(grid.cells)
    numbers = np.full(grid.walls.shape, -1)
    numbers[tuple(grid.cells.T)] = np.arange(count)
    if grid.finite:
        if seen.shape[1] != count:
            checks.fail("dataset.observations.shape", seen.shape, f"[N, {count}], one-hot states of the simulator")
        per, points = 1, grid.cells[seen.argmax(axis=1), ::-1] + 0.5
    else:  # noise may carry an observation out of the maze
        per, points = PER, np.clip(seen[:, :2].astype(float), 0, np.array(grid.walls.shape)[::-1] - 1e-6)
    column, row = points.astype(int).T
    cell, (across, down) = numbers[row, column], (points % 1 * per).astype(int).T
    inside = cell >= 0
    index = (cell * per**2 + down * per + across)[inside]

    def draw(colour, values, rows):
        values = None if values is None else values[inside]
        _, drawn = _means(index, count * per**2, values)
        in_cells, numbers = _means(cell[inside], count, values)
        shades = (np.log1p(drawn) if values is None else drawn).reshape(count, -1)
        over = dataset_charts.path(points[rows, 0] * CELL, points[rows, 1] * CELL + TOP)
        page = picture(grid, colour, shades, {}, in_cells == 0, _span(shades), numbers, over)
        words = "Number: transitions in the cell (colour on a logarithmic scale)." if values is None else ""
        words = words or f"Number: mean {colour} in the cell."
        words += f" Hatched: no transition starts there ({int((in_cells == 0).sum())} of {count} cells)."
        lost = len(inside) - int(inside.sum())
        words += f" {lost:,} rows lie inside walls and are not drawn." if lost else ""
        told = [(*place, n, svg.number(v)) for place, n, v in zip(grid.cells.tolist(), in_cells, numbers, strict=True)]
        return page, table(("row", "column", "transitions", colour), told, colour), words

    return draw


def _plane(dataset):
    """As `_places`, over the first two observations; over time where there is one alone."""
    seen, names = dataset.observations.astype(float), list(dataset.facts.get("labels") or [])
    names = [str(name) for name in names] + [f"observation {i}" for i in range(len(names), 2)]
    x, y = (seen[:, 0], seen[:, 1]) if seen.shape[1] > 1 else (dataset.step_of.astype(float), seen[:, 0])
    names = names[:2] if seen.shape[1] > 1 else ["step of the episode", names[0]]
    (x_low, x_high), (y_low, y_high) = svg._limits([x]), svg._limits([y])
    right, bottom, side = WIDTH - 8, HEIGHT - BOTTOM, ((WIDTH - 8 - LEFT) / BINS, (HEIGHT - BOTTOM - TOP) / BINS)
    across = ((x - x_low) / (x_high - x_low) * BINS).astype(int).clip(0, BINS - 1)
    up = ((y - y_low) / (y_high - y_low) * BINS).astype(int).clip(0, BINS - 1)
    index = up * BINS + across
    at_x = LEFT + (x - x_low) / (x_high - x_low) * (right - LEFT)
    at_y = bottom - (y - y_low) / (y_high - y_low) * (bottom - TOP)

    def draw(colour, values, rows):
        visits, drawn = _means(index, BINS**2, values)
        shades = np.log1p(drawn) if values is None else drawn
        span, parts = _span(shades), [svg.text(8, 14, svg.short(f"{names[1]}; colour: {colour}", 64))]
        for place in np.flatnonzero(visits):
            left, top = LEFT + place % BINS * side[0], bottom - (place // BINS + 1) * side[1]
            size = f'width="{side[0]:.1f}" height="{side[1]:.1f}"'
            parts.append(f'<rect x="{left:.1f}" y="{top:.1f}" {size} fill="{shade(shades[place], span)}"/>')
        parts.append(svg.text((LEFT + right) / 2, HEIGHT - 6, svg.short(names[0], 50), "middle"))
        parts.append(f'<path d="M{LEFT} {TOP}V{bottom}H{right}" stroke="currentColor"/>')
        for value, name in svg.ticks(x_low, x_high, 6):
            parts.append(
                svg.text(LEFT + (value - x_low) / (x_high - x_low) * (right - LEFT), bottom + 16, name, "middle")
            )
        for value, name in svg.ticks(y_low, y_high, 6):
            parts.append(
                svg.text(LEFT - 6, bottom - (value - y_low) / (y_high - y_low) * (bottom - TOP) + 4, name, "end")
            )
        parts.append(dataset_charts.path(at_x[rows], at_y[rows]))
        low, high = (svg.number(v, 3) for v in _span(drawn))
        words = f"Colour: {colour} of a square, {low} to {high}" + (", logarithmic." if values is None else ".")
        words += " Blue is above 0, orange below." if values is not None and span[0] < 0 else ""
        most = np.argsort(-visits, kind="stable")[: min(MOST, int((visits > 0).sum()))]
        told = [
            (svg.number(x_low + (p % BINS + 0.5) * (x_high - x_low) / BINS, 3),
             svg.number(y_low + (p // BINS + 0.5) * (y_high - y_low) / BINS, 3), visits[p], svg.number(drawn[p]))
            for p in most
        ]  # fmt: skip
        head = (svg.short(names[0], 40), svg.short(names[1], 40), "transitions", colour)
        twin = table(head, told, f"The {len(most)} most visited of {int((visits > 0).sum())} squares, by their middles")
        picture = svg.frame("".join(parts), WIDTH, HEIGHT, f"{colour} by {names[0]} and {names[1]}", words)
        return picture, twin, words

    return draw
