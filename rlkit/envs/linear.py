"""A puck on a spring on a turning table: linear, noisy, with a quadratic cost. The best controller is known exactly.

    position' = position + dt velocity
    velocity' = velocity + dt (action - position - 0.5 velocity + 0.5 turned(velocity)) + noise n,   n ~ N(0, 1)^2
    reward    = -(|position|^2 + 0.1 |velocity|^2 + 0.5 |action|^2)

with turned(x, y) = (-y, x), dt = 0.2 s, metres and seconds. The world is our own; its best controller is the
linear-quadratic regulator (Bertsekas, Dynamic Programming and Optimal Control, volume 1, third edition, section 4.1).
"""

from typing import NamedTuple

import numpy as np

from rlkit import checks
from rlkit.envs.behaviours import stray, wander

DT, DRAG, SPIN = 0.2, 0.5, 0.5
EYE = np.eye(2)
DRIFT = np.block([[EYE, DT * EYE], [-DT * EYE, (1 - DT * DRAG) * EYE + DT * SPIN * np.array([[0, -1], [1, 0]])]])  # A
INPUT = np.vstack([0 * EYE, DT * EYE])  # B
STATE_COST, ACTION_COST = np.diag([1, 1, 0.1, 0.1]), 0.5 * EYE  # Q, R


class Linear:
    """The puck as a Simulator (see simulator.py). States and observations [B, 4]: position (m), velocity (m/s).

    Actions [B, 2] in [-1, 1]. Episodes start at rest, uniform in [-1, 1]^2, last 50 steps, never terminate. noise: the
    deviation of one step's random change of each velocity, in m/s, of at least 0. Raises ValueError for another noise.
    """

    name, observation_size, action_size, actions, horizon, noise_size = "linear", 4, 2, None, 50, 2
    labels = ("position x (m)", "position y (m)", "velocity x (m/s)", "velocity y (m/s)")

    def __init__(self, noise=0.05):
        if checks.finite("noise", noise) < 0:
            checks.fail("noise", noise, "at least 0")
        self.noise = float(noise)

    @property
    def optimal_return(self):
        """What the best controller earns on average; None where noise is so large that it would leave the bounds."""
        return optimal(self).expected if self.noise <= 0.05 else None

    def start(self, rng, count):
        states = np.zeros((count, 4))
        states[:, :2] = rng.uniform(-1, 1, (count, 2))
        return states

    def observe(self, states):
        return states.astype(np.float32)

    def place(self, observations):
        """The states that observations [B, 4] show."""
        return observations.astype(float)

    def step(self, states, actions, noise):
        actions = np.clip(actions, -1, 1).astype(float)
        cost = np.square(states) @ np.diag(STATE_COST) + np.square(actions) @ np.diag(ACTION_COST)
        after = states @ DRIFT.T + actions @ INPUT.T
        after[:, 2:] += self.noise * noise
        return after, -cost, np.zeros(len(states), bool)


class Optimum(NamedTuple):
    """The best controller of a Linear world over T steps: action at step t = -gains[t] state.

    gains: [T, 2, 4]. matrices: P [T + 1, 4, 4] and offsets: c [T + 1], for -(x' P[t] x + c[t]) is the expected return
    from x with t steps done. expected: the expected return from the world's own starts.
    """

    gains: np.ndarray
    matrices: np.ndarray
    offsets: np.ndarray
    expected: float

    def value(self, states, step=0) -> np.ndarray:
        """Expected return of the steps that are left after `step`, from states [B, 4]: [B]."""
        return -np.einsum("bi,ij,bj->b", states, self.matrices[step], states) - self.offsets[step]


def optimal(simulator: Linear, steps=None) -> Optimum:
    """The best controller over `steps` steps (simulator.horizon by default), by Riccati's recursion backwards from 0:

        K = (R + B' P B)^-1 B' P A,   P <- Q + A' P (A - B K),   c <- c + trace(W' P W)

    Exact for actions without bounds, so no controller within them earns more. From the world's own starts it asks for
    at most 0.74 without noise, and in 50 million steps with noise = 0.05 for at most 0.93: there it is the optimum with
    bounds as well. Raises ValueError for steps below 1.
    """
    steps = simulator.horizon if steps is None else checks.positive_int("steps", steps)
    gains, matrices, offsets = np.zeros((steps, 2, 4)), np.zeros((steps + 1, 4, 4)), np.zeros(steps + 1)
    for t in reversed(range(steps)):
        later = matrices[t + 1]
        gains[t] = np.linalg.solve(ACTION_COST + INPUT.T @ later @ INPUT, INPUT.T @ later @ DRIFT)
        matrices[t] = STATE_COST + DRIFT.T @ later @ (DRIFT - INPUT @ gains[t])
        offsets[t] = offsets[t + 1] + simulator.noise**2 * np.trace(later[2:, 2:])
    spread = matrices[0, 0, 0] + matrices[0, 1, 1]  # E[x' P x] = tr(P) / 3 over the positions, uniform in [-1, 1]
    return Optimum(gains, matrices, offsets, float(-spread / 3 - offsets[0]))


def controlled(gains):
    """Factory of the controller action = -gains[t] state, t steps after it was made; the last gain stays."""

    def make(count, rng):
        clock = 0

        def act(observations):
            nonlocal clock
            clock += 1
            return -observations.astype(float) @ gains[min(clock, len(gains)) - 1].T

        return act

    return make


def behaviour(quality):
    """The factory of the behaviour policy of a quality: "expert" is the optimal controller of 50 steps, "random"
    wanders, "medium" is the controller of a world without end with noise and random stretches.

    Mean returns: expert -4.74 (exactly), medium about -29, random -106; actions of 0 earn -9.2.
    """
    if quality == "random":
        return wander(2)
    gains = optimal(Linear()).gains  # noise does not change them
    if quality == "expert":
        return controlled(gains)
    return stray(lambda observations: -observations.astype(float) @ gains[0].T, 2, 0.3, 0.04, 10)
