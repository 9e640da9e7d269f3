"""An IPython extension that remembers the errors which a notebook runner cannot see. It runs inside the kernel.

A cell that starts a thread, fills an `Output`, builds an `interact` or creates an asyncio task returns without error,
whatever becomes of it. `load_ipython_extension` notes each such error from the first cell on; `finish`, awaited in a
last hidden cell, gives threads and tasks time to end and then raises everything noted. It changes nothing that a
notebook can see, and imports nothing of the kit.
"""

import asyncio
import sys
import threading
import time
import traceback

SECONDS = 30  # what threads and tasks get to end by themselves after the last cell
# Threads and tasks of the kernel itself, and pools that idle for ever: nobody's errors, and not waited for.
MACHINERY = ("IPython", "asyncio", "comm", "concurrent", "ipykernel", "joblib", "jupyter_client", "multiprocessing")
MACHINERY += ("tornado", "tqdm", "zmq")

_faults = []  # (where, "Type: message", traceback)
_threads = []  # (thread, its name) of everything that is not machinery
_tasks = []  # every task since the first cell: a reference keeps its exception from being lost


def _note(where: str, kind: type, error: BaseException | None, trace) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    _faults.append((where, f"{kind.__name__}: {error}", text))


def _is_machinery(module: str | None) -> bool:
    return (module or "").split(".")[0] in MACHINERY


def _watch_threads() -> None:
    hook, start = threading.excepthook, threading.Thread.start

    def excepthook(args):
        if args.exc_type is not SystemExit:
            _note(f"in thread {getattr(args.thread, 'name', '?')}", args.exc_type, args.exc_value, args.exc_traceback)
        hook(args)

    def start_and_remember(thread):
        # A Timer keeps what it calls in `function`, a Thread in `_target`; a subclass is its own.
        call = getattr(thread, "_target", None) or getattr(thread, "function", None) or type(thread)
        if not _is_machinery(getattr(call, "__module__", None)):
            _threads.append(thread)
        start(thread)

    threading.excepthook, threading.Thread.start = excepthook, start_and_remember


def _watch_tracebacks(shell) -> None:
    """`with Output()`, interact and widget callbacks all end in showtraceback; a cell's own error says so itself."""
    show = type(shell).showtraceback

    def showtraceback(self, exc_tuple=None, *args, running_compiled_code=False, **kwargs):
        if not running_compiled_code:
            kind, error, trace = exc_tuple or sys.exc_info()
            if kind is not None:
                _note("shown in an output or by a widget", kind, error, trace)
        return show(self, exc_tuple, *args, running_compiled_code=running_compiled_code, **kwargs)

    type(shell).showtraceback = showtraceback


def _watch_tasks(*_) -> None:
    """Before the first cell, when the kernel's loop runs."""
    loop = asyncio.get_running_loop()
    if getattr(loop, "watched_by_guard", False):
        return
    loop.watched_by_guard = True
    make = loop.get_task_factory() or (lambda loop, coroutine, **kwargs: asyncio.Task(coroutine, loop=loop, **kwargs))

    def task_factory(loop, coroutine, **kwargs):
        task = make(loop, coroutine, **kwargs)
        frame = getattr(coroutine, "cr_frame", None)
        if not _is_machinery(frame.f_globals.get("__name__") if frame else None):
            _tasks.append(task)
        return task

    def exception_handler(loop, context):
        error = context.get("exception")
        if error is not None:
            _note("in the event loop", type(error), error, error.__traceback__)
        loop.default_exception_handler(context)

    loop.set_task_factory(task_factory)
    loop.set_exception_handler(exception_handler)


def _output_errors():
    """Errors that lie in Output widgets, however they came there."""
    module = sys.modules.get("ipywidgets.widgets.widget")
    if module is None:
        return
    widgets = getattr(module, "_instances", None) or getattr(module.Widget, "widgets", {})
    for widget in list(widgets.values()):
        for output in getattr(widget, "outputs", None) or ():
            if isinstance(output, dict) and output.get("output_type") == "error":
                yield f"{output.get('ename')}: {output.get('evalue')}", "\n".join(output.get("traceback", ()))


async def finish() -> None:
    """Wait for threads and tasks, then raise AssertionError with every error noted. Prints the kernel's CPU-seconds."""
    me, deadline = asyncio.current_task(), time.monotonic() + SECONDS
    running = True
    while running and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
        running = [t for t in _threads if t.is_alive()] + [t for t in _tasks if t is not me and not t.done()]
    for left in running or ():
        name = getattr(left, "name", None) or repr(left)
        _faults.append((f"still running {SECONDS} s after the last cell", f"{name}: stop it or wait for it", ""))
    for task in _tasks:
        # _log_traceback: asyncio's own mark of an exception that nobody has looked at.
        if task.done() and not task.cancelled() and getattr(task, "_log_traceback", True) and task.exception():
            error = task.exception()
            _note(f"in task {task.get_name()}", type(error), error, error.__traceback__)
    seen = {what for _, what, _ in _faults}
    _faults.extend(("in an Output widget", what, text) for what, text in _output_errors() if what not in seen)
    print(f"{time.process_time():.3f}")
    if _faults:
        details = "\n".join(text for _, _, text in _faults)
        lines = "; ".join(f"{where}: {what}" for where, what, _ in _faults)
        raise AssertionError(f"{details}\nerrors that no cell reported: {lines}") from None


def load_ipython_extension(shell) -> None:
    """Called by IPython before the first cell."""
    _watch_threads()
    _watch_tracebacks(shell)
    shell.events.register("pre_run_cell", _watch_tasks)
