"""Token credit of stored completions: rows of one step and the run's objective in, one number per token out."""

import collections

import numpy as np

from rlkit.widgets import svg
from rlkit.widgets.rollout_rows import Index, numbers


def credit(found: Index, config: dict, *, at: str) -> tuple[dict, str]:
    """(position -> credit [T], a line on what is missing or was left out) for the completions of one step.

    Credit is -d loss / d logp times the normaliser (rlkit.rlvr.objectives.credit) under config["objective"] =
    {"name": ..., "options": {...}}, with logp the column `at`: logp_sampled for the first update (ratio 1), logp_new
    for after the step's updates. Advantages need whole groups: those whose size differs from most, and those with a
    reward or log-probability that is missing or no number, are left out. Each arm and seed is a batch of its own.
    """
    described = config.get("objective")
    if not isinstance(described, dict) or "name" not in described:
        return {}, "Credit needs to know the objective: run.config['objective'] has none."
    try:
        import torch

        from rlkit.rlvr import objectives
    except ImportError as error:
        return {}, f"Credit is computed with torch, which does not import here ({svg.short(error, 120)})."
    try:
        objective = objectives.make(described["name"], **described.get("options", {}))
    except (TypeError, ValueError) as error:
        return {}, f"Credit: run.config['objective'] makes no objective: {svg.short(error, 200)}"
    if objective.needs_reference and "logp_reference" not in found.columns:
        return {}, f"Credit of {svg.short(objective.name)} needs logp_reference, which was not logged."
    names = ["logp_sampled", at] + ["logp_reference"] * objective.needs_reference
    result, left_out = {}, 0
    for batch in np.unique(found.batch):
        groups, lists, missing = _whole_groups(found, np.flatnonzero(found.batch == batch), names)
        left_out += missing
        if not len(groups):
            continue
        rows = groups.ravel()  # [B], row = p * G + g
        longest = max(len(lists[i][names[0]]) for i in rows)
        old, logp, *rest = (
            torch.tensor(np.stack([_padded(lists[i][name], longest) for i in rows]), dtype=torch.float64)
            for name in names
        )
        mask = torch.tensor(np.stack([_padded(lists[i]["mask"], longest) for i in rows])) > 0
        try:
            weights = objective.advantages(torch.tensor(found.reward[groups], dtype=torch.float64))
        except ValueError as error:  # a group of one, or rewards that this objective does not take
            return {}, f"No credit: {svg.short(objective.name)} refuses these rewards: {svg.short(error, 200)}"
        limit = config.get("max_new_tokens")
        limit = limit if isinstance(limit, int) and limit > 0 else longest
        normaliser = objective.normaliser(mask.reshape(*groups.shape, longest), weights, limit)
        flat = objectives.rows(weights, torch.arange(len(rows)))
        made = objectives.credit(objective, logp, old, rest[0] if rest else None, mask, flat, normaliser).numpy()
        for i, line in zip(rows.tolist(), made, strict=True):
            result[i] = np.where(lists[i]["mask"] > 0, line[: len(lists[i]["mask"])], np.nan)
    words = f"Credit of {svg.short(objective.name)} {_options(described)}".strip() + "."
    if left_out:
        words += (
            f" Left out: {left_out:,} completions of groups that are not whole or lack a reward or log-probability."
        )
    return result, words


def _options(described: dict) -> str:
    options = ", ".join(f"{name}={value}" for name, value in described.get("options", {}).items())
    return f"({svg.short(options, 160)})" if options else ""


def _whole_groups(found: Index, there: np.ndarray, names: list) -> tuple[np.ndarray, dict, int]:
    """(positions [P, G] of the groups that can be used, their lists, how many completions cannot be used)."""
    lists = {int(i): _lists(found.rows[i], names) for i in there}
    members = {}
    for i in there:
        members.setdefault(int(found.group[i]), []).append(int(i))
    size = collections.Counter(map(len, members.values())).most_common(1)[0][0]
    good = [m for m in members.values() if len(m) == size and all(lists[i] and np.isfinite(found.reward[i]) for i in m)]
    return np.array(good, dtype=int).reshape(-1, size), lists, len(there) - size * len(good)


def _lists(row: dict, names: list) -> dict | None:
    """The row's log-probabilities and mask [T]; None if one is missing, of another length, or no finite number."""
    if not all(isinstance(row.get(name), list) for name in names):
        return None
    length = len(row[names[0]])
    lists = {name: numbers(row[name], length) for name in names}
    mask = numbers(row["mask"], length) if isinstance(row.get("mask"), list) else np.ones(length)
    used = mask > 0
    whole = all(len(row[name]) == length and np.isfinite(lists[name][used]).all() for name in names)
    return (
        {name: np.where(used, found, 0.0) for name, found in lists.items()} | {"mask": mask}
        if (whole and used.any())
        else None
    )


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    return np.pad(values, (0, length - len(values)))
