"""The pan flute: n pipes, and one tune that asks for the right pipe at the right moment.

    pipe i holds i cells, and in each step its notes move on by one cell
    action i blows pipe i + 1: a note enters its first cell, and no other pipe gets one
    reward 1 in a state where the last cells of all pipes sound at once

Young, Ramesh, Kirsch and Schmidhuber 2022 (2211.02222) and their code. Departures: episodes have a clock, and begin
with pipes that were blown at random, instead of empty ones.
"""

import numpy as np
from scipy.special import ndtri

from rlkit import checks
from rlkit.envs.behaviours import QUALITIES, slipping

SLIPS = dict(zip(QUALITIES, (1.0, 0.2, 0.0), strict=True))  # shares of random actions


class PanFlute:
    """n pipes as a Simulator (see simulator.py). States and observations are the cells, [B, n (n + 1) / 2] of 0 or 1,
    pipe after pipe.

    pipes: n. spontaneous: whether all last cells sound by themselves with probability 1 / n^2 in each step, so that
    reward is seen before the tune is known. The best a player can do is one tune in n steps. Attributes: last [n], the
    columns of the last cells; parents [O + 1, O + n], bool: which inputs (cells, then actions as one-hot) decide each
    next cell and, in the last row, the reward. Raises ValueError for pipes below 2.
    """

    name, action_size, horizon = "pan-flute", None, 50

    def __init__(self, pipes=4, spontaneous=True):
        self.actions = checks.positive_int("pipes", pipes)
        if pipes < 2:
            checks.fail("pipes", pipes, "at least 2")
        self.noise_size = 1 if spontaneous else 0
        pipe, cell = np.array([(i, k) for i in range(pipes) for k in range(i + 1)]).T  # of each column
        self.observation_size, self.last = len(pipe), np.flatnonzero(pipe == cell)
        self.labels = tuple(f"pipe {i + 1}, cell {k + 1} (0 or 1)" for i, k in zip(pipe, cell, strict=True))
        self.bounds = (0.0, 1.0)
        self._pipe, self._first = pipe, cell == 0
        columns = np.arange(self.observation_size)
        self.parents = np.zeros((self.observation_size + 1, self.observation_size + pipes), bool)
        self.parents[columns, np.where(self._first, self.observation_size + pipe, columns - 1)] = True
        self.parents[-1, self.last] = True
        self._event = ndtri(pipes**-2.0)  # below it lies a normal number with probability 1 / n^2

    def start(self, rng, count):
        states = np.zeros((count, self.observation_size))
        for actions in rng.integers(self.actions, size=(self.actions, count)):
            states = self._blown(states, actions)
        return states

    def observe(self, states):
        return states.astype(np.float32)

    def place(self, observations):
        return observations.astype(float)

    def _blown(self, states, actions):
        entering = self._pipe[None] == np.asarray(actions)[:, None]
        return np.where(self._first, entering, np.roll(states, 1, axis=1)).astype(float)

    def step(self, states, actions, noise):
        """One step: states [B, O], actions [B], noise [B, noise_size] -> (next states, rewards [B], terminated [B])."""
        after = self._blown(states, actions)
        if self.noise_size:
            after[np.ix_(noise[:, 0] < self._event, self.last)] = 1.0
        return after, states[:, self.last].all(axis=1).astype(float), np.zeros(len(states), bool)


def tune(observations, pipes):
    """What to blow next, [B]: the pipe that the tune under way waits for; pipe n where none is under way.

    A tune that sounds in r steps needs pipe i blown r - i steps from now: those above r are under way, i - 1 - r cells
    in. The smallest such r is the best, for each tune takes n steps that no other tune can use.
    """
    first = np.arange(pipes) * np.arange(1, pipes + 1) // 2  # the column of each pipe's first cell
    action = np.full(len(observations), pipes - 1)
    for r in range(pipes - 1, 0, -1):
        above = np.arange(r, pipes)  # pipes r + 1 to n, counted from 0
        action[observations[:, first[above] + above - r].all(axis=1)] = r - 1
    return action


def behaviour(quality):
    """The factory of the behaviour policy of a quality: "expert" plays `tune`, "random" draws each action, "medium" is
    the expert with 20 % random actions."""

    def pipes(observations):
        return int((2 * observations.shape[1]) ** 0.5)  # n (n + 1) / 2 cells

    return slipping(lambda seen: tune(seen, pipes(seen)), pipes, SLIPS[quality])
