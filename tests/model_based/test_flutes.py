"""Flutes and their models: chances apart is one mistake and no other, and what a taught model expects."""

import numpy as np
import pytest
import torch

from rlkit import envs
from rlkit.envs.pan_flute import tune
from rlkit.model_based import Factored, flutes


def test_chances_apart_lights_each_last_cell_on_its_own_and_changes_nothing_else():
    world = envs.simulator("pan-flute", pipes=4)
    model, count = flutes.ChancesApart(world), 40_000
    states = torch.tensor(world.start(np.random.default_rng(0), count), dtype=torch.float32)[None]
    actions = torch.full((1, count), 3)
    after, rewards, continues = model.step(states, actions, [np.random.default_rng(1)])
    quiet = envs.simulator("pan-flute", pipes=4, spontaneous=False)
    true, paid, _ = quiet.step(states[0].numpy().astype(float), actions[0].numpy(), np.zeros((count, 0)))
    others = np.setdiff1d(np.arange(10), world.last)
    assert np.array_equal(after[0][:, others], true[:, others]) and np.array_equal(rewards[0], paid)
    lit = after[0][:, world.last].numpy()[:, 0] > true[:, 0], after[0][:, world.last].numpy()[:, 1] > true[:, 2]
    assert lit[0].mean() == pytest.approx(1 / 16, abs=0.005)  # pipe 1 is never blown here
    free = true[:, 2] == 0
    assert lit[1][free].mean() == pytest.approx(1 / 16, abs=0.007)
    assert (lit[0] & lit[1])[free].mean() == pytest.approx(1 / 256, abs=0.003) and (continues == 1).all()
    assert (after[0][:, world.last] >= torch.tensor(true[:, world.last])).all()


def test_played_is_the_tune():
    cells = flutes.played(4, (3, 2, 1, 0))
    last = envs.simulator("pan-flute", pipes=4).last
    assert cells.shape == (5, 10) and cells[-1, last].all() and not cells[:-1, last].any()
    assert tune(cells, 4).tolist() == [3, 2, 1, 0, 3]


def test_what_a_taught_model_expects():
    """3 pipes: chords by the rule, 1/9 by chance on each cell, and the chance of the whole next state."""
    world = envs.simulator("pan-flute", pipes=3)
    model = flutes.taught(Factored([0], 6, 3, world.parents, batch_size=256), world, 2_000, steps=800)
    chord, reward = flutes.chords(model, world)
    assert chord == pytest.approx([9**-3, 9**-2, 1 / 9, 1], abs=0.05) and (np.diff(chord) > 0).all()
    assert reward[-1] == pytest.approx(1, abs=0.1) and abs(reward[:3]).max() < 0.15
    states = flutes.played(3, (2, 1, 0))[:-1]
    chances, _ = flutes.expects(model, states, [2, 1, 0])
    assert ((chances > 0.5) == flutes.played(3, (2, 1, 0))[1:]).all()
    assert flutes.by_itself(model, world, "random") == pytest.approx(1 / 9, abs=0.05)
    assert flutes.surety(model, world, "expert") > 0.97 and flutes.surety(model, world, "random") > 0.97


class Half:
    """A model without a view: each cell by a half."""

    def predict(self, seen, actions):
        return torch.full(seen.shape, 0.5), torch.zeros(seen.shape[:2])


def test_surety_counts_what_chance_cannot_change():
    """3 pipes: three cells are never last; each last cell counts where it sounds."""
    world, quiet = envs.simulator("pan-flute", pipes=3), envs.simulator("pan-flute", pipes=3, spontaneous=False)
    seen = envs.rollout(quiet, envs.behaviour(quiet, "expert"), np.random.default_rng(7), 20).observations
    sounding = seen[:, 1:][..., world.last].sum(axis=-1)
    assert flutes.surety(Half(), world, "expert") == pytest.approx((0.5 ** (3 + sounding)).mean())
    assert flutes.by_itself(Half(), world, "expert") == pytest.approx(0.5)


def test_taught_is_the_seeds_own():
    world = envs.simulator("pan-flute", pipes=3)
    many, alone = (flutes.taught(Factored(seeds, 6, 3, world.parents), world, 60, 40) for seeds in ([1, 2], [1]))
    seen, actions = torch.zeros(1, 3, 6), torch.tensor([[0, 1, 2]])
    both = many.predict(seen.expand(2, -1, -1), actions.expand(2, -1))[0]
    torch.testing.assert_close(both[0], alone.predict(seen, actions)[0][0], rtol=0, atol=1e-5)
