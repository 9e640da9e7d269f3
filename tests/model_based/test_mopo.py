"""MOPO: train_in of the same model where the weight is 0, more doubt in a gap of the log, a policy that swings up."""

import numpy as np
import pytest
import torch

from rlkit import offline
from rlkit.model_based import mopo, train_in
from rlkit.model_based.algorithms.mopo import fitted
from rlkit.model_based.penalties import disagreement, largest_deviation

QUICK = {"steps": 60, "horizon": 3, "rollouts": 20, "evaluate_every": 30, "episodes": 1}


@pytest.fixture(scope="module")
def log():
    return offline.build("pendulum", "medium", 2_000, 1000)


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(np.asarray(a[k]), np.asarray(b[k])) for k in a)


def test_without_a_penalty_it_is_train_in_bit_for_bit(log):
    model, _, error = fitted(log, [0, 1], 50, members=3, elites=2)
    plain = list(train_in(model, log, [0, 1], **QUICK))
    found = list(mopo(log, [0, 1], penalty=0.0, model_steps=50, members=3, elites=2, **QUICK))
    assert [step.step for step in found] == [30, 60]
    for one, other in zip(plain, found, strict=True):
        assert same(other.metrics, one.metrics | {"model_error": error})


def test_a_penalty_moves_the_critics_and_each_seed_may_have_its_own(log):
    options = {"model_steps": 50, "members": 3, "elites": 2} | QUICK
    q = [list(mopo(log, [4, 4], penalty=p, **options))[-1].metrics["q"].numpy() for p in (0.0, [0.0, 20.0])]
    assert q[0][0] == q[0][1] == pytest.approx(q[1][0], abs=1e-6)
    assert q[1][1] < q[1][0] - 0.5


def test_a_seed_among_three_is_that_seed_alone(log):
    options = {"model_steps": 50, "members": 3, "elites": 2} | QUICK
    many, alone = (list(mopo(log, seeds, **options))[-1].metrics for seeds in ([2, 3, 4], [3]))
    for name in ("critic_loss", "q", "model_error", "return"):
        assert np.asarray(many[name])[1] == pytest.approx(np.asarray(alone[name])[0], rel=1e-4)


def gap_log(seed):
    """One-step episodes in [-1, 1] without (-0.4, 0.4), next = s + 0.3 sin(5 s) + 0.1 a plus a little noise."""
    rng = np.random.default_rng(seed)
    seen = (rng.uniform(0.4, 1, (1_500, 1)) * rng.choice([-1, 1], (1_500, 1))).astype(np.float32)
    actions = rng.uniform(-1, 1, (1_500, 1)).astype(np.float32)
    after = seen + 0.3 * np.sin(5 * seen) + 0.1 * actions + 0.02 * rng.normal(size=seen.shape)
    over = np.ones(1_500, bool)
    return offline.Dataset(seen, actions, seen[:, 0], after.astype(np.float32), over, ~over, facts={})


def test_the_penalties_are_larger_in_a_gap_of_the_log():
    """Disagreement by far, deviations, which are not fitted there, on average."""
    seeds = range(3)
    model, log, error = fitted([gap_log(seed) for seed in seeds], seeds, 2_000, members=5, elites=3)
    inside = torch.linspace(-0.1, 0.1, 41).expand(3, 41)[..., None]
    data, doubts = log.all(), []
    with torch.no_grad():
        for seen, actions in ((inside, torch.zeros_like(inside)), (data.observations, data.actions)):
            after, _, deviation = model.predict(seen, actions)
            doubts.append([largest_deviation(deviation).mean(1).numpy(), disagreement(after).mean(1).numpy()])
    (gap, split), (known, agreed) = doubts
    assert (error < 0.3).all(), "the fit is a fair one"
    assert gap.mean() > 1.2 * known.mean()
    assert (split > 2 * agreed).all()


@pytest.mark.slow
def test_it_learns_to_swing_up_from_medium_data():
    log = offline.build("pendulum", "medium", 10_000, 1000)
    bounds = {"low": [-1, -1, -8], "high": [1, 1, 8]}
    *_, last = mopo(log, [0, 1], steps=3_000, model_steps=1_500, evaluate_every=3_000, episodes=10, **bounds)
    assert (last.metrics["return"] > -450).all(), "the log's own mean is about -710, random -1276"
