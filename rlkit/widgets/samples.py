"""The completions of a run as SampleInspector needs them: read once, kept as columns, each number worked out once."""

import numpy as np

from rlkit.widgets import heat, rollout_rows
from rlkit.widgets.rollout_credit import credit


class Samples:
    """A run's completions by step, no widgets in here. `read()` takes in what was logged since; `steps` are sorted.

    What a step's answers rest on (index, selection, scale, credit) is kept for the last step asked for, so that a
    change of page costs the page alone.
    """

    def __init__(self, run):
        self.run, self.steps = run, []
        self._known, self._seen, self._kept = {}, 0, {}

    def read(self) -> None:
        """Take in what the run has logged since."""
        self._seen = rollout_rows.read(self.run, self._known, self._seen)
        self.steps = sorted(self._known)

    def _once(self, name: str, key, make):
        """make(), or what it gave last time for the same key."""
        if name not in self._kept or self._kept[name][0] != key:
            self._kept[name] = (key, make())
        return self._kept[name][1]

    def _key(self, step) -> tuple:
        return step, len(self._known.get(step, ()))  # a step can still grow while another process writes it

    def index(self, step, name: str = "index") -> rollout_rows.Index:
        """The step's completions as columns; under another name, beside those of another step."""
        return self._once(name, self._key(step), lambda: rollout_rows.index(list(self._known.get(step, ()))))

    def select(self, step, **how) -> np.ndarray:
        """Positions [M] as rollout_rows.select."""
        key = (*self._key(step), *how.items())
        return self._once("selected", key, lambda: rollout_rows.select(self.index(step), **how))

    def metrics(self, step) -> list[str]:
        """The metrics of heat.METRICS that the step's rows (and, for credit, the run's config) allow."""
        found = self.index(step)
        offered = heat.available(found.columns) if found.columns & {"tokens", "token_ids"} else []
        return [m for m in offered if not m.startswith("credit") or "objective" in self.run.config]

    def credit(self, step, metric: str) -> tuple[dict, str]:
        """rollout_credit.credit of the whole step."""
        at = "logp_sampled" if metric == "credit" else "logp_new"
        return self._once(metric, self._key(step), lambda: credit(self.index(step), self.run.config, at=at))

    def values(self, step, i: int, metric: str) -> np.ndarray:
        """The metric of the tokens of completion i [T], NaN where there is none."""
        row = self.index(step).rows[i]
        length = len(rollout_rows.tokens(row))
        if not metric.startswith("credit"):
            return heat.values(row, metric, length)
        found = self.credit(step, metric)[0].get(i, np.empty(0))[:length]
        return np.concatenate([found, np.full(length - len(found), np.nan)])

    def limit(self, step, metric: str) -> float:
        """heat.limit over all completions of the step."""
        every = range(len(self.index(step).rows))
        key = (*self._key(step), metric)
        return self._once("limit", key, lambda: heat.limit([self.values(step, i, metric) for i in every]))

    def shared(self, step, other, chosen, most: int) -> dict[str, int]:
        """Prompts of the chosen completions that were drawn at the other step too: prompt's key -> a position."""
        there = set(self.index(other, "other").problem)
        result = {}
        for i in chosen:
            if len(result) == most:
                break
            problem = self.index(step).problem[i]
            if problem in there:
                result.setdefault(problem, int(i))
        return result

    def of_prompt(self, step, problem: str, name: str = "index") -> list[dict]:
        """All rows of one prompt at a step."""
        found = self.index(step, name)
        return [row for row, own in zip(found.rows, found.problem, strict=True) if own == problem]
