"""The closed forms against maximisation, sampling and counting by hand."""

import doctest
import itertools
import math

import pytest
import torch

from rlkit.rlhf import optimum


def drawn(n=12, seed=0, levels=None):
    generator = torch.Generator().manual_seed(seed)
    prior = torch.randn(n, generator=generator, dtype=torch.float64).log_softmax(-1)
    reward = torch.randn(n, generator=generator, dtype=torch.float64)
    return prior, reward if levels is None else (reward * levels).round() / levels


def test_the_example_of_the_module():
    assert doctest.testmod(optimum).failed == 0


@pytest.mark.parametrize("beta", [0.1, 1.0, 10.0])
def test_the_tilt_maximises_reward_minus_kl(beta):
    prior, reward = drawn()
    logits = torch.zeros(12, dtype=torch.float64, requires_grad=True)

    def objective(log_p):
        return optimum.expected(log_p, reward) - beta * optimum.kl(log_p, prior)

    optimizer = torch.optim.LBFGS([logits], lr=0.5, max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure():
        optimizer.zero_grad()
        loss = -objective(logits.log_softmax(-1))
        loss.backward()
        return loss

    optimizer.step(closure)
    best = optimum.tilt(prior, reward, beta)
    assert best.exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert torch.allclose(logits.log_softmax(-1).exp(), best.exp(), atol=1e-4)
    assert objective(best).item() == pytest.approx(beta * optimum.log_partition(prior, reward, beta).item())


def test_the_identity_holds_for_any_policy():
    prior, reward = drawn()
    other, beta = drawn(seed=5)[0], 0.3
    left = optimum.expected(other, reward) - beta * optimum.kl(other, prior)
    target = optimum.tilt(prior, reward, beta)
    right = beta * optimum.log_partition(prior, reward, beta) - beta * optimum.kl(other, target)
    assert left.item() == pytest.approx(right.item(), abs=1e-12)


def test_kl_is_not_inverted():
    """KL(p || q) with p on the left: a third against a half by hand; and a chance of 0 counts nothing."""
    p, q = torch.tensor([1 / 3, 2 / 3]).double().log(), torch.tensor([0.5, 0.5]).double().log()
    assert optimum.kl(p, q).item() == pytest.approx(1 / 3 * math.log(2 / 3) + 2 / 3 * math.log(4 / 3))
    assert optimum.kl(q, p).item() != pytest.approx(optimum.kl(p, q).item(), abs=1e-3)
    sure = torch.tensor([1.0, 0.0]).double().log()
    assert optimum.kl(sure, q).item() == pytest.approx(math.log(2))


def test_the_frontier_rises_and_nobody_lies_above_it():
    prior, reward = drawn(30)
    divergence, gold = optimum.frontier(prior, reward, reward, [3.0, 1.0, 0.3, 0.1])
    assert (divergence.diff() > 0).all() and (gold.diff() > 0).all()
    for seed in range(20):
        other = (prior + 0.7 * drawn(30, seed + 10)[1]).log_softmax(-1)
        spent = optimum.kl(other, prior).item()
        limit = optimum.tilt(prior, reward, optimum.beta_at(prior, reward, spent))
        assert optimum.expected(other, reward) <= optimum.expected(limit, reward) + 1e-9


def test_beta_is_found_for_a_divergence_and_refused_beyond_the_last():
    prior, reward = drawn()
    beta = optimum.beta_at(prior, reward, 0.7)
    assert optimum.kl(optimum.tilt(prior, reward, beta), prior).item() == pytest.approx(0.7, abs=1e-8)
    with pytest.raises(ValueError, match=r"divergence=50.0: must be below"):
        optimum.beta_at(prior, reward, 50.0)


@pytest.mark.parametrize("levels", [None, 1])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_best_of_n_is_what_counting_all_draws_gives(n, levels):
    prior, reward = drawn(5, levels=levels)
    p = prior.exp()
    counted = torch.zeros(5, dtype=torch.float64)
    for draw in itertools.product(range(5), repeat=n):
        best = max(draw, key=lambda i: reward[i].item())  # the first of equal ones
        counted[best] += p[list(draw)].prod()
    assert torch.allclose(optimum.best_of_n(prior, reward, n).exp(), counted, atol=1e-12)


@pytest.mark.parametrize("n", [2, 16, 1024, 10**6])
def test_best_of_n_keeps_its_bound_and_nears_it_without_ties(n):
    prior, reward = torch.full((50_000,), -math.log(50_000), dtype=torch.float64), torch.arange(50_000).double()
    spent = optimum.kl(optimum.best_of_n(prior, reward, n), prior).item()
    assert spent <= optimum.best_of_n_bound(n) + 1e-9
    if n <= 16:
        assert spent == pytest.approx(optimum.best_of_n_bound(n), abs=1e-3)
    tied = optimum.kl(optimum.best_of_n(prior, (reward / 10_000).floor(), n), prior).item()
    assert tied < min(spent, math.log(5) + 1e-9)


def test_shapes_that_do_not_match_are_refused():
    prior, reward = drawn()
    with pytest.raises(ValueError, match=r"reward of shape \(3,\): must be \(12,\), one per completion"):
        optimum.best_of_n(prior, reward[:3], 2)
    with pytest.raises(ValueError, match="beta=0: must be"):
        optimum.tilt(prior, reward, 0)
