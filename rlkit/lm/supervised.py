"""Supervised training: cross entropy on completions. Pretraining, SFT and expert iteration are this one loop."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from rlkit import checks
from rlkit.lm import prefix
from rlkit.runs import Step

SCHEDULES = ("cosine", "constant")


def encode(tokenizer, pairs: list) -> tuple:
    """(ids [B, T], mask [B, T], shortest prompt) of (prompt, completion) pairs, padded on the right.

    A row is prompt, completion, <eos>, padding. mask is True where a token is trained on: completion and <eos>, by
    position, so an <eos> counts even where padding has the same id.
    """
    prefix.refuse_unknown(tokenizer, [text for pair in pairs for text in pair])
    prompts = tokenizer([prompt for prompt, _ in pairs])["input_ids"]
    completions = tokenizer([completion for _, completion in pairs], add_special_tokens=False)["input_ids"]
    rows = [p + c + [tokenizer.eos_token_id] for p, c in zip(prompts, completions, strict=True)]
    ids = torch.full((len(rows), max(map(len, rows))), tokenizer.pad_token_id)  # [B, T]
    mask = torch.zeros(ids.shape, dtype=torch.bool)  # [B, T]
    for i, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, len(prompt) : len(row)] = True
    return ids, mask, min(map(len, prompts))


def loss(model, ids, mask, shortest: int = 1):
    """-(1/N) sum of log pi(token | all before it) over the N tokens under mask; ids, mask [B, T]; differentiable.

    shortest: every row's prompt has at least that many tokens, so that logits before are not computed. Padding stands
    on the right, where a causal model does not see it: no attention mask is needed.
    """
    shortest = max(shortest, 1)
    logits = model(input_ids=ids, logits_to_keep=ids.shape[1] - shortest + 1, use_cache=False).logits[:, :-1]
    mask = mask[:, shortest:]  # [B, T - shortest], as logits and targets
    return F.cross_entropy(logits[mask].float(), ids[:, shortest:][mask])


def fit(
    model,
    tokenizer,
    draw,
    *,
    steps: int,
    batch: int = 256,
    learning_rate: float,
    seed: int,
    warmup: int | None = None,
    schedule: str = "cosine",
    weight_decay: float = 0.0,
    clip_gradient: float = 1.0,
):
    """Train the trainable weights of `model` in place by AdamW; yields one Step per update, numbered from 1.

    draw(rng, n) -> list of n (prompt, completion), rng a NumPy generator made from `seed`. Each update takes `batch`
    pairs and minimises the mean cross entropy over all their completion tokens and <eos> (`loss`). The learning rate
    rises in a line over `warmup` updates (default: a twentieth of `steps`), then falls to 0 as a half cosine, or stays.
    The norm of the gradient is cut at clip_gradient. Dropout stays off. The same seed gives the same bits.

    Metrics: loss (nats per token, of this batch before its update), tokens (trained on so far), learning_rate,
    gradient_norm (before the cut). Raises ValueError for bad arguments, FloatingPointError if the loss is not finite.
    """
    steps, batch = checks.positive_int("steps", steps), checks.positive_int("batch", batch)
    learning_rate = checks.positive("learning_rate", learning_rate)
    clip_gradient = checks.positive("clip_gradient", clip_gradient)
    warmup = checks.count("warmup", steps // 20 if warmup is None else warmup)
    checks.one_of("schedule", schedule, SCHEDULES)
    if checks.finite("weight_decay", weight_decay) < 0:
        checks.fail("weight_decay", weight_decay, "a finite number of at least 0")
    rng = np.random.default_rng(checks.seed(seed))
    weights = [p for p in model.parameters() if p.requires_grad]
    if not weights:
        raise ValueError("model: has no weight that requires a gradient: nothing to train")

    def updates():  # a generator of its own, so that bad arguments raise at the call
        optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=weight_decay)
        device, tokens = weights[0].device, 0
        model.eval()
        for step in range(1, steps + 1):
            rate = learning_rate * share(step, steps, warmup, schedule)
            optimizer.param_groups[0]["lr"] = rate
            ids, mask, shortest = encode(tokenizer, draw(rng, batch))
            value = loss(model, ids.to(device), mask.to(device), shortest)
            if not math.isfinite(value.item()):
                raise FloatingPointError(
                    f"loss={value.item()} at step {step}: lower learning_rate, or look at the data"
                )
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            norm = torch.nn.utils.clip_grad_norm_(weights, clip_gradient).item()
            optimizer.step()
            tokens += int(mask.sum())
            metrics = {"loss": value.item(), "tokens": tokens, "learning_rate": rate, "gradient_norm": norm}
            yield Step(step, metrics)

    return updates()


def share(step: int, steps: int, warmup: int, schedule: str) -> float:
    """The learning rate of update `step` (from 1) of `steps`, as a share of its peak."""
    if step <= warmup:
        return step / warmup
    if schedule == "constant":
        return 1.0
    return 0.5 + 0.5 * math.cos(math.pi * (step - warmup) / (steps - warmup + 1))
