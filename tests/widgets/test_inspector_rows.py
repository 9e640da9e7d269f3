"""Completions as columns: reading, filters, orders and the comparison of two steps, on rows written by hand."""

import math

import numpy as np
import pytest

from rlkit.runs import Run
from rlkit.widgets import rollout_rows

NAN = float("nan")


def row(group, reward, *, correct=0.0, form=1.0, finish="stop", advantage=0.0, **more):
    parts = {"correct": correct, "format": form}
    return {"group": group, "reward": reward, "reward_parts": parts, "finish_reason": finish} | {
        "advantage": advantage, "prompt": f"p{group}", "completion": "c"
    } | more  # fmt: skip


ROWS = [
    row(0, 1.0, correct=1.0, advantage=0.5, completion="Six Sevens"),
    row(0, 0.0, correct=0.0, advantage=-0.5, completion="six"),
    row(1, 0.2, correct=0.0, form=0.0, finish="length", advantage=0.0),
    row(1, 0.2, correct=0.0, form=1.0, advantage=0.0),
    row(2, NAN, correct=0.5, advantage=NAN),
    row(2, 0.7, correct=1.0, advantage=2.0),
]


def chosen(**how):
    return rollout_rows.select(rollout_rows.index(ROWS), **how).tolist()


def test_a_group_is_dead_if_all_its_rewards_are_equal_and_nan_is_equal_to_nothing():
    assert rollout_rows.index(ROWS).dead.tolist() == [False, False, True, True, False, False]
    assert not rollout_rows.index([row(0, NAN), row(0, NAN)]).dead.any()
    assert not rollout_rows.index([row(0, 1.0), row(1, 1.0)]).dead.any()  # a completion alone has nobody to equal


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"answer": "correct"}, [0, 5]),
        ({"answer": "wrong"}, [1, 2, 3, 4]),
        ({"answer": "format only"}, [1, 3]),
        ({"group": "dead"}, [2, 3]),
        ({"group": "with signal"}, [0, 1, 4, 5]),
        ({"finish": "cut off"}, [2]),
        ({"finish": "stopped", "group": "dead"}, [3]),
        ({"low": 0.2}, [0, 2, 3, 5]),
        ({"low": 0.2, "high": 0.7}, [2, 3, 5]),
        ({"words": "SIX"}, [0, 1]),
        ({"words": "six s"}, [0]),
        ({"words": "p1"}, [2, 3]),
        ({"words": "nowhere"}, []),
    ],
)
def test_filters_combine(how, wanted):
    assert chosen(**how) == wanted


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        ("as sampled", [0, 1, 2, 3, 4, 5]),
        ("advantage, highest first", [5, 0, 2, 3, 1, 4]),
        ("advantage, lowest first", [1, 2, 3, 0, 5, 4]),
        ("reward, highest first", [0, 5, 2, 3, 1, 4]),
        ("reward, lowest first", [1, 2, 3, 5, 0, 4]),
        ("longest first", [0, 1, 2, 3, 4, 5]),
        ("shortest first", [2, 3, 4, 5, 1, 0]),
    ],
)
def test_orders_are_stable_and_put_nan_last(order, wanted):
    assert chosen(order=order) == wanted


def test_groups_stay_together_as_sampled_even_if_logged_mixed():
    found = rollout_rows.index([row(0, 1), row(1, 1), row(0, 0)])
    assert rollout_rows.select(found).tolist() == [0, 2, 1]


def test_groups_of_different_arms_and_seeds_are_different_groups():
    found = rollout_rows.index([row(0, 1.0, seed=0), row(0, 0.0, seed=1), row(0, 1.0, seed=0)])
    assert found.group.tolist() == [0, 1, 0] and found.batch.tolist() == [0, 1, 0] and found.dead.tolist()[0]


def test_without_a_group_the_problem_or_the_prompt_makes_one():
    assert rollout_rows.index([{"problem": "a"}, {"problem": "b"}, {"problem": "a"}]).group.tolist() == [0, 1, 0]
    assert rollout_rows.index([{"prompt": "x"}, {"prompt": "x"}, {}]).group.tolist() == [0, 0, 1]


def test_rows_may_lack_everything_or_hold_the_wrong_kind():
    strange = {"group": [1], "reward": "high", "reward_parts": [1], "tokens": 3, "advantage": None, "completion": None}
    found = rollout_rows.index([{}, strange, {"reward": 10**400, "reward_parts": {"correct": True}}])
    assert np.isnan(found.reward).all() and found.correct[2] == 1 and np.isnan(found.correct[:2]).all()
    assert found.length.tolist() == [0, 0, 0] and not found.truncated.any() and len(rollout_rows.select(found)) == 3
    assert rollout_rows.index([]).rows == [] and len(rollout_rows.select(rollout_rows.index([]))) == 0


def test_tokens_fall_back_on_their_ids_and_are_always_text():
    assert rollout_rows.tokens({"tokens": ["a", None, 3], "token_ids": [1]}) == ["a", "None", "3"]
    assert rollout_rows.tokens({"tokens": [], "token_ids": [7, 8]}) == ["#7", "#8"]
    assert rollout_rows.tokens({"tokens": "abc"}) == []


def test_numbers_are_filled_with_nan_and_cut():
    assert np.array_equal(rollout_rows.numbers([1, "x", None, 2.5], 5), [1, NAN, NAN, 2.5, NAN], equal_nan=True)
    assert rollout_rows.numbers([1, 2, 3], 2).tolist() == [1, 2] and np.isnan(rollout_rows.numbers("12", 2)).all()


def test_bad_choices_are_one_line():
    found = rollout_rows.index(ROWS)
    with pytest.raises(ValueError, match=r"^answer='right': must be one of 'all', 'correct'"):
        rollout_rows.select(found, answer="right")
    with pytest.raises(ValueError, match=r"^order='best': must be one of"):
        rollout_rows.select(found, order="best")


def test_reading_passes_evaluations_over_and_takes_only_what_is_new(tmp_path):
    run, known = Run.create("r", root=tmp_path), {}
    run.log_rollouts(0, [{"kind": "sample", "reward": 1.0}, {"kind": "evaluation"}, {"reward": 2.0}, {"kind": None}])
    seen = rollout_rows.read(run, known, 0)
    assert seen == 4 and [row.get("reward") for row in known[0]] == [1.0, 2.0, None]
    run.log_rollouts(3, [{"reward": 3.0}])
    assert rollout_rows.read(run, known, seen) == 5 and sorted(known) == [0, 3] and len(known[0]) == 3


def test_two_steps_of_a_prompt_are_compared_by_text():
    before = [
        {"completion": "a", "reward": 0.0, "logp_sampled": [-1.0, -2.0]},
        {"completion": "a", "reward": 1.0, "logp_sampled": [-1.0, -1.0]},
        {"completion": "b", "reward": 0.0},
    ]
    after = [{"completion": "c", "reward": 1.0}, {"completion": "a", "reward": 1.0, "logp_sampled": [-0.5]}]
    kept, gone, new = rollout_rows.compare(before, after)
    assert (kept.what, kept.completion, kept.times, kept.reward) == ("kept", "a", (2, 1), (0.5, 1.0))
    assert kept.logp == (-2.5, -0.5)
    assert (gone.what, gone.times, gone.completion) == ("gone", (1, 0), "b") and math.isnan(gone.logp[0])
    assert (new.what, new.times, new.reward[1]) == ("new", (0, 1), 1.0) and math.isnan(new.reward[0])
    assert rollout_rows.compare([], []) == []
