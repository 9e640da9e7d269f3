"""The learning curves of several offline learners that a sweep trained, one chart each, as far as it has come."""

import numpy as np

from rlkit import checks
from rlkit.evaluations import of_kind
from rlkit.runs import Run
from rlkit.widgets import show, svg

SCORES = "scores"  # of the rows that `learner_curves` reads


def learner_curves(run: Run, arms, *, waiting="The first learner is still at work.", height=320) -> str:
    """A chart for each learner: the mean score over seeds of each arm by step, one standard error, two levels; as HTML.

    It reads the run's rollout rows of kind "scores": learner, at (the step), behaviour (the data's score), and for each
    of `arms` one score a seed. waiting: what it says before there is one. (Intervals of 95 % of five arms and three
    seeds would hide one another.)
    """
    found, page = of_kind(run, SCORES), ""
    for learner in found["learner"].unique() if len(found) else ():
        kept = found[found["learner"] == learner]
        at = checks.finite("at", kept["at"].tolist())
        drawn = [svg.mean_and_error(arm, at, np.array(kept[arm].tolist(), dtype=float).T) for arm in arms]
        words = "; ".join(f"{line.label} {svg.number(line.y[-1], 2)}" for line in drawn)
        levels = {"behaviour": float(kept["behaviour"].iloc[0]), "expert": 1.0}
        drawn += [svg.level(name, at, level) for name, level in levels.items()]
        title = f"score of {learner}, 0 random and 1 expert"
        page += svg.chart(drawn, title, "step", title, f"At the last step: {words}.", height=height)
    band = "Line: mean over seeds; band: one standard error each way. Level lines: behaviour, expert."
    return page + show.note(band) if page else show.note(waiting)
