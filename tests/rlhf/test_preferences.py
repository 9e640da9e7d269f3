"""Pairs and labels: who is preferred how often, under noise and bias, from seeds alone."""

import math

import numpy as np
import pytest

from rlkit import lm
from rlkit.lm import tasks
from rlkit.rlhf import gold, preferences

TASK = tasks.style()
MOON = next(p for p in TASK.problems(6, 0, "all") if p.prompt == "moon sings")
GOOD, BAD = "the old moon sings softly", "the moon sings sings"


@pytest.fixture(scope="module")
def base():
    return lm.load("xs-style")


def test_an_annotator_is_bradley_terry_in_the_rubric():
    difference = 2 - TASK.reward(TASK.verify(MOON, BAD))
    chance = preferences.chance(TASK, [MOON], [GOOD], [BAD], noise=0.25)
    assert chance.tolist() == pytest.approx([1 / (1 + math.exp(-difference / 0.25))])
    rows = preferences.label(TASK, [MOON] * 4000, [GOOD] * 4000, [BAD] * 4000, noise=0.6, seed=0)
    share = np.mean([row["chosen"] == GOOD for row in rows])
    assert share == pytest.approx(preferences.chance(TASK, [MOON], [GOOD], [BAD], noise=0.6)[0], abs=0.025)
    assert rows[0].keys() == {"prompt", "chosen", "rejected"} and {row["prompt"] for row in rows} == {"moon sings"}


def test_without_noise_the_better_one_wins_and_equals_are_a_coin():
    chance = preferences.chance(TASK, [MOON] * 3, [GOOD, BAD, "the moon sings"], [BAD, GOOD, GOOD], noise=0)
    assert chance.tolist() == [1, 0, 0.5]


def test_a_bias_turns_a_preference_and_gold_stays():
    flattered = TASK.with_weights(intensity=1.0)
    very = "the very very moon sings"
    assert preferences.chance(TASK, [MOON], [GOOD], [very], noise=0)[0] == 1
    assert preferences.chance(flattered, [MOON], [GOOD], [very], noise=0)[0] == 0


def test_pairs_differ_and_come_from_the_seed(base):
    model, tokenizer = base
    first = preferences.pairs(model, tokenizer, TASK, 300, seed=4)
    again = preferences.pairs(model, tokenizer, TASK, 300, seed=4)
    other = preferences.pairs(model, tokenizer, TASK, 300, seed=5)
    assert first == again and first[1] != other[1]
    problems, a, b = first
    assert all(x != y for x, y in zip(a, b, strict=True)) and len({p.prompt for p in problems}) == 6
    scores = preferences.utilities(TASK, problems * 2, a + b)
    assert abs(scores[:300].mean() - scores[300:].mean()) < 0.15  # no side is favoured


def test_gold_is_the_rubric_of_every_rollout(base):
    model, tokenizer = base
    problems = TASK.problems(3, 0, "all")
    rollouts = lm.sample(model, tokenizer, problems, 4, TASK.max_new_tokens, seed=0)
    given = gold(TASK)(rollouts, problems)
    assert given.shape == (3, 4)
    assert given[2, 1].item() == pytest.approx(TASK.reward(TASK.verify(problems[2], rollouts.text[9])), abs=1e-6)


@pytest.mark.parametrize("noise", [-1, math.nan])
def test_bad_noise_is_refused(noise):
    with pytest.raises(ValueError, match=r"noise=.*must be"):
        preferences.chance(TASK, [MOON], [GOOD], [BAD], noise=noise)
