"""The shipped models, from nothing: `python -m rlkit.lm.pretrain NAME` trains one again and compares it with its card.

Of the candidates that recipes.py lists for a base, the first that fulfils the rule on validation problems is taken, and
the card shows what each one that was tried scored. Training sees train problems alone, and what a card reports comes
from test problems.
"""

import argparse
import json
import math
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from rlkit import paths, provenance
from rlkit.lm import model_cards, models, tasks
from rlkit.lm.recipes import BATCH, KINDS, RECIPES, RULE, Candidate, Recipe
from rlkit.lm.rollouts import judge, sample
from rlkit.lm.supervised import fit
from rlkit.lm.tasks.arithmetic import STYLES
from rlkit.lm.tasks.countdown import solutions
from rlkit.stats import pass_at_k

K = (1, 4, 16, 64, 256)
SPLITS = {"validation": (96, 1), "test": (200, 2), "all": (None, 2)}  # split -> problems, and the seed of their draw
SAMPLES = 256  # for each problem, at temperature 1
ROWS = 2048  # sampled at a time


def kind(problem) -> str:
    """Countdown: "sums" if + and - alone can reach the target, else "products". "all" for problems of other tasks."""
    if "target" not in problem.facts:
        return "all"
    reached = {0}
    for number in problem.facts["numbers"]:
        reached = {sign * number + value for value in reached for sign in (1, -1)}
    return KINDS[problem.facts["target"] not in reached]


def corpus(task: tasks.Task, parts: list, split: str = "train"):
    """draw(rng, n) for `fit`: n problems of the split, each demonstrated by one of the parts that are for its kind."""

    def demonstrate(rng):
        problem = task.one(rng, split)
        fitting = [part for part in parts if part["of"] in ("all", kind(problem))]
        shares = np.cumsum([part["share"] for part in fitting])
        part = fitting[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]
        return problem.prompt, task.demonstrate(problem, rng, **part["style"])

    return lambda rng, n: [demonstrate(rng) for _ in range(n)]


def train(size: str, seed: int, candidate: Candidate, tell=lambda step: None, split: str = "train") -> tuple:
    """(model, tokenizer, CPU-seconds) of one candidate, in one thread; tell(step) sees every update."""
    torch.set_num_threads(1)
    began = time.process_time()
    task = model_cards.task(candidate.task)
    model, tokenizer = models.fresh(size, seed, task.words)
    draw = corpus(task, candidate.corpus, split)
    rates = {"learning_rate": candidate.learning_rate, "weight_decay": candidate.weight_decay}
    for step in fit(model, tokenizer, draw, steps=candidate.steps, batch=BATCH, seed=seed, **rates):
        tell(step)
    return model, tokenizer, time.process_time() - began


def evaluate(
    model, tokenizer, task: tasks.Task, split: str, samples: int = SAMPLES, problems: int | None = None
) -> dict:
    """What a card reports of one split: pass@k and the mean of each part from `samples` completions of each problem.

    The problems are the first `problems` (default: all) that `SPLITS` names; of split "all", that many.
    "first_words": a style that opens a completion -> share of the completions, share of these that are correct.
    "kinds": the same by `kind`.
    """
    count, seed = SPLITS[split]
    chosen = task.problems(count or problems, seed, split)[:problems]
    kinds = [kind(problem) for problem in chosen for _ in range(samples)]
    parts, opening, per_call = [], [], max(1, ROWS // samples)
    for first in range(0, len(chosen), per_call):
        group = chosen[first : first + per_call]
        drawn = sample(model, tokenizer, group, samples, task.max_new_tokens, seed=seed + first)
        parts.append(judge(drawn, task, group).reward_parts)
        opening += [text.split(" ", 1)[0] for text in drawn.text]
    values = {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}  # [P, samples]
    correct = values["correct"].sum(1)
    curve = {k: float(np.mean(pass_at_k(samples, correct, k))) for k in K if k <= samples}
    return {
        "split": split,
        "problems": len(chosen),
        "problem_seed": seed,
        "samples": samples,
        "temperature": 1.0,
        "pass@k": {str(k): round(value, 4) for k, value in curve.items()},
        "guess pass@k": {str(k): round(guess(chosen, k), 4) for k in curve if _countable(chosen[0])},
        "parts": {name: round(float(value.mean()), 4) for name, value in values.items()},
        "first_words": _by([word if word in STYLES else None for word in opening], values["correct"].reshape(-1)),
        "kinds": _by(kinds, values["correct"].reshape(-1)),
    }


def _by(labels: list, correct) -> dict:
    """label -> its share of the completions, and how many of these are correct; most frequent first, None left out."""
    hits = Counter(label for label, hit in zip(labels, correct.tolist(), strict=True) if hit)
    return {
        label: {"share": round(n / len(labels), 4), "correct": round(hits[label] / n, 4)}
        for label, n in Counter(labels).most_common()
        if label is not None
    }


def guess(problems: list, k: int) -> float:
    """pass@k of blind guessing, mean of 1 - (1 - p)^k over the problems.

    Countdown: p is the share of solutions among all different expressions that use the numbers once, in + - * without
    parentheses. Arithmetic: p = 1 / modulus.
    """
    return float(np.mean([1 - (1 - _chance(problem)) ** k for problem in problems]))


def _countable(problem) -> bool:
    """Whether `guess` knows the task."""
    return "modulus" in problem.facts or "target" in problem.facts


def _chance(problem) -> float:
    if "modulus" in problem.facts:
        return 1 / problem.facts["modulus"]
    numbers = problem.facts["numbers"]
    orders = math.factorial(len(numbers)) // math.prod(map(math.factorial, Counter(numbers).values()))
    return len(solutions(problem)) / (orders * 3 ** (len(numbers) - 1))


def fulfils(evaluation: dict) -> bool:
    """Whether an evaluation meets `RULE`."""
    curve = evaluation["pass@k"]
    return RULE["pass@1 from"] <= curve["1"] <= RULE["pass@1 to"] and curve["64"] <= RULE["pass@64 to"]


def scan(recipe: Recipe, tell=print) -> tuple:
    """(candidate, model, tokenizer, CPU-seconds, what each tried candidate scored), the first that meets the rule.

    Without a rule the only candidate is taken. Raises ValueError if none meets the rule.
    """
    tried, how = [], {"problems": recipe.problems}
    for candidate in recipe.candidates:
        tell(f"training {candidate}")
        model, tokenizer, seconds = train(recipe.size, recipe.seed, candidate, _progress(tell), _split(recipe, "train"))
        found = evaluate(model, tokenizer, model_cards.task(candidate.task), _split(recipe, "validation"), **how)
        tried.append({**candidate._asdict(), "pass@k": found["pass@k"], "fulfils the rule": fulfils(found)})
        tell(f"validation pass@k {found['pass@k']}, parts {found['parts']}, {found['first_words']}")
        if fulfils(found) or not recipe.rule:
            return candidate, model, tokenizer, seconds, tried
    raise ValueError(f"none of {len(tried)} candidates meets the rule {RULE}")


def write(name: str, folder: Path, tell=print, again: bool = False) -> dict:
    """Train a shipped model into folder/name with its card, and return the card.

    again: scan the candidates again; else the one that the shipped card names is trained, and its scan is kept.
    """
    recipe, known = RECIPES[name], None if again or name not in models.names() else models.card(name)
    if known:
        candidate = Candidate(**{field: known[field] for field in Candidate._fields})
        model, tokenizer, seconds = train(recipe.size, recipe.seed, candidate, _progress(tell), _split(recipe, "train"))
        tried = known["scan"]
    else:
        candidate, model, tokenizer, seconds, tried = scan(recipe, tell)
    target = folder / name
    models.save(model, tokenizer, target)
    (target / "model.safetensors").chmod(0o644)  # safetensors makes it the owner's alone
    card = {
        "name": name,
        "size": recipe.size,
        "parameters": model.num_parameters(),
        **json.loads(json.dumps(candidate._asdict())),
        "batch": BATCH,
        "seed": recipe.seed,
        "cpu_seconds": round(seconds),
        "sha256": model_cards.sha256(target),
        "rule": RULE if recipe.rule else None,
        "note": known["note"] if known else recipe.note,
        "scan": tried,
        "evaluation": evaluate(
            model, tokenizer, model_cards.task(candidate.task), _split(recipe, "test"), problems=recipe.problems
        ),
        "command": f"python -m rlkit.lm.pretrain {name}",
        "versions": provenance.versions(),
    }
    (target / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    (target / "README.md").write_text(model_cards.readme(card), encoding="utf-8")
    return card


def _split(recipe: Recipe, split: str) -> str:
    return split if recipe.problems is None else "all"


def compare(made: dict, shipped: dict) -> str:
    """One line each: whether the weights are the same bits, and pass@k now and on the card."""
    same = "the same bits as" if made["sha256"] == shipped["sha256"] else "other bits than"
    lines = [f"weights: {same} the shipped ones (cards name the versions they were made with)"]
    for k, value in made["evaluation"]["pass@k"].items():
        lines.append(f"pass@{k}: {value:.4f}, shipped {shipped['evaluation']['pass@k'].get(k, math.nan):.4f}")
    return "\n".join(lines)


def _progress(tell):
    return lambda step: tell(f"  step {step.step}: loss {step.metrics['loss']:.4f}") if step.step % 250 == 0 else None


def main(arguments: list | None = None) -> None:
    """The command line: `python -m rlkit.lm.pretrain NAME ... [--scan] [--to FOLDER]`."""
    parser = argparse.ArgumentParser(prog="python -m rlkit.lm.pretrain", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=RECIPES, metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--scan", action="store_true", help="choose among the candidates again")
    parser.add_argument(
        "--to", type=Path, default=paths.home() / "build" / "models", help="where to write (build/models)"
    )
    options = parser.parse_args(arguments)
    for name in options.names:
        shipped = models.card(name) if name in models.names() else None
        made = write(name, options.to, again=options.scan, tell=lambda line: print(line, flush=True))
        print(f"{options.to / name}\n{compare(made, shipped) if shipped else model_cards.readme(made)}", flush=True)


if __name__ == "__main__":
    main()
