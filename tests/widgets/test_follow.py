import time

from rlkit.runs import Run
from rlkit.widgets import LiveView


def until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_the_newest_step_is_drawn_even_if_the_next_one_takes_long(tmp_path):
    run = Run.create("a", {}, root=tmp_path)
    view = LiveView(run, lambda run: f"<p>{run.last_step}</p>")
    for step in range(3):  # faster than the view draws, and then nothing more
        run.log(step, x=1.0)
    until(lambda: view.picture.value == "<p>2</p>")


def test_an_error_in_a_later_drawing_is_kept_for_wait(tmp_path):
    run = Run.create("a", {}, root=tmp_path)
    LiveView(run, lambda run: f"<p>{1 / (2 - (run.last_step or 0))}</p>")
    for step in range(3):
        run.log(step, x=1.0)
    until(lambda: isinstance(run.watch_error, ZeroDivisionError))
