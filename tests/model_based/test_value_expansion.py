"""Looking ahead in a model: targets by recursion, the true n-step return, and gradients against finite differences."""

import numpy as np
import pytest
import torch

from rlkit import envs
from rlkit.model_based import Dynamics, Exact, Replay, SoftActorCritic, Worlds, analytic, mve
from rlkit.model_based.algorithms.analytic import path_loss
from rlkit.model_based.algorithms.value_expansion import discounted, expanded, soft_value
from rlkit.model_based.soft_actor_critic import actor_loss
from rlkit.offline.heads import squashed
from rlkit.offline.rows import generator

SHORT = {"steps": 60, "warm_up": 40, "model_steps": 30, "updates": 2, "evaluate_every": 60, "episodes": 1}
SEEDS = [0, 1]


def drawing(seeds=SEEDS):
    return [generator(seed, "dreams") for seed in seeds]


def standard(generators, *shape):
    return torch.from_numpy(np.stack([g.standard_normal(shape, dtype=np.float32) for g in generators]))


@pytest.fixture(scope="module")
def lived():
    """A replay of 60 random steps of two seeds in the linear world without noise, and the world."""
    world = envs.simulator("linear", noise=0.0)
    worlds, replay = Worlds(world, SEEDS), Replay(SEEDS, 4, 2, 60)
    for step in range(60):
        replay.add(*(column[:, None] for column in worlds.step(np.full((2, 2), np.sin(step), np.float32))))
    return world, replay


def test_discounted_by_hand():
    rewards, continues = (
        [torch.tensor([[r, r]]) for r in (1.0, 2.0, 4.0)],
        [torch.tensor([[1.0, c]]) for c in (1, 0, 1)],
    )
    made = discounted(rewards, continues, torch.tensor([[8.0, 8.0]]), 0.5)
    assert made.tolist() == [[1 + 1 + 1 + 1, 1 + 0.5 * 2]], "nothing follows the end in the second dream's step 1"
    assert discounted([], [], torch.tensor([[8.0]]), 0.5).tolist() == [[8.0]]


def test_horizon_of_0_is_the_target_and_the_actor_loss_of_sac(lived):
    _, replay = lived
    learner, batch = SoftActorCritic(SEEDS, 4, 2), replay.sample(30)
    noise = standard(drawing(), 30, 2)
    assert torch.equal(expanded(learner, None, batch, 0, drawing()), learner.target(batch, noise))
    actions, log_chance = squashed(learner.actor(batch.observations, member=0), noise)
    loss = actor_loss(learner.q(batch.observations, actions), log_chance, learner.log_temperature.exp())
    torch.testing.assert_close(path_loss(learner, None, batch.observations, 0, drawing()), loss)


def test_in_the_exact_model_of_a_deterministic_world_the_target_is_the_true_n_step_return(lived):
    """The same actions lived in the simulator, temperature exp(-30), 4 imagined steps after the real one."""
    world, replay = lived
    learner, batch, horizon = SoftActorCritic(SEEDS, 4, 2, discount=0.9), replay.sample(20), 4
    learner.log_temperature.data.fill_(-30.0)
    target = expanded(learner, Exact(world), batch, horizon, drawing())
    generators, states = drawing(), world.place(batch.next_observations.reshape(40, 4).numpy())
    true = batch.rewards.numpy().astype(float)
    for step in range(1, horizon + 2):
        seen = torch.from_numpy(world.observe(states)).view(2, 20, 4)
        actions = squashed(learner.actor(seen, member=0), standard(generators, 20, 2))[0].detach()
        if step <= horizon:
            states, rewards, _ = world.step(states, actions.reshape(40, 2).numpy(), np.zeros((40, 2)))
            for g in generators:
                g.standard_normal((20, 2))  # the noise that Exact asks for, which this world does not feel
            true = true + 0.9**step * rewards.reshape(2, 20)
        else:
            true = true + 0.9**step * learner.q(seen, actions, learner.old_critic).amin(1).detach().numpy()
    assert target.numpy() == pytest.approx(true, abs=1e-4)


def test_entropy_counts_in_each_step_and_ends_cut_the_rest():
    """A model that pays 1 and ends after its first step: the value is 1 - T log pi of the first action alone."""

    class Ends:
        observation_size = 4

        def step(self, observations, actions, generators, order=None):
            return observations, torch.ones(observations.shape[:2]), torch.zeros(observations.shape[:2])

    learner, seen = SoftActorCritic(SEEDS, 4, 2), torch.ones(2, 5, 4)
    log_chance = squashed(learner.actor(seen, member=0), standard(drawing(), 5, 2))[1]
    torch.testing.assert_close(soft_value(learner, Ends(), seen, 3, drawing()), 1 - log_chance)


class Line:
    """s' = s A + a B + 0.1 noise and -|s|^2 - |a|^2 / 2 + s c, differentiable."""

    observation_size = 4

    def __init__(self):
        rng = np.random.default_rng(0)
        self.a, self.b, self.c = (torch.from_numpy(0.5 * rng.standard_normal(n)) for n in ((4, 4), (2, 4), (4,)))

    def step(self, observations, actions, generators, order=None):
        rewards = -observations.square().sum(-1) - actions.square().sum(-1) / 2 + observations @ self.c
        noise = standard(generators, observations.shape[1], 4)
        return observations @ self.a + actions @ self.b + 0.1 * noise, rewards, torch.full_like(rewards, 0.9)


@pytest.fixture
def doubles():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("kind", ["linear", "network"])
@pytest.mark.parametrize("horizon", [1, 4])
def test_gradients_through_a_model_equal_finite_differences(doubles, kind, horizon):
    """In 64 bits: the derivative of the loss along 5 directions of the actor's weights, for each seed."""
    model = Line() if kind == "linear" else Dynamics(SEEDS, 4, 2, members=3, elites=2, hidden=(8, 8))
    learner = SoftActorCritic(SEEDS, 4, 2, hidden=(16,))
    seen = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 7, 4)))
    actor, loss = learner.actor, lambda: path_loss(learner, model, seen, horizon, drawing())
    actor.gradient.zero_()
    loss().sum().backward(inputs=actor.parameters)
    gradient, rng, before = actor.gradient.clone(), np.random.default_rng(2), actor.flat.clone()
    for _ in range(5):
        direction, ends = torch.from_numpy(rng.standard_normal(len(before))), []
        for sign in (1, -1):
            actor.flat.copy_(before + sign * 1e-6 * direction)
            ends.append(loss().detach().sum())
        assert (gradient @ direction).item() == pytest.approx((ends[0] - ends[1]).item() / 2e-6, rel=1e-5, abs=1e-6)
    actor.flat.copy_(before)
    assert gradient.abs().sum() > 0


def test_climbing_the_dream_improves_a_policy_in_a_known_model():
    """60 updates on the actor alone, in a deterministic line: the loss falls by more than a third."""
    learner, seen = SoftActorCritic(SEEDS, 1, 1), torch.linspace(-1, 1, 32).view(1, 32, 1).repeat(2, 1, 1)
    learner.log_temperature.data.fill_(-30.0)

    class Walk:
        observation_size = 1

        def step(self, observations, actions, generators, order=None):
            after = observations + 0.5 * actions
            return after, -after[..., 0].square(), torch.ones(after.shape[:2])

    generators, first = drawing(), None
    for _ in range(60):
        loss = path_loss(learner, Walk(), seen, 3, generators)
        first = loss.detach() if first is None else first
        learner.actor.descend(loss)
    assert (loss < 2 / 3 * first).all()
    assert (learner.prefer(seen)[:, 0] > 0.3).all() and (learner.prefer(seen)[:, -1] < -0.3).all()


@pytest.mark.parametrize("learner", [mve, analytic])
def test_learners_repeat_their_bits_and_a_seed_is_what_it_is_alone(learner):
    world = envs.simulator("linear")
    (many,), (again,), (alone,) = (list(learner(world, s, horizon=2, **SHORT)) for s in ([0, 1, 2], [0, 1, 2], [1]))
    assert many.step == 60
    assert set(many.metrics) == {"return", "critic_loss", "q", "temperature", "model_error"}
    for name, values in many.metrics.items():
        assert np.array_equal(np.asarray(values), np.asarray(again.metrics[name])), name
        np.testing.assert_allclose(np.asarray(values)[1], np.asarray(alone.metrics[name])[0], rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("learner", [mve, analytic])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"horizon": 0}, "horizon=0: must be a positive integer"),
        ({"updates": 0}, "updates=0: must be a positive integer"),
        ({"steps": 0}, "steps=0: must be a positive integer"),
    ],
)
def test_bad_input_is_one_line(learner, options, words):
    with pytest.raises(ValueError, match=words) as error:
        next(learner(envs.simulator("linear"), [0], **options))
    assert "\n" not in str(error.value)


def test_the_simulator_has_no_derivative():
    world = envs.simulator("linear")
    with pytest.raises(ValueError, match=r"model=.*: must be one whose step is differentiable"):
        next(analytic(world, [0], model=Exact(world)))


def test_mve_takes_the_exact_model(lived):
    (last,) = mve(envs.simulator("linear"), [0], model=Exact(envs.simulator("linear")), **SHORT)
    assert "model_error" not in last.metrics and np.isfinite(np.asarray(last.metrics["return"])).all()
