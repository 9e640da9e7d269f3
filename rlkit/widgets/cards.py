"""VerdictCard: a verdict as a card, from the verdict itself or from the key under which its full run is stored."""

from rlkit import claims, papers, paths
from rlkit.html import GREY, escape
from rlkit.verdicts import Verdict


class VerdictCard:
    """The card of a verdict. `to_html()` is what a notebook shows, `to_text()` the same in words.

    verdict: a rlkit.claims Verdict, or a key such as "pessimism-lcb" for the full run stored in
    data/results/<key>.json. A paper without a stored verdict gets a card that says so.
    Raises ValueError for a key that is neither stored nor one of the papers, or a file that is not a verdict, and
    TypeError for anything else.
    """

    def __init__(self, verdict: Verdict | str):
        if not isinstance(verdict, Verdict | str):
            raise TypeError(f"verdict={verdict!r:.80}: must be a Verdict, or the key of a stored one")
        self.verdict, self.paper = verdict, None
        if isinstance(verdict, str):
            self.verdict = claims.stored(verdict) if verdict in _stored_keys() else None
            self.paper = papers.find(verdict) if self.verdict is None else None

    def to_text(self) -> str:
        """The card in words."""
        if self.verdict is not None:
            return self.verdict.to_text()
        return f"{self.paper.key}: {self.paper.title} ({self.paper.year})\n  no verdict is stored yet"

    def to_html(self) -> str:
        """The card as one HTML fragment that loads nothing."""
        if self.verdict is not None:
            return self.verdict.to_html()
        return (
            f'<section aria-label="Verdict on {escape(self.paper.key)}" style="border:1px dashed {GREY};'
            f'border-radius:6px;padding:8px 14px;max-width:760px"><strong>{escape(self.paper.key)}</strong>: '
            f"{escape(self.paper.title)} ({self.paper.year})<br>no verdict is stored yet</section>"
        )

    def _repr_mimebundle_(self, **_) -> dict:
        return {"text/plain": self.to_text(), "text/html": self.to_html()}


def _stored_keys() -> set:
    """Keys with a file in data/results. Looked up, so that a hostile key never becomes part of a path."""
    files = paths.data("results").glob("*.json")
    return {file.stem for file in files if not file.stem.startswith("bench-")}  # a bench is no verdict
