"""Exact answers against answers found in another way: by hand, by a linear program, by playing."""

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import binom

from rlkit import mdps


def random_mdp(seed, states=12, actions=3, discount=0.9):
    """Dirichlet transitions, normal rewards; the last state is terminal."""
    rng = np.random.default_rng(seed)
    transitions = rng.dirichlet(np.full(states, 0.3), size=(states, actions))
    rewards = rng.standard_normal((states, actions))
    transitions[-1], rewards[-1] = np.eye(states)[-1], 0.0
    terminal = np.arange(states) == states - 1
    return mdps.FiniteMDP(transitions, rewards, rng.dirichlet(np.ones(states)), discount, terminal)


WORLDS = [random_mdp(0), random_mdp(1, discount=0.99), mdps.maze("rooms"), mdps.maze("risky"), mdps.maze("u", slip=0.0)]


def uniform(world):
    return np.full(world.rewards.shape, 1 / world.actions)


@pytest.mark.parametrize("slip", [0.0, 0.1, 0.5])
def test_the_corridor_by_hand(slip):
    """k moves from the goal: v(1) = p / (1 - (1 - p) g), and v(k) = v(1) (p g / (1 - (1 - p) g))^(k - 1)."""
    world = mdps.maze("corridor", slip=slip, discount=0.9)
    p, g = 1 - slip, 0.9
    first = p / (1 - slip * g)
    by_hand = [first * (p * g / (1 - slip * g)) ** (k - 1) for k in (5, 4, 3, 2, 1)] + [0.0]
    values, q = mdps.value_iteration(world)
    assert np.allclose(values, by_hand, atol=1e-10, rtol=0)
    right = list(mdps.MOVES).index("right")
    assert (mdps.greedy(q)[:-1, right] == 1).all()
    assert np.isclose(q[0, list(mdps.MOVES).index("left")], g * values[0] * p + g * values[0] * slip)


@pytest.mark.parametrize("world", WORLDS)
def test_optimal_values_are_those_of_the_greedy_policy(world):
    values, q = mdps.value_iteration(world)
    assert np.allclose(mdps.policy_value(world, mdps.greedy(q)), values, atol=1e-9, rtol=0)
    assert np.allclose(mdps.q_of(world, values), q, atol=1e-9, rtol=0)
    assert np.array_equal(values, q.max(axis=1))
    assert (values >= mdps.policy_value(world, uniform(world)) - 1e-9).all()


@pytest.mark.parametrize("world", WORLDS)
def test_optimal_values_solve_the_linear_program(world):
    """min sum of v, subject to v(s) >= r(s, a) + gamma P v for all s, a. Puterman (1994), section 6.9."""
    own = np.repeat(np.eye(world.states), world.actions, axis=0)  # [N A, N]
    ahead = world.discount * world.transitions.reshape(-1, world.states)
    program = linprog(np.ones(world.states), A_ub=ahead - own, b_ub=-world.rewards.ravel(), bounds=(None, None))
    assert program.status == 0
    assert np.allclose(mdps.value_iteration(world)[0], program.x, atol=1e-6, rtol=0)


def test_the_tolerance_is_a_distance_that_is_kept():
    world = random_mdp(2, discount=0.99)
    exact = mdps.value_iteration(world, tolerance=1e-12)[0]
    for tolerance in (1.0, 1e-2, 1e-5):
        error = np.abs(mdps.value_iteration(world, tolerance=tolerance)[0] - exact).max()
        assert 1e-4 * tolerance < error <= tolerance


def test_value_iteration_ends_where_rounding_is_coarser_than_the_tolerance():
    world = random_mdp(3, discount=0.999)
    big = mdps.FiniteMDP(world.transitions, world.rewards * 1e6, world.start, 0.999, world.terminal)
    values, q = mdps.value_iteration(big, tolerance=1e-12)
    assert np.allclose(values, mdps.policy_value(big, mdps.greedy(q)), rtol=1e-9)


def test_without_rewards_every_value_is_nought():
    world = random_mdp(4)
    idle = mdps.FiniteMDP(world.transitions, np.zeros_like(world.rewards), world.start, 0.9, world.terminal)
    assert not mdps.value_iteration(idle)[0].any()


@pytest.mark.parametrize("world", WORLDS)
def test_visits_times_rewards_are_the_return(world):
    policy = mdps.mixed(mdps.greedy(mdps.value_iteration(world)[1]), 0.3)
    visits = mdps.occupancy(world, policy)
    assert visits.sum() == pytest.approx(1, abs=1e-12)
    assert visits.min() >= -1e-15
    earned = (visits * world.rewards).sum() / (1 - world.discount)
    assert earned == pytest.approx(mdps.expected_return(world, policy), abs=1e-10)
    assert np.allclose(visits, visits.sum(axis=1, keepdims=True) * policy)


def test_visits_are_those_of_a_played_policy():
    """20,000 episodes of 150 steps at gamma 0.9: each share within 5 standard errors, and never where it is 0."""
    world = mdps.maze("risky", slip=0.2, discount=0.9)
    policy = mdps.mixed(mdps.greedy(mdps.value_iteration(world)[1]), 0.5)
    visits = mdps.occupancy(world, policy)
    rng, episodes = np.random.default_rng(0), 20_000
    played = np.zeros((episodes, world.states * world.actions))
    states, rows = rng.choice(world.states, size=episodes, p=world.start), np.arange(episodes)
    for t in range(150):
        actions = (rng.random(episodes)[:, None] >= policy[states].cumsum(axis=1)[:, :-1]).sum(axis=1)
        played[rows, states * world.actions + actions] += 0.1 * 0.9**t
        states = world.sample(states, actions, rng.random(episodes))
    mean, error = played.mean(axis=0), played.std(axis=0) / np.sqrt(episodes)
    seen = (played > 0).sum(axis=0) >= 30  # enough for a standard error to mean something
    assert seen.sum() > 100
    assert (np.abs(mean - visits.ravel())[seen] < 5 * error[seen]).all()
    assert not mean[visits.ravel() < 1e-12].any()
    assert np.abs(mean - visits.ravel()).max() < 0.01


def test_the_return_of_a_horizon_counts_who_arrives_in_time():
    """With slip 0.1 the corridor needs 5 successes: within h steps that has chance P(binomial(h, 0.9) >= 5)."""
    world = mdps.maze("corridor", slip=0.1)
    policy = mdps.greedy(mdps.value_iteration(world)[1])
    for horizon in (1, 4, 5, 6, 9):
        assert mdps.expected_return(world, policy, horizon) == pytest.approx(binom.sf(4, horizon, 0.9), abs=1e-12)
    assert mdps.expected_return(world, policy, 4) == 0


def test_greedy_splits_ties_and_keeps_shapes():
    q = np.array([[1.0, 2.0, 2.0 + 1e-15], [0.0, 0.0, 0.0], [3.0, 1.0, 2.0]])
    assert mdps.greedy(q).tolist() == [[0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3], [1, 0, 0]]
    assert mdps.greedy(np.stack([q, q])).shape == (2, 3, 3)
    assert mdps.greedy(np.array([1.0, 1.0 + 1e-6])).tolist() == [0, 1]


def test_softened_and_mixed():
    q = np.array([0.0, np.log(3.0)])
    assert np.allclose(mdps.softened(q, 1.0), [0.25, 0.75])
    assert np.allclose(mdps.softened(q, 0.5), [0.1, 0.9])
    assert np.allclose(mdps.softened(q * 1e6, 1e-3), [0, 1])
    assert np.allclose(mdps.mixed([[1.0, 0.0, 0.0, 0.0]], 0.2), [[0.85, 0.05, 0.05, 0.05]])
    assert mdps.mixed([0.5, 0.5, 0.0], 0).tolist() == [0.5, 0.5, 0.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: mdps.policy_value(w, np.ones((2, 4))), r"policy of shape \(2, 4\): must be \(6, 4\)"),
        (lambda w: mdps.occupancy(w, np.full((6, 4), 0.2)), r"sum of policy\[0\]=0.8: must be 1"),
        (lambda w: mdps.expected_return(w, uniform(w), 0), r"horizon=0: must be a positive integer"),
        (lambda w: mdps.value_iteration(w, 0), r"tolerance=0: must be a finite number above 0"),
        (lambda w: mdps.greedy([np.nan, 1.0]), r"q\[0\]=nan: must be finite"),
        (lambda w: mdps.softened([1.0, 2.0], 0), r"temperature=0: must be a finite number above 0"),
        (lambda w: mdps.mixed([1.0, 0.0], 1.5), r"epsilon=1.5: must be in \[0, 1\]"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(mdps.maze("corridor"))
