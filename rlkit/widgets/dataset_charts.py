"""What stands beside the map of a dataset: an episode's path, all episodes' returns, and their tables."""

import numpy as np

from rlkit.html import COLOURS, DASHES, table
from rlkit.widgets import svg

REFERENCES = ("behaviour", "random", "expert", "optimal")
WIDTH, HEIGHT, BOTTOM = 430, 340, 40  # px of a chart and its lower margin
MOST = 20  # rows of a path's table


def path(x, y) -> str:
    """An episode's path: a line from a circle to a square, in the text's colour over any ground."""
    line = svg.path(x, y)
    marks = f'<circle cx="{x[0]:.1f}" cy="{y[0]:.1f}" r="5" fill="currentColor"/>'
    marks += f'<rect x="{x[-1] - 5:.1f}" y="{y[-1] - 5:.1f}" width="10" height="10" fill="currentColor"/>'
    return f'<path d="{line}" stroke="currentColor" stroke-width="1.8" stroke-linejoin="round"/>{marks}'


def histogram(returns, facts, chosen: float, episode: int) -> str:
    """How many episodes have which return, with the references and the chosen episode as lines."""
    lines = {name: facts.get(f"{name}_return") for name in REFERENCES}
    lines = {name: float(value) for name, value in lines.items() if isinstance(value, int | float)}
    lines[f"episode {episode}"] = float(chosen)
    low, high = svg._limits([returns, np.array(list(lines.values()))])
    counts, edges = np.histogram(returns, bins=24, range=(low, high))
    left, right, top, bottom = 46, WIDTH - 8, 34 + 17 * len(lines), HEIGHT - BOTTOM
    parts = [svg.text(8, 14, "episodes by return")]

    def at_x(value):
        return left + (value - low) / (high - low) * (right - left)

    for value, name in svg.ticks(0, float(counts.max()) or 1.0, 5, whole=True):
        y = bottom - value / (counts.max() or 1) * (bottom - top)
        parts.append(f'<path d="M{left} {y:.1f}H{right}" stroke="currentColor" stroke-opacity="0.15"/>')
        parts.append(svg.text(left - 6, y + 4, name, "end"))
    for count, start, end in zip(counts, edges, edges[1:], strict=False):
        tall, wide = count / (counts.max() or 1) * (bottom - top), at_x(end) - at_x(start) - 1
        place = f'x="{at_x(start):.1f}" y="{bottom - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
        parts.append(f'<rect {place} fill="{COLOURS[0]}" fill-opacity="0.55"/>' * bool(count))
    for value, name in svg.ticks(low, high, 6):
        parts.append(svg.text(at_x(value), bottom + 16, name, "middle"))
    parts.append(f'<path d="M{left} {top}V{bottom}H{right}" stroke="currentColor"/>')
    # Names stand inwards of their lines, the outermost on top, so that no line crosses a name.
    middle = (low + high) / 2
    order = sorted(lines.items(), key=lambda line: (line[1] > middle, line[1] if line[1] <= middle else -line[1]))
    for i, (name, value) in enumerate(order):
        x, y = at_x(value), 30 + 17 * i
        dash = f'stroke-width="1.6" stroke-dasharray="{DASHES[i + 1]}"'
        parts.append(f'<path d="M{x:.1f} {y}V{bottom}" stroke="currentColor" {dash}/>')
        beside = ("end", x - 5) if x > (left + right) / 2 else ("start", x + 5)
        parts.append(svg.text(beside[1], y + 6, f"{name}: {svg.number(value, 3)}", beside[0]))
    parts.append(svg.text((left + right) / 2, HEIGHT - 6, "return of an episode", "middle"))
    said = f"{len(returns)} episodes, returns {svg.number(returns.min(), 3)} to {svg.number(returns.max(), 3)}; "
    said += ", ".join(f"{name} {svg.number(value, 3)}" for name, value in lines.items())
    return svg.frame("".join(parts), WIDTH, HEIGHT, "Episodes by return", said)


def path_table(dataset, rows, columns) -> str:
    """Some steps of an episode: what was observed (a one-hot state by its number), reward, return-to-go."""
    shown = rows[np.unique(np.linspace(0, len(rows) - 1, MOST).astype(int))]
    names = [svg.short(str(name), 30) for name in (dataset.facts.get("labels") or [])]
    names += [f"observation {i}" for i in range(len(names), 4)]
    seen = dataset.observations
    one_hot = seen.shape[1] > 1 and ((seen[rows] == 1).sum(axis=1) == 1).all() and (seen[rows].sum(axis=1) == 1).all()
    names = ["state"] if one_hot else names[: min(4, seen.shape[1])]
    cells = [[seen[r].argmax()] if one_hot else [svg.number(float(v), 3) for v in seen[r, :4]] for r in shown]
    told = [
        (dataset.step_of[r], *cell, *(svg.number(columns[name][r], 3) for name in ("reward", "return-to-go")))
        for r, cell in zip(shown, cells, strict=True)
    ]
    return table(("step", *names, "reward", "return-to-go"), told, f"{len(shown)} of {len(rows):,} steps")


def facts_table(dataset, returns) -> str:
    """Sizes, returns and references of a dataset."""
    facts, quartiles = dataset.facts, np.quantile(returns, [0, 0.25, 0.5, 0.75, 1])
    rows = [("transitions", f"{len(dataset):,}"), ("episodes", f"{len(returns):,}")]
    rows += [("returns: lowest, quartiles, highest", ", ".join(svg.number(q, 3) for q in quartiles))]
    rows += [(f"{name} return", svg.short(str(facts.get(f"{name}_return", "unknown")), 20)) for name in REFERENCES]
    rows += [(name, svg.short(str(facts[name]), 80)) for name in ("simulator", "quality", "coverage") if name in facts]
    return table(("what", "value"), rows, "The dataset")
