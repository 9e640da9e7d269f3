"""Completions as files: CSV for spreadsheets, JSONL for programs."""

import csv
import json
from pathlib import Path

from rlkit import checks

# What makes a spreadsheet take a cell for a formula, also in the wide forms that some of them accept.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def harmless(value):
    """A cell of a CSV file: numbers as they are, lists and dictionaries as JSON, text that no spreadsheet executes.

    Text that a spreadsheet would take for a formula (it starts with = + - @, a tab or a line end, also after blanks)
    gets an apostrophe in front, as spreadsheets themselves mark text.
    """
    if value is None or isinstance(value, bool | int | float):
        return "" if value is None else value
    value = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{value}" if value.startswith(FORMULA) or value.lstrip().startswith(FORMULA) else value


def save(rows: list, path) -> Path:
    """Write rows (dictionaries) to `path`; its ending, .csv or .jsonl, says how. Returns the path.

    JSONL: one row a line, exactly as logged. CSV: a column per name, reward parts one by one, lists as JSON, text made
    harmless (see `harmless`), so that text which looks like a formula differs from what was logged by an apostrophe.
    Raises ValueError for another ending.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".jsonl"):
        checks.fail("path", str(path), "a file name that ends in .csv or .jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path
    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys(["step"] + [name for row in flat for name in row])) if rows else []
    # Half of a surrogate pair is no UTF-8: it is written as \ud800.
    with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow([harmless(name) for name in names])
        writer.writerows([harmless(row.get(name)) for name in names] for row in flat)
    return path


def _flat(row: dict) -> dict:
    """The row with its reward parts as columns `reward_parts.<name>`."""
    parts = row.get("reward_parts")
    if not isinstance(parts, dict):
        return row
    return {k: v for k, v in row.items() if k != "reward_parts"} | {f"reward_parts.{k}": v for k, v in parts.items()}


def unused(path: Path) -> Path:
    """The path, or the first of path-2, path-3, ... that does not exist: nothing is overwritten."""
    number, free = 2, path
    while free.exists():
        free = path.with_stem(f"{path.stem}-{number}")
        number += 1
    return free
