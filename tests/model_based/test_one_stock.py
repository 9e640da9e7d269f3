"""One fished stock: the exact optimum against closed forms, against simulation, and against every constant."""

import numpy as np
import pytest

from rlkit import envs
from rlkit.envs import fishery
from rlkit.model_based import one_stock
from rlkit.model_based.one_stock import exact_return, fit_logistic, logistic_growth, plan, single_growth


def escapement(left):
    return lambda stocks: np.minimum(stocks, left)


@pytest.fixture(scope="module")
def optimum():
    return plan(single_growth, 0.1)


def test_without_noise_the_optimum_of_logistic_growth_is_half_the_capacity():
    """Growth r s (1 - s / K) is largest at K / 2: all years but the last yield r K / 4, the last takes the rest."""
    found = plan(logistic_growth(0.8, 1.2), 1e-3)
    at = np.abs(found.stocks - 1.0).argmin()
    assert found.left[:190, at] == pytest.approx(0.6, abs=0.01) and found.left[199, at] < 0.1
    first, year, last = 1.0 - 0.6, 0.8 * 1.2 / 4, 0.6
    assert found.value(1.0) == pytest.approx(first + 199 * year + last, abs=0.5)


def test_the_optimum_is_a_constant_escapement_until_the_last_years(optimum):
    early = optimum.left[:150]
    kept = np.minimum(optimum.stocks, early[0].max())
    assert np.abs(early - kept).max() < 0.03, "what is below it is left alone, what is above it is caught"
    assert early[0].max() == pytest.approx(0.45, abs=0.01)


def test_no_constant_is_better_and_the_best_one_misses_only_the_last_years(optimum):
    escapements = [exact_return(single_growth, 0.1, escapement(s), 0.7) for s in np.arange(0.1, 0.9, 0.05)]
    mortalities = [exact_return(single_growth, 0.1, lambda x, m=m: x * (1 - m), 0.7) for m in np.arange(0, 0.5, 0.05)]
    assert max(mortalities) + 0.3 < max(escapements) < optimum.value(0.7) < max(escapements) + 0.5


def test_exact_returns_are_the_means_of_many_episodes():
    world = envs.simulator("fishery-one-species")
    for act, left in (
        (fishery.escapement([0.3]), escapement(0.3)),
        (fishery.mortality([0.4]), lambda stocks: 0.6 * stocks),  # loses it in most episodes
    ):
        earned = envs.returns(envs.rollout(world, lambda count, rng, act=act: act, np.random.default_rng(0), 3_000))
        error = earned.std() / np.sqrt(len(earned))
        assert exact_return(single_growth, 0.1, left, 0.7) == pytest.approx(earned.mean(), abs=4 * error + 0.01)


def test_growth_is_that_of_the_simulator():
    stocks = np.linspace(0.05, 1.5, 20)[:, None]
    grown = envs.simulator("fishery-one-species", noise=0.0).grow(stocks, None, np.zeros((20, 1)))
    assert np.array_equal(grown, single_growth(stocks))


def test_a_logistic_model_is_found_again():
    rng = np.random.default_rng(0)
    left = rng.uniform(0.1, 1.0, 20_000)
    after = logistic_growth(0.7, 0.9)(left) + 0.15 * left * rng.standard_normal(len(left))
    assert fit_logistic(left, after) == pytest.approx((0.7, 0.9, 0.15), rel=0.03)


def test_what_does_not_grow_or_does_not_vary_is_refused():
    with pytest.raises(ValueError, match="must be growth that falls with the stock"):
        fit_logistic(np.array([0.1, 0.5, 0.9]), np.array([0.05, 0.4, 0.8]))
    with pytest.raises(ValueError, match="noise=0: must be a finite number above 0"):
        plan(single_growth, 0)


def test_chances_of_the_next_stock_add_up_to_one():
    stocks, ahead, lost = one_stock._chances(single_growth, 0.1)
    assert ahead.sum(1) + lost == pytest.approx(1.0) and ((ahead >= 0).all() and lost[0] > 0.99)
    mean = ahead[300] @ stocks
    assert mean == pytest.approx(single_growth(stocks[300]), abs=1e-4)


def test_the_optimum_is_ahead_of_its_own_first_rule_by_the_last_years_alone():
    whole, kept, first, later, last = one_stock.best_alone().values()
    assert whole == one_stock.plan(one_stock.single_growth, 0.1).value(0.7)
    assert 0.3 < whole - kept < 0.55, "the plunder: about what is left each year"
    assert first == later == pytest.approx(0.45, abs=0.02) and last < 0.1
