"""A rate as a picture: how a loss falls with the amount of data, on two logarithmic axes, with slopes to compare."""

import numpy as np

from rlkit import checks
from rlkit.html import COLOURS, table
from rlkit.widgets import lines, show, svg

GUIDES = ((-0.5, "1/√N"), (-1.0, "1/N"))


def rates(N, curves, title, x_label="N", y_label="loss", floor=1e-6, span=None, width=490, height=310) -> str:
    """Mean over seeds and its 95 % interval (Student's t) of one or more curves, log-log, as an SVG string.

    N: sizes [points], above 0. curves: name -> values [S, up to as many points as N]; a value below floor is drawn at
    floor, one that is not a number breaks its line. span: (lowest, highest) loss of the axis, by default what the means
    need. Two dotted lines from the top left corner fall like 1/sqrt(N) and like 1/N. title, labels: plain text,
    escaped. Raises ValueError for sizes that are not above 0, or a floor that is not.
    """
    N, floor = checks.finite("N", N), checks.positive("floor", floor)
    if (N <= 0).any():
        checks.fail("N", N.tolist(), "above 0")
    curves = {name: np.asarray(values, dtype=float) for name, values in curves.items()}
    left, right, top, bottom = 68, width - 132, 48, height - 40
    x_low, x_high = np.log10(N.min()), max(np.log10(N.max()), np.log10(N.min()) + 1e-9)
    means = {name: np.maximum(values.mean(axis=0), floor) for name, values in curves.items() if values.size}
    span = span or _span(means.values())
    y_low, y_high = np.log10(span[0]), np.log10(span[1])

    def at_x(values):
        return left + (np.log10(values) - x_low) / (x_high - x_low) * (right - left)

    def at_y(values):
        return bottom - (np.log10(np.clip(values, *span)) - y_low) / (y_high - y_low) * (bottom - top)

    def free(spot):
        """How far, up or down, the next curve is from a name at this spot; 12 px are enough."""
        x, y = spot[0] + 18, spot[1] - 7  # the middle of the name
        there = [abs(np.interp(x, at_x(N[: len(mean)]), at_y(mean)) - y) for mean in means.values()]
        return np.nanmin([*there, 12])

    parts = [
        svg.text(8, 16, svg.short(title, 70), "start", 'font-weight="700"'),
        svg.text(8, 33, svg.short(y_label, 60)),
    ]
    parts.append(svg.text((left + right) / 2, height - 4, svg.short(x_label, 60), "middle"))
    grid = 'stroke="currentColor" stroke-opacity="0.15"'
    for power in range(int(np.ceil(y_low - 1e-9)), int(y_high + 1e-9) + 1):
        y = bottom - (power - y_low) / (y_high - y_low) * (bottom - top)
        parts.append(
            f'<path d="M{left} {y:.1f}H{right}" {grid}/>'
            + svg.text(left - 8, y + 4, f"{10.0**power:,.{max(0, -power)}f}", "end")
        )
    for power in range(int(np.ceil(x_low - 1e-9)), int(x_high + 1e-9) + 1):
        x = float(at_x(10.0**power))
        parts.append(f'<path d="M{x:.1f} {top}V{bottom}" {grid}/>')
        parts.append(svg.text(x, bottom + 17, svg.number(10**power), "middle"))
    for slope, name in GUIDES:
        share = min(1.0, (y_high - y_low) / (-slope * max(x_high - x_low, 1e-9)))
        x, y = left + share * (right - left), top - slope * share * (x_high - x_low) / (y_high - y_low) * (bottom - top)
        dots = 'stroke="currentColor" stroke-opacity="0.6" stroke-dasharray="1 4"'
        parts.append(f'<path d="M{left} {top}L{x:.1f} {y:.1f}" {dots}/>')
        spots = [(left + part * (x - left), top + part * (y - top)) for part in (0.55, 0.7, 0.85, 0.4)]
        at = max(spots, key=free)  # the name stands just above its line, off the curves
        parts.append(svg.text(at[0] + 6, at[1] - 3, name, "start", 'font-size="11" fill-opacity="0.8"'))
    ends = []
    for i, (name, mean) in enumerate(means.items()):
        sizes = N[: len(mean)]
        low, high = lines.interval(curves[name].T, "mean")
        band = svg._band(at_x(sizes), at_y(low), at_y(high)) if len(curves[name]) > 1 else ""
        parts.append(f'<path d="{band}" fill="{COLOURS[i % len(COLOURS)]}" fill-opacity="0.18"/>')
        parts.append(f'<path d="{svg.path(at_x(sizes), at_y(mean))}" {svg.stroke(i)}/>')
        there = np.isfinite(mean)
        parts += [svg.marker(i, x, y) for x, y in zip(at_x(sizes[there]), at_y(mean[there]), strict=True)]
        ends.append(float(at_y(mean[there][-1])) if there.any() else bottom)
    for i, (name, y) in enumerate(zip(means, svg._spread(ends, 16, top, bottom), strict=True)):
        parts.append(f'<path d="M{right + 8} {y:.1f}h20" {svg.stroke(i)}/>' + svg.marker(i, right + 18, y))
        parts.append(svg.text(right + 34, y + 4, svg.short(name, 16)))
    said = "; ".join(
        f"{name}: {svg.number(m[0], 2)} at the left, {svg.number(m[-1], 2)} at the right" for name, m in means.items()
    )
    return svg.frame("".join(parts), width, height, title, said or "no value to draw yet")


def _span(means) -> tuple[float, float]:
    """Whole powers of ten around all means; 0.001 to 1 where there is none."""
    values = np.concatenate([*means, []])
    powers = np.log10(values[np.isfinite(values)])
    low, high = (np.floor(powers.min() + 1e-9), np.ceil(powers.max() - 1e-9)) if len(powers) else (-3.0, 0.0)
    return 10.0**low, 10.0 ** max(high, low + 1)


def rate_panels(N, panels, x_label="N", y_label="loss", **how) -> str:
    """A `rates` chart for each panel, side by side where there is room, and all means as a table. Returns HTML.

    panels: title -> curves (name -> values [S, points]); all share one vertical scale. how: floor, span, width, height
    of each chart. Errors as `rates`.
    """
    floor = how.get("floor", 1e-6)
    means = [np.maximum(np.mean(values, axis=0), floor) for curves in panels.values() for values in curves.values()]
    how = {"span": _span(means)} | how  # one scale for all panels
    charts = "".join(rates(N, curves, title, x_label, y_label, **how) for title, curves in panels.items())
    rows = [
        (title, name, *(svg.number(v, 3) for v in np.mean(values, axis=0)))
        for title, curves in panels.items()
        for name, values in curves.items()
    ]
    columns = ("", "curve", *(f"{x_label.split(',')[0]} = {svg.number(n)}" for n in N))
    rows = [row + ("",) * (len(columns) - len(row)) for row in rows]
    numbers = show.details("The numbers as a table", table(columns, rows, f"{y_label}, mean over seeds"))
    return f'<div style="display:flex;flex-wrap:wrap">{charts}</div>{numbers}'
