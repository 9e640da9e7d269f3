"""RewardCurves: the learning curves of several runs and seeds, live while they grow, static when read later."""

import ipywidgets as widgets

from rlkit import checks
from rlkit.html import escape, table
from rlkit.runs import Run
from rlkit.widgets import show, svg
from rlkit.widgets.follow import LIVE, Follower
from rlkit.widgets.lines import REPLICATES, arms, labels, references, summarise

WINDOWS = (1, 3, 10, 30, 100, 300, 1000)


class RewardCurves:
    """Learning curves of one or more runs: mean or IQM over seeds with a 95 % interval, smoothing, Pause and Stop.

    A run whose config["rows"] names its arms is drawn as one curve for each arm; config["references"] = {metric: {name:
    level}} as level lines (offline.references).

    runs: rlkit.runs.Run, growing or ended. metric: the metric shown first (default: the first that a run logged).
    Put it last in a cell to show it. `box` is the ipywidget itself, `to_html()` the static twin. While a run is live
    the curves follow it, at most five drawings a second; when it ends the widget lets go of it.
    Raises ValueError without runs, TypeError for anything else than a Run.
    """

    def __init__(self, *runs: Run, metric: str | None = None):
        if not runs:
            raise ValueError("runs=(): must be at least one Run")
        for run in runs:
            if not isinstance(run, Run):
                raise TypeError(f"runs={svg.short(repr(run), 80)}: must be Runs; a handle has its own as handle.run")
        self.runs, self._quiet = list(runs), False
        self._awaited = None  # a metric asked for that a live run has not logged yet
        self.metric = show.labelled(widgets.Dropdown, "metric", layout={"width": "240px"})
        self.statistic = show.labelled(
            widgets.Dropdown, "over seeds", options=[("mean", "mean"), ("IQM", "IQM")], layout={"width": "160px"}
        )
        # Not a slider: those of ipywidgets have no name for a screen reader and tell it a position instead of a size.
        sizes = [("off", 1)] + [(f"last {n:,} steps", n) for n in WINDOWS[1:]]
        self.window = show.labelled(widgets.Dropdown, "smoothing", options=sizes, layout={"width": "210px"})
        self.numbers = show.labelled(widgets.Checkbox, "show as table", indent=False, layout={"width": "140px"})
        self.pause = show.button("Pause", self._toggle, "Hold the run before its next step", "rlkit-pause")
        self.stop = show.button("Stop", self._end, "End the run between two steps; what it logged stays", "rlkit-stop")
        self.refresh = show.button("Refresh", self._draw, "Read again what the run has logged", "rlkit-refresh")
        self.status, self.picture, self.twin = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.status.add_class("rlkit-status")
        self._select(metric)
        self.box = widgets.VBox(
            [
                show.row(self.metric, self.statistic, self.window, self.numbers),
                show.row(self.pause, self.stop, self.refresh, self.status),
                self.picture,
                self.twin,
            ]
        )
        self.box.add_class("rlkit-curves")
        for control in (self.metric, self.statistic, self.window, self.numbers):
            control.observe(self._changed, "value")
        self._follower = Follower(self.runs, self._redraw)

    def _select(self, wanted: str | None = None) -> list[list]:
        """Offer the metrics logged so far and keep the one shown; returns the names that each run has logged."""
        logged = [run.metric_names for run in self.runs]
        names = list(dict.fromkeys(name for one in logged for name in one))
        names = [
            name for name in names if name == wanted or name.removesuffix("_se") not in names or name[-3:] != "_se"
        ]
        if wanted is not None and names and wanted not in names and not any(run.state in LIVE for run in self.runs):
            checks.fail("metric", wanted, "one of " + ", ".join(names))
        self._awaited = wanted if wanted is not None else self._awaited
        wanted = self.metric.value if self._awaited is None else self._awaited
        self._awaited = None if wanted in names else self._awaited
        if names != [value for _, value in self.metric.options]:
            self._quiet = True
            self.metric.options = [(svg.short(name), name) for name in names]
            self.metric.value = wanted if wanted in names else next(iter(names), None)
            self._quiet = False
        return logged

    def _changed(self, _) -> None:
        if not self._quiet:
            self._awaited = None  # the reader has chosen
            self._draw()

    def close(self) -> None:
        """Stop following the runs; what is drawn stays."""
        self._follower.close()

    def _toggle(self) -> None:
        for run in self._live():
            run.handle.resume() if run.state == "paused" else run.handle.pause()
        self._draw()

    def _end(self) -> None:
        for run in self._live():
            run.handle.stop()
        self._draw()

    def _live(self) -> list[Run]:
        return [run for run in self.runs if run.handle is not None and run.state in LIVE]

    def _draw(self) -> None:
        self._follower.draw()

    def _redraw(self) -> None:
        """Read the runs and set the widgets; one thread at a time, the follower sees to that."""
        logged = self._select()
        live = self._live()
        paused = bool(live) and all(run.state == "paused" for run in live)
        show.visible(self.pause, bool(live))
        show.visible(self.stop, bool(live))
        show.visible(self.refresh, any(run.state in ("unfinished", *LIVE) and run not in live for run in self.runs))
        self.pause.description = "Resume" if paused else "Pause"
        self.status.value = self._words()
        picture, numbers = self._view(logged)
        self.picture.value, self.twin.value = picture, numbers if self.numbers.value else ""

    def _words(self) -> str:
        """The state of each run, in words."""
        several = len(self.runs) > 1
        words = []
        for run, name in zip(self.runs, labels(self.runs), strict=True):
            step = "no step yet" if run.last_step is None else f"step {run.last_step:,}"
            error = f": {svg.short(run.error, 200)}" if run.error else ""
            words.append(f"{svg.short(name) + ': ' if several else ''}{run.state}, {step}{error}")
        return f"<span>{escape('; '.join(words))}</span>"

    def _view(self, logged: list[list]) -> tuple[str, str]:
        """(picture with its caption, table), both HTML."""
        metric, statistic, window = self.metric.value or "", self.statistic.value, self.window.value
        curves, names = arms(self.runs), dict(zip(map(id, self.runs), logged, strict=True))
        points = max(60, min(400, 1200 // len(curves)))
        made = (
            summarise(run, name, names[id(run)], metric, statistic, window, points, positions)
            for run, name, positions in curves
        )
        lines, rows = zip(*made, strict=True)
        counts = sorted({row[2] for row in rows} - {"–", "as logged"})
        kinds = {row[2] for row in rows} - {"–", 1}
        over = f"{statistic} over {' or '.join(map(str, counts))} seeds" if counts else "as logged"
        over = "one seed" if counts == [1] else over
        spoken = [f"{r[0]}: {r[1]}, {r[4]} at step {r[3]} (95 % interval {r[5]})." for r in rows]
        title, axis = f"{metric or 'nothing logged yet'} by step", f"{metric} ({over})" if counts else metric
        levels = references(self.runs, metric)
        ends = [end for line in lines if len(line.x) for end in (line.x[0], line.x[-1])] or [0, 1]
        drawn = [*lines, *(svg.level(name, sorted(ends), level) for name, level in levels.items())]
        spoken += [f"{name}: {svg.number(level)} at every step, for comparison." for name, level in levels.items()]
        rows = [*rows, *((name, "reference", "–", "–", svg.number(level), "–", "–") for name, level in levels.items())]
        picture = svg.chart(drawn, title, "step", axis, " ".join(spoken))
        method = "Student's t over seeds" if statistic == "mean" else f"bootstrap over seeds, {REPLICATES} replicates"
        method = method if set(counts) - {1} else "1.96 of the standard errors logged beside it"
        logged_as = f"Line: {over}." if counts else "Line: the number that the learner logged."
        caption = logged_as if metric else "Nothing is logged yet."
        caption += f" Band: 95 % interval ({method})." if kinds else ""
        caption += f" Level lines, for comparison: {', '.join(map(svg.short, levels))}." if levels else ""
        smoothed = f", smoothed over {window:,}" if window > 1 else ""
        if window > 1:
            caption += f" Smoothed over the last {window:,} logged steps; the faint line is not smoothed."
        if any("not finite" in str(row[4]) for row in rows):
            caption += " A line breaks where a seed's value is not finite."
        last = f"last {statistic}{smoothed}"
        columns = ("run", "state", "seeds", "last step", last, "95 % interval", f"{statistic}, all steps")
        return picture + show.note(caption), table(columns, rows, f"{svg.short(metric, 200)} by run")

    def to_html(self) -> str:
        """The same view without a kernel: state, picture and table as one HTML fragment that loads nothing."""
        with self._follower.lock:
            picture, numbers = self._view(self._select())
            if self._live():
                picture += show.note("Taken while the run was going on; run the cell again for the rest.")
            return f"<div>{self._words()}{picture}{show.details('The numbers as a table', numbers)}</div>"

    def _repr_mimebundle_(self, **_) -> dict:
        return show.bundle(self.box, self.to_html(), f"RewardCurves of {', '.join(repr(run) for run in self.runs)}")
