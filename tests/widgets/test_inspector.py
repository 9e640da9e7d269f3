"""SampleInspector without a browser: controls, pages, heat maps, two steps, export, a growing run, hostile text."""

import json
import re
import sys
import threading
import time

import pytest

from rlkit import live as live_module
from rlkit.runs import Run, Step
from rlkit.widgets import rollout_rows
from rlkit.widgets.inspector import SampleInspector
from tests.widgets.inspector_runs import completions, make

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>\u202e\x00\x1b[31m\ud800"


def shown(widget):
    return widget.layout.display != "none"


def drawn(page):
    """(group, sample) of each completion of a page, in order."""
    names = re.findall(r'group (\d+), \d+ completion|<th scope="row"[^>]*>(\d+)</th>', page)
    group, found = None, []
    for g, sample in names:
        group = int(g) if g else group
        found += [] if g else [(group, int(sample))]
    return found


def until(condition, seconds=20):
    """Wait for another thread's work; the limit is only there so that a failure ends."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.01)


@pytest.fixture
def view(tmp_path):
    return SampleInspector(make(tmp_path))


def test_it_opens_at_the_newest_step_with_the_groups_in_order(view):
    c = view.controls
    assert c.step.value == 20 and [value for _, value in c.step.options] == [0, 10, 20]
    assert drawn(c.table.value) == [(0, sample) for sample in range(8)] and "sum 2 + 3 :" in c.table.value
    assert "48 completions in 6 groups" in c.status.value and "finished" in c.status.value
    menus = [c.step, c.order, c.answer, c.group, c.finish, c.size, c.colour, c.closer, c.other, c.prompt]
    assert all(menu.index is not None for menu in menus)  # or a front end shows it blank
    assert "all rewards are equal, so a mean over the group leaves nothing to learn" in c.table.value


def test_each_control_has_a_label_and_each_button_a_tooltip(view):
    rows = [row.children for row in view.box.children if hasattr(row, "children")]
    controls = [
        child for row in rows for child in row if child.has_trait("description") and child.has_trait("disabled")
    ]
    assert len(controls) == 24 and all(control.description.strip() for control in controls)
    buttons = [child for child in controls if not child.has_trait("value")]
    assert len(buttons) == 7 and all(button.tooltip for button in buttons)


def test_pages_go_forth_and_back_and_stop_at_the_ends(view):
    c = view.controls
    assert c.page.max == 6 and c.first.disabled and c.previous.disabled and not c.next.disabled
    seen = drawn(c.table.value)
    for _ in range(5):
        c.next.click()
        seen += drawn(c.table.value)
    assert seen == [(g, s) for g in range(6) for s in range(8)] and c.page.value == 6 and c.next.disabled
    c.next.click()
    assert c.page.value == 6
    c.first.click()
    assert drawn(c.table.value)[0] == (0, 0)
    c.last.click()
    c.previous.click()
    assert c.page.value == 5 and "page 5 of 6" in c.table.value
    c.size.value = 32
    assert (c.page.value, c.page.max) == (1, 2) and len(drawn(c.table.value)) == 32


def test_a_menu_set_to_none_by_a_program_is_a_choice_of_nothing(view):
    c = view.controls
    c.colour.value, c.other.value = "logp", 0
    c.colour.value = c.other.value = c.closer.value = c.prompt.value = None
    assert c.legend.value == c.changes.value == c.close_up.value == "" and "background:rgba" not in c.table.value


def test_filters_sort_and_search_show_what_the_rows_say(view):
    c, rows = view.controls, completions(20)
    c.size.value, c.answer.value = 64, "format only"
    wanted = [(r["group"], r["sample"]) for r in rows if r["reward_parts"] == {"correct": 0.0, "format": 1.0}]
    assert wanted and drawn(c.table.value) == wanted and f"{len(wanted)} pass the filter" in c.status.value
    c.answer.value, c.finish.value = "all", "cut off"
    wanted = [(r["group"], r["sample"]) for r in rows if r["finish_reason"] == "length"]
    assert wanted and drawn(c.table.value) == wanted
    c.finish.value, c.group.value = "all", "dead"
    assert (0, 0) in drawn(c.table.value) and (1, 0) not in drawn(c.table.value)
    c.group.value, c.low.value = "all", "0.5"
    assert len(drawn(c.table.value)) == sum(r["reward"] for r in rows)
    c.low.value, c.words.value = "", "7 + 8 = 15"
    assert {group for group, _ in drawn(c.table.value)} == {5}
    c.words.value, c.order.value = "", "advantage, lowest first"
    order = [next(r["advantage"] for r in rows if (r["group"], r["sample"]) == one) for one in drawn(c.table.value)]
    assert order == sorted(r["advantage"] for r in rows)


def test_a_bound_that_is_no_number_is_said_and_bounds_nothing(view):
    c = view.controls
    c.low.value = "high"
    assert "reward from: “high” is no number" in c.status.value and len(drawn(c.table.value)) == 8
    c.low.value, c.high.value = "", "nan"
    assert "reward to: must be a number" in c.status.value
    c.high.value = "−1"
    assert "0 pass the filter" in c.status.value and "No completion passes the filter" in c.table.value


def test_a_change_of_filter_goes_back_to_the_first_page(view):
    c = view.controls
    c.last.click()
    c.order.value = "longest first"
    assert c.page.value == 1
    c.last.click()
    c.finish.value = "cut off"
    assert c.page.value == 1 and c.page.max == 1 and drawn(c.table.value)


def test_tokens_are_coloured_by_what_is_chosen_on_one_scale_for_all_pages(view):
    c = view.controls
    assert [value for _, value in c.colour.options] == [
        "",
        *("logp", "ratio", "kl", "entropy", "credit", "credit_new"),
    ]
    assert c.legend.value == "" and not shown(c.digits)
    for metric in ("logp", "ratio", "kl", "entropy"):
        c.colour.value = metric
        legend = c.legend.value
        assert "background:rgba" in c.table.value and "&lt;eos&gt;" in c.table.value and shown(c.digits)
        c.next.click()
        assert c.legend.value == legend
    c.colour.value, c.digits.value = "ratio", True
    first = completions(20)[8 * (c.page.value - 1)]
    written = f"{first['logp_new'][0] - first['logp_sampled'][0]:+.2g}".replace("-", "−")
    assert f">{written}</span>" in c.table.value


def test_one_completion_can_be_looked_at_closely(view):
    c = view.controls
    c.closer.value = 2
    row = completions(20)[2]
    assert "group 0, sample 2" in c.close_up.value and row["completion"] in c.close_up.value
    assert (
        f"{len(row['tokens'])} tokens" in c.close_up.value and c.close_up.value.count("<tr>") == len(row["tokens"]) + 1
    )
    assert "KL to the reference" in c.close_up.value and "credit" not in c.close_up.value
    c.next.click()
    assert c.closer.label == "nothing" and c.close_up.value == ""  # it is no longer on the page


def test_credit_without_torch_is_a_line_and_the_rest_works(view, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    c = view.controls
    c.colour.value = "credit"
    assert "Credit is computed with torch, which does not import here" in c.legend.value
    assert "&lt;eos&gt;" in c.table.value
    c.colour.value = "logp"
    assert "torch" not in c.legend.value


def test_credit_is_drawn_with_its_sign(view):
    pytest.importorskip("torch")
    c = view.controls
    c.order.value, c.colour.value = "advantage, highest first", "credit"
    assert "+++" in c.table.value and "−−−" not in c.table.value and "Credit of grpo" in c.legend.value
    c.order.value = "advantage, lowest first"
    assert "−−−" in c.table.value and "+++" not in c.table.value
    c.closer.value = c.closer.options[1][1]
    assert "credit, first update" in c.close_up.value


def test_credit_is_not_offered_without_an_objective(tmp_path):
    c = SampleInspector(make(tmp_path, config={})).controls
    assert [value for _, value in c.colour.options] == ["", "logp", "ratio", "kl", "entropy"]


def test_a_prompt_is_compared_at_two_steps(view):
    c = view.controls
    assert not shown(c.prompt) and c.changes.value == ""
    c.other.value = 0
    assert shown(c.prompt) and len(c.prompt.options) == 6
    c.prompt.value = "'sum-4-5'"
    before, after = ([r for r in completions(step) if r["problem"] == "sum-4-5"] for step in (0, 20))
    changes = rollout_rows.compare(before, after)
    counts = [sum(change.what == what for change in changes) for what in ("kept", "gone", "new")]
    assert all(counts) and "{} kept, {} gone, {} new".format(*counts) in c.changes.value
    assert c.changes.value.count("= kept") == counts[0] and "step 0" in c.changes.value and "step 20" in c.changes.value
    means = [sum(r["reward"] for r in side) / 8 for side in (before, after)]
    assert f"mean reward {means[0]:g} → {means[1]:g}" in c.changes.value
    logps = [rollout_rows.mean([sum(r["logp_sampled"]) for r in side]) for side in (before, after)]
    assert f"mean log-probability −{-logps[0]:.3g} → −{-logps[1]:.3g}; that of the kept ones" in c.changes.value
    c.step.value = 0  # the other step is this one now
    assert c.other.label == "none" and c.changes.value == "" and not shown(c.prompt)


def test_steps_without_a_prompt_in_common_say_so(tmp_path):
    run = Run.create("r", root=tmp_path)
    run.log_rollouts(0, [{"prompt": "a", "completion": "x"}])
    run.log_rollouts(1, [{"prompt": "b", "completion": "x"}])
    c = SampleInspector(run).controls
    c.other.value = 0
    assert "No prompt that passes the filter was drawn at step 0 too" in c.changes.value
    run.finish()


def test_the_filter_is_exported_in_its_order(view, tmp_path):
    c = view.controls
    c.answer.value, c.order.value = "correct", "reward, highest first"
    lines = view.export(tmp_path / "a.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    wanted = [row | {"step": 20} for row in completions(20) if row["reward_parts"]["correct"]]
    assert rows == wanted
    assert len(view.export(tmp_path / "a.csv").read_text().splitlines()) == len(wanted) + 1
    with pytest.raises(ValueError, match=r"ends in \.csv or \.jsonl"):
        view.export(tmp_path / "a.txt")
    c.words.value = "nowhere"
    with pytest.raises(ValueError, match="no completion passes the filter"):
        view.export(tmp_path / "a.csv")


def test_the_buttons_save_next_to_the_run_and_overwrite_nothing(view, tmp_path):
    c = view.controls
    for _ in range(2):
        c.jsonl.click()
    c.csv.click()
    folder = view.run.path.parent
    names = {path.name for path in folder.iterdir() if path.is_file()}
    assert names == {"demo-step-20.jsonl", "demo-step-20-2.jsonl", "demo-step-20.csv"}
    assert "demo-step-20.csv" in c.saved.value
    c.file.value = str(tmp_path / "mine" / "picked")
    c.csv.click()
    assert (tmp_path / "mine" / "picked.csv").exists()
    (tmp_path / "file").touch()
    c.file.value = str(tmp_path / "file" / "x.csv")
    c.csv.click()
    assert "Not saved" in c.saved.value


def test_what_is_missing_is_not_offered_and_does_not_filter(tmp_path):
    run = Run.create("bare", root=tmp_path)
    run.log_rollouts(0, [{"prompt": "p", "completion": "one"}, {"prompt": "p", "completion": "three"}])
    run.log_rollouts(5, completions(5))
    run.finish()
    c = SampleInspector(run).controls
    c.low.value, c.answer.value, c.order.value, c.colour.value = "0.5", "correct", "reward, lowest first", "logp"
    c.step.value = 0
    assert not any(map(shown, (c.answer, c.group, c.finish, c.low, c.high)))
    assert [value for _, value in c.order.options] == ["as sampled", "longest first", "shortest first"]
    assert [value for _, value in c.colour.options] == [""] and c.colour.label == "nothing"
    assert "one" in c.table.value and "three" in c.table.value and "characters" in c.table.value
    c.order.value = "longest first"
    assert c.table.value.index("three") < c.table.value.index(">one<")


def test_evaluations_are_no_completions(tmp_path):
    run = Run.create("r", root=tmp_path)
    run.log_rollouts(0, [{"kind": "evaluation", "at": 0, "samples": 4, "problems": ["a"], "correct": [1]}])
    view = SampleInspector(run)
    assert view.controls.step.value is None and "no completions are logged yet" in view.controls.status.value
    assert "no completions are logged yet" in view.to_html() and view.controls.table.value == ""
    run.finish()


def test_it_goes_to_each_new_step_of_a_live_run_until_the_reader_takes_a_place(tmp_path):
    run, permits = Run.create("live", root=tmp_path), threading.Semaphore(0)

    def learner():
        step = 0
        while permits.acquire():
            yield Step(step, {"reward": 0.0}, completions(step, prompts=3))
            step += 1

    def advance(to):
        permits.release()
        until(lambda: c.step.options and c.step.options[-1][1] == to)

    view = SampleInspector(run)
    c = view.controls
    handle = live_module.live(learner(), run)
    advance(0)
    advance(1)
    assert c.step.value == 1 and shown(c.follow) and c.follow.value
    c.next.click()  # the reader's place: step 1, page 2
    assert not c.follow.value
    here = c.table.value
    advance(2)
    assert (c.step.value, c.page.value, c.table.value) == (1, 2, here)
    c.follow.value = True
    assert (c.step.value, c.page.value) == (2, 1)
    c.answer.value = "correct"  # a filter is no place: it goes along
    advance(3)
    assert c.step.value == 3 and c.answer.value == "correct"
    handle.stop()
    permits.release()
    handle.wait()
    assert c.step.value == 4 and "stopped" in c.status.value and not shown(c.follow) and run._watchers == []


def test_refresh_reads_what_another_process_wrote(tmp_path):
    writer = Run.create("elsewhere", root=tmp_path)
    writer.log_rollouts(0, completions(0, prompts=2))
    c = SampleInspector(Run.load(writer.path)).controls
    assert shown(c.refresh) and "16 completions" in c.status.value
    writer.log_rollouts(0, [{"group": 9, "completion": "late"}])  # the rest of the same step
    writer.log_rollouts(1, completions(1))
    writer.finish()
    c.refresh.click()
    assert c.step.value == 0 and "17 completions" in c.status.value and len(c.step.options) == 2
    assert not shown(c.refresh)


def test_a_change_by_the_reader_while_another_thread_draws_is_not_lost(view):
    c, inside, go = view.controls, threading.Event(), threading.Event()

    def draw():
        with view._follower.lock, c.quiet():
            inside.set()
            go.wait(20)

    thread = threading.Thread(target=draw)
    thread.start()
    inside.wait(20)
    reader = threading.Thread(target=lambda: setattr(c.order, "value", "longest first"))
    reader.start()
    go.set()
    for one in (thread, reader):
        one.join(20)
    assert "longest first" in c.table.value


def test_hostile_rows_are_shown_as_short_text(tmp_path):
    rows = [
        {"group": HOSTILE, "sample": HOSTILE, "prompt": HOSTILE, "completion": HOSTILE, "finish_reason": HOSTILE,
         "problem": HOSTILE, "tokens": [HOSTILE, None, 3, ""], "logp_sampled": [-1.0, "x", None, float("-inf")],
         "reward": float("nan"), "reward_parts": {HOSTILE: 1, "correct": float("nan")}, "advantage": float("inf")},
        {"group": HOSTILE, "prompt": "p" * 1_000_000, "completion": "x" * 1_000_000, "reward": 0.5},
        {"group": [1], "prompt": {"a": 1}, "completion": ["x"], "reward": "1", "finish_reason": [1], "mask": 3},
        {"completion": "\n" * 100_000, "tokens": ["t" * 1000] * 1000, "logp_sampled": [-1e300] * 1000},
    ]  # fmt: skip
    run = Run.create("hostile", {"objective": {"name": HOSTILE, "options": {HOSTILE: HOSTILE}}}, root=tmp_path)
    run.log_rollouts(0, rows)
    run.log_rollouts(1, rows)
    run.finish()
    view = SampleInspector(run)
    c = view.controls
    c.other.value, c.closer.value = 0, 0
    pages = []
    for metric in [value for _, value in c.colour.options]:
        c.colour.value = metric
        for closer in (0, 1, 2, 3):
            c.closer.value = closer
            pages += [c.table.value, c.close_up.value, c.legend.value, c.changes.value, c.status.value]
        pages.append(view.to_html())
    assert len(pages) > 40
    for page in pages:
        page.encode("utf-8")
        assert "<script" not in page and "<img" not in page and len(page) < 400_000
        assert not any(character in page for character in "\u202e\x00\x1b")
    assert any("of 1,000,000 characters" in page for page in pages) and any("of 1,000 tokens" in page for page in pages)
    for menu in (c.closer, c.prompt):
        for label, _ in menu.options:
            label.encode("utf-8")
            assert len(label) < 200 and not any(character in label for character in "\u202e\x00\x1b")
    c.csv.click()
    assert "hostile-step-1.csv" in c.saved.value
    json.dumps(view._repr_mimebundle_(), ensure_ascii=False).encode("utf-8")


def test_nan_rewards_are_counted(tmp_path):
    run = Run.create("r", root=tmp_path)
    run.log_rollouts(0, [{"reward": float("nan"), "group": 0}, {"reward": 1.0, "group": 0}])
    run.finish()
    c = SampleInspector(run).controls
    assert "1 reward not a finite number" in c.status.value and "–" in c.table.value


def test_only_the_page_is_drawn_of_ten_thousand_completions(tmp_path, monkeypatch):
    run = Run.create("big", root=tmp_path)
    rows = [{"group": i // 16, "sample": i % 16, "prompt": f"p{i // 16}", "completion": "c", "reward": float(i % 2),
             "advantage": 0.0, "tokens": ["t"] * 3, "logp_sampled": [-1.0] * 3} for i in range(10_000)]  # fmt: skip
    run.log_rollouts(0, rows)
    run.finish()
    c = SampleInspector(run).controls
    c.colour.value = "logp"
    built, drew = [], []
    index, heat_map = rollout_rows.index, sys.modules["rlkit.widgets.heat"].heat_map
    monkeypatch.setattr(rollout_rows, "index", lambda rows: built.append(1) or index(rows))
    monkeypatch.setattr("rlkit.widgets.heat.heat_map", lambda *a: drew.append(1) or heat_map(*a))
    monkeypatch.setattr("rlkit.widgets.heat.limit", lambda *_: 1 / 0)  # the scale of the step is known by now
    for _ in range(10):
        c.next.click()
    c.last.click()
    assert c.page.value == c.page.max == 1250 and built == [] and len(drew) == 11 * 8 and len(c.table.value) < 50_000


def test_the_static_twin_has_filter_page_and_tables(view):
    c = view.controls
    c.answer.value, c.colour.value, c.closer.value = "correct", "ratio", 1
    page = view.to_html()
    assert c.table.value in page and c.legend.value in page and "answer: correct" in page and "sort: as sampled" in page
    assert page.count("<details") == 1 and page.count(" tokens</caption>") == 8 + 1
    assert "http" not in page and "<script" not in page and "<input" not in page


def test_the_display_carries_widget_page_and_text(view):
    bundle = view._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == view.box.model_id
    assert bundle["text/html"] == view.to_html() and "demo, step 20: finished; 48 completions" in bundle["text/plain"]
    with pytest.raises(TypeError, match=r"^run='demo': must be a Run"):
        SampleInspector("demo")
    view.close()
