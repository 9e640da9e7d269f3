"""The plane of reward and divergence: what is drawn, what is said, what is refused."""

import numpy as np
import pytest

from rlkit.html import COLOURS
from rlkit.widgets import svg
from rlkit.widgets.plane_charts import reward_against_kl


def test_each_path_is_drawn_named_and_told_in_words():
    page = reward_against_kl({"frontier": ([0, 1.5, 4], [1, 1.6, 2]), "<b>PPO</b>": (0.7, 1.25)}, "Where they stand")
    assert "&lt;b&gt;PPO" in page and "<b>PPO" not in page
    assert "frontier: highest 2 at 4 nats, last 2 at 4 nats" in page and "1.25 at 0.7" in page
    assert page.count("<table") == 1


def test_a_name_keeps_its_place_where_others_are_missing():
    paths = {"DPO": ([0, 1], [1, 2])}
    assert COLOURS[0] in reward_against_kl(paths, "t") and COLOURS[2] not in reward_against_kl(paths, "t")
    page = reward_against_kl(paths, "t", names=("frontier", "PPO", "DPO"))
    assert COLOURS[2] in page and COLOURS[0] not in page


def test_ticks_are_whole_only_where_every_x_is():
    whole = svg.chart([svg.Line("a", np.array([0, 3]), np.array([0.0, 1.0]))], "t", "step", "y", "d")
    parts = svg.chart([svg.Line("a", np.array([0, 0.35]), np.array([0.0, 1.0]))], "t", "KL", "y", "d")
    assert ">0.1<" in parts and ">0.1<" not in whole and ">3<" in whole


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"paths\['a'\] of shapes \(2,\) and \(3,\): must be \[K\] and \[K\]"):
        reward_against_kl({"a": ([0, 1], [0, 1, 2])}, "t")
    with pytest.raises(ValueError, match=r"paths=\{\}: must be"):
        reward_against_kl({}, "t")
