"""SampleInspector: what a language model wrote at each step, how it was judged, and what each token did."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from rlkit import paths
from rlkit.html import escape
from rlkit.runs import Run
from rlkit.widgets import heat, inspector_page, rollout_files, rollout_rows, show, svg
from rlkit.widgets.follow import LIVE, Follower
from rlkit.widgets.inspector_controls import NOTHING, Controls
from rlkit.widgets.samples import Samples

PROMPTS = 300  # in the menu of prompts that two steps share
STATIC_TOKENS = 100  # of each completion in the tables of the static twin


class Look(NamedTuple):
    """What is looked at, taken at one moment: a reader may change a control while a thread draws."""

    step: int | None
    found: rollout_rows.Index
    chosen: np.ndarray  # positions that pass the filter, in order
    here: list  # those on the page
    metric: str  # or NOTHING
    wrong: str  # what is wrong with what was typed


class SampleInspector:
    """The completions of a run, step by step: prompt, group, reward parts, advantage, finish reason, token heat maps.

    run: an rlkit.runs.Run whose rollouts are completions (kind "sample", or no kind), growing or ended; columns that
    it lacks are not offered. Filter, sort, search and page; look at one completion closely; compare a prompt at two
    steps; `export(path)` what passes the filter. `box` is the widget, `to_html()` the static twin. While the run is
    live it goes to each new step until the reader chooses a step, a page or a completion; a tick takes it back.
    Credit needs run.config["objective"] and torch. Raises TypeError for anything else than a Run.
    """

    def __init__(self, run: Run):
        if not isinstance(run, Run):
            raise TypeError(f"run={svg.short(repr(run), 80)}: must be a Run; a handle has its own as handle.run")
        self.run, self._samples = run, Samples(run)
        self.controls = Controls(
            changed=self._changed, refresh=lambda: self._follower.draw(), save=self._save, follow=run.state in LIVE
        )
        self.box = self.controls.box
        self._follower = Follower([run], self._redraw)

    def close(self) -> None:
        """Stop following the run; what is shown stays."""
        self._follower.close()

    def _changed(self, control) -> None:
        """What follows from a change by the reader."""
        c = self.controls
        with self._follower.lock:
            if control in c.places:
                c.put(c.follow, False)  # the reader has a place now: stay there
            if control in (c.step, *c.filters, c.order, c.size):
                c.put(c.page, 1)
            if control is c.step:
                c.put(c.closer, NOTHING)
            self._follower.draw()

    def _redraw(self) -> None:
        """Read the run and set the widgets; one thread at a time, the follower sees to that."""
        self._samples.read()
        c, steps, state = self.controls, self._samples.steps, self.run.state
        first = c.step.value is None
        c.offer(c.step, [(f"{step:,}", step) for step in steps])
        if steps and (first or c.follow.value) and c.step.value != steps[-1]:
            for control, value in ((c.step, steps[-1]), (c.page, 1), (c.closer, NOTHING)):
                c.put(control, value)
        show.visible(c.follow, state in LIVE)
        show.visible(c.refresh, state in ("unfinished", *LIVE) and self.run.handle is None)
        self._offer_what_is_there(c.step.value)
        look = self._look()
        c.offer(c.closer, [("nothing", NOTHING), *((self._line(look.found, i), i) for i in look.here)])
        c.offer(c.prompt, self._shared(look))
        c.status.value = f"<span>{escape(self._words(look))}</span>"
        c.legend.value, c.table.value = self._legend(look), self._page(look)
        c.close_up.value, c.changes.value = self._closely(look), self._comparison(look)

    def _offer_what_is_there(self, step) -> None:
        """Offer only what the step's columns allow."""
        c, found = self.controls, self._samples.index(step)
        metrics = [(heat.METRICS[metric].label, metric) for metric in self._samples.metrics(step)]
        c.offer(c.colour, [("nothing", NOTHING), *metrics])
        orders = [o for o, by in rollout_rows.ORDERS.items() if not by or by[0] in found.columns | {"length"}]
        c.offer(c.order, [(order, order) for order in orders])
        c.offer(c.other, [("none", NOTHING)] + [(f"{s:,}", s) for s in self._samples.steps if s != step])
        c.only_if(c.answer, "correct" in found.parts)
        c.only_if(c.finish, "finish_reason" in found.columns)
        for control in (c.group, c.low, c.high):
            c.only_if(control, "reward" in found.columns)
        show.visible(c.digits, bool(c.colour.value))
        show.visible(c.other, len(self._samples.steps) > 1)
        show.visible(c.prompt, c.other.value not in (None, NOTHING))

    def _look(self) -> Look:
        """What the controls ask for; sets how many pages there are."""
        c = self.controls
        step, size = c.step.value, c.size.value
        low, wrong_low = inspector_page.bound(c.low.value, "reward from")
        high, wrong_high = inspector_page.bound(c.high.value, "reward to")
        how = {"answer": c.answer.value, "group": c.group.value, "finish": c.finish.value, "low": low, "high": high}
        chosen = self._samples.select(step, **how, words=c.words.value, order=c.order.value)
        c.set_pages(max(1, -(-len(chosen) // size)))
        start = (c.page.value - 1) * size
        wrong = "; ".join(filter(None, (wrong_low, wrong_high)))
        return Look(
            step,
            self._samples.index(step),
            chosen,
            chosen[start : start + size].tolist(),
            c.colour.value or NOTHING,
            wrong,
        )

    def _line(self, found, i: int) -> str:
        words = inspector_page.plain(rollout_rows.text(found.rows[i], "completion"), 50)
        return f"{inspector_page.label(found, i)}: {words}"

    def _shared(self, look: Look) -> list:
        """What the menu of prompts offers: those that pass the filter and were drawn at the other step too."""
        other = self.controls.other.value
        shared = {} if other in (None, NOTHING) else self._samples.shared(look.step, other, look.chosen, PROMPTS)
        rows = look.found.rows
        lines = [(inspector_page.plain(rollout_rows.text(rows[i], "prompt"), 70), p) for p, i in shared.items()]
        return lines or [("none", NOTHING)]

    def _words(self, look: Look) -> str:
        if not self._samples.steps:
            return f"{self.run.state}; no completions are logged yet"
        return "; ".join(filter(None, (self.run.state, inspector_page.summary(look.found, look.chosen), look.wrong)))

    def _legend(self, look: Look) -> str:
        step, metric = look.step, look.metric
        if metric == NOTHING:
            return ""
        credit = show.note(self._samples.credit(step, metric)[1]) if metric.startswith("credit") else ""
        return heat.legend(metric, self._samples.limit(step, metric)) + credit

    def _body(self, look: Look, i: int) -> str:
        """Completion i as a heat map, or as text."""
        row, metric = look.found.rows[i], look.metric
        if metric == NOTHING or not rollout_rows.tokens(row):
            return inspector_page.passage(rollout_rows.text(row, "completion"))
        values, top = self._samples.values(look.step, i, metric), self._samples.limit(look.step, metric)
        return heat.heat_map(row, values, metric, top, self.controls.digits.value)

    def _page(self, look: Look) -> str:
        c = self.controls
        if not self._samples.steps:
            return ""
        caption = f"step {look.step:,}, page {c.page.value:,} of {c.page.max:,}, {c.order.value}"
        return inspector_page.page(look.found, look.here, lambda i: self._body(look, i), caption)

    def _columns(self, look: Look, i: int) -> dict:
        """All metrics of one completion, but credit only if it is chosen: it costs more and needs torch."""
        names = [m for m in self._samples.metrics(look.step) if not m.startswith("credit") or m == look.metric]
        return {metric: self._samples.values(look.step, i, metric) for metric in names}

    def _closely(self, look: Look) -> str:
        i = self.controls.closer.value
        return inspector_page.closely(look.found, i, self._columns(look, i)) if i in look.here else ""

    def _comparison(self, look: Look) -> str:
        other, problem = self.controls.other.value, self.controls.prompt.value
        if other in (None, NOTHING, look.step):
            return ""
        names = {look.step: "index", other: "other"}
        sides = [self._samples.of_prompt(step, problem, names[step]) for step in sorted(names)]
        if not all(sides):
            return show.note(f"No prompt that passes the filter was drawn at step {other:,} too.")
        return inspector_page.comparison(sorted(names), *sides)

    def export(self, path) -> Path:
        """Write the completions that pass the filter, in the order shown, to a .csv or .jsonl file; returns its path.

        path: relative to the repository, else the working folder; an existing file is replaced. JSONL is exact; in CSV,
        text that a spreadsheet would take for a formula gets an apostrophe in front. Raises ValueError for other files,
        and if no completion passes the filter.
        """
        with self._follower.lock:
            look = self._look()
            if not len(look.chosen):
                raise ValueError("no completion passes the filter: nothing to write")
            return rollout_files.save([look.found.rows[i] for i in look.chosen], paths.home() / path)

    def _save(self, ending: str) -> None:
        """What the buttons do: write to the file named, or next to the run's folder; nothing is overwritten."""
        named = self.controls.file.value.strip()
        own = self.run.path.parent / f"{self.run.path.name}-step-{self.controls.step.value}"
        path = paths.home() / named if named else own
        path = path if path.suffix == ending else path.with_name(path.name + ending)
        try:
            words = f"Saved: {self.export(rollout_files.unused(path))}"
        except (OSError, ValueError) as error:
            words = f"Not saved: {error}"
        self.controls.saved.value = f"<span>{escape(svg.short(words, 300))}</span>"

    def to_html(self) -> str:
        """The page as it is now, without a kernel: state, filter, completions, and their tokens as tables."""
        with self._follower.lock:
            look = self._look()
            page = show.note(self._words(look)) + show.note(self.controls.filter_words())
            page += self._legend(look) + self._page(look) + self._closely(look) + self._comparison(look)
            twins = ""
            for i in look.here if self._samples.metrics(look.step) else ():
                name = inspector_page.label(look.found, i)
                twins += heat.token_table(look.found.rows[i], self._columns(look, i), STATIC_TOKENS, name)
            return f"<div>{page}{show.details('The tokens of this page as tables', twins) if twins else ''}</div>"

    def _repr_mimebundle_(self, **_) -> dict:
        with self._follower.lock:
            look = self._look()
            plain = f"SampleInspector of run {self.run.path.name}, step {look.step}: {self._words(look)}"
            return show.bundle(self.box, self.to_html(), plain)
