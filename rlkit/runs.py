"""A run on disk: what a learner yields, appended line by line and readable while it grows.

A run is a folder with three files: `run.json` (what this is: config, seeds, versions, git state), `metrics.jsonl` and
`rollouts.jsonl` (one JSON record a line, appended with one write each, so a killed process loses at most its last one).
"""

import datetime
import json
import pathlib
import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from rlkit import checks, paths, provenance
from rlkit.records import Records, frame, plain

FORMAT, VERSION = "rlkit-run", 1
ENDINGS = ("finished", "stopped", "failed")


class Step(NamedTuple):
    """What a learner yields: metrics (name -> number, or one per seed [S]) and rollouts (a list of dicts, or None)."""

    step: int
    metrics: dict
    rollouts: list | None = None


def _number(name: str, value):
    """A float, or a list with one float per seed."""
    value = value.tolist() if hasattr(value, "tolist") else value
    try:
        return [float(v) for v in value] if isinstance(value, list | tuple) else float(value)
    except (TypeError, ValueError):
        checks.fail(name, value, "a number or one number per seed")


class Run:
    """One run: `Run.create(...)` or `Run.load(path)`, then `log`, `log_rollouts`, `metrics`, `rollouts`, `figure`.

    Attributes: name, path, config (dict), seeds (list or None), meta (created, versions, git), handle (the live
    handle that is filling it in this process, or None). Safe to read and write from several threads.
    """

    def __init__(self, path: pathlib.Path, description: dict, own: bool):
        self.path, self.name, self.config = path, description["name"], description["config"]
        self.seeds = self.config.get("seeds")
        self.meta = {key: description.get(key) for key in ("created", "versions", "git")}
        self.handle, self.watch_error = None, None
        self._own, self._width, self._watchers = own, len(self.seeds) if self.seeds else None, []
        self._metrics = Records(path / "metrics.jsonl", self._check)
        self._rollouts = Records(path / "rollouts.jsonl")

    @classmethod
    def create(cls, name: str, config: dict | None = None, root="runs") -> "Run":
        """A new run in root/name, or root/name-2, name-3, ...: nothing is ever overwritten.

        name: letters, digits, `.`, `_`, `-`. config: what JSON can hold; config["seeds"], a list of integers, names
        the seeds of metrics logged per seed. root: a folder, relative to the repository (else the working folder).
        Raises ValueError for a bad name or config.
        """
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
            checks.fail("name", name, "1 to 100 letters, digits, '.', '_' or '-', starting with a letter or digit")
        config = {} if config is None else config
        if not isinstance(config, dict):
            checks.fail("config", config, "a dictionary")
        try:
            config = json.loads(json.dumps(config, default=plain))
        except (TypeError, ValueError) as error:
            raise ValueError(f"config: {error}") from None
        seeds = config.get("seeds")
        if seeds is not None and not (isinstance(seeds, list) and seeds and all(type(s) is int for s in seeds)):
            checks.fail("config['seeds']", seeds, "a list of integers")
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        description = {"format": FORMAT, "version": VERSION, "name": name, "created": created, "config": config}
        description |= {"versions": provenance.versions(), "git": provenance.git_state()}
        folder = paths.home() / root
        folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            path = folder / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir()
                break
            except FileExistsError:
                number += 1
        fresh = path / "run.json.new"
        fresh.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
        fresh.rename(path / "run.json")  # whole or absent, never half
        return cls(path, description, own=True)

    @classmethod
    def load(cls, path) -> "Run":
        """The run in a folder (relative to the repository, else the working folder), finished or still growing.

        Raises ValueError that names the file, and the line where there is one, if it is truncated, foreign or newer.
        """
        path = paths.home() / path
        file = path / "run.json"
        if not file.is_file():
            raise ValueError(f"{path}: not a run: it holds no run.json")
        try:
            description = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            line = getattr(error, "lineno", 1)
            raise ValueError(f"{file}, line {line}: not the description of a run ({error})") from None
        if not isinstance(description, dict) or description.get("format") != FORMAT:
            raise ValueError(f"{file}, line 1: not a run of rlkit: its format is not {FORMAT!r}")
        if description.get("version") != VERSION:
            found = description.get("version")
            raise ValueError(f"{file}, line 1: format version {found!r}; this rlkit reads version {VERSION}")
        if not isinstance(description.get("name"), str) or not isinstance(description.get("config"), dict):
            raise ValueError(f"{file}, line 1: not the description of a run: name or config is missing")
        run = cls(path, description, own=False)
        run._metrics.refresh()
        return run

    def _check(self, record: dict) -> None:
        """A record of metrics.jsonl, as it is read: raises ValueError for anything that `record` does not write."""
        if "event" in record:
            checks.one_of("event", record["event"], ENDINGS)
            return
        values = record.get("metrics")
        if not isinstance(values, dict):
            checks.fail("metrics", values, "a dictionary of numbers")
        for name, value in values.items():
            if not all(type(number) is float for number in (value if type(value) is list else [value])):
                checks.fail(name, value, "a number or one number per seed")
        self._remember_width(values)

    # ---- writing

    def log(self, step: int, **metrics) -> None:
        """Append one step. Each metric: a number, or one number per seed [S] (list, NumPy or torch).

        NaN is logged as it is: that a learner diverged is a result. Raises ValueError for a negative or fractional
        step, a value that is not a number, or a number of seeds that differs from the run's.
        """
        self.record(Step(step, metrics))

    def record(self, step: Step) -> None:
        """Append what a learner yielded: its metrics and, if there are any, its rollouts."""
        number = checks.count("step", step.step)
        values = {name: _number(name, value) for name, value in step.metrics.items()}
        self._remember_width(values)
        if step.rollouts:
            self._append_rollouts(number, step.rollouts)
        self._metrics.append([{"step": number, "metrics": values}])
        self.tell()

    def log_rollouts(self, step: int, rows: list) -> None:
        """Append rollouts, one dictionary a row. Known columns: problem, group, sample, prompt, completion, token_ids,
        logp_sampled, logp_new, logp_reference, entropy, mask, reward, reward_parts, advantage, finish_reason; unknown
        columns pass through. Raises ValueError for rows that are not dictionaries, TypeError for what JSON cannot hold.
        """
        self._append_rollouts(checks.count("step", step), rows)
        self.tell()

    def _append_rollouts(self, step: int, rows: list) -> None:
        for row in rows:
            if not isinstance(row, dict):
                checks.fail("rows", row, "dictionaries, one per rollout")
        self._rollouts.append([{**row, "step": step} for row in rows])

    def _remember_width(self, values: dict) -> None:
        for name, value in values.items():
            if isinstance(value, list):
                self._width = self._width or len(value)
                if len(value) != self._width:
                    checks.fail(name, value, f"one number for each of {self._width} seeds")

    def finish(self, state: str = "finished", error: str | None = None) -> None:
        """Append how the run ended: 'finished', 'stopped' or 'failed' (with the error's text)."""
        checks.one_of("state", state, ENDINGS)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._metrics.append([{"event": state, "time": now} | ({"error": error} if error else {})])
        self._metrics.close()
        self._rollouts.close()
        self.tell()

    def watch(self, callback):
        """Call `callback()` after each record, in the thread that logged it; returns a function that ends this.

        A callback that raises is dropped and its error kept (`live(...).wait()` raises it); the learner goes on.
        """
        self._watchers.append(callback)
        return lambda: self._watchers.remove(callback) if callback in self._watchers else None

    def tell(self) -> None:
        """Call the watchers: something about this run has changed."""
        for callback in list(self._watchers):
            try:
                callback()
            except Exception as error:  # noqa: BLE001 - a broken view must not kill a training run; wait() raises it
                self._watchers.remove(callback)
                self.watch_error = self.watch_error or error

    # ---- reading

    @property
    def state(self) -> str:
        """running, paused, finished, stopped or failed; unfinished: it was loaded and nobody wrote how it ended."""
        records = self._metrics.refresh()
        ended = records[-1].get("event") if records else None
        if self.handle is not None and not ended:
            return self.handle.state
        return ended or ("running" if self._own else "unfinished")

    @property
    def error(self) -> str | None:
        """The text of the error that ended the run, or None."""
        records = self._metrics.refresh()
        return records[-1].get("error") if records else None

    def _steps(self) -> list:
        return [record for record in self._metrics.refresh() if "metrics" in record]

    @property
    def metric_names(self) -> list:
        """Names of the metrics logged so far, in order of first appearance."""
        return list(dict.fromkeys(name for record in self._steps() for name in record["metrics"]))

    @property
    def last_step(self) -> int | None:
        """The newest step logged, or None."""
        return next((r["step"] for r in reversed(self._metrics.refresh()) if "metrics" in r), None)

    def series(self, metric: str):
        """(steps [N], values [N, S]) of one metric; S = 1 for a scalar. Raises ValueError for an unknown metric."""
        chosen = [record for record in self._steps() if metric in record["metrics"]]
        if not chosen:
            checks.fail("metric", metric, "one of " + (", ".join(self.metric_names) or "(nothing is logged yet)"))
        values = np.array([record["metrics"][metric] for record in chosen], dtype=float)
        return np.array([record["step"] for record in chosen]), values.reshape(len(chosen), -1)

    def metrics(self) -> pd.DataFrame:
        """What was logged, one row per step and seed: columns step, seed, then one per metric.

        Metrics logged as one number per step stand in a row of their own whose seed is <NA>: they belong to no seed.
        """
        return frame(self._steps(), self.metric_names, self._width or 1, self.seeds)

    def rollouts(self, step: int | None = None) -> pd.DataFrame:
        """The logged rollouts (of one step, if given), one row each; step comes first, the other columns as logged."""
        rows = [r for r in self._rollouts.refresh() if step is None or r["step"] == step]
        columns = list(dict.fromkeys(["step"] + [name for row in rows for name in row]))
        table = {name: [row.get(name) for row in rows] for name in columns}
        # Text as objects: with pyarrow installed, pandas 3 would refuse what is no UTF-8, such as a lone surrogate.
        return pd.DataFrame(
            {n: pd.Series(v, dtype=object if any(type(x) is str for x in v) else None) for n, v in table.items()}
        )

    def figure(self, metric: str | None = None):
        """A plotly figure of one metric (default: the first): each seed thin, their mean thick."""
        from rlkit import plots

        metric = metric or next(iter(self.metric_names), "")
        steps, values = self.series(metric)
        figure = plots.figure(title=f"{self.name}: {metric}", x="step", y=metric)
        many = values.shape[1] > 1
        for seed, column in zip(self.seeds or range(values.shape[1]), values.T, strict=True) if many else ():
            figure.add_scatter(x=steps, y=column, name=f"seed {seed}", line=plots.line(0) | {"width": 1}, opacity=0.35)
        name = f"mean of {values.shape[1]} seeds" if many else plots.label(metric)
        figure.add_scatter(x=steps, y=values.mean(1), name=name, line=plots.line(0) | {"width": 3})
        return figure

    def __repr__(self) -> str:
        seeds = f", {self._width} seeds" if self._width else ""
        last = "nothing logged yet" if self.last_step is None else f"step {self.last_step:,}"
        return f"Run({self.name!r}, {self.state}, {last}{seeds}, metrics: {', '.join(self.metric_names) or 'none'})"
