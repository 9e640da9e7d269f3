"""Lanes, a sweep that survives interruption bit for bit, and `make measure` on a small notebook of its own."""

import json
import os
import signal
import subprocess
import sys

import nbformat
import numpy as np
import pytest

from rlkit import claims, measure, paths
from rlkit.live import live
from rlkit.runs import Run

CELLS = [{"N": n, "arm": arm} for n in (10, 100, 1000) for arm in ("lcb", "best")]


def cell(N, arm):
    """Two seeds' errors, from generators that the cell alone decides."""
    seeds = [np.random.default_rng([seed, N, len(arm)]) for seed in (0, 1)]
    return {"error": [abs(rng.normal()) / N**0.5 for rng in seeds], "pulls": N}


def git(folder, *arguments):
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, check=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """An empty repository in the full lane, outside CI."""
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / ".gitignore").write_text("runs/\nrlkit/\n")
    (tmp_path / "rlkit").mkdir()
    (tmp_path / "notebooks" / "01_tiny").mkdir(parents=True)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "Start")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RLKIT_LANE", "full")
    monkeypatch.setenv("RLKIT_SYNC", "1")
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


def content(run):
    """What a sweep left in a run, without the times."""
    rows = run.rollouts().drop(columns="cpu_seconds")
    return run.metrics().to_json(), rows.to_json()


def fill(run, function=cell, cells=CELLS):
    for step in measure.sweep(cells, function, run):
        run.record(step)
    return run


# ---- lanes


def test_the_lane_is_a_slice_unless_said_otherwise(monkeypatch):
    monkeypatch.delenv("RLKIT_LANE", raising=False)
    assert measure.lane() == "slice" and measure.pick(slice=3, full=10) == 3
    monkeypatch.setenv("RLKIT_LANE", "full")
    assert measure.lane() == "full" and measure.pick(slice=3, full=10) == 10
    monkeypatch.setenv("RLKIT_LANE", "ful")
    with pytest.raises(ValueError, match="RLKIT_LANE='ful': must be one of 'slice', 'full'"):
        measure.lane()


def test_a_slice_starts_a_new_run_each_time(checkout, monkeypatch):
    monkeypatch.setenv("RLKIT_LANE", "slice")
    first, second = (fill(measure.open_run("tiny-paper", {"seeds": [0, 1]})) for _ in range(2))
    assert first.path != second.path and first.path.parent == checkout / "runs"
    assert first.config["lane"] == "slice" and content(first) == content(second)


# ---- the sweep


def test_a_sweep_logs_each_cell_as_one_step_with_its_parameters(checkout):
    run = live(measure.sweep(CELLS, cell), Run.create("sweep", {"seeds": [0, 1]})).wait()
    steps, values = run.series("error")
    assert steps.tolist() == [0, 1, 2, 3, 4, 5] and values.shape == (6, 2)
    np.testing.assert_array_equal(values[3], cell(**CELLS[3])["error"])
    assert run.rollouts()[["N", "arm"]].to_dict("records") == CELLS
    assert (run.rollouts()["kind"] == "cell").all()  # no widget takes it for a completion
    assert measure.cpu_seconds(run) == pytest.approx(run.rollouts()["cpu_seconds"].sum())


def test_a_sweep_of_more_than_two_seconds_says_how_far_it_is_in_the_full_lane_only(checkout, monkeypatch, capsys):
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr(measure.time, "monotonic", lambda: next(clock))
    list(measure.sweep(CELLS, cell))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("cell 1 of 6, 0 s of CPU, about") and lines[-1] == "cell 6 of 6, 0 s of CPU"
    monkeypatch.setenv("RLKIT_LANE", "slice")
    list(measure.sweep(CELLS, cell))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("killed_after", [0, 1, 4])
def test_an_interrupted_sweep_continues_where_it_stopped_and_ends_the_same(checkout, killed_after):
    whole = fill(Run.create("whole", {"seeds": [0, 1]}))
    calls = []

    def counted(**parameters):
        calls.append(parameters)
        if len(calls) == killed_after + 1:
            raise KeyboardInterrupt
        return cell(**parameters)

    with pytest.raises(RuntimeError, match=f"interrupted at cell {killed_after + 1} of 6; run it again to continue"):
        fill(measure.open_run("tiny-paper", {"seeds": [0, 1]}), counted)
    run = fill(measure.open_run("tiny-paper", {"seeds": [0, 1]}), counted)
    assert [path.name for path in run.path.parent.iterdir()] == ["tiny-paper"]
    assert calls == [*CELLS[: killed_after + 1], *CELLS[killed_after:]]  # nothing done is done again
    assert content(run) == content(whole) == content(Run.load(run.path))


def test_a_kill_in_the_middle_of_writing_a_cell_leaves_no_row_twice(checkout):
    def with_rows(**parameters):
        return cell(**parameters), [{"sample": i} for i in range(3)]

    whole = fill(Run.create("whole", {}), with_rows)
    run = fill(measure.open_run("tiny-paper", {}), with_rows)
    for name, lines in (("metrics.jsonl", 2), ("rollouts.jsonl", 10)):  # 2 cells, and half of the third one's rows
        file = run.path / name
        kept = file.read_text().splitlines(keepends=True)
        file.write_text("".join(kept[:lines]) + kept[lines][:7])
    run = fill(measure.open_run("tiny-paper", {}), with_rows)
    assert content(run) == content(whole)
    assert len(run.rollouts()) == 6 * 4


def test_a_finished_run_is_not_continued_nor_one_of_another_config_or_another_commit(checkout, capsys):
    first = fill(measure.open_run("tiny-paper", {"steps": 1}))
    assert measure.open_run("tiny-paper", {"steps": 2}).path != first.path
    assert measure.open_run("tiny-paper", {"steps": 1}).path == first.path
    git(checkout, "commit", "-q", "--allow-empty", "-m", "Other code")
    fresh = measure.open_run("tiny-paper", {"steps": 1})
    assert fresh.path != first.path and "left by other code or versions" in capsys.readouterr().out
    fresh.finish()
    assert measure.open_run("tiny-paper", {"steps": 1}).path not in (first.path, fresh.path)


def test_a_run_of_another_grid_is_refused(checkout):
    run = fill(Run.create("sweep", {}))
    with pytest.raises(ValueError, match="holds another grid at cell 0"):
        list(measure.sweep([{"N": 11, "arm": "lcb"}], cell, run))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([], r"cells=\[\]: must be a list of dictionaries"),
        ([3], "must be a list of dictionaries"),
        ([{"step": 1}], "none with a key step, kind or cpu_seconds"),
        ([{"N": 1}, {"N": 1}], "two of them are equal"),
    ],
)
def test_bad_grids_are_refused_in_one_line(cells, message):
    with pytest.raises(ValueError, match=message):
        next(measure.sweep(cells, cell))


def test_keeping_a_run_replaces_the_earlier_one_and_leaves_large_rollouts_out(checkout, monkeypatch):
    run = fill(Run.create("sweep", {}))
    with pytest.raises(ValueError, match="must be finished to be kept"):
        measure.keep(run, "tiny-paper")
    run.finish()
    (checkout / "data" / "results" / "tiny-paper").mkdir(parents=True)
    (checkout / "data" / "results" / "tiny-paper" / "old.txt").write_text("old")
    kept = measure.keep(run, "tiny-paper")
    assert sorted(p.name for p in kept.iterdir()) == ["metrics.jsonl", "rollouts.jsonl", "run.json"]
    assert content(Run.load(kept)) == content(run)
    monkeypatch.setattr(measure, "ROLLOUTS_KEPT", 10)
    assert sorted(p.name for p in measure.keep(run, "tiny-paper").iterdir()) == ["metrics.jsonl", "run.json"]


# ---- python -m rlkit.measure KEY

CLAIM = """from rlkit import claims
claim = claims.Claim("tiny-paper", "It works", (claims.Clause("gain", "more", "greater", 0.1),),
                     arms=("a", "b"), budget={}, grid={}, seeds=range(5))"""
RUN = """from rlkit import measure, live, stats
import numpy as np
seeds = measure.pick(slice=range(2), full=range(5))
def cell(arm):
    print("measuring", arm)
    return {"reward": [arm + 0.01 * np.random.default_rng(seed).normal() for seed in seeds]}
run = measure.open_run("tiny-paper", {"seeds": list(seeds)})
live.live(measure.sweep([{"arm": 0}, {"arm": 1}], cell, run), run).wait()
values = run.series("reward")[1]
gain = stats.paired_bootstrap({"a": values[0], "b": values[1]}, lambda mean: mean["b"] - mean["a"])"""
VERDICT = 'claim.verdict({"gain": gain}, cpu_seconds=measure.cpu_seconds(run))'


def write_notebook(checkout, *sources):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbformat.write(book, checkout / "notebooks" / "01_tiny" / "tiny_paper.ipynb")


def test_measure_runs_the_notebook_in_the_full_lane_and_stores_verdict_and_run(checkout, monkeypatch, capfd):
    monkeypatch.setenv("RLKIT_LANE", "slice")  # the caller's lane does not matter
    write_notebook(checkout, CLAIM, RUN, VERDICT)
    claim = claims.Claim(
        "tiny-paper",
        "It works",
        (claims.Clause("gain", "more", "greater", 0.1),),
        arms=("a", "b"),
        budget={},
        grid={},
        seeds=range(5),
    )
    claim.declare()
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "Declare")
    before = (checkout / "notebooks" / "01_tiny" / "tiny_paper.ipynb").read_text()
    assert measure.main(["tiny-paper"]) == 0
    out = capfd.readouterr().out
    assert "[2/3] from rlkit import measure" in out and "measuring 1" in out and "wrote data/results/tiny-paper" in out
    verdict = claims.stored("tiny-paper")
    assert verdict.lane == "full" and verdict.seeds == 5 and verdict.outcome == claims.REPRODUCED and verdict.declared
    assert Run.load("data/results/tiny-paper").series("reward")[1].shape == (2, 5)
    stored = (checkout / "data" / "results").rglob("*.json*")
    assert all(str(checkout) not in file.read_text() for file in stored)
    assert (checkout / "notebooks" / "01_tiny" / "tiny_paper.ipynb").read_text() == before


def test_an_interrupted_measure_kills_its_kernel_and_leaves_no_verdict_of_half_a_grid(checkout):
    write_notebook(checkout, "print('begun', flush=True)\nimport time\ntime.sleep(60)", "open('reached', 'w').close()")
    command = [sys.executable, "-m", "rlkit.measure", "tiny-paper"]
    environment = {**os.environ, "PYTHONPATH": str(paths.PACKAGE.parent)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        while "begun" not in (line := process.stdout.readline()):
            assert line, process.stderr.read()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted; the same command continues" in error
    assert not (checkout / "notebooks" / "01_tiny" / "reached").exists() and not (checkout / "data").exists()


def test_measure_says_in_one_line_what_went_wrong(checkout, capsys):
    write_notebook(checkout, "x = 1", "raise ValueError('no such arm')")
    assert measure.main(["tiny-paper"]) == 1
    assert "tiny_paper.ipynb: a cell failed: ValueError: no such arm" in capsys.readouterr().err
    write_notebook(checkout, "x = 1")
    assert measure.main(["tiny-paper"]) == 1
    assert "wrote no data/results/tiny-paper.json" in capsys.readouterr().err


def test_an_unknown_key_lists_what_exists(checkout, capsys):
    assert measure.main(["pessimism"]) == 1
    assert "KEY='pessimism': must be one of (no paper has a notebook yet)" in capsys.readouterr().err
    write_notebook(checkout, "x = 1")
    (checkout / "notebooks" / "01_tiny" / "00_tiny.ipynb").write_text("{}")
    assert measure.main(["../tiny-paper"]) == 1
    assert capsys.readouterr().err.strip() == "KEY='../tiny-paper': must be one of tiny-paper"


def test_results_are_json_that_a_person_can_read(checkout):
    claim = claims.Claim(
        "tiny-paper", "It  works [0,  1]", (claims.Clause("gain", "more", "greater"),), (), {}, {"N": [1, 2]}, range(9)
    )
    text = claim.declare().read_text()
    assert '"seeds": [0, 1, 2, 3, 4, 5, 6, 7, 8]' in text and "It  works [0,  1]" in text
    assert json.loads(text)["claim"] == claim.record()


def test_the_stored_run_is_read_in_the_slice_alone(tmp_path, monkeypatch):
    live = Run.create("live", {"seeds": [3]}, root=tmp_path)
    stored = Run.create("kept", {"seeds": [3, 4]}, root=tmp_path)
    monkeypatch.setattr(measure.paths, "data", lambda *parts: stored.path if parts[-1] == "known" else tmp_path / "no")
    monkeypatch.setenv("RLKIT_LANE", "slice")
    assert measure.stored("known", live).config["seeds"] == [3, 4] and measure.stored("unknown", live) is live
    monkeypatch.setenv("RLKIT_LANE", "full")
    assert measure.stored("known", live) is live
