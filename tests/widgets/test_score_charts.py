"""Curves, grids and tails draw the numbers they were given and say them in words."""

import re

import numpy as np
import pandas as pd
import pytest

from rlkit.widgets import svg
from rlkit.widgets.score_charts import DOTS, final_page, score_curves, score_grid, tails, tails_page, training_page


def test_curves_say_each_arm_at_the_last_step_and_draw_the_levels():
    curves = {"A": np.array([[0.0, 0.5], [0.2, 0.7]]), "B <i>": np.array([[0.1, 0.1]])}
    page = score_curves(curves, [500, 1000], {"expert": 1.0}, "score")
    assert "A: 0.6 at step 1,000" in page and "B &lt;i&gt;: 0.1 at step 1,000" in page and "<i>" not in page
    assert "expert 1" in page and page.count('fill-opacity="0.28"') == 1  # a band for two seeds, none for one
    assert page.count(svg.COLOURS[0]) > 0 < page.count(svg.COLOURS[1]) and svg.COLOURS[2] not in page  # levels: none
    assert page.count(DOTS) == 2  # the level and its name


def test_curves_of_one_look_stand_in_the_middle():
    page = score_curves({"A": np.array([[0.5]])}, [500], {}, "score", height=200)
    (x, y) = re.findall(r"translate\(([\d.]+) ([\d.]+)\)", page)[0]
    assert float(x) == pytest.approx((62 + 550) / 2, abs=1) and float(y) == pytest.approx((28 + 158) / 2, abs=1)


def test_curves_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"curves\['A'\] of shape \(2, 3\): must be \[S, 2\]"):
        score_curves({"A": np.zeros((2, 3))}, [1, 2], {}, "score")


def test_grid_has_a_dot_for_each_seed_and_means_with_intervals_in_its_table():
    scores = {"A": {"clean": [0.3, 0.4, 0.5, 0.6, 0.7], "noisy": [0.1, 0.3]}, "B": {"clean": [0.5] * 5}}
    page = score_grid(scores, {"expert": 1.0}, "t")
    assert page.count("<circle") == 12
    assert "0.5 (0.3 to 0.7)" in page  # Student's t with four degrees of freedom: 2.776 x 0.158 / sqrt(5) = 0.196
    assert ">0.2</td>" in page and "–" in page  # two seeds show no interval; B has no noisy log
    assert "Dotted: expert 1." in page


def test_grid_places_scores_on_one_scale():
    page = score_grid({"A": {"x": [0.0, 1.0, 0.5]}}, {}, "t")
    left, right, middle = (float(x) for x in re.findall(r'<circle cx="([\d.]+)"', page))
    assert middle == pytest.approx((left + right) / 2, abs=0.1) and left < right


def test_grid_without_scores_is_refused():
    with pytest.raises(ValueError, match=r"scores=.*at least one"):
        score_grid({"A": {}}, {}, "t")


def test_tails_count_what_lies_beyond_three_deviations():
    edges = np.array([-4.5, -3.5, -0.5, 0.5, 3.5, 4.5])
    page = tails({"heavy": [5, 10, 70, 10, 5], "light": [0, 10, 80, 10, 0]}, edges, "t", "deviations")
    assert (
        "Further than 3.5 deviations" in page
        and "heavy 10.00 %" in page
        and "light 0.00 %" in page
        and "normal" in page
    )
    assert ">10 %</text>" in page and ">100 %</text>" in page  # the scale is read in percent
    heavy, light = (page.count(svg.marker(n, 0, 0)[:30]) for n in (0, 1))
    assert (heavy, light) == (5 + 1, 3 + 1)  # a mark for each bin that is not empty, and one beside the name


def test_a_line_breaks_at_an_empty_bin():
    page = tails({"a": [5, 10, 0, 10, 5]}, np.arange(6.0), "t", "x")
    (path,) = re.findall(rf'd="(M[^"]*)" stroke="{svg.COLOURS[0]}"[^>]*/><path d="M558', page)
    assert path.count("M") == 2 and path.count("L") == 2


def test_tails_refuse_other_shapes_and_empty_histograms():
    edges = np.array([0.0, 1.0, 2.0])
    for counts in ([1, 2, 3], [0, 0]):
        with pytest.raises(ValueError, match=r"counts\['a'\] of shape .*: must be \[2\], some above 0"):
            tails({"a": counts}, edges, "t", "x")


def test_pages_put_the_rows_of_a_run_in_their_places():
    rows = pd.DataFrame(
        {
            "task": "t",
            "arm": arm,
            "condition": condition,
            "seed": seed,
            "score": [0.0, level + seed],
            "final": level + seed,
            "error histogram": [1, 8 + seed, 1],
        }
        for arm, level in (("IQL", 0.2), ("RIQL", 0.4))
        for condition in ("clean", "dynamics")
        for seed in (0, 1)
    )
    levels = {"t": {"expert": 1.0}}
    more = pd.concat([rows, rows[:2].assign(arm="no Huber", condition="dynamics", score=[[0.0, 0.1]] * 2)])
    more = pd.concat([more, rows[4:6].assign(condition="rewards")])
    page = training_page(more, levels, 500)
    assert page.count("<svg") == 2 and page.count("no Huber: 0.1 at step 1,000") == 1  # one picture for each spoilt log
    assert "t, dynamics spoilt: score" in page and "clean" not in page and page.count("RIQL: 0.9 at step 1,000") == 2
    assert "first learner" in training_page(rows.iloc[:0], levels, 500)
    assert final_page(rows, levels).count("<circle") == 8
    rows.loc[rows["condition"] == "clean", "error histogram"] = pd.Series([[0, 10, 0]] * len(rows))
    page = tails_page(rows, "t", "dynamics", "error", np.array([-4.5, -3.5, 3.5, 4.5]))
    clean, spoilt = page.split("t, dynamics spoilt")[0], page.split("t, dynamics spoilt")[-1]
    assert "RIQL 0.00 %, IQL 0.00 %" in clean and "RIQL 19.05 %, IQL 19.05 %" in spoilt  # 4 of 21, over both seeds
