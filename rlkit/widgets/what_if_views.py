"""The pictures and tables of WhatIf as pure functions: a batch and two outcomes in, HTML out.

`logged` is what the objective that trained made of the batch, `chosen` what the reader's makes of it.
"""

import math

import numpy as np

from rlkit.html import escape, table
from rlkit.widgets import heat, show, svg
from rlkit.widgets import what_if_numbers as numbers

GROUPS_DRAWN = 32
SAMPLES_DRAWN, TOKENS_DRAWN = 16, 100
CELL = "text-align:left;padding:1px 12px 1px 0;white-space:nowrap"
SIDES = ("logged", "chosen")
KEY = (
    "Numbers: credit of the token, minus the gradient of the loss by its log-probability, times the normaliser. "
    "+ (blue): pushed up. − (orange): pushed down. ×: clipped (or capped), its ratio is beyond the range. ·: 0."
)


def percent(part: float, whole: float) -> str:
    """`12 of 300 (4 %)`."""
    return f"{part:,.0f} of {whole:,.0f} ({100 * part / whole:.1f} %)" if whole else "none"


def totals(batch, logged, chosen, names: tuple) -> str:
    """The whole batch in numbers, for both objectives, and the angle between their credits; HTML."""
    cells = [
        ("mean reward", *(svg.number(o.rewards.mean(), 3) for o in (logged, chosen))),
        ("dead groups (no advantage)", *(percent(numbers.dead(o).sum(), len(o.rewards)) for o in (logged, chosen))),
        ("samples left out", *(percent((~o.kept).sum(), o.kept.size) for o in (logged, chosen))),
        ("clipped tokens", *(percent(o.clipped.sum(), numbers.used(batch, o).sum()) for o in (logged, chosen))),
        ("ratio, new to old policy", *(" to ".join(svg.number(r, 3) for r in o.ratio) for o in (logged, chosen))),
        ("sum of |credit|", *(svg.number(np.abs(o.credit).sum(), 3) for o in (logged, chosen))),
        ("normaliser", *(svg.number(o.normaliser, 4) for o in (logged, chosen))),
        (
            "sum of |credit| / normaliser",
            *(svg.number(np.abs(o.credit).sum() / o.normaliser, 3) for o in (logged, chosen)),
        ),
    ]
    columns = ("all groups", *(f"{side}: {svg.short(name)}" for side, name in zip(SIDES, names, strict=True)))
    same = numbers.cosine(logged, chosen)
    words = "One of the two gives no credit at all, so there is no angle between them."
    if math.isfinite(same):
        angle = math.degrees(math.acos(min(1.0, max(-1.0, same))))
        words = f"Cosine between the two credits, over all tokens: {same:.3f} ({angle:.0f}°; 1 is the same direction)."
    return table(columns, cells) + f'<div style="margin:2px 0 6px"><b>{escape(words)}</b></div>'


def groups(batch, logged, chosen) -> str:
    """The advantages of all groups, logged and chosen beside each other, a bar up or down for each sample; HTML."""
    many, size = logged.advantage.shape
    shown = min(many, GROUPS_DRAWN)
    left, wide, row, top = 210, 250, 28, 26
    step = wide / size
    parts = [svg.text(left + i * (wide + 30), 14, f"advantages, {side}") for i, side in enumerate(SIDES)]
    for i, outcome in enumerate((logged, chosen)):
        tall = np.abs(np.where(outcome.kept, outcome.advantage, 0.0)).max() or 1.0
        start = left + i * (wide + 30)
        for p in range(shown):
            y = top + row * p + row / 2
            parts.append(f'<path d="M{start} {y}h{wide}" stroke="currentColor" stroke-opacity="0.35"/>')
            if numbers.dead(outcome)[p]:
                parts.append(svg.text(start + wide / 2, y - 2, "dead", "middle", 'font-size="10"'))
            for g, (value, kept) in enumerate(zip(outcome.advantage[p], outcome.kept[p], strict=True)):
                x, height = start + (g + 0.15) * step, (row / 2 - 3) * value / tall
                if kept and value:
                    box = (
                        f'x="{x:.1f}" y="{min(y, y - height):.1f}" width="{0.7 * step:.1f}" height="{abs(height):.1f}"'
                    )
                    parts.append(f'<rect {box} fill="rgb({heat.UP if value > 0 else heat.DOWN})"/>')
    for p in range(shown):
        parts.append(svg.text(left - 10, top + row * (p + 0.5) + 4, f"{p}: {svg.short(batch.prompts[p], 24)}", "end"))
    said = f"Dead groups: {numbers.dead(logged).sum()} logged, {numbers.dead(chosen).sum()} chosen, of {many}."
    picture = svg.frame("".join(parts), left + 2 * wide + 40, top + row * shown + 4, "Advantages by group", said)
    rest = f" The first {shown} of {many} groups." if shown < many else ""
    note = f"One row per group, one bar per sample: up for an advantage above 0, down for one below.{rest}"
    cells = []
    for p, prompt in enumerate(batch.prompts):
        means = (f"{o.rewards[p].mean():.3f}" for o in (logged, chosen))
        spans = (
            f"{heat.signed(o.advantage[p].min())} to {heat.signed(o.advantage[p].max())}" for o in (logged, chosen)
        )
        dead = ("yes" if numbers.dead(o)[p] else "no" for o in (logged, chosen))
        shares = (f"{100 * part:.1f} %" for part in (_share(o)[p].sum() for o in (logged, chosen)))
        both = [f"{a} → {b}" for a, b in (means, dead, spans, shares)]
        cells.append((p, svg.short(prompt, 60), *both))
    columns = ("group", "prompt", "mean reward", "dead", "advantages", "share of |credit|")
    twin = show.details("The groups as a table (logged → chosen)", show.scroll(table(columns, cells), "Groups"))
    return picture + show.note(note) + twin


def _share(outcome) -> np.ndarray:
    """The part of the batch's sum of |credit| that falls on each sample, [P, G]."""
    each = numbers.per_sample(outcome)
    return each / (each.sum() or 1.0)


def lengths(batch, logged, chosen) -> str:
    """Share of the batch's |credit| over the length of each completion: how an objective weighs length; HTML."""
    length = batch.mask.sum(1).numpy().astype(float)  # [B]
    shares = [100 * _share(o).ravel() for o in (logged, chosen)]
    left, wide, top, bottom, gap = 52, 270, 34, 190, 62
    most, longest = max(s.max() for s in shares) * 1.05 or 1.0, max(1.0, length.max() * 1.05)
    parts = [svg.text(8, 14, "share of the batch's |credit| by completion, %")]
    for i, (side, share, outcome) in enumerate(zip(SIDES, shares, (logged, chosen), strict=True)):
        start = left + i * (wide + gap)
        parts.append(f'<path d="M{start} {top}V{bottom}h{wide}" stroke="currentColor"/>')
        parts.append(svg.text(start + wide, top + 2, side, "end", 'font-weight="700"'))
        parts.append(svg.text(start + wide / 2, bottom + 34, "tokens of the completion", "middle"))
        for value, name in svg.ticks(0, most, 6):
            parts.append(svg.text(start - 7, bottom - value / most * (bottom - top) + 4, name, "end"))
        for value, name in svg.ticks(0, longest, 6, whole=True):
            x = start + value / longest * wide
            parts.append(
                f'<path d="M{x:.1f} {bottom}v4" stroke="currentColor"/>' + svg.text(x, bottom + 17, name, "middle")
            )
        seen = set()
        for t, s, a in zip(length, share, outcome.advantage.ravel(), strict=True):
            x, y = start + t / longest * wide, bottom - s / most * (bottom - top)
            spot = (round(x), round(y), a > 0)
            if s > 0 and spot not in seen:  # equal samples are one mark
                seen.add(spot)
                shape, colour = ("M-4 0h8M0 -4v8", heat.UP) if a > 0 else ("M-4 0h8", heat.DOWN)
                pen = f'stroke="rgb({colour})" stroke-width="2"'
                parts.append(f'<path d="{shape}" transform="translate({x:.1f} {y:.1f})" {pen}/>')
    words = [f"{side}: {_by_length(length, share)}" for side, share in zip(SIDES, shares, strict=True)]
    said = "Mean share of the shorter and the longer half of the completions with credit. " + "; ".join(words) + "."
    picture = svg.frame("".join(parts), left + 2 * wide + gap + 14, bottom + 40, "Credit by length", said)
    return picture + show.note(f"+: advantage above 0. −: below 0. Completions without credit are not drawn. {said}")


def _by_length(length, share) -> str:
    there = share > 0
    if not there.any():
        return "no credit"
    middle = np.median(length[there])
    halves = [share[there & keep] for keep in (length <= middle, length > middle)]
    return " and ".join(f"{h.mean():.2f} %" if len(h) else "none" for h in halves)


def group(batch, logged, chosen, p: int) -> str:
    """One group: its samples as a table with bars for the advantages, then every token with its two credits; HTML."""
    size = logged.rewards.shape[1]
    rows = range(p * size, p * size + min(size, SAMPLES_DRAWN))
    tall = [np.abs(np.where(o.kept, o.advantage, 0.0)).max() or 1.0 for o in (logged, chosen)]
    body = ""
    for g, b in enumerate(rows):
        rewards = [svg.number(o.rewards[p, g], 3) for o in (logged, chosen)]
        bars = [_bar(o, p, g, most) for o, most in zip((logged, chosen), tall, strict=True)]
        clipped = [str(int(o.clipped[b].sum())) for o in (logged, chosen)]
        shares = [f"{100 * _share(o)[p, g]:.2f} %" for o in (logged, chosen)]
        cells = [str(g), _arrow(rewards), *bars, str(int(batch.mask[b].sum())), _arrow(clipped), _arrow(shares)]
        body += (
            "<tr>" + "".join(f'<td style="{CELL}">{cell}</td>' for cell in (*cells, escape(batch.finish[b]))) + "</tr>"
        )
    names = (
        "sample",
        "reward",
        "advantage, logged",
        "advantage, chosen",
        "tokens",
        "clipped",
        "share of |credit|",
        "finish",
    )
    head = "".join(f'<th scope="col" style="{CELL}">{name}</th>' for name in names)
    title = escape(f"Group {p}: {svg.short(batch.prompts[p], 120)}")
    page = (
        f'<table style="border-collapse:collapse;line-height:1.4;margin:4px 0 8px;color:inherit">'
        f'<caption style="text-align:left;font-weight:600">{title}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )
    rest = f" The first {SAMPLES_DRAWN} of {size} samples." if size > SAMPLES_DRAWN else ""
    note = show.note(
        f"{SIDES[0]} → {SIDES[1]} where two values stand in one cell. Shares are of the whole batch.{rest}"
    )
    tops = [heat.limit([o.credit[numbers.used(batch, o)]]) for o in (logged, chosen)]
    strips = "".join(_strip(batch, (logged, chosen), tops, b, g) for g, b in enumerate(rows))
    return page + note + show.note(KEY) + show.scroll(strips, "Credit of each token")


def _arrow(pair) -> str:
    return escape(pair[0] if pair[0] == pair[1] else f"{pair[0]} → {pair[1]}")


def _bar(outcome, p: int, g: int, most: float) -> str:
    """An advantage as a number beside a bar, to the right of the middle for + and to the left for −; HTML."""
    if not outcome.kept[p, g]:
        return "left out"
    value = outcome.advantage[p, g]
    end, colour = 50 + 48 * value / most, heat.UP if value > 0 else heat.DOWN
    body = f'<rect x="{min(50, end):.1f}" y="2" width="{abs(end - 50):.1f}" height="9" fill="rgb({colour})"/>'
    body += '<path d="M50 0V13" stroke="currentColor" stroke-opacity="0.6"/>'
    style = 'viewBox="0 0 100 13" aria-hidden="true" style="vertical-align:middle"'
    picture = f'<svg width="100" height="13" {style}>{body}</svg>'
    return f"{picture} {heat.signed(value, 3)}"


def _strip(batch, outcomes: tuple, tops: list, b: int, g: int) -> str:
    """The tokens of one completion, each over its credit as logged and as chosen; HTML."""
    tokens, length = batch.tokens[b], int(batch.mask.shape[1])
    cells = ""
    for t, token in enumerate(tokens[: min(length, TOKENS_DRAWN)]):
        inside = bool(batch.mask[b, t])
        marks = "".join(
            _mark(o.credit[b, t], bool(o.clipped[b, t]), top) if inside else _mark(math.nan, False, 0.0)
            for o, top in zip(outcomes, tops, strict=True)
        )
        cells += f'<span style="{BOX}"><span>{heat.name(token)}</span>{marks}</span>'
    rest = f"<span>… {len(tokens) - TOKENS_DRAWN:,} more tokens</span>" if len(tokens) > TOKENS_DRAWN else ""
    names = (
        f'<span style="{BOX};min-width:56px;font-size:11px;text-align:right;padding-right:4px"><b>sample {g}</b>'
        + "".join(f'<span style="display:block">{side}</span>' for side in SIDES)
    )
    return f'<div style="margin:0 0 6px">{names}</span>{cells}{rest}</div>'


BOX = "display:inline-block;vertical-align:top;min-width:38px;margin:0 2px 2px 0;text-align:center;line-height:1.35"


def _mark(value: float, clipped: bool, top: float) -> str:
    """One credit as a number on a ground of its sign's colour."""
    said = "&nbsp;" if math.isnan(value) else heat.signed(value) if value else ("" if clipped else "·")
    share = min(1.0, abs(value) / top) if top and value == value else 0.0
    ground = f";background:rgba({heat.UP if value > 0 else heat.DOWN},{0.12 + 0.55 * share:.2f})" if share else ""
    edge = ";outline:1px dashed currentColor;outline-offset:-1px" if clipped else ""
    return (
        f'<span style="display:block;font-size:11px;padding:0 2px{ground}{edge}">{"×" if clipped else ""}{said}</span>'
    )
