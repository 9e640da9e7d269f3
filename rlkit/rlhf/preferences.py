"""Preferences that a rubric would state: pairs drawn from a model, labelled by an annotator of known noise and bias."""

import numpy as np
import torch

from rlkit import checks
from rlkit.lm.rollouts import Rollouts, judge, sample
from rlkit.rlvr.batches import rewards_of
from rlkit.rlvr.evaluation import derive

AT_ONCE = 1024  # pairs sampled together


def gold(task):
    """reward(rollouts, problems) -> [P, G]: what the task's own rubric says, as a learner's reward."""

    def reward(rollouts: Rollouts, problems: list) -> torch.Tensor:
        return rewards_of(task, judge(rollouts, task, problems).reward_parts)

    return reward


def pairs(model, tokenizer, task, n: int, *, seed: int, split: str = "all", temperature: float = 1.0) -> tuple:
    """(problems, a, b): n problems, drawn with repetition, and two different completions of each, none of them empty.

    Both are samples of the model; where they came out equal, or one is empty, both are drawn anew, so pairs are those
    of the model given that they are fit to compare. Raises ValueError if after 50 rounds some still are not.
    """
    rng = np.random.default_rng(checks.seed(seed))
    problems = [task.one(rng, split) for _ in range(checks.positive_int("n", n))]
    found, open_ = [None] * n, list(range(n))
    for number in range(50):
        for first in range(0, len(open_), AT_ONCE):
            some = open_[first : first + AT_ONCE]
            drawn = sample(
                model,
                tokenizer,
                [problems[i] for i in some],
                2,
                task.max_new_tokens,
                temperature=temperature,
                seed=derive(seed, number, first),
            )
            for place, i in enumerate(some):
                found[i] = tuple(drawn.text[2 * place : 2 * place + 2])
        open_ = [i for i in open_ if found[i][0] == found[i][1] or not all(found[i])]
        if not open_:
            return problems, [a for a, _ in found], [b for _, b in found]
    raise ValueError(
        f"model: {len(open_)} of {n} pairs have equal or empty completions after 50 tries: it is too certain"
    )


def utilities(annotator, problems: list, completions: list) -> np.ndarray:
    """annotator.reward of each completion, [B] float64."""
    given = zip(problems, completions, strict=True)
    return np.array([annotator.reward(annotator.verify(problem, text)) for problem, text in given])


def chance(annotator, problems: list, a: list, b: list, noise: float) -> np.ndarray:
    """P(a is preferred to b) = sigmoid((u(a) - u(b)) / noise), [B], u the annotator's rubric: a Bradley-Terry human.

    noise 0: the better one always, a half where they are equal.
    """
    if checks.finite("noise", noise) < 0:
        checks.fail("noise", noise, "a finite number of at least 0")
    difference = utilities(annotator, problems, a) - utilities(annotator, problems, b)
    if noise == 0:
        return 0.5 + 0.5 * np.sign(difference)
    return 0.5 + 0.5 * np.tanh(difference / (2 * noise))


def label(annotator, problems: list, a: list, b: list, *, noise: float, seed: int) -> list:
    """Rows {"prompt", "chosen", "rejected"}, one for each pair, in TRL's format with explicit prompts.

    annotator: a task whose weights are this person's taste: `task` itself is without bias,
    `task.with_weights(length=0.1)` likes long texts. noise: see `chance`; at 0.25 a difference of 0.5 in gold reward
    is seen in 88 % of the pairs.
    """
    rng = np.random.default_rng(checks.seed(seed))
    first = rng.random(len(problems)) < chance(annotator, problems, a, b, noise)
    rows = zip(problems, a, b, first.tolist(), strict=True)
    return [
        {"prompt": problem.prompt, "chosen": x if won else y, "rejected": y if won else x}
        for problem, x, y, won in rows
    ]
