"""Soft actor-critic with any number of critics, S seeds side by side: what the learners of this chapter train.

Haarnoja et al. 2018 (1812.05905); more than two critics and their diversity: An et al. 2021 (2110.01548, EDAC).

Departures from the reference implementations:
1. Networks 64 x 64 and batches of 64, Adam at 1e-3, targets that follow at 0.02: runs are short.
2. The temperature descends by log T, as most implementations do.
3. One batch of noise for each update of the actor and one for the target.
"""

import numpy as np
import torch

from rlkit import checks
from rlkit.offline.heads import squashed
from rlkit.offline.networks import Network, through
from rlkit.offline.rows import Agent, generator, normals


def critic_loss(q: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """sum_m mean_b (Q_m(s, a) - y)^2: q [S, M, B], target y [S, B] -> [S]."""
    return (q - target[:, None]).square().mean(-1).sum(-1)


def actor_loss(q: torch.Tensor, log_chance: torch.Tensor, temperature: torch.Tensor) -> torch.Tensor:
    """mean_b [temperature log pi(a | s) - min_m Q_m(s, a)]: q [S, M, B], log_chance [S, B], temperature [S] -> [S]."""
    return temperature * log_chance.mean(-1) - q.amin(1).mean(-1)


def alignment(slopes: torch.Tensor) -> torch.Tensor:
    """EDAC's diversity loss: 1 / (M - 1) mean_b sum over i != j of cos(dQ_i/da, dQ_j/da): slopes [S, M, B, A] -> [S].

    M when all critics slope alike, about 0 when they slope in unrelated directions. An et al. 2021, equation 3.
    """
    unit = slopes / (slopes.norm(dim=-1, keepdim=True) + 1e-10)
    members = slopes.shape[1]
    together = unit.sum(1).square().sum(-1) - unit.square().sum((1, 3))  # [S, B]: the sum over pairs, without the i = j
    return together.mean(-1) / (members - 1)


class SoftActorCritic:
    """Actor, M critics, their targets and the temperature of S seeds; `update(batch)` is one gradient step of each.

        target = r + discount continues (min_m Q'_m(s', a') - T log pi(a' | s')),  a' ~ pi(s')

    diversity: weight of `alignment` in the critics' loss (RAVL and EDAC); 0 for none. entropy: the policy's target
    entropy, None for -A. Attributes: actor, critic, old_critic (Networks), log_temperature [S].
    """

    def __init__(
        self,
        seeds,
        observation_size: int,
        action_size: int,
        *,
        critics: int = 2,
        hidden=(64, 64),
        learning_rate: float = 1e-3,
        actor_rate: float = 1e-3,
        discount: float = 0.99,
        polyak: float = 0.02,
        diversity: float = 0.0,
        entropy: float | None = None,
    ):
        torch.set_num_threads(1)
        self.seeds, self.width = [checks.seed(seed) for seed in seeds], checks.positive_int("action_size", action_size)
        self.discount, self.polyak, self.diversity = discount, polyak, diversity
        self.entropy = -float(action_size) if entropy is None else float(entropy)
        self.actor = self._network((observation_size, *hidden, 2 * action_size), 1, actor_rate, 0)
        self.critic = self._network((observation_size + action_size, *hidden, 1), critics, learning_rate, 1)
        self.old_critic = self.critic.frozen()
        self.log_temperature = torch.zeros(len(self.seeds), requires_grad=True)
        self._tuner = torch.optim.Adam([self.log_temperature], lr=actor_rate, fused=True)
        self._noise = {}

    def _network(self, sizes, members, learning_rate, salt) -> Network:
        generators = [generator(seed, "weights", salt) for seed in self.seeds]
        return Network(generators, sizes, members=members, learning_rate=learning_rate)

    def noise(self, *shape: int) -> torch.Tensor:
        """The next standard normal numbers [S, *shape] of each seed's stream, which starts again for another shape."""
        if shape not in self._noise:
            self._noise[shape] = normals(self.seeds, *shape)
        return next(self._noise[shape])

    def q(self, observations, actions, network=None) -> torch.Tensor:
        """All critics' values [S, M, B]."""
        return (network or self.critic)(torch.cat((observations, actions), -1))[..., 0]

    def prefer(self, observations: torch.Tensor) -> torch.Tensor:
        """The actions without noise, tanh of the mean: [S, B, A]."""
        return torch.tanh(self.actor(observations, member=0)[..., : self.width])

    def explorer(self, generators):
        """A policy that draws its actions: observations [S, B, O] -> [S, B, A], with one generator for each seed."""

        def act(observations):
            shape = (observations.shape[1], self.width)
            noise = torch.from_numpy(np.stack([g.standard_normal(shape, dtype=np.float32) for g in generators]))
            with torch.no_grad():
                return squashed(self.actor(observations, member=0), noise)[0]

        return act

    def agent(self, agent: Agent | None = None) -> Agent:
        """An Agent that acts without noise and tells min_m Q."""
        return (agent or Agent()).become_plain(
            len(self.seeds), self.actor.sizes[0], act=self.prefer, q=lambda x, a: self.q(x, a).amin(1)
        )

    def target(self, batch, noise: torch.Tensor) -> torch.Tensor:
        """r + discount continues (min_m Q'_m(s', a') - T log pi(a' | s')): [S, B]."""
        with torch.no_grad():
            actions, log_chance = squashed(self.actor(batch.next_observations, member=0), noise)
            future = self.q(batch.next_observations, actions, self.old_critic).amin(1)
            future = future - self.log_temperature.exp()[:, None] * log_chance
            return batch.rewards + self.discount * batch.continues * future

    def update(self, batch, *, target=None, regulariser=None, policy_loss=None) -> dict:
        """One step of critics, actor, temperature and targets on a Batch; returns critic_loss, q and temperature [S].

        target: what the critics learn, [S, B], in place of the usual one. regulariser: (self, batch) -> [S], added to
        the critics' loss. policy_loss: (self, batch) -> [S], what the actor descends in place of actor_loss.
        """
        noise = self.noise(2, batch.rewards.shape[1], self.width)
        target = self.target(batch, noise[:, 0]) if target is None else target
        if self.diversity:
            actions = batch.actions.repeat_interleave(self.critic.members, 0).requires_grad_()  # one copy a critic
            q = self._apart(batch.observations, actions)
            slopes = torch.autograd.grad(q.sum(), actions, create_graph=True)[0].view(*q.shape, self.width)
            loss = critic_loss(q, target)
            whole = loss + self.diversity * alignment(slopes)
        else:
            q = self.q(batch.observations, batch.actions)
            whole = loss = critic_loss(q, target)
        self.critic.descend(whole if regulariser is None else whole + regulariser(self, batch))
        actions, log_chance = squashed(self.actor(batch.observations, member=0), noise[:, 1])
        if policy_loss is None:
            temperature = self.log_temperature.detach().exp()
            self.actor.descend(actor_loss(self.q(batch.observations, actions), log_chance, temperature))
        else:
            self.actor.descend(policy_loss(self, batch))
        self.log_temperature.grad = -(log_chance.detach() + self.entropy).mean(-1)
        self._tuner.step()
        self.old_critic.track(self.critic, self.polyak)
        numbers = {"critic_loss": loss, "q": q.mean((1, 2)), "temperature": self.log_temperature.exp()}
        return {name: value.detach() for name, value in numbers.items()}

    def _apart(self, observations, actions) -> torch.Tensor:
        """Q_m(s, a_m) with an action for each critic: actions [S*M, B, A] -> [S, M, B]."""
        seen = observations.repeat_interleave(self.critic.members, 0)
        q = through(self.critic.weights, self.critic.biases, torch.cat((seen, actions), -1))
        return q.view(len(self.seeds), self.critic.members, -1)
