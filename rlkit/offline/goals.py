"""Walks to goals: collected, labelled with goals afterwards, tested; and which pairs of places they teach.

A learner that imitates on the way to later places of the same walk (hindsight) is taught the pairs of
`pairs_in_one_walk`. Temporal data augmentation (Ghugare et al. 2024, arXiv 2401.11237) swaps the goal for a later one
of another walk through the same place: `after_swap`. The worlds are PointMazes with goal_conditioned=True.
"""

from typing import NamedTuple

import numpy as np

from rlkit import checks, envs
from rlkit.envs.behaviours import CRUISE, steer, stray
from rlkit.evaluations import of_kind
from rlkit.offline.dataset import Dataset
from rlkit.offline.rows import generator

NEAR = 0.5  # cells, as the radius of a PointMaze's goal
WORDS = "of a PointMaze with goal_conditioned=True"


class Walks(NamedTuple):
    """N steps, walk after walk. now, then: x, y, vx, vy before and after the step, float32 [N, 4]; push float32 [N, 2];
    start, end: integers [N], the first row of the step's walk, and the first row after it."""

    now: np.ndarray
    push: np.ndarray
    then: np.ndarray
    start: np.ndarray
    end: np.ndarray


def walker(world, noise=0.3):
    """The factory of a policy on the shortest path to the observed goal, with N(0, noise^2) added to each push."""
    return stray(lambda seen: steer(world, seen, CRUISE), 2, noise, chance=0.0, length=1)


def walks(worlds, number, seed) -> Walks:
    """`number` walks of `walker` in each world, between its starts and goals at random; a walk ends on arrival.

    Raises: ValueError for a world without observed goals, or a number below 1.
    """
    rng, parts = np.random.default_rng([checks.seed(seed), checks.positive_int("number", number)]), []
    for world in worlds:
        if not getattr(world, "goal_conditioned", False):
            checks.fail("worlds", world, WORDS)
        played = envs.rollout(world, walker(world), rng, number)
        going = played.rewards.cumsum(axis=1) - played.rewards == 0  # [E, T], to the step of arrival
        seen = played.observations[..., :4]
        parts.append((seen[:, :-1][going], played.actions[going], seen[:, 1:][going], going.sum(axis=1)))
    now, push, then, length = (np.concatenate(part) for part in zip(*parts, strict=True))
    end = np.repeat(length.cumsum(), length)
    return Walks(now, push, then, end - np.repeat(length, length), end)


def labelled(steps: Walks, row, goal) -> Dataset:
    """Steps `row` [M] with the places after steps `goal` [M] as their goals: observations x, y, vx, vy, gx, gy.

    reward 1, and terminated, where the step ends within NEAR of its goal; all others are truncated, for each row stands
    alone. Scores are 0 for a return of 0 and 1 for 1.
    """
    seen, after, there = _towards(steps, row, goal)
    facts = {"disconnected": True, "random_return": 0, "expert_return": 1}
    return Dataset(seen, steps.push[row], there, after, there, ~there, facts=facts)


def whole_walks(steps: Walks, copies, rng) -> Dataset:
    """All walks `copies` times, each time with one goal at random on the walk, for learners that read returns.

    reward 1 in each step that ends within NEAR of the goal. Nothing is terminated; the last row of a walk is truncated.
    """
    first, last = np.unique(steps.start), np.unique(steps.end)
    picked = rng.integers(first, last, size=(checks.positive_int("copies", copies), len(first)))  # [copies, walks]
    row = np.tile(np.arange(len(steps.end)), copies)
    seen, after, there = _towards(steps, row, np.repeat(picked, last - first, axis=1).ravel())
    cut = row + 1 == steps.end[row]
    facts = {"random_return": 0, "expert_return": 1}
    return Dataset(seen, steps.push[row], there, after, np.zeros(len(row), bool), cut, facts=facts)


def _towards(steps, row, goal):
    place = steps.then[goal, :2]
    seen, after = (np.concatenate([state[row], place], axis=1) for state in (steps.now, steps.then))
    return seen, after, np.hypot(*(steps.then[row, :2] - place).T) <= NEAR


def visit(act, world, routes, seeds, episodes=25):
    """Send act(observations [S, B, 6]) along each route: reached [S, R], shares of episodes, and the paths.

    world: a PointMaze with observed goals. routes: R pairs (start, goal) of cells (row, column), goals of the world.
    An episode starts at rest at a uniform point of the start's cell and lasts to the world's horizon T; reached: it was
    within the goal's radius. Starts come from each seed's own stream, the same at each call. Paths: [S, R, episodes,
    T + 1, 2], x and y. Raises: ValueError for a goal that the world does not have.
    """
    if not getattr(world, "goal_conditioned", False):
        checks.fail("world", world, WORDS)
    numbers = {(int(y), int(x)): number for number, (x, y) in enumerate(world.goals)}
    states = np.zeros((len(seeds), len(routes), checks.positive_int("episodes", episodes), 7))
    for route, (start, goal) in enumerate(routes):
        states[:, route, :, :2] = start[::-1]
        states[:, route, :, 6] = numbers[checks.one_of("goal", tuple(goal), list(numbers))]
    states[..., :2] += [generator(s, "evaluation").uniform(0.1, 0.9, (len(routes), episodes, 2)) for s in seeds]
    shape, states = states.shape[:3], states.reshape(-1, 7)
    path, paid = [states[:, :2]], np.zeros(len(states))
    for _ in range(world.horizon):
        push = np.asarray(act(world.observe(states).reshape(len(seeds), -1, 6))).reshape(-1, 2)
        states, reward, _ = world.step(states, push, np.zeros((len(states), world.noise_size)))
        path.append(states[:, :2])
        paid += reward
    return (paid > 0).reshape(shape).mean(axis=2), np.stack(path, axis=1).reshape(*shape, -1, 2)


def level(policy, world, routes) -> float:
    """The mean success over all routes of a factory of policies, such as `walker(world)`: 25 episodes each, seed 0.

    routes: name -> (start, goal) of `visit`.
    """
    act = policy(25 * len(routes), np.random.default_rng(0))
    return visit(lambda seen: act(seen[0]), world, list(routes.values()), [0])[0].mean()


def followed(learner, agent, world, routes, seeds, arm):
    """Drain a learner and visit its routes at each of its Steps: a cell of a sweep, (metrics, rows).

    routes: name -> (start, goal) of `visit`. metrics: name -> share of episodes that reached the goal in the end, [S].
    rows, one for each seed: kind "result", arm, seed, reached [R, looks]; those of the first three seeds also have
    paths, name -> three episodes, each third step, [3, T / 3, 2].
    """
    looks = [visit(agent.act, world, list(routes.values()), seeds) for _ in learner]
    reached = np.stack([share for share, _ in looks], axis=2)  # [S, R, looks]
    rows = [{"kind": "result", "arm": arm, "seed": s, "reached": x} for s, x in zip(seeds, reached, strict=True)]
    for row, walked in zip(rows[:3], looks[-1][1][:3, :, :3, ::3].round(2), strict=True):
        row["paths"] = dict(zip(routes, walked, strict=True))
    return dict(zip(routes, reached[..., -1].T, strict=True)), rows


def results(run) -> dict:
    """arm -> reached [S, R, looks] of a sweep of `followed`, as far as it has come."""
    rows = of_kind(run, "result")
    arms = rows["arm"].unique() if len(rows) else ()
    return {arm: np.array(rows.loc[rows["arm"] == arm, "reached"].tolist()) for arm in arms}


def pairs_in_one_walk(place, end, places) -> np.ndarray:
    """bool [places, places]: whether some walk is in the first place and then, or at once, in the second.

    place: integers [N], the place of each row, walk after walk. end: integers [N], the row after the last one of the
    row's walk. places: how many there are. Raises: ValueError.
    """
    place, end = np.asarray(place), np.asarray(end)
    if place.ndim != 1 or end.shape != place.shape:
        checks.fail("end.shape", end.shape, f"that of place, {place.shape}, [N]")
    if place.dtype.kind not in "iu" or (place < 0).any() or (place >= checks.positive_int("places", places)).any():
        checks.fail("place", place, f"integers from 0 to {places - 1}")
    found = np.zeros((places, places), bool)
    for row, last in enumerate(end):
        found[place[row], place[row:last]] = True
    return found


def after_swap(seen) -> np.ndarray:
    """The pairs (s, h) that hold already, or for which some g has (s, g) and (g, h): bool [k, k] -> bool [k, k].

    One Boolean product, seen or seen x seen: what one swap of goals adds. Repeated until nothing changes it is the
    transitive closure, what a learner that bootstraps may find in the end. Raises: ValueError.
    """
    seen = np.asarray(seen)
    if seen.ndim != 2 or seen.shape[0] != seen.shape[1] or seen.dtype != bool:
        checks.fail("seen.shape, seen.dtype", (seen.shape, str(seen.dtype)), "[k, k] bools")
    return seen | (seen.astype(int) @ seen.astype(int) > 0)
