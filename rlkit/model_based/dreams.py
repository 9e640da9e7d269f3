"""Imagined rollouts: a policy in a model, entirely in tensors."""

from typing import NamedTuple

import torch

from rlkit import checks


class Dream(NamedTuple):
    """S x B imagined rollouts of T steps. After a terminal step `alive` is 0, and what stands there means nothing."""

    observations: torch.Tensor  # [S, B, T + 1, O]
    actions: torch.Tensor  # [S, B, T, A], or [S, B, T]
    rewards: torch.Tensor  # [S, B, T]
    continues: torch.Tensor  # [S, B, T]
    alive: torch.Tensor  # [S, B, T], 1 where the step was taken


def imagine(model, policy, starts: torch.Tensor, horizon: int, generators, *, order=None) -> Dream:
    """Follow `policy` in `model` from `starts` for `horizon` steps, without gradients.

    model: anything with `step` (see rlkit.model_based). policy: observations [S, B, O] -> actions. starts [S, B, O].
    generators: one np.random.Generator for each seed. order: passed on to the model; None deals members anew each step.
    Raises ValueError for a horizon below 1, or starts of another size than the model's.
    """
    checks.positive_int("horizon", horizon)
    if starts.dim() != 3 or starts.shape[2] != model.observation_size:
        raise ValueError(f"starts of shape {tuple(starts.shape)}: must be [S, B, {model.observation_size}]")
    now, alive = starts, torch.ones(starts.shape[:2])
    seen, rest = [starts], []
    with torch.no_grad():
        for _ in range(horizon):
            actions = policy(now)
            after, rewards, continues = model.step(now, actions, generators, order)
            rest.append((actions, rewards, continues, alive))
            now, alive = after, alive * continues
            seen.append(now)
    return Dream(torch.stack(seen, 2), *(torch.stack(column, 2) for column in zip(*rest, strict=True)))


def dreamt(replay, dream: Dream) -> None:
    """Put every step of a dream that was taken into a Replay."""
    flat = [column.flatten(1, 2) for column in (dream.observations[:, :, :-1], dream.actions, dream.rewards)]
    after, continues = dream.observations[:, :, 1:].flatten(1, 2), dream.continues.flatten(1, 2)
    kept = None if bool(dream.alive.all()) else dream.alive.flatten(1, 2) > 0
    replay.add(*flat, after, continues, kept)
