"""The numbers behind WhatIf: stored rollouts as tensors, and what an objective makes of them.

Everything comes from rlkit.rlvr.objectives, the functions that train; torch is imported only when it is needed.
"""

import collections
import math
from typing import NamedTuple

import numpy as np

from rlkit.widgets import rollout_rows, svg

MISSING = {
    "logp_new": "logp_new is not stored: every ratio is 1, so nothing is clipped",
    "logp_sampled": "logp_sampled is not stored: every ratio is 1, so nothing is clipped",
    "logp_reference": "logp_reference is not stored: beta stays 0",
    "tokens": "tokens are not stored: ids or positions are shown",
    "reward_parts": "reward_parts are not stored: only the whole reward can be weighted",
    "finish_reason": "finish_reason is not stored",
}
OPEN = {"clip_low": None, "clip_high": None, "cap": 1e30, "eps": 1e-30}  # an option's value at which nothing is clipped


class Batch(NamedTuple):
    """The rollouts of one step: P groups of G samples, row = p * G + g, T the longest completion.

    prompts [P]; tokens [B] lists of text; finish [B]; rewards [P, G]; parts name -> [P, G]; advantage [P, G] as stored,
    or None; logp (after the step's updates), old (as sampled), reference (or None), mask: tensors [B, T]; limit:
    max_new_tokens; notes: what is missing or was left out, in words.
    """

    prompts: list
    tokens: list
    finish: list
    rewards: np.ndarray
    parts: dict
    advantage: np.ndarray | None
    logp: object
    old: object
    reference: object
    mask: object
    limit: int
    notes: list


class Outcome(NamedTuple):
    """What an objective makes of a batch: advantage, kept [P, G]; credit, clipped [B, T]; all NumPy.

    credit: -d loss / d logp times normaliser. clipped: tokens whose credit the clip range (or cap) changes.
    ratio: (smallest, largest) ratio of the kept tokens. share: of the tokens that are clipped.
    """

    rewards: np.ndarray
    advantage: np.ndarray
    kept: np.ndarray
    credit: np.ndarray
    clipped: np.ndarray
    normaliser: float
    ratio: tuple
    share: float


def batches(known: dict) -> dict:
    """name -> rows of one batch, in order of logging: `step 40`, in a sweep `arm nsr, seed 2, step 40`.

    known: step -> rows, from rollout_rows.read.
    """
    found = {}
    for step, rows in known.items():
        for row in rows:
            labels = [f"{name} {svg.short(row[name])}" for name in ("arm", "seed") if row.get(name) is not None]
            at = row.get("at", step)
            found.setdefault(", ".join([*labels, f"step {at:,}" if isinstance(at, int) else "step ?"]), []).append(row)
    return found


def batch(rows: list, limit: int | None = None) -> Batch:
    """One batch of stored rows as tensors. limit: max_new_tokens, if the run's config says it.

    Groups of another size than most, and groups with a number that is missing or not finite, are left out; notes say
    so, as they name each missing column and what stands in for it. Raises ValueError where nothing can: without
    rewards, without any log-probabilities, or without a whole group.
    """
    found = rollout_rows.index(rows)
    names = [name for name in ("logp_sampled", "logp_new", "logp_reference") if name in found.columns]
    if "reward" not in found.columns or not {"logp_sampled", "logp_new"} & set(names):
        raise ValueError(
            "rollouts without reward or logp_sampled: must be logged by train(..., log_rollouts_every=...)"
        )
    lists = [_lists(row, names) for row in rows]
    members = {}
    for i, group in enumerate(found.group.tolist()):
        members.setdefault(group, []).append(i)
    size = collections.Counter(map(len, members.values())).most_common(1)[0][0]
    whole = [
        m for m in members.values() if len(m) == size and all(lists[i] and np.isfinite(found.reward[i]) for i in m)
    ]
    if not whole:
        raise ValueError("rollouts: no group has whole rewards and log-probabilities for all its samples")
    notes = [words for name, words in MISSING.items() if name not in found.columns]
    if len(whole) < len(members):
        notes.append(f"{len(members) - len(whole)} of {len(members)} groups are left out: not whole, or not finite")
    # In order of sampling where that is known, else of logging.
    order = [sorted(m, key=lambda i: rollout_rows.number(rows[i].get("sample", i))) for m in whole]
    order = np.array(order)  # [P, G] positions in rows
    flat = order.ravel().tolist()
    width = max(1, *(len(lists[i]["mask"]) for i in flat))
    padded = {name: _pad([lists[i][name] for i in flat], width) for name in (*names, "mask")}
    if limit is None:
        limit = width
        notes.append(f"the run does not say max_new_tokens: the longest completion, {width}, stands in for it")
    parts = {name: np.array([rollout_rows.parts(row).get(name, 0.0) for row in rows])[order] for name in found.parts}
    parts = {name: np.nan_to_num(part, posinf=0.0, neginf=0.0) for name, part in parts.items()}
    tokens = [rollout_rows.tokens(rows[i]) or [str(t + 1) for t in range(len(lists[i]["mask"]))] for i in flat]
    stored = found.advantage[order]
    return Batch(
        [rollout_rows.text(rows[i], "prompt") or svg.short(found.problem[i]) for i in order[:, 0]],
        tokens,
        [svg.short(rows[i].get("finish_reason") or "–") for i in flat],
        found.reward[order],
        parts or {"reward": found.reward[order]},
        stored if np.isfinite(stored).all() else None,
        padded.get("logp_new", padded.get("logp_sampled")),
        padded.get("logp_sampled", padded.get("logp_new")),
        padded.get("logp_reference"),
        padded["mask"] > 0,
        int(limit),
        notes,
    )


def _lists(row: dict, names: list) -> dict | None:
    """The row's log-probabilities and mask [T]; None where their lengths differ or one is no finite number."""
    if not all(isinstance(row.get(name), list) for name in names):
        return None
    length = len(row[names[0]])
    mask = rollout_rows.numbers(row["mask"], length) if isinstance(row.get("mask"), list) else np.ones(length)
    used = mask > 0
    found = {name: rollout_rows.numbers(row[name], length) for name in names}
    if not all(len(row[name]) == length and np.isfinite(found[name][used]).all() for name in names):
        return None
    return {name: np.where(used, one, 0.0) for name, one in found.items()} | {"mask": used.astype(float)}


def _pad(lists: list, width: int):
    import torch

    return torch.from_numpy(np.stack([np.pad(one, (0, width - len(one))) for one in lists]))  # [B, T] float64


def part_weights(batch: Batch) -> tuple[dict, bool]:
    """(part -> weight, whether these weights give the stored rewards).

    Tried in turn: the part "correct" alone, then least squares (smallest weights where several would do).
    """
    alone = {name: float(name == "correct") for name in batch.parts}
    table = np.stack([part.ravel() for part in batch.parts.values()], axis=1)  # [B, parts]
    fitted = np.linalg.lstsq(table, batch.rewards.ravel(), rcond=None)[0]
    for weights in (alone, {n: round(float(w), 6) for n, w in zip(batch.parts, fitted, strict=True)}):
        if np.allclose(table @ np.array(list(weights.values())), batch.rewards.ravel(), atol=1e-5):
            return weights, True
    return alone if any(alone.values()) else dict.fromkeys(batch.parts, 1.0), False


def weighted(batch: Batch, weights: dict) -> np.ndarray:
    """The reward of each sample, sum over parts of weight * part, [P, G]."""
    return sum((weights[name] * part for name, part in batch.parts.items()), np.zeros_like(batch.rewards))


def outcome(batch: Batch, name: str, options: dict, rewards: np.ndarray) -> Outcome:
    """What rlkit.rlvr.objectives.make(name, **options) makes of a batch with these rewards [P, G].

    Raises ValueError as the objective does, e.g. for rewards outside [0, 1] where it needs them inside.
    """
    from rlkit.rlvr import objectives

    objective = objectives.make(name, **options)
    weights = objective.advantages(rewards)
    groups, size = rewards.shape
    normaliser = objective.normaliser(batch.mask.reshape(groups, size, -1), weights, batch.limit)
    flat = objectives.rows(weights)

    def credit(one):
        return objectives.credit(one, batch.logp, batch.old, batch.reference, batch.mask, flat, normaliser)

    plain = {**objective.options, "beta": 0.0}
    plain, wide = (
        objectives.make(name, **changed)
        for changed in (plain, plain | {option: value for option, value in OPEN.items() if option in plain})
    )
    _, info = objective.loss(batch.logp, batch.old, batch.reference, batch.mask, flat, normaliser)
    clipped = ~credit(plain).isclose(credit(wide), rtol=1e-9, atol=0.0) & batch.mask
    return Outcome(
        rewards,
        weights.advantage.numpy(),
        weights.kept.numpy(),
        credit(objective).numpy(),
        clipped.numpy(),
        float(normaliser),
        (float(info["ratio_min"]), float(info["ratio_max"])),
        float(info["clipped"]),
    )


def per_sample(found: Outcome) -> np.ndarray:
    """Sum of |credit| over the tokens of each sample, [P, G]."""
    return np.abs(found.credit).sum(axis=1).reshape(found.rewards.shape)


def dead(found: Outcome) -> np.ndarray:
    """Groups that teach nothing: every kept advantage is 0, or nothing is kept, [P]."""
    return (np.where(found.kept, found.advantage, 0.0) == 0).all(axis=1)


def cosine(first: Outcome, second: Outcome) -> float:
    """The cosine of the angle between two credits, over all tokens; NaN where one of them is 0 everywhere."""
    a, b = first.credit.ravel(), second.credit.ravel()
    size = math.sqrt(float(a @ a)) * math.sqrt(float(b @ b))
    return float(a @ b) / size if size > 0 else math.nan


def used(batch: Batch, found: Outcome) -> np.ndarray:
    """The tokens that count: sampled, and of a completion that is kept, [B, T]."""
    return batch.mask.numpy() & found.kept.reshape(-1, 1)
