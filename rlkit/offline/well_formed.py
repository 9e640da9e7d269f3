"""What makes a dataset well formed: types, shapes, finite numbers, episodes that end; errors name episode and step."""

import json

import numpy as np

from rlkit import checks
from rlkit.records import plain

ARRAYS = ("observations", "actions", "rewards", "next_observations", "terminated", "truncated")


def _cast(name, array, kind, shape, allowed):
    if array.dtype.kind not in "biuf" or array.shape != shape:
        checks.fail(f"{name}.shape, {name}.dtype", (array.shape, str(array.dtype)), allowed)
    if kind is bool and not np.isin(array, (0, 1)).all():  # NaN would count as True
        checks.fail(name, array, "True or False in each row")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is named below
        return array.astype(kind, copy=False)


def arrays(given, weighted):
    """The arrays with their types; raises ValueError for a wrong shape."""
    observations, actions = given["observations"], given["actions"]
    if observations.ndim != 2 or 0 in observations.shape:
        checks.fail("observations.shape", observations.shape, "[N, O], at least one row and column")
    rows = len(observations)
    discrete = actions.ndim == 1 and actions.dtype.kind in "iu"
    if not discrete and (actions.ndim != 2 or 0 in actions.shape):
        shown = (actions.shape, str(actions.dtype))
        checks.fail("actions.shape, actions.dtype", shown, "[N, A], or [N] integers, at least one row and column")
    width = () if discrete else actions.shape[1:]
    cast = {
        "observations": (np.float32, observations.shape, "[N, O] numbers"),
        "actions": (np.int64 if discrete else np.float32, (rows, *width), f"[N, A] numbers or [N] integers, N={rows}"),
        "rewards": (np.float32, (rows,), f"[N] numbers, N={rows}"),
        "next_observations": (
            np.float32,
            observations.shape,
            f"[N, O] numbers like observations, {observations.shape}",
        ),
        "terminated": (bool, (rows,), f"[N] bools, N={rows}"),
        "truncated": (bool, (rows,), f"[N] bools, N={rows}"),
    }
    if weighted:
        cast["weights"] = (np.float64, (rows,), f"[N] numbers, N={rows}, or None")
    return {name: _cast(name, given[name], *how) for name, how in cast.items()}


def check(dataset):
    """Raise ValueError for a value that no dataset may hold, with its episode and step."""
    ended, facts, hidden = dataset.terminated | dataset.truncated, dataset.facts, dataset.facts.get("hidden_actions")

    def fail(name, row, value, allowed):
        before = np.flatnonzero(ended[:row])
        step = row - (before[-1] + 1 if len(before) else 0)
        checks.fail(f"{name}[episode {len(before)}, step {step}]", value, allowed)

    if not ended[-1]:
        fail("truncated", len(dataset) - 1, False, "True where terminated is not: the last episode has no end")
    for name in ("observations", "actions", "rewards", "next_observations", "weights"):
        array = getattr(dataset, name)
        if array is None or array.dtype == np.int64:
            continue
        table = array.reshape(len(array), -1)
        bad = ~np.isfinite(table)
        if name == "actions" and hidden:
            bad[np.isnan(table).all(axis=1)] = False
        if bad.any():
            row, column = np.argwhere(bad)[0]
            fail(name, row, float(table[row, column]), "finite")
    if dataset.weights is not None:
        if (dataset.weights < 0).any():
            row = np.argmax(dataset.weights < 0)
            fail("weights", row, float(dataset.weights[row]), "at least 0")
        if not dataset.weights.any():
            checks.fail("weights", dataset.weights, "above 0 in some row")
    if dataset.discrete:
        count = checks.positive_int("facts['actions']", facts.get("actions"))
        outside = (dataset.actions < (-1 if hidden else 0)) | (dataset.actions >= count)
        if outside.any():
            row = np.argmax(outside)
            fail("actions", row, int(dataset.actions[row]), f"in 0 to {count - 1}")
    if not facts.get("disconnected"):
        torn = ~ended[:-1] & (dataset.next_observations[:-1] != dataset.observations[1:]).any(axis=1)
        if torn.any():
            row, allowed = np.argmax(torn), "the observation of the next row, for no episode ends here"
            fail("next_observations", row, dataset.next_observations[row].tolist(), allowed)
    for key in per_episode(facts):
        if not isinstance(facts[key], list) or len(facts[key]) != ended.sum():
            checks.fail(f"facts[{key!r}]", facts[key], f"a list with one entry for each of {ended.sum()} episodes")


def plain_facts(facts):
    """A copy of the facts as JSON holds them; raises ValueError for what it cannot hold."""
    if not isinstance(facts, dict):
        checks.fail("facts", facts, "a dictionary")
    try:
        return json.loads(json.dumps(facts, default=plain, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"facts: must be what JSON can hold: {error}") from None


def per_episode(facts):
    """The facts with one entry for each episode."""
    return [key for key in facts if key.startswith("episode_")]
