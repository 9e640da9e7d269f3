"""The whole repository, notebooks included, is clean and formatted by ruff; no text names a place on one machine."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("command", [("check",), ("format", "--check", "--diff")], ids=["check", "format"])
def test_ruff(command):
    done = subprocess.run([sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# Package indexes are configured on the machine, never here: the words are put together so that this file is clean.
HOSTS = re.compile(
    "|".join(re.escape(name) for name in ("pypi" + ".org", "pythonhosted" + ".org", "download.pytorch" + ".org"))
)


def test_no_package_index_is_named():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        file = ROOT / name
        if file.suffix in (".png", ".npz", ".gz") or not file.is_file():
            continue
        lines = file.read_text(encoding="utf-8").splitlines()
        found += [f"{name}:{number}" for number, line in enumerate(lines, 1) if HOSTS.search(line)]
    assert found == []
