"""The objectives of reinforcement learning with verifiable rewards, each a pure function in two stages.

First `advantages(rewards [P, G]) -> Weights` on the whole batch, then `loss(...)` on any micro-batch of its rows:

>>> import torch
>>> from rlkit.rlvr import objectives
>>> objective = objectives.dr_grpo(clip_high=0.28)
>>> weights = objective.advantages([[1.0, 0.0, 0.0, 0.0]])
>>> weights.advantage.tolist()
[[0.75, -0.25, -0.25, -0.25]]
>>> mask = torch.ones(1, 4, 3, dtype=torch.bool)
>>> normaliser = objective.normaliser(mask, weights, 3)
>>> logp = torch.zeros(4, 3).log_softmax(-1).requires_grad_()
>>> loss, info = objective.loss(logp, logp.detach(), None, mask[0], objectives.rows(weights), normaliser)
>>> abs(loss.item()) < 1e-7, info["ratio_max"].item()  # a loss near 0 is right: advantages add up to 0
(True, 1.0)
>>> objectives.credit(objective, logp, logp.detach(), None, mask[0], objectives.rows(weights), normaliser)[:2].tolist()
[[0.75, 0.75, 0.75], [-0.25, -0.25, -0.25]]

Notation of the formulas: o_i completion i of a group of G, |o_i| its tokens, r_i its reward, A_i its advantage,
rho_t = pi(o_t) / pi_old(o_t), mean and std over the group, N completions in the batch, L = max_new_tokens.
Common options: clip_low, clip_high (None: no bound); beta, the weight of the KL to a reference, with its estimator kl
("k1", "k2", "k3") and kl_times_ratio, which multiplies it by the ratio (DeepSeek-V3.2, arXiv 2512.02556; TRL's
use_bias_correction_kl); aggregation: "token" divides the sum over all tokens by their number, "sequence" takes the mean
of each completion first, "constant" divides by N L.
"""

import torch

from rlkit import checks
from rlkit.rlvr.losses import (
    Objective,
    Weights,
    assemble,
    centre,
    clip_surrogate,
    grid,
    rows,
    standardise,
    token_ratios,
    weigh,
)
from rlkit.rlvr.negatives import nft, nsr, psr, w_reinforce

__all__ = [
    "Objective",
    "Weights",
    "bnpo",
    "cispo",
    "credit",
    "dapo",
    "describe",
    "dr_grpo",
    "grpo",
    "gspo",
    "make",
    "names",
    "nft",
    "nsr",
    "psr",
    "reinforce",
    "rloo",
    "rows",
    "w_reinforce",
]


def reinforce(
    *, baseline="none", clip_low=None, clip_high=None, beta=0.0, kl="k3", kl_times_ratio=False, aggregation="constant"
) -> Objective:
    """REINFORCE: A_i = r_i, or r_i minus the mean reward of the batch; loss = -(1 / N L) sum_i sum_t rho_t A_i.

    On-policy (rho = 1) the gradient is that of -(1 / N L) sum_i A_i log pi(o_i). baseline: "none" or "batch".
    Source: Williams 1992; the ratio makes later updates on the same batch unbiased per token.
    """
    options = dict(locals())
    checks.one_of("baseline", baseline, ("none", "batch"))

    def advantages(rewards):
        rewards = grid(rewards)
        return weigh(rewards - rewards.mean() if baseline == "batch" else rewards.clone(), rewards)

    return assemble("reinforce", options, advantages, token_ratios(clip_low, clip_high))


def rloo(
    *, clip_low=None, clip_high=None, beta=0.0, kl="k3", kl_times_ratio=False, aggregation="constant"
) -> Objective:
    """REINFORCE leave-one-out: A_i = r_i - mean of the other r_j = G / (G - 1) (r_i - mean).

    loss = -(1 / N L) sum_i sum_t rho_t A_i: the paper's sum over the completion, up to the constant L.
    Source: Kool et al. 2019; for language models Ahmadian et al. 2024 (arXiv 2402.14740).
    """
    options = dict(locals())

    def advantages(rewards):
        rewards = grid(rewards, group_size_from=2)
        return weigh(centre(rewards) * rewards.shape[1] / (rewards.shape[1] - 1), rewards)

    return assemble("rloo", options, advantages, token_ratios(clip_low, clip_high))


def _grpo(name, options) -> Objective:
    """GRPO's advantages with token ratios, for grpo, dapo and bnpo, which differ in defaults and aggregation."""
    checks.one_of("ddof", options["ddof"], (0, 1))

    def advantages(rewards):
        rewards = grid(rewards, group_size_from=2)
        return weigh(standardise(rewards, options["ddof"]), rewards)

    return assemble(name, options, advantages, token_ratios(options["clip_low"], options["clip_high"]))


def grpo(
    *, ddof=1, clip_low=0.2, clip_high=0.2, beta=0.0, kl="k3", kl_times_ratio=False, aggregation="sequence"
) -> Objective:
    """GRPO: A_i = (r_i - mean) / (std + 1e-4).

    loss = -(1 / N) sum_i (1 / |o_i|) sum_t [min(rho_t A_i, clip(rho_t, 1 - clip_low, 1 + clip_high) A_i) - beta k3_t].
    A token of a short completion weighs more than one of a long one. The paper's beta is 0.04; 0 here, as in TRL.
    ddof: std divides by G - ddof. Source: DeepSeekMath (arXiv 2402.03300), equations 3 and 4.
    """
    return _grpo("grpo", dict(locals()))


def dapo(
    *, ddof=1, clip_low=0.2, clip_high=0.28, beta=0.0, kl="k3", kl_times_ratio=False, aggregation="token"
) -> Objective:
    """DAPO: GRPO's advantages, a wider upper clip, and every token of the batch with the same weight.

    loss = -(1 / sum_i |o_i|) sum_i sum_t min(rho_t A_i, clip(rho_t, 1 - clip_low, 1 + clip_high) A_i).
    Its dynamic sampling is a matter of the learner: train(..., dynamic_sampling=...).
    Source: Yu et al. 2025 (arXiv 2503.14476), equation 8; the clip range from section 4.1.
    """
    return _grpo("dapo", dict(locals()))


def bnpo(*, ddof=1, clip_low=0.2, clip_high=0.2, beta=0.0, kl="k3", kl_times_ratio=False) -> Objective:
    """DAPO's token mean taken within each micro-batch, as TRL's loss_type="bnpo": only here to be compared with it.

    Micro-batch b of N_b completions adds (N_b / N) (1 / sum_{i in b} |o_i|) sum_{i in b} sum_t (...). So it depends on
    how the batch is cut, unlike every other objective here; `names` leaves it out.
    """
    return _grpo("bnpo", dict(locals()))


def dr_grpo(
    *, clip_low=0.2, clip_high=0.2, beta=0.0, kl="k3", kl_times_ratio=False, aggregation="constant"
) -> Objective:
    """Dr. GRPO: GRPO without the division by std and without 1 / |o_i|: A_i = r_i - mean.

    loss = -(1 / N L) sum_i sum_t min(rho_t A_i, clip(rho_t, 1 - clip_low, 1 + clip_high) A_i).
    Source: Liu et al. 2025 (arXiv 2503.20783), section 3 and figure 1.
    """
    options = dict(locals())

    def advantages(rewards):
        rewards = grid(rewards, group_size_from=2)
        return weigh(centre(rewards), rewards)

    return assemble("dr_grpo", options, advantages, token_ratios(clip_low, clip_high))


def gspo(
    *, ddof=1, clip_low=3e-4, clip_high=4e-4, beta=0.0, kl="k3", kl_times_ratio=False, aggregation="sequence"
) -> Objective:
    """GSPO: one ratio per completion, s_i = exp((1 / |o_i|) sum_t log rho_t), clipped as a whole.

    loss = -(1 / N) sum_i min(s_i A_i, clip(s_i, 1 - clip_low, 1 + clip_high) A_i), A_i as in GRPO. s_i is a geometric
    mean, so it stays far closer to 1 than a token's ratio: hence the small clip range.
    Source: Zheng et al. 2025 (arXiv 2507.18071), equations 5 to 7; the clip range from section 5.1.
    """
    options = dict(locals())

    def surrogate(log_ratio, logp, mask, advantage, accuracy):
        ratio = (log_ratio.sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp(min=1)).exp()  # [B, 1]
        loss, clipped = clip_surrogate(ratio, advantage, clip_low, clip_high)
        return loss.expand_as(logp), ratio, clipped

    return assemble("gspo", options, _grpo("grpo", options).advantages, surrogate)


def cispo(*, ddof=1, cap=5.0, beta=0.0, kl="k3", kl_times_ratio=False, aggregation="token") -> Objective:
    """CISPO: the ratio only weighs the token, no gradient flows through it, and no token is ever dropped.

    loss = -(1 / sum_i |o_i|) sum_i sum_t stop_gradient(min(rho_t, cap)) A_i log pi(o_t), A_i as in GRPO.
    cap is absolute: 5.0 means that a ratio counts at most five times (not 1 + 5). The paper does not state it; ScaleRL
    (arXiv 2510.13786, appendix A.17) found 4, 5 and 8 alike. Source: MiniMax-M1 (arXiv 2506.13585), equations 4 and 5.
    """
    options = dict(locals())

    def surrogate(log_ratio, logp, mask, advantage, accuracy):
        ratio = log_ratio.exp()
        return -ratio.detach().clamp(max=cap) * advantage * logp, ratio, (ratio > cap) & (advantage != 0)

    return assemble(
        "cispo", options, _grpo("grpo", options | {"clip_low": None, "clip_high": None}).advantages, surrogate
    )


_MAKERS = {
    maker.__name__: maker
    for maker in (reinforce, rloo, grpo, dr_grpo, dapo, gspo, cispo, psr, nsr, w_reinforce, nft, bnpo)
}


def names() -> list[str]:
    """The objectives to choose from (bnpo, which depends on the micro-batches, is only for `make`)."""
    return [name for name in _MAKERS if name != "bnpo"]


def make(name: str, **options) -> Objective:
    """An objective by name: make("grpo", beta=0.04). Raises ValueError for an unknown name or value, TypeError for an
    unknown option."""
    return _MAKERS[checks.one_of("name", name, tuple(_MAKERS))](**options)


def describe(objective: Objective) -> dict:
    """{"name", "options"}, JSON-able: make(name, **options) is the same objective again."""
    return {"name": objective.name, "options": dict(objective.options)}


def credit(objective: Objective, logp, old, reference, mask, weights, normaliser) -> torch.Tensor:
    """What each token is credited with, [B, T]: -d loss / d logp times the normaliser, logp taken as the leaf."""
    leaf = logp.detach().clone().requires_grad_()
    loss, _ = objective.loss(leaf, old, reference, mask, weights, normaliser)
    return -torch.autograd.grad(loss, leaf)[0] * normaliser
