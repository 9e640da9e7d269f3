"""Tasks for real models: the data sets of reasoning-gym, and questions whose answers math-verify compares.

Both judge in a second process (referee.py): bounded time and memory, from any thread, and nothing is evaluated.
"""

import hashlib
import json
import re
import unicodedata

from rlkit import checks
from rlkit.lm.tasks import referee
from rlkit.lm.tasks.task import Problem, Task

LONGEST_COMPLETION = 200_000  # characters; long chains of thought are what real models write
LONGEST_ANSWER = 4000
LONGEST_FORMULA = 1000
CPU_SECONDS = {"draw": 10, "score": 5, "equal": 5}
SPACE = " \t\r\n"
ANSWER_HERE = "\nPut the answer, and nothing else, at the very end between <answer> and </answer>."
BOX_HERE = "\nThink step by step and put the final answer within \\boxed{}."

# Formulas that sympy would work out to more digits than fit in memory: the process would end and have to start anew.
EXPONENT = r"(?:\^|\*\*)[\s{(+-]*"
HUGE = re.compile(
    rf"\d{{101}}|{EXPONENT}\d{{5}}|{EXPONENT}\d+[\s)}}]*(?:\^|\*\*|!)|\d{{4}}[\s)}}]*!|![\s)}}]*!", re.ASCII
)

POWER = re.compile(r"\d\s*(?:\*\*|\^)\s*[(+-]*\d|\d[eE][+-]?\d{4}", re.ASCII)
NONSENSE = ("nan", "None", "8675309", "x")


def from_reasoning_gym(name: str, *, max_new_tokens: int = 512, **options) -> Task:
    """The reasoning-gym data set `name` as a task; `options` go to its configuration.

    A problem is the data set's entry for a seed; problems with the same question are one problem, and the question
    decides the split. Parts: `format` (one <answer>...</answer>, at the end), `score` (the data set's own, in [0, 1]),
    `correct` (score 1). A scorer that raises, takes more than 5 s of processor time or wants to run code gives 0, and
    so does an answer with control or format characters, digits of another script, or a power of two numerals.

    A data set is taken only if, in three entries, its scorer gives 1 to its own answer (those that evaluate answers
    cannot) and less to nonsense, to the answer's first character, and to one of two answers at once. Else, or for an
    unknown name (it says which come near) or option: ValueError. Without the package: ImportError.
    """
    for option in ("seed", "size"):
        if option in options:
            checks.fail(option, options[option], "left out: problems(n, seed) decides it")
    try:
        base = json.loads(json.dumps({"name": name, "options": options}))
    except TypeError:
        checks.fail("options", options, "made of numbers, strings, lists and None")
    _accept(base)

    def draw(rng) -> Problem:
        seed = int(rng.integers(2**31))
        found = _entry(base, seed)
        question, answer = found["question"], found["answer"]
        facts = base | {"seed": seed, "answer": answer}
        return Problem(f"{name} {_digest(question)}", question + ANSWER_HERE, facts)

    return Task(
        name=f"from_reasoning_gym({', '.join([repr(name), *(f'{key}={value!r}' for key, value in options.items())])})",
        weights={"correct": 1.0, "format": 0.0, "score": 0.0},
        max_new_tokens=checks.positive_int("max_new_tokens", max_new_tokens),
        draw=draw,
        parts=_gym_parts,
        demonstrate=lambda problem, rng: f"<answer>{problem.facts['answer']}</answer>",
    )


def with_math_verify(rows, *, name: str = "math", max_new_tokens: int = 512) -> Task:
    """The task of `rows`, pairs (question, answer in LaTeX), judged by math-verify: 1/2 is \\frac{1}{2} and 0.5.

    The question decides the split. Parts: `format` (exactly one \\boxed{...}), `correct` (what stands in the last one
    is the answer's text, or equal to it for math-verify). A formula that would need huge numbers (an exponent of five
    digits, a tower of numerals, the factorial of a four-digit number) is refused unread.

    Raises ValueError for rows that are no such pairs or give one question two answers; ImportError.
    """
    known = {}
    for i, row in enumerate(rows):
        if len(row) != 2 or not all(isinstance(text, str) and text.strip() for text in row):
            checks.fail(f"rows[{i}]", row, "a question and its answer, two strings")
        question, answer = row
        new = Problem(f"{name} {_digest(question)}", question + BOX_HERE, {"answer": answer})
        if known.setdefault(new.id, new).facts != new.facts:
            checks.fail(f"rows[{i}]", row, "the only answer to its question")
    if not known:
        checks.fail("rows", list(rows), "not empty")
    if not _equal(r"\frac{1}{2}", "0.50"):
        raise RuntimeError("math-verify: this version does not find \\frac{1}{2} equal to 0.50 without evaluating text")
    every = list(known.values())
    return Task(
        name=name,
        weights={"correct": 1.0, "format": 0.0},
        max_new_tokens=checks.positive_int("max_new_tokens", max_new_tokens),
        draw=lambda rng: every[rng.integers(len(every))],
        parts=_math_parts,
        demonstrate=lambda problem, rng: f"\\boxed{{{problem.facts['answer']}}}",
    )


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _accept(base: dict) -> None:
    """Raises ValueError unless the data set's scorer tells its answers from others, in three entries."""
    answers = [_entry(base, seed)["answer"] for seed in range(3)]
    if not all(isinstance(answer, str) and answer for answer in answers):
        checks.fail("name", base["name"], "a data set that gives an answer of its own")
    for seed, own in enumerate(answers):
        entry = base | {"seed": seed, "answer": own}
        other = answers[seed - 1]
        if _score(entry, own) < 1:
            checks.fail("name", base["name"], "a data set whose scorer takes its own answer without evaluating it")
        for decoy in (*NONSENSE, own[:1]):
            if not _same(decoy, own) and _score(entry, decoy) == 1:
                checks.fail("name", base["name"], f"a data set whose scorer does not take {decoy!r} for {own!r}")
        if other != own and _score(entry, f"{own} {other}") == _score(entry, f"{other} {own}") == 1:
            checks.fail(
                "name", base["name"], f"a data set whose scorer does not take both {own!r} and {other!r} at once"
            )


def _same(a: str, b: str) -> bool:
    """Alike but for case, or the same number."""
    try:
        return a.casefold() == b.casefold() or float(a) == float(b)
    except ValueError:
        return False


def _entry(base: dict, seed: int) -> dict:
    found = referee.ask("draw", CPU_SECONDS["draw"], **base, seed=seed)
    if found is None:
        raise ValueError(f"{base['name']}: entry {seed} took more than {CPU_SECONDS['draw']} s of processor time")
    if "error" in found:
        raise ValueError(f"name={base['name']!r}, {base['options']}: {found['error']}")
    return found


def _score(entry: dict, answer: str) -> float:
    if answer != entry["answer"] and (POWER.search(answer) or not all(map(_plain, answer))):
        return 0.0
    keys = {key: entry[key] for key in ("name", "options", "seed")}
    reply = referee.ask("score", CPU_SECONDS["score"], **keys, answer=answer) or {}
    return reply.get("score", 0.0)


def _plain(character: str) -> bool:
    """No control or format character but space, tab and newlines, no surrogate, no digit of another script."""
    category = unicodedata.category(character)
    return character.isascii() if category == "Nd" else character in SPACE or category[0] not in "C"


def _equal(gold: str, answer: str) -> bool:
    reply = referee.ask("equal", CPU_SECONDS["equal"], gold=gold, answer=answer) or {}
    return reply.get("score", 0.0) == 1


def _gym_parts(problem: Problem, completion: str) -> dict:
    answer = _tagged(completion)
    score = 0.0 if answer is None else _score(problem.facts, answer)
    return {"format": float(answer is not None), "score": score, "correct": float(score == 1)}


def _math_parts(problem: Problem, completion: str) -> dict:
    answer, gold = _boxed(completion), problem.facts["answer"]
    same = answer is not None and answer == gold.strip(SPACE)
    correct = same or (answer is not None and not HUGE.search(answer) and _equal(gold, answer))
    return {"format": float(answer is not None and completion.count("\\boxed") == 1), "correct": float(correct)}


def _tagged(completion: str) -> str | None:
    """What stands between the one <answer> and the one </answer>, which ends the completion; else None."""
    text = completion.rstrip(SPACE) if len(completion) <= LONGEST_COMPLETION else ""
    if text.count("<answer>") != 1 or text.count("</answer>") != 1 or not text.endswith("</answer>"):
        return None
    answer = text[text.index("<answer>") + len("<answer>") : -len("</answer>")].strip(SPACE)
    return answer if 0 < len(answer) <= LONGEST_ANSWER else None


def _boxed(completion: str) -> str | None:
    """What stands in the last \\boxed{...}, its braces balanced; None if there is none or it is too long."""
    if len(completion) > LONGEST_COMPLETION:
        return None
    start = completion.rfind("\\boxed{") + len("\\boxed{")
    inside, depth, i = completion[start : start + LONGEST_FORMULA + 1], 1, 0
    while start >= len("\\boxed{") and i < len(inside):
        depth += {"{": 1, "}": -1}.get(inside[i], 0)
        if depth == 0:
            return inside[:i].replace("$", "").strip(SPACE) or None
        i += 2 if inside[i] == "\\" else 1  # \{ and \} are no braces
    return None
