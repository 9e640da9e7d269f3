"""Where files live: runs and results belong to the repository (or the working folder), never to a notebook's folder."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CHAPTERS_OWN = {"mbrl-survey": "00_model_based"}  # papers whose notebook is the chapter's


def notebook_name(key: str) -> str:
    """The stem of a paper's notebook: the key with underscores, unless the chapter's own notebook is the paper's."""
    return CHAPTERS_OWN.get(key, key.replace("-", "_"))


def _is_repository(folder: Path) -> bool:
    return (folder / "pyproject.toml").is_file() and (folder / "rlkit").is_dir() and (folder / "notebooks").is_dir()


def repository() -> Path | None:
    """The checkout's root: the first folder upwards from the working folder, else this file's; None in a bare wheel."""
    here = Path.cwd()
    for folder in (here, *here.parents, PACKAGE.parent):
        if _is_repository(folder):
            return folder
    return None


def home() -> Path:
    """The folder that `runs/` is made in: the repository's root, else the working folder."""
    return repository() or Path.cwd()


def data(*parts: str) -> Path:
    """A file of data/: the checkout's own, else the copy that the wheel carries. It need not exist."""
    root = repository()
    return (root / "data" if root else PACKAGE / "_data").joinpath(*parts)
