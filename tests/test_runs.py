import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

from rlkit import paths
from rlkit.runs import Run, Step


def test_values_come_back_bit_for_bit(tmp_path):
    run = Run.create("a", {"seeds": [3, 5], "lr": 0.1}, root=tmp_path)
    values = np.random.default_rng(0).normal(size=(20, 2))
    for step, row in enumerate(values):
        run.log(step, reward=row, loss=row[0])
    again = Run.load(run.path)
    assert np.array_equal(again.series("reward")[1], values)
    assert np.array_equal(again.series("loss")[1], values[:, :1])
    assert again.config == {"seeds": [3, 5], "lr": 0.1} and again.seeds == [3, 5]
    assert "python" in again.meta["versions"] and again.meta["created"]


def test_metrics_frame_has_one_row_per_step_and_seed_and_scalars_apart(tmp_path):
    run = Run.create("a", {"seeds": [3, 5]}, root=tmp_path)
    run.log(0, reward=[1, 2], loss=7)
    run.log(1, reward=[3, 4])
    expected = pd.DataFrame(
        {
            "step": [0, 0, 0, 1, 1],
            "seed": pd.array([3, 5, pd.NA, 3, 5], dtype="Int64"),
            "reward": [1.0, 2.0, np.nan, 3.0, 4.0],
            "loss": [np.nan, np.nan, 7.0, np.nan, np.nan],
        }
    )
    pd.testing.assert_frame_equal(run.metrics(), expected)
    assert list(Run.create("b", root=tmp_path).metrics().columns) == ["step", "seed"]


def test_create_numbers_and_never_overwrites(tmp_path):
    made = [Run.create("same", {}, root=tmp_path) for _ in range(3)]
    made[0].log(0, x=1)
    assert [run.path.name for run in made] == ["same", "same-2", "same-3"]
    assert Run.load(tmp_path / "same").last_step == 0


def test_create_is_safe_from_several_threads(tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(Run.create("x", {}, root=tmp_path).path)) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(set(found)) == 8


def test_runs_lie_in_the_repository_wherever_the_kernel_stands(monkeypatch, tmp_path):
    root = paths.repository()
    monkeypatch.chdir(root / "notebooks")
    assert paths.home() == root
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "site-packages" / "rlkit")
    assert paths.home() == tmp_path / "elsewhere"


def test_a_reader_sees_the_run_grow_and_how_it_ends(tmp_path):
    writer = Run.create("a", {}, root=tmp_path)
    writer.log(0, x=1.0)
    reader = Run.load(writer.path)
    assert (reader.last_step, reader.state, writer.state) == (0, "unfinished", "running")
    writer.log(1, x=2.0)
    writer.log_rollouts(1, [{"reward": 1.0}])
    assert reader.last_step == 1 and len(reader.rollouts()) == 1
    writer.finish("failed", error="ValueError: no")
    assert (reader.state, reader.error) == ("failed", "ValueError: no")


def test_unknown_rollout_columns_pass_through(tmp_path):
    run = Run.create("a", {}, root=tmp_path)
    run.log_rollouts(4, [{"problem": 1, "token_ids": np.array([1, 2]), "colour": "red"}, {"problem": 2}])
    frame = run.rollouts(step=4)
    assert list(frame.columns) == ["step", "problem", "token_ids", "colour"]
    assert frame.token_ids[0] == [1, 2] and pd.isna(frame.colour[1])
    assert run.rollouts(step=5).empty


def test_hostile_text_survives_unchanged(tmp_path):
    run = Run.create("a", {}, root=tmp_path)
    text = '</script>\u202e"\n\x00\ud800{"step": 1}\u2028'
    run.log_rollouts(0, [{"completion": text}])
    assert Run.load(run.path).rollouts().completion[0] == text


KILLED = """
import sys
from rlkit.runs import Run
run = Run.create("killed", {"seeds": [0, 1]}, root=sys.argv[1])
step = 0
while True:
    run.log(step, reward=[step, step])
    run.log_rollouts(step, [{"text": "x" * 20_000}])
    step += 1
    if step == 20:
        print("going", flush=True)
"""


def test_kill_minus_nine_loses_at_most_the_last_record(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE)
    child.stdout.readline()
    time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    run = Run.load(tmp_path / "killed")
    assert run.state == "unfinished"
    steps, _ = run.series("reward")
    assert np.array_equal(steps, np.arange(len(steps))) and len(steps) >= 20
    assert len(steps) - 1 <= len(run.rollouts()) <= len(steps)


@pytest.mark.parametrize("cut", [1, 5, 17])
def test_a_torn_last_line_is_dropped_and_writing_goes_on(tmp_path, cut):
    run = Run.create("a", {}, root=tmp_path)
    run.log(0, x=1.5)
    run.log(1, x=2.5)
    file = run.path / "metrics.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    again = Run.load(run.path)
    assert again.last_step == 0
    again.log(1, x=3.5)
    assert Run.load(run.path).series("x")[1].tolist() == [[1.5], [3.5]]


def test_a_broken_file_is_named_with_its_line(tmp_path):
    run = Run.create("a", {}, root=tmp_path)
    run.log(0, x=1)
    run.log(1, x=1)
    file = run.path / "metrics.jsonl"
    file.write_text('{"step": 0, "metrics": {}}\n{"step": 1, "met\n{"step": 2, "metrics": {}}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2: not a JSON record"):
        Run.load(run.path)
    file.write_text('{"step": 0, "metrics": {}}\n[1, 2]\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2: not a record of a run"):
        Run.load(run.path)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ('{"step": 1, "metrics": {"x": [1.0]}}', r"x=\[1\.0\]: must be one number for each of 2 seeds"),
        ('{"step": 1, "metrics": 5}', r"metrics=5: must be a dictionary of numbers"),
        ('{"step": 1}', r"metrics=None: must be a dictionary of numbers"),
        ('{"step": 1, "metrics": {"x": "<b>"}}', r"x='<b>': must be a number or one number per seed"),
        ('{"step": 1, "metrics": {"x": [1.0, [2.0]]}}', r"x=\[1\.0, \[2\.0\]\]: must be a number"),
        ('{"event": "exploded"}', r"event='exploded': must be one of 'finished', 'stopped', 'failed'"),
    ],
)
def test_a_foreign_record_is_named_with_its_line(tmp_path, record, message):
    run = Run.create("a", {}, root=tmp_path)
    (run.path / "metrics.jsonl").write_text('{"step": 0, "metrics": {"x": [1.0, 2.0]}}\n' + record + "\n")
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2: " + message):
        Run.load(run.path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"run\.json, line 1: not the description of a run"),
        ('{"format": "rlkit-run",\n "versi', r"run\.json, line 2: not the description of a run"),
        ("[]", r"run\.json, line 1: not a run of rlkit"),
        ('{"format": "other"}', r"run\.json, line 1: not a run of rlkit"),
        ('{"format": "rlkit-run", "version": 99}', r"format version 99; this rlkit reads version 1"),
        ('{"format": "rlkit-run", "version": 1}', r"name or config is missing"),
    ],
)
def test_foreign_truncated_and_newer_runs_give_one_clear_line(tmp_path, text, message):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        Run.load(tmp_path)


def test_no_run_at_all(tmp_path):
    with pytest.raises(ValueError, match=r"holds no run\.json"):
        Run.load(tmp_path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run.log(-1, x=1), r"step=-1: must be an integer of at least 0"),
        (lambda run: run.log(1.5, x=1), r"step=1\.5: must be an integer"),
        (lambda run: run.log(0, x="high"), r"x='high': must be a number"),
        (lambda run: run.log(0, x=[1, 2, 3]), r"x=\[1\.0, 2\.0, 3\.0\]: must be one number for each of 2 seeds"),
        (lambda run: run.log_rollouts(0, [1]), r"rows=1: must be dictionaries"),
        (lambda run: run.finish("done"), r"state='done': must be one of 'finished', 'stopped', 'failed'"),
        (lambda run: run.series("reward"), r"metric='reward': must be one of \(nothing is logged yet\)"),
    ],
)
def test_bad_input_is_one_line_with_argument_and_value(tmp_path, call, message):
    run = Run.create("a", {"seeds": [0, 1]}, root=tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        call(run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 101, 3])
def test_bad_names(tmp_path, name):
    with pytest.raises(ValueError, match="name="):
        Run.create(name, {}, root=tmp_path)


@pytest.mark.parametrize("seeds", [[], [0.5], "012", [True]])
def test_bad_seeds(tmp_path, seeds):
    with pytest.raises(ValueError, match=r"config\['seeds'\]="):
        Run.create("a", {"seeds": seeds}, root=tmp_path)


def test_what_json_cannot_hold_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(ValueError, match="config: object cannot be stored"):
        Run.create("a", {"model": object()}, root=tmp_path)
    assert not list(tmp_path.iterdir())


def test_nan_is_logged_as_it_is(tmp_path):
    run = Run.create("a", {}, root=tmp_path)
    run.log(0, loss=float("nan"))
    run.log(1, loss=float("inf"))
    assert np.isnan(run.series("loss")[1][0, 0]) and np.isinf(run.series("loss")[1][1, 0])


def test_a_broken_watcher_is_dropped_and_remembered(tmp_path):
    run = Run.create("a", {}, root=tmp_path)
    calls = []
    run.watch(lambda: 1 / 0)
    unwatch = run.watch(lambda: calls.append(run.last_step))
    run.log(0, x=1)
    run.log(1, x=1)
    unwatch()
    run.log(2, x=1)
    assert calls == [0, 1] and isinstance(run.watch_error, ZeroDivisionError)


def test_no_machine_path_is_stored(tmp_path):
    run = Run.create("a", {}, root=tmp_path)
    run.log(0, x=1)
    stored = "".join(file.read_text() for file in run.path.iterdir())
    assert str(tmp_path) not in stored and os.uname().nodename not in json.loads((run.path / "run.json").read_text())


def test_figure_and_repr(tmp_path):
    run = Run.create("a", {"seeds": [0, 1, 2]}, root=tmp_path)
    run.record(Step(0, {"reward": np.array([1.0, 2.0, 3.0])}, [{"reward": 1.0}]))
    run.record(Step(1, {"reward": [2.0, 3.0, 4.0]}))
    figure = run.figure()
    assert len(figure.data) == 4 and list(figure.data[-1].y) == [2.0, 3.0]
    assert repr(run) == "Run('a', running, step 1, 3 seeds, metrics: reward)"
