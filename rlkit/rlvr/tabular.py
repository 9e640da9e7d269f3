"""Policies that are tables of probabilities: how many correct answers they use, and the best one near a base."""

import numpy as np
from scipy.special import entr

from rlkit import checks


def effective_number(probability, correct):
    """How many correct answers a policy really uses: the exponential of their entropy among themselves.

        exp(-sum_a q[a] log q[a]),   q[a] = probability[a] / sum of probability over the correct answers

    n if n correct answers are equally likely, 1 if one of them has everything. Hill's number of order 1 (Hill 1973).

    Args: probability [..., A], not negative; correct [A], True or 1 for a correct answer.
    Returns: a number, or an array [...]; NaN where no correct answer has any probability.
    Raises: ValueError for NaN, a negative probability, or another length.
    """
    probability = checks.finite("probability", probability)
    correct = np.asarray(correct, dtype=bool)
    if (probability < 0).any():
        checks.fail("probability", float(probability.min()), "at least 0")
    if correct.shape != probability.shape[-1:]:
        raise ValueError(f"correct of shape {correct.shape}: must be {probability.shape[-1:]}, one per answer")
    chosen = np.where(correct, probability, 0.0)  # [..., A]
    total = chosen.sum(axis=-1, keepdims=True)
    share = np.divide(chosen, total, out=np.full_like(chosen, np.nan), where=total > 0)
    return np.exp(entr(share).sum(axis=-1))


def kl_optimum(prior, reward, beta):
    """The policy that maximises E[reward] - beta KL(policy || prior), over all policies:

        prior[a] exp(reward[a] / beta) / Z

    Answers of equal reward keep the proportions that they have in the prior, at every beta. Ziebart et al. (2008);
    for language models Korbak et al. 2022 (arXiv 2205.11275), equation 5.

    Args: prior [A], probabilities or any weights that are not negative; reward [A]; beta, above 0.
    Returns: probabilities [A]. Raises: ValueError for NaN, a negative prior, no prior at all, or beta of 0 or less.
    """
    prior, reward = checks.finite("prior", prior), checks.finite("reward", reward)
    if (prior < 0).any() or not (prior > 0).any():
        checks.fail("prior", prior, "not negative, and somewhere above 0")
    power = reward / checks.positive("beta", beta)
    weight = prior * np.exp(power - power[prior > 0].max(), where=prior > 0, out=np.zeros(prior.shape))
    return weight / weight.sum()
