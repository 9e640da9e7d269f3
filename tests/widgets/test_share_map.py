"""Share maps: each number in its place, the largest y on top, bad input in one line."""

import re

import numpy as np
import pytest

from rlkit.widgets.share_map import share_map

FAINT = np.array([[True, False], [False, False]])


def test_each_share_stands_in_its_cell_and_deeper_blue_means_more():
    page = share_map([[0.0, 0.25], [0.5, 1.0]], [0.2, 0.4], [0.1, 0.9], "X", "Z", "PPO <X>", FAINT)
    found = re.findall(r'<text x="(\d+\.\d)" y="(\d+\.\d)"[^>]*text-anchor="middle" ?>(\d+)</text>', page)
    cells = {number: (float(x), float(y)) for x, y, number in found}
    assert cells["0"][0] == cells["50"][0] < cells["25"][0] == cells["100"][0]
    assert cells["100"][1] == cells["50"][1] < cells["0"][1] == cells["25"][1], "the larger y is higher up"
    assert re.findall(r'<g opacity="([\d.]+)">.*?>(\d+)</text></g>', page) == [
        ("0.25", "0"), ("1", "25"), ("1", "50"), ("1", "100")
    ]  # fmt: skip
    opacity = [float(a) for a in re.findall(r'fill="rgba\([\d,]+,(\d\.\d+)\)"', page)]
    assert opacity == sorted(opacity) and opacity[-1] > opacity[0]
    assert "PPO &lt;X&gt;" in page and "at most 100 %, at X 0.4, Z 0.9; at least 0 %" in page


@pytest.mark.parametrize(
    ("shares", "words"),
    [([[0.5, 1.5]], r"shares\[0, 1\]=1.5: must be in \[0, 1\]"), (np.zeros((2, 1)), r"must be \[1, 2\]")],
)
def test_bad_shares_are_refused(shares, words):
    with pytest.raises(ValueError, match=words):
        share_map(shares, [1.0, 2.0], [1.0], "X", "Z", "t", FAINT)
