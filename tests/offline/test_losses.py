"""The losses of BC, TD3+BC and IQL against closed forms."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from rlkit.offline import heads
from rlkit.offline.algorithms import bc, iql, td3_bc
from rlkit.offline.heads import imitation, squashed


@pytest.mark.parametrize("tau", [0.5, 0.7, 0.9, 0.99])
def test_the_minimiser_of_the_expectile_loss_is_the_expectile(tau):
    samples = np.random.default_rng(0).standard_normal(400)
    q = torch.tensor(samples)[None]
    found = minimize_scalar(lambda v: float(iql.expectile_loss(q - v, tau)), bounds=(-3, 3), options={"xatol": 1e-10})
    # First-order condition: tau E[(q - v)+] = (1 - tau) E[(v - q)+]
    above, below = np.maximum(samples - found.x, 0).mean(), np.maximum(found.x - samples, 0).mean()
    assert abs(tau * above - (1 - tau) * below) < 1e-6
    if tau == 0.5:
        assert abs(found.x - samples.mean()) < 1e-6


def test_the_expectile_of_two_known_values():
    q = torch.tensor([[0.0, 1.0]])  # at 0 and 1 with equal chance the tau-expectile is tau
    for tau in (0.5, 0.8, 0.95):
        v = torch.tensor(tau, requires_grad=True)
        iql.expectile_loss(q - v, tau).sum().backward()
        assert abs(float(v.grad)) < 1e-7


def test_each_row_has_its_own_expectile():
    difference = torch.tensor([[1.0, -1.0], [1.0, -1.0]])
    loss = iql.expectile_loss(difference, torch.tensor([[0.7], [0.9]]))
    torch.testing.assert_close(loss, torch.tensor([0.5, 0.5]))
    one_sided = iql.expectile_loss(torch.ones(2, 3), torch.tensor([[0.7], [0.9]]))
    torch.testing.assert_close(one_sided, torch.tensor([0.7, 0.9]))


def test_regression_weights_are_exponential_and_capped():
    weight = iql.weights(torch.tensor([[0.0, 1.0, -2.0, 50.0]]), 3.0)
    torch.testing.assert_close(weight, torch.tensor([[1.0, np.exp(3.0), np.exp(-6.0), 100.0]]).float())


def test_the_td3_bc_actor_loss_by_hand_and_its_scale_without_gradient():
    q = torch.tensor([[2.0, -4.0]], requires_grad=True)
    actions, data = torch.zeros(1, 2, 2), torch.ones(1, 2, 2)
    loss = td3_bc.actor_loss(q, actions, data, 3.0)  # lambda = 3 / 3 = 1
    assert loss.tolist() == [-(2 - 4) / 2 + 1]
    loss.sum().backward()
    assert q.grad.tolist() == [[-0.5, -0.5]]  # lambda is a constant
    doubled = td3_bc.actor_loss(2 * q.detach(), actions, data, 3.0)
    assert doubled.tolist() == loss.tolist()  # the scale of rewards does not matter


def test_the_td3_bc_scale_is_each_seeds_own():
    q = torch.tensor([[1.0, 1.0], [100.0, 100.0]])
    actions = torch.zeros(2, 2, 1)
    assert td3_bc.actor_loss(q, actions, actions, 2.5).tolist() == pytest.approx([-2.5, -2.5])


def test_the_critic_loss_sums_over_members_and_averages_over_the_batch():
    q, target = torch.tensor([[[1.0, 3.0], [0.0, 0.0]]]), torch.tensor([[1.0, 1.0]])
    assert td3_bc.critic_loss(q, target).tolist() == [(0 + 4) / 2 + (1 + 1) / 2]


def test_imitation_of_discrete_actions_is_the_cross_entropy():
    outputs, actions = torch.tensor([[[0.0, np.log(3.0)]]]).float(), torch.tensor([[1]])
    assert float(bc.imitation_loss(outputs, actions)) == pytest.approx(-np.log(0.75))
    assert imitation(torch.zeros(1, 1, 2), torch.tensor([[[0.5, -1.0]]])).tolist() == [[1.25]]


def squashed_log_chance(outputs, actions):
    """log pi(a | s) of given actions [..., A] under the policy of `squashed`, by the inverse of tanh."""
    mean, log_deviation = heads._halves(outputs)
    u = torch.atanh(actions.clamp(-1 + 1e-4, 1 - 1e-4))  # at exactly 1 the inverse is infinite
    return heads._log_chance(u, (u - mean) / log_deviation.exp(), log_deviation)


def test_the_squashed_gaussian_is_a_density():
    outputs = torch.tensor([0.3, -0.7])
    grid = torch.linspace(-0.9999, 0.9999, 200_001, dtype=torch.float64)[:, None]
    chance = squashed_log_chance(outputs.double().expand(len(grid), 2), grid).exp()
    assert float(torch.trapezoid(chance, grid[:, 0])) == pytest.approx(1, abs=1e-3)
    noise = torch.randn(1_000, 1, generator=torch.Generator().manual_seed(0))
    actions, log_chance = squashed(outputs.expand(1_000, 2), noise)
    torch.testing.assert_close(log_chance, squashed_log_chance(outputs.expand(1_000, 2), actions), rtol=1e-3, atol=1e-3)
