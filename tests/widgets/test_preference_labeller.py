"""PreferenceLabeller without a browser: answers, undo, coming back, a killed kernel, agreement, hostile text."""

import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from rlkit.rlhf import labels as labels_module
from rlkit.rlhf.labels import Labels, schedule, share
from rlkit.rlhf.preference_files import read_preferences, write_preferences
from rlkit.widgets import preference_labeller
from rlkit.widgets.preference_labeller import PreferenceLabeller

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>\u202e\x00\x1b[31m\ud800"
PROMPTS = [f"prompt {i}" for i in range(12)]
FIRST, SECOND = [f"first {i}" for i in range(12)], [f"second {i}" for i in range(12)]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(preference_labeller, "TOO_SOON", 0)


def make(tmp_path, name="l.jsonl", seed=0, repeats=0.25):
    return PreferenceLabeller(PROMPTS, FIRST, SECOND, tmp_path / name, seed=seed, repeats=repeats)


def press(view, *names):
    for name in names:
        view.buttons[name].click()


def likes_first(prompt, a, b):
    return "a" if a.startswith("first") else "b"


def events(view):
    return [json.loads(line) for line in view.labels.file.read_text().splitlines()][1:]


# ---- what is shown when


def test_the_order_is_all_pairs_and_some_of_them_again_later():
    shown = [s.pair for s in schedule(200, 0.1, 0)]
    first = {pair: shown.index(pair) for pair in range(200)}
    assert list(first) == sorted(first, key=first.get)  # as they come
    again = [(i, pair) for i, pair in enumerate(shown) if first[pair] != i]
    assert len(again) == 20 == len({pair for _, pair in again})
    others = [
        len(set(shown[first[pair] + 1 : i]) - {p for _, p in again if first[p] < first[pair]}) for i, pair in again
    ]
    assert min(others) >= 5 and max(others) <= 15


def test_sides_are_drawn_for_each_showing_and_by_the_seed():
    swapped = np.array([s.swapped for s in schedule(4_000, 0.0, 3)])
    assert abs(swapped.mean() - 0.5) < 4 * 0.5 / np.sqrt(4_000)
    both = {}
    for s in schedule(4_000, 0.5, 3):
        both.setdefault(s.pair, []).append(s.swapped)
    twice = np.array([sides for sides in both.values() if len(sides) == 2])
    assert len(twice) == 2_000 and abs((twice[:, 0] != twice[:, 1]).mean() - 0.5) < 4 * 0.5 / np.sqrt(2_000)
    assert schedule(50, 0.2, 1) == schedule(50, 0.2, 1) != schedule(50, 0.2, 2)


@pytest.mark.parametrize(("pairs", "repeats", "length"), [(1, 0, 1), (1, 1, 2), (3, 1.0, 6), (6, 0.5, 9), (4, 0.0, 4)])
def test_small_orders(pairs, repeats, length):
    shown = [s.pair for s in schedule(pairs, repeats, 0)]
    assert len(shown) == length and set(shown) == set(range(pairs))


def test_the_interval_is_wilsons():
    found = share(8, 10)
    assert (found.low, found.high) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert share(0, 5).low == 0.0 and share(5, 5).high == 1.0
    assert share(0, 5).high == pytest.approx(1 - share(5, 5).low) == pytest.approx(0.4344825, abs=1e-6)
    assert np.isnan(share(0, 0).low)
    with pytest.raises(ValueError, match="k=3: must be at most n = 2"):
        share(3, 2)


# ---- answers


def test_a_click_is_kept_with_the_side_that_was_drawn_before_the_next_pair_shows(tmp_path):
    view = make(tmp_path, repeats=0.0)
    assert not view.labels.file.exists()  # nothing is written before there is an answer
    press(view, "a", "b", "skip")
    found, sides = events(view), [view.labels.shown(i) for i in range(3)]
    assert [(e["prompt"], e["a"], e["b"]) for e in found] == sides
    assert [e.get("answer") for e in found] == ["a", "b", None] and [e["event"] for e in found][2] == "skip"
    assert all(e["annotator"] == "reader" for e in found) and found[0]["seconds"] >= 0
    rows = view.preferences()
    assert [row["chosen"] for row in rows] == [sides[0][1], sides[1][2]]
    assert [row["left"] for row in rows] == ["chosen", "rejected"]
    assert [row["id"] for row in rows] == ["l-0", "l-1"]
    assert "prompt 3" in view.pair.value and "3 of 12 answered, 1 of them skipped" in view.status.value


def test_rows_are_the_pairs_own_whichever_side_they_stood_on(tmp_path):
    view = make(tmp_path)
    view.answer_all(likes_first)
    rows = view.preferences()
    assert [(row["prompt"], row["chosen"], row["rejected"]) for row in rows] == list(
        zip(PROMPTS, FIRST, SECOND, strict=True)
    )
    assert {row["left"] for row in rows} == {"chosen", "rejected"}
    assert sum(row.get("again", False) for row in rows) == 3 and view.labels.agreement()[:2] == (3, 3)
    file = write_preferences(tmp_path / "rows.jsonl", rows)
    assert [row["chosen"] for row in read_preferences(file)] == [f" {text}" for text in FIRST]


def test_always_taking_the_left_one_agrees_where_the_sides_stayed(tmp_path):
    view = PreferenceLabeller(PROMPTS * 20, FIRST * 20, SECOND * 20, tmp_path / "l.jsonl", repeats=0.5)
    view.answer_all(lambda prompt, a, b: "a")
    sides = {}
    for showing in view.labels.showings:
        sides.setdefault(showing.pair, []).append(showing.swapped)
    stayed = [pair for pair, both in sides.items() if len(both) == 2 and both[0] == both[1]]
    assert view.labels.agreement()[:2] == (len(stayed), 120) and 40 < len(stayed) < 80
    assert view.labels.left()[:2] == (360, 360)
    assert f"{len(stayed)} of 120 (" in view.status.value and "360 of 360 (100 %" in view.status.value
    assert len(view.preferences()) == 240  # a pair that was shown twice is one row


def test_the_first_choice_counts_and_a_skipped_one_is_made_up_for(tmp_path):
    view = make(tmp_path, repeats=1.0)
    seen = []

    def annotator(prompt, a, b):
        seen.append(prompt)
        if prompt == "prompt 1" and seen.count(prompt) == 1:
            return None
        return likes_first(prompt, a, b) if seen.count(prompt) == 1 else likes_first(prompt, b, a)

    view.answer_all(annotator)
    rows = {row["prompt"]: row for row in view.preferences()}
    assert rows["prompt 0"]["chosen"] == "first 0" and rows["prompt 0"]["again"] is False
    assert rows["prompt 1"]["chosen"] == "second 1" and "again" not in rows["prompt 1"]
    assert view.labels.agreement()[:2] == (0, 11)


def test_undo_asks_the_last_one_again_as_often_as_one_likes(tmp_path):
    view = make(tmp_path)
    press(view, "a", "skip", "b", "undo", "undo", "undo", "undo")
    assert view.preferences() == [] and view.buttons["undo"].disabled and "prompt 0" in view.pair.value
    press(view, "b")
    assert [row["left"] for row in view.preferences()] == ["rejected"] and not view.buttons["undo"].disabled
    assert [e["event"] for e in events(view)] == ["choice", "skip", "choice", "undo", "undo", "undo", "choice"]


def test_at_the_end_only_undo_is_left(tmp_path):
    view = make(tmp_path)
    view.answer_all(likes_first)
    assert "All pairs are answered" in view.pair.value
    assert [name for name, button in view.buttons.items() if not button.disabled] == ["undo"]
    before = view.labels.file.read_bytes()
    press(view, "a", "skip")
    assert view.labels.file.read_bytes() == before
    press(view, "undo")
    assert not view.buttons["a"].disabled and "All pairs" not in view.pair.value


def test_a_script_and_a_click_write_the_same_but_for_who_it_was(tmp_path):
    script, hand = make(tmp_path, "s.jsonl"), make(tmp_path, "h.jsonl")
    script.answer_all(lambda *shown: None if shown[0] == "prompt 4" else likes_first(*shown))
    while hand._shown is not None:
        shown = hand.labels.shown(hand._shown)
        press(hand, "skip" if shown[0] == "prompt 4" else likes_first(*shown))
    found = events(hand)
    assert all(e.pop("seconds") >= 0 for e in found)
    assert [e | {"annotator": "script"} for e in found] == events(script)
    again = make(tmp_path, "t.jsonl")
    again.answer_all(lambda *shown: None if shown[0] == "prompt 4" else likes_first(*shown))
    assert again.labels.file.read_bytes() == script.labels.file.read_bytes()


def test_a_script_answers_what_a_person_left_open(tmp_path):
    view = make(tmp_path)
    press(view, "a", "b")
    view.answer_all(likes_first)
    assert [row["annotator"] for row in view.preferences()] == ["reader"] * 2 + ["script"] * 10


def test_a_scripts_slip_is_refused_and_nothing_is_kept(tmp_path):
    view = make(tmp_path)
    with pytest.raises(ValueError, match="side='A': must be one of 'a', 'b', None"):
        view.answer_all(lambda *shown: "A")
    assert not view.labels.file.exists()


def test_the_second_half_of_a_double_click_is_no_answer(tmp_path, monkeypatch):
    view = make(tmp_path)
    monkeypatch.setattr(preference_labeller, "TOO_SOON", 60)
    press(view, "a", "b", "undo")
    assert not view.labels.answers


# ---- coming back


@pytest.mark.parametrize("clicks", [["a"], ["a", "b", "skip"], ["a", "skip", "undo"], ["a", "b", "undo", "undo"]])
def test_it_goes_on_where_it_was_left(tmp_path, clicks):
    view = make(tmp_path)
    press(view, *clicks)
    back = make(tmp_path)
    assert back.labels.answers == view.labels.answers and list(back.labels.answers) == list(view.labels.answers)
    assert (back.pair.value, back.status.value) == (view.pair.value, view.status.value)
    assert back.preferences() == view.preferences()
    press(back, "undo")  # also of what was answered before
    assert len(back.labels.answers) == max(0, len(view.labels.answers) - 1)


def test_every_torn_end_loses_that_answer_alone_and_the_next_one_is_whole(tmp_path):
    view = make(tmp_path)
    press(view, "a", "b")
    whole = view.labels.file.read_bytes()
    lines = whole.splitlines(keepends=True)
    for end in range(len(lines[0]) - 9, len(whole), 7):
        view.labels.file.write_bytes(whole[:end])
        back = make(tmp_path)
        kept = max(0, whole[:end].count(b"\n") - 1)
        assert len(back.labels.answers) == kept
        press(back, "b")
        assert len(make(tmp_path).labels.answers) == kept + 1


KILLED = """
import sys, time
import rlkit.records
from rlkit.widgets import preference_labeller
preference_labeller.TOO_SOON = 0
n = 12
view = preference_labeller.PreferenceLabeller(
    [f"prompt {i}" for i in range(n)], [f"first {i}" for i in range(n)], [f"second {i}" for i in range(n)], sys.argv[1],
    repeats=0.25)
for name in ("a", "b", "undo", "skip"):
    view.buttons[name].click()
class HalfAWrite:
    def __getattr__(self, name):
        return getattr(os, name)
    def write(self, descriptor, block):
        os.write(descriptor, block[: len(block) // 2])
        print("in mid-write", flush=True)
        time.sleep(600)
os = rlkit.records.os
rlkit.records.os = HalfAWrite()
view.buttons["a"].click()
"""


def test_kill_minus_nine_in_mid_write_loses_no_answer_that_was_kept(tmp_path):
    file = tmp_path / "l.jsonl"
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(file)], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"in mid-write\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not file.read_bytes().endswith(b"\n")
    view = make(tmp_path)
    assert [e["event"] for e in view.labels.answers.values()] == ["choice", "skip"] and view._shown == 2
    press(view, "b", "undo", "a")
    assert [e["event"] for e in events(view)] == ["choice", "choice", "undo", "skip", "choice", "undo", "choice"]
    assert make(tmp_path).preferences() == view.preferences()


def test_two_views_of_one_file_agree(tmp_path):
    one, two = make(tmp_path), make(tmp_path)
    press(one, "a", "b")
    press(two, "b")  # it still shows the first pair: the newest answer to it counts
    assert two._shown == 2 and two.labels.current == one.labels.current == 2
    assert two.preferences() == one.preferences() and one.preferences()[0]["left"] == "rejected"
    press(two, "undo")
    assert [row["id"] for row in one.preferences()] == ["l-1"] and one.labels.current == 0


@pytest.mark.parametrize("change", [{"seed": 1}, {"repeats": 0.5}, {"prompts": PROMPTS[::-1]}, {"b": SECOND[::-1]}])
def test_answers_to_other_pairs_are_refused(tmp_path, change):
    press(make(tmp_path), "a")
    how = {"prompts": PROMPTS, "a": FIRST, "b": SECOND, "seed": 0, "repeats": 0.25} | change
    with pytest.raises(ValueError, match=r"must be a new file, or one of these labels: .*, line [12]: "):
        PreferenceLabeller(path=tmp_path / "l.jsonl", **how)


@pytest.mark.parametrize(
    "line",
    ["{'a'", '{"event": "choice"}', '{"event": "other"}', '{"prompt": "p", "chosen": "a", "rejected": "b"}', "[]"],
)
def test_a_foreign_file_is_refused_and_left_alone(tmp_path, line):
    (tmp_path / "l.jsonl").write_text(line + "\n")
    with pytest.raises(ValueError, match=r"must be a new file, or one of these labels: .*, line 1: "):
        make(tmp_path)
    assert (tmp_path / "l.jsonl").read_text() == line + "\n"


@pytest.mark.parametrize("field", [{"showing": 99}, {"showing": "0"}, {"a": "x"}, {"answer": "c"}, {"seconds": "x"}])
def test_a_damaged_record_is_named_by_its_line(tmp_path, field):
    view = make(tmp_path)
    press(view, "a")
    header, choice = view.labels.file.read_text().splitlines()
    view.labels.file.write_text(f"{header}\n{json.dumps(json.loads(choice) | field)}\n")
    with pytest.raises(ValueError, match=f"line 2: {next(iter(field)) if 'a' not in field else 'showing'}="):
        make(tmp_path)


def test_what_cannot_be_kept_is_said_and_not_counted(tmp_path):
    view = make(tmp_path)
    press(view, "a")
    view.labels.file.unlink()
    with pytest.raises(FileNotFoundError, match="it is gone"):
        view._click("b")
    assert "Not kept" in view.status.value and len(view.labels.answers) == 1 and view._shown == 1


def test_a_full_disk_leaves_no_line_that_two_records_share(tmp_path, monkeypatch):
    view = make(tmp_path)
    press(view, "a")
    write, calls = os.write, []

    def full(descriptor, block):
        calls.append(1)
        if len(calls) == 1:
            return write(descriptor, block[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        view._click("b")
    monkeypatch.undo()
    assert "Not kept" in view.status.value and len(view.labels.answers) == 1
    monkeypatch.setattr(preference_labeller, "TOO_SOON", 0)
    press(view, "b")
    assert len(make(tmp_path).labels.answers) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((["p"], ["a"], ["a"]), "pair 0=.*two different completions"),
        ((["p"], ["a"], [None]), "pair 0=.*as texts"),
        ((["p"], ["a", "b"], ["c"]), "lengths 1, 2, 1: must be of one length"),
        (([], [], []), "pairs=0: must be a positive integer"),
    ],
)
def test_unfit_pairs_are_refused(tmp_path, arguments, told):
    with pytest.raises(ValueError, match=told):
        Labels(*arguments, tmp_path / "l.jsonl")


def test_other_unfit_arguments(tmp_path):
    with pytest.raises(ValueError, match=r"repeats=1.5: must be in \[0, 1\]"):
        make(tmp_path, repeats=1.5)
    with pytest.raises(ValueError, match="seed=-1: must be"):
        make(tmp_path, seed=-1)
    with pytest.raises(ValueError, match=r"path=.l\.txt.: must be the name of a \.jsonl file"):
        Labels(["p"], ["a"], ["b"], "l.txt")


def test_problems_of_a_task_are_prompts_with_their_ids(tmp_path):
    class Problem:
        id, prompt = "style:moon", "moon sings"

    view = PreferenceLabeller([Problem()], ["a"], [""], tmp_path / "l.jsonl", repeats=0)
    press(view, "a")
    row = view.preferences()[0]
    assert (row["prompt"], row["problem"]) == ("moon sings", "style:moon") and {row["chosen"], row["rejected"]} == {
        "a",
        "",
    }


# ---- what a reader sees


def test_each_control_says_what_it_is_and_each_button_has_its_key(tmp_path):
    view = make(tmp_path)
    assert all(button.description and button.tooltip for button in view.buttons.values())
    assert view.numbers.description == "show answers as table"
    script = view._keys.value
    for name, button in view.buttons.items():
        assert f"rlkit-{name}" in button._dom_classes and name in preference_labeller.KEYS.values()
    assert "ArrowLeft" in script and "<script" not in script and "\n" not in script.split("onload=")[1]
    assert 'aria-label="A, left"' in view.pair.value and 'aria-label="B, right"' in view.pair.value


def test_the_table_has_the_last_answers_and_the_static_twin_all(tmp_path):
    view = make(tmp_path)
    view.answer_all(lambda prompt, a, b: None if prompt == "prompt 2" else "b")
    assert view.twin.value == ""
    view.numbers.value = True
    assert view.twin.value.count("<tr>") == 11 and "10 of 15 answers" in view.twin.value
    page = view.to_html()
    assert page.count("<tr>") == 16 and page.count("skipped</td>") >= 1 and "All pairs are answered" in page
    assert view._repr_mimebundle_()["text/html"] == page and "<script" not in page and "onload" not in page


def test_a_hostile_text_stays_text_everywhere(tmp_path):
    view = PreferenceLabeller([HOSTILE] * 3, [HOSTILE] * 3, [HOSTILE + "2"] * 3, tmp_path / "l.jsonl", repeats=0)
    view.numbers.value = True
    press(view, "a", "b")
    for page in (view.pair.value, view.status.value, view.twin.value, view.to_html()):
        assert not re.search(r"<(script|img)|[\x00\x1b\u202e\ud800]", page)
    assert "&lt;script&gt;" in view.pair.value and "\\u202e" in view.twin.value
    back = PreferenceLabeller([HOSTILE] * 3, [HOSTILE] * 3, [HOSTILE + "2"] * 3, tmp_path / "l.jsonl", repeats=0)
    assert [row["prompt"] for row in back.preferences()] == [HOSTILE] * 2


def test_a_long_completion_is_cut_and_says_so(tmp_path):
    view = PreferenceLabeller(["p"], ["word " * 5_000], ["short"], tmp_path / "l.jsonl", repeats=0)
    assert "4,000 of 25,000 characters" in view.pair.value and len(view.pair.value) < 6_000
    press(view, "a")
    assert len(view.preferences()[0]["prompt"]) == 1


def test_the_guess_is_not_given_away(tmp_path):
    """A repetition looks like any other pair."""
    view = make(tmp_path, repeats=1.0)
    pages = []
    view.answer_all(lambda *shown: pages.append(view.pair.value) or "a")
    shown = [s for s in view.labels.showings]
    for i, showing in enumerate(shown):
        assert pages[i] == pages[shown.index(showing)]


def test_it_needs_no_torch():
    code = "import sys; from rlkit.widgets import PreferenceLabeller; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
    assert labels_module.FORMAT == "rlkit-labels"
