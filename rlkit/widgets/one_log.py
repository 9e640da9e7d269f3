"""One log of pulls: its arms with their confidence bounds, and the arm that each offline rule picks."""

import numpy as np

from rlkit import bandits
from rlkit.bandits.hard import ARMS, hard_problems
from rlkit.widgets.bounds import bounds
from rlkit.widgets.explorer import Explorer

PROBLEMS = {"lucky arms": 0, "a rival, small gap": 2, "a rival, large gap": 8}
PENALTIES = {"none": 1e-6, "half": 0.5, "sqrt(ln(2AN) / 2n)": 1.0, "63 times that": 63.2}
COVERAGES, SIZES = (1, 1.01, 1.5, 4), (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)


def one_log() -> Explorer:
    """A log of N pulls of ten arms in one context: average, interval and true mean of each arm, and who picks it.

    The problems are those of rlkit.bandits.hard with S = 1. Knobs: problem, C*, N, the penalty of LCB, and the number
    of the log (its seed). Returns an Explorer.
    """
    start = {"C": 1.01, "N": 1_000, "penalty": 1.0}
    view = Explorer(picture, start, problem=PROBLEMS, C=COVERAGES, N=SIZES, penalty=PENALTIES, log_number=range(51))
    view.controls["C"].description = "C*"
    return view


def picture(problem: int, C: float, N: int, penalty: float, log_number: int) -> str:
    """The picture for hard_problems(1, C, N)[problem], a penalty in units of sqrt(L / 2n), and a seed, as HTML."""
    chosen = hard_problems(1, C, N)[problem]
    mu, mean, lucky = chosen.mu[0], chosen.mean[0], problem == 0  # [A], [A]
    rng = np.random.default_rng(log_number)
    count = rng.multinomial(N, mu)  # [A]
    total, L = rng.binomial(count, mean), np.log(2 * ARMS * N)
    picks = {
        "LCB": int(bandits.lcb(count, total, penalty**2 * L, log_number)),
        "empirical best": int(bandits.empirical_best(count, total, log_number)),
        "most played": int(bandits.most_played(count, log_number)),
        "optimistic": int(bandits.optimistic_best(count, total, L, log_number)),
    }
    names = ["worst arm" if lucky else "rival", *(f"lucky arm {a}" for a in range(1, ARMS - 1)), "best arm"]
    shown = [a for a in range(ARMS)[::-1] if mu[a] > 0 or a in picks.values()]
    shown.sort(key=lambda a: -mu[a])  # stable: the arms that are equal stay together
    with np.errstate(invalid="ignore"):
        average = (total / count)[shown]  # NaN without data
    width = penalty * np.sqrt(L / (2 * np.maximum(count[shown], 1)))
    lost = ", ".join(f"{rule} {mean.max() - mean[arm]:.3g}" for rule, arm in picks.items())
    return bounds(
        [
            f"{names[a] if mu[a] > 0 else 'arm that nobody pulls'}, {count[a]:,} pull{'' if count[a] == 1 else 's'}"
            for a in shown
        ],
        average,
        average - width,
        average + width,
        mean[shown],
        [", ".join(rule for rule, arm in picks.items() if arm == a) for a in shown],
        f"Reward lost per pull by following each rule: {lost}.",
    )
