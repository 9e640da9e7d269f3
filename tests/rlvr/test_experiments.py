import numpy as np
import pytest

from rlkit import evaluations
from rlkit.measure import sweep
from rlkit.rlvr.experiments import at_matched, collect, curves
from rlkit.runs import Run, Step


def learner(gain):
    for step in range(3):
        rows = [{"kind": "sample", "reward": 1.0}]
        if step in (0, 2):
            rows.append(evaluations.row(["a", "b"], [step, 1], 4, at=step))
        yield Step(step, {"reward": gain * step} | ({"test_pass@1": 0.5} if step == 2 else {}), rows)


def test_a_sweep_of_collected_arms_is_read_back(tmp_path):
    def cell(arm, seed):
        return collect(learner(1 + seed), samples_of_step=[2], arm=arm, seed=seed)

    run = Run.create("arms", root=tmp_path)
    for step in sweep([{"arm": arm, "seed": seed} for arm in ("x", "y") for seed in (0, 1)], cell):
        run.record(step)
    found, samples, problems = evaluations.counts(run)
    assert samples == 4 and problems == ["a", "b"] and found["y"].tolist() == [[2, 1], [2, 1]]
    reward = curves(run, "reward")
    assert reward[(reward.arm == "y") & (reward.seed == 1)]["value"].tolist() == [0, 2, 4]
    assert curves(run, "test_pass@1")["step"].tolist() == [2, 2, 2, 2]
    assert run.series("reward")[1].ravel().tolist() == [2, 4, 2, 4]
    samples = run.rollouts()
    assert samples[samples.kind == "sample"]["at"].tolist() == [2, 2, 2, 2]
    with pytest.raises(ValueError, match="metric='loss'"):
        curves(run, "loss")


def test_a_learner_that_yields_nothing_is_refused():
    with pytest.raises(ValueError, match="yielded no step"):
        collect(iter(()))


def test_at_matched_by_hand():
    x = [[0.2, 0.4, 0.3, 0.6], [0.1, 0.2, 0.3, 0.4]]
    y = [[1.0, 3.0, 5.0, 7.0], [0.0, 1.0, 2.0, 3.0]]
    np.testing.assert_allclose(at_matched(x, y, 0.3), [2.0, 2.0])  # the first crossing, not the later one
    np.testing.assert_allclose(at_matched(x, y, [0.5, 0.15]), [5 + 2 * 2 / 3, 0.5])
    np.testing.assert_allclose(at_matched(x, y, 0.05), [1.0, 0.0])  # beyond the target from the start
    np.testing.assert_allclose(at_matched(x, y, 0.9), [7.0, 3.0])  # never there: where x is largest


def test_at_matched_keeps_a_last_axis():
    x = np.array([0.0, 1.0, 2.0])
    y = np.stack([x, 10 * x, -x], axis=-1)
    np.testing.assert_allclose(at_matched(x, y, 0.25), [0.25, 2.5, -0.25])
    many = at_matched(np.broadcast_to(x, (5, 3)), np.broadcast_to(y, (5, 3, 3)), np.linspace(0, 2, 5))
    np.testing.assert_allclose(many[:, 1], np.linspace(0, 20, 5))
    with pytest.raises(ValueError, match="must be"):
        at_matched(x, y[:2], 0.1)
