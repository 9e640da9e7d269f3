"""Right labels lie on the diagonal, the words say how wrong the others are, and errors are sorted by distance."""

import re

import numpy as np
import pytest

from rlkit.widgets.action_dots import LEFT, SIZE, TOP, action_dots, error_by_distance


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
