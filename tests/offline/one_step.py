"""A world of one step whose best action in the data is known: s in [-1, 1], actions -0.6, 0 and 0.6 in the data.

The best of them is 0.6 sign(s); an action a pays 1 - ((a - best) / 0.6)^2, so the three pay 1, 0 and -3.
"""

import numpy as np

from rlkit.offline.dataset import Dataset

PAYS = np.array([1.0, 0.0, -3.0])


class OneStep:
    name, observation_size, action_size, actions, horizon, noise_size = "one-step", 1, 1, None, 1, 0
    labels = ("s",)

    def start(self, rng, count):
        return rng.uniform(-1, 1, (count, 1))

    def observe(self, states):
        return states.astype(np.float32)

    def step(self, states, actions, noise):
        return states, 1 - ((actions - best(states))[:, 0] / 0.6) ** 2, np.ones(len(states), bool)


class Discrete(OneStep):
    """The same with numbers: 0, 1, 2 are -0.6, 0, 0.6."""

    action_size, actions = None, 3

    def step(self, states, actions, noise):
        return super().step(states, 0.6 * (actions[:, None] - 1.0), noise)


def best(states):
    return 0.6 * np.sign(states)


def dataset(simulator, rows=3000):
    """Transitions of actions drawn alike from the three; signs of s balanced, no s near 0, where the best one jumps."""
    rng = np.random.default_rng(0)
    states = rng.uniform(0.1, 1, (rows, 1)) * rng.choice([-1, 1], (rows, 1))
    numbers = rng.integers(3, size=rows)
    chosen = numbers if simulator.actions else 0.6 * (numbers[:, None] - 1.0)
    following, rewards, terminated = simulator.step(states, chosen, None)
    facts = {"random_return": -1.0, "expert_return": 1.0} | ({"actions": 3} if simulator.actions else {})
    return Dataset(states, chosen, rewards, following, terminated, np.zeros(rows, bool), facts=facts)


def last(learner):
    """The last Step of a learner."""
    return list(learner)[-1]
