"""Other ways to use a reward, or none, on a listed policy: what best-of-n and the tilt are compared with."""

import math

import torch

from rlkit import checks


def best_share(log_prior: torch.Tensor, reward: torch.Tensor, share: float) -> torch.Tensor:
    """log of the law of a completion drawn until it is among the best `share` by reward: rejection sampling, [N].

    P(y) = pi_0(y) k(y) / share with k = 1 above the edge, 0 below it, and at the edge the part that makes k's mean
    `share`. It takes 1 / share draws on average. share: in (0, 1]. log_prior, reward [N], the prior adding up to 1.
    """
    if checks.positive("share", share) > 1:
        checks.fail("share", share, "at most 1")
    levels, level = reward.unique(return_inverse=True)  # rising
    mass = torch.zeros(len(levels), dtype=log_prior.dtype).index_add(0, level, log_prior.exp())
    above = torch.cat([mass.flip(0).cumsum(0).flip(0)[1:], mass.new_zeros(1)])
    kept = ((share - above) / mass).clamp(0, 1)
    return log_prior + kept.log()[level] - math.log(share)


def tempered(policy, temperature: float) -> torch.Tensor:
    """log of the chance of each completion of a listed policy (rlkit.lm.exact) at a temperature, [N]; below 1: colder.

    Each token is drawn from softmax(logits / temperature); near 0 that is greedy decoding.
    """
    logits = policy.rows() / checks.positive("temperature", temperature)
    return (logits.log_softmax(-1)[policy.nodes, policy.ids] * policy.mask).sum(-1)
