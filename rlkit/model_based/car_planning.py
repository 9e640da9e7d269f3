"""Planning on the mountain car with a learned model: values on a grid of states, by interpolation.

A model predicts the change of the state; goal and reward are known (-1 in each step until position >= 0.5). So

    q(s, a) = -1 + discount v(s + predicted change),   v = max_a q,   v = 0 beyond the goal

is swept over the grid's nodes, for S seeds side by side. Actions 0, 1, 2 enter the model as -1, 0, 1.
"""

import numpy as np
from scipy.sparse import csr_array

from rlkit.envs.mountain_car import FASTEST, GOAL, LEFT, RIGHT, MountainCar

NODES, DISCOUNT = 41, 0.99  # along each axis of the grid; of the plan
SWEEPS, LONG = 40, 400  # sweeps of one plan while practising, of the last one
EVERY, LENGTH, EXPLORE, WINDOW = 250, 10, 0.3, 0.2  # steps between plans, of an episode; random actions; of `practice`
CENTRE, SPAN = np.array([(LEFT + RIGHT) / 2, 0.0]), np.array([(RIGHT - LEFT) / 2, FASTEST])
CHANGES = np.array([0.04, 0.0015])  # units of the two outputs: typical changes of position and speed
GRID = np.stack(np.meshgrid(np.linspace(LEFT, RIGHT, NODES), np.linspace(-FASTEST, FASTEST, NODES), indexing="ij"), -1)
STATES = GRID.reshape(-1, 2).repeat(3, axis=0)  # [3 N, 2]: each node with each action
ACTIONS = np.tile(np.arange(3), NODES**2)


def inputs(states, actions):
    """What a model sees, in [-1, 1]: states [..., 2] and actions [...] -> [..., 3]."""
    return np.concatenate([np.clip((states - CENTRE) / SPAN, -1, 1), np.asarray(actions)[..., None] - 1.0], axis=-1)


def truth(states, actions):
    """The true change of states [..., 2], in the units of a model's outputs."""
    flat = states.reshape(-1, 2)
    after = MountainCar().step(flat, np.ravel(actions), None)[0]
    return ((after - flat) / CHANGES).reshape(states.shape)


def corners(states):
    """The four nodes around states [B, 2] and their weights, by bilinear interpolation: [B, 4] each."""
    at = np.clip((states - GRID[0, 0]) / (GRID[-1, -1] - GRID[0, 0]), 0, 1) * (NODES - 1)
    low = np.minimum(np.floor(at), NODES - 2).astype(int)
    x, y = (at - low).T
    first = low[:, 0] * NODES + low[:, 1]
    weight = np.stack([(1 - x) * (1 - y), (1 - x) * y, x * (1 - y), x * y], axis=1)
    return first[:, None] + [0, 1, NODES, NODES + 1], weight


def replan(values, changes, sweeps: int = SWEEPS):
    """Sweeps of value iteration: values [S, N] and a model's changes [S, 3 N, 2] at the nodes -> (values, q [S, N, 3]).

    values are where the sweeps start, so that a plan goes on from the last one.
    """
    seeds, nodes = values.shape
    after = np.clip(STATES + changes * CHANGES, GRID[0, 0], GRID[-1, -1]).reshape(-1, 2)
    index, weight = corners(after)
    weight = weight * (after[:, :1] < GOAL)  # nothing is paid beyond the goal
    index = index + np.repeat(np.arange(seeds) * nodes, 3 * nodes)[:, None]
    ahead = csr_array((weight.ravel(), index.ravel(), np.arange(0, weight.size + 1, 4)), (len(after), seeds * nodes))
    flat = values.ravel()
    for _ in range(sweeps):
        q = (DISCOUNT * (ahead @ flat) - 1).reshape(-1, 3)
        flat = q.max(axis=1)
    return flat.reshape(seeds, nodes), q.reshape(seeds, nodes, 3)


def greedy(q, states):
    """The best actions [S, B] of q [S, N, 3] at states [S, B, 2]."""
    index, weight = corners(states.reshape(-1, 2))
    seed = np.repeat(np.arange(len(q)), states.shape[1])
    return (weight[..., None] * q[seed[:, None], index]).sum(axis=1).argmax(axis=1).reshape(states.shape[:2])


def returns(q, states, horizon: int = 200):
    """Returns [S, B] of acting greedily in the true world from states [S, B, 2]: minus the steps to the goal."""
    world, (seeds, count, _) = MountainCar(), states.shape
    total, running = np.zeros((seeds, count)), np.ones((seeds, count), bool)
    for _ in range(horizon):
        total -= running
        after, _, ended = world.step(states.reshape(-1, 2), greedy(q, states).ravel(), None)
        states, running = after.reshape(states.shape), running & ~ended.reshape(running.shape)
        if not running.any():
            break
    return total


def best_return() -> float:
    """The mean return of the plan made in the true world, from 1,000 of its own starts."""
    values, changes = np.zeros((1, NODES**2)), truth(STATES, ACTIONS)[None]
    return float(
        returns(replan(values, changes, LONG)[1], MountainCar().start(np.random.default_rng(0), 1000)[None]).mean()
    )


def practice(model, seeds, steps: int, looks: int):
    """Dyna with a moving place of practice, one pass: S cars act, the model learns each step once, plans are renewed.

    Episodes of LENGTH steps start in a window of WINDOW positions, at any speed; its middle moves from 0.45 (the goal's
    hill) to -1.15 (the wall on the left) once, and nobody comes back. A share EXPLORE of actions is random, the others
    are greedy in the plan, which is renewed every EVERY steps. Returns a dictionary of [S, looks] numbers, after equal
    shares of the steps: "return" from 100 of the world's own starts, of a plan swept LONG times from zero; "error", the
    root mean squared error of the model's changes at the nodes before the goal, in units of CHANGES.
    """
    draws = np.stack([np.random.default_rng([seed, 44, 2]).random((steps, 4)) for seed in seeds], axis=1)  # [T, S, 4]
    starts = np.stack([MountainCar().start(np.random.default_rng([seed, 44, 3]), 100) for seed in seeds])
    size, world = len(seeds), MountainCar()
    nodes = np.broadcast_to(inputs(STATES, ACTIONS), (size, len(STATES), 3))
    before, right = STATES[:, 0] < GOAL, truth(STATES, ACTIONS)
    states, age, found = np.zeros((size, 2)), np.full(size, LENGTH), {"return": [], "error": []}
    values, q = np.zeros((size, NODES**2)), np.zeros((size, NODES**2, 3))
    for step in range(steps):
        place, speed, random, which = draws[step].T
        new = np.stack([0.45 - 1.6 * step / steps + WINDOW * (place - 0.5), (2 * speed - 1) * FASTEST], axis=1)
        over = age >= LENGTH
        states, age = (
            np.where(over[:, None], np.clip(new, [LEFT, -FASTEST], [GOAL - 0.01, FASTEST]), states),
            np.where(over, 0, age),
        )
        actions = np.where(random < EXPLORE, (3 * which).astype(int), greedy(q, states[:, None])[:, 0])
        after, _, ended = world.step(states, actions, None)
        model.update(inputs(states, actions), (after - states) / CHANGES)
        states, age = after, np.where(ended, LENGTH, age + 1)
        look = (step + 1) % (steps // looks) == 0
        if look or (step + 1) % EVERY == 0:
            changes = model.predict(nodes)
            values, q = replan(values, changes)
        if look:
            _, best = replan(np.zeros_like(values), changes, LONG)
            found["return"].append(returns(best, starts).mean(axis=1))
            found["error"].append(np.sqrt(((changes - right)[:, before] ** 2).mean(axis=(1, 2))))
    return {name: np.stack(columns, axis=1) for name, columns in found.items()}
