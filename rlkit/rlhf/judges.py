"""A judge that is a language model: it reads a prompt and two completions and writes which one is better.

As for any language model that judges, the order matters to it: `prefer` asks in both orders and takes the mean.
Source of the generative, pairwise judge: Zheng et al. 2023 (arXiv 2306.05685); departure: its verdict is a
probability, read off the model, not a sampled word.
"""

from typing import NamedTuple

import torch

from rlkit import checks
from rlkit.lm import models, prefix, supervised
from rlkit.rlhf.preference_rollouts import FIELDS, pairs_of

FIRST, SECOND, COLON, BAR = "first", "second", ":", "|"
WORDS = (FIRST, SECOND, COLON, BAR)  # what a judge needs besides the words of what it reads
ROWS = 1024  # questions that go through the judge at once


class Judge(NamedTuple):
    """A model that writes "first" or "second" as the token after `question(prompt, a, b)`, and its tokenizer."""

    model: torch.nn.Module
    tokenizer: object

    def verdicts(self, prompts: list, a: list, b: list) -> torch.Tensor:
        """Exact probabilities [B, 2, 3] of the next token, without gradient, float64.

        [:, 0] where a stands first, [:, 1] where b does; [..., 0] of "first", [..., 1] of "second", [..., 2] of all
        else. Raises ValueError for lists of different lengths or none, or a vocabulary without the two verdicts.
        """
        if not len(prompts) == len(a) == len(b) or not prompts:
            checks.fail("(len(prompts), len(a), len(b))", (len(prompts), len(a), len(b)), "equal and at least 1")
        verdict = [self.tokenizer(word, add_special_tokens=False)["input_ids"] for word in (FIRST, SECOND)]
        if any(len(ids) != 1 for ids in verdict) or verdict[0] == verdict[1]:
            checks.fail("tokenizer", verdict, f"one that holds {FIRST!r} and {SECOND!r} as one token each")
        questions = [question(*texts) for texts in zip(prompts, a, b, strict=True)]
        questions += [question(*texts) for texts in zip(prompts, b, a, strict=True)]
        found, call = [], prefix.forward(self.model)
        with torch.no_grad(), prefix.dropout_off(self.model):
            for start in range(0, len(questions), ROWS):
                ids, mask = prefix.encode(self.tokenizer, questions[start : start + ROWS], prefix.device(self.model))
                seen = None if mask.all() else mask.long()
                logits, _ = call(ids, seen, (mask.long().cumsum(1) - 1).clamp(min=0), False, 1)
                found.append(logits[:, -1].double().softmax(-1)[:, [verdict[0][0], verdict[1][0]]].cpu())
        both = torch.cat(found)  # [2 B, 2]
        return torch.cat([both, 1 - both.sum(1, keepdim=True)], 1).view(2, -1, 3).transpose(0, 1)

    def prefer(self, prompts: list, a: list, b: list) -> torch.Tensor:
        """P(a preferred) [B]: the mean over both orders of its verdict's share of the two verdicts.

        So prefer(a, b) = 1 - prefer(b, a), and 1/2 for a judge that only looks at places. What is neither verdict
        counts as nothing; how much that is says `verdicts`. Errors: as there.
        """
        first = _first(self.verdicts(prompts, a, b))  # [B, 2]
        return (first[:, 0] + 1 - first[:, 1]) / 2

    def position_bias(self, prompts: list, a: list, b: list) -> torch.Tensor:
        """How much the first place alone is worth, [B] in [-1/2, 1/2]: the mean over both orders of P(first), minus
        1/2. 0: the places do not matter to it. Errors: as `verdicts`."""
        return _first(self.verdicts(prompts, a, b)).mean(1) - 0.5


def _first(verdicts):
    return verdicts[..., 0] / (verdicts[..., 0] + verdicts[..., 1])


def fresh(size: str, seed: int, words) -> Judge:
    """An untrained judge of a size of `models.SIZES` for texts of these words. Raises ValueError as `models.fresh`."""
    return Judge(*models.fresh(size, seed, words=[*words, *(word for word in WORDS if word not in words)]))


def question(prompt: str, first: str, second: str) -> str:
    """The text that a judge reads; the next word is its verdict."""
    return f"{prompt} | first : {first} | second : {second} |"


def fit_judge(judge: Judge, rows: list, *, steps: int, learning_rate: float, batch: int = 64, seed: int = 0):
    """Train a judge in place to write the verdict of preferences: the Steps of `rlkit.lm.fit`.

    Each row of `rows` that a batch draws, with repetition, stands in it twice, once in each order of its completions,
    so that no place is favoured (an odd batch lacks one). The loss is cross entropy in nats a token, over the verdict
    and the <eos> after it: a judge that cannot tell has log(2) / 2. rows: dictionaries with prompt, chosen, rejected.
    Raises ValueError as `rlkit.lm.fit` does, and for bad rows.
    """
    pairs_of(judge.tokenizer, rows, None)  # refuses what is no preference
    texts = [tuple(row[name] for name in FIELDS) for row in rows]

    def draw(rng, n: int) -> list:
        drawn = [texts[number] for number in rng.integers(len(texts), size=(n + 1) // 2).tolist()]
        orders = [(question(x, y, z), FIRST) for x, y, z in drawn] + [(question(x, z, y), SECOND) for x, y, z in drawn]
        return orders[:n]

    how = {"steps": steps, "batch": batch, "learning_rate": learning_rate, "seed": seed}
    return supervised.fit(judge.model, judge.tokenizer, draw, **how)
