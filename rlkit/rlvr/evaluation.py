"""Held-out problems, n samples each: how many are correct. pass@k and intervals follow from the counts."""

import hashlib

import numpy as np

from rlkit import checks, evaluations
from rlkit.lm import plans, prefix, rollouts
from rlkit.stats import pass_at_k


def derive(seed: int, *key: int) -> int:
    """An integer that (seed, *key) alone decides, to seed one generator of its own; different keys, different draws."""
    return int(np.random.SeedSequence([seed, *key]).generate_state(1)[0])


def evaluate(
    model,
    tokenizer,
    task,
    problems,
    *,
    samples: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    max_rows: int | None = None,
    at: int = 0,
    **labels,
) -> dict:
    """Sample `samples` completions of each problem and count those whose part `correct` is 1: an evaluation row.

    The reward's weights do not matter. temperature 0 takes the likeliest token each time, and top_p below 1 cuts the
    distribution: both are fine here, and stored in the row. The model runs as it is, without gradient, in batches of
    at most max_rows rows (None: 1,024, or the power of two of them that memory has room for); the same seed and
    max_rows give the same counts. at: the training step the row is about;
    labels: arm, seed (of the training), split, ... . Returns `rlkit.evaluations.row`; see `rlkit.evaluations.table`.
    Raises ValueError for no or repeated problems and bad numbers.
    """
    samples, problems, seed = checks.positive_int("samples", samples), list(problems), checks.seed(seed)
    if not problems:
        checks.fail("problems", problems, "at least one problem")
    if max_rows is None:
        longest = prefix.encode(tokenizer, [problem.prompt for problem in problems])[0].shape[1]
        max_rows = plans.rows_at_once(model, longest, task.max_new_tokens)
    checks.positive_int("max_rows", max_rows)
    group, at_once = min(samples, max_rows), max(1, max_rows // samples)
    correct = np.zeros(len(problems), dtype=int)
    for start in range(0, len(problems), at_once):
        some = problems[start : start + at_once]
        for done in range(0, samples, group):
            size = min(group, samples - done)
            drawn = rollouts.sample(
                model,
                tokenizer,
                some,
                size,
                task.max_new_tokens,
                temperature=temperature,
                seed=derive(seed, start, done),
                top_p=top_p,
            )
            judged = rollouts.judge(drawn, task, some)
            correct[start : start + len(some)] += (judged.reward_parts["correct"] >= 1).sum(1).cpu().numpy()
    labels = conditions(task, problems, temperature, top_p) | labels
    return evaluations.row([p.id for p in problems], correct, samples, at=at, **labels)


def conditions(task, problems, temperature: float, top_p: float) -> dict:
    """What two evaluations must share to be comparable, as labels of a row; prompts: a hash of their texts."""
    text = "\0".join(sorted(problem.prompt for problem in problems))
    prompts = hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=6).hexdigest()
    return {"temperature": temperature, "top_p": top_p, "max_new_tokens": task.max_new_tokens, "prompts": prompts}


def held_out(row: dict) -> dict:
    """{"test_pass@1": mean over problems of the unbiased estimate, "test_pass@4": ..., "test_pass@16": ...}."""
    ks = [4**i for i in range(12) if 4**i <= row["samples"]]
    return {f"test_pass@{k}": float(np.mean(pass_at_k(row["samples"], np.array(row["correct"]), k))) for k in ks}
