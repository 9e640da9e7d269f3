"""Ensembles of Gaussian networks: what is expected, how much it scatters, and how far the members disagree.

Departures from PETS (Chua et al. 2018, 1805.12114) and MBPO (Janner et al. 2019, 1906.08253):
1. Two constants bound the log variance softly (of targets with deviation 1); theirs are learnt.
2. No weight decay. Each member keeps the weights that gave held-out rows the best likelihood (MBPO: the smallest
   error), looked at ten times in a fit.
3. A fit takes a fixed number of gradient steps, so that no seed's fit depends on another's.
4. Each member meets equally many rows of a draw: rows are dealt to the elites at random, not each by its own throw.
"""

import math

import numpy as np
import torch
from torch.nn.functional import softplus

from rlkit import checks
from rlkit.offline.networks import Network, through
from rlkit.offline.rows import CHUNK, generator
from rlkit.runs import Step

LOG_VARIANCE = (-10.0, 0.5)  # of normalised targets


def gaussian_loss(mean: torch.Tensor, log_variance: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """-log N(y; mean, variance) without its constant, summed over outputs, averaged over rows: [..., B, out] -> [...].

    1/2 sum (y - mean)^2 exp(-log_variance) + log_variance. Chua et al. 2018, section 4 (their loss is twice that).
    """
    return 0.5 * ((y - mean).square() * (-log_variance).exp() + log_variance).sum(-1).mean(-1)


def bounded(log_variance: torch.Tensor) -> torch.Tensor:
    """A smooth clamp to LOG_VARIANCE."""
    low, high = LOG_VARIANCE
    log_variance = high - softplus(high - log_variance)
    return low + softplus(log_variance - low)


class Ensemble:
    """S x M Gaussian regressions of y on x, each member on rows and first weights of its own.

    seeds: integers. inputs, outputs: sizes. members: M; elites: how many of them, the best on held-out rows of each
    seed, `draw` uses. hidden: widths. salt: tells ensembles of one learner apart. Attributes: elites [S, E].
    Raises ValueError for more elites than members, and for x and y that do not fit or are not finite.
    """

    def __init__(
        self,
        seeds,
        inputs,
        outputs,
        *,
        members=7,
        elites=5,
        hidden=(64, 64),
        learning_rate=1e-3,
        batch_size=64,
        salt=20,
    ):
        torch.set_num_threads(1)
        self.seeds, self.members = [checks.seed(seed) for seed in seeds], checks.positive_int("members", members)
        if checks.positive_int("elites", elites) > members:
            checks.fail("elites", elites, f"at most members={members}")
        self.inputs, self.outputs = checks.positive_int("inputs", inputs), checks.positive_int("outputs", outputs)
        generators = [generator(seed, "weights", salt, member) for seed in self.seeds for member in range(members)]
        self.network = Network(generators, (inputs, *hidden, 2 * outputs), learning_rate=learning_rate)  # S*M rows
        self.batch_size, self.salt, self._fits = checks.positive_int("batch_size", batch_size), salt, 0
        s = len(self.seeds)
        self.x_mean, self.x_scale = torch.zeros(s, 1, inputs), torch.ones(s, 1, inputs)
        self.y_mean, self.y_scale = torch.zeros(s, 1, outputs), torch.ones(s, 1, outputs)
        self._choose(torch.arange(elites).expand(s, elites))

    def __repr__(self):
        return f"Ensemble({len(self.seeds)} seeds, {self.members} members, {self.inputs} -> {self.outputs})"

    def _choose(self, elites: torch.Tensor) -> None:
        self.elites = elites
        rows = (elites + self.members * torch.arange(len(self.seeds))[:, None]).flatten()
        self._elite = [[w.detach()[rows] for w in kind] for kind in (self.network.weights, self.network.biases)]

    def _check(self, x: torch.Tensor) -> None:
        if x.dim() != 3 or x.shape[0] != len(self.seeds) or x.shape[2] != self.inputs:
            raise ValueError(f"x of shape {tuple(x.shape)}: must be [{len(self.seeds)}, B, {self.inputs}]")

    def predict(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation of every member, in units of y: x [S, B, in] -> two of [S, M, B, out]."""
        self._check(x)
        spread = ((x - self.x_mean) / self.x_scale).repeat_interleave(self.members, 0)  # [S*M, B, in]
        outputs = self.network(spread, member=0).view(len(x), self.members, x.shape[1], -1)
        mean, log_variance = outputs.chunk(2, -1)
        mean = mean * self.y_scale[:, None] + self.y_mean[:, None]
        return mean, (0.5 * bounded(log_variance)).exp() * self.y_scale[:, None]

    def deal(self, count: int, generators) -> torch.Tensor:
        """Who asks whom, for `count` rows of each seed: a permutation of slots [S, E * ceil(count / E)].

        Slots are cut into E equal shares, one for each elite; slot i holds row order[s, i], or nobody from `count` on.
        """
        slots = self.elites.shape[1] * math.ceil(count / self.elites.shape[1])
        return torch.from_numpy(np.stack([g.permutation(slots) for g in generators]))

    def draw(self, x: torch.Tensor, generators, order: torch.Tensor | None = None) -> torch.Tensor:
        """y drawn from one elite for each row: x [S, B, in] -> [S, B, out], differentiable by x.

        generators: one np.random.Generator for each seed. order: who asks whom, from `deal`, or rows in an order of
        one's own [S, B]; None deals anew, and one that is kept lets each row ask the same elite at each step.
        """
        self._check(x)
        (s, b, _), elites = x.shape, self.elites.shape[1]
        order = self.deal(b, generators) if order is None else order
        slots = elites * math.ceil(b / elites)
        if tuple(order.shape) not in ((s, b), (s, slots)):
            raise ValueError(f"order of shape {tuple(order.shape)}: must be [{s}, {slots}], as deal makes it")
        if order.shape[1] < slots:  # an order of rows alone: the last slots are empty
            order = torch.cat((order, torch.arange(b, slots).expand(s, -1)), 1)
        noise = torch.from_numpy(np.stack([g.standard_normal((b, self.outputs), dtype=np.float32) for g in generators]))
        rows = order.clamp(max=b - 1)[..., None].expand(-1, -1, self.inputs)  # empty slots ask for the last row
        asked = ((x - self.x_mean) / self.x_scale).gather(1, rows).view(s * elites, -1, self.inputs)
        answers = through(*self._elite, asked).view(s, order.shape[1], -1)
        places = torch.empty_like(order).scatter_(1, order, torch.arange(slots).expand(s, -1))  # of each row's answer
        mean, log_variance = answers.gather(1, places[:, :b, None].expand(-1, -1, 2 * self.outputs)).chunk(2, -1)
        y = mean + (0.5 * bounded(log_variance)).exp() * noise
        return y * self.y_scale + self.y_mean

    def fit(self, x, y, *, steps: int = 2_000, holdout: float = 0.1):
        """A learner: yields a Step ten times, with loss, and holdout_loss and holdout_error of what is kept, [S].

        x [S, N, in], y [S, N, out]; each fit starts from the weights of the last one and ends with the best of each
        member by the likelihood of the held-out share of rows. Normalises by the mean and deviation of all rows;
        holdout_error is the root mean square in deviations of y.
        """
        x, y = (torch.as_tensor(a, dtype=torch.float32) for a in (x, y))
        s, m, n = len(self.seeds), self.members, x.shape[1] if x.dim() == 3 else 0
        for name, a, width in (("x", x, self.inputs), ("y", y, self.outputs)):
            if tuple(a.shape) != (s, n, width) or n < 2:
                raise ValueError(f"{name} of shape {tuple(a.shape)}: must be [{s}, N, {width}] with N of 2 or more")
            if not torch.isfinite(a).all():
                raise ValueError(f"{name} holds NaN or infinity: must be finite")
        checks.positive_int("steps", steps)
        self.x_mean, self.x_scale = x.mean(1, keepdim=True), x.std(1, keepdim=True) + 1e-6
        self.y_mean, self.y_scale = y.mean(1, keepdim=True), y.std(1, keepdim=True) + 1e-6
        table = torch.cat(((x - self.x_mean) / self.x_scale, (y - self.y_mean) / self.y_scale), 2)  # [S, N, in + out]
        generators = [generator(seed, "model", self.salt, self._fits) for seed in self.seeds]
        self._fits += 1
        orders = np.stack([g.permutation(n) for g in generators])  # [S, N]
        held = min(max(1, round(holdout * n)), n - 1, 1_000)
        aside = table.gather(1, torch.from_numpy(orders[:, :held, None]).expand(-1, -1, table.shape[2]))
        aside = aside.repeat_interleave(m, 0)  # [S*M, held, in + out]
        starts = torch.arange(s)[:, None, None] * n
        best, error = torch.full((2, s * m), math.inf)
        kept = [p.detach().clone() for p in self.network.parameters]
        looks = {steps * k // 10 for k in range(1, 11)}
        for step in range(1, steps + 1):
            place = (step - 1) % CHUNK
            if place == 0:
                chunk = np.stack([g.integers(held, n, (CHUNK, m, self.batch_size)) for g in generators], 1)
                chunk = np.take_along_axis(orders, chunk.transpose(1, 0, 2, 3).reshape(s, -1), 1)
                chunk = torch.from_numpy(chunk.reshape(s, CHUNK, -1)).transpose(0, 1) + starts[:, 0]  # [CHUNK, S, M*B]
            rows = table.flatten(0, 1).index_select(0, chunk[place].flatten()).view(s * m, self.batch_size, -1)
            mean, log_variance = self.network(rows[..., : self.inputs], member=0).chunk(2, -1)
            loss = gaussian_loss(mean, bounded(log_variance), rows[..., self.inputs :])  # [S*M]
            self.network.descend(loss)
            if step in looks:
                with torch.no_grad():
                    mean, log_variance = self.network(aside[..., : self.inputs], member=0).chunk(2, -1)
                    there = gaussian_loss(mean, bounded(log_variance), aside[..., self.inputs :])  # [S*M]
                    better = there < best
                    best = torch.where(better, there, best)
                    now = (mean - aside[..., self.inputs :]).square().mean((1, 2))
                    error = torch.where(better, now, error)
                    for old, new in zip(kept, self.network.parameters, strict=True):
                        old[better] = new[better]
                    if step == steps:
                        for old, new in zip(kept, self.network.parameters, strict=True):
                            new.copy_(old)
                        self._choose(best.view(s, m).argsort(1)[:, : self.elites.shape[1]])
                numbers = {"holdout_error": error.sqrt(), "holdout_loss": best, "loss": loss.detach()}
                yield Step(step, {name: value.view(s, m).mean(1).numpy() for name, value in numbers.items()})
