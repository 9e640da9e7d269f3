"""MBPO and training in a model: the same bits again, a seed alone, and a problem whose optimum is known."""

import numpy as np
import pytest
import torch

from rlkit import envs
from rlkit.model_based import Dynamics, Exact, Replay, mbpo, train_in
from rlkit.offline import Agent
from rlkit.offline.building import build
from tests.model_based.aim import Aim

SHORT = {
    "steps": 60,
    "warm_up": 40,
    "model_steps": 30,
    "rollouts": 50,
    "updates": 2,
    "evaluate_every": 60,
    "episodes": 1,
}


@pytest.fixture(scope="module")
def pendulum():
    return envs.simulator("pendulum")


def test_mbpo_repeats_its_bits_and_a_seed_is_what_it_is_alone(pendulum):
    (many,), (again,), (alone,) = (list(mbpo(pendulum, s, horizon=2, **SHORT)) for s in ([0, 1, 2], [0, 1, 2], [1]))
    assert set(many.metrics) == {"return", "critic_loss", "q", "temperature", "model_error"}
    for name, values in many.metrics.items():
        assert np.array_equal(np.asarray(values), np.asarray(again.metrics[name])), name
        if name != "return":  # an episode of 200 steps turns a rounding error into a number of its own
            np.testing.assert_allclose(
                np.asarray(values)[1], np.asarray(alone.metrics[name])[0], rtol=1e-3, err_msg=name
            )


def test_batches_hold_the_share_of_real_transitions_that_was_asked_for(pendulum, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        Replay, "sample", lambda self, count, plain=Replay.sample: drawn.append(count) or plain(self, count)
    )
    list(mbpo(pendulum, [0], real_share=0.25, batch_size=40, **SHORT))
    assert drawn.count(30) == drawn.count(10) == 2 * 21


def test_train_in_the_exact_model_learns_what_the_world_pays(pendulum):
    data = build("pendulum", "medium", 2_000, seed=1)
    agent = Agent()
    short = {"steps": 200, "evaluate_every": 100, "rollouts": 30, "episodes": 2}
    watch = lambda soft, step: {"largest": torch.full((2,), float(step))}  # noqa: E731
    learner = train_in(Exact(pendulum), data, [0, 1], agent=agent, watch=watch, **short)
    steps = list(learner)
    assert [s.step for s in steps] == [100, 200] and steps[1].metrics["largest"].tolist() == [200, 200]
    assert agent.act(data.observations[:5]).shape == (2, 5, 1) and steps[0].metrics["return"].shape == (2,)


def test_train_in_repeats_its_bits_and_a_seed_is_what_it_is_alone(pendulum):
    data = build("pendulum", "medium", 500, seed=1)

    def trained(seeds):
        model = Dynamics(seeds, 3, 1, members=3, elites=2, hidden=(16, 16))
        list(model.fit(Replay.of(data, seeds), steps=40))
        (step,) = train_in(
            model, data, seeds, steps=60, evaluate_every=60, rollouts=20, critics=3, diversity=1.0, episodes=1
        )
        return step.metrics

    many, again, alone = trained([0, 1, 2]), trained([0, 1, 2]), trained([2])
    for name, values in many.items():
        assert np.array_equal(np.asarray(values), np.asarray(again[name])), name
        if name != "return":
            np.testing.assert_allclose(np.asarray(values)[2], np.asarray(alone[name])[0], rtol=1e-3, err_msg=name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"horizon": 0}, "horizon=0: must be a positive integer"),
        ({"real_share": 1.5}, r"real_share=1.5: must be in \[0, 1\]"),
        ({"rollouts": 0}, "rollouts=0: must be a positive integer"),
        ({"steps": 0}, "steps=0: must be a positive integer"),
    ],
)
def test_bad_input_is_one_line(pendulum, options, words):
    with pytest.raises(ValueError, match=words):
        next(mbpo(pendulum, [0], **options))


def test_mbpo_finds_the_best_action_in_its_dreams():
    options = {"steps": 300, "warm_up": 100, "updates": 5, "real_share": 0.0, "evaluate_every": 300, "episodes": 200}
    *_, last = mbpo(Aim(), [0, 1], entropy=-4.0, terminates=lambda o, a, after: o[..., 0] < 9, **options)
    assert (last.metrics["return"] > -0.02).all(), last.metrics["return"]  # random actions earn about -0.42
