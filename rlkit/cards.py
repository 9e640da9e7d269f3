"""How a verdict looks: a small picture per clause, the same numbers in a table, every verdict in words."""

import math

from rlkit import html

LANES = {"full": "full run", "slice": "live slice"}
WIDTH, LEFT, RIGHT = 440, 76, 12  # of a picture, in px


def number(value: float, width: float = 0.0) -> str:
    """Three significant digits, or as many as show two of `width`, an interval's; with a true minus sign."""
    decimals = 1 - math.floor(math.log10(width)) if width > 0 else 0
    if 0 < decimals <= 8 and abs(value) < 1e6:
        return f"{value:z.{decimals}f}".replace("-", "\u2212")
    mantissa, exponent, power = f"{value:.3g}".partition("e")
    return (mantissa + exponent + (str(int(power)) if power else "")).replace("-", "\u2212")


def span(low: float, high: float, width: float = 0.0) -> str:
    """An interval in words."""
    return f"{number(low, width)} to {number(high, width)}"


def measured(interval) -> tuple:
    """(estimate, interval) in words, to the same number of decimals."""
    width = interval.high - interval.low
    return number(interval.estimate, width), span(interval.low, interval.high, width)


def margin(clause) -> str:
    """What a clause asks for, in words."""
    lo, hi = clause.bounds
    unit = f" {clause.unit}" if clause.unit else ""
    if math.isfinite(lo) and math.isfinite(hi):
        return f"within {span(lo, hi)}{unit}"
    return f"> {number(lo)}{unit}" if math.isfinite(lo) else f"< {number(hi)}{unit}"


def shown(verdict) -> list:
    """The verdicts on one card: the stored full run first, then what was measured now."""
    return [verdict.stored, verdict] if verdict.stored else [verdict]


def pairs(verdict, clause) -> list:
    """(label of the run, Finding) for one clause, one per verdict on the card."""
    return [(LANES[one.lane], f) for one in shown(verdict) for f in one.findings if f.clause.name == clause.name]


def notes(verdict, beside=None) -> list:
    """What a reader must know beside a verdict's numbers; beside: the verdict on whose card it stands."""
    claim, seeds = verdict.claim, verdict.seeds
    commit = (verdict.git or {}).get("commit")
    found = [f"{verdict.cpu_seconds:,.0f} CPU-seconds, measured {verdict.date[:10]}"]
    if commit:
        found.append(
            f"code: commit {commit[:10]}" + (" with changes not committed" if verdict.git.get("dirty") else "")
        )
    found.append(f"claim declared in commit {verdict.declared[:10]}" if verdict.declared else "claim not committed yet")
    if seeds and seeds < len(claim.seeds):
        found.append(f"{seeds} of the {len(claim.seeds)} declared seeds")
    elif seeds:
        found.append(f"{seeds} seeds")
    if 0 < seeds < 5:
        found.append("fewer than 5 seeds: read the interval with care")
    if beside is not None and verdict.claim.record() != beside.claim.record():
        found.append("measured another version of this claim")
    if verdict.reason:
        found.append(f"differs from what was declared, because: {verdict.reason}")
    return found


def rows(verdict) -> list:
    """The table: clause, which run, estimate, interval, what was claimed, seeds, result."""
    found = []
    for label, finding in (pair for clause in verdict.claim.clauses for pair in pairs(verdict, clause)):
        clause, interval = finding.clause, finding.interval
        name = clause.name if clause.primary else f"{clause.name} (secondary)"
        estimate, between = measured(interval)
        seeds = "" if clause.lemma else interval.seeds
        between = "exact" if clause.lemma else between
        found.append((name, label, estimate, between, margin(clause), seeds, finding.outcome))
    return found


COLUMNS = ("clause", "run", "estimate", "95 % interval", "claimed", "seeds", "result")


def text(verdict) -> str:
    """The card as plain text."""
    claim = verdict.claim
    lines = [f"{claim.key}: {claim.statement}"]
    lines += [f"  {LANES[one.lane]}: {one.outcome} ({'; '.join(notes(one, verdict))})" for one in shown(verdict)]
    lines += [f"  {clause.name}: {clause.statement}" for clause in claim.clauses]
    table = [COLUMNS, *([str(cell) for cell in row] for row in rows(verdict))]
    widths = [max(len(row[i]) for row in table) for i in range(len(COLUMNS))]
    lines += ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join(lines)


def picture(findings) -> str:
    """One clause as SVG: zero, the claimed side shaded, one interval per run. findings: (label, Finding) pairs."""
    clause = findings[0][1].clause
    lo, hi = clause.bounds
    marks = [bound for bound in (lo, hi) if math.isfinite(bound)]
    values = [0.0, *marks, *(v for _, f in findings for v in (f.interval.estimate, f.interval.low, f.interval.high))]
    least, most = min(values), max(values)
    pad = (most - least or 1.0) * 0.1
    least, most = least - pad, most + pad

    def x(value):
        value = min(max(value, least), most)  # the claimed side may be unbounded
        return round(LEFT + (value - least) / (most - least) * (WIDTH - LEFT - RIGHT), 1)

    top, bottom = 18, 18 + 22 * len(findings)
    parts = [f'<rect x="{x(lo)}" y="{top}" width="{x(hi) - x(lo):.1f}" height="{bottom - top}" opacity="0.12"/>']
    near = len(marks) == 2 and x(marks[1]) - x(marks[0]) < 50  # labels side by side would touch
    for mark, anchor in zip(marks, ("end", "start") if near else ("middle", "middle"), strict=False):
        parts.append(_line(x(mark), top - 4, x(mark), bottom, 'stroke-dasharray="4 3"'))
        if mark:  # zero has its own label, below
            parts.append(_label(x(mark), top - 7, number(mark), anchor))
    parts += [_line(x(0), top, x(0), bottom + 4, ""), _label(x(0), bottom + 15, "0", "middle")]
    said = [f"claimed: {margin(clause)}"]
    for row, (label, finding) in enumerate(findings):
        interval, y = finding.interval, top + 11 + 22 * row
        live = label == LANES["slice"]
        fill = ' fill="none" stroke="currentColor" stroke-width="2"' if live else ""
        parts.append(_label(LEFT - 8, y + 4, label, "end"))
        parts.append(_line(x(interval.low), y, x(interval.high), y, f'stroke-width="{1.5 if live else 3}"'))
        parts += [_line(x(end), y - 5, x(end), y + 5, "") for end in (interval.low, interval.high)]
        parts.append(f'<circle cx="{x(interval.estimate)}" cy="{y}" r="4"{fill}/>')
        said.append("{}: estimate {}, interval {}".format(label, *measured(interval)))
    return (
        f'<svg role="img" aria-label="{html.escape("; ".join(said))}" viewBox="0 0 {WIDTH} {bottom + 20}" '
        f'width="{WIDTH}" style="max-width:100%;height:auto;display:block" fill="currentColor" font-size="11">'
        + "".join(parts)
        + "</svg>"
    )


def _line(x1, y1, x2, y2, style: str) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="currentColor" {style}/>'


def _label(x, y, words: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{html.escape(words)}</text>'


def card(verdict) -> str:
    """The card as HTML: headline per run, then per clause its sentence, picture and words, then the table."""
    claim, pieces = verdict.claim, []
    for one in shown(verdict):
        pieces.append(
            f'<p style="margin:4px 0"><span style="display:inline-block;min-width:76px">{LANES[one.lane]}</span> '
            f"<strong>{html.escape(one.outcome)}</strong><br>"
            f'<span style="font-size:85%">{html.escape("; ".join(notes(one, verdict)))}</span></p>'
        )
    for clause in claim.clauses:
        found = pairs(verdict, clause)
        words = "; ".join([f"claimed (shaded): {margin(clause)}", *(f"{label}: {f.outcome}" for label, f in found)])
        kind = "" if clause.primary else " (secondary)"
        pieces.append(
            f'<p style="margin:10px 0 2px"><strong>{html.escape(clause.name)}</strong>{kind}: '
            f"{html.escape(clause.statement)}</p>{picture(found)}<p style='margin:0'>{html.escape(words)}</p>"
        )
    table = html.table(COLUMNS, rows(verdict), "The same in numbers")
    return (
        f'<section aria-label="Verdict on {html.escape(claim.key)}" style="border:1px solid {html.GREY};'
        f'border-radius:6px;padding:8px 14px;max-width:760px;color:inherit;background:transparent">'
        f'<p style="margin:4px 0"><strong>{html.escape(claim.key)}</strong>: {html.escape(claim.statement)}</p>'
        + "".join(pieces)
        + f'<div style="overflow-x:auto;margin-top:10px">{table}</div></section>'
    )
