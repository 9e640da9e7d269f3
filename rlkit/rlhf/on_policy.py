"""What the on-policy learners of this chapter share: draw, reward, compare with the reference, learn, log."""

import numpy as np
import torch

from rlkit import checks
from rlkit.lm.adapters import adapter_is_new
from rlkit.lm.rollouts import score_tokens
from rlkit.rlhf.draws import draw
from rlkit.rlvr import arguments, batches, updates
from rlkit.rlvr.evaluation import derive
from rlkit.runs import Step

PREFIX = 6  # purpose of a random draw, after those of rlvr.batches and rlvr.learner


def check(
    model,
    task,
    *,
    beta,
    learning_rate,
    clip_gradient,
    problems,
    seed,
    micro_batch,
    log_rollouts_every,
    group_size,
    steps,
    prompts_per_step,
    smallest_group=1,
):
    """(trainable: name -> parameter, what `train` is given, how `rlvr.updates.update` updates), after all arguments
    have been found good; else ValueError, one line."""
    given = {"steps": steps, "prompts_per_step": prompts_per_step}
    for name, value in given.items():
        checks.positive_int(name, value)
    if checks.positive_int("group_size", group_size) < smallest_group:
        checks.fail("group_size", group_size, f"at least {smallest_group}: completions of a group are compared")
    checks.positive("learning_rate", learning_rate)
    for name, value in {"micro_batch": micro_batch, "log_rollouts_every": log_rollouts_every}.items():
        if value is not None:
            checks.positive_int(name, value)
    if clip_gradient is not None:
        checks.positive("clip_gradient", clip_gradient)
    checks.seed(seed)
    if checks.finite("beta", beta) < 0:
        checks.fail("beta", beta, "a number of at least 0")
    problems = arguments.default_problems(task, seed) if problems is None else list(problems)
    if not problems:
        checks.fail("problems", problems, "at least one problem")
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        raise ValueError("model: has no parameter that requires a gradient: nothing to train")
    narrow = next((name for name, p in trainable.items() if p.dtype in (torch.float16, torch.bfloat16)), None)
    if narrow:
        raise ValueError(f"model: its trainable {narrow} is {trainable[narrow].dtype}: must be float32")
    given |= {"problems": problems, "group_size": group_size, "seed": seed, "micro_batch": micro_batch}
    given |= {"log_rollouts_every": log_rollouts_every}
    how = {"max_new_tokens": task.max_new_tokens, "micro_batch": micro_batch}
    return trainable, given, how | {"entropy_bonus": 0.0, "clip_gradient": clip_gradient}


def train(
    model,
    tokenizer,
    task,
    reward,
    learn,
    parameters: list,
    *,
    steps: int,
    seed: int,
    problems: list,
    prompts_per_step: int,
    group_size: int,
    micro_batch: int | None,
    log_rollouts_every: int | None,
    hidden: bool = False,
    prefixes=None,
):
    """The loop of `reinforce` and `ppo`: yields a Step 0, then one after each `learn(step, batch, reference, read)`.

    learn gets a Batch whose rewards [P, G] are what `reward` gave and whose judged [P, G] is the task's judgement, the
    reference's log-probabilities [B, T] and, with hidden, what its head read [B, T, D]. It updates `parameters` and
    returns (metrics, fields), fields: name -> [B] or [B, T] for the logged rows, with "advantage" [B] among them.
    Raises FloatingPointError where a number is not finite: parameters are as after the last step, the batch is kept.
    """
    own = [p for p in model.parameters() if p.requires_grad]
    base = adapter_is_new(model)  # then the reference is the model without its adapter
    frozen = None if base else updates.snapshot(own)
    tokens = done = 0
    yield Step(0, {"tokens": 0.0, "updates": 0.0})
    for step in range(1, steps + 1):
        good, batch = updates.snapshot(parameters), None
        try:
            chosen = batches.order(len(problems), (step - 1) * prompts_per_step, prompts_per_step, seed)
            some, rng = [problems[i] for i in chosen], np.random.default_rng([seed, PREFIX, step])
            starts = [prefixes(problem, rng) if prefixes else "" for problem in some]
            batch = draw(model, tokenizer, task, reward, some, starts, group_size, derive(seed, batches.SAMPLING, step))
            batches.refuse_not_finite(batch)
            rollouts = batch.rollouts
            with updates.adapter_off(model) if base else updates.weights_of(own, frozen):
                reference, read = _scores(model, rollouts, micro_batch, hidden)
            metrics = measured(batch, reference)
            logged = log_rollouts_every and (step in (1, steps) or step % log_rollouts_every == 0)
            entropy = updates.scores(model, rollouts, micro_batch)[1] if logged else None
            learnt, fields = learn(step, batch, reference, read)
        except FloatingPointError as error:
            updates.put(parameters, good)
            where = batches.keep_failed(None, step, batch, None, {"error": str(error), "step": step, "seed": seed})
            raise FloatingPointError(
                f"step {step}: {error}. The model is as after step {step - 1}. What was sampled is in {where}"
            ) from None
        tokens, done = tokens + batch.tokens, done + learnt.pop("updates")
        rows = None
        if logged:
            new, _ = updates.scores(model, rollouts, micro_batch)
            rows = _rows(tokenizer, batch, starts, entropy, new, reference, fields)
        yield Step(step, metrics | learnt | {"tokens": float(tokens), "updates": float(done)}, rows)


def measured(batch, reference) -> dict:
    """reward, gold, reward_<part>, kl, truncated and length of what was sampled."""
    rollouts = batch.rollouts
    metrics = {"reward": batch.rewards.mean().item(), "gold": batch.judged.mean().item()}
    metrics |= {f"reward_{name}": value.double().mean().item() for name, value in batch.parts.items()}
    metrics["kl"] = ((rollouts.logp - reference) * rollouts.mask).sum(1).double().mean().item()
    return metrics | {"truncated": batch.truncated, "length": batch.tokens / len(rollouts.text)}


def _scores(model, rollouts, micro_batch, hidden):
    """(logp [B, T], what the head read [B, T, D] or None) without gradient."""
    cuts = updates.cut(list(range(len(rollouts.ids))), micro_batch)
    with torch.no_grad():
        parts = [score_tokens(model, rollouts, rows, hidden=hidden) for rows in cuts]
    return tuple(torch.cat(x) for x in zip(*parts, strict=True)) if hidden else (torch.cat(parts), None)


def _rows(tokenizer, batch, starts, entropy, new, reference, fields) -> list:
    """The rows of `rlvr.batches.rows`, with gold, the start, and per-token fields cut to the tokens of the row."""
    size, mask = batch.rollouts.group_size, batch.rollouts.mask
    advantage = fields["advantage"].reshape(-1, size)
    weights = updates.Weights(advantage, torch.ones_like(advantage, dtype=torch.bool), batch.rewards)
    rows = batches.rows(tokenizer, batch, weights, entropy, new, reference)
    for i, (row, judged) in enumerate(zip(rows, batch.judged.flatten().tolist(), strict=True)):
        row["gold"] = judged
        if starts[i // size]:
            row["prefix"] = starts[i // size]
        row |= {name: v[i][mask[i]].tolist() for name, v in fields.items() if v.dim() == 2}
    return rows
