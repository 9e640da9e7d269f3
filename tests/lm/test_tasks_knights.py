"""Knights and Knaves: one world fits, judged by an independent reading of the prompt; hacks."""

import itertools
from collections import Counter

import numpy as np
import pytest

from rlkit.lm import tasks
from rlkit.lm.tasks.knights import problem

#  A: B is a knave. B: A and B are not the same. If A is a knight, B is a knave who lies: they would be the same.
EXAMPLE = problem([["is", "B", "B", "knave", "knave"], ["not same", "A", "B", "knight", "knight"]])
TASK = tasks.knights(people=2)


def judged(completion):
    parts = TASK.verify(EXAMPLE, completion)
    return parts["format"], parts["correct"], parts["people"]


def true_in(words, role):
    """Whether a statement, read from the prompt's own words, holds when role[name] is "knight" or "knave"."""
    match words:
        case ["if", a, "is", r, "then", b, "is", s]:
            return role[b] == s if role[a] == r else True
        case [a, "is", r, "and", b, "is", s]:
            return (role[a], role[b]) == (r, s)
        case [a, "is", r, "or", b, "is", s]:
            return role[a] == r or role[b] == s
        case [a, "and", b, "are", "same"]:
            return role[a] == role[b]
        case [a, "and", b, "are", "not", "same"]:
            return role[a] != role[b]
        case [a, "is", r]:
            return role[a] == r
    raise AssertionError(words)


def worlds_that_fit(prompt):
    head, told, _ = prompt.split(":")
    names = head.split()[1:]
    for roles in itertools.product(("knight", "knave"), repeat=len(names)):
        role = dict(zip(names, roles, strict=True))
        spoken = [line.split() for line in told.split(";")]
        if all(true_in(words[2:], role) == (role[words[0]] == "knight") for words in spoken):
            yield role


@pytest.mark.parametrize("people", [2, 3, 4, 5])
def test_exactly_one_world_fits_and_it_is_the_answer(people):
    task = tasks.knights(people)
    rng = np.random.default_rng(0)
    forms = Counter()
    for drawn in task.problems(60, seed=0):
        (role,) = worlds_that_fit(drawn.prompt)
        answer = "answer " + " ".join(f"{name} {kind}" for name, kind in role.items())
        assert task.demonstrate(drawn, rng, style="direct") == answer
        assert task.demonstrate(drawn, rng).endswith(f"yes ; {answer}")
        forms.update(said[0] for said in drawn.facts["says"])
    assert set(forms) == {"is", "and", "or", "if", "same", "not same"}


def test_the_worlds_are_tried_in_order_until_one_fits():
    task = tasks.knights(3)
    for drawn in task.problems(20, seed=1):
        tried = task.demonstrate(drawn, np.random.default_rng(0)).split(" ; ")[:-1]
        fits = [" ".join(f"{n} {k}" for n, k in role.items()) for role in worlds_that_fit(drawn.prompt)]
        every = [
            " ".join(f"{n} {k}" for n, k in zip("ABC", world, strict=True))
            for world in itertools.product(("knight", "knave"), repeat=3)
        ]
        told = [f"suppose {world} {'yes' if world in fits else 'no'}" for world in every]
        assert tried == told[: told.index(f"suppose {fits[0]} yes") + 1]


def test_statements_that_leave_no_world_or_two_are_refused():
    with pytest.raises(ValueError, match="must leave one world, not 2"):
        problem([["is", "B", "B", "knave", "knave"], ["is", "A", "A", "knave", "knave"]])
    with pytest.raises(ValueError, match="must leave one world, not 0"):
        problem([["is", "A", "A", "knave", "knave"], ["is", "A", "A", "knave", "knave"]])
    with pytest.raises(ValueError, match="people=1: must be one of"):
        problem([["is", "A", "A", "knight", "knight"]])


def test_no_one_answer_pays_much():
    answers = Counter(tuple(p.facts["roles"]) for p in tasks.knights(3).problems(800, seed=0))
    assert len(answers) == 8
    assert max(answers.values()) / 800 < 0.25


def test_the_example_by_hand():
    assert EXAMPLE.prompt == "knights A B : A says B is knave ; B says A and B are not same :"
    assert EXAMPLE.facts["roles"] == ["knave", "knight"]
    assert judged("answer A knave B knight") == (1, 1, 1)


@pytest.mark.parametrize(
    ("completion", "parts"),
    [
        ("answer A knight B knight", (1, 0, 0.5)),
        ("answer A knight B knave", (1, 0, 0)),
        ("suppose A knave B knight yes ; answer A knave B knight", (1, 1, 1)),
        ("answer B knight A knave", (0, 0, 0)),  # not in order
        ("answer A knave B knight answer A knight B knave", (0, 0, 0)),  # answered twice
        ("answer A knave answer A knave B knight", (0, 0, 0)),
        ("answer A knave A knight B knave B knight", (0, 0, 0)),  # everything at once
        ("answer A knight knave B knight knave", (0, 0, 0)),
        ("answer A knave", (0, 0, 0)),
        ("answer A knave B", (0, 0, 0)),
        ("A knave B knight", (0, 0, 0)),
        ("answer A knave B knight ; yes", (0, 0, 0)),  # in the middle
        ("answer A knave B knight C knight", (0, 0, 0)),
        ("answer A Knave B Knight", (0, 0, 0)),
        ("answer a knave b knight", (0, 0, 0)),
        ("answer A knave В knight", (0, 0, 0)),  # a Cyrillic В
        ("knights A B : A says B is knave ; B says A and B are not same :", (0, 0, 0)),
        ("answer", (0, 0, 0)),
    ],
)
def test_hacks_do_not_pay(completion, parts):
    assert judged(completion) == parts
