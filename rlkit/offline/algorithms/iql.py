"""Implicit Q-learning: the maximum over actions of the data alone, by expectile regression (Kostrikov et al. 2021,
2110.06169).

Departures from the reference implementation:
1. Networks 64 x 64 and batch 64 instead of 256 x 256 and 256, Adam at 1e-3 instead of 3e-4 without a cosine schedule.
2. The policy's deviation is fixed; the reference learns one that does not depend on the state, which scales all
   gradients alike, and Adam hardly notices a scale.
3. Observations are normalised (the reference does not), rewards are not (the reference divides by the span of returns).
"""

import torch

from rlkit.offline.heads import chosen, greedy, imitation
from rlkit.offline.rows import Agent, Rows


def expectile_loss(difference: torch.Tensor, tau) -> torch.Tensor:
    """mean_b |tau - 1(u < 0)| u^2 with u = Q(s, a) - V(s), [S, B] -> [S]: equation 5 of the paper.

    tau 0.5 makes V the mean over the data's actions, tau towards 1 their maximum.
    """
    side = (difference < 0).float()
    return ((tau - side).abs() * difference.square()).mean(-1)


def weights(advantage: torch.Tensor, beta, clip: float = 100.0) -> torch.Tensor:
    """min(exp(beta (Q - V)), clip), the weights of advantage-weighted regression: equation 7. [S, B] -> [S, B]."""
    return (beta * advantage).exp().clamp(max=clip)


def iql(
    dataset,
    seeds,
    *,
    steps: int = 20_000,
    tau=0.7,
    beta=3.0,
    discount: float = 0.99,
    polyak: float = 0.005,
    learning_rate: float = 1e-3,
    hidden=(64, 64),
    agent: Agent | None = None,
    **shared,
):
    """A learner: yields a Step each `evaluate_every` steps with return, score, value_loss, critic_loss, q, weight [S].

    dataset: rlkit.offline.Dataset, continuous or discrete, or one for each seed. tau: the expectile; beta: how much the
    policy prefers good actions; numbers, or one for each seed. shared: batch_size, normalise, evaluate_every, episodes,
    simulator of `Rows`. agent: an Agent to look at while it trains.
    """
    rows = Rows(dataset, seeds, **shared)
    tau, beta = (rows.column(name, value) for name, value in (("tau", tau), ("beta", beta)))
    size, width = rows.observation_size, rows.action_size
    inputs, outputs = (size, width) if rows.discrete else (size + width, 1)
    actor = rows.network((size, *hidden, width), learning_rate=learning_rate)
    critic = rows.network((inputs, *hidden, outputs), members=2, learning_rate=learning_rate, salt=1)
    value = rows.network((size, *hidden, 1), learning_rate=learning_rate, salt=2)
    old_critic = critic.frozen()

    def q_taken(batch, network):  # [S, 2, B]
        return chosen(network(batch.observations), batch.actions) if rows.discrete else network(batch.pairs)[..., 0]

    def q_of(x, actions):
        return chosen(critic(x), actions) if rows.discrete else critic(torch.cat((x, actions), -1))[..., 0]

    agent = (agent or Agent()).become(
        rows,
        act=lambda x: greedy(actor(x, member=0), rows.discrete),
        q=lambda x, a: q_of(x, a).amin(1),
        value=lambda x: value(x, member=0)[..., 0],
    )
    for step, batch in rows.batches(steps):
        with torch.no_grad():
            future = value(batch.next_observations, member=0)[..., 0]
            target = batch.rewards + discount * batch.continues * future  # [S, B]
            old = q_taken(batch, old_critic).amin(1)
        advantage = old - value(batch.observations, member=0)[..., 0]
        value_loss = expectile_loss(advantage, tau)
        value.descend(value_loss)
        weight = weights(advantage.detach(), beta)
        actor.descend((weight * imitation(actor(batch.observations, member=0), batch.actions)).mean(-1))
        q = q_taken(batch, critic)
        critic_loss = (q - target[:, None]).square().mean(-1).sum(-1)
        critic.descend(critic_loss)
        old_critic.track(critic, polyak)
        if rows.due(step, steps):
            numbers = {"value_loss": value_loss, "critic_loss": critic_loss, "q": q.mean((-1, -2))}
            yield rows.report(step, agent, **numbers, weight=weight.mean(-1))
