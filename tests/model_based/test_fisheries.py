"""Fisheries measured: the same episodes for all, grids that find the best number, smoothing that keeps a policy."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from rlkit import envs
from rlkit.envs import fishery
from rlkit.model_based import fisheries, fishery_rules

GROUP = ("two of three", "two, calm")
NUMBERS = {"seeds": [3, 4], "steps": 4_096, "episodes": 20}


def test_all_arms_meet_the_same_episodes_and_a_seed_meets_its_own():
    def play(act, seeds):
        worlds, generators = [fisheries.world("one stock")] * len(seeds), [np.random.default_rng(s) for s in seeds]
        return fishery_rules.play(lambda seen: np.full((*seen.shape[:2], 1), act), worlds, generators, 5)

    one, lost = play(-1.0, [0, 1])
    assert (one == 0).all() and not lost.any()
    made, _ = play(-0.5, [0, 1])
    assert np.array_equal(made[1], play(-0.5, [1])[0][0]) and not np.array_equal(made[0], made[1])
    world = fisheries.world("one stock")
    rng = np.random.default_rng(1)
    states, total = world.start(rng, 5), 0
    for noise in rng.standard_normal((200, 5, 1)):
        states, rewards, _ = world.step(states, np.full((5, 1), -0.5), noise)
        total = total + rewards
    assert made[1] == pytest.approx(total)


def test_what_follows_a_loss_does_not_count():
    made, lost = fishery_rules.play(
        lambda seen: np.ones((*seen.shape[:2], 1)), [fisheries.world("one stock")], [np.random.default_rng(0)], 4
    )
    assert lost.all() and made == pytest.approx(0.7 - 100, abs=0.03), "all is caught in the first year"


def test_the_grid_finds_the_best_escapement_of_one_stock():
    assert fishery_rules.tune("constant escapement", "one stock") == pytest.approx([0.45], abs=0.02)
    assert fishery_rules.tune("constant mortality", "one stock") == pytest.approx([0.285], abs=0.02)


def test_the_logistic_optimum_is_good_for_one_stock_and_kills_the_predator_of_three():
    act, models = fishery_rules.logistic_rule("one stock", 0)
    assert fisheries.exact(act) == pytest.approx(35.7, abs=0.1) and len(models) == 1
    assert models[0].noise == pytest.approx(0.1, abs=0.01)
    act, models = fishery_rules.logistic_rule("two of three", 0)
    played = envs.rollout(fisheries.world("two of three"), lambda count, rng: act, np.random.default_rng(0), 100)
    lost = fisheries.what_is_lost(played)
    assert len(models) == 2 and lost["lost: Z"] > 0.4 and lost["lost: X"] == lost["lost: Y"] == 0
    assert lost["food"] < 0.97 and lost["years with food > 1"] == 0


def test_means_of_what_is_caught_and_left_are_those_of_the_years_lived():
    world = envs.simulator("fishery", noise=0.0)
    played = envs.rollout(world, lambda count, rng: fishery.mortality([0.2, 0.1]), np.random.default_rng(0), 2)
    found = fisheries.what_is_lost(played)
    assert found["catch in a year"] == pytest.approx(played.rewards.mean(), rel=1e-4) and found["lost: Z"] == 0
    x, y, z = np.moveaxis(played.states[:, :-1, :3], -1, 0)
    food = 0.8 * x + 1.1 * 0.9 * y
    assert found["food"] == pytest.approx(food.mean())
    assert found["Z"] == pytest.approx(z.mean()) and np.isnan(found["year of loss"])
    assert found["years with food > 1"] == (food > 1).mean() and np.isnan(found["food, Z < 0.2"]) == (z >= 0.2).all()
    assert found["return"] == found["return, not lost"] == pytest.approx(played.rewards.sum(1).mean())
    at_once = envs.rollout(world, lambda count, rng: fishery.mortality([1.0, 1.0]), np.random.default_rng(0), 2)
    found = fisheries.what_is_lost(at_once)
    assert found["catch in a year"] == pytest.approx(1.0, abs=0.02) and found["year of loss"] == 1, "one year alone"
    assert found["return"] == pytest.approx(-99, abs=0.02) and np.isnan(found["return, not lost"])


def test_a_smoothed_rule_is_nearly_that_rule(monkeypatch):
    monkeypatch.setattr(fishery_rules, "POINTS", 200)
    rule = fishery.guarded(*fishery.EXPERT)
    act = fishery_rules.smooth(rule, "two of three", 0)
    seen = envs.rollout(fisheries.world("two of three"), lambda count, rng: rule, np.random.default_rng(5), 3)
    points = seen.observations[:, :200].reshape(-1, 3)
    assert np.abs(act(points) - rule(points)).mean() < 0.05


@pytest.fixture(scope="module")
def measured():
    kept, cells = {}, [("PPO", ("one stock",)), ("PPO", GROUP), ("watchful rule", ("two of three",))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fishery_rules, "POINTS", 60)  # a tenth of a second instead of seconds
        return kept, {cell: fisheries.measure(kept, *cell, **NUMBERS) for cell in cells}


def test_a_cell_has_a_row_for_each_arm_condition_and_seed(measured):
    kept, found = measured
    _, rows = found["PPO", GROUP]
    labels = [(r["arm"], r["condition"], r["seed"]) for r in rows]
    assert len(set(labels)) == len(labels) == 8 and {r["seed"] for r in rows} == {3, 4}
    assert [len(r["curve"]) for r in rows] == [2] * 4 + [0] * 4 and all("exact" not in r for r in rows)
    assert set(kept) == {
        *((arm, c) for arm in ("PPO", "PPO + GP") for c in ("one stock", "two of three", "two, calm")),
        ("watchful rule", "two of three"),
    }
    mean, rows = found["PPO", ("one stock",)]
    assert mean["return"] == pytest.approx(np.mean([r["return"] for r in rows]))
    noise = [abs(r["exact"] - r["return"]) for r in rows]
    assert max(noise) < 0.1 * max(abs(r["exact"]) for r in rows), "exact, and the mean of 20 episodes"


def test_what_is_kept_is_the_policy_of_the_first_seed(measured):
    kept, found = measured
    row = found["PPO", ("one stock",)][1][0]
    assert row["seed"] == 3 and fisheries.exact(kept["PPO", "one stock"]) == row["exact"]


def test_episodes_of_a_kept_policy_and_of_one_that_has_to_be_learnt_again(measured):
    kept, _ = measured
    again = NUMBERS | {"seeds": [3]}
    one = fisheries.played(kept, again, "watchful rule", "two of three", episodes=5)
    two = fisheries.played({}, again, "watchful rule", "two of three", episodes=5)
    assert np.array_equal(one.rewards, two.rewards) and one.states.shape == (5, 201, 4)


def test_relative_returns_are_1_for_the_mean_of_constant_mortality(measured, monkeypatch):
    table = {
        "constant mortality": {"a": np.array([1.0, 3.0])},
        "PPO": {"a": np.array([3.0, 4.0]), "b": np.array([1.0, 1.0])},
    }
    monkeypatch.setattr(fisheries, "results", lambda run: table)
    found = fisheries.relative(None, ("PPO", "constant mortality", "PPO + GP"))
    assert list(found) == ["PPO", "mortality"] and list(found["PPO"]) == ["a"]
    assert found["PPO"]["a"] == pytest.approx([1.5, 2.0]) and found["mortality"]["a"].mean() == 1


def test_a_careful_constant_is_played_on_the_episodes_of_the_run():
    row = {"kind": "row", "condition": "one stock", "lost": 0.0}
    rows = [row | {"arm": "PPO", "seed": s, "return": 35.0 + s} for s in (3, 4)]
    rows += [row | {"arm": "watchful rule", "seed": s, "return": 34.0} for s in (3, 4)]
    _, own = fisheries.measure({}, "constant mortality", ("one stock",), **NUMBERS)
    cell = {"kind": "cell", "episodes": 20}
    run = SimpleNamespace(rollouts=lambda: pd.DataFrame([cell, *own, *rows]))
    found = fisheries.careful(run, "one stock", [1.0, 0.5])
    best, half, watchful, ppo = found.values()
    assert watchful["PPO earns more by"].startswith("+4.50 (") and watchful["return"] == 34 and watchful["lost"] == 0
    assert best["return"] == pytest.approx(np.mean([r["return"] for r in own]), abs=1e-3) and ppo["return"] == 38.5
    assert half["return"] < best["return"] and list(found)[1] == "50% of the best constant mortality"


def test_the_numbers_of_rules_models_and_grids_stand_in_a_table():
    rows = [{"kind": "row", "arm": arm, "condition": condition, "numbers": [0.25, 0.5][: 1 + ("two" in condition[:3])]}
            for arm in fishery_rules.RULES for condition in fisheries.CONDITIONS]  # fmt: skip
    run = SimpleNamespace(rollouts=lambda: pd.DataFrame([{"kind": "cell", "steps": 4_096}, *rows]))
    found = fisheries.numbers(run)
    assert list(found) == list(fisheries.CONDITIONS) and found["one stock"]["S_X + 1.1 S_Y"] == "–"
    two = found["two of three"]
    assert (two["m"], two["S"], two["S_X + 1.1 S_Y"], two["years of PPO"]) == (
        "0.25, 0.50",
        "0.25, 0.50",
        "0.80",
        "4,096",
    )
    assert two["years of a grid"] == f"{200 * (121 * 100 + 49 * 300):,}"
    models = fishery_rules.logistic_rule("two of three", 0)[1]
    assert two["logistic r"] == f"{models[0].rate:.2f}, {models[1].rate:.2f}"
    assert float(found["one stock"]["logistic S"]) == pytest.approx(0.45, abs=0.02), "the exact optimum's escapement"


def test_bad_names_are_refused_in_one_line():
    with pytest.raises(ValueError, match="condition='three': must be one of 'one stock'"):
        fisheries.world("three")
    with pytest.raises(ValueError, match="arm='PPO': must be one of 'constant mortality'"):
        fishery_rules.tune("PPO", "one stock")
