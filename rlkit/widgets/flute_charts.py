"""Pan flutes as pictures, and how soon learners of a sweep arrived.

The sweep's rollout rows of kind "result": arm, pipes, at [L] (the steps of the looks), scores [L, S], steps [S] (when
each seed arrived), arrived [S], updates and model_updates.
"""

from itertools import combinations

import numpy as np

from rlkit import checks
from rlkit.evaluations import of_kind
from rlkit.html import table
from rlkit.stats import paired_bootstrap
from rlkit.widgets import show, svg
from rlkit.widgets.task_grid import task_grid
from rlkit.widgets.value_map import shade

CELL, TOP, GAP = 26, 44, 22  # px: a cell, room for heads, between flutes


def flute(panels: dict, pipes: int, title, truth=None) -> str:
    """Flutes side by side: a column for each pipe, notes enter on top and sound in the bottom row; SVG.

    panels: head -> cells [n (n + 1) / 2], pipe after pipe, each the chance of a note in percent, bluer the likelier.
    truth: the head of one panel; in the panels after it, a cell gets a cross whose chance lies on the other side of a
    half. title: plain text. Raises ValueError for other sizes or chances outside of [0, 1].
    """
    checks.positive_int("pipes", pipes)
    parts, left, said, true = [svg.text(2, 15, svg.short(title, 80), "start", 'font-weight="700"')], 2, [], None
    for head, given in panels.items():
        cells = checks.probability(f"panels[{head!r}]", given)
        if cells.shape != (pipes * (pipes + 1) // 2,):
            raise ValueError(f"panels[{head!r}] of shape {cells.shape}: must be [{pipes * (pipes + 1) // 2}]")
        parts.append(svg.text(left, TOP - 10, svg.short(head, 22)))
        wrong = np.zeros(len(cells), bool) if true is None else (cells > 0.5) != (true > 0.5)
        true = cells if head == truth else true
        said.append(f"{head}: notes in " + (", ".join(_names(cells > 0.5, pipes)) or "no cell"))
        if wrong.any():
            said[-1] += f", {wrong.sum()} of them wrong"
        for number, (pipe, cell) in enumerate((i, k) for i in range(pipes) for k in range(i + 1)):
            x, y = left + CELL * pipe, TOP + CELL * (pipes - 1 - pipe + cell)
            place = f'x="{x}" y="{y}" width="{CELL}" height="{CELL}"'
            edge = 'stroke="currentColor" stroke-opacity="0.35"'
            parts.append(f'<rect {place} fill="{shade(cells[number], (0, 1))}" {edge}/>')
            parts.append(svg.text(x + CELL / 2, y + 17, f"{100 * cells[number]:.0f}", "middle"))
            if wrong[number]:
                side = CELL - 4
                parts.append(f'<path d="M{x + 2} {y + 2}l{side} {side}m0 -{side}l-{side} {side}" {svg.stroke(1, 2)}/>')
        left += max(CELL * pipes, 7 * min(len(head), 22)) + GAP
    return svg.frame("".join(parts), left, TOP + CELL * pipes + 6, title, "; ".join(said))


def _names(on, pipes) -> list:
    where = [(i + 1, k + 1) for i in range(pipes) for k in range(i + 1)]
    return [f"pipe {i} cell {k}" for (i, k), lit in zip(where, on, strict=True) if lit]


def results(run) -> dict:
    """(arm, pipes) -> its row, as far as the sweep has come."""
    return {(row["arm"], int(row["pipes"])): row for _, row in of_kind(run, "result").iterrows()}


def arrival_page(run, bar: float) -> str:
    """A grid of the steps until each seed arrived, then a chart of mean scores on the longest flute so far; as HTML.

    bar: the score at which a seed has arrived, a level line. The band is one standard error over seeds each way; a
    curve ends where all its seeds have arrived. The grid marks the first look, and the step at which a learner was
    stopped that had seeds on the way: they count as that.
    """
    found = results(run)
    if not found:
        return show.note("The first learner is still at work.")
    arms, longest = list(dict.fromkeys(arm for arm, _ in found)), max(n for _, n in found)
    steps = {arm: {f"{n} pipes": np.array(row["steps"]) for (a, n), row in found.items() if a == arm} for arm in arms}
    first = next(iter(found.values()))["at"][0]
    levels = {f"the first look, at {first}": {f"{n} pipes": first for _, n in found}}
    late = {f"{n} pipes": row["at"][-1] for (_, n), row in found.items() if not all(row["arrived"])}
    levels |= {"stopped here: never arrived": late} if late else {}
    page = task_grid(steps, levels, "real steps until a seed has arrived")
    rows = {arm: found[arm, longest] for arm in arms if (arm, longest) in found}
    drawn = [
        svg.mean_and_error(arm, np.array(row["at"]), np.array(row["scores"]).T)._replace(place=arms.index(arm))
        for arm, row in rows.items()
    ]
    words = "; ".join(f"{line.label}: {svg.number(line.y[-1], 2)} after {line.x[-1]:,} steps" for line in drawn)
    looks = max((row["at"] for row in rows.values()), key=len)
    drawn.append(svg.level(f"the bar, {bar:g}", looks, bar, place=len(arms)))
    title = f"{longest} pipes: score by real steps (1: as the expert)"
    page += svg.chart(drawn, title, "real steps", title, words, height=230)
    return page + show.note("Line: mean over seeds, up to where all have arrived; band: one standard error each way.")


def arrival_table(run) -> str:
    """A row for each arm and number of pipes: mean steps, seeds arrived, updates of Q and of the model, CPU-seconds."""
    found, rows = results(run), []
    if not found:
        checks.fail("run", run, "a run with results")
    cost = {(row["arm"], int(row["pipes"])): row["cpu_seconds"] for _, row in of_kind(run, "cell").iterrows()}
    for (arm, n), row in sorted(found.items(), key=lambda item: item[0][1]):
        arrived, steps = np.array(row["arrived"]), np.array(row["steps"])
        numbers = [f"{n}", f"{steps.mean():,.0f}", f"{arrived.sum():.0f} of {len(arrived)}"]
        numbers += [f"{row['updates']:,.0f}", f"{row['model_updates']:,.0f}", f"{cost[arm, n]:.1f}"]
        rows.append((arm, *numbers))
    columns = ("", "pipes", "mean steps to the bar", "seeds arrived", "updates of Q", "of the model", "CPU-seconds")
    return table(columns, rows, "updates: until the slowest seed arrived, of each seed; CPU-seconds: of all seeds")


def saving_table(run) -> str:
    """Every pair of arms on the longest flute: how many real steps fewer the one needs, as a share of the first arm's.

        (mean T_other - mean T_arm) / mean T_first

    over all seeds, over the seeds that arrived in every arm (each with its 95 % interval, see paired_bootstrap), and
    with medians in the place of means. Raises ValueError without results.
    """
    found = results(run)
    if not found:
        checks.fail("run", run, "a run with results")
    longest = max(n for _, n in found)
    every = {arm: np.array(row["steps"], float) for (arm, n), row in found.items() if n == longest}
    there = np.all([found[arm, longest]["arrived"] for arm in every], axis=0)  # [S]
    first, middle, rows = next(iter(every)), {arm: np.median(steps) for arm, steps in every.items()}, []

    def share(chosen, arm, other):
        if chosen.sum() < 2:
            return "–"
        steps = {name: values[chosen] for name, values in every.items()}
        got = paired_bootstrap(steps, lambda mean: (mean[other] - mean[arm]) / mean[first])
        return f"{got.estimate:+.0%} ({got.low:+.0%} to {got.high:+.0%})"

    for other, arm in combinations(every, 2):
        cells = [share(chosen, arm, other) for chosen in (np.ones(len(there), bool), there)]
        rows.append((f"{arm} against {other}", *cells, f"{(middle[other] - middle[arm]) / middle[first]:+.0%}"))
    columns = (
        f"{longest} pipes",
        f"all {len(there)} seeds",
        f"the {there.sum()} that arrived in every arm",
        "medians",
    )
    return table(columns, rows, f"Real steps saved, as a share of those of {first}")
