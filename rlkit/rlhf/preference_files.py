"""Preferences as JSONL in TRL's formats, both ways, with everything that is wrong in a file reported by line.

A row is {"prompt", "chosen", "rejected"}: three texts, or three lists of messages {"role", "content"} (conversational).
A file may leave the prompt out (implicit): it is then the beginning that chosen and rejected share, found as TRL finds
it. Fields that may stand beside them:

id         text or an integer, unlike that of any other line
annotator  text: who chose
problem    text: the id of the problem that the prompt is of
seconds    number: how long it took
left       "chosen" or "rejected": which one stood at the left
again      true or false: whether the same answer was given when the pair was shown a second time
margin     number: by how much; TRL's RewardTrainer subtracts it from the difference of the rewards
info       a dictionary: anything else that one wants to keep

Any other field is unknown: it may be one of these, misspelt, so it is reported and not guessed at.

What TRL 1.16 does with such files (data_utils.py, dpo_trainer.py, reward_trainer.py): it looks at the first line only
to see whether there is a prompt and whether rows are messages, so a file must not mix them; it joins prompt and
completion as they stand, so a blank between them must be in the file; it appends the end token to texts that lack it;
it ignores further columns. It checks nothing: an empty or an equal pair, or one preferred both ways, is trained on. A
torn line, or half of a surrogate pair, makes `datasets` 5.2 refuse the whole file.
"""

import json
import warnings
from pathlib import Path

from rlkit import checks, paths
from rlkit.records import plain
from rlkit.rlhf.preference_rows import FURTHER, SIDES, Judged, apart, bare, listed

FORMS = ("explicit", "conversational", "implicit")


def read_preferences(path, skip_bad: bool = False) -> list:
    """The rows of a JSONL file of preferences, each {"prompt", "chosen", "rejected"} and its further fields.

    Messages stay messages, and a prompt that is implicit in the file is taken out; blank lines count for nothing.

    Reported, each with the numbers of its lines: lines that are torn, no JSON, no UTF-8 or lack a field; wrong types;
    an empty completion, or two that are equal; an id that an earlier line has; messages in a file of texts; unknown
    fields; and contradictions, the same two completions of one prompt preferred both ways. By default all of it is
    raised in one ValueError and nothing is returned. With skip_bad the usable rows are returned and the same report
    comes as a warning. Of two lines with one id the first is usable. A row with an unknown field is usable, without it.
    Both rows of a contradiction are usable: annotators who are unsure answer both ways, and without the pairs where
    that shows they would look surer than they are.

    path: relative to the repository, else to the working folder. OSError where no file can be read.
    """
    file = paths.home() / path
    judged, lines = Judged(), file.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        torn = " (torn: the file ends here)" if number == len(lines) else ""
        try:
            record = json.loads(line.decode())
        except UnicodeDecodeError as error:
            judged.left_out.append((number, f"not UTF-8 ({error.reason} at byte {error.start}){torn}"))
        except (ValueError, RecursionError) as error:
            judged.left_out.append((number, f"not JSON ({error}){torn}"))
        else:
            judged.take(number, record)
    kept = judged.unknown + judged.opposite
    if skip_bad:
        for what, found in (("left out", judged.left_out), ("kept, but to be known", kept)):
            if found:
                warnings.warn(f"{file}: {what}{listed(found)}", stacklevel=2)
    elif judged.left_out or kept:
        usable = f"{len(judged.rows)} rows can be used: skip_bad=True returns them and warns"
        raise ValueError(f"{file}: {usable}{listed(judged.left_out + kept)}")
    return judged.rows


def as_trl(rows: list, form: str = "explicit") -> list:
    """Rows as TRL wants them, for `datasets.Dataset.from_list`; what `write_preferences` writes.

    form "explicit": prompt, chosen, rejected. TRL joins texts as they stand, so where no blank is between prompt and
    completion, one is put before the completion. "conversational": a text becomes one message, the prompt of the user,
    the completion of the assistant, and TRL applies the model's chat template. "implicit": no prompt; chosen and
    rejected begin with it. Messages stay messages in each of them.

    Raises ValueError, in one, for all rows (counted from 0) that `read_preferences` would leave out or that have
    unknown fields, and for implicit rows whose completions begin alike: TRL takes their beginning for the prompt's.
    """
    checks.one_of("form", form, FORMS)
    judged = Judged("row")
    for number, row in enumerate(rows):
        judged.take(number, row)
    wrong = judged.left_out + judged.unknown
    made = [_formed(row, form) for row in judged.rows]
    if form == "implicit" and not wrong:
        for number, (row, both) in enumerate(zip(judged.rows, made, strict=True)):
            if bare(apart(both["chosen"], both["rejected"])[0]) != bare(row["prompt"]):
                wrong.append((number, "chosen and rejected begin alike: the prompt would be lost; write it explicit"))
    if wrong:
        raise ValueError(f"rows: cannot be written{listed(wrong, 'row')}")
    return made


def _formed(row: dict, form: str) -> dict:
    further = {name: value for name, value in row.items() if name in FURTHER}
    prompt, sides = row["prompt"], {name: row[name] for name in SIDES}
    if isinstance(prompt, str) and form == "conversational":
        prompt = [{"role": "user", "content": prompt}]
        sides = {name: [{"role": "assistant", "content": text}] for name, text in sides.items()}
    elif isinstance(prompt, str):
        glued = prompt and not prompt[-1].isspace() and not all(text[0].isspace() for text in sides.values())
        sides = {name: f" {text}" if glued else text for name, text in sides.items()}
    if form == "implicit":
        return {name: prompt + text for name, text in sides.items()} | further
    return {"prompt": prompt} | sides | further


def write_preferences(path, rows: list, form: str = "explicit") -> Path:
    """Write rows as JSONL, one line each, in one of TRL's forms (see `as_trl`, also for errors); returns the path.

    An existing file is replaced, at once and whole. `read_preferences` gives explicit texts back as they were, but for
    the blank between prompt and completion: it stands before the completion then. path: relative to the repository,
    else to the working folder.
    """
    file = paths.home() / path
    lines = "".join(json.dumps(row, default=plain) + "\n" for row in as_trl(rows, form))
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(lines, encoding="utf-8")
    fresh.replace(file)
    return file
