"""Modular arithmetic: every style's every step against Python's integers, the rate of mistakes, hacks."""

import itertools
import re

import numpy as np
import pytest

from rlkit.lm import tasks
from rlkit.lm.tasks.arithmetic import STYLES, problem, style_of

EXAMPLE = problem(23, [7, 15, 9], ["+", "-"])
TASK = tasks.arithmetic()
MIXED = tasks.arithmetic(modulus=11, terms=5, operations="+-*")


def judged(completion, of=EXAMPLE):
    parts = TASK.verify(of, completion)
    return parts["format"], parts["correct"]


def truth(drawn):
    """The value of the prompt's expression by Python itself: the prompt is ours, not a model's."""
    text = drawn.prompt.split(" : ")[1].removesuffix(" :")
    return eval(text) % drawn.facts["modulus"]  # noqa: S307


CHAINS = {
    "steps": "steps 7 + 15 = 22 ; 22 - 9 = 13 ; answer 13",
    "direct": "direct answer 13",
    "code": "code x = 7 ; x = x + 15 # 22 ; x = x - 9 # 13 ; answer 13",
    "prose": "prose start with 7 . add 15 to get 22 . subtract 9 to get 13 . so answer 13",
}


@pytest.mark.parametrize("style", STYLES)
def test_a_chain_of_each_style_reads_as_the_docstring_says(style):
    assert EXAMPLE.prompt == "mod 23 : 7 + 15 - 9 :"
    completion = TASK.demonstrate(EXAMPLE, np.random.default_rng(0), style=style)
    assert completion == CHAINS[style]
    assert style_of(completion) == style
    assert TASK.verify(EXAMPLE, completion) == {"format": 1, "correct": 1, "chain": 1}


def test_the_prompt_has_parentheses_where_usual_precedence_would_read_it_otherwise():
    assert problem(7, [1, 2, 3, 4, 5], ["+", "*", "-", "*"]).prompt == "mod 7 : ( ( 1 + 2 ) * 3 - 4 ) * 5 :"
    assert problem(7, [1, 2, 3, 4], ["*", "*", "+"]).prompt == "mod 7 : 1 * 2 * 3 + 4 :"


@pytest.mark.parametrize("style", STYLES)
def test_the_answer_is_the_value_of_the_prompt(style):
    rng = np.random.default_rng(0)
    for drawn in MIXED.problems(100, seed=0):
        completion = MIXED.demonstrate(drawn, rng, style=style)
        assert int(completion.split()[-1]) == truth(drawn)


def equations(completion, drawn):
    """(left value, sign, right value, result) of every step that a chain states, read with our own patterns."""
    style, m = completion.split()[0], drawn.facts["modulus"]
    if style == "steps":
        return [(int(a), s, int(b), int(c)) for a, s, b, c in re.findall(r"(\d+) (\S) (\d+) = (\d+)", completion)], m
    found = re.findall(
        r"x = x (\S) (\d+) # (\d+)" if style == "code" else r"(add|subtract|multiply by) (\d+) to get (\d+)", completion
    )
    steps, x = [], int(re.match(r"code x = (\d+)|prose start with (\d+)", completion).group(1 + (style == "prose")))
    for verb, b, c in found:
        steps.append((x, {"add": "+", "subtract": "-", "multiply by": "*"}.get(verb, verb), int(b), int(c)))
        x = int(c)
    return steps, m


@pytest.mark.parametrize("style", ["steps", "code", "prose"])
def test_every_step_of_a_chain_holds(style):
    rng = np.random.default_rng(1)
    for drawn in MIXED.problems(100, seed=1):
        steps, m = equations(MIXED.demonstrate(drawn, rng, style=style), drawn)
        assert len(steps) == 4
        for a, sign, b, c in steps:
            assert ({"+": a + b, "-": a - b, "*": a * b}[sign] - c) % m == 0
            assert 0 <= c < m
        for (*_, c), (a, *_) in itertools.pairwise(steps):
            assert c == a


@pytest.mark.parametrize("style", STYLES)
def test_wrong_demonstrations_come_at_the_rate_asked_for_and_are_wrong_in_one_step(style):
    rng = np.random.default_rng(2)
    right = 0
    drawn = MIXED.problems(400, seed=2)
    for p in drawn:
        completion = MIXED.demonstrate(p, rng, style=style, accuracy=0.6)
        parts = MIXED.verify(p, completion)
        assert parts["format"] == 1
        assert parts["chain"] == parts["correct"]
        right += parts["correct"]
        if style != "direct":
            steps, m = equations(completion, p)
            false = sum(({"+": a + b, "-": a - b, "*": a * b}[s] - c) % m != 0 for a, s, b, c in steps)
            assert false == 1 - parts["correct"]
    assert right / 400 == pytest.approx(0.6, abs=0.07)


def test_any_step_and_any_wrong_residue_can_be_the_mistake():
    rng = np.random.default_rng(3)
    answers = {int(TASK.demonstrate(EXAMPLE, rng, accuracy=0.0).split()[-1]) for _ in range(600)}
    assert answers == set(range(23)) - {13}
    firsts = {TASK.demonstrate(EXAMPLE, rng, accuracy=0.0).split()[5] == "22" for _ in range(50)}
    assert firsts == {True, False}  # the first step is right in some and wrong in others


@pytest.mark.parametrize("bad", [{"style": "poem"}, {"accuracy": 1.5}, {"accuracy": -0.1}])
def test_an_unknown_style_or_rate_is_named(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))}="):
        TASK.demonstrate(EXAMPLE, np.random.default_rng(0), **bad)


@pytest.mark.parametrize(
    ("completion", "style"),
    [("code x = 7", "code"), ("", None), ("Code", None), ("answer 3", None), ("\u202ecode", None)],
)
def test_the_first_word_names_the_style(completion, style):
    assert style_of(completion) == style


def test_a_chain_with_a_false_step_and_the_right_answer_is_correct_but_no_chain():
    lucky = "steps 7 + 15 = 21 ; 21 - 9 = 13 ; answer 13"
    assert TASK.verify(EXAMPLE, lucky) == {"format": 1, "correct": 1, "chain": 0}
    assert TASK.verify(EXAMPLE, "steps answer 13")["chain"] == 0
    assert TASK.verify(EXAMPLE, "answer 13") == {"format": 1, "correct": 1, "chain": 0}


@pytest.mark.parametrize(
    ("completion", "parts"),
    [
        ("direct answer 12", (1, 0)),
        ("direct answer 36", (0, 0)),  # congruent, but no residue
        ("direct answer 013", (0, 0)),
        ("direct answer -10", (0, 0)),
        ("direct answer 13 answer 13", (0, 0)),  # answered twice
        ("direct answer 12 answer 13", (0, 0)),
        ("direct answer 13 13", (0, 0)),
        ("answer " + " ".join(map(str, range(23))), (0, 0)),  # all numbers listed
        ("direct answer 13 ; steps", (0, 0)),  # the answer in the middle
        ("answer 7 + 15 - 9 = 13", (0, 0)),  # inside an equation
        ("answer = 13", (0, 0)),
        ("mod 23 : 7 + 15 - 9 :", (0, 0)),  # the prompt copied
        ("direct ANSWER 13", (0, 0)),
        ("direct answer13", (0, 0)),
        ("direct answer 13 <eos>", (0, 0)),
        ("direct answer", (0, 0)),
        ("13", (0, 0)),
        ("answer", (0, 0)),
    ],
)
def test_hacks_do_not_pay(completion, parts):
    assert judged(completion) == parts
