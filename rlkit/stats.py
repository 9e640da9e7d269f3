"""Evidence in numbers: pass@k, the interquartile mean, bootstrap intervals whose unit is the seed, slopes.

Two bootstraps, for two questions. `bootstrap_ci` is the interval that reinforcement learning papers print beside an
aggregate over runs and tasks. `paired_bootstrap` is what our verdicts rest on: it compares arms on the same seeds and
problems and is widened until it covers what it promises with as few as three seeds.
"""

from typing import NamedTuple

import numpy as np

from rlkit import checks

AXES = (("seed",), ("seed", "problem"), ("seed", "episode"), ("seed", "problem", "episode"))
CHUNK = 2**20  # numbers held at once while resampling: large enough for NumPy, small enough for the cache


class Interval(NamedTuple):
    """An estimate with its interval: numbers, or arrays of one shape where the statistic returned an array.

    level: nominal coverage. seeds: number of independent runs it rests on. replicates: bootstrap replicates.
    """

    estimate: float | np.ndarray
    low: float | np.ndarray
    high: float | np.ndarray
    level: float
    seeds: int
    replicates: int


def _plain(value):
    return float(value) if np.ndim(value) == 0 else value


def pass_at_k(n, c, k):
    """The unbiased estimate of pass@k: the chance that k of n samples, drawn without replacement, hold a correct one.

    pass@k = 1 - C(n-c, k) / C(n, k) = 1 - prod_{i=n-c+1}^{n} (1 - k/i), and 1 where n - c < k.

    n: samples drawn per problem; c: how many are correct, 0 <= c <= n; k: 1 <= k <= n. Whole numbers or arrays that
    broadcast against each other: c [P, 1] with k [K] gives [P, K]. Returns a float or an array of floats in [0, 1].
    Raises ValueError for anything else. Source: Chen et al. 2021 (arXiv 2107.03374), equation 1 and figure 3.
    """
    n, c, k = checks.finite("n", n), checks.finite("c", c), checks.finite("k", k)
    try:
        n, c, k = np.broadcast_arrays(n, c, k)
    except ValueError:
        raise ValueError(f"n, c, k of shapes {n.shape}, {c.shape}, {k.shape}: must broadcast together") from None
    for name, value, bad, allowed in (
        ("n", n, n < 1, "a whole number of at least 1"),
        ("c", c, (c < 0) | (c > n), "a whole number from 0 to n"),
        ("k", k, (k < 1) | (k > n), "a whole number from 1 to n"),
    ):
        bad = bad | (value != np.floor(value))
        if bad.any():
            checks.fail(name, float(value[bad][0]), allowed)
    miss = np.ones(n.shape)
    for j in range(int(c.max())):  # i = n - j runs from n down to n - c + 1
        miss = np.where(j < c, miss * (1 - k / np.maximum(n - j, 1)), miss)
    return _plain(np.where(n - c < k, 1.0, 1 - miss))


def iqm(values, axis=None):
    """The interquartile mean: the mean of what is left when floor(n/4) values are cut from each end.

    Equal to scipy.stats.trim_mean(values, 0.25, axis), also where n is not divisible by 4. axis: None (all values), an
    axis, or a tuple of axes that are taken together. Returns a float or an array without those axes. Raises ValueError
    for NaN, infinity or no values. Source: Agarwal et al. 2021 (arXiv 2108.13264), section 4.3.
    """
    array = checks.finite("values", values)
    axes = tuple(range(array.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    array = np.moveaxis(array, axes, range(-len(axes), 0))
    array = array.reshape(array.shape[: array.ndim - len(axes)] + (-1,))
    cut = int(0.25 * array.shape[-1])
    return _plain(np.sort(array, axis=-1)[..., cut : array.shape[-1] - cut].mean(axis=-1))


def slope(x, y):
    """The least-squares slope of y on x: sum (x - mean x)(y - mean y) / sum (x - mean x)^2.

    x [N], at least two different values; y [..., N]. Returns a float or [...]; NaN in y gives NaN. Raises ValueError
    for an x that is not finite, constant, or of another length.
    """
    x, y = checks.finite("x", x), np.asarray(y, dtype=float)
    if x.ndim != 1 or (x == x[0]).all():
        checks.fail("x", x, "a list with at least two different values")
    if y.shape[-1:] != x.shape:
        raise ValueError(f"y of shape {y.shape}: its last axis must have one value for each of {len(x)} x")
    centred = x - x.mean()
    return _plain((y * centred).sum(axis=-1) / (centred**2).sum())


def loglog_slope(x, y, floor=None):
    """The exponent b of y = a x^b: the least-squares slope of log y on log x. A rate 1/sqrt(N) has b = -1/2.

    x [N] above 0; y [..., N]. floor: a positive resolution below which y is read as floor (for a decay this makes the
    slope flatter, never steeper); without it, a row of y with a value of 0 or less has no exponent and gives NaN.
    Returns a float or [...]. Raises ValueError for x of 0 or less and as `slope`.
    """
    x, y = checks.finite("x", x), np.asarray(y, dtype=float)
    if (x <= 0).any():
        checks.fail("x", x, "above 0")
    if floor is not None:
        y = np.maximum(y, checks.positive("floor", floor))
    return slope(np.log(x), np.log(np.where(y > 0, y, np.nan)))


def _level(level) -> float:
    if checks.positive("level", level) >= 1:
        checks.fail("level", level, "between 0 and 1, such as 0.95")
    return float(level)


def _quantiles(replicated, level, estimate):
    """Percentiles over the first axis; refuses replicates on which the statistic does not exist."""
    lost = int((~np.isfinite(replicated).reshape(len(replicated), -1).all(axis=1)).sum())
    if lost or not np.isfinite(estimate).all():
        where = f"{lost} of {len(replicated)} bootstrap replicates" if lost else "the estimate"
        raise ValueError(f"statistic: it is NaN or infinite on {where}: must be finite (log of 0? see loglog_slope)")
    return np.quantile(replicated, [(1 - level) / 2, (1 + level) / 2], axis=0)


def bootstrap_ci(values, statistic=iqm, *, tasks=None, replicates=50_000, level=0.95, seed=0) -> Interval:
    """The stratified percentile bootstrap: in each replicate, S runs are drawn with replacement within each task.

    values [S, tasks] (or [S] for one task): one score per run, its episodes already averaged. statistic: called as
    `statistic(sample [n, S, tasks], axis=(-2, -1))`, returns [n] or [n, ...]; np.mean, np.median and `iqm` do.
    tasks: the names of the columns; giving them catches a transposed table. seed: the same seed gives the same
    interval. Returns Interval.

    With few seeds this classic is too narrow (three runs: about 75 % where 95 % is promised); verdicts therefore use
    `paired_bootstrap`. Raises ValueError for NaN, a single run, other shapes. Source: Agarwal et al. 2021, section 4.1.
    """
    values = checks.finite("values", values)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2:
        raise ValueError(f"values of shape {values.shape}: must be [runs, tasks], episodes averaged within each run")
    runs, width = values.shape
    if tasks is not None and len(tasks) != width:
        swapped = "; rows and columns look swapped" if len(tasks) == runs else ""
        raise ValueError(f"values of shape {values.shape}: must be [runs, {len(tasks)} tasks]{swapped}")
    if runs < 2:
        raise ValueError(
            f"values of shape {values.shape}: one run shows no spread: must be [runs, tasks] with runs >= 2"
        )
    replicates, level = checks.positive_int("replicates", replicates), _level(level)
    rng = np.random.default_rng(checks.seed(seed))
    estimate = np.asarray(statistic(values, axis=(-2, -1)))
    rows = max(1, CHUNK // values.size)
    replicated = []
    for start in range(0, replicates, rows):
        drawn = rng.integers(
            0, runs, size=(min(rows, replicates - start), runs, width), dtype=np.int32
        )  # [n, S, tasks]
        drawn *= width
        drawn += np.arange(width, dtype=np.int32)
        replicated.append(np.asarray(statistic(values.ravel().take(drawn), axis=(-2, -1))))
    replicated = np.concatenate([np.atleast_1d(part) for part in replicated])
    if replicated.shape != (replicates, *estimate.shape):
        raise ValueError(
            f"statistic: it returned {replicated.shape} for {replicates} samples: must reduce the given axis"
        )
    low, high = _quantiles(replicated, level, estimate)
    return Interval(_plain(estimate), _plain(low), _plain(high), level, runs, replicates)


def _counts(rng, rows: int, size: int) -> np.ndarray:
    """How often each of `size` units is drawn when `size` are drawn with replacement: [rows, size]."""
    drawn = rng.integers(0, size, size=(rows, size)) + np.arange(rows)[:, None] * size
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)


def _weights(rng, rows: int, axes: tuple, sizes: tuple) -> np.ndarray:
    """The weight of every cell in every replicate, [rows, cells], summing to 1; one draw serves all arms."""
    weights = _counts(rng, rows, sizes[0])  # [rows, S]
    if "problem" in axes:  # one draw of problems for all seeds
        weights = weights[:, :, None] * _counts(rng, rows, sizes[1])[:, None, :]  # [rows, S, P]
    if "episode" in axes:  # every drawn copy of a seed (and problem) draws its own episodes
        weights = rng.multinomial(weights * sizes[-1], np.full(sizes[-1], 1 / sizes[-1]))
    return weights.reshape(rows, -1) / np.prod(sizes)


def widening(units: int, level: float = 0.95) -> float:
    """t(units - 1) / z * sqrt(units / (units - 1)): what a percentile half-width is multiplied by for few units.

    The bootstrap divides by n where a variance needs n - 1, and takes normal where Student's quantiles belong.
    units: an integer of at least 2. Returns a float above 1: 2.69 for 3 units, 1.22 for 10.
    """
    if checks.positive_int("units", units) < 2:
        checks.fail("units", units, "at least 2")
    from scipy import stats as distributions  # slow to import, and training needs no interval

    tail = (1 + _level(level)) / 2
    quantiles = distributions.t.ppf(tail, units - 1) / distributions.norm.ppf(tail)
    return float(quantiles * np.sqrt(units / (units - 1)))


def paired_bootstrap(arms, effect, *, axes=("seed",), replicates=10_000, level=0.95, seed=0) -> Interval:
    """The interval of a verdict: a crossed bootstrap over seeds, paired over arms, widened for few seeds.

    arms: name -> values [*axes, ...]: the first axes are named by `axes` (one of `AXES`), any others (a grid of N,
    steps, k) are kept. effect: called with name -> means over those axes, [replicates, *kept]; it must work on the last
    axes only and return a number, or an array, for each replicate. Returns Interval.

        paired_bootstrap({"lcb": lcb, "empirical": best}, lambda mean: mean["empirical"] - mean["lcb"])   # values [S]
        paired_bootstrap({"lcb": lcb}, lambda mean: loglog_slope(N, mean["lcb"]))                         # [S, len(N)]

    One replicate: draw S seeds with replacement, the same ones for every arm; draw the problems ONCE for all seeds and
    arms that share them; draw episodes anew within each drawn seed (and problem). Both percentiles are then moved away
    from the estimate by `widening(u)`, where u is the smaller of S and the number of problems. Simulated coverage of a
    nominal 95 % is at least 93 % for 3, 5 and 10 seeds with normal variation, whether seeds or problems dominate
    (tests/test_stats.py); 99 % where problems dominate and seeds are few; 88 % with an exponential tail.

    Raises ValueError for fewer than 2 seeds or problems, NaN, other shapes or axes, an effect that mixes replicates or
    is not finite on some. Source of the crossed draw: Owen 2007, The pigeonhole bootstrap, Ann. Appl. Stat..
    """
    axes = tuple(checks.one_of("axes", tuple(axes), AXES))
    if not isinstance(arms, dict) or not arms:
        checks.fail("arms", arms, "a dictionary of name -> values")
    arms = {name: checks.finite(f"arms[{name!r}]", values) for name, values in arms.items()}
    sizes = next(iter(arms.values())).shape[: len(axes)]
    for name, values in arms.items():
        if values.ndim < len(axes) or values.shape[: len(axes)] != sizes:
            raise ValueError(f"arms[{name!r}] of shape {values.shape}: must start with {axes}, alike in all arms")
    shared = [size for axis, size in zip(axes, sizes, strict=True) if axis != "episode"]
    if min(shared) < 2:
        short = axes[shared.index(min(shared))]
        raise ValueError(f"arms of shape {sizes}: one {short} shows no spread: must hold at least 2 on axis {short!r}")
    replicates, level = checks.positive_int("replicates", replicates), _level(level)
    rng = np.random.default_rng(checks.seed(seed))
    cells = int(np.prod(sizes))
    table = np.concatenate([values.reshape(cells, -1) for values in arms.values()], axis=1)  # [cells, kept of all arms]
    rows = max(1, CHUNK // cells)
    parts = [_weights(rng, min(rows, replicates - r), axes, sizes) @ table for r in range(0, replicates, rows)]
    stops = np.cumsum([values.size // cells for values in arms.values()])[:-1]

    def means(flat):  # [..., kept of all arms] -> name -> [..., *kept]
        pieces = zip(arms.items(), np.split(flat, stops, axis=-1), strict=True)
        return {name: piece.reshape(flat.shape[:-1] + values.shape[len(axes) :]) for (name, values), piece in pieces}

    estimate = np.asarray(effect(means(table.mean(axis=0))), dtype=float)
    replicated = np.asarray(effect(means(np.concatenate(parts))), dtype=float)
    if replicated.shape != (replicates, *estimate.shape):
        raise ValueError(f"effect: it returned {replicated.shape}: must keep the first axis and work on the last ones")
    low, high = _quantiles(replicated, level, estimate)
    factor = widening(min(shared), level)
    low = estimate - factor * np.maximum(estimate - low, 0)
    high = estimate + factor * np.maximum(high - estimate, 0)
    return Interval(_plain(estimate), _plain(low), _plain(high), level, sizes[0], replicates)
