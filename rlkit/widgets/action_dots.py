"""Labels of actions beside the true ones: a dot for each, and their error by distance from labelled data."""

import numpy as np

from rlkit import checks
from rlkit.widgets import show, svg

SIZE, LEFT, TOP = 300, 62, 30  # px of the square


def action_dots(actions, labels, axes, *, title="label by true action") -> str:
    """A square on [-1, 1] twice, as HTML: true actions [N, A] across, labels [N, A] up; one hollow shape per axis.

    On the diagonal a label is right. All is in the text's colour, for colours tell methods. axes: A names, plain text.
    The mean error stands below. Raises ValueError for other shapes or NaN.
    """
    actions, labels = checks.finite("actions", actions), checks.finite("labels", labels)
    if actions.ndim != 2 or actions.shape != labels.shape or actions.shape[1] != len(axes):
        raise ValueError(f"actions, labels of shapes {actions.shape}, {labels.shape}: must both be [N, {len(axes)}]")

    def across(value):
        return LEFT + SIZE * (value + 1) / 2

    def up(value):
        return TOP + SIZE * (1 - value) / 2

    line = 'stroke="currentColor" stroke-width="1.5"'
    parts = [svg.text(8, 16, "label"), svg.text(across(0), TOP + SIZE + 38, "true action", "middle")]
    parts.append(f'<path d="M{LEFT} {TOP + SIZE}L{LEFT + SIZE} {TOP}" {line} stroke-dasharray="2 4"/>')
    parts.append(f'<path d="M{LEFT} {TOP}V{TOP + SIZE}H{LEFT + SIZE}" {line}/>')
    for tick in (-1, 0, 1):
        parts.append(svg.text(across(tick), TOP + SIZE + 18, str(tick), "middle"))
        parts.append(svg.text(LEFT - 8, up(tick) + 4, str(tick), "end"))
    for number, name in enumerate(axes):
        for x, y in zip(across(actions[:, number]), up(np.clip(labels[:, number], -1, 1)), strict=True):
            parts.append(f'<g opacity="0.5">{_shape(number, x, y)}</g>')
        y = TOP + SIZE + 62 + 20 * number
        parts.append(_shape(number, LEFT + 4, y - 4) + svg.text(LEFT + 16, y, svg.short(name, 40)))
    words = f"{len(actions):,} actions, a mark for each axis. "
    words += f"Mean |action - label|: {np.abs(actions - labels).mean():.2f}. On the dotted diagonal a label is right."
    page = svg.frame("".join(parts), LEFT + SIZE + 20, TOP + SIZE + 50 + 20 * len(axes), title, words)
    return page + show.note(words)


def error_by_distance(distance, errors: dict, *, parts=5, width=420) -> str:
    """A line for each method over the distance from labelled data, as an SVG string: means of `parts` equal groups.

    distance [N], errors: name -> [N], at least `parts` of them. Each point stands at the mean distance of its group.
    Raises ValueError for other shapes.
    """
    distance = checks.finite("distance", distance)
    if len(distance) < checks.positive_int("parts", parts):
        checks.fail("distance", distance, f"at least {parts} numbers")
    groups = _groups(distance, parts)
    far, drawn = np.array([distance[group].mean() for group in groups]), []
    for name, error in errors.items():
        error = checks.finite(f"errors[{name!r}]", error)
        if error.shape != distance.shape:
            raise ValueError(f"errors[{name!r}] of shape {error.shape}: must be {distance.shape}")
        drawn.append(svg.Line(name, far, np.array([error[group].mean() for group in groups])))
    words = "; ".join(f"{line.label}: {line.y[0]:.2f} nearest, {line.y[-1]:.2f} farthest" for line in drawn)
    label = "mean |action - label|"
    return svg.chart(drawn, label, "distance from the nearest labelled step", label, words, width=width)


def dots_and_distance(actions, labels: dict, distance, name, part, axes, *, parts=5, most=300) -> str:
    """The labels of one method near or far from labelled data, and the errors of all, side by side as HTML.

    actions [N, A]; labels: method -> [N, A]; distance [N]. Left: `action_dots` of method `name` for group number `part`
    of 1 to `parts`, or for `most` of it, spread over the group by a draw with seed 0. Right: `error_by_distance`.
    """
    error = {method: np.abs(guess - actions).mean(axis=1) for method, guess in labels.items()}
    right = error_by_distance(distance, error, parts=parts)
    group = _groups(distance, parts)[checks.one_of("part", part, range(1, parts + 1)) - 1]
    some = np.random.default_rng(0).permutation(group)[:most]
    left = action_dots(actions[some], labels[checks.one_of("name", name, list(labels))][some], axes)
    panels = "".join(f'<div style="flex:1 1 340px">{page}</div>' for page in (left, right))
    return f'<div style="display:flex;flex-wrap:wrap;gap:24px">{panels}</div>'


def _groups(distance, parts):
    """Indices of `parts` equal groups, the nearest first."""
    return np.array_split(np.argsort(distance, kind="stable"), parts)


def _shape(number, x, y):
    """The hollow mark of axis `number`: a circle, a cross, a plus, ..."""
    outline = svg.MARKERS[-number % len(svg.MARKERS)]
    return f'<path d="{outline}" transform="translate({x:.1f} {y:.1f})" stroke="currentColor"/>'
