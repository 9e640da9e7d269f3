"""From a run to the line that is drawn of it: smoothing, statistic over seeds, interval, fewer points."""

import numpy as np
from scipy.special import stdtrit

from rlkit import checks
from rlkit.runs import Run
from rlkit.stats import iqm, widening
from rlkit.widgets import svg

REPLICATES = 200


def smooth(values, window: int) -> np.ndarray:
    """Mean over the last `window` rows of values [N, S], over fewer at the start; a window with a NaN gives NaN."""
    values = np.asarray(values, dtype=float)
    window = min(checks.positive_int("window", window), max(1, len(values)))
    if window == 1:
        return values
    good = np.isfinite(values)
    total = np.cumsum(np.where(good, values, 0.0), axis=0)
    gaps = np.cumsum(~good, axis=0)
    total[window:], gaps[window:] = total[window:] - total[:-window], gaps[window:] - gaps[:-window]
    rows = np.minimum(np.arange(1, len(values) + 1), window)[:, None]
    return np.where(gaps > 0, np.nan, total / rows)


def over_seeds(values, statistic: str) -> np.ndarray:
    """Mean or IQM over the seeds: values [N, S] -> [N]; NaN at a step where a seed's value is not finite.

    A diverged seed is not left out: what remains would look better than the learner is.
    """
    values = np.asarray(values, dtype=float)
    good = np.isfinite(values).all(axis=1)
    result = np.full(len(values), np.nan)
    if good.any():
        result[good] = values[good].mean(axis=1) if statistic == "mean" else iqm(values[good], axis=1)
    return result


def interval(values, statistic: str) -> tuple[np.ndarray, np.ndarray]:
    """A 95 % interval over seeds at each step: values [N, S] -> low [N], high [N]; NaN where S = 1 or over_seeds is.

    mean: m +- t(S-1) sd / sqrt(S), Student's interval. IQM: percentile bootstrap over seeds, 200 replicates with seed
    0, widened for few seeds as in rlkit.stats. Quick enough to be redone while a run grows; verdicts use rlkit.stats.
    """
    values = np.asarray(values, dtype=float)
    seeds, good = values.shape[1], np.isfinite(values).all(axis=1)
    low, high = np.full(len(values), np.nan), np.full(len(values), np.nan)
    if seeds > 1 and good.any():
        chosen, centre = values[good], over_seeds(values[good], statistic)
        if statistic == "mean":
            below = above = stdtrit(seeds - 1, 0.975) * chosen.std(axis=1, ddof=1) / np.sqrt(seeds)
        else:
            drawn = np.random.default_rng(0).integers(seeds, size=(REPLICATES, seeds))
            replicates = iqm(chosen[:, drawn], axis=2)  # [N, replicates]
            ends = np.quantile(replicates, [0.025, 0.975], axis=1)
            below, above = (centre - ends[0]) * widening(seeds), (ends[1] - centre) * widening(seeds)
        low[good], high[good] = centre - below, centre + above
    return low, high


def labels(runs: list) -> list[str]:
    """What to call each run: its name, or its folder's (`name-2`) where two runs of the same name stand together."""
    names = [run.name for run in runs]
    return [run.name if names.count(run.name) == 1 else run.path.name for run in runs]


def arms(runs: list) -> list[tuple]:
    """What is drawn as one curve: (run, its label, its positions in [S] or None for all), in order.

    A run is one curve, or one for each arm where config["rows"] = [{"arm": ...}, ...] names its S positions.
    """
    found = []
    for run, name in zip(runs, labels(runs), strict=True):
        rows = run.config.get("rows") or []
        names = list(dict.fromkeys(str(row["arm"]) for row in rows))
        for arm in names:
            label = arm if len(runs) == 1 else f"{name}: {arm}"
            found.append((run, label, [i for i, row in enumerate(rows) if str(row["arm"]) == arm]))
        found += [] if names else [(run, name, None)]
    return found


def references(runs: list, metric: str) -> dict[str, float]:
    """What to compare a metric with: label -> level, from each run's config["references"][metric].

    A name that means different levels in two runs carries the run's name. Raises ValueError for what is no number.
    """
    found = {}
    for run, name in zip(runs, labels(runs), strict=True):
        for line, level in run.config.get("references", {}).get(metric, {}).items():
            level = float(checks.finite(f"references[{line!r}] of run {name}", level))
            label = line if found.get(line, level) == level else f"{line} of {name}"
            found[label] = level
    return found


def summarise(run: Run, name, names, metric, statistic, window, points, positions=None) -> tuple:
    """One run's svg.Line, called `name`, and its row of the table. names: the metrics it has logged; points: at most;
    positions: the seeds that count, all by default.

    The seeds' curves are smoothed first, then put together over the seeds, so the band is the interval of what is
    drawn. A metric logged as one number, with its standard error beside it as `<metric>_se`, gets +- 1.96 of that.
    The row: run, state, seeds, last step, last value, its interval, mean over all steps (unsmoothed).
    """
    if metric not in names:
        return svg.Line(name, np.empty(0), np.empty(0)), (name, run.state, "–", svg.number(run.last_step), *"–––")
    steps, values = run.series(metric)  # [N], [N, S]
    values = svg.finite(values if positions is None or values.shape[1] == 1 else values[:, positions])
    seeds, smoothed = values.shape[1], smooth(values, window)
    line = over_seeds(smoothed, statistic)
    keep = svg.thin(line, points)
    low, high = interval(smoothed[keep], statistic)
    errors = run.series(f"{metric}_se") if f"{metric}_se" in names and seeds == 1 else None
    if errors is not None and np.array_equal(errors[0], steps):
        half = 1.96 * smooth(svg.finite(errors[1][:, :1]), window)[keep, 0]
        low, high, seeds = line[keep] - half, line[keep] + half, "as logged"
    whole = over_seeds(values, statistic)
    raw = svg.thin(whole, points) if window > 1 else None
    band = f"{svg.number(low[-1])} to {svg.number(high[-1])}" if np.isfinite(low[-1]) else "–"
    lost = int((~np.isfinite(values[-1])).sum())
    last = f"{lost} of {values.shape[1]} not finite" if lost else svg.number(line[-1])
    overall = svg.number(whole[np.isfinite(whole)].mean() if np.isfinite(whole).any() else None)
    row = (name, run.state, seeds, svg.number(int(steps[-1])), last, band, overall)
    return svg.Line(name, steps[keep], line[keep], low, high, None if raw is None else (steps[raw], whole[raw])), row
