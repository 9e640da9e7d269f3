"""Pictures as pure functions: numbers in, one self-contained SVG string out.

Text and axes are drawn in `currentColor` on a clear ground, so a picture follows the page's theme. Every picture is
`role="img"` with a title and a description in words. A series is told apart by colour, dash and marker together.
"""

import math
from typing import NamedTuple

import numpy as np

from rlkit.html import COLOURS, DASHES, escape

FONT = "font-family:system-ui,sans-serif;font-size:12px"
# Marker outlines centred on 0,0; 7 markers and 8 dashes meet again only after 56 series.
MARKERS = (
    "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0Z",
    "M-3 -3H3V3H-3Z",
    "M0 -4L4 3H-4Z",
    "M0 -4.5L4.5 0L0 4.5L-4.5 0Z",
    "M0 4L4 -3H-4Z",
    "M-1.3 -4H1.3V-1.3H4V1.3H1.3V4H-1.3V1.3H-4V-1.3H-1.3Z",
    "M-4 -4L4 4M-4 4L4 -4",
)
_HUGE = 1e300  # beyond it the span of an axis overflows; drawn as a gap, like NaN


class Line(NamedTuple):
    """One series of a chart; x and y are [N], low and high [N] bound a band around y, raw is (x, y) drawn faintly.

    place: whose colour, dash and mark it has; None for its number in the chart. marks: how many of its points, evenly
    spaced, have a mark; None: all of them.
    """

    label: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    raw: tuple[np.ndarray, np.ndarray] | None = None
    place: int | None = None
    marks: int | None = 5


def level(label: str, x, value: float, place: int | None = None) -> Line:
    """A straight line at one value, from the first to the last of x, to compare with."""
    return Line(label, np.asarray(x)[[0, -1]], np.full(2, float(value)), place=place)


def mean_and_error(label: str, x, values) -> Line:
    """The mean over seeds of values [S, N] at x [N], in a band of one standard error each way; of one seed, no band."""
    mean, seeds = values.mean(axis=0), len(values)
    error = values.std(axis=0, ddof=1) / np.sqrt(seeds) if seeds > 1 else np.full(len(mean), np.nan)
    return Line(label, x, mean, mean - error, mean + error)


def short(text, length: int = 28) -> str:
    """Text of at most `length` characters on one line; what is cut away is marked by an ellipsis. Not escaped."""
    text = " ".join(str(text[: 4 * length] if isinstance(text, str) else text).split())
    return text if len(text) <= length else text[: length - 1] + "…"


def number(value, digits: int = 4) -> str:
    """A number for people: `1,234`, `0.0123`, `1.2e-07`; NaN, infinity and None read as a dash."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == int(value) and abs(value) < 1e12:
        return f"{int(value):,}"
    text = f"{value:,.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}" if 1e-4 <= abs(value) < 1e6 else ""
    return (text.rstrip("0").rstrip(".") if "." in text else text) or f"{value:.{digits}g}"


def ticks(low: float, high: float, most: int = 6, whole: bool = False) -> list[tuple[float, str]]:
    """Round positions inside [low, high], 1, 2 or 5 times a power of ten apart, at most `most`, with their labels.

    whole: only integers (steps, pulls).
    """
    if not high > low:
        return [(low, number(low))]
    rough = max((high - low) / max(1, most - 1), 1.0 if whole else 0.0)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    values = [k * step for k in range(first, last + 1)]
    largest = max(abs(low), abs(high))
    if decimals > 4 or largest >= 1e8:
        digits = min(15, max(4, math.floor(math.log10(largest)) - math.floor(math.log10(step) + 1e-9) + 1))
        return [(value, f"{value:.{digits}g}") for value in values]
    return [(value, f"{value:,.{decimals}f}") for value in values]


def thin(y: np.ndarray, limit: int) -> np.ndarray:
    """Indices of at most `limit` of the N points of y [N] that keep the first, the last and each bucket's extremes.

    Points are cut into limit // 2 - 1 buckets of equal length; the lowest and the highest of each stay, so that no
    spike is lost by drawing fewer points. NaN counts as neither. Returns sorted indices [<= limit].
    """
    if len(y) <= limit:
        return np.arange(len(y))
    edges = np.linspace(0, len(y), max(1, limit // 2 - 1) + 1).astype(int)
    low, high = np.where(np.isfinite(y), y, np.inf), np.where(np.isfinite(y), y, -np.inf)
    width = int(np.diff(edges).max())
    index = np.minimum(edges[:-1, None] + np.arange(width), edges[1:, None] - 1)  # [buckets, width]
    rows = np.arange(len(index))
    keep = [index[rows, low[index].argmin(1)], index[rows, high[index].argmax(1)], [0, len(y) - 1]]
    return np.unique(np.concatenate(keep))


def path(x: np.ndarray, y: np.ndarray) -> str:
    """A path through the points [N] in px; it breaks where y is not a number."""
    pieces, pen = [], "M"
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if b != b:
            pen = "M"
            continue
        pieces.append(f"{pen}{a:.1f} {b:.1f}")
        pen = "L"
    return "".join(pieces)


def _band(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """Closed outlines around [low, high], one per stretch without gaps, in px."""
    good = np.isfinite(low) & np.isfinite(high)
    cuts = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(int)))
    outlines = []
    for start, end in zip(cuts[::2], cuts[1::2], strict=True):
        there = np.arange(start, end)
        back = there[::-1]
        outlines.append(path(np.r_[x[there], x[back]], np.r_[high[there], low[back]]) + "Z")
    return "".join(outlines)


def _spread(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
    """Heights near the wanted ones, at least `gap` apart, inside [low, high] where they fit."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    placed, edge = {}, low
    for i in order:
        placed[i] = edge = max(wanted[i], edge)
        edge += gap
    edge = high
    for i in reversed(order):
        placed[i] = edge = min(placed[i], edge)
        edge -= gap
    return [placed[i] for i in range(len(wanted))]


def finite(values) -> np.ndarray:
    """Floats with everything that cannot be drawn (NaN, infinity, beyond 1e300) turned into NaN."""
    values = np.asarray(values, dtype=float)
    return np.where(np.abs(values) < _HUGE, values, np.nan)


def _limits(arrays) -> tuple[float, float]:
    """Lowest and highest finite value of the arrays with a little room; (0, 1) where there is none."""
    values = np.concatenate([finite(a).ravel() for a in arrays] or [np.empty(0)])
    values = values[~np.isnan(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    room = (high - low) * 0.04 or max(abs(high), 1e-9) * 0.05
    return low - room, high + room


def frame(body: str, width: int, height: int, title, description) -> str:
    """The SVG element around `body`: an image with a name and a description, as wide as its place allows."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" fill="none" '
        f'style="display:block;margin:0;width:100%;max-width:{width}px;height:auto;color:inherit;{FONT}">'
        f"<title>{escape(short(title, 120))}</title><desc>{escape(short(description, 2000))}</desc>{body}</svg>"
    )


def text(x: float, y: float, words, anchor: str = "start", more: str = "") -> str:
    """Words at (x, y) in the page's own text colour."""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="currentColor" text-anchor="{anchor}" {more}>{escape(words)}</text>'


def marker(index: int, x: float, y: float) -> str:
    """The marker of series number index, centred on (x, y)."""
    colour, outline = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
    return f'<path d="{outline}" transform="translate({x:.1f} {y:.1f})" fill="{colour}" stroke="{colour}"/>'


def stroke(index: int, width: float = 2) -> str:
    """The stroke attributes of series number index: its colour and its dash."""
    colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
    return f'stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dash or "none"}" stroke-linejoin="round"'


def chart(lines: list[Line], title, x_label, y_label, description, width: int = 720, height: int = 300) -> str:
    """A line chart with bands and a label at the end of each line.

    lines: series, at most a few hundred points each (see `thin`); where every x is whole, so are the ticks. The other
    texts are plain and are escaped here. Returns an SVG string. Without any finite point it says so instead of drawing
    an empty frame.
    """
    height = max(height, 18 * len(lines) + 80)
    names = [short(line.label) for line in lines]
    left, top, bottom = 62, 26, height - 42
    right = width - (48 + 7 * max(map(len, names)) if names else 20)
    steps = finite(np.concatenate([line.x for line in lines] or [np.array([0.0, 1.0])]))
    x_low, x_high = (np.nanmin(steps), np.nanmax(steps)) if len(steps) else (0.0, 1.0)
    if x_low == x_high:  # one step so far: put it in the middle
        x_low, x_high = x_low - 1, x_high + 1
    shown = [a for line in lines for a in (line.y, line.low, line.high) if a is not None]
    unsmoothed = [raw[np.isfinite(raw)] for raw in (finite(line.raw[1]) for line in lines if line.raw)]
    shown += [np.quantile(raw, [0.05, 0.95]) for raw in unsmoothed if len(raw)]
    y_low, y_high = _limits(shown)

    def at_x(values):
        return left + (finite(values) - x_low) / (x_high - x_low) * (right - left)

    def at_y(values):
        return bottom - (finite(values) - y_low) / (y_high - y_low) * (bottom - top)

    grid = 'stroke="currentColor" stroke-opacity="0.15"'
    parts = [text(8, 14, short(y_label, 80)), text((left + right) / 2, height - 6, short(x_label, 60), "middle")]
    for value, name in ticks(y_low, y_high, 6):
        y = float(at_y(value))
        parts.append(f'<path d="M{left} {y:.1f}H{right}" {grid}/>' + text(left - 8, y + 4, name, "end"))
    whole = bool((steps[np.isfinite(steps)] % 1 == 0).all())
    for value, name in ticks(x_low, x_high, 7, whole=whole):
        x = float(at_x(value))
        parts.append(f'<path d="M{x:.1f} {bottom}v5" stroke="currentColor"/>' + text(x, bottom + 19, name, "middle"))
    parts.append(f'<path d="M{left} {top}V{bottom}H{right}" stroke="currentColor"/>')
    ends, places = [], [i if line.place is None else line.place for i, line in enumerate(lines)]
    for i, line in zip(places, lines, strict=True):
        colour = COLOURS[i % len(COLOURS)]
        if line.low is not None and line.high is not None:
            outline = _band(at_x(line.x), at_y(line.low), at_y(line.high))
            parts.append(f'<path d="{outline}" fill="{colour}" fill-opacity="0.28"/>')
        if line.raw is not None:  # its rarest spikes may leave the frame: an inner svg cuts them off
            raw = path(at_x(line.raw[0]) - left, at_y(line.raw[1]) - top)
            place = f'x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"'
            parts.append(f'<svg {place}><path d="{raw}" stroke="{colour}" stroke-opacity="0.25"/></svg>')
    for i, line in zip(places, lines, strict=True):
        x, y = at_x(line.x), at_y(line.y)
        parts.append(f'<path d="{path(x, y)}" {stroke(i)}/>')
        there = np.flatnonzero(np.isfinite(y))
        number_of = len(there) if line.marks is None else line.marks
        marks = there[np.unique(np.linspace(0, len(there) - 1, number_of).astype(int))] if len(there) else []
        parts += [marker(i, x[j], y[j]) for j in marks]
        ends.append(float(y[there[-1]]) if len(there) else bottom)
    for i, name, y in zip(places, names, _spread(ends, 17, top + 4, bottom), strict=True):
        parts.append(f'<path d="M{right + 8} {y:.1f}h24" {stroke(i)}/>' + marker(i, right + 20, y))
        parts.append(text(right + 38, y + 4, name))
    if not any(np.isfinite(finite(line.y)).any() for line in lines):
        parts.append(text((left + right) / 2, (top + bottom) / 2, "no value to draw yet", "middle"))
    return frame("".join(parts), width, height, title, description)
