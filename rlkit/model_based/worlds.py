"""The real world of an online learner: one copy of a simulator for each seed, which starts again by itself."""

from typing import NamedTuple

import numpy as np

from rlkit import checks
from rlkit.offline.rows import generator


class Lived(NamedTuple):
    """One step of S worlds: observations [S, O], actions, rewards [S], next observations [S, O], continues [S] (0 after
    a terminal step alone: the clock ends an episode, not the return)."""

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_observations: np.ndarray
    continues: np.ndarray


class Worlds:
    """S copies of a Simulator; each seed's starts and noise come from its own stream.

    observations: what the agents see now, [S, O]. finished: the returns of all episodes that have ended, a list for
    each seed.
    """

    def __init__(self, simulator, seeds):
        self.simulator, self.seeds = simulator, [checks.seed(seed) for seed in seeds]
        self._generators = [generator(seed, "world") for seed in self.seeds]
        self._states = np.concatenate([simulator.start(g, 1) for g in self._generators])  # [S, D]
        self._clock, self._return = np.zeros(len(self.seeds), int), np.zeros(len(self.seeds))
        self.observations, self.finished = simulator.observe(self._states), [[] for _ in self.seeds]

    def step(self, actions) -> Lived:
        """One step in every world: actions [S, A] or [S]; an episode that ends is followed by a new start."""
        actions = np.asarray(actions)
        noise = np.zeros((len(self.seeds), 0))
        if self.simulator.noise_size:
            noise = np.stack([g.standard_normal(self.simulator.noise_size) for g in self._generators])
        after, rewards, terminated = self.simulator.step(self._states, actions, noise)
        seen, before = self.simulator.observe(after), self.observations
        self._clock += 1
        self._return += rewards
        over = np.flatnonzero(terminated | (self._clock >= self.simulator.horizon))
        for row in over:
            self.finished[row].append(float(self._return[row]))
            after[row] = self.simulator.start(self._generators[row], 1)[0]
            self._clock[row] = self._return[row] = 0
        self._states, self.observations = after, self.simulator.observe(after) if len(over) else seen
        return Lived(before, actions, rewards, seen, 1.0 - terminated)
