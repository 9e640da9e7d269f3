"""Edge-of-reach states counted by hand, true values in closed form, and the failure itself against true values."""

import numpy as np
import pytest
import torch

from rlkit import envs, offline
from rlkit.model_based import Exact, edge_of_reach, imagine, train_in
from rlkit.offline.rows import generator
from rlkit.runs import Run

NAMES = ("Q", "true", "within")


def counted(seeds=(0,), remember=3, cells=40):
    world = envs.simulator("point-box")
    logs = [offline.build(world, "random", 60, seed) for seed in seeds]
    return edge_of_reach.Counted(Exact(world), logs, seeds, remember=remember, cells=cells), logs


def test_dreams_to_the_left_leave_their_last_cell_at_the_edge():
    model, _ = counted(cells=20)  # a cell is as wide as a step
    starts = torch.tensor([[[-0.71, 1.5]]])
    imagine(model, lambda seen: torch.tensor([[[-1.0, 0.0]]]), starts, 3, [generator(0, "dreams")])
    path = torch.tensor([[[-0.71, 1.5], [-0.91, 1.5], [-1.11, 1.5], [-1.31, 1.5], [-1.51, 1.5]]])
    assert model.edge(path).tolist() == [[False, False, False, True, True]]
    within, edge = model.ever()
    number = model.cell(path)[0]
    assert within[0, number].tolist() == [True] * 3 + [False] * 2 and edge[0, number].tolist() == [False] * 3 + [1, 0]
    imagine(model, lambda seen: torch.zeros(1, 1, 2), torch.zeros(1, 1, 2), 3, [generator(0, "dreams")])
    assert model.edge(path).tolist() == [[True] * 5], "the dream left the buffer"
    assert model.ever()[0][0, number].tolist() == within[0, number].tolist(), "what ever was is remembered"


def test_cells_of_the_log_are_never_at_the_edge():
    model, logs = counted((0, 1))
    for row, log in enumerate(logs):
        seen = np.broadcast_to(log.observations, (2, *log.observations.shape))
        assert not model.edge(seen)[row].any()
        assert set(np.flatnonzero(model.left[row] == np.inf)) == set(model.cell(log.observations))
    assert (model.left[0] != model.left[1]).any()


def test_a_cell_holds_its_own_middle():
    model, _ = counted()
    assert model.cell(model.centres()).tolist() == list(range(1600))
    assert model.centres()[[0, 1, 40]] == pytest.approx(np.array([[-1.95, -1.95], [-1.85, -1.95], [-1.95, -1.85]]))


def test_true_values_in_closed_form():
    world, discount = envs.simulator("point-box"), 0.9
    right = lambda seen: torch.cat([torch.ones_like(seen[..., :1]), torch.zeros_like(seen[..., :1])], -1)  # noqa: E731
    starts = torch.tensor([[[0.3, 0.0], [1.5, 0.0]], [[0.6, 0.0], [0.75, 0.0]]])
    found = edge_of_reach.true_values(world, right, starts, discount)
    expected = [[1 + discount + discount**2 * 0.5, 0], [1 + discount * 0, 0.25]]
    np.testing.assert_allclose(found, expected, atol=2e-6)
    still = edge_of_reach.true_values(world, torch.zeros_like, starts, discount)
    np.testing.assert_allclose(still, [[11 / 12 * 10, 0], [10, 10]], rtol=1e-5)


def test_the_patch_changes_targets_at_the_edge_alone():
    model, logs = counted((0, 1))
    captured = {}

    def both(learner, batch):
        learner.noise = lambda *shape: torch.zeros(2, *shape)
        captured["usual"] = learner.target(batch, learner.noise(batch.rewards.shape[1], 2))
        captured["patched"] = edge_of_reach.patched(model)(learner, batch)
        captured["edge"] = model.edge(batch.next_observations)
        drawn = [np.random.default_rng(seed) for seed in (0, 1)]
        captured["elsewhere"] = edge_of_reach.patched(model, drawn)(learner, batch)
        true = edge_of_reach.true_values(model.model.simulator, learner.prefer, batch.next_observations, 0.99)
        captured["true"] = batch.rewards + 0.99 * true
        raise StopIteration

    with pytest.raises(RuntimeError):  # a generator turns StopIteration into it: one update's targets are enough
        next(train_in(model, logs, (0, 1), steps=1, horizon=3, rollouts=20, target=both))
    edge = captured["edge"]
    assert 0 < edge.mean() < 1
    np.testing.assert_array_equal(captured["patched"][~edge], captured["usual"][~edge])
    np.testing.assert_array_equal(captured["patched"][edge], captured["true"][edge])
    np.testing.assert_array_equal(captured["elsewhere"][edge], captured["usual"][edge])
    changed = (captured["elsewhere"] != captured["usual"]).numpy()
    assert changed.sum(1).tolist() == np.minimum(edge.sum(1), (~edge).sum(1)).tolist()
    np.testing.assert_array_equal(captured["elsewhere"][changed], captured["true"][changed])


def test_the_table_of_ends(tmp_path):
    run = Run.create("ends", {}, root=tmp_path)
    rows = [
        {"return": [1.0, 5.0, 2.0], "largest": [10.0, 20.0, 90.0], "above": 1.0, "cells": 10, "edge": 5, "auc": 0.5},
        {"return": [1.0, 7.0, 4.0], "largest": [10.0, 30.0, 150.0], "above": 3.0, "cells": 20, "edge": 5, "auc": 0.7},
    ]
    run.log_rollouts(0, [{"kind": "result", "arm": "base", "seed": seed} | row for seed, row in enumerate(rows)])
    found = edge_of_reach.at_the_end(run, 100.0).loc["base"].to_dict()
    expected = {"return": 3, "lowest seed": 2, "highest seed": 4, "largest |Q|": 120, "Q - true": 2}
    expected |= {"seeds above 100": 1, "cells": 15, "edge": 5, "auc": 0.6, "edge share": 0.375}
    expected |= {"best return": 6, "at look": 2, "|Q| then": 25}
    assert found == pytest.approx(expected)


def test_area_under_the_curve():
    assert edge_of_reach.area_under_curve([3, 4, 1, 2], [True, True, False, False]) == 1
    assert edge_of_reach.area_under_curve([1, 1, 1], [True, False, False]) == 0.5
    scores, positive = np.random.default_rng(0).normal(size=40).round(1), np.arange(40) % 3 == 0
    pairs = scores[positive][:, None] - scores[~positive]
    assert edge_of_reach.area_under_curve(scores, positive) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    with pytest.raises(ValueError, match="both kinds"):
        edge_of_reach.area_under_curve([1, 2], [True, True])


@pytest.mark.slow
def test_short_dreams_overestimate_and_an_ensemble_does_not():
    """Learnt against true Q of the learnt policy, on the states it was trained on: base far above, RAVL near."""
    world, seeds, above = envs.simulator("point-box"), [1003, 1004], {}
    logs = [offline.build(world, "random", 1_000, seed) for seed in seeds]
    for arm, options in {"base": {}, "RAVL": {"critics": 10, "diversity": 1.0}}.items():
        model, kept = edge_of_reach.Counted(Exact(world), logs, seeds, remember=50), []
        options = options | {"horizon": 5, "retain": 10, "polyak": 0.05, "evaluate_every": 1_500, "episodes": 1}
        for _ in train_in(
            model, logs, seeds, steps=1_500, watch=lambda soft, step, kept=kept: kept.append(soft) or {}, **options
        ):
            pass
        found = edge_of_reach.beliefs(kept[-1], model)
        above[arm] = [
            float((q - true)[within].mean()) for q, true, within in zip(*(found[n] for n in NAMES), strict=True)
        ]
        for row, summary in enumerate(edge_of_reach.summaries(found)):
            known = found["within"][row] | found["edge"][row]
            assert (summary["cells"], summary["edge"]) == (known.sum(), found["edge"][row].sum())
            assert summary["above"] == pytest.approx((found["Q"] - found["true"])[row][known].mean(), rel=1e-5)
            assert found["largest"][row] == np.abs(found["Q"][row][known]).max() and 0 < summary["auc"] < 1
    assert min(above["base"]) > 100, "more than the largest true value, 1 / (1 - 0.99)"
    assert max(above["RAVL"]) < min(above["base"]) / 2
