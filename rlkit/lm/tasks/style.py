"""Short texts about given words, with a hidden rubric for taste: the task that preferences are about.

    prompt      moon sings
    completion  the old moon sings softly

A text is good if it holds the words asked for (coverage), if its neighbours fit (fluency, by the small grammar below)
and if it does not repeat itself. Three properties of a string, so that annotators, reward models and policies can each
be wrong about them in their own way. The vocabulary is the lexicon and <eos>, nothing else: with the short lexicon all
66,430 completions of a prompt can be listed.
"""

import functools

import numpy as np

from rlkit import checks
from rlkit.lm.tasks.task import Problem, Task, words

# The words of each class: determiner, intensifier, adjective, noun, verb, adverb, connector, opener.
_SHORT = {"D": "the", "I": "very", "A": "old", "N": "cat moon sea", "V": "sings sleeps", "R": "softly"}
_LONG = {
    "D": "the every",
    "I": "very",
    "A": "old small dark bright",
    "N": "cat moon sea bird child wind ship",
    "V": "sings sleeps dances burns waits runs",
    "R": "softly slowly loudly gladly",
    "C": "and",
    "O": "once",
}
# What may follow a class; "" is the start and the end of a text.
FOLLOWS = {"": "DO", "O": "D", "D": "AIN", "I": "AR", "A": "N", "N": "V", "V": "RIC.", "R": "C.", "C": "D"}
LEXICONS = {
    name: tuple(word for group in classes.values() for word in group.split())
    for name, classes in (("short", _SHORT), ("long", _LONG))
}
_CLASSES = list("DIANVRCO")  # a class's number is its place here; -1 is the end, -2 a word that is not in the lexicon
_CLASS_OF = {
    name: {word: _CLASSES.index(c) for c, group in classes.items() for word in group.split()}
    for name, classes in (("short", _SHORT), ("long", _LONG))
}
ONE_SLIP = 0.3  # how often the author of the corpus picks any word at all


def style(lexicon: str = "short", length: int = 5, topics: int = 2, opening: bool = False) -> Task:
    """Texts of at most `length` words that hold the `topics` words of the prompt: noun, verb, noun, verb, ...

    Parts: coverage, the share of the topic words that occur; fluency, the share of the text's neighbours that the
    grammar allows, start and end included; repetition, the share of words that occurred before (determiners and "and"
    may); length, in words; intensity, how many words are "very"; format (words of the lexicon alone); correct (all
    covered, all fluent, nothing repeated). The gold reward is coverage + fluency - repetition, from -1 to 2. Give the
    other parts a weight for an annotator with a bias: `style().with_weights(length=0.1)`.
    opening (long lexicon): coverage counts only in a text that opens with "once", and the part `opening` says whether
    it does; few texts of the corpus do, so that good ones are rare.
    demonstrate(problem, rng, slip=0.3, topical=0.5, once=0.05): a walk through the grammar that takes any word at all
    with probability slip, a topic word where one fits with probability topical, and opens with "once" with
    probability once. Raises ValueError.
    """
    checks.one_of("lexicon", lexicon, tuple(LEXICONS))
    if checks.positive_int("length", length) > 100:
        checks.fail("length", length, "at most 100")
    if topics not in (2, 4) or (topics == 4 and lexicon == "short"):
        checks.fail("topics", topics, "2, or 4 with the long lexicon")
    if opening and lexicon == "short":
        checks.fail("opening", opening, 'False with the short lexicon, which has no "once"')
    classes = {"short": _SHORT, "long": _LONG}[lexicon]
    nouns, verbs = classes["N"].split(), classes["V"].split()
    facts = {"lexicon": lexicon, "length": length, "opening": opening}

    def draw(rng) -> Problem:
        chosen = [rng.permutation(group)[: topics // 2].tolist() for group in (nouns, verbs)]
        wanted = [word for pair in zip(*chosen, strict=True) for word in pair]
        return Problem(" ".join(wanted), " ".join(wanted), facts | {"topics": wanted})

    weights = {"coverage": 1.0, "fluency": 1.0, "repetition": -1.0, "length": 0.0, "intensity": 0.0}
    return Task(
        name=f"style(lexicon={lexicon!r}, length={length}, topics={topics}, opening={opening})",
        weights=weights | ({"opening": 0.0} if opening else {}) | {"format": 0.0, "correct": 0.0},
        max_new_tokens=length,
        draw=draw,
        parts=_parts,
        demonstrate=_demonstrate,
        words=LEXICONS[lexicon],
    )


def parts_of(problem: Problem, ids) -> dict:
    """part -> [N] float64 of completions given as ids [N, T] of the task's vocabulary: 0 is the end and what follows
    it, i + 1 is word i of the lexicon. What `verify` says of one string, for many at once."""
    facts = problem.facts
    lexicon, ids = LEXICONS[facts["lexicon"]], np.asarray(ids)
    table = np.array([-1, *(_CLASS_OF[facts["lexicon"]][word] for word in lexicon), -2])  # the last: any other word
    N = len(ids)
    ids = np.where((ids >= 0) & (ids <= len(lexicon)), ids, len(lexicon) + 1)
    inside = np.cumprod(ids > 0, axis=1).astype(bool)  # [N, T]: before the first end
    ids = np.where(inside, ids, 0)
    length = inside.sum(1)  # [N]
    edge = np.full((N, 1), -1)
    kinds = np.concatenate([edge, table[ids], edge], axis=1)  # [N, T + 2]
    pairs = _allowed()[kinds[:, :-1], kinds[:, 1:]] & np.concatenate([np.ones((N, 1), bool), inside], axis=1)
    fluency = np.where(length > 0, pairs.sum(1) / (length + 1), 0.0)
    own = kinds[:, 1:-1]  # [N, T]
    free = (own == _CLASSES.index("D")) | (own == _CLASSES.index("C"))
    earlier = ids[:, :, None] == ids[:, None, :]  # [N, T, T]
    seen = np.tril(np.ones(earlier.shape[1:], bool), -1)[None] & earlier
    again = (seen.any(2) & inside & ~free).sum(1)
    wanted = np.array([lexicon.index(word) + 1 for word in facts["topics"]])
    coverage = (ids[:, :, None] == wanted).any(1).mean(1)
    found = {"coverage": coverage, "fluency": fluency, "repetition": again / np.maximum(length, 1)}
    found |= {"length": length.astype(float), "intensity": (ids == 1 + lexicon.index("very")).sum(1).astype(float)}
    if facts["opening"]:
        found["opening"] = (ids[:, 0] == 1 + lexicon.index("once")).astype(float)
        found["coverage"] = coverage * found["opening"]
    known = (ids <= len(lexicon)).all(1) & (length > 0)
    found["format"] = known.astype(float)
    perfect = (found["coverage"] == 1) & (fluency == 1) & (again == 0) & known
    return found | {"correct": perfect.astype(float)}


def rewards(task: Task, problem: Problem, ids) -> np.ndarray:
    """task.reward of completions given as ids [N, T] (see `parts_of`): [N] float64, to 12 places."""
    found = parts_of(problem, ids)
    total = sum(weight * found[part] for part, weight in task.weights.items() if weight)
    return np.round(np.asarray(total, dtype=float), 12)  # so that equal rewards are equal to the last bit


@functools.cache
def _allowed() -> np.ndarray:
    """[9, 9] bool: whether the class of the column may follow that of the row; the last of each is start and end."""
    table = np.zeros((len(_CLASSES) + 2, len(_CLASSES) + 2), bool)  # -1 is the last: start and end; -2 fits nowhere
    for before, after in FOLLOWS.items():
        for one in after:
            row = _CLASSES.index(before) if before else -1
            table[row, -1 if one == "." else _CLASSES.index(one)] = True
    return table


def _parts(problem: Problem, completion: str) -> dict:
    number = {word: i + 1 for i, word in enumerate(LEXICONS[problem.facts["lexicon"]])}
    found = words(completion)
    if found is None:  # too long to be an answer
        return {name: 0.0 for name in parts_of(problem, [[0]])}
    ids = [[number.get(word, len(number) + 1) for word in found] or [0]]
    return {name: float(value[0]) for name, value in parts_of(problem, ids).items()}


def _demonstrate(problem: Problem, rng, slip: float = ONE_SLIP, topical: float = 0.5, once: float = 0.05) -> str:
    for name, value in (("slip", slip), ("topical", topical), ("once", once)):
        checks.probability(name, value)
    facts = problem.facts
    lexicon, kind = LEXICONS[facts["lexicon"]], _CLASS_OF[facts["lexicon"]]
    text, left, last = [], list(facts["topics"]), ""
    while len(text) < facts["length"]:
        choices = [c for c in FOLLOWS[last] if c == "." or any(kind[w] == _CLASSES.index(c) for w in lexicon)]
        if not text:
            choices = ["O"] if "O" in choices and rng.random() < once else ["D"]
        if not text or rng.random() >= slip:
            chosen = choices[int(rng.integers(len(choices)))]
            if chosen == ".":
                break
            fitting = [word for word in lexicon if kind[word] == _CLASSES.index(chosen)]
            asked = [word for word in left if word in fitting]
            fitting = asked if asked and rng.random() < topical else fitting
            word = fitting[int(rng.integers(len(fitting)))]
        else:
            word = lexicon[int(rng.integers(len(lexicon)))]
        text.append(word)
        left = [one for one in left if one != word]
        last = _CLASSES[kind[word]]
    return " ".join(text)
