"""Labelling in a real JupyterLab: the mouse, the keys, and nothing else that the keys do."""

import json
import os

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.test_live import PICTURES, ROOT, chromium, lab, page, run_all  # noqa: F401 - fixtures

pytestmark = [pytest.mark.alone, pytest.mark.xdist_group("browser")]

CODE = """
from rlkit.widgets import PreferenceLabeller
hostile = "<img src=x onerror=document.title='broken'><script>document.title='broken'</script>"
texts = [hostile, *(f"completion {{i}}" for i in range(1, 8))]
labeller = PreferenceLabeller(["a prompt"] * 8, texts, [f"{{t}}, longer" for t in texts], {path!r}, repeats=0.0)
labeller
"""


@pytest.fixture
def notebook(tmp_path):
    """A notebook of one labeller; its address below the repository's root, and the file of its labels."""
    path = tmp_path / "labels.jsonl"
    cells = [nbformat.v4.new_code_cell(CODE.format(path=str(path))), nbformat.v4.new_markdown_cell("below")]
    file = PICTURES / f"labeller-{os.getpid()}.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), file)
    yield file.relative_to(ROOT).as_posix(), path
    file.unlink()


def test_mouse_and_keys_answer_and_no_key_reaches_jupyterlab(page, lab, notebook):  # noqa: F811
    name, labels = notebook
    page.goto(f"{lab[0]}/lab/tree/{name}?token={lab[1]}")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    run_all(page)
    box = page.locator(".rlkit-labeller")
    status = box.locator(".rlkit-status")
    expect(status).to_contain_text("0 of 8 answered", timeout=60_000)
    expect(box).to_have_attribute("data-lm-suppress-shortcuts", "true")
    expect(box).to_have_css("outline-style", "none")
    cells = page.locator(".jp-Notebook .jp-Cell").count()

    def after(answered, act):
        page.wait_for_timeout(400)  # nobody answers within a quarter of a second
        act()
        expect(status).to_contain_text(f"{answered} of 8 answered")

    after(1, box.locator(".rlkit-b").click)
    after(2, lambda: page.keyboard.press("a"))  # while the button that was clicked has the focus
    box.get_by_text("Prompt", exact=True).click()  # a click on the text gives the frame the focus
    expect(box).to_have_css("outline-style", "solid")
    after(3, lambda: page.keyboard.press("ArrowLeft"))
    after(4, lambda: page.keyboard.press("ArrowRight"))
    after(5, lambda: page.keyboard.press("b"))
    after(6, lambda: page.keyboard.press("s"))
    page.screenshot(path=PICTURES / "labeller-keys.png")
    after(5, lambda: page.keyboard.press("u"))
    page.keyboard.press("a")  # at once: not an answer
    page.keyboard.press("Control+b")
    page.wait_for_timeout(700)
    expect(status).to_contain_text("5 of 8 answered")
    after(6, lambda: page.keyboard.press("Shift+A"))
    after(7, lambda: page.keyboard.press("a"))
    after(8, lambda: page.keyboard.press("a"))
    expect(box).to_contain_text("All pairs are answered")

    events = [json.loads(line) for line in labels.read_text().splitlines()][1:]
    done = [event.get("answer", event["event"]) for event in events]
    assert done == ["b", "a", "a", "b", "b", "skip", "undo", "a", "a", "a"]
    assert {event["annotator"] for event in events if "answer" in event} == {"reader"}
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells  # A and B would insert cells
    assert "broken" not in page.title() and box.locator("img, script").count() == 0
    assert page.faults == []
