"""Completions sampled in groups with the log-probability they were drawn with, judged by a task.

Sampler and scorer (`score_tokens`) are one distribution: softmax(logits / temperature), dropout off, nothing of a
model's generation config but its end tokens.
"""

from typing import NamedTuple

import torch

from rlkit import checks
from rlkit.lm import decoding, heads, prefix
from rlkit.lm.scoring import score_tokens

__all__ = ["Rollouts", "judge", "sample", "score_tokens"]


class Rollouts(NamedTuple):
    """P prompts with G completions each: B = P*G rows, row p*G + g.

    prompts: list of P texts. prompt_ids, prompt_mask: [P, Tp], padded on the left. ids: [B, T], padded on the right.
    mask: [B, T] bool, True for every sampled token, the sampled <eos> included, whatever the padding id is.
    logp: [B, T] fp32, log-probability (nats) that the sampler drew from, 0 where mask is False.
    text: B completions, without <eos>. finish: B times "stop" (<eos> was sampled) or "length".
    reward_parts: None, or name -> [P, G] from `judge`.
    """

    prompts: list
    group_size: int
    prompt_ids: torch.Tensor
    prompt_mask: torch.Tensor
    ids: torch.Tensor
    mask: torch.Tensor
    logp: torch.Tensor
    text: list
    finish: list
    temperature: float
    top_p: float
    seed: int
    reward_parts: dict | None = None


def sample(
    model,
    tokenizer,
    prompts: list,
    group_size: int,
    max_new_tokens: int,
    temperature: float = 1.0,
    seed: int = 0,
    top_p: float = 1.0,
) -> Rollouts:
    """Draw group_size completions of each prompt from softmax(logits / temperature), until <eos> or max_new_tokens.

    prompts: texts, used as they are (apply a chat template before), or problems with a `prompt`. The end tokens are
    those of the model's generation config and the tokenizer's. top_p below 1 (for evaluation only) draws from the
    smallest set of likeliest tokens that holds at least that probability, and records log-probabilities over that set.
    temperature=0 takes the likeliest token (for evaluation only) and records its log-probability at temperature 1.

    Each prompt is encoded once; rows that finished leave the batch. Token t of a row is the inverse cumulative
    distribution at a uniform number that depends on seed, t, row and number of rows alone: leaving changes no draw.
    On CUDA the steps run as a CUDA graph with a cache of fixed length (see decoding.py). A model whose cache cannot be
    shared says so once and runs every row's whole text at every step. Raises ValueError for bad arguments.
    """
    prompts = [getattr(prompt, "prompt", prompt) for prompt in prompts]
    if not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        checks.fail("prompts", prompts, "a non-empty list of texts or problems")
    group_size = checks.positive_int("group_size", group_size)
    max_new_tokens = checks.positive_int("max_new_tokens", max_new_tokens)
    temperature = 0.0 if temperature == 0 else checks.positive("temperature", temperature)
    if not 0 < checks.probability("top_p", top_p) <= 1:
        checks.fail("top_p", top_p, "above 0 and at most 1")
    device, rows = prefix.device(model), len(prompts) * group_size
    generator = torch.Generator().manual_seed(checks.seed(seed))
    uniform = torch.rand(max_new_tokens, rows, generator=generator, dtype=torch.float64).to(device)
    prompt_ids, prompt_mask = prefix.encode(tokenizer, prompts, device)
    ends = end_tokens(model, tokenizer).to(device)
    room, longest = getattr(model.config.get_text_config(), "max_position_embeddings", None), prompt_ids.shape[1]
    if room is not None and longest + max_new_tokens > room:
        allowed = f"at most {room - longest}: the model reads {room} tokens, the longest prompt has {longest}"
        checks.fail("max_new_tokens", max_new_tokens, allowed)
    fill = prefix.padding(tokenizer)
    with prefix.dropout_off(model), torch.no_grad():
        ids, logp, length, stopped = _draw(
            model, prompt_ids, prompt_mask, uniform, ends, fill=fill, temperature=temperature, top_p=top_p
        )
    if device.type == "cuda":
        torch.cuda.empty_cache()  # only so does the memory of a CUDA graph come back
    longest = int(length.max())
    mask = torch.arange(longest, device=device) < length[:, None]
    kept = [row[:n] for row, n in zip(ids.tolist(), (length - stopped.long()).tolist(), strict=True)]
    return Rollouts(
        prompts,
        group_size,
        prompt_ids,
        prompt_mask,
        ids[:, :longest],
        mask,
        logp[:, :longest],
        [tokenizer.decode(row, clean_up_tokenization_spaces=False) for row in kept],
        ["stop" if stop else "length" for stop in stopped.tolist()],
        temperature,
        float(top_p),
        int(seed),
    )


def _draw(model, prompt_ids, prompt_mask, uniform, ends, *, fill, temperature, top_p):
    """(ids [B, T], logp [B, T], length [B], stopped [B]) with T = max_new_tokens, from uniform [T, B]."""
    (steps, rows), device = uniform.shape, uniform.device
    group_size = rows // len(prompt_ids)
    ids = torch.full((rows, steps), fill, device=device)
    logp = torch.zeros(rows, steps, device=device)
    length, stopped = torch.full((rows,), steps, device=device), torch.zeros(rows, dtype=torch.bool, device=device)
    call, project = heads.apart(model, rows)
    logits, rest = decoding.decoder(model, call, project, prompt_ids, prompt_mask, group_size, steps)
    logits = logits.repeat_interleave(group_size, 0)
    live = torch.arange(rows, device=device)  # the rows that are still in the batch
    for step in range(steps):
        token, token_logp = pick(logits, uniform[step, live], temperature, top_p)
        running = ~stopped[live]
        ids[live, step] = torch.where(running, token, fill)
        logp[live, step] = torch.where(running, token_logp, 0.0)
        ended = running & torch.isin(token, ends)
        length[live[ended]], stopped[live[ended]] = step + 1, True
        running &= ~ended
        left = int(running.sum())
        if left == 0 or step + 1 == steps:
            break
        if rest.drops(len(live), left):
            stay = running.nonzero()[:, 0]
            live, token = live[stay], token[stay]
            rest.keep(stay)
        logits = rest.advance(token, step)
    return ids, logp, length, stopped


def pick(logits, uniform, temperature: float, top_p: float) -> tuple:
    """(token [B], its log-probability [B]) from logits [B, V] at uniform numbers [B] in [0, 1), in float64.

    The token is the first whose cumulative probability exceeds the uniform number, so one number a row is all the
    randomness there is. A token of probability 0 is never taken. A large vocabulary is taken some rows at a time.
    """
    at_once = max(heads.AT_ONCE // logits.shape[-1], 1)
    if len(logits) > at_once:
        parts = zip(logits.split(at_once), uniform.split(at_once), strict=True)
        return tuple(map(torch.cat, zip(*(pick(*part, temperature, top_p) for part in parts), strict=True)))
    logp = logits.float().div(temperature or 1.0).log_softmax(-1)
    if logp[:, 0].isnan().any():  # one such logit makes its whole row NaN
        raise FloatingPointError("model: its logits hold NaN or infinity: it has diverged, or its precision is too low")
    if temperature == 0:
        token = logp.argmax(-1, keepdim=True)
    else:
        logp = logp if top_p == 1 else nucleus(logp, top_p)
        cumulative = logp.exp().cumsum(-1, dtype=torch.float64)
        total = cumulative[:, -1:]
        # Rounding must not lift uniform * total to total itself: no token lies beyond it.
        target = torch.minimum(uniform[:, None] * total, total.nextafter(torch.zeros_like(total)))
        token = torch.searchsorted(cumulative, target, right=True)
    return token[:, 0], logp.gather(-1, token)[:, 0]


def nucleus(logp, top_p: float):
    """Log-probabilities [B, V] over the smallest set of likeliest tokens that holds at least top_p; -inf outside it."""
    ordered, order = logp.sort(dim=-1, descending=True, stable=True)
    before = ordered.exp().cumsum(-1, dtype=torch.float64) - ordered.exp()  # probability of all likelier tokens
    outside = torch.zeros_like(logp, dtype=torch.bool).scatter(-1, order, before >= top_p)
    return logp.masked_fill(outside, -torch.inf).log_softmax(-1)


def end_tokens(model, tokenizer) -> torch.Tensor:
    """The ids that end a completion: those of the model's generation config (one or several) and the tokenizer's."""
    config = getattr(model, "generation_config", None)
    declared = getattr(config, "eos_token_id", None)
    declared = declared if isinstance(declared, list | tuple) else [declared]
    ends = sorted({int(end) for end in [*declared, tokenizer.eos_token_id] if end is not None})
    if not ends:
        raise ValueError("tokenizer: has no eos_token_id and the model's generation config neither: must have one")
    return torch.tensor(ends)


def judge(rollouts: Rollouts, task, problems: list) -> Rollouts:
    """The rollouts with reward_parts: task.verify(problem, completion) of every row, name -> [P, G] float32.

    problems: the P problems, in the order of the prompts. Raises ValueError where a prompt does not hold its problem's
    (a chat template may stand around it).
    """
    if len(problems) != len(rollouts.prompts):
        checks.fail("len(problems)", len(problems), f"{len(rollouts.prompts)}, one for each prompt")
    for i, (problem, prompt) in enumerate(zip(problems, rollouts.prompts, strict=True)):
        if problem.prompt.strip() not in prompt:
            checks.fail(f"problems[{i}].prompt", problem.prompt, f"part of the sampled prompt {prompt!r:.80}")
    size = rollouts.group_size
    parts = [task.verify(problems[row // size], text) for row, text in enumerate(rollouts.text)]
    shape = len(problems), size
    table = {name: torch.tensor([float(part[name]) for part in parts]).reshape(shape) for name in parts[0]}
    return rollouts._replace(reward_parts=table)
