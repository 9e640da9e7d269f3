"""VerdictCard: from a verdict, from a stored key, and for a paper that nobody has measured yet."""

import pytest

from rlkit import declarations, paths
from rlkit.claims import Claim, Clause
from rlkit.stats import Interval
from rlkit.widgets import VerdictCard

HOSTILE = "<script>alert(1)</script>\u202e"


def verdict(key="pessimism-lcb", statement="LCB beats the mean"):
    clause = Clause("gain", statement, "greater", 0.1)
    claim = Claim(key, statement, (clause,), ("lcb", "mean"), {"steps": 10}, {"N": [10]}, tuple(range(10)))
    return claim.verdict({"gain": Interval(0.3, 0.2, 0.4, 0.95, 10, 1000)}, cpu_seconds=1.0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data folder of the test's own: no verdict is stored in it."""
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(paths, "data", lambda *parts: tmp_path.joinpath(*parts))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("RLKIT_LANE", raising=False)
    return tmp_path


def test_a_verdict_shows_its_own_card_and_words(folder):
    one = verdict()
    bundle = VerdictCard(one)._repr_mimebundle_()
    assert bundle == {"text/plain": one.to_text(), "text/html": one.to_html()}
    assert one.outcome in bundle["text/html"] and one.outcome in bundle["text/plain"]


def test_a_key_reads_what_is_stored(folder):
    declarations.write(folder / "results" / "pessimism-lcb.json", declarations.RESULT, verdict().record())
    card = VerdictCard("pessimism-lcb")
    assert "LCB beats the mean" in card.to_html() and card.verdict.outcome == verdict().outcome


def test_a_stored_file_that_is_no_verdict_is_named(folder):
    (folder / "results" / "pessimism-lcb.json").write_text("{")
    with pytest.raises(ValueError, match=r"pessimism-lcb.json, line 1: not JSON"):
        VerdictCard("pessimism-lcb")


def test_a_paper_without_a_verdict_says_so(folder):
    card = VerdictCard("pessimism-lcb")
    assert "no verdict is stored yet" in card.to_html() and "no verdict is stored yet" in card.to_text()
    assert "Pessimism" in card.to_html()


@pytest.mark.parametrize("key", ["pesimism-lcb", HOSTILE, "../../etc/passwd", "x\x00"])
def test_a_key_that_is_none_is_one_line(folder, key):
    with pytest.raises(ValueError, match=r"^key=.*must be a paper's key") as caught:
        VerdictCard(key)
    assert "\n" not in str(caught.value)


def test_only_verdicts_and_keys(folder):
    with pytest.raises(TypeError, match=r"^verdict=3: must be a Verdict"):
        VerdictCard(3)


def test_hostile_statements_are_escaped(folder):
    page = VerdictCard(verdict(statement=HOSTILE)).to_html()
    assert "<script" not in page and "\u202e" not in page
