"""Dreams beside the truth as a picture and as tables: pure functions, numbers in, SVG or HTML out."""

import numpy as np

from rlkit.html import COLOURS, DASHES, table
from rlkit.widgets import svg

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 330, 62, 706, 42, 262
SINGLE = 40  # dreams that are drawn one by one, at most
ROUNDING = 1e-5  # of the largest |truth| and at least of 1: what lies so near to the band has not left it


def spread(dreams):
    """Lowest, mean and highest of dreams [K, T + 1] at each step, over those that have not ended; NaN if all have."""
    going = np.isfinite(dreams)
    some = going.any(axis=0)
    low, high = np.where(going, dreams, np.inf).min(axis=0), np.where(going, dreams, -np.inf).max(axis=0)
    mean = np.where(going, dreams, 0.0).sum(axis=0) / np.maximum(going.sum(axis=0), 1)
    return tuple(np.where(some, a, np.nan) for a in (low, mean, high))


def inside(truth, low, high) -> int:
    """The last step before truth [T + 1] is for the first time outside [low, high]; T if it never is.

    A truth that has ended (NaN) cannot leave; where all dreams have ended, a truth that goes on has left them.
    """
    there = np.isfinite(truth)
    room = ROUNDING * max(1.0, np.abs(truth[there]).max(initial=0.0))
    outside = there & ~((truth >= low - room) & (truth <= high + room))
    return max(int(outside.argmax()) - 1, 0) if outside.any() else len(truth) - 1


def leaving(truth, low, high) -> str:
    """When the truth leaves the band, in words without a subject."""
    last, steps = inside(truth, low, high), len(truth) - 1
    return f"leaves the band after step {last}" if last < steps else f"is in the band in all {steps} steps"


def dream_chart(label, truth, dreams, single: bool, title) -> str:
    """Truth [T + 1] as a bold line; dreams [K, T + 1] as their mean and a band from the lowest to the highest; SVG.

    single: each dream as a thin line too. A vertical line, with words, is where the truth was last inside the band.
    """
    low, mean, high = spread(dreams)
    steps, last = np.arange(len(truth)), inside(truth, low, high)
    y_low, y_high = svg._limits([truth, low, high])

    def at_x(step):
        return LEFT + np.asarray(step, dtype=float) / (len(truth) - 1) * (RIGHT - LEFT)

    def at_y(values):
        return BOTTOM - (svg.finite(values) - y_low) / (y_high - y_low) * (BOTTOM - TOP)

    x, orange = at_x(steps), COLOURS[1]
    parts = [svg.text(8, 14, svg.short(label, 80))]
    for value, name in svg.ticks(y_low, y_high, 6):
        y = float(at_y(value))
        parts.append(f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="currentColor" stroke-opacity="0.15"/>')
        parts.append(svg.text(LEFT - 8, y + 4, name, "end"))
    for value, name in svg.ticks(0, len(truth) - 1, 9, whole=True):
        parts.append(f'<path d="M{at_x(value):.1f} {BOTTOM}v5" stroke="currentColor"/>')
        parts.append(svg.text(float(at_x(value)), BOTTOM + 19, name, "middle"))
    parts.append(f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" stroke="currentColor"/>')
    parts.append(svg.text((LEFT + RIGHT) / 2, BOTTOM + 36, "step", "middle"))
    parts.append(f'<path d="{svg._band(x, at_y(low), at_y(high))}" fill="{orange}" fill-opacity="0.25"/>')
    for one in dreams[:SINGLE] if single else ():
        parts.append(f'<path d="{svg.path(x, at_y(one))}" stroke="{orange}" stroke-width="0.8"/>')
    dashed = f'stroke="{orange}" stroke-width="2" stroke-dasharray="{DASHES[1]}"'
    bold = 'stroke="currentColor" stroke-width="3.2" stroke-linejoin="round"'
    parts += [f'<path d="{svg.path(x, at_y(mean))}" {dashed}/>', f'<path d="{svg.path(x, at_y(truth))}" {bold}/>']
    said = f"{label}: the truth {leaving(truth, low, high)}."
    if last < len(truth) - 1:
        gone = float(at_x(last))
        parts.append(f'<path d="M{gone:.1f} {TOP - 6}V{BOTTOM}" stroke="currentColor" stroke-dasharray="{DASHES[2]}"/>')
        beside = ("end", gone - 5) if gone > (LEFT + RIGHT) / 2 else ("start", gone + 5)
        parts.append(svg.text(beside[1], TOP - 8, f"leaves the band after step {last}", beside[0]))
    y, count = HEIGHT - 8, len(dreams)
    band = f'<rect x="298" y="{y - 9}" width="26" height="10" fill="{orange}" fill-opacity="0.25"/>'
    parts += [f'<path d="M62 {y - 4}h26" {bold}/>', svg.text(94, y, "truth")]
    parts += [f'<path d="M150 {y - 4}h26" {dashed}/>', svg.text(182, y, "mean of dreams")]
    parts += [band, svg.text(330, y, f"lowest to highest of {count} dreams")]
    if single:
        shown = f"{min(count, SINGLE)} single dreams"
        parts.append(f'<path d="M530 {y - 4}h26" stroke="{orange}" stroke-width="0.8"/>')
        parts.append(svg.text(562, y, shown))
    return svg.frame("".join(parts), WIDTH, HEIGHT, title, said)


def step_table(label, truth, dreams) -> str:
    """Some steps of a dream, with those around leaving the band: truth, mean, width of the band, error of the mean."""
    low, mean, high = spread(dreams)
    end, last = len(truth) - 1, inside(truth, low, high)
    shown = np.unique(np.concatenate([np.linspace(0, end, 6).round(), [last, min(last + 1, end)]])).astype(int)
    rows = [
        (t, *(svg.number(float(v), 3) for v in (truth[t], mean[t], high[t] - low[t], abs(mean[t] - truth[t]))))
        for t in shown
    ]
    return table(("step", "truth", "mean of dreams", "width of the band", "error of the mean"), rows, label)


def leaving_table(columns: dict) -> str:
    """For each quantity, name -> (truth [T + 1], dreams [K, T + 1]): when the truth leaves the band, and the end."""
    rows, end = [], 0
    for name, (truth, dreams) in columns.items():
        low, mean, high = spread(dreams)
        last, end = inside(truth, low, high), len(truth) - 1
        width, error = high[-1] - low[-1], abs(mean[-1] - truth[-1])
        when = f"after step {last}" if last < end else "never"
        rows.append((svg.short(name, 40), when, svg.number(float(width), 3), svg.number(float(error), 3)))
    head = ("what", "leaves the band", f"width at step {end}", f"error at step {end}")
    return table(head, rows, f"All that was dreamt, {end} steps")
