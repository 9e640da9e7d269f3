"""Charts of learners of fixed texts: the numbers that they say are those that they were given."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")
from rlkit import measure
from rlkit.live import live
from rlkit.runs import Run
from rlkit.widgets import pile_charts

TEXTS = pd.DataFrame({"reward": [0.3, 0.5, 0.9, 0.9], "bad": [True, True, False, False]})


def test_shares_say_what_goes_to_bad_texts():
    page = pile_charts.learning_shares(TEXTS, {"b": np.ones(4), "c": np.array([0, 1, 1, 2])}, ["a", "b", "c"])
    assert "bad authors: b 50 %, c 25 %." in page and "<svg" in page
    assert pile_charts.svg.COLOURS[0] not in page and pile_charts.svg.COLOURS[2] in page  # each has its own place
    for wrong in (np.ones(3), -np.ones(4), np.zeros(4)):
        with pytest.raises(ValueError, match=r"weights\['b'\]="):
            pile_charts.learning_shares(TEXTS, {"b": wrong}, ["b"])


def test_rewards_page_has_a_row_for_each_arm_and_a_column_for_each_noise(tmp_path):
    run = Run.create("piles", {}, root=tmp_path)
    assert "still at work" in pile_charts.rewards_page(run, "reward")
    cells = [{"arm": "x", "noise": n, "seed": s} for s in (0, 1) for n in (0.0, 0.3)]
    live(measure.sweep(cells, lambda arm, noise, seed: {"reward": 0.25 + seed - noise}, run), run).wait()
    page = pile_charts.rewards_page(run, "<reward>")
    assert "30% of the rewards swapped" in page and "0.75" in page and "0.45" in page and "<reward>" not in page


def test_pile_page_compares_the_value_with_a_plain_threshold():
    texts = TEXTS.assign(problem=0, prompt="moon sings", text=["cat", "the moon", "moon sings", "moon sings"])
    page = pile_charts.pile_page(texts.assign(advantage=[-0.1, 0.1, 0.2, 0.2]))  # values 0.4, 0.4, 0.7, 0.7
    assert (
        "V(x) goes from 0.40 to 0.70; its standard deviation over texts 0.17" in page
        and "agree for 75% of the texts" in page
    )
    assert "by good authors 0.90, by bad ones 0.40; standard deviation 0.30" in page
    assert "Full marks lie 1.17 standard deviations" in page
    assert page.count("<tr>") == 4  # a head, bad with 0 and 1 words held, good with 2


def test_arms_page_shows_spread_rate_and_gaps(tmp_path):
    run = Run.create("piles", {}, root=tmp_path)
    cells = [{"arm": a, "noise": 0.0, "seed": s, "learning_rate": 2e-3} for s in (0, 1) for a in ("x", "y")]

    def measured(arm, noise, seed, learning_rate):
        return {"reward": seed + (arm == "x") / 4} | dict.fromkeys(pile_charts.COLUMNS[1:], 0.5)

    live(measure.sweep(cells, measured, run), run).wait()
    page = pile_charts.arms_page(run, [("x", "y")], "dots")
    assert "0.25 to 1.25" in page and "0.00 to 1.00" in page and "0.002" in page
    assert "Reward, x - y: 0.25 [0.25, 0.25]" in page and "dots" in page


def test_ratio_page_draws_the_arms_asked_for_and_both_clips(tmp_path):
    run = Run.create("piles", {}, root=tmp_path)
    cells = [{"arm": a, "seed": s} for s in (0, 1) for a in ("x", "y", "z")]

    def measured(arm, seed):
        curve = {"change": {"step": [1, 2], "value": [seed + (arm == "y")] * 2}}
        return {"reward": 0.0}, [{"kind": "curve", "arm": arm, "seed": seed, "curve": curve}]

    live(measure.sweep(cells, measured, run), run).wait()
    page = pile_charts.ratio_page(run, ["x", "y"], ["x", "y", "z"], 0.9)
    assert "At the end: x 0.50, y 1.50." in page and "upper clip" in page and "lower clip" in page
    assert ">z<" not in page
    with pytest.raises(ValueError, match="clip="):
        pile_charts.ratio_page(run, ["x"], ["x"], 1.5)
