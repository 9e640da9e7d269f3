"""The softmax bandit: its policy, its exact gradient, and the gradients that single pulls give."""

import numpy as np

from rlkit import checks


def softmax(preferences):
    """pi[k] = exp(H[k]) / sum_j exp(H[j]) over the last axis. preferences [..., A] -> probabilities [..., A]."""
    powers = np.exp(preferences - np.max(preferences, axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def softmax_gradient(preferences, advantage):
    """The exact expected policy gradient of a softmax bandit, for a given advantage of each arm:

        E_a~pi[ advantage[a] d log pi[a] / d H[k] ]  =  pi[k] sum_j pi[j] (advantage[k] - advantage[j])

    Only differences of advantages enter, and they are taken first: a constant added to every advantage (reward 1 for a
    hit, or -1 for a miss) leaves the result the same to the last bit. Sutton and Barto (2018), section 2.8.

    Args: preferences [..., A], advantage [..., A] (broadcast).
    Returns: gradient [..., A], in advantage per unit of preference; it sums to 0.
    Raises: ValueError when either holds NaN or infinity, or is empty.
    """
    probability = softmax(checks.finite("preferences", preferences))  # [..., A]
    advantage = checks.finite("advantage", advantage)
    difference = advantage[..., :, None] - advantage[..., None, :]  # [..., A, A]
    return probability * (difference * probability[..., None, :]).sum(axis=-1)


def sampled_gradients(preferences, advantage, samples, seed):
    """REINFORCE, one gradient per pull: advantage[a] (1[k = a] - pi[k]) with a ~ pi.

    Their mean is an unbiased estimate of `softmax_gradient`. The same seed pulls the same arms whatever the advantage,
    so two advantages can be compared pull by pull. Williams (1992).

    Args: preferences [A], advantage [A], samples: how many pulls N, seed: integer.
    Returns: gradients [N, A]. Raises: ValueError on NaN, or samples, seed that are not such integers.
    """
    probability = softmax(checks.finite("preferences", preferences))  # [A]
    advantage = checks.finite("advantage", advantage)
    samples, rng = checks.positive_int("samples", samples), np.random.default_rng(checks.seed(seed))
    action = rng.choice(len(probability), size=samples, p=probability)  # [N]
    return advantage[action, None] * ((action[:, None] == np.arange(len(probability))) - probability)  # [N, A]
