import numpy as np
import pytest

from rlkit import evaluations
from rlkit.runs import Run
from rlkit.stats import pass_at_k


def run(tmp_path, rows, **config):
    made = Run.create("arms", config, root=tmp_path)
    for step, one in enumerate(rows):
        made.log_rollouts(step, one)
    return made


def test_counts_puts_seeds_and_problems_into_one_order(tmp_path):
    rows = [
        [evaluations.row(["a", "b"], [1, 2], 4, at=0, arm="base", seed=1)],
        [evaluations.row(["b", "a"], [3, 4], 4, at=0, arm="base", seed=0)],
        [{"kind": "sample", "completion": "x"}, evaluations.row(["b", "a"], [0, 1], 4, at=9, arm="grpo", seed=0)],
        [evaluations.row(["a", "b"], [2, 2], 4, at=9, arm="grpo", seed=1)],
    ]
    found, samples, problems = evaluations.counts(run(tmp_path, rows))
    assert samples == 4 and problems == ["a", "b"]
    assert found["base"].tolist() == [[4, 3], [1, 2]] and found["grpo"].tolist() == [[1, 0], [2, 2]]


def test_first_last_and_a_step_are_told_apart(tmp_path):
    made = run(tmp_path, [[evaluations.row(["a"], [at], 9, at=at)] for at in (0, 5, 3)], seed=7, arm="nsr")
    for at, count in (("first", 0), (None, 5), (3, 3)):
        found, _, _ = evaluations.counts(made, at=at)
        assert found["nsr"].tolist() == [[count]]
    assert evaluations.table(made)["seed"].tolist() == [7, 7, 7]
    with pytest.raises(ValueError, match="no evaluation with at=4"):
        evaluations.counts(made, at=4)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (evaluations.row(["a", "c"], [0, 0], 4, at=0, arm="y"), "other problems"),
        (evaluations.row(["a", "b"], [0, 0], 8, at=0, arm="y"), r"\[4, 8\] samples"),
        (evaluations.row(["a", "b"], [0, 0], 4, at=0, arm="y", seed=3), "seeds are"),
    ],
)
def test_what_cannot_be_paired_is_refused(tmp_path, second, message):
    with pytest.raises(ValueError, match=message):
        evaluations.counts(run(tmp_path, [[evaluations.row(["a", "b"], [1, 1], 4, at=0, arm="x")], [second]]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((["a", "a"], [1, 1], 4), "different ids"), ((["a"], [1, 1], 4), "2 counts for 1"), ((["a"], [5], 4), "0 to 4")],
)
def test_a_row_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        evaluations.row(*arguments, at=0)


def test_a_run_without_evaluations_has_an_empty_table(tmp_path):
    made = run(tmp_path, [[{"completion": "x"}]])
    assert len(evaluations.table(made)) == 0
    with pytest.raises(ValueError, match="no evaluation"):
        evaluations.counts(made)


def test_curves_is_pass_at_k_of_each_problem():
    correct, k = np.array([[0, 3], [8, 1]]), [1, 4, 8]
    found = evaluations.curves(correct, 8, k)
    assert found.shape == (2, 2, 3)
    assert found[0, 1].tolist() == [pass_at_k(8, 3, one) for one in k] and found[1, 0].tolist() == [1, 1, 1]


def test_rows_of_a_kind_and_of_labels(tmp_path):
    run = Run.create("a", {}, root=tmp_path)
    assert not len(evaluations.of_kind(run, "look"))
    kinds = [("look", "x"), ("curve", "x"), ("look", "y")]
    run.log_rollouts(0, [{"kind": kind, "arm": arm, "n": n} for n, (kind, arm) in enumerate(kinds)])
    assert evaluations.of_kind(run, "look")["n"].tolist() == [0, 2]
    assert evaluations.of_kind(run, "look", arm="y")["n"].tolist() == [2]
    assert not len(evaluations.of_kind(run, "look", part="test")), "a label that no row has"
