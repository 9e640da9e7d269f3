"""Logs with a hole, and what a model dreams inside it: the two tasks of the notebook on MOREC.

A region of the states is held out: every row that starts there is left out of the log. What lies inside is then known
from the simulator alone.
"""

import dataclasses
import functools

import numpy as np
import torch

from rlkit import checks, offline
from rlkit.model_based import reward_consistent
from rlkit.offline.dataset import Dataset
from rlkit.offline.rows import generator

TASKS = ("refrigerator", "pendulum")
WARM, TILT, FAST = (4.75, 7.25), (0.6, 1.4), 6.0  # held out: degrees; radians from upright, to both sides; up to rad/s
HARSH = 17.0  # the pendulum's rewards become (r + 17) / 17, so that they lie in [0, 1] as those of the refrigerator


def inside(task: str, observations) -> np.ndarray:
    """Which observations [N, O] lie in the region that is held out, bool [N]. Raises ValueError for another task."""
    if checks.one_of("task", task, TASKS) == "refrigerator":
        x, (low, high) = observations[:, 0], WARM
    else:
        x, (low, high) = np.abs(np.arctan2(observations[:, 1], observations[:, 0])), TILT
    return (x > low) & (x < high)


@functools.cache
def log(task: str, seed: int) -> Dataset:
    """The log of one seed: 8,000 steps of the refrigerator, half medium and half random, or 10,000 of the medium
    pendulum, without the rows that start in the region. Raises ValueError for another task."""
    if checks.one_of("task", task, TASKS) == "refrigerator":
        data = offline.build(task, {"medium": 0.5, "random": 0.5}, 8_000, seed)
    else:
        data = offline.build(task, "medium", 10_000, seed)
        data = dataclasses.replace(data, rewards=(data.rewards + HARSH) / HARSH)
    keep = ~inside(task, data.observations)
    arrays = {name: getattr(data, name)[keep] for name in ("observations", "actions", "rewards", "next_observations")}
    truncated = data.truncated[keep]
    truncated[-1] = True
    facts = {name: value for name, value in data.facts.items() if not name.startswith("episode_")}
    return Dataset(
        **arrays, terminated=data.terminated[keep], truncated=truncated, facts=facts | {"disconnected": True}
    )


def questions(task: str, count: int, seed: int):
    """States [count, O] uniform in the region and actions [count, 1] uniform in [-1, 1], float32."""
    rng = np.random.default_rng(seed)
    if checks.one_of("task", task, TASKS) == "refrigerator":
        states = rng.uniform(*WARM, (count, 1))
    else:
        angle = rng.uniform(*TILT, count) * rng.choice([-1, 1], count)
        states = np.stack([np.cos(angle), np.sin(angle), rng.uniform(-FAST, FAST, count)], axis=1)
    return states.astype(np.float32), rng.uniform(-1, 1, (count, 1)).astype(np.float32)


def errors(model, simulator, observations, actions, after) -> torch.Tensor:
    """||s' - truth|| of candidates [S, C, B, O], in deviations of the log's changes: [S, C, B]. The truth is without
    noise; simulator has `place`."""
    s, b = observations.shape[:2]
    states = simulator.place(observations.reshape(s * b, -1).numpy())
    noise = np.zeros((s * b, simulator.noise_size))
    truth = simulator.observe(simulator.step(states, actions.reshape(s * b, -1).numpy(), noise)[0])
    truth = torch.from_numpy(truth).view(s, 1, b, -1)
    return ((after - truth) / model.ensemble.y_scale[:, None, :, :-1]).norm(dim=-1)


def oracle(model, simulator):
    """A score: minus the true error of a candidate. No learner has it."""
    return lambda observations, actions, after: -errors(model, simulator, observations, actions, after)


def ranked(score: torch.Tensor, error: torch.Tensor) -> np.ndarray:
    """The chance that a candidate with an error below the seed's median scores more than one above it (AUC), [S]."""
    found = []
    for points, wrong in zip(score.flatten(1).numpy(), error.flatten(1).numpy(), strict=True):
        good = wrong <= np.median(wrong)
        place = np.argsort(np.argsort(points, kind="stable"), kind="stable") + 1
        found.append((place[good].sum() - good.sum() * (good.sum() + 1) / 2) / (good.sum() * (~good).sum()))
    return np.array(found)


def one_step(model, reward, simulator, seeds, observations, actions) -> dict:
    """Filters asked for one step at the same B states and actions [B, ...]: name -> [S].

    error, <arm>: the mean error of what the arm would choose (MOPO: a random candidate; MOREC: expected under its
    softmax; consensus, oracle: the best one). auc, r^D and auc, consensus: `ranked`. ends: share of MOREC's choices
    below the threshold 0.6.
    """
    generators, s = [generator(seed, "dreams") for seed in seeds], len(seeds)
    observations, actions = (torch.from_numpy(a).expand(s, -1, -1) for a in (observations, actions))
    after, _ = reward_consistent.candidates(model, observations, actions, generators)
    error, near = errors(model, simulator, observations, actions, after), reward_consistent.consensus(model)
    near, points = near(observations, actions, after), reward(observations, actions, after)
    chance = (points / 0.1).softmax(1)
    numbers = {
        "error, MOPO": error.mean((1, 2)),
        "error, consensus": error.gather(1, near.argmax(1, keepdim=True)).mean((1, 2)),
        "error, MOREC": (chance * error).sum(1).mean(1),
        "error, oracle": error.amin(1).mean(1),
        "ends": (chance * (points < 0.6)).sum(1).mean(1),
        "auc, r^D": ranked(points, error),
        "auc, consensus": ranked(near, error),
    }
    return {name: np.asarray(value, dtype=float) for name, value in numbers.items()}
