"""RewardCurves without a browser: controls, live following, Pause and Stop, static twin, hostile text."""

import threading
import time

import pytest

from rlkit import live as live_module
from rlkit.runs import Run, Step
from rlkit.widgets import RewardCurves

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>\u202e"


@pytest.fixture(autouse=True)
def threaded(monkeypatch):
    monkeypatch.delenv("RLKIT_SYNC", raising=False)


def make(root, name="demo", steps=20, seeds=3, metrics=("reward", "loss")):
    run = Run.create(name, {"seeds": list(range(seeds))}, root=root)
    for step in range(steps):
        run.log(step, **{m: [step / 20 + i + s / 100 for s in range(seeds)] for i, m in enumerate(metrics)})
    run.finish()
    return run


def shown(widget):
    return widget.layout.display != "none"


def until(condition, seconds=20):
    """Wait for another thread's work; the limit is only there so that a failure ends."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.01)


class Gate:
    """A learner that takes one step for each permit, so that a test decides how far it is."""

    def __init__(self):
        self.permits, self.step = threading.Semaphore(0), 0

    def learner(self):
        while self.permits.acquire():
            yield Step(self.step, {"reward": [float(self.step), 1.0]})
            self.step += 1

    def advance(self, run, steps=1):
        for _ in range(steps):
            before = run.last_step
            self.permits.release()
            until(lambda before=before: run.last_step != before)


def test_the_controls_change_the_picture(tmp_path):
    curves = RewardCurves(make(tmp_path))
    first = curves.picture.value
    assert "reward (mean over 3 seeds)" in first and "Student" in first
    curves.metric.value = "loss"
    assert "loss (mean over 3 seeds)" in curves.picture.value
    curves.statistic.value = "IQM"
    assert "loss (IQM over 3 seeds)" in curves.picture.value and "bootstrap" in curves.picture.value
    curves.window.value = 10
    assert "Smoothed over the last 10 logged steps" in curves.picture.value
    assert curves.twin.value == ""
    curves.numbers.value = True
    assert "<table" in curves.twin.value and ">1.735</td>" in curves.twin.value


def test_the_browser_contract_and_labels(tmp_path):
    curves = RewardCurves(make(tmp_path))
    assert "rlkit-curves" in curves.box._dom_classes and "rlkit-status" in curves.status._dom_classes
    assert "rlkit-stop" in curves.stop._dom_classes and "rlkit-pause" in curves.pause._dom_classes
    assert "finished, step 19" in curves.status.value
    controls = [child for row in curves.box.children[:2] for child in row.children if child is not curves.status]
    assert len(controls) == 7 and all(control.description for control in controls)
    assert not shown(curves.stop) and not shown(curves.pause) and not shown(curves.refresh)


def test_several_runs_have_a_line_and_a_row_each(tmp_path):
    curves = RewardCurves(make(tmp_path), make(tmp_path), make(tmp_path, "other", metrics=("reward", "kl")))
    curves.numbers.value = True
    for name in ("demo", "demo-2", "other"):
        assert f">{name}</text>" in curves.picture.value and f">{name}</td>" in curves.twin.value
    assert [value for _, value in curves.metric.options] == ["reward", "loss", "kl"]
    curves.metric.value = "kl"
    assert curves.twin.value.count("<td") == 3 * 7


def test_it_follows_a_live_run_and_lets_go_at_its_end(tmp_path):
    run, gate = Run.create("live", {"seeds": [0, 1]}, root=tmp_path), Gate()
    curves = RewardCurves(run, metric="reward")
    handle = live_module.live(gate.learner(), run)
    assert "no value to draw yet" in curves.picture.value and "nothing logged yet" in curves.picture.value
    gate.advance(run)
    until(lambda: "reward (mean over 2 seeds)" in curves.picture.value)
    until(lambda: shown(curves.stop) and shown(curves.pause) and not shown(curves.refresh))
    assert "running, step" in curves.status.value
    gate.advance(run, 5)
    handle.stop()
    gate.permits.release()
    handle.wait()
    assert "stopped, step 6" in curves.status.value and "at step 6" in curves.picture.value
    assert run._watchers == [] and not shown(curves.stop) and not shown(curves.pause)


def test_pause_resume_and_stop_by_their_buttons(tmp_path):
    run, gate = Run.create("live", {"seeds": [0, 1]}, root=tmp_path), Gate()
    handle = live_module.live(gate.learner(), run)
    curves = RewardCurves(run)
    gate.advance(run)
    curves.pause.click()
    assert handle.state == "paused" and curves.pause.description == "Resume" and "paused" in curves.status.value
    curves.pause.click()
    assert handle.state == "running" and curves.pause.description == "Pause" and "running" in curves.status.value
    curves.stop.click()
    gate.permits.release()
    handle.wait()
    assert run.state == "stopped" and "stopped" in curves.status.value


def test_a_failed_run_says_so_escaped(tmp_path):
    def learner():
        yield Step(0, {"reward": 1.0})
        raise ValueError(HOSTILE)

    run = Run.create("bad", root=tmp_path)
    curves = RewardCurves(run)
    handle = live_module.live(learner(), run)
    with pytest.raises(ValueError, match="script"):
        handle.wait()
    assert "failed, step 0: ValueError: &lt;script&gt;" in curves.status.value and "<script" not in curves.to_html()


def test_fast_logging_is_drawn_at_most_five_times_a_second_and_its_end_always(tmp_path):
    run = Run.create("fast", root=tmp_path)
    curves, drawings, start = RewardCurves(run), [], time.monotonic()
    curves.picture.observe(lambda change: drawings.append(change.new), "value")
    for step in range(2000):
        run.log(step, reward=float(step))
    assert len(drawings) <= (time.monotonic() - start) / 0.2 + 1
    run.finish()
    assert "at step 1,999" in drawings[-1] and run._watchers == []


def test_a_view_that_breaks_is_reported_by_wait(tmp_path, monkeypatch):
    run, gate = Run.create("broken", {"seeds": [0, 1]}, root=tmp_path), Gate()
    RewardCurves(run)
    monkeypatch.setattr("rlkit.widgets.curves.svg.chart", lambda *_: 1 / 0)
    handle = live_module.live(gate.learner(), run)
    handle.stop()
    gate.permits.release()
    with pytest.raises(ZeroDivisionError):
        handle.wait()
    assert run.state == "stopped" and run._watchers == []


def test_no_thread_is_left_when_the_run_has_ended(tmp_path):
    before = threading.active_count()
    run, gate = Run.create("live", {"seeds": [0, 1]}, root=tmp_path), Gate()
    RewardCurves(run)
    handle = live_module.live(gate.learner(), run)
    gate.advance(run, 3)
    handle.stop()
    gate.permits.release()
    handle.wait()
    until(lambda: threading.active_count() <= before)


def test_refresh_reads_what_another_process_wrote(tmp_path):
    writer = Run.create("elsewhere", root=tmp_path)
    writer.log(0, reward=1.0)
    curves = RewardCurves(Run.load(writer.path))
    assert shown(curves.refresh) and not shown(curves.stop) and "unfinished, step 0" in curves.status.value
    writer.log(1, reward=2.0, late=3.0)
    writer.finish()
    curves.refresh.click()
    assert "finished, step 1" in curves.status.value and not shown(curves.refresh)
    assert [value for _, value in curves.metric.options] == ["reward", "late"] and curves.metric.value == "reward"


def test_two_threads_may_draw_at_once(tmp_path):
    run = Run.create("busy", {"seeds": [0, 1]}, root=tmp_path)
    curves, errors = RewardCurves(run), []
    run.log(0, reward=[0.0, 1.0], loss=[1.0, 2.0])
    curves.refresh.click()

    def click(name):
        for _ in range(20):
            try:
                curves.metric.value = name
            except Exception as error:  # noqa: BLE001 - any error in a thread must fail the test
                errors.append(error)

    threads = [threading.Thread(target=click, args=(name,)) for name in ("reward", "loss")]
    for thread in threads:
        thread.start()
    for step in range(1, 30):
        run.log(step, reward=[0.0, 1.0], loss=[1.0, 2.0])
    for thread in threads:
        thread.join()
    run.finish()
    assert errors == [] and run.watch_error is None and "finished, step 29" in curves.status.value


def test_hostile_metric_names_are_shown_as_text(tmp_path):
    run = Run.create("r", {"seeds": [0, 1]}, root=tmp_path)
    run.log(0, **{HOSTILE: [1.0, 2.0], "W" * 10_000: [1.0, 2.0]})
    run.finish()
    curves = RewardCurves(run)
    curves.numbers.value = True
    for page in (curves.picture.value, curves.twin.value, curves.to_html(), curves.status.value):
        assert "<script" not in page and "<img" not in page and "\u202e" not in page and len(page) < 20_000
    assert max(len(label) for label, _ in curves.metric.options) <= 28
    curves.metric.value = "W" * 10_000
    assert len(curves.picture.value) < 20_000


def test_the_static_twin_is_self_contained_and_has_the_numbers(tmp_path):
    page = RewardCurves(make(tmp_path)).to_html()
    assert page.count('role="img"') == 1 and "<details" in page and "<table" in page and "finished, step 19" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "") and "<script" not in page


def test_the_display_carries_widget_page_and_text(tmp_path):
    curves = RewardCurves(make(tmp_path))
    bundle = curves._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == curves.box.model_id
    assert bundle["text/html"] == curves.to_html() and "demo" in bundle["text/plain"]
    assert not hasattr(curves, "_ipython_display_")


def test_bad_arguments_are_one_line(tmp_path):
    run = make(tmp_path)
    with pytest.raises(ValueError, match=r"^runs=\(\): must be at least one Run$"):
        RewardCurves()
    with pytest.raises(TypeError, match=r"^runs=.*must be Runs"):
        RewardCurves(run, "demo")
    with pytest.raises(ValueError, match=r"^metric='rewrd': must be one of reward, loss$"):
        RewardCurves(run, metric="rewrd")


def test_a_metric_that_a_live_run_logs_only_later_is_waited_for(tmp_path):
    """A learner of language models logs its reward from step 1 on: step 0 is the base, before any training."""
    run = Run.create("late", root=tmp_path)
    run.log(0, tokens=0.0)
    curves = RewardCurves(run, metric="reward")
    assert curves.metric.value == "tokens"
    run.log(1, tokens=5.0, reward=0.5)
    curves._draw()
    assert curves.metric.value == "reward"
    curves.metric.value = "tokens"
    run.log(2, tokens=9.0, reward=0.6, loss=1.0)
    curves._draw()
    assert curves.metric.value == "tokens"  # what the reader has chosen stays


def test_what_the_reader_chooses_while_a_metric_is_awaited_stays(tmp_path):
    run = Run.create("late", root=tmp_path)
    run.log(0, tokens=0.0, updates=0.0)
    curves = RewardCurves(run, metric="reward")
    curves.metric.value = "updates"
    run.log(1, tokens=5.0, updates=1.0, reward=0.5)
    curves._draw()
    assert curves.metric.value == "updates"
