"""The one-log explorer and its picture: it shows what the library's rules pick, at every setting of its controls."""

import itertools
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from rlkit import bandits
from rlkit.bandits.hard import hard_problems
from rlkit.widgets import one_log
from rlkit.widgets.bounds import bounds
from rlkit.widgets.one_log import COVERAGES, PENALTIES, PROBLEMS, SIZES, picture


def test_it_shows_the_arm_that_lcb_picks():
    view = one_log()
    for name, value in {"problem": 2, "C": 4, "N": 1_000, "log_number": 3}.items():
        view.controls[name].value = value
    problem = hard_problems(1, 4, 1_000)[2]
    rng = np.random.default_rng(3)
    count = rng.multinomial(1_000, problem.mu[0])
    arm = bandits.lcb(count, rng.binomial(count, problem.mean[0]), np.log(2 * 10 * 1_000), 3)
    lost = problem.mean[0].max() - problem.mean[0, arm]
    assert f"LCB {lost:.3g}," in view.picture.value
    assert f"{count[arm]:,} pulls" in view.picture.value


def test_one_pull_is_one_pull():
    labels = re.findall(r"lucky arm \d, (\d+ pulls?)", picture(0, 4, 1_000, 1.0, log_number=0))
    assert "1 pull" in labels and "1 pulls" not in labels and "0 pulls" in labels


def test_every_setting_has_a_picture_that_is_well_formed():
    for values in itertools.product(PROBLEMS.values(), COVERAGES, (SIZES[0], SIZES[-1]), PENALTIES.values()):
        page = picture(*values, log_number=0)
        ET.fromstring(re.search(r"<svg.*?</svg>", page, re.DOTALL).group())
        assert "nan" not in page


def test_without_a_penalty_lcb_is_the_empirical_best_and_with_a_huge_one_the_most_played():
    for seed in range(10):
        for penalty, rule in ((PENALTIES["none"], "empirical best"), (PENALTIES["63 times that"], "most played")):
            said = picture(2, 4, SIZES[2], penalty, seed).split("lost per")[1]
            lost = dict(re.findall(r"(LCB|empirical best|most played) ([\d.]+)[,.]", said))
            assert lost["LCB"] == lost[rule]


def test_bounds_marks_what_leaves_the_scale_and_escapes_its_text():
    page = bounds(["<b>a</b>", "none"], [0.5, np.nan], [-3, 0], [0.7, 0], [0.4, 0.2], ["<i>x</i>", ""], "<u>c</u>")
    ET.fromstring(re.search(r"<svg.*?</svg>", page, re.DOTALL).group())
    assert not re.search(r"<(b|i|u)>", page) and "no data" in page
    assert page.count("-4v8Z") == 1 and page.count("m0 -5v10") == 1  # one arrow, one end


def test_bounds_refuses_lists_of_different_lengths():
    with pytest.raises(ValueError):
        bounds(["a"], [0.5], [0.1], [0.9], [0.4], [], "c")


def test_static_twin_names_the_setting():
    page = one_log().to_html()
    assert "problem: lucky arms" in page and "N: 1,000" in page and "<table" in page
