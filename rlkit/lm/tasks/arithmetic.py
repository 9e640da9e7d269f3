"""Modular arithmetic with a chain of thought in one of four styles, each known by its first word.

    prompt  mod 23 : 7 + 15 - 9 :
    steps   steps 7 + 15 = 22 ; 22 - 9 = 13 ; answer 13
    direct  direct answer 13
    code    code x = 7 ; x = x + 15 # 22 ; x = x - 9 # 13 ; answer 13
    prose   prose start with 7 . add 15 to get 22 . subtract 9 to get 13 . so answer 13

Every number is a residue and every `=` holds modulo the modulus: with mod 23, `15 + 15 = 7`. An expression works from
left to right; where usual precedence would not, the prompt has parentheses: `( 7 + 15 ) * 9`.
"""

from rlkit import checks
from rlkit.lm.tasks.task import Problem, Task, number, words

STYLES = ("steps", "direct", "code", "prose")
VERBS = {"+": "add {} to get {}", "-": "subtract {} to get {}", "*": "multiply by {} to get {}"}
LARGEST_MODULUS = 10**4


def arithmetic(modulus: int = 23, terms: int = 3, operations: str = "+-") -> Task:
    """The task with `terms` residues (2 to 8) joined by signs out of `operations` (some of "+-*"), modulo `modulus`.

    Parts: `format` (ends in the one `answer N`, N a residue), `correct` (N is the value), `chain` (the completion is
    word for word one of the four chains of thought, no step wrong). demonstrate(problem, rng, style="steps",
    accuracy=1.0) writes a chain; with probability 1 - accuracy one step, chosen uniformly, gives a uniformly chosen
    wrong residue, the rest follows from it, and the answer is wrong. Tiny models know residues up to 179.
    Raises ValueError.
    """
    if checks.positive_int("modulus", modulus) not in range(2, LARGEST_MODULUS + 1):
        checks.fail("modulus", modulus, f"from 2 to {LARGEST_MODULUS}")
    checks.one_of("terms", terms, tuple(range(2, 9)))
    if not isinstance(operations, str) or not operations or set(operations) - set(VERBS):
        checks.fail("operations", operations, "some of '+-*'")
    signs = sorted(set(operations))

    def draw(rng) -> Problem:
        residues = rng.integers(modulus, size=terms).tolist()
        return problem(modulus, residues, [signs[i] for i in rng.integers(len(signs), size=terms - 1).tolist()])

    return Task(
        name=f"arithmetic(modulus={modulus}, terms={terms}, operations={''.join(signs)!r})",
        weights={"correct": 1.0, "format": 0.0, "chain": 0.0},
        max_new_tokens=8 * terms + 2,  # the longest: code, 1 + 4 + 8 (terms - 1) + 2 words and the end
        draw=draw,
        parts=_parts,
        demonstrate=_demonstrate,
    )


def problem(modulus: int, terms, signs) -> Problem:
    """The problem with these residues and the signs between them."""
    text, opened = str(terms[0]), 0
    for i, (sign, term) in enumerate(zip(signs, terms[1:], strict=True)):
        if sign == "*" and i and signs[i - 1] != "*":
            text, opened = f"{text} )", opened + 1
        text = f"{text} {sign} {term}"
    text = f"mod {modulus} : {'( ' * opened}{text}"
    return Problem(text, f"{text} :", {"modulus": modulus, "terms": list(terms), "signs": list(signs)})


def style_of(completion: str) -> str | None:
    """The style that the completion's first word names; None if it names none."""
    found = words(completion[:100])
    return found[0] if found and found[0] in STYLES else None


def _after(facts: dict, wrong_at: int = -1, shift: int = 0) -> list:
    """The residue after each step; the result of step `wrong_at` is off by `shift`, and the rest follows from it."""
    value, results = facts["terms"][0], []
    for i, (sign, term) in enumerate(zip(facts["signs"], facts["terms"][1:], strict=True)):
        value = value + term if sign == "+" else value - term if sign == "-" else value * term
        value = (value + shift * (i == wrong_at)) % facts["modulus"]
        results.append(value)
    return results


def _chain(facts: dict, style: str, results: list) -> str:
    start, answer = facts["terms"][0], f"answer {results[-1]}"
    steps = list(zip(facts["signs"], facts["terms"][1:], results, strict=True))
    if style == "direct":
        return f"direct {answer}"
    if style == "code":
        return f"code x = {start} ; " + "".join(f"x = x {s} {t} # {r} ; " for s, t, r in steps) + answer
    if style == "prose":
        told = "".join(VERBS[s].format(t, r) + " . " for s, t, r in steps)
        return f"prose start with {start} . {told}so {answer}"
    before = [start, *results[:-1]]
    return "steps " + "".join(f"{b} {s} {t} = {r} ; " for b, (s, t, r) in zip(before, steps, strict=True)) + answer


def _demonstrate(problem: Problem, rng, style: str = "steps", accuracy: float = 1.0) -> str:
    facts = problem.facts
    checks.one_of("style", style, STYLES)
    results = _after(facts)
    if checks.probability("accuracy", accuracy) < 1 and rng.random() >= accuracy:
        step, shift = int(rng.integers(len(results))), int(rng.integers(1, facts["modulus"]))
        spoilt = _after(facts, step, shift)
        if spoilt[-1] == results[-1]:  # a later product swallowed the mistake: then it is the last step that is off
            spoilt = _after(facts, len(results) - 1, shift)
        results = spoilt
    return _chain(facts, style, results)


def _parts(problem: Problem, completion: str) -> dict:
    facts, found = problem.facts, words(completion)
    given = number(found[-1]) if found and found[-2:-1] == ["answer"] and found.count("answer") == 1 else None
    well = given is not None and given < facts["modulus"]
    results = _after(facts)
    chain = well and found[0] in STYLES and " ".join(found) == _chain(facts, found[0], results)
    return {"format": float(well), "correct": float(well and given == results[-1]), "chain": float(chain)}
