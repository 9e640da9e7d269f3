"""Labels for action-free rows: fitted to labelled rows alone, each seed by itself, searched to the optimum."""

import numpy as np
import pytest
import torch

from rlkit import offline
from rlkit.offline import action_labels, transforms

MIX = {"random": 0.5, "expert": 0.5}


@pytest.fixture(scope="module")
def sets():
    full = [offline.build("point-maze-u", MIX, 1_000, seed) for seed in (3, 4)]
    return full, [transforms.hide_actions(data, range(4, len(data.returns))) for data in full]


def squares(out, y):
    return (out - y).square().mean((-1, -2))


def test_standard_measures_in_units_of_the_labelled_rows(sets):
    _, free = sets
    x, known = action_labels.standard(free, [data.observations for data in free])
    assert x.shape == (2, 1_000, 4) and known.sum(1).tolist() == [400, 400]
    assert torch.allclose(x[1][known[1]].mean(0), torch.zeros(4), atol=1e-4)
    assert torch.allclose(x[1][known[1]].std(0, correction=0), torch.ones(4), atol=1e-4)


def test_standard_wants_equally_many_labels_and_some(sets):
    full, free = sets
    with pytest.raises(ValueError, match=r"^rows, labelled rows=.*\(1000, 400\), \(1000, 1000\).*: must be the same"):
        action_labels.standard([free[0], full[1]], [data.observations for data in free])
    none = [transforms.hide_actions(full[0], np.ones(len(full[0].returns), bool))]
    with pytest.raises(ValueError, match="some of them labelled"):
        action_labels.standard(none, [none[0].observations])


def linear(seeds):
    """x -> x @ w on rows of which the last half is unknown and wrong: x, y, known."""
    x = torch.stack([torch.tensor(np.random.default_rng(s).normal(size=(400, 3)), dtype=torch.float32) for s in seeds])
    known = torch.arange(400).expand(len(seeds), -1) < 200
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]])
    return x, torch.where(known[..., None], y, torch.tensor(99.0)), known, y


def test_fit_learns_from_the_known_rows_alone():
    x, y, known, truth = linear([0, 1])
    net = action_labels.fit(x, y, known, squares, 1, [0, 1], salt=0, steps=250)
    error = (net(x, 0) - truth).square().mean((1, 2))
    assert (error < 0.05).all(), error  # of a variance of 5.25; rows of 99 would be far away


def test_a_seed_learns_what_it_learns_alone():
    x, y, known, _ = linear([0, 1])
    both = action_labels.fit(x, y, known, squares, 1, [0, 1], salt=0, steps=100)(x, 0)[1]
    alone = action_labels.fit(x[1:], y[1:], known[1:], squares, 1, [1], salt=0, steps=100)(x[1:], 0)[0]
    assert torch.allclose(both, alone, atol=1e-5)
    salted = action_labels.fit(x[1:], y[1:], known[1:], squares, 1, [1], salt=1, steps=100)(x[1:], 0)[0]
    assert not torch.allclose(salted, alone, atol=1e-2)


def test_search_finds_the_action_that_explains_the_target():
    given = torch.zeros(1, 3, 2)
    target = torch.tensor([[[0.5, 1.0], [-0.25, 0.0], [5.0, -5.0]]])

    def net(both, member):
        return both[..., :2] + both[..., 2:] * torch.tensor([1.0, 2.0])

    found = action_labels.search(net, given, target, 2, steps=300, rate=0.05)
    assert np.allclose(found[0], [[0.5, 0.5], [-0.25, 0.0], [1.0, -1.0]], atol=1e-2)  # the last: at the edge


def test_filled_keeps_known_actions_and_errors_counts_hidden_ones(sets):
    full, free = sets
    labels = np.stack([np.where(data.rewards[:, None] > 0, data.actions + 0.5, data.actions - 0.25) for data in full])
    made = action_labels.filled(free, labels)
    known = ~transforms.hidden_rows(free[0])
    assert np.array_equal(made[0].actions[known], full[0].actions[known])
    assert np.allclose(made[0].actions[~known], labels[0][~known])
    found = action_labels.errors(full, free, labels)
    assert list(found) == ["random", "expert", "expert, paid"]
    assert np.allclose(found["expert, paid"], 0.5, atol=1e-6)
    hidden = transforms.hidden_rows(free[0]) & (
        np.array(full[0].facts["episode_quality"])[full[0].episode_of] == "expert"
    )
    share = (full[0].rewards[hidden] > 0).mean()
    assert found["expert"][0] == pytest.approx(0.5 * share + 0.25 * (1 - share), abs=1e-6)


def test_the_worst_episodes_alone_keep_their_actions(sets):
    full, _ = sets
    free, worst = action_labels.keep_worst(full[0], 0.35)
    assert len(worst.returns) == 3 and worst.returns.max() <= np.sort(full[0].returns)[2]
    assert (~transforms.hidden_rows(free)).sum() == 300 and len(free) == len(full[0])
    for share in (0.05, 1.0):
        with pytest.raises(ValueError, match=f"^share={share}: must be one that labels some of 10"):
            action_labels.keep_worst(full[0], share)


def test_distances_are_those_of_the_nearest_known_row_in_deviations(sets):
    _, free = sets
    inputs = np.zeros((1_000, 2))
    inputs[:200], inputs[200:400] = [-2.0, 0.0], [2.0, 0.0]  # the labelled rows: deviations 2 and 0
    inputs[500, 0], inputs[501, 0] = 3.0, -8.0
    assert action_labels.distances(free[0], inputs, [0, 500, 501, 502]).round(4).tolist() == [0.0, 0.5, 3.0, 1.0]


def test_forward_labels_undo_a_known_world():
    rng = np.random.default_rng(0)
    full = offline.build("point-maze-u", "random", 1_000, 1)
    free = transforms.hide_actions(full, range(5))
    before = rng.normal(size=(len(full), 2)).astype(np.float32)
    after = (before + 2 * full.actions).astype(np.float32)
    labels = action_labels.forward_labels([free], [before], [after], [0], salt=1, steps=400)
    hidden = transforms.hidden_rows(free)
    assert labels.shape == (1, 1_000, 2)
    assert np.abs(labels[0] - full.actions)[hidden].mean() < 0.1  # 0.6 for labels of 0


def test_errors_inside_a_mask_and_outside_it_are_of_hidden_steps_alone(sets):
    full, free = sets
    where = [np.zeros(data.actions.shape, bool) for data in full]
    where[0][:, 0] = True  # one axis of the first dataset
    labels = np.stack([data.actions for data in full])
    for wrong, hidden, mask in zip(labels, free, where, strict=True):
        wrong += np.where(mask, 0.5, 0.25)
        wrong[~transforms.hidden_rows(hidden)] = 99.0  # known: not counted
    found = action_labels.errors_where(full, free, labels, where)
    who = [np.array(data.facts["episode_quality"])[data.episode_of] for data in full]
    first, second = ((transforms.hidden_rows(data) & (w == "expert")).sum() for data, w in zip(free, who, strict=True))
    expected = {"share": first / (first + second) / 2, "error there": 0.5, "error elsewhere": 0.25}
    assert found["expert"] == pytest.approx(expected, abs=1e-6) and list(found) == ["random", "expert"]
    empty = action_labels.errors_where(full, free, labels, [np.zeros_like(mask) for mask in where])
    assert empty["expert"]["share"] == 0 and np.isnan(empty["expert"]["error there"])
