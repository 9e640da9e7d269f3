"""The contract of a policy, what policies share, and the first three: epsilon-greedy, optimistic, gradient bandit.

A policy is a frozen record of its knobs with four short methods, and keeps nothing of what it learns:

    start(runs, arms, features, rng) -> state     a fresh namespace, one row per run
    scores(state, context=None)      -> [R, A]    what it thinks of each arm now, without its random part
    choose(state, context=None)      -> [R]       one arm for each run
    update(state, action, reward, context=None)   learn from one pull of each run

So one policy can be played many times, its beliefs can be looked at (`state.mean`, `state.count`), and your own
policy is any object with `start`, `choose` and `update`. Names are lower case because they are called like functions.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from rlkit import checks
from rlkit.bandits.softmax import softmax


def table(runs, arms, fill=0.0):
    """A float array [R, A] filled with `fill`, laid out in memory by arm.

    With one arm's runs side by side, a maximum over ten arms costs 6 microseconds for 2,000 runs instead of 80.
    """
    return np.full((arms, runs), float(fill)).T  # [R, A]


def random_argmax(scores, rng):
    """The arm with the highest score in each run; ties are broken uniformly at random.

    Args:
        scores: [R, A], may hold +-inf, not NaN. rng: a NumPy Generator, used only when there is a tie.

    Returns: action [R], integers in [0, A).
    Raises: ValueError when a score is NaN.
    """
    runs = len(scores)
    best = np.flatnonzero((scores == scores.max(axis=1, keepdims=True)).T)  # each winner as arm * runs + run
    if len(best) > runs:  # Ties: one winner per run will be kept below, so a shuffle makes the choice fair.
        best = rng.permutation(best)
    arm, run = best // runs, best % runs
    action = np.full(runs, -1)
    action[run] = arm
    if len(best) < runs or action.min() < 0:  # NaN equals nothing, so its run has no winner.
        checks.fail(f"scores[{int(np.flatnonzero(action < 0)[0])}]", float("nan"), "a number")
    return action


def start_averages(runs, arms, rng, initial=0.0):
    """The state that most policies share: `mean` [R, A], `count` [R, A], pulls so far `t`, and the generator."""
    return SimpleNamespace(mean=table(runs, arms, initial), count=table(runs, arms), t=0, run=np.arange(runs), rng=rng)


def incremental_mean(mean, count, reward):
    """The average of `count` rewards from the average of all but the newest: mean + (reward - mean) / count.

    Sutton and Barto (2018), equation 2.3. Args: numbers or arrays of one shape; count includes the newest reward, so it
    is at least 1 (and at count = 1 the old mean does not matter). Returns: mean, in units of reward.
    """
    return mean + (reward - mean) / count


def update_average(state, action, reward, step_size=None):
    """mean[a] += step (reward - mean[a]), with step = 1 / count[a] (the sample average) or a constant.

    Sutton and Barto (2018), equations 2.3 and 2.5. action, reward: [R].
    """
    pulled = state.run, action
    count = state.count[pulled] + 1
    mean = state.mean[pulled]
    state.count[pulled] = count
    if step_size is None:
        state.mean[pulled] = incremental_mean(mean, count, reward)
    else:
        state.mean[pulled] = mean + step_size * (reward - mean)
    state.t += 1


@dataclass(frozen=True)
class epsilon_greedy:
    """Pull the arm with the highest estimate, but with probability epsilon any arm, uniformly.

    Estimates start at `initial` and follow the sample average, or with `step_size` an exponential recency-weighted
    average that forgets. Sutton and Barto (2018), sections 2.2-2.5.

    Raises: ValueError when epsilon is outside [0, 1], step_size outside (0, 1], or initial is not finite.
    """

    epsilon: float = 0.1
    step_size: float | None = None
    initial: float = 0.0

    def __post_init__(self):
        checks.probability("epsilon", self.epsilon)
        checks.finite("initial", self.initial)
        if self.step_size is not None and checks.positive("step_size", self.step_size) > 1:
            checks.fail("step_size", self.step_size, "in (0, 1], or None for the sample average")

    def start(self, runs, arms, features, rng):
        return start_averages(runs, arms, rng, self.initial)

    def scores(self, state, context=None):
        return state.mean  # [R, A]

    def choose(self, state, context=None):
        action = random_argmax(state.mean, state.rng)  # [R]
        explore = np.flatnonzero(state.rng.random(len(action)) < self.epsilon)
        action[explore] = state.rng.integers(state.mean.shape[1], size=len(explore))
        return action

    def update(self, state, action, reward, context=None):
        update_average(state, action, reward, self.step_size)


def optimistic(initial=5.0, step_size=0.1):
    """Greedy with estimates that start too high: every arm disappoints until it has been tried often.

    Epsilon-greedy with epsilon = 0 and a constant step (a sample average would forget `initial` at the first pull).
    Sutton and Barto (2018), section 2.6 and Figure 2.3. Raises: as epsilon_greedy.
    """
    return epsilon_greedy(epsilon=0.0, step_size=step_size, initial=initial)


@dataclass(frozen=True)
class gradient_bandit:
    """Softmax policy pi over preferences H, raised along the sampled policy gradient:

        H[k] += step_size (reward - baseline) (1[k = a] - pi[k])      for every arm k

    REINFORCE on a bandit. baseline: "mean" (average of the rewards before this pull; at the first pull its own
    reward), None, or a number. Sutton and Barto (2018), section 2.8, equation 2.12.

    State: `preferences` [R, A], `average` [R].
    Raises: ValueError when step_size is not above 0, or baseline is none of the three.
    """

    step_size: float = 0.1
    baseline: str | float | None = "mean"

    def __post_init__(self):
        checks.positive("step_size", self.step_size)
        if isinstance(self.baseline, str):
            checks.one_of("baseline", self.baseline, ("mean", None, "a number"))
        elif self.baseline is not None:
            checks.finite("baseline", self.baseline)

    def start(self, runs, arms, features, rng):
        return SimpleNamespace(preferences=table(runs, arms), average=np.zeros(runs), t=0, run=np.arange(runs), rng=rng)

    def scores(self, state, context=None):
        return softmax(state.preferences)  # [R, A]

    def choose(self, state, context=None):
        ceiling = np.cumsum(softmax(state.preferences), axis=1)  # [R, A]
        below = state.rng.random(len(state.run))[:, None] >= ceiling  # inverse CDF
        return below[:, :-1].sum(axis=1)  # without the last column rounding cannot point past the last arm

    def update(self, state, action, reward, context=None):
        if self.baseline == "mean":
            baseline = reward if state.t == 0 else state.average
        else:
            baseline = self.baseline or 0.0
        step = self.step_size * (reward - baseline)  # [R]
        state.preferences -= step[:, None] * softmax(state.preferences)
        state.preferences[state.run, action] += step
        state.t += 1
        state.average += (reward - state.average) / state.t
