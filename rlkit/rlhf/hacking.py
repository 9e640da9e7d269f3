"""Beside the learners of the chapter: a script that labels, what DPO and IPO aim at, a climb with a brake."""

import numpy as np
import torch

from rlkit import checks
from rlkit.rlhf import optimum, preferences


def scripted(annotator, problems: list, *, noise: float, seed: int):
    """answer(prompt, a, b) -> "a" or "b" for `PreferenceLabeller.answer_all`: a simulated person.

    Chooses a with `preferences.chance(annotator, ..., noise)`. problems: those that the prompts belong to. The same
    seed and the same order of questions give the same answers. Raises ValueError for a prompt of no problem.
    """
    rng, by_prompt = np.random.default_rng(checks.seed(seed)), {problem.prompt: problem for problem in problems}

    def answer(prompt: str, a: str, b: str) -> str:
        problem = by_prompt[checks.one_of("prompt", prompt, list(by_prompt))]
        return "a" if rng.random() < preferences.chance(annotator, [problem], [a], [b], noise)[0] else "b"

    return answer


def win_rate(log_prior: torch.Tensor, utility: torch.Tensor, noise: float) -> torch.Tensor:
    """w(y) = sum_y' pi_0(y') sigmoid((u(y) - u(y')) / noise): how often y is preferred to a text of pi_0. [N] -> [N].

    What IPO aims at is the tilt by w: Azar et al. 2023 (arXiv 2310.12036), equation 6 with the identity as Psi. Of DPO
    it is the tilt by u / noise. log_prior, utility [N], noise above 0. Texts of equal utility are worked out together.
    """
    if log_prior.shape != utility.shape:
        raise ValueError(f"utility of shape {tuple(utility.shape)}: must be {tuple(log_prior.shape)}")
    levels, level = utility.round(decimals=9).unique(return_inverse=True)
    mass = torch.zeros(len(levels), dtype=log_prior.dtype).index_add(0, level, log_prior.exp())
    return (((levels[:, None] - levels) / checks.positive("noise", noise)).sigmoid() @ mass)[level]


def apart(log_p: torch.Tensor, log_star: torch.Tensor) -> float:
    """KL(pi || pi*) in nats a completion, the mean over prompts: log-probabilities [P, N], [P, N]."""
    return torch.stack([optimum.kl(p, star) for p, star in zip(log_p, log_star, strict=True)]).mean().item()


def commonest(everything, log_p: torch.Tensor) -> dict:
    """The completion of the greatest probability, its mean over prompts: {"text", "share"}. log_p [P, N]."""
    mass = log_p.exp().mean(0)
    return {"text": everything.texts[int(mass.argmax())], "share": mass.max().item()}


def climb(learner, model, everything, budget: float, **rewards) -> dict:
    """Drain a learner of `model`: {"stopped", "end"} -> its exact place (`Listed.of`), `commonest`, and "step".

    "stopped" is after the first step whose batch had a KL of at least `budget` nats (the metric kl, which everyone can
    log), the end if none had; "end" is after the last step. Raises ValueError for a learner that yields nothing.
    """

    def look(step):
        with torch.no_grad():
            law = everything.log_probabilities(model)
        return everything.of(law, **rewards) | commonest(everything, law) | {"step": step}

    found, last = {}, None
    for last in learner:
        if "stopped" not in found and last.metrics.get("kl", -np.inf) >= checks.positive("budget", budget):
            found["stopped"] = look(last.step)
    if last is None:
        raise ValueError("learner: it yielded no step: must yield at least one")
    found["end"] = look(last.step)
    return {"stopped": found["end"]} | found
