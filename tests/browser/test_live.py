"""The chapter as a reader has it: JupyterLab from `make lab`, a real browser, growing curves, a Stop that stops."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = "notebooks/01_bandits/00_bandits.ipynb"  # its last RewardCurves shows a run of several seconds
PICTURES = ROOT / "build" / "browser"
# A browser that calls nobody: without these flags it looks for updates and for its maker's hosts.
QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},  # a cell far below stays in the page
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},  # the notebook of the checkout stays as it is
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
ALL_STOPPED = re.compile(r"^(?!.*(running|stopping|paused)).*stopped", re.DOTALL)

pytestmark = [pytest.mark.alone, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def chromium() -> str:
    """The path of a Chromium or Chrome; without one the test is skipped, but fails where CI should have brought it."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if found is None and os.environ.get("CI"):
        pytest.fail("no chromium on the PATH; .ci/run installs it")
    if found is None:
        pytest.skip("no chromium on the PATH: install it (Debian: apt install chromium) to run the browser test")
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """(address, token) of the JupyterLab that `make lab` starts, with a reader's empty settings."""
    home = tmp_path_factory.mktemp("lab")
    for name, value in SETTINGS.items():
        file = home / "settings" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "PYTEST"))}
    environment |= {
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "spaces"),
    }
    environment |= {"JUPYTER_CONFIG_DIR": str(home / "config")}
    log = PICTURES / "lab.log"
    PICTURES.mkdir(parents=True, exist_ok=True)
    with open(log, "w") as out:
        command = ["make", "lab", f"ARGS=--no-browser --port={port} --port-retries=0"]
        server = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        url = None
        for _ in range(600):
            assert server.poll() is None, f"make lab ended:\n{log.read_text()}"
            url = re.search(
                rf"(http://127\.0\.0\.1:{port})/lab/tree/notebooks/00_start_here\.ipynb\?token=(\w+)", log.read_text()
            )
            if url:
                break
            time.sleep(0.1)
        assert url, f"make lab printed no URL with a token:\n{log.read_text()}"
        yield url.groups()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


@pytest.fixture
def page(chromium, lab, request):
    """A page of the browser; `page.faults` collects what its console reports as an error."""
    with sync_playwright() as play:
        root = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
        browser = play.chromium.launch(executable_path=chromium, args=QUIET + root)
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        page.faults = []
        page.on("console", lambda message: message.type == "error" and page.faults.append(message.text))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        yield page
        page.screenshot(path=PICTURES / f"{request.node.name}-end.png")
        browser.close()


def run_all(page) -> None:
    """Run > Run All Cells, again if the kernel was not connected yet and nothing was run."""
    expect(page.locator("#jp-main-statusbar")).to_contain_text("Idle", timeout=60_000)
    for _ in range(5):
        page.click('div.lm-MenuBar-itemLabel:text-is("Run")')
        page.click('li[data-command="runmenu:run-all"]')
        for _ in range(20):
            if any(re.search(r"[*\d]", prompt) for prompt in page.locator(".jp-InputPrompt").all_inner_texts()):
                return
            page.wait_for_timeout(250)
    pytest.fail("Run All Cells ran no cell")


def test_curves_grow_and_stop_stops_within_two_seconds(page, lab):
    address, token = lab
    cells = nbformat.read(ROOT / NOTEBOOK, as_version=4).cells
    views = sum(cell.source.count("RewardCurves(") for cell in cells if cell.cell_type == "code")
    page.goto(f"{address}/lab/tree/{NOTEBOOK}?token={token}")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.screenshot(path=PICTURES / "1-open.png")
    run_all(page)
    # The last view: when it appears its run has just begun.
    curves = page.locator(".rlkit-curves")
    expect(curves).to_have_count(views, timeout=150_000)
    view = curves.last
    status, stop, picture = view.locator(".rlkit-status"), view.locator(".rlkit-stop"), view.locator("svg").first
    expect(status).to_contain_text("running", timeout=10_000)
    stop.scroll_into_view_if_needed()

    drawn = {picture.inner_html()}
    while len(drawn) < 3 and "running" in status.inner_text():
        drawn.add(picture.inner_html())
        page.wait_for_timeout(50)
    page.screenshot(path=PICTURES / "2-growing.png")
    assert len(drawn) >= 3, f"the picture did not grow while the run was {status.inner_text()!r}"

    expect(stop).to_be_enabled()
    stop.click()
    expect(status).to_have_text(ALL_STOPPED, timeout=2_000)
    page.screenshot(path=PICTURES / "3-stopped.png")

    ended = picture.inner_html()
    page.wait_for_timeout(1_000)
    assert picture.inner_html() == ended, "the picture went on growing after Stop"
    assert page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]').count() == 0
    assert page.faults == []


def test_it_answers_on_this_machine_only_and_asks_for_its_token(page, lab):
    address, _ = lab
    page.goto(f"{address}/lab")
    expect(page).to_have_url(re.compile("/login"))
    assert "127.0.0.1" in address
