"""MemoryGauge: what a run occupies, part by part, against what its device holds; live while the run grows."""

from typing import NamedTuple

import ipywidgets as widgets
import numpy as np

from rlkit.html import UNITS, escape, size, table, unit
from rlkit.runs import Run
from rlkit.widgets import show, svg
from rlkit.widgets.follow import LIVE
from rlkit.widgets.gauge_rules import Gauge
from rlkit.widgets.gauges import sparkline
from rlkit.widgets.live_view import LiveView
from rlkit.widgets.memory_bar import ELSE, PARTS, bar

CPU = "CPU"
MOST = 1e18  # bytes; what claims to be more is no size
_CARD = "box-sizing:border-box;width:254px;padding:6px 8px;margin:0 8px 8px 0;border-radius:4px"
_CARD += ";border:1px solid rgba(128,128,128,0.5);font-size:12px;line-height:1.35"
WRAP = "wrap the learner in lm.watched(learner, model)"
DESCRIBE = "put rlkit.lm.watching.described(model) into the run's config['memory']"


def share(part: float, whole: float) -> str:
    """part / whole in per cent, two digits below 10; what is there but tiny reads as less than 0.1 %."""
    percent = 100 * part / whole
    return "< 0.1 %" if 0 < percent < 0.1 else f"{float(f'{percent:.2g}') if percent < 10 else round(percent):g} %"


def planned(run: Run) -> tuple[dict | None, str]:
    """(run.config["memory"] as rlkit.lm.watching.described writes it, or None; what is wrong with it, or nothing)."""
    found, kept = run.config.get("memory"), {}
    if found is None:
        return None, ""
    for name in (*PARTS, "used", "limit", "device"):
        kept[name] = value = found.get(name) if isinstance(found, dict) else None
        good = type(value) in (int, float) and 0 <= value < MOST and (value > 0 or name != "limit")
        if not (isinstance(value, str) if name == "device" else good):
            told = "text" if name == "device" else "a number of bytes"
            return None, f"config['memory']: {name}={svg.short(repr(value), 40)}: must be {told}."
    return kept, ""


def measured(run: Run, metric: str) -> tuple[np.ndarray, np.ndarray] | None:
    """(steps [N], values [N, S]) of a metric where all its values are 0 or more; None where there is no such step."""
    if metric not in run.metric_names:
        return None
    steps, values = run.series(metric)
    good = ((values >= 0) & (values < MOST)).all(axis=1)
    return (steps[good], values[good]) if good.any() else None


def split(plan: dict, peak: float | None = None) -> dict:
    """Part -> bytes, in the order of the bar. With a peak: everything else = max(0, peak - the parts of the plan)."""
    parts = {name: plan[name] for name in PARTS}
    return parts if peak is None else parts | {ELSE: max(0.0, peak - sum(parts.values()))}


class Reading(NamedTuple):
    """What a run says of its memory: plan and problem (as `planned`), peaks and seconds (as `measured`)."""

    plan: dict | None
    problem: str
    peaks: tuple | None
    seconds: tuple | None

    @property
    def peak(self) -> float | None:
        """The highest memory_peak so far, in bytes."""
        return None if self.peaks is None else float(self.peaks[1].max())


def read(run: Run) -> Reading:
    """The Reading of a run as it is now."""
    return Reading(*planned(run), measured(run, "memory_peak"), measured(run, "step_seconds"))


def headline(now: Reading) -> str:
    """Peak or plan and its share of what the device holds, in one line of plain text; empty if neither is known."""
    if now.plan is None:
        return "" if now.peaks is None else f"Peak {size(now.peak)}"
    kind, total = ("Planned", sum(split(now.plan).values())) if now.peaks is None else ("Peak", now.peak)
    return f"{kind} {size(total)}: {share(total, now.plan['limit'])} of {size(now.plan['limit'])} ({_place(now.plan)})"


def _place(plan: dict) -> str:
    return "memory of the machine" if plan["device"] == CPU else svg.short(plan["device"], 40)


def note(now: Reading) -> str:
    """What the bar counts, or what is missing and how to get it, in plain text."""
    if now.plan is None:
        known = now.peaks is not None
        return f"Its parts are not known: {DESCRIBE}." if known else f"No memory is known: {WRAP}, and {DESCRIBE}."
    if now.peaks is None:
        return f"A plan, nothing is measured yet. To measure each step, {WRAP}."
    before, model = size(now.plan["used"]), sum(split(now.plan).values())
    if model > now.peak:
        return f"The parts add up to {size(model)}, more than the peak: they were not all there at once."
    if now.plan["device"] == CPU:
        return (
            "On a CPU the peak is what the whole process occupies, so everything else is mostly Python and its "
            f"libraries: {before} were in use before training. Activations and the sampler's keys and values are in it."
        )
    return (
        "Everything else: activations, the sampler's keys and values, workspaces. Tensors of torch are counted; the "
        f"driver and what torch holds unused come on top. {before} were in use before training."
    )


def _card(name: str, words: str, series: tuple, low: float) -> str:
    """A metric's words above its values over the steps; the scale reaches from low, or less, to the highest value."""
    gauge = Gauge(name, (name,), name, (), span=(low, float(series[1].max()) or 1.0))
    drawn = sparkline(gauge, {name: series}, words)
    return f'<div style="{_CARD}"><b>{escape(name)}</b><br>{escape(words)}{drawn}</div>'


def picture(now: Reading) -> str:
    """Headline, bar, note, and a card each for the peaks and the seconds, as HTML."""
    words, parts = headline(now), {} if now.plan is None else split(now.plan, now.peak)
    page = f'<div style="font-size:16px;line-height:1.6">{escape(words)}</div>' if words else ""
    if any(parts.values()):
        spoken = ", ".join(f"{name} {size(count)}" for name, count in parts.items())
        page += bar(parts, now.plan["limit"], f"{words}: {spoken}")
    page += (show.note(now.problem) if now.problem else "") + show.note(note(now))
    cards = ""
    if now.peaks is not None:
        steps, values = now.peaks
        name, words = unit(now.peak), f"{size(values[-1].max())} newest, {size(now.peak)} highest"
        scaled = values / UNITS[name]  # the scale spans at least 5 %, so that noise is not blown up
        cards += _card(f"memory peak in {name}", words, (steps, scaled), 0.95 * float(scaled.max()))
    if now.seconds is not None:
        steps, values = now.seconds
        name, factor = ("milliseconds", 1e3) if values.max() < 0.1 else ("seconds", 1.0)
        words = (
            f"{svg.number(factor * values[-1].mean(), 3)} newest, {svg.number(factor * np.median(values), 3)} median"
        )
        cards += _card(f"{name} a step", words, (steps, factor * values), 0.0)
    return page + f'<div style="display:flex;flex-wrap:wrap;align-items:stretch">{cards}</div>' if cards else page


def numbers(now: Reading) -> str:
    """All of it as a table, HTML, with the parts that are too small to be seen in the bar; empty without any."""
    rows = []
    if now.plan is not None:
        parts, of = split(now.plan, now.peak), "the plan" if now.peaks is None else "the peak"
        said, total = PARTS | {ELSE: "the peak minus the parts above, at least 0"}, now.peak or sum(parts.values()) or 1
        rows += [(name, size(count), f"{share(count, total)} of {of}", said[name]) for name, count in parts.items()]
        rows.append(("in use before", size(now.plan["used"]), "", "when the model was described, before training"))
        rows.append(("limit", size(now.plan["limit"]), "", f"what there is: {_place(now.plan)}"))
    if now.peaks is not None:
        steps, values = now.peaks
        rows.append(("highest peak", size(now.peak), "", f"of {len(steps):,} steps"))
        rows.append(("newest peak", size(values[-1].max()), "", f"of step {steps[-1]:,}"))
    if now.seconds is not None:
        steps, values = now.seconds
        rows.append(("newest seconds", svg.number(values[-1].mean(), 3), "", f"of step {steps[-1]:,}"))
        rows.append(("median seconds", svg.number(np.median(values), 3), "", f"of {len(steps):,} steps"))
    return table(("what", "value", "share", "meaning"), rows, "Memory and seconds of the run") if rows else ""


class MemoryGauge(LiveView):
    """What a run occupies: a bar by part against what the device holds, the peak of each step, and seconds a step.

    run: an rlkit.runs.Run, growing or ended. config["memory"] is what rlkit.lm.watching.described(model) returns, the
    metrics memory_peak (bytes) and step_seconds come from lm.watched(learner, model); what is missing is said. Without
    a peak the bar shows the plan. GB are 10^9 bytes. `box` is the widget, `to_html()` the static twin. Raises TypeError
    for anything else than a Run.
    """

    def __init__(self, run: Run):
        if not isinstance(run, Run):
            raise TypeError(f"run={svg.short(repr(run), 80)}: must be a Run; a handle has its own as handle.run")
        self.numbers = show.labelled(widgets.Checkbox, "show as table", indent=False, layout={"width": "140px"})
        self.refresh = show.button("Refresh", self._again, "Read again what the run has logged", "rlkit-refresh")
        self.twin = widgets.HTML()
        super().__init__(run, lambda run: picture(read(run)))
        self.box.children[0].children = [self.stop, self.refresh, self.numbers, self.status]
        self.box.children = [*self.box.children, self.twin]
        self.box.add_class("rlkit-memory")
        self.numbers.observe(lambda _: self._again(), "value")

    def _again(self) -> None:
        self._follower.draw()

    def _redraw(self) -> None:
        super()._redraw()
        show.visible(self.refresh, self.run.handle is None and self.run.state in ("unfinished", *LIVE))
        self.twin.value = numbers(read(self.run)) if self.numbers.value else ""

    def to_html(self) -> str:
        """The gauge without a kernel: state, bar, peaks, seconds and the table as one HTML fragment."""
        with self._follower.lock:
            found = numbers(read(self.run))
            return super().to_html() + (show.details("The memory as a table", found) if found else "")

    def _repr_mimebundle_(self, **_) -> dict:
        said = headline(read(self.run)) or "nothing to show"
        return show.bundle(self.box, self.to_html(), f"Memory of run {self.run.path.name}, {self._words()}: {said}")
