"""RvS-R: a perceptron imitates the action that was taken on the way to a known average reward (Emmons et al. 2021,
2112.10751). RvS-G, where a goal is what to reach, is `bc` on observations that hold the goal.

Departures from the reference implementation:
1. Networks 64 x 64 and batch 64 instead of 1024 x 1024 and 16,384.
2. The policy's deviation is fixed, so the loss is the squared error; the reference maximises a Gaussian likelihood.
3. Observations and the average are normalised in each dataset (the reference does not).
4. The average asked for is the best of the dataset; the reference asks for several shares of an expert's.
"""

import numpy as np
import torch

from rlkit import checks
from rlkit.offline import evaluate
from rlkit.offline.algorithms.bc import imitation_loss
from rlkit.offline.heads import greedy
from rlkit.offline.rows import Agent, Rows
from rlkit.offline.sequences import Beside, returns_to_go


def average_to_go(dataset) -> np.ndarray:
    """(r_t + ... + r_T) / (H - t) for each row, H the longest episode of the dataset: float64 [N]."""
    return returns_to_go(dataset) / (1 + dataset.step_of.max() - dataset.step_of)


def rvs(
    dataset,
    seeds,
    *,
    steps: int = 20_000,
    targets=(),
    learning_rate: float = 1e-3,
    hidden=(64, 64),
    agent: Agent | None = None,
    **shared,
):
    """A learner: yields a Step each `evaluate_every` steps with return, score and imitation_loss, each [S].

    dataset: rlkit.offline.Dataset, continuous or discrete, or one for each seed; `return` is what a policy makes that
    is asked in each step for the best return of its dataset over H. targets: other returns to ask for, e.g. (20, 60),
    reported as return@20 and return@60. shared: batch_size, normalise, evaluate_every, episodes, simulator of `Rows`.
    agent: an Agent to look at while it trains.
    """
    rows = Rows(dataset, seeds, **shared)
    targets = checks.finite("targets", targets) if len(targets) else ()
    facts = {}  # (mean, deviation, longest episode, best return) of each different dataset
    for data in rows.different:
        average = average_to_go(data)
        facts[id(data)] = average.mean(), average.std() or 1.0, 1 + data.step_of.max(), data.returns.max()
    mean, scale, longest, best = np.array([facts[id(data)] for data in rows.datasets]).T  # [S] each
    asked = Beside(rows, lambda data: (average_to_go(data) - facts[id(data)][0]) / facts[id(data)][1])
    actor = rows.network((rows.observation_size + 1, *hidden, rows.action_size), learning_rate=learning_rate)

    def outputs(x, wanted):
        return actor(torch.cat((x, wanted[..., None]), -1), member=0)

    def policy(target):  # the same average is asked for in every step
        wanted = torch.from_numpy(((target / longest - mean) / scale).astype(np.float32))[:, None]
        return lambda x: greedy(outputs(x, wanted.expand(x.shape[:2])), rows.discrete)

    def played(target):
        return torch.from_numpy(evaluate.returns(Agent().become(rows, act=policy(target)), rows).mean(1))

    agent = (agent or Agent()).become(rows, act=policy(best))
    for step, batch in rows.batches(steps):
        loss = imitation_loss(outputs(batch.observations, asked(torch.from_numpy(batch.indices))), batch.actions)
        actor.descend(loss)
        if rows.due(step, steps):
            yield rows.report(step, agent, imitation_loss=loss, **{f"return@{t:g}": played(t) for t in targets})
