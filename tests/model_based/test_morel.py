"""MOReL: what halts, what that costs, and a policy that swings up."""

import numpy as np
import pytest
import torch

from rlkit import offline
from rlkit.model_based import Halting, morel, train_in
from rlkit.model_based.algorithms.mopo import fitted
from rlkit.model_based.penalties import halt_threshold

QUICK = {"steps": 60, "horizon": 3, "rollouts": 20, "evaluate_every": 60, "episodes": 1}


@pytest.fixture(scope="module")
def log():
    return offline.build("pendulum", "medium", 2_000, 1000)


def test_it_is_train_in_a_halting_model_with_the_stated_threshold_and_cost(log):
    model, rows, _ = fitted(log, [0, 1], 50, members=3, elites=3)
    data = rows.all()
    threshold = halt_threshold(model, data.observations, data.actions) / 2
    cost = -float(log.rewards.min()) / (1 - 0.9)
    *_, plain = train_in(Halting(model, threshold, cost), log, [0, 1], discount=0.9, **QUICK)
    *_, found = morel(log, [0, 1], pessimism=2.0, discount=0.9, model_steps=50, members=3, **QUICK)
    assert torch.equal(found.metrics["threshold"], threshold)
    for name in ("q", "critic_loss", "return"):
        assert np.asarray(found.metrics[name]) == pytest.approx(np.asarray(plain.metrics[name]), rel=1e-4)


def test_with_pessimism_1_no_row_of_the_log_halts(log):
    model, rows, _ = fitted(log, [0, 1], 50, members=3, elites=3)
    data = rows.all()
    threshold = halt_threshold(model, data.observations, data.actions)
    generators = [np.random.default_rng(0), np.random.default_rng(1)]
    for share, halts in ((1.0, False), (2.0, True)):
        continues = Halting(model, threshold / share, 1.0).step(data.observations, data.actions, generators)[2]
        assert bool((continues == 0).any()) == halts


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"pessimism": 0.0}, "pessimism=0.0: must be a finite number above 0"),
        ({"discount": 1.0}, r"discount=1.0: must be in \[0, 1\)"),
        ({"cost": -2.0}, "cost=-2.0: must be at least 0"),
    ],
)
def test_bad_numbers_are_refused_in_one_line(log, numbers, words):
    with pytest.raises(ValueError, match=words):
        next(morel(log, [0], model_steps=10, members=2, **QUICK | numbers))


@pytest.mark.slow
def test_it_learns_to_swing_up_from_medium_data():
    log = offline.build("pendulum", "medium", 10_000, 1000)
    bounds = {"low": [-1, -1, -8], "high": [1, 1, 8]}
    *_, last = morel(log, [0, 1], steps=4_000, model_steps=1_500, evaluate_every=4_000, episodes=10, **bounds)
    assert (last.metrics["return"] > -450).all(), "the log's own mean is about -710, random -1276"
