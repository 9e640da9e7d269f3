"""Pictures of looks (`rlkit.rlvr.looks`): arms along their training, gains over the base, and a whole scan at once."""

import numpy as np

from rlkit import checks
from rlkit.html import table
from rlkit.widgets import show, svg

AXES = {
    "updates": ("steps of training", 1),
    "pass@1": ("pass@1, %", 100),
    "KL": ("KL from the base, hundredths of a nat per completion", 100),
}
SEEDS_APART = 3.0  # px between the marks of two seeds


def path_chart(paths: dict, by: str, k: int, names: dict | None = None) -> str:
    """pass@k along each arm's training against its progress `by` ("updates", "pass@1" or "KL"), means over seeds.

    paths: `rlkit.rlvr.looks.followed`; k at least 1; names: arm -> what to call it. Returns an SVG string.
    """
    from rlkit.rlvr import looks  # not at the top: bandit notebooks load rlkit.widgets without the rest

    title, unit = AXES[checks.one_of("by", by, tuple(AXES))]
    lines, k = [], checks.positive_int("k", k)
    for arm, path in paths.items():
        x = unit * looks.progress(path, by).mean(0)  # [E]
        y = 100 * (1 - (1 - path["q"]) ** k).mean((0, 2))
        lines.append(svg.Line((names or {}).get(arm, arm), x, y))
    said = "; ".join(f"{line.label}: {line.y[0]:.1f} at first, {line.y[-1]:.1f} at last" for line in lines)
    return svg.chart(lines, f"pass@{k} against {by}", title, f"pass@{k}, %", said, height=330)


def gain_chart(gains: dict, k, title) -> str:
    """pass@k minus the base's, over log2 k, with intervals: gains: name -> Interval of arrays [K]. Returns HTML."""
    k = checks.finite("k", k)
    lines = [svg.Line(name, np.log2(k), *(100 * np.asarray(part) for part in gain[:3])) for name, gain in gains.items()]
    rows = [
        (line.label, *(f"{y:+.1f} ({a:+.1f} to {b:+.1f})" for y, a, b in zip(line.y, line.low, line.high, strict=True)))
        for line in lines
    ]
    label = "pass@k minus the base's, percentage points"
    picture = svg.chart(lines, title, "log2 of k: 0 is one try, 8 is 256", label, title, height=330)
    numbers = show.details("The numbers as a table", table(("", *(f"k = {v:g}" for v in k)), rows, label))
    return picture + numbers


def scan_chart(gains, panels: list, slots: list, k, names: dict, chosen: int) -> str:
    """Every cell of a scan, every arm and seed: pass@k minus the base's, a row of panels for each k. Returns HTML.

    gains: DataFrame with columns k and an index of regime, arm, seed, where regime number r stands in panel
    r // len(slots), slot r % len(slots). panels, slots: their names; a slot's is cut into lines at ", ".
    names: arm -> what to call it, in order. chosen: the regime that is marked.
    """
    left, top, high, gap = 64, 66, 120, 26
    wide = (720 - left - 12 * (len(panels) - 1)) / len(panels)
    slot, parts, x = wide / len(slots), [], 8
    for i, name in enumerate(names.values()):
        parts.append(svg.marker(i, x + 6, 12) + svg.text(x + 16, 16, name))
        x += 36 + 7.5 * len(name)
    for p, name in enumerate(panels):
        parts.append(svg.text(left + p * (wide + 12), top - 24, name, "start", 'font-weight="700"'))
    for row, tries in enumerate(k):
        up, values = top + row * (high + gap), 100 * gains[tries]
        low, most = (f(0.0, f(values)) for f in (min, max))
        room = 0.06 * (most - low or 1)
        low, most = low - room, most + room
        y = _height(up, high, low, most)
        parts.append(svg.text(8, up - 6, f"pass@{tries} minus the base's, points"))
        for p in range(len(panels)):
            start = left + p * (wide + 12)
            if chosen // len(slots) == p:
                mark = f'x="{start + chosen % len(slots) * slot:.1f}" y="{up}" width="{slot:.1f}" height="{high}"'
                parts.append(f'<rect {mark} fill="currentColor" fill-opacity="0.1"/>')
            for value, label in svg.ticks(low, most, 5):
                strong = "0.6" if value == 0 else "0.15"
                line = f"M{start:.1f} {y(value):.1f}h{wide:.1f}"
                parts.append(f'<path d="{line}" stroke="currentColor" stroke-opacity="{strong}"/>')
                parts.append("" if p else svg.text(left - 6, y(value) + 4, label, "end"))
            for s, label in enumerate(slots if row == len(k) - 1 else ()):
                for n, words in enumerate(label.split(", ")):  # one under the other
                    middle, y_words = start + (s + 0.5) * slot, up + high + 16 + 14 * n
                    parts.append(svg.text(middle, y_words, words, "middle", 'font-size="11"'))
        for (regime, arm), found in values.groupby(level=["regime", "arm"]):
            centre = left + regime // len(slots) * (wide + 12) + (regime % len(slots) + 0.5) * slot
            i = list(names).index(arm)
            shift = (i - (len(names) - 1) / 2) * slot / (len(names) + 0.5)
            for n, value in enumerate(found):
                apart = (n - (len(found) - 1) / 2) * SEEDS_APART
                parts.append(svg.marker(i, centre + shift + apart, y(value)))
    height = top + len(k) * (high + gap) + 14
    means = gains.groupby(level=["regime", "arm"], sort=False).mean()
    place = [(panels[r // len(slots)], slots[r % len(slots)]) for r, _ in means.index]
    rows = [
        (*where, names[arm], *(f"{100 * v:+.1f}" for v in means.loc[(r, arm)]))
        for where, (r, arm) in zip(place, means.index, strict=True)
    ]
    columns = ("", "", "arm", *(f"k = {v}" for v in gains))
    numbers = show.details("The numbers as a table", table(columns, rows, "pass@k minus the base's, mean over seeds"))
    where = f"marked: {panels[chosen // len(slots)]}, {slots[chosen % len(slots)]}"
    return svg.frame("".join(parts), 720, height, "The whole scan", f"one mark for each seed; {where}") + numbers


def _height(up, high, low, most):
    """Value -> y in a panel that begins at `up` and is `high`."""
    return lambda value: up + high - (value - low) / (most - low) * high
