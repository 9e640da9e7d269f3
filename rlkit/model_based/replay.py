"""Transitions of S seeds: what was lived, what was dreamt, or a fixed log."""

import numpy as np
import torch

from rlkit import checks
from rlkit.offline.rows import CHUNK, Batch, generator


class Replay:
    """S tables of at most `capacity` transitions; when full, the oldest give way. Each seed draws batches of its own.

    seeds: integers. observation_size: O. action_size: A, or 1 where actions are numbers (discrete). Attributes: table
    [S, capacity, 2 O + A + 2], the columns observation, action, reward, next observation, continues; size [S], how many
    are there. Raises ValueError for sizes below 1, transitions that do not fit or are not finite, and an empty draw.
    """

    def __init__(self, seeds, observation_size: int, action_size: int, capacity: int, *, discrete: bool = False):
        torch.set_num_threads(1)
        self.seeds = [checks.seed(seed) for seed in seeds]
        self.observation_size = checks.positive_int("observation_size", observation_size)
        self.action_size = checks.positive_int("action_size", action_size)
        self.capacity, self.discrete = checks.positive_int("capacity", capacity), discrete
        self.table = torch.zeros(len(self.seeds), self.capacity, 2 * observation_size + action_size + 2)
        self._added, self._place = np.zeros(len(self.seeds), np.int64), CHUNK
        self._generators = [generator(seed, "batches") for seed in self.seeds]

    @classmethod
    def of(cls, dataset, seeds) -> "Replay":
        """The transitions of a rlkit.offline.Dataset, or of one for each seed (the shorter ones are drawn as they are).

        Raises ValueError where a dataset holds no transition with its action.
        """
        seeds = list(seeds)
        sets = list(dataset) if isinstance(dataset, list | tuple) else [dataset] * len(seeds)
        if len(sets) != len(seeds):
            raise ValueError(f"dataset: {len(sets)} of them for {len(seeds)} seeds: must be one for each")
        size, first = sets[0].observations.shape[1], sets[0]
        width = 1 if first.discrete else first.actions.shape[1]
        made = cls(seeds, size, width, max(len(data) for data in sets), discrete=first.discrete)
        for row, data in enumerate(sets):
            columns = [data.observations, data.actions.reshape(len(data), -1), data.rewards[:, None]]
            columns += [data.next_observations, ~data.terminated[:, None]]
            made._put(row, torch.from_numpy(np.concatenate(columns, 1, dtype=np.float32)))
        return made

    def _put(self, row: int, block: torch.Tensor) -> None:
        """One seed's transitions [B, W]."""
        if not torch.isfinite(block).all():
            bad = int((~torch.isfinite(block)).any(1).nonzero()[0])
            raise ValueError(f"transition {bad} of seed {self.seeds[row]} holds NaN or infinity: must be finite")
        place = (self._added[row] + np.arange(len(block))) % self.capacity
        self.table[row, torch.from_numpy(place)] = block
        self._added[row] += len(block)

    @property
    def size(self) -> np.ndarray:
        """How many transitions each seed holds, [S]."""
        return np.minimum(self._added, self.capacity)

    def add(self, observations, actions, rewards, next_observations, continues, kept=None) -> None:
        """Transitions of all seeds: [S, B, O], [S, B, A] (or [S, B]), [S, B], [S, B, O], [S, B]; arrays or tensors.

        kept: bool [S, B], which of them to take; None for all. At most `capacity` of each seed.
        """
        s, n = len(self.seeds), np.shape(rewards)[-1]
        columns = (observations, actions, rewards, next_observations, continues)
        widths = (self.observation_size, self.action_size, 1, self.observation_size, 1)
        names = ("observations", "actions", "rewards", "next_observations", "continues")
        block = []
        for name, column, width in zip(names, columns, widths, strict=True):
            column = torch.as_tensor(column, dtype=torch.float32)
            if column.numel() != s * n * width:
                raise ValueError(f"{name} of shape {tuple(column.shape)}: must be [{s}, {n}, {width}]")
            block.append(column.reshape(s, n, width))
        if n > self.capacity:
            raise ValueError(f"{n} transitions at once: must be at most capacity={self.capacity}")
        block = torch.cat(block, 2)
        for row in range(s):
            self._put(row, block[row] if kept is None else block[row][torch.as_tensor(kept[row])])

    def columns(self, picked: torch.Tensor, indices: np.ndarray) -> Batch:
        """Rows of the table [S, B, W] as a Batch."""
        o, a = self.observation_size, self.action_size
        actions = picked[..., o].long() if self.discrete else picked[..., o : o + a]
        rest = picked[..., o + a], picked[..., o + a + 1 : -1], picked[..., -1]
        return Batch(picked[..., :o], actions, *rest, picked[..., : o + a], indices)

    def all(self) -> Batch:
        """Everything that every seed holds, [S, min of size, ...]."""
        n = self._filled().min()
        return self.columns(self.table[:, :n], np.broadcast_to(np.arange(n), (len(self.seeds), n)))

    def _filled(self) -> np.ndarray:
        if not self.size.all():
            empty = self.seeds[int(np.flatnonzero(self.size == 0)[0])]
            raise ValueError(f"replay of seed {empty} is empty: must hold transitions before it is drawn from")
        return self.size

    def sample(self, count: int) -> Batch:
        """`count` transitions of each seed, uniform and with replacement, from the seed's own stream."""
        size = self._filled()
        if self._place == CHUNK or self._uniform.shape[-1] != count:
            self._uniform = np.stack([g.random((CHUNK, count)) for g in self._generators], 1)  # [CHUNK, S, count]
            self._place = 0
        indices = (self._uniform[self._place] * size[:, None]).astype(np.int64)  # [S, count]
        self._place += 1
        flat = torch.from_numpy((indices + self.capacity * np.arange(len(self.seeds))[:, None]).ravel())
        picked = self.table.flatten(0, 1).index_select(0, flat).view(len(self.seeds), count, -1)
        return self.columns(picked, indices)


def mixed(first: Batch, second: Batch) -> Batch:
    """Two batches of the same seeds as one, [S, B1 + B2, ...]."""
    columns = [torch.cat(pair, 1) for pair in zip(first[:-1], second[:-1], strict=True)]
    return Batch(*columns, np.concatenate((first.indices, second.indices), 1))
