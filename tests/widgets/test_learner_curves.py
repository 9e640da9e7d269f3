"""Learner curves read a sweep's rows: one chart a learner, means over seeds, and a note before there is one."""

from rlkit.runs import Run
from rlkit.widgets.learner_curves import learner_curves


def test_each_learner_has_a_chart_with_the_means_of_its_arms(tmp_path):
    run = Run.create("curves", {"seeds": [0, 1]}, root=tmp_path)
    assert "wait" in learner_curves(run, ["a", "b"], waiting="wait")
    rows = [{"kind": "scores", "learner": "IQL", "at": t, "behaviour": 0.4, "a": [t, 0], "b": [1, 1]} for t in (1, 2)]
    run.log_rollouts(0, [{"kind": "cell"}, *rows])
    page = learner_curves(run, ["a", "b"])
    assert page.count("<svg") == 1 and "At the last step: a 1; b 1." in page and "score of IQL" in page
    run.log_rollouts(1, [rows[0] | {"learner": "<BC>"}])
    page = learner_curves(run, ["a", "b"])
    assert page.count("<svg") == 2 and "&lt;BC&gt;" in page and "a 0.5; b 1" in page
