"""The rules of every notebook: its rooms, its shared cells, and nothing in it that belongs to one reader's machine."""

import importlib.metadata
import json
import re

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import rlkit
from rlkit.papers import PAPERS
from tests.notebooks import template
from tests.notebooks.badges import stamp

FILES = {path.relative_to(template.ROOT).as_posix(): path for path in template.notebooks()}
# The rooms of a paper notebook after title and setup, in order, as second-level headings.
ROOMS = ["Predict", "The idea", "Knobs", "Run it", "Look inside", "Verdict", "Departures", "Your turn"]
CODE_LINES = 120
GUIDE = "qlora_"  # a notebook that guides through a tool: no paper, so no claim, and rooms of its own
PLACE = re.compile(r"""(?<![\w.~:/])/(?:home|Users|root|tmp|work|content|mnt|opt|srv|usr|var)/|\b[A-Z]:\\""")


def read(path):
    return nbformat.read(path, as_version=4)


def tagged(notebook, tag: str) -> list:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def headings(notebook) -> list:
    """(number of the cell, text) of each second-level heading."""
    found = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            found += [(number, text.strip()) for text in re.findall(r"^## +(.+)$", cell.source, re.MULTILINE)]
    return found


def room(heading: str) -> str | None:
    """The room a heading opens: `Run it`, also as `Run it: five seeds`."""
    return next((name for name in ROOMS if re.match(rf"{re.escape(name)}\b", heading)), None)


def code_lines(notebook) -> int:
    """Lines of code a reader meets: neither blank, nor comments, nor the setup cell."""
    cells = [c for c in notebook.cells if c.cell_type == "code" and "setup" not in c.metadata.get("tags", [])]
    lines = [line.strip() for cell in cells for line in cell.source.split("\n")]
    return sum(bool(line) and not line.startswith("#") for line in lines)


def structure(notebook, name: str) -> list:
    """What is wrong with a notebook's rooms; empty if nothing is."""
    found = []
    first = notebook.cells[0]
    if first.cell_type != "markdown" or not re.match(r"# \S", first.source):
        found.append("the first cell is not a title (# ...)")
    setup = tagged(notebook, "setup")
    if len(setup) != 1 or setup[0] is not next(c for c in notebook.cells if c.cell_type == "code"):
        found.append("the first code cell, and no other, has the tag setup")
    *folders, file = name.split("/")
    if file.startswith("00_"):
        if len(folders) > 1 and not tagged(notebook, "exercise"):
            found.append("a chapter has no exercise (a code cell tagged exercise)")
        return found
    if file.startswith(GUIDE):
        return found
    rooms = [room(text) for _, text in headings(notebook)]
    if rooms != ROOMS:
        found.append(f"the second-level headings are {[t for _, t in headings(notebook)]}, not the rooms {ROOMS}")
        return found
    starts = dict(zip(ROOMS, [number for number, _ in headings(notebook)], strict=True))
    knobs = [number for number, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    if len(knobs) != 1 or not starts["Knobs"] <= knobs[0] < starts["Run it"]:
        found.append("exactly one cell, under Knobs, has the tag parameters")
    if not any(n > starts["Your turn"] for n, c in enumerate(notebook.cells) if c in tagged(notebook, "exercise")):
        found.append("Your turn has no exercise (a code cell tagged exercise)")
    if code_lines(notebook) > CODE_LINES:
        found.append(f"{code_lines(notebook)} lines of code are more than {CODE_LINES}")
    return found


def hygiene(raw: dict) -> list:
    """What is stored that should not be, or is missing, in a notebook's JSON; empty if all is well."""
    found = []
    if (raw["nbformat"], raw["nbformat_minor"]) < (4, 5):
        found.append("older than nbformat 4.5, which has cell ids")
    ids = [cell.get("id") for cell in raw["cells"]]
    if None in ids or len(set(ids)) < len(ids):
        found.append(f"cell ids are missing or double: {sorted({str(i) for i in ids if ids.count(i) > 1})}")
    for cell in raw["cells"]:
        source = "".join(cell["source"])
        if cell.get("outputs") or cell.get("execution_count") is not None or "execution" in cell["metadata"]:
            found.append(f"cell {cell.get('id')}: stored with output or execution count; run make badges")
        if PLACE.search(source):
            found.append(f"cell {cell.get('id')}: names a place on one machine: {PLACE.search(source).group()}")
        if not source.strip():
            found.append(f"cell {cell.get('id')}: is empty")
    if "widgets" in raw["metadata"]:
        found.append("widget state is stored; run make badges")
    return found


@pytest.mark.parametrize("name", FILES)
def test_structure(name):
    assert structure(read(FILES[name]), name.removeprefix("notebooks/")) == []


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_stored_that_running_makes(name):
    assert hygiene(json.loads(FILES[name].read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("name", FILES)
def test_badge_and_setup_cell_are_those_of_the_template(name):
    notebook = read(FILES[name])
    badges = [line for line in notebook.cells[0].source.split("\n") if line.startswith(template.BADGE)]
    assert badges == [template.badge(FILES[name])], "run make badges"
    assert [cell.source for cell in tagged(notebook, "setup")] == [template.setup_cell()], "run make badges"


@pytest.mark.parametrize("name", FILES)
def test_links_to_files_of_the_repository_lead_somewhere(name):
    text = "\n".join(cell.source for cell in read(FILES[name]).cells if cell.cell_type == "markdown")
    targets = [t.split("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:|#", t)]
    assert [t for t in targets if not (FILES[name].parent / t).exists()] == []


def test_every_paper_notebook_is_one_of_the_85_papers():
    keys = {paper.key.replace("-", "_") for paper in PAPERS}
    papers = [path.stem for path in FILES.values() if not path.stem.startswith(("00_", GUIDE))]
    assert [stem for stem in papers if stem not in keys] == []


# The rules above see what they are there to see.


def paper(**changed):
    cells = {"title": nbformat.v4.new_markdown_cell("# A paper"), "setup": nbformat.v4.new_code_cell("import rlkit")}
    cells["setup"].metadata["tags"] = ["setup"]
    for name in ROOMS:
        cells[name] = nbformat.v4.new_markdown_cell(f"## {name}: more")
        if name in ("Knobs", "Your turn"):
            tag = {"Knobs": "parameters", "Your turn": "exercise"}[name]
            cells[tag] = nbformat.v4.new_code_cell("STEPS = 3", metadata={"tags": [tag]})
    return nbformat.v4.new_notebook(cells=[cell for cell in (cells | changed).values() if cell is not None])


def test_a_whole_paper_notebook_passes():
    assert structure(paper(), "01_x/a.ipynb") == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"title": nbformat.v4.new_markdown_cell("A paper")}, "title"),
        ({"setup": None}, "tag setup"),
        ({"Verdict": None}, "not the rooms"),
        ({"Knobs": nbformat.v4.new_markdown_cell("## Knots")}, "not the rooms"),
        ({"parameters": None}, "tag parameters"),
        ({"exercise": None}, "no exercise"),
        ({"long": nbformat.v4.new_code_cell("x = 1\n" * 121)}, "123 lines"),
    ],
)
def test_a_paper_notebook_with_a_fault_does_not(changed, words):
    assert words in "; ".join(structure(paper(**changed), "01_x/a.ipynb"))


@pytest.mark.parametrize(
    ("source", "outputs", "words"),
    [
        ("open('/" + "home/me/data.csv')", [], "names a place"),
        ("open('C:\\" + "\\data')", [], "names a place"),
        ("x = 1", [nbformat.v4.new_output("stream", text="1")], "stored with output"),
        ("", [], "is empty"),
    ],
)
def test_a_cell_with_a_fault_does_not(source, outputs, words):
    cell = nbformat.v4.new_code_cell(source, outputs=outputs)
    raw = json.loads(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))
    assert words in "; ".join(hygiene(raw))


def test_double_ids_and_widget_state_do_not():
    raw = json.loads(nbformat.writes(paper()))
    raw["cells"][1]["id"] = raw["cells"][0]["id"]
    raw["metadata"]["widgets"] = {}
    assert len(hygiene(raw)) == 2


def test_make_badges_mends_what_it_can_and_is_done_after_once():
    notebook = paper()
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="1")]
    path = template.NOTEBOOKS / "01_x" / "a.ipynb"
    stamp(notebook, path)
    once = nbformat.writes(notebook)
    assert template.badge(path) in notebook.cells[0].source
    assert "notebooks/01_x/a.ipynb" in template.badge(path) and "../open_in_colab.svg" in template.badge(path)
    assert notebook.cells[1].source == template.setup_cell() and notebook.cells[1].outputs == []
    stamp(notebook, path)
    assert nbformat.writes(notebook) == once


def test_the_setup_cell_leaves_torch_alone_and_installs_only_on_colab(monkeypatch):
    """Run by an IPython shell whose %pip records instead of installing."""
    asked = []
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.register_magic_function(asked.append, magic_name="pip")
    monkeypatch.setattr(shell, "showtraceback", lambda *_, **__: None)

    def run():
        asked.clear()
        return shell.run_cell(template.setup_cell()).error_in_exec

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    monkeypatch.delenv("COLAB_NOTEBOOK_ID", raising=False)
    assert run() is None and asked == []
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    assert run() is None and asked == []  # it is installed already
    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert run() is None and asked == [f"install -q --no-deps git+https://github.com/{template.slug()}"]
    monkeypatch.delattr(rlkit, "__distribution__")
    assert "another project's rlkit" in str(run()) and "\n" not in str(run())
