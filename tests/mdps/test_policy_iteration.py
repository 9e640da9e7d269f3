"""Policy iteration against value iteration, round by round."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from rlkit import mdps
from rlkit.mdps import solve

WORLDS = {
    **{layout: mdps.maze(layout) for layout in mdps.LAYOUTS},
    "u without slip": mdps.maze("u", slip=0.0),
    "deep sea": mdps.deep_sea(),
    "sticky corridor": mdps.sticky_corridor(),
    "combination lock": mdps.combination_lock(),
    "garnet": mdps.random_mdp(),
    "large garnet": mdps.random_mdp(100, 6, branching=10, seed=1, discount=0.99),
}


def value_of(world, actions):
    return mdps.policy_value(world, np.eye(world.actions)[actions])


@pytest.mark.parametrize("name", WORLDS)
def test_it_ends_at_the_values_of_value_iteration_and_never_falls(name):
    world = WORLDS[name]
    values, q, policies = mdps.policy_iteration(world)
    expected, expected_q = mdps.value_iteration(world)
    assert np.allclose(values, expected, atol=2e-10, rtol=0) and np.allclose(q, expected_q, atol=2e-10, rtol=0)
    assert np.array_equal(values, q.max(axis=1))
    assert 2 <= len(policies) <= 12
    rounds = [value_of(world, actions) for actions in policies]
    for before, after in itertools.pairwise(rounds):
        assert (after >= before - 1e-12).all() and (after > before + 1e-12).any()
    assert np.allclose(rounds[-1], values, atol=1e-12, rtol=0)
    assert np.array_equal(policies[0], world.rewards.argmax(axis=1))


def test_two_states_by_hand():
    """Staying pays 1 now, leaving 0 now and 3 for ever after; gamma = 0.5: v = (3, 6), found in the second round."""
    transitions = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]])
    world = mdps.FiniteMDP(transitions, np.array([[1.0, 0.0], [3.0, 3.0]]), np.array([1.0, 0.0]), 0.5, np.zeros(2))
    values, q, policies = mdps.policy_iteration(world)
    assert [actions.tolist() for actions in policies] == [[0, 0], [1, 0]]
    assert np.allclose(values, [3, 6]) and np.allclose(q, [[2.5, 3.0], [6.0, 6.0]])


@pytest.mark.parametrize("size", [3, 10, 20])
def test_in_deep_sea_the_news_of_the_treasure_climbs_one_row_a_round(size):
    world = mdps.deep_sea(size)
    policies = mdps.policy_iteration(world)[2]
    diagonal = [world.positions.tolist().index([row, row]) for row in range(size)]
    assert [int(actions[diagonal].sum()) for actions in policies] == list(range(1, size + 1))


def test_ties_keep_the_action_that_is_there():
    idle = mdps.random_mdp(seed=4)
    idle = replace(idle, rewards=np.zeros_like(idle.rewards))
    assert len(mdps.policy_iteration(idle)[2]) == 1
    world = mdps.maze("rooms")
    twice = replace(world, transitions=np.tile(world.transitions, (1, 2, 1)), rewards=np.tile(world.rewards, (1, 2)))
    policies = mdps.policy_iteration(twice)[2]
    assert [(actions % 4).tolist() for actions in policies] == [a.tolist() for a in mdps.policy_iteration(world)[2]]


def shaped_twins(seed, discount):
    """Two copies of a random world; each action may go to either, and a potential pays for the difference: what differs
    between the two is rounding alone. Ng, Harada and Russell (1999)."""
    one = mdps.random_mdp(30, 3, branching=5, seed=seed, discount=discount)
    transitions = np.zeros((2, 30, 2, 3, 2, 30))  # copy and state, chosen copy and action, next copy and state
    for copy in range(2):
        transitions[:, :, copy, :, copy] = one.transitions
    transitions = transitions.reshape(60, 6, 60)
    potential = 10 * np.random.default_rng(seed).standard_normal(60)
    rewards = np.tile(one.rewards, (2, 2)) + potential[:, None] - discount * transitions @ potential
    return one, potential, mdps.FiniteMDP(transitions, rewards, np.full(60, 1 / 60), discount, np.zeros(60))


@pytest.mark.parametrize("discount", [0.9, 1 - 1e-7])
@pytest.mark.parametrize("tie", [solve.TIE, 0.0])
def test_it_ends_where_only_rounding_tells_actions_apart(discount, tie, monkeypatch):
    """Both with the tolerance for ties and without: then a round that raises no value ends it."""
    one, potential, world = shaped_twins(0, discount)
    expected = np.tile(mdps.policy_iteration(one)[0], 2) + potential
    calls = iter(range(30))
    evaluate = solve.policy_value
    monkeypatch.setattr(solve, "TIE", tie)
    monkeypatch.setattr(solve, "policy_value", lambda *args: (next(calls), evaluate(*args))[1])  # 30 rounds, then error
    values, _, policies = mdps.policy_iteration(world)
    assert len(policies) <= 8
    assert np.allclose(values, expected, rtol=1e-9, atol=1e-9)
