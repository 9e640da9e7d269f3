"""How the largest |Q| of an arm grows under each of its knobs, and what arms score from the sharpest to the mildest."""

import numpy as np

from rlkit import checks
from rlkit.html import table
from rlkit.widgets import show, svg
from rlkit.widgets.score_charts import score_grid

TOP = 1e4  # what is larger, or no number, is drawn here


def growth_page(rows, arm, bound, *, waiting="The first learners are still at work.") -> str:
    """The largest |Q| over steps, on a logarithmic scale: a line for each knob, the median over seeds; as HTML.

    rows: `rlkit.offline.blow_ups.results`; bound: the largest discounted return, drawn with ten times itself. Without
    rows of the arm it says `waiting`. Raises ValueError for a bound that is not above 0.
    """
    bound, here = checks.positive("bound", bound), rows[rows["arm"] == arm] if len(rows) else rows
    if not len(here):
        return show.note(waiting)
    at, lines, last = np.array(here["at"].iloc[0], dtype=float), [], []
    for knob, found in here.groupby("knob"):
        size = np.minimum(np.median(found["size"].tolist(), axis=0), TOP)  # [looks]
        lines.append(svg.Line(f"knob {svg.number(knob)}", at, np.log10(size)))
        last.append((svg.number(knob), *(svg.number(s, 3) if s < TOP else "beyond 10,000" for s in size)))
    for name, level in (("largest return", bound), ("ten times that", 10 * bound)):
        lines.append(svg.Line(name, at[[0, -1]], np.log10(np.full(2, level))))
    words = f"Median over seeds. What is no number is drawn at 10,000. Level lines: {svg.number(bound)}, the largest "
    words += f"discounted return, and {svg.number(10 * bound)}, from where on a seed counts as blown up."
    chart = svg.chart(lines, f"Largest |Q| of {arm}", "step", f"{arm}: log10 of the largest |Q|", words)
    numbers = table(("knob", *(f"step {svg.number(step)}" for step in at)), last, f"Largest |Q| of {arm}")
    return chart + show.note(words) + show.details("The numbers as a table", numbers)


def knob_grid(rows, knobs: dict, levels: dict, title) -> str:
    """`score_grid` of final scores, a column for each place in the arms' knobs, from the sharpest to the mildest.

    rows: `rlkit.offline.blow_ups.results`; knobs: arm -> its knobs in this order; levels: name -> score. Returns HTML.
    """
    scores = {}
    for arm, values in knobs.items():
        ends = {0: "sharpest", len(values) - 1: "mildest"}
        here = rows[rows["arm"] == arm]
        scores[arm.replace("published", "publ.")] = {  # the grid has room for 18 characters
            ends.get(place, f"knob {place + 1}"): here[here["knob"] == value]["final"].to_numpy()
            for place, value in enumerate(values)
        }
    return score_grid(scores, levels, title)


def pull_chart(loss, knob, counts, edges, title) -> str:
    """What a loss of V does with each u = Q - V, beside how often u occurs: an SVG string.

    loss: u [1, N] and a knob -> [1]. Drawn is its slope by u, which is the pull on V (up where it is above 0), as a
    share of the strongest between -10 and 10; counts [N] in bins with edges [N + 1], as a share of the fullest bin.
    Raises ValueError for other shapes.
    """
    import torch

    edges, counts = checks.finite("edges", edges), checks.finite("counts", counts)
    if counts.shape != (len(edges) - 1,):
        raise ValueError(f"counts of shape {counts.shape}: must be [{len(edges) - 1}]")
    u = torch.linspace(-10, 10, 401, dtype=torch.float64).requires_grad_()
    (pull,) = torch.autograd.grad(loss(u[None], knob).sum(), u)
    lines = [svg.Line("pull on V", u.detach().numpy(), (pull / pull.abs().max()).numpy())]
    lines.append(svg.Line("how often", (edges[1:] + edges[:-1]) / 2, counts / max(counts.max(), 1)))
    inside = np.abs(edges[:-1]) <= 5
    words = f"{title}: {100 * counts[inside].sum() / max(counts.sum(), 1):.0f} % of u are within 5 of 0."
    return svg.chart(lines, title, "u = Q - V", title, words, height=200)
