"""chance_dots against counts by hand, and what it refuses."""

import numpy as np
import pytest

from rlkit.widgets.chance_dots import chance_dots

BASE = np.array([0.5, 0.2, 0.2, 0.001, 0.0])
OTHER = np.array([0.9, 0.001, 0.3, 0.2, 1e-9])


def test_problems_are_counted_at_even_odds_within_k_tries():
    page = chance_dots(BASE, OTHER, 4, names=("base", "grpo"))  # 1 - (1 - q)^4 = 1/2 at q = 0.159
    assert "within 4 tries: both 2, base only 1, grpo only 1, neither 1, of 5 problems." in page
    assert "within 1 try: both 1, base only 0, grpo only 0, neither 4, of 5 problems." in chance_dots(
        BASE, OTHER, 1, names=("base", "grpo")
    )


def test_a_chance_of_even_odds_is_solved():
    assert "both 1," in chance_dots([0.5], [0.5], 1)


def test_one_mark_per_problem_inside_the_square():
    page = chance_dots(BASE, OTHER, 4)
    places = [tuple(map(float, part.split(")")[0].split())) for part in page.split("translate(")[1:]]
    assert len(places) == 5
    assert all(110 <= x <= 490 and 34 <= y <= 414 for x, y in places)
    assert places[4] == (110.0, 414.0)  # chances too small to draw stand in the corner
    assert places[0][0] > places[1][0] > places[3][0]
    assert places[0][1] < places[2][1] < places[1][1]


def test_kinds_are_told_apart_by_colour_and_shape_and_named_safely():
    page = chance_dots(BASE, OTHER, 4, kinds=["sums", "<b>", "sums", "sums", "<b>"])
    assert "sums" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    outlines = {part.split('" transform')[0] for part in page.split('<path d="')[1:] if "transform" in part}
    assert len(outlines) == 2


@pytest.mark.parametrize(
    ("base", "other", "k", "says"),
    [
        ([0.1], [0.1, 0.2], 1, "must both be"),
        ([], [], 1, "not empty"),
        ([0.1], [1.1], 1, "other=1.1"),
        ([float("nan")], [0.1], 1, "base"),
        ([0.1], [0.1], 0, "k=0"),
    ],
)
def test_what_is_no_chance_is_refused(base, other, k, says):
    with pytest.raises(ValueError, match=says):
        chance_dots(base, other, k)
