"""What is minimised when one learns from preferences: pure functions, one number per pair.

Log-probabilities are sums over the tokens of a completion, in nats; "reference" is the policy that training starts
from.
"""

import torch
from torch.nn.functional import logsigmoid

from rlkit import checks


def bradley_terry(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
    """-log sigmoid(r_chosen - r_rejected): rewards [B] of a reward model -> [B], in nats; log 2 where they are equal.

    Under the model of Bradley and Terry (1952) sigmoid(r_a - r_b) is the chance that a is preferred to b. Rewards are
    known up to a constant for each prompt. Source: Ouyang et al. 2022 (arXiv 2203.02155), equation 1.
    """
    return -logsigmoid(chosen - rejected)


def margin(chosen, rejected, reference_chosen, reference_rejected) -> torch.Tensor:
    """h = [log pi(chosen) - log pi_ref(chosen)] - [log pi(rejected) - log pi_ref(rejected)]; each [B] -> [B].

    beta h is the difference of the rewards for which pi is the optimum (see `dpo`).
    """
    return (chosen - reference_chosen) - (rejected - reference_rejected)


def dpo(chosen, rejected, reference_chosen, reference_rejected, beta: float) -> torch.Tensor:
    """-log sigmoid(beta h), h as in `margin`; each [B] -> [B].

    Bradley-Terry for the rewards beta log(pi / pi_ref), which up to a constant per prompt are those that pi is the
    KL-regularised optimum of. Source: Rafailov et al. 2023 (arXiv 2305.18290), equation 7.
    """
    return -logsigmoid(checks.positive("beta", beta) * margin(chosen, rejected, reference_chosen, reference_rejected))


def ipo(chosen, rejected, reference_chosen, reference_rejected, beta: float) -> torch.Tensor:
    """(h - 1 / (2 beta))^2, h as in `margin`; each [B] -> [B].

    The margin is drawn to a finite number, so a pair that everyone agrees on does not pull pi to 0 or 1. Source: Azar
    et al. 2023 (arXiv 2310.12036), equation 17, with their tau as beta.
    """
    h = margin(chosen, rejected, reference_chosen, reference_rejected)
    return (h - 1 / (2 * checks.positive("beta", beta))).square()
