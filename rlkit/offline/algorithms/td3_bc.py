"""TD3+BC: a deterministic actor-critic that is paid for staying close to the data (Fujimoto and Gu 2021, 2106.06860).

Departures from the reference implementation:
1. Networks 64 x 64 and batch 64 instead of 256 x 256 and 256, Adam at 1e-3 instead of 3e-4: small tasks, short runs.
2. Many seeds side by side; mean |Q| of the actor's loss is taken for each seed alone.
3. The clock that cuts an episode does not end the return (the reference knows of no truncation either).
"""

import torch

from rlkit.offline.rows import Agent, Rows


def critic_loss(q: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """sum_m mean_b (Q_m(s, a) - y)^2: q [S, M, B], target y [S, B] -> [S]. Equation 5 of Fujimoto et al. 2018."""
    return (q - target[:, None]).square().mean(-1).sum(-1)


def actor_loss(q: torch.Tensor, actions: torch.Tensor, data: torch.Tensor, alpha) -> torch.Tensor:
    """-lambda mean Q(s, pi(s)) + mean (pi(s) - a)^2, lambda = alpha / mean |Q|: equations 3 to 5 of the paper.

    q [S, B] of the policy's actions [S, B, A], data: the dataset's actions; alpha a number or [S]. Returns [S].
    """
    scale = alpha / q.detach().abs().mean(-1)
    return -scale * q.mean(-1) + (actions - data).square().mean((-1, -2))


def td3_bc(
    dataset,
    seeds,
    *,
    steps: int = 20_000,
    alpha=2.5,
    discount: float = 0.99,
    polyak: float = 0.005,
    policy_noise: float = 0.2,
    noise_clip: float = 0.5,
    policy_delay: int = 2,
    learning_rate: float = 1e-3,
    hidden=(64, 64),
    agent: Agent | None = None,
    **shared,
):
    """A learner: yields a Step each `evaluate_every` steps: return, score, critic_loss, q, imitation_error, each [S].

    dataset: rlkit.offline.Dataset with continuous actions, or one for each seed. alpha: weight of the value against
    imitation, a number or one for each seed; 0 is behaviour cloning. shared: batch_size, normalise, evaluate_every,
    episodes, simulator of `Rows`. agent: an Agent to look at while it trains.
    """
    rows = Rows(dataset, seeds, discrete=False, **shared)
    alpha, size, width = rows.per_row("alpha", alpha), rows.observation_size, rows.action_size
    actor = rows.network((size, *hidden, width), learning_rate=learning_rate)
    critic = rows.network((size + width, *hidden, 1), members=2, learning_rate=learning_rate, salt=1)
    old_actor, old_critic = actor.frozen(), critic.frozen()
    noise = rows.noise(rows.batch_size, width)

    def policy(x, network=actor):
        return torch.tanh(network(x, member=0))

    def q_of(x, actions, network=critic, member=None):
        return network(torch.cat((x, actions), -1), member)[..., 0]

    agent = (agent or Agent()).become(rows, act=policy, q=lambda x, a: q_of(x, a).amin(1))
    for step, batch in rows.batches(steps):
        with torch.no_grad():
            wobble = (next(noise) * policy_noise).clamp(-noise_clip, noise_clip)
            actions = (policy(batch.next_observations, old_actor) + wobble).clamp(-1, 1)
            future = q_of(batch.next_observations, actions, old_critic).amin(1)  # [S, B]
            target = batch.rewards + discount * batch.continues * future
        q = critic(batch.pairs)[..., 0]  # [S, 2, B]
        loss = critic_loss(q, target)
        critic.descend(loss)
        if step % policy_delay == 0:
            actions = policy(batch.observations)
            value = q_of(batch.observations, actions, member=0)
            actor.descend(actor_loss(value, actions, batch.actions, alpha))
            old_actor.track(actor, polyak)
            old_critic.track(critic, polyak)
        if rows.due(step, steps):
            error = (policy(batch.observations) - batch.actions).square().mean((-1, -2))
            yield rows.report(step, agent, critic_loss=loss, q=q.mean((-1, -2)), imitation_error=error)
