"""Play a policy against arms in many runs at once, and summarise the pulls."""

from typing import NamedTuple

import numpy as np

from rlkit import checks
from rlkit.runs import Step


class Pull(NamedTuple):
    """One pull in each of R runs.

    Attributes:
        step: number of this pull, from 1.
        action: arm pulled, integers [R].
        reward: [R].
        regret: mean of the best arm minus mean of the arm pulled [R] (the expected regret of this pull, not of its
            noisy reward), so never negative.
        optimal: regret is 0, booleans [R]; with several best arms each counts.
        context: what the policy saw [R, d], or None for arms without context.
    """

    step: int
    action: np.ndarray
    reward: np.ndarray
    regret: np.ndarray
    optimal: np.ndarray
    context: np.ndarray | None = None


def play(policy, arms, steps, runs, seed):
    """Let one policy pull for `steps` steps in `runs` independent runs; a generator of one Pull per step.

    The policy starts fresh, so the same arguments give the same pulls bit for bit. World and policy draw from separate
    streams of the seed: two policies played with the same seed and runs face the same problems, contexts and noise.
    All runs share these streams: another `runs` is another sample, and does not begin with the same runs.

    Args:
        policy: such as epsilon_greedy(0.1). arms: such as testbed(). steps, runs: positive integers.
        seed: integer of at least 0.

    Raises:
        ValueError, in one line: at the call for a bad argument, during play for a reward that is not finite or an
        action that is no arm.
    """
    steps, runs = checks.positive_int("steps", steps), checks.positive_int("runs", runs)
    rngs = np.random.default_rng(checks.seed(seed)).spawn(2)
    _methods("policy", policy, ("start", "choose", "update"), "a policy such as epsilon_greedy(epsilon=0.1)")
    _methods("arms", arms, ("start", "observe", "pull"), "arms such as bernoulli([0.2, 0.8])")
    return _pulls(policy, arms, steps, runs, *rngs)


def _methods(name, thing, methods, allowed):
    if isinstance(thing, type) or not all(hasattr(thing, method) for method in methods):
        checks.fail(name, thing, allowed)


def _pulls(policy, arms, steps, runs, world_rng, policy_rng):
    world = arms.start(runs, world_rng)
    state = policy.start(runs, arms.arms, arms.features, policy_rng)
    run = np.arange(runs)
    for step in range(1, steps + 1):
        context = arms.observe(world)  # [R, d] or None
        action = np.asarray(policy.choose(state, context))  # [R]
        good = action.shape == (runs,) and action.dtype.kind in "iu"
        if not good or action.min() < 0 or action.max() >= arms.arms:  # a negative index would wrap around unseen
            checks.fail(f"action at step {step}", action, f"{runs} integers in [0, {arms.arms})")
        reward = arms.pull(world, action)  # [R]
        if np.shape(reward) != (runs,) or not np.isfinite(reward).all():
            checks.fail(f"reward at step {step}", reward, f"{runs} finite numbers")
        regret = world.gap[run, action]  # [R]
        policy.update(state, action, reward, context)
        yield Pull(step, action, reward, regret, regret == 0, context)


def summarise(pulls, every=1, quantiles=(0.1, 0.9)):
    """Turn pulls into Steps for a Run: a generator of one rlkit.runs.Step per `every` pulls (and one for a rest).

    Metrics, each one number over the R runs:
        reward, optimal: mean over the pulls since the last Step (optimal is a share in [0, 1]);
        regret: mean of the cumulative regret so far; regret_q10, regret_q90: its quantiles, named in percent;
        reward_se, optimal_se, regret_se: standard errors over runs (standard deviation / sqrt(R)); absent when R = 1.

    Args: pulls: an iterable of Pull. every: positive integer. quantiles: numbers in [0, 1].
    Raises: ValueError when every or a quantile is not such a number.
    """
    every = checks.positive_int("every", every)
    levels = checks.probability("quantiles", quantiles) if len(quantiles) else np.zeros(0)
    return _steps(pulls, every, levels)


def _steps(pulls, every, levels):
    regret, rewards, hits, since, pull = 0.0, 0.0, 0.0, 0, None
    for pull in pulls:
        regret = regret + pull.regret  # [R]
        rewards, hits, since = rewards + pull.reward, hits + pull.optimal, since + 1
        if since == every:
            yield Step(pull.step, _metrics(rewards / since, hits / since, regret, levels))
            rewards, hits, since = 0.0, 0.0, 0
    if since:
        yield Step(pull.step, _metrics(rewards / since, hits / since, regret, levels))


def _metrics(reward, optimal, regret, levels):
    metrics = {}
    for name, values in (("reward", reward), ("optimal", optimal), ("regret", regret)):
        metrics[name] = float(values.mean())
        if len(values) > 1:
            metrics[f"{name}_se"] = float(values.std(ddof=1) / np.sqrt(len(values)))
    if len(levels):
        for level, value in zip(levels, np.quantile(regret, levels), strict=True):
            metrics[f"regret_q{100 * level:g}"] = float(value)
    return metrics
