"""Flutes and arrivals: cells where they belong, crosses on what is wrong, numbers of the table from the rows."""

import re

import numpy as np
import pytest

from rlkit.runs import Run, Step
from rlkit.widgets import flute_charts


def test_cells_stand_above_the_row_that_sounds_and_wrong_ones_are_crossed():
    panels = {"now": [0.1, 0.0, 1.0], "next": [0.0, 0.0, 1.0], "dream": [0.9, 0.2, 0.3]}
    picture = flute_charts.flute(panels, 2, "two pipes", truth="next")
    rects = [(int(x), int(y)) for x, y in re.findall(r'<rect x="(\d+)" y="(\d+)"', picture)]
    top, cell = flute_charts.TOP, flute_charts.CELL
    assert [y for _, y in rects] == [top + cell, top, top + cell] * 3 and rects[1][0] == rects[2][0] == rects[0][
        0
    ] + cell
    assert picture.count("m0 -22l") == 2  # 0.9 for 0, and 0.3 for 1
    assert "now: notes in pipe 2 cell 2;" in picture and "dream: notes in pipe 1 cell 1, 2 of them wrong" in picture
    assert [t for t in re.findall(r">(\d+)</text>", picture)] == ["10", "0", "100", "0", "0", "100", "90", "20", "30"]


def test_bad_cells_are_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^panels\['now'\] of shape \(2,\): must be \[3\]$"):
        flute_charts.flute({"now": [0, 1]}, 2, "")
    with pytest.raises(ValueError, match=r"^panels\['now'\]\[1\]=2.0: must be in \[0, 1\]$"):
        flute_charts.flute({"now": [0, 2, 0]}, 2, "")


def test_arrivals(tmp_path):
    run = Run.create("flute", {"seeds": [0, 1]}, root=tmp_path)
    assert "still at work" in flute_charts.arrival_page(run, 0.8)
    with pytest.raises(ValueError, match=r"must be a run with results$"):
        flute_charts.arrival_table(run)
    for number, (arm, steps) in enumerate({"ER": [300, 200], "factored": [100, 200]}.items()):
        row = {"kind": "result", "arm": arm, "pipes": 3, "at": [100, 200], "scores": [[0.5, 0.1], [0.7, 0.9]]}
        row |= {"steps": steps, "arrived": [arm != "ER", True], "updates": 800, "model_updates": 50 * number}
        cell = {"kind": "cell", "arm": arm, "pipes": 3, "cpu_seconds": 1.25 + number}
        run.record(Step(number, {"steps": np.array(steps)}, [cell, row]))
    page, numbers = flute_charts.arrival_page(run, 0.8), flute_charts.arrival_table(run)
    assert (
        "3 pipes: score by real steps" in page
        and "stopped here: never arrived" in page
        and "the first look, at 100" in page
        and "ER: 0.8 after 200 steps" in page
    )
    cells = re.findall(r"<td[^>]*>(.*?)</td>", numbers)
    text = " ".join(re.sub("<.*?>", "", c) for c in re.findall(r"<t[dh][^>]*>.*?</t[dh]>", numbers))
    assert cells and "ER 3 250 1 of 2 800 0 1.2" in text and "factored 3 150 2 of 2 800 50 2.2" in text


def test_savings_by_hand(tmp_path):
    run = Run.create("flute", {"seeds": [0, 1, 2]}, root=tmp_path)
    with pytest.raises(ValueError, match=r"must be a run with results$"):
        flute_charts.saving_table(run)
    found = {"ER": ([400, 400, 1_000], [True, True, False]), "factored": ([200, 200, 200], [True] * 3)}
    for number, (arm, (steps, arrived)) in enumerate(found.items()):
        row = {"kind": "result", "arm": arm, "pipes": 3, "steps": steps, "arrived": arrived}
        run.record(Step(number, {"steps": np.array(steps)}, [row]))
    cells = [re.sub("<.*?>", "", c) for c in re.findall(r"<td[^>]*>.*?</td>", flute_charts.saving_table(run))]
    mean, kept, medians = cells[-3:]
    assert mean.startswith("+67% (")  # 1 - 200 / 600
    assert kept == "+50% (+50% to +50%)" and medians == "+50%"  # both seeds that arrived: 1 - 200 / 400
