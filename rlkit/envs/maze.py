"""The finite maze as a simulator: a world whose optimum is known exactly."""

import numpy as np
from scipy.special import ndtr

from rlkit import checks
from rlkit.mdps.maze import LAYOUTS, MOVES, PAYS, maze


class Maze:
    """mdps.maze(layout, slip) as a Simulator: a state is its number [B, 1], an observation one-hot [B, N].

    Actions are numbers, 0 to 3 in the order of mdps.MOVES. The one normal number of a step becomes a uniform
    one, Phi(noise), which picks the next state by inverse CDF. The reward is what is met, 1 in a goal or -1 in a trap;
    its mean is mdp.rewards. A finished copy stays where it is, terminated and paid 0.

    Args: layout and slip as in mdps.maze; `mdp` is the FiniteMDP behind it. Raises: ValueError as mdps.maze does.
    """

    action_size = None
    actions = len(MOVES)
    horizon = 100
    noise_size = 1

    def __init__(self, layout="rooms", slip=0.1):
        self.mdp = maze(layout, slip)
        known = isinstance(layout, str) and layout in LAYOUTS
        self.name = f"maze-{layout}" if known else "maze-drawn"
        self.observation_size = self.mdp.states
        self.labels = tuple(f"row {row:.0f}, column {column:.0f} (0 or 1)" for row, column in self.mdp.positions)
        self._pays = np.array([PAYS.get(name, 0.0) for name in self.mdp.names])  # [N], on arrival
        self._one_hot = np.eye(self.mdp.states, dtype=np.float32)

    def start(self, rng, count):
        """First states [B, 1] of `count` episodes, drawn from mdp.start."""
        return rng.choice(self.mdp.states, size=(count, 1), p=self.mdp.start)

    def observe(self, states):
        """The state as one-hot: [B, 1] -> [B, N], float32."""
        return self._one_hot[states[:, 0]]

    def step(self, states, actions, noise):
        """One step: states [B, 1], actions [B], noise [B, 1] -> (next states [B, 1], rewards [B], terminated [B]).

        Raises: ValueError for an action that is no whole number from 0 to 3.
        """
        actions = np.asarray(actions)
        if actions.dtype.kind not in "iu" or ((actions < 0) | (actions >= self.actions)).any():
            checks.fail("actions", actions, f"whole numbers from 0 to {self.actions - 1}")
        now = states[:, 0]
        after = self.mdp.sample(now, actions, ndtr(noise[:, 0]))
        rewards = np.where(self.mdp.terminal[now], 0.0, self._pays[after])
        return after[:, None], rewards, self.mdp.terminal[after]
