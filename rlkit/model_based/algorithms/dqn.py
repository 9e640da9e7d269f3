"""DQN: Q-learning with a network on what was lived, for S seeds in their own worlds (Mnih et al. 2015).

Departures from the paper:
1. Small networks on bits or numbers instead of images, and no clipping of rewards or gradients.
2. The target network follows by Polyak averaging after each update, instead of being copied now and then.
3. A constant share epsilon of random actions after the warm-up, all random before.
4. Nothing waits for the buffer: it holds all steps of a run.
"""

import numpy as np
import torch

from rlkit import checks
from rlkit.model_based.replay import Replay
from rlkit.model_based.worlds import Worlds
from rlkit.offline.evaluate import play
from rlkit.offline.networks import Network
from rlkit.offline.rows import Agent, generator
from rlkit.runs import Step


def q_loss(q: torch.Tensor, actions: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """mean_b (Q(s, a) - y)^2: q [S, B, A], actions [S, B], target y [S, B] -> [S]."""
    return (q.gather(-1, actions[..., None])[..., 0] - target).square().mean(-1)


def q_target(old_q: torch.Tensor, rewards: torch.Tensor, continues: torch.Tensor, discount: float) -> torch.Tensor:
    """y = r + discount continues max_a' Q_old(s', a'): old_q [S, B, A], the rest [S, B] -> [S, B]."""
    return rewards + discount * continues * old_q.amax(-1)


def update(network: Network, old: Network, batch, discount: float, polyak: float) -> dict:
    """One gradient step of the Q networks on a Batch, then of their targets; returns q_loss and q, each [S].

    What DQN and deep Dyna share: they differ in where the batch comes from.
    """
    with torch.no_grad():
        after = old(batch.next_observations, member=0)
        target = q_target(after, batch.rewards, batch.continues, discount)
    q = network(batch.observations, member=0)
    loss = q_loss(q, batch.actions, target)
    network.descend(loss)
    old.track(network, polyak)
    return {"q_loss": loss.detach(), "q": q.detach().amax(-1).mean(-1)}


def explorer(network: Network, generators, epsilon: float):
    """A policy for dreams and worlds: observations [S, B, O] -> actions [S, B], epsilon-greedy in the network's Q.

    generators: one np.random.Generator for each seed.
    """

    def act(observations):
        with torch.no_grad():
            q = network(observations, member=0)  # [S, B, A]
        drawn = torch.from_numpy(np.stack([g.random((2, observations.shape[1])) for g in generators]))
        return torch.where(drawn[:, 0] < epsilon, (drawn[:, 1] * q.shape[2]).long(), q.argmax(-1))

    return act


def dqn(
    simulator,
    seeds,
    *,
    steps: int = 5_000,
    updates: int = 1,
    warm_up: int = 200,
    batch_size: int = 64,
    epsilon: float = 0.1,
    discount: float = 0.95,
    hidden=(64, 64),
    learning_rate: float = 1e-3,
    polyak: float = 0.02,
    evaluate_every: int = 500,
    episodes: int = 10,
    judge=None,
    source=None,
    agent: Agent | None = None,
):
    """A learner: yields a Step each `evaluate_every` real steps: return, q_loss, q and updates, each [S].

    simulator: with discrete actions. steps: real steps of each seed, the first `warm_up` of them random and without
    updates. updates: gradient steps for each real step. judge: the simulator that greedy policies are evaluated in,
    None for the same. source: (replay, network, step) -> a function without arguments that makes the Batch of each
    update after this real step; None for `batch_size` lived transitions. Raises ValueError for continuous actions.
    """
    if not simulator.actions:
        checks.fail("simulator", simulator.name, "one with discrete actions")
    seeds = [checks.seed(seed) for seed in seeds]
    numbers = [("steps", steps), ("updates", updates), ("warm_up", warm_up), ("batch_size", batch_size)]
    for name, value in [*numbers, ("evaluate_every", evaluate_every)]:
        checks.positive_int(name, value)
    epsilon, worlds = float(checks.probability("epsilon", epsilon)), Worlds(simulator, seeds)
    replay = Replay(seeds, simulator.observation_size, 1, steps, discrete=True)
    weights = [generator(seed, "weights", 30) for seed in seeds]
    network = Network(weights, (simulator.observation_size, *hidden, simulator.actions), learning_rate=learning_rate)
    old, explorers = network.frozen(), [generator(seed, "noise") for seed in seeds]
    agent = (agent or Agent()).become_plain(
        len(seeds), simulator.observation_size, act=lambda x: network(x, member=0).argmax(-1)
    )
    judges, made, said = [judge or simulator] * len(seeds), 0, {}
    acts = {warm: explorer(network, explorers, 1.0 if warm else epsilon) for warm in (True, False)}
    for step in range(1, steps + 1):
        actions = acts[step <= warm_up](torch.from_numpy(worlds.observations)[:, None])[:, 0]
        replay.add(*(column[:, None] for column in worlds.step(actions.numpy())))
        if step >= warm_up:
            batches = (lambda: replay.sample(batch_size)) if source is None else source(replay, network, step)
            for _ in range(updates):
                said = update(network, old, batches(), discount, polyak)
            made += updates
        if step % evaluate_every == 0 or step == steps:
            returns = play(agent.act, judges, seeds, episodes, discrete=True)[0].mean(1)
            yield Step(step, {"return": returns, **said, "updates": np.full(len(seeds), made)})
