"""Scores of arms under several conditions: learning curves, a grid of final scores, and how heavy a tail is."""

import numpy as np

from rlkit import checks
from rlkit.html import COLOURS, table
from rlkit.widgets import lines, show, svg

LEFT, ROW, TOP = 118, 28, 62  # px of the grid: room for names, height of a row, room for heads
FEW = 5  # seeds
LEFT_OF, TOP_OF, RIGHT_OF = 62, 28, 550  # px of a line chart; the names stand at its right
DOTS = 'stroke="currentColor" stroke-width="1.5" stroke-dasharray="2 3"'  # of levels: no arm looks like that


def _chart(drawn: list, dotted: list, y_ends, y_ticks, x_label, title, words, height) -> str:
    """An arm's line has the colour, dash and mark of its place in `drawn`; dotted lines belong to no arm.

    drawn, dotted: `svg.Line`s; y may have gaps, NaN. y_ends: lowest and highest y of the frame; y_ticks: (y, text).
    """
    height = max(height, 48 + 17 * len((*drawn, *dotted)))
    bottom, steps = height - 42, np.concatenate([line.x for line in drawn])
    x_low, x_high = steps.min() - 1e-9, steps.max() + 1e-9  # one step alone stands in the middle

    def at_x(x):
        return LEFT_OF + (np.asarray(x) - x_low) / (x_high - x_low) * (RIGHT_OF - LEFT_OF)

    def at_y(y):
        return bottom - (np.asarray(y) - y_ends[0]) / (y_ends[1] - y_ends[0]) * (bottom - TOP_OF)

    parts = [svg.text(8, 14, svg.short(title, 90), "start", 'font-weight="700"')]
    parts.append(svg.text((LEFT_OF + RIGHT_OF) / 2, bottom + 36, x_label, "middle"))
    for value, name in y_ticks:
        y, faint = float(at_y(value)), 'stroke="currentColor" stroke-opacity="0.15"'
        parts += [f'<path d="M{LEFT_OF} {y:.1f}H{RIGHT_OF}" {faint}/>', svg.text(LEFT_OF - 8, y + 4, name, "end")]
    for value, name in svg.ticks(x_low, x_high, 7, whole=True):
        x = float(at_x(value))
        parts.append(f'<path d="M{x:.1f} {bottom}v5" stroke="currentColor"/>')
        parts.append(svg.text(x, bottom + 19, name, "middle"))
    for n, line in enumerate(drawn):
        if line.low is not None:
            outline = svg.path(at_x(np.r_[line.x, line.x[::-1]]), at_y(np.r_[line.high, line.low[::-1]]))
            parts.append(f'<path d="{outline}Z" fill="{COLOURS[n % len(COLOURS)]}" fill-opacity="0.28"/>')
    for n, (line, look) in enumerate(
        [*((line, svg.stroke(n)) for n, line in enumerate(drawn)), *((d, DOTS) for d in dotted)]
    ):
        x, y, at = at_x(line.x), at_y(line.y), TOP_OF + 4 + 17 * n
        parts.append(f'<path d="{svg.path(x, y)}" {look}/><path d="M{RIGHT_OF + 8} {at}h24" {look}/>')
        parts.append(svg.text(RIGHT_OF + 38, at + 4, svg.short(line.label, 20)))
        if n < len(drawn):
            parts += [svg.marker(n, a, b) for a, b in zip(x, y, strict=True) if np.isfinite(b)]
            parts.append(svg.marker(n, RIGHT_OF + 20, at))
    return svg.frame("".join(parts), 720, height, title, words)


def score_curves(curves: dict, steps, levels: dict, title, height: int = 300) -> str:
    """Learning curves: the mean over seeds of each arm in a band from the lowest seed to the highest, and level lines,
    dotted. An arm's look is that of its place, as in `score_grid`.

    curves: arm -> values [S, N]; steps [N]; levels: name -> level; title: plain text. Returns an SVG string. Raises
    ValueError for other shapes.
    """
    steps, drawn = checks.finite("steps", steps), []
    for arm, values in curves.items():
        values = np.asarray(values, dtype=float)
        if values.ndim != 2 or values.shape[1] != len(steps):
            raise ValueError(f"curves[{arm!r}] of shape {values.shape}: must be [S, {len(steps)}]")
        low, high = (values.min(axis=0), values.max(axis=0)) if len(values) > 1 else (None, None)
        drawn.append(svg.Line(arm, steps, values.mean(axis=0), low, high))
    words = "; ".join(f"{line.label}: {svg.number(line.y[-1], 2)} at step {steps[-1]:,.0f}" for line in drawn)
    flat = [svg.level(f"{name} {svg.number(at, 2)}", steps, at) for name, at in levels.items()]
    shown = np.concatenate([np.ravel(v) for v in (*curves.values(), *levels.values(), 0.0, 1.0)])
    ends = shown.min() - 0.04, shown.max() + 0.04
    return _chart(drawn, flat, ends, svg.ticks(*ends, 6), "step", title, words, height)


def score_grid(scores: dict, levels: dict, title) -> str:
    """A row for each arm and a column for each condition, as HTML: each seed a faint dot, their mean a mark on its
    95 % interval (Student's t) if there are FEW seeds or more: from fewer it says little and would hide the rest. The
    numbers stand below as a table.

    scores: arm -> condition -> values [S]; an arm may lack a condition. levels: name -> level, a dotted line in every
    column. title: plain text. Raises ValueError without scores.
    """
    conditions = list(dict.fromkeys(name for found in scores.values() for name in found))
    if not conditions:
        checks.fail("scores", scores, "arm -> condition -> values, at least one")
    values = np.concatenate([np.ravel(v) for found in scores.values() for v in found.values()])
    low, high = min(0.0, *values), max(1.0, *values, *levels.values())
    wide, bottom = (740 - LEFT) / len(conditions), TOP + ROW * len(scores)

    def at_x(column, value):
        return LEFT + wide * column + 8 + (np.asarray(value) - low) / (high - low) * (wide - 20)

    parts = [svg.text(8, 16, svg.short(title, 100), "start", 'font-weight="700"')]
    for column, condition in enumerate(conditions):
        x, end = at_x(column, low), at_x(column, high)
        parts.append(svg.text((x + end) / 2, TOP - 14, condition, "middle"))
        parts.append(f'<path d="M{x:.1f} {bottom}H{end:.1f}" stroke="currentColor"/>')
        for tick in (0.0, 0.5, 1.0):
            place = at_x(column, tick)
            parts.append(f'<path d="M{place:.1f} {TOP - 6}V{bottom + 4}" stroke="currentColor" stroke-opacity="0.2"/>')
            parts.append(svg.text(place, bottom + 19, svg.number(tick), "middle"))
        for level in levels.values():
            parts.append(f'<path d="M{at_x(column, level):.1f} {TOP - 6}V{bottom}" {DOTS}/>')
    rows = []
    for number, (arm, found) in enumerate(scores.items()):
        y, row = TOP + ROW * (number + 0.5), [arm]
        parts.append(svg.text(LEFT - 8, y + 4, svg.short(arm, 18), "end"))
        for column, condition in enumerate(conditions):
            if condition not in found:
                row.append("–")
                continue
            seeds = np.asarray(found[condition], dtype=float)
            mean, words = seeds.mean(), svg.number(seeds.mean(), 2)
            for x in at_x(column, seeds):
                parts.append(f'<circle cx="{x:.1f}" cy="{y + 9:.1f}" r="1.8" fill="currentColor" fill-opacity="0.45"/>')
            if len(seeds) >= FEW:
                ends = [float(end[0]) for end in lines.interval(seeds[None], "mean")]
                a, b = at_x(column, np.clip(ends, low, high))  # wider than the column: cut at its edges
                colour = COLOURS[number % len(COLOURS)]
                parts.append(f'<path d="M{a:.1f} {y:.1f}H{b:.1f}" stroke="{colour}" stroke-width="2"/>')
                words += f" ({svg.number(ends[0], 2)} to {svg.number(ends[1], 2)})"
            parts.append(svg.marker(number, float(at_x(column, mean)), y))
            row.append(words)
        rows.append(row)
    said = ", ".join(f"{name} {svg.number(level, 2)}" for name, level in levels.items())
    said = f"Dotted: {said}. " if said else ""
    said += f"Small dots: seeds. Mark: their mean, with {FEW} seeds or more on its 95 % interval."
    spoken = "; ".join(
        f"{row[0]}: {', '.join(f'{c} {w}' for c, w in zip(conditions, row[1:], strict=True))}" for row in rows
    )
    picture = svg.frame("".join(parts), 750, bottom + 28, title, spoken)
    return picture + show.note(said) + show.details("The numbers as a table", table(("", *conditions), rows, title))


def tails(counts: dict, edges, title, x_label) -> str:
    """Histograms as lines on a logarithmic scale, beside a normal distribution of the same mean and deviation, dotted.

    counts: name -> counts [N] of standardised numbers in bins with edges [N + 1]. A line breaks at an empty bin. Where
    it lies above the normal one far from 0 the tail is heavy. title, x_label: plain text. Returns an SVG string and a
    line of words. Raises ValueError for others.
    """
    edges = checks.finite("edges", edges)
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    shares = {}
    for name, found in counts.items():
        found = checks.finite(f"counts[{name!r}]", found)
        if found.shape != middle.shape or found.sum() <= 0:
            raise ValueError(f"counts[{name!r}] of shape {found.shape}: must be [{len(middle)}], some above 0")
        shares[name] = found / found.sum()
    low = np.log10(0.5 / max(np.sum(found) for found in counts.values()))  # half a row of the data
    shares["normal"] = width * np.exp(-(middle**2) / 2) / np.sqrt(2 * np.pi)
    heights = {
        name: np.log10(share, out=np.full(len(share), np.nan), where=share > 10**low) for name, share in shares.items()
    }
    *drawn, normal = (svg.Line(name, middle, height) for name, height in heights.items())
    beyond = {name: share[np.abs(middle) > 3].sum() for name, share in shares.items()}
    far = edges[:-1][middle > 3].min(initial=np.inf)  # an edge: bins are counted whole
    words = f"Further than {svg.number(far)} deviations from the mean: " + ", ".join(
        f"{n} {100 * b:.2f} %" for n, b in beyond.items()
    )
    powers = [(power, f"{svg.number(100 * 10.0**power)} %") for power in range(int(np.ceil(low)), 1)]
    return _chart(drawn, [normal], (low, 0), powers, x_label, title, words, 280) + show.note(words + ".")


def training_page(rows, levels: dict, every: int) -> str:
    """For each task and spoilt log the learning curves of its arms. rows: `offline.robustness.results`; levels: task
    -> name -> level; every: steps between two scores. Returns HTML; without rows it says so.
    """
    page = ""
    for (task, condition), here in rows.groupby(["task", "condition"], sort=False) if len(rows) else ():
        if condition != "clean":
            curves = {arm: np.stack(list(found["score"])) for arm, found in here.groupby("arm", sort=False)}
            steps = every * np.arange(1, 1 + len(here["score"].iloc[0]))
            page += score_curves(curves, steps, levels[task], f"{task}, {condition} spoilt: score", height=230)
    return page or show.note("The first learner is still at work.")


def final_page(rows, levels: dict) -> str:
    """For each task the grid of final scores, in the order of the rows. Arguments as `training_page`. Returns HTML."""
    page = ""
    for task in rows["task"].unique():
        scores = {}
        for key, final in rows[rows["task"] == task].groupby(["arm", "condition"], sort=False)["final"]:
            scores.setdefault(key[0], {})[key[1]] = final.to_numpy()
        page += score_grid(scores, levels[task], f"{task}: score after the last step")
    return page


def tails_page(rows, task, spoilt_column, show, edges) -> str:
    """`tails` of RIQL and IQL, first on the clean log, then on the spoilt one, summed over seeds. show: "target" or
    "error"; edges: of the histograms in the rows. Returns HTML."""
    here = rows[rows["task"] == task].set_index(["arm", "condition"])[f"{show} histogram"]
    page = ""
    for condition, log in (("clean", "clean log"), (spoilt_column, f"{spoilt_column} spoilt")):
        counts = {arm: np.sum(list(here.loc[[(arm, condition)]]), axis=0) for arm in ("RIQL", "IQL")}
        title = f"{task}, {log}: share of {show}s in a bin"
        page += tails(counts, edges, title, "standard deviations from the mean")
    return page
