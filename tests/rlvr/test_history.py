import numpy as np
import pytest

from rlkit.rlvr.history import accuracy_history, historical_variance
from rlkit.runs import Step


def sample(problem, correct, reward=0.0):
    return {"kind": "sample", "problem": problem, "reward": reward, "reward_parts": {"format": 1.0, "correct": correct}}


def test_each_problem_has_the_share_of_right_completions_of_each_visit():
    steps = [
        Step(0, {}, None),
        Step(1, {}, [sample("a", 1.0), sample("a", 0.0), sample("b", 0.0), {"kind": "evaluation", "problem": "a"}]),
        Step(2, {}, [sample("b", 1.0), sample("b", 1.0, reward=7.0)]),
        Step(3, {}, [sample("b", 1.0), sample("b", 0.5), sample("b", 0.0), sample("b", 0.0)]),  # two groups of two
    ]
    table = accuracy_history(iter(steps))
    assert list(table.index) == ["a", "b"] and list(table.columns) == [1, 2, 3]
    np.testing.assert_array_equal(table, [[0.5, np.nan, np.nan], [0.0, 1.0, 0.25]])


def test_without_rollouts_there_is_no_history():
    with pytest.raises(ValueError, match="learner: it yielded no rows"):
        accuracy_history([Step(0, {}, None), Step(1, {"reward": 1.0}, None)])


def test_the_variance_divides_by_the_number_of_visits_and_leaves_gaps_out():
    assert historical_variance([0.0, 1.0]) == 0.25
    np.testing.assert_allclose(historical_variance([[0.0, 1.0, np.nan], [0.5, 0.5, 0.5]]), [0.25, 0.0])
    random = np.random.default_rng(0).random((4, 5, 7)).round(2)
    np.testing.assert_allclose(historical_variance(random), random.var(-1), atol=1e-15)
    np.testing.assert_array_equal(np.argsort(historical_variance(random)), np.argsort(random.std(-1)))


@pytest.mark.parametrize("bad", [[0.5, 1.5], [0.5, np.inf], [np.nan, np.nan], [], [[0.5], [np.nan]]])
def test_what_is_no_accuracy_is_refused(bad):
    with pytest.raises(ValueError, match="accuracy"):
        historical_variance(bad)


def test_a_training_run_fills_it():
    lm = pytest.importorskip("rlkit.lm")
    from rlkit import rlvr

    task, (model, tokenizer) = lm.tasks.arithmetic(modulus=13, terms=4), lm.load("s-arithmetic")
    how = {"steps": 4, "learning_rate": 1e-4, "prompts_per_step": 2, "group_size": 4, "log_rollouts_every": 1}
    problems = task.problems(4, 0, "train")
    table = accuracy_history(rlvr.train(model, tokenizer, task, rlvr.grpo(), problems=problems, **how))
    assert sorted(table.index) == sorted(p.id for p in problems) and table.shape == (4, 2)
    assert table.stack().isin([0, 0.25, 0.5, 0.75, 1]).all()
