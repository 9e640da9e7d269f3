"""PreferenceLabeller: two completions of one prompt side by side, and a person who says which is better."""

import threading
import time

import ipywidgets as widgets

from rlkit.html import COLOURS, escape, table
from rlkit.rlhf.labels import Labels, Share
from rlkit.widgets import inspector_page, show, svg

TOO_SOON = 0.25  # s after a pair appears: nobody has read it, so a click is the second half of a double one
LINES = 200  # of a completion; what is cut is said
LAST = 10  # answers in the table beside the pair; the static twin has all
COLUMNS = ("no.", "prompt", "A, left", "B, right", "answer")
KEYS = {"ArrowLeft": "a", "a": "a", "ArrowRight": "b", "b": "b", "s": "skip", "u": "undo"}
HINT = "Keys: ← or A, → or B, S to skip, U to undo. They act while the frame is lit: click into it, or Tab there."
# A style sheet loads when it stands in the page, so its box is there too. The box takes the keys of all that is in it,
# presses the buttons for them, and tells JupyterLab that they are not its own (A and B would insert cells).
_ON_LOAD = (
    "const box = this.closest('.rlkit-labeller'); if (box && !box.dataset.keys) {"
    "box.dataset.keys = 'on'; box.dataset.lmSuppressShortcuts = 'true'; box.tabIndex = 0;"
    "box.setAttribute('role', 'group'); box.setAttribute('aria-label', 'Which completion is better?');"
    "box.addEventListener('keydown', event => {"
    f"const name = {KEYS}[event.key.length > 1 ? event.key : event.key.toLowerCase()];"
    "const typing = ['INPUT', 'TEXTAREA'].includes(event.target.tagName) && event.target.type !== 'checkbox';"
    "if (!name || typing || event.ctrlKey || event.altKey || event.metaKey) return;"
    "event.preventDefault(); event.stopPropagation();"
    "if (!event.repeat) box.querySelector('.rlkit-' + name).click(); }); }"
)
_LIT = f"outline: 2px solid {COLOURS[0]}; outline-offset: -2px"  # inside: an output area cuts off what is outside
_STYLE = f".rlkit-labeller {{ padding: 6px }} .rlkit-labeller:focus-within {{ {_LIT} }}"


def _words(found: Share) -> str:
    percent = (f"{100 * value:.0f} %" for value in (found.k / found.n, found.low, found.high))
    return "{} of {} ({}; 95 % interval {} to {})".format(found.k, found.n, *percent)


def pane(name: str, text: str) -> str:
    """One completion in a frame with its name above it, as HTML; a long one is cut, and that is said."""
    frame = "flex:1 1 260px;min-width:0;border:1px solid currentColor;border-radius:4px;padding:6px 10px"
    body = inspector_page.passage(text, inspector_page.WHOLE, LINES)
    return f'<div role="group" aria-label="{escape(name)}" style="{frame}"><b>{escape(name)}</b>{body}</div>'


class PreferenceLabeller:
    """Which of two completions is better? One click or key an answer, each kept in a file before the next pair shows.

        labeller = PreferenceLabeller(problems, a, b, "runs/labels.jsonl", seed=0)
        labeller.preferences()                       # rows for write_preferences, a reward model, DPO

    prompts [N]: texts, or problems of a task; a, b [N]: two different completions of each. seed: draws which one stands
    at the left, and which pairs, a share `repeats` of them, are shown twice: how often a person agrees with themselves
    bounds how well any model can agree with them. path: a .jsonl file, relative to the repository, else to the working
    folder; with answers in it, the labeller goes on after them.

    Keys: left arrow or A, right arrow or B, S skips, U takes the last answer back. A click within a quarter of a second
    after a pair appears is taken for the second half of a double click and ignored. `box` is the widget, `to_html()`
    the static twin with all answers as a table, `labels` what is kept (rlkit.rlhf.labels.Labels). It never waits;
    `answer_all` lets a function answer. Errors as Labels.
    """

    def __init__(self, prompts: list, a: list, b: list, path="runs/labels.jsonl", *, seed: int = 0, repeats=0.1):
        self.labels, self._lock = Labels(prompts, a, b, path, seed=seed, repeats=repeats), threading.RLock()
        self.buttons = {
            "a": show.button("← A is better", lambda: self._click("a"), "The left one (left arrow, A)", "rlkit-a"),
            "b": show.button("B is better →", lambda: self._click("b"), "The right one (right arrow, B)", "rlkit-b"),
            "skip": show.button("Skip", lambda: self._click("skip"), "Give no answer to this pair (S)", "rlkit-skip"),
            "undo": show.button("Undo", lambda: self._click("undo"), "Take the last answer back (U)", "rlkit-undo"),
        }
        self.numbers = show.labelled(widgets.Checkbox, "show answers as table", indent=False, layout={"width": "auto"})
        self.status, self.pair, self.twin = widgets.HTML(), widgets.HTML(layout={"width": "auto"}), widgets.HTML()
        self.status.add_class("rlkit-status")
        self._keys = widgets.HTML(f'{show.note(HINT)}<style onload="{escape(_ON_LOAD)}">{_STYLE}</style>')
        children = [self.pair, show.row(*self.buttons.values()), self._keys, self.status, self.numbers, self.twin]
        self.box = widgets.VBox(children)
        self.box.add_class("rlkit-labeller")
        self.numbers.observe(lambda _: self._draw(), "value")
        self._draw()

    def _click(self, name: str) -> None:
        """What the buttons do. An error stands where the reader looks, and is raised too."""
        with self._lock:
            seconds = time.monotonic() - self._since
            if seconds < TOO_SOON:
                return
            try:
                self._act(name, "reader", seconds)
            except (OSError, ValueError) as error:
                self.status.value = f"<span><b>Not kept</b>: {escape(svg.short(error, 300))}</span>"
                raise

    def _act(self, name: str, annotator: str, seconds: float | None = None) -> None:
        """Answer what is shown ("a", "b", "skip") or take the last answer back ("undo"); then show what comes next."""
        if name == "undo":
            self.labels.undo()
        elif self._shown is not None:
            self.labels.answer(self._shown, None if name == "skip" else name, annotator, seconds)
        self._draw()

    def answer_all(self, annotator) -> None:
        """Let a function answer all that is not answered yet, by the same way as a click, but without its waiting.

        annotator(prompt, a, b) -> "a", "b" or None (skip): it sees what a person would see, a at the left. Its rows say
        annotator "script", and no seconds, so that the same seeds write the same file.
        """
        with self._lock:
            self._draw()
            while self._shown is not None:
                side = annotator(*self.labels.shown(self._shown))
                self._act("skip" if side is None else side, "script")

    def preferences(self) -> list:
        """A row {"prompt", "chosen", "rejected", ...} for each pair with a choice so far: see Labels.preferences."""
        return self.labels.preferences()

    def _draw(self) -> None:
        with self._lock:
            self._shown, self._since = self.labels.current, time.monotonic()
            self.pair.value, self.status.value = self._pair(), self._status()
            self.twin.value = self._table(LAST) if self.numbers.value else ""
            for name, button in self.buttons.items():
                button.disabled = not self.labels.answers if name == "undo" else self._shown is None

    def _pair(self) -> str:
        """The prompt and its two completions, or that all is done, as HTML."""
        if self._shown is None:
            return "<p><b>All pairs are answered.</b> Undo takes the last answer back.</p>"
        prompt, a, b = self.labels.shown(self._shown)
        panes = pane("A, left", a) + pane("B, right", b)
        prompt = f"<b>Prompt</b>{inspector_page.passage(prompt, inspector_page.WHOLE, LINES)}"
        return f'<div>{prompt}<div style="display:flex;flex-wrap:wrap;gap:12px;margin-top:6px">{panes}</div></div>'

    def _said(self) -> list:
        """How far it is, and what is known about the person, in sentences."""
        labels, answers = self.labels, self.labels.answers
        skipped = sum(record["event"] == "skip" for record in answers.values())
        said = [f"{len(answers)} of {len(labels.showings)} answered, {skipped} of them skipped. Kept in {labels.file}."]
        same, left = labels.agreement(), labels.left()
        if same.n:
            said.append(f"Agreement with yourself, on pairs shown twice: {_words(same)}; by chance it is 50 %.")
        if left.n:
            said.append(f"The left one chosen: {_words(left)}; sides are drawn, so about 50 % is no habit of the hand.")
        return said

    def _status(self) -> str:
        done, of = len(self.labels.answers), len(self.labels.showings)
        bar = f'<progress value="{done}" max="{of}" aria-label="answered"></progress>'
        return f'<div role="status">{bar} {"".join(show.note(words) for words in self._said())}</div>'

    def _table(self, last: int | None = None) -> str:
        """The answers as a table, the newest first, all or the last few."""
        words = {"skip": "skipped", "a": "A", "b": "B"}
        rows = []
        for number, record in list(self.labels.answers.items())[::-1][:last]:
            texts = (inspector_page.plain(text, 80) for text in self.labels.shown(number))
            rows.append((number + 1, *texts, words[record.get("answer", "skip")]))
        return table(COLUMNS, rows, f"{len(rows)} of {len(self.labels.answers)} answers, the newest first")

    def to_html(self) -> str:
        """What is asked, how far it is, and all answers as a table, without a kernel."""
        with self._lock:
            said = "".join(show.note(words) for words in self._said())
            return f"<div>{self._pair()}{said}{show.details('The answers as a table', self._table())}</div>"

    def _repr_mimebundle_(self, **_) -> dict:
        return show.bundle(self.box, self.to_html(), f"PreferenceLabeller: {' '.join(self._said())}")
