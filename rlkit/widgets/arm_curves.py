"""How the arms of a sweep trained, as far as it has come: what a LiveView of language-model runs draws."""

import numpy as np

from rlkit import checks
from rlkit.evaluations import of_kind
from rlkit.runs import Run
from rlkit.widgets import show, svg


def arm_curves(run: Run, metrics: dict, smoothing: int = 10, height: int = 240) -> str:
    """A chart for each metric that `rlkit.rlvr.experiments.collect` kept: one line per arm over the steps, as HTML.

    metrics: name -> words for its axis and title, plain text. smoothing: steps in the centred moving mean. The line is
    the mean over seeds, the band reaches from the lowest seed to the highest. Before the first curve it says so.
    Needs torch. Raises ValueError for a metric that no arm logged.
    """
    from rlkit.rlvr.experiments import CURVE, curves

    checks.positive_int("smoothing", smoothing)
    if not len(of_kind(run, CURVE)):
        return show.note("The first learner is still at work.")
    page = ""
    for metric, words in metrics.items():
        values = curves(run, metric).pivot(index="step", columns=["arm", "seed"], values="value")
        values = values.rolling(smoothing, min_periods=1, center=True).mean()
        lines = []
        for arm in values.columns.unique("arm"):
            found = values[arm].dropna(how="all").to_numpy()  # [steps, S]
            bounds = (np.nanmin(found, axis=1), np.nanmax(found, axis=1)) if found.shape[1] > 1 else ()
            steps = values[arm].dropna(how="all").index.to_numpy()
            lines.append(svg.Line(str(arm), steps, np.nanmean(found, axis=1), *bounds))
        page += svg.chart(lines, words, "step", words, _spoken(words, lines), height=height)
    over = f"Means of {smoothing} steps. " if smoothing > 1 else ""
    return page + show.note(f"{over}Line: mean over seeds; band: lowest to highest seed.")


def _spoken(words: str, lines: list) -> str:
    ends = ", ".join(f"{line.label} from {svg.number(line.y[0], 3)} to {svg.number(line.y[-1], 3)}" for line in lines)
    return f"{words}, first and last step: {ends}"
