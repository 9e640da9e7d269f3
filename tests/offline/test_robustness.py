"""Spoilt logs are shared and say what was done; tails, means over tasks and contrasts are those of a hand count."""

import numpy as np
import pandas as pd
import pytest

from rlkit import offline
from rlkit.live import live
from rlkit.offline import robustness
from rlkit.runs import Run, Step


def test_kurtosis_of_known_distributions():
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=200_000), rng.uniform(size=200_000), rng.laplace(size=200_000)])
    np.testing.assert_allclose(robustness.kurtosis(x), [0, -1.2, 3], atol=0.15)
    assert robustness.kurtosis([1, -1, 1, -1]) == pytest.approx(-2)  # the smallest there is


@pytest.fixture(scope="module")
def small():
    kept, robustness.TRANSITIONS = robustness.TRANSITIONS, 400
    robustness.clean.cache_clear(), robustness.spoilt.cache_clear()
    yield
    robustness.TRANSITIONS = kept
    robustness.clean.cache_clear(), robustness.spoilt.cache_clear()


def test_a_spoilt_log_differs_in_its_column_alone_and_is_kept(small):
    clean, spoilt = (robustness.spoilt("pendulum", c, 7) for c in ("clean", "rewards"))
    assert clean.rewards.std() == pytest.approx(1, rel=1e-5)
    assert 0.2 < (clean.rewards != spoilt.rewards).mean() < 0.4
    assert np.abs(spoilt.rewards - clean.rewards).max() > 5  # up to ten deviations
    np.testing.assert_array_equal(clean.observations, spoilt.observations)
    assert robustness.spoilt("pendulum", "rewards", 7) is spoilt
    with pytest.raises(ValueError, match="condition='noise': must be one of 'clean', 'observations'"):
        robustness.spoilt("pendulum", "noise", 7)


def test_a_cell_has_a_row_for_each_arm_condition_and_seed(small):
    arms = {
        "a": (offline.iql, {"tau": 0.7}, {"discount": 0.9}, True),
        "b": (offline.iql, {"tau": 0.9}, {"discount": 0.9}, True),
        "bc": (offline.bc, {}, {}, False),
    }
    metrics, rows = robustness.train(arms, ["a", "b"], "pendulum", ["clean", "dynamics"], [7, 8], 40)
    assert [(r["arm"], r["condition"], r["seed"]) for r in rows[:3]] == [("a", "clean", 7), ("a", "clean", 8)] + [
        ("a", "dynamics", 7)
    ]
    assert len(rows) == 8 and metrics["score"] == pytest.approx(np.mean([r["score"][-1] for r in rows]), abs=1e-4)
    assert all(sum(r["error histogram"]) == 80 for r in rows)  # every fifth of 400
    assert rows[0]["score"] != rows[4]["score"]  # another expectile
    alone = robustness.train(arms, ["b"], "pendulum", ["dynamics"], [8], 40)[1][0]
    assert alone["score"] == pytest.approx(rows[-1]["score"], abs=0.05)  # its own tau, log and seed
    (row,) = robustness.train(arms, ["bc"], "pendulum", ["clean"], [7], 40)[1]
    assert "target kurtosis" not in row and len(row["score"]) == 1


def test_tails_are_those_of_the_targets(small):
    class Known:
        def value(self, x):
            return x[..., 2]  # the speed

        def q(self, x, actions):
            return np.zeros(x.shape[:2])

    log = robustness.clean("pendulum", 7)
    (row,) = robustness.tails(Known(), [log], 0.5)
    y = (log.rewards + 0.5 * log.next_observations[:, 2])[::5]
    assert row["target kurtosis"] == row["error kurtosis"] == pytest.approx(robustness.kurtosis(y), abs=1e-3)


def test_results_of_a_run_as_far_as_it_has_come(tmp_path):
    run = Run.create("x", {"seeds": [0]}, root=tmp_path)
    assert len(robustness.results(run)) == 0
    rows = [{"kind": "cell"}, {"kind": "row", "arm": "A", "score": [0.1, 0.4]}]
    live((step for step in [Step(0, {"score": 0.4}, rows)]), run).wait()
    assert robustness.results(run)["final"].tolist() == [0.4]


def test_levels_are_scores():
    log = robustness.clean("pendulum", 0)
    low, high = log.facts["random_return"], log.facts["expert_return"]
    assert robustness.levels(["pendulum"]) == {
        "pendulum": {"behaviour": pytest.approx((log.facts["behaviour_return"] - low) / (high - low)), "expert": 1.0}
    }


def rows_by_hand():
    scores = {("A", "clean"): (1, 3), ("A", "noisy"): (0, 2), ("B", "noisy"): (5, 9)}
    return pd.DataFrame(
        {"arm": arm, "condition": condition, "task": task, "seed": seed, "final": float(x + seed + 10 * (task == "u"))}
        for (arm, condition), pair in scores.items()
        for seed, x in enumerate(pair)
        for task in "tu"
    )


def test_means_over_tasks_and_contrasts_by_hand():
    found = rows_by_hand()
    np.testing.assert_allclose(robustness.by_seed(found, "A", ["noisy", "clean"]), [[5, 6], [8, 9]])
    np.testing.assert_allclose(robustness.by_seed(found, "A", ["clean"], ["t"]), [[1], [4]])
    result = robustness.contrast(found, ("B", ["noisy"]), ("A", ["noisy"]))
    assert result.estimate == pytest.approx(6) and result.seeds == 2 and result.low < 5 < 7 < result.high
    with pytest.raises(ValueError, match="among those of B: noisy"):
        robustness.by_seed(found, "B", ["clean"])


def test_one_lie_beside_the_truth(small):
    table, log = robustness.lie("pendulum", "dynamics", 7), robustness.clean("pendulum", 7)
    spoilt = robustness.spoilt("pendulum", "dynamics", 7)
    row = np.flatnonzero((spoilt.next_observations != log.next_observations).any(axis=1))[0]
    np.testing.assert_allclose(table.loc["in the log"], spoilt.next_observations[row], atol=0.005)
    shift = (spoilt.next_observations - log.next_observations)[row] / log.next_observations.std(axis=0)
    np.testing.assert_allclose(table.loc["deviations"], shift, atol=0.006)
    assert list(table) == ["cos angle", "sin angle", "speed (rad/s)"] and 0 < np.abs(shift).max() <= 1
    assert robustness.lie("pendulum", "rewards", 7).shape == (3, 1)
    with pytest.raises(ValueError, match="condition='clean': must be one of 'observations'"):
        robustness.lie("pendulum", "clean", 7)


def test_tables_of_means_and_of_what_no_clause_tests():
    level = {("RIQL", "clean"): 0.9, ("RIQL", "dynamics"): 0.7, ("IQL", "clean"): 0.8, ("IQL", "dynamics"): 0.3}
    level |= {("TD3+BC", "clean"): 0.1, ("TD3+BC", "dynamics"): 0.1}
    found = pd.DataFrame(
        {"task": task, "arm": arm, "condition": c, "seed": seed, "final": x + seed / 5, "error kurtosis": 10 * x * sign}
        for (arm, c), x in level.items()
        for task, sign in (("t", 1), ("u", -1))
        for seed in (0, 1)
    )
    wide = robustness.means(found[found["arm"] != "BC"].drop(index=found.index[-1]), "final")
    assert wide.loc[("t", "IQL"), ("final", "dynamics")] == "0.40" and list(wide["final"]) == ["clean", "dynamics"]
    table = robustness.undeclared(found)["estimate"]
    assert table["score, RIQL: all spoilt - clean"] == table["score, RIQL: dynamics - clean"] == -0.2
    assert table["score, clean: IQL - TD3+BC"] == 0.7
    assert table["kurtosis of errors, t, IQL: dynamics - clean"] == -5
    assert table["kurtosis of errors, u, IQL: dynamics - clean"] == 5  # opposite signs that a mean would hide
    assert table["kurtosis of errors, t, dynamics: RIQL - IQL"] == 4
