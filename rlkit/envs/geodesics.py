"""Shortest paths among walls of unit cells, exact: a shortest path bends at the walls' corners and nowhere else.

Points are (x, y): x to the right, y down, so that cell (row r, column c) is the square [c, c + 1] x [r, r + 1].
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse.csgraph import shortest_path

FINE = 8  # nodes of the fine grid per unit of length


class Field(NamedTuple):
    """From each node of the fine grid [H * FINE, W * FINE] to each of G goals, [G, rows, columns]:

    waypoint [..., 2]: the last point of the shortest path that is in sight of the node (a corner or the goal);
    remaining: length of the path from there to the goal. Both 0 inside walls.
    """

    waypoint: np.ndarray
    remaining: np.ndarray


def in_sight(walls, start, end):
    """Whether the segment start -> end meets no wall: walls [H, W] bool, points [..., 2] -> [...] bool.

    Exact: the segment is cut where it crosses a grid line, and the middle of each piece says in which cell it lies.
    """
    height, width = walls.shape
    start, end = np.broadcast_arrays(start, end)
    delta = end - start
    cuts = [np.zeros((*delta.shape[:-1], 1)), np.ones((*delta.shape[:-1], 1))]
    for axis, size in ((0, width), (1, height)):
        with np.errstate(divide="ignore", invalid="ignore"):
            cut = (np.arange(1, size) - start[..., axis, None]) / delta[..., axis, None]
        cuts.append(np.where((cut > 0) & (cut < 1), cut, 0.0))
    cuts = np.sort(np.concatenate(cuts, axis=-1), axis=-1)
    middle = (cuts[..., 1:] + cuts[..., :-1]) / 2
    cell = (start[..., None, :] + middle[..., None] * delta[..., None, :]).astype(int)
    return ~walls[cell[..., 1], cell[..., 0]].any(axis=-1)


def corners(walls, clearance):
    """The points [C, 2] where a shortest path may bend: outside each corner of a wall, that far off on both axes."""
    found = []
    for row, column in np.ndindex(walls.shape[0] - 1, walls.shape[1] - 1):
        block = walls[row : row + 2, column : column + 2]  # the four cells that meet in one point
        if block.sum() == 1:
            down, right = np.argwhere(block)[0]
            found.append((column + 1 + clearance * (1 - 2 * right), row + 1 + clearance * (1 - 2 * down)))
    return np.array(found).reshape(-1, 2)


def field(walls, goals, clearance=1e-6) -> Field:
    """The Field of walls [H, W] (True: wall; the border is wall) for goals [G, 2], points in free cells.

    length(n) = min over corners c in sight of n of |n - c| + length(c); Dijkstra on the corners' visibility graph.
    clearance: how far, along each axis, a path keeps from a corner that it turns around. A node from which the goal
    cannot be reached has remaining = inf.
    """
    bends = corners(walls, clearance)
    points = np.concatenate([bends, goals])  # [C + G, 2]
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    edges = np.where([in_sight(walls, points, point) for point in points], apart, 0.0)
    length = shortest_path(edges[: len(bends), : len(bends)], method="D") if len(bends) else np.zeros((0, 0))
    last = np.where(edges > 0, edges, np.inf)[: len(bends), len(bends) :]  # [C, G], the goal in sight of the corner
    length = np.min(length[:, :, None] + last[None], axis=1, initial=np.inf)  # [C, G]

    shape = (walls.shape[0] * FINE, walls.shape[1] * FINE)
    free = ~np.repeat(np.repeat(walls, FINE, axis=0), FINE, axis=1)
    nodes = (np.argwhere(free)[:, ::-1] + 0.5) / FINE  # [M, 2], (x, y)
    reach = np.stack([_reach(walls, nodes, point) for point in points], axis=1)  # [M, C + G]
    waypoint, remaining = np.zeros((len(goals), *shape, 2)), np.zeros((len(goals), *shape))
    for g, goal in enumerate(goals):
        ways = np.concatenate([reach[:, : len(bends)] + length[:, g], reach[:, len(bends) + g, None]], axis=1)
        best = ways.argmin(axis=1)
        after = np.append(length[:, g], 0.0)[best]
        waypoint[g][free] = np.concatenate([bends, goal[None]])[best]
        remaining[g][free] = np.where(np.isfinite(ways.min(axis=1)), after, np.inf)
    return Field(waypoint, remaining)


def _reach(walls, nodes, point):
    """Distance of each node to a point that is in its sight, else infinity: [M]."""
    return np.where(in_sight(walls, nodes, point), np.linalg.norm(nodes - point, axis=1), np.inf)
