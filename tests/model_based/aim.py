"""A world of one step whose best action is known, for the tests of learners."""

import numpy as np


class Aim:
    """One step: see x in [-1, 1], and be paid -(a - x / 2)^2. The best action is x / 2."""

    name, observation_size, action_size, actions, horizon, noise_size = "aim", 1, 1, None, 1, 0
    labels = ("x",)

    def start(self, rng, count):
        return rng.uniform(-1, 1, (count, 1))

    def observe(self, states):
        return states.astype(np.float32)

    def step(self, states, actions, noise):
        return states, -((actions[:, 0] - states[:, 0] / 2) ** 2), np.ones(len(states), bool)
