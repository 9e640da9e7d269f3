"""Behaviour policies: what they earn, how they differ, and that they are the same again."""

import numpy as np
import pytest

from rlkit import envs, mdps
from rlkit.envs import behaviours
from rlkit.envs.point_maze import PointMaze

MAZES = [name for name in envs.names() if name.startswith("point-maze")]


@pytest.mark.parametrize("name", MAZES)
def test_medium_lies_halfway_between_random_and_expert(name):
    found = envs.references(name)
    share = (found["medium"] - found["random"]) / (found["expert"] - found["random"])
    assert 0.37 < share < 0.64
    assert found["optimal"] is None


@pytest.mark.parametrize("layout", ["u", "medium", "four-rooms"])
def test_the_expert_comes_from_afar_in_a_third_of_the_time_and_stays(layout):
    maze = PointMaze(layout, starts="far")
    played = envs.rollout(maze, envs.behaviour(maze, "expert"), np.random.default_rng(0), 200)
    arrival = played.rewards.argmax(axis=1)
    assert played.rewards.any(axis=1).all() and 0.25 < arrival.mean() / maze.horizon < 0.45
    assert (played.rewards.sum(axis=1) == maze.horizon - arrival).all(), "it never leaves the goal again"


def test_the_expert_is_near_the_fastest_way():
    """Along one straight line of 4 cells, to RADIUS of the goal: no push gets there faster than full push all along."""
    maze = PointMaze(["########", "#.....G#", "########"], starts=[(1, 2)])
    full = envs.rollout(
        maze, lambda count, rng: lambda o: np.tile([1.0, 0.0], (count, 1)), np.random.default_rng(0), 50
    )
    ours = envs.rollout(maze, envs.behaviour(maze, "expert"), np.random.default_rng(0), 50)
    slower = ours.rewards.argmax(axis=1) - full.rewards.argmax(axis=1)
    assert slower.min() >= 0 and slower.mean() < 6


@pytest.mark.parametrize("layout", ["u", "medium", "four-rooms"])
def test_random_visits_the_whole_maze(layout):
    maze = PointMaze(layout)
    played = envs.rollout(maze, envs.behaviour(maze, "random"), np.random.default_rng(1), 200)
    visits = np.zeros(maze.walls.shape)
    np.add.at(visits, tuple(played.states[..., 1::-1].reshape(-1, 2).astype(int).T), 1)
    share = visits[~maze.walls] / visits.sum() * (~maze.walls).sum()
    assert share.min() > 0.2, "each cell at least a fifth as often as on average"
    assert visits[maze.walls].sum() == 0


def test_random_actions_are_correlated_in_time():
    act = behaviours.wander(2, memory=0.9, spread=0.3)(4_000, np.random.default_rng(0))
    actions = np.stack([act(None) for _ in range(12)])
    assert np.corrcoef(actions[0].ravel(), actions[1].ravel())[0, 1] == pytest.approx(0.9, abs=0.01)
    assert np.corrcoef(actions[0].ravel(), actions[10].ravel())[0, 1] == pytest.approx(0.9**10, abs=0.03)
    assert actions.std() == pytest.approx(0.3, abs=0.005)


def test_the_expert_reaches_each_goal_that_it_is_told():
    maze = PointMaze("four-rooms", goal_conditioned=True)
    played = envs.rollout(maze, envs.behaviour(maze, "expert"), np.random.default_rng(0), 300)
    assert (played.rewards[:, -1] == 1).all()
    assert len(np.unique(played.states[:, 0, 6])) > 60


def test_lag_and_noise_cost_the_expert_little_but_something():
    calm, lagging, shaken = (
        envs.references(PointMaze("u", **options))["expert"] for options in ({}, {"lag": 0.5}, {"noise": 0.5})
    )
    assert 0.75 * calm < lagging < calm and 0.75 * calm < shaken < calm


@pytest.mark.parametrize("quality", behaviours.QUALITIES)
def test_the_same_seed_gives_the_same_bits(quality):
    maze = PointMaze("medium", noise=0.2)
    one, two = (envs.rollout(maze, envs.behaviour(maze, quality), np.random.default_rng(9), 20) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    other = envs.rollout(maze, envs.behaviour(maze, quality), np.random.default_rng(10), 20)
    assert not np.array_equal(one.actions, other.actions)


def test_references_are_kept_and_cannot_be_spoilt():
    maze = PointMaze("u")
    envs.references(maze)["expert"] = -1
    assert envs.references(maze) == envs.references("point-maze-u"), "by object or by name, from the same seed"
    assert envs.references(maze)["expert"] > 0


# Finite mazes


def test_finite_maze_policies_earn_their_exact_return():
    maze = envs.simulator("maze")
    exact = envs.references(maze)
    for quality in behaviours.QUALITIES:
        total = envs.returns(envs.rollout(maze, envs.behaviour(maze, quality), np.random.default_rng(3), 4_000))
        assert total.mean() == pytest.approx(exact[quality], abs=5 * total.std() / 4_000**0.5 + 1e-9), quality
    assert exact["random"] < exact["medium"] < exact["expert"] <= exact["optimal"] + 1e-12


@pytest.mark.parametrize("name", ["maze-corridor", "maze-u", "maze-rooms", "maze-risky"])
def test_finite_policies(name):
    maze = envs.simulator(name)
    best = mdps.greedy(mdps.value_iteration(maze.mdp)[1])
    random, medium, expert = (behaviours.finite_policy(maze, quality) for quality in behaviours.QUALITIES)
    assert np.array_equal(expert, best) and (random == 0.25).all()
    share = (medium - best)[best == 0] / 0.25
    assert share == pytest.approx(share[0], abs=1e-12) and 0 < share[0] < 1, "a mixture of the two"
    found = envs.references(maze)
    assert found["medium"] == pytest.approx((found["random"] + found["expert"]) / 2, abs=1e-4)


def test_table_draws_the_policy():
    policy = np.array([[0.5, 0.2, 0.3], [0.0, 1.0, 0.0]])
    act = behaviours.table(policy)(60_000, np.random.default_rng(0))
    actions = act(np.eye(2, dtype=np.float32)[np.arange(60_000) % 2])
    assert np.bincount(actions[::2], minlength=3) / 30_000 == pytest.approx([0.5, 0.2, 0.3], abs=0.015)
    assert (actions[1::2] == 1).all()


class Homeless:
    """A simulator of a module without behaviour policies."""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: envs.behaviour(PointMaze(), "good"), "quality='good': must be one of 'random', 'medium', 'expert'"),
        (lambda: envs.behaviour(Homeless(), "expert"), "must be of a module with a function behaviour"),
        (lambda: envs.references("moon"), "name='moon': must be one of point-maze-u, "),
    ],
    ids=range(3),
)
def test_bad_input_gives_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_simulators_of_one_recipe_are_measured_once(monkeypatch):
    first = envs.references(envs.simulator("glucose"))
    monkeypatch.setattr("rlkit.envs.behaviours._measure", lambda simulator: pytest.fail("measured again"))
    assert envs.references(envs.simulator("glucose")) == first
