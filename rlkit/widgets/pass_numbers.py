"""The numbers behind PassAtK: evaluation rows put into arms, intervals over seeds and problems, problems gained."""

import functools
from typing import NamedTuple

import numpy as np
import pandas as pd

from rlkit import evaluations
from rlkit.stats import Interval, paired_bootstrap, pass_at_k
from rlkit.widgets import lines, svg

REPLICATES = 2_000  # quick enough to be drawn again at each change; verdicts take 10,000
SOLVED = 0.5


class Arm(NamedTuple):
    """One evaluation of one arm: correct [S, P] of `samples` each at training step `at`."""

    at: int
    seeds: list
    problems: list
    samples: int
    correct: np.ndarray


def _remembered(function):
    """The function, computed once for equal arguments: an interval takes longer than drawing it."""
    known = {}

    @functools.wraps(function)
    def call(*arguments):
        key = repr([(*a[:4], a.correct.tobytes()) if isinstance(a, Arm) else a for a in arguments])
        if key not in known:
            if len(known) > 1_000:
                known.clear()
            known[key] = function(*arguments)
        return known[key]

    return call


def read(runs: list) -> pd.DataFrame:
    """All evaluations of the runs: columns arm, seed, setting, at, samples, problems, correct.

    One arm in several runs is one arm with their seeds together, unless a seed appears twice: then its name gets the
    run's before it. setting: the split, and any label (temperature, ...) that tells evaluations of one arm, seed and
    step apart.
    """
    parts = [evaluations.table(run).assign(run=name) for run, name in zip(runs, lines.labels(runs), strict=True)]
    names = {name: run.name for run, name in zip(runs, lines.labels(runs), strict=True)}
    parts = [part for part in parts if len(part)]
    if not parts:
        return pd.DataFrame(columns=["arm", "seed", "setting", "at", "samples", "problems", "correct"])
    rows = pd.concat(parts, ignore_index=True)
    owners = rows.groupby(["arm", "seed"])["run"].nunique()
    shared = set(owners[owners > 1].index.get_level_values("arm"))
    rows["arm"] = [
        arm if arm not in shared else run if arm == names[run] else f"{run}: {arm}"
        for arm, run in zip(rows["arm"].astype(str), rows["run"], strict=True)
    ]
    rows["setting"] = rows["split"].astype(str)
    where = ["arm", "seed", "split", "at"]
    for label in [c for c in rows if c not in (*evaluations.COLUMNS, "run", "setting", "cpu_seconds")]:
        plain = rows[label].map(
            lambda value: svg.short(value) if isinstance(value, str | int | float) else "", "ignore"
        )
        if (plain.groupby([rows[c] for c in where]).nunique() > 1).any():
            rows["setting"] += (", " + label + " " + plain).fillna("")
    return rows[["arm", "seed", "setting", "at", "samples", "problems", "correct"]]


def prompts(runs: list) -> dict:
    """problem -> prompt, as far as the runs' rollouts say."""
    found = {}
    for run in runs:
        rows = run.rollouts()
        if "problem" in rows and "prompt" in rows:
            rows = rows[["problem", "prompt"]].dropna().drop_duplicates("problem")
            found |= dict(zip(rows["problem"], rows["prompt"], strict=True))
    return found


def steps(rows: pd.DataFrame) -> list:
    """Training steps with an evaluation, ascending."""
    return sorted(int(at) for at in rows["at"].unique())


def arms(rows: pd.DataFrame, at: int | None = None) -> dict:
    """arm -> Arm at step `at`, or at the newest step that all seeds of the arm have; arms without it are left out.

    rows: of one setting. Raises ValueError if seeds of an arm were evaluated on other problems or numbers of samples.
    """
    found = {}
    for arm, group in rows.groupby("arm", sort=False):
        shared = set.intersection(*(set(one["at"]) for _, one in group.groupby("seed")))
        chosen = at if at is not None else max(shared, default=None)
        group = group[group["at"] == chosen].drop_duplicates("seed", keep="last").sort_values("seed")
        if not len(group):
            continue
        problems, samples = group["problems"].iloc[0], group["samples"].unique()
        if any(set(one) != set(problems) for one in group["problems"]) or len(samples) > 1:
            raise ValueError(f"arm {arm!r}, step {chosen}: its seeds must share problems and number of samples")
        counts = [dict(zip(p, c, strict=True)) for p, c in zip(group["problems"], group["correct"], strict=True)]
        correct = np.array([[one[p] for p in problems] for one in counts])  # [S, P]
        found[arm] = Arm(int(chosen), [int(s) for s in group["seed"]], list(problems), int(samples[0]), correct)
    return found


def bases(rows: pd.DataFrame, chosen: dict) -> dict:
    """arm -> (name of its base, Arm): the arm called "base" at its first step, else the arm's own step 0, if any.

    Step 0 of several arms is one base, that with the most seeds, if the counts agree on every seed they share.
    """
    if "base" in set(rows["arm"]):
        first = int(rows[rows["arm"] == "base"]["at"].min())
        base = arms(rows[rows["arm"] == "base"], first)["base"]
        return {arm: ("base", base) for arm in chosen if arm != "base"}
    zero = {arm: one for arm, one in arms(rows, 0).items() if arm in chosen}
    most = max(zero.values(), key=lambda one: len(one.seeds), default=None)
    for one in zero.values():
        paired = pair(one, most) if one.samples == most.samples else None
        if paired is None or not np.array_equal(*paired):
            return {arm: (f"base of {arm}", one) for arm, one in zero.items()}
    return {arm: ("base", most) for arm in zero}


def grid(samples: int) -> list:
    """The k of a curve: 1, 2, 4, ... up to the number of samples, and that number itself."""
    return sorted({2**i for i in range(samples.bit_length())} | {samples})


def pair(first: Arm, second: Arm, fixed: bool = False):
    """(correct, correct), both [S, P], over the seeds that the two share; None without any, or for other problems.

    fixed: second is a model that no training seed has changed; evaluated once, it is paired with every seed.
    """
    if set(first.problems) != set(second.problems):
        return None
    other = second.correct[:, [second.problems.index(p) for p in first.problems]]
    if fixed and len(second.seeds) == 1:
        return first.correct, np.repeat(other, len(first.seeds), axis=0)
    shared = [s for s in first.seeds if s in second.seeds]
    if not shared:
        return None
    return first.correct[[first.seeds.index(s) for s in shared]], other[[second.seeds.index(s) for s in shared]]


def interval(values: dict, effect) -> tuple[Interval | None, str]:
    """(95 % interval, what it covers) of an effect on name -> [S, P, K]; as `stats.paired_bootstrap`.

    Over seeds and problems where there are several of both, over the one of which there are several otherwise.
    """
    seeds, problems = next(iter(values.values())).shape[:2]
    if seeds > 1 and problems > 1:
        found = paired_bootstrap(values, effect, axes=("seed", "problem"), replicates=REPLICATES)
        return found, f"{seeds} seeds, {problems} problems"
    if seeds == problems == 1:
        return None, "none: one seed, one problem"
    flat = {name: value.reshape(-1, value.shape[-1]) for name, value in values.items()}  # one of the two axes is 1
    over = f"{seeds} seeds, one problem" if seeds > 1 else f"one seed, {problems} problems"
    return paired_bootstrap(flat, effect, replicates=REPLICATES), over


@_remembered
def curve(arm: Arm) -> tuple[list, np.ndarray, Interval | None, str]:
    """(k [K], pass@k [K], interval, what it covers) of one arm."""
    k = grid(arm.samples)
    values = evaluations.curves(arm.correct, arm.samples, k)  # [S, P, K]
    return k, values.mean(axis=(0, 1)), *interval({"arm": values}, lambda mean: mean["arm"])


@_remembered
def difference(first: Arm, second: Arm, fixed: bool = False) -> tuple[list, np.ndarray, Interval | None, str] | None:
    """(k [K], pass@k of first minus second [K], paired interval, what it covers) at the k that both can have.

    None where the two cannot be paired. fixed: as in `pair`.
    """
    paired = pair(first, second, fixed)
    if paired is None:
        return None
    k = [k for k in grid(first.samples) if k <= second.samples]
    one, other = (
        evaluations.curves(c, n, k) for c, n in zip(paired, (first.samples, second.samples), strict=True)
    )  # [S, P, K]
    found, over = interval({"one": one, "other": other}, lambda mean: mean["one"] - mean["other"])
    return k, (one - other).mean(axis=(0, 1)), found, over


def each(arm: Arm, k: int) -> np.ndarray:
    """pass@k of each problem [P], averaged over the seeds."""
    return np.asarray(pass_at_k(arm.samples, arm.correct, k)).mean(axis=0)


def solved(arm: Arm, k: int) -> np.ndarray:
    """Which problems count as solved at k [P]: pass@k, averaged over the seeds, is at least 0.5."""
    return each(arm, k) >= SOLVED - 1e-12


def flips(arm: Arm, base: Arm, k: int) -> tuple[list, list] | None:
    """(problems gained, problems lost) at k by an arm against its base; None for other problems or too few samples."""
    if set(arm.problems) != set(base.problems) or k > min(arm.samples, base.samples):
        return None
    now = dict(zip(arm.problems, solved(arm, k), strict=True))
    before = dict(zip(base.problems, solved(base, k), strict=True))
    gained = [p for p in arm.problems if now[p] and not before[p]]
    return gained, [p for p in arm.problems if before[p] and not now[p]]


@_remembered
def by_chance(base: Arm, k: int, seed: int = 0, draws: int = 400) -> tuple[float, float]:
    """(gained, lost) to expect if the base were only evaluated again: counts drawn from Binomial(n, correct / n).

    What is gained and lost has to be read beside this. Mean of `draws` simulated evaluations of all seeds.
    """
    at_count = np.asarray(pass_at_k(base.samples, np.arange(base.samples + 1), k))  # [n + 1]
    rng = np.random.default_rng(seed)
    drawn = rng.binomial(base.samples, base.correct / base.samples, size=(draws, *base.correct.shape))  # [draws, S, P]
    again, before = at_count[drawn].mean(axis=1) >= SOLVED - 1e-12, solved(base, k)
    return float((again & ~before).sum(axis=1).mean()), float((~again & before).sum(axis=1).mean())
