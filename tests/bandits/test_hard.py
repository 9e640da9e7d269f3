"""The hard problems are what they say: two distributions each, the declared concentrability, and they do hurt."""

import numpy as np
import pytest

from rlkit.bandits import empirical_best, lcb, most_played
from rlkit.bandits.hard import GAPS, hard_problems, hard_ring, worst_case


@pytest.mark.parametrize("S", [1, 2, 10, 50])
@pytest.mark.parametrize("C", [1, 1.01, 1.5, 4])
@pytest.mark.parametrize("N", [50, 1_000, 100_000])
def test_distributions_and_concentrability(S, C, N):
    problems = hard_problems(S, C, N)
    assert len(problems) == 1 + 2 * len(GAPS)
    for problem in problems:
        assert problem.rho.sum() == pytest.approx(1) and (problem.rho >= 0).all()
        assert problem.mu.sum() == pytest.approx(1) and (problem.mu >= 0).all()
        assert ((problem.mean >= 0) & (problem.mean <= 1)).all()
        assert (problem.mean[:, -1] > problem.mean[:, :-1].max(axis=1)).all()  # the best arm is the last
        there = problem.rho > 0
        assert (problem.rho[there] / problem.mu[there, -1]).max() == pytest.approx(C)


def test_only_shifted_problems_hold_contexts_more_often_than_they_come():
    problems = hard_problems(10, 1.5, 1_000)
    for problem in problems:
        same = np.allclose(problem.mu.sum(axis=1), problem.rho)
        assert same == (not problem.name.startswith("shifted"))


def _loss(problem, N, rule):
    rng = np.random.default_rng(5)
    count = rng.multinomial(N, problem.mu.ravel(), size=300).reshape(-1, *problem.mu.shape)
    arm = rule(count, rng.binomial(count, problem.mean))
    gap = problem.mean.max(axis=1, keepdims=True) - problem.mean
    return (problem.rho * gap[np.arange(len(gap)), arm]).sum(axis=1).mean()


def test_each_kind_hurts_the_rule_it_is_meant_for():
    N = 10_000
    lucky, rival = hard_problems(1, 1.01, N)[0], hard_problems(1, 4, N)
    assert _loss(lucky, N, empirical_best) > 0.25
    assert _loss(lucky, N, lambda count, total: lcb(count, total, np.log(2 * 10 * N))) == 0
    assert _loss(rival[8], N, lambda count, total: most_played(count)) == pytest.approx(0.5)
    small = rival[3]
    assert _loss(small, N, lambda count, total: lcb(count, total, np.log(2 * 10 * N))) > 2 * _loss(
        small, N, empirical_best
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((0, 2, 100), "S=0"), ((2, 0.5, 100), "C=0.5"), ((2, 9, 100), "C=9"), ((20, 2, 10), "N=10")],
)
def test_bad_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=f"^{named}: must be "):
        hard_problems(*arguments)


@pytest.mark.parametrize(("C", "N"), [(1, 100), (1.01, 1_000), (4, 100_000)])
def test_ring_is_a_markov_chain_whose_best_policy_is_covered_as_declared(C, N):
    P, mean, mu = hard_ring(C, N)
    assert P.shape == (5, 10, 5) and P.sum(axis=-1) == pytest.approx(np.ones((5, 10)))
    assert mu.sum() == pytest.approx(1) and (mu >= 0).all()
    # Discounted visits of the best policy from a uniform start, by the linear equations d = (1 - g) start + g P' d.
    at = np.arange(5)
    visits = np.linalg.solve(np.eye(5) - 0.9 * P[at, -1].T, 0.1 * np.full(5, 0.2))
    assert (visits / mu[:, -1]).max() == pytest.approx(C)
    # No other arm is as good, by value iteration on the true world.
    value = np.zeros(5)
    for _ in range(500):
        value = (mean + 0.9 * P @ value).max(axis=-1)
    assert ((mean + 0.9 * P @ value).argmax(axis=-1) == 9).all()


def test_worst_case_is_chosen_after_the_mean_over_seeds():
    loss = np.array([[[3.0, 0.0], [2.0, 1.0]], [[0.0, 0.0], [2.0, 3.0]]])  # [2 seeds, 2 problems, 2 sizes]
    assert worst_case(loss).tolist() == [[2.0, 1.0], [2.0, 3.0]]
    with pytest.raises(ValueError, match=r"^loss\.shape=\(2, 2\): must be "):
        worst_case(loss[0])
