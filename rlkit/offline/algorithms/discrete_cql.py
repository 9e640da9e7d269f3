"""Conservative Q-learning with discrete actions: double DQN plus the exact CQL(H) penalty (Kumar et al. 2020,
2006.04779; double DQN: van Hasselt et al. 2015, 1509.06461).

Departures from d3rlpy's implementation, and from the paper's Atari agent where named:
1. Squared error with the paper's weight 1/2; d3rlpy has a Huber loss, which is the same while |Q - y| stays below 1.
2. One critic of expected values, as d3rlpy by default; the paper's agent learns quantiles (QR-DQN).
3. The target follows by Polyak averaging at each step; d3rlpy copies the critic every 8,000 steps.
4. Networks 64 x 64 and batch 64, Adam at 1e-3 instead of 6.25e-5; observations are not scaled, one-hot states stay so.
5. Evaluation is greedy, without a share of random actions.
"""

import torch

from rlkit.offline.rows import Agent, Rows


def at(q: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """Q(s, a) of the actions named: q [S, B, A], actions [S, B] -> [S, B]."""
    return q.gather(-1, actions[..., None])[..., 0]


def penalty(q: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """mean_b [log sum_a exp Q(s, a) - Q(s, a_data)]: q [S, B, A], actions of the data [S, B] -> [S]; at least 0."""
    return (q.logsumexp(-1) - at(q, actions)).mean(-1)


def critic_loss(q: torch.Tensor, actions: torch.Tensor, target: torch.Tensor, alpha) -> torch.Tensor:
    """alpha penalty + 1/2 mean_b (Q(s, a) - y)^2, the CQL(H) objective: q [S, B, A], actions, y [S, B] -> [S].

    In a table where a is drawn with chance p(a) and pays r(a), it is least where Q(a) = r(a) + alpha (1 - pi(a) / p(a))
    with pi = softmax Q: rare actions sink, common ones rise, and the mean of Q over the data stays that of r.
    """
    return alpha * penalty(q, actions) + 0.5 * (at(q, actions) - target).square().mean(-1)


def discrete_cql(
    dataset,
    seeds,
    *,
    steps: int = 20_000,
    alpha=1.0,
    discount: float = 0.99,
    polyak: float = 0.005,
    learning_rate: float = 1e-3,
    hidden=(64, 64),
    agent: Agent | None = None,
    **shared,
):
    """A learner: yields a Step each `evaluate_every` steps with return, score, critic_loss, penalty, q, each [S].

    dataset: rlkit.offline.Dataset with discrete actions, or one for each seed. alpha: weight of the penalty, a number
    or one for each seed; 0 is double DQN. shared: batch_size, evaluate_every, episodes, simulator of `Rows`. agent: an
    Agent to look at while it trains. Raises ValueError for continuous actions: those are for `cql`.
    """
    rows = Rows(dataset, seeds, **shared)
    if not rows.discrete:
        raise ValueError("dataset: its actions are continuous: must be discrete, or use cql")
    alpha = rows.per_row("alpha", alpha)
    critic = rows.network((rows.observation_size, *hidden, rows.action_size), learning_rate=learning_rate, salt=1)
    old_critic = critic.frozen()
    agent = (agent or Agent()).become(
        rows,
        act=lambda x: critic(x, member=0).argmax(-1),
        q=lambda x, a: at(critic(x, member=0), a),
        value=lambda x: critic(x, member=0).amax(-1),
    )
    for step, batch in rows.batches(steps):
        with torch.no_grad():
            best = critic(batch.next_observations, member=0).argmax(-1)  # [S, B]
            future = at(old_critic(batch.next_observations, member=0), best)
            target = batch.rewards + discount * batch.continues * future
        q = critic(batch.observations, member=0)  # [S, B, A]
        loss = critic_loss(q, batch.actions, target, alpha)
        critic.descend(loss)
        old_critic.track(critic, polyak)
        if rows.due(step, steps):
            numbers = {"penalty": penalty(q, batch.actions), "q": at(q, batch.actions).mean(-1)}
            yield rows.report(step, agent, critic_loss=loss, **numbers)
