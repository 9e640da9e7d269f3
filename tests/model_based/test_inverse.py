"""The inverse model: an action is found from where it led; chance that hides it shows as deviation."""

import numpy as np
import pytest
import torch

from rlkit.model_based.inverse import Inverse
from rlkit.model_based.replay import Replay

TURN = np.array([[0.6, -0.8], [0.8, 0.6]])


def pushed(seeds, noise, count=2_000):
    """s' = s + 0.1 (TURN a + noise): the action is TURN^T (s' - s) / 0.1, up to noise."""
    replay = Replay(seeds, 2, 2, count)
    for row, seed in enumerate(seeds):
        rng = np.random.default_rng([seed, 5])
        s, a = rng.standard_normal((count, 2)), rng.uniform(-1, 1, (count, 2))
        after = s + 0.1 * (a @ TURN.T + noise * rng.standard_normal((count, 2)))
        block = np.concatenate([s, a, np.zeros((count, 1)), after, np.ones((count, 1))], 1)
        replay._put(row, torch.tensor(block, dtype=torch.float32))
    return replay


def fitted(seeds, noise, steps=1_500):
    model, replay = Inverse(seeds, 2, 2, members=2, elites=2), pushed(seeds, noise)
    *_, last = model.fit(replay, steps=steps)
    return model, replay, last.metrics["holdout_error"]


def test_actions_are_found_from_where_they_led():
    model, _, error = fitted([0, 1], 0.0)
    data = pushed([7, 8], 0.0).all()
    mean, deviation = model.predict(data.observations, data.next_observations)
    off = (mean - data.actions[:, None]).abs()
    assert mean.shape == (2, 2, 2_000, 2) and off.mean() < 0.02 and (error < 0.05).all() and deviation.mean() < 0.05


def test_noise_that_hides_the_action_is_its_deviation():
    """a | s' - s is close to N(TURN^T (s' - s) / 0.1, 0.1^2) well inside the box."""
    model, _, _ = fitted([0], 0.1)
    steps = torch.tensor(0.3 * np.random.default_rng(0).uniform(-1, 1, (1, 500, 2)), dtype=torch.float32)
    start = torch.zeros(1, 500, 2)
    mean, deviation = model.predict(start, start + 0.1 * steps)
    expected = steps @ torch.tensor(TURN, dtype=torch.float32)
    assert (mean.mean(1) - expected).abs().mean() < 0.04
    assert deviation.mean().item() == pytest.approx(0.1, rel=0.25)


def test_seed_3_of_5_is_seed_3_alone():
    many, replay, _ = fitted(range(5), 0.1, steps=60)
    alone, _, _ = fitted([3], 0.1, steps=60)
    data = replay.all()
    mean = many.predict(data.observations, data.next_observations)[0][3]
    single = alone.predict(data.observations[3:4], data.next_observations[3:4])[0][0]
    torch.testing.assert_close(mean, single, rtol=0, atol=1e-5)


def test_bad_input_is_refused_in_one_line():
    model = Inverse([0], 2, 2)
    with pytest.raises(ValueError, match=r"^next_observations of shape \(1, 4, 3\): must end in 2"):
        model.predict(torch.zeros(1, 4, 2), torch.zeros(1, 4, 3))
    with pytest.raises(ValueError, match=r"^replay with discrete actions: must be continuous ones$"):
        next(model.fit(Replay([0], 2, 1, 4, discrete=True)))
