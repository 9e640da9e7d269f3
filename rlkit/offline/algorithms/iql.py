"""Implicit Q-learning: the maximum over actions of the data alone, by expectile regression (Kostrikov et al. 2021,
2110.06169).

Departures from the reference implementation:
1. Networks 64 x 64 and batch 64 instead of 256 x 256 and 256, Adam at 1e-3 instead of 3e-4 without a cosine schedule.
2. The policy's deviation is fixed; the reference learns one that does not depend on the state, which scales all
   gradients alike, and Adam hardly notices a scale.
3. Observations are normalised (the reference does not), rewards are not (the reference divides by the span of returns).
4. The learner of `in_sample`: targets and the policy's weights take V from before its step, the reference from after.
"""

import torch

from rlkit.offline.algorithms.in_sample import in_sample
from rlkit.offline.rows import Agent, Rows


def expectile(difference: torch.Tensor, tau) -> torch.Tensor:
    """|tau - 1(u < 0)| u^2, elementwise."""
    side = (difference < 0).float()
    return (tau - side).abs() * difference.square()


def expectile_loss(difference: torch.Tensor, tau) -> torch.Tensor:
    """mean_b |tau - 1(u < 0)| u^2 with u = Q(s, a) - V(s), [S, B] -> [S]: equation 5 of the paper.

    tau 0.5 makes V the mean over the data's actions, tau towards 1 their maximum.
    """
    return expectile(difference, tau).mean(-1)


def weights(advantage: torch.Tensor, beta, clip: float = 100.0) -> torch.Tensor:
    """min(exp(beta (Q - V)), clip), the weights of advantage-weighted regression: equation 7. [S, B] -> [S, B]."""
    return (beta * advantage).exp().clamp(max=clip)


def iql(
    dataset,
    seeds,
    *,
    steps: int = 20_000,
    tau=0.7,
    beta=3.0,
    discount: float = 0.99,
    polyak: float = 0.005,
    learning_rate: float = 1e-3,
    hidden=(64, 64),
    agent: Agent | None = None,
    **shared,
):
    """A learner: yields a Step each `evaluate_every` steps with return, score, value_loss, critic_loss, q, weight [S].

    dataset: rlkit.offline.Dataset, continuous or discrete, or one for each seed. tau: the expectile; beta: how much the
    policy prefers good actions; numbers, or one for each seed. shared: batch_size, normalise, evaluate_every, episodes,
    simulator of `Rows`. agent: an Agent to look at while it trains.
    """
    rows = Rows(dataset, seeds, **shared)
    tau, beta = (rows.column(name, value) for name, value in (("tau", tau), ("beta", beta)))
    return in_sample(
        rows,
        lambda difference: expectile_loss(difference, tau),
        lambda difference: weights(difference, beta),
        steps=steps,
        discount=discount,
        polyak=polyak,
        learning_rate=learning_rate,
        hidden=hidden,
        agent=agent,
    )
