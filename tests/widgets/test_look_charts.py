import re
import xml.etree.ElementTree as tree

import numpy as np
import pandas as pd
import pytest

from rlkit.stats import paired_bootstrap
from rlkit.widgets import look_charts, svg

NAMES = {"psr": "PSR", "nsr": "NSR <b>"}


def svg_of(page):
    return tree.fromstring(re.match(r"<svg.*?</svg>", page, re.S).group())


def test_a_path_is_drawn_against_each_kind_of_progress():
    q = np.array([[[0.0, 0.2], [0.4, 0.4]]])
    paths = {"psr": {"at": np.array([[0, 5]]), "kl": np.array([[0, 0.3]]), "q": q}}
    for by in look_charts.AXES:
        page = look_charts.path_chart(paths, by, 2, NAMES)
        assert "PSR: 18.0 at first, 64.0 at last" in svg_of(page).find("{*}desc").text  # mean of 0 and 0.36; 0.64
    with pytest.raises(ValueError, match="by='steps'"):
        look_charts.path_chart(paths, "steps", 2)
    assert "no value to draw yet" in look_charts.path_chart({}, "KL", 256)


def test_gains_are_drawn_and_told():
    gain = paired_bootstrap({"a": np.array([[0.1, 0.2], [0.1, 0.2]])}, lambda m: m["a"])
    page = look_charts.gain_chart({"NSR <b>": gain}, [1, 2], "temperature 1")
    assert svg_of(page) is not None and "NSR &lt;b&gt;" in page and "+20.0 (+20.0 to +20.0)" in page


def test_a_scan_shows_every_cell_arm_and_seed_and_marks_the_chosen_one():
    index = pd.MultiIndex.from_product([range(4), NAMES, (0, 1)], names=["regime", "arm", "seed"])
    gains = pd.DataFrame({1: np.arange(16) / 100, 256: -np.arange(16) / 100}, index)
    page = look_charts.scan_chart(gains, ["all", "easy"], ["slow", "fast"], [1, 256], NAMES, chosen=3)
    drawn = svg_of(page)
    marks = [p for p in drawn.findall(".//{*}path") if p.get("d") in svg.MARKERS]
    assert len(marks) == 2 * 16 + 2  # two rows of panels, and the legend
    assert [text.text for text in drawn.findall(".//{*}text")].count("slow") == 2  # under the lowest row of both panels
    assert len(list(drawn.findall(".//{*}rect"))) == 2 and "marked: easy, fast" in drawn.find("{*}desc").text
    assert "NSR &lt;b&gt;" in page and "NSR <b>" not in page
    assert ">-14.5<" in page  # mean of the last two seeds, in the table
    assert all(0 <= float(v) <= 720 for v in re.findall(r"translate\(([\d.]+) ", page))


def test_nothing_gained_anywhere_is_drawn_too():
    index = pd.MultiIndex.from_product([range(1), ["psr"], (0,)], names=["regime", "arm", "seed"])
    page = look_charts.scan_chart(pd.DataFrame({1: [0.0]}, index), ["all"], ["slow"], [1], NAMES, chosen=0)
    assert "nan" not in page
