"""A learner whose steps also say what they cost: seconds, and the memory of this process or of its card."""

import threading
import time

import psutil
import torch

from rlkit.lm import footprint, prefix

EVERY = 0.02  # seconds between looks at the memory of the process


def described(model) -> dict:
    """What `rlkit.widgets.MemoryGauge` reads from a run's config["memory"]: bytes by part, device, what it can hold."""
    device = prefix.device(model)
    if device.type == "cuda":
        name, total = torch.cuda.get_device_name(device), torch.cuda.get_device_properties(device).total_memory
    else:
        name, total = "CPU", psutil.virtual_memory().total
    found = footprint.memory(model)._asdict() | {"used": footprint.used(device)}
    return found | {"device": name, "limit": total}


def watched(learner, model):
    """The same Steps with the metrics memory_peak (bytes, the most in use during the step) and step_seconds.

    On CUDA memory_peak is what torch's tensors took at most; on a CPU what the process occupied, looked at 50 times a
    second. Both depend on the machine, so two runs with one seed differ in them alone. A generator, as the learner is.
    """
    device = prefix.device(model)
    peak, over, start = _Peak(device), False, time.perf_counter()
    try:
        while not over:
            peak.reset()
            step = next(learner, None)
            if over := step is None:
                continue
            took, start = time.perf_counter() - start, time.perf_counter()
            yield step._replace(metrics=step.metrics | {"memory_peak": float(peak.read()), "step_seconds": took})
            start = time.perf_counter()  # what a reader does between two steps is not the learner's
    finally:
        peak.close()
        learner.close()


class _Peak:
    """The most memory in use since `reset`."""

    def __init__(self, device):
        self.device, self.most, self.closed = device, 0, threading.Event()
        if device.type != "cuda":
            threading.Thread(target=self._look, name="rlkit-memory", daemon=True).start()

    def _look(self):
        while not self.closed.wait(EVERY):
            self.most = max(self.most, footprint.used(self.device))

    def reset(self):
        self.most = 0
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def read(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return max(self.most, footprint.used(self.device))

    def close(self):
        self.closed.set()
