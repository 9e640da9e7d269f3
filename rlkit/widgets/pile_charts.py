"""Learners of fixed texts side by side: what they earn, and which texts they look at."""

import numpy as np

from rlkit import checks
from rlkit.html import table
from rlkit.stats import paired_bootstrap
from rlkit.widgets import score_charts, show, svg

COLUMNS = ("reward", "words", "distinct_2", "entropy", "kl")  # of `arms_page`: means over piles
BINS = np.linspace(0.2, 1, 17)  # of rewards


def rewards_page(run, title) -> str:
    """Rewards of a sweep over (arm, noise, seed) so far (`text_piles.results`), 0 the pile's mean: a `score_grid`."""
    if not run.metric_names:
        return show.note("The first learner is still at work.")
    from rlkit.rlhf import text_piles  # needs torch, which the first chapters run without

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


def pile_page(texts) -> str:
    """What a pile is like, as HTML: its texts by author and by how many words of the prompt they hold, the values V(x)
    = reward - advantage, which texts a plain threshold would keep, the reward of full marks, and the pairs for DPO.

    texts: `text_piles.pile` with a column advantage, N rows.
    """
    lists = zip(texts["prompt"].str.split(), texts["text"].str.split(), strict=True)
    data = texts.assign(held=[len({*asked} & {*given}) for asked, given in lists], kept=texts["advantage"] > 0)
    rows = [
        ("bad" if bad else "good", held, len(part), *(f"{part[c].mean():.2f}" for c in ("reward", "advantage", "kept")))
        for (bad, held), part in data.groupby(["bad", "held"])
    ]
    reward, value, bad = data["reward"], data["reward"] - data["advantage"], data["bad"]
    same = np.mean((reward > reward.mean()) == data["kept"])
    from rlkit.rlhf import offline_texts

    pairs = offline_texts.derived_pairs(list(data["prompt"]), list(data["text"]), reward, 0)
    said = (
        f"Mean reward {reward.mean():.2f}, by good authors {reward[~bad].mean():.2f}, by bad ones "
        f"{reward[bad].mean():.2f}; standard deviation {reward.std():.2f}.",
        f"V(x) goes from {value.min():.2f} to {value.max():.2f}; its standard deviation over texts {value.std():.2f}.",
        f"Reward above V(x) and reward above the pile's mean agree for {same:.0%} of the texts.",
        f"Full marks lie {(1 - reward.mean()) / reward.std():.2f} standard deviations above the pile's mean.",
        f"{len(pairs)} pairs can be made of the pile.",
    )
    head = ("author", "prompt words held", "texts", "reward", "advantage", "share kept")
    return table(head, rows) + "".join(map(show.note, said))


def arms_page(run, gaps: list, title) -> str:
    """A row for each arm of a finished sweep over (arm, noise, seed): its learning rate, means over piles, and the
    reward of its worst and its best pile. Below: differences of rewards with their 95 % intervals, and `rewards_page`
    with a dot for each pile, as HTML.

    gaps: pairs (arm, other arm), without noise. title: of the dots.
    """
    from rlkit.rlhf import text_piles

    found, cells = text_piles.results(run), run.rollouts().query("kind == 'cell'")
    rates, rows = cells.groupby("arm")["learning_rate"].first(), []
    for (arm, noise), part in found.groupby(["arm", "noise"], sort=False):
        reward = part["reward"]
        means = [f"{part[name].mean():.2f}".replace("-0.00", "0.00") for name in COLUMNS]
        spread = f"{reward.min():.2f} to {reward.max():.2f}"
        rows.append((arm, f"{noise:g}", f"{rates[arm]:g}", means[0], spread, *means[1:]))
    head = ("arm", "noise", "learning rate", "reward", "reward, worst to best pile", *COLUMNS[1:])
    page, clean = table(head, rows), found["reward"].xs(0.0, level="noise")
    for one, other in gaps:
        gap = paired_bootstrap({"": (clean[one] - clean[other]).to_numpy()}, lambda mean: mean[""])
        page += show.note(f"Reward, {one} - {other}: {gap.estimate:.2f} [{gap.low:.2f}, {gap.high:.2f}]")
    return page + rewards_page(run, title)


def ratio_page(run, arms: list, places: list, clip: float) -> str:
    """ln(pi / pi_ref) of the texts in a batch, mean over piles, for some arms: a line for each, as HTML.

    Dashed: ln(1 - clip) and ln(1 + clip). places: all arms in the order that gives each its look. Needs torch.
    """
    from rlkit.rlvr.experiments import curves

    checks.probability("clip", clip)
    values = curves(run, "change").pivot_table(index="step", columns="arm", values="value")  # the mean over seeds
    values = values.rolling(10, min_periods=1, center=True).mean()
    lines = [svg.Line(arm, values.index.to_numpy(), values[arm].to_numpy(), place=places.index(arm)) for arm in arms]
    ends = values.index.to_numpy()[[0, -1]]
    for words, level in (("upper clip", np.log1p(clip)), ("lower clip", np.log1p(-clip))):
        lines.append(svg.Line(words, ends, np.full(2, level), place=len(svg.COLOURS) - 1))
    title = "ln(policy / reference) of the texts learnt from, nats a text"
    said = ", ".join(f"{arm} {values[arm].iloc[-1]:.2f}" for arm in arms)
    page = svg.chart(lines, title, "update", title, "At the end: " + said, height=380)
    return page + show.note(f"Means over piles and of 10 updates. At the end: {said}.")
