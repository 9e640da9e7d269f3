"""The maze as a simulator: the same world as its tables."""

import time

import numpy as np
import pytest
from scipy.stats import chi2

from rlkit import mdps
from rlkit.envs.maze import Maze


def test_it_has_what_a_simulator_has():
    world = Maze("rooms", slip=0.1)
    assert (world.name, world.observation_size, world.action_size, world.actions) == ("maze-rooms", 68, None, 4)
    assert (world.horizon, world.noise_size) == (100, 1)
    assert len(world.labels) == 68 and len(set(world.labels)) == 68
    assert Maze(["S.G"]).name == "maze-drawn"
    assert np.array_equal(world.mdp.transitions, mdps.maze("rooms", slip=0.1).transitions)


def test_observations_are_one_hot():
    world = Maze("u")
    seen = world.observe(np.arange(11)[:, None])
    assert seen.dtype == np.float32
    assert np.array_equal(seen, np.eye(11))


@pytest.mark.parametrize(("layout", "slip"), [("risky", 0.1), ("u", 0.5), (["S.S", "T.G"], 0.3)])
def test_next_states_and_rewards_are_those_of_the_tables(layout, slip):
    """2,000 steps from each (state, action): chi-squared over all that can happen, nothing else ever happens."""
    world, each = Maze(layout, slip), 2_000
    mdp, rng = world.mdp, np.random.default_rng(0)
    states, actions = np.divmod(np.repeat(np.arange(mdp.states * 4), each), 4)
    after, rewards, ended = world.step(states[:, None], actions, rng.standard_normal((len(states), 1)))
    assert after.shape == (len(states), 1) and rewards.shape == ended.shape == (len(states),)
    assert np.array_equal(ended, mdp.terminal[after[:, 0]])
    seen = np.zeros(mdp.transitions.shape)
    np.add.at(seen, (states, actions, after[:, 0]), 1)
    expected = each * mdp.transitions
    can = expected > 0
    assert seen[~can].sum() == 0
    freedom = can.sum() - mdp.states * 4
    assert ((seen - expected)[can] ** 2 / expected[can]).sum() < chi2.ppf(0.999, df=freedom)
    mean = rewards.reshape(mdp.states, 4, each).mean(axis=2)
    sure = (mdp.transitions == 1).any(axis=2)
    assert np.array_equal(mean[sure], mdp.rewards[sure])
    assert np.abs(mean - mdp.rewards).max() < 5 * np.sqrt(0.25 / each)


def test_who_has_arrived_stays_and_is_paid_nothing():
    world = Maze("corridor", slip=0.0)
    states, paid = world.start(np.random.default_rng(0), 3), np.zeros(3)
    assert states.tolist() == [[0]] * 3
    history = []
    for _ in range(8):
        states, rewards, ended = world.step(states, np.full(3, 1), np.zeros((3, 1)))
        paid += rewards
        history.append(bool(ended.all()))
    assert paid.tolist() == [1, 1, 1]
    assert history == [False] * 4 + [True] * 4


def test_played_returns_are_the_exact_ones():
    """5,000 episodes of a mixed policy, to the horizon: within 4 standard errors of dynamic programming."""
    world, rng = Maze("risky", slip=0.1), np.random.default_rng(1)
    policy = mdps.mixed(mdps.greedy(mdps.value_iteration(world.mdp)[1]), 0.7)
    states, paid = world.start(rng, 5_000), np.zeros(5_000)
    for _ in range(world.horizon):
        actions = (rng.random((5_000, 1)) >= policy[states[:, 0]].cumsum(axis=1)[:, :-1]).sum(axis=1)
        states, rewards, _ = world.step(states, actions, rng.standard_normal((5_000, 1)))
        paid += rewards
    exact = mdps.expected_return(world.mdp, policy, world.horizon)
    assert abs(paid.mean() - exact) < 4 * paid.std() / np.sqrt(5_000)
    assert -0.9 < exact < 0.9, "both ends happen, so that the comparison means something"


def test_rows_do_not_know_of_each_other():
    """The same noise gives the same step, bit for bit, alone or among a thousand; extreme noise stays in the world."""
    world, rng = Maze("rooms", slip=0.4), np.random.default_rng(2)
    states, actions = rng.integers(68, size=(1_000, 1)), rng.integers(4, size=1_000)
    noise = rng.standard_normal((1_000, 1))
    noise[:4, 0] = [-40.0, 40.0, 9.0, -9.0]
    after, rewards, ended = world.step(states, actions, noise)
    for row in range(8):
        alone = world.step(states[[row]], actions[[row]], noise[[row]])
        assert (alone[0][0, 0], alone[1][0], alone[2][0]) == (after[row, 0], rewards[row], ended[row])
    assert (world.mdp.transitions[states[:, 0], actions, after[:, 0]] > 0).all()


def test_starts_follow_the_drawing_and_the_seed():
    world = Maze(["S.S", "..G"])
    first = world.start(np.random.default_rng(3), 10_000)
    assert np.array_equal(first, world.start(np.random.default_rng(3), 10_000))
    counts = np.bincount(first[:, 0], minlength=6)
    assert counts[[0, 2]].sum() == 10_000
    assert abs(counts[0] - 5_000) < 4 * 50


@pytest.mark.parametrize("actions", [[4], [-1], [0.5]])
def test_a_bad_action_is_named(actions):
    with pytest.raises(ValueError, match=r"actions=array\(\[.*\]\): must be whole numbers from 0 to 3"):
        Maze("u").step(np.zeros((1, 1), dtype=int), np.array(actions), np.zeros((1, 1)))


def test_it_makes_100_000_steps_a_second():
    """1,000 copies, observations included; the best of three, for the machine may be busy."""
    world, rng = Maze("rooms"), np.random.default_rng(4)
    actions, noise = rng.integers(4, size=1_000), rng.standard_normal((1_000, 1))
    best = np.inf
    for _ in range(3):
        states, begin = world.start(rng, 1_000), time.perf_counter()
        for _ in range(50):
            states, _, _ = world.step(states, actions, noise)
            world.observe(states)
        best = min(best, time.perf_counter() - begin)
    assert 50 * 1_000 / best > 100_000
