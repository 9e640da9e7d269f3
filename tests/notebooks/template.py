"""The cells that every notebook shares, written from one place: the repository slug in pyproject.toml.

`make badges` (badges.py) writes them into each notebook; `make lint` (test_lint.py) holds them there.
Copy nothing by hand: give the cell the tag `setup`, leave it empty if you like, and run `make badges`.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
BADGE = "[![Open in Colab]("

# Colab is recognised by its environment. `--no-deps`: Colab has all that rlkit needs, and its torch stays as it is.
SETUP = """\
# Setup: on Colab this fetches the kit; anywhere else it only looks for it.
import importlib.metadata
import os

if "COLAB_RELEASE_TAG" in os.environ or "COLAB_NOTEBOOK_ID" in os.environ:
    try:
        importlib.metadata.version("rlkit-notebooks")
    except importlib.metadata.PackageNotFoundError:
        %pip install -q --no-deps git+https://github.com/{slug}
import rlkit

if getattr(rlkit, "__distribution__", "") != "rlkit-notebooks":
    raise ImportError("another project's rlkit stands in the way: pip uninstall rlkit, then restart")"""


def slug() -> str:
    """OWNER/REPOSITORY, from [project.urls] Repository of pyproject.toml, the one place where it stands."""
    url = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    return re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+)", url).group(1)


def setup_cell() -> str:
    """The source of the cell tagged `setup`: idempotent, finds Colab, never touches torch."""
    return SETUP.format(slug=slug())


def badge(notebook: Path) -> str:
    """The Markdown line that opens this notebook in Colab; its picture is the repository's own, so it shows offline."""
    path = notebook.resolve().relative_to(ROOT).as_posix()
    picture = "../" * (path.count("/") - 1) + "open_in_colab.svg"
    return f"{BADGE}{picture})](https://colab.research.google.com/github/{slug()}/blob/main/{path})"


def notebooks() -> list[Path]:
    """Every notebook of the kit, in reading order."""
    return sorted(p for p in NOTEBOOKS.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
