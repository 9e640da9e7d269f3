"""The controls of SampleInspector: what they are called, where they stand, and how they are set without acting."""

import contextlib
import threading

import ipywidgets as widgets

from rlkit.widgets import rollout_rows, show

SIZES = (4, 8, 16, 32, 64)
# Not None: for a menu that is no choice at all, and a front end shows it blank.
NOTHING = ""


def _menu(name: str, options, width: int) -> widgets.Dropdown:
    return show.labelled(widgets.Dropdown, name, options=options, layout={"width": f"{width}px"})


def _field(name: str, hint: str, width: int) -> widgets.Text:
    layout = {"width": f"{width}px"}
    return show.labelled(widgets.Text, name, placeholder=hint, continuous_update=False, layout=layout)


class Controls:
    """Menus, fields, buttons and the places for what is shown; `box` holds them all.

    changed(control): called when the reader changes one. refresh(), save(ending): what the buttons do. follow: whether
    "go to each new step" is ticked at first.
    """

    def __init__(self, changed, refresh, save, follow: bool):
        self._setting = None  # the thread that sets controls itself; the reader's changes come from another
        self.step = _menu("step", [], 150)
        self.follow = show.labelled(widgets.Checkbox, "go to each new step", indent=False, value=follow)
        self.refresh = show.button("Refresh", refresh, "Read again what the run has logged", "rlkit-refresh")
        self.answer = _menu("answer", [(name, name) for name in rollout_rows.ANSWERS], 180)
        self.group = _menu("group", [(name, name) for name in rollout_rows.GROUPS], 170)
        self.finish = _menu("finish", [(name, name) for name in rollout_rows.FINISHES], 150)
        self.low, self.high = _field("reward from", "lowest", 150), _field("reward to", "highest", 140)
        self.words = _field("find", "text in prompt or completion", 270)
        self.order = _menu("sort", [(name, name) for name in rollout_rows.ORDERS], 250)
        self.colour = _menu("colour tokens by", [("nothing", NOTHING)], 340)
        self.digits = show.labelled(widgets.Checkbox, "numbers under the tokens", indent=False)
        self.first = show.button("First", lambda: self.turn(1), "The first page")
        self.previous = show.button("Previous", lambda: self.turn(self.page.value - 1), "One page back")
        self.page = show.labelled(widgets.BoundedIntText, "page", min=1, max=1, layout={"width": "130px"})
        self.page.layout.margin = "2px 12px"
        self.next = show.button("Next", lambda: self.turn(self.page.value + 1), "One page on", "rlkit-next")
        self.last = show.button("Last", lambda: self.turn(self.page.max), "The last page")
        self.size = _menu("per page", [(f"{n} completions", n) for n in SIZES], 200)
        self.size.value = 8
        self.closer = _menu("look closely at", [("nothing", NOTHING)], 640)
        self.other = _menu("compare with step", [("none", NOTHING)], 240)
        self.prompt = _menu("prompt", [("none", NOTHING)], 560)
        self.file = _field("file", "next to the run's folder", 320)
        self.csv = show.button("Save CSV", lambda: save(".csv"), "What passes the filter, for a spreadsheet")
        self.jsonl = show.button("Save JSONL", lambda: save(".jsonl"), "What passes the filter, exactly as logged")
        self.status, self.legend, self.table = (widgets.HTML() for _ in range(3))
        self.close_up, self.changes, self.saved = (widgets.HTML() for _ in range(3))
        self.status.add_class("rlkit-status")
        self.filters = (self.answer, self.group, self.finish, self.low, self.high, self.words)
        self.places = (self.step, self.page, self.closer, self.other, self.prompt)  # choosing one is taking a place
        self.box = widgets.VBox(
            [
                show.row(self.step, self.follow, self.refresh, self.status),
                show.row(*self.filters[:-1]),
                show.row(self.words, self.order, self.size),
                show.row(self.colour, self.digits),
                self.legend,
                show.row(self.first, self.previous, self.page, self.next, self.last),
                self.table,
                show.row(self.closer),
                self.close_up,
                show.row(self.other, self.prompt),
                self.changes,
                show.row(self.file, self.csv, self.jsonl, self.saved),
            ]
        )
        self.box.add_class("rlkit-inspector")
        for control in (*self.places, *self.filters, self.follow, self.order, self.size, self.colour, self.digits):
            control.observe(lambda change: self._by_reader() and changed(change["owner"]), "value")

    @contextlib.contextmanager
    def quiet(self):
        """Inside, a change of a control is not taken for one by the reader."""
        before, self._setting = self._setting, threading.get_ident()
        try:
            yield
        finally:
            self._setting = before

    def _by_reader(self) -> bool:
        return self._setting != threading.get_ident()

    def put(self, control, value) -> None:
        """Set a control quietly."""
        with self.quiet():
            control.value = value

    def offer(self, control, options: list) -> None:
        """Change what a menu offers ((label, value) each) and keep what is chosen, if it is still there."""
        if list(control.options) != options:
            with self.quiet():
                chosen = control.value
                control.options = options
                values = [value for _, value in options]
                control.value = chosen if chosen in values else next(iter(values), None)

    def turn(self, page: int) -> None:
        """Go to a page, as the reader."""
        self.page.value = max(1, min(page, self.page.max))

    def set_pages(self, pages: int) -> None:
        """So many pages there are now."""
        with self.quiet():
            self.page.value = min(self.page.value, pages)
            self.page.max = pages
        for control, end in ((self.first, 1), (self.previous, 1), (self.next, pages), (self.last, pages)):
            control.disabled = self.page.value == end

    def only_if(self, control, there: bool) -> None:
        """Show a filter only where its column is there; one that is hidden filters nothing."""
        show.visible(control, there)
        if not there:
            self.put(control, "" if isinstance(control, widgets.Text) else "all")

    def filter_words(self) -> str:
        """The filter and the order, in words."""
        chosen = [control for control in (*self.filters, self.order) if control.value not in ("all", "")]
        return ", ".join(f"{control.description}: {getattr(control, 'label', control.value)}" for control in chosen)
