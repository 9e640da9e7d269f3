"""Tabular Dyna-Q: Q-learning that dreams, between two real steps, of what it has seen."""

import numpy as np

from rlkit import checks
from rlkit.mdps.learn import BLOCK, blocks, checked_seeds, online


def dreams(mdp, seeds, planning):
    """A function for `learn`: it notes the real transition of each seed and returns `planning` imagined ones.

    A dream is a pair (state, action) drawn uniformly from those that its seed has visited, the reward last seen there,
    and a next state in proportion to how often it followed. Nothing is known of the MDP but its sizes.
    """
    pairs, rows = mdp.states * mdp.actions, np.arange(len(seeds))
    counts = np.zeros((len(seeds), pairs, mdp.states), dtype=np.int32)  # [S, N A, N] how often which state followed
    paid = np.zeros((len(seeds), pairs))  # [S, N A]
    visited, known = np.zeros((len(seeds), pairs), dtype=np.int64), np.zeros(len(seeds), dtype=np.int64)
    streams = [np.random.SeedSequence(seed).spawn(1)[0] for seed in seeds]  # the one that acts stays
    uniforms = blocks(list(map(np.random.default_rng, streams)), (planning, 2), max(1, BLOCK // planning))

    def imagine(t, states, actions, rewards, next_states):
        pair = states * mdp.actions + actions
        new = np.flatnonzero(~counts[rows, pair].any(axis=1))
        visited[new, known[new]] = pair[new]
        known[new] += 1
        counts[rows, pair, next_states] += 1
        paid[rows, pair] = rewards
        which, after = np.moveaxis(uniforms(t), -1, 0)  # [S, planning] each
        chosen = visited[rows[:, None], (which * known[:, None]).astype(np.int64)]
        seen = counts[rows[:, None], chosen].cumsum(axis=-1)  # [S, planning, N]
        rank = (after * seen[..., -1]).astype(np.int64)  # one of the visits of this pair, counted from 0
        following = (seen <= rank[..., None]).sum(axis=-1)
        dreamt = (*np.divmod(chosen, mdp.actions), paid[rows[:, None], chosen], following)
        return zip(*(column.T for column in dreamt), strict=True)  # `planning` transitions, columns [S]

    return imagine


def dyna_q(mdp, seeds, steps, planning=10, rate=0.1, epsilon=0.1, every=1_000):
    """Tabular Dyna-Q: after each real step of q_learning, `planning` updates with dreams from a table of what was seen

        (s, a) uniform over visited pairs,   s' ~ count(s, a, s') / count(s, a),   r: the last one seen at (s, a)

    so it is right in worlds with chance too, where the last s' alone would mislead. Dreams have a stream of their own
    in each seed: planning=0 is q_learning bit for bit, and seed 3 of ten is seed 3 alone. Sutton (1990); Sutton and
    Barto (2018), section 8.2.

    Args: planning: an integer of at least 0; rate: as in q_learning, where an imagined update counts as a visit; the
    others as in q_learning. The model takes 4 S A N^2 bytes. Yields: Steps as q_learning does, with the same metrics,
    error [S] and return [S]; steps are real ones.
    Raises: ValueError for bad seeds, steps, planning, rate, epsilon or every.
    """
    if checks.count("planning", planning) == 0:
        return online(mdp, seeds, steps, rate, epsilon, every)
    seeds = checked_seeds(seeds)
    return online(mdp, seeds, steps, rate, epsilon, every, dreams(mdp, seeds, planning))
