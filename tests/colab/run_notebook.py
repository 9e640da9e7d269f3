"""Run one notebook in this environment's kernel with the guard, learners in their threads, as on Colab.

python -m tests.colab.run_notebook NOTEBOOK
"""

import os
import sys
from pathlib import Path

import nbformat

from tests.notebooks.guard import GuardedClient

if __name__ == "__main__":
    os.environ["COLAB_RELEASE_TAG"] = "a test"  # the setup cell takes its Colab branch; the kit is installed already
    path = Path(sys.argv[1]).resolve()
    notebook = nbformat.read(path, as_version=4)
    GuardedClient.synchronous = False
    GuardedClient(notebook, timeout=300, kernel_name="python3").execute(cwd=str(path.parent))
    print(f"{GuardedClient.cpu_seconds:.1f} s CPU")
