"""A refrigerator whose compressor cools best at a power that depends on the temperature, in cycles.

    best(x) = 0.5 + 0.3 sin(2 pi x / 6)
    x' = clip(x + 0.7 - 1.5 exp(-((p - best(x)) / 0.32)^2 / 2) + 0.05 xi, 0, 12)
    reward = exp(-(x' - 2)^2 / 2)

with x the temperature inside in degrees Celsius, p the power in [0, 1] and xi standard normal: heat leaks in by 0.7
degrees a minute, and the right power takes out 1.5. At a power too far from the best one it gets warmer. A task after
the refrigerator of Luo et al. 2023 (2310.05422), with a law of our own.
"""

import numpy as np

from rlkit import checks
from rlkit.envs.behaviours import stray, wander

WARMEST, TARGET, WIDTH, LEAK, COOLING, PERIOD, NOISE = 12.0, 2.0, 1.0, 0.7, 1.5, 6.0, 0.05
SWING, REACH = 0.3, 0.32  # of the best power; of the power around it
OPEN = 9.0  # degrees: episodes start above it


def best_power(temperature):
    """The power in [0, 1] that cools most; any shape."""
    return 0.5 + SWING * np.sin(2 * np.pi * temperature / PERIOD)


def change(temperature, power):
    """Degrees a minute without noise, any shapes that broadcast."""
    return LEAK - COOLING * np.exp(-(((power - best_power(temperature)) / REACH) ** 2) / 2)


class Refrigerator:
    """The refrigerator as a Simulator (see simulator.py). States and observations [B, 1]: the temperature.

    Actions [B, 1] in [-1, 1]: a = 2 p - 1. Steps are minutes; episodes start between 9 and 12 degrees (the door stood
    open), last an hour and never terminate. noise: deviation of a step in degrees. Raises ValueError for one below 0.
    """

    name, observation_size, action_size, actions, horizon, noise_size = "refrigerator", 1, 1, None, 60, 1
    labels = ("temperature (degrees C)",)
    bounds = np.array([[0.0], [WARMEST]], np.float32)

    def __init__(self, noise=NOISE):
        if checks.finite("noise", noise).ndim or noise < 0:
            checks.fail("noise", noise, "a number of at least 0")
        self.noise = float(noise)

    def start(self, rng, count):
        return rng.uniform(OPEN, WARMEST, (count, 1))

    def observe(self, states):
        return states.astype(np.float32)

    def place(self, observations):
        """States [B, 1] that look like observations [B, 1]."""
        return observations.astype(float)

    def step(self, states, actions, noise):
        power = (np.clip(actions[:, 0], -1, 1) + 1) / 2
        after = states[:, 0] + change(states[:, 0], power) + self.noise * noise[:, 0]
        after = np.clip(after, 0, WARMEST)
        return after[:, None], np.exp(-(((after - TARGET) / WIDTH) ** 2) / 2), np.zeros(len(states), bool)


def regulate(observations):
    """The expert's actions [B, 1]: of 101 powers the one whose next temperature is nearest to the target."""
    temperature, powers = observations[:, :1].astype(float), np.linspace(0, 1, 101)
    after = temperature + change(temperature, powers)  # [B, 101]
    return 2 * powers[np.abs(after - TARGET).argmin(axis=1)][:, None] - 1


def behaviour(quality):
    """The factory of the behaviour policy of a quality: "random" wanders; "expert" looks one minute ahead
    (`regulate`), which is best here; "medium" is the expert with noise and random stretches.
    """
    if quality == "random":
        return wander(1)
    return stray(regulate, 1, 0.3, 0.05, 10) if quality == "medium" else lambda count, rng: regulate
