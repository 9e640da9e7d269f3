"""Types against the texts they stand for, and the best of astronomically many draws against 80-digit arithmetic."""

import decimal
import doctest
import itertools
import math

import pytest
import torch

from rlkit.rlhf import optimum, types

P, R = (0.5, 0.3, 0.2), (0.0, 1.0, 2.5)


def listed(length):
    """(log_prior, reward) of all 3^length texts, one by one."""
    texts = list(itertools.product(range(3), repeat=length))
    prior = torch.tensor([sum(math.log(P[s]) for s in text) for text in texts], dtype=torch.float64)
    return prior, torch.tensor([sum(R[s] for s in text) for text in texts], dtype=torch.float64)


def test_the_example_of_the_module():
    assert doctest.testmod(types).failed == 0


def test_types_are_the_texts_added_up():
    log_prior, reward = types.source(P, R, 5)
    assert len(log_prior) == 21 and log_prior.exp().sum().item() == pytest.approx(1, abs=1e-14)
    prior, rewards = listed(5)
    for value in rewards.unique():
        assert log_prior[reward == value].logsumexp(0).item() == pytest.approx(
            prior[rewards == value].logsumexp(0).item(), abs=1e-12
        )


@pytest.mark.parametrize("n", [1, 2, 3.5, 40])
def test_best_of_n_and_the_tilt_have_the_kl_and_reward_of_the_texts(n):
    small, whole = types.source(P, R, 5), listed(5)
    for law in (lambda p, r: optimum.best_of_n(p, r, n), lambda p, r: optimum.tilt(p, r, 1.3)):
        for measure in (lambda q, p, r: optimum.kl(q, p), lambda q, p, r: optimum.expected(q, r)):
            found, expected = (measure(law(*given), *given).item() for given in (small, whole))
            assert found == pytest.approx(expected, abs=1e-12)


def test_equal_sums_are_one_level():
    assert len(types.source(P, R, 2)[1].unique()) == 6  # 0, 1, 2, 2.5, 3.5, 5
    assert len(types.source(P, (0.1, 0.2, 0.3), 50)[1].unique()) == 101  # 0.1 + 0.3 is 0.2 + 0.2


def test_the_best_of_a_million_million_million_draws_is_precise():
    n = 10**18
    log_prior, reward = types.source(P, (0.0, 1.0, 3.14159), 30)  # the best text alone has a chance of 1e-21
    order = reward.argsort()
    log_best = optimum.best_of_n(log_prior, reward, n)[order]
    with decimal.localcontext(prec=80):
        masses = [decimal.Decimal(x).exp() for x in log_prior[order].tolist()]
        total, below = sum(masses), decimal.Decimal(0)
        for mass, found in zip(masses, log_best.tolist(), strict=True):
            upto = below + mass / total
            exact = upto**n - below**n
            below = upto
            if exact > decimal.Decimal("1e-200"):
                assert found == pytest.approx(float(exact.ln()), abs=1e-6)
    assert log_best.exp().sum().item() == pytest.approx(1, abs=1e-9)


def test_a_steep_tilt_is_precise():
    log_prior, reward = types.source(P, R, 40)
    tilted = optimum.tilt(log_prior, reward + 1e3, 1e-9)
    assert tilted.exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert optimum.kl(tilted, log_prior).item() == pytest.approx(-40 * math.log(0.2), abs=1e-9)


def test_the_lag_is_what_long_texts_lack():
    for length, within in ((50, 0.08), (400, 0.03)):
        log_prior, reward = types.source(P, R, length)
        beta = optimum.beta_at(log_prior, reward, 0.15 * length)
        mean, deviation = types.moments(optimum.tilt(log_prior, reward, beta), reward)
        lacking = mean - types.moments(optimum.best_of_n(log_prior, reward, math.exp(0.15 * length)), reward)[0]
        assert types.lag(deviation, beta) == pytest.approx(lacking, rel=within)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: types.counts(0), "length=0: must be a positive integer"),
        (lambda: types.counts(1001), "length=1001: must be at most 1000"),
        (lambda: types.source((0.5, 0.5, 0.0), R, 3), "three numbers above 0"),
        (lambda: types.source(P, (1.0, 2.0), 3), "rewards=.*three numbers"),
        (lambda: types.lag(0.0, 1.0), "deviation=0.0: must be"),
        (lambda: optimum.best_of_n(*types.source(P, R, 3), 0.5), "n=0.5: must be at least 1"),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
