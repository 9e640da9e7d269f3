import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from rlkit import lm, rlhf
from rlkit.rlhf import overoptimisation as over
from rlkit.rlhf.reward_models import bag_of_words, fit_reward
from rlkit.runs import Run, Step


def test_the_gap_picks_in_one_half_and_reads_in_the_other():
    first, second = np.array([0.0, 3.0, 1.0]), np.array([0.0, 1.0, 0.5])
    assert over.gap(first, second) == (0.5 + 2.0) / 2
    assert over.gap([0.0, 1.0, 2.0], [0.0, 1.0, 2.0]) == 0
    assert over.gap([2.0, 0.0], [0.0, 1.0]) == ((0 - 1) + (0 - 0)) / 2  # a peak that is not there costs


def test_the_gap_of_a_flat_curve_is_0_on_average_where_the_highest_of_noisy_points_is_not():
    noise = np.random.default_rng(0).normal(size=(2, 4000, 10))
    assert abs(over.gap(*noise).mean()) < 0.05
    assert (noise.mean(0).max(-1) - noise.mean(0)[:, -1]).mean() > 0.9


def test_spearman_is_scipys_and_0_where_nothing_is_ranked():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 5, 12)).round(1)  # with ties
    expected = [stats.spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(over.spearman(x, y), expected, atol=1e-12)
    assert over.spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) == 0


def test_rises_allows_for_noise_only():
    assert over.rises([[0, 1, 2, 4, 3.9, 6], [0, 1, 2, 3, 2, 1]]).tolist() == [True, False]


@pytest.mark.parametrize("form", over.FORMS)
def test_fit_finds_the_curve_that_it_was_given(form):
    kl = np.linspace(0.1, 9, 20)
    alpha, beta, explained = over.fit(kl, over.height(kl, 0.7, 0.2, form), form)
    assert (alpha, beta, explained) == pytest.approx((0.7, 0.2, 1.0))
    assert over.fit(kl, over.height(kl, 0.7, 0.2, form) + 1, form)[2] < 0.9


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: over.gap([1.0], [1.0]), "must both be"),
        (lambda: over.gap([1.0, np.nan], [1.0, 2.0]), "first"),
        (lambda: over.spearman([1.0, 2.0], [1.0, 2.0, 3.0]), "must both be"),
        (lambda: over.fit([0.0, 1.0, 2.0], [0.0, 1.0, 2.0]), "above 0"),
        (lambda: over.fit([1.0, 2.0, 3.0], [0.0, 1.0, 2.0], "ppo"), "form='ppo'"),
        (lambda: over.look(None, None, None, None, [], None, samples=6, seed=0), "multiple of 4"),
    ],
)
def test_bad_input_gets_one_line(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def base():
    task = lm.tasks.style(lexicon="long", length=8)
    return task, task.problems(6, 0, "all"), *lm.load("s-style")


def test_a_look_reads_off_what_judging_does(base):
    task, problems, model, tokenizer = base
    seen = over.look(model, model, tokenizer, task, problems, rlhf.gold(task), samples=16, seed=3)
    drawn = lm.judge(lm.sample(model, tokenizer, problems, 16, task.max_new_tokens, seed=3), task, problems)
    gold = rlhf.gold(task)(drawn, problems)
    assert seen["kl"] == pytest.approx(0, abs=1e-4) and seen["accuracy"] == 1.0
    expected = [gold[:, :8].mean(), gold[:, 8:].mean(), gold.mean(), gold.std()]
    names = ("gold_first", "gold_second", "proxy", "proxy_spread")
    assert [seen[name] for name in names] == pytest.approx([value.item() for value in expected])
    assert seen["gold_error"] == pytest.approx(math.sqrt(gold.var(1).mean() / 48))
    against = over.look(
        model, model, tokenizer, task, problems, lambda r, p: -rlhf.gold(task)(r, p), samples=16, seed=3
    )
    assert against["accuracy"] == 0.0


def test_followed_keeps_what_was_seen_at_its_steps():
    steps = (Step(n, {}) for n in range(6))
    assert over.followed(steps, lambda n: {"twice": 2 * n}, (0, 2, 4)) == {"at": [0, 2, 4], "twice": [0, 4, 8]}
    with pytest.raises(ValueError, match="at="):
        over.followed([Step(0, {})], lambda n: {}, (7,))


def test_best_fit_goes_back_to_the_lowest_validation_loss(base):
    task, problems, _, tokenizer = base
    prompt = problems[0].prompt
    rows = [{"prompt": prompt, "chosen": "the moon sings", "rejected": "cat cat"}] * 4
    swapped = [{"prompt": prompt, "chosen": "cat cat", "rejected": "the moon sings"}] * 4
    bag = bag_of_words(tokenizer, max_new_tokens=8)
    loss = over.best_fit(bag, fit_reward(bag, rows, steps=5, learning_rate=0.05, batch=4, held_out=swapped))
    assert loss == pytest.approx(math.log(2)) and torch.count_nonzero(bag.weight) == 0  # only step 0 was no worse
    loss = over.best_fit(bag, fit_reward(bag, rows, steps=5, learning_rate=0.05, batch=4, held_out=rows))
    assert loss < math.log(2) and torch.count_nonzero(bag.weight) > 0
    pairs = (["the moon sings"] * 3, ["cat cat"] * 2 + ["moon cat the"])
    judged = [{"chosen": one[won]} for one, won in zip(zip(*pairs, strict=True), (0, 1, 0), strict=True)]
    right = over.accuracies(bag, task, problems[:1] * 3, *pairs, judged)
    assert right["accuracy on the base"] == 1.0 and right["accuracy, own labels"] == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="held_out"):
        over.best_fit(bag, fit_reward(bag, rows, steps=1, learning_rate=0.05))


def test_texts_tell_what_was_written_and_what_both_rewards_say(base):
    task, problems, model, tokenizer = base
    rows = over.texts(model, tokenizer, task, problems[:2], lambda r, p: 2 * rlhf.gold(task)(r, p), arm="x", seed=1)
    assert [row["prompt"] for row in rows] == [problems[0].prompt] * 2 + [problems[1].prompt] * 2
    for row, problem in zip(rows, [problems[0]] * 2 + [problems[1]] * 2, strict=True):
        assert row["gold"] == pytest.approx(task.reward(task.verify(problem, row["completion"])))
        assert row["proxy"] == pytest.approx(2 * row["gold"]) and (row["arm"], row["kind"]) == ("x", "text")


def test_paths_say_who_fell(tmp_path):
    found = {"at": [0, 1, 2, 3], "kl": [0.0, 1.0, 2.0, 3.0], "accuracy": [0.9, 0.8, 0.7, 0.6]}
    found |= {"proxy": [1.0, 3.0, 5.0, 7.0], "proxy_spread": [2.0, 1.0, 1.0, 1.0]}
    down = {"gold_first": [1.0, 2.0, 1.5, 0.0], "gold_second": [1.2, 1.8, 1.9, 0.2], "gold_error": [0.1] * 4}
    up = {"gold_first": [1.0, 1.1, 1.2, 1.3], "gold_second": [1.0, 1.1, 1.2, 1.3], "gold_error": [0.1] * 4}
    rows = [{"kind": "path", "labels": n, "capacity": "s", "seed": 0} | found | g for n, g in (("d", down), ("u", up))]
    run = Run.create("fell", {}, root=str(tmp_path))
    run.record(Step(0, {"x": 0.0}, rows))
    told = over.paths(run)
    fell, rose = told.loc[("d", "s", 0)], told.loc[("u", "s", 0)]
    assert (fell["fall"], rose["fall"], rose["gap"]) == (True, False, 0)
    assert fell["gap"] == pytest.approx(((1.8 - 0.2) + (1.5 - 0.0)) / 2) and fell["end"] == pytest.approx(0.1)
    assert fell["by_gold"] == pytest.approx(0.1 + 1.55) and fell["by_proxy"] == pytest.approx(0.1)
    assert fell["proxy"].tolist() == [0, 1, 2, 3]


def test_without_silent_leaves_out_who_says_nothing():
    rises, flat = np.arange(3.0), np.zeros(3)
    rows = [("gold", "gold", rises, 0.0, 2.0), ("few", "xs", flat, 0.5, 1.9), ("many", "bag", rises, 0.9, 0.1)]
    rows += [("many", "s", rises, 0.7, 0.8), ("many", "xs", rises, 0.6, 0.5)]
    table = [
        {"labels": a, "capacity": c, "seed": 0, "proxy": p, "accuracy on the base": x, "end": e, "gap": 2 - e}
        | {"fall": e < 0.6}
        for a, c, p, x, e in rows
    ]
    told = over.without_silent(pd.DataFrame(table).set_index(["labels", "capacity", "seed"]).sort_index())
    assert (told["left out"], told["best is not the most accurate"]) == (1, 1.0)
    assert (told["share that fall"], told["gap"]) == (0.667, 1.533)  # of the gaps 1.9, 1.2, 1.5
    assert told["rank correlation"] == pytest.approx(-0.5)  # ranks 3 2 1 of accuracy, 1 3 2 of gold
