"""Reward against divergence: where policies stand, how they got there, and the line that none can cross."""

import numpy as np

from rlkit import checks
from rlkit.html import table
from rlkit.widgets import show, svg


def reward_against_kl(
    paths: dict, title, y_label="gold reward", x_label="KL to the start policy, nats", names=()
) -> str:
    """Paths of policies in the plane of divergence and reward, as HTML: a picture and its numbers as a table.

    paths: name -> (kl [K], reward [K]); one point alone is a mark. A name has the colour, dash and mark of its place,
    so the frontier, drawn first, looks the same in every chart; with `names`, all those of a notebook, its place there,
    so that each keeps its own where others are missing. Texts are plain. Raises ValueError for other shapes.
    """
    if not paths:
        checks.fail("paths", paths, "name -> (kl, reward), at least one")
    lines, rows = [], []
    for name, (kl, reward) in paths.items():
        kl, reward = checks.finite(f"paths[{name!r}]", np.atleast_1d(kl)), checks.finite(name, np.atleast_1d(reward))
        if kl.shape != reward.shape or kl.ndim != 1:
            raise ValueError(f"paths[{name!r}] of shapes {kl.shape} and {reward.shape}: must be [K] and [K]")
        place = list(names).index(name) if name in names else None
        lines.append(svg.Line(str(name), kl, reward, place=place))
        best = int(reward.argmax())
        ends = [(kl[0], reward[0]), (kl[best], reward[best]), (kl[-1], reward[-1])]
        rows.append([name, *(f"{svg.number(r, 3)} at {svg.number(k, 3)}" for k, r in ends)])
    words = "; ".join(f"{row[0]}: highest {row[2]} nats, last {row[3]} nats" for row in rows)
    picture = svg.chart(lines, title, x_label, y_label, words, height=360)
    heads = ("", "first", f"highest {y_label}", "last")
    return picture + show.details(f"The numbers as a table: {y_label} at {x_label}", table(heads, rows, title))
