"""Losses of pairs by hand: values, gradients, and what they are minimised by."""

import math

import pytest
import torch

from rlkit.rlhf import losses


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_bradley_terry_by_hand():
    chosen, rejected = numbers(1.0, 0.0, -800.0), numbers(0.0, 0.0, 800.0)
    loss = losses.bradley_terry(chosen, rejected)
    assert loss.tolist() == pytest.approx([math.log(1 + math.exp(-1)), math.log(2), 1600])  # no overflow
    loss.sum().backward()
    assert chosen.grad.tolist() == pytest.approx([-1 / (1 + math.e), -0.5, -1])
    assert rejected.grad.tolist() == pytest.approx([1 / (1 + math.e), 0.5, 1])


def test_dpo_by_hand():
    c, r = numbers(-3.0), numbers(-5.0)
    loss = losses.dpo(c, r, torch.tensor([-4.0]), torch.tensor([-4.5]), beta=0.1)
    h = (-3 + 4) - (-5 + 4.5)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-0.1 * h)))
    loss.sum().backward()
    assert c.grad.item() == pytest.approx(-0.1 / (1 + math.exp(0.1 * h))) and r.grad.item() == -c.grad.item()


def test_ipo_by_hand_and_its_minimum_is_a_finite_margin():
    c, r = numbers(-3.0), numbers(-5.0)
    loss = losses.ipo(c, r, torch.tensor([-4.0]), torch.tensor([-4.5]), beta=0.2)
    assert loss.item() == pytest.approx((1.5 - 2.5) ** 2)
    loss.sum().backward()
    assert c.grad.item() == pytest.approx(-2.0) and r.grad.item() == pytest.approx(2.0)
    zero = torch.zeros(1).double()
    assert losses.ipo(torch.tensor([2.5]).double(), zero, zero, zero, beta=0.2).item() == 0


def test_at_the_reference_dpo_says_a_half_whatever_beta():
    x, y = torch.tensor([-7.0, -1.0]), torch.tensor([-2.0, -9.0])
    assert losses.dpo(x, y, x, y, beta=3.0).tolist() == pytest.approx([math.log(2)] * 2)
    with pytest.raises(ValueError, match="beta=0: must be"):
        losses.dpo(x, y, x, y, beta=0)
