"""Learning from pulls that somebody else made: choose an arm from a fixed data set, and estimate a policy's value.

The choices take `count` and `total` [..., A]: how often each arm was pulled and the sum of its rewards. Leading axes
are whatever you like, such as data sets and contexts: every row is decided on its own. The estimates take one row per
logged pull [..., N], and average over N.
"""

import numpy as np

from rlkit import checks
from rlkit.bandits.policies import random_argmax


def _data(count, total):
    count, total = checks.finite("count", count), checks.finite("total", total)
    if (count < 0).any():
        checks.fail("count", float(count.min()), "at least 0 everywhere")
    if count.shape != total.shape or count.ndim == 0:
        checks.fail("total.shape", total.shape, f"{count.shape}, the shape of count")
    with np.errstate(divide="ignore", invalid="ignore"):
        return count, total / count


def _pick(scores, seed):
    rng = np.random.default_rng(checks.seed(seed))
    return random_argmax(scores.reshape(-1, scores.shape[-1]), rng).reshape(scores.shape[:-1])


def empirical_best(count, total, seed=0):
    """The arm with the highest sample mean total / count; an arm without data is never preferred to one with data.

    Args: count, total [..., A]; seed: breaks ties at random. Returns: action [...].
    Raises: ValueError on NaN, negative counts, different shapes or an empty array.
    """
    count, mean = _data(count, total)
    return _pick(np.where(count > 0, mean, -np.inf), seed)


def lcb_index(count, total, L):
    """The lower confidence bound of each arm: total / count - sqrt(L / (2 count)), and -inf for an arm without data.

    For rewards in [0, 1] Hoeffding's inequality makes each bound hold with probability 1 - exp(-L). Rashidinejad, Zhu,
    Ma, Jiao and Russell (2021), Algorithm 1.

    Args: count, total [..., A]; L: number above 0, such as ln(A / delta).
    Returns: index [..., A], in units of reward. Raises: as empirical_best, and when L is not above 0.
    """
    count, mean = _data(count, total)
    width = np.sqrt(checks.positive("L", L) / (2 * np.maximum(count, 1)))
    return np.where(count > 0, mean - width, -np.inf)


def lcb(count, total, L, seed=0):
    """Pessimism: the arm with the highest `lcb_index`. Rashidinejad et al. (2021), Algorithm 1.

    Args: count, total [..., A]; L: number above 0; seed: breaks ties at random.
    Returns: action [...]. Raises: as lcb_index.
    """
    return _pick(lcb_index(count, total, L), seed)


def optimistic_best(count, total, L, seed=0):
    """The arm with the highest upper confidence bound mean + sqrt(L / (2 count)), +inf without data.

    What exploring needs and a fixed data set punishes: the baseline that lcb is the opposite of. Arguments, result and
    errors as lcb.
    """
    count, mean = _data(count, total)
    width = np.sqrt(checks.positive("L", L) / (2 * np.maximum(count, 1)))
    return _pick(np.where(count > 0, mean + width, np.inf), seed)


def most_played(count, seed=0):
    """The arm with the most data: behaviour cloning, made greedy. It looks at no reward.

    Args: count [..., A]; seed: breaks ties at random. Returns: action [...]. Raises: as empirical_best.
    """
    count, _ = _data(count, np.zeros(np.shape(count)))
    return _pick(count, seed)


def _weights(reward, propensity, target):
    reward, propensity = checks.finite("reward", reward), checks.probability("propensity", propensity)
    target = checks.probability("target", target)
    if (propensity == 0).any():
        checks.fail("propensity", 0.0, "above 0: a logged action had some probability")
    if not reward.shape == propensity.shape == target.shape:
        checks.fail("reward.shape", reward.shape, f"that of propensity {propensity.shape} and target {target.shape}")
    return reward, target / propensity


def ips(reward, propensity, target):
    """Inverse propensity score: V = mean_i w_i r_i with w_i = target_i / propensity_i. Unbiased.

    Horvitz and Thompson (1952).

    Args, all [..., N]:
        reward: of each logged pull. propensity: probability the behaviour policy gave the logged action, in (0, 1].
        target: probability the policy to be valued gives that same action, in [0, 1].

    Returns: value [...], in units of reward.
    Raises: ValueError on an empty data set, NaN, a probability outside [0, 1], a zero propensity or different shapes.
    """
    reward, weight = _weights(reward, propensity, target)
    return (weight * reward).mean(axis=-1)


def snips(reward, propensity, target):
    """Self-normalised IPS: V = sum_i w_i r_i / sum_i w_i. Biased, consistent, and never outside the rewards' range.

    Swaminathan and Joachims (2015). Arguments and errors as ips; also a ValueError when all weights of a
    data set are 0.
    """
    reward, weight = _weights(reward, propensity, target)
    if (weight.sum(axis=-1) == 0).any():
        checks.fail("target", 0.0, "above 0 for at least one logged action")
    return (weight * reward).sum(axis=-1) / weight.sum(axis=-1)


def doubly_robust(action, reward, propensity, target, model):
    """V = mean_i [ sum_a target[i, a] model[i, a] + w_i (r_i - model[i, a_i]) ], w_i = target[i, a_i] / propensity_i.

    Unbiased when either the propensities or the model's predictions are right. Dudik, Langford and Li (2011),
    equation 1.

    Args:
        action [..., N]: logged, integers in [0, A). reward, propensity [..., N]: as ips.
        target [..., N, A]: the target policy's probabilities in each logged context.
        model [..., N, A]: predicted reward of each arm in each logged context.

    Returns: value [...], in units of reward.
    Raises: as ips; also for an action that is no integer in [0, A).
    """
    action, target = np.asarray(action), checks.probability("target", target)
    model = checks.finite("model", model)
    if target.shape != model.shape or target.shape[:-1] != action.shape:
        checks.fail("model.shape", model.shape, f"that of target {target.shape}: one row per action {action.shape}")
    if action.dtype.kind not in "iu" or action.min() < 0 or action.max() >= target.shape[-1]:
        checks.fail("action", action, f"integers in [0, {target.shape[-1]})")
    chosen = action[..., None]  # [..., N, 1]
    reward, weight = _weights(reward, propensity, np.take_along_axis(target, chosen, -1)[..., 0])
    residual = reward - np.take_along_axis(model, chosen, -1)[..., 0]
    return ((target * model).sum(axis=-1) + weight * residual).mean(axis=-1)
