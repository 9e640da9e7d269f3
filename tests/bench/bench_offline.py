"""Offline learners: ten seeds beside one seed at a time, each algorithm beside TD3+BC, whole runs, simulators, memory.

Shapes of the first rows are those of D4RL's Hopper (11 observations, 3 actions), filled with noise: the arithmetic does
not depend on the numbers. The loop "at its defaults" is TD3+BC and CQL on torch modules with 256 x 256 networks and
batch 256, one seed, as the usual single-file implementations run it: another network, so never our headline.
"""

import copy
import functools
import itertools
import os
import statistics
import time

import nbformat
import numpy as np
import torch
from nbclient import NotebookClient
from torch import nn

from rlkit import envs, offline
from tests.notebooks import template

REPEATS, SEEDS = 3, 10
LIMITED = ("td3_bc", "iql", "awac", "xql", "f_dvl")


class Still:
    """A world of one step that pays nothing: what is timed is learning alone."""

    name, observation_size, action_size, actions, horizon, noise_size = "still", 11, 3, None, 1, 0
    labels = ("noise",) * 11

    def start(self, rng, count):
        return np.zeros((count, 11))

    def observe(self, states):
        return states.astype(np.float32)

    def step(self, states, actions, noise):
        return states, np.zeros(len(states)), np.zeros(len(states), dtype=bool)


def _noise(transitions=200_000, episode=200) -> offline.Dataset:
    rng = np.random.default_rng(0)
    observations = rng.standard_normal((transitions + 1, 11), dtype=np.float32)
    ends = np.arange(1, transitions + 1) % episode == 0
    return offline.Dataset(
        observations[:-1],
        rng.uniform(-1, 1, (transitions, 3)).astype(np.float32),
        rng.standard_normal(transitions, dtype=np.float32),
        observations[1:],
        np.zeros(transitions, dtype=bool),
        ends,
        facts={"random_return": 0.0, "expert_return": 1.0},
    )


def _seconds(learn, data, seeds, steps) -> float:
    began = time.process_time()
    list(learn(data, seeds, steps=steps, evaluate_every=steps, episodes=1, simulator=Still()))
    return time.process_time() - began


def _medians(*works) -> list:
    """The median CPU-seconds of several works, run in turn so that a slow minute hits all of them."""
    for work in works:
        work()
    times = [[work() for work in works] for _ in range(REPEATS)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def _module(inputs, outputs, depth=2):
    widths = [inputs, *[256] * depth, outputs]
    layers = [[nn.Linear(i, o), nn.ReLU()] for i, o in itertools.pairwise(widths)]
    return nn.Sequential(*[layer for pair in layers for layer in pair][:-1])


def _plain(data, steps, samples=0) -> float:
    """CPU-seconds of TD3+BC (samples 0) or CQL's critic, actor and targets on plain modules at 256 x 256, batch 256."""
    torch.manual_seed(0)
    actor, critics = _module(11, 6 if samples else 3), [_module(14, 1) for _ in range(2)]
    targets = copy.deepcopy(nn.ModuleList([actor, *critics]))
    adams = [torch.optim.Adam(net.parameters(), lr=3e-4) for net in (actor, *critics)]
    arrays = [torch.from_numpy(a) for a in (data.observations, data.actions, data.rewards, data.next_observations)]
    began = time.process_time()
    for step in range(steps):
        s, a, r, after = (array[torch.randint(len(data), (256,))] for array in arrays)
        with torch.no_grad():
            chosen = torch.tanh(targets[0](after)[:, :3])
            pair = torch.cat([after, (chosen + 0.2 * torch.randn(256, 3).clamp(-2.5, 2.5)).clamp(-1, 1)], 1)
            y = r[:, None] + 0.99 * torch.minimum(targets[1](pair), targets[2](pair))
        for critic, adam in zip(critics, adams[1:], strict=True):
            loss = nn.functional.mse_loss(critic(torch.cat([s, a], 1)), y)
            if samples:  # uniform, from pi(s), from pi(s'): `samples` of each for every state
                wide = s.repeat_interleave(3 * samples, 0)
                q = critic(torch.cat([wide, torch.rand(len(wide), 3) * 2 - 1], 1)).view(256, -1)
                loss = loss + 10 * (torch.logsumexp(q, 1).mean() - critic(torch.cat([s, a], 1)).mean())
            adam.zero_grad()
            loss.backward()
            adam.step()
            loss.item()
        if samples or step % 2 == 0:
            chosen = torch.tanh(actor(s)[:, :3])
            q = critics[0](torch.cat([s, chosen], 1))
            loss = -2.5 / q.abs().mean().detach() * q.mean() + nn.functional.mse_loss(chosen, a)
            adams[0].zero_grad()
            loss.backward()
            adams[0].step()
            for target, net in zip(targets, (actor, *critics), strict=True):
                for old, new in zip(target.parameters(), net.parameters(), strict=True):
                    old.data.mul_(0.995).add_(0.005 * new.data)
    return time.process_time() - began


def _batched(data) -> list:
    table = []
    # Whole chunks of random numbers (250 steps), or a run pays for draws that it does not use.
    cql = {
        f"cql with {n} action sample{'s' * (n > 1)} of each kind": functools.partial(offline.cql, samples=n)
        for n in (1, 2)
    }
    for name, learn in {"td3_bc": offline.td3_bc, **cql}.items():
        steps, plain, samples = (500, 60, 0) if name == "td3_bc" else (250, 6, 10)
        ours, alone, wide = _medians(
            lambda learn=learn, steps=steps: _seconds(learn, data, range(SEEDS), steps),
            lambda learn=learn, steps=steps: sum(_seconds(learn, data, [seed], steps) for seed in range(SEEDS)),
            lambda plain=plain, samples=samples: _plain(data, plain, samples),
        )
        wide = wide / plain * steps * SEEDS
        speed = f"{SEEDS * steps / ours:,.0f} seed-steps/s"
        work = f"{name}, 64x64, batch 64, {SEEDS} seeds x {steps} steps ({speed})"
        table.append({"work": f"{work} beside one seed at a time", "ours": ours, "theirs": alone})
        must = "printed" if "2 action" in name else ">= 3 x"  # two, cql's default, are matmul-bound and stay below 3
        table[-1] |= {"ratio": alone / ours, "must": must}
        table.append({"work": f"{name}, same, beside a plain loop at 256x256, batch 256", "ours": ours})
        table[-1] |= {"theirs": wide, "ratio": wide / ours, "must": "printed"}
    return table


def _beside_td3_bc(data) -> list:
    names = LIMITED[1:]
    works = [lambda name=name: _seconds(getattr(offline, name), data, range(SEEDS), 300) for name in LIMITED]
    base, *times = _medians(*works)
    return [
        {
            "work": f"{name}: {seconds / base:.2f} times the cost of TD3+BC a seed-step (at most 1.6)",
            "ours": seconds,
            "theirs": base,
            "ratio": base / seconds,
            "must": ">= 0.625 x",
        }
        for name, seconds in zip(names, times, strict=True)
    ]


def _whole_runs() -> list:
    data, table = offline.build("point-maze-u", "medium", transitions=20_000, seed=0), []
    for name in (*LIMITED, "cql"):
        steps = 20_000 if name in LIMITED else 2_000
        began = time.process_time()
        list(getattr(offline, name)(data, range(SEEDS), steps=steps))
        seconds = time.process_time() - began
        must = "<= 75 s" if name in LIMITED else "printed"
        row = {"work": f"{name}: {SEEDS} seeds x {steps:,} steps with evaluation", "ours": seconds}
        table.append({**row, "theirs": None, "ratio": None, "must": must})
    return table


def _simulators() -> list:
    table = []
    for name in envs.names():
        simulator, rng, copies, steps = envs.simulator(name), np.random.default_rng(0), 1_000, 100
        states = simulator.start(rng, copies)
        if simulator.actions is None:
            actions = rng.uniform(-1, 1, (copies, simulator.action_size))
        else:
            actions = rng.integers(0, simulator.actions, copies)
        began = time.process_time()
        for _ in range(steps):
            states, _, _ = simulator.step(states, actions, rng.standard_normal((copies, simulator.noise_size)))
            simulator.observe(states)
        seconds = time.process_time() - began
        work = f"simulator {name}: 100,000 steps, 1,000 copies"
        table.append({"work": work, "ours": seconds, "theirs": None, "ratio": None, "must": "<= 1 s"})
    return table


def _memory() -> list:
    """The peak memory of the chapter notebook's kernel, run as CI runs it."""
    os.environ |= {"RLKIT_SYNC": "1"}
    path = next(path for path in template.notebooks() if path.stem == "00_offline")
    book = nbformat.read(path, as_version=4)
    peak = "import resource\nresource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20"
    book.cells.append(nbformat.v4.new_code_cell(peak))
    resources = {"metadata": {"path": str(path.parent)}}
    done = NotebookClient(book, timeout=None, kernel_name="python3", resources=resources).execute()
    gigabytes = float(done.cells[-1].outputs[-1].data["text/plain"])
    row = {"work": "notebook 00_offline: peak memory of its kernel", "ours": gigabytes, "unit": "GB"}
    return [{**row, "theirs": None, "ratio": None, "must": "<= 1.5 GB"}]


def rows() -> list:
    """Ten seeds against one at a time, costs relative to TD3+BC, whole runs, simulators, and the chapter's memory."""
    torch.set_num_threads(1)
    data = _noise()
    return [*_batched(data), *_beside_td3_bc(data), *_whole_runs(), *_simulators(), *_memory()]
