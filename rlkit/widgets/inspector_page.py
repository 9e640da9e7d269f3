"""What SampleInspector shows, as pure functions: a page of completions, one of them closely, a prompt at two steps.

Everything that a model wrote is cut to a length that is said, and escaped.
"""

import html
import itertools
import math

import numpy as np

from rlkit.html import escape
from rlkit.widgets import heat, show, svg
from rlkit.widgets.rollout_rows import Change, Index, compare, mean, number, parts, sequence_logp, text, tokens

CHARACTERS, LINES = 400, 12  # of a completion on the page
WHOLE = 4_000  # characters of a completion that is looked at closely
PARTS = 5  # reward parts with a column of their own
CHANGES = 40  # lines of the comparison of two steps
_CELL = "text-align:left;vertical-align:top;padding:3px 10px 3px 0;white-space:nowrap"
_WIDE = "text-align:left;vertical-align:top;padding:3px 0;width:100%"
_HALF = "text-align:left;vertical-align:top;padding:3px 12px 3px 0;width:50%"
_TABLE = "border-collapse:collapse;table-layout:auto;line-height:1.4;font-size:13px;color:inherit;width:100%"
_RULE = "border-top:1px solid rgba(128,128,128,0.4)"


def plain(words, length: int = 60) -> str:
    """Text for a menu, which shows text as text: cut, on one line, hidden characters visible. Not HTML."""
    return html.unescape(escape(svg.short(words, length)))


def passage(words: str, characters: int = CHARACTERS, lines: int = LINES) -> str:
    """A text as HTML, at most so many characters and lines of it; what is left out is said, with the whole length."""
    cut = "\n".join(words[:characters].split("\n")[:lines])
    rest = f" … {len(cut):,} of {len(words):,} characters" if len(cut) < len(words) else ""
    body = escape(cut).replace("\n", "⏎\n") or "(empty)"
    return f'<div style="white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.4">{body}<i>{rest}</i></div>'


def label(found: Index, i: int) -> str:
    """A completion by its group and number: `group 3, sample 5`."""
    return f"group {group_name(found, i)}, sample {sample_name(found, i)}"


def group_name(found: Index, i: int) -> str:
    logged = found.rows[i].get("group")
    return plain(logged, 20) if isinstance(logged, int | str) else str(found.group[i])


def sample_name(found: Index, i: int) -> str:
    logged = found.rows[i].get("sample")
    return plain(logged, 20) if isinstance(logged, int | str) else str(int((found.group[:i] == found.group[i]).sum()))


def finish(row: dict) -> str:
    """The finish reason in words."""
    logged = row.get("finish_reason")
    return {"stop": "stopped", "length": "cut off", None: "–"}.get(logged if isinstance(logged, str) else None, "other")


def heading(found: Index, i: int) -> str:
    """The prompt of row i and how its whole group did. Returns HTML."""
    group = np.flatnonzero(found.group == found.group[i])
    rewards = found.reward[group]
    words = [f"group {group_name(found, i)}", many(len(group), "completion")]
    if np.isfinite(rewards).any():
        words.append(f"mean reward {svg.number(mean(rewards), 3)}")
    if np.isfinite(found.correct[group]).any():
        words.append(f"{int((found.correct[group] >= 1).sum())} correct")
    if found.dead[i]:
        words.append("dead group: all rewards are equal, so a mean over the group leaves nothing to learn")
    prompt = passage(text(found.rows[i], "prompt"), CHARACTERS, 4)
    return f'<div style="font-weight:600">{prompt}</div><div style="opacity:0.85">{escape(", ".join(words))}</div>'


def page(found: Index, positions, body, caption: str) -> str:
    """Completions at `positions` as a table, under their prompts; body(i) is the HTML of completion i. Returns HTML."""
    if not len(positions):
        return show.note("No completion passes the filter. Set the menus to “all” and empty the fields.")
    names = found.parts[:PARTS]
    unit = "tokens" if found.columns & {"tokens", "token_ids", "logp_sampled"} else "characters"
    columns = ["sample", "reward", "advantage", *(svg.short(name, 16) for name in names), unit, "finish"]
    head = "".join(f'<th scope="col" style="{_CELL}">{escape(c)}</th>' for c in columns)
    head += f'<th scope="col" style="{_WIDE}">completion</th>'
    out = []
    for _, run in itertools.groupby(positions, key=lambda i: found.group[i]):
        run = list(run)
        span = len(columns) + 1
        lines = f'<tr><th colspan="{span}" style="{_WIDE};{_RULE};font-weight:400">{heading(found, run[0])}</th></tr>'
        for i in run:
            row = found.rows[i]
            part = parts(row)
            cells = [heat.digits(found.reward[i], 4), heat.signed(found.advantage[i], 3)]
            cells += [heat.digits(part.get(name, math.nan), 4) for name in names] + [
                f"{found.length[i]:,}",
                finish(row),
            ]
            lines += f'<tr><th scope="row" style="{_CELL};padding-left:12px">{escape(sample_name(found, i))}</th>'
            lines += "".join(f'<td style="{_CELL}">{escape(c)}</td>' for c in cells)
            lines += f'<td style="{_WIDE}">{body(i)}</td></tr>'
        out.append(f"<tbody>{lines}</tbody>")
    title = f'<caption style="text-align:left;font-weight:600">{escape(caption)}</caption>'
    rows = f'<table style="{_TABLE}">{title}<thead><tr>{head}</tr></thead>{"".join(out)}</table>'
    return (
        f'<div role="region" tabindex="0" aria-label="Completions" style="max-height:640px;overflow:auto">{rows}</div>'
    )


def closely(found: Index, i: int, columns: dict) -> str:
    """One completion: its prompt, text, reward parts and a table of its tokens (columns: metric -> values [T])."""
    row = found.rows[i]
    facts = [label(found, i), f"reward {heat.digits(found.reward[i], 4)}"]
    facts += [f"{svg.short(name, 40)} {heat.digits(value, 4)}" for name, value in list(parts(row).items())[:50]]
    facts += [f"advantage {heat.signed(found.advantage[i], 4)}", finish(row)]
    if row.get("problem") is not None:
        facts.append(f"problem {svg.short(row['problem'], 120)}")
    prompt = passage(text(row, "prompt"), WHOLE, 40)
    body = show.scroll(passage(text(row, "completion"), WHOLE, 200), "Completion")
    numbers = show.scroll(heat.token_table(row, columns), "Tokens") if tokens(row) else ""
    return f"<div>{show.note(', '.join(facts))}<b>Prompt</b>{prompt}<b>Completion</b>{body}{numbers}</div>"


def comparison(steps, before: list, after: list) -> str:
    """One prompt at two steps, side by side: what was kept, gone and new. before, after: its rows. Returns HTML."""
    changes = compare(before, after)
    rewards = [mean([number(row.get("reward")) for row in rows]) for rows in (before, after)]
    count = {what: sum(change.what == what for change in changes) for what in ("kept", "gone", "new")}
    kept = [change for change in changes if change.what == "kept"]
    shift = mean([change.logp[1] - change.logp[0] for change in kept])
    levels = [mean([sequence_logp(row) for row in rows]) for rows in (before, after)]
    words = [
        f"{count['kept']} kept, {count['gone']} gone, {count['new']} new (different texts)",
        f"mean reward {' → '.join(svg.number(r, 3) for r in rewards)} ({heat.signed(rewards[1] - rewards[0])})",
    ]
    if np.isfinite(levels).all():
        words.append(f"mean log-probability {' → '.join(heat.digits(v, 3) for v in levels)}")
    if np.isfinite(shift):
        words.append(f"that of the kept ones {heat.signed(shift)} nat on average")
    gone, new = ([c for c in changes if c.what == what] for what in ("gone", "new"))
    lines = [("=", c, c) for c in kept] + [("−  +", a, b) for a, b in itertools.zip_longest(gone, new)]
    lines = [("−" if b is None else "+" if a is None else mark, a, b) for mark, a, b in lines]
    head = "".join(
        f'<th scope="col" style="{_HALF if name == "completion" else _CELL}">{name}</th>'
        for name in ("", *("drawn", "reward", "log-prob.", "completion") * 2, "change")
    )
    top = "".join(f'<th colspan="4" scope="colgroup" style="{_CELL}">step {step:,}</th>' for step in steps)
    body = ""
    for mark, a, b in lines[:CHANGES]:
        change = heat.signed(b.logp[1] - b.logp[0]) if mark == "=" else "–"
        cells = f'<th scope="row" style="{_CELL}">{_what(mark)}</th>{_side(a, 0)}{_side(b, 1)}'
        body += f'<tr style="{_RULE}">{cells}<td style="{_CELL}">{change}</td></tr>'
    head = f"<thead><tr><th></th>{top}<th></th></tr><tr>{head}</tr></thead>"
    rows = f'<table style="{_TABLE}">{head}<tbody>{body}</tbody></table>'
    more = show.note(f"The first {CHANGES} of {len(lines)} lines.") if len(lines) > CHANGES else ""
    note = show.note(
        "=: drawn at both steps. −: at the first only. +: at the second only. With few draws, what is gone may just "
        "not have been drawn again. log-prob.: of the whole completion, in nats, by the policy that drew it."
    )
    scrolling = (
        f'<div role="region" tabindex="0" aria-label="Two steps" style="max-height:480px;overflow:auto">{rows}</div>'
    )
    said = f"<b>{passage(text(before[0], 'prompt'), CHARACTERS, 4)}</b><div>{escape('; '.join(words))}.</div>"
    return f"<div>{said}{scrolling}{more}{note}</div>"


def _what(mark: str) -> str:
    return {"=": "= kept", "−": "− gone", "+": "+ new"}.get(mark, "− gone<br>+ new")


def _side(change: Change | None, side: int) -> str:
    """The four cells of one completion at one of the two steps."""
    if change is None:
        return f'<td style="{_CELL}"></td>' * 3 + f'<td style="{_HALF}"></td>'
    cells = (f"{change.times[side]}×", heat.digits(change.reward[side], 3), heat.digits(change.logp[side], 3))
    return "".join(f'<td style="{_CELL}">{c}</td>' for c in cells) + (
        f'<td style="{_HALF}">{passage(change.completion, 160, 4)}</td>'
    )


def summary(found: Index, chosen: np.ndarray) -> str:
    """How many completions there are, how many pass, and what is odd about them, in plain words."""
    groups = len(np.unique(found.group))
    dead = len(np.unique(found.group[found.dead]))
    words = f"{many(len(found.rows), 'completion')} in {many(groups, 'group')}, {dead:,} dead"
    words += f"; {len(chosen):,} pass the filter" if len(chosen) < len(found.rows) else ""
    lost = int((~np.isfinite(found.reward)).sum()) if "reward" in found.columns else 0
    return words + (f"; {many(lost, 'reward')} not a finite number" if lost else "")


def many(count: int, noun: str) -> str:
    """`1 group`, `2 groups`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def bound(words: str, name: str) -> tuple[float | None, str]:
    """(a bound of the reward or None, what is wrong with it) from what a reader typed; blank is no bound."""
    if not words.strip():
        return None, ""
    try:
        value = float(words.strip().replace("−", "-"))
    except ValueError:
        return None, f"{name}: “{plain(words, 20)}” is no number"
    return (value, "") if value == value else (None, f"{name}: must be a number")
