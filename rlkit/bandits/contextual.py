"""Bandits with a context x, seen before each pull: two kinds of arms, and two policies that are linear in x.

Both policies fit one ridge regression per arm, reward = x . theta[a]:

    A[a] = ridge I + sum x x^T,   b[a] = sum reward x   over the pulls of arm a,   theta[a] = A[a]^-1 b[a]

For the contract of arms see arms.py, for that of a policy policies.py.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from rlkit import checks
from rlkit.bandits.arms import at_least_zero, new_world
from rlkit.bandits.policies import random_argmax


@dataclass(eq=False)
class linear:
    """Contexts x ~ N(0, I) in d dimensions; arm a pays x . theta[a] + N(0, sd^2).

    theta: [A, d]; sd: number of at least 0. Raises: ValueError when theta is no table of finite numbers.
    """

    theta: np.ndarray
    sd: float = 0.1

    def __post_init__(self):
        self.theta = checks.finite("theta", self.theta)
        if self.theta.ndim != 2:
            checks.fail("theta", self.theta, "a table with one row per arm and one column per feature")
        at_least_zero("sd", self.sd)
        self.arms, self.features = self.theta.shape

    def start(self, runs, rng):
        return new_world(np.zeros(self.arms), runs, rng)

    def observe(self, world):
        context = world.rng.standard_normal((len(world.run), self.features))  # [R, d]
        world.mean = context @ self.theta.T  # [R, A]
        world.gap = world.mean.max(axis=1, keepdims=True) - world.mean
        return context

    def pull(self, world, action):
        return world.mean[world.run, action] + self.sd * world.rng.standard_normal(len(action))


@dataclass(eq=False, repr=False)
class classification:
    """A labelled data set as a bandit: see a row of X, name a class, get 1 if it is the label and 0 if not.

    The right label is never shown. Each run sees the rows in its own random order, every row once before any comes
    again (then in a new order). So over the first N pulls the reward is accuracy on rows not seen before. Dudik,
    Langford and Li (2011) use the same reduction.

    X: [N, d]; y: [N] labels of any kind; action k means `classes[k]`.
    Raises: ValueError when X is empty, not a table, not finite, or y has another length.
    """

    X: np.ndarray
    y: np.ndarray

    def __post_init__(self):
        self.X = checks.finite("X", self.X)
        if self.X.ndim != 2:
            checks.fail("X", self.X, "a table with one row per example")
        if np.shape(self.y) != (len(self.X),):
            checks.fail("y", self.y, f"{len(self.X)} labels, one per row of X")
        self.classes, self.label = np.unique(self.y, return_inverse=True)
        self.arms, self.features = len(self.classes), self.X.shape[1]

    def __repr__(self):
        return f"classification({len(self.X)} rows, {self.features} features, {self.arms} classes)"

    def start(self, runs, rng):
        world = new_world(np.zeros(self.arms), runs, rng)
        world.order = np.tile(np.arange(len(self.X)), (runs, 1))  # [R, N]
        return world

    def observe(self, world):
        seen = world.t % len(self.X)
        if seen == 0:
            world.order = world.rng.permuted(world.order, axis=1)
        world.t += 1
        row = world.order[:, seen]  # [R]
        world.mean = (self.label[row][:, None] == np.arange(self.arms)).astype(float)  # [R, A]
        world.gap = 1 - world.mean
        return self.X[row]

    def pull(self, world, action):
        return world.mean[world.run, action]


def _start(runs, arms, features, rng, ridge):
    if features < 1:
        checks.fail("features", features, "at least 1: this policy needs arms with a context")
    # The inverse of ridge * I, not ridge * I itself: an arm never pulled is one of which nothing is known.
    inverse = np.broadcast_to(np.eye(features) / ridge, (runs, arms, features, features)).copy()
    return SimpleNamespace(
        inverse=inverse,  # [R, A, d, d]
        b=np.zeros((runs, arms, features)),
        theta=np.zeros((runs, arms, features)),
        run=np.arange(runs),
        rng=rng,
    )


def _predict(state, context):
    """Predicted reward x . theta[a] [R, A], and the width sqrt(x^T A[a]^-1 x) [R, A] of its confidence ellipsoid."""
    mean = (state.theta @ context[:, :, None])[..., 0]
    spread = (state.inverse @ context[:, None, :, None])[..., 0]  # [R, A, d]
    return mean, np.sqrt((spread @ context[:, :, None])[..., 0])


def _update(state, action, reward, context):
    """Sherman and Morrison (1950): (A + x x^T)^-1 = A^-1 - v v^T / (1 + x . v) with v = A^-1 x, in O(d^2)."""
    pulled = state.run, action
    inverse = state.inverse[pulled]  # [R, d, d]
    v = (inverse @ context[:, :, None])[..., 0]  # [R, d]
    inverse -= v[:, :, None] * (v / (1 + (v * context).sum(axis=1, keepdims=True)))[:, None, :]
    state.inverse[pulled] = inverse
    state.b[pulled] += reward[:, None] * context
    state.theta[pulled] = (inverse @ state.b[pulled][:, :, None])[..., 0]


@dataclass(frozen=True)
class linucb:
    """Pull the arm with the highest x . theta[a] + alpha sqrt(x^T A[a]^-1 x).

    An arm never pulled scores alpha |x| / sqrt(ridge). Li, Chu, Langford and Schapire (2010), Algorithm 1 (disjoint
    models), where ridge = 1. State: `theta` [R, A, d], `inverse` [R, A, d, d] (memory and time grow with R A d^2).

    Raises: ValueError when alpha or ridge is not above 0, or the arms have no context.
    """

    alpha: float = 1.0
    ridge: float = 1.0

    def __post_init__(self):
        checks.positive("alpha", self.alpha)
        checks.positive("ridge", self.ridge)

    def start(self, runs, arms, features, rng):
        return _start(runs, arms, features, rng, self.ridge)

    def scores(self, state, context):
        mean, width = _predict(state, context)
        return mean + self.alpha * width

    def choose(self, state, context):
        return random_argmax(self.scores(state, context), state.rng)

    def update(self, state, action, reward, context):
        _update(state, action, reward, context)


@dataclass(frozen=True)
class linear_thompson:
    """Draw each arm's score from its posterior N(x . theta[a], sd^2 x^T A[a]^-1 x), pull the highest.

    This is the law of x . beta with beta ~ N(theta[a], sd^2 A[a]^-1); arms have separate models, so their scores are
    independent and no matrix square root is needed. Agrawal and Goyal (2013), Algorithm 1, with one model per arm and
    `sd` for their v. State: as linucb. Raises: as linucb, for sd and ridge.
    """

    sd: float = 1.0
    ridge: float = 1.0

    def __post_init__(self):
        checks.positive("sd", self.sd)
        checks.positive("ridge", self.ridge)

    def start(self, runs, arms, features, rng):
        return _start(runs, arms, features, rng, self.ridge)

    def scores(self, state, context):
        return _predict(state, context)[0]

    def choose(self, state, context):
        mean, width = _predict(state, context)
        return random_argmax(mean + self.sd * width * state.rng.standard_normal(mean.shape), state.rng)

    def update(self, state, action, reward, context):
        _update(state, action, reward, context)
