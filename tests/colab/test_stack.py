"""The versions that Colab has, in an environment of their own (make colab): widgets, live runs, views and notebooks."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.notebooks import template

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-colab" / "bin" / "python"
# What meets IPython, ipywidgets, plotly or pandas. Chapters that need torch test the rest on the newest versions only.
FILES = ["test_claims.py", "test_html.py", "test_live.py", "test_papers.py", "test_plots.py"]
FILES += [
    "test_runs.py",
    "test_stats.py",
    "test_evaluations.py",
    "bandits",
    "exercises",
    "widgets",
    "colab/test_kernel.py",
]
CHAPTERS = ["notebooks", "notebooks/01_bandits"]
NOTEBOOKS = [p.relative_to(ROOT).as_posix() for p in template.notebooks() if p.parent in [ROOT / c for c in CHAPTERS]]
FROZEN = ["ipykernel", "ipython", "ipywidgets", "plotly", "traitlets", "numpy", "pandas"]

pytestmark = pytest.mark.slow


def python(*arguments) -> subprocess.CompletedProcess:
    if not PYTHON.exists() and not os.environ.get("CI"):
        pytest.skip("no .venv-colab: run make colab")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "VIRTUAL_ENV", "JUPYTER"))}
    environment["PATH"] = f"{PYTHON.parent}{os.pathsep}{environment['PATH']}"
    return subprocess.run([PYTHON, *arguments], cwd=ROOT, capture_output=True, text=True, env=environment)


def test_it_has_the_versions_that_colab_has():
    code = f"import importlib.metadata as m; print(*(n + '==' + m.version(n) for n in {FROZEN}), sep='\\n')"
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    pinned = (ROOT / "tests/colab/requirements.txt").read_text().splitlines()
    assert [line for line in done.stdout.split() if line not in pinned] == []


def test_every_test_of_these_files_passes_on_them():
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/{name}" for name in FILES))
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout.strip().split("\n")[-1])


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_the_notebook_runs_on_them_with_learners_in_their_threads(notebook):
    done = python("-m", "tests.colab.run_notebook", notebook)
    assert done.returncode == 0, done.stdout + done.stderr
