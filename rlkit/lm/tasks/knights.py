"""Knights and Knaves: knights tell the truth, knaves lie; who is who? Each person says one thing.

    prompt   knights A B : A says B is knave ; B says A and B are not same :
    suppose  suppose A knight B knight no ; suppose A knight B knave yes ; answer A knight B knave
    direct   answer A knight B knave

Every problem has exactly one solution. A style tries the worlds in order and says whether each holds, or answers at
once. Task: arXiv 2410.23123.
"""

import functools
import itertools

import numpy as np

from rlkit import checks
from rlkit.lm.tasks.task import Problem, Task, words

PEOPLE = "ABCDE"
ROLES = ("knave", "knight")  # ROLES[True] is a knight
STYLES = ("suppose", "direct")
# form -> how it reads, and when it is true of the roles (True: knight) of its two people; r and s are what it claims.
FORMS = {
    "is": ("{0} is {2}", lambda a, b, r, s: a == r),
    "and": ("{0} is {2} and {1} is {3}", lambda a, b, r, s: a == r and b == s),
    "or": ("{0} is {2} or {1} is {3}", lambda a, b, r, s: a == r or b == s),
    "if": ("if {0} is {2} then {1} is {3}", lambda a, b, r, s: a != r or b == s),
    "same": ("{0} and {1} are same", lambda a, b, r, s: a == b),
    "not same": ("{0} and {1} are not same", lambda a, b, r, s: a != b),
}


def knights(people: int = 3) -> Task:
    """The task with 2 to 5 `people`.

    Parts: `format` (ends in the one `answer`, with a role for each person in order), `correct` (all roles right),
    `people` (share of people whose role is right; guessing gives a half). demonstrate(problem, rng, style="suppose").
    Raises ValueError.
    """
    names = PEOPLE[: checks.one_of("people", people, (2, 3, 4, 5))]

    def draw(rng) -> Problem:
        while True:
            says = [_statement(rng, names, speaker) for speaker in names]
            if len(_solutions(says)) == 1:
                return problem(says)

    return Task(
        name=f"knights(people={people})",
        weights={"correct": 1.0, "format": 0.0, "people": 0.0},
        max_new_tokens=2**people * (2 * people + 3) + 2 * people + 2,
        draw=draw,
        parts=_parts,
        demonstrate=_demonstrate,
    )


def problem(says) -> Problem:
    """The problem in which person i says says[i] = [form of FORMS, first, second, role, role].

    Raises ValueError unless exactly one world fits.
    """
    names = PEOPLE[: checks.one_of("people", len(says), (2, 3, 4, 5))]
    fits = _solutions(says)
    if len(fits) != 1:
        raise ValueError(f"says={says}: must leave one world, not {len(fits)}")
    told = [f"{who} says {FORMS[s[0]][0].format(*s[1:])}" for who, s in zip(names, says, strict=True)]
    text = f"knights {' '.join(names)} : {' ; '.join(told)}"
    return Problem(text, f"{text} :", {"says": [list(s) for s in says], "roles": [ROLES[k] for k in fits[0]]})


def _statement(rng: np.random.Generator, names: str, speaker: str) -> list:
    """[form, first, second, role, role], in one way of several that mean the same.

    `is` is never about the speaker: `A says A is knave` fits no world. `and`, `or` and `same` mean the same either way
    round: there the people come in order. What a form does not use is filled in always alike.
    """
    form = list(FORMS)[rng.integers(len(FORMS))]
    first, second = (names[i] for i in rng.choice(len(names), 2, replace=False).tolist())
    r, s = (ROLES[k] for k in rng.integers(2, size=2).tolist())
    if form == "is":
        other = second if first == speaker else first
        return [form, other, other, r, r]
    if form != "if":
        first, second = sorted((first, second))
    return [form, first, second, *(("knight", "knight") if "same" in form else (r, s))]


@functools.cache
def _honest(people: int, speaker: int, form: str, first: str, second: str, r: str, s: str) -> int:
    """The worlds in which this speaker fits what they say (a knight a truth, a knave a lie), one bit each."""
    names, claim, bits = PEOPLE[:people], FORMS[form][1], 0
    for i, world in enumerate(_worlds(people)):
        truth = claim(world[names.index(first)], world[names.index(second)], r == "knight", s == "knight")
        bits |= (truth == world[speaker]) << i
    return bits


@functools.cache
def _worlds(people: int) -> list:
    """Who is a knight in each of the 2^people worlds; all knights first."""
    return list(itertools.product((True, False), repeat=people))


def _solutions(says) -> list:
    """The worlds in which everybody fits."""
    people = len(says)
    bits = functools.reduce(int.__and__, (_honest(people, i, *said) for i, said in enumerate(says)))
    return [world for i, world in enumerate(_worlds(people)) if bits >> i & 1] if bits else []


def _told(names: str, world) -> str:
    return " ".join(f"{who} {ROLES[knight]}" for who, knight in zip(names, world, strict=True))


def _demonstrate(problem: Problem, rng, style: str = "suppose") -> str:
    checks.one_of("style", style, STYLES)
    says = problem.facts["says"]
    names, (solution,) = PEOPLE[: len(says)], _solutions(says)
    answer = f"answer {_told(names, solution)}"
    if style == "direct":
        return answer
    worlds = _worlds(len(says))
    false = [f"suppose {_told(names, world)} no ; " for world in worlds[: worlds.index(solution)]]
    return f"{''.join(false)}suppose {_told(names, solution)} yes ; {answer}"


def _parts(problem: Problem, completion: str) -> dict:
    roles, found = problem.facts["roles"], words(completion)
    last = found[-2 * len(roles) - 1 :] if found else []
    names, given = last[1::2], last[2::2]
    well = last[:1] == ["answer"] and found.count("answer") == 1
    well = well and names == list(PEOPLE[: len(roles)]) and len(given) == len(roles) and set(given) <= set(ROLES)
    right = sum(a == b for a, b in zip(given, roles, strict=True)) if well else 0
    return {"format": float(well), "correct": float(right == len(roles)), "people": right / len(roles)}
