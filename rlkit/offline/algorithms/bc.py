"""Behaviour cloning: imitate the actions of the dataset; with the best tenth of the episodes, top-10 % BC.

Departures:
1. The deviation of the policy is fixed, so the loss is the squared error; evaluation uses the mean in any case.
"""

import torch

from rlkit.offline import transforms
from rlkit.offline.heads import imitation, policy_of
from rlkit.offline.rows import Agent, Rows


def imitation_loss(outputs: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """mean_b -log pi(a | s), up to constants: outputs [S, B, A], actions [S, B, A] or [S, B] -> [S]."""
    return imitation(outputs, actions).mean(-1)


def bc(
    dataset,
    seeds,
    *,
    steps: int = 20_000,
    top: float | None = None,
    learning_rate: float = 1e-3,
    hidden=(64, 64),
    agent: Agent | None = None,
    **shared,
):
    """A learner: yields a Step each `evaluate_every` steps with return, score and imitation_loss, each [S].

    dataset: rlkit.offline.Dataset, continuous or discrete, or one for each seed. top: the share of episodes with the
    highest returns to imitate, such as 0.1; None for all. shared: batch_size, normalise, evaluate_every, episodes,
    simulator of `Rows`. agent: an Agent to look at while it trains.
    """
    if top is not None:
        several = isinstance(dataset, list | tuple)
        different = {id(data): transforms.weight(data, "top", top=top) for data in (dataset if several else [dataset])}
        dataset = [different[id(data)] for data in dataset] if several else different[id(dataset)]
    rows = Rows(dataset, seeds, **shared)
    actor = rows.network((rows.observation_size, *hidden, rows.action_size), learning_rate=learning_rate)
    agent = (agent or Agent()).become(rows, **policy_of(actor, rows.discrete))
    for step, batch in rows.batches(steps):
        loss = imitation_loss(actor(batch.observations, member=0), batch.actions)
        actor.descend(loss)
        if rows.due(step, steps):
            yield rows.report(step, agent, imitation_loss=loss)
