"""Rollouts: many episodes of one simulator at once, as arrays."""

from typing import NamedTuple

import numpy as np

from rlkit import checks


class Trajectories(NamedTuple):
    """E episodes of at most T steps. After an episode's end its rewards and actions are 0 and its state stands still.

    observations: float32 [E, T + 1, O]. actions: float32 [E, T, A] in [-1, 1], or int64 [E, T]. rewards: float64
    [E, T]. terminated: bool [E, T], true in the step that ended the episode; an episode without one was cut by the
    clock. lengths: int64 [E], steps taken. states: float64 [E, T + 1, D], or None where the world hides them.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    lengths: np.ndarray
    states: np.ndarray | None


def rollout(simulator, act_factory, rng, episodes, steps=None) -> Trajectories:
    """Play `episodes` episodes of a Simulator with a behaviour policy, all of them in one array.

    act_factory: make(count, rng) -> act(observations [E, O]) -> actions [E, A] (clipped to [-1, 1]) or [E].
    rng: np.random.Generator; the world and the policy draw from two generators that it spawns, so that policies
    compared from equal generators meet the same starts and the same noise. steps: the clock, by default
    simulator.horizon. Raises ValueError for episodes or steps below 1, or actions of the wrong shape, NaN, or
    outside of the simulator's numbers.
    """
    checks.positive_int("episodes", episodes)
    clock = simulator.horizon if steps is None else checks.positive_int("steps", steps)
    world, policy = rng.spawn(2)
    act = act_factory(episodes, policy)
    state = simulator.start(world, episodes)  # [E, D]
    states = np.empty((clock + 1, *state.shape), state.dtype)
    observations = np.empty((clock + 1, episodes, simulator.observation_size), np.float32)
    shape = (episodes,) if simulator.actions else (episodes, simulator.action_size)
    actions = np.zeros((clock, *shape), np.int64 if simulator.actions else np.float32)
    rewards, terminated = np.zeros((clock, episodes)), np.zeros((clock, episodes), bool)
    alive = np.ones(episodes, bool)
    states[0], observations[0] = state, simulator.observe(state)
    for t in range(clock):
        action = checked(act(observations[t]), shape, simulator.actions)
        noise = world.standard_normal((episodes, simulator.noise_size))
        after, reward, ended = simulator.step(state, action, noise)
        if alive.all():
            state, actions[t], rewards[t], terminated[t] = after, action, reward, ended
        else:
            state = np.where(alive[:, None], after, state)
            actions[t], rewards[t], terminated[t] = action, np.where(alive, reward, 0.0), ended & alive
            actions[t, ~alive] = 0
        alive = alive & ~ended
        states[t + 1], observations[t + 1] = state, simulator.observe(state)
        if not alive.any():
            states[t + 2 :], observations[t + 2 :] = states[t + 1], observations[t + 1]
            break
    over = terminated.any(axis=0)
    lengths = np.where(over, terminated.argmax(axis=0) + 1, clock)
    first = (np.moveaxis(x, 0, 1).copy() for x in (observations, actions, rewards, terminated))
    return Trajectories(*first, lengths, np.moveaxis(states, 0, 1).copy())


def returns(trajectories) -> np.ndarray:
    """Undiscounted return of each episode, sum over t of rewards[:, t]: [E]."""
    return trajectories.rewards.sum(axis=1)


def checked(action, shape, actions=None):
    """The action as it is recorded and applied: float32 in [-1, 1], or int64. Raises ValueError."""
    action = np.asarray(action)
    if action.shape != shape:
        checks.fail("action's shape", action.shape, str(shape))
    if actions:
        if action.dtype.kind not in "iu" or (action < 0).any() or (action >= actions).any():
            checks.fail("action", action, f"integers from 0 to {actions - 1}")
        return action.astype(np.int64)
    if np.isnan(action).any():
        checks.fail("action", action, "without NaN")
    return np.clip(action, -1, 1).astype(np.float32)
