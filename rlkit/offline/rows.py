"""What all offline learners share: S rows trained side by side, each with its own seed, data and random numbers.

A row is one (seed, dataset) pair; arms and conditions of an experiment are rows as well. Every number that a row draws
(initial weights, batch indices, noise, evaluation) comes from generators made from its seed alone, so that seed 3 of 10
learns what seed 3 alone learns.
"""

import json
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch

from rlkit import checks, envs
from rlkit.offline.networks import Network
from rlkit.offline.transforms import hidden_rows
from rlkit.runs import Step

STREAMS = ("weights", "batches", "noise", "evaluation", "world", "model", "dreams", "exploration")  # new ones last
CHUNK = 250  # steps whose random numbers are drawn at once: fewer calls, the same numbers


class Batch(NamedTuple):
    """One batch for each row, observations normalised: pairs is [observation, action] without a copy."""

    observations: torch.Tensor  # [S, B, O]
    actions: torch.Tensor  # [S, B, A], or whole numbers [S, B]
    rewards: torch.Tensor  # [S, B]
    next_observations: torch.Tensor  # [S, B, O]
    continues: torch.Tensor  # [S, B]: 0 after a terminal step, 1 otherwise, also where the clock cut the episode
    pairs: torch.Tensor  # [S, B, O + A]
    indices: np.ndarray  # [S, B]: which transitions of the row's dataset these are


def generator(seed: int, stream: str, *salt: int) -> np.random.Generator:
    """The generator of one seed for one purpose; streams do not overlap, nor do those of different salt above 0."""
    return np.random.default_rng([checks.seed(seed), STREAMS.index(stream), *salt])


def normals(seeds, *shape: int, stream: str = "noise"):
    """An endless generator of standard normal tensors [S, *shape], each row from the stream of its own seed."""
    generators = [generator(seed, stream) for seed in seeds]
    while True:
        chunk = [g.standard_normal((CHUNK, *shape), dtype=np.float32) for g in generators]
        yield from torch.from_numpy(np.stack(chunk, 1))


def worlds(datasets) -> list | None:
    """The simulator that each dataset names in its facts, made anew, one for all that name the same.

    None where a dataset comes from a world that is not ours, or does not say from which. Raises ValueError where it is
    ours, but the facts do not suffice to make it.
    """
    made, recipes = {}, []
    for data in datasets:
        name, options = data.facts.get("simulator"), data.facts.get("options")
        if name not in envs.names():
            return None
        if options is None:
            raise ValueError(f"simulator={name!r} of {data!r} cannot be made from its facts: pass simulator=...")
        recipes.append(json.dumps([name, options], sort_keys=True))
        if recipes[-1] not in made:
            made[recipes[-1]] = envs.simulator(name, **options)
    return [made[recipe] for recipe in recipes]


class Rows:
    """S seeds with their data: batches, networks, evaluation.

    dataset: a rlkit.offline.Dataset, or one for each seed (arms and conditions on the same axis); all with the same
    observation and action sizes. seeds: integers; one that occurs twice (in two arms) draws the same numbers in both.
    normalise: observations to mean 0 and deviation 1 in each dataset (deviation + 1e-3, as TD3+BC). Sampling follows
    dataset.weights where given. simulator: where policies are evaluated, one or one for each seed; None for the one
    that each dataset names in its facts, and no evaluation where that is a world of others. discrete: the one kind of
    actions that a learner takes, None for both. Threads only cost on networks this small: torch.set_num_threads(1) is
    set for this process. Raises ValueError for other lengths, sizes, kinds of actions, or action-free transitions.
    """

    def __init__(
        self,
        dataset,
        seeds,
        *,
        batch_size=64,
        normalise=True,
        evaluate_every=1_000,
        episodes=10,
        simulator=None,
        discrete: bool | None = None,
    ):
        torch.set_num_threads(1)
        self.seeds = [checks.seed(seed) for seed in seeds]
        if not self.seeds:
            checks.fail("seeds", seeds, "at least one seed")
        self.datasets = self._each("dataset", dataset)
        simulators = worlds(self.datasets) if simulator is None else simulator
        self.simulators = None if simulators is None else self._each("simulator", simulators)
        first = self.datasets[0]
        self.discrete, self.observation_size = first.discrete, first.observations.shape[1]
        self.action_size = first.actions_count if self.discrete else first.actions.shape[1]  # outputs of an actor
        if discrete is not None and self.discrete != discrete:
            checks.fail("dataset", first, f"one with {'discrete' if discrete else 'continuous'} actions")
        self.batch_size = checks.positive_int("batch_size", batch_size)
        self.evaluate_every = checks.positive_int("evaluate_every", evaluate_every)
        self.episodes = checks.positive_int("episodes", episodes)
        self._lay_out(normalise)

    def __len__(self) -> int:
        return len(self.seeds)

    def _each(self, name: str, given) -> list:
        given = list(given) if isinstance(given, list | tuple) else [given] * len(self)
        if len(given) != len(self):
            raise ValueError(f"{name}: {len(given)} of them for {len(self)} seeds: must be one for each")
        return given

    def _lay_out(self, normalise: bool) -> None:
        """One table [observation, action, reward, next observation, continues] of all different datasets."""
        different = self.different = list({id(data): data for data in self.datasets}.values())
        means, scales, tables, starts, cumulative, total = {}, {}, [], {}, {}, 0
        for data in different:
            if data.discrete != self.discrete or data.observations.shape[1] != self.observation_size:
                raise ValueError(f"dataset: {data!r} has other observations or actions than {different[0]!r}")
            if hidden_rows(data).any():
                raise ValueError("dataset: it holds action-free transitions: must be relabelled, or leave them out")
            scaled = normalise and not self.discrete
            mean = data.observations.mean(0, dtype=np.float64) if scaled else np.zeros(self.observation_size)
            scale = data.observations.std(0, dtype=np.float64) + 1e-3 if scaled else np.ones(self.observation_size)
            actions = data.actions.reshape(len(data), -1)
            columns = [(data.observations - mean) / scale, actions, data.rewards[:, None]]
            columns += [(data.next_observations - mean) / scale, ~data.terminated[:, None]]
            tables.append(np.concatenate(columns, 1, dtype=np.float32))
            means[id(data)], scales[id(data)], starts[id(data)], total = mean, scale, total, total + len(data)
            if data.weights is not None:
                summed = np.cumsum(data.weights)
                cumulative[id(data)] = summed / summed[-1]
        self.table = torch.from_numpy(np.concatenate(tables))  # [sum of N, 2 O + A + 2]
        self.mean = torch.tensor(np.stack([means[id(d)] for d in self.datasets]), dtype=torch.float32)[:, None]
        self.scale = torch.tensor(np.stack([scales[id(d)] for d in self.datasets]), dtype=torch.float32)[:, None]
        self.starts = np.array([starts[id(d)] for d in self.datasets])
        self._cumulative = [cumulative.get(id(d)) for d in self.datasets]

    def network(self, sizes, *, members: int = 1, learning_rate: float = 3e-4, salt: int = 0) -> Network:
        """A Network for all rows; salt tells networks of the same learner apart (actor 0, critic 1, value 2)."""
        generators = [generator(seed, "weights", salt) for seed in self.seeds]
        return Network(generators, sizes, members=members, learning_rate=learning_rate)

    def per_row(self, name: str, value):
        """A hyper-parameter: a number as it is, or one for each row as a tensor [S]. Raises ValueError otherwise."""
        if isinstance(value, int | float):
            return float(value)
        array = checks.finite(name, value)
        if array.shape != (len(self),):
            raise ValueError(f"{name} of shape {array.shape}: must be a number or one for each of {len(self)} seeds")
        return torch.tensor(array, dtype=torch.float32)

    def column(self, name: str, value):
        """As `per_row`, but [S, 1], to be combined with [S, B]."""
        value = self.per_row(name, value)
        return value[:, None] if isinstance(value, torch.Tensor) else value

    def _indices(self, generators, steps: int) -> np.ndarray:
        """[steps, S, B] positions in each row's own dataset."""
        drawn = [g.random((steps, self.batch_size)) for g in generators]
        picked = [
            (u * len(data)).astype(np.int64)
            if c is None
            else np.searchsorted(c, u, side="right").clip(0, len(data) - 1)
            for u, c, data in zip(drawn, self._cumulative, self.datasets, strict=True)
        ]
        return np.stack(picked, 1)

    def batches(self, steps: int):
        """Yields (step, Batch) for step 1 to `steps`."""
        checks.positive_int("steps", steps)
        generators = [generator(seed, "batches") for seed in self.seeds]
        size, width = self.observation_size, 1 if self.discrete else self.action_size
        for step in range(1, steps + 1):
            place = (step - 1) % CHUNK
            if place == 0:
                chunk = self._indices(generators, CHUNK)
                rows = torch.from_numpy((chunk + self.starts[:, None]).reshape(CHUNK, -1))
            picked = self.table.index_select(0, rows[place]).view(len(self), self.batch_size, -1)
            actions = picked[..., size : size + width]
            yield (
                step,
                Batch(
                    picked[..., :size],
                    actions[..., 0].long() if self.discrete else actions,
                    picked[..., size + width],
                    picked[..., size + width + 1 : -1],
                    picked[..., -1],
                    picked[..., : size + width],
                    chunk[place],
                ),
            )

    def noise(self, *shape: int):
        """An endless generator of standard normal tensors [S, *shape], one a step, each row from its own stream."""
        return normals(self.seeds, *shape)

    def due(self, step: int, steps: int) -> bool:
        """Whether a learner reports after this step: each `evaluate_every` steps and after the last."""
        return step % self.evaluate_every == 0 or step == steps

    def report(self, step: int, agent: "Agent", **numbers: torch.Tensor) -> Step:
        """The Step of a learner: return and score (0 random, 1 expert) of each seed [S], and what else it measured."""
        numbers = {name: value.detach() for name, value in numbers.items()}
        if self.simulators is None:
            return Step(step, numbers)
        from rlkit.offline.evaluate import returns  # evaluation needs simulators, learning does not

        made = returns(agent, self).mean(1)  # [S]
        scores = np.array([data.score(value) for data, value in zip(self.datasets, made, strict=True)])
        return Step(step, {"return": made, "score": scores, **numbers})


class Agent:
    """What a learner has learnt so far, S policies; pass one to a learner to look at it between two steps.

        agent = Agent()
        for step in iql(dataset, range(10), agent=agent):
            agent.act(observations)  # NumPy, [S, B, O] or [B, O] for all seeds -> actions [S, B, A], or [S, B]

    q(observations, actions) -> [S, B], value(observations) -> [S, B] and, for a stochastic policy of discrete actions,
    probabilities(observations) -> [S, B, A] exist where the learner has such a network.
    Raises RuntimeError before the learner has started, or if it has no such network.
    """

    def __init__(self):
        self._functions, self._rows = {}, None

    def become(self, rows: Rows, **functions) -> "Agent":
        """Called by the learner: act, q, value, probabilities as functions of normalised tensors."""
        self._rows, self._functions = rows, functions
        return self

    def become_plain(self, seeds: int, size: int, **functions) -> "Agent":
        """As `become`, of a learner of `seeds` policies that sees observations of `size` numbers as they are."""
        as_they_are = SimpleNamespace(mean=torch.zeros(seeds, 1, size), scale=torch.ones(seeds, 1, size))
        return self.become(as_they_are, **functions)

    def _call(self, name: str, observations, *more):
        if name not in self._functions:
            has = ", ".join(self._functions) or "nothing yet: take a step first"
            raise RuntimeError(f"agent has no {name}: it has {has}")
        x = torch.as_tensor(np.asarray(observations, dtype=np.float32))
        x = (x - self._rows.mean) / self._rows.scale  # [B, O] broadcasts to [S, B, O]
        with torch.no_grad():
            return self._functions[name](x, *map(torch.as_tensor, more)).numpy()

    def act(self, observations) -> np.ndarray:
        return self._call("act", observations)

    def q(self, observations, actions) -> np.ndarray:
        return self._call("q", observations, actions)

    def value(self, observations) -> np.ndarray:
        return self._call("value", observations)

    def probabilities(self, observations) -> np.ndarray:
        return self._call("probabilities", observations)
