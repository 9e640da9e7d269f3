"""A task with a known optimum on the smallest model: the first word must be one of the 64 lowest numbers.

An untrained model says so once in four, whatever the prompt. Two words at most, so a training takes a second.
"""

import torch
from peft import LoraConfig, get_peft_model

from rlkit.lm import models
from rlkit.lm.tasks import Problem, Task

GOOD = {str(i) for i in range(64)}


def draw(rng) -> Problem:
    first, second = rng.integers(180, size=2).tolist()
    return Problem(f"{first} {second}", f"{first} {second} :", {})


def parts(problem, completion) -> dict:
    words = completion.split(" ")
    return {"correct": float(words[0] in GOOD), "format": float(len(words) == 2)}


TASK = Task("toy", {"correct": 1.0, "format": 0.0}, 2, draw, parts, lambda problem, rng: "7")
LONGER = Task("longer", {"correct": 1.0, "format": 0.0}, 6, draw, parts, lambda problem, rng: "7")
SETTINGS = {"learning_rate": 0.01, "prompts_per_step": 8, "group_size": 8}


def fresh():
    torch.set_num_threads(1)
    return models.fresh("xs", seed=0)


def ending():
    """A fresh model that ends most completions before the sixth word: so that lengths differ."""
    model, tokenizer = fresh()
    with torch.no_grad():
        weight = model.get_input_embeddings().weight
        weight[:, 0], weight[tokenizer.eos_token_id, 0] = 0.4, 3.0
    return model, tokenizer


def adapted(model, **options):
    """The model with LoRA on every linear layer but the head; PEFT draws from the global state, which is kept here."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return get_peft_model(model, LoraConfig(target_modules="all-linear", **options))


def weights(model) -> dict:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
