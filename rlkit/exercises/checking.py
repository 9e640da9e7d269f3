"""check() a reader's function against the library's own, and show the library's source as the solution."""

import copy
import importlib
import inspect
import traceback
from typing import NamedTuple

import numpy as np
from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Operator, String

from rlkit.exercises.cases import EXERCISES
from rlkit.html import COLOURS, escape

RELATIVE, ABSOLUTE = 1e-5, 1e-8  # how far two floats may differ and still agree
SEED = 0


class Check(NamedTuple):
    """What check() found: true if the function passed. `rows` are (label, text) pairs that say where it differs."""

    passed: bool
    message: str
    name: str
    rows: tuple = ()

    def __bool__(self):
        return self.passed

    def __repr__(self):
        return "\n".join([f"{self.name}: {self.message}", *(f"    {label}: {text}" for label, text in self.rows)])

    def to_html(self) -> str:
        """The same words as HTML; everything that comes from the reader's function is escaped."""
        colour = COLOURS[2] if self.passed else COLOURS[1]
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left;padding:1px 12px 1px 0;font-weight:600">{escape(label)}</th>'
            f'<td style="text-align:left;white-space:pre-wrap;font-family:monospace">{escape(text)}</td></tr>'
            for label, text in self.rows
        )
        table = f'<table style="border-collapse:collapse;color:inherit">{rows}</table>' if rows else ""
        head = f"<div><b>{escape(self.name)}</b>: {escape(self.message)}</div>"
        return f'<div style="border-left:4px solid {colour};padding:4px 10px">{head}{table}</div>'

    _repr_html_ = to_html


def check(name: str, function) -> Check:
    """Compare the reader's function with the library's own on edge cases and on random cases from a fixed seed.

    name: such as "bandits/ucb_index". function: called with the reference's arguments, by position, on copies.
    Floats agree within 1e-5 relative or 1e-8 absolute; shapes must be equal. Returns a Check, true if passed, that
    displays as HTML, as text elsewhere, and shows the first case on which the two part. Never raises because of what
    the function does. Raises ValueError, in one line, for a name that no exercise has.
    """
    right = reference(name)
    if not callable(function):
        return Check(False, f"not yet. Hand over the function itself, not a {type(function).__name__}.", name)
    cases = EXERCISES[name].cases(np.random.default_rng(SEED))
    for number, case in enumerate(cases, start=1):
        truth = right(*copy.deepcopy(case))
        problem = _try(function, case, truth)
        if problem == NOT_DONE:
            return Check(False, NOT_DONE, name)
        if problem:
            inputs = zip(inspect.signature(right).parameters, case, strict=False)
            rows = [(label, _show(value)) for label, value in inputs] + problem
            return Check(False, f"not yet. Case {number} of {len(cases)} comes out differently.", name, tuple(rows))
    return Check(True, f"passed. It agrees with the library on all {len(cases)} cases.", name)


NOT_DONE = "not done yet. Write the function's body in place of the blank, then run the cell again."


def _try(function, case: tuple, truth) -> str | list | None:
    """Call the reader's function on one case: None if it agrees, NOT_DONE, or rows that tell what differs."""
    given = copy.deepcopy(case)
    expected = ("expected", _kind(truth))
    try:
        answer = function(*given)
    except NotImplementedError:
        return NOT_DONE
    except (Exception, SystemExit) as error:  # noqa: BLE001 the reader's own mistake, shown to the reader
        problem = _one_line(error)
        return NOT_DONE if "ellipsis" in problem else [expected, ("yours raises", problem)]  # a `...` left in a sum
    if _is_blank(answer):
        return NOT_DONE
    if any(_changed(before, after) for before, after in zip(case, given, strict=True)):
        return [("yours", "changes the arrays that it was given; work on a copy")]
    difference = _difference(answer, truth)
    return difference and [expected, *difference]


def _is_blank(answer) -> bool:
    """Nothing, a `...`, or a `...` somewhere inside."""
    if isinstance(answer, np.ndarray):
        return answer.dtype == object and any(part is ... for part in answer.flat)
    return answer is None or answer is ... or (isinstance(answer, list | tuple) and any(map(_is_blank, answer)))


def _difference(answer, truth) -> list | None:
    """Rows that tell how an answer differs from the right one; None if they agree."""
    if isinstance(truth, tuple):
        if not isinstance(answer, tuple | list) or len(answer) != len(truth):
            return [("yours", _kind(answer))]
        for place, (part, right) in enumerate(zip(answer, truth, strict=True)):
            if rows := _difference(part, right):
                return [("differs in", f"part {place} of the tuple"), *rows]
        return None
    truth = np.asarray(truth)
    try:
        array = np.asarray(answer)
    except Exception as error:  # noqa: BLE001 ragged lists, objects that refuse: the reader's own answer
        return [("yours", f"cannot be read as numbers: {_one_line(error)}")]
    kinds = {"f": "iuf", "i": "iu", "u": "iu"}.get(truth.dtype.kind, truth.dtype.kind)
    if array.dtype.kind not in kinds or array.shape != truth.shape:
        return [("yours", _kind(answer))]
    same = np.isclose(array, truth, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True) if kinds == "iuf" else array == truth
    if np.all(same):
        return None
    rows = [("yours", _show(array)), ("right", _show(truth))]
    if truth.ndim:
        first = ", ".join(str(int(i)) for i in np.argwhere(~same)[0])
        rows.append(("first difference", f"at index [{first}]"))
    return rows


def _kind(value) -> str:
    """What sort of answer a value is, in words: "an array of shape (3,)", "a number"."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}: " + ", ".join(_kind(part) for part in value)
    if not isinstance(value, np.ndarray | np.generic | int | float | list):
        return f"a {type(value).__name__}, not numbers"
    try:
        array = np.asarray(value)
    except ValueError:  # a ragged list
        return "a list of unequal lists"
    words = {"f": "numbers", "i": "whole numbers", "u": "whole numbers", "b": "True or False"}
    sort = words.get(array.dtype.kind, f"dtype {array.dtype}")
    if array.ndim:
        return f"an array of shape {array.shape}, {sort}"
    return {"numbers": "a number", "whole numbers": "a whole number"}.get(sort, sort)


def _show(value) -> str:
    if isinstance(value, np.ndarray | np.generic):
        return np.array2string(np.asarray(value), precision=6, threshold=40, edgeitems=4, separator=", ")
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."


def _changed(before, after) -> bool:
    if isinstance(before, np.ndarray):
        return before.shape != after.shape or before.dtype != after.dtype or before.tobytes() != after.tobytes()
    return isinstance(before, list | dict) and repr(before) != repr(after)


def _one_line(error: BaseException) -> str:
    """The error's last line, and the line of the reader's code that raised it, where it is known."""
    text = " ".join(traceback.format_exception_only(error)[-1].split())
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first frame is our own call
    line = f", at: {frames[0].line}" if frames and frames[0].line else ""
    text += line
    return text if len(text) <= 300 else text[:297] + "..."


def reference(name: str):
    """The library's own function for an exercise. Raises ValueError, in one line, that lists what exists."""
    if not isinstance(name, str) or name not in EXERCISES:
        shown = repr(name) if len(repr(name)) <= 80 else repr(name)[:77] + "..."
        raise ValueError(f"name={shown}: must be one of " + ", ".join(EXERCISES))
    module, function = EXERCISES[name].place.split(":")
    return getattr(importlib.import_module(module), function)


class Source:
    """The source of a function: highlighted HTML in a notebook, plain text elsewhere. See solution()."""

    def __init__(self, title: str, text: str):
        self.title, self.text = title, text

    def __repr__(self):
        return f"# {self.title}\n{self.text.rstrip()}"

    def to_html(self) -> str:
        """A `<pre>`: keywords bold, strings and comments slanted and paler; no colour, so it reads in every theme."""
        pale = "font-style:italic;opacity:0.8"
        styles = ((Keyword, "font-weight:700"), (Operator.Word, "font-weight:700"), (String, pale), (Comment, pale))
        parts = []
        for kind, text in PythonLexer(stripnl=False).get_tokens(self.text):
            style = next((style for group, style in styles if kind in group), None)
            parts.append(f'<span style="{style}">{escape(text)}</span>' if style else escape(text))
        look = "color:inherit;white-space:pre;word-break:normal;overflow-x:auto;margin:4px 0;padding:0;font-size:90%"
        return f'<div><b>{escape(self.title)}</b></div><pre tabindex="0" style="{look}">{"".join(parts)}</pre>'

    _repr_html_ = to_html


def solution(name: str) -> Source:
    """The library's tested source of an exercise's function. Raises ValueError for a name that no exercise has."""
    function = reference(name)
    return Source(f"{name}: {function.__module__}.{function.__qualname__}", inspect.getsource(function))
