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
    assert "-2.00" in said and said.count("–") == 1


def test_belief_marks_the_rows_and_keeps_what_leaves_the_frame(run):
    drawn = forgetting_charts.belief(run, [-1, 0, 1], "Losse", 9, [0.5, 0.6], ARMS)
    assert (
        "Losse, after tenth 9 of 10" in drawn and "rows of this tenth" in drawn and "NaN" not in drawn.split("desc")[0]
    )
    assert "after the whole stream" in forgetting_charts.belief(run, [-1, 0, 1], "retrained", 2, [0.5], ARMS)


def test_costs_count_per_seed_and_row(run):
    said = forgetting_charts.costs(run, {("4-D", "Losse"): (1000, 6)})
    for number in ("1,000", "72", "200", "128", "2,000,000", "2,500"):
        assert number in said
    assert np.isfinite(forgetting_charts.kept(run, "4-D", "Losse", "work")).all()
