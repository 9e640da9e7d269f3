"""Learners learn: exact optimum where it is known, thresholds elsewhere, on seeds that nothing was tuned on."""

import numpy as np
import pytest
import torch

from rlkit import envs, mdps, offline
from rlkit.envs.behaviours import finite_policy
from rlkit.offline import Agent

pytestmark = pytest.mark.slow
SLIP = 0.1


@pytest.fixture(scope="module")
def maze():
    """A finite maze and data that covers every pair of state and action: its start is drawn from all free cells."""
    simulator = envs.simulator("maze-u", slip=SLIP)
    mdp = simulator.mdp
    rng, weights = np.random.default_rng(0), np.repeat(~mdp.terminal[:, None], 4, axis=1) / 4.0
    batch = mdps.sampled(mdp, weights / weights.sum(), 8_000, rng)
    one_hot = np.eye(mdp.states, dtype=np.float32)
    data = offline.Dataset(
        one_hot[batch.states],
        batch.actions,
        batch.rewards,
        one_hot[batch.next_states],
        mdp.terminal[batch.next_states],
        ~mdp.terminal[batch.next_states],  # single transitions: each is an episode of its own
        facts={"actions": 4, "random_return": 0.0, "expert_return": 1.0},
    )
    return simulator, mdp, data


def exact(mdp, policy):
    """The value of a policy [N, A] from the start as a share of the best possible."""
    values, _ = mdps.value_iteration(mdp)
    return float(mdp.start @ mdps.policy_value(mdp, policy) / (mdp.start @ values))


@pytest.mark.parametrize("name, options", [("iql", {"tau": 0.9, "beta": 10.0}), ("discrete_cql", {"alpha": 0.1})])
def test_the_exact_optimum_of_a_finite_maze_is_reached(maze, name, options):
    simulator, mdp, data = maze
    agent = Agent()
    learner = getattr(offline, name)(
        data,
        range(3),
        steps=2_500,
        discount=mdp.discount,
        polyak=0.02,
        evaluate_every=2_500,
        episodes=1,
        agent=agent,
        simulator=simulator,
        **options,
    )
    list(learner)
    chosen = agent.act(np.eye(mdp.states, dtype=np.float32))  # [S, N]
    for actions in chosen:
        assert exact(mdp, np.eye(4)[actions]) > 0.99


def test_values_of_the_data_are_pulled_down_not_up_by_cql(maze):
    simulator, mdp, data = maze
    agent = Agent()
    shared = dict(steps=3_000, discount=mdp.discount, polyak=0.02, evaluate_every=3_000, episodes=1)
    list(offline.discrete_cql(data, range(2), alpha=1.0, agent=agent, simulator=simulator, **shared))
    values, _ = mdps.value_iteration(mdp)
    q = np.stack([agent.q(np.eye(mdp.states, dtype=np.float32), np.full((2, mdp.states), a)) for a in range(4)], -1)
    inside = ~mdp.terminal
    assert (q.max(-1)[:, inside].mean(1) < values[inside].mean()).all()


def test_cloning_a_finite_behaviour_gives_its_probabilities():
    simulator = envs.simulator("maze-u", slip=SLIP)
    data, agent = offline.build(simulator, "medium", transitions=20_000, seed=0), Agent()
    list(offline.bc(data, range(3), steps=3_000, evaluate_every=3_000, episodes=1, agent=agent))
    learnt = agent.probabilities(np.eye(simulator.mdp.states, dtype=np.float32))  # [S, N, A]
    behaviour, visits = finite_policy(simulator, "medium"), data.observations.sum(0)
    often = visits > 300
    assert often.sum() >= 5
    difference = np.abs(learnt[:, often] - behaviour[often]).max(-1)
    assert difference.max() < 0.1 and difference.mean() < 0.05
    learnt = learnt.astype(float) / learnt.sum(-1, keepdims=True, dtype=float)
    gap = [exact(simulator.mdp, policy) - exact(simulator.mdp, behaviour) for policy in learnt]
    assert np.abs(gap).max() < 0.06


def last(learner):
    return np.asarray(list(learner)[-1].metrics["score"])


QUICK = dict(steps=2_000, evaluate_every=2_000, episodes=20)
SHORT = QUICK | dict(polyak=0.02, discount=0.98)  # short runs: values have to travel faster


@pytest.mark.parametrize("name, least", [("pendulum", 0.9), ("glucose", 0.9), ("safe-cart", 0.9), ("rocket", 0.3)])
def test_cloning_an_expert_that_sees_what_we_see(name, least):
    data = offline.build(name, "expert", transitions=20_000, seed=0)
    assert last(offline.bc(data, range(3), **QUICK)).mean() > least


def test_cloning_the_expert_of_the_pipe_needs_its_own_past_actions():
    blind, seeing = (
        last(offline.bc(offline.build(envs.simulator("delay-pipe", history=h), "expert", 20_000, 0), range(3), **QUICK))
        for h in (0, 5)
    )
    assert seeing.mean() > 0.65 and seeing.mean() > blind.mean() + 0.05


@pytest.mark.parametrize("name", ["point-maze-u", "pendulum"])
def test_iql_is_better_than_the_data_it_learns_from(name):
    data = offline.build(name, "medium", transitions=20_000, seed=0)
    assert last(offline.iql(data, range(3), **SHORT)).mean() > data.score(data.facts["behaviour_return"]) + 0.1


def test_td3_bc_is_close_to_the_expert_it_learns_from():
    data = offline.build("point-maze-u", "expert", transitions=20_000, seed=0)
    assert last(offline.td3_bc(data, range(3), **SHORT)).mean() > 0.8


def test_the_best_tenth_of_a_mixture_is_worth_cloning_and_the_whole_is_not():
    data = offline.build("point-maze-u", {"expert": 0.1, "random": 0.9}, transitions=20_000, seed=0)
    whole, best = last(offline.bc(data, range(3), **QUICK)), last(offline.bc(data, range(3), top=0.1, **QUICK))
    assert whole.mean() < 0.3 and best.mean() > 0.7


def test_one_thread_is_the_default_of_small_networks():
    assert torch.get_num_threads() >= 1
    list(offline.bc(offline.build("maze-u", "random", 200, seed=0), [0], steps=1, episodes=1))
    assert torch.get_num_threads() == 1
