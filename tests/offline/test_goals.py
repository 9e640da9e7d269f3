"""Walks end where they should, goals lie where they are said to, and what walks teach is what paths in graphs say."""

import re

import numpy as np
import pytest

from rlkit import envs, offline
from rlkit.offline import goals
from rlkit.offline.goals import after_swap, pairs_in_one_walk
from rlkit.runs import Run, Step

PLAN = ["######", "#....#", "####.#", "#....#", "######"]
WORLD = envs.PointMaze(PLAN, goal_conditioned=True, goals=[(1, 1), (3, 1)])


def test_walks_hang_together_and_end_on_arrival():
    made, again = goals.walks([WORLD], 12, seed=3), goals.walks([WORLD], 12, seed=3)
    assert all((a == b).all() for a, b in zip(made, again, strict=True))
    inner = np.arange(len(made.end)) + 1 < made.end
    np.testing.assert_array_equal(made.then[:-1][inner[:-1]], made.now[1:][inner[:-1]])
    assert len(np.unique(made.end)) == 12 and (made.start[made.start] == made.start).all()
    last = made.then[np.unique(made.end) - 1, :2]  # each walk ends within half a cell of one of the two goals
    distance = np.hypot(*(last[:, None] - WORLD.goals[None]).transpose(2, 0, 1))
    assert (distance.min(axis=1) <= 0.5).all() and {0, 1} == set(distance.argmin(axis=1).tolist())
    assert (made.now[np.unique(made.start), 2:] == 0).all()  # at rest


def test_a_label_is_a_place_and_pays_on_arrival():
    made = goals.walks([WORLD], 4, seed=0)
    row = np.array([0, 0, made.end[0] - 1])
    goal = np.array([0, made.end[0] - 1, made.end[0] - 1])
    data = goals.labelled(made, row, goal)
    np.testing.assert_array_equal(data.observations[:, 4:], made.then[goal, :2])
    np.testing.assert_array_equal(data.next_observations, np.concatenate([made.then[row], made.then[goal, :2]], axis=1))
    far = np.hypot(*(made.then[0, :2] - made.then[made.end[0] - 1, :2])) > 0.5
    assert data.rewards.tolist() == [1, 1 - far, 1] and data.terminated.tolist() == [True, not far, True]
    assert (data.truncated == ~data.terminated).all()


def test_whole_walks_keep_their_goal_and_their_order():
    made = goals.walks([WORLD], 5, seed=1)
    data = goals.whole_walks(made, 3, np.random.default_rng(0))
    assert len(data) == 3 * len(made.end) and len(data.episode_ends) == 15 and not data.terminated.any()
    for first, last in zip(data.episode_starts, data.episode_ends, strict=True):
        place = data.observations[first : last + 1, 4:]
        assert (place == place[0]).all()
        distance = np.hypot(*(data.next_observations[first : last + 1, :2] - place[0]).T)
        assert distance.min() == 0  # the goal lies on the walk
        np.testing.assert_array_equal(data.rewards[first : last + 1], distance <= 0.5)


def test_who_has_the_map_arrives_and_who_stands_still_does_not():
    routes = [((1, 1), (3, 1)), ((3, 1), (1, 1)), ((1, 1), (1, 1))]
    act = goals.walker(WORLD)(2 * 3 * 5, np.random.default_rng(0))
    reached, paths = goals.visit(lambda seen: act(seen.reshape(-1, 6)).reshape(2, 15, 2), WORLD, routes, [4, 5], 5)
    assert reached.shape == (2, 3) and (reached == 1).all() and paths.shape == (2, 3, 5, WORLD.horizon + 1, 2)
    np.testing.assert_array_equal(np.floor(paths[:, 1, :, 0]), np.broadcast_to([1, 3], (2, 5, 2)))  # (x, y)
    still, alone = goals.visit(lambda seen: np.zeros((1, 15, 2)), WORLD, routes, [5], 5)
    assert (still[0, :2] == 0).all() and (alone[0, :, :, 0] == paths[1, :, :, 0]).all()  # a seed's own starts


def test_the_level_of_a_policy_is_its_mean_over_all_routes():
    routes = {"there": ((1, 1), (3, 1)), "back": ((3, 1), (1, 1))}
    assert goals.level(goals.walker(WORLD), WORLD, routes) == 1
    still = goals.level(
        lambda number, rng: lambda seen: np.zeros((number, 2)), WORLD, routes | {"stay": ((1, 1), (1, 1))}
    )
    assert 0.8 / 3 < still <= 1 / 3  # it reaches the goal it starts at, and that alone


def test_a_learner_is_followed_and_its_rows_are_read_back(tmp_path):
    routes = {"to the left": ((1, 1), (3, 1)), "stay": ((1, 1), (1, 1))}
    agent = offline.Agent()
    data = [goals.labelled(goals.walks([WORLD], 5, seed), np.arange(20), np.arange(20)) for seed in range(4)]
    learner = offline.bc(data, range(4), steps=4, evaluate_every=2, episodes=1, simulator=WORLD, agent=agent)
    metrics, rows = goals.followed(learner, agent, WORLD, routes, range(4), arm="cloned")
    assert list(metrics) == list(routes) and (metrics["stay"] > 0.8).all()  # most start within the radius
    assert [row["seed"] for row in rows] == [0, 1, 2, 3] and ["paths" in row for row in rows] == [True] * 3 + [False]
    assert rows[0]["paths"]["stay"].shape == (3, WORLD.horizon // 3 + 1, 2)
    run = Run.create("goals", {}, root=tmp_path)
    assert goals.results(run) == {}
    run.record(Step(0, metrics, rows))
    found = goals.results(run)["cloned"]
    assert found.shape == (4, 2, 2)
    np.testing.assert_array_equal(found[:, 0, -1], metrics["to the left"])


def test_worlds_and_routes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=re.escape("worlds=")):
        goals.walks([envs.PointMaze("u")], 3, seed=0)
    with pytest.raises(ValueError, match=re.escape("goal=")):
        goals.visit(lambda seen: seen, WORLD, [((1, 1), (1, 2))], [0])


def test_a_walk_teaches_later_places_and_no_earlier_ones():
    # 0 -> 1 -> 2 and 3 -> 1 -> 4: they meet in 1.
    place, end = np.array([0, 1, 2, 3, 1, 4]), np.array([3, 3, 3, 6, 6, 6])
    seen = pairs_in_one_walk(place, end, 5)
    expected = np.eye(5, dtype=bool)
    for pair in ((0, 1), (0, 2), (1, 2), (3, 1), (3, 4), (1, 4)):
        expected[pair] = True
    np.testing.assert_array_equal(seen, expected)
    swapped = after_swap(seen)
    new = {tuple(pair) for pair in np.argwhere(swapped & ~seen).tolist()}
    assert new == {(0, 4), (3, 2)}  # across, and never against the direction of a walk
    np.testing.assert_array_equal(seen, expected)  # what was given stays


def test_one_swap_joins_two_walks_and_not_three():
    chain = np.eye(4, dtype=bool) | np.eye(4, k=1, dtype=bool)  # 0 -> 1, 1 -> 2, 2 -> 3: three walks
    once = after_swap(chain)
    assert once[0, 2] and not once[0, 3]
    twice = after_swap(once)
    np.testing.assert_array_equal(twice, np.triu(np.ones((4, 4), bool)))
    np.testing.assert_array_equal(after_swap(twice), twice)  # the closure stays


def test_swaps_are_paths_of_two_edges():
    rng = np.random.default_rng(3)
    seen = rng.random((7, 7)) < 0.2
    swapped = after_swap(seen)
    for s in range(7):
        for w in range(7):
            assert swapped[s, w] == (seen[s, w] or any(seen[s, g] and seen[g, w] for g in range(7)))


@pytest.mark.parametrize(
    ("place", "end", "words"),
    [([0, 3], [2, 2], "place="), ([0, -1], [2, 2], "place="), ([0, 1], [2], "end.shape=")],
)
def test_walks_that_are_none_are_named_in_one_line(place, end, words):
    with pytest.raises(ValueError, match="^" + re.escape(words)) as raised:
        pairs_in_one_walk(place, end, 3)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("seen", [np.ones((2, 3), bool), np.ones((2, 2)), np.ones(4, bool)])
def test_pairs_that_are_no_square_of_bools_are_refused(seen):
    with pytest.raises(ValueError, match=re.escape("seen.shape, ")):
        after_swap(seen)
