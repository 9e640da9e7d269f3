"""effective_number and kl_optimum against values by hand, a numerical optimum, and what they promise at the edges."""

import numpy as np
import pytest
from scipy.optimize import minimize

from rlkit.rlvr.tabular import effective_number, kl_optimum


@pytest.mark.parametrize(
    ("probability", "correct", "number"),
    [
        ([0.25, 0.25, 0.5], [1, 1, 0], 2.0),
        ([0.1, 0.1, 0.1, 0.7], [1, 1, 1, 0], 3.0),
        ([0.5, 0.0, 0.5], [1, 1, 0], 1.0),
        ([0.6, 0.2, 0.2], [1, 1, 0], 4 / 3**0.75),  # q = 3/4, 1/4: exp(H) = 4 / 3^(3/4)
        ([0.0, 1.0], [1, 0], np.nan),
    ],
)
def test_effective_number_by_hand(probability, correct, number):
    assert effective_number(probability, correct) == pytest.approx(number, nan_ok=True)


def test_effective_number_keeps_the_leading_axes():
    probability = np.random.default_rng(0).dirichlet(np.ones(5), size=(2, 3))
    correct = np.array([True, False, True, True, False])
    found = effective_number(probability, correct)
    assert found.shape == (2, 3)
    assert found[1, 2] == effective_number(probability[1, 2], correct)
    assert ((found >= 1) & (found <= 3)).all()


def test_no_policy_scores_higher_than_the_kl_optimum():
    rng = np.random.default_rng(1)
    prior, reward, beta = rng.dirichlet(np.ones(4)), rng.normal(size=4), 0.3

    def loss(z):
        policy = np.exp(z - z.max())
        policy /= policy.sum()
        return -(policy @ reward - beta * policy @ np.log(policy / prior))

    found = minimize(loss, np.zeros(4), tol=1e-12).x
    policy = np.exp(found - found.max())
    assert np.allclose(kl_optimum(prior, reward, beta), policy / policy.sum(), atol=1e-5)


def test_equal_rewards_keep_the_proportions_of_the_prior_and_nothing_overflows():
    prior, reward = np.array([0.05, 0.2, 0.0, 0.75]), np.array([1.0, 1.0, 5.0, 0.0])
    for beta in (100.0, 1.0, 1e-4):
        policy = kl_optimum(prior, reward, beta)
        assert policy[0] / policy[1] == pytest.approx(0.25)
        assert policy[2] == 0 and policy.sum() == pytest.approx(1)
    assert policy == pytest.approx([0.2, 0.8, 0, 0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: effective_number([-0.1, 1.1], [1, 0]), "probability=-0.1"),
        (lambda: effective_number([0.5, 0.5], [1, 0, 0]), "correct of shape"),
        (lambda: kl_optimum([0.5, 0.5], [1, 0], 0), "beta=0"),
        (lambda: kl_optimum([0.0, 0.0], [1, 0], 1), "prior"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
