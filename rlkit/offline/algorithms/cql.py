"""Conservative Q-learning, CQL(H): a soft actor-critic whose values of unseen actions are pushed down (Kumar et al.
2020, 2006.04779).

Departures from the reference implementation, and from d3rlpy's:
1. Squared error with the paper's weight 1/2, both have 1: their weight of the penalty, 5 or 10, is twice our alpha.
2. log sum exp is the log of a mean over samples, an estimate of an integral; theirs lacks the constant -log(3 samples).
3. 2 samples of each kind instead of 10, a third of the cost. Scores with 1, 2 and 10 after 2,400 steps on medium data,
   6 seeds, standard errors 0.05 to 0.07: pendulum 0.79, 0.75, 0.74; point-maze-u-dense 0.37, 0.41, 0.36.
4. The target takes a sampled action without its entropy, as the reference, and one of those that the penalty uses;
   d3rlpy's takes the mode. No maximum over actions in the target, no Lagrangian that tunes alpha.
5. The critic steps before the actor, as d3rlpy's; no imitation phase, which the reference offers.
6. log temperature descends -log T (log pi + target entropy), as the reference; d3rlpy has T in place of log T.
7. Networks 64 x 64 and batch 64 instead of 256 x 256 x 256 and 256; Adam at 1e-3 for critics and 3e-4 for the actor
   instead of 3e-4 and 1e-4 or less.
"""

import math

import torch

from rlkit import checks
from rlkit.offline.heads import squashed
from rlkit.offline.rows import Agent, Rows


def log_sum_exp(q: torch.Tensor, log_density: torch.Tensor) -> torch.Tensor:
    """log 1/K sum_k exp(Q(s, a_k)) / density(a_k), which estimates log of the integral of exp Q(s, a) over actions.

    q [S, M, K, B] of actions drawn with log_density [S, K, B], each from a law of its own -> [S, M, B].
    """
    return (q - log_density[:, None]).logsumexp(2) - math.log(q.shape[2])


def penalty(q: torch.Tensor, log_density: torch.Tensor, taken: torch.Tensor) -> torch.Tensor:
    """sum_m mean_b [log sum exp Q_m(s, .) - Q_m(s, a)]: q [S, M, K, B], Q of the data's actions [S, M, B] -> [S]."""
    return (log_sum_exp(q, log_density) - taken).mean(-1).sum(-1)


def critic_loss(taken: torch.Tensor, target: torch.Tensor, conservative: torch.Tensor, alpha) -> torch.Tensor:
    """alpha penalty + 1/2 sum_m mean_b (Q_m(s, a) - y)^2: taken [S, M, B], y [S, B], penalty [S] -> [S]."""
    return alpha * conservative + 0.5 * (taken - target[:, None]).square().mean(-1).sum(-1)


def actor_loss(q: torch.Tensor, log_chance: torch.Tensor, temperature: torch.Tensor) -> torch.Tensor:
    """mean_b [temperature log pi(a | s) - min_m Q_m(s, a)]: q [S, M, B], log_chance [S, B], temperature [S] -> [S]."""
    return temperature * log_chance.mean(-1) - q.amin(1).mean(-1)


def temperature_slope(log_chance: torch.Tensor, entropy: float) -> torch.Tensor:
    """The gradient by log T of mean_b -log T (log pi(a | s) + entropy): log_chance [S, B] -> [S].

    T falls while the policy's entropy is above its target. Haarnoja et al. 2018 (1812.05905), with log T for T.
    """
    return -(log_chance + entropy).mean(-1)


def cql(
    dataset,
    seeds,
    *,
    steps: int = 20_000,
    alpha=1.0,
    samples: int = 2,
    discount: float = 0.99,
    polyak: float = 0.005,
    learning_rate: float = 1e-3,
    actor_rate: float = 3e-4,
    hidden=(64, 64),
    agent: Agent | None = None,
    **shared,
):
    """A learner: yields a Step each `evaluate_every` steps: return, score, critic_loss, penalty, q and temperature [S].

    dataset: rlkit.offline.Dataset with continuous actions, or one for each seed. alpha: weight of the penalty, a number
    or one for each seed. samples: how many actions of each kind stand for all in the penalty. shared: batch_size,
    normalise, evaluate_every, episodes of `Rows`. agent: an Agent to look at while it trains.
    """
    rows, n = Rows(dataset, seeds, **shared), checks.positive_int("samples", samples)
    if rows.discrete:
        raise ValueError("dataset: its actions are numbers: must be continuous, or use discrete_cql")
    alpha, size, width = rows.per_row("alpha", alpha), rows.observation_size, rows.action_size
    actor = rows.network((size, *hidden, 2 * width), learning_rate=actor_rate)
    critic = rows.network((size + width, *hidden, 1), members=2, learning_rate=learning_rate, salt=1)
    old_critic = critic.frozen()
    log_temperature = torch.zeros(len(rows), requires_grad=True)
    tuner = torch.optim.Adam([log_temperature], lr=actor_rate, fused=True)
    count = rows.batch_size
    noise = rows.noise(3 * n + 1, count, width)
    even = torch.full((len(rows), n, count), -width * math.log(2))  # log density of uniform actions

    def q_of(x, actions, network=critic):  # [S, M, B]
        return network(torch.cat((x, actions), -1))[..., 0]

    agent = (agent or Agent()).become(
        rows, act=lambda x: torch.tanh(actor(x, member=0)[..., :width]), q=lambda x, a: q_of(x, a).amin(1)
    )
    for step, batch in rows.batches(steps):
        z = next(noise)  # [S, 3 n + 1, B, A]
        with torch.no_grad():
            both = torch.cat((batch.observations, batch.next_observations), 1)
            outputs = actor(both, member=0).view(-1, 2, 1, count, 2 * width)
            drawn, density = squashed(outputs, z[:, : 2 * n].view(-1, 2, n, count, width))  # of pi(s) and pi(s')
            future = q_of(batch.next_observations, drawn[:, 1, 0], old_critic).amin(1)
            target = batch.rewards + discount * batch.continues * future  # [S, B]
            uniform = torch.erf(z[:, 2 * n : 3 * n] / math.sqrt(2))
            actions = torch.cat((batch.actions[:, None], drawn.flatten(1, 2), uniform), 1)  # [S, 1 + 3 n, B, A]
            states = batch.observations[:, None].expand(-1, 3 * n + 1, -1, -1)
            log_density = torch.cat((density.flatten(1, 2), even), 1)
        q = critic(torch.cat((states, actions), -1).flatten(1, 2)).view(-1, 2, 3 * n + 1, count)
        conservative = penalty(q[:, :, 1:], log_density, q[:, :, 0])
        loss = critic_loss(q[:, :, 0], target, conservative, alpha)
        critic.descend(loss)
        actions, log_chance = squashed(actor(batch.observations, member=0), z[:, -1])
        actor.descend(actor_loss(q_of(batch.observations, actions), log_chance, log_temperature.detach().exp()))
        log_temperature.grad = temperature_slope(log_chance.detach(), -width)
        tuner.step()
        old_critic.track(critic, polyak)
        if rows.due(step, steps):
            numbers = {"penalty": conservative, "q": q[:, :, 0].mean((-1, -2)), "temperature": log_temperature.exp()}
            yield rows.report(step, agent, critic_loss=loss, **numbers)
