"""Drain a learner in the background: a thread, because nothing else lets a Stop button work in every front end.

A notebook cell that trains blocks the kernel, and a click waits until the cell is done. So the learner, a plain
generator, is drained by a thread into a Run, the cell returns at once, and widgets read the Run.
"""

import contextlib
import os
import threading
import time
import traceback

from IPython import get_ipython
from IPython.display import DisplayHandle

from rlkit import checks
from rlkit.runs import Run, Step

_open_cells = {}  # cell -> (execution, handles): running a cell again stops what it started before


def _cell():
    """(cell, execution) that is running now, as far as the front end tells; (None, None) outside IPython."""
    shell = get_ipython()
    if shell is None:
        return None, None
    parent = getattr(shell, "parent_header", None) or {}
    execution = parent.get("header", {}).get("msg_id", shell.execution_count)
    return parent.get("metadata", {}).get("cellId"), execution


class Handle:
    """What `live` returns: `pause()`, `resume()`, `stop()`, `wait()`; attributes run, state, error, done.

    state: running, paused, stopping, finished, stopped or failed. error: the exception that ended the learner, or None.
    """

    def __init__(self, learner, run: Run):
        self.run, self.error, self._learner = run, None, learner
        self._go, self._stop, self._seen = threading.Event(), threading.Event(), False
        self._ended, self._written = None, threading.Event()
        self._go.set()
        self._thread = threading.Thread(target=self._drain, name=f"rlkit-{run.name}", daemon=True)

    @property
    def state(self) -> str:
        if self._ended:
            return self._ended
        if self._stop.is_set():
            return "stopping"
        return "running" if self._go.is_set() else "paused"

    @property
    def done(self) -> bool:
        """True once the learner has ended and everything is written."""
        return self._written.is_set()

    def pause(self) -> None:
        """Hold the learner before its next step."""
        if not self.done:
            self._go.clear()
            self.run.tell()

    def resume(self) -> None:
        """Go on after `pause()`."""
        self._go.set()
        self.run.tell()

    def stop(self) -> None:
        """End the learner between two steps; what it logged stays. Returns at once: `wait()` waits for the end."""
        self._stop.set()
        self._go.set()
        self.run.tell()

    def _drain(self) -> None:
        state, error = "finished", None
        try:
            for step in self._learner:
                if not isinstance(step, Step):
                    raise TypeError(f"learner yielded {type(step).__name__}: a learner yields rlkit.runs.Step")
                self.run.record(step)
                self._go.wait()
                if self._stop.is_set():
                    state = "stopped"
                    break
        except BaseException as caught:  # noqa: BLE001 - kept for wait(), or shown after the next cell
            state, error = ("stopped", None) if isinstance(caught, KeyboardInterrupt) else ("failed", caught)
        try:
            self._learner.close()  # the generator's own clean-up (files, environments) runs now, not at some later time
        except Exception as caught:  # noqa: BLE001 - as above
            state, error = "failed", error or caught
        self.error = error
        note = "".join(traceback.format_exception_only(error)).strip() if error else None
        # The state is set before the views are told of the end, so that their last look shows it.
        self._ended = state
        try:
            self.run.finish(state, error=note)
        except Exception as caught:  # noqa: BLE001 - as above
            self._ended, self.error = "failed", error or caught
        self._written.set()

    def _failure(self):
        return self.error or self.run.watch_error

    def wait(self, timeout: float | None = None) -> Run:
        """Wait for the end and return the run; after two seconds, say how far it is.

        timeout: seconds, or None for as long as it takes. Raises what the learner (or a view of its run) raised, and
        TimeoutError. Interrupting the kernel stops the run between two steps and returns what it logged.
        """
        # The handle stands before anything is shown: an interrupt can land inside its first display.
        start, line, shown = time.monotonic(), DisplayHandle(), False
        try:
            while not self._written.wait(0.1):
                waited = time.monotonic() - start
                if timeout is not None and waited > timeout:
                    raise TimeoutError(f"run {self.run.name!r} is {self.state} after {timeout} s")
                if waited > 2 and get_ipython() is not None:
                    first, shown = not shown, True
                    self._progress(line, waited, first)
        except KeyboardInterrupt:
            # Not Thread.join: interrupted, it takes a living thread for a dead one (Python 3.11 and 3.12).
            self.stop()
            self._written.wait()  # a second interrupt gets out of a learner whose step does not end
            print(f"interrupted: stopped after step {self.run.last_step}; what was logged is kept")
        if shown:
            self._progress(line, time.monotonic() - start)
        self._seen = True
        if self._failure():
            raise self._failure()
        return self.run

    def _progress(self, line: DisplayHandle, seconds: float, first: bool = False) -> None:
        total = self.run.config.get("steps")
        of = f" of {total:,}" if isinstance(total, int) else ""
        step = "no step yet" if self.run.last_step is None else f"step {self.run.last_step:,}{of}"
        text = {"text/plain": f"{self.run.name}: {self.state}, {step}, {seconds:.0f} s"}
        (line.display if first else line.update)(text, raw=True)

    def _report(self, *_) -> None:
        """After each cell: show an error that nobody waited for, once."""
        if self.done:
            with contextlib.suppress(ValueError):
                get_ipython().events.unregister("post_run_cell", self._report)
            failure = self._failure()
            if failure and not self._seen:
                self._seen = True
                get_ipython().showtraceback((type(failure), failure, failure.__traceback__))

    def __repr__(self) -> str:
        step = self.run.last_step
        return f"Handle({self.run.name!r}, {self.state}, {'no step yet' if step is None else f'step {step:,}'})"


def live(learner, run: Run | None = None) -> Handle:
    """Drain `learner`, a generator of Steps, into `run` in a background thread and return its Handle.

    run: a Run, or None for a new one named after the learner. Running the same notebook cell again first stops what
    that cell had started. With RLKIT_SYNC=1 in the environment (as in CI) the learner is drained before `live`
    returns, and what it raises is raised here. The numbers depend on the seeds alone, never on the thread.
    Raises TypeError if `learner` is not a generator, ValueError if the run is being filled already.
    """
    if not (hasattr(learner, "__next__") and hasattr(learner, "close")):
        raise TypeError(f"learner={learner!r}: must be a generator that yields Steps; call the function that makes it")
    run = run or Run.create(learner.__name__.strip("<>") or "run")
    if run.handle is not None and not run.handle.done:
        checks.fail("run", run.name, "a run that no learner is filling; stop it first, or create another")
    handle = Handle(learner, run)
    synchronous = os.environ.get("RLKIT_SYNC") == "1"
    _replace_earlier(handle)
    run.handle = handle
    if synchronous:
        handle._drain()
        handle.wait()
        return handle
    shell = get_ipython()
    if shell is not None:
        shell.events.register("post_run_cell", handle._report)
    handle._thread.start()
    run.tell()  # a view made before this shows its Stop button now, not after the first step
    return handle


def answers_while_waiting(widget):
    """Let a widget's clicks through while a cell blocks in `wait()`; returns the widget.

    JupyterLab sends a click to a second shell of the kernel, which is free then; ipykernel 7.4 sends it back to the
    shell that last updated the widget, which is not. Measured in JupyterLab 4.6: Stop acts after 0.1 s instead of at
    the end of the cell. Elsewhere (Colab's ipykernel 6) nothing changes, and interrupting the kernel does the same.
    """
    if widget.comm is not None:
        widget.comm._reply_subshell_for = lambda data, sent_to: sent_to
    return widget


def _replace_earlier(handle: Handle) -> None:
    """Stop what an earlier execution of this cell started.

    A front end that does not name its cells is helped by the names of run and learner.
    """
    cell, execution = _cell()
    if execution is None:
        return
    key = cell or (handle.run.name, getattr(getattr(handle._learner, "gi_code", None), "co_qualname", None))
    then, handles = _open_cells.get(key, (None, []))
    if then != execution:
        for earlier in handles:
            earlier.stop()
        for earlier in handles:
            earlier._written.wait(5)
        handles = []
    _open_cells[key] = (execution, [*handles, handle])
