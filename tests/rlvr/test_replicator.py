"""Entropy and pressure by hand, and against differences of the mean accuracy."""

import numpy as np
import pytest

from rlkit.rlvr import replicator


def test_entropy_by_hand():
    assert replicator.entropy([1.0, 0.0, 0.0]) == 0
    assert replicator.entropy([0.25, 0.25]) == pytest.approx(np.log(2))  # scaled to add up to 1
    assert replicator.entropy(np.ones((4, 3))) == pytest.approx(np.full(4, np.log(3)))
    for wrong in ([-0.1, 1.0], [0.0, 0.0], [np.nan, 1.0]):
        with pytest.raises(ValueError, match="shares"):
            replicator.entropy(wrong)


def test_pressure_is_the_gradient_of_accuracy_in_the_logits():
    logits, accuracy, step = np.array([0.3, -0.5, 0.9]), np.array([0.6, 0.7, 0.1]), 1e-6

    def mean(z):
        return (np.exp(z) / np.exp(z).sum()) @ accuracy

    by_hand = [(mean(logits + step * one) - mean(logits - step * one)) / (2 * step) for one in np.eye(3)]
    share = np.exp(logits) / np.exp(logits).sum()
    assert replicator.pressure(share, accuracy) == pytest.approx(by_hand, abs=1e-8)
    assert replicator.pressure(share, accuracy, 4.0) == pytest.approx(np.array(by_hand) / 4, abs=1e-8)


def test_pressure_on_a_short_wrong_format_is_larger():
    share, accuracy = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    found = replicator.pressure(share, accuracy, np.array([10.0, 2.0]))
    assert found == pytest.approx([0.075, -0.075])  # 0.25 (0.05 + 0.25)
