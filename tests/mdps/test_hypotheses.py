"""Sets of value functions: optimal Q against value iteration, and the inclusion of the theorem on random classes."""

import numpy as np
import pytest

from rlkit import mdps
from rlkit.mdps.hypotheses import bellman_consistent, distinct, fits, optimal_q, two_pipes, walk


def some(models=300, states=4, actions=2, seed=0):
    rng = np.random.default_rng(seed)
    following = rng.integers(states, size=(models, states, actions))
    return following, rng.integers(2, size=(models, states, actions)).astype(float)


def test_optimal_q_is_value_iterations():
    following, rewards = some(20)
    q = optimal_q(following, rewards, 0.9)
    for model in range(20):
        moves = np.eye(4)[following[model]]  # [N, A, N]
        world = mdps.FiniteMDP(moves, rewards[model], np.eye(4)[0], 0.9, np.zeros(4, bool))
        np.testing.assert_allclose(q[model], mdps.value_iteration(world)[1], atol=1e-8)


def test_by_hand():
    q = np.array([[[1.0, 0.0], [2.0, 0.0]], [[1.5, 0.0], [1.0, 0.0]]])  # two Q of two states
    data = np.array([0]), np.array([0]), np.array([0.5]), np.array([1])
    assert bellman_consistent(q, *data, 0.5).tolist() == [False, False]  # 0.5 + 0.5 * 2 = 1.5, 0.5 + 0.5 = 1
    assert bellman_consistent(q + [[[0.5, 0], [0, 0]]] * 2, *data, 0.5).tolist() == [True, False]
    following, rewards = np.array([[[1, 0], [0, 0]], [[0, 0], [0, 0]]]), np.full((2, 2, 2), 0.5)
    assert fits(following, rewards, *data).tolist() == [True, False]


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_models_that_fit_have_q_that_obey_bellman_and_the_inclusion_is_strict_somewhere(steps):
    following, rewards = some(2_000)
    q, strict = optimal_q(following, rewards, 0.9), 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth = rng.integers(2_000)
        data = walk(following[truth], rewards[truth], steps, rng)
        by_model, by_bellman = fits(following, rewards, *data), bellman_consistent(q, *data, 0.9)
        assert by_model[truth] and not (by_model & ~by_bellman).any()
        strict += by_bellman.sum() > by_model.sum()
    assert strict > 0


def test_two_pipes_hold_the_flute_itself():
    from rlkit import envs

    following, rewards, truth = two_pipes()
    assert (
        following.shape == rewards.shape == (1024, 8, 2) and len(np.unique(following.reshape(1024, -1), axis=0)) == 64
    )
    world = envs.simulator("pan-flute", pipes=2, spontaneous=False)
    states = np.array([[s >> 2, s >> 1 & 1, s & 1] for s in range(8)], float)
    for action in range(2):
        after, paid, _ = world.step(states, np.full(8, action), np.zeros((8, 0)))
        assert (following[truth, :, action] == after @ [4, 2, 1]).all() and (rewards[truth, :, action] == paid).all()
    s, a, r, after = walk(following[truth], rewards[truth], 50, np.random.default_rng(0))
    assert s[0] == 0 and (s[1:] == after[:-1]).all() and set(a) == {0, 1} and r.sum() > 0


def test_bad_input_is_refused_in_one_line():
    following, rewards = some(3)
    with pytest.raises(ValueError, match=r"^discount=1: must be in \[0, 1\)$"):
        optimal_q(following, rewards, 1)
    with pytest.raises(ValueError, match=r"^following of shape \(3, 4, 1\), rewards \(3, 4, 2\): must be \[M, N, A\]"):
        optimal_q(following[..., :1], rewards, 0.9)


def test_equal_functions_count_once():
    q = np.array([[[1.0, 2.0]], [[1.0, 2.0 + 1e-12]], [[1.0, 2.1]]])
    assert distinct(q) == 2 and distinct(q[:0]) == 0
