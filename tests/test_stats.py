"""pass@k against counting, the IQM against scipy, intervals against closed forms, rliable's defects and coverage."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats as reference

from rlkit import stats

RNG = np.random.default_rng(7)


# ---- pass@k


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_pass_at_k_equals_the_exact_ratio_of_binomial_coefficients(n):
    for c, k in itertools.product(range(n + 1), range(1, n + 1)):
        exact = 1 - math.comb(n - c, k) / math.comb(n, k)
        assert stats.pass_at_k(n, c, k) == pytest.approx(exact, abs=1e-14)


def test_pass_at_k_is_the_fraction_of_all_subsets_that_hold_a_correct_sample():
    correct = [1, 0, 0, 1, 0, 0, 0]
    for k in range(1, 8):
        subsets = list(itertools.combinations(correct, k))
        assert stats.pass_at_k(7, 2, k) == pytest.approx(np.mean([max(s) for s in subsets]), abs=1e-14)


def test_pass_at_k_is_unbiased_for_the_true_chance():
    p, n, k = 0.3, 6, 4
    chance = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    assert np.dot(chance, stats.pass_at_k(n, np.arange(n + 1), k)) == pytest.approx(1 - (1 - p) ** k, abs=1e-14)


def test_pass_at_k_broadcasts_problems_against_k_and_stays_exact_for_many_samples():
    c, k = np.array([0, 1, 100, 10_000]), np.array([1, 8, 256])
    found = stats.pass_at_k(10_000, c[:, None], k)  # [P, K]
    exact = [[1 - math.comb(10_000 - a, b) / math.comb(10_000, b) for b in k.tolist()] for a in c.tolist()]
    np.testing.assert_allclose(found, exact, atol=1e-12)
    assert found.shape == (4, 3) and isinstance(stats.pass_at_k(4, 1, 2), float)


@pytest.mark.parametrize(
    ("n", "c", "k", "message"),
    [
        (4, 5, 1, "c=5.0: must be a whole number from 0 to n"),
        (4, -1, 1, "c=-1.0"),
        (4, 1, 5, "k=5.0: must be a whole number from 1 to n"),
        (4, 1, 0, "k=0.0"),
        (0, 0, 1, "n=0.0"),
        (4, 1.5, 1, "c=1.5"),
        (4, [1, np.nan], 1, r"c\[1\]=nan: must be finite"),
        ([4, 4], [1, 1, 1], 1, "must broadcast"),
    ],
)
def test_pass_at_k_refuses_impossible_counts_in_one_line(n, c, k, message):
    with pytest.raises(ValueError, match=message) as caught:
        stats.pass_at_k(n, c, k)
    assert "\n" not in str(caught.value)


# ---- interquartile mean


@pytest.mark.parametrize("size", range(1, 22))
def test_iqm_equals_scipy_also_where_the_size_is_not_divisible_by_four(size):
    values = RNG.normal(size=size)
    assert stats.iqm(values) == pytest.approx(reference.trim_mean(values, 0.25), abs=1e-14)


def test_iqm_over_one_axis_and_over_several_taken_together():
    values = RNG.normal(size=(3, 7, 5))
    for axis in (0, 1, 2, -1):
        np.testing.assert_allclose(stats.iqm(values, axis), reference.trim_mean(values, 0.25, axis=axis), atol=1e-14)
    together = reference.trim_mean(values.transpose(1, 0, 2).reshape(7, 15), 0.25, axis=1)
    np.testing.assert_allclose(stats.iqm(values, (0, 2)), together, atol=1e-14)
    assert stats.iqm(values) == pytest.approx(reference.trim_mean(values.ravel(), 0.25), abs=1e-14)


def test_iqm_refuses_nan_and_nothing():
    with pytest.raises(ValueError, match=r"values\[1\]=nan: must be finite"):
        stats.iqm([1.0, np.nan])
    with pytest.raises(ValueError, match="not empty"):
        stats.iqm([])


# ---- stratified bootstrap


def test_rliable_ignored_its_random_state_ours_repeats_bit_for_bit():
    values = RNG.random((10, 4))
    first, again = stats.bootstrap_ci(values, seed=3), stats.bootstrap_ci(values, seed=3)
    other = stats.bootstrap_ci(values, seed=4)
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)
    assert first.low == pytest.approx(other.low, abs=0.01)


def test_the_global_random_state_is_neither_read_nor_moved():
    values = RNG.random((5, 2))
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the point is that nobody touches it
    stats.bootstrap_ci(values, replicates=100)
    stats.paired_bootstrap({"a": values}, lambda mean: mean["a"], replicates=100)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_rliable_accepted_swapped_axes_ours_says_so():
    with pytest.raises(ValueError, match=r"shape \(1, 10\): one run shows no spread: must be \[runs, tasks\]"):
        stats.bootstrap_ci(RNG.random((1, 10)))
    with pytest.raises(ValueError, match="rows and columns look swapped"):
        stats.bootstrap_ci(RNG.random((2, 10)), tasks=["pong", "breakout"])


def test_rliable_took_episodes_for_runs_ours_asks_to_average_them():
    with pytest.raises(ValueError, match="episodes averaged within each run"):
        stats.bootstrap_ci(RNG.random((5, 3, 20)))


def test_stratified_percentiles_match_a_plain_loop():
    values = RNG.random((6, 3))
    rng = np.random.default_rng(0)
    loop = []
    for _ in range(20_000):
        sample = np.stack([values[rng.integers(0, 6, 6), task] for task in range(3)], axis=1)
        loop.append(np.sort(sample.ravel())[4:14].mean())
    found = stats.bootstrap_ci(values, replicates=20_000, seed=1)
    np.testing.assert_allclose([found.low, found.high], np.quantile(loop, [0.025, 0.975]), atol=0.006)
    assert found.estimate == pytest.approx(reference.trim_mean(values.ravel(), 0.25), abs=1e-14)


def test_runs_are_resampled_within_their_task_so_a_constant_gap_between_tasks_adds_no_spread():
    values = np.array([[0.0, 100.0, 1000.0]] * 5)
    found = stats.bootstrap_ci(values, np.mean, replicates=500)
    assert found.low == pytest.approx(found.high) == pytest.approx(1100 / 3)


def test_bootstrap_takes_any_statistic_with_an_axis_and_refuses_one_that_ignores_it():
    values = RNG.normal(size=(40, 2))
    found = stats.bootstrap_ci(values, np.mean, replicates=20_000, level=0.9)
    half = 1.645 * np.sqrt(values.var(axis=0).mean() / 80)  # stratified: the variance within tasks
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.05)
    per_task = stats.bootstrap_ci(values, lambda v, axis: v.mean(axis[0]), replicates=200)
    assert per_task.low.shape == (2,) and (per_task.low < per_task.estimate).all()
    with pytest.raises(ValueError, match="must reduce the given axis"):
        stats.bootstrap_ci(values, lambda v, axis: v.mean(), replicates=200)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"replicates": 0}, "replicates=0: must be a positive integer"),
        ({"level": 1.0}, r"level=1.0: must be between 0 and 1"),
        ({"seed": 0.5}, "seed=0.5"),
        ({"seed": None}, "seed=None"),
    ],
)
def test_bootstraps_refuse_bad_options_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message):
        stats.bootstrap_ci(RNG.random((4, 2)), **arguments)
    with pytest.raises(ValueError, match=message):
        stats.paired_bootstrap({"a": RNG.random(4)}, lambda mean: mean["a"], **arguments)


# ---- slopes


def test_slopes_recover_exponents_and_equal_polyfit():
    n = np.array([100, 1_000, 10_000, 100_000])
    assert stats.loglog_slope(n, 3 * n**-0.5) == pytest.approx(-0.5, abs=1e-12)
    y = RNG.random((6, 4)) + 0.1
    np.testing.assert_allclose(stats.slope(n, y), np.polyfit(n, y.T, 1)[0], atol=1e-12)
    np.testing.assert_allclose(stats.loglog_slope(n, y), np.polyfit(np.log(n), np.log(y).T, 1)[0], atol=1e-12)


def test_a_floor_makes_a_decay_flatter_and_a_zero_without_one_has_no_exponent():
    n, y = [1, 10, 100], np.array([1.0, 0.1, 0.0])
    assert np.isnan(stats.loglog_slope(n, y))
    assert stats.loglog_slope(n, y, floor=0.01) == pytest.approx(-1)
    assert stats.loglog_slope(n, y, floor=0.05) > -1
    with pytest.raises(ValueError, match=r"x=.*must be above 0"):
        stats.loglog_slope([0, 1], [1, 1])
    with pytest.raises(ValueError, match="at least two different values"):
        stats.slope([2, 2], [1, 3])
    with pytest.raises(ValueError, match="one value for each of 3 x"):
        stats.slope(n, [1.0, 2.0])


# ---- paired crossed bootstrap


def test_arms_are_paired_so_what_a_seed_gives_to_both_cancels():
    seed_effect = RNG.normal(size=5) * 100
    arms = {"method": seed_effect + 1.0, "baseline": seed_effect}
    found = stats.paired_bootstrap(arms, lambda mean: mean["method"] - mean["baseline"])
    np.testing.assert_allclose(found[:3], 1.0)
    assert found.seeds == 5


def test_shared_problems_are_drawn_once_for_all_seeds_and_arms():
    hardness = RNG.normal(size=50)
    arms = {"method": np.tile(hardness, (8, 1)) + 0.5, "baseline": np.tile(hardness, (8, 1))}
    axes = ("seed", "problem")
    paired = stats.paired_bootstrap(arms, lambda mean: mean["method"] - mean["baseline"], axes=axes)
    np.testing.assert_allclose(paired[:3], 0.5)  # the same problems in both arms: no spread left
    alone = stats.paired_bootstrap(arms, lambda mean: mean["method"], axes=axes)
    expected = 1.96 * hardness.std() / np.sqrt(50) * stats.widening(8)
    # Drawn anew for each seed, the spread would be smaller by sqrt(8).
    assert (alone.high - alone.low) / 2 == pytest.approx(expected, rel=0.05)


def test_episodes_are_resampled_within_their_seed_only():
    same_seeds = np.tile(RNG.normal(size=30), (6, 1))  # [S, E], no spread between seeds
    found = stats.paired_bootstrap({"a": same_seeds}, lambda mean: mean["a"], axes=("seed", "episode"))
    nested = 1.96 * same_seeds[0].std() / np.sqrt(6 * 30) * stats.widening(6)
    assert (found.high - found.low) / 2 == pytest.approx(nested, rel=0.05)
    three = {"a": np.tile(same_seeds[:, None], (1, 4, 1))}  # [S, P, E]
    crossed = stats.paired_bootstrap(three, lambda mean: mean["a"], axes=("seed", "problem", "episode"))
    assert crossed.estimate == pytest.approx(same_seeds.mean())
    assert (crossed.high - crossed.low) / 2 == pytest.approx(
        nested / 2 * stats.widening(4) / stats.widening(6), rel=0.1
    )


def test_for_normal_seeds_the_interval_comes_out_as_students():
    values = RNG.normal(size=10)
    found = stats.paired_bootstrap({"a": values}, lambda mean: mean["a"], replicates=50_000)
    half = reference.t.ppf(0.975, 9) * values.std(ddof=1) / np.sqrt(10)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.05)


def test_widening_is_the_prescribed_factor_and_follows_the_scarcer_axis():
    assert stats.widening(3) == pytest.approx(4.302653 / 1.959964 * np.sqrt(3 / 2), rel=1e-6)
    assert stats.widening(1000) == pytest.approx(1, abs=0.002)
    few_problems = {"a": np.tile(RNG.normal(size=4), (10, 1))}
    found = stats.paired_bootstrap(few_problems, lambda mean: mean["a"], axes=("seed", "problem"), replicates=2_000)
    raw = stats.bootstrap_ci(few_problems["a"][0], np.mean, replicates=20_000)
    assert (found.high - found.low) / (raw.high - raw.low) == pytest.approx(stats.widening(4), rel=0.06)


def test_an_effect_may_be_a_slope_over_a_kept_grid_and_the_seed_fixes_the_interval():
    n = np.array([100, 1_000, 10_000])
    values = n**-0.5 * RNG.uniform(0.5, 1.5, size=(20, 3))  # [S, N]
    found = stats.paired_bootstrap({"lcb": values}, lambda mean: stats.loglog_slope(n, mean["lcb"]), seed=5)
    again = stats.paired_bootstrap({"lcb": values}, lambda mean: stats.loglog_slope(n, mean["lcb"]), seed=5)
    assert found == again
    assert found.low < -0.5 < found.high and found.high - found.low < 0.2
    curve = stats.paired_bootstrap({"lcb": values}, lambda mean: mean["lcb"])
    assert curve.low.shape == (3,) and (curve.low < curve.estimate).all() and (curve.estimate < curve.high).all()


@pytest.mark.parametrize(
    ("arms", "effect", "axes", "message"),
    [
        ({}, lambda m: 0, ("seed",), "arms=.*must be a dictionary"),
        ({"a": [1.0]}, lambda m: m["a"], ("seed",), "at least 2 on axis 'seed'"),
        ({"a": np.ones((3, 1))}, lambda m: m["a"], ("seed", "problem"), "at least 2 on axis 'problem'"),
        ({"a": np.ones(3), "b": np.ones(4)}, lambda m: m["a"], ("seed",), r"arms\['b'\] of shape \(4,\)"),
        ({"a": np.ones(3)}, lambda m: m["a"], ("seed", "problem"), r"arms\['a'\] of shape \(3,\)"),
        ({"a": [1.0, np.inf]}, lambda m: m["a"], ("seed",), r"arms\['a'\]\[1\]=inf: must be finite"),
        ({"a": np.ones(3)}, lambda m: m["a"], ("problem",), "axes=.*must be one of"),
        ({"a": np.ones((3, 2))}, lambda m: m["a"][0], ("seed",), "must keep the first axis"),
        ({"a": np.zeros((3, 2))}, lambda m: stats.loglog_slope([1, 2], m["a"]), ("seed",), "NaN or infinite"),
    ],
)
def test_paired_bootstrap_refuses_what_it_cannot_answer_in_one_line(arms, effect, axes, message):
    with pytest.raises(ValueError, match=message) as caught:
        stats.paired_bootstrap(arms, effect, axes=axes, replicates=100)
    assert "\n" not in str(caught.value)


# ---- does a nominal 95 % cover? 2,000 experiments at once, along a kept axis

SIMULATIONS = 2_000


def covered(arms, truth, axes) -> float:
    found = stats.paired_bootstrap(arms, lambda mean: mean["a"] - mean["b"], axes=axes, replicates=1_500, seed=11)
    return float(((found.low <= truth) & (truth <= found.high)).mean())


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(
    ("dominant", "seed_sd", "problem_sd", "noise_sd"),
    [("seeds", 1.0, 0.1, 0.1), ("problems", 0.1, 1.0, 0.1), ("both", 1.0, 2.0, 0.5)],
)
def test_coverage_is_at_least_93_percent_over_seeds_and_problems(seeds, dominant, seed_sd, problem_sd, noise_sd):
    rng = np.random.default_rng(100 + seeds)
    problems = 16

    def arm(mean):  # [S, P, simulations]; each arm has its own seed and problem effects, so nothing cancels
        return (
            mean
            + seed_sd * rng.normal(size=(seeds, 1, SIMULATIONS))
            + problem_sd * rng.normal(size=(1, problems, SIMULATIONS))
            + noise_sd * rng.normal(size=(seeds, problems, SIMULATIONS))
        )

    assert covered({"a": arm(1.3), "b": arm(1.0)}, 0.3, ("seed", "problem")) >= 0.93, dominant


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("seed_sd", "episode_sd"), [(1.0, 0.0), (1.0, 1.0), (0.1, 2.0)])
def test_coverage_is_at_least_93_percent_over_seeds_and_their_episodes(seeds, seed_sd, episode_sd):
    rng = np.random.default_rng(200 + seeds)

    def arm():  # [S, E, simulations]
        between = seed_sd * rng.normal(size=(seeds, 1, SIMULATIONS))
        return between + episode_sd * rng.normal(size=(seeds, 8, SIMULATIONS))

    assert covered({"a": arm(), "b": arm()}, 0.0, ("seed", "episode")) >= 0.93


@pytest.mark.parametrize("problems", [3, 5])
def test_coverage_holds_with_fewer_problems_than_seeds_where_widening_by_seeds_alone_would_fail(problems):
    rng = np.random.default_rng(300 + problems)
    arms = {name: np.tile(rng.normal(size=(1, problems, SIMULATIONS)), (10, 1, 1)) for name in "ab"}
    found = stats.paired_bootstrap(
        arms, lambda mean: mean["a"] - mean["b"], axes=("seed", "problem"), replicates=1_500, seed=11
    )
    assert ((found.low <= 0) & (found.high >= 0)).mean() >= 0.93
    by_seeds = stats.widening(10) / stats.widening(problems)
    low = found.estimate - by_seeds * (found.estimate - found.low)
    high = found.estimate + by_seeds * (found.high - found.estimate)
    assert ((low <= 0) & (high >= 0)).mean() < 0.93


def test_the_plain_percentile_interval_of_three_seeds_is_far_too_narrow():
    rng = np.random.default_rng(400)
    values = rng.normal(size=(3, SIMULATIONS))
    found = stats.bootstrap_ci(values, lambda v, axis: v.mean(axis[0]), replicates=1_500)
    assert 0.65 < ((found.low <= 0) & (found.high >= 0)).mean() < 0.85
