"""Two lanes, one code path: the notebook's live slice, and the full declared grid that `make measure KEY` runs.

A notebook asks `pick(slice=..., full=...)` for its seeds and steps and drains `sweep(cells, function, run)` into
`run = open_run(key, config)`. In the full lane that run is found again after an interruption, and the cells of the
grid that it holds are not computed a second time.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import sys
import time

from rlkit import checks, paths, provenance
from rlkit.records import plain
from rlkit.runs import Run, Step

LANES = ("slice", "full")
KEY = r"[a-z0-9]+(-[a-z0-9]+)*"
ROOT = "runs/measure"  # where the full lane keeps its runs
KIND = "cell"  # of the rollout row that each cell logs first
OWN = {"step", "kind", "cpu_seconds"}  # what such a row holds beside the cell
ROLLOUTS_KEPT = 2**20  # bytes; a compact run leaves larger rollouts out


def lane() -> str:
    """'full' under `make measure`, else 'slice': the environment variable RLKIT_LANE. Raises ValueError for others."""
    return checks.one_of("RLKIT_LANE", os.environ.get("RLKIT_LANE") or "slice", LANES)


def pick(*, slice, full):
    """The value for this lane: `seeds = pick(slice=range(3), full=range(10))`."""
    return full if lane() == "full" else slice


def open_run(key: str, config: dict) -> Run:
    """The Run that a sweep fills: runs/<key>, new each time; in the full lane runs/measure/<key>, found again.

    In the full lane an unfinished run of the same config, package versions and git state is continued. Code edited
    without a commit is not noticed: delete the unfinished run after such an edit. Raises ValueError as `Run.create`.
    """
    config = json.loads(json.dumps({**config, "lane": lane()}, default=plain))
    if lane() == "slice":
        return Run.create(key, config)
    now = {"versions": provenance.versions(), "git": provenance.git_state()}
    for run in map(Run.load, _folders(key)):
        if run.config == config and run.state != "finished":
            if all(run.meta[name] == value for name, value in now.items()):
                print(f"continuing {ROOT}/{run.path.name}", flush=True)
                return run
            print(f"{ROOT}/{run.path.name} was left by other code or versions: starting afresh", flush=True)
            break
    return Run.create(key, config, root=ROOT)


def _folders(key: str) -> list:
    """Runs of the full lane, the one written last first."""
    found = [p for p in (paths.home() / ROOT).glob(f"{key}*") if re.fullmatch(re.escape(key) + r"(-\d+)?", p.name)]
    written = {path: (path / "metrics.jsonl", path / "run.json") for path in found if (path / "run.json").is_file()}
    return sorted(written, key=lambda p: -max(f.stat().st_mtime_ns for f in written[p] if f.is_file()))


def sweep(cells, function, run: Run | None = None):
    """A learner: yields one Step for each cell of a grid, `function(**cell)` -> metrics, or (metrics, rows).

    cells: dictionaries that JSON can hold, all different, fixed in number and order; the step is the cell's number.
    function: takes its seeds from the cell and nothing from outside, so that each cell can be computed alone; metrics
    maps a name to a number or to one per seed [S]; rows (dictionaries) are kept as rollouts. Each cell logs one
    rollout row of its own first: kind "cell", the cell, and the CPU-seconds it took.
    run: the Run it is drained into; in the full lane, cells that it already holds are skipped, and what is then in the
    run equals an uninterrupted run, CPU-seconds aside. Prints progress in the full lane, at most every 2 s.
    Raises ValueError if the run holds another grid, TypeError for cells that JSON cannot hold.
    """
    cells = json.loads(json.dumps(list(cells), default=plain))
    if not cells or not all(
        isinstance(cell, dict) and not {"step", "kind", "cpu_seconds"} & set(cell) for cell in cells
    ):
        checks.fail(
            "cells", cells, "a list of dictionaries, one for each cell, none with a key step, kind or cpu_seconds"
        )
    if len({json.dumps(cell, sort_keys=True) for cell in cells}) < len(cells):
        raise ValueError("cells: two of them are equal: must all be different")
    resume = run is not None and lane() == "full"
    done = _cells_done(run, cells) if resume else set()
    start, said, computed = time.process_time(), time.monotonic(), 0
    if done:
        print(f"{len(done)} of {len(cells)} cells are done already", flush=True)
    for number, cell in enumerate(cells):
        if number in done:
            continue
        began = time.process_time()
        try:
            result = function(**cell)
        except KeyboardInterrupt:
            if lane() == "slice":
                raise
            # An error, so that no later line takes half a grid for the whole of it.
            raise RuntimeError(f"interrupted at cell {number + 1} of {len(cells)}; run it again to continue") from None
        metrics, rows = result if isinstance(result, tuple) else (result, [])
        rows = [{"kind": KIND, **cell, "cpu_seconds": time.process_time() - began}, *rows]
        if resume:  # killed between rollouts and metrics: what is there is not written twice
            rows = rows[len(run.rollouts(number)) :]
        yield Step(number, metrics, rows or None)
        computed += 1
        if lane() == "full" and time.monotonic() - said > 2:
            said, used = time.monotonic(), time.process_time() - start
            left = len(cells) - len(done) - computed
            about = f", about {used / computed * left:.0f} s left" if left else ""
            print(f"cell {number + 1} of {len(cells)}, {used:.0f} s of CPU{about}", flush=True)


def _cells_done(run: Run, cells: list) -> set:
    first = {row["step"]: row for row in reversed(run._rollouts.refresh())}
    for number, row in sorted(first.items()):
        held = {name: value for name, value in row.items() if name not in OWN}
        if number >= len(cells) or held != cells[number]:
            raise ValueError(f"run {run.name!r}: it holds another grid at cell {number}: must be a run of these cells")
    return {record["step"] for record in run._metrics.refresh() if "metrics" in record}


def cpu_seconds(run: Run) -> float:
    """The CPU-seconds of all cells of a sweep's run, those before an interruption included."""
    rows = run.rollouts()
    if "cpu_seconds" not in rows:
        raise ValueError(f"run {run.name!r}: it records no cpu_seconds: must be filled by a sweep")
    return float(rows["cpu_seconds"].sum())


def keep(run: Run, key: str) -> pathlib.Path:
    """Copy a finished run to data/results/<key>/, without rollouts of more than 1 MB; returns the folder.

    It replaces an earlier copy. Raises ValueError for a run that is not finished.
    """
    if run.state != "finished":
        raise ValueError(f"run {run.name!r}: it is {run.state}: must be finished to be kept")
    target = paths.home() / "data" / "results" / key
    fresh = target.with_name(f".{key}.{os.getpid()}.new")
    fresh.mkdir(parents=True)
    for name in ("run.json", "metrics.jsonl", "rollouts.jsonl"):
        file = run.path / name
        if file.is_file() and (name != "rollouts.jsonl" or file.stat().st_size <= ROLLOUTS_KEPT):
            shutil.copyfile(file, fresh / name)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return target


def stored(key: str, run: Run) -> Run:
    """The full run that data/results/<key>/ keeps; `run` itself where there is none, and in the full lane, which makes
    a new one."""
    folder = paths.data("results", key)
    return Run.load(folder) if lane() == "slice" and folder.is_dir() else run


def notebook(key: str) -> pathlib.Path:
    """The file `paths.notebook_name` names. Raises ValueError for an unknown key, listing the known ones."""
    root = paths.repository()
    if root is None:
        raise ValueError("no checkout of the repository here: the full lane measures the notebooks of a checkout")
    files = {path.stem: path for path in sorted((root / "notebooks").glob("*/[!.]*.ipynb"))}
    known = {stem.replace("_", "-"): path for stem, path in files.items() if not stem[0].isdigit()}
    known |= {own: files[stem] for own, stem in paths.CHAPTERS_OWN.items() if stem in files}
    if key not in known:
        checks.fail("KEY", key, "one of " + (", ".join(known) or "(no paper has a notebook yet)"))
    return known[key]


def _stamp(file: pathlib.Path):
    return (file.stat().st_ino, file.stat().st_mtime_ns) if file.exists() else None


def _client():
    """nbclient's NotebookClient, saying what its cells print while they run."""
    try:
        import nbclient
    except ImportError:
        raise ImportError("make measure needs nbclient: pip install nbclient") from None

    class Spoken(nbclient.NotebookClient):
        def process_message(self, message, cell, cell_index):
            if message["msg_type"] == "stream":
                print(message["content"]["text"], end="", flush=True)
            return super().process_message(message, cell, cell_index)

    return Spoken


def _execute(runner, environment: dict) -> None:
    """Run in a thread of its own: nbclient's handling of Ctrl-C would let the cell go on with half a sweep."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(runner.execute, env=environment)
        try:
            future.result()
        except KeyboardInterrupt:
            while not future.done():  # nbclient notices within a second that its kernel is gone
                with contextlib.suppress(AttributeError, TypeError, ProcessLookupError):  # not started yet, or gone
                    os.kill(runner.km.provisioner.pid, signal.SIGKILL)
                time.sleep(0.1)
            raise


def measure(key: str) -> pathlib.Path:
    """Run a paper's notebook in the full lane, without a time limit; returns data/results/<key>.json, newly written.

    What its cells print is passed on; the run that its sweep filled is kept in data/results/<key>/. Raises ValueError
    for an unknown key, RuntimeError if a cell fails or no verdict was written.
    """
    path, client = notebook(key), _client()
    import nbformat
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    book = nbformat.read(path, as_version=4)
    result = paths.home() / "data" / "results" / f"{key}.json"
    before = _stamp(result)
    codes = [number for number, cell in enumerate(book.cells) if cell.cell_type == "code" and cell.source.strip()]

    def say(cell, cell_index):
        first = cell.source.strip().splitlines()[0]
        print(f"[{codes.index(cell_index) + 1}/{len(codes)}] {first[:100]}", flush=True)

    environment = {**os.environ, "RLKIT_LANE": "full", "RLKIT_SYNC": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(paths.PACKAGE.parent), os.environ.get("PYTHONPATH"))))
    runner = client(book, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}})
    runner.on_cell_start = lambda cell, cell_index: say(cell, cell_index) if cell_index in codes else None
    started = time.time_ns()
    try:
        _execute(runner, environment)
    except CellExecutionError as error:
        raise RuntimeError(f"{path.name}: a cell failed: {error.ename}: {error.evalue}") from None
    except DeadKernelError:
        raise RuntimeError(f"{path.name}: its kernel died; make measure {key} continues where it stopped") from None
    if _stamp(result) == before:
        raise RuntimeError(f"{path.name}: it ran but wrote no data/results/{key}.json: its last cell calls verdict()")
    logs = [folder / "metrics.jsonl" for folder in _folders(key)]
    written = [log.parent for log in logs if log.is_file() and log.stat().st_mtime_ns >= started]
    print(f"wrote data/results/{key}.json", flush=True)
    if written:
        keep(Run.load(written[0]), key)
        print(f"kept its run in data/results/{key}/", flush=True)
    return result


def main(arguments=None) -> int:
    """`python -m rlkit.measure KEY`; returns the exit status: 0, or 1 with one line that says why."""
    parser = argparse.ArgumentParser(prog="make measure", description="run the full declared grid of one paper")
    parser.add_argument("KEY", help="the paper's key, e.g. pessimism-lcb")
    try:
        measure(parser.parse_args(arguments).KEY)
    except (ValueError, RuntimeError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command continues where it stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
