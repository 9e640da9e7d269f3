"""PointMaze: a point mass with inertia among walls, pushed towards a goal.

    u' = lag u + (1 - lag) action             what the motor really does (lag = 0: u' = action)
    v' = v + dt (PUSH (u' + noise) - DRAG v)  each axis within [-FASTEST, FASTEST]
    p' = p + dt v'                            one axis after the other; a wall stops that axis

Lengths in cells, time in units of which a step is dt = 0.1. The idea of a point mass in a maze with a sparse reward
and no end is that of D4RL's Maze2D (Fu et al. 2020, arXiv 2004.07219); physics and floor plans are our own.
"""

import functools
from typing import NamedTuple

import numpy as np

from rlkit import checks
from rlkit.envs import geodesics
from rlkit.envs.floor_plans import HORIZONS, LAYOUTS, read

DT, PUSH, DRAG, FASTEST = 0.1, 2.5, 1.0, 4.0
RADIUS = 0.5  # of the goal
GAP = 0.01  # what stays between the point and a wall, so that rounding never puts it inside
SCALE = 2.0  # of the dense reward, in cells
CLEARANCE = 0.2  # of a path that is meant for steering, see geodesics.py


class Plan(NamedTuple):
    """What a widget draws: walls [H, W] bool, goals [G, 2] as (x, y), radius of a goal; lengths in cells, y down."""

    walls: np.ndarray
    goals: np.ndarray
    radius: float


class PointMaze:
    """A Simulator (see simulator.py) of a point mass in a maze; it never terminates. States [B, 7]: x, y, vx, vy, the
    applied push (ux, uy), and the number of the episode's goal. Observations: x, y, vx, vy (cells, cells per time).

    layout: "u", "medium", "four-rooms", or a drawing, lines of '#' (wall), '.' (free) and 'G' (goal, free as well).
    reward: "sparse", 1 in each step that ends within RADIUS of the goal, else 0; or "dense", exp(-d / SCALE) with d
    the exact geodesic distance to the goal. noise: standard deviation of a random push, fresh in each step. lag: share
    of the old push that stays in the next step, not observed, in [0, 1). starts: "random" (any free cell), "far" (the
    free cells at 75 % of the largest distance or more), or cells (row, column); uniform within the cell, at rest.
    goal: a cell instead of the drawing's G. goal_conditioned: each episode draws its goal from `goals` (cells; all
    free ones by default) and observes it as well: (x, y, vx, vy, gx, gy).

    Raises ValueError for an unknown layout, a drawing with a bad letter (names row and column), a border with a hole,
    a cell that is not free, or a free cell from which the goal cannot be reached.
    """

    action_size, actions = 2, None

    def __init__(
        self,
        layout="u",
        reward="sparse",
        noise=0.0,
        lag=0.0,
        starts="random",
        goal=None,
        goal_conditioned=False,
        goals=None,
    ):
        self.walls, drawn = read(layout)
        self.reward = checks.one_of("reward", reward, ("sparse", "dense"))
        if checks.finite("noise", noise) < 0:
            checks.fail("noise", noise, "at least 0")
        if not 0 <= checks.finite("lag", lag) < 1:
            checks.fail("lag", lag, "in [0, 1)")
        self.noise, self.lag, self.goal_conditioned = float(noise), float(lag), bool(goal_conditioned)
        free = [tuple(map(int, cell)) for cell in np.argwhere(~self.walls)]
        if goals is not None and not goal_conditioned:
            checks.fail("goals", goals, "left out unless goal_conditioned=True")
        if goal_conditioned:
            cells = self._cells("goals", free if goals is None else goals)
        elif goal is None and drawn is None:
            checks.fail("goal", goal, "a cell (row, column), since the drawing has no G")
        else:
            cells = self._cells("goal", [drawn if goal is None else goal])
        self.goals = cells[:, ::-1] + 0.5  # [G, 2], (x, y)
        self._numbers = np.zeros(self.walls.shape, int)
        self._numbers[cells[:, 0], cells[:, 1]] = np.arange(len(cells))
        plan = self.walls.tobytes(), self.walls.shape, tuple(map(tuple, self.goals.tolist()))
        self._exact, self._roomy = _field(*plan), _field(*plan, CLEARANCE)
        distance = self.distance(np.array(free)[:, ::-1] + 0.5, np.zeros(len(free), int))
        if np.isinf(distance).any():
            checks.fail("layout", layout, f"connected: no way from cell {free[int(np.isinf(distance).argmax())]}")
        if isinstance(starts, str):
            checks.one_of("starts", starts, ("random",) if goal_conditioned else ("random", "far"))
            near = 0.0 if starts == "random" else 0.75 * distance.max()
            starts = [cell for cell, d in zip(free, distance, strict=True) if d >= near]
        self.starts = self._cells("starts", starts)

        known = layout if isinstance(layout, str) and layout in LAYOUTS else "custom"
        self.name = f"point-maze-{known}" + ("-dense" if reward == "dense" else "")
        self.horizon = HORIZONS.get(known, 150)
        self.noise_size = 2 if self.noise else 0
        self.observation_size = 6 if goal_conditioned else 4
        labels = ("x (cells)", "y (cells)", "x velocity (cells per time)", "y velocity (cells per time)")
        self.labels = labels + (("goal x (cells)", "goal y (cells)") if goal_conditioned else ())
        high = np.array([self.walls.shape[1], self.walls.shape[0], FASTEST, FASTEST], np.float32)
        self.bounds = np.stack([high * [0, 0, -1, -1], high]).astype(np.float32)  # [2, O]: lowest, highest
        if goal_conditioned:
            self.bounds = np.concatenate([self.bounds, self.bounds[:, :2]], axis=1)

    def _cells(self, name, cells):
        """Cells [C, 2] as integers; each must be free."""
        array = np.asarray(cells)
        if array.ndim != 2 or array.shape[1] != 2 or not len(array) or array.dtype.kind not in "iu":
            checks.fail(name, cells, "cells, each a pair of integers (row, column)")
        for row, column in array.tolist():
            inside = 0 <= row < self.walls.shape[0] and 0 <= column < self.walls.shape[1]
            if not inside or self.walls[row, column]:
                checks.fail(name, (row, column), "a free cell (row, column)")
        return array

    def start(self, rng, count):
        """A uniform point in a uniform cell of `starts`, at rest, and a uniform goal: [count, 7]."""
        states = np.zeros((count, 7))
        states[:, 6] = rng.integers(len(self.goals), size=count)
        cells = self.starts[rng.integers(len(self.starts), size=count)]
        states[:, :2] = cells[:, ::-1] + rng.uniform(0.1, 0.9, (count, 2))
        return states

    def observe(self, states):
        seen = states[:, :4]
        if self.goal_conditioned:
            seen = np.concatenate([seen, self.goals[states[:, 6].astype(int)]], axis=1)
        return seen.astype(np.float32)

    def step(self, states, actions, noise):
        after = np.empty_like(states)
        after[:, 4:6] = self.lag * states[:, 4:6] + (1 - self.lag) * np.clip(actions, -1, 1)
        push = after[:, 4:6] + self.noise * noise if self.noise else after[:, 4:6]
        after[:, 2:4] = np.clip(states[:, 2:4] + DT * (PUSH * push - DRAG * states[:, 2:4]), -FASTEST, FASTEST)
        after[:, :2], after[:, 6] = states[:, :2], states[:, 6]
        for axis in (0, 1):
            position = after[:, axis] + DT * after[:, 2 + axis]  # at most 0.4 cells: no wall is jumped over
            old = np.floor(after[:, axis])
            low, high = self._ahead(after, axis, old)
            stopped = np.minimum(np.maximum(position, low), high)
            after[:, 2 + axis] = np.where(stopped == position, after[:, 2 + axis], 0.0)
            after[:, axis] = stopped
        distance = self._to_goal(after)
        rewards = np.exp(-distance / SCALE) if self.reward == "dense" else (distance <= RADIUS).astype(float)
        return after, rewards, np.zeros(len(states), bool)

    def _ahead(self, states, axis, old):
        """How far each point may go along an axis: [B], [B]; a free neighbour cell lets it pass."""
        cell = states[:, :2].astype(int)  # (x, y)
        before, behind = cell.copy(), cell.copy()
        before[:, axis] -= 1
        behind[:, axis] += 1
        low = np.where(self.walls[before[:, 1], before[:, 0]], old + GAP, -np.inf)
        high = np.where(self.walls[behind[:, 1], behind[:, 0]], old + 1 - GAP, np.inf)
        return low, high

    def _to_goal(self, states):
        """[B]: geodesic for the dense reward; straight for the sparse one: RADIUS stays in the goal's cell."""
        goal = states[:, 6].astype(int)
        if self.reward == "dense":
            return self.distance(states[:, :2], goal)
        return np.hypot(*(states[:, :2] - self.goals[goal]).T)

    def goal_numbers(self, observations):
        """The number of the goal that each observation [B, O] tells of: [B]."""
        if not self.goal_conditioned:
            return np.zeros(len(observations), int)
        return self._numbers[observations[:, 5].astype(int), observations[:, 4].astype(int)]

    def distance(self, points, goal):
        """Length of the shortest path from points [B, 2] to the goals' centres, by the goals' numbers [B]: [B].

        The bend is looked up on a fine grid, whose nodes are exact: 1 % of the points are off by up to 0.1 cells.
        """
        bend, remaining = _look_up(self._exact, points, goal)
        return np.hypot(*(points - bend).T) + remaining

    def waypoints(self, points, goal):
        """Where to head for from points [B, 2]: the next bend [B, 2], CLEARANCE off its corner; the way left [B]."""
        return _look_up(self._roomy, points, goal)


def draw(simulator) -> Plan:
    """The floor plan of a PointMaze as arrays; x is the column and y the row, both growing from the top left.

    Raises ValueError for any other simulator.
    """
    if not isinstance(simulator, PointMaze):
        checks.fail("simulator", simulator, "a PointMaze")
    return Plan(simulator.walls.copy(), simulator.goals.copy(), RADIUS)


def _look_up(field, points, goal):
    column, row = (points * geodesics.FINE).astype(int).T
    return field.waypoint[goal, row, column], field.remaining[goal, row, column]


@functools.lru_cache(maxsize=64)
def _field(walls, shape, goals, clearance=1e-6):
    """Computed once for each floor plan: no two simulators of one maze pay twice."""
    return geodesics.field(np.frombuffer(walls, bool).reshape(shape), np.array(goals), clearance)
