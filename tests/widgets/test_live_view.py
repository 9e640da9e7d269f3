"""LiveView: it follows a run, its Stop button stops it, and it lets go when the run ends."""

import time

import pytest

from rlkit.live import live
from rlkit.runs import Run, Step
from rlkit.widgets import LiveView


def endless():
    step = 0
    while True:
        yield Step(step, {"x": float(step)})
        step += 1
        time.sleep(0.005)


def last(run):
    return f"<b>at {run.last_step}</b>"


def test_stop_ends_a_live_run_and_the_last_step_is_drawn(tmp_path, monkeypatch):
    monkeypatch.delenv("RLKIT_SYNC", raising=False)
    run = Run.create("r", {}, root=tmp_path)
    handle = live(endless(), run)
    view = LiveView(run, last)
    assert view.stop.layout.display == ""
    while run.last_step is None or run.last_step < 3:
        time.sleep(0.01)
    view.stop.click()
    handle.wait(5)
    assert run.state == "stopped" and view.picture.value == last(run)
    assert "stopped" in view.status.value and view.stop.layout.display == "none"
    assert run._watchers == []


def test_a_run_that_has_ended_is_shown_as_it_is(tmp_path):
    run = Run.create("r", {"steps": 1}, root=tmp_path)
    run.log(1, x=2.0)
    run.finish()
    view = LiveView(run, last)
    assert view.stop.layout.display == "none" and "finished, step 1 of 1" in view.status.value
    assert "at 1" in view.to_html() and run._watchers == []


def test_an_error_in_the_picture_is_raised_at_once(tmp_path):
    run = Run.create("r", {}, root=tmp_path)
    with pytest.raises(ZeroDivisionError):
        LiveView(run, lambda run: 1 / 0)


@pytest.mark.parametrize("arguments", [("r", last), (None, last)])
def test_other_things_than_a_run_and_a_function_are_refused(arguments):
    with pytest.raises(TypeError, match=r"^run=.*must be a Run and a function"):
        LiveView(*arguments)
