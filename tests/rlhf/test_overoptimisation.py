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


def found_of(rows):
    """A table of paths: rows of labels, capacity, seed, accuracy, gold [E], proxy [E], looks at KL 0, 2, 4 and 10."""
    table = [
        {"labels": a, "capacity": c, "seed": seed, "accuracy on the base": x, "accuracy, own labels": x, "proxy": proxy}
        | {"gold": np.array(g), "kl": np.array([0.0, 2, 4, 10]) * moved, "start": g[0], "end": g[-1]}
        | {"by_gold": max(g), "by_proxy": g[-1], "gap": max(g) - g[-1], "fall": g[-1] < g[0], "silent": not moved}
        for a, c, seed, x, g, proxy, moved in rows
    ]
    return pd.DataFrame(table).set_index(["labels", "capacity", "seed"]).sort_index()


def three_seeds():
    """More accurate is better at 4 nats and worse at the end; few, xs says nothing."""
    rows, proxy = [], np.arange(4.0)
    for seed in range(3):
        rows += [("gold", "gold", seed, np.nan, [1.0, 1.5, 1.9, 2.0], proxy, 1)]
        rows += [("few", "xs", seed, 0.5, [1.0] * 4, 0 * proxy, 0)]
        rows += [("many", "bag", seed, 0.9, [1.0, 1.3, 1.4, -0.2], proxy, 1)]
        rows += [("few", "bag", seed, 0.8, [1.0, 1.2, 1.3, -0.1], proxy, 1)]
        rows += [("many", "s", seed, 0.6, [1.0, 1.1, 1.2, 0.8], proxy, 1)]
    return found_of(rows)


def test_at_kl_reads_between_looks_and_says_who_never_got_there():
    told = over.at_kl(three_seeds(), 7)
    assert told["many", "bag", 0] == pytest.approx((1.4 - 0.2) / 2) and np.isnan(told["few", "xs", 0])


def test_means_leave_out_who_says_nothing_and_count_them():
    told = over.means(three_seeds())
    assert told["silent"].to_dict() == dict.fromkeys(told.index, 0) | {("few", "xs"): 3}
    assert told.loc[("many", "bag"), ["gold, start", "gold at KL = 4", "KL"]].tolist() == pytest.approx(
        [1.0, 1.4, 10.0]
    )
    assert told.loc[("few", "xs")].drop("silent").isna().all()


def test_beside_ranks_at_the_end_and_at_equal_distance():
    told = over.beside(three_seeds())["mean"]
    assert told["ranks"] == told["ranks, bag alone"] == -1 and told["ranks at KL = 4"] == 1
    assert told["ranks, silent ones too"] == pytest.approx(-1)  # the silent one has the lowest accuracy, the most gold
    assert (told["share that fall"], told["gap"]) == pytest.approx((1, (1.6 + 1.4 + 0.4) / 3))
    assert told["ranks, a guide that knows"] == 1 and told["the best is not the most accurate"] == 1
    assert "ranks, s alone" not in told  # one reward model ranks nothing


def test_a_guide_that_knows_is_bounded_by_noise():
    rows = [("many", c, s, x, [1.0, 1.0, 1.0, x * (-1) ** s], np.arange(4.0), 1) for s in (0, 1) for c, x in PAIR]
    told = over.beside(found_of(rows))["mean"]
    assert told["ranks, a guide that knows"] == -1 and told["ranks"] == 0


PAIR = (("bag", 0.9), ("s", 0.6))
