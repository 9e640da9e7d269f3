"""Right labels lie on the diagonal, the words say how wrong the others are, and errors are sorted by distance."""

import re

import numpy as np
import pytest

from rlkit.html import COLOURS
from rlkit.widgets.action_dots import LEFT, SIZE, TOP, action_dots, dots_and_distance, error_by_distance


def dots(page):
    """Where the markers of opacity 0.5 stand: [N, 2]."""
    found = re.findall(r'<g opacity="0.5"><path [^>]*translate\(([\d.]+) ([\d.]+)\)', page)
    return np.array(found, dtype=float)


def test_a_right_label_lies_on_the_diagonal_and_a_wrong_one_does_not():
    page = action_dots([[-1.0], [0.0], [1.0], [1.0]], [[-1.0], [0.0], [1.0], [-1.0]], ["x push"])
    place = dots(page)
    on = np.isclose(place[:, 0] - LEFT, TOP + SIZE - place[:, 1], atol=0.2)
    assert on.tolist() == [True, True, True, False]
    assert "Mean |action - label|: 0.50" in page and "4 actions" in page


def test_each_axis_has_its_dots_and_its_name_and_text_is_escaped():
    page = action_dots(np.zeros((5, 2)), np.ones((5, 2)), ["<x>", "y"])
    assert len(dots(page)) == 10 and "&lt;x&gt;" in page and "<x>" not in page
    shapes = {outline: page.count(outline) for outline in re.findall(r'<g opacity="0.5"><path d="([^"]+)"', page)}
    assert list(shapes.values()) == [6, 6]  # five dots and the legend
    assert not any(colour in page for colour in COLOURS)  # colours tell methods


@pytest.mark.parametrize("labels", [np.zeros((3, 1)), np.zeros((2, 2)), np.full((3, 2), np.nan)])
def test_other_shapes_and_nan_are_refused(labels):
    with pytest.raises(ValueError, match="labels"):
        action_dots(np.zeros((3, 2)), labels, ["x", "y"])


def test_errors_are_means_of_equal_groups_by_distance():
    distance = np.array([9.0, 1.0, 8.0, 2.0])
    page = error_by_distance(distance, {"a": distance / 10, "b": np.zeros(4)}, parts=2)
    assert "a: 0.15 nearest, 0.85 farthest; b: 0.00 nearest, 0.00 farthest" in page
    with pytest.raises(ValueError, match=r"errors\['a'\] of shape \(3,\): must be \(4,\)"):
        error_by_distance(distance, {"a": np.zeros(3)}, parts=2)
    with pytest.raises(ValueError, match="at least 5"):
        error_by_distance(distance, {"a": np.zeros(4)})


def test_the_dots_are_of_one_group_and_spread_over_it_the_chart_of_all():
    far = np.arange(1000.0)
    labels = {"a": np.where(far >= 500, 0.5, 0.0)[:, None], "b": np.zeros((1000, 1))}
    near, other = (dots_and_distance(np.zeros((1000, 1)), labels, far, "a", part, ["x"], parts=2) for part in (1, 2))
    assert "300 actions" in near and "Mean |action - label|: 0.00" in near and "Mean |action - label|: 0.50" in other
    for page in (near, other):
        assert "a: 0.00 nearest, 0.50 farthest; b: 0.00 nearest, 0.00 farthest" in page
    ramp = {"a": far[:, None] / 1000}
    page = dots_and_distance(np.zeros((1000, 1)), ramp, far, "a", 1, ["x"], parts=2)
    heights = (TOP + SIZE / 2 - dots(page)[:, 1]) / (SIZE / 2)  # the labels drawn
    assert heights.min() < 0.02 and heights.max() > 0.48 and abs(heights.mean() - 0.25) < 0.03
    assert page == dots_and_distance(np.zeros((1000, 1)), ramp, far, "a", 1, ["x"], parts=2)
    with pytest.raises(ValueError, match="part=3: must be one of"):
        dots_and_distance(np.zeros((1000, 1)), labels, far, "a", 3, ["x"], parts=2)
