"""Gauges: every rule against a series that breaks it, seeds one by one, the loss line, live, hostile, static twin."""

import re
import threading
import time

import numpy as np
import pytest

from rlkit import live as live_module
from rlkit.runs import Run, Step
from rlkit.widgets import gauge_rules
from rlkit.widgets.gauge_rules import FINE, GAUGES, NONE, OPEN, OUT
from rlkit.widgets.gauges import Gauges

BY_NAME = {gauge.name: gauge for gauge in GAUGES}
SANE = {"reward": 0.4, "dead_groups": 0.2, "truncated": 0.02, "entropy": 1.0, "kl": 0.01, "ratio_min": 0.9,
        "ratio_max": 1.1, "gradient_norm": 0.3, "loss": 1e-9}  # fmt: skip


def read(name, *metrics):
    """Reading of a gauge from one list of values per metric, [N] or [N, S]."""
    gauge = BY_NAME[name]
    arrays = [np.array(values, dtype=float) for values in metrics]
    series = {
        metric: (np.arange(len(a)), a.reshape(len(a), -1)) for metric, a in zip(gauge.metrics, arrays, strict=True)
    }
    return gauge_rules.read(gauge, series)


def make(root, steps=5, config=None, **metrics):
    run = Run.create("demo", config, root=root)
    for step in range(steps):
        run.log(step, **(SANE | metrics))
    run.finish()
    return run


def until(condition, seconds=20):
    """Wait for another thread's work; the limit is only there so that a failure ends."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("name", "values", "state", "words"),
    [
        ("dead groups", [[0.1, 0.51]], OUT, "more than half of the groups teach nothing"),
        ("dead groups", [[0.9, 0.5]], FINE, "at most 0.5"),
        ("truncated", [[0.0, 0.11]], OUT, "above 10 %"),
        ("truncated", [[0.5, 0.1]], FINE, "at most 0.1"),
        ("entropy", [[2.0, 0.39]], OUT, "entropy collapse"),
        ("entropy", [[2.0, 0.41]], FINE, "between a fifth and twice its start"),
        ("entropy", [[1.0, 2.1]], OUT, "drifts towards noise"),
        ("KL to the reference", [[0.0, 0.51]], OUT, "far from the reference"),
        ("KL to the reference", [[0.0, -0.1]], OUT, "sign error"),
        ("KL to the reference", [[0.0, 0.49]], FINE, "at most 0.5"),
        ("ratio range", [[1.0, 0.4], [1.0, 1.1]], OUT, "far from 1"),
        ("ratio range", [[1.0, 0.9], [1.0, 2.1]], OUT, "far from 1"),
        ("ratio range", [[1.0, 0.6], [1.0, 1.9]], FINE, "between 0.5 and 2"),
        ("gradient norm", [[0.3, 0.0]], OUT, "nothing was learned in this step"),
        ("gradient norm", [[0.0, 0.3]], FINE, "above 0"),
        ("gradient norm", [[0.3, float("nan")]], OUT, "not a finite number"),
        ("truncated", [[0.0, float("inf")]], OUT, "not a finite number"),
    ],
)
def test_the_newest_value_decides_and_the_word_says_what_it_means(name, values, state, words):
    reading = read(name, *values)
    assert reading.state == state and words in reading.words


def test_each_seed_is_judged_by_itself_and_they_are_counted():
    reading = read("gradient norm", [[0.3, 0.3, 0.3], [0.2, 0.0, 0.0]])
    assert reading.state == OUT and "(in 2 of 3 seeds)" in reading.words
    assert "(in 1 of 2 seeds)" in read("entropy", [[1.0, 9.0], [1.0, 1.0]]).words  # each against its own start
    assert "(in 1 of 2 seeds)" in read("truncated", [[0.0, float("nan")]]).words
    assert gauge_rules.newest(reading) == "0.0667" and gauge_rules.spread(reading) == "0 to 0.2 over 3 seeds"
    assert gauge_rules.spread(read("truncated", [[0.02]])) == ""


def test_the_ratio_range_is_the_lowest_and_the_highest_of_all_seeds():
    reading = read("ratio range", [[0.9, 0.7]], [[1.1, 1.3]])
    assert gauge_rules.newest(reading) == "0.7 to 1.3" and gauge_rules.spread(reading) == ""


def test_a_missing_metric_is_not_logged():
    reading = gauge_rules.read(BY_NAME["ratio range"], {"ratio_min": (np.arange(1), np.ones((1, 1)))})
    assert reading.state == NONE and "ratio_max" in reading.words and gauge_rules.newest(reading) == "–"


def test_the_reward_has_a_trend_and_no_range():
    noise = np.random.default_rng(0).normal(0, 0.1, 100)
    assert read("reward", noise).state == OPEN and "no clear change" in read("reward", noise).words
    assert "up by 0.9" in read("reward", noise * 0.01 + np.linspace(0, 1, 100)).words
    assert "down by 0.9" in read("reward", noise * 0.01 - np.linspace(0, 1, 100)).words
    assert "too few steps" in read("reward", [0.1, 0.9]).words


def test_the_line_on_the_loss_depends_on_the_objective():
    series = {"loss": (np.arange(1), np.array([[-2e-9]]))}
    for described in ({"name": "grpo"}, {"name": "reinforce", "options": {"baseline": "batch"}}, None, "grpo"):
        words = gauge_rules.loss_words(series, described)
        assert "2e-09 now" in words and "near 0 is expected" in words and "gradient" in words and "sum to 0" in words
    for name in ("nsr", "psr", "w_reinforce", "reinforce"):
        words = gauge_rules.loss_words(series, {"name": name, "options": {}})
        assert f"advantages of {name} do not sum to 0" in words
    assert "logarithm of a ratio" in gauge_rules.loss_words(series, {"name": "nft"})
    assert "not logged" in gauge_rules.loss_words({}, {"name": "grpo"})


def test_what_the_line_says_of_the_loss_is_true_of_every_objective():
    torch = pytest.importorskip("torch")
    from rlkit.rlvr import objectives

    logp, mask = torch.full((8, 3), -1.0), torch.ones(2, 4, 3, dtype=torch.bool)
    for name in objectives.names():
        objective = objectives.make(name)
        weights = objective.advantages([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]])
        flat = objectives.rows(weights)
        columns = logp, logp, None, mask.reshape(8, 3), flat, objective.normaliser(mask, weights, 3)
        loss = float(objective.loss(*columns)[0])
        expected = "near 0 is expected" in gauge_rules.loss_words({}, objectives.describe(objective))
        assert expected == (abs(loss) < 1e-6), (name, loss)
        assert objectives.credit(objective, *columns).abs().max() > 0.1, name


def test_the_rack_shows_all_gauges_and_the_scale_is_honest(tmp_path):
    gauges = Gauges(make(tmp_path))
    assert [name for name in gauges.readings()] == list(BY_NAME)
    assert gauges.rack.value.count('role="img"') == 7 and "A loss near 0 is expected" in gauges.rack.value
    assert gauges.rack.value.count(FINE) == 6 * 2 and gauges.rack.value.count(OPEN) == 2  # in words and in the picture
    dead = re.search(r"<svg.*?dead groups by step.*?</svg>", gauges.rack.value)[0]
    ends = re.findall(r'text-anchor="end" >([^<]*)</text>', dead)
    assert ends[:2] == ["1", "0"] and 'stroke-dasharray="1 3"' in dead  # a share is drawn from 0 to 1, with its limit


def test_noise_is_not_blown_up_and_a_spike_is_not_cut_off(tmp_path):
    run = Run.create("spike", root=tmp_path)
    for step in range(1000):
        run.log(step, gradient_norm=50.0 if step == 500 else 0.3)
    run.finish()
    assert ">50</text>" in Gauges(run).rack.value


def test_what_is_not_logged_is_said_and_has_no_picture(tmp_path):
    run = Run.create("bare", root=tmp_path)
    run.log(0, other=1.0)
    run.finish()
    gauges = Gauges(run)
    assert {reading.state for reading in gauges.readings().values()} == {NONE}
    assert "<svg" not in gauges.rack.value and gauges.rack.value.count("not logged") == 8
    assert "no step yet" in Gauges(Run.create("empty", root=tmp_path)).status.value


def test_the_table_twin_has_each_gauge_in_words(tmp_path):
    gauges = Gauges(make(tmp_path, truncated=0.4))
    assert gauges.twin.value == "" and gauges.numbers.description
    gauges.numbers.value = True
    assert gauges.twin.value.count("<tr>") == 8 and ">0.4</td>" in gauges.twin.value and OUT in gauges.twin.value
    page = gauges.to_html()
    assert gauges.twin.value in page and "<details" in page and "http" not in page.replace("http://www.w3.org", "")
    bundle = gauges._repr_mimebundle_()
    assert bundle["text/html"] == page and "truncated 0.4 (▲ out of range)" in bundle["text/plain"]


def test_metrics_per_seed_show_mean_and_range(tmp_path):
    run = Run.create("seeds", {"seeds": [0, 1]}, root=tmp_path)
    for step in range(12):
        run.log(step, reward=[0.2, 0.4], truncated=[0.0, float("nan")], ratio_min=[0.9, 1.0], ratio_max=[1.0, 1.2])
    run.finish()
    page = Gauges(run).rack.value
    assert ">0.3</div>" in page and "0.2 to 0.4 over 2 seeds" in page and "0.9 to 1.2" in page
    assert "not a finite number (in 1 of 2 seeds)" in page and 'fill-opacity="0.25"' in page


def test_it_follows_a_live_run_and_stops_it(tmp_path):
    run, permits = Run.create("live", root=tmp_path), threading.Semaphore(0)

    def learner():
        step = 0
        while permits.acquire():
            yield Step(step, SANE | {"dead_groups": step / 2})
            step += 1

    gauges = Gauges(run)
    handle = live_module.live(learner(), run)
    permits.release()
    until(lambda: "step 0" in gauges.status.value and FINE in gauges.rack.value)
    assert gauges.readings()["dead groups"].state == FINE and gauges.stop.layout.display != "none"
    permits.release(2)
    until(lambda: "more than half" in gauges.rack.value)
    gauges.stop.click()
    permits.release()
    handle.wait()
    assert "stopped, step 3" in gauges.status.value and run._watchers == [] and gauges.stop.layout.display == "none"


def test_refresh_reads_what_another_process_wrote(tmp_path):
    writer = Run.create("elsewhere", root=tmp_path)
    writer.log(0, **SANE)
    gauges = Gauges(Run.load(writer.path))
    assert gauges.refresh.layout.display != "none" and "unfinished, step 0" in gauges.status.value
    writer.log(1, **SANE | {"truncated": 0.5})
    writer.finish()
    gauges.refresh.click()
    assert "finished, step 1" in gauges.status.value and "above 10 %" in gauges.rack.value


def test_a_hostile_objective_is_text_and_other_things_are_refused(tmp_path):
    hostile = "<script>alert(1)</script>"
    for described in ({"name": hostile}, [hostile], {"name": [1]}, None):
        page = Gauges(make(tmp_path, config={"objective": described})).to_html()
        assert "<script" not in page and "A loss near 0 is expected" in page
    with pytest.raises(TypeError, match=r"^run='demo': must be a Run"):
        Gauges("demo")
