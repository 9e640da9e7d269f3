"""CPU-seconds of each notebook's kernel, run top to bottom as CI runs it (RLKIT_SYNC=1, one thread)."""

import os

import nbformat
from nbclient import NotebookClient

from tests.notebooks import template

# Chapters of networks take longer; so do papers whose notebook says why, under "Knobs".
LIMITS = {"00_start_here": 60, "00_grpo": 180, "00_nsr": 180, "00_offline": 180, "00_model_based": 180}
LIMITS |= {"00_rlhf": 180, "00_": 90}
LIMITS |= {"qlora_costs": 90, "qlora_": 180}  # guides: a whole training of a 4-bit model, and its controls
LIMITS |= dict.fromkeys(("echo_chamber", "limit_of_rlvr", "nft", "nsr", "one_shot_rlvr"), 120)
LIMITS |= dict.fromkeys(("dual_rl", "neorl2", "riql", "ss_orl", "traj_weighting"), 120)
LIMITS |= dict.fromkeys(("edge_of_reach", "lipschitz_mbrl", "losse", "model_based_gen", "morec", "pdg_control"), 120)
LIMITS |= dict.fromkeys(("a_lol", "alignment_ceiling", "dr_po", "rl_kl_bayes"), 120)
PAPER_LIMIT = 60


def _limit(name: str) -> int:
    return next((seconds for start, seconds in LIMITS.items() if name.startswith(start)), PAPER_LIMIT)


def rows() -> list:
    """One row a notebook: CPU-seconds of its kernel, imports included."""
    os.environ |= {"RLKIT_SYNC": "1", "OMP_NUM_THREADS": "1"}
    table = []
    for file in template.notebooks():
        notebook = nbformat.read(file, as_version=4)
        notebook.cells.append(nbformat.v4.new_code_cell("import time\ntime.process_time()"))
        resources = {"metadata": {"path": str(file.parent)}}
        done = NotebookClient(notebook, timeout=None, kernel_name="python3", resources=resources).execute()
        seconds = float(done.cells[-1].outputs[-1].data["text/plain"])
        limit = _limit(file.stem)
        row = {"work": f"notebook {file.stem}", "ours": seconds, "theirs": None, "ratio": None, "must": f"<= {limit} s"}
        table.append(row)
    return table
