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
