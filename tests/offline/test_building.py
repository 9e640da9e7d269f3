"""build: the same bits from a seed, whole episodes of the quality asked for, references and coverage beside them."""

import numpy as np
import pytest

from rlkit import envs
from rlkit.offline.building import _counts, build, coverage
from rlkit.offline.dataset import Dataset
from rlkit.offline.well_formed import ARRAYS

MIXED = {"expert": 0.05, "random": 0.95}


def same(one, other):
    return one.facts == other.facts and all(np.array_equal(getattr(one, k), getattr(other, k)) for k in ARRAYS)


@pytest.mark.parametrize(("world", "quality"), [("point-maze-u", "medium"), ("maze", MIXED), ("rocket", MIXED)])
def test_a_seed_gives_the_same_bits_and_another_seed_others(world, quality):
    data = build(world, quality, 1_000, seed=3)
    assert same(data, build(world, quality, 1_000, seed=3))
    assert not same(data, build(world, quality, 1_000, seed=4))


def test_rows_are_what_the_world_does():
    """Every transition of a noiseless point maze, stepped again from its own observation."""
    world = envs.simulator("point-maze-u")
    data = build(world, "expert", 1_000, seed=0)
    states = np.zeros((len(data), 7))
    states[:, :4] = data.observations
    after, rewards, terminated = world.step(states, data.actions, np.zeros((len(data), 0)))
    assert np.allclose(world.observe(after), data.next_observations, atol=1e-5)
    assert (rewards == data.rewards).mean() > 0.999, "but for rounding at the goal's edge"
    assert not terminated.any() and not data.terminated.any()
    assert np.flatnonzero(data.truncated).tolist() == list(range(99, 1_000, 100)), "the clock cuts at 100 steps"


def test_episodes_that_the_world_ends_are_terminated_and_not_cut():
    data = build("maze", "expert", 500, seed=0)
    assert 500 <= len(data) < 600
    assert data.terminated[data.episode_ends].all() and not data.truncated.any()
    lengths = data.episode_ends - data.episode_starts + 1
    assert len(set(lengths)) > 3 and lengths.max() < 100
    random = build("maze", "random", 500, seed=0)
    cut = random.truncated[random.episode_ends]
    assert cut.any() and (random.step_of[random.episode_ends[cut]] == 99).all()


def test_shares_are_of_episodes_and_order_is_shuffled():
    data = build("point-maze-u", MIXED, 10_000, seed=1)
    quality = np.array(data.facts["episode_quality"])
    assert len(data) == 10_000 and len(quality) == 100 and (quality == "expert").sum() == 5
    assert data.returns[quality == "expert"].mean() > 70 > 20 > data.returns[quality == "random"].mean()
    assert np.flatnonzero(quality == "expert").tolist() != list(range(5)), "not one block after another"
    order = [build("point-maze-u", MIXED, 10_000, seed=s).facts["episode_quality"] for s in (2, 3)]
    assert order[0] != order[1]
    turned = build("point-maze-u", {"random": 0.95, "expert": 0.05}, 10_000, seed=1)
    assert np.array_equal(turned.rewards, data.rewards), "the order in the dictionary does not matter"


def test_largest_remainder_and_at_least_one():
    assert _counts({"random": 0.95, "expert": 0.05}, 100).tolist() == [95, 5]
    assert _counts({"random": 0.5, "medium": 0.3, "expert": 0.2}, 7).tolist() == [4, 2, 1]  # 3.5, 2.1, 1.4
    assert _counts({"random": 0.99, "expert": 0.01}, 10).tolist() == [10, 1]


def test_narrow_is_the_expert_from_the_farthest_cell():
    world = envs.simulator("point-maze-medium")
    data = build(world, "narrow", 3_000, seed=0)
    first = data.observations[data.episode_starts]
    cells = np.unique(first[:, 1::-1].astype(int), axis=0)
    assert cells.tolist() == data.facts["starts"] and len(cells) == 1
    every = world.distance(world.starts[:, ::-1] + 0.5, np.zeros(len(world.starts), int))
    assert world.distance(cells[:, ::-1] + 0.5, np.zeros(1, int))[0] == every.max() > 0
    wide = build(world, "expert", 3_000, seed=0)
    assert data.facts["coverage"] < wide.facts["coverage"]
    assert len(world.starts) > 1, "the simulator itself keeps its starts"
    with pytest.raises(ValueError, match="quality='narrow': must be another one: maze-rooms has no start cells"):
        build("maze", "narrow", 100, seed=0)


def test_facts_say_where_the_data_is_from():
    data = build(envs.simulator("point-maze-u", noise=0.2), "medium", 2_000, seed=5)
    facts = data.facts
    assert facts["simulator"] == "point-maze-u" and facts["quality"] == "medium" and facts["seed"] == 5
    assert facts["options"] == {"noise": 0.2}
    assert build(envs.PointMaze("u"), "medium", 100, seed=5).facts["options"] is None, "nobody could make it again"
    assert facts["episode_returns"] == data.returns.tolist() and facts["behaviour_return"] == data.returns.mean()
    assert facts["random_return"] < facts["behaviour_return"] < facts["expert_return"]
    assert facts["optimal_return"] is None and facts["horizon"] == 100 and facts["discount"] == 0.99
    maze = build("maze", "random", 500, seed=0).facts
    assert maze["optimal_return"] == envs.references("maze")["optimal"] and maze["actions"] == 4
    assert maze["simulator"] == "maze" and maze["discount"] == envs.simulator("maze").mdp.discount


def test_coverage_of_a_finite_maze_by_hand():
    world = envs.simulator("maze")
    data = build(world, "expert", 2_000, seed=0)
    pairs = {(int(s), int(a)) for s, a in zip(data.observations.argmax(axis=1), data.actions, strict=True)}
    reached = ~world.mdp.terminal  # in the rooms every free cell can be reached
    assert data.facts["coverage"] == pytest.approx(len(pairs) / (4 * reached.sum()))
    assert build(world, "random", 20_000, seed=0).facts["coverage"] > 0.9


def test_coverage_of_a_point_maze_counts_free_cells():
    world = envs.simulator("point-maze-u")
    data = build(world, "random", 100, seed=0)
    still = np.zeros((2, 4), np.float32)
    still[:, :2] = data.observations[0, :2]
    one = Dataset(still, np.zeros((2, 2)), np.zeros(2), still, np.zeros(2, bool), np.array([False, True]))
    assert coverage(one, world) == (pytest.approx(1 / (~world.walls).sum()), "of free cells")


def test_coverage_elsewhere_is_relative_to_what_random_and_expert_visit():
    world = envs.simulator("delay-pipe")
    small, large = (build(world, "random", n, seed=0) for n in (150, 15_000))
    assert 0 < small.facts["coverage"] < 0.5 * large.facts["coverage"] and large.facts["coverage"] <= 1
    assert large.facts["coverage_of"].startswith("of cells of ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "random", 100), "name='nowhere': must be one of point-maze-u"),
        (("maze", "good", 100), "quality='good': must be one of 'random', 'medium', 'expert', 'narrow'"),
        (("maze", {"narrow": 1.0}, 100), "quality='narrow': must be one of 'random', 'medium', 'expert'"),
        (("maze", {}, 100), "quality={}: must be shares of episodes that sum to 1"),
        (("maze", {"expert": 0.5, "random": 0.4}, 100), "quality={.*}: must be shares of episodes that sum to 1"),
        (("maze", {"expert": 1.5, "random": -0.5}, 100), r"quality\['random'\]=-0.5: must be a finite number above 0"),
        (("maze", "random", 0), "transitions=0: must be a positive integer"),
        (("maze", "random", 10.0), "transitions=10.0: must be a positive integer"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        build(*arguments, seed=0)
    assert "\n" not in str(error.value)


def test_a_bad_seed():
    with pytest.raises(ValueError, match="seed=-1: must be an integer of at least 0"):
        build("maze", "random", 100, seed=-1)
