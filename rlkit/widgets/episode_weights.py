"""Where the weight of a dataset's episodes lies: at their first places in a maze, and over the whole range of alpha."""

import numpy as np

from rlkit import checks, envs
from rlkit.html import COLOURS
from rlkit.widgets import show, svg

SIDE, LARGEST, RIM = 84, 20, 60  # px: a cell of the maze, the largest circle's radius, what is cut off the outer wall


def effective_number(weights) -> float:
    """(sum w)^2 / sum w^2 of weights [E]: as many episodes of equal weight would say as much (Kish 1965)."""
    weights = checks.finite("weights", weights)
    if (weights < 0).any() or not weights.any():
        checks.fail("weights", weights, "at least 0, and some above")
    return float(weights.sum() ** 2 / (weights**2).sum())


def expert_share(dataset, weights) -> float:
    """The share of the weight [E] that lies on episodes whose facts["episode_quality"] is "expert"."""
    expert = np.array(dataset.facts["episode_quality"]) == "expert"
    return float(weights[expert].sum() / weights.sum())


def start_map(dataset, weights) -> str:
    """The maze with a circle at each episode's first place, its area in proportion to weights [E]; as HTML.

    Blue: an expert's episode, orange: any other. Beside the picture: the experts' share and the effective number.
    Raises ValueError for a dataset that names no PointMaze, or weights of another length.
    """
    plan = envs.draw(envs.simulator(dataset.facts["simulator"], **dataset.facts["options"]))
    first, share = dataset.observations[dataset.episode_starts][:, :2], np.asarray(weights, dtype=float)
    if share.shape != (len(first),):
        checks.fail("weights.shape", share.shape, f"({len(first)},), one for each episode")
    expert = np.array(dataset.facts["episode_quality"]) == "expert"
    height, width = plan.walls.shape
    parts = [
        f'<rect x="{x * SIDE}" y="{y * SIDE}" width="{SIDE}" height="{SIDE}" fill="currentColor" fill-opacity="0.3"/>'
        for y, x in np.argwhere(plan.walls)
    ]
    for x, y in plan.goals * SIDE:
        parts.append(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{plan.radius * SIDE:.0f}" fill="none" stroke="currentColor"/>'
        )
        parts.append(svg.text(x, y + 4, "goal", "middle"))
    for i in np.argsort(-share, kind="stable"):
        radius, colour = 1.5 + LARGEST * np.sqrt(share[i] / share.max()), COLOURS[0 if expert[i] else 1]
        dash = ' stroke-dasharray="3 2"' if not expert[i] and radius > 4 else ""
        parts.append(
            f'<circle cx="{first[i, 0] * SIDE:.1f}" cy="{first[i, 1] * SIDE:.1f}" r="{radius:.1f}" fill="{colour}" '
            f'fill-opacity="0.25" stroke="{colour}"{dash}/>'
        )
    words = f"Experts, {expert.sum()} of {len(share)} episodes, have {expert_share(dataset, share):.0%} of the weight. "
    words += f"Effective number of episodes: {effective_number(share):.1f} of {len(share)}."
    body = f'<g transform="translate({-RIM} {-RIM})">{"".join(parts)}</g>'
    sides = (side * SIDE - 2 * RIM for side in (width, height))
    picture = svg.frame(body, *sides, "first places of the episodes", words)
    legend = "Area of a circle: weight. Blue, full line: an expert's episode; orange, dashed: a random one."
    return f'<div style="flex:0 1 {width * SIDE - 2 * RIM}px">{picture}{show.note(words)}{show.note(legend)}</div>'


def alpha_chart(dataset, weigh, alphas, title: str) -> str:
    """Two bars for each alpha, as HTML: the experts' share of the weight, and the effective share of the episodes.

    weigh: a function of (dataset, alpha) that returns weights [E]. alphas: the rows, in this order.
    """
    found = [weigh(dataset, alpha) for alpha in checks.finite("alphas", alphas)]
    shares = {
        "experts' share of the weight": [expert_share(dataset, w) for w in found],
        "effective episodes, share of all": [effective_number(w) / len(w) for w in found],
    }
    parts, left, full = [svg.text(40, 60, "alpha", "end")], 50, 380  # px: where bars start, the length of a whole
    for number, (label, values) in enumerate(shares.items()):
        colour = COLOURS[2 * number]  # the experts' as on the map; the map's other one is of random episodes
        style = f'fill="{colour}" fill-opacity="{0.9 - 0.7 * number}" stroke="{colour}"'
        parts.append(f'<rect x="{left}" y="{6 + 18 * number}" width="24" height="10" {style}/>')
        parts.append(svg.text(left + 32, 15 + 18 * number, label))
        for row, value in enumerate(values):
            y = 68 + 36 * row + 15 * number
            parts.append(f'<rect x="{left}" y="{y}" width="{value * full:.1f}" height="11" {style}/>')
            parts.append(svg.text(left + value * full + 6, y + 10, f"{value:.0%}"))
    parts += [svg.text(40, 86 + 36 * row, svg.number(alpha), "end") for row, alpha in enumerate(alphas)]
    words = "; ".join(f"{label} from {x[0]:.1%} to {x[-1]:.1%}" for label, x in shares.items())
    chart = svg.frame("".join(parts), left + full + 50, 70 + 36 * len(found), f"{title} by alpha", words)
    return f'<div style="flex:1 1 400px">{show.note(f"{title}, by the temperature alpha")}{chart}</div>'
