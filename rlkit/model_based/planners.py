"""Planners: sequences of actions that score best in a model. Random shooting and the cross-entropy method.

    score = returns_in(model, observations, generators, particles=5)
    plan = cem(score, horizon, action_size, generators)        # plan.actions [S, T, A]
    following = cem(score, horizon, action_size, generators, mean=shift(plan.actions))

A planner only knows score(actions [S, K, T, A]) -> [S, K], so it can be tested on functions whose maximum is known.
Sources: Botev et al. 2013, The Cross-Entropy Method for Optimization; Chua et al. 2018 (1805.12114, PETS).

Departures from PETS' planner:
1. Candidates are normal and clipped to [-1, 1]; theirs are truncated at two deviations, which shrink near a bound.
2. The deviation is smoothed as Botev et al. do, not its square.
"""

from typing import NamedTuple

import numpy as np
import torch

from rlkit import checks
from rlkit.model_based.dreams import imagine


class Plan(NamedTuple):
    """A sequence of actions for each seed [S, T, A], and its score [S]."""

    actions: torch.Tensor
    score: torch.Tensor


def random_shooting(score, horizon: int, action_size: int, generators, *, candidates: int = 500) -> Plan:
    """The best of `candidates` sequences that are uniform in [-1, 1]^(T x A).

    score: actions [S, K, T, A] -> [S, K]. generators: one np.random.Generator for each seed. Raises ValueError for
    sizes below 1, and scores of another shape.
    """
    shape = (checks.positive_int("horizon", horizon), checks.positive_int("action_size", action_size))
    shape = (checks.positive_int("candidates", candidates), *shape)
    drawn = np.stack([g.uniform(-1, 1, shape).astype(np.float32) for g in generators])
    actions = torch.from_numpy(drawn)  # [S, K, T, A]
    scores = _scored(score, actions)
    return Plan(_taken(actions, scores.argmax(1, keepdim=True))[:, 0], scores.amax(1))


def cem(
    score,
    horizon: int,
    action_size: int,
    generators,
    *,
    candidates: int = 100,
    elites: int = 10,
    rounds: int = 5,
    mean: torch.Tensor | None = None,
    deviation: float = 0.5,
    smoothing: float = 0.1,
) -> Plan:
    """The mean of a normal distribution that moves, in each round, to the `elites` best of `candidates` draws.

        mean <- smoothing mean + (1 - smoothing) mean of the elites, and the deviation likewise

    Each of the T x A numbers has its own mean and deviation. score, generators: as for random_shooting. mean: where to
    begin [S, T, A], say the last plan shifted by a step; None for 0. deviation: the first one. The returned score is
    that of the last mean, one more call of `score`, with one candidate. Raises ValueError for sizes below 1, more
    elites than candidates, a deviation that is not above 0, smoothing outside of [0, 1), and means or scores of another
    shape.
    """
    shape = (len(generators), checks.positive_int("horizon", horizon), checks.positive_int("action_size", action_size))
    checks.positive_int("candidates", candidates)
    if checks.positive_int("elites", elites) > candidates:
        checks.fail("elites", elites, f"at most candidates={candidates}")
    if not 0 <= checks.finite("smoothing", smoothing) < 1:
        checks.fail("smoothing", smoothing, "in [0, 1)")
    mean = torch.zeros(shape) if mean is None else mean
    if tuple(mean.shape) != shape:
        raise ValueError(f"mean of shape {tuple(mean.shape)}: must be {list(shape)}")
    spread = torch.full(shape, checks.positive("deviation", deviation))
    for _ in range(checks.positive_int("rounds", rounds)):
        noise = np.stack([g.standard_normal((candidates, *shape[1:]), dtype=np.float32) for g in generators])
        actions = (mean[:, None] + spread[:, None] * torch.from_numpy(noise)).clamp(-1, 1)  # [S, K, T, A]
        best = _taken(actions, _scored(score, actions).topk(elites, 1).indices)  # [S, E, T, A]
        mean = smoothing * mean + (1 - smoothing) * best.mean(1)
        spread = smoothing * spread + (1 - smoothing) * best.std(1, unbiased=False)
    return Plan(mean, _scored(score, mean[:, None])[:, 0])


def shift(actions: torch.Tensor) -> torch.Tensor:
    """A plan [S, T, A] one step later: its first action is done, and 0 follows its last."""
    return torch.cat((actions[:, 1:], torch.zeros_like(actions[:, :1])), 1)


def returns_in(model, observations: torch.Tensor, generators, *, particles: int = 1, discount: float = 1.0):
    """The score of a planner: the mean return of `particles` dreams that follow a sequence from observations [S, O].

        score(actions)[s, k] = mean_p sum_t discount^t alive_t r_t,  all K x P dreams of a seed in one batch

    Each particle asks the same member of an ensemble at each step, and the particles of every candidate are spread over
    the elites alike: the TS-infinity of Chua et al. 2018, section 4.2; with P a multiple of the elites each is asked
    equally often. Nothing follows a terminal step. Raises ValueError for particles below 1, and observations of another
    size than the model's.
    """
    checks.positive_int("particles", particles)
    if tuple(observations.shape) != (len(generators), model.observation_size):
        raise ValueError(
            f"observations of shape {tuple(observations.shape)}: must be [{len(generators)}, {model.observation_size}]"
        )

    def score(actions):
        s, k, t, _ = actions.shape
        rows = k * particles  # row p * K + k: a model deals neighbouring rows of `order` to one elite
        starts = observations[:, None].expand(-1, rows, -1)
        coming = iter(actions.repeat(1, particles, 1, 1).unbind(2))
        order = torch.arange(rows).expand(s, -1)
        dream = imagine(model, lambda _: next(coming), starts, t, generators, order=order)
        weights = discount ** torch.arange(t)
        return (dream.rewards * dream.alive * weights).sum(2).view(s, particles, k).mean(1)

    return score


def _scored(score, actions: torch.Tensor) -> torch.Tensor:
    """[S, K]; what is not a number counts as the worst."""
    scores = score(actions)
    if tuple(scores.shape) != tuple(actions.shape[:2]):
        raise ValueError(f"scores of shape {tuple(scores.shape)}: must be {list(actions.shape[:2])}")
    return scores.nan_to_num(nan=-torch.inf)


def _taken(actions: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """The sequences with these numbers: actions [S, K, T, A], which [S, E] -> [S, E, T, A]."""
    return actions.gather(1, which[..., None, None].expand(-1, -1, *actions.shape[2:]))
