"""Predictions: asked without a preset, kept at once, restored, shown beside the outcome; damaged files and odd text."""

import json

import ipywidgets
import pytest

from rlkit.exercises import outcome, predict
from rlkit.exercises.predictions import WIDGET_VIEW

OPTIONS = ("UCB1", "epsilon-greedy", "neither")
QUESTION = "Which policy has less regret after 1,000 pulls?"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A small checkout of its own: predictions belong to its root, not to the folder that a notebook runs in."""
    for name in ("rlkit", "notebooks/01_bandits"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.chdir(tmp_path / "notebooks/01_bandits")
    return tmp_path


def radio(shown):
    return next(child for child in shown.widget.children if isinstance(child, ipywidgets.RadioButtons))


def note(shown):
    return shown.widget.children[-1].value


def test_nothing_is_preselected_and_nothing_is_written_before_an_answer(folder):
    shown = predict("nsr", QUESTION, OPTIONS)
    assert shown.answer is None and radio(shown).index is None
    assert not (folder / ".rlkit").exists()


def test_an_answer_is_kept_at_once_in_the_repositorys_root_and_restored(folder):
    radio(predict("nsr", QUESTION, OPTIONS)).value = "neither"
    stored = json.loads((folder / ".rlkit/predictions.json").read_text())
    assert stored == {"nsr": {"question": QUESTION, "options": list(OPTIONS), "answer": "neither"}}
    assert [path.name for path in (folder / ".rlkit").iterdir()] == ["predictions.json"]
    assert predict("nsr", QUESTION, OPTIONS).answer == "neither"
    assert predict("other", QUESTION, OPTIONS).answer is None


def test_a_changed_mind_replaces_the_answer_and_leaves_the_others(folder):
    radio(predict("a", QUESTION, OPTIONS)).value = "UCB1"
    shown = predict("b", QUESTION, OPTIONS)
    radio(shown).value = "UCB1"
    radio(shown).value = "neither"
    assert "Kept" in note(shown)
    assert outcome("a", "UCB1").answer == "UCB1" and outcome("b", "UCB1").answer == "neither"


def test_an_answer_that_is_no_longer_an_option_is_not_restored():
    radio(predict("nsr", QUESTION, OPTIONS)).value = "neither"
    assert predict("nsr", QUESTION, ("yes", "no")).answer is None


def test_the_outcome_stands_beside_the_answer_and_is_judged():
    radio(predict("nsr", QUESTION, OPTIONS)).value = "UCB1"
    right = outcome("nsr", "UCB1", "regret 31 against 57")
    assert right.right is True
    assert repr(right).splitlines() == [
        QUESTION, "You said: UCB1.", "Measured: UCB1 (regret 31 against 57).", "As you predicted.",
    ]  # fmt: skip
    wrong = outcome("nsr", "neither")
    assert wrong.right is False and repr(wrong).endswith("Not as you predicted.")
    for line in repr(right).splitlines():
        assert line in right.to_html()


def test_an_outcome_that_was_no_option_is_shown_but_not_judged():
    radio(predict("nsr", QUESTION, OPTIONS)).value = "UCB1"
    shown = outcome("nsr", 0.4137)
    assert shown.right is None and "predicted" not in repr(shown)
    assert "You said: UCB1." in repr(shown) and "Measured: 0.4137." in repr(shown)


def test_without_a_prediction_the_outcome_says_so():
    predict("nsr", QUESTION, OPTIONS)
    shown = outcome("nsr", "UCB1")
    assert shown.right is None and repr(shown) == "You made no prediction.\nMeasured: UCB1."


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"nsr": 3}', b'{"nsr": {"answer": 3}}'])
def test_a_damaged_file_is_told_in_one_line_set_aside_and_replaced(folder, content):
    (folder / ".rlkit").mkdir()
    (folder / ".rlkit/predictions.json").write_bytes(content)
    shown = predict("nsr", QUESTION, OPTIONS)
    assert shown.answer is None and "damaged" in note(shown) and "\n" not in note(shown)
    assert "damaged" in repr(outcome("nsr", "UCB1"))
    radio(shown).value = "UCB1"
    assert outcome("nsr", "UCB1").right is True
    assert (folder / ".rlkit/predictions.damaged.json").read_bytes() == content


def test_an_answer_that_cannot_be_written_is_told_in_one_line(folder):
    (folder / ".rlkit").write_text("a file where the folder should be")
    shown = predict("nsr", QUESTION, OPTIONS)
    radio(shown).value = "UCB1"
    assert "could not be kept" in note(shown)


def test_the_bundle_has_a_live_widget_a_static_page_and_a_text():
    shown = predict("nsr", QUESTION, OPTIONS)
    bundle = shown._repr_mimebundle_()
    assert bundle[WIDGET_VIEW]["model_id"] == shown.widget.model_id
    assert bundle["text/html"] == shown.to_html() and all(option in shown.to_html() for option in OPTIONS)
    assert bundle["text/plain"] == repr(shown) and QUESTION in repr(shown)
    assert "You made no prediction yet." in shown.to_html()
    radio(shown).value = "neither"
    assert "You said: neither." in shown.to_html() and "You said: neither." in repr(shown)


def test_the_control_has_a_label_and_its_text_is_plain():
    shown = predict("nsr", "Is <b>a < b</b>?", ("<i>yes</i>", "no"))
    assert radio(shown).description == "Your prediction:"
    page = shown.to_html() + "".join(
        child.value for child in shown.widget.children if isinstance(child, ipywidgets.HTML)
    )
    assert "<b>a" not in page and "<i>yes" not in page and "&lt;i&gt;yes" in page
    radio(shown).value = "<i>yes</i>"
    assert "<i>yes" not in outcome("nsr", "<script>", "<b>").to_html()


@pytest.mark.parametrize(
    "arguments",
    [("", QUESTION, OPTIONS), (3, QUESTION, OPTIONS), ("k", " ", OPTIONS), ("k", QUESTION, "UCB1"), ("k", QUESTION, ()),
     ("k", QUESTION, ("a",)), ("k", QUESTION, ("a", "a")), ("k", QUESTION, ("a", 3)), ("k", QUESTION, ("a", ""))],
)  # fmt: skip
def test_unfit_arguments_are_refused_in_one_line(arguments):
    with pytest.raises(ValueError, match=r"^(key|question|options)=.*: must be ") as error:
        predict(*arguments)
    assert "\n" not in str(error.value)
