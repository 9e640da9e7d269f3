"""World models that learn from a stream: each row arrives once, in order, for S seeds side by side.

    model = online_models.make(kind, seeds, observations, outputs, **settings)
    model.update(x, y)           x [S, O] in [-1, 1], y [S, outputs]: the row that arrives now
    model.predict(x)             x [S, N, O] -> [S, N, outputs]
    follow(model, x, y, asked, answers)    a whole stream, with the error on some places after each tenth

Kinds: "losse" and "dense" are linear models in closed form, "online", "ewc" and "replay" networks that take one step of
Adam for each arrival, and "retrained" is the network that sees all rows again, as often as it likes, when it is asked.
"""

import numpy as np
import torch

from rlkit import checks
from rlkit.model_based.sparse_features import FollowTheLeader, SparseFeatures
from rlkit.offline.networks import Network

HIDDEN, BATCH, CHUNK = 64, 32, 256  # units of two layers, rows of a replayed batch, steps whose draws are made at once


class Losse:
    """Sparse features and the leader's block update (sparse_features.py), one model for each seed.

    grids, bins, axes: of the features; ridge. Attribute work: multiplications of each update so far, [T, S].
    """

    def __init__(self, seeds, observations, outputs, *, grids, bins, axes, ridge=1e-3):
        self.features = [SparseFeatures(observations, grids, bins, axes, generator(seed, 0)) for seed in seeds]
        self.leaders = [FollowTheLeader(features.size, outputs, ridge) for features in self.features]
        self.work = []

    def update(self, x, y):
        work = []
        for features, leader, row, target in zip(self.features, self.leaders, x, y, strict=True):
            index, weight = features(row[None])
            work.append(leader.update(index[0], weight[0], target))
        self.work.append(work)

    def predict(self, x):
        pairs = zip(self.features, self.leaders, x, strict=True)
        return np.stack([leader.predict(*features(rows)) for features, leader, rows in pairs])


class Dense:
    """Recursive least squares on dense random features phi = sqrt(2 / D) cos(x w + b), w ~ N(0, frequency^2).

    P' = P - P phi phi^T P / (1 + phi^T P phi),  W' = W + P' phi (y - W^T phi),  P_0 = I / ridge: exactly the ridge
    regression on all rows so far, at 2 D^2 multiplications a row. features: D.
    """

    def __init__(self, seeds, observations, outputs, *, features, frequency, ridge=1e-3):
        generators = [generator(seed, 0) for seed in seeds]
        self.w = frequency * np.stack([g.normal(size=(observations, features)) for g in generators])
        self.b = np.stack([g.uniform(0, 2 * np.pi, (1, features)) for g in generators])
        self.P = np.tile(np.eye(features) / checks.positive("ridge", ridge), (len(seeds), 1, 1))
        self.W = np.zeros((len(seeds), features, outputs))

    def _phi(self, x):
        return np.sqrt(2 / self.b.shape[2]) * np.cos(x @ self.w + self.b)

    def update(self, x, y):
        phi = self._phi(x[:, None])  # [S, 1, D]
        ahead = phi @ self.P  # P is symmetric
        gain = ahead / (1 + ahead @ phi.mT)
        self.P -= gain.mT @ ahead
        self.W += gain.mT @ (y[:, None] - phi @ self.W)

    def predict(self, x):
        return self._phi(x) @ self.W


class Neural:
    """A network of 2 x 64 ReLU for each seed; each arrival is one step of Adam on the mean squared error.

    kind "online": on the new row alone. "replay": on the new row and 31 drawn from all that came before, nothing is
    ever thrown away. "ewc": the new row plus penalty / 2 sum_i F_i (theta_i - anchor_i)^2; every `task` arrivals the
    anchor becomes theta, and F the average of itself and the mean squared gradient since then (elastic weight
    consolidation, Kirkpatrick et al. 2017, in its online form). "retrained": keeps the rows; `predict` trains a fresh
    network on all of them, 32 rows a step and as many steps as rows came.
    """

    def __init__(self, seeds, observations, outputs, *, kind, learning_rate=1e-3, penalty=0.0, task=500):
        self.kind, self.rate, self.sizes = kind, learning_rate, (observations, HIDDEN, HIDDEN, outputs)
        self.seeds, self.penalty, self.task, self.draws = list(seeds), penalty, task, [generator(s, 1) for s in seeds]
        self.network, self.count = self._fresh(), 0
        self.rows = np.empty((len(self.seeds), 1024, observations + outputs), np.float32)  # grows
        self.fisher, self.anchor = torch.zeros_like(self.network.flat), self.network.flat.clone()
        self.squares, self.trained = torch.zeros_like(self.fisher), None

    def _fresh(self):
        return Network([generator(seed, 0) for seed in self.seeds], self.sizes, learning_rate=self.rate)

    def _descend(self, network, rows):
        """One step on rows [S, B, O + outputs]; the gradient of the data alone stays behind for the Fisher numbers."""
        rows = torch.from_numpy(rows)
        x, y = rows[..., : self.sizes[0]], rows[..., self.sizes[0] :]
        network.gradient.zero_()
        loss = (network(x, 0) - y).square().mean(dim=(1, 2)).sum()
        loss.backward(inputs=network.parameters)
        if self.kind == "ewc":
            self.squares += network.gradient**2
            network.gradient.addcmul_(self.fisher, network.flat - self.anchor, value=self.penalty)
        network.optimiser.step()

    def update(self, x, y):
        if self.count == self.rows.shape[1]:
            self.rows = np.concatenate([self.rows, np.empty_like(self.rows)], axis=1)
        new = np.concatenate([x, y], axis=1).astype(np.float32)
        self.rows[:, self.count] = new
        if self.kind == "replay":
            if self.count % CHUNK == 0:
                self.picks = np.stack([draws.random((CHUNK, BATCH - 1)) for draws in self.draws], axis=1)
            old = (self.picks[self.count % CHUNK] * (self.count + 1)).astype(int)  # [S, 31]
            batch = np.take_along_axis(self.rows, old[..., None], axis=1)
            self._descend(self.network, np.concatenate([new[:, None], batch], axis=1))
        elif self.kind != "retrained":
            self._descend(self.network, new[:, None])
        self.count += 1
        if self.kind == "ewc" and self.count % self.task == 0:
            self.fisher = (self.fisher + self.squares / self.task) / 2
            self.anchor = self.network.flat.detach().clone()
            self.squares.zero_()

    def _retrain(self):
        self.network = self._fresh()
        for _ in range(self.count):
            pick = np.stack([draws.integers(self.count, size=BATCH) for draws in self.draws])
            self._descend(self.network, np.take_along_axis(self.rows, pick[..., None], axis=1))
        self.trained = self.count

    def predict(self, x):
        if self.kind == "retrained" and self.trained != self.count:
            self._retrain()
        with torch.no_grad():
            return self.network(torch.from_numpy(x.astype(np.float32)), 0).double().numpy()


def generator(seed: int, purpose: int) -> np.random.Generator:
    """The generator of a seed: purpose 0 draws a model, 1 its batches."""
    return np.random.default_rng([checks.seed(seed), 44, purpose])


def make(kind: str, seeds, observations: int, outputs: int, **settings):
    """A model of one of the six kinds, for these seeds. Raises ValueError for another kind."""
    checks.one_of("kind", kind, ("losse", "dense", "online", "ewc", "replay", "retrained"))
    if kind in ("losse", "dense"):
        return {"losse": Losse, "dense": Dense}[kind](seeds, observations, outputs, **settings)
    return Neural(seeds, observations, outputs, kind=kind, **settings)


def follow(model, x, y, asked, answers):
    """Give a model the rows of a stream in order, and ask it after each tenth.

    x [T, S, O], y [T, S, outputs]; asked: a list of places [S, N, O]; answers: what is true there, [S, N, outputs].
    Returns (errors, predictions): root mean squared errors [tenths, places, S] and lists of [S, N, outputs]. A
    "retrained" model is asked at the end alone. Raises ValueError for a stream whose length is no multiple of 10.
    """
    if len(x) % 10 or not len(x):
        checks.fail("len(x)", len(x), "a multiple of 10, at least 10")
    errors, predictions, last = [], [], getattr(model, "kind", "") == "retrained"
    for t in range(len(x)):
        model.update(x[t], y[t])
        if (t + 1) % (len(x) // 10) == 0 and (not last or t + 1 == len(x)):
            said = [model.predict(places) for places in asked]
            predictions.append(said)
            errors.append([((p - true) ** 2).mean(axis=(1, 2)) ** 0.5 for p, true in zip(said, answers, strict=True)])
    return np.array(errors), predictions
