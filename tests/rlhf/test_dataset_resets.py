"""Preferences that better authors take part in, and what a policy in training is worth from its prompts."""

import numpy as np
import pytest
import torch

from rlkit import lm
from rlkit.rlhf import dataset_resets, preferences
from rlkit.runs import Step

TASK = lm.tasks.style("long", length=16, topics=4, opening=True)
PROBLEMS = TASK.problems(60, 0, "all")


@pytest.fixture(scope="module")
def base():
    return lm.load("s-style-opening")


def test_half_of_the_texts_are_by_the_author_and_the_better_one_is_mostly_chosen(base):
    rows = dataset_resets.rows_of(*base, TASK, PROBLEMS, 400, noise=0.1, seed=0)
    once = [np.mean([row[side].startswith("once") for row in rows]) for side in ("chosen", "rejected")]
    assert np.mean(once) == pytest.approx((0.5 + 0.05) / 2, abs=0.05) and once[0] > once[1] + 0.15
    problem = {p.prompt: p for p in PROBLEMS}
    gold = {
        side: np.array([TASK.reward(TASK.verify(problem[row["prompt"]], row[side])) for row in rows])
        for side in ("chosen", "rejected")
    }
    unequal = gold["chosen"] != gold["rejected"]
    assert 0.75 < np.mean(gold["chosen"][unequal] > gold["rejected"][unequal]) < 0.95
    assert rows == dataset_resets.rows_of(*base, TASK, PROBLEMS, 400, noise=0.1, seed=0)
    assert rows != dataset_resets.rows_of(*base, TASK, PROBLEMS, 400, noise=0.1, seed=1)


def test_followed_measures_the_base_at_its_multiples_and_passes_everything_on(base):
    steps = [Step(n, {"loss": float(n)}, [{"n": n}]) for n in range(4)]
    how = {"opening": "once", "every": 2, "samples": 8, "seed": 3}
    found = list(dataset_resets.followed(iter(steps), *base, TASK, PROBLEMS, **how))
    assert [s.step for s in found] == [0, 1, 2, 3] and [s.rollouts for s in found] == [s.rollouts for s in steps]
    assert [s.metrics["loss"] for s in found] == [0.0, 1.0, 2.0, 3.0]
    assert ["opens" in s.metrics for s in found] == [True, False, True, False]
    assert found[0].metrics | {"loss": 2.0} == found[2].metrics  # the model stood still: the same numbers, bit for bit
    first = found[0].metrics
    drawn = lm.judge(lm.sample(*base, PROBLEMS, 64, 16, seed=9), TASK, PROBLEMS)
    opening, gold = drawn.reward_parts["opening"], preferences.gold(TASK)(drawn, PROBLEMS)
    assert first["opens"] == pytest.approx(opening.mean().item(), abs=0.01)
    assert first["from_prompt"] == pytest.approx(gold.mean().item(), abs=0.05)
    opened = gold[opening == 1]  # a text that opens with the word is what it is worth once opened
    assert first["once_opened"] == pytest.approx(opened.mean().item(), abs=0.06)
    with pytest.raises(ValueError, match="every=0: must be"):
        next(dataset_resets.followed(iter(steps), *base, TASK, PROBLEMS, **how | {"every": 0}))


def test_tested_reports_the_rubric_the_reward_and_the_distance(base):
    gold = preferences.gold(TASK)

    def doubled(rollouts, problems):
        return 2 * gold(rollouts, problems)

    metrics, rewards, texts = dataset_resets.tested(
        base[0], *base, TASK, PROBLEMS, doubled, samples=3, seed=1
    )  # of the base itself: no distance
    assert rewards.shape == (60, 3) and [len(group) for group in texts] == [3] * 60
    assert rewards[7, 2] == pytest.approx(TASK.reward(TASK.verify(PROBLEMS[7], texts[7][2])))
    assert metrics["gold"] == pytest.approx(rewards.mean()) and metrics["reward"] == pytest.approx(2 * rewards.mean())
    parts = metrics["coverage"] + metrics["fluency"] - metrics["repetition"]
    assert parts == pytest.approx(metrics["gold"]) and abs(metrics["kl"]) < 1e-4
    other, _ = lm.load("s-style-opening")
    with torch.no_grad():
        next(other.parameters()).mul_(1.3)
    far, _, _ = dataset_resets.tested(other, *base, TASK, PROBLEMS, gold, samples=3, seed=1)
    assert far["kl"] > 0.1


def test_beats_counts_pairs_and_half_of_the_ties():
    one, other = torch.tensor([[1.0, 2.0], [0.5, 0.5]]), torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    np.testing.assert_allclose(dataset_resets.beats(one, other), [(0.5 + 1 + 1 + 1) / 4, 0.5])
    np.testing.assert_allclose(dataset_resets.beats(other, one), 1 - dataset_resets.beats(one, other))
    assert dataset_resets.beats([0.1 + 0.2], [0.3]) == 0.5  # rounding is no victory


def test_given_away_counts_what_rollouts_start_with():
    starts = {PROBLEMS[0].prompt: "", PROBLEMS[1].prompt: "once the", PROBLEMS[2].prompt: "the once old moon"}
    found = dataset_resets.given_away(lambda p, rng: starts[p.prompt], PROBLEMS[:3], "once", 3000, 0)
    assert list(found.values())[:3] == pytest.approx([1 / 3] * 3, abs=0.03) and sum(list(found.values())[:3]) == 1
    assert found["words given"] == pytest.approx(2, abs=0.1)


def test_taught_and_measured_are_what_a_cell_needs(base):
    rows, judge = dataset_resets.taught("s-style-opening", TASK, PROBLEMS, 320, 0.1, 0)
    assert rows == dataset_resets.rows_of(*base, TASK, PROBLEMS, 320, noise=0.1, seed=0)
    both = [judge.of([r["prompt"] for r in rows], [r[side] for r in rows]) for side in ("chosen", "rejected")]
    assert (both[0] > both[1]).double().mean() > 0.6  # ten updates already rank most of them
    still = [Step(n, {"loss": 1.0}) for n in range(3)]
    what = (base[0], "s-style-opening", base[1], TASK, PROBLEMS, judge.rewards)
    metrics, kept = dataset_resets.measured(iter(still), *what, opening="once", every=2, seed=5, arm="x")
    curve, last = kept
    assert sorted(curve["curve"]) == sorted(dataset_resets.LOOKS) and curve["curve"]["opens"]["step"] == [0, 2]
    assert (last["kind"], last["arm"], last["seed"], len(last["texts"])) == ("tested", "x", 5, 4)
    assert np.mean(last["each"]) == pytest.approx(metrics["gold"], abs=1e-3) and last["gold"] == metrics["gold"]
    _, kept = dataset_resets.measured(iter(still), *what, opening="once", every=None, seed=5, arm="x")
    assert kept[0]["curve"] == {}
