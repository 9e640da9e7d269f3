"""Many copies of a world for each seed, played for some steps at once: what an on-policy learner learns from."""

from typing import NamedTuple

import numpy as np
import torch


class Played(NamedTuple):
    """T steps of E copies of S seeds, time first: observations and next_observations [T, S, E, O] (the next one is that
    before a new episode began), actions [T, S, E, A] as they were drawn, rewards, terminated, ended [T, S, E]."""

    observations: np.ndarray
    next_observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    ended: np.ndarray


class Copies:
    """S seeds times E copies of their worlds; a copy whose episode ends, by itself or by the clock, begins anew.

    simulators: one for each seed, alike in all sizes. generators: one for each seed, from which its starts, its worlds'
    noise and its actions' noise come. last: mean return of the episodes of each seed that ended last, [S]; NaN before.
    """

    def __init__(self, simulators, generators, copies: int):
        self.generators, self.copies = generators, copies
        groups = {}  # seeds that share a simulator step as one array
        for row, simulator in enumerate(simulators):
            groups.setdefault(id(simulator), (simulator, []))[1].append(row)
        self._groups = list(groups.values())
        self._states = [np.concatenate([s.start(generators[r], copies) for r in rows]) for s, rows in self._groups]
        self._clock, self._total = np.zeros((len(simulators), copies), int), np.zeros((len(simulators), copies))
        self.last = np.full(len(simulators), np.nan)

    def play(self, act, steps: int) -> Played:
        """`steps` steps of act(observations [S, E, O], noise [S, E, A]) -> actions [S, E, A], all of them tensors."""
        (world, _), shape = self._groups[0], (steps, *self._clock.shape)
        drawn = [g.standard_normal((steps, self.copies, world.action_size), np.float32) for g in self.generators]
        noise = [g.standard_normal((steps, self.copies, world.noise_size)) for g in self.generators]
        drawn, noise = np.stack(drawn, 1), np.stack(noise, 1)
        seen, after = (np.empty((*shape, world.observation_size), np.float32) for _ in range(2))
        made = Played(seen, after, np.empty_like(drawn), np.empty(shape), np.empty(shape, bool), np.empty(shape, bool))
        for t in range(steps):
            self._observe(seen[t])
            made.actions[t] = act(torch.from_numpy(seen[t]), torch.from_numpy(drawn[t]))
            for number, (simulator, rows) in enumerate(self._groups):
                inputs = (x[t, rows].reshape(len(rows) * self.copies, -1) for x in (made.actions, noise))
                self._states[number], paid, over = simulator.step(self._states[number], *inputs)
                made.rewards[t, rows] = paid.reshape(-1, self.copies)
                made.terminated[t, rows] = over.reshape(-1, self.copies)
            self._observe(after[t])
            self._end(made.rewards[t], made.terminated[t], made.ended[t])
        return made

    def _observe(self, out) -> None:
        for (simulator, rows), states in zip(self._groups, self._states, strict=True):
            out[rows] = simulator.observe(states).reshape(len(rows), self.copies, -1)

    def _end(self, rewards, terminated, ended) -> None:
        """Which episodes are over, into ended [S, E]; their copies begin anew."""
        self._clock += 1
        self._total += rewards
        for number, (simulator, rows) in enumerate(self._groups):
            ended[rows] = terminated[rows] | (self._clock[rows] >= simulator.horizon)
            for place, row in enumerate(rows):
                over = np.flatnonzero(ended[row])
                if len(over):
                    fresh = simulator.start(self.generators[row], len(over))
                    self._states[number][place * self.copies + over] = fresh
                    self.last[row] = self._total[row, over].mean()
        self._clock[ended], self._total[ended] = 0, 0.0


class RunningDeviation:
    """The deviation of the discounted sum of rewards, over all steps so far, each seed's own."""

    def __init__(self, seeds: int, copies: int):
        self._ahead, self._count = np.zeros((seeds, copies)), 0
        self._sum, self._squares = np.zeros(seeds), np.zeros(seeds)

    def __call__(self, rewards, ended, discount: float) -> np.ndarray:
        """rewards, ended [T, S, E] of the next T steps -> the deviation with them, [S], at least 1e-4."""
        for paid, over in zip(rewards, ended, strict=True):
            self._ahead = discount * self._ahead + paid
            self._sum, self._squares = self._sum + self._ahead.sum(1), self._squares + (self._ahead**2).sum(1)
            self._ahead = self._ahead * ~over
        self._count += rewards.shape[0] * rewards.shape[2]
        return np.sqrt(np.maximum(self._squares / self._count - (self._sum / self._count) ** 2, 1e-8))
