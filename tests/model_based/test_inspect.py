"""Looks into a model: dreams against closed forms and the exact model, error and doubt against hand-made ones."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rlkit import envs
from rlkit.model_based import Dynamics, Exact, Replay
from rlkit.model_based.inspect import dream_of, errors_over


class Ruler:
    """A place x on a line: x' = x + a, paid x'; it ends where x' is below 0.1."""

    name, observation_size, action_size, actions, horizon, noise_size = "ruler", 1, 1, None, 50, 0
    labels = ("x",)

    def observe(self, states):
        return states.astype(np.float32)

    def place(self, observations):
        return observations.astype(float)

    def step(self, states, actions, noise):
        after = states + actions
        return after, after[:, 0], after[:, 0] < 0.1


class Drift:
    """A wrong model of it: x' = x + a + 0.25, paid x', without an end; it remembers who asked whom."""

    observation_size = 1

    def step(self, observations, actions, generators, order=None):
        after = observations + actions + 0.25
        self.order = order
        return after, after[..., 0], torch.ones(after.shape[:2])


def halve(seen):
    return -seen / 2


def test_in_a_closed_loop_each_acts_on_what_it_sees():
    made = dream_of(Drift(), Ruler(), {"halve": halve}, [0], dreams=2)([8.0], 4, "halve")
    assert made["truth"][:, 0].tolist() == [8, 4, 2, 1, 0.5]
    dream = 0.5 + 7.5 / 2.0 ** np.arange(5)  # the fixed point of x / 2 + 0.25 is 0.5
    assert made["dreams"][:, :, 0].tolist() == [dream.tolist()] * 2
    assert made["rewards"][0].tolist() == [4, 2, 1, 0.5] and made["rewards"][1].tolist() == [dream[1:].tolist()] * 2
    assert made["words"].startswith("Closed loop")


def test_in_an_open_loop_dreams_get_the_actions_of_the_truth():
    made = dream_of(Drift(), Ruler(), {"halve": halve}, [0], dreams=3, actions="same")([8.0], 4, "halve")
    assert made["truth"][:, 0].tolist() == [8, 4, 2, 1, 0.5]
    assert made["dreams"][:, :, 0].tolist() == [[8, 4.25, 2.5, 1.75, 1.5]] * 3  # each step adds 0.25
    assert made["words"].startswith("Open loop")


def test_what_has_ended_is_no_number_and_pays_nothing():
    for actions in ("own", "same"):
        made = dream_of(Drift(), Ruler(), {"halve": halve}, [0], actions=actions)([0.3], 4, "halve")
        np.testing.assert_allclose(made["truth"][:, 0], [0.3, 0.15, 0.075, np.nan, np.nan], rtol=1e-6)
        np.testing.assert_allclose(made["rewards"][0], [0.15, 0.075, 0, 0], rtol=1e-6)
        assert np.isfinite(made["dreams"]).all(), "the model knows no end"
    made = dream_of(Exact(Ruler()), Ruler(), {"halve": halve}, [0])([0.3], 4, "halve")
    assert np.isnan(made["dreams"][:, 3:]).all() and np.isfinite(made["dreams"][:, :3]).all()
    assert not made["rewards"][1][:, 2:].any()


def push(seen):
    return (-seen[..., 2:] / 8).clamp(-1, 1)


@pytest.mark.parametrize("actions", ["own", "same"])
@pytest.mark.parametrize("start", [[-1.0, 0.0, 0.0], [0.0, 1.0, 2.0], [1.0, 0.0, 0.5]])
def test_with_the_exact_model_dream_and_truth_coincide(actions, start):
    world = envs.simulator("pendulum")
    made = dream_of(Exact(world), world, {"push": push}, [3, 4], row=1, dreams=2, actions=actions)(start, 15, "push")
    assert made["dreams"].shape == (2, 16, 3) and made["truth"].shape == (16, 3)
    assert np.abs(made["dreams"] - made["truth"]).max() < 1e-5
    assert np.abs(made["rewards"][1] - made["rewards"][0]).max() < 1e-5


def test_a_start_that_cannot_be_seen_is_put_where_the_world_sees_it():
    world = envs.simulator("pendulum")
    made = dream_of(Exact(world), world, {"push": push}, [0])([0.0, 7.0, 1.0], 2, "push")
    np.testing.assert_allclose(made["truth"][0], [0, 1, 1], atol=1e-6)
    assert (made["dreams"][:, 0] == made["truth"][0]).all()


def lift(angle, speed):
    return np.stack([np.cos(angle), np.sin(angle), speed], axis=-1)


@pytest.fixture(scope="module")
def learned():
    """Two seeds on transitions of the pendulum from all angles, but speeds below 3 rad/s."""
    rng, world = np.random.default_rng(0), envs.simulator("pendulum")
    seen = lift(rng.uniform(-np.pi, np.pi, 1_500), rng.uniform(-3, 3, 1_500)).astype(np.float32)
    actions = rng.uniform(-1, 1, (1_500, 1))
    after, rewards, ended = world.step(world.place(seen), actions, None)
    model, replay = Dynamics([0, 1], 3, 1, members=3, elites=2, hidden=(32, 32)), Replay([0, 1], 3, 1, 1_500)
    replay.add(*(np.stack([c] * 2) for c in (seen, actions, rewards, world.observe(after), ~ended)))
    list(model.fit(replay, steps=400))
    return model


def test_the_same_call_dreams_the_same_and_a_longer_dream_begins_with_the_shorter(learned):
    world = envs.simulator("pendulum")
    dream = dream_of(learned, world, {"push": push}, [0, 1], dreams=7)
    short, long = dream([-1, 0, 0], 5, "push"), dream([-1, 0, 0], 12, "push")
    for a, b in ((short, dream([-1, 0, 0], 5, "push")), (short, long)):
        assert np.array_equal(a["truth"], b["truth"][:6]) and np.array_equal(a["dreams"], b["dreams"][:, :6])
        assert np.array_equal(a["rewards"][1], b["rewards"][1][:, :5])
    assert np.ptp(short["dreams"][:, -1], axis=0).min() > 0, "dreams differ"
    other = dream_of(learned, world, {"push": push}, [0, 1], dreams=7, row=1)([-1, 0, 0], 5, "push")
    assert not np.array_equal(other["dreams"], short["dreams"])


def test_each_dream_stays_with_one_elite_also_behind_a_wrapper():
    model = Drift()
    dream_of(model, Ruler(), {"halve": halve}, [0, 1])([1.0], 1, "halve")
    assert model.order is None
    model.ensemble = SimpleNamespace(elites=torch.zeros(2, 3))
    around = SimpleNamespace(model=model, step=model.step, observation_size=1)
    for asked in (model, around):
        dream_of(asked, Ruler(), {"halve": halve}, [0, 1], dreams=7)([1.0], 1, "halve")
        assert model.order.tolist() == [list(range(9))] * 2, "three shares of three, two places empty"


def test_error_and_doubt_are_what_hand_computation_says():
    """Two members, 0.3 above and 0.1 below the true x', right about the reward; sigma 0.2 and 0.4 for x'."""

    def predict(observations, actions):
        truth = observations + actions
        off = torch.tensor([0.3, -0.1]).view(1, 2, 1, 1)
        deviation = torch.stack((torch.tensor([0.2, 0.4]), torch.zeros(2)), -1).view(1, 2, 1, 2)
        shape = 2, 2, observations.shape[1], 2
        return truth[:, None] + off, truth[:, None, :, 0].expand(shape[:3]), deviation.expand(shape)

    ensemble = SimpleNamespace(seeds=[0, 1], y_scale=torch.tensor([[[9.0, 9.0]], [[0.5, 2.0]]]))
    model = SimpleNamespace(observation_size=1, predict=predict, ensemble=ensemble)
    x, y = [0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 4.0]
    error, doubt = errors_over(model, Ruler(), x, y, lambda x, y: (x + 10 * y)[:, None], row=1)
    np.testing.assert_allclose(error, np.full((2, 3), np.sqrt((0.1 / 0.5) ** 2 / 2)), rtol=1e-4)  # mean member: 0.1
    np.testing.assert_allclose(doubt, np.full((2, 3), np.sqrt((0.04 + 0.1) / 0.25 / 2)), rtol=1e-4)


def test_cells_are_asked_in_their_middles_and_actions_by_default_span_the_range():
    seen = []

    def predict(observations, actions):
        seen.append((observations[0, :, 0].tolist(), actions[0, :, 0].tolist()))
        zero = torch.zeros(1, 1, observations.shape[1], 2)
        return observations[:, None], zero[..., 0], zero

    ensemble = SimpleNamespace(seeds=[0], y_scale=torch.ones(1, 1, 2))
    model = SimpleNamespace(observation_size=1, predict=predict, ensemble=ensemble)
    error, _ = errors_over(model, Ruler(), [0, 2, 4], [0, 1, 3], lambda x, y: (x + 100 * y)[:, None])
    assert seen[0] == (np.repeat([51, 53, 201, 203], 3).tolist(), [-1, 0, 1] * 4)
    x = np.array([[51, 53], [201, 203]])[..., None] + np.array([-1, 0, 1])  # the reward, which this model says is 0
    np.testing.assert_allclose(error, np.sqrt(((x**2).mean(-1) + 2 / 3) / 2), rtol=1e-6)


def test_a_model_is_more_wrong_and_doubts_more_where_it_has_no_data(learned):
    edges = np.linspace(-np.pi, np.pi, 13), np.linspace(-8, 8, 17)
    world = envs.simulator("pendulum")
    error, doubt = errors_over(learned, world, *edges, lift)
    fast = np.abs((edges[1][1:] + edges[1][:-1]) / 2) > 5
    assert error[fast].mean() > 2 * error[~fast].mean() and doubt[fast].mean() > 1.2 * doubt[~fast].mean()


BAD = [
    (
        lambda w: dream_of(Drift(), SimpleNamespace(observation_size=1), {}, [0]),
        r"simulator=.*: must be one with place",
    ),
    (lambda w: dream_of(Exact(w), Ruler(), {}, [0]), r"simulator.observation_size=1: must be 3, the model's"),
    (lambda w: dream_of(Exact(w), w, {}, [0, 1], row=2), "row=2: must be below 2, the number of seeds"),
    (lambda w: dream_of(Exact(w), w, {}, [-1]), "seed=-1: must be an integer of at least 0"),
    (lambda w: dream_of(Exact(w), w, {}, [0], dreams=0), "dreams=0: must be a positive integer"),
    (lambda w: dream_of(Exact(w), w, {}, [0], actions="none"), "actions='none': must be one of 'own', 'same'"),
    (lambda w: dream_of(Exact(w), w, {"p": push}, [0])([1, 0], 3, "p"), r"start of shape \(2,\): must be \[3\]"),
    (lambda w: dream_of(Exact(w), w, {"p": push}, [0])([1, 0, np.nan], 3, "p"), r"start\[2\]=nan: must be finite"),
    (lambda w: dream_of(Exact(w), w, {"p": push}, [0])([1, 0, 0], 0, "p"), "horizon=0: must be a positive integer"),
    (lambda w: dream_of(Exact(w), w, {"p": push}, [0])([1, 0, 0], 3, "q"), "policy='q': must be one of 'p'"),
    (
        lambda w: errors_over(Dynamics([0], 3, 1), w, [0, 1], [1, 1], None),
        r"y_edges=\[1.0, 1.0\]: must be at least two",
    ),
    (lambda w: errors_over(Dynamics([0], 3, 1), w, [0, 1], [0, 1], None, row=1), "row=1: must be below 1"),
    (
        lambda w: errors_over(Dynamics([0], 3, 1), w, [0, 1], [0, 1], lambda x, y: np.stack([x, y], -1)),
        r"lift gives observations of shape \(1, 2\): must be \[1, 3\]",
    ),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_gives_one_line_that_names_argument_and_value(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call(envs.simulator("pendulum"))
    assert "\n" not in str(error.value)
