"""A floor plan: walls where the maze has them, points and paths where they are in cells, words for who cannot see."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from rlkit import envs
from rlkit.widgets.floor_plan import TOP, floor_plan

MAZE = envs.PointMaze("u")  # 5 x 5 cells


def test_it_draws_each_wall_and_nothing_else_as_a_square():
    page = floor_plan(MAZE, "a <map>", cell=10)
    root = ElementTree.fromstring(page)
    squares = {(float(r.get("x")), float(r.get("y"))) for r in root.iter() if r.tag.endswith("rect")}
    assert squares == {(10.0 * column, TOP + 10.0 * row) for row, column in np.argwhere(MAZE.walls)}
    assert "a &lt;map&gt;" in page


def test_points_paths_and_places_lie_where_their_cells_say():
    points = {"first": np.array([[1.5, 1.25]]), "second": np.array([[3.0, 2.0], [2.0, 3.0]])}
    page = floor_plan(MAZE, "map", points=points, paths=[[[1.5, 1.5], [3.5, 1.5]]], places={"A": (3, 1)}, cell=20)
    assert "translate(30.0 45.0) scale(0.4)" in page and "translate(60.0 60.0) scale(0.4)" in page
    assert page.count("scale(0.4)") == 3
    assert 'd="M30.0 50.0L70.0 50.0"' in page and '<circle cx="30.0" cy="50.0"' in page
    assert re.search(r'<text x="30.0" y="94.0"[^>]*>A</text>', page)
    letter = page.index(">A</text>")  # after dots and paths, with a rim, so that nothing hides it
    assert letter > page.rindex("scale(0.4)") and letter > page.index("<circle") and "paint-order:stroke" in page
    described = ElementTree.fromstring(page)[1].text
    assert described == "1 points: first; 2 points: second; path 1 from x 1.5, y 1.5 to x 3.5, y 1.5"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"points": {"a": [[1.0, 2.0, 3.0]]}}, "points['a'].shape="),
        ({"points": {"a": np.zeros((0, 2))}}, "points['a']"),
        ({"paths": [[[1.0, np.nan]]]}, "paths[0][0, 1]=nan: must be finite"),
    ],
)
def test_what_is_no_point_is_named_in_one_line(given, words):
    with pytest.raises(ValueError, match=re.escape(words)) as raised:
        floor_plan(MAZE, "map", **given)
    assert "\n" not in str(raised.value)
