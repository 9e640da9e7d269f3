"""Datasets made on the spot: a simulator, behaviour policies of named quality and a seed give the same bits again."""

import copy
import math

import numpy as np

from rlkit import checks, envs
from rlkit.envs.rollouts import rollout
from rlkit.offline.dataset import Dataset

QUALITIES = ("random", "medium", "expert")
DISCOUNT = 0.99  # where the simulator does not say
BINS = 20  # along each of two observations, for coverage


def build(simulator, quality, transitions, seed) -> Dataset:
    """Let behaviour policies act until there are `transitions` rows or more; every episode is whole.

    simulator: a name of `envs.names()`, or a simulator. quality: "random", "medium", "expert"; a dictionary from these
    to shares of EPISODES that sum to 1, e.g. {"expert": 0.05, "random": 0.95} (rounded by largest remainder, at least
    one episode each, in shuffled order); or "narrow", the expert of a PointMaze from one cell alone, the farthest one
    where episodes may start. transitions: at least 1; less than one horizon more comes back (one for each quality of a
    mixture). seed: an integer of at least 0.

    facts: simulator and options (None for one that did not come from `envs.simulator`), quality, seed, horizon,
    discount, labels, actions; episode_quality and episode_returns; behaviour_return (the mean of
    these), random_return, expert_return, optimal_return (`envs.references`: from all starts, also for "narrow");
    coverage and coverage_of, by `coverage`. Raises: ValueError.
    """
    simulator = envs.simulator(simulator) if isinstance(simulator, str) else simulator
    shares = _shares(quality)
    checks.positive_int("transitions", transitions)
    seeds = np.random.SeedSequence(checks.seed(seed)).spawn(1 + len(QUALITIES))  # one stream each: order, qualities
    rngs = dict(zip(("order", *QUALITIES), map(np.random.default_rng, seeds), strict=True))
    acting = _narrow(simulator) if quality == "narrow" else simulator
    names, played = _play(acting, shares, transitions, rngs)
    order = rngs["order"].permutation(len(names))
    lengths = played.pop("lengths")
    starts = np.cumsum(lengths) - lengths
    rows = np.concatenate([np.arange(starts[e], starts[e] + lengths[e]) for e in order])
    arrays = {name: array[rows] for name, array in played.items()}
    ends = np.cumsum(lengths[order]) - 1
    arrays["truncated"] = np.zeros(len(rows), bool)
    arrays["truncated"][ends] = ~arrays["terminated"][ends]
    facts = {
        **getattr(simulator, "recipe", {"simulator": simulator.name, "options": None}),
        "quality": quality,
        "seed": seed,
        "horizon": simulator.horizon,
        "discount": getattr(getattr(simulator, "mdp", None), "discount", DISCOUNT),
        "labels": simulator.labels,
        "actions": simulator.actions,
        "episode_quality": [names[e] for e in order],
    }
    if quality == "narrow":
        facts["starts"] = acting.starts
    facts |= {f"{quality}_return": value for quality, value in envs.references(simulator).items()}
    made = Dataset(**arrays, facts=facts)
    share, cells = coverage(made, simulator)
    facts |= {"episode_returns": made.returns, "behaviour_return": made.returns.mean()}
    return Dataset(**arrays, facts=facts | {"coverage": share, "coverage_of": cells})


def coverage(dataset, simulator) -> tuple[float, str]:
    """The share of what can be reached that holds at least one transition, and in words of what.

    Finite worlds: pairs of state and action that can be reached and do not end an episode. PointMaze: free cells.
    Others: cells of a 20 x 20 histogram of the first two observations (of one, where there is one) that 100 random and
    100 expert episodes of a fixed seed visit.
    """
    seen = dataset.observations
    if hasattr(simulator, "mdp"):
        mdp = simulator.mdp
        reached, leads = mdp.start > 0, (mdp.transitions > 0).any(axis=1)  # [N], [N, N]
        for _ in range(len(reached)):
            reached = reached | leads[reached & ~mdp.terminal].any(axis=0)
        pairs = np.zeros(mdp.transitions.shape[:2], bool)
        pairs[seen.argmax(axis=1), dataset.actions] = True
        return float(pairs[reached & ~mdp.terminal].mean()), "of state-action pairs"
    if hasattr(simulator, "walls"):
        column, row = seen[:, :2].astype(int).T
        visited = np.zeros(simulator.walls.shape, bool)
        visited[row, column] = True
        return float(visited[~simulator.walls].mean()), "of free cells"
    policies, rng = [envs.behaviour(simulator, quality) for quality in ("random", "expert")], np.random.default_rng(0)
    both = np.concatenate([_flat(rollout(simulator, policy, rng, 100))["observations"] for policy in policies])[:, :2]
    low, high = both.min(axis=0), both.max(axis=0)
    cells = [
        np.histogramdd(data, bins=BINS, range=list(zip(low, high + 1e-6, strict=True)))[0] > 0
        for data in (seen[:, : both.shape[1]], both)
    ]
    return float(cells[0][cells[1]].mean()), "of cells of " + ", ".join(simulator.labels[: both.shape[1]])


def _shares(quality):
    """quality -> share of episodes, in the order of QUALITIES."""
    if not isinstance(quality, dict):
        checks.one_of("quality", quality, (*QUALITIES, "narrow"))
        return {"expert" if quality == "narrow" else quality: 1.0}
    for name, share in quality.items():
        checks.one_of("quality", name, QUALITIES)
        checks.positive(f"quality[{name!r}]", share)
    if abs(sum(quality.values()) - 1) > 1e-9:
        checks.fail("quality", quality, "shares of episodes that sum to 1")
    return {name: quality[name] for name in QUALITIES if name in quality}


def _counts(shares, episodes):
    """How many episodes of each quality: largest remainder, at least one."""
    exact = np.array([share * episodes for share in shares.values()])
    counts = np.floor(exact + 1e-9).astype(int)
    short = np.argsort(counts - exact, kind="stable")[: episodes - counts.sum()]
    counts[short] += 1
    return np.maximum(counts, 1)


def _play(simulator, shares, transitions, rngs):
    """Whole episodes of each quality, at least `transitions` rows: (quality of each [E], flat arrays and lengths)."""
    batches, have, episodes = {name: [] for name in shares}, dict.fromkeys(shares, 0), 0
    policies, missing = {name: envs.behaviour(simulator, name) for name in shares}, transitions
    while missing > 0:
        episodes += math.ceil(missing / simulator.horizon)  # no more than are needed if each lasts to the horizon
        counts = dict(zip(shares, _counts(shares, episodes), strict=True))
        for name, count in counts.items():
            if count > have[name]:
                fresh = rollout(simulator, policies[name], rngs[name], int(count - have[name]))
                batches[name].append(_flat(fresh))
                have[name] = count
        missing = transitions - sum(part["lengths"].sum() for parts in batches.values() for part in parts)
    parts = [part for name in shares for part in batches[name]]
    names = [name for name in shares for _ in range(have[name])]
    return names, {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _flat(played):
    """Trajectories [E, T, ...] as rows, without what follows an episode's end."""
    alive = np.arange(played.rewards.shape[1]) < played.lengths[:, None]  # [E, T]
    return {
        "observations": played.observations[:, :-1][alive],
        "actions": played.actions[alive],
        "rewards": played.rewards[alive],
        "next_observations": played.observations[:, 1:][alive],
        "terminated": played.terminated[alive],
        "lengths": played.lengths,
    }


def _narrow(simulator):
    """The same PointMaze with one start cell: of those it has, the farthest from its first goal."""
    if not hasattr(simulator, "starts") or not hasattr(simulator, "distance"):
        checks.fail("quality", "narrow", f"another one: {simulator.name} has no start cells to choose from")
    distance = simulator.distance(simulator.starts[:, ::-1] + 0.5, np.zeros(len(simulator.starts), int))
    narrow = copy.copy(simulator)
    narrow.starts = simulator.starts[[np.argmax(distance)]]
    return narrow
