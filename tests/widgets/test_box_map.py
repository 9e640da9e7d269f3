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
