"""A person's preferences while they are given: what is shown when and on which side, and each answer kept at once.

The file holds one JSON record a line: what is labelled, then each choice, skip and undo, with the texts as they stood.
It is the whole truth: the state is what comes out when it is read from the top, so a killed kernel loses nothing that
was answered, and two views of one file agree.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from rlkit import checks, paths
from rlkit.records import Records
from rlkit.rlhf.preference_rows import FURTHER

FORMAT, VERSION = "rlkit-labels", 1
APART = (5, 15)  # pairs between a pair and its repetition: too many to remember, few enough to get there


class Showing(NamedTuple):
    """One time that a pair is shown. swapped: its second completion stands at the left."""

    pair: int
    swapped: bool


class Share(NamedTuple):
    """k of n, with Wilson's 95 % interval (low, high) of the chance behind it; NaN where n is 0."""

    k: int
    n: int
    low: float
    high: float


def share(k: int, n: int) -> Share:
    """k of n with Wilson's interval (1927, "Probable inference, the law of succession, and statistical inference").

    Raises ValueError unless 0 <= k <= n.
    """
    if checks.count("k", k) > checks.count("n", n):
        checks.fail("k", k, f"at most n = {n}")
    if not n:
        return Share(0, 0, math.nan, math.nan)
    return Share(k, n, *map(float, binomtest(k, n).proportion_ci(0.95, method="wilson")))


def schedule(pairs: int, repeats: float, seed: int) -> list:
    """The order of showings: all pairs as they come, and round(repeats * pairs) of them once more, later.

    Between a pair and its repetition stand 5 to 15 other pairs, fewer only where repeats asks for nearly all of them.
    The side of each showing is drawn anew: neither is favoured, and a repetition may stand the other way round.
    """
    rng = np.random.default_rng(checks.seed(seed))
    number = round(checks.probability("repeats", repeats).item() * checks.positive_int("pairs", pairs))
    early = max(pairs - APART[0], number)  # what comes at the very end cannot be repeated with something in between
    again = np.sort(rng.choice(early, number, replace=False))
    places = [(float(pair), pair) for pair in range(pairs)]
    gaps = rng.integers(*APART, number, endpoint=True)
    places += [(pair + gap + 0.5, pair) for pair, gap in zip(again, gaps, strict=True)]
    swapped = rng.random(len(places)) < 0.5
    return [Showing(int(pair), bool(s)) for (_, pair), s in zip(sorted(places), swapped, strict=True)]


class Labels:
    """Answers to "which is better?", kept in a file and read back from it.

    prompts [N]: texts, or problems of a task; a, b [N]: two different completions of each. path: a .jsonl file,
    relative to the repository, else to the working folder; if it holds answers to these pairs, they count. seed: draws
    sides and repetitions; repeats: the share of pairs shown twice. showings: what is shown, in order; answers: showing
    -> its record, in the order of answering.

    Raises ValueError for unfit arguments, and for a file that is damaged or was begun with other pairs, another seed or
    another share: then choose another path.
    """

    def __init__(self, prompts: list, a: list, b: list, path, *, seed: int = 0, repeats: float = 0.1):
        if not len(prompts) == len(a) == len(b):
            raise ValueError(f"prompts, a, b: of lengths {len(prompts)}, {len(a)}, {len(b)}: must be of one length")
        self.prompts = [getattr(prompt, "prompt", prompt) for prompt in prompts]
        self._problems = [getattr(prompt, "id", None) for prompt in prompts]
        self.pairs = list(zip(a, b, strict=True))
        for i, texts in enumerate(zip(self.prompts, a, b, strict=True)):
            if not all(isinstance(text, str) for text in texts) or texts[1] == texts[2]:
                checks.fail(f"pair {i}", texts, "a prompt and two different completions, as texts")
        self.showings = schedule(len(self.pairs), repeats, seed)
        self.file, self.answers, self._begun = paths.home() / path, {}, False
        if self.file.suffix != ".jsonl":
            checks.fail("path", str(path), "the name of a .jsonl file")
        self._header = {"event": "labels", "format": FORMAT, "version": VERSION, "pairs": len(self.pairs)}
        self._header |= {"seed": seed, "repeats": float(repeats)}
        self._records = Records(self.file, self._apply)
        try:
            self._records.refresh()
        except ValueError as error:
            checks.fail("path", str(path), f"a new file, or one of these labels: {error}")

    # ---- what stands in the file

    def _apply(self, record: dict) -> None:
        """Take in one record, as it is read. Raises ValueError, to which Records adds the file and line."""
        event = record.get("event")
        if event == "labels" or not self._begun:
            if record != self._header:
                told = [", ".join(f"{n} {x.get(n)!r:.40}" for n in self._header) for x in (record, self._header)]
                raise ValueError(f"begun with {told[0]}; asked for {told[1]}")
            self._begun = True
            return
        checks.one_of("event", event, ("choice", "skip", "undo"))
        number = record.get("showing")
        if type(number) is not int or not 0 <= number < len(self.showings):
            checks.fail("showing", number, f"an integer from 0 to {len(self.showings) - 1}")
        if event == "undo":
            self.answers.pop(number, None)
            return
        if [record.get(name) for name in ("prompt", "a", "b")] != list(self.shown(number)):
            checks.fail("showing", number, "a pair of these, as it is shown here: these are others")
        if event == "choice":
            checks.one_of("answer", record.get("answer"), ("a", "b"))
            for name in ("annotator", "seconds"):
                fits, must = FURTHER[name]
                if name in record and not fits(record[name]):
                    checks.fail(name, record[name], must)
        self.answers.pop(number, None)  # the newest answer is the last, also where another view had given one
        self.answers[number] = record

    def _append(self, record: dict) -> None:
        if self._begun and not self.file.exists():
            raise FileNotFoundError(f"{self.file}: it is gone: what was answered cannot be added to it")
        self.file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._records.append([record] if self._begun else [self._header, record])
        except OSError:
            self._records.close()  # a disk that was full leaves a torn line; the next append cuts it
            raise
        self._records.refresh()

    # ---- what is asked and answered

    @property
    def current(self) -> int | None:
        """The showing to be answered: the first without an answer; None when there is none."""
        self._records.refresh()  # another view of the file may have gone on
        return next((i for i in range(len(self.showings)) if i not in self.answers), None)

    def shown(self, number: int) -> tuple:
        """(prompt, a, b) as showing `number` has them: a at the left, b at the right."""
        pair, swapped = self.showings[number]
        return (self.prompts[pair], *(self.pairs[pair][::-1] if swapped else self.pairs[pair]))

    def answer(self, number: int, side: str | None, annotator: str = "reader", seconds: float | None = None) -> None:
        """Keep the answer to a showing: "a" (left), "b" (right), or None for a skip. OSError if it cannot be kept."""
        checks.one_of("side", side, ("a", "b", None))
        record = {"event": "skip" if side is None else "choice", "showing": number}
        record |= dict(zip(("prompt", "a", "b"), self.shown(number), strict=True))
        record |= {"answer": side} if side else {}
        record |= {"annotator": annotator} | ({} if seconds is None else {"seconds": round(seconds, 2)})
        self._append(record)

    def undo(self) -> None:
        """Take the last answer back, a choice or a skip; what was asked is asked again."""
        self._records.refresh()
        if self.answers:
            self._append({"event": "undo", "showing": next(reversed(self.answers))})

    # ---- what it says

    def _choices(self) -> dict:
        """pair -> its choices in the order of showing: (showing, whether the first of the pair's two was chosen)."""
        self._records.refresh()
        found = {}
        for number in sorted(self.answers):
            pair, swapped = self.showings[number]
            if self.answers[number]["event"] == "choice":
                found.setdefault(pair, []).append((number, (self.answers[number]["answer"] == "a") != swapped))
        return found

    def preferences(self) -> list:
        """One row for each pair that has a choice, for `write_preferences` and the learners: prompt, chosen, rejected.

        With id, problem (where the prompt was one), annotator, left, seconds. Of a pair that was chosen from twice the
        first choice counts, so that no pair weighs double; again says whether the second was the same.
        """
        rows = []
        for pair, choices in sorted(self._choices().items()):
            number, first = choices[0]
            record, (a, b) = self.answers[number], self.pairs[pair]
            row = {"prompt": self.prompts[pair], "chosen": a if first else b, "rejected": b if first else a}
            row |= {"id": f"{self.file.stem}-{pair}"}
            row |= {"problem": self._problems[pair]} if isinstance(self._problems[pair], str) else {}
            row |= {"left": "chosen" if record["answer"] == "a" else "rejected"}
            row |= {name: record[name] for name in ("annotator", "seconds") if name in record}
            rows.append(row | ({"again": choices[1][1] == first} if len(choices) > 1 else {}))
        return rows

    def agreement(self) -> Share:
        """How many of the pairs that were chosen from twice got the same answer. By chance it would be half of them."""
        twice = [choices for choices in self._choices().values() if len(choices) > 1]
        return share(sum(first == second for (_, first), (_, second) in twice), len(twice))

    def left(self) -> Share:
        """How many of all choices were the left one. Sides are drawn: without a habit of the hand, about half."""
        sides = [record["answer"] for record in self.answers.values() if record["event"] == "choice"]
        return share(sides.count("a"), len(sides))
