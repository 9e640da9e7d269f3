"""Factored models: the likelihood and its slope by hand, an exact table learnt, and deaf ears to all but parents."""

import math

import numpy as np
import pytest
import torch

from rlkit import envs
from rlkit.model_based import Factored, Replay, imagine
from rlkit.model_based.factored import bits_loss
from rlkit.offline.rows import generator


def lived(world, seeds, count):
    """Random play in a world, all seeds in one Replay."""
    replay = Replay(seeds, world.observation_size, 1, count, discrete=True)
    for row, seed in enumerate(seeds):
        rng = np.random.default_rng([seed, 23])
        states, rows = world.start(rng, 1), []
        for _ in range(count):
            action = rng.integers(world.actions, size=1)
            after, paid, ended = world.step(states, action, rng.standard_normal((1, world.noise_size)))
            rows.append(np.concatenate([states[0], action, paid, after[0], 1.0 - ended]))
            states = world.start(rng, 1) if ended[0] else after
        replay._put(row, torch.tensor(np.array(rows), dtype=torch.float32))
    return replay


def made(world, seeds, mask=None, **options):
    mask = world.parents if mask is None else mask
    return Factored(seeds, world.observation_size, world.actions, mask, **options)


def test_the_likelihood_and_its_gradient_by_hand():
    z = torch.tensor([[[0.0, 2.0, 0.5], [-1.0, 0.0, 1.0]]], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]], dtype=torch.float64)
    first = math.log(2) + math.log1p(math.exp(2)) + 0.5 * 0.25
    second = math.log1p(math.exp(-1)) + math.log(2)
    loss = bits_loss(z, y)
    assert loss.tolist() == pytest.approx([(first + second) / 2])
    loss.sum().backward()
    chances = 1 / (1 + np.exp(-z.detach().numpy()[..., :2]))
    expected = np.concatenate([chances - y[..., :2].numpy(), (z - y)[..., 2:].detach().numpy()], -1) / 2
    np.testing.assert_allclose(z.grad, expected)


def test_outputs_are_each_factors_own_small_network():
    world = envs.simulator("pan-flute", pipes=3)
    model, x = made(world, [0, 1], hidden=5), torch.rand(2, 4, 9, generator=torch.Generator().manual_seed(0))
    weight, bias, last, shift = (p.detach() for p in model.network.parameters)
    for s in range(2):
        for f in range(7):
            mine = slice(5 * f, 5 * f + 5)
            heard = x[s] * torch.tensor(world.parents[f])
            hidden = (heard @ weight[s, :, mine] + bias[s, :, mine]).relu()
            torch.testing.assert_close(model.outputs(x)[s, :, f], hidden @ last[s, f] + shift[s, f])


def test_a_factor_is_deaf_to_all_but_its_parents():
    world = envs.simulator("button-grid", size=3)
    model = made(world, [0])
    x = torch.rand(1, 6, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for factor in range(28):
        slope = torch.autograd.grad(model.outputs(x)[0, :, factor].sum(), x)[0][0]
        heard = torch.tensor(world.parents[factor])
        assert (slope[:, ~heard] == 0).all() and (slope[:, heard] != 0).any(0).sum() > heard.sum() / 2


def test_it_learns_an_exact_table():
    """3 pipes without chance: after 300 random steps the next cells are right in all 64 states, 51 of them not met."""
    world = envs.simulator("pan-flute", pipes=3, spontaneous=False)
    replay, model = lived(world, [0, 1], 300), made(world, [0, 1])
    steps = list(model.fit(replay, steps=1_500))
    assert [s.step for s in steps] == list(range(150, 1_501, 150)) and (steps[-1].metrics["loss"] < 0.01).all()
    states = np.array([[int(b) for b in f"{k:06b}"] for k in range(64)], float)
    for action in range(3):
        actions = np.full(64, action)
        after, paid, _ = world.step(states, actions, np.zeros((64, 0)))
        seen = torch.tensor(states, dtype=torch.float32).expand(2, -1, -1)
        chances, rewards = model.predict(seen, torch.from_numpy(actions).expand(2, -1))
        assert (np.abs(chances.numpy() - after) < 0.02).all() and (np.abs(rewards.numpy() - paid) < 0.15).all()


def test_chance_is_learnt_as_a_chance_and_drawn():
    world = envs.simulator("pan-flute", pipes=2)  # each last cell sounds by itself with probability 1/4
    replay, model = lived(world, [3], 4_000), made(world, [3], batch_size=256)
    for _ in model.fit(replay, steps=600):
        pass
    seen, actions = torch.zeros(1, 5_000, 3), torch.ones(1, 5_000, dtype=torch.long)
    chances, _ = model.predict(seen, actions)
    assert chances[0, 0].tolist() == pytest.approx([0.25, 1, 0.25], abs=0.06)
    after, _, continues = model.step(seen, actions, [np.random.default_rng(0)])
    assert set(after.unique().tolist()) == {0.0, 1.0} and (continues == 1).all()
    np.testing.assert_allclose(after.mean(1)[0], chances[0, 0], atol=0.03)
    together = (after[..., 0] * after[..., 2]).mean()  # bits are drawn apart: the true world lights both or none
    assert together == pytest.approx(float(chances[0, 0, 0] * chances[0, 0, 2]), abs=0.02)


def test_seed_3_of_10_is_seed_3_alone_and_bits_repeat():
    world = envs.simulator("pan-flute", pipes=3)

    def dreamt(seeds):
        model, replay = made(world, seeds), lived(world, seeds, 100)
        for _ in range(2):
            *_, step = model.fit(replay, steps=50)
        starts, generators = replay.sample(8).observations, [generator(s, "dreams") for s in seeds]
        dream = imagine(model, lambda o: torch.zeros(o.shape[:2], dtype=torch.long), starts, 5, generators)
        return step.metrics["loss"], dream

    (loss, dream), (again, same), (alone, single) = dreamt(range(10)), dreamt(range(10)), dreamt([3])
    assert np.array_equal(loss, again) and torch.equal(dream.observations, same.observations)
    assert loss[3] == pytest.approx(alone[0], abs=1e-6)
    assert torch.equal(dream.observations[3], single.observations[0])
    torch.testing.assert_close(dream.rewards[3], single.rewards[0], rtol=0, atol=1e-5)


def test_a_known_rule_ends_dreams():
    world = envs.simulator("button-grid", size=2, buttons=1)
    model = made(world, [0], terminates=lambda seen, actions, after: ~(seen[..., 8:] > 0).any(-1))
    seen = torch.zeros(1, 2, 12)
    seen[0, 1, 9] = 1.0
    assert model.step(seen, torch.zeros(1, 2, dtype=torch.long), [np.random.default_rng(0)])[2].tolist() == [[0, 1]]


def test_bad_input_is_refused_in_one_line():
    world = envs.simulator("pan-flute", pipes=3)
    with pytest.raises(ValueError, match=r"^mask of shape \(6, 9\), bool: must be bool \[7, 9\]$"):
        made(world, [0], mask=world.parents[:-1])
    with pytest.raises(ValueError, match=r"^mask of shape \(7, 9\), float64: must be bool \[7, 9\]$"):
        made(world, [0], mask=world.parents * 1.0)
    with pytest.raises(ValueError, match=r"^observations of shape \(1, 2, 5\): must be \[1, B, 6\]"):
        made(world, [0]).predict(torch.zeros(1, 2, 5), torch.zeros(1, 2, dtype=torch.long))
    grey = Replay([0], 6, 1, 4, discrete=True)
    grey.add(np.zeros((1, 2, 6)), np.zeros((1, 2)), np.zeros((1, 2)), np.full((1, 2, 6), 0.5), np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"^next_observations: must be 0 or 1$"):
        next(made(world, [0]).fit(grey))
