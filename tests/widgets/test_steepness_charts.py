"""Steepness charts: numbers read back from a run, and the arms' looks."""

import numpy as np
import pytest

from rlkit.html import COLOURS
from rlkit.runs import Run
from rlkit.widgets import steepness_charts as charts

ARMS = ("many", "one")


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
    assert charts.results(run, "one", "slope").shape == (4, 4)
    np.testing.assert_array_equal(charts.ends(run, "many", "slope"), [2, 6, 12, 16])
    np.testing.assert_array_equal(charts.seconds(run, "one"), [3, 4])
    with pytest.raises(ValueError, match="it has no slope of 'none'"):
        charts.results(run, "none", "slope")


def test_the_table_has_means_errors_and_how_many_learned(run):
    html = charts.summary(run, ARMS)
    assert "9 ± 3" in html and "2 of 4" in html and "4 of 4" in html and "3.5" in html


def test_pictures_keep_the_look_of_an_arm(run):
    page = charts.page(run, ("absent", *ARMS), 100)
    assert page.count("<svg") >= 2 and COLOURS[0] not in page and COLOURS[2] in page
    picture = charts.along(run, ARMS, "V", [-180, 0, 180], 1, 1, "V at 0")
    assert "many" in picture and "V at 0" in picture and COLOURS[1] in picture
