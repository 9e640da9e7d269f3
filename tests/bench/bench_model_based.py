"""Model-based learners: an ensemble of ten seeds beside its members one by one, dreams beside dreams that pass through
NumPy at each step, a soft actor-critic with ten critics beside critic by critic.

Shapes are those of D4RL's Hopper (11 observations, 3 actions), filled with noise: the arithmetic does not depend on the
numbers. "Theirs" are plain torch modules, one network at a time, as the usual single-file implementations have them.
"""

import copy
import itertools
import statistics
import time

import numpy as np
import torch
from torch import nn
from torch.nn.functional import softplus

from rlkit.model_based import Dynamics, Replay, SoftActorCritic, imagine
from rlkit.offline.rows import generator

REPEATS, SIZE, A = 3, 11, 3
LOW, HIGH = -10.0, 0.5


def _medians(*works) -> list:
    """The median CPU-seconds of several works, run in turn so that a slow minute hits all of them."""
    times = []
    for _ in range(REPEATS + 1):
        row = []
        for work in works:
            began = time.process_time()
            work()
            row.append(time.process_time() - began)
        times.append(row)
    return [statistics.median(column) for column in zip(*times[1:], strict=True)]


def _module(inputs, outputs):
    widths = [inputs, 64, 64, outputs]
    layers = [[nn.Linear(i, o), nn.ReLU()] for i, o in itertools.pairwise(widths)]
    return nn.Sequential(*[layer for pair in layers for layer in pair][:-1])


def _noise(seeds, count=5_000) -> Replay:
    replay, rng = Replay(seeds, SIZE, A, count), np.random.default_rng(0)
    s = len(seeds)
    normal = [rng.standard_normal((s, count, width), dtype=np.float32) for width in (SIZE, 1, SIZE)]
    replay.add(normal[0], rng.uniform(-1, 1, (s, count, A)), normal[1][..., 0], normal[2], np.ones((s, count)))
    return replay


def _bounded(log_variance):
    return LOW + softplus(HIGH - softplus(HIGH - log_variance) - LOW)


def _fit_one(table, steps) -> None:
    """One member of one seed: a module, Adam, batches of 64, the same likelihood, ten looks at held-out rows."""
    net = _module(SIZE + A, 2 * (SIZE + 1))
    adam, held = torch.optim.Adam(net.parameters(), lr=1e-3), table[:500]
    for step in range(1, steps + 1):
        rows = table[torch.randint(500, len(table), (64,))]
        mean, log_variance = net(rows[:, : SIZE + A]).chunk(2, -1)
        log_variance = _bounded(log_variance)
        loss = 0.5 * ((rows[:, SIZE + A :] - mean) ** 2 * (-log_variance).exp() + log_variance).sum(-1).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        if step % (steps // 10) == 0:
            with torch.no_grad():
                (net(held[:, : SIZE + A])[:, : SIZE + 1] - held[:, SIZE + A :]).square().mean()


def _ensemble() -> dict:
    seeds, steps, data = range(10), 250, _noise(range(10))
    batch = data.all()
    table = torch.cat((batch.pairs, batch.next_observations - batch.observations, batch.rewards[..., None]), -1)

    def ours():
        list(Dynamics(seeds, SIZE, A).fit(data, steps=steps))

    def theirs():  # 7 of the 70 networks: each costs the same
        for seed in range(7):
            _fit_one(table[seed], steps)

    together, some = _medians(ours, theirs)
    work = f"train a 7-member ensemble for 10 seeds, 64x64, batch 64, {steps} steps; theirs: member by member"
    return {"work": work, "ours": together, "theirs": 10 * some, "ratio": 10 * some / together, "must": ">= 3 x"}


def _dreams() -> dict:
    """One seed, 10,000 starts, 5 steps; theirs: all members on tensors, then NumPy picks, adds noise and goes on."""
    data, horizon, count = _noise([0]), 5, 10_000
    model = Dynamics([0], SIZE, A)
    list(model.fit(data, steps=10))
    nets, rng = [_module(SIZE + A, 2 * (SIZE + 1)) for _ in range(7)], np.random.default_rng(0)
    actor = _module(SIZE, A)
    starts = torch.randn(1, count, SIZE)

    def policy(observations):
        return torch.tanh(actor(observations))

    def ours():
        imagine(model, policy, starts, horizon, [generator(0, "dreams")])

    def theirs():
        now = starts[0].numpy()
        for _ in range(horizon):
            with torch.no_grad():
                action = torch.tanh(actor(torch.as_tensor(now))).numpy()
                x = torch.as_tensor(np.concatenate([now, action], -1))
                outputs = torch.stack([net(x) for net in nets])
                mean, log_variance = outputs.chunk(2, -1)
                mean, deviation = mean.numpy(), (0.5 * _bounded(log_variance)).exp().numpy()
            drawn = mean + rng.standard_normal(mean.shape, dtype=np.float32) * deviation
            now = now + drawn[rng.integers(0, 5, count), np.arange(count), :-1]

    fast, slow = _medians(ours, theirs)
    speed = f"{horizon * count / fast:,.0f} imagined transitions/s"
    work = f"imagine {horizon} x {count:,} transitions, 7 members, 64x64 ({speed}); theirs: through NumPy at each step"
    return {"work": work, "ours": fast, "theirs": slow, "ratio": slow / fast, "must": ">= 2 x"}


def _critic_by_critic(batch, seed, steps, critics=10) -> None:
    """One seed's soft actor-critic on plain modules, ten critics in a list, one optimiser for all of them."""
    actor, nets = _module(SIZE, 2 * A), nn.ModuleList([_module(SIZE + A, 1) for _ in range(critics)])
    old, log_temperature = copy.deepcopy(nets), torch.zeros((), requires_grad=True)
    adams = [torch.optim.Adam(p, lr=1e-3) for p in (actor.parameters(), nets.parameters(), [log_temperature])]
    s, a, r, after = (x[seed] for x in (batch.observations, batch.actions, batch.rewards, batch.next_observations))

    def act(x):
        mean, log_deviation = actor(x).chunk(2, -1)
        law = torch.distributions.Normal(mean, log_deviation.clamp(-5, 2).exp())
        u = law.rsample()
        return torch.tanh(u), (law.log_prob(u) - torch.log(1 - torch.tanh(u) ** 2 + 1e-6)).sum(-1)

    def values(many, x, actions):
        return torch.stack([net(torch.cat((x, actions), -1))[:, 0] for net in many])

    for _ in range(steps):
        pick = torch.randint(len(s), (64,))
        with torch.no_grad():
            chosen, log_chance = act(after[pick])
            y = r[pick] + 0.99 * (values(old, after[pick], chosen).amin(0) - log_temperature.exp() * log_chance)
        loss = (values(nets, s[pick], a[pick]) - y).square().mean(-1).sum()
        adams[1].zero_grad()
        loss.backward()
        adams[1].step()
        chosen, log_chance = act(s[pick])
        loss = (log_temperature.exp().detach() * log_chance - values(nets, s[pick], chosen).amin(0)).mean()
        adams[0].zero_grad()
        loss.backward()
        adams[0].step()
        loss = -(log_temperature * (log_chance.detach() - A)).mean()
        adams[2].zero_grad()
        loss.backward()
        adams[2].step()
        with torch.no_grad():
            for target, net in zip(old.parameters(), nets.parameters(), strict=True):
                target.mul_(0.98).add_(0.02 * net)


def _critics() -> dict:
    seeds, steps = range(5), 250
    data = _noise(seeds)
    batch = data.all()

    def ours():
        soft = SoftActorCritic(seeds, SIZE, A, critics=10)
        for _ in range(steps):
            soft.update(data.sample(64))

    def theirs():
        for seed in seeds:
            _critic_by_critic(batch, seed, steps)

    together, apart = _medians(ours, theirs)
    work = f"soft actor-critic, 10 critics x 5 seeds, 64x64, batch 64, {steps} updates; theirs: critic by critic"
    return {"work": work, "ours": together, "theirs": apart, "ratio": apart / together, "must": ">= 3 x"}


def rows() -> list:
    """Ensemble, dreams and critics, each beside one network at a time."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return [_ensemble(), _dreams(), _critics()]
