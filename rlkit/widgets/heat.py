"""Token heat maps: each token of a completion with its number as colour, as a shape and, on demand, in digits.

Pure functions: rows and numbers in, HTML out. Where the sign matters, blue and `+` stand against orange and `−`; where
it does not, a bar grows. Nothing is told by colour alone, and the same cells make the legend.
"""

import math
from typing import NamedTuple

import numpy as np

from rlkit.html import escape, table
from rlkit.widgets import rollout_rows, svg

MOST = 200  # tokens of one completion that are drawn
LONGEST = 24  # characters of one token that are drawn
UP, DOWN, MUCH = "11,120,184", "213,94,0", "122,111,208"  # series colours of rlkit.html: blue, orange, violet
BARS = "▁▃▅▇"
# Control characters that people meet, as signs; the others become \u0000 in escape.
SIGNS = str.maketrans({"\n": "⏎", "\t": "⇥", "\r": "␍"})


class Metric(NamedTuple):
    """One number per token that can be drawn."""

    label: str
    needs: tuple[str, ...]  # columns that a row must have
    signed: bool
    says: str  # what more of it means, under the legend


METRICS = {
    "logp": Metric(
        "log-probability",
        ("logp_sampled",),
        False,
        "log-probability of the token under the policy that drew it; a taller bar: the token was a greater surprise.",
    ),
    "ratio": Metric(
        "log ratio, new to sampled",
        ("logp_sampled", "logp_new"),
        True,
        "logp_new − logp_sampled; + is blue: the step's updates made the token more likely; − is orange: less likely. "
        "0.1 is a ratio of 1.11, −0.1 one of 0.90.",
    ),
    "kl": Metric(
        "KL to the reference",
        ("logp_sampled", "logp_reference"),
        False,
        "k3 = exp(d) − d − 1 with d = logp_reference − logp_sampled, an estimate of the KL divergence from one token.",
    ),
    "entropy": Metric(
        "entropy", ("entropy",), False, "entropy in nats of the distribution that the token was drawn from."
    ),
    "credit": Metric(
        "credit, first update",
        ("logp_sampled", "reward"),
        True,
        "minus the gradient of the loss by the token's log-probability, times the normaliser, before the step's first "
        "update (ratio 1). + is blue: pushed up; − is orange: pushed down.",
    ),
    "credit_new": Metric(
        "credit, after the updates",
        ("logp_sampled", "logp_new", "reward"),
        True,
        "minus the gradient of the loss by the token's log-probability, times the normaliser, at logp_new: what one "
        "more update on these samples would do. · is 0: clipped, or without advantage.",
    ),
}


def available(columns) -> list[str]:
    """The metrics whose columns are there, in order."""
    return [name for name, metric in METRICS.items() if set(metric.needs) <= set(columns)]


def values(row: dict, metric: str, length: int) -> np.ndarray:
    """The metric (but credit) for the row's tokens [length]; NaN where a number is missing or the mask is 0."""
    columns = [rollout_rows.numbers(row.get(name), length) for name in METRICS[metric].needs]
    with np.errstate(over="ignore", invalid="ignore"):
        if metric == "ratio":
            result = columns[1] - columns[0]
        elif metric == "kl":
            d = columns[1] - columns[0]
            result = np.expm1(d) - d
        else:
            result = columns[0]
    return np.where(sampled(row, length), result, np.nan)


def sampled(row: dict, length: int) -> np.ndarray:
    """The row's mask as booleans [length]; without one, every token was sampled."""
    mask = row.get("mask")
    return rollout_rows.numbers(mask, length) != 0 if isinstance(mask, list) else np.ones(length, bool)


def limit(arrays) -> float:
    """The number that gets the strongest colour: the 98 % quantile of all |values|, rounded up to 1, 2 or 5.

    One limit for all completions of a step, so that two pages can be compared. 0 if there is nothing but 0.
    """
    flat = np.abs(np.concatenate([*arrays, np.empty(0)]))
    flat = flat[np.isfinite(flat)]
    top = float(np.quantile(flat, 0.98)) if len(flat) else 0.0
    top = top or float(flat.max(initial=0.0))  # fewer than 2 % differ from 0
    if top <= 1e-12:
        return 0.0
    power = 10.0 ** math.floor(math.log10(top))
    return next(power * nice for nice in (1, 2, 5, 10) if power * nice >= top * (1 - 1e-9))


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, `+0.12` or `−0.12`; what is no number reads as a dash."""
    text = svg.number(abs(value), digits)
    return text if text in ("–", "0") else ("+" if value > 0 else "−") + text


def digits(value: float, most: int = 2) -> str:
    """A number in at most so many digits, with a minus sign that is as wide as a plus."""
    return signed(value, most) if value < 0 else svg.number(value, most)


def said(value: float, metric: str) -> str:
    """A value of this metric in digits, with its sign where that matters."""
    return signed(value) if METRICS[metric].signed else digits(value)


def cell(token: str, value: float, metric: str, top: float, written: bool = False) -> str:
    """One token over its mark: signs or a bar, or its number if written. top: see `limit`. Returns HTML."""
    share = min(1.0, abs(value) / top) if top and math.isfinite(value) else 0.0
    level = math.ceil(share * 3 - 1e-9) if share > 0.02 else 0
    if not math.isfinite(value):
        mark = "" if math.isnan(value) else "∞"
    elif METRICS[metric].signed:
        mark = ("+" if value > 0 else "−") * level or "·"
    else:
        mark = BARS[level]
    ground = MUCH if not METRICS[metric].signed else UP if value > 0 else DOWN
    colour = f";background:rgba({ground},{0.08 + 0.5 * share:.2f})" if level else ""
    shown = said(value, metric) if written and mark else mark
    return (
        f'<span title="{said(value, metric)}" style="display:inline-block;margin:1px;padding:0 3px;'
        f'text-align:center;line-height:1.2;border-radius:3px{colour}">{name(token)}'
        f'<br><span style="font-size:10px;line-height:1">{shown or "&nbsp;"}</span></span>'
    )


def name(token: str, longest: int = LONGEST) -> str:
    """A token as HTML: blanks and line ends visible, the rest escaped, at most `longest` characters."""
    cut = token if len(token) <= longest else token[: longest - 1] + "…"
    if not cut.strip():
        cut = cut.translate(SIGNS).replace(" ", "␣") or "(empty)"
    return escape(cut.translate(SIGNS))


def heat_map(row: dict, numbers: np.ndarray, metric: str, top: float, written: bool = False, most: int = MOST) -> str:
    """A completion's first `most` tokens as cells; says how many there are if that is more. Returns HTML."""
    tokens = rollout_rows.tokens(row)
    cells = "".join(cell(t, v, metric, top, written) for t, v in zip(tokens[:most], numbers.tolist(), strict=False))
    rest = f" … {most:,} of {len(tokens):,} tokens" if len(tokens) > most else ""
    return f'<div style="white-space:pre-wrap;overflow-wrap:anywhere">{cells}{rest}</div>'


def legend(metric: str, top: float) -> str:
    """The scale as cells of the heat map, and in words what it shows. Returns HTML."""
    scale = METRICS[metric]
    if not top:
        return _note(f"{scale.label}: 0 for every token of this step, or not a number. {scale.says}")
    down = -1 if metric == "logp" else 1
    steps = (-1, -0.5, -0.1, 0, 0.1, 0.5, 1) if scale.signed else [down * share for share in (0, 0.2, 0.5, 1)]
    cells = ""
    for share in steps:
        edge = {1: "≥ ", -1: "≤ "}.get(share, "")
        cells += cell(edge + said(share * top, metric), share * top, metric, top)
    return f"<div>{escape(scale.label)}: {cells}</div>{_note(scale.says)}"


def _note(words: str) -> str:
    return f'<div style="font-size:12px;line-height:1.35;opacity:0.85;margin:2px 0 4px">{escape(words)}</div>'


def token_table(row: dict, columns: dict, most: int = MOST, title: str = "") -> str:
    """The table twin of a heat map: position, token, then one column per metric (name -> values [T]). Returns HTML."""
    tokens = rollout_rows.tokens(row)
    shown = min(len(tokens), most)
    lists = {}
    for metric, found in columns.items():
        lists[METRICS[metric].label] = [said(v, metric) for v in found[:shown]]
        if metric == "ratio":
            with np.errstate(over="ignore"):
                lists["ratio"] = [svg.number(v, 3) for v in np.exp(found[:shown])]
    head = ("no.", "token", *lists)
    rows = [(i + 1, _readable(tokens[i]), *(column[i] for column in lists.values())) for i in range(shown)]
    of = f", the first {shown:,} of {len(tokens):,} (an export has all)" if shown < len(tokens) else ""
    title = f"{title}: " if title else ""
    return (
        table(head, rows, f"{title}{len(tokens):,} tokens{of}")
        if tokens
        else _note("No tokens were logged for this row.")
    )


def _readable(token: str) -> str:
    """A token for a cell that is escaped later."""
    cut = token if len(token) <= 80 else f"{token[:79]}…"
    return (cut if cut.strip() else cut.replace(" ", "␣") or "(empty)").translate(SIGNS)
