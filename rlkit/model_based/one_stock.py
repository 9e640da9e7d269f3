"""The exact optimum of one fished stock, by dynamic programming on a fine grid; and a logistic model fitted to a log.

What is left after the catch, s, decides what comes: X' = growth(s) + noise s xi. So with the years t still to go

    V_t(x) = max over s <= x of (x - s) + W_t(s),   W_t(s) = E[V_{t+1}(X')], and -100 / (t + 1) where X' is lost.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from rlkit import checks
from rlkit.envs.fishery import ALONE, COLLAPSE, PENALTY, YEARS, eaten

STEP, MOST = 0.0025, 2.5  # width of a cell of the grid; the largest stock


class Plan(NamedTuple):
    """stocks [N]: middles of the cells. left [T, N]: what the best policy leaves of each stock in each year. values
    [N]: the largest expected return from each stock, in the first year."""

    stocks: np.ndarray
    left: np.ndarray
    values: np.ndarray

    def value(self, stock: float) -> float:
        """The largest expected return of an episode that starts with this stock."""
        return float(np.interp(stock, self.stocks, self.values))


def single_growth(left):
    """The single fishery's stock a year after `left` was left, without noise; any shape."""
    return left + left * (1 - left) - eaten(left, ALONE["predation"], ALONE["half"])


def logistic_growth(rate, capacity):
    """s -> s + rate s (1 - s / capacity)."""
    return lambda left: left + rate * left * (1 - left / capacity)


def plan(growth, noise) -> Plan:
    """The exact optimum of a fishery of one stock over 200 years, of all policies that see the stock and the year.

    growth: the stock after a year without noise, a function of what is left. noise: its deviation for each unit left.
    Exact up to the grid: chances of its cells from the normal distribution, values at their middles.
    """
    stocks, ahead, lost = _chances(growth, noise)
    values, left = stocks.copy(), np.empty((YEARS, len(stocks)))
    values[:] = 0.0
    for year in reversed(range(YEARS)):
        gain = ahead @ values - lost * PENALTY / (year + 1) - stocks  # W_t(s) - s
        best = np.maximum.accumulate(gain)
        place = np.maximum.accumulate(np.where(gain >= best, np.arange(len(gain)), 0))
        left[year], values = stocks[place], stocks + best
    return Plan(stocks, left, values)


def best_alone() -> dict:
    """The best that any policy can do in the single fishery: expected returns and what is left, by name.

    "best, of stock and year": the optimum; "its rule of year 0, kept": the same without the plunder of the last years.
    Then what the optimum leaves of a stock of 1 in the first year, in year 150 and in the last.
    """
    noise = 0.1  # of SingleFishery, where nothing else is said
    best = plan(single_growth, noise)
    kept = exact_return(single_growth, noise, lambda stocks: best.left[0], ALONE["start"])
    found = {"best, of stock and year": best.value(ALONE["start"]), "its rule of year 0, kept": kept}
    left = best.left[:, np.abs(best.stocks - 1).argmin()]
    return found | {f"best leaves of 1, year {year}": float(left[year]) for year in (0, 150, YEARS - 1)}


def exact_return(growth, noise, left, start) -> float:
    """The expected return of one policy from the stock `start`, by the same recursion.

    left: a function, stocks [N] -> what the policy leaves of each, at most the stock.
    """
    stocks, ahead, lost = _chances(growth, noise)
    rest = np.clip(left(stocks), 0.0, stocks)
    values = np.zeros(len(stocks))
    for year in reversed(range(YEARS)):
        coming = ahead @ values - lost * PENALTY / (year + 1)
        values = stocks - rest + np.interp(rest, stocks, coming)
    return float(np.interp(start, stocks, values))


def _chances(growth, noise):
    """Middles of the cells [N], chances of each next cell from each [N, N], and the chance to be lost [N]."""
    checks.positive("noise", noise)
    edges = np.arange(COLLAPSE, MOST + STEP / 2, STEP)
    stocks = np.concatenate([np.arange(STEP / 2, COLLAPSE, STEP), (edges[1:] + edges[:-1]) / 2])
    below = ndtr((edges - growth(stocks)[:, None]) / (noise * stocks[:, None]))  # P(X' <= edge)
    below[:, -1] = 1.0  # more than MOST counts as MOST
    ahead = np.zeros((len(stocks), len(stocks)))
    ahead[:, -(len(edges) - 1) :] = np.diff(below, axis=1)
    return stocks, ahead, below[:, 0]


class Logistic(NamedTuple):
    """A logistic model X' = s + rate s (1 - s / capacity) + noise s xi."""

    rate: float
    capacity: float
    noise: float


def fit_logistic(left, after) -> Logistic:
    """Least squares of (X' - s) / s = rate - (rate / capacity) s + noise xi, on what was left s [N] and X' [N].

    Raises ValueError where the data show no growth that falls with the stock.
    """
    left, after = checks.finite("left", left), checks.finite("after", after)
    change = (after - left) / left
    slope, rate = np.polyfit(left, change, 1)
    if rate <= 0 or slope >= 0:
        raise ValueError(f"rate={rate:.3g}, slope={slope:.3g}: must be growth that falls with the stock")
    return Logistic(float(rate), float(-rate / slope), float((change - rate - slope * left).std()))
