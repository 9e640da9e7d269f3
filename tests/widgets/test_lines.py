"""Smoothing, statistics over seeds and their intervals, against the slow definitions."""

import numpy as np
import pytest
from scipy import stats

from rlkit.runs import Run
from rlkit.widgets import lines

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("window", [1, 3, 10, 1000])
def test_smooth_is_the_mean_over_the_last_window(window):
    values = RNG.normal(size=(40, 3))
    slow = [values[max(0, t + 1 - window) : t + 1].mean(axis=0) for t in range(40)]
    assert lines.smooth(values, window) == pytest.approx(np.array(slow))


def test_smooth_forgets_a_gap_once_the_window_has_left_it():
    values = np.ones((10, 2))
    values[3, 1] = np.nan
    smoothed = lines.smooth(values, 3)
    assert np.isnan(smoothed[:, 1]).tolist() == [False] * 3 + [True] * 3 + [False] * 4
    assert smoothed[:, 0].tolist() == [1.0] * 10


def test_smooth_refuses_a_window_that_is_none():
    with pytest.raises(ValueError, match="window=0: must be a positive integer"):
        lines.smooth(np.ones((3, 1)), 0)
    assert lines.smooth(np.ones((0, 2)), 10).shape == (0, 2)


@pytest.mark.parametrize("seeds", [2, 5, 30])
def test_the_mean_has_students_interval(seeds):
    values = RNG.normal(size=(4, seeds))
    low, high = lines.interval(values, "mean")
    for t in range(4):
        slow = stats.t.interval(0.95, seeds - 1, loc=values[t].mean(), scale=stats.sem(values[t]))
        assert (low[t], high[t]) == pytest.approx(slow)


def test_the_iqm_interval_covers_about_as_often_as_it_says():
    values = np.random.default_rng(1).normal(size=(1500, 10))  # each row an experiment whose true IQM is 0
    low, high = lines.interval(values, "IQM")
    assert 0.92 <= np.mean((low < 0) & (high > 0)) <= 0.99
    assert (low < lines.over_seeds(values, "IQM")).all()


def test_one_seed_has_no_interval_and_a_diverged_seed_is_not_left_out():
    assert np.isnan(lines.interval(np.ones((3, 1)), "mean")).all()
    values = np.ones((3, 4))
    values[1, 2] = np.inf
    for statistic in ("mean", "IQM"):
        assert np.isnan(lines.over_seeds(values, statistic)).tolist() == [False, True, False]
        assert np.isnan(lines.interval(values, statistic)[0]).tolist() == [False, True, False]


def test_iqm_cuts_a_quarter_from_each_end():
    assert lines.over_seeds([[0.0, 1.0, 3.0, 1000.0]], "IQM").tolist() == [2.0]
    assert lines.over_seeds([[0.0, 1.0, 3.0, 1000.0]], "mean").tolist() == [251.0]


def test_a_logged_standard_error_becomes_the_band(tmp_path):
    run = Run.create("bandit", root=tmp_path)
    for step in range(5):
        run.log(step, regret=float(step), regret_se=0.5)
    line, row = lines.summarise(run, "r", run.metric_names, "regret", "mean", 1, 100)
    assert line.high - line.y == pytest.approx(np.full(5, 0.98)) and line.y - line.low == pytest.approx(
        np.full(5, 0.98)
    )
    assert row == ("r", "running", "as logged", "4", "4", "3.02 to 4.98", "2")


def test_a_row_says_what_is_missing_and_what_diverged(tmp_path):
    run = Run.create("r", {"seeds": [0, 1]}, root=tmp_path)
    assert lines.summarise(run, "r", run.metric_names, "loss", "mean", 1, 100)[1] == (
        "r",
        "running",
        "–",
        "–",
        "–",
        "–",
        "–",
    )
    run.log(3, loss=[1.0, 3.0])
    assert lines.summarise(run, "r", run.metric_names, "loss", "mean", 1, 100)[1][2:5] == (2, "3", "2")
    run.log(4, loss=[1.0, float("nan")])
    row = lines.summarise(run, "r", run.metric_names, "loss", "mean", 1, 100)[1]
    assert row[4] == "1 of 2 not finite" and row[5] == "–" and row[6] == "2"


def test_a_run_is_called_by_its_name_unless_two_share_it(tmp_path):
    runs = [Run.create(name, {}, root=tmp_path) for name in ("a", "a", "b", "b")]
    assert lines.labels([runs[1], runs[3]]) == ["a", "b"]
    assert lines.labels(runs[:3]) == ["a", "a-2", "b"]
