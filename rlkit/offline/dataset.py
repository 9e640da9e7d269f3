"""A dataset of transitions: arrays checked once, and beside them the facts one needs to judge what they teach."""

import dataclasses
from functools import cached_property

import numpy as np

from rlkit import checks
from rlkit.offline.well_formed import ARRAYS, arrays, check, per_episode, plain_facts


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """N transitions, one row each; E episodes one after another, in order of time.

    observations, next_observations: float32 [N, O]. actions: float32 [N, A], or int64 [N] where actions are numbers.
    rewards: float32 [N]. terminated: bool [N], the world ended the episode here. truncated: bool [N], the clock cut it
    here, and bootstrapping goes on. weights: float64 [N] of at least 0, how often to draw a row relative to others, or
    None. The last row of every episode is terminated or truncated; every other row's next observation is the
    observation of the row below it.

    facts: a dictionary that JSON can hold. Those with a meaning here:
        actions: how many actions there are, needed where they are numbers.
        behaviour_return, random_return, expert_return, optimal_return: mean undiscounted returns in the world itself,
            also where rewards were changed; optimal_return may be None. coverage: see `rlkit.offline.building`.
        episode_...: a list with one entry for each episode; `episodes` and `concatenate` carry it along.
        corrupted: one record for each corruption, with the rows it changed.
        hidden_actions: True allows rows without action: NaN, or -1 where actions are numbers.
        disconnected: True says that next observations need not be those of the next row.

    Raises: ValueError of one line that names the array, and the episode and the step in it.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_observations: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    weights: np.ndarray | None = None
    facts: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        given = {name: np.asarray(getattr(self, name)) for name in (*ARRAYS, "weights")}
        for name, value in arrays(given, self.weights is not None).items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "facts", plain_facts(self.facts))
        check(self)

    def __len__(self):
        return len(self.rewards)

    @property
    def discrete(self) -> bool:
        """Whether actions are numbers."""
        return self.actions.ndim == 1

    @property
    def actions_count(self) -> int:
        """How many discrete actions there are. Raises ValueError where actions are continuous."""
        if not self.discrete:
            checks.fail("actions.shape", self.actions.shape, "[N], discrete actions, to count them")
        return self.facts["actions"]

    @cached_property
    def episode_ends(self) -> np.ndarray:
        """The last row of each episode, [E]."""
        return np.flatnonzero(self.terminated | self.truncated)

    @cached_property
    def episode_starts(self) -> np.ndarray:
        """The first row of each episode, [E]."""
        return np.concatenate([[0], self.episode_ends[:-1] + 1])

    @cached_property
    def episode_of(self) -> np.ndarray:
        """The episode of each row, [N]."""
        return np.repeat(np.arange(len(self.episode_ends)), self.episode_ends - self.episode_starts + 1)

    @cached_property
    def step_of(self) -> np.ndarray:
        """The step of each row in its episode, from 0, [N]."""
        return np.arange(len(self)) - self.episode_starts[self.episode_of]

    @cached_property
    def returns(self) -> np.ndarray:
        """The undiscounted sum of the rewards of each episode, float64 [E]."""
        return np.add.reduceat(self.rewards.astype(np.float64), self.episode_starts)

    def score(self, returns) -> np.ndarray:
        """(returns - random_return) / (expert_return - random_return), so 0 is random and 1 the expert.

        Raises: ValueError when the two references are unknown or equal.
        """
        low, high = (self.facts.get(f"{name}_return") for name in ("random", "expert"))
        if low is None or high is None or low == high:
            checks.fail("facts[random_return], facts[expert_return]", (low, high), "two different numbers")
        return (np.asarray(returns, dtype=float) - low) / (high - low)

    def episodes(self, indices) -> "Dataset":
        """The chosen episodes alone, in the order given; one may come twice. indices: integers, or bool [E].

        behaviour_return becomes theirs (where facts hold episode_returns), coverage is dropped. Raises: ValueError.
        """
        numbers, chosen = np.arange(len(self.episode_ends)), np.asarray(indices)
        allowed = f"episodes of 0 to {len(numbers) - 1}, or one bool for each"
        if chosen.size == 0 or chosen.ndim != 1 or chosen.dtype.kind not in "iub":
            checks.fail("indices", indices, allowed)
        try:
            chosen = numbers[chosen]
        except IndexError:
            checks.fail("indices", indices, allowed)
        if len(chosen) == 0:
            checks.fail("indices", indices, allowed)
        rows = np.concatenate([np.arange(self.episode_starts[e], self.episode_ends[e] + 1) for e in chosen])
        facts = {key: value for key, value in self.facts.items() if key != "coverage"}
        facts |= {key: [facts[key][e] for e in chosen] for key in per_episode(facts)}
        if "corrupted" in facts:
            facts["corrupted"] = [r | {"rows": np.flatnonzero(np.isin(rows, r["rows"]))} for r in facts["corrupted"]]
        kept = {name: getattr(self, name)[rows] for name in ARRAYS}
        return Dataset(**kept, weights=None if self.weights is None else self.weights[rows], facts=_behaviour(facts))

    @staticmethod
    def concatenate(datasets) -> "Dataset":
        """The episodes of all datasets, one dataset after another.

        Facts that all share stay; those that differ stand in facts["parts"], a list of one dictionary for each.
        Raises: ValueError when observations, actions or weights do not fit together.
        """
        datasets = list(datasets)
        if not datasets:
            checks.fail("datasets", datasets, "a list of at least one dataset")
        names = ARRAYS if datasets[0].weights is None else (*ARRAYS, "weights")
        for i, other in enumerate(datasets):
            if _kind(other) != _kind(datasets[0]):
                checks.fail(f"datasets[{i}]", other, "like datasets[0] in observations, actions and use of weights")
        joined = {name: np.concatenate([getattr(dataset, name) for dataset in datasets]) for name in names}
        return Dataset(**joined, facts=_joined(datasets))

    def __repr__(self):
        name = ", ".join(str(self.facts[key]) for key in ("simulator", "quality") if self.facts.get(key) is not None)
        return f"Dataset({name + ': ' if name else ''}{len(self):,} transitions, {len(self.episode_ends):,} episodes)"

    def __str__(self):
        names = ("behaviour", "random", "expert", "optimal")
        actions = f"{self.actions_count} discrete" if self.discrete else f"{self.actions.shape[1]} continuous"
        lines = [
            repr(self),
            f"observations {self.observations.shape[1]}, actions {actions}",
            "return: " + ", ".join(f"{name} {_show(self.facts.get(f'{name}_return'))}" for name in names),
            f"coverage: {_show(self.facts.get('coverage'))} {self.facts.get('coverage_of', '')}".rstrip(),
        ]
        changes = ("weighted", "corrupted", "hidden_actions", "relabelled", "augmented")
        done = [key.replace("_", " ") for key in changes if self.facts.get(key)]
        return "\n".join(lines + ["changed: " + ", ".join(done)] * bool(done))


def _show(value) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _kind(dataset):
    facts = dataset.facts
    return dataset.observations.shape[1:], dataset.actions.shape[1:], facts.get("actions"), dataset.weights is None


def _behaviour(facts):
    """Facts whose behaviour_return is the mean of episode_returns; without these it is unknown."""
    returns = facts.get("episode_returns")
    return facts | {"behaviour_return": None if returns is None else float(np.mean(returns))}


def _joined(datasets):
    first, several = datasets[0].facts, [dataset.facts for dataset in datasets]
    own = ("episode_", "corrupted", "behaviour_return", "coverage")
    shared = {k: v for k, v in first.items() if not k.startswith(own) and all(f.get(k) == v for f in several)}
    for key in per_episode(first):
        if all(key in facts for facts in several):
            shared[key] = [entry for facts in several for entry in facts[key]]
    for key in ("hidden_actions", "disconnected"):
        if any(facts.get(key) for facts in several):
            shared[key] = True
    offsets, corrupted = np.cumsum([0] + [len(dataset) for dataset in datasets]), []
    for facts, offset in zip(several, offsets, strict=False):
        corrupted += [record | {"rows": np.add(record["rows"], offset)} for record in facts.get("corrupted", [])]
    if corrupted:
        shared["corrupted"] = corrupted
    parts = [{k: v for k, v in f.items() if k not in shared and not k.startswith(own)} for f in several]
    return _behaviour(shared | ({"parts": parts} if any(parts) else {}))
