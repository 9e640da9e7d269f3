"""Advantage-weighted actor-critic: the policy imitates the data's actions, the better the more (Nair et al. 2020,
2006.09359).

Departures from the reference implementation:
1. Networks 64 x 64 and batch 64, Adam at 1e-3, normalised observations; the reference has wider and deeper networks.
2. The policy's deviation depends on the state; its mean is tanh of the network's output, so that it is an action.
3. Weights are exp(A / lambda) up to 100, without the normaliser over states that the paper derives and then drops.
4. The policy's weights take the critics from before their step; they are the ones that the batch has gone through.
"""

import math

import numpy as np
import torch

from rlkit import checks
from rlkit.offline.algorithms.iql import weights
from rlkit.offline.algorithms.td3_bc import critic_loss
from rlkit.offline.heads import LOG_DEVIATION
from rlkit.offline.rows import Agent, Rows


def mean_and_log_deviation(outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The policy N(mean, deviation^2) from an actor's outputs [..., 2 A]: tanh of the first A, the last A clamped."""
    mean, log_deviation = outputs.chunk(2, -1)
    return torch.tanh(mean), log_deviation.clamp(*LOG_DEVIATION)


def sample(outputs: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Actions clip(mean + deviation noise, -1, 1): outputs [..., 2 A], noise [..., A] standard normal -> [..., A]."""
    mean, log_deviation = mean_and_log_deviation(outputs)
    return torch.addcmul(mean, log_deviation.exp(), noise).clamp(-1, 1)


def actor_loss(outputs: torch.Tensor, actions: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """-mean_b weight log N(a; mean, deviation^2): outputs [S, B, 2 A], the data's actions [S, B, A], weight [S, B]
    without gradient -> [S]. As the reference, the density is that of the Gaussian before actions are clipped.
    """
    mean, log_deviation = mean_and_log_deviation(outputs)
    standard = (actions - mean) * (-log_deviation).exp()
    log_chance = -(0.5 * standard.square() + log_deviation).sum(-1) - 0.5 * math.log(2 * math.pi) * actions.shape[-1]
    return -(weight * log_chance).mean(-1)


def awac(
    dataset,
    seeds,
    *,
    steps: int = 20_000,
    temperature=1.0,
    discount: float = 0.99,
    polyak: float = 0.005,
    learning_rate: float = 1e-3,
    hidden=(64, 64),
    agent: Agent | None = None,
    **shared,
):
    """A learner: yields a Step each `evaluate_every` steps with return, score, actor_loss, critic_loss, q, weight [S].

    dataset: rlkit.offline.Dataset with continuous actions, or one for each seed. temperature: lambda of the paper, in
    units of return: towards 0 only actions better than the policy's are imitated, towards infinity all alike; a number,
    or one for each seed. shared: batch_size, normalise, evaluate_every, episodes, simulator of `Rows`. agent: an Agent
    to look at while it trains; it acts by the mean. Raises ValueError for a temperature that is not above 0.
    """
    if np.any(checks.finite("temperature", temperature) <= 0):
        checks.fail("temperature", temperature, "above 0")
    rows = Rows(dataset, seeds, discrete=False, **shared)
    return _learn(rows, rows.column("temperature", temperature), steps, discount, polyak, learning_rate, hidden, agent)


def _learn(rows, temperature, steps, discount, polyak, learning_rate, hidden, agent):
    size, width = rows.observation_size, rows.action_size
    actor = rows.network((size, *hidden, 2 * width), learning_rate=learning_rate)
    critic = rows.network((size + width, *hidden, 1), members=2, learning_rate=learning_rate, salt=1)
    old_critic, noise = critic.frozen(), rows.noise(2, rows.batch_size, width)

    def q_of(x, actions, network=critic):  # [S, 2, B]
        return network(torch.cat((x, actions), -1))[..., 0]

    agent = (agent or Agent()).become(
        rows, act=lambda x: mean_and_log_deviation(actor(x, member=0))[0], q=lambda x, a: q_of(x, a).amin(1)
    )
    for step, batch in rows.batches(steps):
        now, after = next(noise).unbind(1)  # [S, B, A] each
        q, outputs = critic(batch.pairs)[..., 0], actor(batch.observations, member=0)
        with torch.no_grad():
            actions = sample(actor(batch.next_observations, member=0), after)
            future = q_of(batch.next_observations, actions, old_critic).amin(1)
            target = batch.rewards + discount * batch.continues * future  # [S, B]
            value = q_of(batch.observations, sample(outputs, now)).amin(1)
            weight = weights(q.amin(1) - value, 1 / temperature)
        loss = critic_loss(q, target)
        critic.descend(loss)
        policy_loss = actor_loss(outputs, batch.actions, weight)
        actor.descend(policy_loss)
        old_critic.track(critic, polyak)
        if rows.due(step, steps):
            numbers = {"actor_loss": policy_loss, "critic_loss": loss, "q": q.mean((-1, -2))}
            yield rows.report(step, agent, **numbers, weight=weight.mean(-1))
