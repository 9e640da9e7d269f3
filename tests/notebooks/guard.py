"""nbmake with its eyes open: a pytest plugin that makes errors fail which nbmake lets pass.

nbmake reports what a cell raises. It is green for an error in a thread, inside `with Output()`, in an `interact`
function and in an asyncio task that nobody awaits (test_guard.py shows each). So each notebook's kernel gets the
extension kernel/notebook_guard.py, and a hidden last cell asks it what it saw.
"""

import os
import tempfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

KERNEL_SIDE = Path(__file__).parent / "kernel"
LAST_CELL = "import notebook_guard\n\nawait notebook_guard.finish()"


class GuardedClient(NotebookClient):
    """nbclient's runner with the guard in its kernel, and sockets without ports."""

    cpu_seconds = None  # of the notebook that this process ran last
    synchronous = True  # learners are drained in the cell that starts them, not in a thread

    def create_kernel_manager(self):
        manager = super().create_kernel_manager()
        if os.name == "posix":  # two kernels that start at once can be given the same TCP port: use files instead
            manager.transport, manager.ip = "ipc", os.path.join(self.sockets, "socket")
        return manager

    def execute(self, **kwargs):
        path = os.pathsep.join([str(KERNEL_SIDE), *filter(None, [os.environ.get("PYTHONPATH")])])
        env = os.environ | {"CI": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        env["RLKIT_SYNC"] = str(int(self.synchronous))
        self.extra_arguments = ["--InteractiveShellApp.extra_extensions=notebook_guard"]
        GuardedClient.cpu_seconds = None
        last = nbformat.v4.new_code_cell(LAST_CELL)
        self.nb.cells.append(last)
        with tempfile.TemporaryDirectory(prefix="kernel-") as self.sockets:
            super().execute(env=env, **kwargs)
        self.nb.cells.pop()
        GuardedClient.cpu_seconds = float("".join(out.text for out in last.outputs if out.output_type == "stream"))


def pytest_configure(config):
    if getattr(config.option, "nbmake", False):
        import nbmake.nb_run

        nbmake.nb_run.NotebookClient = GuardedClient


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    try:
        return (yield)
    finally:
        if getattr(item, "nbmake", False):
            item.user_properties.append(("cpu_seconds", GuardedClient.cpu_seconds))


def pytest_terminal_summary(terminalreporter):
    """The time of each notebook: seconds on the clock, and seconds of CPU in its kernel."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, [])]
    reports = [r for r in reports if r.when == "call" and r.nodeid.split("::")[0].endswith(".ipynb")]
    if reports:
        terminalreporter.section("notebooks")
    for report in sorted(reports, key=lambda r: r.nodeid):
        cpu = dict(report.user_properties).get("cpu_seconds")
        cpu = "           " if cpu is None else f"{cpu:5.1f} s CPU"
        name = report.nodeid.split("::")[0]
        terminalreporter.write_line(f"{report.duration:6.1f} s  {cpu}  {report.outcome}  {name}")
