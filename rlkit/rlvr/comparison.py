"""Is the tuned model better than its base? Asked of the same problems, and answered only where the interval can."""

from typing import NamedTuple

from rlkit import checks, evaluations, html
from rlkit.stats import Interval, paired_bootstrap

BETTER, WORSE, UNKNOWN = "better", "worse", "cannot tell: the interval includes 0"
# What must be equal for two evaluations to be comparable; a row that does not say is taken to agree.
CONDITIONS = ("split", "temperature", "top_p", "max_new_tokens", "prompts")


class Difference(NamedTuple):
    """One arm against another at one k: pass@k of both, their difference with its interval, and what that allows."""

    arm: str
    against: str
    k: int
    value: float
    other: float
    difference: Interval
    verdict: str


class Comparison(NamedTuple):
    """Differences, and what their intervals are about. Shows itself as a table; `of(arm, k)` finds one."""

    differences: tuple
    about: str

    def of(self, arm: str, k: int) -> Difference:
        """The difference of an arm at k. Raises ValueError for one that is not there."""
        known = {(one.arm, one.k): one for one in self.differences}
        if (arm, k) not in known:
            checks.fail("(arm, k)", (arm, k), "one of " + ", ".join(map(str, known)))
        return known[arm, k]

    def _rows(self) -> list:
        return [
            (
                one.arm,
                f"{one.k}",
                f"{one.value:.3f}",
                f"{one.against}: {one.other:.3f}",
                f"{one.difference.estimate:+.3f} [{one.difference.low:+.3f}, {one.difference.high:+.3f}]",
                one.verdict,
            )
            for one in self.differences
        ]

    def __repr__(self) -> str:
        lines = [f"{arm} pass@{k} {value}, {other}: {gap}: {word}" for arm, k, value, other, gap, word in self._rows()]
        return "\n".join([*lines, self.about])

    def _repr_html_(self) -> str:
        columns = ("arm", "k", "pass@k", "against", "difference, 95 % interval", "verdict")
        return html.table(columns, self._rows(), caption=self.about)


def compare(
    run, base: str = "base", k: list | None = None, arms: list | None = None, split: str = "test"
) -> Comparison:
    """pass@k of arms minus that of `base`, paired by seed and problem, from the last evaluations in a run.

    k: numbers of tries; None for 1, 4, 16, 64, ... up to the samples there are. arms: None for all others. A verdict is
    "better" or "worse" only where the 95 % interval excludes 0 (`stats.paired_bootstrap`, over seeds and problems, or,
    with one training run, over problems alone: then it says nothing about another seed, and the table says so).
    Raises ValueError for an unknown arm or k, and for evaluations under different conditions: other problems, prompts
    (chat template), token budget, temperature or top_p.
    """
    rows = evaluations.table(run)
    rows = rows[rows["split"] == split] if len(rows) else rows
    for name in CONDITIONS:
        found = sorted(set(map(str, rows[name].dropna()))) if name in rows else []
        if len(found) > 1:
            raise ValueError(f"run {run.name!r}: evaluated with {name} {' and '.join(found)}: must be one for all arms")
    correct, samples, problems = evaluations.counts(run, split=split)
    others = [arm for arm in correct if arm != base] if arms is None else list(arms)
    for arm in (base, *others):
        checks.one_of("arm", arm, tuple(correct))
    k = [4**i for i in range(12) if 4**i <= samples] if k is None else [checks.positive_int("k", one) for one in k]
    curves = {arm: evaluations.curves(correct[arm], samples, k) for arm in (base, *others)}  # [S, P, K]
    seeds = len(curves[base])
    axes = ("seed", "problem")
    if seeds == 1:
        curves, axes = {arm: curve[0] for arm, curve in curves.items()}, ("seed",)  # problems take the seeds' place
    found = []
    for arm in others:
        gap = paired_bootstrap({arm: curves[arm], base: curves[base]}, lambda m, a=arm: m[a] - m[base], axes=axes)
        means = [curves[name].reshape(-1, len(k)).mean(0) for name in (arm, base)]
        for i, tries in enumerate(k):
            one = gap._replace(**{part: float(getattr(gap, part)[i]) for part in ("estimate", "low", "high")})
            word = BETTER if one.low > 0 else WORSE if one.high < 0 else UNKNOWN
            found.append(Difference(arm, base, tries, float(means[0][i]), float(means[1][i]), one, word))
    about = f"{len(problems)} held-out problems, {samples} samples each, "
    about += f"{seeds} training runs" if seeds > 1 else "one training run: nothing is said about another seed"
    return Comparison(tuple(found), about)
