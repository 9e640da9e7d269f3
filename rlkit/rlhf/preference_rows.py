"""Rows of preferences, judged one by one: which can be used, and what is wrong with the others, by line."""

import math

# What one row is made of, and what may stand beside it.
SIDES = ("chosen", "rejected")


def _number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# Field -> (whether a value fits, what it must be); preference_files says what each is for.
FURTHER = {
    "id": (lambda v: isinstance(v, str | int) and not isinstance(v, bool), "text or an integer"),
    "annotator": (lambda v: isinstance(v, str), "text"),
    "problem": (lambda v: isinstance(v, str), "text"),
    "seconds": (_number, "a finite number"),
    "left": (lambda v: isinstance(v, str) and v in SIDES, "'chosen' or 'rejected'"),
    "again": (lambda v: isinstance(v, bool), "true or false"),
    "margin": (_number, "a finite number"),
    "info": (lambda v: isinstance(v, dict), "a dictionary"),
}


def _kind(value) -> str:
    """'text', 'messages', or 'neither'."""
    if isinstance(value, str):
        return "text"
    fits = isinstance(value, list) and all(
        isinstance(m, dict) and all(isinstance(m.get(key), str) for key in ("role", "content")) for m in value
    )
    return "messages" if fits else "neither"


def bare(value):
    """What two texts or two lists of messages are compared by: blanks around them tell nothing apart."""
    return value.strip() if isinstance(value, str) else tuple((m["role"], m["content"].strip()) for m in value)


def _empty(value) -> bool:
    return not (value.strip() if isinstance(value, str) else any(m["content"].strip() for m in value))


def apart(chosen, rejected) -> tuple:
    """(prompt, chosen, rejected) of two texts, or lists of messages, that begin alike, by TRL's rule `extract_prompt`.

    The prompt ends before the first character, or message, in which they differ, and before a blank that stands there.
    Where one is the beginning of the other, the last one of it that they share stays outside the prompt.
    """
    shorter = min(len(chosen), len(rejected))
    at = next((i for i in range(shorter) if chosen[i] != rejected[i]), None)
    if at is None:
        at = max(shorter - 1, 0)
    elif at and chosen[at - 1] == " ":
        at -= 1
    return chosen[:at], chosen[at:], rejected[at:]


def examined(record) -> tuple:
    """(row or None, what is wrong with it): None where it cannot be used; unknown fields leave it usable."""
    if not isinstance(record, dict):
        return None, [f"{record!r:.60} is no object with prompt, chosen and rejected"]
    record = {name: value for name, value in record.items() if value is not None}  # an absent column of a table
    missing = [name for name in SIDES if name not in record]
    if missing:
        return None, [f"it has no {' and no '.join(missing)}"]
    kinds = {name: _kind(record[name]) for name in ("prompt", *SIDES) if name in record}
    wrong = [
        f"{name} must be text, or messages with a role and a content" for name, k in kinds.items() if k == "neither"
    ]
    if not wrong and len(set(kinds.values())) > 1:
        wrong = ["prompt, chosen and rejected must be all text or all messages"]
    wrong += [f"{n} must be {must}" for n, (fits, must) in FURTHER.items() if n in record and not fits(record[n])]
    if wrong:
        return None, wrong
    prompt, chosen, rejected = record.get("prompt"), record["chosen"], record["rejected"]
    if bare(chosen) == bare(rejected):
        wrong = ["chosen and rejected are equal"]
    elif prompt is None:
        prompt, chosen, rejected = apart(chosen, rejected)
        wrong = [] if prompt else ["there is no prompt, and chosen and rejected share no beginning"]
    wrong += [f"{name} is empty" for name, value in zip(SIDES, (chosen, rejected), strict=True) if _empty(value)]
    if wrong:
        return None, wrong
    row = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    unknown = [name for name in record if name not in row and name not in FURTHER]
    row |= {name: value for name, value in record.items() if name in FURTHER}
    return row, [f"unknown field {name!r:.60}: its place is in info" for name in unknown]


class Judged:
    """Rows taken one after the other. rows: those that can be used. left_out: (line, why). unknown, opposite: (line,
    what), reported of rows that can be used. place: what a line is called."""

    def __init__(self, place: str = "line"):
        self.place = place
        self.rows, self.left_out, self.unknown, self.opposite = [], [], [], []
        self._ids, self._ways, self._first = {}, {}, None

    def take(self, line: int, record) -> None:
        """Judge the record that stands on this line."""
        row, wrong = examined(record)
        if row is None:
            self.left_out += [(line, what) for what in wrong]
            return
        kind, name = _kind(row["chosen"]), row.get("id")
        self._first = self._first or (line, kind)
        if kind != self._first[1]:
            what = f"{kind}, but {self.place} {self._first[0]} is {self._first[1]}: TRL takes one kind a file"
            self.left_out.append((line, what))
        elif name in self._ids:
            self.left_out.append((line, f"id {name!r:.60} is that of {self.place} {self._ids[name]} already"))
        else:
            if name is not None:
                self._ids[name] = line
            self.rows.append(row)
            self.unknown += [(line, what) for what in wrong]
            prompt, chosen, rejected = (bare(row[field]) for field in ("prompt", *SIDES))
            self._ways.setdefault((prompt, chosen, rejected), line)
            if (prompt, rejected, chosen) in self._ways:
                earlier = self._ways[prompt, rejected, chosen]
                self.opposite.append(
                    (line, f"the opposite of {self.place} {earlier}, which prefers the other completion")
                )


def listed(found: list, place: str = "line") -> str:
    """(line, what) pairs as text, one line for each thing said: `lines 3, 5-9: chosen is empty`."""
    lines = {}
    for line, what in sorted(found, key=lambda pair: pair[0]):
        lines.setdefault(what, []).append(line)
    told = ""
    for what, numbers in lines.items():
        spans = []
        for number in numbers:
            if spans and number == spans[-1][1] + 1:
                spans[-1][1] = number
            else:
                spans.append([number, number])
        where = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)
        told += f"\n  {place}{'s' if len(numbers) > 1 else ''} {where}: {what}"
    return told
