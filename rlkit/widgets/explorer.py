"""Explorer: a picture with knobs; what `interact` does, with errors one can see and a static twin."""

import ipywidgets as widgets

from rlkit import checks
from rlkit.html import escape
from rlkit.widgets import show, svg


def _control(name: str, values):
    """The control for one knob, by the kind of `values`."""
    label = name.replace("_", " ")
    if isinstance(values, bool):
        return show.labelled(widgets.Checkbox, label, value=values, indent=False)
    if isinstance(values, range) and len(values):
        bounds = {"min": values[0], "max": values[-1], "step": values.step, "value": values[0]}
        return show.labelled(widgets.IntSlider, label, continuous_update=False, **bounds)
    options = list(values.items()) if isinstance(values, dict) else values
    if not isinstance(options, list | tuple) or not options:
        checks.fail(name, values, "True or False, a range, a list or a dictionary, not empty")
    if not isinstance(values, dict):
        options = [(svg.number(v) if isinstance(v, int | float) else svg.short(v, 40), v) for v in values]
    return show.labelled(widgets.Dropdown, label, options=options, value=options[0][1])


class Explorer:
    """What `draw(**knobs)` returns, an HTML string, drawn again at each change of a knob.

        Explorer(picture, problem={"easy": 0, "hard": 1}, N=[100, 1_000], log_number=range(50), truth=False)

    A list or a dictionary (label -> value) makes a menu, a range a slider, True or False a box to tick. Each starts
    at its first value, or at start[knob]. `box` is the widget, `to_html()` the static twin, `values()` the knobs as
    they stand. An error in draw is raised when the explorer is made; after a change it is shown in the picture's
    place, and raised too. Raises TypeError if draw is not a function, ValueError for a knob that is none of these.
    """

    def __init__(self, draw, /, start: dict | None = None, **knobs):
        if not callable(draw):
            raise TypeError(f"draw={draw!r:.60}: must be a function of the knobs that returns HTML")
        self._draw, self.controls = draw, {name: _control(name, values) for name, values in knobs.items()}
        for name, value in (start or {}).items():
            self.controls[checks.one_of("start", name, list(self.controls))].value = value
        self.picture = widgets.HTML(draw(**self.values()))
        self.box = widgets.VBox([show.row(*self.controls.values()), self.picture])
        self.box.add_class("rlkit-explorer")
        for control in self.controls.values():
            control.observe(self._changed, "value")

    def values(self) -> dict:
        """Knob -> value, as they stand."""
        return {name: control.value for name, control in self.controls.items()}

    def _changed(self, _) -> None:
        try:
            self.picture.value = self._draw(**self.values())
        except Exception as error:
            # A front end shows no error of a callback, and the old picture would pass for the new one.
            self.picture.value = f"<p><b>{escape(type(error).__name__)}</b>: {escape(svg.short(error, 300))}</p>"
            raise

    def _words(self) -> str:
        return ", ".join(f"{c.description}: {getattr(c, 'label', c.value)}" for c in self.controls.values())

    def to_html(self) -> str:
        """The picture as it stands and its knobs in words, without a kernel."""
        return f"<div>{show.note(self._words())}{self._draw(**self.values())}</div>"

    def _repr_mimebundle_(self, **_) -> dict:
        return show.bundle(self.box, self.to_html(), f"Explorer ({self._words()})")
