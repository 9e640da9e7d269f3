"""Models and dreams: the exact model dreams what happens, a learned one nearly, and nothing goes on after the end."""

import numpy as np
import pytest
import torch

from rlkit import envs
from rlkit.model_based import Dynamics, Exact, Replay, imagine
from rlkit.model_based.dreams import dreamt
from rlkit.offline.building import build
from rlkit.offline.rows import generator


def generators(seeds):
    return [generator(seed, "dreams") for seed in seeds]


@pytest.fixture(scope="module")
def pendulum():
    return envs.simulator("pendulum")


@pytest.fixture(scope="module")
def learned():
    data = build("pendulum", "random", 2_000, seed=0)
    model = Dynamics([0, 1], 3, 1, members=4, elites=3, hidden=(32, 32))
    list(model.fit(Replay.of(data, [0, 1]), steps=1_000))
    return model, data


def push(observations):
    """A policy: against the speed."""
    return (-observations[..., 2:] / 8).clamp(-1, 1)


def test_the_exact_model_dreams_what_happens(pendulum):
    played = envs.rollout(pendulum, lambda count, rng: lambda o: -o[:, 2:] / 8, np.random.default_rng(0), 6, steps=12)
    starts = torch.from_numpy(played.observations[:, 0]).view(2, 3, 3)
    dream = imagine(Exact(pendulum), push, starts, 12, generators([0, 1]))
    np.testing.assert_allclose(dream.observations.view(6, 13, 3), played.observations, atol=2e-4)
    np.testing.assert_allclose(dream.rewards.view(6, 12), played.rewards, atol=2e-3)
    np.testing.assert_allclose(dream.actions.view(6, 12, 1), played.actions, atol=1e-4)
    assert dream.alive.all() and dream.continues.all()


def test_a_learned_model_is_near_for_a_step_and_drifts(pendulum, learned):
    model, _ = learned
    starts = torch.from_numpy(build("pendulum", "random", 200, seed=1).observations).expand(2, -1, -1)
    truth = imagine(Exact(pendulum), push, starts, 20, generators([0, 1])).observations
    found = imagine(model, push, starts, 20, generators([0, 1])).observations
    error = (found - truth).norm(dim=-1).median(1).values  # [S, T + 1]
    still = (truth[:, :, 1] - truth[:, :, 0]).norm(dim=-1).median(1).values
    assert (error[:, 1] < 0.3 * still).all() and (error[:, 20] > 2 * error[:, 1]).all(), error


def test_predict_and_step_speak_of_the_same_world(learned):
    model, data = learned
    seen, actions = (torch.from_numpy(a[:50]).expand(2, -1, -1) for a in (data.observations, data.actions))
    after, rewards, deviation = model.predict(seen, actions)
    assert after.shape == (2, 4, 50, 3) and rewards.shape == (2, 4, 50) and deviation.shape == (2, 4, 50, 4)
    many = [model.step(seen, actions, [np.random.default_rng(k), np.random.default_rng(k)]) for k in range(200)]
    mean = torch.stack([m[0] for m in many]).mean(0)
    best = model.ensemble.elites[:, :, None, None].expand(-1, -1, 50, 3)
    spread = 4 * deviation[..., :3].amax(1) / 200**0.5 + 3 * after.std(1) / 200**0.5 + 1e-3
    assert ((mean - after.gather(1, best).mean(1)).abs() < spread).all()
    assert (rewards.mean(1) - torch.from_numpy(data.rewards[:50])).abs().median() < 0.3


class Stairs:
    """A model of one observation that counts up and ends at 3."""

    observation_size = 1

    def step(self, observations, actions, generators, order=None):
        after = observations + 1
        return after, after[..., 0], (after[..., 0] < 3).float()


def test_a_dream_that_has_ended_is_not_remembered():
    starts = torch.tensor([[[0.0], [2.0]], [[1.0], [-5.0]]])
    dream = imagine(Stairs(), torch.zeros_like, starts, 4, generators([0, 1]))
    assert dream.alive.tolist() == [[[1, 1, 1, 0], [1, 0, 0, 0]], [[1, 1, 0, 0], [1, 1, 1, 1]]]
    replay = Replay([0, 1], 1, 1, 100)
    dreamt(replay, dream)
    assert replay.size.tolist() == [4, 6]
    held = replay.sample(200)
    assert (held.observations < 3).all()
    assert torch.equal(held.continues, (held.next_observations[..., 0] < 3).float())


def test_discrete_actions_enter_one_hot_and_known_ends_and_limits_hold():
    model = Dynamics([0], 2, 3, discrete=True, members=2, elites=2, low=[-0.1, -0.1], high=[0.1, 0.1],
                     terminates=lambda o, a, n: a == 2)  # fmt: skip
    seen, actions = torch.zeros(1, 3, 2), torch.tensor([[0, 1, 2]])
    after, rewards, continues = model.step(seen, actions, generators([0]))
    assert after.abs().max() <= 0.1 and continues.tolist() == [[1, 1, 0]] and rewards.shape == (1, 3)
    each = model.predict(seen, actions)[0][0, 0]
    assert len(torch.unique(each, dim=0)) == 3


def test_seed_1_dreams_alone_as_beside_others(learned):
    many = Dynamics([0, 1, 2], 3, 1, members=3, elites=2, hidden=(16, 16))
    alone = Dynamics([1], 3, 1, members=3, elites=2, hidden=(16, 16))
    data = learned[1]
    for model, seeds in ((many, [0, 1, 2]), (alone, [1])):
        list(model.fit(Replay.of(data, seeds), steps=50))
    starts = torch.from_numpy(data.observations[:7])
    a = imagine(many, push, starts.expand(3, -1, -1), 5, generators([0, 1, 2]))
    b = imagine(alone, push, starts.expand(1, -1, -1), 5, generators([1]))
    np.testing.assert_allclose(a.observations[1], b.observations[0], atol=1e-5)
    again = imagine(many, push, starts.expand(3, -1, -1), 5, generators([0, 1, 2]))
    assert torch.equal(a.observations, again.observations) and torch.equal(a.rewards, again.rewards)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: imagine(m, push, torch.zeros(2, 4, 3), 0, generators([0, 1])), "horizon=0: must be a positive"),
        (lambda m: imagine(m, push, torch.zeros(2, 4, 5), 3, generators([0, 1])), r"\(2, 4, 5\): must be \[S, B, 3\]"),
        (
            lambda m: m.step(torch.zeros(2, 4, 5), torch.zeros(2, 4, 1), generators([0, 1])),
            "must end in 3, the size that this model was made for",
        ),
        (lambda m: m.predict(torch.zeros(2, 4, 3), torch.zeros(2, 4, 2)), r"x of shape \(2, 4, 5\)"),
        (lambda m: list(m.fit(Replay([0, 1], 3, 1, 5))), "replay of seed 0 is empty"),
        (lambda m: Exact(envs.simulator("point-maze-u")), r"must be one with place\(observations\)"),
    ],
)
def test_bad_input_is_one_line(learned, call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call(learned[0])
    assert "\n" not in str(caught.value)
