"""A question that the reader answers before a run, kept in a local file and shown again beside the outcome.

Answers lie in `.rlkit/predictions.json` in the repository's root (else in the working folder) and go nowhere else.
"""

import json
import os

import ipywidgets

from rlkit import paths
from rlkit.html import COLOURS, escape

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def _file():
    return paths.home() / ".rlkit" / "predictions.json"


def _load() -> tuple[dict, str]:
    """The kept answers by key, and a one-line note if the file could not be read (its answers are then ignored)."""
    path = _file()
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(kept, dict) and all(
            isinstance(k, dict) and isinstance(k.get("answer"), str) for k in kept.values()
        ):
            return kept, ""
        reason = "not a table of answers"
    except FileNotFoundError:
        return {}, ""
    except (OSError, ValueError) as error:  # not JSON, not UTF-8, not readable
        reason = " ".join(str(error).split())
    return {}, f"Earlier predictions are ignored: .rlkit/predictions.json is damaged ({reason})."


def _keep(key: str, question: str, options: tuple, answer: str) -> str:
    """Store one answer at once and whole; a damaged file is set aside first. Returns a one-line note for the reader."""
    path = _file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept, damage = _load()
        if damage:
            os.replace(path, path.with_name("predictions.damaged.json"))
        kept[key] = {"question": question, "options": list(options), "answer": answer}
        new = path.with_name(f"predictions.{os.getpid()}.tmp")
        new.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        os.replace(new, path)  # a reader of the file sees the old answers or the new ones, never a torn file
    except OSError as error:
        return f"Your answer could not be kept: {error.strerror}."
    return "Kept. You can change it until you run the experiment."


class Predict:
    """A question with its options as radio buttons; see predict()."""

    def __init__(self, key: str, question: str, options: tuple):
        self.key, self.question, self.options = key, question, options
        kept, note = _load()
        earlier = kept.get(key, {}).get("answer")
        self._radio = ipywidgets.RadioButtons(
            options=options,
            value=earlier if earlier in options else None,
            description="Your prediction:",
            style={"description_width": "initial"},
            layout={"width": "max-content", "max_width": "100%"},
        )
        self._note = ipywidgets.HTML(value=f"<i>{escape(note)}</i>")
        text = ipywidgets.HTML(value=f"<b>{escape(question)}</b>")
        self.widget = ipywidgets.VBox([text, self._radio, self._note])
        self._radio.observe(self._answered, names="value")

    @property
    def answer(self) -> str | None:
        """The option that is chosen now; None while nothing is."""
        return self._radio.value

    def _answered(self, change):
        if change["new"] is not None:
            self._note.value = f"<i>{escape(_keep(self.key, self.question, self.options, change['new']))}</i>"

    def to_html(self) -> str:
        """The static twin, for a page without a kernel: the question, its options, and the answer so far."""
        rows = "".join(f"<li>{escape(option)}</li>" for option in self.options)
        said = f"You said: {escape(self.answer)}." if self.answer else "You made no prediction yet."
        return f"<div><b>{escape(self.question)}</b><ul>{rows}</ul><i>{said}</i></div>"

    def __repr__(self):
        said = f"You said: {self.answer}." if self.answer else "You made no prediction yet."
        return f"{self.question} ({' / '.join(self.options)}) {said}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        # One bundle for all: a live page takes the widget, nbconvert and GitHub the HTML, a terminal the text.
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        return {WIDGET_VIEW: view, "text/html": self.to_html(), "text/plain": repr(self)}


def predict(key: str, question: str, options) -> Predict:
    """Ask one question before anything runs; nothing is preselected, an earlier answer is restored.

    key: the name under which outcome() finds the answer, such as the paper's key. question: one line of text.
    options: at least two different texts. Choosing one keeps it at once in `.rlkit/predictions.json`. Displays as radio
    buttons, with a static HTML twin and a text twin. Raises ValueError for an empty key or question, or unfit options.
    """
    for name, value in (("key", key), ("question", question)):
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{name}={value!r}: must be a text that is not empty")
    options = (options,) if isinstance(options, str) else tuple(options)
    texts = all(isinstance(option, str) and option.strip() for option in options)
    if not texts or len(options) < 2 or len(set(options)) != len(options):
        raise ValueError(f"options={options!r}: must be two or more different texts")
    return Predict(key, question, options)


class Outcome:
    """A kept answer beside what came out; see outcome(). `right` is None where the two cannot be compared."""

    def __init__(self, truth: str, detail: str, kept: dict, note: str):
        self.truth, self.detail, self.note = truth, detail, note
        self.question, self.answer = kept.get("question", ""), kept.get("answer")
        comparable = self.answer is not None and truth in kept.get("options", ())
        self.right = (self.answer == truth) if comparable else None

    def _lines(self) -> list[str]:
        said = "You made no prediction." if self.answer is None else f"You said: {self.answer}."
        measured = f"Measured: {self.truth}" + (f" ({self.detail})." if self.detail else ".")
        judged = {True: "As you predicted.", False: "Not as you predicted.", None: ""}[self.right]
        return [line for line in (self.question, said, measured, judged, self.note) if line]

    def __repr__(self):
        return "\n".join(self._lines())

    def to_html(self) -> str:
        """The same lines as HTML, escaped."""
        rows = "".join(f"<div>{escape(line)}</div>" for line in self._lines())
        return f'<div style="border-left:4px solid {COLOURS[0]};padding:4px 10px">{rows}</div>'

    _repr_html_ = to_html


def outcome(key: str, truth, detail="") -> Outcome:
    """The reader's kept answer beside what was measured: "You said: ... Measured: ...", or "You made no prediction."

    key: as given to predict(). truth: the option that came true (then the answer is judged), or any other text.
    detail: the measurement in words, such as "0.41 [0.36, 0.46]". Displays as HTML, as text elsewhere.
    """
    kept, note = _load()
    return Outcome(str(truth), str(detail), kept.get(key, {}), note)
