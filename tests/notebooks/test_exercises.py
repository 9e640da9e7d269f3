"""Every cell tagged `exercise`, alone in a real kernel: the blank says "not done yet", the reference passes.

One kernel serves all exercises of a notebook; its names are reset before each cell, so a cell that leans on another
one fails here.
"""

import ast
import inspect

import nbclient
import nbformat
import pytest

from rlkit.exercises import EXERCISES, reference
from tests.notebooks import template

RESET = "%reset -f"
NOTEBOOKS = {path.relative_to(template.ROOT).as_posix(): path for path in template.notebooks()}


def exercises(notebook) -> list:
    """The code cells of a notebook that are tagged `exercise`."""
    return [c for c in notebook.cells if c.cell_type == "code" and "exercise" in c.metadata.get("tags", [])]


def parse(source: str) -> tuple[str, str]:
    """(exercise's name, function's name) of a cell; fails unless it ends in check("a/name", its_function)."""
    tree = ast.parse(source)
    convention = f"an exercise defines a function and ends in check(name, function): {source!r}"
    call = getattr(tree.body[-1], "value", None) if tree.body else None
    assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "check", convention
    assert [type(argument) for argument in call.args] == [ast.Constant, ast.Name], convention
    name, function = call.args[0].value, call.args[1].id
    assert name in EXERCISES, f"{name!r} is no exercise"
    stubs = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function]
    assert stubs, convention
    parameters = [argument.arg for argument in stubs[0].args.args]
    expected = list(inspect.signature(reference(name)).parameters)[: len(parameters)]
    assert parameters == expected, f"{function}({', '.join(parameters)}): the library has {', '.join(expected)}"
    return name, function


def run_alone(sources: list[str], folder) -> list[str]:
    """The text that each cell shows, or its error, each cell in a fresh namespace of one kernel in `folder`."""
    cells = [nbformat.v4.new_code_cell(text) for source in sources for text in (RESET, source)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return ["\n".join(_text(output) for output in cell.outputs) for cell in notebook.cells[1::2]]


def _text(output) -> str:
    if output.output_type == "error":
        return f"ERROR {output.ename}: {output.evalue}"
    return output.get("text") or output.get("data", {}).get("text/plain", "")


def problems(notebook, folder) -> list[str]:
    """What is wrong with a notebook's exercises, each run alone; empty if blanks are blank and references pass."""
    cells = exercises(notebook)
    names = [parse(cell.source) for cell in cells]
    solved = "{}\nfrom rlkit.exercises import reference\n{function} = reference({name!r})\ncheck({name!r}, {function})"
    substituted = [
        solved.format(cell.source, name=name, function=function)
        for cell, (name, function) in zip(cells, names, strict=True)
    ]
    shown = run_alone([*(cell.source for cell in cells), *substituted], folder)
    found = []
    for number, (name, _) in enumerate(names):
        blank, solved = shown[number], shown[number + len(cells)]
        if f"{name}: not done yet" not in blank:
            found.append(f"{name}: the blank does not say that it is not done yet: {blank!r}")
        if f"{name}: passed" not in solved:
            found.append(f"{name}: the reference does not pass in the cell's place: {solved!r}")
    return found


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_blanks_fail_and_references_pass_when_each_cell_runs_alone(name):
    notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
    if not exercises(notebook):
        assert not is_chapter(name), f"{name}: a chapter has at least one exercise (a code cell tagged exercise)"
        pytest.skip("no exercise in this notebook")
    assert problems(notebook, NOTEBOOKS[name].parent) == []


def is_chapter(name: str) -> bool:
    """Whether a notebook walks a chapter: notebooks/<two digits>_<chapter>/00_<chapter>.ipynb."""
    folder, file = name.split("/")[1], name.split("/")[-1]
    return file.startswith("00_") and folder[:2].isdigit() and folder[2:3] == "_" and folder != file


BLANK = """from rlkit.exercises import check

def ips(reward, propensity, target):
    ...

check("bandits/ips", ips)"""


def made(*sources):
    cells = [nbformat.v4.new_code_cell(source, metadata={"tags": ["exercise"]}) for source in sources]
    return nbformat.v4.new_notebook(cells=cells)


def test_this_test_sees_a_cell_that_gives_the_answer_away_or_leans_on_another_cell(tmp_path):
    given_away = BLANK.replace("...", "return (reward * target / propensity).mean()")
    leaning = BLANK.split("\n", 1)[1]
    found = problems(made(BLANK, given_away, leaning), tmp_path)
    assert len(found) == 3, found
    assert "the blank does not say" in found[0] and "passed" in found[0]
    assert "NameError" in found[1] and "NameError" in found[2]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "ends in check"),
        (BLANK + "\nprint()", "ends in check"),
        (BLANK.replace("ips)", "lambda r, p, t: ...)"), "ends in check"),
        (BLANK.replace("def ips", "def mine"), "defines a function"),
        (BLANK.replace('"bandits/ips"', '"bandits/none"'), "is no exercise"),
        (BLANK.replace("propensity", "weights"), "the library has reward, propensity, target"),
    ],
)
def test_this_test_sees_a_cell_that_does_not_keep_the_convention(source, words):
    with pytest.raises(AssertionError, match=words):
        parse(source)


def test_which_notebooks_are_chapters():
    assert is_chapter("notebooks/01_bandits/00_bandits.ipynb")
    assert not is_chapter("notebooks/00_start_here.ipynb") and not is_chapter(
        "notebooks/01_bandits/pessimism_lcb.ipynb"
    )
