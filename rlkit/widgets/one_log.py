"""OneLog: one log of pulls, its arms with their confidence bounds, and the arm that each offline rule picks."""

import ipywidgets as widgets
import numpy as np

from rlkit import bandits
from rlkit.bandits.hard import ARMS, hard_problems
from rlkit.widgets import show
from rlkit.widgets.bounds import bounds

PROBLEMS = {"lucky arms": 0, "a rival, small gap": 2, "a rival, large gap": 8}
PENALTIES = {"none": 1e-6, "half": 0.5, "sqrt(ln(2AN) / 2n)": 1.0, "63 times that": 63.2}
COVERAGES, SIZES = (1, 1.01, 1.5, 4), (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)


class OneLog:
    """A log of N pulls of ten arms in one context: average, interval and true mean of each arm, and who picks it.

    The problems are those of rlkit.bandits.hard with S = 1. Controls: problem, C*, N, the penalty of LCB, and the
    number of the log (its seed). `box` is the widget, `to_html()` the static twin with the numbers as a table.
    """

    def __init__(self):
        self.problem = show.labelled(widgets.Dropdown, "problem", options=list(PROBLEMS.items()))
        self.coverage = show.labelled(widgets.SelectionSlider, "C*", options=COVERAGES, value=1.01)
        self.pulls = show.labelled(
            widgets.SelectionSlider, "pulls N", options=[(f"{n:,}", n) for n in SIZES], value=1_000
        )
        self.penalty = show.labelled(widgets.Dropdown, "penalty b", options=list(PENALTIES.items()), value=1.0)
        self.seed = show.labelled(widgets.IntSlider, "log number", min=0, max=50)
        self.picture = widgets.HTML()
        self.controls = (self.problem, self.coverage, self.pulls, self.penalty, self.seed)
        self.box = widgets.VBox([show.row(*self.controls[:3]), show.row(*self.controls[3:]), self.picture])
        self.box.add_class("rlkit-one-log")
        for control in self.controls:
            control.observe(self._draw, "value")
        self._draw()

    def _draw(self, _=None) -> None:
        self.picture.value = self._view()

    def _view(self) -> str:
        N, problem = self.pulls.value, hard_problems(1, self.coverage.value, self.pulls.value)[self.problem.value]
        rng, seed = np.random.default_rng(self.seed.value), self.seed.value
        count = rng.multinomial(N, problem.mu[0])  # [A]
        total = rng.binomial(count, problem.mean[0])
        L = np.log(2 * ARMS * N)
        picks = {
            "LCB": bandits.lcb(count, total, self.penalty.value**2 * L, seed),
            "empirical best": bandits.empirical_best(count, total, seed),
            "most played": bandits.most_played(count, seed),
            "optimistic": bandits.optimistic_best(count, total, L, seed),
        }
        picks = {rule: int(arm) for rule, arm in picks.items()}
        lucky = self.problem.value == 0
        names = ["worst arm" if lucky else "rival", *(f"lucky arm {a}" for a in range(1, ARMS - 1)), "best arm"]
        shown = [a for a in range(ARMS)[::-1] if problem.mu[0, a] > 0 or a in picks.values()]
        shown.sort(key=lambda a: -problem.mu[0, a])  # stable: the arms that are equal stay together
        with np.errstate(invalid="ignore"):
            average = (total / count)[shown]  # NaN without data
        width = self.penalty.value * np.sqrt(L / (2 * np.maximum(count[shown], 1)))
        loss = problem.mean[0].max() - problem.mean[0]
        lost = ", ".join(f"{rule} {loss[arm]:.3g}" for rule, arm in picks.items())
        return bounds(
            [f"{names[a] if problem.mu[0, a] > 0 else 'arm that nobody pulls'}, {count[a]:,} pulls" for a in shown],
            average,
            average - width,
            average + width,
            problem.mean[0, shown],
            [", ".join(rule for rule, arm in picks.items() if arm == a) for a in shown],
            f"Reward lost per pull by following each rule: {lost}.",
        )

    def to_html(self) -> str:
        """The picture as it stands now, with what it shows in words."""
        said = ", ".join(f"{c.description}: {c.label if hasattr(c, 'label') else c.value}" for c in self.controls)
        return f"<div>{show.note(said)}{self._view()}</div>"

    def _repr_mimebundle_(self, **_) -> dict:
        return show.bundle(self.box, self.to_html(), "OneLog: one log, its arms with their bounds, and who picks which")
