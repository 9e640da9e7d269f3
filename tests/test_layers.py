"""The order of the rooms (DESIGN: one direction only), as [tool.importlinter] of pyproject.toml states it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINT = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"


def test_a_module_imports_only_from_the_rooms_below_it():
    command = [sys.executable, "-c", LINT, "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", sorted((ROOT / "rlkit").rglob("*.py")), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_library_knows_no_notebook_and_no_test(file):
    imported = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add(node.module.split(".")[0])
    assert not imported & {"tests", "notebooks", "nbmake", "pytest", "jupyterlab"}
