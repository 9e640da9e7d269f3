"""RunTable and PapersTable: everything is listed, nothing is raised, and text stays text."""

import json

import ipywidgets
import pytest

from rlkit import papers
from rlkit.runs import Run
from rlkit.widgets import PapersTable, RunTable
from rlkit.widgets.tables import find_runs

HOSTILE = "<script>alert(1)</script>\"'\u202e"


def make(root, name, finish=True, **metrics):
    run = Run.create(name, {"seeds": [0, 1]}, root=root)
    for step in range(3):
        run.log(step, **(metrics or {"reward": [step, step + 1.0]}))
    if finish:
        run.finish()
    return run


def test_runs_are_listed_with_state_steps_and_last_values(tmp_path):
    make(tmp_path, "first")
    make(tmp_path, "second", finish=False)
    page = RunTable(tmp_path).to_html()
    for text in ("first", "finished", "second", "unfinished", "reward 2.5", "2 runs in"):
        assert text in page


def test_broken_folders_are_listed_not_raised(tmp_path):
    make(tmp_path, "good")
    for name, content in (("cut", "{"), ("foreign", '{"format": "other"}'), ("list", "[]"), ("bytes", "\udcff")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_bytes(content.encode(errors="surrogateescape"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder" / "run.json").mkdir(parents=True)
    (tmp_path / "a-file").write_text("x")
    runs, errors = find_runs(tmp_path)
    assert list(runs) == ["good"] and set(errors) == {"cut", "foreign", "list", "bytes", "empty", "folder"}
    assert all("\n" not in error and error for error in errors.values())
    page = RunTable(tmp_path).to_html()
    assert "good" in page and "Not readable" in page and page.count("run.json") >= 4


def test_a_broken_metrics_file_does_not_break_the_table(tmp_path):
    run = make(tmp_path, "good")
    with open(run.path / "metrics.jsonl", "a") as file:
        file.write("not json\n")
    table = RunTable(tmp_path)
    assert "good" in table.errors and "line 5" in table.to_html()


def test_records_that_are_no_numbers_are_listed_with_their_error(tmp_path):
    run = make(tmp_path, "odd")
    (run.path / "metrics.jsonl").write_text('{"step": 1, "metrics": {"a": "x"}}\n')
    assert "odd" in RunTable(tmp_path).errors


def test_runs_of_a_group_are_found_one_level_down(tmp_path):
    make(tmp_path / "measure", "lcb")
    make(tmp_path, "own")
    assert set(find_runs(tmp_path)[0]) == {"measure/lcb", "own"}


def test_no_folder_no_runs_and_a_file_is_refused(tmp_path):
    assert "0 runs in" in RunTable(tmp_path / "nothing").to_html()
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"^root=.*must be a folder$"):
        RunTable(tmp_path / "file")


def test_choosing_shows_curves_and_drops_the_last_ones(tmp_path):
    for name in ("a", "b"):
        make(tmp_path, name)
    table = RunTable(tmp_path)
    assert table.place.children == ()
    table.choice.value = ("a", "b")
    first = table.curves
    assert "of 2 seeds" in first.picture.value or "over 2 seeds" in first.picture.value
    assert table.place.children == (first.box,)
    table.choice.value = ("b",)
    assert first.box.comm is None and first.picture.comm is None
    assert ">a</text>" not in table.curves.picture.value and ">b</text>" in table.curves.picture.value
    table.choice.value = ()
    assert table.place.children == ()


def test_refresh_finds_new_runs_and_keeps_working(tmp_path):
    make(tmp_path, "a")
    table = RunTable(tmp_path)
    table.choice.value = ("a",)
    make(tmp_path, "b")
    table.refresh.click()
    assert {value for _, value in table.choice.options} == {"a", "b"} and table.choice.value == ()
    assert table.place.children == ()
    table.choice.value = ("b",)
    assert ">b</text>" in table.curves.picture.value


def test_hostile_runs_are_shown_as_text(tmp_path):
    run = make(tmp_path, "r", **{HOSTILE: [1.0, 2.0]})
    file = run.path / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"created": HOSTILE, "name": HOSTILE}))
    (tmp_path / "<img src=x onerror=y>").mkdir()
    table = RunTable(tmp_path)
    for page in (table.to_html(), table.table.value):
        assert "<script" not in page and "<img" not in page and "\u202e" not in page


def test_the_papers_are_all_there_with_their_state():
    table = PapersTable()
    page = table.to_html()
    assert len(table.shown()) == len(papers.PAPERS) == 85 and page.count("<tr>") == 86 and "85 of 85 papers" in page
    assert all(paper.key in page for paper in papers.PAPERS)


def test_filters_narrow_the_papers_together():
    table = PapersTable()
    table.chapter.value = papers.find("pessimism-lcb").chapter
    chapter = table.shown()
    assert chapter and all(p.chapter == table.chapter.value for p in chapter)
    table.words.value = "PESSIMISM"
    assert "pessimism-lcb" in [p.key for p in table.shown()] and set(table.shown()) <= set(chapter)
    table.words.value = "pessimism nosuchword"
    assert table.shown() == [] and "0 of 85 papers" in table.table.value
    table.words.value, table.chapter.value = "", "all"
    table.state.value = table.state.options[1][1]
    assert {paper.state for paper in table.shown()} == {table.state.value}


def test_a_hostile_filter_changes_nothing_but_the_rows():
    table = PapersTable()
    for text in (HOSTILE, "(", "\\", "x" * 10_000):
        table.words.value = text
        assert "<script" not in table.table.value and table.shown() == []


@pytest.mark.parametrize("make_table", [PapersTable, lambda: RunTable("no-such-folder")])
def test_every_control_has_a_label_and_the_display_all_forms(make_table):
    table = make_table()
    controls = table.box.children[0].children
    assert all(control.description for control in controls)
    bundle = table._repr_mimebundle_()
    assert bundle["text/html"] == table.to_html() and bundle["text/plain"]
    assert isinstance(table.box, ipywidgets.VBox) and 'tabindex="0"' in table.table.value
