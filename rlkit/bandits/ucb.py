"""Optimism in the face of uncertainty: UCB1, KL-UCB, sliding-window UCB. Each index is a function of plain arrays.

For the contract of a policy see policies.py.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from scipy.special import rel_entr

from rlkit import checks
from rlkit.bandits.policies import random_argmax, start_averages, table, update_average


def ucb_index(mean, count, t, c=2.0):
    """mean + sqrt(c ln(t) / count), and +inf for an arm that was never pulled.

    c = 2 is UCB1 for rewards in [0, 1]: Auer, Cesa-Bianchi and Fischer (2002), Figure 1. For rewards with standard
    deviation s around their mean use c = 2 s^2. Sutton and Barto (2018), equation 2.10, write the factor before the
    root: their c = 2 is c = 4 here.

    Args: mean, count: arrays of one shape [..., A]; t: pulls so far, at least 1, scalar or broadcastable.
    Returns: index [..., A], in units of reward.
    """
    mean, count = np.asarray(mean, dtype=float), np.asarray(count, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        bonus = np.sqrt(c * np.log(np.maximum(t, 1)) / count)
    return np.where(count > 0, mean + bonus, np.inf)


def kl_bernoulli(p, q):
    """d(p, q) = p ln(p / q) + (1 - p) ln((1 - p) / (1 - q)) in nats, arrays welcome; 0 ln 0 = 0."""
    return rel_entr(p, q) + rel_entr(1 - p, 1 - q)


def kl_ucb_index(mean, count, t, c=0.0):
    """The largest q with count d(mean, q) <= ln(t) + c ln(ln(t)), d = kl_bernoulli; +inf for an arm never pulled.

    Garivier and Cappe (2011), Algorithm 1; c = 3 in the proof, c = 0 recommended in practice (section 2). Solved by
    Newton's method from above: d is convex in q, so the iterates fall onto the root and never pass it.

    Args: mean in [0, 1] and count: arrays of one shape [..., A]; t: pulls so far, at least 1.
    Returns: index [..., A], in [mean, 1], or +inf. Accurate to 1e-9. Raises: ValueError when a mean is not in [0, 1].
    """
    mean, count = checks.probability("mean", mean), np.asarray(count, dtype=float)
    log_t = np.log(np.maximum(t, 1.0))
    budget = np.maximum(log_t + c * np.log(np.maximum(log_t, 1.0)), 0.0) / np.maximum(count, 1)  # d(mean, q) = budget
    p = np.minimum(mean, 1 - 1e-12)  # the formula divides by 1 - p; the last line mends mean = 1
    miss = 1 - p
    entropy = -rel_entr(p, 1.0) - rel_entr(miss, 1.0)
    # Start at the tighter of two bounds from above: 2 (q - p)^2 <= d and -entropy - (1 - p) ln(1 - q) <= d.
    # What moves is gap = 1 - q, because close to q = 1 it keeps its digits.
    gap = np.maximum(miss - np.sqrt(budget / 2), np.maximum(np.exp(-(budget + entropy) / miss), 1e-300))
    for _ in range(30):
        q = 1 - gap
        with np.errstate(divide="ignore", invalid="ignore"):
            step = (rel_entr(p, q) + rel_entr(miss, gap) - budget) * q * gap / (q - p)
        step = np.where(q > p, np.maximum(step, 0.0), 0.0)
        gap = gap + step
        if step.max() < 1e-10:
            break
    return np.where(count > 0, np.maximum(1 - gap, mean), np.inf)


@dataclass(frozen=True)
class ucb1:
    """Pull the arm with the highest `ucb_index`. Auer, Cesa-Bianchi and Fischer (2002), Figure 1.

    State: `mean`, `count` [R, A], `t`. Raises: ValueError when c is not above 0.
    """

    c: float = 2.0

    def __post_init__(self):
        checks.positive("c", self.c)

    def start(self, runs, arms, features, rng):
        return start_averages(runs, arms, rng)

    def scores(self, state, context=None):
        return ucb_index(state.mean, state.count, state.t, self.c)

    def choose(self, state, context=None):
        return random_argmax(self.scores(state), state.rng)

    def update(self, state, action, reward, context=None):
        update_average(state, action, reward)


@dataclass(frozen=True)
class kl_ucb:
    """Pull the arm with the highest `kl_ucb_index`; rewards in [0, 1]. Garivier and Cappe (2011), Algorithm 1.

    State: `mean`, `count` [R, A], `t`. Raises: ValueError when c is negative or a reward lies outside [0, 1].
    """

    c: float = 0.0

    def __post_init__(self):
        if checks.finite("c", self.c) < 0:
            checks.fail("c", self.c, "at least 0")

    def start(self, runs, arms, features, rng):
        return start_averages(runs, arms, rng)

    def scores(self, state, context=None):
        return kl_ucb_index(state.mean, state.count, state.t, self.c)

    def choose(self, state, context=None):
        return random_argmax(self.scores(state), state.rng)

    def update(self, state, action, reward, context=None):
        checks.probability("reward", reward)
        update_average(state, action, reward)


@dataclass(frozen=True)
class sliding_window_ucb:
    """UCB that remembers only the last `window` pulls, for arms that change:

        mean over the window + sqrt(xi ln(min(t, window)) / count in the window)

    Rewards in [0, 1]; an arm that has left the window is pulled again. Garivier and Moulines (2011), with B = 1;
    their analysis asks for xi above 1/2.

    State: `total`, `count` [R, A] in the window, `t`. Raises: ValueError when window or xi is not above 0.
    """

    window: int = 200
    xi: float = 0.6

    def __post_init__(self):
        checks.positive_int("window", self.window)
        checks.positive("xi", self.xi)

    def start(self, runs, arms, features, rng):
        return SimpleNamespace(
            total=table(runs, arms), count=table(runs, arms), t=0, run=np.arange(runs), rng=rng,
            actions=np.zeros((self.window, runs), dtype=int), rewards=np.zeros((self.window, runs)),
        )  # fmt: skip

    def scores(self, state, context=None):
        mean = state.total / np.maximum(state.count, 1)  # [R, A]
        return ucb_index(mean, state.count, min(state.t, self.window), self.xi)

    def choose(self, state, context=None):
        return random_argmax(self.scores(state), state.rng)

    def update(self, state, action, reward, context=None):
        slot = state.t % self.window
        if state.t >= self.window:  # the pull that was written here `window` pulls ago falls out
            state.count[state.run, state.actions[slot]] -= 1
            state.total[state.run, state.actions[slot]] -= state.rewards[slot]
        state.actions[slot], state.rewards[slot] = action, reward
        state.count[state.run, action] += 1
        state.total[state.run, action] += reward
        state.t += 1
