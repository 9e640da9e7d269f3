"""Point in a box: walk anywhere in a square room; what pays is a shelf, and beyond its rim nothing does.

    s' = clip(s + 0.2 a, -2, 2)
    r = clip(min((x' + 0.8) / 1.2,  (1 - x') / 0.2,  (1.4 - |y'|) / 0.4), 0, 1)

with s = (x, y). From the start at x = -0.6 the reward rises towards the right wall, is 1 from x = 0.4 to 0.8 and 0 from
x = 1 on. Nothing is hidden and nothing is random. The largest discounted sum of rewards is 1 / (1 - discount).
"""

import numpy as np

from rlkit.envs.behaviours import stray

STRIDE, SIDE = 0.2, 2.0  # length of a step for each unit of action; half the width of the box
START, SPREAD = (-0.6, 0.0), 0.2  # middle and half width of the square where episodes start
SHELF = (0.6, 0.0)  # where the expert goes


def reward(states):
    """What a step pays that ends in states [..., 2]: [...], in [0, 1]."""
    x, y = states[..., 0], states[..., 1]
    return np.clip(np.minimum(np.minimum((x + 0.8) / 1.2, (1 - x) / 0.2), (1.4 - np.abs(y)) / 0.4), 0, 1)


class PointBox:
    """The box as a Simulator (see simulator.py). States and observations [B, 2]: x and y in [-2, 2].

    Actions [B, 2] in [-1, 1]: the direction of the step. Episodes start in a square around START, are cut after 30
    steps and never terminate.
    """

    name, observation_size, action_size, actions, horizon, noise_size = "point-box", 2, 2, None, 30, 0
    labels = ("x", "y")
    bounds = np.array([[-SIDE, -SIDE], [SIDE, SIDE]], np.float32)

    def start(self, rng, count):
        return START + rng.uniform(-SPREAD, SPREAD, (count, 2))

    def observe(self, states):
        return states.astype(np.float32)

    def place(self, observations):
        """States [B, 2] that look like observations [B, 2]: the same numbers."""
        return observations.astype(float)

    def step(self, states, actions, noise):
        after = np.clip(states + STRIDE * np.clip(actions, -1, 1), -SIDE, SIDE)
        return after, reward(after), np.zeros(len(states), bool)


def towards(observations, place):
    """The action [B, 2] of the longest allowed step from observations [B, 2] to a place, not beyond it."""
    return np.clip((np.asarray(place) - observations) / STRIDE, -1, 1)


def _expert(observations):
    return towards(observations, SHELF)


def behaviour(quality):
    """The factory of the behaviour policy of a quality: "random" stays around the start, pushed about by noise;
    "expert" walks straight to the shelf and stays; "medium" is the expert with noise and random stretches.
    """
    if quality == "random":

        def make(count, rng):
            noise = lambda: 0.5 * rng.standard_normal((count, 2))  # noqa: E731
            return lambda observations: np.clip((START - observations) / STRIDE * 0.3 + noise(), -1, 1)

        return make
    return stray(_expert, 2, 0.3, 0.1, 20) if quality == "medium" else lambda count, rng: _expert
