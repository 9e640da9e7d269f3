"""Learners of fixed texts side by side: what they earn, and which texts they look at."""

import numpy as np

from rlkit import checks
from rlkit.rlhf import text_piles
from rlkit.widgets import score_charts, show, svg

BINS = np.linspace(0.2, 1, 17)  # of rewards


def rewards_page(run, title) -> str:
    """Rewards of a sweep over (arm, noise, seed) so far (`text_piles.results`), 0 the pile's mean: a `score_grid`."""
    if not run.metric_names:
        return show.note("The first learner is still at work.")
    scores = {}
    for (arm, noise), found in text_piles.results(run)["reward"].groupby(["arm", "noise"], sort=False):
        condition = f"{noise:.0%} of the rewards swapped" if noise else "rewards as they are"
        scores.setdefault(arm, {})[condition] = found.to_numpy()
    return score_charts.score_grid(scores, {"mean of the pile": 0.0}, title)


def learning_shares(texts, weights: dict, places: list) -> str:
    """Where the learning goes: for each arm the share of its weight that falls to texts of each reward, as HTML.

    texts: `text_piles.pile`, N rows; weights: arm -> [N], of at least 0, not all 0; places: all arms in the order that
    gives each its look. Below stands the share that goes to bad texts. Raises ValueError for other weights.
    """
    lines, bad = [], []
    for arm, values in weights.items():
        share = checks.finite(f"weights[{arm!r}]", values)
        if share.shape != (len(texts),) or share.min() < 0 or share.sum() == 0:
            checks.fail(f"weights[{arm!r}]", share.tolist(), f"{len(texts)} numbers of at least 0, not all 0")
        share = 100 * share / share.sum()
        counts, _ = np.histogram(texts["reward"], BINS, weights=share)
        lines.append(svg.Line(arm, (BINS[1:] + BINS[:-1]) / 2, counts, place=places.index(arm)))
        bad.append(f"{arm} {share[texts['bad']].sum():.0f} %")
    said = "Share of the learning that goes to texts of bad authors: " + ", ".join(bad) + "."
    title = "Where the learning goes: share in %, for texts of each reward"
    return svg.chart(lines, title, "reward of a text", "share of the learning, %", said) + show.note(said)
