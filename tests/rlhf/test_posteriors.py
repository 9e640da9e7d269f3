"""The judge, the posterior he leaves, and where a policy stands beside it."""

import math

import numpy as np
import pytest
import torch

from rlkit.lm import exact
from rlkit.lm.tasks.style import rewards
from rlkit.rlhf import optimum, posteriors


@pytest.fixture(scope="module")
def world():
    return posteriors.world(1)


def test_a_world_lists_every_text_once_and_its_reward_is_a_log_probability(world):
    assert len(set(world.texts)) == len(world.texts) == sum(9**t for t in range(5))
    assert world.log_prior.exp().sum().item() == pytest.approx(1, abs=1e-9)
    assert world.reward.max() < 0 and world.reward.min() > -20  # bounded, so that E exp(r / beta) is
    again = posteriors.world.__wrapped__(1)
    assert torch.equal(again.reward, world.reward) and torch.equal(again.log_prior, world.log_prior)
    assert not torch.equal(posteriors.world(7).reward, world.reward)  # the same prompt, other labels
    assert posteriors.world(7).prompt == world.prompt != posteriors.world(2).prompt


def test_the_judge_has_learnt_what_the_annotator_likes(world):
    """Mean P(ok) of the texts above and below the annotator's threshold, under the start model."""
    start = posteriors.policy(1)
    problem = posteriors._problems(4)[1]
    assert problem.prompt == world.prompt
    gold = torch.from_numpy(rewards(posteriors.lm.tasks.style(length=4), problem, start.ids.numpy()))
    prior, chance = world.log_prior.exp(), world.reward.exp()
    good, bad = gold > 1.75, gold < 1.25
    means = [((prior * chance)[those].sum() / prior[those].sum()).item() for those in (good, bad)]
    assert means[0] > 0.6 and means[1] < 0.3
    # Calibrated on the whole: the annotator's share of accepted texts, a mean over the same prior.
    accepted = (prior / (1 + torch.exp(-(gold - 1.5) / 0.25))).sum().item()
    assert (prior * chance).sum().item() == pytest.approx(accepted, abs=0.04)


def test_the_labels_are_counted_text_by_text(world):
    assert world.seen.sum() == posteriors.LABELS and (world.accepted <= world.seen).all()
    often = world.seen > 50  # few texts; each is accepted about as often as its points say
    chance = 1 / (1 + np.exp(-(world.points[often] - posteriors.HALFWAY) / posteriors.NOISE))
    assert often.sum() > 1 and world.accepted[often] / world.seen[often] == pytest.approx(chance, abs=0.15)


def test_place_is_exact_and_the_identity_holds_for_any_policy(world):
    with torch.no_grad():
        policy = posteriors.policy(2)  # another prompt's policy: any law over the same texts will do
        log_pi = exact.log_probabilities(policy).sum(-1)
    for beta in (1.0, 1 / 16):
        found = posteriors.place(log_pi, world, beta)
        pi, prior = log_pi.exp().numpy(), world.log_prior.numpy()
        assert found["kl"] == pytest.approx(float(pi @ (log_pi.numpy() - prior)), rel=1e-9)
        assert found["reward"] == pytest.approx(float(pi @ world.reward.numpy()), rel=1e-9)
        assert found["entropy"] == pytest.approx(float(-(pi @ np.log(pi))), rel=1e-9)
        assert found["reverse"] > 0.1 and found["forward"] > 0.1 and found["identity"] < 1e-10
    assert "reverse" not in posteriors.place(log_pi, world, 0)
    there = posteriors.place(world.star(0.25), world, 0.25)
    assert there["reverse"] == pytest.approx(0, abs=1e-12) and there["forward"] == pytest.approx(0, abs=1e-12)


def test_held_by_counts_the_likeliest():
    law = torch.tensor([0.05, 0.5, 0.3, 0.15]).double().log()
    assert [posteriors.held_by(law, share) for share in (0.4, 0.5, 0.79, 0.9, 0.96)] == [1, 1, 2, 3, 4]
    assert posteriors.held_by(torch.tensor([0.0, -math.inf]).double()) == 1
    with pytest.raises(ValueError, match="share"):
        posteriors.held_by(law, 1.5)


def test_best_at_is_on_the_frontier_and_above_every_mixture_with_the_start_model(world):
    kl, reward = optimum.frontier(world.log_prior, world.reward, world.reward, [1.0, 0.25])
    assert posteriors.best_at(world, kl[0].item()) == pytest.approx(reward[0].item(), abs=1e-6)
    mixed = (0.5 * world.log_prior.exp() + 0.5 * world.star(0.05).exp()).log()
    found = posteriors.place(mixed, world, 0)
    assert posteriors.best_at(world, found["kl"]) > found["reward"] + 0.1
    with pytest.raises(ValueError, match="divergence"):
        posteriors.best_at(world, 100.0)


def test_a_seed_that_is_none_is_refused():
    with pytest.raises(ValueError, match="seed=-1"):
        posteriors.policy(-1)
