"""A task whose completions can all be listed on the smallest model: 4 words, at most 3 of them, 85 completions.

The reward of a completion is a sum over its words, so that early tokens matter, and <eos> too.
"""

import torch

from rlkit.lm import exact, models
from rlkit.lm.tasks import Problem, Task
from rlkit.rlhf import optimum

WORDS = ("red", "green", "blue", "grey")
WORTH = {"red": 0.6, "green": 0.3, "blue": -0.2, "grey": 0.0}
LENGTH, BETA = 3, 0.3
PROBLEM = Problem("red grey", "red grey", {})


def parts(problem, completion) -> dict:
    words = completion.split()
    worth = sum(WORTH.get(word, -1.0) for word in words)
    return {"worth": worth - 0.5 * (len(words) == 2), "correct": float(completion == "red red red"), "format": 1.0}


def task(length: int = LENGTH) -> Task:
    weights = {"worth": 1.0, "correct": 0.0, "format": 0.0}
    return Task("listed", weights, length, lambda rng: PROBLEM, parts, lambda problem, rng: "red", words=WORDS)


def fresh(sharper: float = 2.0) -> tuple:
    """(model, tokenizer): the embeddings, which are the head too, larger, so that the policy is not near uniform."""
    torch.set_num_threads(1)
    model, tokenizer = models.fresh("xs", seed=0, words=WORDS)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(sharper)
    return model, tokenizer


def optimal(model, tokenizer, beta: float = BETA) -> tuple:
    """(policy, log pi_0 [N], rewards [N], log pi* [N]) of the model as it is now."""
    policy = exact.NetworkPolicy(model, tokenizer, PROBLEM.prompt, LENGTH)
    rewards = torch.tensor([task().reward(parts(PROBLEM, text)) for text in exact.texts(policy, tokenizer)]).double()
    prior = log_policy(policy)
    return policy, prior, rewards, optimum.tilt(prior, rewards, beta)


def log_policy(policy) -> torch.Tensor:
    """log pi of each completion, [N], without gradient."""
    with torch.no_grad():
        return exact.log_probabilities(policy).sum(1)
