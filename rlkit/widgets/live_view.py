"""LiveView: any picture of a run, drawn again while the run grows, with a Stop button."""

import ipywidgets as widgets

from rlkit.html import escape
from rlkit.runs import Run
from rlkit.widgets import show, svg
from rlkit.widgets.follow import LIVE, Follower


class LiveView:
    """What `draw(run)` returns, an HTML string, redrawn while `run` grows, at most five times a second.

    For pictures that RewardCurves does not draw. `box` is the widget, `to_html()` the static twin. Stop ends a live
    run between two steps. An error in draw is raised at once when the view is made, and by the handle's wait() later.
    Raises TypeError for anything else than a Run and a function.
    """

    def __init__(self, run: Run, draw):
        if not isinstance(run, Run) or not callable(draw):
            raise TypeError(f"run={svg.short(repr(run), 60)}, draw={draw!r:.60}: must be a Run and a function of it")
        self.run, self._draw = run, draw
        self.stop = show.button("Stop", self._end, "End the run between two steps; what it logged stays", "rlkit-stop")
        self.status, self.picture = widgets.HTML(), widgets.HTML()
        self.status.add_class("rlkit-status")
        self.box = widgets.VBox([show.row(self.stop, self.status), self.picture])
        self.box.add_class("rlkit-live-view")
        self._follower = Follower([run], self._redraw)

    def _redraw(self) -> None:
        show.visible(self.stop, self.run.handle is not None and self.run.state in LIVE)
        self.picture.value, self.status.value = self._draw(self.run), f"<span>{escape(self._words())}</span>"

    def _words(self) -> str:
        last, total = self.run.last_step, self.run.config.get("steps")
        of = f" of {total:,}" if isinstance(total, int) else ""
        return f"{self.run.state}, " + ("no step yet" if last is None else f"step {last:,}{of}")

    def _end(self) -> None:
        if self.run.handle is not None:
            self.run.handle.stop()
            self._follower.draw()

    def to_html(self) -> str:
        """The view as it is now, without a kernel."""
        return f"<div>{escape(self._words())}{self._draw(self.run)}</div>"

    def _repr_mimebundle_(self, **_) -> dict:
        return show.bundle(self.box, self.to_html(), f"LiveView of run {self.run.path.name}: {self._words()}")
