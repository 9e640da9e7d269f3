"""How strategies of different success compete inside one softmax policy; NumPy alone."""

import numpy as np

from rlkit import checks


def entropy(shares) -> np.ndarray:
    """-sum_f p_f log p_f in nats over the last axis, [..., F] -> [...]; shares are scaled to add up to 1.

    From 0 (one format only) to log F (all alike). Raises ValueError for a negative share, or none above 0.
    """
    shares = checks.finite("shares", shares)
    total = shares.sum(-1, keepdims=True)
    if (shares < 0).any() or (total <= 0).any():
        checks.fail("shares", shares, "numbers of at least 0, not all 0")
    p = shares / total
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(-1)


def pressure(share, accuracy, length=1.0) -> np.ndarray:
    """The expected credit that a policy gradient gives to the logit of each format, [..., F].

    g_f = p_f (A_f / l_f - sum_h p_h A_h / l_h) with A_f = q_f - sum_h p_h q_h, where p = softmax(logits) are shares and
    q accuracies. l divides the loss of an answer: its length in tokens in GRPO, one number for all in Dr. GRPO. With
    l = 1 this is p_f (q_f - mean), the replicator equation. Source: the policy gradient theorem for a softmax.
    """
    share, accuracy, length = (np.asarray(x, dtype=float) for x in (share, accuracy, length))
    credit = (accuracy - (share * accuracy).sum(-1, keepdims=True)) / length
    return share * (credit - (share * credit).sum(-1, keepdims=True))
