"""JSON records in a file, one a line: appended whole, read while they grow, whole again after a crash."""

import json
import os
import pathlib
import threading

import numpy as np
import pandas as pd


def plain(value):
    """NumPy and torch values as JSON's own types; anything else is refused."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be stored in a run: use numbers, text, lists or dictionaries")


class Records:
    """A file of JSON records, appended with whole lines and read onwards from where the last reading ended."""

    def __init__(self, file: pathlib.Path, check=None):
        self.file, self.records, self._check = file, [], check
        self._offset, self._descriptor, self._lock = 0, None, threading.Lock()

    def append(self, records: list) -> None:
        block = "".join(json.dumps(record, default=plain) + "\n" for record in records).encode()
        with self._lock:
            if self._descriptor is None:
                self._descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
                self._cut_torn_line()
            while block:  # a signal can end a write early
                block = block[os.write(self._descriptor, block) :]

    def _cut_torn_line(self) -> None:
        # The last writer was killed in mid-write: drop its torn line, or the next record would be glued to it.
        content = self.file.read_bytes()
        if content and not content.endswith(b"\n"):
            os.ftruncate(self._descriptor, content.rfind(b"\n") + 1)

    def refresh(self) -> list:
        """Every complete record so far; a torn last line is left for later."""
        with self._lock:
            if self.file.exists():
                with open(self.file, "rb") as stream:
                    stream.seek(self._offset)
                    block = stream.read()
                end = block.rfind(b"\n") + 1
                for line in block[:end].splitlines():
                    self.records.append(self._parse(line))
                self._offset += end
            return self.records

    def _parse(self, line: bytes) -> dict:
        where = f"{self.file}, line {len(self.records) + 1}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{where}: not a JSON record ({error})") from None
        step = record.get("step") if isinstance(record, dict) else None
        if not isinstance(record, dict) or not ("event" in record or (type(step) is int and step >= 0)):
            raise ValueError(f"{where}: not a record of a run: no step")
        if self._check:
            try:
                self._check(record)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from None
        return record

    def close(self) -> None:
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None


def frame(records: list, names: list, width: int, seeds: list | None) -> pd.DataFrame:
    """Records of metrics as a table: columns step, seed, then `names`; a row per step and seed, scalars apart.

    records: dictionaries with step and metrics (name -> float or list [S]). width: S. seeds: their names, or None.
    """
    vector = np.array([any(type(v) is list for v in r["metrics"].values()) for r in records], dtype=bool)
    scalar = np.array([any(type(v) is not list for v in r["metrics"].values()) for r in records], dtype=bool)
    height = vector * width + scalar * 1  # rows that each record takes: first its seeds, then its scalars
    start, total = np.cumsum(height) - height, int(height.sum())
    columns = {name: np.full(total, np.nan) for name in names}
    for name in names:
        for kind in (list, float):
            rows = [i for i, r in enumerate(records) if type(r["metrics"].get(name)) is kind]
            if rows:
                first = start[rows][:, None] + np.arange(width) if kind is list else start[rows] + vector[rows] * width
                columns[name][first] = np.array([records[i]["metrics"][name] for i in rows])
    own = start[vector][:, None] + np.arange(width)  # [records with seeds, S]
    seed, is_seed = np.zeros(total, dtype=int), np.zeros(total, dtype=bool)
    seed[own], is_seed[own] = seeds or np.arange(width), True
    step = np.repeat(np.array([r["step"] for r in records], dtype=int), height)
    return pd.DataFrame({"step": step, "seed": pd.arrays.IntegerArray(seed, ~is_seed)} | columns)
