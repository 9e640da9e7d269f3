"""Tabular learners: from transitions to a model or to a table of values, beside the exact answer."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from rlkit import checks
from rlkit.mdps.solve import expected_return, greedy, shared_best, value_iteration
from rlkit.runs import Step

BLOCK = 1_000  # uniforms drawn at a time for each seed


class Transitions(NamedTuple):
    """A batch of B transitions: state, action, reward and next state, each [B]; states and actions are numbers."""

    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_states: np.ndarray


def sampled(mdp, weights, count, rng):
    """`count` independent transitions: (state, action) in proportion to weights, the next state from the MDP.

    With weights = occupancy(mdp, policy) this is the policy's data as theory wants it; ones cover everything. Terminal
    states are left out, and rewards are the expected ones, mdp.rewards.

    Args: weights [N, A], not negative; count: a positive integer; rng: a np.random.Generator. Returns: Transitions.
    Raises: ValueError when weights do not fit, are negative, or leave nothing to draw.
    """
    weights = checks.finite("weights", weights)
    if weights.shape != mdp.rewards.shape:
        raise ValueError(f"weights of shape {weights.shape}: must be {mdp.rewards.shape}, states by actions")
    chance = np.where(mdp.terminal[:, None], 0.0, weights).ravel()
    if (weights < 0).any() or not chance.any():
        checks.fail("weights", weights, "not negative, and above 0 for some state that is not terminal")
    pairs = rng.choice(chance.size, size=checks.positive_int("count", count), p=chance / chance.sum())
    states, actions = np.divmod(pairs, mdp.actions)
    return Transitions(states, actions, mdp.rewards[states, actions], mdp.sample(states, actions, rng.random(count)))


def _checked(batch, mdp):
    for name, values, limit in zip(batch._fields, batch, (mdp.states, mdp.actions, None, mdp.states), strict=True):
        values = checks.finite(name, values)
        if values.shape != np.shape(batch.states) or values.ndim != 1:
            raise ValueError(f"{name} of shape {values.shape}: must be [B], the same for all four")
        wrong = () if limit is None else np.flatnonzero((values < 0) | (values >= limit) | (values != np.round(values)))
        if len(wrong):
            checks.fail(f"{name}[{wrong[0]}]", float(values[wrong[0]]), f"a whole number from 0 to {limit - 1}")
    whole = [np.asarray(values).astype(np.int64) for values in (batch.states, batch.actions, batch.next_states)]
    return Transitions(whole[0], whole[1], np.asarray(batch.rewards, dtype=float), whole[2])


def model_of(batch, like):
    """The empirical MDP (certainty equivalence): shares of next states and mean rewards of each (state, action)

        P(s' | s, a) = count(s, a, s') / count(s, a),   r(s, a) = mean reward

    What is known is taken from `like`: sizes, start, discount, terminal states. A pair without data stays where it is
    and pays 0; `counts` tells which ones these are, and how sure one may be of the others.

    Args: batch: Transitions; like: FiniteMDP. Returns: (FiniteMDP, counts [N, A]).
    Raises: ValueError that names the first entry that is no state or action of `like`.
    """
    states, actions, rewards, next_states = _checked(batch, like)
    seen = np.zeros(like.transitions.shape)  # [N, A, N]
    np.add.at(seen, (states, actions, next_states), 1)
    paid = np.zeros(like.rewards.shape)
    np.add.at(paid, (states, actions), rewards)
    counts = seen.sum(axis=2)
    known = (counts > 0) & ~like.terminal[:, None]
    stay = np.broadcast_to(np.eye(like.states)[:, None], seen.shape)
    transitions = np.where(known[..., None], seen / np.maximum(counts, 1)[..., None], stay)
    mean = np.where(known, paid / np.maximum(counts, 1), 0.0)
    return replace(like, transitions=transitions, rewards=mean), counts.astype(np.int64)


def q_update(q, states, actions, rewards, next_states, rate, discount):
    """Q-learning, in place, one transition for each seed:

        q[s, a] += rate (r + gamma max over a' of q[s', a'] - q[s, a])

    Watkins and Dayan (1992). q of terminal states is 0 and stays so, hence no flag for them.

    Args: q [S, N, A]; the others [S]; rate: a number or [S].
    """
    rows = np.arange(len(q))
    target = rewards + discount * q[rows, next_states].max(axis=1)
    q[rows, states, actions] += rate * (target - q[rows, states, actions])


def _rate(rate):
    """rate as a function of visits, so that a number and a schedule are one thing."""
    if callable(rate):
        return rate
    if not 0 < checks.positive("rate", rate) <= 1:
        checks.fail("rate", rate, "above 0 and at most 1, or a function of the number of visits")
    return lambda visits: rate


def nothing(t, *real):
    """No imagined transitions: what `learn` does by default."""
    return ()


def learn(mdp, labels, steps, rate, every, draw, imagine=nothing):
    """Q-learning in all S seeds at once, from one real transition a step and the imagined ones that follow it.

    draw(q, t) -> (states, actions, rewards, next states), each [S]; imagine(t, states, actions, rewards, next states)
    -> a sequence of such transitions. Each of them, in this order, is one update, which rate(number of updates of the
    pair so far) scales. Yields what q_learning says.
    """
    best = value_iteration(mdp)[1]
    q = np.zeros((len(labels), *mdp.rewards.shape))  # [S, N, A]
    visits, rows = np.zeros_like(q), np.arange(len(q))
    for t in range(steps):
        real = draw(q, t)
        for states, actions, rewards, next_states in (real, *imagine(t, *real)):
            visits[rows, states, actions] += 1
            q_update(q, states, actions, rewards, next_states, rate(visits[rows, states, actions]), mdp.discount)
        if (t + 1) % every == 0 or t + 1 == steps:
            error = np.abs(q - best).max(axis=(1, 2))  # [S]
            returns = np.array([expected_return(mdp, greedy(table)) for table in q])  # [S]
            tables = [{"seed": label, "q": table.copy()} for label, table in zip(labels, q, strict=True)]
            yield Step(t + 1, {"error": error, "return": returns}, tables)


def blocks(generators, shape, length):
    """A function of t = 0, 1, ... that gives fresh uniforms [S, *shape], drawn `length` steps at a time."""
    uniforms = None

    def at(t):
        nonlocal uniforms
        if t % length == 0:
            uniforms = np.stack([rng.random((length, *shape)) for rng in generators])  # [S, length, *shape]
        return uniforms[:, t % length]

    return at


def checked_seeds(seeds):
    """Seeds as a list of integers. Raises ValueError for none at all, or a bad one."""
    seeds = [checks.seed(seed) for seed in seeds]
    if not seeds:
        checks.fail("seeds", seeds, "a list of at least one seed")
    return seeds


def online(mdp, seeds, steps, rate, epsilon, every, imagine=nothing):
    """q_learning with its arguments checked, and with imagined transitions after each real one."""
    seeds, steps = checked_seeds(seeds), checks.positive_int("steps", steps)
    rate, every = _rate(rate), checks.positive_int("every", every)
    epsilon = float(checks.probability("epsilon", epsilon))
    uniforms = blocks([np.random.default_rng(seed) for seed in seeds], (3,), BLOCK)
    rows, first, last = np.arange(len(seeds)), mdp.start.cumsum(), np.flatnonzero(mdp.start)[-1]
    now = np.full(len(seeds), -1)

    def draw(q, t):
        nonlocal now
        act, move, start = uniforms(t).T
        fresh = np.minimum(np.searchsorted(first, start, side="right"), last)
        states = np.where((now < 0) | mdp.terminal[now], fresh, now)
        chance = (1 - epsilon) * shared_best(q[rows, states]) + epsilon / mdp.actions  # [S, A]
        actions = (act[:, None] >= chance.cumsum(axis=1)[:, :-1]).sum(axis=1)
        now = mdp.sample(states, actions, move)
        return states, actions, mdp.rewards[states, actions], now

    return learn(mdp, seeds, steps, rate, every, draw, imagine)


def q_learning(mdp, seeds, steps, rate=0.1, epsilon=0.1, every=1_000):
    """Q-learning online: act epsilon-greedily on q (0 at first, ties split), update, start again where an episode ends.

    Each seed has its own generator: seed 3 of ten is seed 3 alone, bit for bit. Rewards are mdp.rewards.

    Args: seeds: list of S seeds; steps: per seed; rate: the step size in (0, 1], or a function of the number of visits
    [S] to (state, action), such as `lambda visits: visits**-0.7`; epsilon in [0, 1]; every: steps between two Steps.
    Yields: Step with metrics error [S], max |q - q*|, and return [S], the exact discounted return of the greedy
    policy; rollouts: one row per seed with its table, {"seed": ..., "q": [N, A]}.
    Raises: ValueError for bad seeds, steps, rate, epsilon or every.
    """
    return online(mdp, seeds, steps, rate, epsilon, every)


def q_learning_offline(mdp, batch, order, rate=0.1, every=1_000):
    """Q-learning on a fixed batch, one transition after the other in the given order.

    The MDP is asked for its sizes, its discount and the exact answers to compare with, never for a transition.

    Args: batch: Transitions; order [S, steps]: which transition each of S copies takes at each step; rate, every: as
    in q_learning. Yields: Steps as q_learning does, with seeds 0 to S - 1.
    Raises: ValueError for entries that are no states or actions, or an order that leaves the batch.
    """
    batch, order = _checked(batch, mdp), np.asarray(order)
    rate, every = _rate(rate), checks.positive_int("every", every)
    if order.ndim != 2 or order.size == 0 or order.dtype.kind not in "iu":
        raise ValueError(f"order of shape {order.shape} and type {order.dtype}: must be integers [S, steps]")
    if order.min() < 0 or order.max() >= len(batch.states):
        checks.fail("order", [int(order.min()), int(order.max())], f"from 0 to {len(batch.states) - 1}")

    def draw(q, t):
        return tuple(column[order[:, t]] for column in batch)

    return learn(mdp, list(range(len(order))), order.shape[1], rate, every, draw)
