"""One optimizer step: which rows go through the model together, and the gradient that they add up to."""

import contextlib
import math

import torch

from rlkit.lm.rollouts import Rollouts, score_tokens
from rlkit.rlvr.objectives import Weights, rows


def cut(rows: list, micro_batch: int | None) -> list:
    """The rows in micro-batches of at most micro_batch rows, all at once for None.

    In their own order, so that the rows of a group stay together and its prompt runs once; `score_tokens` sorts the
    rows of a micro-batch by length itself.
    """
    size = micro_batch or len(rows)
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def scores(model, rollouts: Rollouts, micro_batch: int | None) -> tuple:
    """(logp [B, T], entropy [B, T]) of the policy as it is, without gradient; 0 where the mask is False."""
    micro_batches = cut(list(range(len(rollouts.ids))), micro_batch)
    with torch.no_grad():
        parts = [score_tokens(model, rollouts, micro, entropy=True) for micro in micro_batches]
    return tuple(torch.cat(values) for values in zip(*parts, strict=True))


@contextlib.contextmanager
def weights_of(parameters: list, values: list):
    """The model with other values of its trainable parameters: how a reference policy is run without a second model."""
    own = [p.data for p in parameters]
    try:
        for p, value in zip(parameters, values, strict=True):
            p.data = value
        yield
    finally:
        for p, value in zip(parameters, own, strict=True):
            p.data = value


@contextlib.contextmanager
def adapter_off(model):
    """The base under an adapter, by switching the adapter off; what is trainable stays so."""
    flags = [(p, p.requires_grad) for p in model.parameters()]  # PEFT sets them for the adapters it knows
    try:
        with model.disable_adapter():
            yield
    finally:
        for p, flag in flags:
            p.requires_grad_(flag)


def scale_of(model, tokens: int) -> float:
    """What a loss is multiplied with before backward, and its gradient divided by after it: 1, or a power of two.

    With weights in fp16 the gradient of a mean over many tokens underflows on its way through the layers (nothing below
    6e-8 exists); that of the sum does not. Powers of two round nothing.
    """
    halves = any(p.dtype == torch.float16 for p in model.parameters())
    return 2.0 ** round(math.log2(max(tokens, 1))) if halves else 1.0


def put(parameters: list, values: list) -> None:
    """Give parameters these values back."""
    with torch.no_grad():
        for p, value in zip(parameters, values, strict=True):
            p.copy_(value)


def snapshot(parameters: list) -> list:
    """A copy of the values of parameters."""
    return [p.detach().clone() for p in parameters]


def update(model, trainable, optimizer, rollouts, objective, weights, reference, groups, **how) -> dict:
    """One optimizer step on the mini-batch of `groups`; returns what it measured.

    The loss is objective.loss, minus entropy_bonus times the mean entropy of a token. The normaliser and the number of
    tokens of that mean are those of the mini-batch, that is of all completions that make this one step, so neither
    depends on the cut into micro-batches. Raises FloatingPointError, before the step, for a loss or gradient that is
    not finite; it names the row or the parameter.

    trainable: name -> parameter; weights: Weights [P, G]; reference [B, T] or None. how: max_new_tokens, micro_batch,
    entropy_bonus, clip_gradient. Returned: loss, gradient_norm (before the cut), ratio_min, ratio_max, clipped (a
    share), kept (tokens that it is a share of), entropy (a sum over `tokens`), tokens.
    """
    size, groups = rollouts.group_size, [int(g) for g in groups]
    mask = rollouts.mask.reshape(-1, size, rollouts.mask.shape[1])[groups]  # [P, G, T]
    part = Weights(*(field[groups] for field in weights))
    normaliser, tokens = objective.normaliser(mask, part, how["max_new_tokens"]), int(mask.sum())
    found, scale = [], scale_of(model, tokens)
    optimizer.zero_grad(set_to_none=True)
    for micro in cut([g * size + i for g in groups for i in range(size)], how["micro_batch"]):
        logp, entropy = score_tokens(
            model, rollouts, micro, entropy=True, entropy_gradient=bool(how["entropy_bonus"])
        )  # [B, T]
        frozen = None if reference is None else reference[micro]
        old, mask = rollouts.logp[micro], rollouts.mask[micro]
        loss, info = objective.loss(logp, old, frozen, mask, rows(weights, micro), normaliser)
        if how["entropy_bonus"]:
            loss = loss - how["entropy_bonus"] * entropy.sum() / tokens
        if not torch.isfinite(loss):
            bad = [row for row, values in zip(micro, logp, strict=True) if not values.isfinite().all()]
            where = f"the log-probability of row {bad[0]} is not finite" if bad else "every log-probability is finite"
            raise FloatingPointError(f"loss={loss.item()}: {where}")
        (loss * scale if scale != 1 else loss).backward()
        found.append({"loss": loss.item(), "entropy": entropy.sum().item()} | {k: v.item() for k, v in info.items()})
    for p in trainable.values() if scale != 1 else ():
        if p.grad is not None:
            p.grad.div_(scale)
    limit = float("inf") if how["clip_gradient"] is None else how["clip_gradient"]
    norm = torch.nn.utils.clip_grad_norm_(list(trainable.values()), limit).item()
    if not math.isfinite(norm):
        bad = [n for n, p in trainable.items() if p.grad is not None and not p.grad.isfinite().all()]
        raise FloatingPointError(f"gradient_norm={norm}: {bad[0] if bad else 'the sum of squares overflows'}")
    optimizer.step()
    kept = sum(f["tokens"] for f in found)
    return {
        "loss": sum(f["loss"] for f in found),
        "gradient_norm": norm,
        "ratio_min": min(f["ratio_min"] for f in found),
        "ratio_max": max(f["ratio_max"] for f in found),
        "clipped": sum(f["clipped"] * f["tokens"] for f in found) / max(kept, 1),
        "kept": kept,
        "entropy": sum(f["entropy"] for f in found),
        "tokens": tokens,
    }


def summary(done: list, first_pass: int) -> dict:
    """The metrics of a step from those of its updates, of which the first `first_pass` were the first pass."""
    if not done:
        return {}  # dynamic sampling found nothing to train on
    kept = sum(d["kept"] for d in done)
    return {
        "entropy": sum(d["entropy"] for d in done[:first_pass]) / sum(d["tokens"] for d in done[:first_pass]),
        "ratio_min": min(d["ratio_min"] for d in done),
        "ratio_max": max(d["ratio_max"] for d in done),
        "clipped": sum(d["clipped"] * d["kept"] for d in done) / max(kept, 1),
        "gradient_norm": sum(d["gradient_norm"] for d in done) / len(done),
        "loss": sum(d["loss"] for d in done) / len(done),
    }
