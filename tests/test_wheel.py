"""The wheel, in an empty environment and outside the checkout: as Colab has it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]

TORCH = ("rlkit.lm", "rlkit.model_based", "rlkit.offline", "rlkit.rlhf", "rlkit.rlvr")  # these need it
GYMNASIUM = {"rlkit.envs.gym"}  # the worlds themselves do not
OUTSIDE = f"""
import importlib, pkgutil, sys
from pathlib import Path

import rlkit
from rlkit import paths
from rlkit.bandits import bernoulli, play, ucb1
from rlkit.runs import Run

assert "site-packages" in rlkit.__file__, rlkit.__file__
assert paths.repository() is None
names = [module.name for module in pkgutil.walk_packages(rlkit.__path__, "rlkit.")]
names = [name for name in names if not name.startswith({TORCH}) and name not in {GYMNASIUM}]
for name in names:
    importlib.import_module(name)
assert "torch" not in sys.modules
for folder in ("models", "results", "claims"):
    assert paths.data(folder).is_dir(), paths.data(folder)
assert "seed" in paths.data("models", "README.md").read_text()

pulls = list(play(ucb1(), bernoulli([0.2, 0.8]), steps=50, runs=3, seed=0))
run = Run.create("outside", dict(steps=50))
for number, pull in enumerate(pulls):
    run.log(number, regret=float(pull.regret.mean()))
run.finish("finished")
assert len(Run.load(run.path).metrics()) == 50
assert run.path.resolve().is_relative_to(Path.cwd()), run.path
print(*names)
"""


def command(*arguments, **options):
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, env=environment, **options)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (made,) = folder.glob("*.whl")
    return made


def test_it_is_named_so_that_the_other_rlkit_is_not_meant(wheel):
    assert wheel.name.startswith("rlkit_notebooks-")


def test_it_carries_every_file_of_models_results_and_claims(wheel):
    carried = {n for n in zipfile.ZipFile(wheel).namelist() if n.startswith("rlkit/_data/")}
    folders = [ROOT / "data" / name for name in ("models", "results", "claims")]
    files = [f for folder in folders for f in folder.rglob("*") if f.is_file()]
    assert {f"rlkit/_data/{f.relative_to(ROOT / 'data').as_posix()}" for f in files} == carried


def test_it_carries_no_test_and_no_notebook(wheel):
    tops = {n.split("/")[0] for n in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"rlkit", next(t for t in tops if t.endswith(".dist-info"))}


def test_it_runs_in_an_empty_environment_outside_the_checkout(wheel, tmp_path):
    command(sys.executable, "-m", "venv", tmp_path / "venv")
    python = next(p for p in (tmp_path / "venv/bin/python", tmp_path / "venv/Scripts/python.exe") if p.exists())
    pip = [python, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    command(*pip, "-c", ROOT / "constraints.txt", wheel)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    modules = command(python, "-c", OUTSIDE, cwd=elsewhere).split()
    ours = {".".join(p.relative_to(ROOT).with_suffix("").parts) for p in (ROOT / "rlkit").rglob("*.py")}
    ours = {name.removesuffix(".__init__") for name in ours} - {"rlkit"}
    assert set(modules) == {name for name in ours if not name.startswith(TORCH)} - GYMNASIUM
