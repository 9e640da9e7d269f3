"""What every task is: problems from a seed, a verifier with named parts, an expert who demonstrates.

A verifier judges text that a model wrote, so it must not matter what stands there. It parses, it never evaluates; it
looks at no more than it needs, so that the time is bounded; and it returns numbers for every string.
"""

import dataclasses
import hashlib
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rlkit import checks

SPLITS = ("train", "validation", "test")
PATIENCE = 20_000  # draws without any problem of the split until a task says that it has none
LONGEST = 20_000  # characters; what is longer is no answer to a short question


class Problem(NamedTuple):
    """One question. `id` is canonical: equal problems have equal ids. `facts` (JSON) is what the verifier knows."""

    id: str
    prompt: str
    facts: dict


def split_of(problem_id: str) -> str:
    """The split of a problem: a hash (BLAKE2b) of its id sends 80 % to train, 10 % to validation, 10 % to test.

    It depends on the id alone, so no problem is in two splits, whatever the seeds.
    """
    share = int.from_bytes(hashlib.blake2b(problem_id.encode(), digest_size=8).digest(), "big") % 10
    return SPLITS[max(0, share - 7)]


@dataclasses.dataclass(frozen=True)
class Task:
    """A family of problems.

    name: how the task was made. weights: part -> its weight in the reward. max_new_tokens: room for any demonstration
    in tokens of the tiny vocabulary. draw(rng): a problem of any split, from a numpy Generator. parts(problem,
    completion): part -> float, always with "format" and "correct". demonstrate(problem, rng, **style): a completion.
    words: the vocabulary of the tiny models made for it, None for the one that most share (rlkit/lm/vocabulary.py).
    """

    name: str
    weights: dict
    max_new_tokens: int
    draw: Callable
    parts: Callable
    demonstrate: Callable
    words: tuple | None = None

    def one(self, rng: np.random.Generator, split: str = "train") -> Problem:
        """A problem of the split, or of "all", drawn anew: the same one may come again. Raises ValueError if none turns
        up."""
        problem = self._next(rng, checks.one_of("split", split, (*SPLITS, "all")))
        if problem is None:
            raise ValueError(f"split={split!r}: {self.name} has no such problem ({PATIENCE} draws)")
        return problem

    def problems(self, n: int, seed: int, split: str = "train") -> list:
        """`n` distinct problems of the split, or of "all". Raises ValueError with the number there is if that is fewer.

        There are no more when 1000 + 20 m draws of the split in a row bring none that is not among the m found: of
        equally likely problems, one more would have been missed with a probability below 1e-8.
        """
        checks.positive_int("n", n)
        checks.one_of("split", split, (*SPLITS, "all"))
        rng = np.random.default_rng(checks.seed(seed))
        found, again = {}, 0
        while len(found) < n:
            problem = self._next(rng, split)
            again = again + 1 if problem is not None and problem.id in found else 0
            if problem is None or again > 1000 + 20 * len(found):
                checks.fail("n", n, f"at most {len(found)}: {self.name} has no more distinct {split} problems")
            found.setdefault(problem.id, problem)
        return list(found.values())

    def _next(self, rng, split: str) -> Problem | None:
        drawn = (self.draw(rng) for _ in range(PATIENCE))
        return next((problem for problem in drawn if split in ("all", split_of(problem.id))), None)

    def examples(self, n: int, rng: np.random.Generator, split: str = "train", **style) -> list:
        """`n` pairs (prompt, demonstration) of problems of the split, drawn with repetition: a corpus."""
        drawn = (self.one(rng, split) for _ in range(checks.positive_int("n", n)))
        return [(problem.prompt, self.demonstrate(problem, rng, **style)) for problem in drawn]

    def verify(self, problem: Problem, completion: str) -> dict:
        """part -> float for any string at all. Raises ValueError for what is no string: that is a mistake of ours."""
        if not isinstance(completion, str):
            checks.fail("completion", completion, "a string")
        return self.parts(problem, completion)

    def reward(self, parts: dict) -> float:
        """The sum over parts of weight times value. Raises KeyError if a part with a weight is missing."""
        return float(sum(weight * parts[part] for part, weight in self.weights.items() if weight))

    def with_weights(self, **weights: float) -> "Task":
        """The same task with other weights for the parts named. Raises ValueError for an unknown part or no number."""
        for part, weight in weights.items():
            checks.one_of("part", part, tuple(self.weights))
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
                checks.fail(part, weight, "a finite number")
        return dataclasses.replace(self, weights=self.weights | weights)


def with_chat_template(task: Task, tokenizer, system: str | None = None) -> Task:
    """The task with every prompt as the user's turn of the tokenizer's chat template, open for the assistant's.

    system: the text of a system turn, or None for none. Ids, verifier and splits stay. A tokenizer without a template,
    as those of the shipped models, leaves the task as it is. Raises ValueError for a template that changes the prompt's
    text, since a verifier would then judge another question.
    """
    if not getattr(tokenizer, "chat_template", None):
        return task

    def draw(rng):
        problem = task.draw(rng)
        turns = [{"role": "system", "content": system}] if system else []
        turns += [{"role": "user", "content": problem.prompt}]
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        if problem.prompt.strip() not in prompt:
            checks.fail("tokenizer.chat_template", prompt, f"one that keeps the prompt {problem.prompt!r:.80} as it is")
        return problem._replace(prompt=prompt)

    return dataclasses.replace(task, draw=draw)


def words(completion: str, most: int = 1000) -> list | None:
    """The completion's words, split at ASCII white space alone; None if it is too long to be an answer.

    Splitting at ASCII only keeps the no-break spaces and line separators of Unicode from hiding inside an answer.
    """
    if len(completion) > LONGEST:
        return None
    plain = completion.replace("\t", " ").replace("\n", " ").replace("\r", " ")
    found = [word for word in plain.split(" ") if word]
    return found if len(found) <= most else None


def number(word: str) -> int | None:
    """The integer that a word of ASCII digits writes, at most 9 of them and none of them a leading zero; else None.

    `str.isdigit` alone would take superscripts and the digits of other scripts, and `int` underscores and spaces.
    """
    plain = word.isascii() and word.isdigit() and len(word) <= 9
    return int(word) if plain and (word == "0" or word[0] != "0") else None
