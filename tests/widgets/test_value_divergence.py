"""The monitor of large values: when a seed counts as blown up, what the picture says, live and with several arms."""

import re

import numpy as np
import pytest

from rlkit.runs import Run
from rlkit.widgets import LiveView, value_divergence
from rlkit.widgets.value_divergence import blown_up, told

STEPS = np.arange(100, 1_100, 100)


def logged(root, columns: dict, **config):
    """A run with ten steps, one column [10, S] for each metric."""
    run = Run.create("r", config, root=root)
    for k, step in enumerate(STEPS):
        run.log(int(step), **{name: values[k] for name, values in columns.items()})
    return run


def cells(page):
    return [re.findall("<td[^>]*>([^<]*)</td>", row) for row in re.findall("<tr>(.*?)</tr>", page)]


def grown(*last):
    """|Q| of seeds that grow by a constant factor from 1 to their last value: [10, S]."""
    return np.array(last, dtype=float) ** (np.arange(10) / 9)[:, None]


def test_beyond_three_bounds_or_no_number_is_blown_up_since_its_first_step():
    sizes = np.ones((10, 4))
    sizes[4:, 1], sizes[7, 2], sizes[9, 3] = 31, np.inf, 30
    assert blown_up(STEPS, sizes, 10.0) == [None, 500, 800, None]


def test_without_a_bound_tenfold_growth_over_the_first_fourth_counts():
    sizes = np.ones((10, 4))
    sizes[:2, 0], sizes[6:, 0] = 2, 20  # ten times, no more
    sizes[:2, 1], sizes[6:, 1] = 2, 20.5
    sizes[:2, 2], sizes[6:, 2] = 0, 50  # nothing to compare with
    sizes[9, 3] = np.inf
    assert blown_up(STEPS, sizes) == [None, 700, None, 1_000]
    assert blown_up(STEPS[:7], sizes[:7]) == [None] * 4, "seven looks are too few"


def test_how_many_and_since_when_in_words():
    assert told([None, 4_000, 5_000, None, 4_500]) == "Blown up in 3 of 5 seeds, the first since step 4,000."
    assert told([None, 100]) == "Blown up in 1 of 2 seeds, since step 100."
    assert told([None]) == "Blown up in none of 1 seed."


def test_a_calm_run_has_a_plain_scale_and_its_numbers(tmp_path):
    run = logged(tmp_path, {"q": np.tile([-5.0, 4.0, 3.0], (10, 1))}, seeds=[7, 8, 9])
    page = value_divergence(run, bound=10)
    assert "Blown up in none of 3 seeds. Blown up: |Q| is above 30, 3 times the bound, or no number." in page
    assert ">|Q|</text>" in page and "log10" not in page
    assert cells(page)[1:] == [["7", "5", "5", "–"], ["8", "4", "4", "–"], ["9", "3", "3", "–"]], "absolute"
    for label in ("mean over seeds", "largest seed", "10: bound", "30: 3 times the bound"):
        assert f">{label}</text>" in page


def test_an_exploding_run_has_a_logarithmic_scale_and_marks_what_is_no_number(tmp_path):
    q = grown(4.0, 1e6)
    q[8:, 1] = np.nan
    page = value_divergence(logged(tmp_path, {"q": q}, seeds=[0, 1]), bound=10)
    assert "Blown up in 1 of 2 seeds, since step 400." in page  # 10^2 > 30 at look 3
    assert "log10 of |Q|" in page and ">largest seed: no number</text>" in page and "Marks at the top" in page
    assert cells(page)[2] == ["1", "no number", "no number", "400"]
    assert "nan" not in page.lower() and ">inf" not in page


def test_no_number_at_all_is_said(tmp_path):
    page = value_divergence(logged(tmp_path, {"q": np.full((10, 2), np.nan)}))
    assert "Blown up in 2 of 2 seeds, the first since step 100." in page and "nan" not in page.lower()


def test_the_largest_comes_from_q_max_where_it_is_logged(tmp_path):
    both = logged(tmp_path, {"q": grown(2.0, 2.0), "q_max": grown(2.0, 900.0)})
    assert "Blown up in 1 of 2 seeds" in value_divergence(both, bound=10)
    alone = logged(tmp_path, {"q_max": grown(2.0, 900.0)})
    assert "Blown up in 1 of 2 seeds" in value_divergence(alone, bound=10)
    other = logged(tmp_path, {"value": grown(900.0, 900.0)})
    assert "Blown up in 2 of 2 seeds" in value_divergence(other, bound=10, metric="value")


def test_arms_are_told_apart(tmp_path):
    rows = [{"arm": "<b>", "seed": 3}, {"arm": "RAVL", "seed": 3}, {"arm": "<b>", "seed": 4}]
    page = value_divergence(logged(tmp_path, {"q": grown(900.0, 2.0, 4.0)}, rows=rows), bound=10)
    assert "&lt;b&gt;: Blown up in 1 of 2 seeds, since step 600. RAVL: Blown up in none of 1 seed." in page
    assert "<b>" not in page.replace("<b></b>", "") and ">RAVL: largest seed</text>" in page
    assert cells(page)[1:] == [
        ["&lt;b&gt;", "3", "900", "900", "600"],
        ["&lt;b&gt;", "4", "4", "4", "–"],
        ["RAVL", "3", "2", "2", "–"],
    ]


def test_it_waits_and_follows_a_run(tmp_path):
    run = Run.create("r", {"seeds": [0, 1]}, root=tmp_path)
    view = LiveView(run, lambda run: value_divergence(run, bound=1))
    assert "q is not logged yet" in view.picture.value
    run.log(5, q=[1.0, 8.0])
    run.finish()
    assert "Blown up in 1 of 2 seeds, since step 5." in view.picture.value
    assert view.picture.value in view.to_html()


@pytest.mark.parametrize("bound", [0, -1, np.nan, "x"])
def test_a_bound_that_is_none_is_refused(tmp_path, bound):
    with pytest.raises(ValueError, match=r"^bound=.*: must be a finite number above 0$"):
        value_divergence(Run.create("r", {}, root=tmp_path), bound=bound)
