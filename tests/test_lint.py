"""The whole repository, notebooks included, is clean and formatted by ruff; no text names a host that it should not."""

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


# Package indexes are configured on the machine, never here. Who needs another host adds it after a thought.
ADDRESS = re.compile(r"https?:\\?/\\?/([\w.\\-]*\w)")  # in patterns too, where dots and slashes are escaped
HOSTS = {"github.com", "colab.research.google.com", "www.w3.org", "127.0.0.1"}


def test_no_text_names_another_host():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        file = ROOT / name
        if file.suffix in (".png", ".npz", ".gz", ".safetensors") or not file.is_file():
            continue
        lines = file.read_text(encoding="utf-8").splitlines()
        hosts = ((number, host) for number, line in enumerate(lines, 1) for host in ADDRESS.findall(line))
        found += [f"{name}:{number}: {host}" for number, host in hosts if host.replace("\\", "") not in HOSTS]
    assert found == []
