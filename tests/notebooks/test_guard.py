"""nbmake alone is green for four kinds of error; with the guard each of them fails, and a clean notebook passes."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import nbformat
import pytest

from tests.notebooks import template

# Two pytests with a kernel per notebook; one worker runs them all, so that the fixtures are made once.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("guard")]

PLANTED = {
    "a thread": ["import threading\nthreading.Thread(target=lambda: 1 / 0).start()", "print('next cell')"],
    # The cell, and with it the notebook, has returned for half a second when this one goes wrong.
    "a thread after the last cell": [
        "import threading, time\ndef late():\n    time.sleep(0.5)\n    1 / 0\n"
        "threading.Thread(target=late, daemon=True).start()"
    ],
    "a timer": ["import threading\nthreading.Timer(0.3, lambda: 1 / 0).start()"],
    "an Output": ["import ipywidgets\nout = ipywidgets.Output()\nwith out:\n    1 / 0\nout"],
    "interactive_output": [
        "import ipywidgets\nslider = ipywidgets.IntSlider()\n"
        "ipywidgets.interactive_output(lambda x: 1 / 0, {'x': slider})"
    ],
    "interact": ["import ipywidgets\n@ipywidgets.interact(x=3)\ndef show(x):\n    1 / 0"],
    "interact, later": [
        "import ipywidgets\nslider = ipywidgets.IntSlider()\n"
        "ipywidgets.interactive_output(lambda x: 1 // (x - 5), {'x': slider})",
        "slider.value = 5",
    ],
    "a task": [
        "import asyncio\nasync def work():\n    1 / 0\ntask = asyncio.create_task(work())",
        "print('next cell')",
    ],
    "a task after the last cell": [
        "import asyncio\nasync def work():\n    await asyncio.sleep(0.5)\n    1 / 0\nasyncio.create_task(work())"
    ],
    "a callback of the loop": [
        "import asyncio\nasyncio.get_running_loop().call_soon(lambda: 1 / 0)\nNone",
        "print('next')",
    ],
}
CLEAN = [
    "import asyncio, threading, ipywidgets\nseen = []",
    "thread = threading.Thread(target=seen.append, args=['thread'])\nthread.start()",
    "out = ipywidgets.Output()\nwith out:\n    print('output')\nout",
    "@ipywidgets.interact(x=3)\ndef show(x):\n    return x + 1",
    "async def work():\n    await asyncio.sleep(0.1)\n    seen.append('task')\ntask = asyncio.create_task(work())",
    "async def caught():\n    1 / 0\ntry:\n    await asyncio.create_task(caught())\n"
    "except ZeroDivisionError:\n    seen.append('caught')",
    "thread.join()\nassert seen[0] == 'thread'",
]
OTHERS = {"clean": CLEAN, "plain": ["1 / 0", "print('never')"]}


def run(folder, notebooks, *options):
    """Run notebooks {name: cells} by nbmake, in one process; returns {name: None if it passed, else the report}."""
    for name, cells in notebooks.items():
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        nbformat.write(notebook, folder / f"{name}.ipynb")
    (folder / "none.ini").write_text("[pytest]\n")  # nothing of this repository's own settings
    command = [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-kernel=python3", "-p", "no:cacheprovider"]
    command += ["-c", str(folder / "none.ini"), "--rootdir", str(folder), "--junitxml", str(folder / "report.xml")]
    done = subprocess.run([*command, *options, str(folder)], cwd=template.ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    reports = {}
    for case in ElementTree.parse(folder / "report.xml").iter("testcase"):
        bad = [*case.iter("failure"), *case.iter("error")]
        reports[case.get("name").removesuffix(".ipynb")] = bad[0].text if bad else None
    assert reports.keys() == notebooks.keys()
    return reports, done.stdout


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Each planted error under nbmake as it comes."""
    return run(tmp_path_factory.mktemp("alone"), PLANTED)[0]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """Each planted error, a clean notebook and one that plainly fails, under nbmake with the guard."""
    return run(tmp_path_factory.mktemp("guarded"), PLANTED | OTHERS, "-p", "tests.notebooks.guard")


@pytest.mark.parametrize("kind", PLANTED)
def test_nbmake_alone_is_green_for_a_planted_error(kind, alone):
    """The reason for the guard. When one of these fails, nbmake has learned to see that error by itself."""
    assert alone[kind] is None


@pytest.mark.parametrize("kind", PLANTED)
def test_the_guard_fails_a_planted_error(kind, guarded):
    reports, _ = guarded
    assert "errors that no cell reported" in reports[kind]
    assert "ZeroDivisionError" in reports[kind]


def test_the_guard_passes_a_clean_notebook_and_times_it(guarded):
    reports, text = guarded
    assert reports["clean"] is None
    assert re.search(r"\d\.\d s CPU  passed  clean\.ipynb", text), text


def test_the_guard_leaves_a_cells_own_error_to_nbmake(guarded):
    reports, _ = guarded
    assert "ZeroDivisionError" in reports["plain"]
    assert "errors that no cell reported" not in reports["plain"]
