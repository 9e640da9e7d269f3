"""Texts and listed completions as rollouts, so that what reads rollouts (reward models, the scorer) reads them too."""

import torch

from rlkit import checks
from rlkit.lm import prefix
from rlkit.lm.rollouts import Rollouts

FIELDS = ("prompt", "chosen", "rejected")


def as_rollouts(tokenizer, prompts: list, completions: list, max_new_tokens: int | None) -> Rollouts:
    """Texts as the rollouts that they would have been: P prompts, completions P lists of G texts.

    A completion of fewer than max_new_tokens tokens ended with <eos>; one of just as many was cut there and has none
    (None: all ended). The mask goes by position, so <eos> counts even where it is the padding too. logp is NaN: nobody
    sampled. Raises ValueError for a text with more tokens, or without any.
    """
    prompt_ids, prompt_mask = _encode(tokenizer, prompts)
    texts = [text for group in completions for text in group]
    prefix.refuse_unknown(tokenizer, texts)
    limit, finish = float("inf") if max_new_tokens is None else max_new_tokens, []
    rows = tokenizer(texts, add_special_tokens=False)["input_ids"]
    for text, row in zip(texts, rows, strict=True):
        if len(row) > limit:
            checks.fail("completion", text, f"of at most max_new_tokens={max_new_tokens} tokens, not {len(row)}")
        finish.append("stop" if len(row) < limit else "length")
        row += [tokenizer.eos_token_id] if len(row) < limit else []
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]  # [P * G, T]
    ids = torch.full(mask.shape, prefix.padding(tokenizer))
    ids[mask] = torch.tensor([token for row in rows for token in row])
    unknown, size = torch.full(mask.shape, torch.nan), len(texts) // len(prompts)
    return Rollouts(list(prompts), size, prompt_ids, prompt_mask, ids, mask, unknown, texts, finish, 1.0, 1.0, 0)


def on(rollouts: Rollouts, device) -> Rollouts:
    """The rollouts with what the scorer reads on this device."""
    read = ("prompt_ids", "prompt_mask", "ids", "mask")
    return rollouts._replace(**{name: getattr(rollouts, name).to(device) for name in read})


def pairs_of(tokenizer, rows: list, max_new_tokens: int | None) -> Rollouts:
    """Preferences as rollouts with G = 2: chosen, rejected. Raises ValueError for a row without the three texts."""
    if not rows:
        checks.fail("rows", rows, "at least one preference")
    for i, row in enumerate(rows):
        if not (isinstance(row, dict) and all(isinstance(row.get(name), str) for name in FIELDS)):
            checks.fail(f"rows[{i}]", row, "a dictionary with the texts prompt, chosen and rejected")
    both = [[row["chosen"], row["rejected"]] for row in rows]
    return as_rollouts(tokenizer, [row["prompt"] for row in rows], both, max_new_tokens)


def every(policy, tokenizer, prompt: str) -> Rollouts:
    """All N completions of an enumerable policy of `rlkit.lm.exact`, as rollouts of one prompt (P = 1, G = N).

    The policy's tokens are the tokenizer's ids. text and finish are empty and logp is NaN: they would cost more than
    what reads ids and mask alone.
    """
    unknown = torch.full(policy.mask.shape, torch.nan)
    encoded = prefix.encode(tokenizer, [prompt])
    return Rollouts([prompt], len(policy.ids), *encoded, policy.ids, policy.mask, unknown, [], [], 1.0, 1.0, 0)


def _encode(tokenizer, prompts: list) -> tuple:
    """`prefix.encode`, each text once: preferences often have few prompts."""
    distinct = list(dict.fromkeys(prompts))
    number = {prompt: i for i, prompt in enumerate(distinct)}
    index = [number[prompt] for prompt in prompts]
    return tuple(x[index] for x in prefix.encode(tokenizer, distinct))
