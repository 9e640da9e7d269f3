"""Charts of filters for dreams: errors, ranks and scores of each arm, and dreams beside the truth."""

import numpy as np

from rlkit.widgets import show, svg
from rlkit.widgets.task_grid import task_grid


def filter_page(found: dict, arms, ranks: dict, chosen_by=None) -> str:
    """Three grids, as HTML: one-step errors (as shares of the first arm's mean), ranks, scores after training.

    found: task -> metric -> values [S], as `model_based.held_out.results`. arms: names; the first chooses by chance.
    ranks: arm -> the metric that holds its AUC; the first arm has none. Without tasks it says so.
    """
    if not found:
        return "The first world is at work."
    first, *_ = arms
    same = {arm: (chosen_by or {}).get(arm, arm) for arm in arms}  # whose errors an arm shares
    shares = {a: {t: m[f"error, {same[a]}"] / m[f"error, {first}"].mean() for t, m in found.items()} for a in arms}
    # The first arm's empty row lets each arm keep its look in all three grids.
    ranked = {first: {}} | {a: {t: m[name] for t, m in found.items()} for a, name in ranks.items()}
    scores = {a: {t: m[f"{a}, score"] for t, m in found.items()} for a in arms}
    bars = {bar: dict.fromkeys(found, at) for bar, at in (("below", 0.7), ("above", 0.75), ("coin", 0.5))}
    errors = {"claim, mean of worlds: below": bars["below"]}
    page = task_grid(shares, errors, f"Error in the hole; 1 is {first}'s mean")
    judges = {"claim, mean of worlds: above": bars["above"], "coin": bars["coin"]}
    page += task_grid(ranked, judges, f"AUC in the hole; {first} does not judge")
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
        svg.level(f"{end} edge of hole", minutes, at, len(arms) + 1)
        for end, at in zip(("lower", "upper"), edges, strict=True)
    ]
    words = "; ".join(said) + "."
    return svg.chart(lines, "dreams and the truth", "minute", "temperature, degrees", words) + show.note(words)
