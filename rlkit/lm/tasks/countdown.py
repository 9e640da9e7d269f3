"""Countdown: combine the given numbers, each exactly once, with + - * / so that they make the target.

    prompt      countdown 2 3 5 7 -> 24 :
    completion  3 * 5 + 7 + 2

Targets are values of expressions in + - * without parentheses, so every problem can be solved; the verifier also takes
division (exact rationals) and parentheses. The solutions are counted, not searched. Such an expression is a sum of
signed products, so it is a partition of the numbers into blocks with a sign each: 2,227 of them for 6 numbers, against
174,960 expressions. A partition with k blocks, p of them positive, stands for p (k-1)! prod |block|! expressions: one
positive block leads, the other blocks and the factors inside a block come in any order. Task: arXiv 2404.03683.
"""

import functools
import itertools
import math
from collections import Counter
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rlkit import checks
from rlkit.lm.tasks.task import LONGEST, Problem, Task, number

LARGEST_TARGET = 10**6
MOST_NUMBERS = 32  # in one expression: bounds the size of its value
STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2}


class _Forms(NamedTuple):
    """All partitions of n numbers into signed blocks (F of them; a block is a bit mask of positions)."""

    blocks: list  # F lists of (sign, mask)
    signs: np.ndarray  # [F, 2^n] float: the value of form f is signs[f] @ products
    weight: np.ndarray  # [F]: how many expressions the form stands for


def countdown(numbers: int = 4, largest: int = 100, operand: int = 12) -> Task:
    """The task with `numbers` (3 to 6) numbers from 1 to `operand` and a target from 1 to `largest`.

    Parts: `format` (an expression and nothing else), `numbers` (uses exactly the given numbers), `correct` (and makes
    the target). A problem is drawn as a random expression whose value is the target. demonstrate(problem, rng,
    correct=1.0) picks uniformly among all solutions without division and parentheses; with probability 1 - correct,
    uniformly among the expressions over the same numbers that miss the target. Raises ValueError.
    """
    checks.one_of("numbers", numbers, (3, 4, 5, 6))
    for name, value, most in (("largest", largest, LARGEST_TARGET), ("operand", operand, 100)):
        if checks.positive_int(name, value) > most:
            checks.fail(name, value, f"at most {most}")

    def draw(rng) -> Problem:
        while True:
            given = np.sort(rng.integers(1, operand + 1, size=numbers)).tolist()
            values = _values(tuple(given))
            form = _pick(rng, (values >= 1) & (values <= largest), numbers)
            if form is not None:
                return problem(given, int(values[form]))

    return Task(
        name=f"countdown(numbers={numbers}, largest={largest}, operand={operand})",
        weights={"correct": 1.0, "format": 0.0, "numbers": 0.0},
        max_new_tokens=2 * numbers + 4,
        draw=draw,
        parts=_parts,
        demonstrate=_demonstrate,
    )


def problem(numbers, target: int) -> Problem:
    """The problem with these numbers (any order: they are sorted) and this target, solvable or not."""
    given = sorted(int(n) for n in numbers)
    text = f"countdown {' '.join(map(str, given))} -> {target}"
    return Problem(text, f"{text} :", {"numbers": given, "target": int(target)})


def value(expression: str) -> Fraction | None:
    """The exact value of an expression in non-negative integers, + - * / and ( ); None if it is none or divides by 0.

    Shunting-yard, one pass without recursion. Numbers have at most 9 digits, and there are at most 32 of them.
    """
    parsed = _parse(expression)
    return parsed[0] if parsed else None


def solutions(problem: Problem) -> list:
    """Every solution in + - * without parentheses, sorted, each text once."""
    numbers, target = tuple(problem.facts["numbers"]), problem.facts["target"]
    found = set()
    for form in np.flatnonzero(_values(numbers) == target):
        blocks = _forms(len(numbers)).blocks[form]
        for order in itertools.permutations(blocks):
            if order[0][0] > 0:
                inside = [itertools.permutations(_members(mask, numbers)) for _, mask in order]
                found.update(_write([sign for sign, _ in order], choice) for choice in itertools.product(*inside))
    return sorted(found)


def _parts(problem: Problem, completion: str) -> dict:
    parsed = _parse(completion)
    uses = parsed is not None and parsed[1] == Counter(problem.facts["numbers"])
    hit = uses and parsed[0] == problem.facts["target"]
    return {"format": float(parsed is not None), "numbers": float(uses), "correct": float(hit)}


def _demonstrate(problem: Problem, rng, correct: float = 1.0) -> str:
    numbers = tuple(problem.facts["numbers"])
    hits = _values(numbers) == problem.facts["target"]
    right = checks.probability("correct", correct) == 1 or rng.random() < correct
    form = _pick(rng, hits if right else ~hits, len(numbers))
    if form is None:
        raise ValueError(f"{problem.id}: no such expression in + - * without parentheses")
    blocks = _forms(len(numbers)).blocks[form]
    lead = _shuffled(rng, [block for block in blocks if block[0] > 0])[0]
    order = [lead, *_shuffled(rng, [block for block in blocks if block is not lead])]
    return _write([sign for sign, _ in order], [_shuffled(rng, _members(mask, numbers)) for _, mask in order])


def _members(mask: int, numbers) -> list:
    return [n for i, n in enumerate(numbers) if mask >> i & 1]


def _shuffled(rng, items: list) -> list:
    """The items in a uniformly random order."""
    return [items[i] for i in np.argsort(rng.random(len(items))).tolist()] if len(items) > 1 else items


def _write(signs, blocks) -> str:
    text = "".join(
        f" {'+' if sign > 0 else '-'} " + " * ".join(map(str, b)) for sign, b in zip(signs, blocks, strict=True)
    )
    return text[3:]  # the leading block is positive


def _pick(rng, allowed, n: int) -> int | None:
    """A form among the allowed ones, in proportion to the expressions that it stands for."""
    total = np.cumsum(_forms(n).weight * allowed)
    return int(np.searchsorted(total, rng.random() * total[-1], side="right")) if total[-1] > 0 else None


@functools.lru_cache(maxsize=4096)
def _values(numbers: tuple) -> np.ndarray:
    """[F] the value of each form: signed sums of the products of all 2^n subsets."""
    products = np.ones(1)
    for n in numbers:
        products = np.concatenate([products, products * n])
    return _forms(len(numbers)).signs @ products  # floats, exact: all below 2^53


@functools.cache
def _forms(n: int) -> _Forms:
    blocks = [list(form) for form in _signed_partitions(tuple(range(n))) if any(sign > 0 for sign, _ in form)]
    signs = np.zeros((len(blocks), 2**n))
    weight = np.zeros(len(blocks))
    for f, form in enumerate(blocks):
        for sign, mask in form:
            signs[f, mask] = sign
        orders = math.prod(math.factorial(mask.bit_count()) for _, mask in form)
        weight[f] = sum(sign > 0 for sign, _ in form) * math.factorial(len(form) - 1) * orders
    return _Forms(blocks, signs, weight)


def _signed_partitions(left: tuple):
    """Each way to part the positions into blocks, each with a sign."""
    if not left:
        yield ()
        return
    first, rest = left[0], left[1:]
    for size in range(len(rest) + 1):
        for others in itertools.combinations(rest, size):
            mask = sum(1 << i for i in (first, *others))
            for tail in _signed_partitions(tuple(i for i in rest if i not in others)):
                yield ((1, mask), *tail)
                yield ((-1, mask), *tail)


def _scan(text: str) -> list | None:
    """The tokens: ints and signs; None at any other character, or at more than 32 numbers."""
    if len(text) > LONGEST:
        return None
    tokens, i, numbers = [], 0, 0
    while i < len(text):
        if text[i] in " \t\r\n":
            i += 1
        elif text[i] in "+-*/()":
            tokens.append(text[i])
            i += 1
        else:
            end = i
            while end < len(text) and text[end] in "0123456789":
                end += 1
            read = number(text[i:end])
            numbers += 1
            if read is None or numbers > MOST_NUMBERS:
                return None
            tokens.append(read)
            i = end
    return tokens


def _parse(text: str) -> tuple | None:
    """(value or None where it divides by 0, Counter of the numbers); None if the text is no expression."""
    tokens = _scan(text)
    if not tokens:
        return None
    values, signs, wants_operand = [], [], True
    for token in tokens:
        if wants_operand != (token == "(" or isinstance(token, int)):
            return None  # 1 2, 1 (, + +, ( )
        if isinstance(token, int):
            values.append(Fraction(token))
            wants_operand = False
        elif token == "(":
            signs.append(token)
        elif token == ")":
            while signs and signs[-1] != "(":
                _apply(values, signs.pop())
            if not signs:
                return None
            signs.pop()
        else:
            while signs and signs[-1] != "(" and STRENGTH[signs[-1]] >= STRENGTH[token]:
                _apply(values, signs.pop())
            signs.append(token)
            wants_operand = True
    if wants_operand or "(" in signs:
        return None
    while signs:
        _apply(values, signs.pop())
    return values[0], Counter(token for token in tokens if isinstance(token, int))


def _apply(values: list, sign: str) -> None:
    """Replace the two topmost values by their combination; None (a division by 0) stays None."""
    b, a = values.pop(), values.pop()
    if a is None or b is None or (sign == "/" and b == 0):
        values.append(None)
    else:
        values.append(a + b if sign == "+" else a - b if sign == "-" else a * b if sign == "*" else a / b)
