"""The completions that a run has logged, as columns: read them, filter and sort them, compare two steps.

Pure functions. Rows may lack any column and hold anything that JSON can hold: what is missing or no number is NaN.
"""

import math
from typing import NamedTuple

import numpy as np

from rlkit import checks

ANSWERS = ("all", "correct", "wrong", "format only")
GROUPS = ("all", "dead", "with signal")
FINISHES = ("all", "cut off", "stopped")
# order -> (column, sign): sorted upwards by sign * column. NaN comes last, ties stay in the order of sampling.
ORDERS = {
    "as sampled": None,
    "advantage, highest first": ("advantage", -1),
    "advantage, lowest first": ("advantage", 1),
    "reward, highest first": ("reward", -1),
    "reward, lowest first": ("reward", 1),
    "longest first": ("length", -1),
    "shortest first": ("length", 1),
}


class Index(NamedTuple):
    """One step's completions as columns [N]; built once, so that filters and pages need not look into the rows."""

    rows: list  # [N] dictionaries, as logged
    problem: list  # [N] what makes a prompt the same prompt at another step: its problem's id, else its text
    batch: np.ndarray  # [N] int; rows of one arm and seed
    group: np.ndarray  # [N] int, numbered in order of appearance
    reward: np.ndarray  # [N]
    advantage: np.ndarray  # [N]
    correct: np.ndarray  # [N] the reward part of that name
    format: np.ndarray  # [N] likewise
    length: np.ndarray  # [N] in tokens, in characters where no tokens were logged
    truncated: np.ndarray  # [N] bool: cut off at the length limit
    dead: np.ndarray  # [N] bool: all of the two or more rewards of its group are equal
    columns: set  # the names that at least one row has
    parts: list  # names of the reward parts


def read(run, known: dict, seen: int) -> int:
    """Put the completions that `run` logged after its first `seen` records into known (step -> rows).

    Rows of kind "sample", or of none, are completions; evaluations and the rest are passed over. Returns the new
    `seen`. Only new records are looked at, so a growing run can be read at every step.
    """
    records = run._rollouts.refresh()  # no public reader gives the new records alone
    end = len(records)
    for record in records[seen:end]:
        if record.get("kind", "sample") in ("sample", None):
            known.setdefault(record["step"], []).append(record)
    return end


def number(value) -> float:
    """A float; NaN for anything that is no number, and for integers beyond a float."""
    try:
        return float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return math.nan


def numbers(value, length: int) -> np.ndarray:
    """A list of numbers as floats [length]; NaN where it is too short, or where an entry is no number."""
    result = np.full(length, np.nan)
    if isinstance(value, list):
        value = value[:length]
        result[: len(value)] = [number(v) for v in value]
    return result


def tokens(row: dict) -> list[str]:
    """The row's tokens as text: as logged, else their ids as `#17`, else no tokens."""
    for name, text in (("tokens", "{}"), ("token_ids", "#{}")):
        logged = row.get(name)
        if isinstance(logged, list) and logged:
            return [token if isinstance(token, str) and name == "tokens" else text.format(token) for token in logged]
    return []


def text(row: dict, name: str) -> str:
    """The prompt or completion of a row; what is no text is written as one."""
    value = row.get(name, "")
    return value if isinstance(value, str) else "" if value is None else repr(value)


def parts(row: dict) -> dict:
    """The reward parts of a row, name -> float."""
    value = row.get("reward_parts")
    return {str(name): number(part) for name, part in value.items()} if isinstance(value, dict) else {}


def same_prompt(row: dict) -> str:
    """What a prompt is known by at every step: the problem's id, else its own text."""
    return repr(row["problem"]) if row.get("problem") is not None else text(row, "prompt")


def index(rows: list) -> Index:
    """The Index of one step's rows. A group is what shares arm, seed and group (else problem, else prompt)."""
    n = len(rows)
    problem = [same_prompt(row) for row in rows]
    batches, groups, names = {}, {}, {}
    batch, group, length = (np.zeros(n, int) for _ in range(3))
    reward, advantage, correct, format_ = (np.full(n, np.nan) for _ in range(4))
    truncated, columns = np.zeros(n, bool), set()
    for i, row in enumerate(rows):
        columns.update(row)
        cell = (repr(row.get("arm")), repr(row.get("seed")))
        own = repr(row["group"]) if row.get("group") is not None else problem[i]
        batch[i] = batches.setdefault(cell, len(batches))
        group[i] = groups.setdefault((cell, own), len(groups))
        reward[i], advantage[i] = number(row.get("reward")), number(row.get("advantage"))
        part = parts(row)
        names.update(dict.fromkeys(part))
        correct[i], format_[i] = part.get("correct", math.nan), part.get("format", math.nan)
        length[i] = _length(row)
        truncated[i] = row.get("finish_reason") == "length"
    low, high = np.full(len(groups), np.inf), np.full(len(groups), -np.inf)
    with np.errstate(invalid="ignore"):  # a NaN stays, and is equal to nothing
        np.minimum.at(low, group, reward)
        np.maximum.at(high, group, reward)
    dead = ((low == high) & (np.bincount(group, minlength=len(groups)) > 1))[group]
    return Index(
        rows, problem, batch, group, reward, advantage, correct, format_, length, truncated, dead, columns, list(names)
    )


def _length(row: dict) -> int:
    for name in ("tokens", "token_ids", "logp_sampled"):
        if isinstance(row.get(name), list):
            return len(row[name])
    return len(text(row, "completion"))


def select(found: Index, *, answer="all", group="all", finish="all", low=None, high=None, words="", order="as sampled"):
    """Positions [M] of the completions that pass, in order.

    answer: "correct" (part `correct` at least 1), "wrong", or "format only" (part `format` at least 1, `correct` 0).
    group: "dead" or "with signal". finish: "cut off" or "stopped". low, high: bounds of the reward, both included; a
    reward that is NaN passes only without bounds. words: found as they stand in prompt or completion, in either case.
    order: see ORDERS. Raises ValueError for other choices.
    """
    checks.one_of("answer", answer, ANSWERS)
    checks.one_of("group", group, GROUPS)
    checks.one_of("finish", finish, FINISHES)
    checks.one_of("order", order, list(ORDERS))
    keep = np.ones(len(found.rows), bool)
    if answer == "correct":
        keep &= found.correct >= 1
    elif answer == "wrong":
        keep &= found.correct < 1
    elif answer == "format only":
        keep &= (found.format >= 1) & (found.correct <= 0)
    if group != "all":
        keep &= found.dead == (group == "dead")
    if finish != "all":
        keep &= found.truncated == (finish == "cut off")
    if low is not None:
        keep &= found.reward >= low
    if high is not None:
        keep &= found.reward <= high
    chosen = np.flatnonzero(keep)
    if words:
        wanted = words.lower()
        chosen = np.array(
            [
                i
                for i in chosen
                if wanted in text(found.rows[i], "completion").lower()
                or wanted in text(found.rows[i], "prompt").lower()
            ],
            dtype=int,
        )
    chosen = chosen[np.argsort(found.group[chosen], kind="stable")]
    if ORDERS[order]:
        column, sign = ORDERS[order]
        chosen = chosen[np.argsort(sign * getattr(found, column)[chosen], kind="stable")]  # NumPy puts NaN last
    return chosen


class Change(NamedTuple):
    """One completion of a prompt at two steps: how often it was drawn, its mean reward, its log-probability."""

    what: str  # "kept", "gone" or "new"
    completion: str
    times: tuple[int, int]
    reward: tuple[float, float]
    logp: tuple[float, float]  # sum over the tokens


def compare(before: list, after: list) -> list[Change]:
    """What became of the completions of one prompt: those kept, then those gone, then the new, most often drawn first.

    before, after: the prompt's rows at two steps. Completions are told apart by their text. logp is the sum of
    logp_sampled, NaN where it is not logged.
    """
    drawn = ({}, {})
    for rows, seen in zip((before, after), drawn, strict=True):
        for row in rows:
            seen.setdefault(text(row, "completion"), []).append(row)
    changes = []
    for words in dict.fromkeys([*drawn[0], *drawn[1]]):
        sides = [seen.get(words, []) for seen in drawn]
        what = "kept" if all(sides) else "gone" if sides[0] else "new"
        rewards = tuple(mean([number(row.get("reward")) for row in side]) for side in sides)
        logps = tuple(mean([sequence_logp(row) for row in side]) for side in sides)
        changes.append(Change(what, words, (len(sides[0]), len(sides[1])), rewards, logps))
    return sorted(changes, key=lambda change: (("kept", "gone", "new").index(change.what), -sum(change.times)))


def sequence_logp(row: dict) -> float:
    """The log-probability that the sampler gave to the whole completion, in nats; NaN if it is not logged whole."""
    logged = row.get("logp_sampled")
    return float(numbers(logged, len(logged)).sum()) if isinstance(logged, list) and logged else math.nan


def mean(values) -> float:
    """Mean of the finite values, NaN without any."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.nan
