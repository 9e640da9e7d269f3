"""A tank that is filled through a pipe: what the pump does now arrives five steps later.

Of the four properties that NeoRL-2 (Gao et al. 2025, arXiv 2503.19267) asks of a near-real benchmark, this one has the
delay. The world and its numbers are our own.
"""

import numpy as np

from rlkit import checks
from rlkit.envs.behaviours import QUALITIES, proportional_integral, wander

DELAY = 5  # steps
FLOW = 0.1  # m of level in one step, at full action
BAND = 0.25  # m: this far from the target the reward is 0
MEMORY, SWING = 0.95, 0.004  # of the demand: its correlation from step to step, and m in one step
JUMP = 2.054  # |n| above it has probability 0.04: the target moves every 25 steps


class DelayPipe:
    """Keep the level of a tank at a target that jumps now and then; the inflow comes through a long pipe.

        level' = clip(level + 0.1 a[t - 5] - d, 0, 2),   d' = 0.95 d + 0.004 n,   n ~ N(0, 1)

    with a[t - 5] the action of five steps ago (0 before the start) and d how far the unseen demand is above its mean.
    In each step the target moves with probability 0.04, to clip(1 + 0.3 n, 0.4, 1.6). Lengths in metres. Reward:
    max(0, 1 - |level' - target| / 0.25), so a return counts steps of perfect tracking, at most 150. States: level,
    target, d, then the actions under way, oldest first.

    history: that many of the last actions stand at the end of each observation, oldest first. At 5, all that is under
    way in the pipe. Raises: ValueError when it is no integer of at least 0.

    What makes it hard for offline RL: without history two states look the same whose next five steps are settled
    already and differ. A policy on the observation alone has to be slow, or it swings.
    """

    name = "delay-pipe"
    action_size, actions = 1, None
    horizon, noise_size = 150, 3

    def __init__(self, history=0):
        self.history = checks.count("history", history)
        self.observation_size = 2 + self.history
        self.labels = ("level - 1 (m)", "target - 1 (m)")
        self.labels += tuple(f"action {ago} steps ago" for ago in range(self.history, 0, -1))

    def start(self, rng, count):
        level, target = np.clip(1 + 0.3 * rng.standard_normal((2, count)), 0.4, 1.6)
        demand = SWING / np.sqrt(1 - MEMORY**2) * rng.standard_normal(count)
        first = np.stack([level, target, demand], axis=1)
        return np.concatenate([first, np.zeros((count, max(DELAY, self.history)))], axis=1)

    def observe(self, states):
        past = states[:, states.shape[1] - self.history :]  # [B, history]
        return np.concatenate([states[:, :2] - 1, past], axis=1).astype(np.float32)

    def step(self, states, actions, noise):
        level, target, demand = states[:, :3].T
        level = np.clip(level + FLOW * states[:, -DELAY] - demand, 0, 2)
        reward = np.maximum(0, 1 - np.abs(level - target) / BAND)
        moved = np.where(np.abs(noise[:, 1]) > JUMP, np.clip(1 + 0.3 * noise[:, 2], 0.4, 1.6), target)
        first = np.stack([level, moved, MEMORY * demand + SWING * noise[:, 0]], axis=1)
        pipe = np.concatenate([states[:, 4:], np.clip(actions, -1, 1)], axis=1)
        return np.concatenate([first, pipe], axis=1), reward, np.zeros(len(states), dtype=bool)


def behaviour(quality):
    """A controller as a factory `make(count, rng) -> act(observations [B, O]) -> actions [B, 1]`.

    All read level and target alone, so they fit any history. "random": `wander`. "medium": what a plant would run, a
    PI controller slow enough not to swing. "expert": a Smith predictor, which remembers the actions under way; it
    reads the demand off the last step, and aims at the level to be in six steps.
    Mean returns: 14, 68, 104.

    Raises: ValueError for another quality.
    """
    checks.one_of("quality", quality, QUALITIES)
    medium = proportional_integral(lambda seen: seen[:, 1] - seen[:, 0].astype(float), gain=0.9, integral=0.005)  # m
    return {"random": wander(1, memory=0.9, spread=0.5), "medium": medium, "expert": _smith}[quality]


def _smith(count, rng):
    pipe, before = np.zeros((count, DELAY + 1)), None
    ahead = MEMORY * (1 - MEMORY ** (DELAY + 1)) / (1 - MEMORY)  # demand of the next 6 steps, for each unit of the last

    def act(observations):
        nonlocal pipe, before
        level, target = observations[:, :2].astype(float).T
        demand = 0 if before is None else before + FLOW * pipe[:, 0] - level  # m in the last step
        arriving = FLOW * pipe[:, 1:].sum(axis=1)
        action = np.clip((target - level - arriving + ahead * demand) / FLOW, -1, 1)[:, None]
        pipe, before = np.concatenate([pipe[:, 1:], action], axis=1), level
        return action

    return act
