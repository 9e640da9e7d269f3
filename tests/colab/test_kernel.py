"""A real kernel of whatever versions run this test: a widget follows a learner from its thread, and Stop stops it.

The main environment runs it on the newest versions, test_stack.py on those of Colab.
"""

import queue
import time

import pytest
from jupyter_client.manager import start_new_kernel

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kernel")]

START = """
import itertools, time
from rlkit.live import live
from rlkit.runs import Run, Step
from rlkit.widgets import RewardCurves

def endless():
    for step in itertools.count():
        time.sleep(0.01)
        yield Step(step, {"reward": float(step)})

run = Run.create("endless", {"seeds": [0]}, root=ROOT)
handle = live(endless(), run)
curves = RewardCurves(run)
print(curves.stop.model_id, curves.status.model_id, curves.picture.model_id)
"""


@pytest.fixture
def client(tmp_path):
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def execute(client, code: str) -> str:
    """What the code prints; fails with its traceback."""
    printed = []

    def hook(message):
        if message["header"]["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(code, output_hook=hook, timeout=60)
    assert reply["content"]["status"] == "ok", "\n".join(reply["content"].get("traceback", ()))
    return "".join(printed)


def updates(client, model: str):
    """Each new value that the kernel sends to the view of this widget, as it comes; ends after 10 s of silence."""
    while True:
        try:
            message = client.get_iopub_msg(timeout=10)
        except queue.Empty:
            return
        content = message["content"]
        if message["header"]["msg_type"] == "comm_msg" and content.get("comm_id") == model:
            value = content["data"].get("state", {}).get("value")
            if value is not None:
                yield value


def press(client, model: str) -> None:
    """What a front end sends when its reader clicks a button."""
    data = {"method": "custom", "content": {"event": "click"}}
    client.shell_channel.send(client.session.msg("comm_msg", {"comm_id": model, "data": data}))


def test_curves_grow_from_the_thread_and_stop_ends_the_run(client, tmp_path):
    stop, status, picture = execute(client, START.replace("ROOT", repr(str(tmp_path)))).split()
    drawn = []
    for value in updates(client, picture):
        drawn += [value] if "<svg" in value else []
        if len(drawn) == 3:
            break
    assert len(set(drawn)) == 3, "the picture does not grow while the cell has returned"

    press(client, stop)
    assert any("stopped" in value for value in updates(client, status)), "Stop was pressed, and the view went on"
    deadline = time.monotonic() + 10
    while (state := execute(client, "print(handle.state, run.state)").split()) != ["stopped"] * 2:
        assert time.monotonic() < deadline, state
        time.sleep(0.1)
    first, second = (int(execute(client, "print(len(run.metrics()))")) for _ in range(2))
    assert first == second > 0
    assert execute(client, "handle.wait(); print(handle.error)").strip() == "None"
