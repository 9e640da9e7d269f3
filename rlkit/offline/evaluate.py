"""Evaluation of all policies at once: S seeds times E episodes advance as one array."""

import numpy as np

from rlkit.offline.rows import Agent, Rows, generator


def returns(agent: Agent, rows: Rows) -> np.ndarray:
    """Undiscounted returns [S, E] of the agent's policies, each seed on starts and noise of its own stream.

    The same starts come each time, so that a curve moves because the policy does. An action that is not a number, from
    a network that has diverged, counts as 0.
    """
    return trajectories(agent, rows)[0]


def trajectories(agent: Agent, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """(returns [S, E], observations [S, E, T + 1, O]) as `returns`; what follows a terminal step repeats it."""
    if rows.simulators is None:
        raise ValueError(
            "simulator=None: must be one to evaluate policies in, for the data come from a world of others"
        )
    return play(agent.act, rows.simulators, rows.seeds, rows.episodes, rows.discrete)


def play(act, simulators, seeds, episodes: int, discrete: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(returns [S, E], observations [S, E, T + 1, O]) of S policies.

    act: observations [S, E, O] -> actions [S, E, A], or [S, E] where discrete. simulators: one for each seed; those
    that are one object step as one array. Starts and noise are those of the seed's own stream for evaluation, the same
    each time. Actions that are not numbers count as 0.
    """
    generators = [generator(seed, "evaluation") for seed in seeds]
    groups = {}  # rows that share a simulator step as one array
    for row, simulator in enumerate(simulators):
        groups.setdefault(id(simulator), (simulator, []))[1].append(row)
    horizon = max(simulator.horizon for simulator in simulators)
    starts = [s.start(g, episodes) for s, g in zip(simulators, generators, strict=True)]
    noises = [
        g.standard_normal((s.horizon, episodes, s.noise_size)) for s, g in zip(simulators, generators, strict=True)
    ]
    groups = [
        (s, members, np.concatenate([starts[r] for r in members]), np.concatenate([noises[r] for r in members], 1))
        for s, members in groups.values()
    ]
    total, alive = np.zeros((len(seeds), episodes)), np.ones((len(seeds), episodes), dtype=bool)
    size = simulators[0].observe(starts[0]).shape[1]
    seen = np.empty((len(seeds), episodes, horizon + 1, size), dtype=np.float32)
    states = [group[2] for group in groups]
    for t in range(horizon + 1):
        for (simulator, members, _, _), state in zip(groups, states, strict=True):
            seen[members, :, t] = simulator.observe(state).reshape(len(members), episodes, -1)
        if t == horizon or not alive.any():
            seen[:, :, t + 1 :] = seen[:, :, t : t + 1]
            break
        actions = act(seen[:, :, t])
        actions = actions if discrete else np.nan_to_num(actions, posinf=0, neginf=0)
        for number, (simulator, members, _, noise) in enumerate(groups):
            if t >= simulator.horizon:
                alive[members] = False
                continue
            chosen = actions[members].reshape(len(members) * episodes, *actions.shape[2:])
            after, rewards, ended = simulator.step(states[number], chosen, noise[t])
            lives = alive[members].reshape(-1)
            states[number] = np.where(lives[:, None], after, states[number])
            total[members] += (rewards * lives).reshape(len(members), episodes)
            alive[members] = (lives & ~ended).reshape(len(members), episodes)
    return total, seen
