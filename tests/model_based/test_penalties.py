"""The penalties by hand, and models around models: what they change, and that they draw nothing of their own."""

import numpy as np
import pytest
import torch

from rlkit.model_based import Dynamics, Halting, Penalised
from rlkit.model_based.penalties import disagreement, halt_threshold, largest_deviation, per_seed
from rlkit.offline.rows import generator

SEEDS = [0, 1]


def rows(count, seeds=2):
    rng = np.random.default_rng(5)
    return tuple(torch.from_numpy(rng.normal(size=(seeds, count, k)).astype(np.float32)) for k in (3, 1))


@pytest.fixture(scope="module")
def model():
    return Dynamics(SEEDS, 3, 1, members=4, elites=2)


def draws(seeds=SEEDS):
    return [generator(seed, "dreams") for seed in seeds]


def test_the_largest_deviation_by_hand():
    """Two seeds, three members, two rows, two outputs: norms 5, 13 and 10 in the first row of the first seed."""
    deviation = torch.tensor(
        [
            [[[3.0, 4.0], [1.0, 0.0]], [[5.0, 12.0], [0.0, 2.0]], [[6.0, 8.0], [0.0, 0.5]]],
            [[[0.3, 0.4], [8.0, 15.0]], [[0.0, 0.1], [0.0, 1.0]], [[0.6, 0.8], [1.0, 1.0]]],
        ]
    )
    assert largest_deviation(deviation).numpy() == pytest.approx(np.array([[13.0, 2.0], [1.0, 17.0]]))


def test_disagreement_by_hand_is_of_the_farthest_pair():
    means = torch.tensor([[[[0.0, 0.0], [1.0, 1.0]], [[3.0, 0.0], [1.0, 1.0]], [[0.0, -4.0], [1.0, 3.0]]]])
    assert disagreement(means).numpy() == pytest.approx(np.array([[5.0, 2.0]])), "3, 4 and 5 apart; 0, 2 and 2"
    assert disagreement(means[:, :1]).tolist() == [[0.0, 0.0]], "one member agrees with itself"


def test_penalised_pays_for_all_members_and_moves_nothing(model):
    """Also for members that are no elites: the deviation of one of those decides in some rows."""
    seen, actions = rows(50)
    after, rewards, continues = model.step(seen, actions, draws())
    same, paid, alive = Penalised(model, 0.5).step(seen, actions, draws())
    deviation = model.predict(seen, actions)[2].detach().numpy()  # [S, M, B, O + 1]
    doubt = np.sqrt((deviation**2).sum(-1)).max(1)
    assert torch.equal(same, after) and torch.equal(alive, continues)
    assert paid.detach().numpy() == pytest.approx(rewards.detach().numpy() - 0.5 * doubt, abs=1e-6)
    elites = np.stack(
        [np.sqrt((d[e] ** 2).sum(-1)).max(0) for d, e in zip(deviation, model.ensemble.elites, strict=True)]
    )
    assert (elites < doubt - 1e-6).any(), "so the test would see a maximum over elites alone"


def test_a_weight_for_each_seed_and_a_penalty_of_ones_own(model):
    seen, actions = rows(7)
    _, rewards, _ = model.step(seen, actions, draws())
    _, paid, _ = Penalised(model, [0.0, 3.0], penalty=lambda d: torch.full(d[:, 0, :, 0].shape, 2.0)).step(
        seen, actions, draws()
    )
    assert torch.equal(paid[0], rewards[0])
    assert (rewards - paid)[1].detach().numpy() == pytest.approx(6.0, abs=1e-5)


def test_halting_ends_what_is_unknown_and_leaves_the_rest(model):
    seen, actions = rows(60)
    doubt = disagreement(model.predict(seen, actions)[0]).detach()
    threshold = doubt.median(1).values  # [S]
    after, rewards, _ = model.step(seen, actions, draws())
    same, paid, continues = Halting(model, threshold, [5.0, 7.0]).step(seen, actions, draws())
    unknown = doubt > threshold[:, None]
    assert torch.equal(same, after) and torch.equal(continues, (~unknown).float())
    assert unknown.sum(1).tolist() == [30, 30]
    assert torch.equal(paid[~unknown], rewards[~unknown])
    assert (paid[0][unknown[0]] == -5).all() and (paid[1][unknown[1]] == -7).all()


def test_the_threshold_is_the_largest_disagreement_of_the_whole_log(model):
    seen, actions = rows(2_300)
    expected = disagreement(model.predict(seen, actions)[0]).amax(1)
    assert torch.equal(halt_threshold(model, seen, actions), expected.detach())
    assert halt_threshold(model, seen, actions).requires_grad is False


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (-1.0, "weight=-1.0: must be at least 0"),
        ([1.0, 2.0, 3.0], "must be a number or one for each of 2 seeds"),
        ([1.0, float("nan")], r"weight\[1\]=nan: must be finite"),
    ],
)
def test_bad_weights_are_refused_in_one_line(value, words):
    with pytest.raises(ValueError, match=words):
        per_seed("weight", value, 2)
