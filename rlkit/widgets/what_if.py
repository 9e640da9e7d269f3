"""WhatIf: another objective, clip range, beta or reward on the rollouts that a run has stored, recomputed at once."""

import threading

import ipywidgets as widgets

from rlkit.html import escape
from rlkit.runs import Run
from rlkit.widgets import rollout_rows, show, svg
from rlkit.widgets import what_if_numbers as numbers
from rlkit.widgets import what_if_views as views

HINT = "No rollouts are logged yet. A learner logs them when it is given log_rollouts_every."
ALL = "all groups"
FALLBACK = {"name": "grpo", "options": {}}
# A bound or beta always has its control, the other options come with the objective; those not listed are numbers.
BOUNDS = {
    "clip_low": ("clip low (0: no bound)", "220px"),
    "clip_high": ("clip high (0: no bound)", "220px"),
    "beta": ("beta (KL)", "150px"),
}
CHOICES = {
    "kl": ("k1", "k2", "k3"),
    "kl_times_ratio": (False, True),
    "aggregation": ("token", "sequence", "constant"),
    "over": ("kept", "all"),
    "baseline": ("none", "batch"),
    "ddof": (0, 1),
    "normalize": (0, 1, 2),
}


class WhatIf:
    """Stored rollouts under another objective: advantages, clip mask and token credit, logged and chosen side by side.

    run: rlkit.runs.Run with rollout rows of kind "sample" (reward, reward_parts, logp_sampled, logp_new,
    logp_reference, tokens). run.config["objective"] = {"name", "options"} says what trained, config["max_new_tokens"]
    the L of a constant normaliser. Controls: batch, group, objective and its options, weights of the reward parts.
    Nothing is approximated: rlkit.rlvr.objectives computes both sides. The ratio is that of the policy after the step's
    updates to the one that sampled, so the credit is that of one more update. Needs torch.
    `box` is the ipywidget, `to_html()` the static twin. Raises TypeError for anything else than a Run.
    """

    def __init__(self, run: Run):
        if not isinstance(run, Run):
            raise TypeError(f"run={svg.short(repr(run), 80)}: must be a Run; a handle has its own as handle.run")
        self.run, self._quiet, self._lock = run, False, threading.RLock()
        self._known, self._seen, self._batches, self._batch, self._kept, self._broken = {}, 0, {}, None, None, None
        self.step = show.labelled(widgets.Dropdown, "batch", layout={"width": "260px"})
        self.group = show.labelled(widgets.Dropdown, "group", layout={"width": "400px"})
        self.objective = show.labelled(widgets.Dropdown, "objective", layout={"width": "190px"})
        self.bounds = {
            name: show.labelled(widgets.BoundedFloatText, label, min=0, max=1e6, step=0.01, layout={"width": width})
            for name, (label, width) in BOUNDS.items()
        }
        self.options, self.weights = {}, {}
        self.reset = show.button("Back to logged", self._reset, "The objective and the rewards that trained")
        self.refresh = show.button("Refresh", self._refresh, "Read again what the run has logged", "rlkit-refresh")
        self.more = show.row()
        self.status, self.picture = widgets.HTML(), widgets.HTML()
        self.box = widgets.VBox(
            [
                show.row(self.step, self.group, self.refresh),
                show.row(self.objective, *self.bounds.values(), self.reset),
                self.more,
                self.status,
                self.picture,
            ]
        )
        self.box.add_class("rlkit-what-if")
        for control in (self.step, self.group, self.objective, *self.bounds.values()):
            control.observe(self._changed, "value")
        self._refresh()

    def _refresh(self) -> None:
        """Read what is new in the run; the newest batch is chosen at the start."""
        with self._lock:
            self._seen = rollout_rows.read(self.run, self._known, self._seen)
            self._batches = numbers.batches(self._known)
            first, names = not self.step.options, list(self._batches)
            self._quiet = True
            held = self.step.value
            self.step.options = [(svg.short(name, 60), name) for name in names]
            self.step.value = held if held in names else names[-1] if names else None
            self._quiet = False
            if first and names:
                self._open()
            self._draw()

    def _open(self) -> None:
        """Take the chosen batch; reward weights and objective start as they were logged."""
        limit = self.run.config.get("max_new_tokens")
        self._batch, rows = None, self._batches[self.step.value]
        try:
            self._batch = numbers.batch(rows, limit if isinstance(limit, int) else None)
        except ValueError as error:  # rows that lack what everything else needs
            self._broken = svg.short(error, 300)
            self._draw()
            return
        self._quiet = True
        prompts, live = self._batch.prompts, self._batch.rewards.std(axis=1) > 0
        self.group.options = [(ALL, -1)] + [
            (f"{p}: {svg.short(prompt, 44)}, mean reward {svg.number(self._batch.rewards[p].mean(), 2)}", p)
            for p, prompt in enumerate(prompts)
        ]
        self.group.value = int(live.argmax()) if live.any() else -1
        self._start, self._exact = numbers.part_weights(self._batch)
        self.weights = {
            name: show.labelled(widgets.FloatText, f"weight of {escape(svg.short(name, 24))}", step=0.1, value=value)
            for name, value in self._start.items()
        }
        for control in self.weights.values():
            control.layout.width = "190px"
            control.observe(self._changed, "value")
        self._quiet = False
        self._reset()

    def _logged(self) -> dict:
        """The objective that trained, {"name", "options"}; without a reference stored its beta is 0."""
        said = self.run.config.get("objective")
        self._known_objective = isinstance(said, dict) and "name" in said
        said = said if self._known_objective else FALLBACK
        from rlkit.rlvr import objectives

        made = objectives.describe(objectives.make(said["name"], **said.get("options", {})))
        if self._batch.reference is None:
            made["options"]["beta"] = 0.0
        return made

    def _reset(self) -> None:
        """Objective and weights as logged."""
        if self._batch is None:
            return
        with self._lock:
            from rlkit.rlvr import objectives

            self._quiet = True
            logged = self._logged()
            names = objectives.names()
            self.objective.options = names if logged["name"] in names else [*names, logged["name"]]
            self.objective.value = logged["name"]
            for name, control in self.weights.items():
                control.value = self._start[name]
            self._offer(logged["options"])
            self._quiet = False
            self._draw()

    def _offer(self, options: dict) -> None:
        """A control for each option of the objective; the bounds it does not have are disabled."""
        for name, control in self.bounds.items():
            control.disabled = name not in options or (name == "beta" and self._batch.reference is None)
            control.value = options.get(name) or 0.0
        self.options = {}
        for name, value in options.items():
            if name in BOUNDS:
                continue
            label, width = name.replace("_", " "), {"width": "auto" if name in CHOICES else "150px"}
            if name in CHOICES:
                made = show.labelled(widgets.Dropdown, label, options=CHOICES[name], value=value, layout=width)
            else:
                made = show.labelled(widgets.FloatText, label, value=value, step=0.1, layout=width)
            made.observe(self._changed, "value")
            self.options[name] = made
        self.more.children = (*self.weights.values(), *self.options.values())

    def chosen(self) -> dict:
        """The objective as the controls stand, {"name", "options"}, and the reward weights, {"weights"}."""
        options = {name: control.value for name, control in self.options.items()}
        for name, control in self.bounds.items():
            if name == "beta" or not control.disabled:
                options[name] = control.value or (0.0 if name == "beta" else None)
        weights = {name: control.value for name, control in self.weights.items()}
        return {"name": self.objective.value, "options": options, "weights": weights}

    def _changed(self, change) -> None:
        if self._quiet:
            return
        with self._lock:
            if change["owner"] is self.step:
                self._open()
                return
            if change["owner"] is self.objective and self._batch is not None:
                from rlkit.rlvr import objectives

                logged = self._logged()
                same = change["new"] == logged["name"]
                self._quiet = True
                self._offer(logged["options"] if same else objectives.make(change["new"]).options)
                self._quiet = False
            self._draw()

    def _draw(self) -> None:
        for name in ("kl", "kl_times_ratio"):
            if name in self.options:
                show.visible(self.options[name], self.bounds["beta"].value > 0)
        self.status.value, self.picture.value = self._view()

    def _view(self) -> tuple[str, str]:
        """(words on what is compared and what is missing, the picture), both HTML."""
        if self._batch is None:
            return show.note(self._broken or HINT), ""
        batch, logged, chosen = self._batch, self._logged(), self.chosen()
        changed = chosen["weights"] != self._start
        rewards = numbers.weighted(batch, chosen["weights"]) if changed else batch.rewards
        try:
            before = self._before(logged)
        except ValueError as error:  # as of a run read from elsewhere, whose groups hold one completion each
            return show.note(f"{logged['name']} cannot be computed of this batch: {svg.short(error, 300)}"), ""
        words = self._words(before, changed)
        try:
            after = numbers.outcome(batch, chosen["name"], chosen["options"], rewards)
        except ValueError as error:  # a choice that the objective refuses, such as rewards above 1 for nsr
            return words, f"<p><b>This cannot be computed</b>: {escape(svg.short(error, 300))}</p>"
        page = views.totals(batch, before, after, (logged["name"], chosen["name"]))
        if self.group.value == -1:
            return words, page + views.groups(batch, before, after) + views.lengths(batch, before, after)
        return words, page + views.group(batch, before, after, self.group.value)

    def _before(self, logged: dict):
        """What the objective that trained makes of the batch, computed once for each batch."""
        if self._kept is None or self._kept[0] is not self._batch:
            found = numbers.outcome(self._batch, logged["name"], logged["options"], self._batch.rewards)
            self._kept = (self._batch, found)
        return self._kept[1]

    def _words(self, before, changed: bool) -> str:
        batch = self._batch
        words = [] if self._known_objective else ["The run does not say its objective: grpo stands in for it."]
        words += [f"{note[0].upper()}{note[1:]}." for note in batch.notes]
        if not self._exact:
            kept = "are replaced by" if changed else "stay as they are until a weight changes; then they become"
            words.append(f"No weights of the parts give the stored rewards: they {kept} the weighted sum.")
        if batch.advantage is not None:
            off = float(abs(batch.advantage - before.advantage)[before.kept].max(initial=0.0))
            agree = "equal" if off < 1e-4 else f"differ by up to {svg.number(off, 3)} from"
            words.append(f"The advantages stored by the run {agree} those recomputed here.")
        words.append("Ratio: the policy after this step's updates to the one that sampled.")
        return show.note(" ".join(words))

    def to_html(self) -> str:
        """The view as the controls stand, without a kernel: words, numbers and picture as one HTML fragment."""
        with self._lock:
            words, picture = self._view()
            if self._batch is None:
                return f"<div>{words}</div>"
            chosen = self.chosen()
            options = ", ".join(f"{name} {value}" for name, value in chosen["options"].items())
            weights = ", ".join(f"{svg.short(name, 24)} {svg.number(w)}" for name, w in chosen["weights"].items())
            said = f"{self.step.value}. Chosen: {chosen['name']} ({options}). Reward weights: {weights}."
            return f"<div>{show.note(said)}{words}{picture}</div>"

    def _repr_mimebundle_(self, **_) -> dict:
        return show.bundle(self.box, self.to_html(), f"WhatIf of {self.run!r}")
