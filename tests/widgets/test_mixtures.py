"""Stacked shares and the triangle against places by hand, and what they refuse."""

import re

import numpy as np
import pytest

from rlkit.widgets.mixtures import stacked_shares, triangle

NAMES = ("code", "prose", "direct")
PATH = np.array([[0.5, 0.3, 0.2], [0.7, 0.25, 0.05], [0.9, 0.1, 0.0]])


def test_an_area_is_as_high_as_its_share():
    page = stacked_shares({"one": PATH}, NAMES)
    areas = [re.findall(r"[\d.]+ [\d.]+", d) for d in re.findall(r'<path d="M([^"]+)Z" fill="#', page)]
    assert len(areas) == 3
    places = [[tuple(map(float, point.split())) for point in area] for area in areas]
    bottom, whole = places[0][0][1], 96
    for part, points in enumerate(places):
        low, high = points[:3], points[3:][::-1]  # along the bottom, then back along the top
        for step in range(3):
            assert low[step][1] - high[step][1] == pytest.approx(whole * PATH[step, part], abs=0.11)
            assert bottom - low[step][1] == pytest.approx(whole * PATH[step, :part].sum(), abs=0.11)
    assert places[0][0][0] < places[0][1][0] < places[0][2][0]


def test_areas_are_named_where_there_is_room_and_numbers_stand_in_a_table():
    page = stacked_shares({"one": PATH, "two": PATH[::-1]}, NAMES, steps=[0, 10, 60])
    assert page.count(">code</text>") == 2
    assert ">direct</text>" not in stacked_shares({"one": [[0.9, 0.1, 0.0], [0.9, 0.1, 0.0]]}, NAMES)
    assert "<td" in page
    assert "90.0 %" in page
    assert "From below: code, prose, direct; empty: anything else. Steps 0 to 60, from left to right." in page


def test_labels_are_escaped():
    for page in (stacked_shares({"<b>": PATH}, ("<i>", "b", "c")), triangle({"<b>": PATH}, ("<i>", "b", "c"))):
        assert "&lt;b&gt;" in page
        assert "<b>" not in page
        assert "<i>" not in page


def test_the_corners_and_the_middle_of_the_triangle():
    corners = np.stack([np.repeat([row], 2, axis=0) for row in np.eye(3)])  # [3, 2, 3]
    page = triangle({"corners": corners, "middle": np.full((2, 3), 1 / 3)}, NAMES)
    ends = [tuple(map(float, at.split())) for at in re.findall(r"translate\(([\d. ]+)\)", page)]
    (x0, y0), (x1, y1), (x2, y2), middle = [at for at in ends if at[0] < 480 or at[1] > 60][-4:]
    assert (y0, x1) == (y2, pytest.approx((x0 + x2) / 2, abs=0.1))
    assert y1 < y0
    assert x0 < x1 < x2
    assert middle == pytest.approx(((x0 + x1 + x2) / 3, (y0 + y1 + y2) / 3), abs=0.1)
    assert page.count("<circle") == 4  # a ring for each path's start


def test_paths_that_end_in_a_corner_are_counted():
    page = triangle({"a": np.stack([PATH, PATH[::-1]]), "b": PATH}, NAMES)
    assert "a: 1 of 2 end with one part at 85 % or more; b ends at code 90 %, prose 10 %, direct 0 %." in page
    assert "a: 0 of 2 end with one part at 95 % or more" in triangle({"a": np.stack([PATH] * 2)}, NAMES, corner=0.95)


def test_shares_are_scaled_in_the_triangle():
    whole, half = (re.findall(r"translate\(([\d. ]+)\)", triangle({"a": x * PATH}, NAMES)) for x in (1, 0.5))
    assert whole == half


@pytest.mark.parametrize(
    ("panels", "steps", "says"),
    [
        ({}, None, "panels"),
        ({"one": PATH[:, :2]}, None, "must be"),
        ({"one": -PATH}, None, "at least 0"),
        ({"one": 2 * PATH}, None, "in sum"),
        ({"one": PATH}, [0, 1], "rising numbers"),
        ({"one": PATH}, [0, 2, 1], "rising numbers"),
        ({"one": PATH * np.nan}, None, "shares of one"),
    ],
)
def test_what_is_no_mixture_is_refused(panels, steps, says):
    with pytest.raises(ValueError, match=says):
        stacked_shares(panels, NAMES, steps)


@pytest.mark.parametrize(
    ("paths", "names", "corner", "says"),
    [
        ({}, NAMES, 0.85, "paths"),
        ({"a": PATH}, NAMES[:2], 0.85, "three names"),
        ({"a": PATH}, NAMES, 0.5, "corner"),
        ({"a": PATH[:, :2]}, NAMES, 0.85, "must be"),
    ],
)
def test_what_is_no_path_is_refused(paths, names, corner, says):
    with pytest.raises(ValueError, match=says):
        triangle(paths, names, corner=corner)
