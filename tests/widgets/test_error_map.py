"""The error map against the numbers it was given: colours, hatching, the worst cells, rank correlation, bad input."""

import re

import numpy as np
import pytest
from scipy.stats import spearmanr

from rlkit.widgets import error_map
from rlkit.widgets.error_map import rank_correlation

HOSTILE = "<script>alert(1)</script>"
X, Y = np.array([0.0, 1.0, 2.0, 4.0]), np.array([-2.0, 0.0, 2.0])
ERROR = np.array([[0.1, 0.2, 0.3], [0.4, 10.0, 0.001]])
DOUBT = np.array([[0.1, 0.1, 0.1], [0.3, 1.0, 0.0]])


def cells(page):
    return [re.findall("<td[^>]*>([^<]*)</td>", row) for row in re.findall("<tr>(.*?)</tr>", page)]


def test_the_worst_cells_stand_in_the_table_where_they_are():
    page = error_map(X, Y, ERROR, DOUBT, np.array([[1.5, 1.0], [1.2, 0.5], [3.0, -1.0]]), ("a", "b"))
    rows = cells(page)
    assert rows[1] == ["1", "1.5", "1", "10", "1", "2"], "middle of x, of y, error, doubt, rows of data"
    assert rows[2] == ["2", "0.5", "1", "0.4", "0.3", "0"] and rows[3] == ["3", "3", "-1", "0.3", "0.1", "1"]
    assert len(re.findall(r"<text[^>]*>5</text>", page)) == 2, "numbered in both maps"
    assert rows[-2:] == [["with data", "2", "5.15", "0.55"], ["without data", "4", "0.175", "0.125"]]


def test_cells_without_data_are_hatched_in_both_maps_and_rows_outside_are_counted():
    page = error_map(X, Y, ERROR, DOUBT, [[0.5, 1.0], [9.0, 0.0]])
    assert "Hatched: no data (5 of 6 cells)" in page and "Rows of data outside the map: 1." in page
    assert page.count('stroke-opacity="0.45"') == 10
    assert "Hatched" not in error_map(X, Y, ERROR, DOUBT) and "rows of data" not in error_map(X, Y, ERROR, DOUBT)


def test_both_maps_have_one_logarithmic_scale():
    page = error_map(X, Y, ERROR, DOUBT)
    fills = [float(f) for f in re.findall(r"rgba\([\d,]+,([\d.]+)\)", page)]
    share = np.clip(np.log10(np.concatenate([ERROR.ravel(), np.maximum(DOUBT.ravel(), 1e-9)]) / 0.1) / 2, 0, 1)
    np.testing.assert_allclose(fills, 0.05 + 0.5 * share, atol=0.006)
    assert "0.1 or less is faintest, 10 strongest" in page and page.count('role="img"') == 2


def test_a_dot_says_wrong_and_sure():
    page = error_map(X, Y, ERROR, DOUBT)  # 0.3 of 0.1, 10 of 1 and 0.001 of 0; 0.2 of 0.1 is no more than twice
    assert "Dot: error above 2 times the doubt (3 of 6 cells)" in page and page.count("<circle") == 6


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 9, 60)  # ties
    b = a + rng.integers(0, 9, 60)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_correlation(np.exp(a), a) == pytest.approx(1) and rank_correlation(-a, a) == pytest.approx(-1)
    assert np.isnan(rank_correlation(np.ones(5), np.arange(5)))


def test_the_page_says_the_rank_correlation_or_that_there_is_none():
    assert "error and doubt over cells: 1 (" in error_map(X, Y, ERROR, ERROR**2)
    assert "error and doubt over cells: – (" in error_map(X, Y, ERROR, np.zeros((2, 3)))


def test_a_perfect_model_is_drawn_too():
    page = error_map(X, Y, np.zeros((2, 3)), np.zeros((2, 3)), [[0.5, 1.0]])
    assert "0 of 6 cells" in page and page.count('role="img"') == 2


def test_the_picture_says_in_words_where_it_is_largest():
    page = error_map(X, Y, ERROR, DOUBT, labels=("angle", "speed"), title="one step")
    assert "one step: 0.001 to 10, the largest at angle 1.5, speed 1" in page
    assert "the model&#x27;s own doubt: 0 to 1, the largest at angle 1.5, speed 1" in page


def test_hostile_words_are_escaped():
    page = error_map(X, Y, ERROR, DOUBT, labels=(HOSTILE, HOSTILE), title=HOSTILE)
    assert "<script" not in page and "&lt;script" in page


BAD = [
    (dict(error=np.zeros((3, 2))), r"error of shape \(3, 2\): must be \[2, 3\], the cells of the edges"),
    (dict(doubt=np.zeros((2, 2))), r"doubt of shape \(2, 2\): must be \[2, 3\]"),
    (dict(error=np.where(ERROR > 1, np.nan, ERROR)), r"error\[1, 1\]=nan: must be finite"),
    (dict(doubt=-DOUBT), r"min\(doubt\)=-1.0: must be at least 0"),
    (dict(x_edges=[0.0, 2.0, 1.0, 3.0]), r"x_edges=.*: must be at least two numbers, each larger"),
    (dict(y_edges=[0.0]), r"y_edges=\[0.0\]: must be at least two numbers"),
    (dict(data=np.zeros((4, 3))), r"data of shape \(4, 3\): must be \[N, 2\], x and y"),
]


@pytest.mark.parametrize(("changed", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_gives_one_line_that_names_argument_and_value(changed, message):
    with pytest.raises(ValueError, match=message) as error:
        error_map(**(dict(x_edges=X, y_edges=Y, error=ERROR, doubt=DOUBT) | changed))
    assert "\n" not in str(error.value)
