"""The whole task in numbers: against sampling, against single prompts, and the frontier above everything."""

import doctest

import numpy as np
import pytest
import torch

from rlkit import lm
from rlkit.lm import tasks
from rlkit.rlhf import listed, optimum, preferences, reward_models

TASK = tasks.style()


@pytest.fixture(scope="module")
def base():
    return lm.load("xs-style")


@pytest.fixture(scope="module")
def everything(base):
    return listed.Listed(*base, TASK)


@pytest.mark.slow
def test_the_example_of_the_module():
    assert doctest.testmod(listed).failed == 0


def test_the_mean_is_what_sampling_gives(base, everything):
    model, tokenizer = base
    rollouts = lm.sample(model, tokenizer, everything.problems, 500, TASK.max_new_tokens, seed=3)
    drawn = preferences.gold(TASK)(rollouts, everything.problems)
    error = drawn.std().item() / np.sqrt(drawn.numel())
    assert everything.of(everything.log_prior)["gold"] == pytest.approx(drawn.mean().item(), abs=4 * error)
    assert everything.gold.shape == (6, 66_430)
    at = everything.texts.index(rollouts.text[700])
    assert everything.gold[1, at].item() == pytest.approx(drawn.flatten()[700].item(), abs=1e-6)


def test_no_law_lies_above_the_frontier_of_gold(everything):
    tilts = everything.path([everything.tilt(everything.gold, beta) for beta in (1.0, 0.3, 0.1)])
    assert tilts["kl"] == sorted(tilts["kl"]) and tilts["gold"] == sorted(tilts["gold"])
    proxy = everything.values(TASK.with_weights(intensity=0.5))
    for n in (2, 16):
        law = everything.of(everything.best_of_n(everything.gold, n), proxy=proxy)
        assert law["kl"] <= optimum.best_of_n_bound(n)
        low, high = 1e-3, 1e3  # the common beta whose tilts spend as much
        for _ in range(40):
            middle = (low * high) ** 0.5
            spent = everything.of(everything.tilt(everything.gold, middle))
            low, high = (middle, high) if spent["kl"] > law["kl"] else (low, middle)
        assert law["gold"] <= spent["gold"] + 1e-6
    hacked = everything.of(everything.tilt(proxy, 0.1), proxy=proxy)
    assert hacked["proxy"] > 2.2 and hacked["gold"] < tilts["gold"][-1]


def test_a_reward_model_gives_every_completion_what_it_gives_its_text(base, everything):
    bag = reward_models.bag_of_words(base[1], max_new_tokens=TASK.max_new_tokens)
    with torch.no_grad():
        bag.weight.normal_(generator=torch.Generator().manual_seed(0))
    given, some = everything.rewards(bag), [0, 7, 400, 60_000]
    alone = bag.of([everything.problems[2].prompt] * 3, [everything.texts[i] for i in some[1:]])
    assert given.shape == (6, 66_430) and given[2, some[1:]].tolist() == pytest.approx(alone.tolist(), abs=1e-5)
