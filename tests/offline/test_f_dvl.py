"""f-DVL: conjugates against a numerical supremum, the floor they have, and what V becomes."""

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, minimize_scalar

from rlkit.offline.algorithms.f_dvl import DIVERGENCES, conjugate, dual_loss, f_dvl
from rlkit.offline.rows import Agent
from tests.offline.one_step import PAYS, Discrete, OneStep, best, dataset, last

QUICK = {"steps": 100, "batch_size": 16, "hidden": (16, 16), "evaluate_every": 50, "episodes": 2}


def chi_square(w):
    return (w - 1) ** 2


def total_variation(w):
    return abs(w - 1) / 2


def supremum(f, y, most):
    """sup of w y - f(w) over 0 <= w <= most, by search and at the corners 0, 1 and most."""
    found = minimize_scalar(lambda w: f(w) - w * y, bounds=(0, most), method="bounded", options={"xatol": 1e-10})
    return max(-found.fun, *(w * y - f(w) for w in (0, 1, most)))


def at(y, divergence):
    return conjugate(torch.as_tensor(y, dtype=torch.float64), divergence).numpy()


def test_chi_square_is_the_supremum_over_weights_of_at_least_0():
    y = np.linspace(-8, 8, 81)
    assert at(y, "chi-square") == pytest.approx([supremum(chi_square, v, 50) for v in y], abs=1e-8)


def test_total_variation_is_the_supremum_up_to_one_half_and_beyond_it_with_weights_up_to_one():
    y = np.linspace(-3, 3, 61)
    bounded = np.array([supremum(total_variation, v, 1.0) for v in y])
    assert at(y, "total-variation") == pytest.approx(bounded, abs=1e-8)
    inside = y <= 0.5
    assert bounded[inside] == pytest.approx([supremum(total_variation, v, 1000.0) for v in y[inside]], abs=1e-8)
    assert supremum(total_variation, 0.6, 1e6) > 1e4, "beyond 1/2 the supremum is infinite"


def test_chi_square_stays_flat_where_the_published_maximum_of_0_and_the_parabola_grows_again():
    """Regression for max(d + d^2 / 4, 0) of a published implementation: positive again for d < -4."""
    y = torch.tensor([-2.0, -3.0, -4.0, -5.0, -50.0], dtype=torch.float64, requires_grad=True)
    published = (y + y.square() / 4).clamp(min=0)
    assert published[3:].min() > 1 and published[4] == 575
    flat = conjugate(y, "chi-square")
    flat[1:].sum().backward()
    assert flat.tolist() == [-1] * 5 and y.grad.tolist() == [0] * 5


def test_total_variation_floor():
    y = torch.tensor([-0.6, -9.0, -0.4, 3.0], requires_grad=True)
    floor = conjugate(y, "total-variation")
    floor.sum().backward()
    assert floor.tolist() == pytest.approx([-0.5, -0.5, -0.4, 3.0]) and y.grad.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_gradient_by_finite_differences(divergence):
    u = torch.tensor(np.random.default_rng(0).normal(0, 3, (2, 8))).requires_grad_()
    lambda_ = torch.tensor([[0.6], [0.9]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: dual_loss(x, lambda_, divergence), u)


def minimum(q, lambda_, divergence):
    def loss(v):
        return float(dual_loss(torch.tensor(q)[None] - v, lambda_, divergence))

    span = (q.min() - 5, q.max() + 5)
    return minimize_scalar(loss, bounds=span, method="bounded", options={"xatol": 1e-10}).x


def balanced(q, lambda_):
    """The V where lambda E[w] = 1 - lambda, w = max(0, (Q - V) / 2 + 1)."""
    gap = 4 / lambda_ + 5  # wide enough for a sign on either side
    return brentq(
        lambda v: lambda_ * np.maximum(0, (q - v) / 2 + 1).mean() - (1 - lambda_), q.min() - gap, q.max() + gap
    )


@pytest.mark.parametrize("lambda_", [0.3, 0.5, 0.7, 0.95])
def test_minimum_under_chi_square_balances_the_weights(lambda_):
    q = np.random.default_rng(1).normal(size=40)
    assert minimum(q, lambda_, "chi-square") == pytest.approx(balanced(q, lambda_), abs=1e-5)


def test_minimum_goes_from_the_mean_to_the_best_plus_two_and_is_a_shifted_quantile_under_total_variation():
    q = np.random.default_rng(2).uniform(-0.5, 0.5, 41)
    assert minimum(q, 0.5, "chi-square") == pytest.approx(q.mean(), abs=1e-5)
    assert minimum(q, 0.999, "chi-square") == pytest.approx(q.max() + 2, abs=0.15)
    above = np.mean(q > minimum(q, 0.8, "total-variation") - 0.5)
    assert above == pytest.approx(0.25, abs=1 / 41), "P(Q > V - 1/2) = (1 - lambda) / lambda"


def test_value_lies_above_q_where_all_actions_are_worth_the_same():
    for lambda_ in (0.5, 0.6, 0.8):
        assert minimum(np.full(5, 3.0), lambda_, "chi-square") == pytest.approx(3 + 2 * (2 * lambda_ - 1) / lambda_)
    assert minimum(np.full(5, 3.0), 0.8, "total-variation") == pytest.approx(3.5, abs=1e-6)


def test_value_minimises_the_loss_and_the_policy_takes_the_best_action_of_the_data():
    agent, states = Agent(), np.array([[-0.8], [-0.3], [0.3], [0.8]])
    lambdas, kept = [0.5, 0.6, 0.8], {"hidden": (32, 32), "evaluate_every": 1000, "simulator": OneStep()}
    step = last(f_dvl(dataset(OneStep()), range(3), lambda_=lambdas, steps=1000, agent=agent, **kept))
    expected = np.array([balanced(PAYS, value) for value in lambdas])[:, None]
    assert np.abs(agent._call("value", states) - expected).mean(1) == pytest.approx(0, abs=0.15)
    assert np.abs(agent.act(states) - best(states)).max() < 0.15 and step.metrics["return"].min() > 0.8


def test_discrete_actions_under_total_variation():
    agent, states = Agent(), np.array([[-0.8], [-0.3], [0.3], [0.8]])
    kept = {"hidden": (32, 32), "evaluate_every": 800, "simulator": Discrete()}
    last(f_dvl(dataset(Discrete()), [0, 1], divergence="total-variation", lambda_=0.8, steps=800, agent=agent, **kept))
    assert agent.act(states).tolist() == [[0, 0, 2, 2]] * 2


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_seed_of_ten_learns_what_it_learns_alone_and_reruns_are_the_same_bits(divergence):
    data, lambdas = dataset(OneStep()), np.linspace(0.55, 0.9, 10).tolist()

    def learnt(seeds, lambda_):
        agent, kept = Agent(), QUICK | {"simulator": OneStep(), "divergence": divergence}
        step = last(f_dvl(data, seeds, lambda_=lambda_, agent=agent, **kept))
        return agent.act(np.linspace(-1, 1, 7)[:, None]), {k: np.asarray(v) for k, v in step.metrics.items()}

    (act, ten), (again, same), (alone, one) = (
        learnt(range(10), lambdas),
        learnt(range(10), lambdas),
        learnt([3], lambdas[3:4]),
    )
    assert np.array_equal(act, again) and all(np.array_equal(ten[k], same[k]) for k in ten)
    assert act[3] == pytest.approx(alone[0], abs=1e-6)
    assert {k: ten[k][3] for k in ten} == pytest.approx({k: one[k][0] for k in one}, abs=1e-6, rel=1e-5)


BAD = [
    ({"divergence": "kl"}, "divergence='kl': must be one of 'chi-square', 'total-variation'"),
    ({"lambda_": 1.0}, r"lambda_=1.0: must be in \(0, 1\) for chi-square"),
    ({"lambda_": [0.5, 0.0]}, r"lambda_=\[0.5, 0.0\]: must be in \(0, 1\) for chi-square"),
    ({"divergence": "total-variation", "lambda_": 0.5}, r"lambda_=0.5: must be in \(0.5, 1\) for total-variation"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_is_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        f_dvl(dataset(OneStep(), rows=10), [0, 1], simulator=OneStep(), **options)
