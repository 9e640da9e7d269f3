"""Charts of filters for dreams: errors, ranks and scores of each arm, and dreams beside the truth."""

import numpy as np

from rlkit.widgets import show, svg
from rlkit.widgets.task_grid import task_grid


def filter_page(found: dict, arms, ranks: dict, chosen_by=None) -> str:
    """Three grids, as HTML: one-step errors (as shares of the first arm's mean), ranks, scores after training.

    found: task -> metric -> values [S], as `model_based.held_out.results`. arms: names; the first chooses by chance.
    ranks: arm -> the metric that holds its AUC; the first arm's is a coin's. Without tasks it says so.
    """
    if not found:
        return "The first world is at work."
    first, *_ = arms
    same = {arm: (chosen_by or {}).get(arm, arm) for arm in arms}  # whose errors an arm shares
    shares = {a: {t: m[f"error, {same[a]}"] / m[f"error, {first}"].mean() for t, m in found.items()} for a in arms}
    coin = {t: np.full(len(m[f"{first}, score"]), 0.5) for t, m in found.items()}
    ranked = {first: coin} | {a: {t: m[name] for t, m in found.items()} for a, name in ranks.items()}
    scores = {a: {t: m[f"{a}, score"] for t, m in found.items()} for a in arms}
    page = task_grid(shares, {"claimed: below": dict.fromkeys(found, 0.7)}, f"Error in the hole; 1 is {first}'s mean")
    page += task_grid(ranked, {"claimed: above": dict.fromkeys(found, 0.75)}, "AUC in the hole")
    levels = {name: dict.fromkeys(found, level) for name, level in (("expert", 1), ("random", 0))}
    return page + task_grid(scores, levels, "Score after training")


def dream_lines(dreams: dict, truth, edges, arms) -> str:
    """Temperatures by the minute, as HTML: for each arm the mean of its dreams on a band of their middle 80 %, the
    truth, and the edges of the hole; below, how many dreams last.

    dreams: arm -> [B, T + 1], NaN where a dream has ended. truth [T + 1]; edges: (low, high). arms: of all pictures;
    each keeps the look of its place there.
    """
    minutes, lines, said = np.arange(len(truth)), [], []
    for arm, went in dreams.items():
        left = np.isfinite(went).any(axis=0)
        mean, low, high = np.full((3, len(truth)), np.nan)
        mean[left] = np.nanmean(went[:, left], axis=0)
        low[left], high[left] = np.nanquantile(went[:, left], [0.1, 0.9], axis=0)
        lines.append(svg.Line(arm, minutes, mean, low, high, place=list(arms).index(arm)))
        said.append(f"{arm}: {np.isfinite(went[:, -1]).mean():.0%} of the dreams last")
    lines.append(svg.Line("truth", minutes, np.asarray(truth), place=len(arms)))
    lines += [
        svg.level(f"hole, {end}", minutes, at, len(arms) + 1) for end, at in zip(("low", "high"), edges, strict=True)
    ]
    words = "; ".join(said) + "."
    return svg.chart(lines, "dreams and the truth", "minute", "temperature, degrees", words) + show.note(words)
