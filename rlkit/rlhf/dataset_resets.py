"""Preferences between a base and a better author, and what a policy is worth from its prompts."""

import numpy as np
import pandas as pd
import torch

from rlkit import checks, lm
from rlkit.lm import sample
from rlkit.rlhf import preferences, reward_models
from rlkit.rlhf.draws import draw, written
from rlkit.rlvr import formats
from rlkit.rlvr.evaluation import derive
from rlkit.rlvr.experiments import collect
from rlkit.runs import Step

KIND = "tested"  # of the row that says what a policy wrote at the end
LOOKS = ("from_prompt", "opens", "once_opened")  # what `followed` adds
AUTHOR = {"slip": 0.1, "topical": 0.9, "once": 0.5}  # how a better author writes; the corpus had 0.3, 0.5 and 0.05


def rows_of(model, tokenizer, task, problems: list, n: int, *, noise: float, seed: int) -> list:
    """n preferences {"prompt", "chosen", "rejected"} about problems drawn with repetition; labels as `label` of
    `rlkit.rlhf.preferences` with the task itself as annotator.

    Each of the two texts is, by a fair coin, the model's own or the better author's (`AUTHOR`, by
    `task.demonstrate`). So a pair may hold two of a kind, and who wrote does not tell who wins. The same seed gives the
    same rows. Raises ValueError for bad arguments.
    """
    rng = np.random.default_rng(checks.seed(seed))
    some = [problems[i] for i in rng.integers(len(problems), size=checks.positive_int("n", n)).tolist()]
    own = sample(model, tokenizer, some, 2, task.max_new_tokens, seed=derive(seed, 0)).text
    author = rng.random((n, 2)) < 0.5
    a, b = (
        [task.demonstrate(p, rng, **AUTHOR) if author[i, side] else own[2 * i + side] for i, p in enumerate(some)]
        for side in (0, 1)
    )
    return preferences.label(task, some, a, b, noise=noise, seed=derive(seed, 1))


def taught(name: str, task, problems: list, pairs: int, noise: float, seed: int) -> tuple:
    """(rows, reward model): `rows_of` the shipped model `name`, and a `RewardModel` on its body, fitted to them in two
    passes of 64 rows an update, learning rate 2e-3: what the arms of one seed share. The same seed, the same bits."""
    model, tokenizer = lm.load(name)
    rows = rows_of(model, tokenizer, task, problems, pairs, noise=noise, seed=seed)
    fitted = reward_models.RewardModel(model, tokenizer, max_new_tokens=task.max_new_tokens)
    for _ in reward_models.fit_reward(fitted, rows, steps=max(pairs // 32, 1), learning_rate=2e-3, seed=seed):
        pass
    return rows, fitted


def followed(learner, model, tokenizer, task, problems: list, *, opening: str, every: int, samples: int, seed: int):
    """The Steps of a learner that trains `model`, with what the model does from prompts at the multiples of `every`.

    Added metrics: from_prompt, mean gold reward of `samples` texts for each problem; opens, the chance that a text
    begins with the word `opening`, exact, mean over problems; once_opened, mean gold reward of as many texts for which
    that word was given. The same random numbers each time. Raises ValueError for bad counts.
    """
    checks.positive_int("every", every)
    gold = preferences.gold(task)

    def worth(start):
        return draw(model, tokenizer, task, gold, problems, [start] * len(problems), samples, derive(seed, 2)).judged

    for step in learner:
        found = {}
        if step.step % every == 0:
            with torch.no_grad():
                found = {"opens": float(formats.shares(model, tokenizer, problems, (opening,)).mean())}
                found |= {"from_prompt": worth("").mean().item(), "once_opened": worth(opening).mean().item()}
        yield Step(step.step, step.metrics | found, step.rollouts)


def tested(model, reference, tokenizer, task, problems: list, reward, *, samples: int, seed: int) -> tuple:
    """(metrics, gold rewards [P, G], texts: P lists of G) of G = samples texts that the model writes for each problem.

    metrics, means over the texts: gold; reward, of the learner's `reward`; each part of the rubric; kl: log pi -
    log pi_ref of a text (nats). The same seed draws with the same random numbers.
    """
    drawn, gold, texts, kl = written(model, reference, tokenizer, task, problems, samples=samples, seed=seed)
    found = {"gold": gold.mean().item(), "reward": reward(drawn, problems).mean().item()}
    found |= {name: value.double().mean().item() for name, value in drawn.reward_parts.items()}
    return found | {"kl": kl}, gold.numpy(), texts


def measured(learner, model, name, tokenizer, task, problems: list, reward, *, opening, every, seed, **labels) -> tuple:
    """Drain a learner that trains `model`, a copy of the shipped `name`: (metrics, rows), as a cell of a sweep returns.

    every: how often it is `followed`, with 2 texts for each of the first 64 problems; None: never. Afterwards it is
    `tested`, 4 texts for each problem. rows: the curves of LOOKS, and one of kind "tested" with the metrics, the gold
    rewards as `each` [P, 4] and the texts for the first four problems. labels (arm, ...) and seed go into each row.
    """
    if every is not None:
        look = {"opening": opening, "every": every, "samples": 2, "seed": 7}
        learner = followed(learner, model, tokenizer, task, problems[:64], **look)
    _, rows = collect(learner, seed=seed, **labels)
    rows[-1]["curve"] = {look: curve for look, curve in rows[-1]["curve"].items() if look in LOOKS}
    what = (model, lm.load(name)[0], tokenizer, task, problems, reward)
    metrics, gold, texts = tested(*what, samples=4, seed=seed)
    last = {"kind": KIND, **labels, "seed": seed, "each": gold.round(3).tolist(), "texts": texts[:4]}
    return metrics, [*rows, metrics | last]


def results(run):
    """The rows of kind "tested" of a run, by seed: a DataFrame with arm, seed, each, texts and the metrics."""
    return run.rollouts().query(f"kind == '{KIND}'").sort_values("seed", kind="stable")


def gold_of(run) -> dict:
    """arm -> gold rewards [S, P, G] of the texts that were written at the end, from the prompt."""
    each = results(run).groupby("arm", sort=False)["each"]
    return {arm: np.stack([np.array(x, dtype=float) for x in some]) for arm, some in each}


def by_seed(run) -> pd.DataFrame:
    """The mean gold reward of the texts written at the end, from the prompt: a row for each seed, a column an arm."""
    table = results(run).assign(gold=lambda rows: [np.mean(x) for x in rows["each"]])
    return table.pivot(index="seed", columns="arm", values="gold")[list(table["arm"].unique())]


def given_away(start, problems: list, opening: str, n: int, seed: int) -> dict:
    """What n rollouts would start with: the shares of starts without a word, with words that begin with `opening`,
    with other words, and the mean number of words. start(problem, rng) -> text."""
    rng = np.random.default_rng(checks.seed(seed))
    begun = [start(problems[i], rng).split() for i in rng.integers(len(problems), size=n).tolist()]
    found = {"the prompt alone": [not words for words in begun]}
    found[f'words from "{opening}" on'] = [words[:1] == [opening] for words in begun]
    found["words, another first"] = [bool(words) and words[0] != opening for words in begun]
    return {name: float(np.mean(x)) for name, x in (found | {"words given": [len(x) for x in begun]}).items()}


def beats(one, other) -> np.ndarray:
    """The chance that a text of one policy earns more than a text of the other, ties half: rewards [..., G] of each
    -> [...], over all G * G pairs about the same prompt."""
    difference = np.asarray(one)[..., :, None] - np.asarray(other)[..., None, :]
    return ((difference > 1e-9) + 0.5 * (np.abs(difference) <= 1e-9)).mean((-2, -1))
