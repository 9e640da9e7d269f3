"""LossExplorer: the losses of offline learners under their own knobs, drawn with the library's own functions.

Each picture has one state: a few samples of Q for the losses of V, advantages for the weights, a line of actions for
TD3+BC, five actions for CQL. The functions below are pure: knobs in, HTML out.
"""

import ipywidgets as widgets
import numpy as np

from rlkit import checks
from rlkit.html import table
from rlkit.widgets import show, svg
from rlkit.widgets.explorer import Explorer

SAMPLES = np.array([0.0, 0.2, 0.4, 0.5, 0.8, 1.0, 1.1, 1.5, 2.0, 3.5])  # Q of the data's actions in one state
ADVANTAGES = SAMPLES - SAMPLES.mean()
DATA_ACTION = -0.5  # of the dataset, where Q is not highest
RETURNS = np.array([1.0, 2.0, 1.5, 4.0, 4.0])  # what the data says of five actions, target of Q
COUNTS = np.array([50, 30, 14, 5, 1])  # how often the data took each of them


def _chart(lines, title, x, y, words, head, rows) -> str:
    picture = svg.chart(lines, title, x, y, words)
    return picture + show.note(words) + show.details("The numbers as a table", table(head, rows, title))


def _upright(name: str, x: float, top: float) -> svg.Line:
    return svg.Line(f"{name} {svg.number(x, 3)}", np.array([x, x]), np.array([0.0, top]))


def _value_loss(loss, title, words) -> str:
    """A loss of V over V, its minimum, and the samples' mean and maximum. loss: differences [S, B] -> [S]."""
    import torch

    values = np.linspace(SAMPLES.min() - 0.5, SAMPLES.max() + 0.5, 801)
    found = loss(torch.tensor(SAMPLES - values[:, None])).numpy()
    found = found - found.min()
    best, mean, most = float(values[found.argmin()]), float(SAMPLES.mean()), float(SAMPLES.max())
    keep = slice(None, None, 4)
    top = float(np.quantile(found, 0.9))  # above it the line breaks off: a steep wall would hide the minimum
    lines = [svg.Line("loss", values[keep], np.where(found[keep] <= top, found[keep], np.nan))]
    lines += [_upright(n, x, top) for n, x in (("minimum at", best), ("mean", mean), ("maximum", most))]
    words = f"{words} Minimum at V = {svg.number(best, 3)}; the samples' mean is {svg.number(mean, 3)}, their maximum "
    words += f"{svg.number(most, 3)}. Samples of Q: {', '.join(svg.number(q) for q in SAMPLES)}."
    rows = [(svg.number(v, 3), svg.number(f, 3)) for v, f in zip(values[::50], found[::50], strict=True)]
    return _chart(lines, title, "V", "loss above its minimum", words, ("V", "loss"), rows)


def expectile(tau) -> str:
    """IQL's loss of V: the expectile tau of the samples."""
    from rlkit.offline.algorithms.iql import expectile_loss

    words = "Samples above V count tau, those below 1 - tau: 0.5 is the mean, towards 1 the maximum."
    return _value_loss(lambda u: expectile_loss(u, tau), f"Expectile loss, tau {tau}", words)


def gumbel(beta) -> str:
    """XQL's loss of V: the soft maximum beta log mean exp(Q / beta)."""
    from rlkit.offline.algorithms.xql import gumbel_loss

    words = (
        "Small beta: towards the maximum, with an exponential wall below it; large beta: the mean. What lies above V "
    )
    words += "by more than 7 beta is clipped."
    return _value_loss(lambda u: gumbel_loss(u, beta, rescale=False), f"Gumbel regression, beta {beta}", words)


def dual(lambda_, divergence) -> str:
    """f-DVL's loss of V: the conjugate of a divergence, which grows no faster than a square."""
    from rlkit.offline.algorithms.f_dvl import dual_loss

    words = "Flat where V lies far above Q: a bad action, however bad, does not drag V down."
    return _value_loss(lambda u: dual_loss(u, lambda_, divergence), f"Dual loss, {divergence}, lambda {lambda_}", words)


def weighting(beta, cap) -> str:
    """The weights of advantage-weighted regression, min(exp(beta A), cap), and how many samples they leave."""
    import torch

    from rlkit.offline.algorithms.iql import weights

    grid = np.linspace(ADVANTAGES.min(), ADVANTAGES.max(), 201)
    curve, found = (weights(torch.tensor(a), beta, cap).numpy() for a in (grid, ADVANTAGES))
    effective = float(found.sum() ** 2 / (found**2).sum())
    words = f"Effective sample size, (sum w)^2 / sum w^2: {svg.number(effective, 3)} of {len(found)} samples. "
    words += f"The heaviest carries {svg.number(100 * found.max() / found.sum(), 3)} % of the weight; "
    words += f"{int((found >= cap).sum())} of them at the cap of {svg.number(cap)}."
    rows = [
        (svg.number(a, 3), svg.number(w, 3), f"{100 * w / found.sum():.1f} %")
        for a, w in zip(ADVANTAGES, found, strict=True)
    ]
    lines = [svg.Line("weight", grid, curve), svg.Line("imitation, weight 1", grid[[0, -1]], np.ones(2))]
    title = f"Weights of advantage-weighted regression, beta {beta}"
    return _chart(lines, title, "advantage Q - V", "weight", words, ("advantage", "weight", "share"), rows)


def _q(actions):
    """Q over actions in [-1, 1]: low at the data's action, high to its right."""
    return 1 + 2 * (-((actions - 0.6) ** 2) / 0.18).exp() + 0.5 * (-((actions + 0.5) ** 2) / 0.08).exp()


def td3_bc(alpha) -> str:
    """TD3+BC's loss of the policy over its action: value against imitation.

    Its slope comes from the loss by autograd, in a batch of copies of the state, one for each action; the curve is its
    sum: so mean |Q| is one number, as in training.
    """
    import torch

    from rlkit.offline.algorithms.td3_bc import actor_loss

    actions = torch.linspace(-1, 1, 401, dtype=torch.float64)[None].requires_grad_()  # [1, B]
    data = torch.full((1, 401, 1), DATA_ACTION, dtype=torch.float64)
    actor_loss(_q(actions), actions[..., None], data, alpha).sum().backward()
    slope, grid = actions.grad[0].numpy() * 401, actions.detach()[0].numpy()
    loss = np.concatenate([[0.0], np.cumsum((slope[1:] + slope[:-1]) / 2 * np.diff(grid))])
    loss -= loss.min()
    best, highest = float(grid[loss.argmin()]), float(grid[_q(actions.detach())[0].argmax()])
    top = max(float(loss.max()), 3.2)
    lines = [svg.Line("loss", grid[::2], loss[::2]), svg.Line("Q", grid[::2], _q(actions.detach())[0].numpy()[::2])]
    lines += [_upright(*spot, top) for spot in (("policy", best), ("data", DATA_ACTION), ("highest Q", highest))]
    words = (
        f"The policy goes to {svg.number(best, 3)}: alpha 0 stays at the data's {DATA_ACTION}, a large alpha climbs Q "
    )
    words += f"to {svg.number(highest, 3)}, whether the data supports that value or not."
    rows = [(svg.number(a, 3), svg.number(f, 3)) for a, f in zip(grid[::40], loss[::40], strict=True)]
    title = f"TD3+BC, alpha {alpha}"
    return _chart(lines, title, "action", "loss above its minimum; Q", words, ("action", "loss"), rows)


def conservative(alpha) -> str:
    """CQL on five actions: Q that minimises alpha penalty + squared error, found by descent on the library's loss."""
    import torch

    from rlkit.offline.algorithms.cql import critic_loss, penalty

    taken = torch.repeat_interleave(torch.arange(5), torch.tensor(COUNTS))  # actions of the data [B]
    target, q = torch.tensor(RETURNS)[taken][None], torch.tensor(RETURNS).requires_grad_()
    log_density = torch.full((1, 5, len(taken)), -np.log(5.0), dtype=torch.float64)  # each action once

    def loss():
        every = q[None, None, :, None].expand(1, 1, 5, len(taken))
        chosen = q[taken][None, None]
        return critic_loss(chosen, target, penalty(every, log_density, chosen), alpha).sum()

    optimiser = torch.optim.LBFGS([q], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def closure():
        optimiser.zero_grad()
        found = loss()
        found.backward()
        return found

    optimiser.step(closure)
    found, actions = q.detach().numpy(), np.arange(1, 6)
    lines = [svg.Line("return in the data", actions, RETURNS), svg.Line("Q of CQL", actions, found)]
    words = f"Actions 4 and 5 pay the same, but the data holds {COUNTS[3]} of the one and {COUNTS[4]} of the other, of "
    words += (
        f"{COUNTS.sum()}: Q lies {svg.number(4 - found[3], 3)} and {svg.number(4 - found[4], 3)} below the return. "
    )
    words += f"Mean of Q over the data: {svg.number(float(found @ COUNTS / COUNTS.sum()), 3)}."
    numbers = zip(actions, COUNTS, RETURNS, found, strict=True)
    rows = [(a, n, svg.number(y, 3), svg.number(v, 5)) for a, n, y, v in numbers]
    head = ("action", "times in the data", "return", "Q of CQL")
    return _chart(lines, f"CQL, alpha {alpha}", "action", "value", words, head, rows)


LOSSES = {
    "expectile: IQL's V": (expectile, ("tau",)),
    "weights: AWR in IQL": (weighting, ("beta", "cap")),
    "trade-off: TD3+BC": (td3_bc, ("alpha",)),
    "penalty: CQL": (conservative, ("alpha",)),
    "Gumbel: XQL's V": (gumbel, ("beta",)),
    "dual: f-DVL's V": (dual, ("lambda_", "divergence")),
}
KNOBS = {  # name -> (values, the first)
    "tau": ((0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99), 0.7),
    "beta": ((0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0), 3.0),
    "cap": ((1, 10, 100, 1_000), 100),
    "alpha": ((0.0, 0.1, 0.3, 1.0, 2.5, 5.0, 10.0), 2.5),
    "lambda_": ((0.55, 0.6, 0.7, 0.8, 0.9, 0.95), 0.6),
    "divergence": (("chi-square", "total-variation"), "chi-square"),
}


class LossExplorer(Explorer):
    """An Explorer of the losses in LOSSES: a menu of losses, and a slider for each knob of the one that is shown.

    loss: the first one shown. Needs torch. Raises ValueError for another name.
    """

    def __init__(self, loss: str = "expectile: IQL's V"):
        self.controls = {"loss": show.labelled(widgets.Dropdown, "loss", options=list(LOSSES))}
        for name, (values, first) in KNOBS.items():
            options = [(svg.number(v) if isinstance(v, int | float) else v, v) for v in values]
            self.controls[name] = show.labelled(
                widgets.SelectionSlider, name.rstrip("_"), options=options, value=first, continuous_update=False
            )
        self.controls["loss"].value = checks.one_of("loss", loss, LOSSES)
        self._draw = lambda loss, **knobs: LOSSES[loss][0](**knobs)
        self.picture = widgets.HTML()
        self.box = widgets.VBox([show.row(*self.controls.values()), self.picture])
        self.box.add_class("rlkit-explorer")
        self._changed(None)
        for control in self.controls.values():
            control.observe(self._changed, "value")

    def values(self) -> dict:
        """The loss, and the knobs that it has."""
        loss = self.controls["loss"].value
        return {"loss": loss} | {name: self.controls[name].value for name in LOSSES[loss][1]}

    def _words(self) -> str:
        return ", ".join(f"{self.controls[name].description}: {value}" for name, value in self.values().items())

    def _changed(self, change) -> None:
        for name, control in self.controls.items():
            show.visible(control, name in self.values())
        super()._changed(change)
