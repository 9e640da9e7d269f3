"""Pendulum: swing a rod up with a motor too weak to lift it, and keep it there.

    speed' = clip(speed + dt (3 g / (2 l) sin(angle) + 3 / (m l^2) torque), -8, 8)
    angle' = angle + dt speed'
    reward = -(angle^2 + 0.1 speed^2 + 0.001 torque^2)

with g = 10, m = l = 1, dt = 0.05 s, the angle from upright in (-pi, pi], speed in rad/s, torque in [-2, 2] N m: the
equations and numbers of Gymnasium's Pendulum-v1.
"""

import functools

import numpy as np
from scipy.sparse import csr_array

from rlkit import checks
from rlkit.envs.behaviours import stray, wander

DT, GRAVITY, FASTEST, STRONGEST = 0.05, 10.0, 8.0, 2.0
ANGLES, SPEEDS, TORQUES, DISCOUNT, SWEEPS = 160, 121, 9, 0.995, 700  # of the expert's plan


def move(angle, speed, torque):
    """One step of the equations above: (next angle, not wrapped; next speed; reward), any shapes that broadcast."""
    wrapped = (angle + np.pi) % (2 * np.pi) - np.pi
    reward = -(wrapped**2 + 0.1 * speed**2 + 0.001 * torque**2)
    speed = np.clip(speed + DT * (1.5 * GRAVITY * np.sin(angle) + 3 * torque), -FASTEST, FASTEST)
    return angle + DT * speed, speed, reward


class Pendulum:
    """The pendulum as a Simulator (see simulator.py). States [B, 3]: angle (rad), speed (rad/s), applied torque (N m).

    Observations: cos and sin of the angle, speed. Actions [B, 1] in [-1, 1]: torque / 2. Episodes start at a uniform
    angle with a speed uniform in [-1, 1], and never terminate. lag: share of the old torque that stays in the next
    step, not observed, in [0, 1). Raises ValueError for another lag.
    """

    name, observation_size, action_size, actions, horizon, noise_size = "pendulum", 3, 1, None, 200, 0
    labels = ("cos angle", "sin angle", "speed (rad/s)")
    bounds = np.array([[-1, -1, -FASTEST], [1, 1, FASTEST]], np.float32)

    def __init__(self, lag=0.0):
        if not 0 <= checks.finite("lag", lag) < 1:
            checks.fail("lag", lag, "in [0, 1)")
        self.lag = float(lag)

    def start(self, rng, count):
        states = np.zeros((count, 3))
        states[:, :2] = rng.uniform([-np.pi, -1.0], [np.pi, 1.0], (count, 2))
        return states

    def observe(self, states):
        seen = np.empty((len(states), 3), np.float32)
        seen[:, 0], seen[:, 1], seen[:, 2] = np.cos(states[:, 0]), np.sin(states[:, 0]), states[:, 1]
        return seen

    def place(self, observations):
        """States [B, 3] that look like observations [B, 3]; the torque of the step before is not seen, and 0."""
        angle = np.arctan2(observations[:, 1], observations[:, 0]).astype(float)
        return np.stack([angle, observations[:, 2].astype(float), np.zeros(len(angle))], axis=1)

    def step(self, states, actions, noise):
        torque = self.lag * states[:, 2] + (1 - self.lag) * STRONGEST * np.clip(actions[:, 0], -1, 1)
        angle, speed, rewards = move(states[:, 0], states[:, 1], torque)
        return np.stack([angle, speed, torque], axis=1), rewards, np.zeros(len(states), bool)


def _corners(angle, speed):
    """Bilinear interpolation: numbers of the four nodes around each point, and their weights, [4, ...]."""
    a, s = (angle + np.pi) / (2 * np.pi) * ANGLES, (speed + FASTEST) / (2 * FASTEST) * (SPEEDS - 1)
    left, low = np.floor(a), np.minimum(np.floor(s), SPEEDS - 2)
    right, up = a - left, s - low
    left, low = left.astype(int), low.astype(int)
    first, second = left % ANGLES * SPEEDS + low, (left + 1) % ANGLES * SPEEDS + low
    weights = [(1 - right) * (1 - up), (1 - right) * up, right * (1 - up), right * up]
    return np.stack([first, first + 1, second, second + 1]), np.stack(weights)


@functools.cache
def plan():
    """Values [ANGLES * SPEEDS] of value iteration, v <- max over torques of r + DISCOUNT v(next), interpolated."""
    angle = -np.pi + 2 * np.pi * np.arange(ANGLES) / ANGLES
    speed = np.linspace(-FASTEST, FASTEST, SPEEDS)
    torque = np.linspace(-STRONGEST, STRONGEST, TORQUES)
    after, faster, rewards = move(*np.meshgrid(angle, speed, torque, indexing="ij"))  # [angles, speeds, torques]
    nodes, weights = _corners(after.ravel(), faster.ravel())
    rows = np.tile(np.arange(nodes.shape[1]), 4)
    ahead = csr_array((weights.ravel(), (rows, nodes.ravel())), shape=(nodes.shape[1], ANGLES * SPEEDS))
    values = np.zeros(ANGLES * SPEEDS)
    for _ in range(SWEEPS):
        values = (rewards.ravel() + DISCOUNT * (ahead @ values)).reshape(-1, TORQUES).max(axis=1)
    return values


def swing(observations):
    """The expert's actions [B, 1]: of 41 torques the one with the best reward plus value of where it leads."""
    values, torque = plan(), np.linspace(-STRONGEST, STRONGEST, 41)
    angle = np.arctan2(observations[:, 1], observations[:, 0]).astype(float)
    after, faster, rewards = move(angle[:, None], observations[:, 2:].astype(float), torque)  # [B, 41]
    nodes, weights = _corners(after, faster)
    best = (rewards + DISCOUNT * (weights * values[nodes]).sum(axis=0)).argmax(axis=1)
    return torque[best][:, None] / STRONGEST


def behaviour(quality):
    """The factory of the behaviour policy of a quality: "random" wanders; "expert" looks one step ahead (`swing`)
    with the values of value iteration on a fine grid; "medium" is the expert with noise and random stretches.

    Mean returns of 500 episodes: expert -133 (a grid twice as fine on each axis gains 1), medium about -710, random
    -1276.
    """
    if quality == "random":
        return wander(1)
    return stray(swing, 1, 0.3, 0.04, 20) if quality == "medium" else lambda count, rng: swing
