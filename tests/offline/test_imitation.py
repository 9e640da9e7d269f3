"""Imitation of a demonstration: which rows are whose, the loss against a density ratio that is known, and learning."""

import numpy as np
import pytest
import torch

from rlkit.offline import Agent, Rows
from rlkit.offline.imitation import (
    demonstrated,
    demonstrations,
    discriminator_imitation,
    dual_value_loss,
    recoil,
    recoil_target,
    share_loss,
)
from tests.offline.one_step import OneStep, best, dataset, last

QUICK = {"steps": 60, "batch_size": 16, "hidden": (16, 16), "evaluate_every": 30, "episodes": 2}
LOG = dataset(OneStep())
GOOD = np.flatnonzero(np.abs(LOG.actions[:, 0] - best(LOG.observations)[:, 0]) < 0.1)
SHOWN = demonstrated(LOG.episodes(GOOD[:50]), LOG)


def test_demonstration_comes_first_and_half_of_all_draws_are_its_rows():
    assert len(SHOWN) == 50 + len(LOG) and SHOWN.facts["demonstrations"] == 50
    assert np.array_equal(SHOWN.actions[:50], LOG.actions[GOOD[:50]])
    assert SHOWN.weights[:50].sum() == pytest.approx(0.5) and SHOWN.weights.sum() == pytest.approx(1)
    assert SHOWN.score(1.0) == LOG.score(1.0)
    rows = Rows(SHOWN, [0, 1], simulator=OneStep(), batch_size=500)
    shares = [(batch.indices < demonstrations(rows)).mean(1) for _, batch in rows.batches(20)]
    assert np.mean(shares, axis=0) == pytest.approx([0.5, 0.5], abs=0.02)


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"log\.weights"):
        demonstrated(LOG, SHOWN)
    with pytest.raises(ValueError, match="make it by"):
        next(discriminator_imitation(LOG, [0], simulator=OneStep(), **QUICK))
    with pytest.raises(ValueError, match="smoothing"):
        next(discriminator_imitation(SHOWN, [0], smoothing=0.5, simulator=OneStep(), **QUICK))


def test_share_is_the_mean_of_the_chosen():
    values, chosen = torch.tensor([[1.0, 2.0, 6.0], [1.0, 2.0, 6.0]]), torch.tensor([[0.0, 1, 1], [0, 0, 0]])
    assert share_loss(values, chosen).tolist() == [4.0, 0.0]


def test_weights_at_the_minimum_are_the_density_ratio_of_the_best_policy_under_chi_square():
    """One state and one step (discount 0): weights max(R - V + 1, 0) average to 1 over the log, and V is found."""
    reward = torch.tensor([[0.5, -0.5, 0.2, -3.0]], dtype=torch.float64)
    value = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([value], max_iter=100, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = dual_value_loss(reward - value, value.expand(1, 4), 0.0, torch.ones(1, 4)).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    weight = (reward - value + 1).clamp(min=0).detach().numpy()[0]
    assert weight.mean() == pytest.approx(1, abs=1e-6)
    # By hand: the worst action is left out, the other three share 4: V = (0.2 + 3 - 4) / 3.
    assert weight[3] == 0 and value.item() == pytest.approx((0.2 + 3 - 4) / 3, abs=1e-6)


@pytest.mark.slow
def test_learns_to_imitate_the_demonstration_and_not_the_log():
    agent = Agent()
    step = last(discriminator_imitation(SHOWN, [0, 1, 2], steps=1000, smoothing=0.1, simulator=OneStep(), agent=agent))
    assert (step.metrics["score"] > 0.6).all()
    log_odds = agent.q(LOG.observations, np.stack([LOG.actions] * 3))  # [S, N]
    away = np.setdiff1d(np.arange(len(LOG)), GOOD)
    assert (log_odds[:, GOOD].mean(1) > log_odds[:, away].mean(1) + 1).all()


@pytest.mark.slow
def test_smoothed_labels_bound_the_log_odds():
    found = {}
    for smoothing in (0.0, 0.2):
        agent = Agent()
        last(discriminator_imitation(SHOWN, [0], steps=600, smoothing=smoothing, simulator=OneStep(), agent=agent))
        found[smoothing] = np.abs(agent.q(LOG.observations, LOG.actions[None])).max()
    assert found[0.2] < np.log(0.8 / 0.2) + 1 < found[0.0]


def test_recoil_counts_the_steps_to_the_demonstration():
    shown, future = torch.tensor([[True, False, False]]), torch.tensor([[0.3, 1.0, -1.0]])
    assert recoil_target(shown, future, 0.9).tolist() == [pytest.approx([1.0, 0.8, -1.0])]


@pytest.mark.slow
def test_recoil_imitates_the_demonstration_and_values_what_it_does():
    agent = Agent()
    step = last(recoil(SHOWN, [0, 1, 2], steps=1000, polyak=0.02, simulator=OneStep(), agent=agent))
    assert (step.metrics["score"] > 0.6).all()
    q = agent.q(LOG.observations, np.stack([LOG.actions] * 3))  # [S, N]
    away = np.setdiff1d(np.arange(len(LOG)), GOOD)
    # Of good pairs half of the draws, and a third of the other half, are good: 3/4 of these are shown, target 1.
    assert q[:, GOOD].mean(1) == pytest.approx(np.full(3, 0.75 * 1 - 0.25 * 0.01), abs=0.08)
    assert q[:, away].mean(1) == pytest.approx(np.full(3, -0.01), abs=0.05)


@pytest.mark.parametrize(
    ("learner", "knob"), [(discriminator_imitation, {"smoothing": [0.0, 0.1]}), (recoil, {"tau": [0.5, 0.8]})]
)
def test_seed_of_many_is_the_seed_alone(learner, knob):
    (name, (_, value)) = next(iter(knob.items()))
    many = last(learner(SHOWN, [3, 4], simulator=OneStep(), **knob, **QUICK)).metrics
    alone = last(learner(SHOWN, [4], simulator=OneStep(), **{name: value}, **QUICK)).metrics
    for name, value in many.items():
        assert float(value[1]) == pytest.approx(float(alone[name][0]), abs=1e-5), name
