"""Steepness charts: numbers read back from a run, and the arms' looks."""

import numpy as np
import pytest

from rlkit.html import COLOURS
from rlkit.runs import Run
from rlkit.widgets import steepness_charts as charts

ARMS = ("many", "single")


@pytest.fixture
def run(tmp_path):
    made = Run.create("steep", {}, root=tmp_path)
    for call in range(2):
        for number, arm in enumerate(ARMS):
            numbers = np.arange(8.0).reshape(2, 4) + 10 * call + 100 * number
            row = {"kind": "result", "arm": arm, "slope": numbers, "state error": numbers, "value error": numbers}
            row |= {"score": numbers / 10 - 0.3}
            row |= {"V": np.full((2, 2, 3), -5.0 - number), "slope of V": np.ones((2, 2, 3))} if call == 0 else {}
            rows = [{"kind": "cell", "arm": arm, "cpu_seconds": 3.0 + call}, row]
            made.log_rollouts(2 * call + number, rows)
    return made


def test_calls_of_an_arm_are_joined_and_its_end_is_the_mean_of_three_looks(run):
    assert charts.results(run, "single", "slope").shape == (4, 4)
    np.testing.assert_array_equal(charts.ends(run, "many", "slope"), [2, 6, 12, 16])
    np.testing.assert_array_equal(charts.seconds(run, "single"), [3, 4])
    with pytest.raises(ValueError, match="it has no slope of 'none'"):
        charts.results(run, "none", "slope")


def test_the_table_has_means_errors_and_how_many_learned(run):
    html = charts.summary(run, ARMS)
    assert "9 ± 3" in html and "2 of 4" in html and "4 of 4" in html and "3.5" in html
    assert "0.7 ± 0.3" in html  # the last look's scores: 0, 0.4, 1 and 1.4


def test_seeds_that_learned_are_counted_over_arms(run):
    words = charts.learned(run, ARMS)
    assert "in all arms: 2; in some: 2; in none: 0." in words and words.endswith("1.00")


def test_pairs_are_compared_by_ratios_of_geometric_means_on_the_same_seeds(run):
    html = charts.pairs(run, [("single", "many")])
    many = np.array([2, 6, 12, 16.0])
    ratio = np.exp(np.log((many + 100) / many).mean())
    assert html.count(f"{ratio:.2f} (") == 3  # slope and both errors are the same numbers here
    assert "1.00 (1.00 to 1.00)" in html  # so one error for one of the other does not change
    assert "10.00 (10.00 to 10.00)" in html  # scores


def test_pictures_keep_the_look_of_an_arm(run):
    page = charts.page(run, ("absent", *ARMS), 100)
    assert page.count("<svg") == 3 and COLOURS[0] not in page and COLOURS[2] in page
    assert "many: -10; single: 0" in page  # paired, at the last look
    picture = charts.along(run, ARMS, "V", [-180, 0, 180], 1, 1, "V at 0")
    assert "many" in picture and "V at 0" in picture and COLOURS[1] in picture and "expert" not in picture
    assert "expert" in charts.along(run, ARMS, "V", [-180, 0, 180], 1, 1, "V at 0", [-3, 0, -3])


def test_scores_are_paired_on_the_seeds_that_both_arms_have(run):
    run.log_rollouts(9, [{"kind": "result", "arm": "many", "slope": np.ones((2, 4)), "score": np.full((2, 4), 1e3)}])
    assert "many: -10; single: 0" in charts.page(run, ARMS, 100)
    assert charts.page(run, ("many",), 100).count("no value to draw yet") == 1  # nobody to compare with so far


def test_the_steepest_slope_of_each_seed(run):
    html = charts.cliffs(run, ARMS, 1)
    assert html.count(">1 (0)<") == 4 and "seed 1" in html  # two arms, two seeds; V is the same everywhere
