"""Gauges: the rack that every run with verifiable rewards shows, live while it grows, static when read later."""

import ipywidgets as widgets
import numpy as np

from rlkit.html import COLOURS, escape, table
from rlkit.runs import Run
from rlkit.widgets import show, svg
from rlkit.widgets.follow import LIVE, Follower
from rlkit.widgets.gauge_rules import GAUGES, NONE, OUT, Gauge, Reading, loss_words, newest, read, spread

WIDTH, HEIGHT = 236, 74  # of a sparkline, in px
_CARD = "box-sizing:border-box;padding:6px 8px;margin:0 8px 8px 0;border-radius:4px"
_SMALL, _EDGE = "font-size:12px;line-height:1.35", "1px solid rgba(128,128,128,0.5)"


def sparkline(gauge: Gauge, series: dict, spoken: str) -> str:
    """The gauge's metrics over the steps as a small SVG with both ends of its scale in digits.

    The scale covers all values and at least gauge.span, so that noise is not blown up. Line: mean over seeds; band:
    lowest to highest seed; dotted: the edge of the sane range, where the scale reaches it.
    """
    found = [series[metric] for metric in gauge.metrics if metric in series]
    left, right, top, bottom = 52.0, WIDTH - 8.0, 6.0, HEIGHT - 18.0
    values = [svg.finite(v) for _, v in found]
    every = np.concatenate([v[~np.isnan(v)] for v in values] + [np.array(gauge.span)])
    low, high = float(every.min()), float(every.max())
    steps = np.concatenate([s for s, _ in found])
    first, last = float(steps.min()), float(steps.max())

    def at_x(s):
        return left + (s - first) / (last - first) * (right - left) if last > first else np.full(len(s), right)

    def at_y(v):
        return bottom - (v - low) / (high - low) * (bottom - top)

    parts = [
        svg.text(left - 5, top + 6, svg.number(high, 3), "end"),
        svg.text(left - 5, bottom + 2, svg.number(low, 3), "end"),
    ]
    parts.append(f'<path d="M{left} {top}V{bottom}H{right}" stroke="currentColor" stroke-opacity="0.5"/>')
    for edge in (gauge.low, gauge.high):
        if edge is not None and low < edge < high:
            y = float(at_y(edge))
            parts.append(f'<path d="M{left} {y:.1f}H{right}" stroke="currentColor" stroke-dasharray="1 3"/>')
    for i, ((s, _), v) in enumerate(zip(found, values, strict=True)):
        line = v.mean(axis=1)
        keep = svg.thin(line, 160)
        x, good = at_x(s[keep]), ~np.isnan(v[keep]).any(axis=1)
        if v.shape[1] > 1:
            bounds = [np.where(good, at_y(f(v[keep], axis=1)), np.nan) for f in (np.min, np.max)]
            parts.append(f'<path d="{svg._band(x, *bounds)}" fill="{COLOURS[i]}" fill-opacity="0.25"/>')
        parts.append(f'<path d="{svg.path(x, at_y(line[keep]))}" {svg.stroke(i, 1.8)}/>')
        there = np.flatnonzero(good)
        if len(there):
            parts.append(svg.marker(i, float(x[there[-1]]), float(at_y(line[keep][there[-1]]))))
    parts.append(svg.text(left, HEIGHT - 4, f"step {svg.number(first)}", "start", 'font-size="10"'))
    parts.append(svg.text(right, HEIGHT - 4, svg.number(last), "end", 'font-size="10"'))
    return svg.frame("".join(parts), WIDTH, HEIGHT, f"{gauge.name} by step", spoken)


def card(gauge: Gauge, reading: Reading, series: dict) -> str:
    """One gauge as HTML: name, newest value, its spread over seeds, sparkline, state and meaning."""
    spoken = f"{gauge.name}: {newest(reading)}. {reading.state}: {reading.words}."
    picture = sparkline(gauge, series, spoken) if reading.state != NONE else ""
    edge = f"2px solid {COLOURS[1]}" if reading.state == OUT else _EDGE
    over = f'<div style="{_SMALL};opacity:0.85">{escape(spread(reading))}</div>' if spread(reading) else ""
    return (
        f'<div style="{_CARD};width:254px;border:{edge}"><div style="{_SMALL};opacity:0.85"><b>{gauge.name}</b>, '
        f"{escape(gauge.what)}</div>"
        f'<div style="font-size:20px;line-height:1.4">{escape(newest(reading))}</div>{over}{picture}'
        f'<div style="{_SMALL}"><b>{reading.state}</b>: {escape(reading.words)}</div></div>'
    )


class Gauges:
    """The rack of gauges of a run: reward, dead groups, truncation, entropy, KL, ratios, gradient norm, and the loss.

    run: an rlkit.runs.Run, growing or ended; metrics named as rlvr.train names them, each one number or one per seed.
    A metric that is missing shows as not logged. `box` is the widget, `to_html()` the static twin. Raises TypeError for
    anything else than a Run.
    """

    def __init__(self, run: Run):
        if not isinstance(run, Run):
            raise TypeError(f"run={svg.short(repr(run), 80)}: must be a Run; a handle has its own as handle.run")
        self.run = run
        self.numbers = show.labelled(widgets.Checkbox, "show as table", indent=False, layout={"width": "140px"})
        self.stop = show.button("Stop", self._end, "End the run between two steps; what it logged stays", "rlkit-stop")
        self.refresh = show.button("Refresh", self._draw, "Read again what the run has logged", "rlkit-refresh")
        self.status, self.rack, self.twin = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.status.add_class("rlkit-status")
        controls = show.row(self.stop, self.refresh, self.numbers, self.status)
        self.box = widgets.VBox([controls, self.rack, self.twin])
        self.box.add_class("rlkit-gauges")
        self.numbers.observe(lambda _: self._draw(), "value")
        self._follower = Follower([run], self._redraw)

    def close(self) -> None:
        """Stop following the run; what is shown stays."""
        self._follower.close()

    def _draw(self) -> None:
        self._follower.draw()

    def _end(self) -> None:
        if self.run.handle is not None:
            self.run.handle.stop()
            self._draw()

    def _redraw(self) -> None:
        live = self.run.handle is not None and self.run.state in LIVE
        show.visible(self.stop, live)
        show.visible(self.refresh, not live and self.run.state in ("unfinished", *LIVE))
        self.status.value = f"<span>{escape(self._words())}</span>"
        rack, numbers = self._view()
        self.rack.value, self.twin.value = rack, numbers if self.numbers.value else ""

    def _words(self) -> str:
        last = self.run.last_step
        return f"{self.run.state}, " + ("no step yet" if last is None else f"step {last:,}")

    def readings(self) -> dict[str, Reading]:
        """Gauge's name -> its Reading now."""
        series = self._series()
        return {gauge.name: read(gauge, series) for gauge in GAUGES}

    def _series(self) -> dict:
        wanted = {"loss"}.union(*(gauge.metrics for gauge in GAUGES))
        return {metric: self.run.series(metric) for metric in self.run.metric_names if metric in wanted}

    def _view(self) -> tuple[str, str]:
        """(the rack, the same as a table), both HTML."""
        series = self._series()
        made = [(gauge, read(gauge, series)) for gauge in GAUGES]
        cards = "".join(card(gauge, reading, series) for gauge, reading in made)
        words = escape(loss_words(series, self.run.config.get("objective")))
        # The loss takes what is left of the last row, and is no gauge: it has no scale.
        cards += (
            f'<div style="{_CARD};{_SMALL};border:{_EDGE};flex:1 1 254px;max-width:778px"><b>loss</b>: {words}</div>'
        )
        rack = f'<div style="display:flex;flex-wrap:wrap;align-items:stretch">{cards}</div>'
        rows = [(gauge.name, newest(r), spread(r) or "–", r.state, r.words, gauge.what) for gauge, r in made]
        columns = ("gauge", "newest", "over seeds", "state", "meaning", "what it is")
        return rack, table(columns, rows, f"Gauges, {self._words()}")

    def to_html(self) -> str:
        """The rack without a kernel: state, gauges and the table as one HTML fragment."""
        with self._follower.lock:
            rack, numbers = self._view()
            return f"<div>{escape(self._words())}{rack}{show.details('The gauges as a table', numbers)}</div>"

    def _repr_mimebundle_(self, **_) -> dict:
        words = "; ".join(f"{name} {newest(r)} ({r.state})" for name, r in self.readings().items())
        return show.bundle(self.box, self.to_html(), f"Gauges of run {self.run.path.name}, {self._words()}: {words}")
