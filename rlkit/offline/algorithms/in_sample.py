"""What IQL, XQL and f-DVL share: V learns from the data's own actions alone, Q from V, the policy imitates by weight.

They differ in one function, the loss of V. No action outside the data is ever asked for its value.
"""

import torch

from rlkit.offline.heads import chosen, imitation, policy_of
from rlkit.offline.rows import Agent, Rows


def in_sample(
    rows: Rows,
    value_loss,
    weigh,
    *,
    steps: int,
    discount: float,
    polyak: float,
    learning_rate: float,
    hidden,
    agent: Agent | None,
    gradient_clip=None,
):
    """A learner: yields a Step each `evaluate_every` steps with return, score, value_loss, critic_loss, q, weight [S].

    With u = min_m Q_m(s, a) - V(s) [S, B] of target critics, V descends value_loss(u) [S], the policy weigh(u) [S, B]
    times -log pi(a | s), and each critic (Q(s, a) - r - discount V(s'))^2. gradient_clip: see `Network.descend`, for V.
    """
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
        **policy_of(actor, rows.discrete),
        q=lambda x, a: q_of(x, a).amin(1),
        value=lambda x: value(x, member=0)[..., 0],
    )
    for step, batch in rows.batches(steps):
        with torch.no_grad():
            future = value(batch.next_observations, member=0)[..., 0]
            target = batch.rewards + discount * batch.continues * future  # [S, B]
            old = q_taken(batch, old_critic).amin(1)
        advantage = old - value(batch.observations, member=0)[..., 0]
        v_loss = value_loss(advantage)
        value.descend(v_loss, gradient_clip)
        weight = weigh(advantage.detach())
        actor.descend((weight * imitation(actor(batch.observations, member=0), batch.actions)).mean(-1))
        q = q_taken(batch, critic)
        critic_loss = (q - target[:, None]).square().mean(-1).sum(-1)
        critic.descend(critic_loss)
        old_critic.track(critic, polyak)
        if rows.due(step, steps):
            numbers = {"value_loss": v_loss, "critic_loss": critic_loss, "q": q.mean((-1, -2))}
            yield rows.report(step, agent, **numbers, weight=weight.mean(-1))
