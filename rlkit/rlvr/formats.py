"""Formats of an answer, told by its first word: how often a policy uses each, and how good it is in each.

Both are followed along any training, so that one sees which behaviour of a base reinforcement learning amplifies.
"""

import numpy as np
import pandas as pd
import torch

from rlkit import checks, evaluations
from rlkit.lm import prefix, rollouts, supervised
from rlkit.rlvr.answers import answer_rows
from rlkit.rlvr.arguments import default_problems
from rlkit.rlvr.evaluation import derive, evaluate, held_out
from rlkit.rlvr.experiments import CURVE, collect, curves
from rlkit.rlvr.replicator import entropy
from rlkit.runs import Step

KIND = "formats"


@torch.no_grad()
def shares(model, tokenizer, problems: list, formats) -> np.ndarray:
    """The exact chance that an answer begins with each word: pi(word | prompt) at temperature 1, float64 [P, F].

    formats: F words of one token each. What is missing to 1 opens with something else. Raises ValueError for no
    problems, or a word that is not one token of its own.
    """
    ids = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in formats]
    for word, found in zip(formats, ids, strict=True):
        if len(found) != 1 or found[0] == tokenizer.unk_token_id:
            checks.fail("formats", word, "words of one token each")
    if not problems:
        checks.fail("problems", problems, "at least one problem")
    prompt_ids, mask = prefix.encode(tokenizer, [problem.prompt for problem in problems], prefix.device(model))
    with prefix.dropout_off(model):
        logits, _ = prefix.start(prefix.forward(model), prompt_ids, mask)
    return logits.double().softmax(-1)[:, [found[0] for found in ids]].cpu().numpy()


def accuracies(model, tokenizer, task, problems: list, formats, *, samples: int, seed: int = 0) -> np.ndarray:
    """How often each format is right: the share of `samples` answers to each problem that are, float64 [P, F].

    The format is given, as the end of the prompt, so that also one which the policy no longer chooses can be judged.
    """
    columns = []
    for number, word in enumerate(formats):
        begun = [opened(problem, word) for problem in problems]
        drawn = rollouts.sample(model, tokenizer, begun, samples, task.max_new_tokens, seed=derive(seed, number))
        columns.append(rollouts.judge(drawn, task, problems).reward_parts["correct"].double().mean(1).numpy())
    return np.stack(columns, axis=1)


def watched(
    steps, model, tokenizer, task, problems: list, formats, *, every: int = 10, samples: int = 4, seed: int = 0
):
    """A learner's steps, with what the model is after each: a generator of `rlkit.runs.Step`.

    Added metrics: share_<word>, mean of `shares` over the held-out problems, at every step; at each `every`-th step,
    the first included, accuracy_<word>, mean of `accuracies` from `samples` answers to each problem and format.
    """
    for step in steps:
        found = dict(zip(formats, shares(model, tokenizer, problems, formats).mean(0), strict=True))
        metrics = {f"share_{word}": float(share) for word, share in found.items()}
        if step.step % every == 0:
            right = accuracies(model, tokenizer, task, problems, formats, samples=samples, seed=derive(seed, step.step))
            metrics |= {f"accuracy_{word}": float(x) for word, x in zip(formats, right.mean(0), strict=True)}
        yield Step(step.step, step.metrics | metrics, step.rollouts)


def followed(
    learner, model, tokenizer, task, problems: list, openings: dict, *, samples, seed, every=20, show=(), **labels
) -> tuple[dict, list]:
    """Drain a learner into (metrics, rows), as `collect` does, with its formats: what a cell of a sweep returns.

    openings: first word of each format -> the word that follows it. Along the training, `watched` on the first 64
    problems; the curves keep these metrics alone. At the end an evaluation of `samples` answers to each problem, and a
    row of kind "formats", exact means over the problems: kept_<word>, the chance that an answer that begins so goes on
    as it should (a policy may go on under a false name), and written_<word>, the share of answers that have the second
    word of that format, whatever the first. show: problems of which 8 answers each are kept for SampleInspector. seed:
    of the training and of what is sampled here. The rows carry seed and labels.
    """
    labels = {"seed": seed} | labels
    steps = watched(learner, model, tokenizer, task, problems[:64], list(openings), every=every, samples=2, seed=seed)
    metrics, rows = collect(steps, **labels)
    chosen = {name: x for name, x in rows[-1]["curve"].items() if name.startswith(("share_", "accuracy_"))}
    rows[-1]["curve"] = {name: {k: np.round(v, 4).tolist() for k, v in x.items()} for name, x in chosen.items()}
    rows.append(evaluate(model, tokenizer, task, problems, samples=samples, seed=seed) | labels)
    begun = [[opened(problem, word) for problem in problems] for word in openings]
    second = np.stack([shares(model, tokenizer, one, list(openings.values())) for one in begun], axis=1)  # [P, F, F]
    written = (shares(model, tokenizer, problems, list(openings))[..., None] * second).sum(1).mean(0)  # [F]
    found = {f"kept_{word}": second[:, n, n].mean() for n, word in enumerate(openings)}
    found |= {f"written_{word}": share for word, share in zip(openings, written, strict=True)}
    rows.append({"kind": KIND, **labels, **{name: round(float(x), 4) for name, x in found.items()}})
    if show:
        drawn = rollouts.sample(model, tokenizer, show, 8, task.max_new_tokens, seed=seed)
        rows += [row | labels for row in answer_rows(tokenizer, rollouts.judge(drawn, task, show), show)]
    return metrics, rows


def opened(problem, word: str):
    """The problem with the first word of its answer given."""
    return problem._replace(id=f"{problem.id} : {word}", prompt=f"{problem.prompt} {word}")


def paths(run, formats) -> dict:
    """(arm, seed) -> shares of the formats after each step [E, F], of a run so far that `followed` filled."""
    if not len(evaluations.of_kind(run, CURVE)):
        return {}
    values = [curves(run, f"share_{word}").astype({"seed": int}) for word in formats]
    found = [one.set_index(["arm", "seed", "step"])["value"] for one in values]
    groups = pd.concat(found, axis=1).groupby(level=["arm", "seed"], sort=False)
    return {key: rows.to_numpy() for key, rows in groups}


def outcomes(run, formats) -> pd.DataFrame:
    """What became of each training of a run that `followed` filled: one row for each arm and seed.

    Columns: the formats (their shares at the end); leads and lead (the most frequent one and its share); entropy of
    the shares, nats; kept_<word> and written_<word> of `followed`, and lead_written, the largest of the latter; pass@1,
    pass@4, ... up to the samples of the evaluation, means over problems.
    """
    rows = pd.DataFrame({key: path[-1] for key, path in paths(run, formats).items()}, index=list(formats)).T
    ends = rows.to_numpy()
    rows = rows.assign(leads=rows.idxmax(axis=1), lead=ends.max(1), entropy=entropy(ends)).rename_axis(["arm", "seed"])
    tested = evaluations.table(run).set_index(["arm", "seed"])
    scores = pd.DataFrame({key: held_out(row) for key, row in tested.iterrows()}).T
    own = evaluations.of_kind(run, KIND).set_index(["arm", "seed"]).filter(regex="^(kept|written)_")
    own["lead_written"] = own.filter(like="written_").max(axis=1)
    scores = scores.rename(columns=lambda name: name.removeprefix("test_")).rename_axis(rows.index.names)
    return rows.join(own).join(scores)


def expert_iteration(
    model,
    tokenizer,
    task,
    *,
    steps: int,
    learning_rate: float,
    seed: int = 0,
    problems: list | None = None,
    prompts_per_step: int = 16,
    group_size: int = 16,
    updates_per_round: int = 10,
):
    """Expert iteration: answer, keep what is right, imitate it, and again with the better policy; yields Steps from 0.

    A round samples as many answers as `updates_per_round` steps of `train` with the same prompts_per_step and
    group_size would, keeps the correct ones, and makes that many updates of maximum likelihood, each on as many
    of the kept answers as such a step has rows, drawn with replacement. One AdamW runs through all rounds. A round
    without a correct answer imitates those of the round before; ValueError if there is none yet. problems: as in
    `train`. Metrics: reward (share of correct answers of the round), tokens (sampled so far), loss, gradient_norm.
    Source: Anthony et al. 2017 (arXiv 1705.08439); for language models STaR (arXiv 2203.14465).
    """
    checks.positive_int("updates_per_round", updates_per_round)
    problems = default_problems(task, seed) if problems is None else list(problems)
    order, pool, so_far = np.random.default_rng([checks.seed(seed), 1]), [], {"tokens": 0.0, "reward": 0.0, "update": 0}

    def sampled(rng, rows: int) -> list:
        """`rows` correct answers, of this round; a new round is sampled when the last one is used up."""
        if so_far["update"] % updates_per_round == 0:
            chosen = order.choice(len(problems), prompts_per_step * updates_per_round)
            asked = [problems[i] for i in chosen]
            drawn = rollouts.sample(
                model, tokenizer, asked, group_size, task.max_new_tokens, seed=derive(seed, so_far["update"])
            )
            right = rollouts.judge(drawn, task, asked).reward_parts["correct"].flatten() >= 1
            kept = [(asked[row // group_size].prompt, drawn.text[row]) for row in right.nonzero()[:, 0].tolist()]
            pool[:] = kept or pool
            so_far["reward"] = right.double().mean().item()
            so_far["tokens"] += float(drawn.mask.sum())
        so_far["update"] += 1
        if not pool:
            raise ValueError("expert_iteration: no answer of the first round is correct: there is nothing to imitate")
        return [pool[i] for i in rng.integers(len(pool), size=rows)]

    def training():
        yield Step(0, {"tokens": 0.0, "updates": 0.0})
        options = {"steps": steps, "batch": prompts_per_step * group_size, "learning_rate": learning_rate}
        for step in supervised.fit(model, tokenizer, sampled, seed=seed, warmup=0, schedule="constant", **options):
            own = {name: so_far[name] for name in ("reward", "tokens")} | {"updates": float(step.step)}
            yield Step(step.step, step.metrics | own)

    return training()
