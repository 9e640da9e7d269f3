"""XQL: Gumbel regression in closed form, its brakes one by one, and what it learns where the answer is known."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from rlkit.offline.algorithms.xql import gumbel_loss, xql
from rlkit.offline.networks import Network
from rlkit.offline.rows import Agent
from tests.offline.one_step import PAYS, Discrete, OneStep, best, dataset, last

QUICK = {"steps": 100, "batch_size": 16, "hidden": (16, 16), "evaluate_every": 50, "episodes": 2}


def soft_maximum(q, beta):
    """beta log mean exp(Q / beta), without overflow."""
    q = np.asarray(q)
    return q.max() + beta * np.log(np.mean(np.exp((q - q.max()) / beta)))


def minimum(q, beta):
    def loss(v):
        return float(gumbel_loss(torch.tensor(q)[None] - v, beta, clip=None, rescale=False))

    return minimize_scalar(loss, bounds=(q.min() - 1, q.max() + 1), method="bounded", options={"xatol": 1e-9}).x


@pytest.mark.parametrize("beta", [0.3, 1.0, 4.0])
def test_minimum_is_the_soft_maximum(beta):
    q = np.random.default_rng(0).normal(2, 1, 50)
    assert minimum(q, beta) == pytest.approx(soft_maximum(q, beta), abs=1e-6)


def test_minimum_goes_from_the_mean_to_the_maximum():
    q = np.random.default_rng(1).normal(size=30)
    assert minimum(q, 1e3) == pytest.approx(q.mean(), abs=q.var() / 2e3 + 1e-4)
    assert minimum(q, 0.02) == pytest.approx(q.max(), abs=0.02 * np.log(30))


@pytest.mark.parametrize("rescale", [True, False])
def test_gradient_is_zero_at_the_soft_maximum_of_each_seed_and_points_there(rescale):
    q = torch.tensor(np.random.default_rng(2).normal(size=(3, 40)))
    beta = torch.tensor([[0.5], [1.0], [3.0]], dtype=torch.float64)
    v = torch.tensor([[soft_maximum(row, b)] for row, b in zip(q.numpy(), [0.5, 1.0, 3.0], strict=True)])
    for shift, sign in ((0.0, 0), (0.1, 1), (-0.1, -1)):
        variable = (v + shift).requires_grad_()
        gumbel_loss(q - variable, beta, clip=None, rescale=rescale).sum().backward()
        assert torch.all(torch.sign(variable.grad.round(decimals=9)) == sign)


def test_loss_by_hand_and_clip():
    u = torch.tensor([[0.0, 1.0, 20.0]], dtype=torch.float64)
    by_hand = [np.exp(z) - z - 1 for z in (0.0, 0.5, 7.0)]
    assert float(gumbel_loss(u, 2.0, rescale=False)) == pytest.approx(np.mean(by_hand))
    assert float(gumbel_loss(u, 2.0)) == pytest.approx(np.mean(by_hand) * np.exp(-7.0))
    assert float(gumbel_loss(-u[:, 2:], 2.0)) == pytest.approx((np.exp(-10) + 10 - 1) * np.e), "max z is at least -1"


def test_gradient_by_finite_differences_and_by_rescaling():
    u = torch.tensor(np.random.default_rng(3).normal(0, 3, (2, 6))).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: gumbel_loss(x, 0.8, clip=4.0, rescale=False), u)
    plain, scaled = (torch.autograd.grad(gumbel_loss(u, 0.8, 4.0, r).sum(), u)[0] for r in (False, True))
    most = (u / 0.8).clamp(max=4.0).amax(1, keepdim=True)
    assert torch.allclose(scaled, plain * torch.exp(-most), rtol=1e-12)
    assert torch.all(plain[u / 0.8 > 4.0] == 0) and (u / 0.8 > 4.0).any(), "above the clip nothing pulls"


def test_what_keeps_the_exponential_in_check():
    """An outlier of 200 beta: infinite as it is, finite with the clip, and with rescaling a gradient of at most 1."""
    u = torch.tensor([[0.0, 200.0]], requires_grad=True)
    assert gumbel_loss(u, 1.0, clip=None, rescale=False).isinf().all()
    assert gumbel_loss(u, 1.0, clip=7.0, rescale=False).isfinite().all()
    loss = gumbel_loss(u, 1.0, clip=None)
    loss.sum().backward()
    assert loss.isfinite().all() and u.grad.tolist() == [[0.0, 0.5]]


def test_gradient_clip_holds_the_norm_of_each_seed_alone():
    seeds, x = [np.random.default_rng(s) for s in range(3)], torch.randn(3, 8, 2, generator=torch.manual_seed(0))
    network, free = Network(seeds, (2, 8, 1)), Network([np.random.default_rng(s) for s in range(3)], (2, 8, 1))
    scale = torch.tensor([1e-3, 1.0, 1e3])
    free.descend(scale * (free(x) - 5).square().mean((1, 2, 3)))
    network.descend(scale * (network(x) - 5).square().mean((1, 2, 3)), torch.tensor([0.5, 1e9, 2.0]))

    def each(net):
        return torch.cat([p.grad.flatten(1) for p in net.parameters], 1)

    norms = each(network).norm(dim=1)
    assert each(free).norm(dim=1)[0] < 0.5 and torch.equal(each(network)[:2], each(free)[:2])
    assert norms[2].item() == pytest.approx(2.0, rel=1e-5) and each(free).norm(dim=1)[2] > 1000
    assert torch.allclose(each(network)[2] / norms[2], each(free)[2] / each(free)[2].norm(), atol=1e-6)


def test_clipped_gradients_change_what_is_learnt_and_a_limit_never_reached_does_not():
    data, world = dataset(OneStep()), OneStep()
    plain, far, tight = (
        last(xql(data, [0, 1], gradient_clip=clip, simulator=world, **QUICK)) for clip in (None, [1e9, 1e9], 1e-9)
    )
    assert torch.equal(plain.metrics["value_loss"], far.metrics["value_loss"])
    assert not torch.allclose(plain.metrics["value_loss"], tight.metrics["value_loss"], rtol=1e-3)


def test_value_is_the_soft_maximum_and_the_policy_the_best_action_of_the_data():
    agent, states = Agent(), np.array([[-0.8], [-0.3], [0.3], [0.8]])
    beta, kept = [0.5, 1.0, 5.0], {"batch_size": 64, "hidden": (32, 32), "evaluate_every": 1000, "simulator": OneStep()}
    step = last(xql(dataset(OneStep()), range(3), beta=beta, steps=1000, agent=agent, **kept))
    expected = np.array([soft_maximum(PAYS, b) for b in beta])[:, None]
    assert np.abs(agent._call("value", states) - expected).mean(1) == pytest.approx(0, abs=0.12)
    assert np.abs(agent.act(states) - best(states)).max() < 0.15 and step.metrics["return"].min() > 0.8


def test_discrete_actions():
    agent, states = Agent(), np.array([[-0.8], [-0.3], [0.3], [0.8]])
    kept = {"batch_size": 64, "hidden": (32, 32), "evaluate_every": 600, "simulator": Discrete()}
    last(xql(dataset(Discrete()), range(2), steps=600, agent=agent, **kept))
    assert agent.act(states).tolist() == [[0, 0, 2, 2]] * 2
    assert agent.q(states, np.tile([0, 2, 2, 0], (2, 1))) == pytest.approx(np.tile([1, -3, 1, -3], (2, 1)), abs=0.4)


def test_a_seed_of_ten_learns_what_it_learns_alone_and_reruns_are_the_same_bits():
    data, beta = dataset(OneStep()), np.linspace(0.5, 2, 10).tolist()

    def learnt(seeds, beta, clip):
        agent = Agent()
        step = last(xql(data, seeds, beta=beta, gradient_clip=clip, simulator=OneStep(), agent=agent, **QUICK))
        return agent.act(np.linspace(-1, 1, 7)[:, None]), {k: np.asarray(v) for k, v in step.metrics.items()}

    (act, ten), (again, same), (alone, one) = (
        learnt(range(10), beta, 1.0),
        learnt(range(10), beta, 1.0),
        learnt([3], beta[3:4], 1.0),
    )
    assert np.array_equal(act, again) and all(np.array_equal(ten[k], same[k]) for k in ten)
    assert act[3] == pytest.approx(alone[0], abs=1e-6)
    assert {k: ten[k][3] for k in ten} == pytest.approx({k: one[k][0] for k in one}, abs=1e-6, rel=1e-5)


BAD = [
    ({"beta": 0}, "beta=0: must be above 0"),
    ({"beta": [1.0, -1.0]}, r"beta=\[1.0, -1.0\]: must be above 0"),
    ({"beta": float("nan")}, "beta=nan: must be finite"),
    ({"gradient_clip": -1}, "gradient_clip=-1: must be above 0"),
    ({"clip": [7.0]}, r"clip of shape \(1,\): must be a number or one for each of 2 seeds"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_is_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        xql(dataset(OneStep(), rows=10), [0, 1], simulator=OneStep(), **options)
