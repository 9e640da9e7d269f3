"""Soft actor-critic online, without a model: the baseline with the same real steps."""

from rlkit import checks
from rlkit.model_based.online import Online
from rlkit.offline.rows import Agent


def sac(simulator, seeds, *, steps: int = 5_000, updates: int = 1, agent: Agent | None = None, **shared):
    """A learner: yields a Step each `evaluate_every` real steps: return, critic_loss, q, temperature, each [S].

    simulator: a Simulator with continuous actions. steps: real steps of each seed, the first `warm_up` of them random.
    updates: gradient steps for each real step. shared: warm_up, batch_size, evaluate_every, episodes, capacity, and
    what SoftActorCritic takes.
    """
    online, updates = Online(simulator, seeds, **shared), checks.positive_int("updates", updates)
    online.learner.agent(agent)
    for step in online.lived(steps):
        for _ in range(updates):
            numbers = online.learner.update(online.replay.sample(online.batch_size))
        if online.due(step, steps):
            yield online.report(step, **numbers)
