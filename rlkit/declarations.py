"""Claims and results as files: read with clear errors, written whole or not at all, compared field by field."""

import datetime
import json
import os
import pathlib
import re
import subprocess

from rlkit import paths

CLAIM, RESULT, VERSION = "rlkit-claim", "rlkit-result", 1


def now() -> str:
    """The time in UTC, to the second, as ISO text."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def write(file: pathlib.Path, form: str, record: dict) -> None:
    """Write a record as JSON with its format and version, replacing the file in one step; short lists on one line."""
    text = json.dumps({"format": form, "version": VERSION, **record}, indent=1, allow_nan=False)
    text = re.sub(r"\[\n([^\[\]{}\"]*)\]", lambda numbers: "[" + " ".join(numbers[1].split()) + "]", text)
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{os.getpid()}.new")
    fresh.write_text(text + "\n", encoding="utf-8")
    os.replace(fresh, file)


def read(file: pathlib.Path, form: str) -> dict:
    """The record in a file. Raises ValueError that names the file, and the line where there is one."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}, line {getattr(error, 'lineno', 1)}: not JSON ({error})") from None
    if not isinstance(record, dict) or record.get("format") != form:
        raise ValueError(f"{file}, line 1: its format is not {form!r}")
    if record.get("version") != VERSION:
        raise ValueError(
            f"{file}, line 1: format version {record.get('version')!r}; this rlkit reads version {VERSION}"
        )
    if not isinstance(record.get("claim"), dict) or not isinstance(record["claim"].get("clauses"), list):
        raise ValueError(f"{file}: it holds no claim")
    return record


def _git(*arguments) -> str | None:
    try:
        return subprocess.run(
            ["git", "-C", str(paths.repository()), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def declared(key: str) -> tuple:
    """(claim as declared, commit that declared it): from data/claims and git, else what data/results remembers.

    The claim is None if it was never declared; the commit is None if that is not known, or if the file has changes
    that are not committed.
    """
    name = f"data/claims/{key}.json"
    file, result = paths.data("claims", f"{key}.json"), paths.data("results", f"{key}.json")
    remembered = read(result, RESULT) if result.is_file() else {}
    if not file.is_file():
        return remembered.get("claim"), remembered.get("declared")
    claim = read(file, CLAIM)["claim"]
    inside = paths.repository() is not None and _git("rev-parse", "HEAD")
    if inside:
        return claim, (_git("log", "-1", "--format=%H", "--", name) or None) if not _git("status", "-s", name) else None
    return claim, remembered.get("declared") if remembered.get("claim") == claim else None


def differences(old: dict, new: dict) -> list:
    """What differs between two claims (as records): lines such as `clause 'rate', margin: -0.9, now -0.8`."""
    found = [line for field in new if field != "clauses" for line in _changed(field, old.get(field), new[field])]
    before, after = ({clause["name"]: clause for clause in claim["clauses"]} for claim in (old, new))
    found += [f"clause {name!r} is gone" for name in before if name not in after]
    for name, clause in after.items():
        if name not in before:
            found.append(f"clause {name!r} is new")
            continue
        for field in clause:
            found += _changed(f"clause {name!r}, {field}", before[name].get(field), clause[field])
    return found


def _changed(name: str, old, new) -> list:
    texts = [json.dumps(value) for value in (old, new)]
    if old == new:
        return []
    return [f"{name}: " + ", now ".join(text if len(text) <= 60 else text[:57] + "..." for text in texts)]


def some(lines: list) -> str:
    """The first three lines in one, and how many more there are."""
    return "; ".join(lines[:3]) + (f"; and {len(lines) - 3} more" if len(lines) > 3 else "")
