"""From an actor's outputs to actions: deterministic, Gaussian squashed by tanh, or discrete."""

import math

import torch
from torch.nn import functional

LOG_DEVIATION = (-5.0, 2.0)  # of a Gaussian before tanh


def imitation(outputs: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """-log pi(a | s) up to constants: outputs [S, B, A], actions [S, B, A] or whole numbers [S, B] -> [S, B].

    Continuous: a Gaussian of fixed deviation around tanh(outputs), so sum_A (tanh(output) - a)^2. Discrete: the cross
    entropy of the softmax of outputs.
    """
    if actions.is_floating_point():
        return (torch.tanh(outputs) - actions).square().sum(-1)
    return functional.cross_entropy(outputs.flatten(0, 1), actions.flatten(), reduction="none").view(actions.shape)


def greedy(outputs: torch.Tensor, discrete: bool) -> torch.Tensor:
    """The action that an actor prefers: tanh(outputs) [S, B, A], or the number of the largest output [S, B]."""
    return outputs.argmax(-1) if discrete else torch.tanh(outputs)


def policy_of(actor, discrete: bool) -> dict:
    """What an `Agent` is told of an actor: act, and for discrete actions probabilities, the softmax [S, B, A]."""
    functions = {"act": lambda x: greedy(actor(x, member=0), discrete)}
    return functions | ({"probabilities": lambda x: actor(x, member=0).softmax(-1)} if discrete else {})


def chosen(q: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """The values of the actions taken: q [S, M, B, A], actions [S, B] -> [S, M, B]."""
    return q.gather(-1, actions[:, None, :, None].expand(-1, q.shape[1], -1, -1))[..., 0]


def squashed(outputs: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Actions and log pi(a | s) of a Gaussian squashed by tanh: u = mean + deviation * noise, a = tanh(u).

    outputs [..., 2 A] (means, log deviations), noise [..., A] standard normal -> actions [..., A], log pi [...], with
    log pi(a) = log N(u) - sum log(1 - tanh(u)^2). Source: Haarnoja et al. 2018 (1801.01290), appendix C.
    """
    mean, log_deviation = _halves(outputs)
    u = mean + log_deviation.exp() * noise
    return torch.tanh(u), _log_chance(u, noise, log_deviation)


def _halves(outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean, log_deviation = outputs.chunk(2, -1)
    return mean, log_deviation.clamp(*LOG_DEVIATION)


def _log_chance(u, standard, log_deviation) -> torch.Tensor:
    # log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u)), which stays finite for large u
    correction = 2 * (math.log(2) - u - functional.softplus(-2 * u))
    return (-0.5 * standard.square() - log_deviation - 0.5 * math.log(2 * math.pi) - correction).sum(-1)
