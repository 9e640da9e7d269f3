"""Models of a stream: closed forms, seeds that do not depend on each other, and what each kind keeps."""

import numpy as np
import pytest

from rlkit.model_based import online_models

SETTINGS = {
    "losse": {"grids": 4, "bins": 6, "axes": 1, "ridge": 1e-3},
    "dense": {"features": 20, "frequency": 2.0, "ridge": 1e-3},
    "online": {"learning_rate": 1e-3},
    "ewc": {"learning_rate": 1e-3, "penalty": 10.0, "task": 40},
    "replay": {"learning_rate": 1e-3},
    "retrained": {"learning_rate": 1e-3},
}


def stream(seeds, count):
    """x [T, S, 2] and y [T, S, 1], each seed from its own generator."""
    x = np.stack([np.random.default_rng(seed).uniform(-1, 1, (count, 2)) for seed in seeds], axis=1)
    return x, np.sin(2 * x.sum(axis=2, keepdims=True))


def fitted(kind, seeds, count=120, **changed):
    x, y = stream(seeds, count)
    model = online_models.make(kind, seeds, 2, 1, **SETTINGS[kind] | changed)
    for arrival in zip(x, y, strict=True):
        model.update(*arrival)
    return model, x.swapaxes(0, 1), y.swapaxes(0, 1)


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_seed_among_others_is_that_seed_alone(kind):
    together, x, _ = fitted(kind, [5, 3, 8])
    alone, x_alone, _ = fitted(kind, [3])
    assert together.predict(x)[1] == pytest.approx(alone.predict(x_alone)[0], abs=1e-5)
    again, _, _ = fitted(kind, [5, 3, 8])
    assert (again.predict(x) == together.predict(x)).all(), "the same bits"
    assert together.predict(x).shape == (3, 120, 1)


def test_dense_is_ridge_regression_on_all_rows():
    model, x, y = fitted("dense", [0, 1], count=60)
    phi = model._phi(x)
    exact = np.linalg.solve(phi.mT @ phi + 1e-3 * np.eye(20), phi.mT @ y)
    assert model.predict(x) == pytest.approx(phi @ exact, abs=1e-7)


def test_losse_counts_its_work_for_each_seed():
    model, x, y = fitted("losse", [0, 1], count=600)
    assert np.shape(model.work) == (600, 2) and np.min(model.work) >= 8**3 // 3
    assert np.sqrt(np.mean((model.predict(x) - y) ** 2)) < 0.35


def test_ewc_without_penalty_is_the_online_network_and_a_large_one_holds_it():
    online, x, _ = fitted("online", [0, 1])
    free, _, _ = fitted("ewc", [0, 1], penalty=0.0)
    assert (free.predict(x) == online.predict(x)).all()
    assert free.fisher.min() >= 0 and free.fisher.max() > 0
    free, _, _ = fitted("ewc", [0, 1], count=135, penalty=0.0)  # 15 arrivals after the last anchor
    bound, _, _ = fitted("ewc", [0, 1], count=135, penalty=1e3)
    moved = [(model.network.flat - model.anchor).detach().square().mul(model.fisher).sum() for model in (free, bound)]
    assert 0 < moved[1] < 0.5 * moved[0]


def test_replay_batches_hold_the_new_row_and_rows_of_the_past():
    model = online_models.make("replay", [0], 1, 1, learning_rate=1e-3)
    seen = []
    model._descend = lambda network, rows: seen.append(rows)
    for t in range(300):
        model.update(np.array([[t / 300]]), np.array([[float(t)]]))
    assert all(rows.shape == (1, 32, 2) and rows[0, 0, 1] == t for t, rows in enumerate(seen))
    assert all(rows[0, :, 1].max() == t for t, rows in enumerate(seen)), "nothing from the future"
    old = np.concatenate([rows[0, 1:, 1] for rows in seen[200:]])
    assert len(np.unique(old)) > 290 and np.mean(old < 150) == pytest.approx(0.6, abs=0.03), "nothing is thrown away"


def test_buffers_grow_beyond_their_first_size():
    model = online_models.make("retrained", [0], 1, 1, learning_rate=1e-3)
    for t in range(1100):
        model.update(np.array([[t / 1100]]), np.array([[float(t)]]))
    assert (model.rows[0, :1100, 1] == np.arange(1100)).all() and model.rows.shape[1] == 2048


def test_retrained_fits_better_than_one_pass():
    errors = {}
    for kind in ("online", "retrained"):
        model, x, y = fitted(kind, [0, 1, 2], count=500)
        errors[kind] = np.sqrt(np.mean((model.predict(x) - y) ** 2))
    assert errors["retrained"] < 0.75 * errors["online"]


def test_an_unknown_kind_is_one_line():
    with pytest.raises(ValueError, match=r"^kind='magic': must be one of 'losse', 'dense'"):
        online_models.make("magic", [0], 1, 1)


def test_follow_asks_after_each_tenth_and_retrained_at_the_end():
    x, y = stream([0, 1], 50)
    asked = [np.zeros((2, 3, 2)), np.full((2, 1, 2), 0.5)]
    answers = [np.zeros((2, 3, 1)), np.full((2, 1, 1), 2.0)]
    model = online_models.make("losse", [0, 1], 2, 1, **SETTINGS["losse"])
    errors, predictions = online_models.follow(model, x, y, asked, answers)
    assert errors.shape == (10, 2, 2) and len(predictions) == 10
    assert errors[-1, 1] == pytest.approx(np.abs(model.predict(asked[1])[:, 0, 0] - 2))
    last = online_models.make("retrained", [0, 1], 2, 1, **SETTINGS["retrained"])
    assert online_models.follow(last, x, y, asked, answers)[0].shape == (1, 2, 2)
    with pytest.raises(ValueError, match=r"^len\(x\)=49: must be a multiple of 10"):
        online_models.follow(model, x[:49], y[:49], asked, answers)
