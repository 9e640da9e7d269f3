"""The map of a box: which cells are drawn where, in which colour, and what it refuses."""

import re

import numpy as np
import pytest

from rlkit.widgets.box_map import SIDE, TOP, box_map


def test_cells_lie_where_they_belong_and_y_is_upwards():
    values, shown = np.zeros(16), np.zeros(16, bool)
    values[[3, 12]], shown[[3, 12]] = [2.0, -1.0], True  # bottom right, top left
    found = box_map("a box", values, shown=shown, hatched=np.arange(16) == 12)
    cells = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="80.0" height="80.0" fill="rgba\((\d+),', found)
    assert cells == [("240.0", f"{TOP + 240:.1f}", "11"), ("0.0", f"{TOP:.1f}", "213")]
    assert found.count('stroke-opacity="0.45"') == 1 and "from -1 to 2" in found  # one hatched cell


def test_paths_end_in_a_disc():
    found = box_map("p", np.zeros(4), paths=[np.array([[-2.0, -2.0], [0.0, 1.0]])])
    assert f'M0.0 {TOP + SIDE:.1f}L{SIDE / 2:.1f} {TOP + SIDE / 4:.1f}"' in found
    assert f'cx="{SIDE / 2:.1f}" cy="{TOP + SIDE / 4:.1f}"' in found


@pytest.mark.parametrize("values, words", [(np.zeros(5), "square"), ([0.0, np.nan, 0.0, 0.0], "finite")])
def test_bad_values(values, words):
    with pytest.raises(ValueError, match=words):
        box_map("b", values)


def test_boxes_start_and_the_ends_of_the_colours():
    found = box_map("b", [0.0, 1.0, -3.0, 0.0], boxes=[(-2, -1, 0, 2)], start=(1.0, 0.0))
    lower_left, upper = f"M0.0 {TOP + SIDE * 0.75:.1f}", f"L{SIDE / 2:.1f} {TOP:.1f}L0.0 {TOP:.1f}Z"
    assert lower_left in found and upper in found
    assert f'd="M{SIDE * 0.75 - 5:.1f} {TOP + SIDE / 2:.1f}h10' in found
    assert "values from -3 to 1" in found and "full blue: 3; full orange: -3" in found
    assert "full blue: 9;" in box_map("b", np.zeros(4), top=9) and ">x<" in found and ">-2<" in found
