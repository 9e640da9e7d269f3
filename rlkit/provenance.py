"""Where a number came from: the versions and the git state that a run or a verdict records beside it."""

import contextlib
import importlib.metadata
import platform
import subprocess

from rlkit import paths

PACKAGES = ("rlkit-notebooks", "numpy", "scipy", "pandas", "torch", "transformers", "trl", "peft", "bitsandbytes")


def versions() -> dict:
    """Python and the packages that numbers depend on, name -> installed version (absent ones left out)."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def git_state() -> dict | None:
    """{'commit': hash, 'dirty': bool} of the checkout, or None outside a checkout or without git."""
    root = paths.repository()
    try:
        out = [
            subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True).stdout
            for arguments in (("rev-parse", "HEAD"), ("status", "--porcelain"))
        ]
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": out[0].strip(), "dirty": bool(out[1].strip())}
