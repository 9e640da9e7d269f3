"""Dyna-Q against Q-learning and the exact answers, in real steps."""

import numpy as np
import pytest
from scipy.stats import chi2

from rlkit import mdps
from rlkit.mdps.dyna import dreams

SMALL = mdps.maze(["S..", ".#.", "..G"], slip=0.1, discount=0.9)
SEEDS = list(range(10))


def last(learner):
    *_, step = learner
    return step


def first_reached(learner, reached):
    """For each seed the first step at which reached(metrics) [S] holds, infinity where it never does."""
    found = np.full(len(SEEDS), np.inf)
    for step in learner:
        found = np.where(reached(step.metrics) & np.isinf(found), step.step, found)
        if np.isfinite(found).all():
            break
    return found


def test_the_best_way_through_the_rooms_in_a_fifth_of_the_real_steps():
    """16 moves without slip, 10 seeds, rate 1: with 10 dreams a step the greedy policy is first exactly optimal after
    250 to 1,850 real steps (median 950), without dreams after 5,800 to 9,750 (median 6,700)."""
    world = mdps.maze("rooms", slip=0.0, discount=0.9)
    best = world.start @ mdps.value_iteration(world)[0]
    assert best == pytest.approx(0.9**15, abs=1e-12)
    found = {
        planning: first_reached(
            mdps.dyna_q(world, SEEDS, 10_000, planning, rate=1.0, every=50),
            lambda metrics: np.abs(metrics["return"] - best) < 1e-12,
        )
        for planning in (0, 10)
    }
    assert found[10].max() <= 2_000 and 5_500 <= found[0].min() <= found[0].max() <= 10_000
    assert 5 * np.median(found[10]) < np.median(found[0])


def test_the_whole_table_is_exact_in_a_deterministic_maze():
    """Every entry of q within 1e-6 of q*, in all 10 seeds: after 750 real steps with dreams, 1,850 without."""
    world = mdps.maze("u", slip=0.0, discount=0.9)
    found = {
        planning: first_reached(
            mdps.dyna_q(world, SEEDS, 3_000, planning, rate=1.0, epsilon=0.5, every=50),
            lambda metrics: metrics["error"] < 1e-6,
        )
        for planning in (0, 10)
    }
    assert found[10].max() <= 800 and found[0].max() <= 2_000
    assert 2 * np.median(found[10]) < np.median(found[0])


def test_with_slip_dreams_are_nearer_the_optimum_after_as_many_steps():
    """Slip 0.1, acting at random, rates n^-0.6: the worst entry of q after 2,000 steps errs by 0.12 (median of 10
    seeds) with dreams and by 0.39 without."""
    world = mdps.maze("u", slip=0.1, discount=0.9)
    error = {
        planning: last(
            mdps.dyna_q(world, SEEDS, 2_000, planning, rate=lambda n: n**-0.6, epsilon=1.0, every=2_000)
        ).metrics["error"]
        for planning in (0, 10)
    }
    assert np.median(error[10]) < 0.15 < 0.3 < np.median(error[0])


def test_dreams_come_true_in_the_long_run():
    """They sample what followed: q comes to q* of a slippery world, nearer and nearer."""
    steps = list(mdps.dyna_q(SMALL, SEEDS, 16_000, 3, rate=lambda n: n**-0.8, epsilon=1.0, every=4_000))
    first, end = steps[0].metrics, steps[-1].metrics
    assert end["error"].max() < 0.06 and end["error"].mean() < 0.6 * first["error"].mean()
    assert np.allclose(end["return"], SMALL.start @ mdps.value_iteration(SMALL)[0], atol=1e-9)


def test_without_planning_it_is_q_learning_bit_for_bit():
    dreamless = mdps.dyna_q(SMALL, [4, 3], 2_500, planning=0)
    for one, other in zip(dreamless, mdps.q_learning(SMALL, [4, 3], 2_500), strict=True):
        assert one.step == other.step and np.array_equal(one.metrics["error"], other.metrics["error"])
        assert all(np.array_equal(a["q"], b["q"]) for a, b in zip(one.rollouts, other.rollouts, strict=True))


@pytest.mark.parametrize("planning", [1, 7, 1_500])
def test_seeds_rerun_bit_for_bit_and_alone_as_together(planning):
    steps = 1_200 if planning < 10 else 20
    together = last(mdps.dyna_q(SMALL, SEEDS, steps, planning))
    again = last(mdps.dyna_q(SMALL, SEEDS, steps, planning))
    alone = last(mdps.dyna_q(SMALL, [3], steps, planning))
    assert all(np.array_equal(a["q"], b["q"]) for a, b in zip(together.rollouts, again.rollouts, strict=True))
    assert np.array_equal(together.rollouts[3]["q"], alone.rollouts[0]["q"])
    assert together.metrics["error"][3] == alone.metrics["error"][0]
    tables = {row["q"].tobytes() for row in together.rollouts}
    assert len(tables) == 10 or steps == 20, "seeds differ, once the goal was found"


def test_dreams_are_uniform_over_pairs_and_follow_counts():
    """Seed 0 sees pair (0, 1) four times, with next states 1, 2, 2, 2, and (5, 3) once; seed 1 sees (2, 0) alone."""
    imagine = dreams(SMALL, [0, 1], planning=1_000)
    for t, (state, action, reward, after) in enumerate([(0, 1, 7, 1), (0, 1, 8, 2), (5, 3, 9, 5), (0, 1, 6, 2)]):
        columns = ([state, 2], [action, 0], [float(reward), 1.0], [after, 4])
        dreamt = list(imagine(t, *map(np.array, columns)))
        assert len(dreamt) == 1_000
    table = np.array(list(imagine(4, *map(np.array, ([0, 2], [1, 0], [5.0, 2.0], [2, 4])))))  # [1000, 4, S]
    assert (table[:, :, 1] == [2, 0, 2.0, 4]).all()
    seen, counts = np.unique(table[:, :, 0], axis=0, return_counts=True)
    assert seen.tolist() == [[0, 1, 5, 1], [0, 1, 5, 2], [5, 3, 9, 5]], "the reward is the last one seen"
    expected = 1_000 * np.array([1 / 8, 3 / 8, 1 / 2])
    assert ((counts - expected) ** 2 / expected).sum() < chi2.ppf(0.999, df=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"planning": -1}, "planning=-1: must be an integer of at least 0"),
        ({"planning": 2.5}, r"planning=2\.5: must be an integer of at least 0"),
        ({"seeds": []}, r"seeds=\[\]: must be a list of at least one seed"),
        ({"seeds": [-1]}, "seed=-1: must be an integer of at least 0"),
        ({"steps": 0}, "steps=0: must be a positive integer"),
        ({"rate": 0}, "rate=0: must be a finite number above 0"),
        ({"epsilon": 2}, r"epsilon=2\.0: must be in \[0, 1\]"),
        ({"every": 0}, "every=0: must be a positive integer"),
    ],
)
def test_bad_input_is_named_at_once(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        mdps.dyna_q(SMALL, **({"seeds": [0], "steps": 10} | change))
    assert "\n" not in str(caught.value)
