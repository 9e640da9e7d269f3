"""Behaviour policies of named quality, and what they earn.

A behaviour policy is a factory make(count, rng) -> act, and act(observations [B, O]) -> actions [B, A] or [B] for
B = count episodes that run side by side. So act may remember (noise, integrals), and each rollout gets a fresh one.
"""

import functools
import importlib
import weakref

import numpy as np

from rlkit import checks
from rlkit.envs.point_maze import DRAG, DT, PUSH, PointMaze
from rlkit.envs.rollouts import returns, rollout

QUALITIES = ("random", "medium", "expert")
EPISODES, SEED = 500, 20_240_607  # of `references`
CRUISE, TURN, BRAKE = 2.0, 1.2, 2.4  # the maze expert: speed, speed at bends (cells per time), braking
SLOW, NOISE = 0.9, 0.3  # the medium one: its share of CRUISE, noise of its push
STRAY, STRETCH = 0.045, 20  # chance that a random stretch begins in a step, its mean length in steps
_known, _recipes = weakref.WeakKeyDictionary(), {}  # references: of single simulators, of all of one recipe


def behaviour(simulator, quality):
    """The factory of the behaviour policy of a quality, "random", "medium" or "expert", for a simulator of rlkit.envs.

    Point mazes: random is `wander`, expert follows the exact shortest path and brakes (`steer`), medium is a slower,
    noisy one with random stretches. Finite mazes: uniform, optimal, and a mixture of both (`finite_policy`).
    Any other simulator: the function behaviour(quality) of the module that its class is written in.
    Raises ValueError for an unknown quality or a simulator without behaviour policies.
    """
    checks.one_of("quality", quality, QUALITIES)
    if isinstance(simulator, PointMaze):
        return _point_maze(simulator, quality)
    if hasattr(simulator, "mdp"):
        return table(finite_policy(simulator, quality))
    module = importlib.import_module(type(simulator).__module__)
    if not hasattr(module, "behaviour"):
        checks.fail("simulator", simulator, "of a module with a function behaviour(quality)")
    return module.behaviour(quality)


def _point_maze(maze, quality):
    if quality == "random":
        return wander(2)
    if quality == "medium":
        return stray(lambda observations: steer(maze, observations, SLOW * CRUISE), 2, NOISE, STRAY, STRETCH)
    return lambda count, rng: lambda observations: steer(maze, observations, CRUISE)


def wander(size, memory=0.95, spread=1.0):
    """Temporally correlated random actions: x' = memory x + sqrt(1 - memory^2) N(0, spread^2), clipped to [-1, 1].

    With memory 0.95 a direction lasts some 20 steps, so that the whole of a maze is visited.
    """

    def make(count, rng):
        state = spread * rng.standard_normal((count, size))

        def act(observations):
            nonlocal state
            action = np.clip(state, -1, 1)
            state = memory * state + np.sqrt(1 - memory**2) * spread * rng.standard_normal((count, size))
            return action

        return act

    return make


def steer(maze, observations, cruise):
    """The push [B, 2] towards the next bend of the exact shortest path, by a velocity controller.

    Wanted speed: min(cruise, sqrt(end^2 + 2 BRAKE d), end + d / (2 DT)), with d the distance to the next bend or
    the goal, end the speed to have there (TURN at a bend, 0 at the goal). The push then reaches it in one step, if it
    can: ((wanted - v) / DT + DRAG v) / PUSH.
    """
    points, velocity = observations[:, :2].astype(float), observations[:, 2:4]
    target, after = maze.waypoints(points, maze.goal_numbers(observations))
    away = target - points
    distance = np.hypot(*away.T)
    end = np.where(after > 0, TURN, 0.0)
    speed = np.minimum(np.minimum(cruise, np.sqrt(end**2 + 2 * BRAKE * distance)), end + distance / (2 * DT))
    wanted = away * (speed / np.maximum(distance, 1e-9))[:, None]
    return np.clip(((wanted - velocity) / DT + DRAG * velocity) / PUSH, -1, 1)


def stray(steady, size, noise, chance, length):
    """Factory: the actions [B, size] of steady(observations) with N(0, noise^2) added, and random stretches.

    In each step a stretch begins with probability `chance` and lasts `length` steps on average; in it, `wander` acts.
    """

    def make(count, rng):
        random, lost = wander(size)(count, rng), np.zeros(count, bool)

        def act(observations):
            nonlocal lost
            lost = np.where(lost, rng.random(count) > 1 / length, rng.random(count) < chance)
            action = steady(observations) + noise * rng.standard_normal((count, size))
            return np.where(lost[:, None], random(observations), np.clip(action, -1, 1))

        return act

    return make


def slipping(steady, actions, share):
    """Factory of a policy of numbered actions: steady(observations [B, O]) -> [B], but a share of steps is uniform.

    actions: how many there are, a number or a function of the observations.
    """

    def make(count, rng):
        def act(observations):
            many = actions(observations) if callable(actions) else actions
            slip, drawn = rng.random(count) < share, rng.integers(many, size=count)
            return np.where(slip, drawn, steady(observations))

        return act

    return make


def proportional_integral(error, gain, integral, most=0.3, noise=0.03):
    """Factory of a PI controller: actions [B, 1], gain e + I + N(0, noise^2) for e = error(observations) [B], clipped.

    I' = I + integral e, kept within +-most, so that it does not wind up.
    """

    def make(count, rng):
        total = np.zeros(count)

        def act(observations):
            nonlocal total
            e = error(observations)
            total = np.clip(total + integral * e, -most, most)
            return np.clip(gain * e + total + noise * rng.standard_normal(count), -1, 1)[:, None]

        return act

    return make


def finite_policy(simulator, quality):
    """The policy [N, A] of a quality for a simulator with an `mdp`: random uniform, expert greedy in the exact q,
    medium the mixture of the two whose exact return over the horizon lies halfway between theirs (by bisection).
    """
    from rlkit import mdps

    mdp, horizon = simulator.mdp, simulator.horizon
    best = mdps.greedy(mdps.value_iteration(mdp)[1])
    if quality != "medium":
        return best if quality == "expert" else mdps.mixed(best, 1.0)
    half = (mdps.expected_return(mdp, best, horizon) + mdps.expected_return(mdp, mdps.mixed(best, 1.0), horizon)) / 2
    good, bad = 0.0, 1.0  # shares of uniform actions
    for _ in range(20):
        share = (good + bad) / 2
        enough = mdps.expected_return(mdp, mdps.mixed(best, share), horizon) > half
        good, bad = (share, bad) if enough else (good, share)
    return mdps.mixed(best, good)


def table(policy):
    """Factory of a policy [N, A] that reads one-hot observations [B, N]: a ~ policy[state], by inverse CDF."""
    edges = policy.cumsum(axis=1)[:, :-1]  # the last one is 1

    def make(count, rng):
        return lambda observations: (rng.random((count, 1)) >= edges[observations.argmax(axis=1)]).sum(axis=1)

    return make


def references(simulator) -> dict:
    """Mean undiscounted returns of the behaviour policies: {"random", "medium", "expert", "optimal"}.

    simulator: a name of `envs.names()` or a simulator. Over EPISODES episodes from a fixed seed, the same starts and
    noise for all three; exact for finite mazes, by dynamic programming over simulator.horizon steps. optimal: the
    largest that any policy can reach within the horizon (the expert has the discounted return in mind and may earn
    less), or None where it is not known. Kept in memory, once for all simulators of one recipe.
    """
    if isinstance(simulator, str):
        simulator = _named(simulator)
    recipe = getattr(simulator, "recipe", None)
    kept, key = (_known, simulator) if recipe is None else (_recipes, repr(recipe))
    if key not in kept:
        kept[key] = _measure(simulator)
    return dict(kept[key])


@functools.cache
def _named(name):
    """One simulator for each name, so that its references are measured once."""
    from rlkit import envs

    return envs.simulator(name)


def _measure(simulator):
    if hasattr(simulator, "mdp"):
        from rlkit import mdps

        mdp = simulator.mdp
        found = {q: mdps.expected_return(mdp, finite_policy(simulator, q), simulator.horizon) for q in QUALITIES}
        values = np.zeros(len(mdp.start))
        for _ in range(simulator.horizon):
            values = (mdp.rewards + mdp.transitions @ values).max(axis=1)  # with one step more to go
        return found | {"optimal": float(mdp.start @ values)}
    found = {}
    for quality in QUALITIES:
        played = rollout(simulator, behaviour(simulator, quality), np.random.default_rng(SEED), EPISODES)
        found[quality] = float(returns(played).mean())
    return found | {"optimal": getattr(simulator, "optimal_return", None)}
