"""Success on pairs of start and goal, as a sweep of `offline.goals.followed` logged it: curves, a grid, a table.

The first half of the pairs are seen ones, the second half unseen.
"""

import numpy as np

from rlkit import checks
from rlkit.evaluations import of_kind
from rlkit.html import table
from rlkit.widgets import show, svg
from rlkit.widgets.score_charts import score_grid

LOST = 0.5  # a seed has lost a pair if it reaches the goal in less than this share of its tries


def pair_page(run, pairs, levels: dict) -> str:
    """Curves of the mean success on the unseen pairs, and a grid of all pairs after the last look. Returns HTML.

    run: config["gradient steps"] were made at the last look. pairs: their names. levels: name -> level. The band is one
    standard error over seeds on either side, sd / sqrt(S): for shares it never leaves 0 to 1, as Student's interval
    does.
    """
    from rlkit.offline import goals  # needs torch

    found, steps, drawn = goals.results(run), run.config["gradient steps"], []
    if not found:
        return show.note("The first learner is still at work.")
    for arm, share in found.items():
        unseen, looks = share[:, len(pairs) // 2 :].mean(axis=1), share.shape[2]
        at = steps * np.arange(1, looks + 1) / looks
        drawn.append(svg.mean_and_error(arm, at, unseen))
    words = "; ".join(f"{line.label}: {svg.number(line.y[-1], 2)} after {steps:,} steps" for line in drawn)
    drawn += [svg.level(name, at, level) for name, level in levels.items()]
    title = "success on unseen pairs: mean over seeds, and one standard error"
    last = {arm: dict(zip(pairs, share[..., -1].T, strict=True)) for arm, share in found.items()}
    curves = svg.chart(drawn, title, "gradient steps", title, words, height=330)
    return curves + score_grid(last, levels, "success on each pair after the last gradient step")


def pair_table(run) -> str:
    """A row for each arm: success on the unseen pairs at each look, pairs lost, CPU-seconds. Returns HTML.

    Lost: in how many of all (seed, pair) fewer than half of the tries reached the goal at the last look. CPU-seconds:
    of all seeds together, with the making of the data and the looks. Raises ValueError for a run without results.
    """
    from rlkit.offline import goals  # needs torch

    found, rows = goals.results(run), []
    if not found:
        checks.fail("run", run, "a run with results of goals.followed")
    cost = of_kind(run, "cell").set_index("arm")["cpu_seconds"]
    for arm, share in found.items():
        seen, unseen = np.split(share, 2, axis=1)  # [S, pairs / 2, looks] each
        lost = [f"{(part[..., -1] < LOST).sum()} of {part[..., -1].size}" for part in (seen, unseen)]
        rows.append((arm, *(f"{value:.2f}" for value in unseen.mean(axis=(0, 1))), *lost, f"{cost[arm]:.0f}"))
    looks = [f"unseen, look {number + 1}" for number in range(share.shape[2])]
    return table(("", *looks, "seen pairs lost", "unseen pairs lost", "CPU-seconds"), rows, f"{len(share)} seeds")
