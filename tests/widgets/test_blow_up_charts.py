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


def test_knobs_have_the_name_of_their_arm():
    names = [blow_up_charts.knob_name(arm, 0.5) for arm in ("XQL, published", "IQL", "chi-square")]
    assert names == ["β 0.5", "τ 0.5", "λ 0.5"]


def test_growth_names_knobs_bounds_and_what_is_no_number():
    page = blow_up_charts.growth_page(ROWS, "a", 50)
    for words in ("λ 0.1", "λ 3", "50: largest return", "500: blown up", "λ 0.1: no number", ">no number</td>"):
        assert words in page
    assert "λ 3: no number" not in page and "beyond 10,000" not in page
    assert ">6</td>" in page and ">3</td>" in page  # medians of 5 and 7, of 2 and 4
    assert "nan" not in page.lower() and "inf" not in page.lower()
    large = ROWS.assign(size=[[1.0, 2e4]] * 4)
    assert "beyond 10,000" in blow_up_charts.growth_page(large, "a", 50)


def test_growth_waits_and_refuses():
    assert "still at work" in blow_up_charts.growth_page(ROWS.iloc[:0], "a", 50)
    assert "still at work" in blow_up_charts.growth_page(ROWS, "b", 50)
    with pytest.raises(ValueError, match="bound"):
        blow_up_charts.growth_page(ROWS, "a", 0)


def test_grid_goes_from_sharp_to_mild_and_names_all_knobs_of_a_column():
    arms = {"a": (None, (0.1, 3.0), None), "XQL, published": (None, (0.2, 2.0), None)}
    page = blow_up_charts.knob_grid({"slice": ROWS, "full": ROWS}, arms, {"expert": 1.0})
    assert page.index("slice: score") < page.index("full: score")
    assert page.index("λ 0.1 β 0.2") < page.index("λ 3 β 2")
    assert "λ 0.1 β 0.2 0.05, λ 3 β 2 0.6" in page  # the means of arm a
    assert "publ." not in page  # these rows lack that arm


def test_pull_is_the_slope_and_says_where_u_lies():
    pytest.importorskip("torch")
    seen = []

    def square(u, knob):  # its slope is 2 u
        seen.append(u)
        return knob * u.square().sum(-1)

    page = blow_up_charts.pull_chart(square, 3.0, np.array([1, 0, 3]), [-10, -6, 4, 10], "square")
    assert "75 % of u are within 5" in page  # the bin from 4 to 10 begins within
    assert "0 % lie where the pull is 0" in page
    assert seen[0].shape == (1, 401)
    with pytest.raises(ValueError, match="counts of shape"):
        blow_up_charts.pull_chart(square, 3.0, np.ones(2), [-10, -6, 4, 10], "square")


def test_pull_page_sums_seeds_and_says_what_is_not_heard():
    pytest.importorskip("torch")
    arms = {"XQL, flat": (lambda u, knob: knob * u.clamp(max=1.0).sum(-1), (3.0, 0.5), None)}
    rows = pd.DataFrame({"arm": ["XQL, flat"] * 3, "knob": [0.5, 0.5, 3.0], "histogram": [[1, 0], [2, 1], [9, 9]]})
    page = blow_up_charts.pull_page(rows, arms, ["XQL, flat"], 1, [-2, 0, 8])
    assert "XQL, flat, β 0.5: " in page and "25 % lie where the pull is 0" in page  # 1 of 1 + 2 + 1
