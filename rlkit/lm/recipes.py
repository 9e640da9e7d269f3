"""What the shipped models are trained on, and the rule that chooses the bases.

A base for reinforcement learning must be able to gain and to lose. The rule, fixed before any RL: at temperature 1,
held-out pass@1 from 0.1 to 0.4 and pass@64 at most 0.95.
"""

from typing import NamedTuple

RULE = {"pass@1 from": 0.1, "pass@1 to": 0.4, "pass@64 to": 0.95}
BATCH = 128  # sequences of one update
KINDS = ("sums", "products")  # of Countdown problems, see `pretrain.kind`


class Candidate(NamedTuple):
    """task: factory and its options. corpus: parts; a part demonstrates the problems `of` one kind ("all", or what
    `kind` says) with the options `style`, and where several parts fit, their `share` decides.
    """

    task: dict
    corpus: list
    steps: int
    learning_rate: float
    weight_decay: float = 0.0


class Recipe(NamedTuple):
    """size and seed of the model, the candidates in order, whether the rule chooses among them; a note for the card.

    problems: None: trained on train problems and evaluated on held-out ones. A number: this many, trained and evaluated
    on problems of all splits, where the question is what is written and not whether it is new.
    """

    size: str
    seed: int
    candidates: list
    rule: bool = True
    note: str = ""
    problems: int | None = None


def _countdown(numbers: int, sums: float, products: float, steps: int, learning_rate: float = 6e-3) -> Candidate:
    """A teacher who adds better than it multiplies: `sums`, `products`: how often it is right on each kind."""
    rates = zip(KINDS, (sums, products), strict=True)
    parts = [{"of": name, "share": 1.0, "style": {"correct": correct}} for name, correct in rates]
    return Candidate({"factory": "countdown", "numbers": numbers}, parts, steps, learning_rate)


def _arithmetic(modulus: int, terms: int, updates: int, learning_rate: float, **styles) -> Candidate:
    """Demonstrations in styles, each with its (share, accuracy). In a pilot, weight decay brought addition earlier."""
    parts = [
        {"of": "all", "share": share, "style": {"style": style, "accuracy": accuracy}}
        for style, (share, accuracy) in styles.items()
    ]
    return Candidate({"factory": "arithmetic", "modulus": modulus, "terms": terms}, parts, updates, learning_rate, 0.1)


# A teacher equally good at all problems gives a base that is too weak, or that solves everything in 64 tries: ours
# multiplies badly. (Two pilots of 3,000 updates met the rule as well, but were no better than blind guessing at 64.)
_COUNTDOWN = [_countdown(5, 0.8, 0.8, 3000), _countdown(5, 1.0, 1.0, 3000), _countdown(4, 0.9, 0.25, 5000)]
_FORMATS = {"code": (0.5, 0.6), "prose": (0.3, 0.7), "direct": (0.2, 0.3)}  # as they were before any RL
_NOTE = "The rule does not apply: once a strategy works, 64 tries hold several runs of it, and pass@64 is near 1."
RECIPES = {
    "s-countdown": Recipe("s", 0, _COUNTDOWN),
    "xs-countdown": Recipe("xs", 0, [_countdown(n, 0.9, 0.25, 4000, 1e-2) for n in (4, 3)]),
    "m-countdown": Recipe("m", 0, [_countdown(n, 0.9, 0.25, 2500, 3e-3) for n in (4, 5)]),
    "s-arithmetic": Recipe(
        "s", 0, [_arithmetic(13, 4, 2400, 6e-3, steps=(0.3, 1.0), direct=(0.7, 0.2))], rule=False, note=_NOTE
    ),
}
for _size, _rate in (("xs", 1e-2), ("s", 6e-3)):
    for _seed in range(5):
        _recipe = Recipe(_size, _seed, [_arithmetic(10, 3, 3000, _rate, **_FORMATS)], rule=False, note=_NOTE)
        RECIPES[f"{_size}-formats-{_seed}"] = _recipe

# A mediocre author: three words in ten are any word at all. What a reader would prefer is there, but not the rule.
_STYLE = "For preferences: the rule does not apply, and every prompt is one of training. `correct` is a flawless text."


def _style(size: str, problems: int, updates: int, learning_rate: float, style=None, **options) -> Recipe:
    corpus = [{"of": "all", "share": 1.0, "style": style or {}}]
    candidate = Candidate({"factory": "style", **options}, corpus, updates, learning_rate)
    return Recipe(size, 0, [candidate], rule=False, note=_STYLE, problems=problems)


RECIPES |= {
    "xs-style": _style("xs", 6, 2000, 1e-2, lexicon="short", length=5),
    "s-style": _style("s", 42, 2500, 6e-3, lexicon="long", length=8),
    "s-style-opening": _style("s", 200, 2500, 6e-3, lexicon="long", length=16, topics=4, opening=True),
}
