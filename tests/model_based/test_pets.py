"""PETS: plans in the true model are nearly optimal, the same bits again, and a seed alone."""

import numpy as np
import pytest

from rlkit import envs
from rlkit.envs import linear
from rlkit.model_based import Exact, Worlds, pets
from rlkit.offline.rows import generator

SHORT = {"steps": 110, "warm_up": 50, "horizon": 5, "candidates": 20, "best": 4, "model_steps": 30, "members": 3}
SHORT |= {"elites": 2, "particles": 2, "evaluate_every": 50, "model_every": 30}


def test_in_the_true_model_it_lives_nearly_as_well_as_the_optimal_controller():
    """An episode of 50 steps after a random one, for 20 seeds on the starts and noise of the optimal controller.

    With 240 evaluations a step and a window of 12 steps it earns 0.7 less than -5.0; random actions earn -36.
    """
    world, seeds = envs.simulator("linear"), range(20)
    options = {"steps": 100, "warm_up": 50, "horizon": 12, "candidates": 60, "rounds": 4, "particles": 1}
    first, second = pets(world, seeds, model=Exact(world), evaluate_every=50, **options)
    gains, worlds = linear.optimal(world).gains, Worlds(world, seeds)
    explorers = [generator(seed, "exploration") for seed in seeds]
    for step in range(100):
        random = np.stack([g.uniform(-1, 1, 2) for g in explorers]).astype(np.float32)
        worlds.step(random if step < 50 else -worlds.observations @ gains[step - 50].T)
    lived, best = np.array(worlds.finished).T
    assert first.metrics["return"] == pytest.approx(lived) and np.isnan(first.metrics["planned"]).all()
    lost = best - second.metrics["return"]
    assert best.mean() == pytest.approx(-5.0, abs=0.1) and lived.mean() < -25
    assert lost.min() > 0 and lost.max() < 1.5 and lost.mean() == pytest.approx(0.7, abs=0.3)


def test_it_repeats_its_bits_and_a_seed_is_what_it_is_alone():
    world = envs.simulator("linear")
    many, again, alone = (list(pets(world, seeds, **SHORT)) for seeds in ([0, 1, 2], [0, 1, 2], [1]))
    assert [step.step for step in many] == [50, 100, 110]
    for one, same, single in zip(many, again, alone, strict=True):
        assert set(one.metrics) >= {"return", "planned"}
        for name, values in one.metrics.items():
            assert np.array_equal(values, same.metrics[name], equal_nan=True), name
            np.testing.assert_allclose(values[1], single.metrics[name][0], rtol=1e-3, err_msg=name)
    assert "model_error" in many[1].metrics and np.isnan(many[2].metrics["return"]).all()


def test_returns_are_those_of_the_episodes_since_the_last_report():
    """Warm-up only, so that the actions are known: uniform ones from the seed's stream of exploration."""
    world, rng = envs.simulator("linear"), generator(4, "exploration")
    steps = list(pets(world, [4], steps=200, warm_up=200, evaluate_every=100))
    worlds = Worlds(world, [4])
    for _ in range(200):
        worlds.step(rng.uniform(-1, 1, 2).astype(np.float32)[None])
    assert len(worlds.finished[0]) == 4
    expected = np.mean(worlds.finished[0][:2]), np.mean(worlds.finished[0][2:])
    assert [step.metrics["return"][0] for step in steps] == pytest.approx(expected)


@pytest.mark.slow
def test_it_learns_the_linear_world():
    world = envs.simulator("linear")
    *_, last = pets(world, [0, 1], steps=500, warm_up=200, model_every=50, evaluate_every=250)
    assert (last.metrics["return"] > -15).all(), last.metrics["return"]  # uniform actions earn about -36


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"horizon": 0}, "horizon=0: must be a positive integer"),
        ({"best": 70}, "best=70: must be at most candidates=60"),
        ({"steps": 0}, "steps=0: must be a positive integer"),
        ({"warm_up": 0}, "warm_up=0: must be a positive integer"),
    ],
)
def test_bad_input_is_one_line(options, words):
    with pytest.raises(ValueError, match=words) as error:
        next(pets(envs.simulator("linear"), [0], **options))
    assert "\n" not in str(error.value)


def test_discrete_actions_are_refused():
    with pytest.raises(ValueError, match="simulator='maze-rooms': must be one with continuous actions"):
        next(pets(envs.simulator("maze-rooms"), [0]))
