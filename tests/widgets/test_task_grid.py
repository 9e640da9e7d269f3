"""The grid of tasks draws each seed, each level and each mean where its number says, and repeats them in words."""

import re

import numpy as np
import pytest

from rlkit.widgets.task_grid import TOP, task_grid

SCORES = {"A": {"pipe": np.array([0.0, 1.0, 0.5]), "cart": [0.4]}, "B <i>": {"pipe": [0.2, 0.6]}}


def test_a_dot_for_each_seed_and_words_for_each_number():
    page = task_grid(SCORES, {"expert": {"pipe": 1.0, "cart": 0.9}}, "scores")
    assert page.count("<circle") == 6
    assert "0.5 (-0.74 to 1.7)" in page.replace("−", "-")  # Student's t with two degrees of freedom: 4.30 x 0.5 / 1.73
    assert "B &lt;i&gt;" in page and "<i>" not in page
    assert "line: expert" in page and "–" in page  # B has no cart


def test_each_column_has_its_own_level_on_the_common_scale():
    page = task_grid(SCORES, {"controller": {"pipe": 0.5, "cart": 1.0}}, "scores")
    dots = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', page)]  # A pipe 0, 1, 0.5; A cart 0.4; B
    levels = [float(x) for x in re.findall(rf'<path d="M([\d.]+) {TOP - 4}V\d+" stroke=', page)]
    assert levels[0] == pytest.approx(dots[2], abs=0.1)  # 0.5 of the pipe
    assert levels[1] - dots[3] == pytest.approx(0.6 * (dots[1] - dots[0]), abs=0.2)  # 1.0 of the cart, 0.6 above 0.4


def test_an_interval_wider_than_the_column_is_cut_at_its_edge():
    page = task_grid({"A": {"pipe": [0.0, 1.0]}}, {}, "scores")
    a, b = map(float, re.search(r'<path d="M([\d.]+) [\d.]+H([\d.]+)" stroke="#', page).groups())
    assert 132 <= a < b <= 760
    arrows = re.findall(r'<path class="cut" d="M([\d.]+) [\d.]+l(-?6) 4', page)
    assert [(float(x), out) for x, out in arrows] == [(a, "-6"), (b, "6")] and "beyond the edge" in page


def test_an_interval_inside_the_column_has_no_arrow():
    page = task_grid({"A": {"pipe": [0.4, 0.41, 0.42]}}, {"expert": {"pipe": 1.0}, "random": {"pipe": 0.0}}, "scores")
    assert 'class="cut"' not in page and "beyond the edge" not in page


def test_without_scores_it_is_refused():
    with pytest.raises(ValueError, match=r"scores=.*at least one"):
        task_grid({"A": {}}, {}, "scores")
