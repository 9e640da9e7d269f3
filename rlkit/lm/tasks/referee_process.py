"""The program of the referee's process: started by referee.py as a script, never imported.

It reads one JSON request a line and writes one JSON reply a line. Before anything else is imported, sympy's parser of
Python expressions, which evaluates its text, is replaced by one that reads a numeral or a name. While a scorer is at
work, an audit hook refuses to run any code made from a string. So what a model wrote is parsed, never evaluated,
whatever the scorer's authors had in mind: a scorer that wants to evaluate finds the answer wrong.
"""

import contextlib
import difflib
import functools
import json
import math
import os
import random
import re
import signal
import sys
import time

try:
    import resource
except ImportError:  # Windows: there the parent's patience is the only limit
    resource = None

MEMORY = 4 << 30  # bytes of address space
NUMERAL = re.compile(r"[+-]?(\d{1,1000}(\.\d{0,1000})?|\.\d{1,1000})([eE][+-]?\d{1,3})?", re.ASCII)
NAME = re.compile(r"[A-Za-z]\w{0,100}", re.ASCII)
CONSTANTS = ("E", "I", "pi", "oo", "zoo", "nan")

judging = False


def refuse_code(event: str, arguments: tuple) -> None:
    """Audit hook: no code from a string while a scorer is at work, but for the helpers that sympy writes for itself."""
    if judging and event == "exec":
        source = arguments[0].co_filename
        helper = "/sympy/polys/" in sys._getframe(1).f_code.co_filename.replace(os.sep, "/")
        if source.startswith("<") and not source.startswith("<frozen") and not helper:
            raise RuntimeError("a scorer may not run code made from a string")


def numeral(text, *_, **__):
    """In place of sympy's parse_expr: a number or a name, and ValueError for all else."""
    import sympy

    if NAME.fullmatch(text):
        return getattr(sympy, text) if text in CONSTANTS else sympy.Symbol(text)
    if not NUMERAL.fullmatch(text):
        raise ValueError("neither a number nor a name")
    return sympy.Integer(int(text)) if text.lstrip("+-").isdigit() else sympy.Float(text)


@functools.lru_cache(maxsize=1024)
def entry(name: str, options: str, seed: int):
    """(data set, entry) of reasoning-gym, from the seed alone: also where a data set draws from the global state."""
    from reasoning_gym.factory import DATASETS, create_dataset

    if name not in DATASETS:
        near = ", ".join(map(repr, difflib.get_close_matches(name, DATASETS, 4, 0.4)))
        raise ValueError(f"no data set of this name; near it: {near or 'none'}")
    random.seed(seed)
    data = create_dataset(name, seed=seed, size=1, **json.loads(options))
    return data, data[0]


def drawn(request: dict):
    return entry(request["name"], json.dumps(request["options"]), request["seed"])


def draw(request: dict) -> dict:
    _, item = drawn(request)
    return {"question": item["question"], "answer": item["answer"]}


def score(request: dict) -> dict:
    """The scorer's number, cut to [0, 1]; 0 if it raises or returns none."""
    data, item = drawn(request)
    with at_work():
        value = float(data.score_answer(request["answer"], item))
    return {"score": min(1.0, max(0.0, value)) if math.isfinite(value) else 0.0}


def equal(request: dict) -> dict:
    """1 if math-verify takes the answer for the gold one, both read as LaTeX, with its own SIGALRM timeouts off."""
    from math_verify import LatexExtractionConfig, parse, verify

    with at_work():
        gold, given = (
            parse(f"${request[key]}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None)
            for key in ("gold", "answer")
        )
        return {"score": float(bool(gold and given and verify(gold, given, timeout_seconds=None)))}


@contextlib.contextmanager
def at_work():
    global judging
    judging = True
    try:
        yield
    finally:
        judging = False


def limit(cpu_seconds: int) -> None:
    """The system ends this process once it has used so much more processor time."""
    if resource is not None:
        soft, hard = math.ceil(time.process_time()) + cpu_seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def serve(replies) -> None:
    import sympy.parsing
    from sympy.parsing import sympy_parser

    sympy_parser.parse_expr = sympy.parsing.parse_expr = sympy.parse_expr = numeral
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(ValueError, OSError):  # macOS does not limit the address space
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    sys.addaudithook(refuse_code)
    work = {"draw": draw, "score": score, "equal": equal}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            __import__("math_verify" if request["do"] == "equal" else "reasoning_gym")  # at nobody's expense
            limit(request["cpu_seconds"])
            reply = work[request["do"]](request)
        except ModuleNotFoundError as error:
            reply = {"missing": error.name}
        except Exception as error:  # noqa: BLE001  (other people's code, on a model's text, may raise anything)
            reply = {"error": f"{type(error).__name__}: {error}".replace("\n", " ")[:200]}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: it is meant for the parent
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what other code prints must not come among the replies
    serve(answers)
