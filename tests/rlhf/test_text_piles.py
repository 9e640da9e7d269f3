"""Piles of mixed quality: who wrote them, what they earn, and what a learner is told about them."""

import numpy as np
import pandas as pd
import pytest

from rlkit import lm, measure
from rlkit.live import live
from rlkit.rlhf import offline_texts, text_piles
from rlkit.runs import Run

TASK = lm.tasks.style("long", length=8, topics=2)
PROBLEMS = TASK.problems(42, 0, "all")


def test_a_pile_has_two_fifths_of_bad_texts_more_of_some_topics_than_of_others():
    data = text_piles.pile(TASK, PROBLEMS, 0, texts=3000)
    assert data["bad"].mean() == pytest.approx(0.4, abs=0.03)
    share = data.groupby(data["prompt"].str.split().str[0])["bad"].mean()
    np.testing.assert_allclose(share, np.linspace(0.1, 0.7, 7), atol=0.08)
    means = data.groupby("bad")["reward"].mean()
    assert means[False] - means[True] > 0.15 and data["reward"].between(0, 1).all()
    row = data.iloc[17]
    problem = PROBLEMS[row["problem"]]
    assert row["prompt"] == problem.prompt
    assert row["reward"] == pytest.approx((TASK.reward(TASK.verify(problem, row["text"])) + 1) / 3)
    assert data.equals(text_piles.pile(TASK, PROBLEMS, 0, texts=3000))
    assert not data.equals(text_piles.pile(TASK, PROBLEMS, 1, texts=3000))


def test_the_start_has_read_the_pile_and_advantages_are_rewards_less_values():
    start = text_piles.imitated("s-style", TASK, PROBLEMS, 0, texts=400, steps=20)
    assert start.rewards.shape == (42, 16) and 0.5 < start.rewards.mean() < 0.9
    told, advantage = text_piles.advantages(start, 0.0, 0)
    assert (told == start.texts["reward"]).all()
    value = (told - advantage)[start.texts["problem"] == 5]
    assert np.ptp(value) == pytest.approx(0, abs=1e-12)  # one value a prompt
    assert np.mean(told - advantage) == pytest.approx(start.rewards.mean(), abs=0.02)
    noisy, other = text_piles.advantages(start, 0.3, 0)
    assert sorted(noisy) == sorted(told) and 0.2 < np.mean(noisy != told) <= 0.3
    assert (noisy == offline_texts.swapped(told, 0.3, 0)).all() and not np.array_equal(advantage, other)


def test_other_tasks_are_refused():
    with pytest.raises(ValueError, match="task='countdown"):
        text_piles.to_unit(lm.tasks.countdown(numbers=3, largest=9), 0.5)


def test_results_are_read_back_by_arm_noise_and_seed(tmp_path):
    run = Run.create("piles", {}, root=tmp_path)
    cells = [{"arm": a, "noise": n, "seed": s} for s in (0, 1) for a, n in (("x", 0.0), ("y", 0.3))]
    live(measure.sweep(cells, lambda arm, noise, seed: {"reward": 10 * seed + noise}, run), run).wait()
    table = text_piles.results(run)
    assert table.loc[("y", 0.3, 1), "reward"] == 10.3 and len(table) == 4
    assert table["reward"].xs(("x", 0.0), level=("arm", "noise")).tolist() == [0.0, 10.0]


def test_loss_gap_compares_what_two_arms_lose_through_noise():
    index = pd.MultiIndex.from_product([["x", "y", "z"], [0.0, 0.3], [0, 1, 2]], names=["arm", "noise", "seed"])
    clean, noisy = np.array([1.0, 2.0, 3.0]), {"x": 0.5, "y": 0.2}
    values = [clean - noisy.get(arm, np.nan) * (noise > 0) for arm in "xyz" for noise in (0.0, 0.3)]
    found = pd.DataFrame({"reward": np.concatenate(values)}, index=index)
    found.loc[("z", 0.0), "reward"] = clean  # z has no noisy run
    gap, said = text_piles.loss_gap(found, "x", "y", 0.3)
    assert gap[:3] == pytest.approx((0.3, 0.3, 0.3)) and gap.seeds == 3
    assert said == "x loses 0.50, y 0.20 standard deviations; difference 0.30 [0.30, 0.30]"
    assert text_piles.loss_gap(found, "y", "x", 0.3)[0].estimate == pytest.approx(-0.3)
