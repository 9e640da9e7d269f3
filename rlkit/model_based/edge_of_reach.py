"""Edge-of-reach states, counted exactly, and true values to set against learnt ones (Sims et al. 2024, 2402.12527).

Dreams of k steps from the states of a log leave states that appear only as the last next state: their values are used
in targets and never learnt.
"""

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score

from rlkit import envs
from rlkit.evaluations import of_kind
from rlkit.model_based.algorithms.train_in import train_in
from rlkit.model_based.exact import Exact
from rlkit.model_based.replay import Replay
from rlkit.offline.rows import generator


class Counted:
    """A model that notes in which cells its dreams have been: `step` as the model's, and then `edge`.

    model: with `step` and `simulator`, as Exact. dataset: a Dataset, or one for each seed. remember: how many calls of
    `step` stay in the dream buffer (horizon times the waves that are kept). cells: along each axis of the first two
    observations, within the simulator's bounds. Attributes: left [S, cells^2], the call in which a step last began in
    a cell, inf for cells of the log and -inf for never; arrived likewise, in which one last ended there.
    """

    def __init__(self, model, dataset, seeds, *, remember: int, cells: int = 40):
        self.model, self.observation_size = model, model.observation_size
        self.low, self.high = model.simulator.bounds[:, :2]
        self.remember, self.cells, self.calls = remember, cells, 0
        log = Replay.of(dataset, seeds)
        self.left, self.arrived = (np.full((len(log.seeds), cells**2), -np.inf) for _ in range(2))
        for row, size in enumerate(log.size):
            batch = log.columns(log.table[row : row + 1, :size], None)
            self.left[row, self.cell(batch.observations)[0]] = np.inf
            self.arrived[row, self.cell(batch.next_observations)[0]] = np.inf

    def cell(self, observations) -> np.ndarray:
        """The number of the cell of observations [S, B, O]: [S, B]."""
        share = (np.asarray(observations)[..., :2] - self.low) / (self.high - self.low)
        column, row = np.moveaxis((share * self.cells).astype(int).clip(0, self.cells - 1), -1, 0)
        return row * self.cells + column

    def step(self, observations, actions, generators, order=None):
        """The model's step; notes where it began and where it ended."""
        found = self.model.step(observations, actions, generators, order)
        self.calls += 1
        for table, seen in ((self.left, observations), (self.arrived, found[0])):
            at = self.cell(seen)
            rows = np.arange(len(at))[:, None]
            table[rows, at] = np.maximum(table[rows, at], self.calls)
        return found

    def edge(self, observations) -> np.ndarray:
        """Whether no transition of log or dream buffer begins in the cell of observations [S, B, O]: bool [S, B]."""
        at = self.cell(observations)
        return self.left[np.arange(len(at))[:, None], at] <= self.calls - self.remember

    def ever(self) -> tuple[np.ndarray, np.ndarray]:
        """(within, edge), bool [S, cells^2]: cells that some step began in; cells that were entered and never left."""
        within = self.left > -np.inf
        return within, (self.arrived > -np.inf) & ~within

    def centres(self) -> np.ndarray:
        """The middles of all cells, float32 [cells^2, 2], x fastest."""
        middle = self.low + (np.arange(self.cells)[:, None] + 0.5) / self.cells * (self.high - self.low)
        x, y = np.meshgrid(middle[:, 0], middle[:, 1])
        return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def true_values(simulator, prefer, observations: torch.Tensor, discount: float, steps: int = 30) -> torch.Tensor:
    """V of a policy without noise, by following it in a deterministic simulator with `place`: [S, B].

        V(s_0) = sum over t < steps of discount^t r_t + discount^steps r_last / (1 - discount)

    the last term as if the last reward went on for ever: true of a policy that has come to rest. prefer: observations
    [S, B, O] -> actions [S, B, A]; its gradients are not used.
    """
    seeds, count = observations.shape[:2]
    states, total = simulator.place(observations.reshape(seeds * count, -1).numpy()), 0.0
    noise = np.zeros((len(states), simulator.noise_size))
    with torch.no_grad():
        for t in range(steps):
            seen = torch.from_numpy(simulator.observe(states)).view(seeds, count, -1)
            states, rewards, _ = simulator.step(states, prefer(seen).flatten(0, 1).numpy(), noise)
            total = total + discount**t * rewards
    total = total + discount**steps * rewards / (1 - discount)
    return torch.from_numpy(total.astype(np.float32)).view(seeds, count)


def patched(counted: Counted, elsewhere=None):
    """A target for `train_in`: the usual one, but r + discount V of the policy itself where s' is at the edge of reach.

    The oracle patch of Sims et al. 2024, section 5: what is bootstrapped from at the edge is true. elsewhere: None, or
    for a control a generator for each seed: as many true values, at next states of the batch that are not at the edge.
    """

    def target(learner, batch):
        usual = learner.target(batch, learner.noise(batch.rewards.shape[1], learner.width))
        true = true_values(counted.model.simulator, learner.prefer, batch.next_observations, learner.discount)
        chosen = counted.edge(batch.next_observations)
        if elsewhere is not None:
            drawn = np.stack([g.random(chosen.shape[1]) for g in elsewhere])
            rank = np.where(chosen, 1.0, drawn).argsort(axis=1).argsort(axis=1)  # those at the edge come last
            chosen = ~chosen & (rank < chosen.sum(axis=1, keepdims=True))
        return torch.where(torch.from_numpy(chosen), batch.rewards + learner.discount * true, usual)

    return target


def area_under_curve(scores, positive) -> float:
    """The chance that a positive scores above a negative, ties half: Mann-Whitney's U over the number of pairs.

    scores [N], positive bool [N], both kinds present (ValueError otherwise).
    """
    scores, positive = np.asarray(scores, dtype=float), np.asarray(positive, dtype=bool)
    if positive.all() or not positive.any():
        raise ValueError(f"positive: {positive.sum()} of {len(positive)}: must hold both kinds")
    return float(roc_auc_score(positive, scores))


def beliefs(learner, counted: Counted) -> dict:
    """What a learner believes of all cells' middles at its own action, and what is true: NumPy arrays [S, cells^2].

    Q, of the smallest critic; spread, the deviation of the critics; true, of `true_values`; within and edge, of
    `Counted.ever`; largest [S], the largest |Q| over within and edge.
    """
    seen = torch.from_numpy(counted.centres()).expand(len(learner.seeds), -1, -1)
    with torch.no_grad():
        q = learner.q(seen, learner.prefer(seen))  # [S, M, cells^2]
    true = true_values(counted.model.simulator, learner.prefer, seen, learner.discount).numpy()
    (within, edge), lowest = counted.ever(), q.amin(1).numpy()
    largest = np.where(within | edge, np.abs(lowest), 0).max(axis=1)
    found = {"Q": lowest, "spread": q.std(1).numpy(), "true": true}
    return found | {"within": within, "edge": edge, "largest": largest}


def summaries(found: dict) -> list:
    """Of `beliefs` one dictionary for each seed: cells and edge, how many; above, the mean of Q - true over the cells;
    auc, how well the spread tells edge from within."""
    rows = []
    for q, spread, true, within, edge in zip(
        *(found[name] for name in ("Q", "spread", "true", "within", "edge")), strict=True
    ):
        known = within | edge
        auc = area_under_curve(spread[known], edge[known])
        rows.append({"cells": int(known.sum()), "edge": int(edge.sum()), "above": float((q - true)[known].mean())})
        rows[-1]["auc"] = auc
    return rows


def trained(arm: str, seeds, logs, kept: dict, *, steps, horizon, discount, patch=False, **learner):
    """Train all seeds of one arm in the exact model: metrics return and largest [S], and one row for each seed.

    logs: a Dataset of the same world for each seed. kept: arm -> its `beliefs` after training, with `prefer`, its
    policy, and its temperature [S] are put here. patch: True for the oracle patch, "elsewhere" for its control.
    learner: what `train_in` takes, `retain` among it. A row has the ten looks of return and largest, and what
    `summaries` tells. For rlkit.measure.sweep.
    """
    world = envs.simulator(logs[0].facts["simulator"])
    counted = Counted(Exact(world), logs, seeds, remember=learner["retain"] * horizon)

    def watch(soft, step):
        temperature = soft.log_temperature.detach().exp().numpy()
        kept[arm] = beliefs(soft, counted) | {"prefer": soft.prefer, "temperature": temperature}
        return {"largest": kept[arm]["largest"]}

    elsewhere = [generator(seed, "exploration") for seed in seeds] if patch == "elsewhere" else None
    target, looks = patched(counted, elsewhere) if patch else None, steps // 10
    settings = {"horizon": horizon, "discount": discount, "steps": steps, "evaluate_every": looks, "simulator": world}
    made = [s.metrics for s in train_in(counted, logs, seeds, watch=watch, target=target, **settings, **learner)]
    curves = {name: np.stack([np.asarray(m[name]) for m in made], axis=1) for name in ("return", "largest")}  # [S, N]
    told = summaries(kept[arm])
    rows = [
        {"kind": "result", "arm": arm, "seed": seed, **told[i]} | {n: c[i].tolist() for n, c in curves.items()}
        for i, seed in enumerate(seeds)
    ]
    return {name: curve[:, -1] for name, curve in curves.items()}, rows


def at_the_end(run, bound: float) -> pd.DataFrame:
    """A row for each arm of a run of `trained`: means over seeds after training, and where the seeds lie.

    bound: the largest true value. best look and |Q| then: of the mean curve of returns.
    """
    table = {}
    for arm, rows in of_kind(run, "result").groupby("arm", sort=False):
        earned, largest = (np.stack(list(rows[name])) for name in ("return", "largest"))  # [S, N]
        best = earned.mean(axis=0).argmax()
        table[arm] = {"return": earned[:, -1].mean(), "lowest seed": earned[:, -1].min()}
        table[arm] |= {"highest seed": earned[:, -1].max(), "largest |Q|": largest[:, -1].mean()}
        table[arm] |= {f"seeds above {bound:g}": (largest[:, -1] > bound).sum(), "Q - true": rows["above"].mean()}
        table[arm] |= {"cells": rows["cells"].mean(), "edge": rows["edge"].mean(), "auc": rows["auc"].mean()}
        table[arm] |= {"edge share": (rows["edge"] / rows["cells"]).mean(), "best return": earned.mean(axis=0)[best]}
        table[arm] |= {"at look": best + 1, "|Q| then": largest[:, best].mean()}
    return pd.DataFrame(table).T


def walk(simulator, prefer, row: int, seeds: int, start, steps: int) -> np.ndarray:
    """The path [steps + 1, 2] of one seed's policy from `start` in a world whose observations are its states."""
    path = [np.array([start], dtype=float)]
    for _ in range(steps):
        seen = torch.from_numpy(path[-1].astype(np.float32)).expand(seeds, 1, 2)
        with torch.no_grad():
            actions = prefer(seen)[row].numpy()
        path.append(simulator.step(path[-1], actions, np.zeros((1, simulator.noise_size)))[0])
    return np.concatenate(path)
