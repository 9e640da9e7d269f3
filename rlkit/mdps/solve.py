"""Exact answers for a finite MDP: optimal values, the value and the visits of any policy. N states, A actions."""

import math

import numpy as np
from scipy.special import softmax

from rlkit import checks
from rlkit.mdps.finite import check_rows

TIE = 1e-12  # relative: closer than rounding can tell


def _policy(mdp, policy):
    policy = checks.probability("policy", policy)
    if policy.shape != mdp.rewards.shape:
        raise ValueError(f"policy of shape {policy.shape}: must be {mdp.rewards.shape}, states by actions")
    check_rows("policy", policy)
    return policy


def q_of(mdp, values):
    """One step ahead: q[s, a] = r(s, a) + gamma sum over s' of P(s' | s, a) values[s'].

    Args: values [..., N]. Returns: q [..., N, A].
    """
    flat = mdp.transitions.reshape(-1, mdp.states)  # [N A, N]
    ahead = np.asarray(values, dtype=float) @ flat.T  # [..., N A]
    return mdp.rewards + mdp.discount * ahead.reshape(*ahead.shape[:-1], mdp.states, mdp.actions)


def value_iteration(mdp, tolerance=1e-10):
    """The optimal values: v <- max over a of q_of(mdp, v)[s, a], until v lies within `tolerance` of the fixed point.

    The distance is known: each sweep shrinks it by gamma, so it is at most gamma / (1 - gamma) times the last change.
    Sutton and Barto (2018), section 4.4; Puterman (1994), theorem 6.3.3.

    Args: tolerance: in units of return, above 0. Returns: (values [N], q [N, A]) with values = max over a of q.
    Raises: ValueError for a tolerance of 0 or less.
    """
    small = checks.positive("tolerance", tolerance) * (1 - mdp.discount) / mdp.discount
    largest = max(np.abs(mdp.rewards).max(), small)
    enough = math.ceil(math.log(small / (2 * largest)) / math.log(mdp.discount)) + 1  # rounding cannot keep it going
    q = mdp.rewards.copy()
    for _ in range(enough):
        before, q = q, q_of(mdp, q.max(axis=1))
        if np.abs(q.max(axis=1) - before.max(axis=1)).max() <= small:
            break
    return q.max(axis=1), q


def chain(mdp, policy):
    """The Markov chain of a policy [N, A]: transitions [N, N] and expected rewards [N]."""
    policy = _policy(mdp, policy)
    return np.einsum("na,nam->nm", policy, mdp.transitions), (policy * mdp.rewards).sum(axis=1)


def policy_value(mdp, policy):
    """The value of a policy: v = (I - gamma P_pi)^-1 r_pi, one linear solve. Sutton and Barto (2018), section 4.1.

    Args: policy [N, A], chances of actions. Returns: values [N].
    Raises: ValueError when the policy's shape or a row's sum is wrong.
    """
    transitions, rewards = chain(mdp, policy)
    return np.linalg.solve(np.eye(mdp.states) - mdp.discount * transitions, rewards)


def policy_iteration(mdp):
    """The optimal values by Howard's policy iteration: evaluate exactly, act greedily on that, until no action changes

        v = (I - gamma P_pi)^-1 r_pi,   pi(s) <- argmax over a of q_of(mdp, v)[s, a]

    The first policy is greedy on the rewards. An action stays while it is within 1e-12 (relative) of the best, and a
    round that raises no value was rounding: so no policy comes twice. Each is at least as good everywhere as the one
    before. Howard (1960); Puterman (1994), section 6.4.

    Returns: (values [N], q [N, A], policies): values = max over a of q, and policies is the list of the actions [N] of
    each round, the last one optimal; its length is the number of linear solves.
    """
    rows, each = np.arange(mdp.states), np.eye(mdp.actions)
    policies, total = [mdp.rewards.argmax(axis=1)], -math.inf
    while True:
        values = policy_value(mdp, each[policies[-1]])
        q = q_of(mdp, values)
        best = q.max(axis=1)
        stays = q[rows, policies[-1]] >= best - TIE * np.maximum(1, np.abs(best))
        if stays.all() or values.sum() <= total:
            return best, q, policies
        total = values.sum()
        policies.append(np.where(stays, policies[-1], q.argmax(axis=1)))


def occupancy(mdp, policy):
    """How often a policy is where, and does what: discounted, normalised visits

        d[s, a] = (1 - gamma) sum over t of gamma^t Pr(s_t = s, a_t = a)

    sums to 1, and (d * mdp.rewards).sum() / (1 - gamma) is the expected return. Time spent in terminal states counts.
    Puterman (1994), section 6.9.

    Args: policy [N, A]. Returns: [N, A]. Raises: ValueError when the policy's shape or a row's sum is wrong.
    """
    transitions, _ = chain(mdp, policy)
    visits = np.linalg.solve(np.eye(mdp.states) - mdp.discount * transitions.T, (1 - mdp.discount) * mdp.start)
    return visits[:, None] * policy


def expected_return(mdp, policy, horizon=None):
    """What a policy earns from the start distribution: discounted and for ever, or the plain sum of `horizon` steps.

    Args: policy [N, A]; horizon: a positive integer, or None. Returns: float.
    Raises: ValueError for a wrong policy or horizon.
    """
    if horizon is None:
        return float(mdp.start @ policy_value(mdp, policy))
    transitions, rewards = chain(mdp, policy)
    values = np.zeros(mdp.states)  # with no step left
    for _ in range(checks.positive_int("horizon", horizon)):
        values = rewards + transitions @ values
    return float(mdp.start @ values)


def shared_best(q):
    """`greedy` without its check, for inner loops."""
    best = q.max(axis=-1, keepdims=True)
    ties = q >= best - TIE * np.maximum(1, np.abs(best))
    return ties / ties.sum(axis=-1, keepdims=True)


def greedy(q):
    """The best action of each state; those that tie (to 1e-12, relative) share the chance equally.

    Args: q [..., A]. Returns: policy [..., A]. Raises: ValueError for NaN or infinity.
    """
    return shared_best(checks.finite("q", q))


def softened(q, temperature):
    """The Boltzmann policy exp(q[a] / temperature) / Z: greedy towards 0, uniform towards infinity.

    Args: q [..., A]; temperature above 0, in units of return. Returns: policy [..., A].
    Raises: ValueError for a temperature of 0 or less.
    """
    return softmax(checks.finite("q", q) / checks.positive("temperature", temperature), axis=-1)


def mixed(policy, epsilon):
    """(1 - epsilon) policy + epsilon uniform: what the policy does when it explores now and then.

    Args: policy [..., A]; epsilon in [0, 1]. Returns: policy [..., A]. Raises: ValueError for another epsilon.
    """
    policy = np.asarray(policy, dtype=float)
    return (1 - checks.probability("epsilon", epsilon)) * policy + epsilon / policy.shape[-1]
