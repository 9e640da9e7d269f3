"""The simulator itself as a model: what a learned one is compared with."""

import numpy as np
import torch

from rlkit import checks


class Exact:
    """A Simulator that can be put anywhere (it has `place`), with the interface of a learned model.

    Raises ValueError for a simulator without `place`: what it shows does not tell its state.
    """

    def __init__(self, simulator):
        if not hasattr(simulator, "place"):
            checks.fail("simulator", simulator, "one with place(observations): its observations tell its state")
        self.simulator, self.observation_size = simulator, simulator.observation_size
        self.discrete, self.action_size = bool(simulator.actions), simulator.actions or simulator.action_size

    def step(self, observations, actions, generators, order=None):
        """The true next observations [S, B, O], rewards [S, B] and continues [S, B]; order is not used."""
        s, b = observations.shape[:2]
        states = self.simulator.place(observations.reshape(s * b, -1).numpy())
        noise = np.concatenate([g.standard_normal((b, self.simulator.noise_size)) for g in generators])
        chosen = actions.reshape(s * b, *actions.shape[2:]).numpy()
        after, rewards, ended = self.simulator.step(states, chosen, noise)
        seen = torch.from_numpy(self.simulator.observe(after)).view(s, b, -1)
        numbers = (np.asarray(a, dtype=np.float32).reshape(s, b) for a in (rewards, 1.0 - ended))
        return seen, *map(torch.from_numpy, numbers)
