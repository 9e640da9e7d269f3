"""Fisheries as pictures: the stocks of one episode under several policies, and what policies catch at each state."""

import numpy as np

from rlkit import checks
from rlkit.envs.fishery import COLLAPSE
from rlkit.widgets import show, svg
from rlkit.widgets.share_map import share_map

STOCKS = ((2, "Z, the predator"), (0, "X"), (1, "Y"))
X, Z = np.round(np.arange(0.1, 1.01, 0.1), 1), np.round(np.arange(0.1, 1.21, 0.1), 1)


def stock_charts(played: dict, episode: int, order) -> str:
    """Three charts of one episode, predator first, as HTML: a line for each policy, and the stock that counts as lost.

    played: arm -> envs.Trajectories of a fishery of three stocks, all of the same starts and noise. order: the arms of
    all pictures of a notebook; each keeps the look of its place there. Returns are said in words. Raises ValueError for
    an episode that is not among them or an arm that is not in the order.
    """
    order, pages, said = tuple(order), "", []
    for arm, p in played.items():
        checks.one_of("arm", arm, order)
        if not 0 <= episode < len(p.lengths):
            checks.fail("episode", episode, f"0 to {len(p.lengths) - 1}")
        end = f", lost in year {p.lengths[episode]}" if p.terminated[episode].any() else ""
        said.append(f"{arm} {p.rewards[episode].sum():.1f}{end}")
    words = "Return of this episode: " + "; ".join(said) + "."
    for stock, name in STOCKS:
        lines = [svg.level("lost", (0, 200), COLLAPSE, place=len(order))]
        for arm, p in played.items():
            end = p.lengths[episode] + 1
            lines.append(svg.Line(arm, np.arange(end), p.states[episode, :end, stock], place=order.index(arm)))
        pages += svg.chart(lines, name, "year", f"stock of {name}", words, height=190)
    return pages + show.note(words)


def catch_maps(acts: dict, stock: str, y: float, met) -> str:
    """What share of X or Y policies catch at each X and Z, with this much Y: a `share_map` for each, side by side.

    acts: arm -> act(observations [N, 3]) -> actions [N, 2]. stock: "X" or "Y". met: envs.Trajectories; cells are faint
    that none of their years comes to, within 0.05 of X and Z, 0.1 of Y.
    """
    column, (across, up) = "XY".index(checks.one_of("stock", stock, ("X", "Y"))), np.meshgrid(X, Z)
    seen = np.stack([across.ravel(), np.full(across.size, y), up.ravel()], axis=1).astype(np.float32)
    states = met.states[:, :-1, :3][np.arange(met.states.shape[1] - 1) < met.lengths[:, None]]  # [N, 3]
    edges = [np.append(at - 0.05, at[-1] + 0.05) for at in (Z, X)]
    near = states[np.abs(states[:, 1] - y) <= 0.1]
    faint = np.histogram2d(near[:, 2], near[:, 0], edges)[0] == 0
    pages = ""
    for arm, act in acts.items():
        shares = (np.clip(act(seen)[:, column], -1, 1) + 1) / 2
        title = f"{arm}: % of {stock} caught, Y = {y:.1f}"
        pages += share_map(shares.reshape(across.shape), X, Z, "X", "Z", title, faint)
    return f'<div style="display:flex;flex-wrap:wrap;gap:16px">{pages}</div>'
