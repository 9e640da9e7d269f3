"""How the largest |Q| of an arm grows under each of its knobs, and what arms score from the sharpest to the mildest."""

import numpy as np

from rlkit import checks
from rlkit.html import table
from rlkit.widgets import show, svg
from rlkit.widgets.score_charts import score_grid

TOP = 1e4  # what is larger is drawn here, and marks of what is no number
LOST = 1e29  # a median beyond it is none: `rlkit.offline.blow_ups` writes 1e30 for infinity and NaN
SYMBOLS = {"XQL": "β", "IQL": "τ"}  # of an arm's knob; of all others λ


def knob_name(arm: str, knob) -> str:
    """The knob of an arm in words: `β 0.05` for XQL, `τ 0.9` for IQL, `λ 0.6` for f-DVL in all its forms."""
    return f"{SYMBOLS.get(arm.split(',')[0], 'λ')} {svg.number(knob)}"


def growth_page(rows, arm, bound, *, waiting="The first learners are still at work.") -> str:
    """The largest |Q| over steps, on a logarithmic scale: a line for each knob, the median over seeds; as HTML.

    rows: `rlkit.offline.blow_ups.results`; bound: the largest discounted return, drawn with ten times itself. A line
    ends where |Q| is no number any more; marks at the top say since when. Without rows of the arm it says `waiting`.
    Raises ValueError for a bound that is not above 0.
    """
    bound, here = checks.positive("bound", bound), rows[rows["arm"] == arm] if len(rows) else rows
    if not len(here):
        return show.note(waiting)
    at, lines, last = np.array(here["at"].iloc[0], dtype=float), [], []
    for knob, found in here.groupby("knob"):
        size, name = np.median(found["size"].tolist(), axis=0), knob_name(arm, knob)  # [looks]
        lost, height = size > LOST, np.log10(np.minimum(size, TOP))
        lines.append(svg.Line(name, at, np.where(lost, np.nan, height)))
        if lost.any():
            lines.append(svg.Line(f"{name}: no number", at[lost], height[lost]))
        words = ["no number" if s > LOST else svg.number(s, 3) if s < TOP else "beyond 10,000" for s in size]
        last.append((name, *words))
    for level, name in ((bound, "largest return"), (10 * bound, "blown up")):
        lines.append(svg.level(f"{svg.number(level)}: {name}", at, np.log10(level)))
    words = f"Median over seeds. Level lines: {svg.number(bound)}, the largest discounted return, and "
    words += (
        f"{svg.number(10 * bound)}, from where on a seed counts as blown up. A line ends where |Q| is no number any "
    )
    words += "more; marks at the top, at 10,000, show since when. They are no measured values."
    chart = svg.chart(lines, f"Largest |Q| of {arm}", "step", f"{arm}: log10 of the largest |Q|", words)
    numbers = table(("knob", *(f"step {svg.number(step)}" for step in at)), last, f"Largest |Q| of {arm}")
    return chart + show.note(words) + show.details("The numbers as a table", numbers)


def knob_grid(pages: dict, arms: dict, levels: dict) -> str:
    """`score_grid` of final scores for each of several runs: a column for each place in the arms' knobs, named by them.

    pages: title -> rows of `rlkit.offline.blow_ups.results`; arms: arm -> (loss, knobs from the sharpest to the
    mildest, gradient limit), of which a run may lack some; levels: name -> score. Returns HTML.
    """
    page = ""
    for title, rows in pages.items():
        scores = {}
        for arm, (_, knobs, _) in arms.items():
            here = rows[rows["arm"] == arm]
            found = {place: here[here["knob"] == knob]["final"].to_numpy() for place, knob in enumerate(knobs)}
            found = {_column(arms, place): values for place, values in found.items() if len(values)}
            scores |= {arm.replace("published", "publ."): found} if found else {}  # the grid has room for 18 characters
        page += score_grid(scores, levels, f"{title}: score after the last step, from the sharpest knob to the mildest")
    return page


def _column(arms, place) -> str:
    """The knobs at one place of all arms, each named once."""
    named = [knob_name(arm, knobs[place]) for arm, (_, knobs, _) in arms.items() if place < len(knobs)]
    return " ".join(dict.fromkeys(named))


def pull_page(rows, arms: dict, names, place: int, edges) -> str:
    """`pull_chart` of each named arm at one place in its knobs, over all seeds, as HTML. arms: see `knob_grid`; rows:
    with histogram; edges: of its bins."""
    page = ""
    for arm in names:
        loss, knobs, _ = arms[arm]
        here = rows[(rows["arm"] == arm) & (rows["knob"] == knobs[place])]
        counts = np.sum(here["histogram"].tolist(), axis=0)
        page += pull_chart(loss, knobs[place], counts, edges, f"{arm}, {knob_name(arm, knobs[place])}")
    return page


def pull_chart(loss, knob, counts, edges, title) -> str:
    """What a loss of V does with each u = Q - V, beside how often u occurs: as HTML.

    loss: u [1, N] and a knob -> [1]. Drawn is its slope by u, which is the pull on V (up where it is above 0), as a
    share of the strongest between -10 and 10; counts [N] in bins with edges [N + 1], as a share of the fullest bin. A
    note says how many u lie within 5 of 0, and how many do not pull: the slope is 0 in the middle of their bin. Raises
    ValueError for other shapes.
    """
    import torch

    edges, counts = checks.finite("edges", edges), checks.finite("counts", counts)
    if counts.shape != (len(edges) - 1,):
        raise ValueError(f"counts of shape {counts.shape}: must be [{len(edges) - 1}]")
    u = torch.linspace(-10, 10, 401, dtype=torch.float64).requires_grad_()
    (pull,) = torch.autograd.grad(loss(u[None], knob).sum(), u)
    lines = [svg.Line("pull on V", u.detach().numpy(), (pull / pull.abs().max()).numpy())]
    middle, everything = (edges[1:] + edges[:-1]) / 2, max(counts.sum(), 1)
    lines.append(svg.Line("how often", middle, counts / max(counts.max(), 1)))
    silent = np.interp(middle, u.detach().numpy(), pull.numpy()) == 0
    words = f"{title}: {100 * counts[np.abs(edges[:-1]) <= 5].sum() / everything:.0f} % of u are within 5 of 0; "
    words += f"{100 * counts[silent].sum() / everything:.0f} % lie where the pull is 0."
    return svg.chart(lines, title, "u = Q - V", title, words, height=200) + show.note(words)
