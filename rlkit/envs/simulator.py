"""What a simulator is: a world as pure functions of NumPy arrays, with many copies in one array.

Nothing here draws random numbers in secret: starts come from the generator that is passed in, and a step takes its
noise as an argument. So ten seeds in one array see the same numbers as each of them alone.
"""

from typing import Protocol

import numpy as np


class Simulator(Protocol):
    """The attributes and functions that every simulator of rlkit.envs has; B copies are B rows.

    name: its key in `envs.names()`, e.g. "point-maze-u". observation_size: O. action_size: A, the length of an action
    in [-1, 1]^A, or None where actions are numbers. actions: how many discrete actions there are, or None. horizon:
    steps after which an episode is cut (truncated, not terminated). noise_size: standard normal numbers that one step
    needs, 0 for a deterministic world. labels: what each of the O observations is, with its unit.
    """

    name: str
    observation_size: int
    action_size: int | None
    actions: int | None
    horizon: int
    noise_size: int
    labels: tuple[str, ...]

    def start(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """First states [B, D] of `count` episodes."""

    def observe(self, states: np.ndarray) -> np.ndarray:
        """What the agent sees: [B, D] -> [B, O], float32."""

    def step(self, states: np.ndarray, actions: np.ndarray, noise: np.ndarray):
        """One step: states [B, D], actions [B, A] (clipped to [-1, 1]) or [B], noise [B, noise_size] ->
        (next states [B, D], rewards [B], terminated [B])."""

    # A world whose observations tell its state may also have place(observations [B, O]) -> states [B, D]: dreams are
    # compared with what happens from there.
