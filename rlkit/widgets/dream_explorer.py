"""DreamExplorer: start a dream anywhere and watch it leave the truth; the width of its band is the model's doubt."""

import functools

import ipywidgets as widgets
import numpy as np

from rlkit import checks
from rlkit.html import escape
from rlkit.widgets import show, svg
from rlkit.widgets.dream_charts import dream_chart, leaving, leaving_table, spread, step_table
from rlkit.widgets.explorer import Explorer

RETURN, ANYWHERE = "return so far", "anywhere"
POINTS = 100  # steps of the sliders that say where


class DreamExplorer(Explorer):
    """An Explorer of imagined rollouts beside the true one: the truth bold, dreams as a mean and a band around it.

        DreamExplorer(model_based.dream_of(model, world, {"expert": act}, seeds), {"hanging": [-1, 0, 0]}, world.labels)

    dream: (start [O], horizon T, policy) -> {"truth": [T + 1, O], "dreams": [K, T + 1, O], "rewards": (truth [T],
    dreams [K, T])} and, optional, "words" about them; NaN where a rollout has ended. It is asked once for each start
    and policy, for the longest horizon. starts: name -> observation [O]. labels: names of the O observations. horizon:
    the longest one. policies: names. anywhere: name -> (lowest, highest) of coordinates, which get a slider each, and
    lift(*coordinates) -> observation [O]; without lift they are the observations themselves. Raises ValueError for
    arguments that do not fit, and for what dream returns in another shape.
    """

    def __init__(self, dream, starts, labels, *, horizon=25, policies=("policy",), anywhere=None, lift=None):
        self._dream, self._anywhere, self._lift = dream, dict(anywhere or {}), lift
        self._labels, self._longest = [str(label) for label in labels], checks.positive_int("horizon", horizon)
        if len({*self._labels, RETURN}) != len(self._labels) + 1:
            checks.fail("labels", self._labels, f"names, each once, and not {RETURN!r}")
        self._starts = {str(name): self._observation(f"starts[{name!r}]", s) for name, s in dict(starts).items()}
        if not self._starts and not self._anywhere:
            checks.fail("starts", starts, "name -> observation, not empty without anywhere")
        if self._anywhere and ANYWHERE in self._starts:
            checks.fail("starts", ANYWHERE, "another name: this one has the sliders")
        for name, (low, high) in self._anywhere.items():
            if escape(name) != name:  # a label of ipywidgets 7 is HTML
                checks.fail("anywhere", name, "plain words, without < > & or quotes")
            if not checks.finite(f"anywhere[{name!r}]", low) < checks.finite(f"anywhere[{name!r}]", high):
                checks.fail(f"anywhere[{name!r}]", (low, high), "(lowest, highest)")
        if self._anywhere and lift is None and len(self._anywhere) != len(self._labels):
            checks.fail("anywhere", list(self._anywhere), f"{len(self._labels)} coordinates, or come with lift")
        self._places = {
            f"at {name}": show.labelled(
                widgets.FloatSlider, name, min=low, max=high, value=(low + high) / 2, step=(high - low) / POINTS,
                readout_format=".3g", continuous_update=False,
            )
            for name, (low, high) in self._anywhere.items()
        }  # fmt: skip
        self._ask = functools.lru_cache(maxsize=16)(self._asked)
        super().__init__(
            self._page,
            start={"horizon": self._longest},
            start_at=[*self._starts, *([ANYWHERE] if self._anywhere else [])],
            policy=[str(name) for name in policies],
            show=[*self._labels, RETURN],
            horizon=range(1, self._longest + 1),
            single_dreams=False,
        )
        for slider in self._places.values():
            slider.observe(self._changed, "value")
        self.controls |= self._places
        self.box.children = (*self.box.children[:1], show.row(*self._places.values()), *self.box.children[1:])
        self.controls["start_at"].observe(self._offer, "value")
        self._offer(None)

    def _offer(self, _) -> None:
        for slider in self._places.values():
            show.visible(slider, self.controls["start_at"].value == ANYWHERE)

    def _observation(self, name, values) -> np.ndarray:
        values = checks.finite(name, values)
        if values.shape != (len(self._labels),):
            raise ValueError(f"{name} of shape {values.shape}: must be [{len(self._labels)}], one for each label")
        return values

    def _start(self, start_at) -> np.ndarray:
        if start_at in self._starts:
            return self._starts[start_at]
        at = [slider.value for slider in self._places.values()]
        return self._observation("lift(...)" if self._lift else "anywhere", self._lift(*at) if self._lift else at)

    def _asked(self, start: tuple, policy) -> dict:
        """name -> (truth [T + 1], dreams [K, T + 1]) for each label and the return so far, and the words."""
        made = self._dream(np.array(start), self._longest, policy)
        truth, dreams = (np.asarray(made[name], dtype=float) for name in ("truth", "dreams"))
        paid, dreamt = (np.asarray(rewards, dtype=float) for rewards in made["rewards"])
        steps, size, count = self._longest, len(self._labels), len(dreams)
        fits = {"truth": (steps + 1, size), "dreams": (count, steps + 1, size)}
        fits |= {"rewards[0]": (steps,), "rewards[1]": (count, steps)}
        for (name, shape), array in zip(fits.items(), (truth, dreams, paid, dreamt), strict=True):
            if array.shape != shape or not count:
                raise ValueError(f"dream gives {name} of shape {array.shape}: must be {list(shape)}, K of 1 or more")
        columns = {label: (truth[:, i], dreams[:, :, i]) for i, label in enumerate(self._labels)}
        so_far = np.r_[0.0, paid.cumsum()], np.pad(dreamt.cumsum(axis=1), ((0, 0), (1, 0)))
        return {"columns": columns | {RETURN: so_far}, "words": str(made.get("words", ""))}

    def _page(self, start_at, policy, show, horizon, single_dreams, **_) -> str:
        start = self._start(start_at)
        found = self._ask(tuple(start.tolist()), policy)
        columns = {name: (t[: horizon + 1], d[:, : horizon + 1]) for name, (t, d) in found["columns"].items()}
        truth, dreams = columns[show]
        picture = dream_chart(show, truth, dreams, single_dreams, f"{show}: dreams against the truth")
        return picture + _below(show, columns, start, self._labels, found["words"])

    def _words(self) -> str:
        there = [c for c in self.controls.values() if c.layout.display != "none"]  # not the sliders out of use
        return ", ".join(f"{c.description}: {getattr(c, 'label', c.value)}" for c in there)


def _below(name, columns, start, labels, words) -> str:
    """What stands under the picture: both returns, words, tables."""
    truth, dreams = columns[name]
    low, _, high = spread(dreams)
    paid, (least, mean, most) = columns[RETURN][0][-1], (a[-1] for a in spread(columns[RETURN][1]))
    said = f"{name}: the truth {leaving(truth, low, high)}. Return over {len(truth) - 1} steps: "
    said += f"{svg.number(paid)} in the truth, {svg.number(mean)} dreamt "
    said += f"(mean; {svg.number(least)} to {svg.number(most)}). {words}"
    ended = np.flatnonzero(~np.isfinite(next(iter(columns.values()))[0]))
    said += f" The truth ends after step {ended[0] - 1}." if len(ended) else ""
    begun = "Start: " + ", ".join(f"{label} {svg.number(v, 3)}" for label, v in zip(labels, start, strict=True))
    page = show.note(said) + show.note(begun) + step_table(name, truth, dreams)
    return page + show.details("All quantities as a table", show.scroll(leaving_table(columns), "all quantities"))
