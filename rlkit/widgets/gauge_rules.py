"""What the gauges of a run say: a number's sane range, a word when it leaves it, and what that means.

Pure functions. The limits are rules of thumb, each said with its reason; each seed's newest value is judged by itself.
"""

from typing import NamedTuple

import numpy as np

from rlkit.widgets import svg

# Objectives whose advantages do not sum to 0, so that their loss is not near 0 either.
UNCENTRED = ("reinforce", "psr", "nsr", "w_reinforce")
OUT, FINE, OPEN, NONE = "▲ out of range", "● in range", "◇ no range", "○ not logged"


class Gauge(NamedTuple):
    """One gauge: its name, its metrics (two where it shows a range), what it measures, and its rules.

    rules: (test of the newest value v and the first value v0 of a seed, what it means when the test holds), the first
    that holds is said. low, high: the sane range that is drawn, None for none. span: the least that the scale covers.
    """

    name: str
    metrics: tuple[str, ...]
    what: str
    rules: tuple
    low: float | None = None
    high: float | None = None
    span: tuple[float, float] = (0.0, 0.0)


GAUGES = (
    Gauge("reward", ("reward",), "mean reward of the step's completions", (), span=(0.0, 1.0)),
    Gauge(
        "dead groups",
        ("dead_groups",),
        "share of prompts whose completions all have the same reward",
        ((lambda v, v0: v > 0.5, "more than half of the groups teach nothing: the problems are too hard or too easy"),),
        high=0.5,
        span=(0.0, 1.0),
    ),
    Gauge(
        "truncated",
        ("truncated",),
        "share of completions cut off at the length limit",
        ((lambda v, v0: v > 0.1, "above 10 %: their reward judges the limit, not the answer; allow more tokens"),),
        high=0.1,
        span=(0.0, 0.2),
    ),
    Gauge(
        "entropy",
        ("entropy",),
        "mean entropy of the token distributions, in nats",
        (
            (
                lambda v, v0: v < 0.2 * v0,
                "entropy collapse: under a fifth of its start; completions of a group become alike, little is explored",
            ),
            (lambda v, v0: v > 2 * v0, "twice its start and more: the policy drifts towards noise"),
        ),
        span=(0.0, 0.1),
    ),
    Gauge(
        "KL to the reference",
        ("kl",),
        "mean k3 per token, in nats",
        (
            (lambda v, v0: v < -1e-6, "below 0, which k3 cannot be: look for a sign error"),
            (lambda v, v0: v > 0.5, "far from the reference: what the base model knew may be lost"),
        ),
        high=0.5,
        span=(0.0, 0.1),
    ),
    Gauge(
        "ratio range",
        ("ratio_min", "ratio_max"),
        "smallest and largest token ratio, updated to sampling policy; 1 while on-policy",
        (
            (
                lambda v, v0: v < 0.5 or v > 2,
                "far from 1: updates outrun the samples, or sampler and scorer differ (temperature, top-p, dropout)",
            ),
        ),
        low=0.5,
        high=2.0,
        span=(0.8, 1.2),
    ),
    Gauge(
        "gradient norm",
        ("gradient_norm",),
        "length of the gradient before clipping",
        ((lambda v, v0: v == 0, "0: nothing was learned in this step; all groups dead, or no weight can change"),),
        span=(0.0, 0.1),
    ),
)


class Reading(NamedTuple):
    """What a gauge says now: its state, the meaning in words, and the newest values [S] of each metric."""

    state: str
    words: str
    now: list


def read(gauge: Gauge, series: dict) -> Reading:
    """Judge a gauge by series: metric -> (steps [N], values [N, S]); a metric that is missing was not logged."""
    there = [series[metric][1] for metric in gauge.metrics if metric in series]
    if len(there) < len(gauge.metrics):
        missing = [metric for metric in gauge.metrics if metric not in series]
        return Reading(NONE, f"the run has no metric {' and '.join(missing)}", [])
    now = [values[-1] for values in there]
    lost = int(np.any([~np.isfinite(values) for values in now], axis=0).sum())
    if lost:
        return Reading(OUT, f"not a finite number{_seeds(lost, len(now[0]))}: the numbers before it say where", now)
    for test, meaning in gauge.rules:
        hit = [any(test(v[-1, s], v[0, s]) for v in there) for s in range(len(now[0]))]
        if any(hit):
            return Reading(OUT, meaning + _seeds(sum(hit), len(hit)), now)
    if not gauge.rules:
        return Reading(OPEN, f"{_trend(there[0])}; what is good depends on the task", now)
    return Reading(FINE, _sane(gauge), now)


def _seeds(hit: int, of: int) -> str:
    return f" (in {hit} of {of} seeds)" if of > 1 else ""


def _trend(values: np.ndarray) -> str:
    """How the mean over seeds of the last tenth of the steps differs from the first tenth."""
    line = values.mean(axis=1)
    line = line[np.isfinite(line)]
    if len(line) < 10:
        return "too few steps for a trend"
    tenth = max(3, len(line) // 10)
    early, late = line[:tenth], line[-tenth:]
    change, error = late.mean() - early.mean(), np.sqrt((early.var(ddof=1) + late.var(ddof=1)) / tenth)
    if abs(change) <= 2 * error:
        return "no clear change since the start"
    return f"{'up' if change > 0 else 'down'} by {svg.number(abs(change), 2)} since the start"


def _sane(gauge: Gauge) -> str:
    if gauge.low is not None:
        return f"between {svg.number(gauge.low)} and {svg.number(gauge.high)}"
    if gauge.high is not None:
        return f"at most {svg.number(gauge.high)}"
    return {"entropy": "between a fifth and twice its start", "gradient norm": "above 0"}[gauge.name]


def newest(reading: Reading) -> str:
    """The newest value in digits: the mean over seeds, or lowest to highest where the gauge shows a range."""
    if not reading.now:
        return "–"
    if len(reading.now) == 2:
        return f"{svg.number(reading.now[0].min(), 3)} to {svg.number(reading.now[1].max(), 3)}"
    return svg.number(reading.now[0].mean(), 3)


def spread(reading: Reading) -> str:
    """Lowest to highest seed in digits; nothing for one seed or a gauge that shows a range anyway."""
    if len(reading.now) != 1 or len(reading.now[0]) < 2:
        return ""
    values = reading.now[0]
    return f"{svg.number(values.min(), 3)} to {svg.number(values.max(), 3)} over {len(values)} seeds"


def loss_words(series: dict, described) -> str:
    """What the loss is now and why it is no gauge. described: run.config["objective"], or None."""
    name, options = (described.get("name"), described.get("options")) if isinstance(described, dict) else (None, None)
    now = f"{svg.number(series['loss'][1][-1].mean(), 3)} now. " if "loss" in series else "not logged. "
    centred = name == "reinforce" and isinstance(options, dict) and options.get("baseline") == "batch"
    if name in UNCENTRED and not centred:
        return now + (
            f"The advantages of {name} do not sum to 0, so its loss need not be near 0; it moves with the rewards and "
            "measures no progress. Watch the reward."
        )
    why = "advantages sum to 0, and on-policy each ratio is 1, so the terms cancel"
    why = "each term is the logarithm of a ratio, which is 1 on-policy" if name == "nft" else why
    exact = "" if name == "nft" else " (exactly if each completion weighs the same, nearly if each token does)"
    return now + (
        f"A loss near 0 is expected and says nothing: {why}{exact}. The gradient, Σ A ∇log π, does not vanish with it, "
        "and that is what learns. Watch the reward and the gradient norm."
    )
