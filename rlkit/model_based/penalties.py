"""Pessimism as a model around a model: dreams pay for the ensemble's doubt (MOPO) or end where it is too large (MOReL).

Both keep what the wrapped model draws: they change rewards and ends, never where a step leads.
"""

import torch

from rlkit import checks

ROWS = 1_000  # of a log that are predicted at once


def largest_deviation(deviation: torch.Tensor) -> torch.Tensor:
    """MOPO's doubt, max_m ||sigma_m(s, a)||: deviations [S, M, B, O + 1] -> [S, B].

    The norm is over outputs (next observation and reward), the maximum over ALL members, not the elites alone. Yu et
    al. 2020 (2005.13239), section 5; over all members as in their code and OfflineRL-Kit's.
    """
    return deviation.norm(dim=-1).amax(1)


def disagreement(following: torch.Tensor) -> torch.Tensor:
    """MOReL's doubt, max_ij ||f_i(s, a) - f_j(s, a)||: the members' mean next observations [S, M, B, O] -> [S, B].

    0 with one member. Kidambi et al. 2020 (2005.05951), section 4, equation 2.
    """
    return (following[:, :, None] - following[:, None]).norm(dim=-1).amax((1, 2))


def halt_threshold(model, observations: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """The largest disagreement on the rows of a log, one number for each seed: [S, N, O], [S, N, A] -> [S].

    What Halting takes: with it no row of the log is unknown. As the authors' code, with its pessimism coefficient at 1.
    """
    with torch.no_grad():
        parts = zip(observations.split(ROWS, 1), actions.split(ROWS, 1), strict=True)
        return torch.cat([disagreement(model.predict(*part)[0]) for part in parts], 1).amax(1)


def per_seed(name: str, value, seeds: int) -> torch.Tensor:
    """A number, or one for each seed, as a tensor [S or 1, 1], to combine with [S, B]. Raises ValueError for others."""
    value = checks.finite(name, value)
    if value.shape not in ((), (seeds,)):
        raise ValueError(f"{name} of shape {value.shape}: must be a number or one for each of {seeds} seeds")
    if (value < 0).any():
        checks.fail(name, float(value.min()), "at least 0")
    return torch.tensor(value, dtype=torch.float32).reshape(-1, 1)


class Penalised:
    """MOPO's model: a step of `model` whose reward is r - weight penalty(deviations).

    model: a Dynamics, already fitted. weight: a number of at least 0, or one for each seed [S]. penalty: deviations
    [S, M, B, O + 1] -> [S, B]. Raises ValueError for other weights.
    """

    def __init__(self, model, weight, penalty=largest_deviation):
        self.model, self.penalty, self.observation_size = model, penalty, model.observation_size
        self.weight = per_seed("weight", weight, len(model.ensemble.seeds))

    def step(self, observations, actions, generators, order=None):
        after, rewards, continues = self.model.step(observations, actions, generators, order)
        doubt = self.penalty(self.model.predict(observations, actions)[2])
        return after, rewards - self.weight * doubt, continues


class Halting:
    """MOReL's model: a step of `model` whose disagreement exceeds `threshold` pays -cost and ends the dream.

    model: a Dynamics, already fitted. threshold, cost: numbers of at least 0, or one for each seed [S]; see
    `halt_threshold`. Raises ValueError for others.
    """

    def __init__(self, model, threshold, cost):
        self.model, self.observation_size = model, model.observation_size
        seeds = len(model.ensemble.seeds)
        self.threshold, self.cost = per_seed("threshold", threshold, seeds), per_seed("cost", cost, seeds)

    def step(self, observations, actions, generators, order=None):
        after, rewards, continues = self.model.step(observations, actions, generators, order)
        unknown = disagreement(self.model.predict(observations, actions)[0]) > self.threshold
        return after, torch.where(unknown, -self.cost, rewards), continues * ~unknown
