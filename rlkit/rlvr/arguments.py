"""The arguments of `rlvr.train`: checked before anything runs, and described so that a checkpoint knows its own."""

import hashlib
import json

import torch

from rlkit import checks
from rlkit.rlvr import batches, objectives

PROBLEMS = 1024  # training problems, where none are given


def check(settings: dict, trainable: dict) -> list:
    """The training problems, after all arguments of `train` have been found good; else ValueError, in one line."""
    given, objective, task = settings, settings["objective"], settings["task"]
    counts = "steps prompts_per_step group_size updates_per_batch mini_batches evaluation_samples"
    for name in counts.split():
        checks.positive_int(name, given[name])
    for name in "micro_batch reset_reference_every evaluate_every log_rollouts_every clip_gradient".split():
        if given[name] is not None:
            (checks.positive if name == "clip_gradient" else checks.positive_int)(name, given[name])
    checks.seed(given["seed"])
    checks.count("dynamic_sampling", given["dynamic_sampling"])
    checks.positive("learning_rate", given["learning_rate"])
    checks.one_of("control", given["control"], batches.CONTROLS)
    for name in ("weight_decay", "entropy_bonus"):
        if checks.finite(name, given[name]) < 0:
            checks.fail(name, given[name], "a number of at least 0")
    if given["temperature"] == 0:
        checks.fail("temperature", 0, "above 0: greedy decoding has no gradient; it is for evaluate")
    checks.positive("temperature", given["temperature"])
    if given["top_p"] != 1:
        checks.fail("top_p", given["top_p"], "1 in training: the loss is about the whole distribution; see evaluate")
    if given["mini_batches"] > given["prompts_per_step"]:
        checks.fail("mini_batches", given["mini_batches"], f"at most prompts_per_step={given['prompts_per_step']}")
    if given["group_size"] == 1:
        try:
            objective.advantages(torch.zeros(1, 1))
        except ValueError:
            checks.fail("group_size", 1, f"at least 2 for {objective.name}, which compares completions of a group")
    if not given["reference"] and objective.needs_reference:
        checks.fail("reference", given["reference"], f"True, since {objective.name} has beta above 0")
    if not given["reference"] and given["reset_reference_every"]:
        checks.fail("reset_reference_every", given["reset_reference_every"], "None where there is no reference")
    if not trainable:
        raise ValueError("model: has no parameter that requires a gradient: nothing to train")
    narrow = next((name for name, p in trainable.items() if p.dtype in (torch.float16, torch.bfloat16)), None)
    if narrow:
        raise ValueError(
            f"model: its trainable {narrow} is {trainable[narrow].dtype}, which swallows small updates: must be "
            "float32; load with lora=... or dtype=torch.float32"
        )
    problems, evaluation = given["problems"], given["evaluation"]
    if problems is None:
        problems = default_problems(task, given["seed"])
    if not problems:
        checks.fail("problems", problems, "at least one problem")
    if evaluation is not None and not evaluation:
        checks.fail("evaluation", evaluation, "None, or at least one problem")
    if evaluation is None and given["evaluate_every"]:
        checks.fail("evaluate_every", given["evaluate_every"], "None where evaluation=None")
    both = {p.id for p in problems} & {p.id for p in evaluation or ()}
    if both:
        checks.fail("evaluation", sorted(both)[0], "held out: this problem is among the training problems")
    return list(problems)


def default_problems(task, seed: int, number: int = PROBLEMS, split: str = "train") -> list:
    """1,024 training problems drawn from `seed`, or 512, 256, ... where the task has fewer."""
    while True:
        try:
            return task.problems(number, seed, split)
        except ValueError:
            if number == 1:
                raise
            number //= 2


def describe(settings: dict, problems: list) -> dict:
    """Every argument that decides the numbers, as JSON; lists of problems as a hash of their ids and prompts."""

    def hashed(some):
        text = json.dumps([[p.id, p.prompt] for p in some or ()])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    task = settings["task"]
    said = {name: v for name, v in settings.items() if name not in ("model", "tokenizer", "checkpoint")}
    said |= {"task": {"name": task.name, "weights": task.weights, "max_new_tokens": task.max_new_tokens}}
    said |= {"objective": objectives.describe(settings["objective"])}
    return said | {"problems": hashed(problems), "evaluation": hashed(settings["evaluation"])}
