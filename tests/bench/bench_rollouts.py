"""How fast rollouts are sampled and scored: beside generate of transformers, and beside one full forward for each row.

16 prompts x 16 rollouts of a Qwen3 model with 0.79 million parameters (hidden 128, 4 layers, vocabulary 256), fp32.
CPU-seconds by time.process_time, medians of alternating repeats, one torch thread. generate samples from the plain
softmax as ours does, with num_return_sequences=16, and records no log-probability, which ours does.
"""

import math
import statistics
import time

import torch
import transformers

from rlkit.lm import models
from rlkit.lm.rollouts import sample, score_tokens
from rlkit.lm.vocabulary import LARGEST, WORDS

PROMPTS, GROUP, REPEATS = 16, 16, 5


def _model(end: float):
    """(model, tokenizer): <eos> has the logit `end`, all others about 0: it decides how long completions are."""
    model, tokenizer = models.fresh("m", 0)
    head = torch.nn.Linear(model.config.hidden_size, len(tokenizer))
    with torch.no_grad():
        head.weight.copy_(model.lm_head.weight / 10)
        head.weight[tokenizer.eos_token_id] = 0.0
        head.bias.zero_()
        head.bias[tokenizer.eos_token_id] = end
    model.lm_head = head
    return model, tokenizer


def _prompts(tokens: int) -> list:
    numbers = WORDS[3 : 4 + LARGEST]
    return [" ".join(numbers[(7 * i + 3 * j) % len(numbers)] for j in range(tokens)) for i in range(PROMPTS)]


def _generate(model, tokenizer, prompts, longest, seed):
    """Lengths [B] of completions by generate."""
    torch.manual_seed(seed)
    batch = tokenizer(prompts, return_tensors="pt", padding=True)
    with torch.inference_mode():
        ids = model.generate(
            **batch,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=longest,
            num_return_sequences=GROUP,
        )[:, batch["input_ids"].shape[1] :]
    ended = ids == tokenizer.eos_token_id
    return torch.where(ended.any(1), ended.int().argmax(1) + 1, ids.shape[1])


def _full_forward(model, rollouts):
    """logp [B, T] by a forward of prompt and completion for every row."""
    rows = torch.cat([rollouts.prompt_ids.repeat_interleave(GROUP, 0), rollouts.ids], 1)
    logits = model(input_ids=rows, logits_to_keep=rollouts.ids.shape[1] + 1, use_cache=False).logits[:, :-1]
    logp = logits.gather(-1, rollouts.ids[..., None])[..., 0] - logits.logsumexp(-1)
    return logp.masked_fill(~rollouts.mask, 0.0)


def _medians(*functions) -> list:
    """CPU-seconds of each function, which gets the number of the repeat."""
    used = [[] for _ in functions]
    for repeat in range(REPEATS + 1):  # the first one warms up
        for seconds, function in zip(used, functions, strict=True):
            start = time.process_time()
            function(repeat)
            seconds.append(time.process_time() - start)
    return [statistics.median(seconds[1:]) for seconds in used]


def _sampling(end: float, tokens: int, longest: int, mean: float) -> list:
    """Our seconds and generate's; refuses to compare completions whose mean lengths differ from the one wanted."""
    model, tokenizer = _model(end)
    prompts = _prompts(tokens)

    def ours(seed):
        return sample(model, tokenizer, prompts, GROUP, longest, seed=seed).mask.sum(1)

    def theirs(seed):
        return _generate(model, tokenizer, prompts, longest, seed)

    for lengths in (ours, theirs):
        drawn = torch.cat([lengths(seed) for seed in range(4)]).float()
        assert abs(drawn.mean() - mean) < 0.1 * mean, drawn.mean()
        assert drawn.max() == longest
    return _medians(ours, theirs)


def _scoring(end: float, tokens: int, longest: int) -> list:
    """Our seconds of scoring and backward, and those of the full forward; refuses if the two differ."""
    model, tokenizer = _model(end)
    rollouts = sample(model, tokenizer, _prompts(tokens), GROUP, longest, seed=0)
    assert (score_tokens(model, rollouts) - _full_forward(model, rollouts)).abs().max() < 1e-5

    def backward(score):
        model.zero_grad()
        score(model, rollouts).sum().backward()

    return _medians(lambda _: backward(score_tokens), lambda _: backward(_full_forward))


def rows() -> list:
    """`ours` and `theirs` in CPU-seconds, `ratio` = theirs / ours."""
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    never, often = -1e4, math.log(255 / 15)  # <eos> has probability 0, or 1/16: a mean length of about 16
    truncated = 16 * (1 - (15 / 16) ** 64)
    batch = f"{PROMPTS} x {GROUP} rollouts"
    table = [
        (
            f"sample {batch}, prompts of 12, completions of 16; theirs: generate",
            _sampling(never, 12, 16, 16),
            ">= 1.35 x",
        ),
        (
            f"sample {batch}, prompts of 12, lengths mean 16, longest 64",
            _sampling(often, 12, 64, truncated),
            ">= 2.2 x",
        ),
        (f"sample {batch}, prompts of 128, completions of 16", _sampling(never, 128, 16, 16), ">= 2.2 x"),
        (f"score and backward {batch}, 12 + 16 tokens; theirs: full forward", _scoring(never, 12, 16), ">= 1.3 x"),
        (f"score and backward {batch}, 128 + 16 tokens", _scoring(never, 128, 16), ">= 3.5 x"),
        (f"score and backward {batch}, 12 + mean 16, longest 64", _scoring(often, 12, 64), ">= 2 x"),
    ]
    return [
        {"work": work, "ours": ours, "theirs": theirs, "ratio": theirs / ours, "must": must}
        for work, (ours, theirs), must in table
    ]
