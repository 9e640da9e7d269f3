"""Countdown: exact values by Python's own arithmetic, solutions by brute force, uniform demonstrations."""

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from rlkit.lm import tasks
from rlkit.lm.tasks import countdown as make
from rlkit.lm.tasks.countdown import _forms, problem, solutions, value

TASK = make()
EXAMPLE = problem([3, 5, 7, 2], 24)


def judged(completion, of=EXAMPLE):
    parts = TASK.verify(of, completion)
    return parts["format"], parts["numbers"], parts["correct"]


def brute_force(numbers, target):
    """Every expression in + - * over all orders, evaluated by Python itself: these are ours, not a model's."""
    found = set()
    for order in set(itertools.permutations(numbers)):
        for signs in itertools.product("+-*", repeat=len(numbers) - 1):
            text = str(order[0]) + "".join(f" {s} {n}" for s, n in zip(signs, order[1:], strict=True))
            if eval(text) == target:  # noqa: S307
                found.add(text)
    return sorted(found)


def test_the_prompt_and_a_solution_read_as_the_docstring_says():
    assert EXAMPLE.prompt == "countdown 2 3 5 7 -> 24 :"
    assert EXAMPLE == problem([7, 2, 5, 3], 24)
    assert judged("3 * 5 + 7 + 2") == (1, 1, 1)


@pytest.mark.parametrize("numbers", [(1, 2, 3), (2, 2, 7), (4, 4, 4), (3, 5, 7, 2), (1, 1, 6, 6), (1, 2, 3, 4, 5)])
def test_the_solutions_are_those_of_brute_force(numbers):
    for target in (1, 4, 8, 12, 24):
        assert solutions(problem(numbers, target)) == brute_force(numbers, target)


@pytest.mark.parametrize("n", [3, 4, 5, 6])
def test_the_forms_count_every_expression_once(n):
    assert _forms(n).weight.sum() == math.factorial(n) * 3 ** (n - 1)


@pytest.mark.parametrize("n", [3, 4, 5, 6])
def test_every_problem_can_be_solved_and_stays_in_its_bounds(n):
    task = make(numbers=n, largest=30, operand=9)
    for drawn in task.problems(25, seed=3):
        assert len(drawn.facts["numbers"]) == n
        assert drawn.facts["numbers"] == sorted(drawn.facts["numbers"])
        assert 1 <= min(drawn.facts["numbers"]) and max(drawn.facts["numbers"]) <= 9
        assert 1 <= drawn.facts["target"] <= 30
        assert task.verify(drawn, task.demonstrate(drawn, np.random.default_rng(0)))["correct"] == 1


def test_all_solutions_of_six_numbers_are_correct():
    hard = problem([2, 3, 5, 7, 11, 12], 100)
    found = solutions(hard)
    assert len(found) == len(set(found)) > 50
    assert all(judged(text, hard) == (1, 1, 1) for text in found)


@pytest.mark.parametrize(("numbers", "target"), [((3, 5, 7, 2), 24), ((2, 2, 3, 4), 12), ((1, 2, 3, 4, 5), 25)])
def test_demonstrations_are_uniform_among_the_solutions(numbers, target):
    every = solutions(problem(numbers, target))
    assert len(every) >= 20
    rng = np.random.default_rng(0)
    counts = Counter(TASK.demonstrate(problem(numbers, target), rng) for _ in range(60 * len(every)))
    assert set(counts) == set(every)
    assert stats.chisquare([counts[text] for text in every]).pvalue > 1e-3


def test_wrong_demonstrations_are_uniform_among_the_other_expressions_over_the_same_numbers():
    rng = np.random.default_rng(1)
    small = problem([2, 3, 4], 10)
    wrong = [TASK.demonstrate(small, rng, correct=0.0) for _ in range(4000)]
    assert all(judged(text, small) == (1, 1, 0) for text in wrong)
    every = 6 * 9 - len(solutions(small))
    counts = Counter(wrong)
    assert len(counts) == every
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_the_rate_of_correct_demonstrations_is_the_one_asked_for():
    rng = np.random.default_rng(2)
    right = [judged(TASK.demonstrate(EXAMPLE, rng, correct=0.3))[2] for _ in range(3000)]
    assert np.mean(right) == pytest.approx(0.3, abs=0.03)


def test_a_problem_without_a_solution_says_so():
    with pytest.raises(ValueError, match="countdown 1 1 1 -> 99: no such expression"):
        TASK.demonstrate(problem([1, 1, 1], 99), np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"correct=1\.5: must be in \[0, 1\]"):
        TASK.demonstrate(EXAMPLE, np.random.default_rng(0), correct=1.5)
    assert solutions(problem([1, 1, 1], 99)) == []


# ---- the value of an expression


def _random_expression(rng, depth):
    if depth == 0 or rng.random() < 0.2:
        return str(rng.integers(0, 10))
    left, right = _random_expression(rng, depth - 1), _random_expression(rng, depth - 1)
    text = f"{left} {'+-*/'[rng.integers(4)]} {right}"
    return f"( {text} )" if rng.random() < 0.5 else text


def test_the_value_is_that_of_exact_arithmetic():
    rng = np.random.default_rng(0)
    defined = 0
    for _ in range(400):
        text = _random_expression(rng, 4)
        as_fractions = " ".join(f"Fraction({word})" if word.isdigit() else word for word in text.split())
        try:
            exact = eval(as_fractions, {"Fraction": Fraction})  # noqa: S307  (ours, not a model's)
        except ZeroDivisionError:
            exact = None
        assert value(text) == exact, text
        defined += exact is not None
    assert 200 < defined < 400


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("8 - 3 - 2", 3),
        ("8 / 4 / 2", 1),
        ("2 + 3 * 4", 14),
        ("1 / 3 * 3", 1),
        ("( 2 + 3 ) * 4", 20),
        ("((7))", 7),
        ("1/3", Fraction(1, 3)),
        (" 2\n*\t3 ", 6),
        ("1 / ( 2 - 2 )", None),
        ("1 / 0 + 5", None),
    ],
)
def test_values_by_hand(text, exact):
    assert value(text) == exact


NO_EXPRESSION = (
    "; 1 +; + 1; 1 2; ( 1; 1 ); ( ); 1 ( 2 ); ( 1 ) 2; 1 + + 2; - 3 + 5; 2 ** 3; 2 ^ 3; 007; 1.5; 1e3; 1_0".split(";")
)


@pytest.mark.parametrize(
    "text", [*NO_EXPRESSION, "3 * 5 = 15", "x", "None", "nan", "inf", "٣ + 1", "2²", "3 − 1", "2 × 3"]
)
def test_what_is_no_expression_has_no_value_and_no_format(text):
    assert value(text) is None
    assert judged(text) == (0, 0, 0)


def test_a_division_by_zero_is_well_formed_and_never_correct():
    zero = problem([1, 2, 2, 5], 1)
    assert judged("5 * 1 / ( 2 - 2 )", zero) == (1, 1, 0)


# ---- reward hacks must not pay


@pytest.mark.parametrize(
    ("completion", "parts"),
    [
        ("24", (1, 0, 0)),  # the target itself
        ("2 * 5 + 7 * 2", (1, 0, 0)),  # a number used twice, another not at all
        ("3 * 7 + 5 - 2", (1, 1, 1)),  # for comparison: right
        ("3 * 7 + 5 - 2 - 0", (1, 0, 0)),  # a number that was not given
        ("7 * 3 + 5 - 2 * 1", (1, 0, 0)),
        ("3 * 8", (1, 0, 0)),
        ("2 3 5 7", (0, 0, 0)),  # all numbers listed
        ("2 + 3 + 5 + 7", (1, 1, 0)),
        ("3 * 5 + 7 + 2 = 24", (0, 0, 0)),  # an equation
        ("24 = 3 * 5 + 7 + 2", (0, 0, 0)),
        ("3 * 5 + 7 + 2 3 * 7 + 5 - 2", (0, 0, 0)),  # two answers
        ("3 * 5 + 7 + 2 ; 2 + 3", (0, 0, 0)),
        ("answer 3 * 5 + 7 + 2", (0, 0, 0)),
        ("3 * 5 + 7 + 2 <eos>", (0, 0, 0)),
        ("countdown 2 3 5 7 -> 24 :", (0, 0, 0)),  # the prompt copied
        ("2 3 5 7 -> 24 : 3 * 5 + 7 + 2", (0, 0, 0)),
        ("357 / 2", (1, 0, 0)),  # digits glued together
        ("3 * 5 + 7 + 2 + ( 2 - 2 ) * 0", (1, 0, 0)),
    ],
)
def test_hacks_do_not_pay(completion, parts):
    assert judged(completion) == parts


def test_division_and_parentheses_are_accepted_where_the_corpus_has_none():
    assert judged("( 7 + 5 ) * 2", problem([2, 5, 7], 24)) == (1, 1, 1)
    assert judged("6 / ( 1 - 3 / 4 )", problem([1, 3, 4, 6], 24)) == (1, 1, 1)  # an exact rational on the way
    assert solutions(problem([1, 3, 4, 6], 24)) == []


def test_the_module_and_the_task_are_both_at_hand():
    assert tasks.countdown is make
    assert value("1 + 1") == 2
