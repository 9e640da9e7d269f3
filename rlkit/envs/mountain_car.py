"""Mountain car: an engine too weak for the hill on the right; drive left first, to gain speed.

    speed' = clip(speed + 0.001 (action - 1) - 0.0025 cos(3 position), -0.07, 0.07)
    position' = clip(position + speed', -1.2, 0.6),   and speed' = 0 where a car runs into the wall at -1.2

with action 0 pushing left, 1 nothing, 2 right. The equations and numbers of Gymnasium's MountainCar-v0 (Moore 1990).
"""

import numpy as np

from rlkit.envs.behaviours import QUALITIES, slipping

PUSH, SLOPE, FASTEST, LEFT, RIGHT, GOAL = 0.001, 0.0025, 0.07, -1.2, 0.6, 0.5
SLIPS = dict(zip(QUALITIES, (1.0, 0.25, 0.0), strict=True))  # shares of random actions


class MountainCar:
    """The mountain car as a Simulator (see simulator.py). States and observations [B, 2]: position, speed.

    Actions: 0, 1 or 2. Episodes start at rest, uniform in [-0.6, -0.4], and terminate at position >= 0.5; the reward
    is -1 in each step.
    """

    name, observation_size, action_size, actions, horizon, noise_size = "mountain-car", 2, None, 3, 200, 0
    labels = ("position", "speed (1/step)")
    bounds = np.array([[LEFT, -FASTEST], [RIGHT, FASTEST]], np.float32)

    def start(self, rng, count):
        states = np.zeros((count, 2))
        states[:, 0] = rng.uniform(-0.6, -0.4, count)
        return states

    def observe(self, states):
        return states.astype(np.float32)

    def step(self, states, actions, noise):
        position, speed = states.T
        speed = np.clip(speed + PUSH * (actions - 1) - SLOPE * np.cos(3 * position), -FASTEST, FASTEST)
        position = np.clip(position + speed, LEFT, RIGHT)
        speed = np.where((position == LEFT) & (speed < 0), 0.0, speed)
        return np.stack([position, speed], axis=1), np.full(len(states), -1.0), (position >= GOAL) & (speed >= 0)


def behaviour(quality):
    """The factory of the behaviour policy of a quality: "expert" pushes the way the car already rolls, "random" draws
    each action, "medium" is the expert with 25 % random actions.

    The expert's rule gains energy in every step; it is good, not optimal.
    """
    return slipping(lambda observations: np.where(observations[:, 1] < 0, 0, 2), 3, SLIPS[quality])
