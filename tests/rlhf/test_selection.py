"""Rejection sampling against counting by hand, and temperature against the policy's own law."""

import math

import pytest
import torch

from rlkit.lm import exact
from rlkit.rlhf import optimum, selection

PRIOR = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
REWARD = torch.tensor([3.0, 2.0, 2.0, 1.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (1.0, [0.1, 0.2, 0.3, 0.4]),
        (0.6, [1 / 6, 2 / 6, 3 / 6, 0]),
        (0.35, [0.1 / 0.35, 0.1 / 0.35, 0.15 / 0.35, 0]),  # half of the level at the edge
        (0.05, [1, 0, 0, 0]),
    ],
)
def test_best_share_keeps_the_best(share, expected):
    assert selection.best_share(PRIOR.log(), REWARD, share).exp().tolist() == pytest.approx(expected)


def test_without_ties_its_kl_is_minus_the_log_of_the_share():
    law = selection.best_share(PRIOR.log(), torch.tensor([4.0, 3.0, 2.0, 1.0]).double(), 0.3)
    assert optimum.kl(law, PRIOR.log()).item() == pytest.approx(-math.log(0.3))


def test_temperature_one_is_the_policy_and_near_zero_is_greedy():
    policy = exact.TreePolicy(vocabulary=3, length=3, seed=0)
    own = exact.log_probabilities(policy).sum(-1)
    torch.testing.assert_close(selection.tempered(policy, 1.0), own)
    cold, hot = selection.tempered(policy, 1e-3).exp(), selection.tempered(policy, 2.0).exp()
    first = policy.rows()[0].argmax().item()  # after no token
    assert cold.max().item() == pytest.approx(1) and policy.ids[cold.argmax(), 0].item() == first
    assert hot.sum().item() == pytest.approx(1) and hot.max() < own.exp().max()


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_is_a_share(share):
    with pytest.raises(ValueError, match=f"share={share}"):
        selection.best_share(PRIOR.log(), REWARD, share)
