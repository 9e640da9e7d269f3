"""A judged claim: the clauses with their intervals, the headline, and a slice held against the stored full run."""

import dataclasses

from rlkit import cards, checks, declarations
from rlkit.stats import Interval

REPRODUCED = "reproduced in miniature"
OPPOSITE = "not reproduced: opposite"
INCONCLUSIVE = "not reproduced: inconclusive"
SMALLER = "not reproduced: smaller than claimed"
CERTIFIED = "certified"
RECORDED = ("lane", "cpu_seconds", "versions", "git", "declared", "reason", "date")


def headline(outcomes) -> str:
    """The conjunction of the outcomes of the primary clauses: certified, reproduced, or the worst that happened.

    Worst first: opposite (something contradicts the claim), inconclusive (something is not known), smaller. Certified
    only if all are; certified and reproduced together are reproduced.
    """
    outcomes = list(outcomes)
    for worst in (OPPOSITE, INCONCLUSIVE, SMALLER):
        if worst in outcomes:
            return worst
    return CERTIFIED if all(outcome == CERTIFIED for outcome in outcomes) else REPRODUCED


@dataclasses.dataclass(frozen=True)
class Finding:
    """A clause, the interval measured for it, and the outcome in words."""

    clause: object
    interval: Interval
    outcome: str

    @classmethod
    def of(cls, clause, estimate) -> "Finding":
        if clause.lemma:
            number = float(checks.finite(f"estimates[{clause.name!r}]", estimate))
            return cls(clause, Interval(number, number, number, 1.0, 0, 0), clause.judge(number, number))
        if not hasattr(estimate, "low"):
            checks.fail(f"estimates[{clause.name!r}]", estimate, "an Interval (only a lemma is a plain number)")
        numbers = checks.finite(f"estimates[{clause.name!r}]", [estimate.estimate, estimate.low, estimate.high])
        if numbers.shape != (3,) or numbers[1] > numbers[2] or abs(estimate.level - 0.95) > 1e-9:
            checks.fail(f"estimates[{clause.name!r}]", estimate, "one estimate with low <= high at level 0.95")
        interval = Interval(*numbers.tolist(), 0.95, int(estimate.seeds), int(estimate.replicates))
        return cls(clause, interval, clause.judge(interval.low, interval.high))


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A judged claim with everything it rests on. `to_html()`, `to_text()`; in a notebook it shows its card.

    claim; lane ('full' or 'slice'); findings, one per clause; cpu_seconds; versions; git (commit and dirty, when it was
    measured, or None); declared (the commit that declared the claim, or None); reason (why it differs from what was
    declared, and in what, or None); date; stored (the full run's verdict, beside a slice).
    """

    claim: object
    lane: str
    findings: tuple
    cpu_seconds: float
    versions: dict
    git: dict | None
    declared: str | None
    reason: str | None
    date: str
    stored: "Verdict | None" = None

    @property
    def outcome(self) -> str:
        """The headline: the conjunction of the primary clauses."""
        return headline(finding.outcome for finding in self.findings if finding.clause.primary)

    @property
    def seeds(self) -> int:
        """The fewest seeds that an interval rests on; 0 if all clauses are lemmas."""
        return min((f.interval.seeds for f in self.findings if not f.clause.lemma), default=0)

    def record(self) -> dict:
        """The verdict as JSON types, without the stored one beside it and without anything of this machine."""
        results = [
            {"clause": f.clause.name, "outcome": f.outcome, "margin": f.clause.margin, **f.interval._asdict()}
            for f in self.findings
        ]
        record = {"key": self.claim.key, "verdict": self.outcome}
        record |= {name: getattr(self, name) for name in RECORDED}
        return {**record, "results": results, "claim": self.claim.record()}

    def to_text(self) -> str:
        """The card as plain text."""
        return cards.text(self)

    def to_html(self) -> str:
        """The card: a small picture per clause, a table with the same numbers, and the verdict in words."""
        return cards.card(self)

    _repr_html_ = to_html
    __repr__ = to_text


def contradicts(live: Interval, full: Interval) -> str | None:
    """How a live slice contradicts the stored interval, in words, or None.

    It does if the stored interval excludes 0 and the slice's estimate has the other sign, or if the slice's estimate
    lies outside the stored interval by more than half the width of the slice's own.
    """
    value = live.estimate
    if (full.low > 0 and value < 0) or (full.high < 0 and value > 0):
        return f"estimate {value:.3g} has the opposite sign of the stored interval [{full.low:.3g}, {full.high:.3g}]"
    outside, half = max(full.low - value, value - full.high), (live.high - live.low) / 2
    if outside > half:
        where = f"lies {outside:.3g} outside the stored interval [{full.low:.3g}, {full.high:.3g}]"
        return f"estimate {value:.3g} {where}, more than its own half-width {half:.3g}"
    return None


def compare(verdict: Verdict) -> None:
    """A slice in CI against the stored full run: print flips, raise AssertionError on a contradiction."""
    key, full = verdict.claim.key, verdict.stored
    if full is None or declarations.differences(full.claim.record(), verdict.claim.record()):
        print(f"{key}: not compared with a full run: " + ("it was of another claim" if full else "none is stored"))
        return
    lines = []
    for live, old in zip(verdict.findings, full.findings, strict=True):
        flipped = live.outcome != old.outcome
        line = contradicts(live.interval, old.interval) if not live.clause.lemma else None
        if live.clause.lemma and flipped:  # the last digits of an exact number may differ between machines
            line = f"{live.outcome}, stored: {old.outcome}"
        if line:
            lines.append(f"{key}, {live.clause.name}: {line}")
        elif flipped:
            print(f"{key}, {live.clause.name}: borderline: the slice says {live.outcome}, the full run {old.outcome}")
    if lines:
        raise AssertionError("the live slice contradicts the stored verdict: " + "; ".join(lines))
