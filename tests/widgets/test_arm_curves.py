"""arm_curves: one line per arm, mean and range over seeds, before, during and after a sweep."""

import re

import pytest

pytest.importorskip("torch")  # not among Colab's versions in tests/colab
from rlkit.rlvr.experiments import collect
from rlkit.runs import Run, Step
from rlkit.widgets.arm_curves import arm_curves

WORDS = {"reward": "share of right <answers>"}


@pytest.fixture
def run(tmp_path):
    return Run.create("arms", root=tmp_path)


def cell(run, number, arm, seed, values, name="reward"):
    """What one cell of a sweep leaves in its run: a row of its own, then those of `collect`."""
    metrics, rows = collect(iter([Step(i, {name: v}) for i, v in enumerate(values)]), arm=arm, seed=seed)
    run.record(Step(number, metrics, [{"arm": arm, "seed": seed, "cpu_seconds": 1.0}, *rows]))


def described(page):
    return re.search("<desc>(.*?)</desc>", page)[1]


def test_before_the_first_curve_it_says_so(run):
    assert "still at work" in arm_curves(run, WORDS)
    run.record(Step(0, {"x": 1.0}, [{"arm": "base", "seed": 0, "cpu_seconds": 1.0}]))
    assert "still at work" in arm_curves(run, WORDS)


def test_a_line_is_the_mean_over_seeds_and_the_smoothing_is_centred(run):
    cell(run, 0, "nft", 0, [0.0, 0.0, 0.3])
    cell(run, 1, "nft", 1, [0.2, 0.2, 0.5])
    cell(run, 2, "rft", 0, [1.0, 0.0, 0.0])
    page = arm_curves(run, WORDS, smoothing=1)
    assert "nft from 0.1 to 0.4, rft from 1 to 0" in described(page)
    assert page.count('fill-opacity="0.28"') == 1  # a band where there are two seeds
    assert "Means of" not in page
    assert "nft from 0.1 to 0.25, rft from 0.5 to 0" in described(arm_curves(run, WORDS, smoothing=3))


def test_arms_of_different_lengths_each_end_where_they_end(run):
    cell(run, 0, "long", 0, [0.1, 0.2, 0.3, 0.4])
    cell(run, 1, "short", 0, [0.5, 0.6])
    assert "long from 0.1 to 0.4, short from 0.5 to 0.6" in described(arm_curves(run, WORDS, smoothing=1))


def test_words_are_escaped_and_an_unknown_metric_is_named(run):
    cell(run, 0, "<b>", 0, [0.1, 0.2])
    page = arm_curves(run, WORDS)
    assert "<answers>" not in page and "<b>" not in page
    with pytest.raises(ValueError, match=r"metric='loss'.*reward"):
        arm_curves(run, {"loss": "loss"})
