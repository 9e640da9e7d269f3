"""What data say about values: by way of the models that fit them, or by the Bellman equation alone.

A class of M deterministic models of N states and A actions, each with its optimal Q. Of data (s, a, r, s'), the models
that fit leave some of these Q; so does the Bellman equation, asked of each Q. The first set lies within the second
(Young, Ramesh, Kirsch and Schmidhuber 2022, 2211.02222, theorem 1.1), for the optimal Q of a model that fits the data
obeys r + discount max_a' Q(s', a') there. Data are four whole-number or float arrays [T]: s, a, r, after.
"""

from itertools import product

import numpy as np

from rlkit import checks


def optimal_q(following, rewards, discount, tolerance=1e-12):
    """The optimal Q of every model, q = r + discount max_a' q(following(s, a), a'), by value iteration: [M, N, A].

    following: whole numbers [M, N, A], where each action leads. rewards [M, N, A]. Raises ValueError for a discount
    outside of [0, 1) or arrays that do not fit.
    """
    following, rewards = np.asarray(following), checks.finite("rewards", rewards)
    if not 0 <= checks.finite("discount", discount) < 1:
        checks.fail("discount", discount, "in [0, 1)")
    if following.shape != rewards.shape or following.ndim != 3:
        raise ValueError(f"following of shape {following.shape}, rewards {rewards.shape}: must be [M, N, A] both")
    models, q = np.arange(len(rewards))[:, None, None], np.zeros(rewards.shape)
    while True:
        better = rewards + discount * q.max(axis=2)[models, following]
        if np.abs(better - q).max() <= tolerance * (1 - discount):
            return better
        q = better


def fits(following, rewards, s, a, r, after):
    """Which models agree with every transition, bool [M]: following[m, s, a] = after and rewards[m, s, a] = r."""
    return ((following[:, s, a] == after) & (rewards[:, s, a] == r)).all(axis=1)


def bellman_consistent(q, s, a, r, after, discount):
    """Which Q functions obey the Bellman equation on every transition, bool [M], to 1e-8:

    q[m, s, a] = r + discount max_a' q[m, after, a'].   q [M, N, A]; s, a, r, after [T].
    """
    target = r + discount * q[:, after].max(axis=2)  # [M, T]
    return (np.abs(q[:, s, a] - target) < 1e-8).all(axis=1)


def two_pipes():
    """A class of factored models of the two-pipe flute without chance: (following [M, 8, 2], rewards [M, 8, 2], truth).

    A state has three bits: pipe 1, the first cell of pipe 2, its last cell (as a number 4, 2, 1). Each cell follows any
    function of its one parent: the action, the action, the cell before. The reward is any function of the two last
    cells. M = 4 * 4 * 4 * 16 = 1,024. truth: the number of the right one.
    """
    one, two = (np.array(list(product((0, 1), repeat=size))) for size in (2, 4))  # all functions of one bit, of two
    f, g, h, paid = np.indices((4, 4, 4, 16)).reshape(4, -1, 1, 1)
    state, action = np.arange(8)[:, None], np.arange(2)
    following = 4 * one[f, action] + 2 * one[g, action] + one[h, state >> 1 & 1]
    rewards = two[paid, 2 * (state >> 2) + (state & 1) + 0 * action]
    return following, rewards.astype(float), int(np.ravel_multi_index((2, 1, 1, 1), (4, 4, 4, 16)))


def walk(following, rewards, steps, rng):
    """Data of random actions in one model, following and rewards [N, A], from state 0: (s, a, r, after), [T] each."""
    a, states = rng.integers(rewards.shape[1], size=checks.positive_int("steps", steps)), [0]
    for action in a:
        states.append(int(following[states[-1], action]))
    s = np.array(states[:-1])
    return s, a, rewards[s, a], np.array(states[1:])


def distinct(q):
    """How many different functions there are among q [M, N, A], to 1e-9."""
    return len(np.unique(np.round(q, 9), axis=0))
