"""UNIPO's canonical JSON as a Run: a file from anywhere, checked field by field. unipo.py writes it."""

import json
import math
import sys

from rlkit import checks, paths
from rlkit.rlvr.unipo import KNOWN, METRICS, TOKENS
from rlkit.runs import Run, Step


def read_unipo(path, *, name: str = "unipo", root="runs") -> Run:
    """A new Run in root/name from a file of UNIPO's canonical JSON, written by `write_unipo` or by another tool.

    Rows of kind "sample" and metrics, under our names (see write_unipo). Of a file of another tool: group and sample
    count the prompts and their responses, values, returns and token rewards are kept as the columns values, returns and
    token_rewards, and the header becomes config["unipo"]. token_kl and token_objective follow from the rest and are
    left out, as is policy_objective where policy_loss is there. null is NaN.
    path: relative to the repository, as runs are. Raises ValueError in one line that names the file and what is wrong.
    """
    file = paths.home() / path
    try:
        document = json.loads(file.read_bytes(), parse_constant=_refuse)
    except FileNotFoundError:
        raise ValueError(f"{file}: must be a file of UNIPO's JSON: it does not exist") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: not strict JSON ({error})") from None
    header = _inside(f"{file}: ", document, "header", dict)
    entries = _inside(f"{file}: ", document, "entries", list)
    steps = [_step(f"{file}: entries[{i}]", entry) for i, entry in enumerate(entries)]
    own = header.get("rlkit")
    config = own.get("config") if isinstance(own, dict) else None
    run = Run.create(name, config if isinstance(config, dict) else {"unipo": header}, root)
    for step in steps:
        run.record(step)
    run.finish()
    return run


def _refuse(constant: str):
    raise ValueError(f"{constant} is no number of JSON")


def _inside(where: str, value, name: str, kind, default=None):
    """value[name], of the type `kind`; the default (if there is one) where it is missing or null."""
    if not isinstance(value, dict):
        checks.fail(where.rstrip(": .") or "file", value, "an object")
    found = default if value.get(name) is None else value[name]
    if not isinstance(found, kind):
        allowed = {dict: "an object", list: "a list", str: "a text"}[kind]
        checks.fail(where + name, found, allowed)
    return found


def _number(where: str, value) -> float:
    if value is None:
        return math.nan
    if type(value) not in (int, float) or abs(value) > sys.float_info.max:
        checks.fail(where, value, "a finite number or null")
    return float(value)


def _step(where: str, entry) -> Step:
    given = _inside(f"{where}.", entry, "metrics", dict, {})
    step = checks.count(f"{where}.step", entry.get("step"))
    metrics = {METRICS.get(name, name): _number(f"{where}.metrics[{name!r}]", v) for name, v in given.items()}
    if "policy_objective" in metrics:
        metrics.setdefault("loss", -metrics.pop("policy_objective"))
    rows = []
    for p, prompt in enumerate(_inside(f"{where}.", entry, "prompts", list, [])):
        at = f"{where}.prompts[{p}]."
        text = _inside(at, prompt, "prompt", str)
        for i, response in enumerate(_inside(at, prompt, "responses", list)):
            rows.append(_row(f"{at}responses[{i}].", response, text, {"group": p, "sample": i}))
    return Step(step, metrics, rows or None)


def _row(where: str, response, prompt: str, place: dict) -> dict:
    own = _inside(where, response, "rlkit", dict, place)
    row = {name: value for name, value in own.items() if name not in KNOWN} | {"kind": "sample", "prompt": prompt}
    row["completion"] = _inside(where, response, "response_text", str, "")
    row |= {n: _number(where + n, response[n]) for n in ("reward", "advantage") if n in response}
    tokens = _inside(where, response, "tokens", dict, {})
    lists = {name: _inside(f"{where}tokens.", tokens, name, list) for name in TOKENS if tokens.get(name) is not None}
    for name, values in lists.items():
        at, kind = f"{where}tokens.{name}", {"ids": int, "strings": str}.get(name)
        if kind and not all(type(value) is kind for value in values):
            checks.fail(at, values, "texts" if kind is str else "integers")
        if len(values) != len(next(iter(lists.values()))):
            checks.fail(f"{at}, its length", len(values), f"that of tokens.{next(iter(lists))}")
        row[TOKENS[name]] = values if kind else [_number(f"{at}[{t}]", value) for t, value in enumerate(values)]
    if set(map(repr, row.get("advantages", ()))) <= {repr(row.get("advantage"))}:
        row.pop("advantages", None)
    if isinstance(row.get("entropy"), list):
        row["entropy"] = [_number(f"{where}rlkit.entropy[{t}]", value) for t, value in enumerate(row["entropy"])]
    if isinstance(row.get("reward_parts"), dict):
        row["reward_parts"] = {n: math.nan if value is None else value for n, value in row["reward_parts"].items()}
    return row
