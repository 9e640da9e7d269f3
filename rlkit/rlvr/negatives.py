"""Objectives that tell right from wrong answers apart: PSR, NSR, W-REINFORCE and NFT. Rewards lie in [0, 1].

Notation and common options: rlkit.rlvr.objectives.
"""

import torch

from rlkit import checks
from rlkit.rlvr.losses import Objective, assemble, grid, token_ratios, weigh


def _signed(name, options, advantage, keeps) -> Objective:
    """psr, nsr and w_reinforce: a factor that is linear in the reward, no baseline, keeps(rewards) or all."""
    checks.one_of("over", options.get("over", "all"), ("kept", "all"))

    def advantages(rewards):
        rewards = grid(rewards, unit=True)
        return weigh(advantage(rewards), rewards, keeps(rewards) if options.get("over") == "kept" else None)

    return assemble(name, options, advantages, token_ratios(options["clip_low"], options["clip_high"]))


def psr(
    *, over="kept", clip_low=0.2, clip_high=0.2, beta=0.0, kl="k3", kl_times_ratio=False, aggregation="token"
) -> Objective:
    """Positive sample reinforcement: A_i = r_i, so only correct completions count (rewards in [0, 1]).

    loss = -(1 / tokens) sum_i sum_t min(rho_t A_i, clip(rho_t) A_i). over="kept", as the paper's code does: the wrong
    completions leave the batch, so tokens (or N) counts the correct ones only; over="all": it counts all of them.
    For one prompt and a constant normaliser the first makes the average step pass@G / pass@1 times as long.
    Source: Zhu et al. 2025 (arXiv 2506.01347), section 2, with the clip and the mean of the authors' code.
    """
    return _signed("psr", dict(locals()), lambda rewards: rewards.clone(), lambda rewards: rewards > 0)


def nsr(
    *, over="kept", clip_low=0.2, clip_high=0.2, beta=0.0, kl="k3", kl_times_ratio=False, aggregation="token"
) -> Objective:
    """Negative sample reinforcement: A_i = r_i - 1, so only wrong completions count (rewards in [0, 1]).

    The loss is that of `psr`; over="kept" takes the correct completions out of the batch.
    Source: Zhu et al. 2025 (arXiv 2506.01347), section 2.
    """
    return _signed("nsr", dict(locals()), lambda rewards: rewards - 1, lambda rewards: rewards < 1)


def w_reinforce(
    *, positive=0.1, clip_low=0.2, clip_high=0.2, beta=0.0, kl="k3", kl_times_ratio=False, aggregation="token"
) -> Objective:
    """Weighted REINFORCE: A_i = positive if correct, -1 if wrong; positive r_i - (1 - r_i) for r_i in [0, 1].

    All completions stay in the batch. So `nsr(over="kept")` is not its limit for positive -> 0: that divides by the
    tokens of the wrong completions, this by all tokens. `nsr(over="all")` is.
    positive: the paper's lambda. Source: Zhu et al. 2025 (arXiv 2506.01347), section 5.
    """
    if checks.finite("positive", positive) < 0:
        checks.fail("positive", positive, "a number of at least 0")
    return _signed("w_reinforce", dict(locals()), lambda rewards: positive * rewards - (1 - rewards), None)


def nft(
    *, normalize=1, neg_weight=1.0, eps=1.0, beta=0.0, kl="k3", kl_times_ratio=False, aggregation="constant"
) -> Objective:
    """Negative-aware fine-tuning: maximum likelihood, also of what the wrong answers say about the right ones.

    With q the group's mean reward, kept in [0.02, 0.98]:
    loss = -(w(q) / N L) sum_i sum_t [r_i log rho_t + neg_weight (1 - r_i) log max((1 - q rho_t) / (1 - q), eps)].
    The max is straight-through: its value is clipped, its gradient kept. w(q) = 1, 1 - q or sqrt((1 - q) / q) for
    normalize 0, 1, 2: on-policy, 1 is Dr. GRPO and 2 is GRPO with ddof 0 and this aggregation. neg_weight=0 is RFT.
    Groups without a wrong or without a correct answer leave the batch. Source: Chen et al. 2025 (arXiv 2505.18116),
    section 3; constants and straight-through maximum from the authors' code.
    """
    options = dict(locals())
    checks.one_of("normalize", normalize, (0, 1, 2))
    checks.positive("eps", eps)
    if checks.finite("neg_weight", neg_weight) < 0:
        checks.fail("neg_weight", neg_weight, "a number of at least 0")

    def advantages(rewards):
        rewards = grid(rewards, group_size_from=2, unit=True)
        mean = rewards.mean(1, keepdim=True).expand_as(rewards)
        return weigh(rewards - mean, rewards, (mean > 0) & (mean < 1))

    def surrogate(log_ratio, logp, mask, advantage, accuracy):
        ratio, reward, q = log_ratio.exp(), advantage + accuracy, accuracy.clamp(0.02, 0.98)
        implied = (1 - q * ratio) / (1 - q)  # ratio of the implicit negative policy
        floored = implied + (implied.clamp(min=eps) - implied).detach()
        loss = -(reward * log_ratio + neg_weight * (1 - reward) * floored.log())
        weight = (torch.ones_like(q), 1 - q, ((1 - q) / q).sqrt())[normalize]
        return weight * loss, ratio, (implied < eps) & (reward < 1)

    return assemble("nft", options, advantages, surrogate)
