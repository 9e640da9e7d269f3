"""The value map against the numbers it was given: cells, arrows, hatching, walls, hostile text, wrong shapes."""

import re

import numpy as np
import pytest

from rlkit import envs, mdps
from rlkit.widgets.value_map import CELL, hatch, shade, value_map, value_maps, value_points

HOSTILE = "<script>alert(1)</script>"
CROSS = "S.G\n.#.\n..T"


@pytest.fixture(scope="module")
def world():
    return mdps.maze(CROSS, slip=0.0)


def words(page):
    return re.findall(r"<text[^>]*>([^<]*)</text>", page)


def turns(page):
    return [int(angle) for angle in re.findall(r"rotate\((-?\d+)\)", page)]


def test_each_cell_carries_its_number_and_letter(world):
    values = np.arange(world.states) / 8
    page = value_map(world, values, title="V")
    assert words(page) == ["V", "0", "S", "0.12", "0.25", "G", "0.38", "0.5", "0.62", "0.75", "0.88", "T"]
    assert "lowest 0 in row 0, column 0; highest 0.875 in row 2, column 2" in page
    assert page.count('fill-opacity="0.6"') == 1, "one wall"
    rows = [re.findall("<td[^>]*>([^<]*)</td>", row) for row in re.findall("<tr>(.*?)</tr>", page)]
    assert ["1", "2", "0.5"] in rows


def test_arrows_of_the_greedy_policy_point_where_it_goes(world):
    actions = np.array([1, 1, 0, 2, 0, 3, 1, 0])  # right right - down up left right -
    page = value_map(world, np.zeros(world.states), actions)
    assert turns(page) == [90, 90, 180, 0, 270, 90], "none in the goal and the trap"
    chances = np.zeros((world.states, 4))
    chances[:, [1, 2]] = 0.5
    assert turns(value_map(world, np.zeros(world.states), chances)) == [90, 180] * 6, "ties: both"


def test_the_optimum_stands_beside_on_the_same_scale(world):
    best, q = mdps.value_iteration(world)
    page = value_map(world, best / 2, mdps.greedy(q), optimum=best, title="learnt")
    assert page.count("<svg") == 2 and {"learnt", "optimum"} <= set(words(page))
    fills = re.findall(r"rgba\([\d,]+,([\d.]+)\)", page)
    assert max(map(float, fills[:8])) < max(map(float, fills[8:])) == 0.55


def test_cells_that_the_data_lacks_are_hatched_and_counted(world):
    seen = np.ones(world.states, bool)
    seen[[1, 4]] = False
    page = value_map(world, np.zeros(world.states), seen=seen, optimum=np.ones(world.states))
    assert hatch(CELL, 24, CELL) in page and "not in the data (2 of 8 cells)" in page
    assert page.count('stroke-opacity="0.45"') == 2, "the optimum is known everywhere"


def test_sign_and_size_have_their_colours():
    assert shade(1.0, (-2.0, 1.0)).startswith("rgba(11,120,184") and shade(-1.0, (-2.0, 1.0)).startswith(
        "rgba(213,94,0"
    )
    assert shade(-2.0, (-2.0, 1.0)).endswith(",0.55)") and shade(0.0, (-2.0, 1.0)).endswith(",0.05)")
    assert shade(10.0, (10.0, 20.0)).endswith(",0.05)") and shade(20.0, (10.0, 20.0)).endswith(",0.55)")
    assert shade(3.0, (3.0, 3.0)).endswith(")") and shade(0.0, (0.0, 0.0)).endswith(",0.05)")


def test_a_point_maze_is_asked_on_a_grid_inside_its_free_cells():
    maze = envs.simulator("point-maze-u")
    points = value_points(maze, per_cell=3)
    assert points.shape == (9 * (~maze.walls).sum(), 4) and not points[:, 2:].any()
    assert not maze.walls[points[:, 1].astype(int), points[:, 0].astype(int)].any()
    page = value_map(maze, points[:, 0], np.tile([0.0, 1.0], (len(points), 1)))  # the value is x, the push downwards
    numbers = [float(word) for word in words(page) if re.fullmatch(r"[\d.]+", word)]
    assert numbers == pytest.approx((np.argwhere(~maze.walls)[:, 1] + 0.5).tolist())
    assert turns(page) == [180] * len(numbers) and "G" in words(page)


def test_the_finite_maze_as_a_simulator_is_the_same_world(world):
    maze = envs.simulator("maze", layout=CROSS, slip=0.0)
    assert np.array_equal(value_points(maze), np.eye(8)) and value_points(maze).dtype == np.float32
    assert value_map(maze, np.arange(8.0)) == value_map(world, np.arange(8.0))


def test_the_slider_walks_over_snapshots_on_one_scale(world):
    view = value_maps(world, {100: np.full(8, 4.0), 0: np.full(8, 1.0)}, {s: np.ones(8, int) for s in (0, 100)})
    assert view.values() == {"snapshot": 1} and "value, step 100" in view.picture.value
    assert view.controls["snapshot"].description == "snapshot"
    view.controls["snapshot"].value = 0
    assert "value, step 0" in view.to_html() and "Colour: 1 to 4" in view.to_html()
    with pytest.raises(ValueError, match=r"snapshots={}: must be a dictionary"):
        value_maps(world, {})
    with pytest.raises(ValueError, match=r"policies=\[1\]: must be of the steps \[0\]"):
        value_maps(world, {0: np.zeros(8)}, {1: np.zeros(8)})


def test_hostile_titles_are_escaped(world):
    page = value_map(world, np.zeros(8), title=HOSTILE)
    assert "<script" not in page and "&lt;script" in page


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"values": np.zeros(7)}, r"values of shape \(7,\): must be \[8\]"),
        ({"values": np.zeros(32)}, r"values of shape \(32,\): must be \[8\]"),
        ({"values": np.full(8, np.nan)}, r"values\[0\]=nan: must be finite"),
        ({"values": np.zeros(8), "optimum": np.zeros(3)}, r"optimum of shape \(3,\)"),
        ({"values": np.zeros(8), "seen": np.ones(9)}, r"seen of shape \(9,\)"),
        ({"values": np.zeros(8), "policy": np.zeros((8, 2))}, r"policy of shape \(8, 2\): must be \[8\] or \[8, 4\]"),
    ],
)
def test_wrong_shapes_are_named(world, how, message):
    with pytest.raises(ValueError, match=message):
        value_map(world, **how)


def test_a_world_without_cells_is_refused():
    with pytest.raises(ValueError, match=r"world=.*must be a finite maze with positions, or a PointMaze"):
        value_map(object(), [1.0])
