"""Pair charts average the unseen pairs alone, stay within 0 to 1, and count what was lost."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("torch")

from rlkit.runs import Run, Step
from rlkit.widgets.pair_charts import pair_page, pair_table

PAIRS = ("A to B", "A to D")  # one seen, one unseen
REACHED = np.array([[[1.0, 1.0], [0.5, 1.0]], [[1.0, 0.4], [0.0, 1.0]], [[1.0, 1.0], [0.0, 0.0]]])  # [S, pairs, looks]


@pytest.fixture
def run(tmp_path):
    made = Run.create("pairs", {"gradient steps": 2_000}, root=tmp_path)
    rows = [{"kind": "result", "arm": "cloned", "seed": s, "reached": x.tolist()} for s, x in enumerate(REACHED)]
    cell = {"kind": "cell", "arm": "cloned", "cpu_seconds": 3.4}
    made.record(Step(0, {"A to B": 1.0}, [cell, *rows]))
    return made


def test_the_page_waits_for_the_first_learner(tmp_path):
    empty = Run.create("pairs", {"gradient steps": 2_000}, root=tmp_path)
    assert "still at work" in pair_page(empty, PAIRS, {"best known": 1.0})


def test_curves_are_those_of_unseen_pairs_and_their_band_stays_between_0_and_1(run):
    chart = re.match(r"<svg.*?</svg>", pair_page(run, PAIRS, {"best known": 1.0, "worst": 0.0})).group()
    words = " ".join(ElementTree.fromstring(chart).itertext())
    assert "cloned: 0.67 after 2,000 steps" in words and "gradient steps" in words and "best known" in words

    def heights(path):
        return [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]

    cloned, best, worst = (
        heights(path) for path in re.findall(r'<path d="(M[^"]+)" stroke="#\w+" stroke-width="2"', chart)[:3]
    )
    assert np.interp(cloned, (best[0], worst[0]), (1, 0)) == pytest.approx([1 / 6, 2 / 3], abs=0.01)
    # 1, 1, 0: the mean 2/3 and its error 1/3 end at 1, where Student's interval would go far beyond; 0.5, 0, 0 at 0
    band = heights(re.search(r'<path d="(M[^"]+Z)" fill="#\w+" fill-opacity="0.28"', chart).group(1))
    assert min(band) == pytest.approx(best[0], abs=0.1) and max(band) == pytest.approx(worst[0], abs=0.1)


def test_the_grid_has_every_pair_after_the_last_look(run):
    page = pair_page(run, PAIRS, {})
    assert page.count("<circle") == 6 and ">0.8<" in page.replace(" (", "<") and ">0.67<" in page.replace(" (", "<")


def test_the_table_counts_looks_losses_and_seconds(run, tmp_path):
    page = pair_table(run)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page)
    assert cells[-5:] == ["0.17", "0.67", "1 of 3", "1 of 3", "3"] and ">3 seeds<" in page
    with pytest.raises(ValueError, match=r"run=.*must be a run with results"):
        pair_table(Run.create("pairs", {}, root=tmp_path))
