"""The report of an offline experiment: seeds as the unit, against SciPy, closed forms and simulated coverage."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats as distributions

from rlkit.offline import reports
from rlkit.runs import Run
from rlkit.stats import bootstrap_ci, iqm, widening
from rlkit.widgets import RewardCurves, lines

HOSTILE = "<script>alert(1)</script>"


def make(root, scores, name="demo", **config):
    """A finished run; scores [N, S]."""
    run = Run.create(name, {"seeds": list(range(len(scores[0])))} | config, root=root)
    for step, values in enumerate(scores):
        run.log(100 * (step + 1), score=list(values))
    run.finish()
    return run


def two_arms(root, first, second):
    config = reports.rows_of(["bc", "iql"], range(len(first)))
    return make(root, [list(first) + list(second)], **config)


def test_last_and_best_are_the_iqm_over_seeds(tmp_path):
    scores = np.random.default_rng(0).normal(size=(6, 9))
    found = reports.report(make(tmp_path, scores)).table.iloc[0]
    assert found["last"] == pytest.approx(distributions.trim_mean(scores[-1], 0.25))
    assert found["best"] == pytest.approx(distributions.trim_mean(scores.max(axis=0), 0.25))
    assert found["best"] > found["last"] and (found["seeds"], found["step"]) == (9, 600)


def test_the_interval_is_the_bootstrap_widened_for_few_seeds():
    scores = np.random.default_rng(1).normal(size=7)
    plain, found = bootstrap_ci(scores, iqm, replicates=10_000), reports.iqm_interval(scores)
    assert found.high - found.estimate == pytest.approx(widening(7) * (plain.high - plain.estimate))
    assert found.estimate - found.low == pytest.approx(widening(7) * (plain.estimate - plain.low))
    assert found == reports.iqm_interval(scores), "the same numbers again"


@pytest.mark.parametrize("seeds", [5, 10])
def test_the_interval_covers_what_it_promises(seeds, monkeypatch):
    monkeypatch.setattr(reports, "REPLICATES", 1_000)
    rng = np.random.default_rng(seeds)
    found = [reports.iqm_interval(rng.normal(size=seeds)) for _ in range(600)]
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.93


def test_probability_of_improvement_is_mann_whitney(tmp_path):
    rng = np.random.default_rng(2)
    x, y = rng.integers(6, size=8).astype(float), rng.integers(6, size=8).astype(float)  # with ties
    expected = distributions.mannwhitneyu(x, y).statistic / 64
    table = reports.report(two_arms(tmp_path, x, y)).improvement
    assert table[["arm", "over"]].values.tolist() == [["bc", "iql"]]
    assert table["probability"][0] == pytest.approx(expected) == pytest.approx(reports.improvement(x, y)[0])
    back = reports.improvement(y, x)
    assert back == pytest.approx((1 - expected, 1 - table["high"][0], 1 - table["low"][0]))


def test_complete_separation_still_has_an_interval():
    found, low, high = reports.improvement([3.0, 4, 5], [0.0, 1, 2])
    assert (found, high) == (1.0, 1.0) and 0.3 < low < 0.75
    many = reports.improvement(np.arange(50) + 50.0, np.arange(50))
    assert low < many[1] < 1


@pytest.mark.parametrize(("seeds", "shift"), [(5, 0.0), (5, 1.0), (10, 1.0)])
def test_the_interval_of_improvement_covers(seeds, shift):
    rng, truth = np.random.default_rng(3), distributions.norm.cdf(shift / np.sqrt(2))
    found = [reports.improvement(rng.normal(shift, 1, seeds), rng.normal(0, 1, seeds)) for _ in range(1_000)]
    assert np.mean([low <= truth <= high for _, low, high in found]) >= 0.93


def test_episodes_are_never_counted_as_runs(tmp_path):
    """Ten seeds with 100 episodes each are ten runs: what is logged per episode has no way in."""
    returns = np.random.default_rng(4).normal(size=(10, 100))
    found = reports.report(make(tmp_path, [returns.mean(axis=1)])).table.iloc[0]
    assert found["seeds"] == 10
    nameless = Run.create("episodes", root=tmp_path)
    nameless.log(1, score=returns.ravel().tolist())
    with pytest.raises(ValueError, match=r"config\['seeds'\] of run episodes=None: must be the list of seeds"):
        reports.report(nameless)
    repeated = make(tmp_path, [returns.ravel()], seeds=[s for s in range(10) for _ in range(100)])
    with pytest.raises(ValueError, match=r"seeds of demo=.*must be different: the same seed again, or its episodes"):
        reports.report(repeated)
    mean = Run.create("mean", {"seeds": list(range(10))}, root=tmp_path)
    mean.log(1, score=float(returns.mean()))
    with pytest.raises(ValueError, match=r"score of run mean=.*must be one for each of 10 seeds"):
        reports.report(mean)


def test_arms_in_rows_are_told_apart(tmp_path):
    config = reports.rows_of(["bc", "iql"], [3, 5])
    assert config["seeds"] == [3, 5, 3, 5]
    assert config["rows"][2] == {"arm": "iql", "seed": 3}
    run = make(tmp_path, [[0.0, 2, 10, 12]], **config)
    assert reports.arms_of(run) == {"bc": [0, 1], "iql": [2, 3]}
    assert dict(reports.report(run).table[["arm", "last"]].values) == {"bc": 1.0, "iql": 11.0}
    for arms, seeds in ((["bc", "bc"], [0]), ([], [0]), (["bc"], [1, 1]), (["bc"], [])):
        with pytest.raises(ValueError, match=r"(arms|seeds)=.*must be at least one, each of them once"):
            reports.rows_of(arms, seeds)
    crooked = make(tmp_path, [[0.0, 1]], rows=[{"arm": "a", "seed": 1}, {"arm": "a", "seed": 0}])
    with pytest.raises(ValueError, match=r"config\['rows'\] of run demo=.*must be one for each of config\['seeds'\]"):
        reports.report(crooked)


def test_several_runs_and_names_that_meet(tmp_path):
    runs = [make(tmp_path, [[1.0, 2.0]], "iql"), make(tmp_path, [[3.0, 4.0]], "iql")]
    table = reports.report(*runs).table
    assert table["arm"].tolist() == ["iql", "iql-2: iql"] and table["last"].tolist() == [1.5, 3.5]
    with pytest.raises(ValueError, match="at least one Run"):
        reports.report()


def test_a_diverged_seed_is_not_left_out(tmp_path):
    run = two_arms(tmp_path, [1.0, 2, 3, 4, np.nan], [1.0, 2, 3, 4, 5])
    found = reports.report(run)
    assert np.isnan(found.table["last"][0]) and found.table["last"][1] == 3.0
    assert "bc: the last score of 1 of 5 seeds is not finite." in found.notes and not len(found.improvement)


def test_one_seed_has_a_number_and_no_interval(tmp_path):
    found = reports.report(make(tmp_path, [[0.4], [0.5]]))
    assert found.table["last"][0] == 0.5 and np.isnan(found.table["low"][0])
    assert any("Only 1 seed:" in note for note in found.notes)


def test_references_of_a_dataset():
    facts = {"behaviour_return": 5.0, "random_return": 1.0, "expert_return": 9.0, "optimal_return": None}
    dataset = SimpleNamespace(facts=facts, score=lambda r: (r - 1) / 8)
    expected = {"behaviour": 0.5, "random": 0.0, "expert": 1.0}
    assert reports.references(dataset) == {
        "return": {"behaviour": 5.0, "random": 1.0, "expert": 9.0},
        "score": expected,
    }
    assert reports.references(SimpleNamespace(facts={})) == {"return": {}}


def test_references_stand_in_the_table(tmp_path):
    lines = {"score": {"behaviour": 0.5, "optimal": 1.25}}
    row = reports.report(make(tmp_path, [[0.4, 0.5]], references=lines)).table.iloc[0]
    assert (row["behaviour"], row["optimal"]) == (0.5, 1.25) and np.isnan(row["expert"])


def test_text_and_html_say_the_same_and_hostile_names_are_escaped(tmp_path):
    config = reports.rows_of([HOSTILE, "iql"], range(5))
    found = reports.report(make(tmp_path, [np.arange(10.0)], **config))
    page, words = found._repr_html_(), repr(found)
    assert "<script" not in page and "&lt;script" in page
    for said in ("seeds as the unit", "2 [", "best (upper bound)", "chosen by looking at the test: an upper bound"):
        assert said in page and said in words
    assert f"P({HOSTILE} over iql) = 0 [0, " in words


# The same arms and references in RewardCurves


def curves_of(root, **config):
    config = reports.rows_of(["bc", "iql"], range(3)) | config
    return make(root, [[0.0, 1, 2, 10, 11, 12], [1.0, 2, 3, 20, 21, 22]], **config)


def test_curves_draw_one_line_for_each_arm_and_each_reference(tmp_path):
    run = curves_of(tmp_path, references={"score": {"behaviour": 0.5, "optimal": 30.0}})
    page = RewardCurves(run, metric="score").to_html()
    for said in ("bc: finished, 2 at step 200", "iql: finished, 21 at step 200", "behaviour: 0.5 at every step"):
        assert said in page  # the means over each arm's own seeds, in the description
    names = re.findall(r"<text[^>]*>([^<]*)</text>", page)
    assert [name for name in names if name in ("bc", "iql", "behaviour", "optimal")] == [
        "bc",
        "iql",
        "behaviour",
        "optimal",
    ]
    rows = [re.findall("<td[^>]*>([^<]*)</td>", row) for row in re.findall("<tr>(.*?)</tr>", page)]
    assert ["optimal", "reference", "–", "–", "30", "–", "–"] in rows
    assert "Level lines, for comparison: behaviour, optimal." in page


def test_a_reference_line_is_level_and_inside_the_picture(tmp_path):
    page = RewardCurves(curves_of(tmp_path, references={"score": {"optimal": 60.0}}), metric="score").to_html()
    paths = re.findall(r'<path d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)" stroke="#', page)
    (level,) = [path for path in paths if path[1] == path[3]]
    assert float(level[1]) > 0 and float(level[2]) > float(level[0])


def test_references_of_another_metric_are_not_drawn(tmp_path):
    page = RewardCurves(curves_of(tmp_path, references={"return": {"optimal": 30.0}}), metric="score").to_html()
    assert "optimal" not in page


def test_a_name_with_two_levels_carries_its_run(tmp_path):
    runs = [
        make(tmp_path, [[1.0], [2.0]], name, references={"score": {"behaviour": level, "expert": 1.0}})
        for name, level in (("a", 0.2), ("b", 0.7))
    ]
    assert lines.references(runs, "score") == {"behaviour": 0.2, "expert": 1.0, "behaviour of b": 0.7}
    assert [label for _, label, _ in lines.arms(runs)] == ["a", "b"]
    broken = make(tmp_path, [[1.0]], references={"score": {"optimal": "high"}})
    with pytest.raises(ValueError, match=r"references\['optimal'\] of run demo='high': must be numbers"):
        RewardCurves(broken, metric="score")


def test_hostile_arms_and_references_are_escaped_in_curves(tmp_path):
    config = reports.rows_of([HOSTILE, "iql"], range(3)) | {"references": {"score": {HOSTILE: 1.0}}}
    page = RewardCurves(curves_of(tmp_path, **config), metric="score").to_html()
    assert "<script" not in page and page.count("&lt;script") >= 2
