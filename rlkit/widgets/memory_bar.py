"""Memory by part as one stacked bar: each part is joined to its name and size, and the limit is marked."""

import math

from rlkit.html import COLOURS, GREY, UNITS, size, unit
from rlkit.widgets import svg

PARTS = {
    "weights": "frozen, as they are stored, with the scales of 4-bit weights",
    "trainable": "weights that are trained: an adapter, or all of them",
    "gradient": "one number for each trainable weight",
    "optimizer": "two numbers for each trainable weight: AdamW's moments",
}
ELSE = "everything else"
SMALL = 0.15  # a model with a smaller share of the memory is drawn a second time, enlarged
WIDTH, LEFT, RIGHT, TALL = 720, 8.0, 712.0, 24  # of the bar, in px
FAINT = 'stroke="currentColor" stroke-opacity="0.6"'


def _colour(name: str) -> str:
    return GREY if name == ELSE else COLOURS[list(PARTS).index(name)]


def _segments(parts: dict, scale: float, top: float) -> tuple[str, dict]:
    """Rectangles side by side, scale px a byte, and the middle of each in px; a gap after each that is wide enough."""
    made, middles, edge = "", {}, LEFT
    for name, count in parts.items():
        wide = count * scale
        place = f'x="{edge:.2f}" y="{top}" width="{wide - (wide > 3):.2f}" height="{TALL}"'
        made += f'<rect {place} fill="{_colour(name)}"/>'
        middles[name], edge = edge + wide / 2, edge + wide
    return made, middles


def _label(name: str, count: float, x: float, y: float) -> str:
    """The part's colour, its name and below that its size, at (x, y)."""
    square = f'<rect x="{x:.1f}" y="{y - 9:.1f}" width="10" height="10" fill="{_colour(name)}"/>'
    return square + svg.text(x + 16, y, name) + svg.text(x + 16, y + 16, size(count), more='font-weight="700"')


def _axis(total: float, limit: float, top: float) -> tuple[float, str, str]:
    """(px a byte, the scale above the bar, the mark of the limit), the last two as SVG.

    The scale reaches the limit where total is at least a quarter of that; else there is no mark.
    """
    inside = limit <= 4 * total
    view = max(1.04 * limit, total) if inside else total
    name = unit(view)
    if not inside:  # up to a round number, so that the scale rests while the run grows
        step = svg.ticks(0, view / UNITS[name])[1][0] * UNITS[name]
        view = math.ceil(total / step) * step
    scale = (RIGHT - LEFT) / view
    mark = LEFT + limit * scale  # far to the right where it is not inside
    drawn = f'<path d="M{LEFT} {top - 4}H{RIGHT}" {FAINT}/>'
    for value, words in svg.ticks(0, view / UNITS[name]):
        x = LEFT + value * UNITS[name] * scale
        anchor = "start" if x < LEFT + 20 else "end" if x > RIGHT - 20 else "middle"
        drawn += f'<path d="M{x:.1f} {top - 4}v-4" stroke="currentColor"/>'
        if abs(x - mark) > 24:  # else the mark would cross these words
            drawn += svg.text(x, top - 11, f"{words} {name}" if value else "0", anchor, 'font-size="10"')
    marked = f'<path d="M{mark:.1f} 14V{top + TALL + 6}" stroke="currentColor" stroke-width="2"/>'
    marked += svg.text(mark, 10, f"limit {size(limit)}", "end" if mark > WIDTH / 2 else "start")
    return scale, drawn, marked if inside else ""


def bar(parts: dict, limit: float, spoken: str) -> str:
    """The parts (name -> bytes, not all 0) as one stacked bar, an SVG string; each is joined to its name and size.

    A model that is small beside everything else is drawn once more below, enlarged.
    """
    top, labels = 34.0, parts
    total, whole = sum(parts.values()), sum(count for name, count in parts.items() if name != ELSE)
    scale, drawn, marked = _axis(total, limit, top)
    made, middles = _segments(parts, scale, top)
    drawn, bottom = drawn + made + marked, top + TALL  # a mark that is passed lies on the bar
    if 0 < whole < SMALL * total:
        labels, x, y = {name: parts[name] for name in PARTS}, LEFT + whole * scale, bottom + 50
        drawn += f'<path d="M{LEFT} {bottom}V{y}M{x:.1f} {bottom}L{RIGHT} {y}" {FAINT}/>'
        drawn += _label(ELSE, parts[ELSE], RIGHT - 110, bottom + 17)
        drawn += svg.text(LEFT + 8, y - 6, f"the model alone, enlarged {svg.number(round(total / whole))} times")
        made, middles = _segments(labels, (RIGHT - LEFT) / whole, y)
        drawn, bottom = drawn + made, y + TALL
    for i, (name, count) in enumerate(labels.items()):
        x = LEFT + i * (RIGHT - LEFT) / len(labels)
        if count:
            drawn += f'<path d="M{middles[name]:.1f} {bottom + 1}v5L{x + 5:.1f} {bottom + 24}" {FAINT}/>'
        drawn += _label(name, count, x, bottom + 36)
    return svg.frame(drawn, WIDTH, int(bottom + 58), "Memory by part", spoken)
