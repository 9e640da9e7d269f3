"""The pictures and tables of PassAtK as pure functions: arms and a k in, HTML out."""

import itertools

import numpy as np

from rlkit.html import COLOURS, table
from rlkit.widgets import pass_numbers as numbers
from rlkit.widgets import show, svg

PASS, GAIN = "pass@k", "pass@k minus base"
BASE = 'stroke="currentColor" stroke-width="2" stroke-dasharray="1 4"'
LISTED = 50  # problems gained or lost that are listed by name
MOST_ARMS = 6  # up to this number, arms are also compared with each other
RULE = "A problem counts as solved at k where its unbiased pass@k, averaged over the seeds, is at least 0.5."
CHANCE = "By chance alone: about what a second evaluation of the base would gain and lose, by its own counts."


def line(name: str, arm) -> svg.Line:
    """The curve of one arm with its band, inside [0, 1]."""
    k, mean, found, _ = numbers.curve(arm)
    low, high = (None, None) if found is None else (np.clip(found.low, 0, 1), np.clip(found.high, 0, 1))
    return svg.Line(name, np.array(k, dtype=float), mean, low, high)


def gain(name: str, arm, base) -> svg.Line | None:
    """The curve of one arm minus its base, with its paired band; None where the two cannot be paired."""
    compared = numbers.difference(arm, base, True)
    if compared is None:
        return None
    k, mean, found, _ = compared
    ends = (None, None) if found is None else (found.low, found.high)
    return svg.Line(name, np.array(k, dtype=float), mean, *ends)


def chart(curves: list, bases: list, k: int, label: str = PASS, width: int = 760, height: int = 330) -> str:
    """pass@k, or a difference of it, over k on a logarithmic axis, as an SVG string.

    curves, bases: svg.Line with x = k [K] and y [K]; bases are drawn under the others, dotted in the colour of the
    text. k: marked by a line. label: what y is, PASS or GAIN, which has a line at 0. Without any curve it says so.
    """
    lines = [*bases, *curves]
    names = [svg.short(one.label) for one in lines]
    height = max(height, 18 * len(lines) + 100)
    left, top, bottom = 56, 40, height - 44
    right = width - (52 + 7 * max(map(len, names), default=0))
    most = max([2, *(float(max(one.x)) for one in lines)])
    low, high = svg._limits([a for one in lines for a in (one.y, one.low, one.high) if a is not None])
    low, high = (max(0.0, low), min(1.0, high)) if label == PASS else (min(-0.01, low), max(0.01, high))

    def at_x(values):
        return left + np.log2(values) / np.log2(most) * (right - left)

    def at_y(values):
        return bottom - (values - low) / (high - low) * (bottom - top)

    parts = [
        svg.text(8, 14, f"{label} (mean over problems)"),
        svg.text((left + right) / 2, height - 6, "k (samples per problem, logarithmic axis)", "middle"),
    ]
    for value, name in svg.ticks(low, high, 6):
        y = float(at_y(value))
        parts.append(f'<path d="M{left} {y:.1f}H{right}" stroke="currentColor" stroke-opacity="0.15"/>')
        parts.append(svg.text(left - 8, y + 4, name, "end"))
    for i in range(int(np.log2(most)) + 1):
        x = float(at_x(2**i))
        parts.append(f'<path d="M{x:.1f} {bottom}v5" stroke="currentColor"/>')
        parts.append(svg.text(x, bottom + 19, f"{2**i:,}", "middle"))
    parts.append(f'<path d="M{left} {top}V{bottom}H{right}" stroke="currentColor"/>')
    if label == GAIN:
        parts.append(f'<path d="M{left} {float(at_y(0)):.1f}H{right}" {BASE}/>')
        parts.append(svg.text(left + 6, float(at_y(0)) - 5, "base"))
    if lines and k <= most:
        x = float(at_x(k))
        parts.append(f'<path d="M{x:.1f} {top - 6}V{bottom}" stroke="currentColor" stroke-opacity="0.7"/>')
        parts.append(svg.text(x, top - 11, f"k = {k:,}", "middle", 'font-weight="700"'))
    ends = svg._spread([float(at_y(one.y[-1])) for one in lines], 17, top + 4, bottom)
    for i, (one, name, end) in enumerate(zip(lines, names, ends, strict=True), -len(bases)):  # bases have i < 0
        colour = "currentColor" if i < 0 else COLOURS[i % len(COLOURS)]
        pen = svg.stroke(i) if i >= 0 else BASE
        x, y = at_x(one.x), at_y(one.y)
        if one.low is not None:
            band = svg._band(x, at_y(one.low), at_y(one.high))
            parts.append(f'<path d="{band}" fill="{colour}" fill-opacity="{0.12 if i < 0 else 0.2}"/>')
        parts.append(f'<path d="{svg.path(x, y)}" {pen}/><path d="M{right + 12} {end:.1f}h24" {pen}/>')
        parts += [_mark(i, *spot) for spot in [*zip(x, y, strict=True), (right + 24, end)]]
        parts.append(svg.text(right + 42, end + 4, name))
    if not lines:
        parts.append(svg.text((left + right) / 2, (top + bottom) / 2, "nothing to draw yet", "middle"))
    said = [
        f"{one.label}: " + ", ".join(f"{svg.number(y, 3)} at k = {x:g}" for x, y in zip(one.x, one.y, strict=True))
        for one in lines
    ]
    return svg.frame("".join(parts), width, height, f"{label} over k", ". ".join(said))


def _mark(i: int, x: float, y: float) -> str:
    return svg.marker(i, x, y) if i >= 0 else f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" stroke="currentColor"/>'


def curves_table(lines: list, label: str) -> str:
    """All curves in numbers, HTML."""
    cells = []
    for one in lines:
        for i, x in enumerate(one.x):
            ends = "–" if one.low is None else f"{one.low[i]:.3f} to {one.high[i]:.3f}"
            cells.append((svg.short(one.label, 60), f"{int(x):,}", f"{one.y[i]:.3f}", ends))
    return table(("arm", "k", label, "95 % interval"), cells, f"{label} over k")


def caption(chosen: dict, known: dict, missing: list, label: str) -> str:
    """What the picture shows and what it rests on, HTML. missing: arms without an evaluation at the chosen step."""
    over = {name: numbers.curve(arm)[3] for name, arm in {**known, **chosen}.items()}
    kinds = list(dict.fromkeys(over.values()))
    said = kinds[0] if len(kinds) == 1 else "; ".join(f"{svg.short(name)}: {kind}" for name, kind in over.items())
    line = (
        "unbiased pass@k" if label == PASS else "unbiased pass@k minus that of the base, on the same seeds and problems"
    )
    words = f"Line: {line}. Band: 95 % interval, bootstrap ({said}; {numbers.REPLICATES:,} replicates)."
    if any("one seed" in kind for kind in kinds):
        words += " With one seed an interval says how much other problems could move it, not another training run."
    if not known:
        words += " There is no base to compare with: no arm is named base, and none was evaluated at step 0."
    elif label == PASS:
        words += " Dotted, with open circles: the base, before training. Most of a band is which problems were drawn,"
        words += " and the arms share those: whether one is above the base, its paired difference says."
    if missing:
        words += f" Without an evaluation at this step: {', '.join(svg.short(arm, 60) for arm in missing)}."
    return show.note(words)


def at_k(chosen: dict, known: dict, bases: dict, k: int) -> str:
    """The numbers at k as a table: estimate, interval, paired difference to the base; HTML."""
    cells = []
    for name, arm in [*known.items(), *chosen.items()]:
        steps, mean, found, _ = numbers.curve(arm)
        row = [svg.short(name, 60), f"{arm.at:,}", f"{len(arm.seeds)}"]
        if k not in steps:
            cells.append((*row, f"only {arm.samples:,} samples", "–", "–", "–", "–"))
            continue
        i = steps.index(k)
        row += [
            f"{mean[i]:.3f}",
            "–" if found is None else f"{max(0, found.low[i]):.3f} to {min(1, found.high[i]):.3f}",
        ]
        compared = _at(numbers.difference(arm, bases[name][1], True), k) if name in bases else None
        if name in known or compared is None:
            cells.append((*row, "–", "–", "the base" if name in known else "no base to pair with"))
            continue
        minus, low, high = compared
        ends = "–" if low is None else f"{_signed(low)} to {_signed(high)}"
        cells.append((*row, _signed(minus), ends, verdict(low, high)))
    columns = ("arm", "step", "seeds", f"pass@{k}", "95 % interval", "minus base", "95 % interval, paired", "in words")
    return table(columns, cells, f"At k = {k:,}")


def _at(compared, k: int) -> tuple | None:
    """(difference, low, high) at k of what numbers.difference gave; None where it has no such k."""
    if compared is None or k not in compared[0]:
        return None
    i, (_, mean, found, _) = compared[0].index(k), compared
    return (mean[i], None, None) if found is None else (mean[i], found.low[i], found.high[i])


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def verdict(low: float | None, high: float | None) -> str:
    """A paired interval of the difference to the base in words."""
    if low is None:
        return "no interval"
    return "above the base" if low > 0 else "below the base" if high < 0 else "not told apart from the base"


def between(chosen: dict, k: int) -> str:
    """Which arms differ from each other at k, in words, HTML; nothing for one arm or more than six."""
    if not 1 < len(chosen) <= MOST_ARMS:
        return ""
    apart, together = [], []
    for (a, first), (b, second) in itertools.combinations(chosen.items(), 2):
        compared = _at(numbers.difference(first, second), k)
        if compared is None or compared[1] is None:
            continue
        minus, low, high = compared
        if minus < 0:
            a, b, minus, low, high = b, a, -minus, -high, -low
        a, b = svg.short(a, 60), svg.short(b, 60)
        if low > 0:
            apart.append(f"{a} is above {b} by {minus:.3f} ({low:.3f} to {high:.3f})")
        else:
            together.append(f"{a} and {b} are not told apart ({_signed(minus)}, {_signed(low)} to {_signed(high)})")
    return show.note(f"Arms at k = {k:,}, paired: {'; '.join(apart + together)}.") if apart or together else ""


def gained(chosen: dict, bases: dict, k: int, prompts: dict) -> str:
    """Problems gained and lost at k against the base: counts, then their lists; HTML."""
    cells, lists = [], ""
    for name, arm in chosen.items():
        base = bases[name][1] if name in bases else None
        found = numbers.flips(arm, base, k) if base is not None else None
        if found is None:
            continue
        (won, lost), (up, down) = found, numbers.by_chance(base, k)
        total = f"{numbers.solved(base, k).sum()} → {numbers.solved(arm, k).sum()} of {len(arm.problems)}"
        cells.append((svg.short(name, 60), total, f"+{len(won)}", f"−{len(lost)}", f"+{up:.1f}, −{down:.1f}"))
        lists += _list(name, arm, base, won, lost, k, prompts)
    columns = ("arm", "solved, base → arm", "gained", "lost", "by chance alone")
    counts = table(columns, cells, f"Problems gained and lost at k = {k:,}")
    return counts + show.note(f"{RULE} {CHANCE}") + lists if cells else ""


def _list(name: str, arm, base, won: list, lost: list, k: int, prompts: dict) -> str:
    """The problems gained and lost by one arm, one row each, opened on demand."""
    now = dict(zip(arm.problems, numbers.each(arm, k), strict=True))
    before = dict(zip(base.problems, numbers.each(base, k), strict=True))
    cells = []
    for word, problems in (("gained", won), ("lost", lost)):
        for p in problems[:LISTED]:
            prompt = svg.short(prompts.get(p, "–"), 120)
            cells.append((word, svg.short(p, 80), prompt, f"{before[p]:.2f} → {now[p]:.2f}"))
        if len(problems) > LISTED:
            cells.append((word, f"and {len(problems) - LISTED:,} more", "", ""))
    if not cells:
        return ""
    columns = ("", "problem", "prompt", f"pass@{k}, base → arm")
    page = show.scroll(table(columns, cells), f"Problems gained or lost by {svg.short(name, 60)}")
    return show.details(f"{svg.short(name, 60)}: the problems gained ({len(won):,}) and lost ({len(lost):,})", page)
