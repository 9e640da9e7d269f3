"""PassAtK: pass@k over k for the arms of one or more runs, the base under them, and the problems gained and lost."""

import ipywidgets as widgets

from rlkit.runs import Run
from rlkit.widgets import pass_numbers as numbers
from rlkit.widgets import pass_views as views
from rlkit.widgets import show, svg
from rlkit.widgets.follow import LIVE, Follower

HINT = "No evaluation is logged yet. A learner logs them when it is given evaluate_every and evaluation (problems)."


class PassAtK:
    """pass@k over k for each arm of one or more runs, with 95 % intervals, over the base they started from.

    runs: rlkit.runs.Run with evaluation rows (rlkit.evaluations), growing or ended. An arm that stands in several runs
    with different seeds is one arm. The base is the arm named "base", else each arm's own step 0. Controls: training
    step and kind of evaluation (where there are several) and k, for which tables give estimate, interval and paired
    difference to the base, and the problems gained and lost. Unbiased estimator and intervals: rlkit.stats.
    Put it last in a cell to show it. `box` is the ipywidget, `to_html()` the static twin.
    Raises ValueError without runs, TypeError for anything else than a Run.
    """

    def __init__(self, *runs: Run):
        if not runs:
            raise ValueError("runs=(): must be at least one Run")
        for run in runs:
            if not isinstance(run, Run):
                raise TypeError(f"runs={svg.short(repr(run), 80)}: must be Runs; a handle has its own as handle.run")
        self.runs, self._quiet, self._read = list(runs), False, None
        self.setting = show.labelled(widgets.Dropdown, "evaluation", layout={"width": "300px"})
        self.at = show.labelled(widgets.Dropdown, "training step", layout={"width": "190px"})
        self.k = show.labelled(widgets.Dropdown, "k", layout={"width": "100px"})
        # The menu is for keyboard and screen reader: the sliders of ipywidgets have no name there.
        self.slide = show.labelled(widgets.SelectionSlider, "slide k", options=[1], layout={"width": "250px"})
        self.kind = show.labelled(widgets.Dropdown, "draw", options=(views.PASS, views.GAIN), layout={"width": "210px"})
        self.numbers = show.labelled(widgets.Checkbox, "show as table", indent=False, layout={"width": "140px"})
        self.refresh = show.button("Refresh", self._draw, "Read again what the runs have logged", "rlkit-refresh")
        self.picture, self.twin = widgets.HTML(), widgets.HTML()
        controls = (self.k, self.slide, self.kind, self.at, self.setting, self.numbers)
        self.box = widgets.VBox([show.row(*controls, self.refresh), self.picture, self.twin])
        self.box.add_class("rlkit-pass-at-k")
        for control in controls:
            control.observe(self._changed, "value")
        self._follower = Follower(self.runs, self._redraw)

    def close(self) -> None:
        """Stop following the runs; what is drawn stays."""
        self._follower.close()

    def _changed(self, change) -> None:
        if self._quiet:
            return
        if change["owner"] is self.slide:
            self._quiet = True  # one drawing, not two
            self.k.value = self.slide.value
            self._quiet = False
        self._draw()

    def _draw(self) -> None:
        self._follower.draw()

    def _redraw(self) -> None:
        picture, twin = self._view()
        self.picture.value, self.twin.value = picture, twin if self.numbers.value else ""
        show.visible(self.refresh, any(run.state == "unfinished" for run in self.runs))

    def _rows(self) -> tuple:
        """(evaluation rows, problem -> prompt), read again only when a run holds more than before."""
        held = [len(run._rollouts.refresh()) for run in self.runs]
        if self._read is None or self._read[0] != held:
            self._read = (held, numbers.read(self.runs), numbers.prompts(self.runs))
        return self._read[1:]

    def _choose(self, rows) -> tuple[dict, dict, list]:
        """Bring the controls up to date: (arm -> Arm, arm -> base, arms without an evaluation), as chosen."""
        self._quiet = True
        settings = list(dict.fromkeys(rows["setting"]))
        _offer(self.setting, [(svg.short(name, 60), name) for name in settings], settings[0])
        rows = rows[rows["setting"] == self.setting.value]
        trained = rows[rows["arm"] != "base"] if set(rows["arm"]) != {"base"} else rows
        steps = numbers.steps(trained)
        _offer(self.at, [("last", "last"), *((f"{at:,}", at) for at in steps)], "last")
        chosen = numbers.arms(trained, None if self.at.value == "last" else self.at.value)
        options = [(f"{k:,}", k) for k in numbers.grid(max((arm.samples for arm in chosen.values()), default=1))]
        _offer(self.k, options, options[min(3, len(options) - 1)][1])
        _offer(self.slide, options, self.k.value)
        self.slide.value = self.k.value
        show.visible(self.setting, len(settings) > 1)
        show.visible(self.at, len(steps) > 1)
        self._quiet = False
        missing = [arm for arm in dict.fromkeys(trained["arm"]) if arm not in chosen]
        return chosen, numbers.bases(rows, chosen), missing

    def _view(self) -> tuple[str, str]:
        """(picture with everything that belongs to the chosen k, table of the curves), both HTML."""
        rows, prompts = self._rows()
        if not len(rows):
            return views.chart([], [], 1, views.PASS) + show.note(HINT), ""
        chosen, bases, missing = self._choose(rows)
        known, k = dict(bases.values()), self.k.value
        kind = self.kind.value
        if kind == views.PASS:
            lines = [views.line(name, arm) for name, arm in chosen.items()]
            under = [views.line(name, base) for name, base in known.items()]
        else:
            lines = [views.gain(name, arm, bases[name][1]) for name, arm in chosen.items() if name in bases]
            lines, under = [line for line in lines if line is not None], []
        page = views.chart(lines, under, k, kind) + views.caption(chosen, known, missing, kind)
        page += views.at_k(chosen, known, bases, k) + views.between(chosen, k)
        return page + views.gained(chosen, bases, k, prompts), views.curves_table(under + lines, kind)

    def _words(self) -> str:
        """The controls as they stand."""
        said = f"k: {self.k.label}, training step: {self.at.label}, evaluation: {self.setting.label}"
        return show.note(said) if self.k.label else ""

    def to_html(self) -> str:
        """The same view without a kernel: picture, numbers and tables as one HTML fragment that loads nothing."""
        with self._follower.lock:
            picture, twin = self._view()
        if any(run.state in LIVE for run in self.runs):
            picture += show.note("Taken while a run was going on; run the cell again for the rest.")
        return f"<div>{self._words()}{picture}{show.details('The curves as a table', twin) if twin else ''}</div>"

    def _repr_mimebundle_(self, **_) -> dict:
        return show.bundle(self.box, self.to_html(), f"PassAtK of {', '.join(repr(run) for run in self.runs)}")


def _offer(control, options: list, wanted) -> None:
    """Set what a control offers; it keeps its value where that is still offered."""
    held = control.value if control.value in [value for _, value in options] else wanted
    if list(control.options) != options:
        control.options = options
    control.value = held
