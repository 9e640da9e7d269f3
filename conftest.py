"""What every test run shares: the guard for notebooks, the order of items, and a turn alone for those that need it."""

import contextlib

import pytest

pytest_plugins = ["tests.notebooks.guard"]


def pytest_collection_modifyitems(items):
    """Long items first, so that two processes end together: those that need the machine, then the slow ones."""

    def rank(item):
        slow = item.get_closest_marker("slow") or getattr(item, "nbmake", False)
        return 0 if item.get_closest_marker("alone") else 1 if slow else 2

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def _a_readers_settings(monkeypatch):
    """What a reader may have set in the shell does not reach the tests."""
    for name in ("RLKIT_SYNC", "RLKIT_LANE"):
        monkeypatch.delenv(name, raising=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    with _turn(item) if hasattr(item.config, "workerinput") else contextlib.nullcontext():
        return (yield)


@contextlib.contextmanager
def _turn(item):
    """Among the processes of pytest-xdist, an item marked `alone` runs while no other does."""
    import fcntl

    folder = item.config.rootpath / "build"
    folder.mkdir(exist_ok=True)
    # Whoever waits for the room holds the door, so that others do not slip in before.
    with open(folder / ".door", "w") as door, open(folder / ".room", "w") as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
