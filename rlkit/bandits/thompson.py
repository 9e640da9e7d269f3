"""Thompson sampling: draw one belief per arm from its posterior, pull the arm whose draw is highest.

Thompson (1933); Russo et al., A Tutorial on Thompson Sampling (2018), Algorithm 3.2. For the contract of a policy see
policies.py.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from rlkit import checks
from rlkit.bandits.policies import random_argmax, start_averages, table, update_average


@dataclass(frozen=True)
class thompson_beta:
    """Thompson sampling for rewards 0 and 1: the posterior of arm k is Beta(a + hits[k], b + misses[k]).

    State: `a`, `b` [R, A], the posterior's parameters. Agrawal and Goyal (2012), Algorithm 1, where a = b = 1.
    Raises: ValueError when a or b is not above 0, or a reward is neither 0 nor 1.
    """

    a: float = 1.0
    b: float = 1.0

    def __post_init__(self):
        checks.positive("a", self.a)
        checks.positive("b", self.b)

    def start(self, runs, arms, features, rng):
        return SimpleNamespace(a=table(runs, arms, self.a), b=table(runs, arms, self.b), run=np.arange(runs), rng=rng)

    def scores(self, state, context=None):
        return state.a / (state.a + state.b)  # [R, A] posterior mean

    def choose(self, state, context=None):
        return random_argmax(state.rng.beta(state.a, state.b), state.rng)

    def update(self, state, action, reward, context=None):
        strange = np.flatnonzero((reward != 0) & (reward != 1))
        if len(strange):
            checks.fail(f"reward[{strange[0]}]", float(reward[strange[0]]), "0 or 1 for thompson_beta")
        state.a[state.run, action] += reward
        state.b[state.run, action] += 1 - reward


@dataclass(frozen=True)
class thompson_gaussian:
    """Thompson sampling for Gaussian rewards of known standard deviation `sd`, prior N(prior_mean, prior_sd^2):

        precision[k] = 1 / prior_sd^2 + count[k] / sd^2
        posterior[k] = N((prior_mean / prior_sd^2 + total[k] / sd^2) / precision[k], 1 / precision[k])

    Russo et al. (2018), section 4. State: `mean`, `count` [R, A], of which `posterior(state)` is a function.
    Raises: ValueError when sd or prior_sd is not above 0, or prior_mean is not finite.
    """

    sd: float = 1.0
    prior_mean: float = 0.0
    prior_sd: float = 1.0

    def __post_init__(self):
        checks.positive("sd", self.sd)
        checks.finite("prior_mean", self.prior_mean)
        checks.positive("prior_sd", self.prior_sd)

    def start(self, runs, arms, features, rng):
        return start_averages(runs, arms, rng)

    def posterior(self, state):
        """Mean and standard deviation of the belief about each arm's mean: two arrays [R, A], in units of reward."""
        prior = (self.sd / self.prior_sd) ** 2  # the prior weighs as much as this many pulls
        pulls = prior + state.count  # [R, A]
        return (prior * self.prior_mean + state.count * state.mean) / pulls, self.sd / np.sqrt(pulls)

    def scores(self, state, context=None):
        return self.posterior(state)[0]

    def choose(self, state, context=None):
        mean, sd = self.posterior(state)
        draw = state.rng.standard_normal(mean.shape[::-1]).T  # [R, A], in the memory layout of `table`
        return random_argmax(mean + sd * draw, state.rng)

    def update(self, state, action, reward, context=None):
        update_average(state, action, reward)
