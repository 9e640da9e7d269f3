"""Rate charts: where the points land, what happens at the edges, and that text stays text."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from rlkit.widgets import rate_panels, rates

N = np.array([100, 1_000, 10_000])


def heights(picture: str, series: int) -> list:
    """Heights of the line of one series, in px: the paths with a dash pattern, in order."""
    paths = re.findall(r'<path d="([ML\d. -]+)" stroke="#\w+" stroke-width="2"', picture)
    return [float(y) for y in re.findall(r"[\d.]+ ([\d.]+)", paths[series])]


def test_a_power_law_is_a_straight_line_and_parallel_to_its_guide():
    picture = rates(N, {"a": np.tile(1 / np.sqrt(N), (5, 1))}, "t", span=(1e-3, 1))
    ET.fromstring(picture)
    y = heights(picture, 0)
    assert y[1] - y[0] == pytest.approx(y[2] - y[1], abs=0.11)
    guide = re.search(r'd="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', picture)
    assert float(guide[4]) - float(guide[2]) == pytest.approx(y[2] - y[0], abs=0.2)


def test_zero_is_drawn_at_the_floor_and_a_gap_where_there_is_no_number():
    picture = rates(N, {"none lost": np.zeros((3, 3)), "gap": np.array([[0.5, np.nan, 0.5]] * 3)}, "t", floor=1e-4)
    ET.fromstring(picture)
    assert "0.0001" in picture and "nan" not in picture


def test_a_curve_that_is_still_growing_and_no_curve_at_all():
    assert len(heights(rates(N, {"a": np.ones((2, 2))}, "t"), 0)) == 2
    ET.fromstring(rates(N, {}, "t"))
    assert "<table" in rate_panels(N, {"one": {}, "two": {"a": np.ones((2, 1))}})


def test_panels_share_one_scale_and_say_all_numbers():
    page = rate_panels(
        N, {"low": {"a": np.full((2, 3), 0.002)}, "high": {"a": np.full((2, 3), 0.2)}}, "N, pulls", "loss"
    )
    low, high = (heights(svg, 0)[0] for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert low > high
    assert page.count("0.002") >= 3 and "N = 10,000" in page


def test_text_is_escaped():
    page = rate_panels(N, {"<b>t</b>": {"<img src=x>": np.ones((2, 3))}}, "<i>", "<u>")
    assert not re.search(r"<(b|img|i|u)[ >]", page)


@pytest.mark.parametrize("bad", [[0, 1], [-1, 2], [np.nan, 1], []])
def test_bad_sizes_are_named(bad):
    with pytest.raises(ValueError, match=r"^N.*must be"):
        rates(bad, {}, "t")


@pytest.mark.parametrize("loss", [0.02, 0.025, 0.03])
def test_the_name_of_a_guide_keeps_off_the_curves(loss):
    page = rates([100, 100_000], {"flat": [[loss, loss]]}, "t", span=(1e-5, 1.0))
    name = float(re.search(r'<text[^>]* y="([\d.]+)"[^>]*>1/N<', page).group(1)) - 4  # from the baseline to the middle
    curve = 270 - (np.log10(loss) + 5) / 5 * (270 - 48)
    assert abs(name - curve) > 10
