"""`make bench`: every `rows()` of tests/bench/bench_*.py, each file in a process of its own, in one table.

A row is {work, ours, theirs, ratio, must}: what was done, our CPU-seconds, theirs (or None), theirs over ours (or
None), and what must hold, such as ">= 20 x" (of the ratio), "<= 0.4 s" (of ours), both joined by " and ", or
"printed"; unit "GB" where ours is memory. Exits with 1 if a row misses what it must reach. Arguments choose files by
part of their name.
"""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONDITION = re.compile(r"(<=|>=) *([\d.,]+) *(s|x|GB)")
PRINTED = ("", "printed")  # a row without condition


def missed(row: dict) -> list:
    """The conditions of a row's `must` that do not hold. Raises ValueError on a condition nobody can check."""
    failed = []
    for condition in () if row["must"] in PRINTED else re.split(r", | and ", row["must"]):
        found = CONDITION.fullmatch(condition)
        if found is None:
            raise ValueError(f"must={condition!r}: must be like '<= 0.4 s', '<= 1.5 GB' or '>= 20 x'")
        way, limit, unit = found.groups()
        value, limit = row["ratio" if unit == "x" else "ours"], float(limit.replace(",", ""))
        if value is None or not (value <= limit if way == "<=" else value >= limit):
            failed.append(condition)
    return failed


def number(value, unit: str) -> str:
    return "" if value is None else f"{value:,.3g} {unit}" if value < 100 else f"{value:,.0f} {unit}"


def main(chosen: list) -> int:
    """Print the table; returns the exit status."""
    if chosen[:1] == ["--rows"]:  # one file, in its own process
        print("\n" + json.dumps(importlib.import_module(f"tests.bench.{chosen[1]}").rows()))
        return 0
    files = [f for f in sorted(HERE.glob("bench_*.py")) if not chosen or any(part in f.stem for part in chosen)]
    table, broken = [], []
    for file in files:
        print(f"{file.stem} ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "tests.bench", "--rows", file.stem]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        if done.returncode:
            broken.append(file.stem)
        else:
            table += json.loads(done.stdout.strip().split("\n")[-1])
    lines = [("work", "ours (CPU)", "theirs (CPU)", "ratio", "must be", "")]
    for row in table:
        verdict = "" if row["must"] in PRINTED else "MISSED " + ", ".join(missed(row)) if missed(row) else "reached"
        values = number(row["ours"], row.get("unit", "s")), number(row["theirs"], "s"), number(row["ratio"], "x")
        lines.append((row["work"], *values, row["must"], verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    for line in lines:
        cells = [
            text.ljust(w) if column in (0, 4, 5) else text.rjust(w)
            for column, (text, w) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    short = [row["work"] for row in table if missed(row)]
    print(
        f"\n{len(table)} rows; missed: {', '.join(short) or 'none'}"
        + (f"; failed to run: {', '.join(broken)}" if broken else "")
    )
    return int(bool(short or broken or not table))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
