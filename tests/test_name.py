"""The distribution is rlkit-notebooks, the package rlkit; another project's rlkit beside it is named in one line."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import rlkit

ROOT = Path(__file__).resolve().parents[1]


def imported(*folders) -> str:
    """What `import rlkit` says on stderr with these folders on the path."""
    path = os.pathsep.join(map(str, [*folders, ROOT]))
    command = [sys.executable, "-c", "import rlkit"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_name_and_version_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (rlkit.__distribution__, rlkit.__version__) == (project["name"], project["version"])


def test_it_is_silent_by_itself():
    assert imported() == ""


def test_it_names_the_other_rlkit_in_one_line(tmp_path):
    (tmp_path / "rlkit-0.2.1.dist-info").mkdir()
    (tmp_path / "rlkit-0.2.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: rlkit\nVersion: 0.2.1\n")
    said = imported(tmp_path)
    assert said.count("\n") == 1 and "rlkit 0.2.1" in said and "pip uninstall rlkit" in said
