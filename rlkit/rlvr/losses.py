"""What objectives share: weights of a batch, group baselines, ratio and clip, KL estimators, how tokens are averaged.

Everything here is a pure function of tensors. A loss is a sum over rows, each divided by one normaliser of the whole
batch, so that the losses of the micro-batches add up to the loss of the batch.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from rlkit import checks

AGGREGATIONS = ("token", "sequence", "constant")
KL_ESTIMATORS = ("k1", "k2", "k3")


class Weights(NamedTuple):
    """What the rewards say about each completion; no objective adds a field of its own.

    advantage: factor of each completion. kept: False for what is taken out of the batch, as if it had never been
    sampled. accuracy: mean reward of the completion's group. Each [P, G] for a batch, [B] after `rows`; float64.
    """

    advantage: torch.Tensor
    kept: torch.Tensor
    accuracy: torch.Tensor


def rows(weights: Weights, index=None) -> Weights:
    """The weights of the rows of a micro-batch, each [B]: row = p * G + g. index: row numbers, or None for all."""
    flat = Weights(*(field.reshape(-1) for field in weights))
    return flat if index is None else Weights(*(field[torch.as_tensor(index).cpu()] for field in flat))


def grid(rewards, *, group_size_from: int = 1, unit: bool = False) -> torch.Tensor:
    """The rewards as a float64 tensor [P, G].

    Raises ValueError for NaN or infinity (naming the first such entry), another shape, a group smaller than
    group_size_from, and with unit=True for rewards outside [0, 1].
    """
    values = rewards.detach().cpu() if isinstance(rewards, torch.Tensor) else rewards
    values = (checks.probability if unit else checks.finite)("rewards", values)
    if values.ndim != 2 or values.shape[1] < group_size_from:
        raise ValueError(f"rewards of shape {values.shape}: must be [P, G] with G of at least {group_size_from}")
    return torch.from_numpy(np.array(values))


def weigh(advantage: torch.Tensor, rewards: torch.Tensor, kept: torch.Tensor | None = None) -> Weights:
    """Weights [P, G] from advantages and rewards [P, G]; kept: None for all."""
    everything = torch.ones_like(rewards, dtype=torch.bool)
    accuracy = rewards.mean(1, keepdim=True).expand_as(rewards).clone()
    return Weights(advantage, everything if kept is None else kept, accuracy)


def centre(rewards: torch.Tensor) -> torch.Tensor:
    """r - mean of its group, [P, G]; exactly 0 where all rewards of a group are equal."""
    shifted = rewards - rewards[:, :1]  # the mean of equal numbers may be off by a rounding; that of zeros is not
    return shifted - shifted.mean(1, keepdim=True)


def standardise(rewards: torch.Tensor, ddof: int) -> torch.Tensor:
    """(r - mean) / (std + 1e-4) within each group, [P, G].

    ddof=1 divides the squares by G - 1, as TRL does; ddof=0 by G (GRPO-Zero). One success in 8: 2.474 and 2.645.
    """
    centred = centre(rewards)
    std = (centred.square().sum(1, keepdim=True) / (rewards.shape[1] - ddof)).sqrt()
    return centred / (std + 1e-4)


def clip_surrogate(ratio, advantage, clip_low, clip_high):
    """PPO's loss -min(ratio A, clip(ratio, 1 - clip_low, 1 + clip_high) A) and where it has no gradient.

    The gradient vanishes only where the step has already gone far enough: above 1 + clip_high for A > 0, below
    1 - clip_low for A < 0. None for a bound: not clipped there. Returns (loss, clipped), shaped like ratio * A.
    Source: Schulman et al. 2017 (arXiv 1707.06347), equation 7; two bounds: DAPO (arXiv 2503.14476), equation 8.
    """
    low = 0.0 if clip_low is None else 1 - clip_low
    high = float("inf") if clip_high is None else 1 + clip_high
    loss = -torch.minimum(ratio * advantage, ratio.clamp(low, high) * advantage)
    return loss, ((ratio > high) & (advantage > 0)) | ((ratio < low) & (advantage < 0))


def kl_estimate(logp, reference, estimator: str = "k3"):
    """An estimate of KL(pi || pi_ref) from tokens that pi sampled, elementwise.

    With d = log pi_ref - log pi: k1 = -d, unbiased, can be negative; k2 = d^2 / 2, biased, small where the two are
    near; k3 = exp(d) - 1 - d, unbiased, never negative. As a loss, without the ratio in front, their gradients mean
    something else than their values: k1's is 0 on average, k2's is that of KL(pi || pi_ref), k3's is that of
    KL(pi_ref || pi). Source: Schulman, "Approximating KL divergence"; k3 in GRPO: arXiv 2402.03300, equation 4.
    """
    checks.one_of("estimator", estimator, KL_ESTIMATORS)
    d = reference - logp
    if estimator == "k1":
        return -d
    return d.square() / 2 if estimator == "k2" else torch.expm1(d) - d


def batch_total(mask: torch.Tensor, kept: torch.Tensor, max_new_tokens: int, aggregation: str) -> float:
    """The normaliser of a whole batch, over the completions that are kept, at least 1.

    mask [P, G, T], kept [P, G]. "token": number of tokens; "sequence": number of completions; "constant": number of
    completions times max_new_tokens (L).
    """
    kept = kept.to(mask.device)
    if aggregation == "token":
        return max(float((mask.bool() & kept[..., None]).sum()), 1.0)
    completions = max(float(kept.sum()), 1.0)
    return (
        completions * checks.positive_int("max_new_tokens", max_new_tokens)
        if aggregation == "constant"
        else completions
    )


def add_up(token_loss: torch.Tensor, mask: torch.Tensor, aggregation: str) -> torch.Tensor:
    """What a micro-batch adds to the sum that `batch_total` divides: all tokens, or the mean of each row ("sequence"),
    or the mean of its tokens times its number of rows ("micro_batch")."""
    row = (token_loss * mask).sum(-1)  # [B]
    if aggregation == "sequence":
        return (row / mask.sum(-1).clamp(min=1)).sum()
    return row.sum() * len(row) / mask.sum().clamp(min=1) if aggregation == "micro_batch" else row.sum()


class Objective(NamedTuple):
    """An objective, minimised. `make(name, **options)` builds it again.

    advantages: rewards [P, G] -> Weights [P, G]. Raises ValueError for a NaN or infinite reward.
    normaliser: (mask [P, G, T], weights [P, G], max_new_tokens) -> float, once for the whole batch.
    loss: (logp [B, T], old [B, T], reference [B, T] or None, mask [B, T], weights [B], normaliser) -> (loss, info).
      The losses of micro-batches add up to the loss of the batch. Entries outside the mask are never read; a NaN
      inside it makes the loss NaN. info, detached: ratio_min, ratio_max, clipped (share of tokens at a bound
      of the ratio: clip, cap or floor), tokens (how many), and with a reference kl (mean of k3 per token), all over the
      kept tokens of this micro-batch.
    """

    name: str
    options: dict
    needs_reference: bool
    advantages: Callable
    normaliser: Callable
    loss: Callable


def assemble(name, options, advantages, surrogate) -> Objective:
    """Surround surrogate(log_ratio, logp, mask, advantage, accuracy) -> (token loss, ratio, clipped) with the rest."""
    aggregation = options.get("aggregation", "micro_batch")  # only bnpo has no choice
    if "aggregation" in options:
        checks.one_of("aggregation", aggregation, AGGREGATIONS)
    kl = checks.one_of("kl", options["kl"], KL_ESTIMATORS)
    beta, times_ratio = float(checks.finite("beta", options["beta"])), options["kl_times_ratio"]
    if beta < 0:
        checks.fail("beta", beta, "a number of at least 0")
    for bound in ("clip_low", "clip_high", "cap"):
        if options.get(bound) is not None:
            checks.positive(bound, options[bound])

    def normaliser(mask, weights, max_new_tokens):
        return batch_total(mask, weights.kept, max_new_tokens, aggregation)

    def loss(logp, old, reference, mask, weights, normaliser):
        if beta and reference is None:
            raise ValueError(f"reference=None: must be the reference's log-probabilities [B, T], because beta={beta}")
        mask = mask.bool() & weights.kept.to(mask.device)[:, None]  # [B, T]
        advantage, accuracy = (field.to(logp)[:, None] for field in (weights.advantage, weights.accuracy))  # [B, 1]
        logp = torch.where(mask, logp, 0.0)
        log_ratio = logp - torch.where(mask, old, 0.0)
        token_loss, ratio, clipped = surrogate(log_ratio, logp, mask, advantage, accuracy)
        inside = ratio.detach().expand_as(logp)[mask] if mask.any() else torch.ones(1, device=logp.device)
        tokens = mask.sum()
        info = {"ratio_min": inside.min(), "ratio_max": inside.max(), "tokens": tokens}
        info["clipped"] = (clipped & mask).sum() / tokens.clamp(min=1)
        if reference is not None:
            reference = torch.where(mask, reference, 0.0)
            info["kl"] = (kl_estimate(logp, reference).detach() * mask).sum() / tokens.clamp(min=1)
            if beta:
                token_kl = kl_estimate(logp, reference, kl)
                token_loss = token_loss + beta * (token_kl * ratio if times_ratio else token_kl)
        return add_up(token_loss, mask, aggregation) / normaliser, info

    return Objective(name, options, beta > 0, advantages, normaliser, loss)


def token_ratios(clip_low, clip_high):
    """The surrogate of token ratios, for `assemble`."""

    def surrogate(log_ratio, logp, mask, advantage, accuracy):
        ratio = log_ratio.exp()
        loss, clipped = clip_surrogate(ratio, advantage, clip_low, clip_high)
        return loss, ratio, clipped

    return surrogate
