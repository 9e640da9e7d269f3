"""Scorers of other projects, asked in a second process: reasoning-gym and math-verify.

Their scorers may run for ever, fill the memory, use signals that only a main thread has (math-verify), evaluate what a
model wrote (reasoning-gym), or end the interpreter. So they run in a process of their own with a limit on processor
time and memory and no way to run code from a string (referee_process.py). What ends that process is a wrong answer,
and the next question starts another. One process serves all threads, one question at a time. Strings hash alike in
every such process, so that a data set that walks through a set draws the same problems everywhere.
"""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

PROGRAM = Path(__file__).with_name("referee_process.py")
WALL = 20  # seconds of waiting per second of processor time that a question may use: a busy machine is no wrong answer

_lock = threading.Lock()
_process = None
_owner = None  # the process that started it: after a fork, two would read from one pipe


def ask(do: str, cpu_seconds: int, **request) -> dict | None:
    """The reply to a request, or None if it used more than `cpu_seconds` of processor time or ended the process.

    Raises ImportError if the package that it needs is missing. Any thread may ask.
    """
    global _process, _owner
    with _lock:
        if _process is None or _process.poll() is not None or _owner != os.getpid():
            _process, _owner = _start(), os.getpid()
        process = _process
        guard = threading.Timer(WALL * cpu_seconds, process.kill)
        guard.daemon = True
        guard.start()
        try:
            process.stdin.write(json.dumps({"do": do, "cpu_seconds": cpu_seconds, **request}) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:  # it ended before it had read the question
            line = ""
        except BaseException:  # an interrupt: its reply must not become the answer to the next question
            _end(process)
            raise
        finally:
            guard.cancel()
        if not line.endswith("\n"):
            _end(process)
            return None
    reply = json.loads(line)
    if "missing" in reply:
        raise ImportError(f'{do}: {reply["missing"]} is missing: pip install "rlkit-notebooks[tasks]"')
    return reply


def _start() -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-P", str(PROGRAM)],  # -P: the files beside the program are not for import
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="ascii",
        env=os.environ | {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
    )


def _end(process: subprocess.Popen) -> None:
    global _process
    process.kill()
    process.wait()
    process.stdout.close()
    try:
        process.stdin.close()
    except OSError:  # what was still to be written has no reader
        pass
    _process = None
