"""Runs from and for other tools: the completions that TRL logs, and UNIPO's JSON in both directions.

    read_trl(output_dir)        what TRL's GRPOTrainer wrote with log_completions=True, as a Run
    write_unipo(run, path)      a Run as the canonical JSON of UNIPO (arXiv 2605.11549), and read_unipo(path) back

What comes from a file is checked before anything is written: a Run is made whole or not at all.
"""

import itertools
import json
import math
from pathlib import Path

from rlkit import checks, paths
from rlkit.rlvr.unipo import write_unipo
from rlkit.rlvr.unipo_reader import read_unipo
from rlkit.runs import Run, Step

__all__ = ["read_trl", "read_unipo", "write_unipo"]

COLUMNS = ("step", "prompt", "completion", "advantage")
# TRL's names of what rlvr.train logs under another one. TRL's num_tokens counts prompts too, so it keeps its name.
METRICS = {"grad_norm": "gradient_norm", "frac_reward_zero_std": "dead_groups", "clip_ratio/region_mean": "clipped"}
METRICS |= {"completions/mean_length": "length", "completions/clipped_ratio": "truncated"}


def read_trl(folder, *, name: str = "trl", root="runs", reward_weights: dict | None = None) -> Run:
    """A new Run in root/name from an output_dir of trl.GRPOTrainer with log_completions=True.

    Rows of kind "sample", as rlvr.train logs them, from completions/completions_<step>.parquet: prompt, completion,
    reward, reward_parts (one per reward function), advantage, group, sample, and what reward functions gave to
    log_extra under its own name (`problem` is then the problem's id). TRL stores no tokens, log-probabilities or finish
    reasons, so these are missing. Messages become their text. Groups are stretches of equal prompts, cut to the largest
    size that divides them all, so that a prompt that comes twice in a row is two groups. An evaluation at a training
    step replaces that step's completions, for TRL gives both files one name.
    reward = sum of weight times value over the reward functions that gave a number, NaN where none did. reward_weights:
    function -> weight; None: 1 each, TRL's default (it does not store them).

    Metrics: reward, reward_<function> and dead_groups of these rows, then the log history of trainer_state.json, in the
    folder or else its newest checkpoint, under our names where the meaning is the same: length, truncated, dead_groups,
    clipped, gradient_norm, loss, entropy, kl, reward; the others keep TRL's. updates is TRL's global step. Where
    neither that file nor reward_weights names the reward functions, every column of floats counts as one.

    folder: relative to the working folder, else to the repository. Raises ValueError, in one line, for a folder or file
    that is not TRL's, and where weights of 1 contradict the reward that TRL logged; ImportError without pyarrow.
    Source: GRPOTrainer.log and _generate_and_score_completions of TRL 1.16.
    """
    home = Path(folder) if Path(folder).is_dir() else paths.home() / folder
    tables = [rows for file in sorted((home / "completions").glob("completions_*.parquet")) if (rows := _parquet(file))]
    if not tables:
        checks.fail("folder", str(folder), "an output_dir of TRL: it holds no completions/completions_*.parquet")
    logged = _history(home)
    functions = _functions(tables, logged, reward_weights)
    stretches = [len(list(same)) for rows in tables for _, same in itertools.groupby(row["prompt"] for row in rows)]
    size = math.gcd(*stretches)
    steps = {rows[0]["step"]: [_row(i, row, size, functions) for i, row in enumerate(rows)] for rows in tables}
    metrics = {}
    for step in sorted({*steps, *logged}):
        own, theirs = _measured(steps.get(step, []), functions, size), logged.get(step, {})
        if reward_weights is None:
            _refuse_other_weights(step, own, theirs, functions)
        metrics[step] = own | theirs | {"updates": float(step)}
    run = Run.create(name, {"engine": "trl", "reward_functions": functions}, root)
    for step, values in metrics.items():
        run.record(Step(step, values, steps.get(step)))
    run.finish()
    return run


def _parquet(file: Path) -> list:
    """The rows of one file, with prompt and completion as text."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise ImportError(f'read_trl needs {error.name}: pip install "rlkit-notebooks[trl]"') from None
    try:
        table = parquet.read_table(file)
        rows = table.to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: no parquet file that can be read ({str(error).splitlines()[0]:.120})") from None
    missing = [column for column in COLUMNS if column not in table.column_names]
    if missing:
        raise ValueError(f"{file}: no completions of TRL: it has no column {missing[0]!r}")
    for i, row in enumerate(rows):
        where = f"{file}, row {i}: "
        if checks.count(f"{where}step", row["step"]) != rows[0]["step"]:
            checks.fail(f"{where}step", row["step"], f"{rows[0]['step']}, that of the first row")
        if not isinstance(row["advantage"], float | None):
            checks.fail(f"{where}advantage", row["advantage"], "a number")
        row |= {column: _text(where + column, row[column]) for column in ("prompt", "completion")}
    return rows


def _text(where: str, value) -> str:
    """A text as it is; of messages their contents, with the roles before them where there are several."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
        checks.fail(where, value, "a text or a list of messages")
    told = []
    for message in value:
        content = message.get("content") or ""
        if isinstance(content, list):  # text, images, ...
            content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
        told.append((message.get("role"), str(content)))
    return told[0][1] if len(told) == 1 else "\n".join(f"{role}: {content}" for role, content in told)


def _history(folder: Path) -> dict:
    """step -> metrics under our names, from the trainer_state.json of the folder, else of its newest checkpoint."""
    numbered = {c: c.name.removeprefix("checkpoint-") for c in folder.glob("checkpoint-*")}
    newest = sorted((c for c in numbered if numbered[c].isdecimal()), key=lambda c: int(numbered[c]), reverse=True)
    file = next((f for c in (folder, *newest) if (f := c / "trainer_state.json").is_file()), None)
    if file is None:
        return {}
    try:
        state = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: not JSON ({error})") from None
    entries = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{file}: not the state of a trainer: it has no log_history")
    found = {}
    for i, entry in enumerate(entries):
        step = checks.count(f"{file}: log_history[{i}].step", entry.get("step"))
        if "train_runtime" not in entry:  # that one sums up the training, and is about no step
            numbers = {name: v for name, v in entry.items() if name != "step" and type(v) in (int, float)}
            found.setdefault(step, {}).update({_ours(name): v for name, v in numbers.items()})
    return found


def _ours(name: str) -> str:
    parts = name.split("/")
    return f"reward_{parts[1]}" if parts[0] == "rewards" and parts[2:] == ["mean"] else METRICS.get(name, name)


def _functions(tables: list, logged: dict, weights: dict | None) -> dict:
    """Reward function -> weight: those given, else those that TRL logged, else every column of floats; 1 each."""
    columns = [column for column in tables[0][0] if column not in COLUMNS]
    every = [row for rows in tables for row in rows]
    floats = [c for c in columns if {type(row.get(c)) for row in every} - {type(None)} == {float}]
    for function, weight in (weights or {}).items():
        checks.one_of("reward_weights", function, floats)
        checks.finite(f"reward_weights[{function!r}]", weight)
    if weights:
        return {function: float(weight) for function, weight in weights.items()}
    known = {name for metrics in logged.values() for name in metrics}
    return dict.fromkeys([c for c in floats if f"reward_{c}" in known] or floats, 1.0)


def _row(i: int, row: dict, size: int, functions: dict) -> dict:
    parts = {name: math.nan if row.get(name) is None else row[name] for name in functions}
    given = [functions[name] * part for name, part in parts.items() if not math.isnan(part)]
    advantage = math.nan if row["advantage"] is None else row["advantage"]
    own = {"kind": "sample", "group": i // size, "sample": i % size, "prompt": row["prompt"]}
    own |= {"completion": row["completion"], "reward": sum(given) if given else math.nan}
    extra = {column: value for column, value in row.items() if column not in (*COLUMNS, *functions)}
    return extra | own | {"reward_parts": parts, "advantage": advantage}


def _measured(rows: list, functions: dict, size: int) -> dict:
    if not rows:
        return {}
    found = {"reward": _mean(row["reward"] for row in rows)}
    found |= {f"reward_{name}": _mean(row["reward_parts"][name] for row in rows) for name in functions}
    groups = [{row["reward"] for row in rows[i : i + size]} for i in range(0, len(rows), size)]
    return found | {"dead_groups": _mean(float(len(group) == 1) for group in groups)}


def _mean(values) -> float:
    """The mean of those that are not NaN, NaN where there are none."""
    values = [value for value in values if not math.isnan(value)]
    return sum(values) / len(values) if values else math.nan


def _refuse_other_weights(step: int, own: dict, logged: dict, functions: dict) -> None:
    """Where the mean of each function is the one that TRL logged, these are the rows; then their sum must fit too."""

    def same(name):
        return name in own and name in logged and math.isclose(own[name], logged[name], rel_tol=1e-4, abs_tol=1e-4)

    if all(same(f"reward_{name}") for name in functions) and "reward" in logged and not same("reward"):
        means = f"at step {step} their plain sum has mean {own['reward']:.4g}, and TRL logged {logged['reward']:.4g}"
        checks.fail("reward_weights", None, f"TRL's weights of {', '.join(functions)}: {means}")
