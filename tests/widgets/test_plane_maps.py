"""Plane maps: one cell for each value, colours by sign, ranges in words, shapes checked."""

import re

import numpy as np
import pytest

from rlkit.widgets.plane_maps import plane_maps
from rlkit.widgets.value_map import shade

X, Y = np.linspace(0, 3, 4), np.linspace(0, 1, 3)
VALUES = np.array([[0.0, 1.0, 2.0], [-1.0, 4.0, 0.5]])


def test_cells_ranges_and_the_band():
    page = plane_maps({"error": VALUES, "change": -VALUES}, X, Y, ("x", "power"), band=(1, 2), words="a < b")
    assert page.count("<rect") == 12 and page.count("<svg") == 2
    assert page.count("stroke-dasharray") == 4, "two lines in each map"
    assert "-1 to 4" in page and "-4 to 1" in page and "a &lt; b" in page
    fills = re.findall(r'<rect[^>]*fill="([^"]+)"', page)
    assert fills[:6] == [shade(value, (-1.0, 4.0)) for value in VALUES.ravel()]
    assert "error: -1 to 4, the largest near 1 x, 0.5 power" in page


def test_a_map_above_0_is_palest_at_0_not_at_its_smallest():
    fills = re.findall(r'<rect[^>]*fill="([^"]+)"', plane_maps({"r": 4 + 0 * VALUES}, X, Y, ("x", "y")))
    assert set(fills) == {shade(4.0, (0.0, 4.0))}


def test_maps_of_a_group_share_their_colours_and_keep_their_own_ranges():
    page = plane_maps({"a": VALUES, "b": VALUES / 2, "c": VALUES / 2}, X, Y, ("x", "y"), shared=[("a", "b")])
    fills = re.findall(r'<rect[^>]*fill="([^"]+)"', page)
    assert fills[6:12] == [shade(value, (-1.0, 4.0)) for value in VALUES.ravel() / 2], "b by the scale of a"
    assert fills[12:] == [shade(value, (-0.5, 2.0)) for value in VALUES.ravel() / 2] == fills[:6]
    assert page.count("-0.5 to 2") >= 2 and "-1 to 4" in page


@pytest.mark.parametrize(
    ("values", "words"), [(VALUES.T, r"must be \[2, 3\], the cells"), (VALUES * np.nan, "must be finite")]
)
def test_bad_values_are_refused_in_one_line(values, words):
    with pytest.raises(ValueError, match=words):
        plane_maps({"r": values}, X, Y, ("x", "y"))
