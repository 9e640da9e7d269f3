"""Charts of models whose data move: each number where it belongs."""

import numpy as np
import pytest

from rlkit.runs import Run
from rlkit.widgets import forgetting_charts

ARMS = ("Losse", "online", "retrained")


@pytest.fixture
def run(tmp_path):
    made = Run.create("x", {"seeds": [0, 1], "rows": 100}, root=tmp_path)
    rows = []
    for task in ("1-D", "4-D", "car"):
        for number, arm in enumerate(ARMS[: 2 if task == "car" else 3]):
            looks = 1 if arm == "retrained" else 4 if task == "car" else 10
            row = {"kind": "result", "task": task, "arm": arm, "curve": [[-1.0 - number] * looks, [-3.0] * looks]}
            row |= {"whole": [0.25, 0.75], "work": [[100.0, 300.0]] * 10 if arm == "Losse" else []}
            row |= {"drawn": [[float(k)] * 3 for k in range(looks)], "true": [0.0, 1.0, 0.5]} if task == "1-D" else {}
            rows += [{"kind": "cell", "task": task, "arm": arm, "cpu_seconds": 0.5}, row]
    made.log_rollouts(0, rows)
    return made


def test_kept_returns_arrays_or_says_what_is_missing(run):
    assert forgetting_charts.kept(run, "4-D", "online").shape == (2, 10)
    with pytest.raises(ValueError, match="it has no curve of 'magic' on '4-D'"):
        forgetting_charts.kept(run, "4-D", "magic")


def test_page_draws_each_arm_where_it_is(run):
    drawn = forgetting_charts.page(run, ARMS)
    assert drawn.count("<svg xmlns") == 3
    assert drawn.count(">online<") == 3 and drawn.count(">retrained, at the end<") == 2
    assert forgetting_charts.page(Run.create("y", {"seeds": [0]}, root=run.path.parent), ARMS).count("no value") == 3


def test_scores_are_geometric_means_on_the_earliest_region(run):
    said = forgetting_charts.scores(run, ARMS)
    assert "0.250" in said and "0.500" in said and "0.177" in said, "2^-2, the mean of whole, 2^-2.5"
    assert said.count("-2.00") == 2 and said.count("-3.00") == 2, "third look and end of one arm; worst seeds of two"
    assert said.count("–") == 3
    more = forgetting_charts.scores(run, ARMS, {"always 0": {"1-D": [[1.0, 0.5], [4.0, 0.7]]}})
    assert "2.000" in more and "0.600" in more and more.count("–") == 3 + 5


def test_changes_are_shares_of_an_earlier_error(run):
    curve = [[0.0, 1.0] + [5.0] * 7 + [2.0]] * 2
    run.log_rollouts(1, [{"kind": "result", "task": task, "arm": "b", "curve": curve} for task in ("1-D", "4-D")])
    said = forgetting_charts.changes(run, (*ARMS, "b"))
    assert said.count("+300% (+300% to +300%)") == 2 and said.count("+100% (+100% to +100%)") == 2
    assert said.count("+0% (+0% to +0%)") == 8 and "retrained" not in said


def test_belief_marks_the_rows_and_keeps_what_leaves_the_frame(run):
    x = np.linspace(-1, 1, 100)[:, None]
    drawn = forgetting_charts.belief(run, x, "Losse", 9, ARMS)
    assert "Losse, after tenth 9 of 10" in drawn and "rows of this tenth" in drawn
    assert "NaN" not in drawn.split("desc")[0] and ">-1<" in drawn
    assert forgetting_charts.belief(run, x[::-1], "Losse", 9, ARMS) != drawn, "the rows lie elsewhere"
    assert "after the whole stream" in forgetting_charts.belief(run, x, "retrained", 2, ARMS)


def test_costs_count_per_seed_and_row(run):
    pytest.importorskip("torch")
    row = {"kind": "result", "task": "4-D", "curve": [[0.0] * 10] * 2}
    arms = ("Losse, 4 bins", "dense", "replay")
    rows = [row | {"arm": arm, "work": [[100.0, 300.0]] * 10 if "Losse" in arm else []} for arm in arms]
    run.log_rollouts(1, [{"kind": "cell", "task": "4-D", "arm": arm, "cpu_seconds": 0.5} for arm in arms] + rows)
    sparse = {"1-D": (2, 3, 1), "4-D": (2, 8, 1)}
    settings = {"Losse": ("losse", (), sparse), "Losse, 4 bins": ("losse", (), {"4-D": (2, 3, 2)})}
    settings |= {"dense": ("dense", (), {"4-D": (30, 1.0)}), "online": ("online", (), {"4-D": (0.1,)})}
    said = forgetting_charts.costs(run, settings | {"replay": ("replay", (), {"4-D": (0.1,)})})
    for number in ("21 (10%)", "170 (85%)", ">179<", ">800<", ">400<", "2,500"):
        assert number in said, "D = 20 and 10, K = 4 and 8"
    for number in ("1,800", "900", "13,248", "423,936", "4,416", "4,916"):
        assert number in said, "2 D^2, D^2, 3 W, 32 times that, W, W + 100 rows of 5"
