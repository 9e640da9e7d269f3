"""How policies climb reward models: curves over steps, Gao's two forms over the divergence, accuracy against gold.

All read the DataFrame of `rlkit.rlhf.overoptimisation.paths`; an arm has the colour and mark of its place everywhere.
"""

import numpy as np

from rlkit import checks
from rlkit.html import table
from rlkit.widgets import show, svg

WORDS = {
    "gold": "gold reward",
    "proxy": "proxy reward, in standard deviations of the base's texts",
    "kl": "KL to the base, nats",
    "accuracy": "share of pairs of its own texts ranked as gold does",
}
LABELS = ("gold", "many", "few", "noisy", "biased")  # the place of an arm


def climbs(found, what: str, capacity: str, height: int = 230) -> str:
    """One quantity of `WORDS` over steps: a line for each kind of labels, the mean over seeds in a band of one standard
    error, and the baseline that climbs gold itself. Returns SVG; without policies it says so."""
    checks.one_of("what", what, tuple(WORDS))
    own = found[found.index.get_level_values("capacity").isin((capacity, "gold"))] if len(found) else found
    if not len(own):
        return show.note(f"{capacity}: the first policy is still at work.")
    lines = []
    for labels, rows in own.groupby("labels", sort=False):
        line = svg.mean_and_error(labels, rows["at"].iloc[0], np.stack(rows[what]))
        lines.append(line._replace(place=LABELS.index(labels)))
    lines.sort(key=lambda line: line.place)
    said = "; ".join(f"{line.label}: {line.y[-1]:.2f} after the last step" for line in lines)
    return svg.chart(lines, f"{capacity}: {WORDS[what]}", "step", f"{capacity}: {WORDS[what]}", said, height=height)


def two_forms(found, labels: str, capacity: str) -> str:
    """Gold minus gold of the base over d, the root of the KL: the mean over seeds at each look, and both fits of Gao et
    al. 2022 to it, each with its share of the variance. Returns SVG and a table of the fits; without such policies, or
    where they stay at the base, it says so."""
    from rlkit.rlhf import overoptimisation as over

    if (labels, capacity) not in found.index.droplevel("seed"):
        return show.note(f"{labels}, {capacity}: not in this run.")
    own = found.loc[labels, capacity]
    kl, gold = (np.stack(own[name]).mean(0) for name in ("kl", "gold"))
    there = kl > 1e-3  # not the start
    if there.sum() < 3:
        return show.note(f"{labels}, {capacity}: its policies never left the base.")
    d, gain, rows = np.sqrt(kl[there]), gold[there] - gold[0], []
    x, lines = np.linspace(d.max() / 80, d.max(), 80), [svg.Line("measured", np.r_[0, d], np.r_[0, gain])]
    for form, name in (("RL", "d (α - β ln d)"), ("best of n", "d (α - β d)")):
        alpha, beta, share = over.fit(kl[there], gain, form)
        lines.append(svg.Line(name, np.r_[0, x], np.r_[0, over.height(x**2, alpha, beta, form)]))
        rows.append([name, f"{alpha:.2f}", f"{beta:.2f}", f"{share:.2f}"])
    title = f"gold minus gold of the base, {labels}, {capacity}"
    said = "; ".join(f"{name}: α {a}, β {b}, explains {share} of the variance" for name, a, b, share in rows)
    picture = svg.chart(lines, title, "d, root of the KL to the base in nats", title, said)
    return picture + table(("fitted to", "α", "β", "share of variance"), rows)


def ranking(found, accuracy: str, gold: str, title) -> str:
    """Gold of the policy against the accuracy of its reward model, two columns of `found`: a mark with its name for
    each reward model, the mean over seeds; its capacity is its colour. Returns SVG and a table."""
    means, lines, rows = found.drop("gold").groupby(["capacity", "labels"]).mean(numeric_only=True), [], []
    for place, capacity in enumerate(means.index.unique("capacity")):
        for labels, one in means.loc[capacity].sort_values(accuracy).iterrows():
            lines.append(svg.Line(f"{capacity}, {labels}", one[[accuracy]], one[[gold]], place=place + len(LABELS)))
            rows.append([capacity, labels, f"{one[accuracy]:.2f}", f"{one[gold]:.2f}"])
    said = "; ".join(f"{a} with labels {b}: accuracy {x}, gold {y}" for a, b, x, y in rows)
    picture = svg.chart(lines, title, accuracy, title, said)
    return picture + show.details("The numbers as a table", table(("", "labels", accuracy, title), rows))
