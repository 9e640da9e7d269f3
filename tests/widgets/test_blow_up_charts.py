"""The charts of dual RL: what they say in words, and what they do with what is no number."""

import numpy as np
import pandas as pd
import pytest

from rlkit.widgets import blow_up_charts

ROWS = pd.DataFrame(
    {
        "arm": ["a"] * 4,
        "knob": [0.1, 0.1, 3.0, 3.0],
        "seed": [0, 1] * 2,
        "at": [[100, 200]] * 4,
        "size": [[5.0, 1e30], [7.0, 1e30], [1.0, 2.0], [3.0, 4.0]],
        "final": [0.0, 0.1, 0.5, 0.7],
    }
)


def test_growth_names_knobs_bounds_and_what_is_no_number():
    page = blow_up_charts.growth_page(ROWS, "a", 50)
    for words in ("knob 0.1", "knob 3", "largest return", "50, the largest", "500, from where", "beyond 10,000"):
        assert words in page
    assert ">6</td>" in page and ">3</td>" in page  # medians of 5 and 7, of 2 and 4
    assert "nan" not in page.lower() and "inf" not in page.lower()


def test_growth_waits_and_refuses():
    assert "still at work" in blow_up_charts.growth_page(ROWS.iloc[:0], "a", 50)
    assert "still at work" in blow_up_charts.growth_page(ROWS, "b", 50)
    with pytest.raises(ValueError, match="bound"):
        blow_up_charts.growth_page(ROWS, "a", 0)


def test_grid_goes_from_sharp_to_mild():
    page = blow_up_charts.knob_grid(ROWS, {"a": (0.1, 3.0)}, {"expert": 1.0}, "score")
    assert page.index("sharpest") < page.index("mildest")
    assert "sharpest 0.05" in page and "mildest 0.6" in page


def test_pull_is_the_slope_and_says_where_u_lies():
    pytest.importorskip("torch")
    seen = []

    def square(u, knob):  # its slope is 2 u
        seen.append(u)
        return knob * u.square().sum(-1)

    page = blow_up_charts.pull_chart(square, 3.0, np.array([1, 0, 3]), [-10, -6, 4, 10], "square")
    assert "75 % of u are within 5" in page  # the bin from 4 to 10 begins within
    assert seen[0].shape == (1, 401)
    with pytest.raises(ValueError, match="counts of shape"):
        blow_up_charts.pull_chart(square, 3.0, np.ones(2), [-10, -6, 4, 10], "square")
