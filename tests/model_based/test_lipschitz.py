"""Slopes, the robust penalty and spectral norms against finite differences, by hand, and torch.linalg."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rlkit import envs
from rlkit.model_based import Exact, SoftActorCritic, mbpo
from rlkit.model_based.lipschitz import MeanDynamics, SpectralBound, Watch, errors, followed, robust, slopes, spectral
from rlkit.model_based.replay import Replay
from rlkit.offline.networks import Network
from rlkit.offline.rows import generator

SHORT = {"steps": 45, "warm_up": 40, "model_steps": 20, "rollouts": 20, "updates": 3, "evaluate_every": 45}


def batch_of(seeds, rows, seed=0):
    rng = np.random.default_rng(seed)
    sizes = {"observations": (3,), "actions": (1,), "rewards": (), "next_observations": (3,), "continues": ()}
    return SimpleNamespace(
        **{n: torch.from_numpy(rng.normal(size=(seeds, rows, *e)).astype(np.float32)) for n, e in sizes.items()}
    )


def linear_critics(learner, along):
    """Make every critic Q(s, a) = along . s + 1000: far from the kinks of ReLU."""
    with torch.no_grad():
        for w, b in zip(learner.critic.weights, learner.critic.biases, strict=True):
            w.zero_(), b.zero_()
        first, second, last = learner.critic.weights
        first[:, :3, 0] = torch.tensor(along)
        learner.critic.biases[0][:, 0, 0] = 1_000.0
        second[:, 0, 0] = last[:, 0, 0] = 1.0


def test_slopes_are_those_of_finite_differences():
    learner = SoftActorCritic([1, 2], 3, 1, hidden=(16, 16))
    states = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 40, 3)).astype(np.float32))

    def value(x):
        with torch.no_grad():
            return learner.q(x, learner.prefer(x)).amin(1)

    step = 1e-3 * torch.eye(3)
    partial = torch.stack([(value(states + step[k]) - value(states - step[k])) / 2e-3 for k in range(3)])
    found = slopes(learner, states)
    close = (found - partial.norm(dim=0)).abs() < 2e-3  # a kink of ReLU or of the minimum may lie between the two
    assert found.shape == (2, 40) and close.float().mean() > 0.95
    assert not states.requires_grad


def test_slopes_and_penalty_of_linear_critics_are_known():
    learner = SoftActorCritic([1, 2], 3, 1, hidden=(8, 8))
    linear_critics(learner, [3.0, -4.0, 0.0])
    batch = batch_of(2, 10)
    np.testing.assert_allclose(slopes(learner, batch.observations), 5.0, rtol=1e-5)
    # |Q(s + 0.1 sign(slope)) - Q(s)| = 0.1 (3 + 4), for each of two critics
    np.testing.assert_allclose(robust(0.5, 0.1)(learner, batch).detach(), 0.5 * 2 * 0.7, rtol=1e-3)
    np.testing.assert_allclose(robust([0.0, 2.0], 0.1)(learner, batch).detach(), [0, 2.8], rtol=1e-3)


def test_the_attack_is_worse_than_random_ones_and_its_penalty_flattens_the_critics():
    learner, batch = SoftActorCritic([3], 3, 1), batch_of(1, 64)
    before = robust(1.0, 0.01)(learner, batch).item()
    q, rng = learner.q(batch.observations, batch.actions).detach(), np.random.default_rng(0)
    for _ in range(20):
        moved = batch.observations + 0.01 * torch.from_numpy(rng.choice([-1, 1], (1, 64, 3)).astype(np.float32))
        other = (learner.q(moved, batch.actions).detach() - q).abs().mean(-1).sum()
        assert other < before + 1e-6
    steep = slopes(learner, batch.observations).mean()
    for _ in range(50):
        learner.critic.descend(robust(1.0, 0.01)(learner, batch))
    assert robust(1.0, 0.01)(learner, batch).item() < 0.3 * before
    assert slopes(learner, batch.observations).mean() < 0.5 * steep


def test_a_penalty_is_each_seeds_own():
    batch = batch_of(2, 12)
    both = robust(1.0, 0.1)(SoftActorCritic([4, 5], 3, 1), batch)
    second = SimpleNamespace(observations=batch.observations[1:], actions=batch.actions[1:])
    alone = robust(1.0, 0.1)(SoftActorCritic([5], 3, 1), second)
    torch.testing.assert_close(both[1:], alone)


def test_power_iteration_finds_the_norms_of_torch():
    network = Network([np.random.default_rng(s) for s in (0, 1, 2)], (5, 32, 24, 1), members=2)
    held = SpectralBound(network, 1.0)
    for weight, sigma in zip(network.weights, held.norms(), strict=True):
        np.testing.assert_allclose(sigma.flatten(), torch.linalg.matrix_norm(weight.detach(), ord=2), rtol=1e-3)


def test_projection_shrinks_what_is_too_large_and_leaves_the_rest():
    network = Network([np.random.default_rng(s) for s in (0, 1)], (5, 32, 32, 1), members=2)
    with torch.no_grad():
        network.weights[1][0] *= 10  # one critic of the first seed
    before = [w.detach().clone() for w in network.weights]
    SpectralBound(network, [2.0, 0.5]).project()
    norms = [torch.linalg.matrix_norm(w.detach(), ord=2) for w in network.weights]
    np.testing.assert_allclose(norms[1][0], 2.0, rtol=1e-3)
    assert (torch.stack(norms)[:, 2:] < 0.501).all()
    torch.testing.assert_close(network.weights[1][1], before[1][1])
    torch.testing.assert_close(network.weights[1][0] / network.weights[1][0].norm(), before[1][0] / before[1][0].norm())


def test_critics_stay_within_their_norm_while_they_learn_large_values():
    free, bound = SoftActorCritic([6], 3, 1, learning_rate=1e-2), SoftActorCritic([6], 3, 1, learning_rate=1e-2)
    hold = spectral(1.5)
    for step in range(60):
        batch = batch_of(1, 32, step)
        target = 100 * batch.observations[..., 0]
        free.update(batch, target=target)
        bound.update(batch, target=target, regulariser=hold)
    largest = [
        max(float(torch.linalg.matrix_norm(w.detach(), ord=2).max()) for w in x.critic.weights) for x in (free, bound)
    ]
    assert largest[0] > 2.5 and largest[1] < 1.5 * 1.02


def test_a_mean_model_follows_its_mean_and_mbpo_with_it_repeats_its_bits():
    pendulum, watched = envs.simulator("pendulum"), []
    for _ in range(2):
        watch, model = Watch(robust(0.1, 0.1), keep=2), MeanDynamics([0, 1], 3, 1)
        (step,) = list(mbpo(pendulum, [0, 1], horizon=2, model=model, regulariser=watch, **SHORT))
        watched.append((watch, model, step.metrics))
    (watch, model, metrics), (again, _, same) = watched
    assert all(np.array_equal(np.asarray(metrics[name]), np.asarray(same[name])) for name in metrics)
    assert watch.states.shape == (2, 128, 3) and torch.equal(watch.states, again.states)
    states, actions = watch.states[:, :5], torch.zeros(2, 5, 1)
    with torch.no_grad():
        after, rewards, continues = model.step(states, actions, [generator(s, "dreams") for s in (0, 1)])
        expected = model.predict(states, actions)
    assert torch.equal(after, expected[0][:, 0]) and torch.equal(rewards, expected[1][:, 0]) and bool(continues.all())


def test_a_mean_model_keeps_to_its_limits_and_ends():
    ends = lambda observations, actions, after: after[..., 0] > -10  # noqa: E731
    model = MeanDynamics([0], 3, 1, low=[-1, -1, -1], high=[1, 1, 1], terminates=ends)
    with torch.no_grad():
        after, _, continues = model.step(torch.full((1, 4, 3), 5.0), torch.zeros(1, 4, 1), None)
    assert after.max() <= 1 and not continues.any()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: robust(0.1, 0.0), "epsilon=0"),
        (lambda: robust(-0.1, 0.1)(SoftActorCritic([0], 3, 1), batch_of(1, 4)), "weight=-0.1"),
        (lambda: SpectralBound(SoftActorCritic([0], 3, 1).critic, 0.0), "bound=0"),
        (lambda: SpectralBound(SoftActorCritic([0], 3, 1).critic, [1.0, 2.0]), "bound of shape"),
        (lambda: Watch(keep=0), "keep=0"),
    ],
)
def test_bad_input_is_one_line(make, words):
    with pytest.raises(ValueError, match=words) as found:
        make()
    assert "\n" not in str(found.value)


def test_replay_states_are_what_a_fit_needs():
    model, replay = MeanDynamics([0], 3, 1), Replay([0], 3, 1, 50)
    x = np.random.default_rng(0).normal(size=(1, 50, 3)).astype(np.float32)
    replay.add(x, np.zeros((1, 50, 1), np.float32), x[..., 0], 0.5 * x, np.ones((1, 50), np.float32))
    *_, last = model.fit(replay, steps=300)
    assert last.metrics["holdout_error"] < 0.2 and model.ensemble.members == 1


class Shifted(Exact):
    """The truth, with the third number 0.5 too large."""

    def step(self, *given):
        after, rewards, continues = super().step(*given)
        return after + torch.tensor([0, 0, 0.5]), rewards, continues


def test_errors_of_a_shifted_model_and_a_linear_value_are_known():
    pendulum, learner = envs.simulator("pendulum"), SoftActorCritic([1, 2], 3, 1, hidden=(8, 8))
    linear_critics(learner, [0.0, 0.0, -4.0])
    states, both = batch_of(2, 20).observations, [generator(s, "dreams") for s in (1, 2)]
    for model, shift, worth in ((Exact(pendulum), 0.0, 0.0), (Shifted(pendulum), 0.5, 2.0)):
        state, value = errors(learner, model, pendulum, states, both)
        np.testing.assert_allclose(state, shift, atol=1e-6)
        np.testing.assert_allclose(value, worth, atol=1e-3)


def test_what_a_policy_earns_is_the_discounted_sum_of_its_rewards():
    world = envs.simulator("pendulum")
    seen = np.array([[1, 0, 0], [-1, 0, 0]])  # upright and hanging, both at rest: without a push neither moves
    found = followed(world, lambda observations: np.zeros((len(observations), 1)), seen, 0.95)
    np.testing.assert_allclose(found, [0, -(np.pi**2) * (1 - 0.95**200) / 0.05], rtol=1e-6, atol=1e-9)
    with pytest.raises(ValueError, match=r"discount=1\.0: must be in \[0, 1\)"):
        followed(world, None, seen, 1.0)
