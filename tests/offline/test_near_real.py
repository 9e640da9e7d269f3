"""Controllers and learners are tested on the same episodes, and a cell's rows say what was played."""

import numpy as np
import pytest

from rlkit import envs, offline
from rlkit.offline import near_real
from rlkit.runs import Run, Step


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(near_real, "TRANSITIONS", 400)
    near_real.log.cache_clear()
    yield
    near_real.log.cache_clear()


def test_the_written_policies_score_what_references_say():
    for arm, expected in (("random", 0.0), ("controller", 0.68), ("expert", 1.0)):
        _, rows = near_real.train({}, {}, arm, ["safe-cart"], [0, 1], 1, 30)
        assert [row["seed"] for row in rows] == [0, 1] and rows[0]["task"] == "safe-cart" and rows[0]["curve"] == []
        assert np.mean([row["score"] for row in rows]) == pytest.approx(expected, abs=0.05)
        assert (rows[0]["fast"] > 0.5) == (arm == "random")


def test_a_seed_is_tested_alike_alone_and_among_others():
    together = near_real.train({}, {}, "controller", ["delay-pipe"], [3, 4], 1, 5)[1]
    alone = near_real.train({}, {}, "controller", ["delay-pipe"], [4], 1, 5)[1]
    assert together[1] == alone[0]


def test_history_changes_what_is_seen_and_not_what_the_controller_does():
    plain, history = (
        near_real.train({}, {}, "controller", [t], [0], 1, 5)[1][0] for t in ("delay-pipe", "pipe, history")
    )
    assert plain["score"] == history["score"]
    assert near_real.log("pipe, history", 0).observations.shape[1] == 7
    np.testing.assert_array_equal(near_real.log("pipe, history", 0).rewards, near_real.log("delay-pipe", 0).rewards)


def test_a_learner_is_trained_tested_and_kept(tmp_path):
    kept, learners = {}, {"BC": (offline.bc, False)}
    metrics, rows = near_real.train(learners, kept, "BC", ["glucose", "safe-cart"], [0, 1], 300, 4, discount=0.9)
    assert [(row["task"], row["seed"]) for row in rows] == [(t, s) for t in ("glucose", "safe-cart") for s in (0, 1)]
    assert metrics["score"] == pytest.approx(np.mean([row["score"] for row in rows]), abs=1e-4)
    assert all(len(row["curve"]) == 1 for row in rows)
    cart = near_real.played(kept, "BC", "safe-cart", episodes=2)
    near_real.train({}, kept, "controller", ["safe-cart"], [0], 1, 4)
    controller = near_real.played(kept, "controller", "safe-cart", episodes=2)
    np.testing.assert_array_equal(cart.states[:, 0], controller.states[:, 0])  # the same starts
    assert envs.returns(cart) == pytest.approx(envs.returns(controller), rel=0.3)  # it has learnt to copy
    run = Run.create("near-real", {"seeds": [0, 1]}, root=tmp_path)
    run.record(Step(0, metrics, rows))
    assert near_real.results(run)["BC"]["glucose"] == pytest.approx([rows[0]["score"], rows[1]["score"]])


def test_means_are_over_seeds_and_then_over_tasks_without_history():
    scores = {"delay-pipe": [0.2, 0.4], "pipe, history": [9.0, 9.0], "rocket": [0.0, 0.2]}
    table = near_real.means({"BC": {task: np.array(found) for task, found in scores.items()}})
    assert table.loc["BC"].to_dict() == pytest.approx(
        {"delay-pipe": 0.3, "pipe, history": 9, "rocket": 0.1, "mean of tasks": 0.2, "without the rocket": 0.3}
    )


def test_the_last_looks_say_what_the_last_steps_brought(tmp_path):
    run, row = Run.create("near-real", {"seeds": [0, 1]}, root=tmp_path), {"kind": "row", "task": "rocket"}
    rows = [row | {"arm": "BC", "seed": s, "curve": c} for s, c in ((0, [9, 0.1, 0.3]), (1, [9, 0.2, 0.1]))]
    rows += [row | {"arm": "expert", "seed": s, "curve": []} for s in (0, 1)]
    run.record(Step(0, {"score": 0.0}, rows))
    assert near_real.last_looks(run).T.to_dict() == {"BC": {"rocket": "+0.05 (1 of 2 rose)"}}
    curves, steps = near_real.looks(run, "rocket")
    assert list(curves) == ["BC"] and curves["BC"].shape == (2, 3) and steps.tolist() == [500, 1000, 1500]
    assert near_real.looks(run, "glucose")[0] == {}


def test_an_answer_is_the_change_of_the_action():
    seen = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]], dtype=np.float32)
    act = lambda observations: (observations[:, :1] - 2) ** 2  # noqa: E731  # 4, 1, 0, 1
    assert near_real.answer(act, seen, [1, 0]) == "+0.000 (falls in 50%)"  # -3, -1, 1, 3
    assert near_real.answer(act, seen, [0, 5]) == "+0.000 (falls in 0%)"
    assert near_real.answer(act, seen, [2, 0]) == "+2.000 (falls in 25%)"  # -4, 0, 4, 8


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="task='boiler': must be one of"):
        near_real.world("boiler")
