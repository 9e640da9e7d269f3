"""Logs with a hole, and what a model dreams inside it: the two tasks of the notebook on MOREC.

A region of the states is held out: every row that starts there is left out of the log. What lies inside is then known
from the simulator alone.
"""

import dataclasses
import functools

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from rlkit import checks, envs, offline
from rlkit.envs import refrigerator
from rlkit.evaluations import of_kind
from rlkit.model_based import Dynamics, Penalised, Replay, SideBySide, imagine, reward_consistent, train_in
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
        found.append(roc_auc_score(wrong <= np.median(wrong), points))
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


def first_choice(task: str, model, reward, seeds) -> np.ndarray:
    """The mean error [S] of the candidate with the highest r^D, a filter at temperature 0: the questions in the region
    and the candidates are those of `train`."""
    observations, actions = (torch.from_numpy(a).expand(len(seeds), -1, -1) for a in questions(task, 400, 7))
    sharp = reward_consistent.Filtered(model, reward, temperature=0)
    after, _, _ = sharp.step(observations, actions, [generator(seed, "dreams") for seed in seeds])
    return errors(model, envs.simulator(task), observations, actions, after[:, None]).mean((1, 2)).numpy()


def learnt(task: str, seeds, model_steps: int = 2_000, reward_steps: int = 3_000):
    """Ensemble and dynamics reward of each seed, fitted to the same log: (Dynamics, DynamicsReward)."""
    log_, world = Replay.of([log(task, seed) for seed in seeds], seeds), envs.simulator(task)
    sizes, (low, high) = (world.observation_size, world.action_size), world.bounds
    model = Dynamics(seeds, *sizes, low=low, high=high, learning_rate=3e-3)
    reward = reward_consistent.DynamicsReward(seeds, *sizes)
    for learner in (model.fit(log_, steps=model_steps), reward.fit(log_, steps=reward_steps)):
        list(learner)  # to its end
    return model, reward


def train(filters, kept: dict, task: str, seeds, steps: int, penalty: float, episodes: int):
    """A cell of the sweep: fit, ask for one step in the region and on the log, train a policy for each arm and seed.

    filters: (model, reward, world) -> arm -> model. Returns metrics, each [S]: those of `one_step`, the same with ", on
    the log", and "<arm>, score" after the last step; and a row with the scores [looks, arms, S]. Ensemble and dynamics
    reward stay in kept[task].
    """
    world, level = envs.simulator(task), envs.references(task)
    kept[task] = model, reward = learnt(task, seeds)
    metrics, logs = one_step(model, reward, world, seeds, *questions(task, 400, 7)), [log(task, s) for s in seeds]
    at = np.random.default_rng(7).integers(len(logs[0]), size=400)
    known = one_step(model, reward, world, seeds, logs[0].observations[at], logs[0].actions[at])
    metrics |= {f"{name}, on the log": value for name, value in known.items()}
    arms = filters(model, reward, world)
    side = SideBySide([Penalised(arm, penalty) for arm in arms.values()])
    often = {"dream_every": 100, "evaluate_every": steps // 5, "episodes": episodes}
    looks = train_in(side, logs * len(arms), list(seeds) * len(arms), steps=steps, **often)
    earned = np.stack([look.metrics["return"].reshape(len(arms), -1) for look in looks])
    score = (earned - level["random"]) / (level["expert"] - level["random"])
    metrics |= {f"{arm}, score": score[-1, place] for place, arm in enumerate(arms)}
    return metrics, [{"kind": "scores", "task": task, "arms": list(arms), "scores": score.tolist()}]


def results(run) -> dict:
    """task -> metric -> values [S], of the tasks whose cells are done."""
    cells = of_kind(run, "cell")
    return {
        task: {name: run.series(name)[1][place] for name in run.metric_names}
        for place, task in enumerate(cells["task"].tolist() if len(cells) else ())
    }


def over_plane(model, reward, seeds, temperature, power) -> dict:
    """What the refrigerator's candidates are like at temperatures and powers of one shape: name -> [S, *shape]."""
    state, action = (
        torch.tensor(a.ravel(), dtype=torch.float32).expand(len(seeds), -1)[..., None]
        for a in (temperature, 2 * power - 1)
    )
    after, _ = reward_consistent.candidates(model, state, action, [generator(seed, "dreams") for seed in seeds])
    error = errors(model, refrigerator.Refrigerator(), state, action, after)
    points = reward(state, action, after)
    law = torch.from_numpy(refrigerator.change(temperature, power).ravel().astype(np.float32))
    found = {
        "error of a random elite's draw": error.mean(1),
        "error of what r^D picks": ((points / 0.1).softmax(1) * error).sum(1),
        "r^D, mean of ten candidates": points.mean(1),
        "r^D of the true answer": reward(state, action, (state + law[:, None])[:, None])[:, 0],
    }
    return {name: value.view(len(seeds), *temperature.shape).numpy() for name, value in found.items()}


def cooled(model, seeds, start: float, minutes: int, count: int = 50) -> np.ndarray:
    """Dreamt temperatures [S, count, minutes + 1] of the refrigerator's expert from `start`; NaN where it has ended."""

    def expert(seen):
        return torch.from_numpy(refrigerator.regulate(seen.reshape(-1, 1).numpy())).float().view_as(seen)

    starts = torch.full((len(seeds), count, 1), float(start))
    dream = imagine(model, expert, starts, minutes, [generator(seed, "noise") for seed in seeds])
    there = torch.cat((dream.alive, (dream.alive * dream.continues)[..., -1:]), 2) > 0
    return np.where(there, dream.observations[..., 0], np.nan)


def truly_cooled(start: float, minutes: int) -> np.ndarray:
    """The expert's true temperatures [minutes + 1] from `start`, without noise."""
    path = [float(start)]
    for _ in range(minutes):
        power = (refrigerator.regulate(np.array([path[-1:]]))[0, 0] + 1) / 2
        path.append(float(np.clip(path[-1] + refrigerator.change(path[-1], power), 0, refrigerator.WARMEST)))
    return np.array(path)
