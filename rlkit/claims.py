"""A paper's claim, declared before it is measured, and the verdict on it: Claim -> estimates -> Verdict -> card.

A Claim is committed alone as data/claims/<key>.json. `claim.verdict(estimates)` compares intervals with margins. In
the full lane (`make measure KEY`) it writes data/results/<key>.json; elsewhere it shows the live slice beside it.
"""

import dataclasses
import json
import math
import os
import pathlib
import re
import time

from rlkit import checks, declarations, measure, paths, provenance, verdicts
from rlkit.records import plain
from rlkit.stats import Interval
from rlkit.verdicts import CERTIFIED, INCONCLUSIVE, OPPOSITE, REPRODUCED, SMALLER, Finding, Verdict


@dataclasses.dataclass(frozen=True)
class Clause:
    """One measurable sentence of a claim: an effect, the side it must lie on, and by how much.

    direction: 'greater' or 'less' (than margin), or ('within', lo, hi). margin: a number in `unit`; 0 for within, whose
    bounds are its margin. primary: whether the headline depends on it. lemma: a deterministic statement, judged on one
    exact number without an interval. Raises ValueError for anything else.
    """

    name: str
    statement: str
    direction: str | tuple
    margin: float = 0.0
    primary: bool = True
    unit: str = ""
    lemma: bool = False

    def __post_init__(self):
        for field in ("name", "statement"):
            if not isinstance(getattr(self, field), str) or not getattr(self, field).strip():
                checks.fail(field, getattr(self, field), "some text")
        direction, allowed = self.direction, "'greater', 'less' or ('within', lo, hi) with lo < hi"
        if isinstance(direction, list | tuple):
            if len(direction) != 3 or direction[0] != "within":
                checks.fail("direction", direction, allowed)
            lo, hi = (float(checks.finite("direction", bound)) for bound in direction[1:])
            if lo >= hi or self.margin != 0:
                checks.fail("direction", direction, allowed + ", and margin 0")
            object.__setattr__(self, "direction", ("within", lo, hi))
        elif direction not in ("greater", "less"):
            checks.fail("direction", direction, allowed)
        object.__setattr__(self, "margin", float(checks.finite("margin", self.margin)))

    @property
    def bounds(self) -> tuple:
        """(lo, hi) of what is claimed: (margin, inf), (-inf, margin), or the range of within."""
        if isinstance(self.direction, tuple):
            return self.direction[1:]
        return (self.margin, math.inf) if self.direction == "greater" else (-math.inf, self.margin)

    def judge(self, low: float, high: float) -> str:
        """What the interval [low, high] says; the first line that holds. A lemma has low = high.

        - reproduced in miniature (a lemma: certified): the WHOLE interval lies beyond the margin: low > margin for
          'greater', high < margin for 'less', lo < low and high < hi for within.
        - smaller than claimed: the whole interval lies between 0 and the margin or across the margin, so it excludes 0
          on the claimed side but not the margin. For within: wholly between 0 and the range.
        - opposite: the whole interval lies on the other side of 0 (of the margin, where the margin itself lies on the
          other side of 0, as in "at most 0.03 worse"). For within: wholly outside the range.
        - inconclusive: anything else.
        """
        lo, hi = self.bounds
        if lo < low and high < hi:
            return CERTIFIED if self.lemma else REPRODUCED
        if self.direction == "less" or hi < 0:  # mirror: from here on the claimed side is above
            low, high, lo, hi = -high, -low, -hi, -lo
        outside = high <= lo or low >= hi
        if isinstance(self.direction, tuple):
            return SMALLER if low > 0 and high <= lo else OPPOSITE if outside else INCONCLUSIVE
        floor = min(0.0, lo)
        return SMALLER if low > floor else OPPOSITE if high < floor else INCONCLUSIVE


@dataclasses.dataclass(frozen=True)
class Claim:
    """What will be measured, said beforehand: the statement, its clauses, and on what they are measured.

    key: the paper's, with hyphens. clauses: at least one primary. arms, budget, grid: what JSON can hold (names, a
    dictionary, text). seeds: the integers of the full run. Raises ValueError, TypeError for what JSON cannot hold.
    """

    key: str
    statement: str
    clauses: tuple
    arms: tuple
    budget: dict
    grid: dict
    seeds: tuple

    def __post_init__(self):
        if not isinstance(self.key, str) or not re.fullmatch(measure.KEY, self.key):
            checks.fail("key", self.key, "lower-case words joined by hyphens")
        object.__setattr__(self, "clauses", tuple(self.clauses))
        names = [clause.name for clause in self.clauses]
        if len(set(names)) < len(names) or not any(clause.primary for clause in self.clauses):
            checks.fail("clauses", names, "clauses of different names, at least one of them primary")
        object.__setattr__(self, "seeds", tuple(checks.seed(seed) for seed in self.seeds))
        self.record()  # what JSON cannot hold is refused now, not at the end of an hour

    def record(self) -> dict:
        """The claim as JSON types."""
        return json.loads(json.dumps(dataclasses.asdict(self), default=plain))

    def declare(self, reason: str | None = None) -> pathlib.Path:
        """Write data/claims/<key>.json, to be committed alone before the first full run; returns the file.

        A different claim that is already declared is replaced only for a reason, which is kept, dated, with the claim
        it replaced. Raises ValueError that names what differs, and outside a checkout.
        """
        root = paths.repository()
        if root is None:
            raise ValueError("no checkout of the repository here: a claim is declared in a checkout, to be committed")
        file, date = root / "data" / "claims" / f"{self.key}.json", declarations.now()
        record = {"declared": date, "claim": self.record(), "history": []}
        if file.is_file():
            old = declarations.read(file, declarations.CLAIM)
            changed = declarations.differences(old["claim"], self.record())
            if not changed:
                return file
            if not reason:
                changes = declarations.some(changed)
                raise ValueError(f"claim {self.key}: declared otherwise: {changes}: must give declare(reason=...)")
            entry = {"date": date, "reason": str(reason), "changed": changed, "replaced": old["claim"]}
            record["history"] = [*old.get("history", []), entry]
        declarations.write(file, declarations.CLAIM, record)
        return file

    def verdict(self, estimates: dict, *, cpu_seconds: float | None = None, reason: str | None = None) -> Verdict:
        """Judge the estimates; returns the Verdict, which shows itself as a card in a notebook and as text elsewhere.

        estimates: clause name -> Interval at 95 % (rlkit.stats.paired_bootstrap), or the exact number for a lemma.
        cpu_seconds: default, what this process has used so far. reason: why the claim differs from the declared one;
        without it a claim that differs is refused. A slice with fewer seeds than declared is not a different claim.

        Full lane: the claim must be declared and committed, on all declared seeds (or a reason given); writes
        data/results/<key>.json. Slice: nothing is written, but with CI=true build/results/<key>.json is, flips against
        the stored verdict are printed, and AssertionError is raised where the slice contradicts the stored interval.
        Raises ValueError for missing, unknown or non-finite estimates, or another level than 95 %.
        """
        if set(estimates) != {clause.name for clause in self.clauses}:
            checks.fail("estimates", sorted(estimates), f"exactly {sorted(clause.name for clause in self.clauses)}")
        findings = tuple(Finding.of(clause, estimates[clause.name]) for clause in self.clauses)
        lane, git = measure.lane(), provenance.git_state()
        declared, commit = declarations.declared(self.key)
        changed = declarations.differences(declared, self.record()) if declared else []
        if lane == "full":
            counts = {finding.interval.seeds for finding in findings if not finding.clause.lemma} - {len(self.seeds)}
            changed += [f"{count} seeds measured, {len(self.seeds)} declared" for count in sorted(counts)]
            if declared is None or (git and not commit):
                changed += [f"data/claims/{self.key}.json is not committed (claim.declare(), then commit it alone)"]
        if changed and not reason:
            changes = declarations.some(changed)
            raise ValueError(f"claim {self.key}: differs from what was declared: {changes}: must give reason=...")
        used = time.process_time() if cpu_seconds is None else checks.positive("cpu_seconds", cpu_seconds)
        verdict = Verdict(
            claim=self,
            lane=lane,
            findings=findings,
            cpu_seconds=round(used, 1),
            versions=provenance.versions(),
            git=git,
            declared=commit,
            reason=f"{reason} ({declarations.some(changed)})" if reason and changed else None,
            date=declarations.now(),
        )
        if lane == "full":
            _write("data", verdict)
            return verdict
        verdict = dataclasses.replace(verdict, stored=stored(self.key))
        if os.environ.get("CI", "").lower() in ("true", "1"):
            _write("build", verdict)
            verdicts.compare(verdict)
        return verdict


def declared(key: str) -> Claim:
    """The claim that was declared in data/claims/<key>.json, for a notebook to judge by without a second copy of it.

    Raises ValueError for a key that is not one, or whose claim was never declared.
    """
    if not isinstance(key, str) or not re.fullmatch(measure.KEY, key):
        checks.fail("key", key, "lower-case words joined by hyphens")
    fields, _ = declarations.declared(key)
    if fields is None:
        checks.fail("key", key, "the key of a declared claim: see Claim.declare()")
    return Claim(**{**fields, "clauses": [Clause(**clause) for clause in fields["clauses"]]})


def stored(key: str) -> Verdict | None:
    """The verdict of the full run, data/results/<key>.json, or None. Raises ValueError naming a file it cannot read."""
    file = paths.data("results", f"{key}.json")
    if not file.is_file():
        return None
    record = declarations.read(file, declarations.RESULT)
    try:
        fields = {**record["claim"], "clauses": [Clause(**clause) for clause in record["claim"]["clauses"]]}
        clauses = {clause.name: clause for clause in fields["clauses"]}
        findings = []
        for row in record["results"]:
            clause, interval = clauses[row["clause"]], Interval(*(row[name] for name in Interval._fields))
            findings.append(Finding(clause, interval, clause.judge(interval.low, interval.high)))
        own = {name: record[name] for name in verdicts.RECORDED}
        verdict = Verdict(claim=Claim(**fields), findings=tuple(findings), **own)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file}: not a verdict of rlkit: {error}") from None
    if verdict.outcome != record.get("verdict"):
        raise ValueError(f"{file}: it says {record.get('verdict')!r}, but its intervals say {verdict.outcome!r}")
    return verdict


def _write(folder: str, verdict: Verdict) -> None:
    file = paths.home() / folder / "results" / f"{verdict.claim.key}.json"
    declarations.write(file, declarations.RESULT, verdict.record())
