"""One dot per problem: the chance of a right answer under a base and under another model, and who solves it."""

import numpy as np

from rlkit import checks
from rlkit.widgets import show, svg

LOW = -5  # decades drawn; smaller chances stand on the edge
SIZE, LEFT, TOP = 380, 110, 34  # px of the square


def chance_dots(base, other, k: int, *, names=("base", "other"), kinds=None) -> str:
    """A square on two logarithmic axes, as HTML: exact chances per try of P problems, base across and other up.

    base, other: [P] in [0, 1]. k: two lines stand where k tries have even odds, 1 - (1 - q)^k = 1/2; they part the
    problems into solved by both, by one, by neither, which are counted. On the diagonal nothing has changed. kinds:
    None, or the kind of each problem [P]; each kind has a colour and a shape. Raises ValueError for other shapes, or
    numbers that are no chances.
    """
    base, other = checks.finite("base", base), checks.finite("other", other)
    if base.ndim != 1 or base.shape != other.shape:
        raise ValueError(f"base, other of shapes {base.shape}, {other.shape}: must both be [P]")
    for name, value in (("base", base), ("other", other)):
        if (value < 0).any() or (value > 1).any():
            checks.fail(name, float(value[(value < 0) | (value > 1)][0]), "chances, from 0 to 1")
    kinds = np.full(len(base), "") if kinds is None else np.asarray(kinds)
    edge = 1 - 0.5 ** (1 / checks.positive_int("k", k))
    line = 'stroke="currentColor" stroke-width="1.5"'
    parts = [svg.text(8, 16, f"chance per try, {names[1]}")]
    parts.append(svg.text(LEFT + SIZE / 2, TOP + SIZE + 40, f"chance per try, {names[0]}", "middle"))
    parts.append(f'<path d="M{LEFT} {TOP + SIZE}L{LEFT + SIZE} {TOP}" {line} stroke-dasharray="2 4"/>')
    parts.append(f'<path d="M{LEFT} {TOP}V{TOP + SIZE}H{LEFT + SIZE}" {line}/>')
    across, up = _across(edge), _up(edge)
    parts.append(f'<path d="M{across:.1f} {TOP}v{SIZE}M{LEFT} {up:.1f}h{SIZE}" {line} stroke-opacity="0.6"/>')
    for power in range(LOW, 1):
        name = f"{10.0**power:g}" + (" or less" if power == LOW else "")
        parts.append(svg.text(_across(10.0**power), TOP + SIZE + 18, name, "middle"))
        parts.append(svg.text(LEFT - 8, _up(10.0**power) + 4, name, "end"))
    legend = [kind for kind in dict.fromkeys(kinds.tolist()) if kind]
    for number, kind in enumerate(dict.fromkeys(kinds.tolist())):
        chosen = kinds == kind
        for x, y in zip(_across(base[chosen]), _up(other[chosen]), strict=True):
            parts.append(f'<g opacity="0.75">{svg.marker(number, x, y)}</g>')
    for number, kind in enumerate(legend):
        y = TOP + 20 + 22 * number
        parts.append(svg.marker(number, LEFT + SIZE + 30, y) + svg.text(LEFT + SIZE + 42, y + 4, svg.short(kind)))
    words = _counts(base >= edge, other >= edge, names, k)
    return svg.frame("".join(parts), LEFT + SIZE + 150, TOP + SIZE + 52, "Chances per try", words) + show.note(words)


def _across(chance):
    return LEFT + SIZE * (1 - _decades(chance) / LOW)


def _up(chance):
    return TOP + SIZE * _decades(chance) / LOW


def _decades(chance):
    return np.log10(np.maximum(chance, 10.0**LOW))


def _counts(before, after, names: tuple, k: int) -> str:
    found = {
        "both": before & after,
        f"{names[0]} only": before & ~after,
        f"{names[1]} only": ~before & after,
        "neither": ~before & ~after,
    }
    said = ", ".join(f"{name} {int(which.sum())}" for name, which in found.items())
    return f"Even odds or better within {k:,} {'try' if k == 1 else 'tries'}: {said}, of {len(before)} problems."
