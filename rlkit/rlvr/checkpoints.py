"""Where a training stands, on disk: one safetensors file, replaced whole. And the batch that made it fail.

The file holds the trainable parameters, AdamW's moments and step counts, the reference where it has been reset, and in
its header, as JSON, the counters and every argument that decides the numbers. Nothing is pickled. Random numbers need
no state: each generator is made from the seed and the step.
"""

import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from rlkit import paths
from rlkit.records import plain

FILE, FORMAT = "training.safetensors", 1
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
HASHED = 2**22  # bytes of each frozen parameter that its fingerprint reads


def fingerprint(model) -> str:
    """A hash of all parameters: names, shapes, types, values (of frozen ones the first 4 MiB each)."""
    digest = hashlib.blake2b(digest_size=16)
    for name, p in model.named_parameters():
        digest.update(f"{name} {tuple(p.shape)} {p.dtype} {p.requires_grad};".encode())
        data = p.detach().reshape(-1).view(torch.uint8)
        digest.update((data if p.requires_grad else data[:HASHED]).cpu().numpy().data)
    return digest.hexdigest()


def save(folder, arguments: dict, state: dict, trainable: dict, optimizer, reference: list | None) -> None:
    """Write the state after a step. A process killed at any moment leaves the old file or the new one, whole."""
    tensors = {f"parameter {name}": p.detach() for name, p in trainable.items()}
    for name, p in trainable.items():
        tensors |= {f"{key} {name}": value for key, value in optimizer.state.get(p, {}).items()}
    if reference is not None:
        tensors |= {f"reference {name}": value for name, value in zip(trainable, reference, strict=True)}
    header = {"format": str(FORMAT), "arguments": json.dumps(arguments, default=plain), "state": json.dumps(state)}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / (FILE + ".new")
    save_file({name: t.contiguous().cpu() for name, t in tensors.items()}, fresh, metadata=header)
    with open(fresh, "rb") as written:
        os.fsync(written.fileno())
    os.replace(fresh, folder / FILE)


def restore(folder, arguments: dict, trainable: dict, optimizer) -> tuple:
    """Put parameters and optimizer into the stored state; returns (state, reference or None), or (None, None).

    None if the folder holds no checkpoint. Raises ValueError, in one line that names what differs, if it was made with
    other arguments or from another model, and for a file that is no checkpoint.
    """
    file = Path(folder) / FILE
    if not file.is_file():
        return None, None
    try:
        with safe_open(file, framework="pt") as stored:
            header = stored.metadata() or {}
            # Clones: a matrix product rounds with how its numbers lie in memory, and in a mapped file they lie askew.
            tensors = {name: stored.get_tensor(name).clone() for name in stored.keys()}
        then, state = json.loads(header["arguments"]), json.loads(header["state"])
    except Exception as error:  # noqa: BLE001 - safetensors raises its own; whatever it is, the file is no checkpoint
        raise ValueError(f"checkpoint={str(folder)!r}: {FILE} is no checkpoint of rlvr.train ({error})") from None
    now = json.loads(json.dumps(arguments, default=plain))
    for name in {**now, **then}:
        if now.get(name) != then.get(name):
            raise ValueError(
                f"checkpoint={str(folder)!r}: it was made with {name}={_short(then.get(name))}, now {name}="
                f"{_short(now.get(name))}: run it with the same arguments and the same start model, or in a new folder"
            )
    fused = optimizer.param_groups[0]["fused"]
    with torch.no_grad():
        for name, p in trainable.items():
            p.copy_(tensors[f"parameter {name}"])
            stored = {key: tensors[f"{key} {name}"] for key in MOMENTS if f"{key} {name}" in tensors}
            # AdamW keeps its step count on the CPU unless it is fused; before the first update there is nothing.
            optimizer.state[p] = {k: v if k == "step" and not fused else v.to(p.device) for k, v in stored.items()}
    reference = [tensors[f"reference {name}"].to(p.device) for name, p in trainable.items() if state["reset"]]
    return state, reference or None


def _short(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def save_failed(folder, name: str, rollouts, rows: list, note: dict) -> Path:
    """Keep the batch of a step that failed; returns its folder: batch.json (text) and batch.safetensors (numbers).

    folder: the checkpoint's, or None for runs/failed. Nothing is overwritten.
    """
    root = Path(folder) if folder else paths.home() / "runs" / "failed"
    root.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = root / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
            break
        except FileExistsError:
            number += 1
    text = json.dumps(note | {"rows": rows}, indent=1, default=plain)
    (path / "batch.json").write_text(text + "\n", encoding="utf-8")
    names = ("prompt_ids", "prompt_mask", "ids", "mask", "logp") if rollouts else ()
    save_file({n: getattr(rollouts, n).detach().contiguous().cpu() for n in names}, path / "batch.safetensors")
    return path
