"""The linear world: its equations, and that the optimum is one."""

import numpy as np
import pytest

from rlkit import envs
from rlkit.envs import linear


def test_one_step_by_hand():
    """From p = (1, 0), v = (0, 0.5), a = (0.5, 1), n = (1, -1)."""
    world = envs.simulator("linear", noise=0.1)
    after, reward, ended = world.step(np.array([[1, 0, 0, 0.5]]), np.array([[0.5, 1.0]]), np.array([[1.0, -1.0]]))
    push = np.array([0.5 - 1 - 0.5 * 0.5, 1 - 0.5 * 0.5])  # a - p - v / 2 + (-vy, vx) / 2
    assert after[0] == pytest.approx([1, 0.1, 0.2 * push[0] + 0.1, 0.5 + 0.2 * push[1] - 0.1])
    assert reward[0] == pytest.approx(-(1 + 0.1 * 0.25 + 0.5 * 1.25)) and not ended[0]
    clipped = world.step(np.zeros((1, 4)), np.array([[5.0, -3.0]]), np.zeros((1, 2)))
    assert clipped[0][0] == pytest.approx([0, 0, 0.2, -0.2]) and clipped[1][0] == pytest.approx(-1)


def test_place_inverts_observe():
    world = envs.simulator("linear")
    seen = world.observe(world.start(np.random.default_rng(0), 50))
    assert np.array_equal(world.observe(world.place(seen)), seen) and np.abs(seen[:, :2]).max() <= 1


def test_riccati_equals_the_best_action_of_the_last_two_steps():
    """Two steps to go: the last action is 0, and the one before is the minimum of a parabola, here found by search."""
    optimum, x = linear.optimal(envs.simulator("linear", noise=0.0), 2), np.array([0.7, -0.4, 0.2, 0.1])
    assert not optimum.gains[1].any() and optimum.matrices[1] == pytest.approx(linear.STATE_COST)
    grid = np.linspace(-0.1, 0.1, 81)
    actions = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    after = linear.DRIFT @ x + actions @ linear.INPUT.T
    cost = x @ linear.STATE_COST @ x + 0.5 * np.square(actions).sum(1) + np.square(after) @ np.diag(linear.STATE_COST)
    assert actions[cost.argmin()] == pytest.approx(-optimum.gains[0] @ x, abs=0.002)
    assert -cost.min() == pytest.approx(optimum.value(x[None])[0], abs=1e-5)


@pytest.mark.parametrize("noise, steps", [(0.05, 50), (0.0, 50), (0.2, 7)])
def test_the_optimal_controller_earns_what_is_expected(noise, steps):
    world = envs.simulator("linear", noise=noise)
    optimum = linear.optimal(world, steps)
    played = envs.rollout(world, linear.controlled(optimum.gains), np.random.default_rng(0), 20_000, steps)
    made = envs.returns(played)
    assert made.mean() == pytest.approx(optimum.expected, abs=4 * made.std() / 20_000**0.5)
    assert np.abs(played.actions).max() < 1
    expected = optimum.value(played.states[:, 0])  # given the start, only the noise is left
    assert (made - expected).mean() == pytest.approx(0, abs=4 * (made - expected).std() / 20_000**0.5 + 1e-5)
    if noise == 0:
        assert made == pytest.approx(expected, abs=1e-4)


def test_no_perturbed_controller_is_better():
    """Same starts and noise: each of 30 controllers with other gains earns less."""
    world, rng = envs.simulator("linear"), np.random.default_rng(0)
    gains = linear.optimal(world).gains
    best = envs.returns(envs.rollout(world, linear.controlled(gains), np.random.default_rng(1), 4_000))
    for k in range(30):
        other = gains + (0.05, 0.1, 0.3)[k % 3] * rng.standard_normal((2, 4))
        made = envs.returns(envs.rollout(world, linear.controlled(other), np.random.default_rng(1), 4_000))
        assert (best - made).mean() > 4 * (best - made).std() / 4_000**0.5


def test_references_are_in_order():
    found = envs.references("linear")
    assert found["expert"] == pytest.approx(linear.optimal(envs.simulator("linear")).expected, abs=0.4)
    assert found["medium"] == pytest.approx(-29, abs=3) and found["random"] == pytest.approx(-106, abs=5)


def test_a_fresh_controller_starts_its_clock_anew():
    world = envs.simulator("linear")
    first, again = (envs.rollout(world, envs.behaviour(world, "expert"), np.random.default_rng(3), 5) for _ in "12")
    assert np.array_equal(first.actions, again.actions) and not first.actions[:, -1].any()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: envs.simulator("linear", noise=-1), "noise=-1: must be at least 0"),
        (lambda: envs.simulator("linear", noise=float("nan")), "noise=nan: must be finite"),
        (lambda: linear.optimal(envs.simulator("linear"), 0), "steps=0: must be a positive integer"),
    ],
)
def test_bad_input_gives_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_references_know_the_optimum_where_actions_stay_within_their_bounds():
    assert envs.references("linear")["optimal"] == pytest.approx(linear.optimal(envs.simulator("linear")).expected)
    assert envs.references(linear.Linear(noise=0.3))["optimal"] is None
