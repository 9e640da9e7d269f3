"""Fisheries: how much of each stock to catch in a year, when the stocks eat and crowd one another.

Equations and numbers: Montealegre-Mora, Lapeyrolerie, Chapman, Keller and Boettiger 2023, Pretty darn good control
(arXiv 2308.13654), their manuscript and code (github.com/boettiger-lab/approx-model-or-approx-soln). The fixed predator
of the single stock is from May 1977 (Nature 269).
"""

import numpy as np

from rlkit import checks
from rlkit.envs.behaviours import QUALITIES, stray, wander

YEARS, COLLAPSE, PENALTY = 200, 0.05, 100.0  # of an episode; the stock that counts as lost; what a loss costs, over t
START, SPREAD = (0.5, 0.5, 0.7), 0.005
PREDATION, HALF, COMPETITION, BIRTH, DEATH, TASTE = 0.3, 0.3, 0.1, 0.1, 0.1, 1.1  # beta, c, c_xy, f, d_z, D
ALONE = {"start": 0.7, "predation": 0.1, "half": 0.3}  # of the single stock: beta H and c
EXPERT, EXPERT_ALONE = ((0.29, 0.29), 1.28, 0.34), 0.45  # of `guarded`; the escapement of the single stock


def eaten(stock, predation, half):
    """What a predator takes of a stock in a year, predation stock^2 / (half^2 + stock^2): any shapes that broadcast."""
    return predation * stock**2 / (half**2 + stock**2)


class Fishery:
    """Three stocks, of which one or two are fished, as a Simulator (see simulator.py).

    A year: first the catch, M_x X and M_y Y, which is the reward; what is left grows by

        X' = X + r_x X (1 - X) - 0.3 Z X^2 / (0.3^2 + X^2) - 0.1 X Y + noise X xi_x
        Y' = Y + Y (1 - Y) - 1.1 0.3 Z Y^2 / (0.3^2 + Y^2) - 0.1 X Y + noise Y xi_y
        Z' = Z + Z (0.1 (X + 1.1 Y) - 0.1) + noise Z xi_z

    X and Y compete, Z eats both and nobody fishes it. States [B, 4]: the stocks (1 is what X alone would grow to) and
    the year t. Observations: the stocks, not the year. Actions in [-1, 1]: M = (a + 1) / 2 of X, or of X and Y. A stock
    of 0.05 or less ends the episode and costs 100 / (t + 1), with t = 0 in the first year. Starts: (0.5, 0.5, 0.7),
    with a deviation of 0.005. harvested: 1 or 2. noise: deviation for each unit of stock. drift: r_x falls from 1 to
    0.5 in the first 100 years, else it is 1. Raises ValueError for others.
    """

    name, observation_size, actions, horizon, noise_size = "fishery", 3, None, YEARS, 3
    labels = ("X, prey (share of its capacity)", "Y, prey (share of its capacity)", "Z, predator")

    def __init__(self, harvested=2, noise=0.1, drift=False):
        self.action_size = checks.one_of("harvested", harvested, (1, 2))
        self.noise, self.drift = _noise(noise), checks.one_of("drift", drift, (False, True))

    def start(self, rng, count):
        stocks = np.array(START) + SPREAD * rng.standard_normal((count, 3))
        return np.concatenate([stocks, np.zeros((count, 1))], axis=1)

    def observe(self, states):
        return states[:, :-1].astype(np.float32)

    def step(self, states, actions, noise):
        return _year(self, states, actions, noise)

    def grow(self, stocks, year, noise):
        """The stocks [B, 3] a year later, without catch; year [B], noise [B, 3]."""
        x, y, z = stocks.T
        rate = 1 - np.minimum(year, 100) / 200 if self.drift else 1.0
        crowding = COMPETITION * x * y
        after_x = x + rate * x * (1 - x) - z * eaten(x, PREDATION, HALF) - crowding
        after_y = y + y * (1 - y) - TASTE * z * eaten(y, PREDATION, HALF) - crowding
        after_z = z + z * (BIRTH * (x + TASTE * y) - DEATH)
        return np.stack([after_x, after_y, after_z], axis=1) + self.noise * stocks * noise


class SingleFishery:
    """One stock and a predator whose number is fixed, as a Simulator. States [B, 2]: stock and year; else as Fishery.

        X' = X + X (1 - X) - 0.1 X^2 / (0.3^2 + X^2) + noise X xi

    Starts: 0.7, with a deviation of 0.005. Without a predator the best policy is a constant escapement (Reed 1979,
    J. Environ. Econ. Manag. 6). Raises ValueError for a noise below 0.
    """

    name, observation_size, action_size, actions = "fishery-one-species", 1, 1, None
    horizon, noise_size, labels = YEARS, 1, ("X (share of its capacity)",)

    def __init__(self, noise=0.1):
        self.noise = _noise(noise)

    def start(self, rng, count):
        return np.stack([ALONE["start"] + SPREAD * rng.standard_normal(count), np.zeros(count)], axis=1)

    def observe(self, states):
        return states[:, :-1].astype(np.float32)

    def step(self, states, actions, noise):
        return _year(self, states, actions, noise)

    def grow(self, stocks, year, noise):
        """The stock [B, 1] a year later, without catch; year is not used."""
        grown = stocks + stocks * (1 - stocks) - eaten(stocks, ALONE["predation"], ALONE["half"])
        return grown + self.noise * stocks * noise


def _noise(noise) -> float:
    if checks.finite("noise", noise).ndim or noise < 0:
        checks.fail("noise", noise, "a number of at least 0")
    return float(noise)


def _year(fishery, states, actions, noise):
    """Catch, growth, and the end of a lost fishery: what `step` returns."""
    stocks, year, fished = states[:, :-1].copy(), states[:, -1], slice(fishery.action_size)
    share = (np.clip(actions, -1, 1) + 1) / 2
    caught = share * stocks[:, fished]
    stocks[:, fished] -= caught
    stocks = np.maximum(fishery.grow(stocks, year, noise), 0.0)
    lost = (stocks <= COLLAPSE).any(axis=1)
    rewards = caught.sum(axis=1) - np.where(lost, PENALTY / (year + 1), 0.0)
    return np.concatenate([stocks, year[:, None] + 1], axis=1), rewards, lost


def mortality(rates):
    """Constant mortality: the act that catches the same share of each stock every year, rates [A] in [0, 1]."""
    actions = 2 * np.asarray(rates, dtype=float) - 1
    return lambda observations: np.broadcast_to(actions, (len(observations), len(actions)))


def escapement(left):
    """Constant escapement: the act that leaves `left` [A] of each stock and catches all above it (`kept`)."""
    left = np.asarray(left, dtype=float)
    return lambda observations: 2 * kept(observations[:, : len(left)].astype(float), left) - 1


def kept(stocks, left):
    """The share M = clip(1 - left / stock, 0, 1) that a catch down to `left` takes; any shapes that broadcast."""
    return np.clip(1 - left / np.maximum(stocks, 1e-9), 0.0, 1.0)


def guarded_catch(stocks, left, guard, level):
    """Escapements that rise as the predator gets rare: the shares M [B, 2] of X and Y, from stocks [B, 3].

    M_i = clip(1 - (left_i + guard max(level - Z, 0)) / stock_i, 0, 1), with left [2]. guard 0 is constant escapement.
    """
    return kept(stocks[:, :2], np.asarray(left) + guard * np.maximum(level - stocks[:, 2:], 0.0))


def guarded(left, guard, level):
    """The act of `guarded_catch`, for the fishery of two stocks out of three."""
    return lambda observations: 2 * guarded_catch(observations.astype(float), left, guard, level) - 1


def behaviour(quality):
    """The factory of the behaviour policy of a quality: "random" wanders; "expert" is the rule `guarded`, or constant
    escapement of a single stock; "medium" is the expert with noise and random stretches.

    For one stock, or two fished ones out of three; a fishery with harvested=1 has none. The expert's numbers were found
    by cross-entropy search with other seeds. Mean returns: random -46, medium 30, expert 68 of three stocks; -25,
    23, 36 of one. Raises ValueError for another quality.
    """
    checks.one_of("quality", quality, QUALITIES)

    def make(count, rng):
        act = None

        def drive(observations):
            nonlocal act
            if act is None:  # the number of stocks is seen in the first step
                size = {3: 2, 1: 1}[observations.shape[1]]
                steady = guarded(*EXPERT) if size == 2 else escapement([EXPERT_ALONE])
                makers = {"random": wander(size), "medium": stray(steady, size, 0.2, 0.02, 2)}
                act = makers[quality](count, rng) if quality in makers else steady
            return act(observations)

        return drive

    return make
