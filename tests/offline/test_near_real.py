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


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="task='boiler': must be one of"):
        near_real.world("boiler")
