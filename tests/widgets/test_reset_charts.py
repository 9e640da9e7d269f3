"""Charts of learners that start in the middle of texts: they show what the run holds."""

import numpy as np
import pytest

pytest.importorskip("torch")
from rlkit import lm
from rlkit.html import COLOURS
from rlkit.rlhf import dataset_resets
from rlkit.runs import Run
from rlkit.widgets import reset_charts

TASK = lm.tasks.style("long", length=16, topics=4, opening=True)
PROBLEMS = TASK.problems(3, 0, "all")
ARMS = ("a", "b", "c")
TEXT = "once the old moon sings"


@pytest.fixture
def run(tmp_path):
    """Two seeds of arms b and c; b alone was followed."""
    run = Run.create("resets", {}, root=tmp_path)
    for number, (arm, seed) in enumerate((arm, seed) for arm in "cb" for seed in (1, 0)):
        curve = {"opens": {"step": [0, 6], "value": [0.05, 0.25 + 0.5 * seed]}} if arm == "b" else {}
        each = np.full((3, 2), {"b": 1.5, "c": 0.5}[arm] + 0.25 * seed)
        rows = [{"kind": "curve", "arm": arm, "seed": seed, "curve": curve}]
        rows += [
            {"kind": "tested", "arm": arm, "seed": seed, "each": each.tolist(), "texts": [[TEXT, f"{arm} {seed}"]]}
        ]
        run.log_rollouts(number, rows)
    return run


def test_gold_of_lists_seeds_in_their_order(run):
    gold = dataset_resets.gold_of(run)
    assert gold["b"].shape == (2, 3, 2) and (gold["b"][0] == 1.5).all() and (gold["c"][1] == 0.75).all()


def test_by_seed_has_a_row_for_each_seed_and_a_column_for_each_arm(run):
    table = dataset_resets.by_seed(run)
    assert list(table.columns) == ["c", "b"] and list(table.index) == [0, 1]  # arms as they come, seeds in order
    assert table["b"].tolist() == [1.5, 1.75] and table["c"].tolist() == [0.5, 0.75]


def test_progress_draws_the_arms_that_were_followed_in_their_own_colours(run, tmp_path):
    page = reset_charts.progress(run, {"opens": "chance to open"}, ARMS)
    assert COLOURS[1] in page and COLOURS[0] not in page and COLOURS[2] not in page
    assert "chance to open at the last step: b 0.5" in page  # the mean of 0.25 and 0.75
    assert "still at work" in reset_charts.progress(Run.create("none", {}, root=tmp_path), {"opens": "x"}, ARMS)


def test_ends_compare_texts_with_the_rival(run):
    page = reset_charts.ends(run, ("b", "c"), "c")
    assert "chance to beat a text by c" in page and "2 seeds" in page
    assert "b: gold reward of a text 1.6, chance to beat a text by c 1;" in page.replace("1.62", "1.6")
    assert "c: gold reward of a text 0.62, chance to beat a text by c 0.5" in page


def test_side_by_side_judges_the_texts_of_the_first_seed(run):
    page = reset_charts.side_by_side(run, TASK, PROBLEMS, 0, 2, ("b", "c"))
    judged = TASK.verify(PROBLEMS[0], TEXT)
    assert TEXT in page and "b 0" in page and "b 1" not in page and f"{TASK.reward(judged):.2f}" in page
    assert "c 0" not in reset_charts.side_by_side(run, TASK, PROBLEMS, 0, 1, ("b", "c"))
    with pytest.raises(ValueError, match="prompt=1: must be below 1"):
        reset_charts.side_by_side(run, TASK, PROBLEMS, 1, 1, ("b", "c"))
