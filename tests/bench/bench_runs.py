"""How fast a run is written and read: 10,000 steps of 4 metrics x 10 seeds, in CPU-seconds, median of five."""

import statistics
import tempfile
import time

import numpy as np

from rlkit.runs import Run


def _write_and_read() -> tuple:
    values = np.random.default_rng(0).normal(size=(4, 10))
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create("bench", {"seeds": list(range(10))}, root=folder)
        start = time.process_time()
        for step in range(10_000):
            run.log(step, reward=values[0], loss=values[1], entropy=values[2], gradient_norm=values[3])
        wrote = time.process_time()
        frame = Run.load(run.path).metrics()
        read = time.process_time()
        assert frame.shape == (100_000, 6)
    return wrote - start, read - wrote


def rows() -> list:
    """One row for appending, one for loading into a DataFrame; `ours` in CPU-seconds."""
    append, load = zip(*(_write_and_read() for _ in range(5)), strict=True)
    work = "10,000 steps x 4 metrics x 10 seeds: "
    return [
        {"work": work + "append", "ours": statistics.median(append), "theirs": None, "ratio": None, "must": "<= 2 s"},
        {"work": work + "load", "ours": statistics.median(load), "theirs": None, "ratio": None, "must": "<= 1 s"},
    ]
