"""Dual V-learning: like XQL, with divergences whose conjugate does not explode (Sikchi et al. 2024, 2302.08560).

Departures from the reference implementation:
1. Networks 64 x 64 and batch 64 instead of 256 x 256 and 256, Adam at 1e-3 instead of 3e-4 without a cosine schedule;
   squared loss for the critics instead of Huber's, a policy of fixed deviation, normalised observations.
2. The conjugates are those of their divergences over w >= 0. The reference takes max(y + y^2 / 4, 0) for chi-square,
   which grows again below y = -4, and max(y, 0) for total variation, whose floor is -1/2. Two things follow. V is not
   dragged down by a bad action however bad it is. And V lies above Q where all actions are worth the same, by
   2 (2 lambda - 1) / lambda for chi-square and by 1/2 for total variation with lambda above 1/2.
3. The learner of `in_sample`: the critics' targets take V from before its step, the reference from after it. No random
   actions beside those of the data when V is fitted (the reference adds some in its locomotion runs).
"""

import numpy as np
import torch

from rlkit import checks
from rlkit.offline.algorithms.in_sample import in_sample
from rlkit.offline.algorithms.iql import weights
from rlkit.offline.rows import Agent, Rows

DIVERGENCES = ("chi-square", "total-variation")


def conjugate(y: torch.Tensor, divergence: str) -> torch.Tensor:
    """f*_p(y) = sup_{w >= 0} w y - f(w), elementwise.

    chi-square, f(w) = (w - 1)^2: w = max(0, y / 2 + 1), so y + y^2 / 4, and flat at -1 below y = -2. total-variation,
    f(w) = |w - 1| / 2: max(y, -1/2) up to y = 1/2, with w = 0 below -1/2 and w = 1 above. Beyond 1/2 the supremum is
    infinite; the line goes on, with w held at 1. Raises ValueError for another divergence.
    """
    if checks.one_of("divergence", divergence, DIVERGENCES) == "total-variation":
        return y.clamp(min=-0.5)
    y = y.clamp(min=-2.0)
    return y + y.square() / 4


def dual_loss(difference: torch.Tensor, lambda_, divergence: str) -> torch.Tensor:
    """mean_b (1 - lambda) V(s) + lambda f*_p(u), u = Q(s, a) - V(s), but for (1 - lambda) Q, which has no gradient.

    difference: u [S, B] -> [S]; lambda_ a number or [S, 1]. In the minimum lambda E[w(u)] = 1 - lambda, w the slope of
    the conjugate: V is the mean of Q at lambda 1/2 under chi-square (while all u > -2), and grows with lambda.
    """
    return (lambda_ * conjugate(difference, divergence) - (1 - lambda_) * difference).mean(-1)


def f_dvl(
    dataset,
    seeds,
    *,
    steps: int = 20_000,
    divergence: str = "chi-square",
    lambda_=0.6,
    inverse_temperature=3.0,
    discount: float = 0.99,
    polyak: float = 0.005,
    learning_rate: float = 1e-3,
    hidden=(64, 64),
    agent: Agent | None = None,
    **shared,
):
    """A learner: yields a Step each `evaluate_every` steps with return, score, value_loss, critic_loss, q, weight [S].

    dataset: rlkit.offline.Dataset, continuous or discrete, or one for each seed. divergence: chi-square or
    total-variation; lambda_: how far V goes towards the best of the data's actions, in (0, 1), and above 1/2 for total
    variation; inverse_temperature: how much the policy prefers good actions, weights exp(inverse_temperature (Q - V))
    up to 100. Both are numbers, or one for each seed. shared: batch_size, normalise, evaluate_every, episodes,
    simulator of `Rows`. agent: an Agent to look at while it trains. Raises ValueError for others.
    """
    low = 0.5 if checks.one_of("divergence", divergence, DIVERGENCES) == "total-variation" else 0
    if np.any((checks.finite("lambda_", lambda_) <= low) | (np.asarray(lambda_) >= 1)):
        checks.fail("lambda_", lambda_, f"in ({low}, 1) for {divergence}")  # else V has no finite minimum
    rows = Rows(dataset, seeds, **shared)
    lambda_ = rows.column("lambda_", lambda_)
    inverse_temperature = rows.column("inverse_temperature", inverse_temperature)
    return in_sample(
        rows,
        lambda difference: dual_loss(difference, lambda_, divergence),
        lambda difference: weights(difference, inverse_temperature),
        steps=steps,
        discount=discount,
        polyak=polyak,
        learning_rate=learning_rate,
        hidden=hidden,
        agent=agent,
    )
