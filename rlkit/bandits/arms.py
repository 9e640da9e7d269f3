"""Arms: the worlds a bandit policy can meet.

Arms are a record of the problem with three short methods, and keep nothing between plays:

    start(runs, rng) -> world    a fresh namespace; `gap` [R, A] is the best arm's mean minus each arm's, now
    observe(world)   -> context  time passes (arms drift, a context arrives): [R, d], or None without context
    pull(world, action) -> [R]   one reward for each run

and two numbers: `arms` (A) and `features` (d, 0 without context). No draw depends on the action, so two policies that
are played with one seed meet the same noise. Your own arms are any object with these. Arms
with a context live in contextual.py.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from rlkit import checks
from rlkit.bandits.ucb import kl_bernoulli


def at_least_zero(name, value):
    """Raise ValueError unless value is finite and at least 0."""
    if (checks.finite(name, value) < 0).any():
        checks.fail(name, value, "at least 0")


def _vector(name, values, check):
    values = check(name, values)
    if values.ndim != 1:
        checks.fail(name, values, "a list of one number per arm")
    return values


def new_world(mean, runs, rng):
    """The state of a play: `mean` and `gap` [R, A] from mean [A] (the same in every run) or [R, A], and pulls `t`."""
    mean = np.broadcast_to(mean, (runs, np.shape(mean)[-1]))
    return SimpleNamespace(mean=mean, gap=mean.max(axis=1, keepdims=True) - mean, run=np.arange(runs), rng=rng, t=0)


@dataclass(eq=False)
class bernoulli:
    """Arm a pays 1 with probability p[a], else 0. p: [A]. Raises: ValueError when p is empty or outside [0, 1]."""

    p: np.ndarray
    features = 0

    def __post_init__(self):
        self.p = _vector("p", self.p, checks.probability)
        self.arms = len(self.p)

    def start(self, runs, rng):
        return new_world(self.p, runs, rng)

    def observe(self, world):
        return None

    def pull(self, world, action):
        return (world.rng.random(len(action)) < self.p[action]).astype(float)


@dataclass(eq=False)
class gaussian:
    """Arm a pays N(mean[a], sd^2). mean: [A]; sd: number of at least 0. Raises: ValueError on empty or NaN."""

    mean: np.ndarray
    sd: float = 1.0
    features = 0

    def __post_init__(self):
        self.mean = _vector("mean", self.mean, checks.finite)
        at_least_zero("sd", self.sd)
        self.arms = len(self.mean)

    def start(self, runs, rng):
        return new_world(self.mean, runs, rng)

    def observe(self, world):
        return None

    def pull(self, world, action):
        return self.mean[action] + self.sd * world.rng.standard_normal(len(action))


@dataclass(eq=False)
class testbed:
    """The 10-armed testbed: every run draws its own arms q[a] ~ N(mean, 1), which pay N(q[a], 1).

    Sutton and Barto (2018), section 2.3; mean = 4 in their Figure 2.5. Raises: ValueError when arms is no positive
    integer or mean is not finite.
    """

    arms: int = 10
    mean: float = 0.0
    features = 0
    __test__ = False  # the name begins with "test": pytest should not collect it

    def __post_init__(self):
        checks.positive_int("arms", self.arms)
        checks.finite("mean", self.mean)

    def start(self, runs, rng):
        return new_world(self.mean + rng.standard_normal((runs, self.arms)), runs, rng)

    def observe(self, world):
        return None

    def pull(self, world, action):
        return world.mean[world.run, action] + world.rng.standard_normal(len(action))


@dataclass(eq=False)
class random_walk:
    """Arms that start equal (mean 0) and drift: before every pull each takes a step N(0, drift^2); reward N(q[a], 1).

    Sutton and Barto (2018), exercise 2.5, where drift = 0.01. Raises: ValueError when arms is no positive integer or
    drift is negative.
    """

    arms: int = 10
    drift: float = 0.01
    features = 0

    def __post_init__(self):
        checks.positive_int("arms", self.arms)
        at_least_zero("drift", self.drift)

    def start(self, runs, rng):
        return new_world(np.zeros((runs, self.arms)), runs, rng)

    def observe(self, world):
        world.mean = world.mean + self.drift * world.rng.standard_normal(world.mean.shape)  # [R, A]
        world.gap = world.mean.max(axis=1, keepdims=True) - world.mean

    def pull(self, world, action):
        return world.mean[world.run, action] + world.rng.standard_normal(len(action))


@dataclass(eq=False)
class abrupt:
    """Bernoulli arms whose probabilities jump: row i of p [phases, A] holds for `every` pulls, then the next row.

    After the last row the first comes again. The kind of problem in Garivier and Moulines (2011).
    Raises: ValueError when p is no table of probabilities or every is no positive integer.
    """

    p: np.ndarray
    every: int = 1000
    features = 0

    def __post_init__(self):
        self.p = checks.probability("p", self.p)
        if self.p.ndim != 2:
            checks.fail("p", self.p, "a table with one row per phase and one column per arm")
        checks.positive_int("every", self.every)
        self.arms = self.p.shape[1]

    def start(self, runs, rng):
        return new_world(self.p[0], runs, rng)

    def observe(self, world):
        if world.t % self.every == 0:
            world.mean = np.broadcast_to(self.p[world.t // self.every % len(self.p)], world.mean.shape)
            world.gap = world.mean.max(axis=1, keepdims=True) - world.mean
        world.t += 1

    def pull(self, world, action):
        return (world.rng.random(len(action)) < world.mean[world.run, action]).astype(float)


def lai_robbins(arms):
    """The slope of regret in ln t that no consistent policy can beat in the limit:

        sum over arms below the best of  gap[a] / KL(arm a, best arm)

    Lai and Robbins (1985), Theorem 1. KL is kl_bernoulli(p[a], p*), or gap[a]^2 / (2 sd^2) for Gaussian arms. A limit
    for t -> infinity: at finite t a good policy may lie below slope * ln t.

    Args: arms: bernoulli(...) or gaussian(...). Returns: float, in reward per unit of ln t.
    Raises: ValueError for other arms.
    """
    if not isinstance(arms, bernoulli | gaussian):
        checks.fail("arms", arms, "bernoulli(...) or gaussian(...)")
    mean = arms.p if isinstance(arms, bernoulli) else arms.mean
    gap = mean.max() - mean
    worse = gap > 0
    if isinstance(arms, bernoulli):
        divergence = kl_bernoulli(mean[worse], mean.max())
    else:
        with np.errstate(divide="ignore"):
            divergence = gap[worse] ** 2 / (2 * np.float64(arms.sd) ** 2)
    return float((gap[worse] / divergence).sum())
