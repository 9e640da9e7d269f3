import threading
import time

import nbformat
import numpy as np
import pytest
from IPython.display import DisplayHandle
from jupyter_client import KernelManager
from nbclient import NotebookClient

from rlkit import live as live_module
from rlkit.live import live
from rlkit.runs import Run, Step


def learner(steps=5, seed=0, pause=0.0, closed=None):
    rng = np.random.default_rng(seed)
    try:
        for step in range(steps):
            time.sleep(pause)
            yield Step(step, {"reward": rng.normal(size=2)})
    finally:
        if closed is not None:
            closed.append(True)


def broken():
    yield Step(0, {"reward": 1.0})
    raise FloatingPointError("loss is NaN at step 1")


def until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


def test_drains_into_the_run(tmp_path):
    run = Run.create("a", {"seeds": [0, 1]}, root=tmp_path)
    handle = live(learner(), run)
    assert handle.wait() is run and run.handle is handle
    assert (handle.state, run.state, Run.load(run.path).state) == ("finished",) * 3
    assert run.last_step == 4 and handle.error is None and handle.done


def test_numbers_do_not_depend_on_the_thread(tmp_path, monkeypatch):
    runs = []
    for synchronous in ("0", "1"):
        monkeypatch.setenv("RLKIT_SYNC", synchronous)
        runs.append(live(learner(50, seed=7), Run.create("a", {}, root=tmp_path)).wait())
    plain = np.array([step.metrics["reward"] for step in learner(50, seed=7)])
    for run in runs:
        assert np.array_equal(run.series("reward")[1], plain)


def test_stop_keeps_what_was_logged_and_closes_the_generator(tmp_path):
    closed = []
    handle = live(learner(10_000, pause=0.001, closed=closed), Run.create("a", {}, root=tmp_path))
    until(lambda: (handle.run.last_step or 0) >= 3)
    handle.stop()
    run = handle.wait()
    assert 3 <= run.last_step < 9_999 and run.state == "stopped" and closed == [True]
    assert len(Run.load(run.path).series("reward")[0]) == run.last_step + 1


def test_pause_and_resume(tmp_path):
    handle = live(learner(200, pause=0.001), Run.create("a", {}, root=tmp_path))
    until(lambda: handle.run.last_step is not None)
    handle.pause()
    time.sleep(0.05)
    held = handle.run.last_step
    time.sleep(0.05)
    assert handle.run.last_step == held and handle.run.state == "paused"
    handle.resume()
    assert handle.wait().last_step == 199


def test_a_paused_run_can_be_stopped(tmp_path):
    handle = live(learner(10_000, pause=0.001), Run.create("a", {}, root=tmp_path))
    handle.pause()
    handle.stop()
    assert handle.wait(timeout=5).state == "stopped"


def test_an_error_surfaces_in_wait_and_stays_in_the_run(tmp_path):
    handle = live(broken(), Run.create("a", {}, root=tmp_path))
    with pytest.raises(FloatingPointError, match="loss is NaN at step 1"):
        handle.wait()
    assert isinstance(handle.error, FloatingPointError)
    assert handle.run.state == "failed" and handle.run.error == "FloatingPointError: loss is NaN at step 1"
    assert handle.run.last_step == 0


def test_synchronous_raises_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("RLKIT_SYNC", "1")
    with pytest.raises(FloatingPointError):
        live(broken(), Run.create("a", {}, root=tmp_path))


def test_a_broken_view_surfaces_in_wait_but_the_learner_finishes(tmp_path):
    run = Run.create("a", {}, root=tmp_path)
    run.watch(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        live(learner(), run).wait()
    assert run.last_step == 4 and run.state == "finished"


def test_wait_times_out(tmp_path):
    handle = live(learner(10_000, pause=0.01), Run.create("a", {}, root=tmp_path))
    with pytest.raises(TimeoutError, match=r"is running after 0\.2 s"):
        handle.wait(timeout=0.2)
    handle.stop()
    handle.wait()


def test_an_interrupt_in_wait_stops_the_run_cleanly(tmp_path, monkeypatch, capsys):
    handle = live(learner(10_000, pause=0.001), Run.create("a", {}, root=tmp_path))
    until(lambda: handle.run.last_step is not None)
    real, calls = handle._written.wait, []

    def wait(timeout=None):
        calls.append(timeout)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return real(timeout)

    monkeypatch.setattr(handle._written, "wait", wait)
    assert handle.wait().state == "stopped"
    assert "interrupted: stopped after step" in capsys.readouterr().out


def test_running_the_cell_again_stops_the_first_run(tmp_path, monkeypatch):
    place = ["cell-1", "execution-1"]
    monkeypatch.setattr(live_module, "_cell", lambda: tuple(place))
    both = [live(learner(10_000, pause=0.001), Run.create(name, {}, root=tmp_path)) for name in "ab"]
    until(lambda: all(handle.run.last_step is not None for handle in both))
    assert [handle.state for handle in both] == ["running", "running"]  # two runs of one execution live side by side
    place[1] = "execution-2"
    again = live(learner(10_000, pause=0.001), Run.create("a", {}, root=tmp_path))
    assert [handle.wait(5).state for handle in both] == ["stopped", "stopped"] and again.state == "running"
    place[0] = "cell-2"
    other = live(learner(5), Run.create("a", {}, root=tmp_path))
    other.wait()
    assert again.state == "running"
    again.stop()
    again.wait()


def test_what_is_no_learner_is_refused(tmp_path):
    with pytest.raises(TypeError, match="must be a generator that yields Steps"):
        live(learner)
    with pytest.raises(TypeError, match=r"learner yielded int: a learner yields rlkit\.runs\.Step"):
        live((i for i in range(3)), Run.create("a", {}, root=tmp_path)).wait()


def test_one_run_takes_one_learner_at_a_time(tmp_path):
    run = Run.create("a", {}, root=tmp_path)
    handle = live(learner(10_000, pause=0.001), run)
    with pytest.raises(ValueError, match="a run that no learner is filling"):
        live(learner(), run)
    handle.stop()
    handle.wait()


def test_no_thread_is_left(tmp_path):
    before = threading.active_count()
    for _ in range(5):
        live(learner(), Run.create("a", {}, root=tmp_path)).wait()
    until(lambda: threading.active_count() == before)


KERNEL = """
import threading, time
from rlkit.live import live
from rlkit.runs import Run, Step
later = threading.Event()
def broken():
    yield Step(0, {"x": 1.0})
    later.wait()
    raise FloatingPointError("nobody waited")
"""


def test_an_error_nobody_waits_for_shows_after_the_next_cell(tmp_path):
    start = f"handle = live(broken(), Run.create('a', {{}}, root={str(tmp_path)!r}))"
    fail = "later.set()\nwhile not handle.done:\n    time.sleep(0.01)"
    cells = [nbformat.v4.new_code_cell(source) for source in (KERNEL, start, fail, "1 + 1")]
    notebook = NotebookClient(nbformat.v4.new_notebook(cells=cells), kernel_name="python3").execute()
    errors = [[out.evalue for out in cell.outputs if out.output_type == "error"] for cell in notebook.cells]
    assert errors == [[], [], ["nobody waited"], []]


INTERRUPTED = """
import time
from rlkit.live import live
from rlkit.runs import Run, Step
def slow():
    for step in range(100_000):
        time.sleep(0.01)
        yield Step(step, {"x": 1.0})
handle = live(slow(), Run.create("a", {}, root=ROOT))
handle.wait()
"""


def test_a_real_kernel_interrupt_stops_the_run_and_leaves_no_traceback(tmp_path):
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    said = []

    def output(message):
        data = message["content"].get("data", {})
        said.append(message["content"].get("text") or data.get("text/plain") or message["msg_type"])
        if said[-1].startswith("a: running"):  # wait() has begun to say how far the run is
            manager.interrupt_kernel()

    try:
        client.wait_for_ready(timeout=60)
        reply = client.execute_interactive(f"ROOT = {str(tmp_path)!r}\n{INTERRUPTED}", timeout=60, output_hook=output)
        assert reply["content"]["status"] == "ok", said
        assert any("interrupted: stopped after step" in text for text in said)
        assert any(text.startswith("a: stopped, step") for text in said)  # really at its end when wait() returned
        assert Run.load(tmp_path / "a").state == "stopped"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_an_interrupt_inside_the_first_progress_line_still_ends_with_the_last_one(tmp_path, monkeypatch):
    said = []

    def display(self, data, **_):
        said.append(data["text/plain"])
        raise KeyboardInterrupt

    def slow():
        for step in range(100_000):
            time.sleep(0.01)
            yield Step(step, {"x": 1.0})

    monkeypatch.setattr(DisplayHandle, "display", display)
    monkeypatch.setattr(DisplayHandle, "update", lambda self, data, **_: said.append(data["text/plain"]))
    handle = live(slow(), Run.create("a", {}, root=tmp_path))
    monkeypatch.setattr("rlkit.live.get_ipython", lambda: "a shell")
    handle.wait()
    assert said[0].startswith("a: running, step") and said[-1].startswith("a: stopped, step") and len(said) == 2
