"""Deep Dyna: the exact model leads to the exact optimum, dreams alone are learnt from, and updates are counted."""

import numpy as np
import pytest
import torch

from rlkit import envs, mdps
from rlkit.model_based import Dynamics, Exact, Factored, deep_dyna, dqn
from rlkit.offline import Agent

SHORT = {"steps": 160, "warm_up": 60, "evaluate_every": 160}


def placed(world):
    """A finite maze whose one-hot observation tells its state."""
    world.place = lambda observations: observations.argmax(axis=1)[:, None]
    return world


def test_without_a_model_it_is_dqn():
    world = envs.simulator("pan-flute", pipes=3)
    (left,), (right,) = (
        list(learner) for learner in (deep_dyna(world, [0, 1], None, **SHORT), dqn(world, [0, 1], **SHORT))
    )
    assert left.metrics.keys() == right.metrics.keys()
    assert all(np.array_equal(left.metrics[name], right.metrics[name]) for name in left.metrics)


@pytest.mark.parametrize("horizon", [1, 5])
def test_with_the_exact_model_it_finds_the_optimum_of_a_maze(horizon):
    world, agent = placed(envs.simulator("maze-u", slip=0.0)), Agent()
    options = {"steps": 800, "warm_up": 200, "updates": 2, "evaluate_every": 800, "learning_rate": 3e-3}
    *_, last = deep_dyna(world, [0, 1], Exact(world), horizon=horizon, agent=agent, **options)
    assert (last.metrics["return"] == envs.references(world)["optimal"]).all()
    greedy = agent.act(np.eye(world.observation_size, dtype=np.float32))
    best = mdps.expected_return(world.mdp, mdps.greedy(mdps.value_iteration(world.mdp)[1]))
    for seed in range(2):
        assert mdps.expected_return(world.mdp, np.eye(4)[greedy[seed]]) == pytest.approx(best)


class Paid:
    """A model of nothing but a reward for action 1, which the world does not pay."""

    observation_size = 6

    def step(self, observations, actions, generators, order=None):
        return observations, (actions == 1).float(), torch.ones(actions.shape)


def test_it_learns_from_dreams_alone():
    world, agent = envs.simulator("pan-flute", pipes=3, spontaneous=False), Agent()
    options = {"steps": 500, "warm_up": 60, "evaluate_every": 500, "epsilon": 0.3}
    *_, last = deep_dyna(world, [0, 1], Paid(), agent=agent, **options)
    assert (agent.act(world.start(np.random.default_rng(0), 40).astype(np.float32)) == 1).mean() > 0.95
    assert (last.metrics["return"] < 1).all()


def test_updates_of_q_and_of_the_model_are_counted():
    world, seeds = envs.simulator("pan-flute", pipes=3), [0, 1]
    model = Factored(seeds, 6, 3, world.parents)
    options = {"steps": 100, "warm_up": 20, "evaluate_every": 100, "updates": 3, "model_every": 50, "model_steps": 40}
    (last,) = deep_dyna(world, seeds, model, **options)
    assert last.metrics["updates"].tolist() == [243, 243]  # steps 20 to 100
    assert last.metrics["model_updates"] == [120, 120]  # after the warm-up, and at 50 and 100
    assert last.metrics["model_loss"].shape == (2,)
    (bare,) = deep_dyna(world, seeds, Exact(world), **options)
    assert bare.metrics["model_updates"] == [0, 0] and "model_loss" not in bare.metrics


def test_an_ensemble_serves_as_well():
    world, seeds = envs.simulator("pan-flute", pipes=3), [0, 1]
    model = Dynamics(seeds, 6, 3, discrete=True, members=2, elites=2, low=np.zeros(6), high=np.ones(6))
    (last,) = deep_dyna(world, seeds, model, model_steps=30, **SHORT)
    assert last.metrics["model_loss"].shape == (2,) and np.isfinite(last.metrics["model_loss"]).all()


def test_seed_3_of_5_is_seed_3_alone_and_bits_repeat():
    world = envs.simulator("pan-flute", pipes=3)

    def trained(seeds):
        agent, model = Agent(), Factored(seeds, 6, 3, world.parents)
        (step,) = deep_dyna(world, seeds, model, horizon=3, model_every=50, model_steps=40, agent=agent, **SHORT)
        return step.metrics, agent.act(np.random.default_rng(0).integers(2, size=(50, 6)).astype(np.float32))

    (said, acts), (again, same), (alone, single) = trained(range(5)), trained(range(5)), trained([3])
    assert all(np.array_equal(said[name], again[name]) for name in said) and np.array_equal(acts, same)
    assert np.array_equal(acts[3], single[0])
    assert float(said["model_loss"][3]) == pytest.approx(float(alone["model_loss"][0]), rel=1e-3)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"rollouts": 0}, "rollouts=0: must be a positive integer"),
        ({"horizon": 0}, "horizon=0: must be a positive integer"),
        ({"dream_every": 0}, "dream_every=0: must be a positive integer"),
        ({"model_every": 0}, "model_every=0: must be a positive integer"),
    ],
)
def test_bad_input_is_refused_in_one_line(options, line):
    world = envs.simulator("pan-flute", pipes=3)
    with pytest.raises(ValueError, match=f"^{line}$"):
        next(deep_dyna(world, [0], Exact(world), **options))
