"""A cart that has to be fast over hills, and must never be faster than its limit.

Of the four properties that NeoRL-2 (Gao et al. 2025, arXiv 2503.19267) asks of a near-real benchmark, this one has the
global safety limit. The world and its numbers are our own.
"""

import numpy as np

from rlkit import checks
from rlkit.envs.behaviours import QUALITIES, proportional_integral, wander

LIMIT = 2.0  # m/s
STEP = 0.1  # s
FORCE, DRAG, HILL, LOOP = 3.0, 0.5, 0.8, 10.0  # m/s^2, 1/s, m/s^2, m
GUST = 0.03  # m/s, standard deviation in one step
PENALTY = 100.0


class SafeCart:
    """Drive as far as you can; above the speed limit the episode is over, with a large negative reward.

        v' = v + dt (3 a - 0.5 v - 0.8 sin(2 pi s / 10)) + 0.03 n,   s' = s + dt v',   n ~ N(0, 1), dt = 0.1 s

    Reward of a step: v' / limit, so 1 is as fast as is allowed; -100 and the end when |v'| > limit = 2 m/s. A return
    is the distance driven in units of 0.2 m, at most 200. States: position s (m), velocity v (m/s).

    What makes it hard for offline RL: each bit of speed is worth a little and the last bit costs everything, while
    data of a careful controller holds no violation. What lies past the limit has to be guessed.
    """

    name = "safe-cart"
    observation_size, action_size, actions = 3, 1, None
    horizon, noise_size = 200, 1
    labels = ("velocity (2 m/s)", "sine of the place in the 10 m hill", "cosine of the place in the 10 m hill")

    def start(self, rng, count):
        return np.stack([rng.uniform(0, LOOP, count), np.zeros(count)], axis=1)

    def observe(self, states):
        place, velocity = np.ascontiguousarray(states.T)
        angle = 2 * np.pi * place / LOOP
        return np.stack([velocity / LIMIT, np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)

    def step(self, states, actions, noise):
        place, velocity = np.ascontiguousarray(states.T)
        push = FORCE * np.clip(actions[:, 0], -1, 1) - HILL * np.sin(2 * np.pi * place / LOOP)
        velocity = velocity + STEP * (push - DRAG * velocity) + GUST * noise[:, 0]
        terminated = np.abs(velocity) > LIMIT
        reward = np.where(terminated, -PENALTY, velocity / LIMIT)
        return np.stack([place + STEP * velocity, velocity], axis=1), reward, terminated


def behaviour(quality):
    """A controller as a factory `make(count, rng) -> act(observations [B, 3]) -> actions [B, 1]`.

    "random": `wander`. "medium": what a plant would run, a PI controller that asks for half of the limit and does not
    know of the hills. "expert": knows masses and hills, and asks of each step the same share of the limit, 93.75 %: the
    margin is 4.2 standard deviations of a gust, the best of a search.
    Mean returns: -97, 93, 185.

    Raises: ValueError for another quality.
    """
    checks.one_of("quality", quality, QUALITIES)
    medium = proportional_integral(lambda seen: 0.5 - seen[:, 0], gain=1.0, integral=0.03, most=0.5)
    return {"random": wander(1, memory=0.9, spread=0.5), "medium": medium, "expert": _exact}[quality]


def _exact(count, rng, speed=0.9375):
    def act(observations):
        velocity, sine = LIMIT * observations[:, 0], observations[:, 1]
        wanted = (LIMIT * speed - velocity) / STEP + DRAG * velocity + HILL * sine  # m/s^2
        return np.clip(wanted / FORCE, -1, 1)[:, None]

    return act
