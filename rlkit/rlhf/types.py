"""Texts of n independent symbols, by type: exact laws over 3^n texts from (n + 1)(n + 2) / 2 numbers.

Two texts with the same count of each symbol have the same chance and, where each symbol pays a reward of its own, the
same reward. So every policy that looks at chance and reward alone is a law over types, and its KL is that of the texts.

>>> from rlkit.rlhf import optimum, types
>>> log_prior, reward = types.source(chances=(0.5, 0.3, 0.2), rewards=(0.0, 1.0, 2.5), length=2)
>>> reward.tolist()
[0.0, 2.5, 5.0, 1.0, 3.5, 2.0]
>>> [round(p, 2) for p in log_prior.exp().tolist()]
[0.25, 0.2, 0.04, 0.3, 0.12, 0.09]
"""

import math

import torch

from rlkit import checks
from rlkit.rlhf import optimum

LONGEST = 1000  # symbols; half a million types


def counts(length: int) -> torch.Tensor:
    """How often each of three symbols occurs, for every type of texts of that length: [N, 3] float64."""
    if checks.positive_int("length", length) > LONGEST:
        checks.fail("length", length, f"at most {LONGEST}")
    second, third = (axis.flatten() for axis in torch.meshgrid(*[torch.arange(length + 1)] * 2, indexing="ij"))
    found = torch.stack([length - second - third, second, third], 1)
    return found[found[:, 0] >= 0].double()


def source(chances, rewards, length: int) -> tuple:
    """(log_prior [N], reward [N]) of the types: log n! - sum_i log k_i! + sum_i k_i log p_i, and sum_i k_i r_i.

    chances: p of the three symbols, above 0, adding up to 1; rewards: r of each. Raises ValueError.
    """
    p, r = (checks.finite(name, values) for name, values in (("chances", chances), ("rewards", rewards)))
    if p.shape != (3,) or (p <= 0).any() or abs(p.sum() - 1) > 1e-9:
        checks.fail("chances", chances, "three numbers above 0 that add up to 1")
    if r.shape != (3,):
        checks.fail("rewards", rewards, "three numbers")
    k = counts(length)
    ways = math.lgamma(length + 1) - torch.lgamma(k + 1).sum(1)
    return ways + k @ torch.tensor(p / p.sum()).log(), (k @ torch.tensor(r)).round(decimals=9)  # equal sums stay equal


def moments(log_p: torch.Tensor, values: torch.Tensor) -> tuple:
    """(mean, standard deviation) of values [N] under exp(log_p) [N], as two floats."""
    mean = optimum.expected(log_p, values).item()
    return mean, math.sqrt(optimum.expected(log_p, (values - mean) ** 2).item())


def lag(deviation: float, beta: float) -> float:
    """How much reward the best of exp(D) draws lacks of the tilt of KL = D, for long texts, in units of reward:

    beta (log(2 pi deviation^2 / beta^2) / 2 - gamma), gamma = 0.577..., with the tilt's beta and the standard deviation
    of the reward under it. A sum of n rewards passes the tilt's mean m with chance exp(-D) beta / (deviation
    sqrt(2 pi)) (Bahadur and Rao 1960), the best of N of them stands gamma beta above the value that one in N passes.
    """
    ratio = checks.positive("deviation", deviation) / checks.positive("beta", beta)
    return beta * (math.log(2 * math.pi * ratio**2) / 2 - 0.5772156649015329)
