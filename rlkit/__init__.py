"""rlkit: learn and try reinforcement learning in notebooks, from bandits to language models."""

import contextlib
import importlib.metadata
import sys

__distribution__ = "rlkit-notebooks"
__version__ = "0.1.0"

# Another project is distributed as `rlkit` and fills a package of the same name.
with contextlib.suppress(importlib.metadata.PackageNotFoundError):
    _other = importlib.metadata.version("rlkit")
    print(
        f"rlkit: another project, rlkit {_other}, is installed too and may mix its files with ours: "
        "pip uninstall rlkit, then install rlkit-notebooks again",
        file=sys.stderr,
    )
