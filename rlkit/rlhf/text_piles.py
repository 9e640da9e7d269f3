"""A pile of texts by good and bad authors about the same prompts, and the model that has imitated all of them."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from rlkit import checks, lm
from rlkit.rlhf import offline_texts
from rlkit.stats import paired_bootstrap

BAD_AT_FIRST, BAD_AT_LAST = 0.1, 0.7  # shares of bad authors, from the first to the last of the prompts' first words
SLIP, BAD_SLIP = 0.1, 0.8  # how often an author takes any word at all
HEAD = {"steps": 200, "learning_rate": 1e-2}  # of the fit of V


class Start(NamedTuple):
    """What learning from a pile begins with: its texts, the reference policy, and rewards [P, G] of its own texts."""

    texts: pd.DataFrame
    model: object
    tokenizer: object
    rewards: np.ndarray


def to_unit(task, reward):
    """Rewards as numbers from 0 to 1: (reward + 1) / 3, for the rubric of `lm.tasks.style` goes from -1 to 2."""
    if not task.name.startswith("style("):
        checks.fail("task", task.name, "a style task, whose rewards are known to go from -1 to 2")
    return (reward + 1) / 3


def pile(task, problems: list, seed: int, texts: int = 2048) -> pd.DataFrame:
    """Columns problem (its number), prompt, text, bad, reward (0 to 1), one row for each of `texts` texts.

    Problems are drawn alike. A text's author is bad with a probability that depends on the prompt's first word: it
    rises in equal steps from 0.1 to 0.7 over the words in alphabetical order, 0.4 in the mean. A bad author takes any
    word at all with probability 0.8, a good one with 0.1. The same seed gives the same pile.
    """
    rng, rows = np.random.default_rng(checks.seed(seed)), []
    first = [problem.prompt.split()[0] for problem in problems]
    share = dict(zip(sorted(set(first)), np.linspace(BAD_AT_FIRST, BAD_AT_LAST, len(set(first))), strict=True))
    for n in rng.integers(len(problems), size=checks.positive_int("texts", texts)).tolist():
        bad = bool(rng.random() < share[first[n]])
        text = task.demonstrate(problems[n], rng, slip=BAD_SLIP if bad else SLIP)
        reward = to_unit(task, task.reward(task.verify(problems[n], text)))
        rows.append((n, problems[n].prompt, text, bad, reward))
    return pd.DataFrame(rows, columns=["problem", "prompt", "text", "bad", "reward"])


def imitated(name: str, task, problems: list, seed: int, texts: int = 2048, steps: int = 120) -> Start:
    """The pile of a seed, the shipped model `name` after maximum likelihood on all of it, and what that model earns.

    `steps` updates on 64 texts, learning rate 2e-3. Rewards (0 to 1): of 16 texts of the model for each problem.
    """
    data, (model, tokenizer) = pile(task, problems, seed, texts), lm.load(name)
    given, each = (list(data["prompt"]), list(data["text"])), np.ones(len(data))
    how = {"steps": steps, "learning_rate": 2e-3, "batch": 64, "seed": seed, "max_new_tokens": task.max_new_tokens}
    for _ in offline_texts.learn(model, tokenizer, *given, each, _likelihood, chances=each, **how):
        pass
    _, drawn, _ = offline_texts.tested(model, model, tokenizer, task, problems, samples=16, seed=seed)
    return Start(data, model, tokenizer, to_unit(task, drawn))


def advantages(start: Start, noise: float, seed: int) -> tuple:
    """(rewards, advantages), each [N], that learners are told: r and r - V(prompt), of every text of the pile.

    V is fitted by `offline_texts.fit_values` to the reference's own texts. noise: a share of the rewards, of the pile
    and of those texts, that change places (`offline_texts.swapped`).
    """
    told = offline_texts.swapped(start.texts["reward"], noise, seed)
    own = offline_texts.swapped(start.rewards.ravel(), noise, seed).reshape(start.rewards.shape)
    prompts = start.texts.groupby("problem")["prompt"].first().reindex(range(len(own)))
    if prompts.isna().any():
        checks.fail("texts", len(start.texts), "enough for every problem to have one")
    values, _ = offline_texts.fit_values(start.model, start.tokenizer, list(prompts), own, seed=seed, **HEAD)
    return told, told - values[start.texts["problem"]]


def results(run) -> pd.DataFrame:
    """What the cells of a sweep over (arm, noise, seed) measured: indexed by these three, a column for each metric."""
    cells = run.rollouts().query("kind == 'cell'").set_index("step")[["arm", "noise", "seed"]]
    return cells.join(run.metrics().set_index("step").drop(columns="seed")).set_index(["arm", "noise", "seed"])


def loss_gap(found, one: str, other: str, noise: float) -> tuple:
    """(interval, sentence): how much more reward `one` loses through noise than `other`, over piles; below 0: less.

    found: `results`, with both arms at noise 0 and at `noise`. The loss of a pile is its reward without noise less that
    with it; the interval is the 95 % `stats.paired_bootstrap`.
    """
    rewards = found["reward"].unstack("noise").dropna()
    lost = rewards[0.0] - rewards[noise]  # of (arm, seed)
    gap = paired_bootstrap({"": (lost[one] - lost[other]).to_numpy()}, lambda mean: mean[""])
    said = f"{one} loses {lost[one].mean():.2f}, {other} {lost[other].mean():.2f} standard deviations; difference "
    return gap, said + f"{gap.estimate:.2f} [{gap.low:.2f}, {gap.high:.2f}]"


def _likelihood(logp, reference, mask, weights):
    return -logp.sum(1)
