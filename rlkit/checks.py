"""Arguments checked once, in one voice: `name=value: must be ...`, a single line that a reader can act on."""

import math
import numbers

import numpy as np


def _show(value) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 80 else text[:77] + "..."


def fail(name: str, value, allowed: str):
    """Raise ValueError `name=value: must be allowed`, in one line whatever the value."""
    raise ValueError(f"{name}={_show(value)}: must be {allowed}")


def positive_int(name: str, value) -> int:
    """An integer of at least 1 (True and 3.0 are refused). Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        fail(name, value, "a positive integer")
    return int(value)


def count(name: str, value) -> int:
    """An integer of at least 0. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        fail(name, value, "an integer of at least 0")
    return int(value)


def seed(value) -> int:
    """A seed: an integer of at least 0, so that the same numbers come out again. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        fail("seed", value, "an integer of at least 0")
    return int(value)


def positive(name: str, value) -> float:
    """A finite real number above 0. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value <= 0:
        fail(name, value, "a finite number above 0")
    return float(value)


def finite(name: str, values) -> np.ndarray:
    """A non-empty float array without NaN or infinity. Raises ValueError that names the first offending entry."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        fail(name, values, "numbers")
    if array.size == 0:
        fail(name, values, "not empty")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        fail(f"{name}[{', '.join(map(str, where))}]" if where else name, float(array[where]), "finite")
    return array


def probability(name: str, values) -> np.ndarray:
    """Numbers in [0, 1], scalar or array. Raises ValueError that names the first offending entry."""
    array = finite(name, values)
    bad = np.argwhere((array < 0) | (array > 1))
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        fail(f"{name}[{', '.join(map(str, where))}]" if where else name, float(array[where]), "in [0, 1]")
    return array


def one_of(name: str, value, allowed):
    """One of the allowed values. Raises ValueError that lists them."""
    if value not in allowed:
        fail(name, value, "one of " + ", ".join(map(repr, allowed)))
    return value
