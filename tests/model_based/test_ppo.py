"""PPO: advantages against sums by hand, the four cases of the clip, seeds that do not touch, a known optimum."""

import itertools

import numpy as np
import pytest
import torch

from rlkit import envs
from rlkit.model_based import copies as many
from rlkit.model_based.algorithms import ppo as module
from rlkit.model_based.algorithms.ppo import gae, log_chance, policy_loss, ppo
from rlkit.offline.rows import Agent

DISCOUNT = 0.9
SMALL = {"steps": 512, "copies": 4, "length": 64, "epochs": 2}


class Target:
    """Reward -(a - 0.4)^2 - (b + 0.5 s)^2 with a state s that is drawn anew each step: the best actions are known."""

    name, observation_size, action_size, actions, horizon, noise_size, labels = "target", 1, 2, None, 20, 1, ("s",)

    def start(self, rng, count):
        return rng.uniform(-1, 1, (count, 1))

    def observe(self, states):
        return states.astype(np.float32)

    def step(self, states, actions, noise):
        a, b = np.clip(actions, -1, 1).T
        rewards = -((a - 0.4) ** 2) - (b + 0.5 * states[:, 0]) ** 2
        return np.clip(0.5 * noise, -1, 1), rewards, np.zeros(len(states), bool)


def episodes(trace):
    """Six steps of one copy, terminal at 2, cut by the clock at 4: the advantages, and what they are made of."""
    rng = np.random.default_rng(0)
    rewards, values, following = (torch.tensor(rng.normal(size=6)) for _ in range(3))
    terminated = torch.tensor([False, False, True, False, False, False])
    ended = torch.tensor([False, False, True, False, True, False])
    following[[0, 1, 3]] = values[[1, 2, 4]]  # within an episode the next step's value
    found = gae(rewards, values, following, terminated, ended, DISCOUNT, trace)
    return found.numpy(), rewards.numpy(), values.numpy(), following.numpy()


def test_advantages_are_the_sum_of_discounted_changes():
    found, r, v, w = episodes(0.5)
    d = r + DISCOUNT * np.where(np.arange(6) == 2, 0, w) - v  # nothing follows the terminal step
    k = DISCOUNT * 0.5
    expected = [d[0] + k * d[1] + k**2 * d[2], d[1] + k * d[2], d[2], d[3] + k * d[4], d[4], d[5]]
    assert found == pytest.approx(expected, abs=1e-12)


def test_trace_0_is_one_step_and_trace_1_the_whole_return():
    found, r, v, w = episodes(0.0)
    assert found == pytest.approx(r + DISCOUNT * np.where(np.arange(6) == 2, 0, w) - v)
    found, r, v, w = episodes(1.0)
    assert found[0] == pytest.approx(r[0] + DISCOUNT * r[1] + DISCOUNT**2 * r[2] - v[0]), "it ends: no value"
    assert found[3] == pytest.approx(r[3] + DISCOUNT * r[4] + DISCOUNT**2 * w[4] - v[3]), "it is cut: a value goes on"


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope"),
    [
        (1.5, 2.0, -2.4, 0.0),  # already likelier: no further
        (0.5, 2.0, -1.0, -2.0),  # too unlikely: up it goes
        (1.5, -2.0, 3.0, 2.0),  # too likely: down it goes
        (0.5, -2.0, 1.6, 0.0),  # already less likely: no further
    ],
)
def test_the_four_cases_of_the_clip(ratio, advantage, loss, slope):
    new = torch.tensor([[np.log(ratio)]], requires_grad=True)
    found = policy_loss(new, torch.zeros(1, 1), torch.tensor([[advantage]]), 0.2)
    found.sum().backward()
    assert found.item() == pytest.approx(loss, abs=1e-6)
    assert new.grad.item() == pytest.approx(slope * ratio, abs=1e-6), "d ratio / d log ratio = ratio"


def test_log_chances_are_those_of_a_normal_distribution():
    outputs, actions = torch.tensor([[0.3, -0.2, 0.5, -0.1]]), torch.tensor([[0.1, 0.4]])
    mean, deviation = outputs[:, :2], (outputs[:, 2:] + module.START_DEVIATION).exp()
    expected = torch.distributions.Normal(mean, deviation).log_prob(actions).sum(-1)
    assert log_chance(outputs, actions).numpy() == pytest.approx(expected.numpy(), abs=1e-6)


def test_the_running_deviation_is_that_of_all_discounted_sums():
    rng, measure = np.random.default_rng(0), many.RunningDeviation(1, 2)
    rewards, ended = rng.normal(size=(12, 1, 2)), rng.random((12, 1, 2)) < 0.2
    measure(rewards[:5], ended[:5], DISCOUNT)
    found, sums, ahead = measure(rewards[5:], ended[5:], DISCOUNT), [], np.zeros((1, 2))
    for paid, over in zip(rewards, ended, strict=True):
        ahead = DISCOUNT * ahead + paid
        sums.append(ahead)
        ahead = ahead * ~over
    assert found == pytest.approx([np.std(sums)])


def test_copies_end_by_themselves_or_by_the_clock_and_begin_anew():
    world = envs.simulator("fishery")
    played = many.Copies([world], [np.random.default_rng(0)], 3).play(lambda x, noise: noise * 0 - 1, 405)
    assert not played.terminated.any() and np.flatnonzero(played.ended[:, 0, 0]).tolist() == [199, 399]
    start = played.observations[200]
    assert start == pytest.approx(np.tile([0.5, 0.5, 0.7], (1, 3, 1)), abs=0.03)
    assert np.abs(played.next_observations[199] - start).max() > 0.1, "what followed is not the new start"
    assert np.array_equal(played.next_observations[:199], played.observations[1:200])
    lost = many.Copies([world], [np.random.default_rng(0)], 3).play(lambda x, noise: noise * 0 + 1, 4)
    assert lost.terminated.all(), "who catches all has lost it in a year, each year anew"


def run(simulator, seeds, **numbers):
    agent = Agent()
    steps = list(ppo(simulator, seeds, agent=agent, **numbers))
    seen = np.random.default_rng(0).uniform(0, 1, (40, agent._rows.mean.shape[-1])).astype(np.float32)
    return steps, agent.act(seen), agent.value(seen)


def test_a_seed_among_ten_is_that_seed_alone():
    world = envs.simulator("fishery")
    _, many_acts, many_values = run(world, range(10), **SMALL)
    _, acts, values = run(world, [3], **SMALL)
    assert np.abs(many_acts[3] - acts[0]).max() < 1e-6 and np.abs(many_values[3] - values[0]).max() < 1e-5
    assert np.abs(many_acts[4] - acts[0]).max() > 1e-3


def test_worlds_may_differ_by_seed():
    calm, rough = envs.simulator("fishery", noise=0.0), envs.simulator("fishery", noise=0.3)
    _, both, _ = run([calm, rough, calm], [5, 5, 6], **SMALL)
    for row, (world, seed) in enumerate([(calm, 5), (rough, 5), (calm, 6)]):
        assert np.abs(run(world, [seed], **SMALL)[1][0] - both[row]).max() < 1e-6


def test_the_same_seeds_give_the_same_bits():
    (one, acts, values), (two, again, same) = (run(envs.simulator("fishery"), [0, 1], **SMALL) for _ in range(2))
    assert np.array_equal(acts, again) and np.array_equal(values, same)
    for a, b in itertools.product(["return", "value_loss", "clipped"], range(2)):
        assert np.array_equal(np.asarray(one[b].metrics[a]), np.asarray(two[b].metrics[a]), equal_nan=True)


def test_it_finds_a_known_optimum():
    agent, best = Agent(), -np.inf
    for step in ppo(Target(), [0, 1, 2], steps=24_000, copies=16, length=50, discount=0.5, agent=agent):
        best = step.metrics["return"]
    assert step.step == 24_000 and (best > -20 * 0.15).all(), "the noise of the actions costs the rest"
    states = np.linspace(-1, 1, 9, dtype=np.float32)[:, None]
    wanted = np.concatenate([np.full((9, 1), 0.4), -0.5 * states], 1)
    assert np.abs(agent.act(states) - wanted).max() < 0.15 and np.abs(agent.act(states) - wanted).mean() < 0.05


@pytest.mark.parametrize(
    ("world", "seeds", "numbers", "words"),
    [
        ("fishery", [0], {"steps": 100}, r"\(steps, batches\)=\(100, 4\): must be at least 2048 steps"),
        ("fishery", [0], {"batches": 3}, r"\(steps, batches\)=\(150000, 3\): must be at least 2048"),
        ("fishery", [], {}, "simulator: 0 of them for 0 seeds"),
        ("fishery", [-1], {}, "seed=-1: must be an integer of at least 0"),
        ("maze", [0], {}, r"simulator=\['maze-rooms'\]: must be worlds with continuous actions"),
    ],
)
def test_bad_input_is_refused_in_one_line(world, seeds, numbers, words):
    with pytest.raises(ValueError, match=words):
        next(ppo(envs.simulator(world), seeds, **numbers))


def test_worlds_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="alike in all sizes"):
        next(ppo([envs.simulator("fishery"), envs.simulator("fishery", harvested=1)], [0, 1]))
