"""A rocket that comes back: land it upright, slowly, on the pad, in a wind that it does not see.

Of the four properties that NeoRL-2 (Gao et al. 2025, arXiv 2503.19267) asks of a near-real benchmark, this one has the
narrow data of a deployed controller. The world and its numbers are our own.
"""

import numpy as np

from rlkit import checks
from rlkit.envs.behaviours import QUALITIES, wander

STEP, GRAVITY, THRUST = 0.1, 9.81, 20.0  # s, m/s^2, m/s^2
GIMBAL, LEVER = 0.2, 0.5  # rad at full action; rad/s^2 for each m/s^2 across
AIR, GUSTS, MEMORY = 0.1, 1.0, 0.95  # 1/s, m/s, correlation of the wind from step to step
UNITS = (10, 10, 10, 10, 1, 1)  # of the observations, in m, m/s, rad and rad/s


class Rocket:
    """Land a planar rocket on a pad at x = 0, z = 0. Actions: thrust (-1 is off, 1 is 20 m/s^2) and gimbal (0.2 rad).

        x'' = T sin(tilt + gimbal) + 0.1 (wind - x'),   z'' = T cos(tilt + gimbal) - 9.81,
        tilt'' = -0.5 T sin(gimbal),   wind' = 0.95 wind + n,   n ~ N(0, 1)

    held for steps of 0.1 s. Reward: -0.05 in each step and -0.05 T / 20 for fuel; at z <= 0 the episode ends with
    20 p(|x| / 10 m) p(speed / 5 m/s) p(|tilt| / 0.5) - 10, where p(y) = max(0, 1 - y): 10 for a perfect landing and
    -10 for a crash. Flying away (|x| > 50 m, z > 100 m or |tilt| > 1.5) is a crash. States: x, z (m), their rates
    (m/s), tilt to the right (rad), its rate (rad/s), wind (m/s).

    What makes it hard for offline RL: the data of a deployed controller are one narrow stream of slow descents, and
    a faster one has to be right where the data are thin: near the ground.
    """

    name = "rocket"
    observation_size, action_size, actions = 6, 2, None
    horizon, noise_size = 150, 1
    labels = ("x (10 m)", "height (10 m)", "drift (10 m/s)", "climb (10 m/s)", "tilt (rad)", "tilting (rad/s)")

    def start(self, rng, count):
        low, high = np.array([(-10, 10), (45, 55), (-2, 2), (-7, -3), (-0.1, 0.1), (-0.05, 0.05)]).T
        wind = GUSTS / np.sqrt(1 - MEMORY**2) * rng.standard_normal((count, 1))
        return np.concatenate([rng.uniform(low, high, (count, 6)), wind], axis=1)

    def observe(self, states):
        return (states[:, :6] / UNITS).astype(np.float32)

    def step(self, states, actions, noise):
        x, z, right, climb, tilt, tilting, wind = np.ascontiguousarray(states.T)
        thrust, gimbal = np.ascontiguousarray(np.clip(actions, -1, 1).T, dtype=float)
        thrust, gimbal = THRUST * (thrust + 1) / 2, GIMBAL * gimbal  # m/s^2, rad
        forward = thrust * np.sin(tilt + gimbal) + AIR * (wind - right)
        upward = thrust * np.cos(tilt + gimbal) - GRAVITY
        turning = -LEVER * thrust * np.sin(gimbal)
        x, right = _move(x, right, forward)
        z, climb = _move(z, climb, upward)
        tilt, tilting = _move(tilt, tilting, turning)
        landed, away = z <= 0, (np.abs(x) > 50) | (z > 100) | (np.abs(tilt) > 1.5)
        touchdown = np.where(away, -10, np.where(landed, landing(x, right, climb, tilt), 0))
        reward = touchdown - 0.05 - 0.05 * thrust / THRUST
        states = np.stack([x, z, right, climb, tilt, tilting, MEMORY * wind + GUSTS * noise[:, 0]], axis=1)
        return states, reward, landed | away


def _move(place, velocity, acceleration):
    """One step of constant acceleration, exactly: the new place and velocity."""
    return place + STEP * velocity + STEP**2 / 2 * acceleration, velocity + STEP * acceleration


def landing(x, right, climb, tilt):
    """What a touchdown is worth, from -10 to 10: 20 times precision, softness and uprightness, less 10."""
    misses = np.abs(x) / 10, np.sqrt(right**2 + climb**2) / 5, np.abs(tilt) / 0.5
    return 20 * np.prod([np.maximum(0, 1 - miss) for miss in misses], axis=0) - 10


def behaviour(quality):
    """A controller as a factory `make(count, rng) -> act(observations [B, 6]) -> actions [B, 2]`.

    "random": `wander`. "medium": what a plant would run, a PID cascade that comes down at 6 m/s at most. "expert": the
    same cascade without noise, its gains found by cross-entropy search; it falls almost freely and brakes late at
    4.4 m/s^2.
    Mean returns: -12.9, -3.8, 3.3.

    Raises: ValueError for another quality.
    """
    checks.one_of("quality", quality, QUALITIES)
    return {"random": wander(2, memory=0.9, spread=0.5), "medium": _medium, "expert": _expert}[quality]


def _medium(count, rng):
    gains = {"follow": 2, "home": 0.2, "damp": 0.8, "drift": 0.02, "reach": 0.3, "stiff": 6, "calm": 4}
    act = _cascade(count, brake=1, fastest=6, touch=0.5, **gains)
    return lambda observations: np.clip(act(observations) + 0.03 * rng.standard_normal((count, 2)), -1, 1)


def _expert(count, rng):
    gains = {"follow": 3.7, "home": 0.45, "damp": 0.82, "drift": 0, "reach": 0.5, "stiff": 13.7, "calm": 7.3}
    return _cascade(count, brake=4.4, fastest=30, touch=0.26, **gains)


def _cascade(count, brake, fastest, touch, follow, home, damp, drift, reach, stiff, calm):
    """Thrust holds a speed of descent min(fastest, sqrt(touch^2 + 2 brake z)); a lean, by gimbal, brings x to 0."""
    total = np.zeros(count)  # m s, integral of x

    def act(observations):
        nonlocal total
        x, z, right, climb, tilt, tilting = np.ascontiguousarray((observations * np.array(UNITS, float)).T)
        speed = np.minimum(fastest, np.sqrt(touch**2 + 2 * brake * np.maximum(z, 0)))
        upward = GRAVITY + np.where(speed < fastest, brake, 0) - follow * (speed + climb)
        thrust = np.clip(upward / np.cos(tilt), 1, THRUST)  # some thrust always: the gimbal steers with it
        total = np.clip(total + STEP * x, -50, 50)
        lean = np.clip(-(home * x + damp * right + drift * total) / GRAVITY, -reach, reach)
        gimbal = (calm * tilting - stiff * (lean - tilt)) / (LEVER * thrust)
        return np.clip(np.stack([2 * thrust / THRUST - 1, gimbal / GIMBAL], axis=1), -1, 1)

    return act
