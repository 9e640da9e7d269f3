"""Extreme Q-learning: a soft maximum over the data's actions, by Gumbel regression (Garg et al. 2023, 2301.02328).

Departures from the reference implementation:
1. Networks 64 x 64 and batch 64 instead of 256 x 256 and 256, Adam at 1e-3 instead of 3e-4 without a cosine schedule;
   no layer normalisation in V.
2. Squared loss for the critics; the reference takes Huber's, quadratic up to errors of 20.
3. The policy's deviation is fixed; the reference learns one that does not depend on the state.
4. The learner of `in_sample`: the critics' targets take V from before its step, the reference from after it.
5. Observations are normalised (the reference does not), rewards are not.
6. gradient_clip is ours, off by default, to tell what keeps the exponential in check; the reference has `clip` alone.
"""

import numpy as np
import torch

from rlkit import checks
from rlkit.offline.algorithms.in_sample import in_sample
from rlkit.offline.algorithms.iql import weights
from rlkit.offline.rows import Agent, Rows


def gumbel_loss(difference: torch.Tensor, beta, clip=7.0, rescale: bool = True) -> torch.Tensor:
    """mean_b exp(z) - z - 1 with z = min((Q(s, a) - V(s)) / beta, clip), [S, B] -> [S]: the paper's Gumbel regression.

    Without clip its minimum is V = beta log mean exp(Q / beta): the maximum of the data's actions as beta goes to 0,
    their mean as it grows. beta: a number or [S, 1], in units of return. clip: the same, or None; what lies above it
    gives no gradient, so V stands still where all of a batch does. rescale: times exp(-max z) in each seed's batch
    (max z at least -1, no gradient through it): no overflow, and steps that shrink with outliers, as the reference.
    """
    z = difference / beta
    z = z if clip is None else z.clamp(max=clip)
    if not rescale:
        return (z.exp() - z - 1).mean(-1)
    most = z.detach().amax(-1, keepdim=True).clamp(min=-1.0)
    return ((z - most).exp() - (z + 1) * (-most).exp()).mean(-1)


def xql(
    dataset,
    seeds,
    *,
    steps: int = 20_000,
    beta=1.0,
    clip=7.0,
    rescale: bool = True,
    gradient_clip=None,
    inverse_temperature=3.0,
    discount: float = 0.99,
    polyak: float = 0.005,
    learning_rate: float = 1e-3,
    hidden=(64, 64),
    agent: Agent | None = None,
    **shared,
):
    """A learner: yields a Step each `evaluate_every` steps with return, score, value_loss, critic_loss, q, weight [S].

    dataset: rlkit.offline.Dataset, continuous or discrete, or one for each seed. beta, clip, rescale: `gumbel_loss`;
    gradient_clip: the largest norm of one seed's gradient of V, None for no limit; inverse_temperature: how much the
    policy prefers good actions, weights exp(inverse_temperature (Q - V)) up to 100. Numbers, or one for each seed: a
    list cannot hold None, where 1e9 is a clip that is never reached. shared: batch_size, normalise, evaluate_every,
    episodes, simulator of `Rows`. agent: an Agent to look at while it trains. Raises ValueError for a beta or a
    gradient_clip that is not above 0.
    """
    rows = Rows(dataset, seeds, **shared)
    for name, number in (("beta", beta), ("gradient_clip", gradient_clip)):
        if number is not None and np.any(checks.finite(name, number) <= 0):
            checks.fail(name, number, "above 0")
    beta, inverse_temperature = rows.column("beta", beta), rows.column("inverse_temperature", inverse_temperature)
    clip = None if clip is None else rows.column("clip", clip)
    return in_sample(
        rows,
        lambda difference: gumbel_loss(difference, beta, clip, rescale),
        lambda difference: weights(difference, inverse_temperature),
        steps=steps,
        discount=discount,
        polyak=polyak,
        learning_rate=learning_rate,
        hidden=hidden,
        agent=agent,
        gradient_clip=None if gradient_clip is None else rows.per_row("gradient_clip", gradient_clip),
    )
