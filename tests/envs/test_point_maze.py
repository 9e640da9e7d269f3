"""PointMaze: walls hold, distances are the shortest, the physics are the stated equations."""

import heapq

import numpy as np
import pytest

from rlkit import envs
from rlkit.envs import floor_plans, geodesics
from rlkit.envs.point_maze import DRAG, DT, FASTEST, PUSH, RADIUS, SCALE, PointMaze, draw

U = {layout: PointMaze(layout, "dense", starts="far") for layout in floor_plans.LAYOUTS}
OPEN = ("#######", "#.....#", "#.....#", "#..G..#", "#.....#", "#.....#", "#######")


def none(count):
    return np.zeros((count, 0))


@pytest.mark.parametrize("layout", floor_plans.LAYOUTS)
@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_no_state_is_ever_inside_a_wall(layout, noise):
    """500 points, 600 steps, each action held for a random time at full push: they hit every wall at full speed."""
    maze, rng = PointMaze(layout, noise=noise), np.random.default_rng(1)
    states, actions, fastest, stopped = maze.start(rng, 500), np.zeros((500, 2)), 0.0, 0
    for _ in range(600):
        actions = np.where(rng.random((500, 1)) < 0.1, rng.choice([-1.0, -0.3, 1.0], (500, 2)), actions)
        after, _, ended = maze.step(states, actions, rng.standard_normal((500, maze.noise_size)))
        for seen in (after[:, :2], maze.observe(after)[:, :2]):
            assert not maze.walls[seen[:, 1].astype(int), seen[:, 0].astype(int)].any()
        crossed = np.abs(np.floor(after[:, :2]) - np.floor(states[:, :2]))
        assert crossed.max() <= 1, "no cell is jumped over"
        side = states[:, :2].copy()
        side[:, 0] = after[:, 0]
        assert not maze.walls[side[:, 1].astype(int), side[:, 0].astype(int)].any(), "nor a corner cut through"
        assert (np.abs(after[:, 2:4]) <= FASTEST).all() and not ended.any()
        fastest, stopped = max(fastest, np.abs(after[:, 2:4]).max()), stopped + (after[:, 2:4] == 0).sum()
        states = after
    assert fastest > 2 and stopped > 5_000


def test_one_step_is_the_stated_equation():
    maze = PointMaze(OPEN, noise=0.5, lag=0.4)
    state = np.array([[2.5, 3.5, 0.3, -0.2, 0.5, -1.0, 0.0]])
    after, reward, _ = maze.step(state, np.array([[0.8, 7.0]]), np.array([[1.0, -2.0]]))
    push = np.array([0.4 * 0.5 + 0.6 * 0.8, 0.4 * -1.0 + 0.6 * 1.0])
    velocity = np.array([0.3, -0.2]) + DT * (PUSH * (push + 0.5 * np.array([1.0, -2.0])) - DRAG * np.array([0.3, -0.2]))
    assert after[0, 4:6] == pytest.approx(push, abs=1e-15) and after[0, 2:4] == pytest.approx(velocity, abs=1e-15)
    assert after[0, :2] == pytest.approx([2.5, 3.5] + DT * velocity, abs=1e-15) and reward[0] == 0


def test_a_wall_stops_one_axis_and_the_other_slides_on():
    maze = PointMaze(OPEN)
    state = np.array([[5.95, 3.2, 2.0, 1.0, 0.0, 0.0, 0.0]])
    after, _, _ = maze.step(state, np.array([[1.0, 0.0]]), none(1))
    assert after[0, 0] == pytest.approx(5.99) and after[0, 2] == 0
    assert after[0, 3] == pytest.approx(0.9) and after[0, 1] == pytest.approx(3.29)


def test_hidden_lag_is_not_observed_and_delays():
    quick, slow = PointMaze(OPEN), PointMaze(OPEN, lag=0.8)
    assert slow.observation_size == 4 and slow.observe(slow.start(np.random.default_rng(0), 3)).shape == (3, 4)
    state = np.array([[2.0, 2.0, 0, 0, 0, 0, 0]])
    speeds = [maze.step(state, np.array([[1.0, 0.0]]), none(1))[0][0, 2] for maze in (quick, slow)]
    assert speeds == pytest.approx([0.25, 0.05])


def grid_distance(maze, fine=12):
    """Another solver: Dijkstra over a fine grid with 16 directions: never below the truth, at most 2.8 % above it."""
    walls = np.repeat(np.repeat(maze.walls, fine, 0), fine, 1)
    moves = [(a, b) for a in range(-2, 3) for b in range(-2, 3) if np.gcd(a, b) == 1]
    goal = tuple((maze.goals[0][::-1] * fine).astype(int))
    best, queue = {goal: 0.0}, [(0.0, goal)]
    while queue:
        d, (r, c) = heapq.heappop(queue)
        if d > best[r, c]:
            continue
        for a, b in moves:
            half, more = (int(np.fix(a / 2)), int(np.fix(b / 2))), (a - int(np.fix(a / 2)), b - int(np.fix(b / 2)))
            between = [half, more, (a, b)] + ([(a, 0), (0, b)] if abs(a) == abs(b) else [])
            if any(walls[r + i, c + j] for i, j in between):
                continue
            new = d + np.hypot(a, b) / fine
            if new < best.get((r + a, c + b), np.inf) - 1e-12:
                best[r + a, c + b] = new
                heapq.heappush(queue, (new, (r + a, c + b)))
    return best


@pytest.mark.parametrize("layout", ["u", "medium"])
def test_distances_are_the_shortest_ways(layout):
    """Against Dijkstra on a grid; its cells end up to 1/12 before a wall's corner, ours turn around it."""
    maze, best = U[layout], grid_distance(U[layout])
    points = np.array([((c + 0.5) / 12, (r + 0.5) / 12) for r, c in best])
    ours, theirs = maze.distance(points, np.zeros(len(points), int)), np.array(list(best.values()))
    print((ours - theirs).max(), (theirs / 1.028 - ours).max())
    assert (ours <= theirs + 0.06).all() and (ours >= theirs / 1.028 - 0.3).all()


@pytest.mark.parametrize("layout", floor_plans.LAYOUTS)
def test_distances_between_the_nodes_of_the_grid(layout):
    """Against the same corners without a grid: each point looks for itself which of them it sees."""
    maze, rng = U[layout], np.random.default_rng(0)
    cells = np.argwhere(~maze.walls)[:, ::-1]
    points = cells[rng.integers(len(cells), size=5_000)] + rng.uniform(0.01, 0.99, (5_000, 2))
    bends = np.concatenate([geodesics.corners(maze.walls, 1e-6), maze.goals])
    length = maze.distance(bends, np.zeros(len(bends), int))
    ways = [
        np.where(geodesics.in_sight(maze.walls, points, bend), np.linalg.norm(points - bend, axis=1) + after, np.inf)
        for bend, after in zip(bends, length, strict=True)
    ]
    off = np.abs(maze.distance(points, np.zeros(5_000, int)) - np.min(ways, axis=0))
    assert off.max() < 0.1 and off.mean() < 2e-4 and (off > 1e-5).mean() < 0.02


def test_distance_by_hand():
    """Round the U: from the start to the wall's first corner, along it, and from its second corner to the goal."""
    maze = PointMaze("u")
    points = np.array([[1.5, 3.5], [3.5, 3.5], [1.5, 1.5]])
    way = np.hypot(1.5, 0.5) + 1.0 + np.hypot(1.5, 0.5)
    assert maze.distance(points, np.zeros(3, int)) == pytest.approx([0.0, 2.0, way], abs=1e-5)
    dense = PointMaze("u", "dense")
    _, reward, _ = dense.step(np.array([[1.5, 1.5, 0, 0, 0, 0, 0]]), np.zeros((1, 2)), none(1))
    assert reward[0] == pytest.approx(np.exp(-way / SCALE), rel=1e-5)


def test_in_sight_is_exact():
    walls = np.array([[letter == "#" for letter in line] for line in ("####", "#..#", "##.#", "####")])
    see = lambda a, b: bool(geodesics.in_sight(walls, np.array(a), np.array(b)))  # noqa: E731
    assert see((1.1, 1.9), (2.9, 1.1)) and see((2.05, 1.5), (2.05, 2.9)) and see((1.5, 1.5), (1.5, 1.5))
    assert not see((1.5, 1.5), (2.5, 2.6)) and see((1.5, 1.5), (2.5, 2.4))
    assert not see((1.1, 1.9), (2.1, 2.1)) and not see((1.95, 1.99), (2.005, 2.06))


def test_sparse_reward_is_the_radius():
    maze = PointMaze("u")
    x = np.array([1.0, 1.01, 1.5, 1.99, 2.01, 2.4])
    states = np.stack([x, np.full(6, 3.5)] + [np.zeros(6)] * 5, axis=1)
    _, rewards, _ = maze.step(states, np.zeros((6, 2)), none(6))
    assert rewards.tolist() == [1, 1, 1, 1, 0, 0] and RADIUS == 0.5


def test_starts():
    rng = np.random.default_rng(0)
    cells = lambda maze: {tuple(p) for p in np.floor(maze.start(rng, 3_000)[:, 1::-1]).astype(int).tolist()}  # noqa: E731
    free = {tuple(cell) for cell in np.argwhere(~PointMaze("four-rooms").walls).tolist()}
    assert cells(PointMaze("four-rooms")) == free
    assert cells(PointMaze("u", starts="far")) == {(1, 1), (1, 2), (1, 3)}
    assert cells(PointMaze("u", starts=[(3, 2), (1, 1)])) == {(3, 2), (1, 1)}
    assert (PointMaze("u").start(rng, 50)[:, 2:6] == 0).all()


def test_goal_conditioned():
    maze, rng = PointMaze("medium", goal_conditioned=True, goals=[(1, 1), (6, 6), (1, 5)]), np.random.default_rng(0)
    states = maze.start(rng, 900)
    seen = maze.observe(states)
    assert seen.shape == (900, 6) and maze.observation_size == 6 == len(maze.labels)
    assert {tuple(g) for g in seen[:, 4:].tolist()} == {(1.5, 1.5), (6.5, 6.5), (5.5, 1.5)}
    assert np.array_equal(maze.goal_numbers(seen), states[:, 6])
    states[:, :2] = seen[:, 4:]
    assert maze.step(states, np.zeros((900, 2)), none(900))[1].all(), "each at its own goal"
    states[:, :2] = np.roll(maze.goals, 1, axis=0)[states[:, 6].astype(int)]
    assert not maze.step(states, np.zeros((900, 2)), none(900))[1].any(), "each at another's goal"


def test_many_at_once_equal_one_at_a_time():
    maze, rng = PointMaze("four-rooms", "dense", noise=0.3, lag=0.2), np.random.default_rng(2)
    states = maze.start(rng, 40)
    for _ in range(30):
        actions, noise = rng.uniform(-1, 1, (40, 2)), rng.standard_normal((40, 2))
        after, rewards, _ = maze.step(states, actions, noise)
        for b in (0, 17, 39):
            alone, reward, _ = maze.step(states[b : b + 1], actions[b : b + 1], noise[b : b + 1])
            assert np.array_equal(alone[0], after[b]) and reward[0] == rewards[b]
        states = after


def test_drawing_and_names():
    plan = draw(PointMaze("\n".join(OPEN)))
    assert plan.walls.shape == (7, 7) and plan.walls.sum() == 24 and plan.goals.tolist() == [[3.5, 3.5]]
    assert envs.simulator("point-maze-u-dense").name == "point-maze-u-dense"
    assert envs.simulator("point-maze-u", goal=(1, 1)).goals.tolist() == [[1.5, 1.5]]
    assert [envs.simulator(f"point-maze-{x}").horizon for x in ("u", "medium", "four-rooms")] == [100, 150, 150]
    low, high = U["u"].bounds
    assert low.tolist() == [0, 0, -4, -4] and high.tolist() == [5, 5, 4, 4]


BAD = [
    (lambda: draw(None), "simulator=None: must be a PointMaze"),
    (lambda: envs.simulator("point-maze"), "name='point-maze': must be one of point-maze-u, point-maze-u-dense, "),
    (lambda: PointMaze("large"), "layout='large': must be one of 'u', 'medium', 'four-rooms', or the lines"),
    (lambda: PointMaze(7), "layout=7: must be one of"),
    (lambda: PointMaze(["###", "#x#", "###"]), r"layout\[1\]\[1\]='x': must be '#', '.' or 'G'"),
    (lambda: PointMaze(["####", "#G#", "####"]), r"layout\[1\]='#G#': must be 4 letters long"),
    (lambda: PointMaze(["###", "#G.", "###"]), r"layout\[1\]\[2\]='.': must be '#', for the border is wall"),
    (lambda: PointMaze(["####", "#GG#", "####"]), r"layout\[1\]\[2\]='G': must be the only G"),
    (lambda: PointMaze(["###", "###", "###"]), "must be a drawing with a free cell"),
    (lambda: PointMaze(["#####", "#G#.#", "#####"]), r"must be connected: no way from cell \(1, 3\)"),
    (lambda: PointMaze(["####", "#..#", "####"]), "goal=None: must be a cell"),
    (lambda: PointMaze(goal=(0, 0)), r"goal=\(0, 0\): must be a free cell"),
    (lambda: PointMaze(goal=(-2, 1)), r"goal=\(-2, 1\): must be a free cell"),
    (lambda: PointMaze(starts="near"), "starts='near': must be one of 'random', 'far'"),
    (lambda: PointMaze(starts=[(9, 9)]), r"starts=\(9, 9\): must be a free cell"),
    (lambda: PointMaze(starts=[]), r"starts=\[\]: must be cells"),
    (lambda: PointMaze(reward="shaped"), "reward='shaped': must be one of 'sparse', 'dense'"),
    (lambda: PointMaze(noise=-1), "noise=-1: must be at least 0"),
    (lambda: PointMaze(lag=1), r"lag=1: must be in \[0, 1\)"),
    (lambda: PointMaze(goals=[(1, 1)]), "must be left out unless goal_conditioned=True"),
    (lambda: PointMaze(goal_conditioned=True, starts="far"), "starts='far': must be one of 'random'"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_gives_one_line_that_names_argument_and_value(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
