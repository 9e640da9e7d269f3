"""BanditPlayground: pull arms by hand, watch beliefs and regret, and race policies over the same number of pulls."""

import threading

import ipywidgets as widgets
import numpy as np
from scipy.special import betaincinv, xlogy

from rlkit import bandits, checks
from rlkit.html import COLOURS, escape, table
from rlkit.widgets import show, svg

MOST = 2_000  # pulls in one game
RUNS = 200  # of each policy in the race
LEGEND = (
    "Curve: what is believed of the arm's probability, Beta(1 + paid, 1 + not paid), each drawn to one height. "
    "Tick: its mean. Bar: its 95 % interval."
)
POLICIES = {
    "epsilon-greedy 0.1": lambda: bandits.epsilon_greedy(0.1),
    "UCB1": bandits.ucb1,
    "Thompson sampling": bandits.thompson_beta,
}


class Game:
    """One reader against Bernoulli arms, and the policies that play the same arms beside it; no widgets in here.

    arms: number of arms A; seed: draws the arms' probabilities p [A], uniform on [0.05, 0.95], and every reward.
    Regret of a pull: max p - p[arm]. Attributes: p [A], pulls [A], wins [A], regret (list, cumulative, one a pull),
    races (name -> list of cumulative regrets [RUNS], one a pull).
    """

    def __init__(self, arms: int, seed: int):
        world, self._rng = np.random.default_rng(checks.seed(seed)).spawn(2)
        self.p = world.uniform(0.05, 0.95, size=checks.positive_int("arms", arms))
        self.pulls, self.wins, self.regret = np.zeros(arms, int), np.zeros(arms, int), []
        self.races = {name: [] for name in POLICIES}
        self._play = {
            name: bandits.play(make(), bandits.bernoulli(self.p), MOST, RUNS, seed) for name, make in POLICIES.items()
        }

    def pull(self, arm: int, times: int) -> int:
        """Pull one arm up to `times` times (until MOST pulls in all), every policy as often; returns the wins."""
        times = min(times, MOST - len(self.regret))
        wins = int((self._rng.random(times) < self.p[arm]).sum())
        self.pulls[arm] += times
        self.wins[arm] += wins
        so_far = self.regret[-1] if self.regret else 0.0
        self.regret += (so_far + (self.p.max() - self.p[arm]) * np.arange(1, times + 1)).tolist()
        for name, pulls in self._play.items():
            race = self.races[name]
            for _ in range(times):
                race.append((race[-1] if race else 0.0) + next(pulls).regret)
        return wins

    def beliefs(self) -> tuple[np.ndarray, np.ndarray]:
        """The posterior of each arm after a uniform prior: Beta(1 + wins, 1 + pulls - wins), as (a [A], b [A])."""
        return 1 + self.wins, 1 + self.pulls - self.wins


def belief(arm: int, a: float, b: float, truth: float | None = None) -> str:
    """A small picture of Beta(a, b): density (scaled to one height), mean as a tick, 95 % interval as a bar.

    arm: index from 0, for the colour; truth: the true probability, marked by a triangle, or None. Returns SVG.
    """
    left, right, bottom, top = 12, 292, 48, 8
    x = np.unique(np.r_[0.0, betaincinv(a, b, np.linspace(0.0005, 0.9995, 90)), np.linspace(0, 1, 11), 1.0])
    log_density = xlogy(a - 1, x) + xlogy(b - 1, 1 - x)
    y = np.exp(log_density - log_density.max())  # [N], highest 1
    mean, (low, high) = a / (a + b), betaincinv(a, b, [0.025, 0.975])
    colour, at = COLOURS[arm % len(COLOURS)], lambda value: left + (right - left) * value
    outline = "L".join(f"{at(u):.1f} {bottom - (bottom - top) * v:.1f}" for u, v in zip(x, y, strict=True))
    parts = [
        f'<path d="M{left} {bottom}L{outline}L{right} {bottom}Z" fill="{colour}" fill-opacity="0.25"/>',
        f'<path d="M{outline}" stroke="{colour}"/>',
        f'<path d="M{left} {bottom}H{right}" stroke="currentColor"/>',
        f'<path d="M{at(low):.1f} {bottom}H{at(high):.1f}" stroke="{colour}" stroke-width="5"/>',
        f'<path d="M{at(mean):.1f} {bottom + 4}V{top}" stroke="currentColor" stroke-width="2"/>',
    ]
    parts += [svg.text(at(v), bottom + 15, f"{v:g}", "middle", 'font-size="10"') for v in (0, 0.5, 1)]
    words = f"mean {mean:.2f}, 95 % {low:.2f} to {high:.2f}"
    parts.append(svg.text(right + 18, 22, words))
    parts.append(svg.text(right + 18, 39, f"{a - 1:,.0f} of {a + b - 2:,.0f} pulls paid"))
    if truth is not None:
        parts.append(f'<path d="M{at(truth):.1f} {bottom - 2}l5 -9h-10Z" fill="currentColor"/>')
        parts.append(svg.text(right + 18, 56, f"▼ true {truth:.2f}"))
    said = f"Beta({a:g}, {b:g}): {words}." + ("" if truth is None else f" True probability {truth:.2f}.")
    return svg.frame("".join(parts), 500, 66, f"Belief about arm {arm + 1}", said)


class BanditPlayground:
    """A bandit played by hand. One button per arm; each click shows what it paid, the beliefs and the regret.

    arms: number of arms, 2 to 8. seed: of the arms' hidden probabilities, which `show the truth` uncovers.
    `race the policies` adds the regret of epsilon-greedy, UCB1 and Thompson sampling on the same arms over as many
    pulls: the mean of 200 runs and where the middle 90 % of them lie. `box` is the widget, `to_html()` the static twin.
    Raises ValueError for other arms or seeds.
    """

    def __init__(self, arms: int = 4, seed: int = 0):
        self.arms = checks.one_of("arms", arms, tuple(range(2, 9)))
        seed, self._lock = checks.seed(seed), threading.RLock()  # some front ends click in another thread
        self.step = show.labelled(widgets.Dropdown, "pulls per click", options=[1, 10, 100], layout={"width": "170px"})
        self.seed = show.labelled(widgets.BoundedIntText, "seed of the arms", min=0, max=max(10**6, seed), value=seed)
        self.seed.layout.width = "190px"
        self.truth, self.race, self.numbers = (
            show.labelled(widgets.Checkbox, words, indent=False, layout={"width": "auto"})
            for words in ("show the truth", "race the policies", "show as table")
        )
        self.reset = show.button("Start again", self._reset, "Forget all pulls; the arms stay", "rlkit-reset")
        self.pull = [
            show.button(f"Pull arm {i + 1}", lambda i=i: self._pull(i), "", "rlkit-pull") for i in range(self.arms)
        ]
        self.belief = [widgets.HTML(layout={"width": "500px"}) for _ in self.pull]
        self.status, self.picture, self.twin = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.status.add_class("rlkit-status")
        rows = [show.row(button, picture) for button, picture in zip(self.pull, self.belief, strict=True)]
        choices = show.row(self.truth, self.race, self.numbers, self.reset)
        self.box = widgets.VBox(
            [
                show.row(self.step, self.seed),
                widgets.HTML(show.note(LEGEND)),
                *rows,
                self.status,
                choices,
                self.picture,
                self.twin,
            ],
        )
        self.box.add_class("rlkit-playground")
        for control in (self.truth, self.race, self.numbers):
            control.observe(lambda _: self._draw(), "value")
        self.seed.observe(lambda _: self._reset(), "value")
        self._reset()

    def _reset(self) -> None:
        with self._lock:
            self.game, self._said = Game(self.arms, self.seed.value), "Pull an arm."
            self._draw()

    def _pull(self, arm: int) -> None:
        with self._lock:
            before = len(self.game.regret)
            wins = self.game.pull(arm, self.step.value)
            times = len(self.game.regret) - before
            paid = f"{wins} of {times:,} pulls" if times > 1 else ("1" if wins else "nothing")
            self._said = f"Arm {arm + 1} paid {paid}." if times else ""
            self._draw()

    def _words(self) -> str:
        game = self.game
        end = f" That was the last of {MOST:,} pulls; start again." if len(game.regret) == MOST else ""
        regret = game.regret[-1] if game.regret else 0.0
        count = f"{len(game.regret):,} pull{'s' if len(game.regret) != 1 else ''}"
        total = f"{count}, reward {game.wins.sum():,}, regret {regret:.2f}."
        return f"<span>{escape(f'{self._said} {total}{end}'.strip())}</span>"

    def _beliefs(self) -> list[str]:
        truth = self.game.p if self.truth.value else [None] * self.arms
        return [belief(i, a, b, p) for i, (a, b, p) in enumerate(zip(*self.game.beliefs(), truth, strict=True))]

    def _regret(self) -> str:
        """The regret chart with its caption, HTML."""
        lines = [self._line("you", np.array([self.game.regret]).T)]
        if self.race.value:
            lines += [self._line(name, np.array(race)) for name, race in self.game.races.items()]
        lasts = [f"{line.label}: {svg.number(line.y[-1], 3)}." for line in lines if len(line.y)]
        said = f"Cumulative regret after {len(self.game.regret):,} pulls. " + " ".join(lasts)
        picture = svg.chart(lines, "Regret by pull", "pull", "regret (reward lost, cumulative)", said, height=260)
        caption = "Regret of a pull: the best arm's true probability minus that of the arm pulled."
        caption += " It knows what you do not: a pull that adds nothing was the best arm."
        if self.race.value:
            caption += f" Policies: mean of {RUNS} runs; the band holds the middle 90 % of them."
        return picture + show.note(caption)

    @staticmethod
    def _line(name: str, regret: np.ndarray) -> svg.Line:
        """A line through the mean of regret [T, R], its band from the 5 % to the 95 % quantile where R > 1."""
        if not len(regret):
            return svg.Line(name, np.empty(0), np.empty(0))
        keep = svg.thin(regret.mean(axis=1), 200)
        low, high = np.quantile(regret[keep], [0.05, 0.95], axis=1) if regret.shape[1] > 1 else (None, None)
        return svg.Line(name, keep + 1, regret[keep].mean(axis=1), low, high)

    def _tables(self) -> str:
        """What the pictures show, as two tables, HTML."""
        game, hidden = self.game, not self.truth.value
        a, b = game.beliefs()
        low, high = betaincinv(a, b, 0.025), betaincinv(a, b, 0.975)
        rows = [
            (i + 1, game.pulls[i], game.wins[i], f"{a[i] / (a[i] + b[i]):.2f}", f"{low[i]:.2f} to {high[i]:.2f}")
            + ("hidden" if hidden else f"{game.p[i]:.2f}",)
            for i in range(self.arms)
        ]
        made = table(("arm", "pulls", "paid", "mean belief", "95 % interval", "truth"), rows, "Beliefs")
        rows = [("you", f"{game.regret[-1]:.2f}" if game.regret else "0", "–", "–")]
        if self.race.value and game.regret:
            for name, race in game.races.items():
                ends = np.quantile(race[-1], [0.05, 0.95])
                less = f"{100 * np.mean(race[-1] < game.regret[-1] - 1e-9):.0f} %"
                rows.append((name, f"{race[-1].mean():.2f}", f"{ends[0]:.2f} to {ends[1]:.2f}", less))
        columns = ("player", "regret", "middle 90 % of runs", "runs with less regret than you")
        return made + table(columns, rows, f"Regret after {len(game.regret):,} pulls")

    def _draw(self) -> None:
        self.status.value = self._words()
        for widget, picture in zip(self.belief, self._beliefs(), strict=True):
            widget.value = picture
        for button in self.pull:
            button.disabled = len(self.game.regret) >= MOST
        self.picture.value = self._regret()
        self.twin.value = self._tables() if self.numbers.value else ""

    def to_html(self) -> str:
        """The game as it stands, without a kernel: beliefs, regret and tables as one HTML fragment."""
        rows = "".join(f"<div>Arm {i + 1}<br>{picture}</div>" for i, picture in enumerate(self._beliefs()))
        numbers = show.details("The numbers as tables", self._tables())
        return f"<div>{show.note(LEGEND)}{rows}{self._words()}{self._regret()}{numbers}</div>"

    def _repr_mimebundle_(self, **_) -> dict:
        plain = f"BanditPlayground with {self.arms} arms, {len(self.game.regret)} pulls"
        return show.bundle(self.box, self.to_html(), plain)
