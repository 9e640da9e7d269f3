"""Sparse features that know what is near, and a linear model of them that never looks back at old data.

    z = x P_g / ||P_g||_1,   phi(x) = the corners of the cell of z in each of rho shifted grids g, by interpolation
    A = ridge I + sum phi phi^T,   B = sum phi y^T,   W_S <- A_SS^-1 (B_S - A_S,rest W_rest)

Of D features K = rho 2^lambda are active; S are those of the newest row. The leader, the ridge regression on all rows
so far, is W = A^-1 B; the update solves its equations for the active block and leaves the other weights as they are.
Source: Liu, Du, Lee and Lin 2024 (arXiv 2401.13034), from knowledge of the paper; no code of theirs was read.
"""

import numpy as np

from rlkit import checks


class SparseFeatures:
    """rho random grids over [-1, 1]^O: `features(x [N, O]) -> (index [N, K], weight [N, K])`, weights of sum 1.

    observations: O. grids: rho. bins: cells along each axis of a grid. axes: lambda, the directions that one grid looks
    along, drawn from a Gaussian; columns are divided by their L1 norm, so that z stays in [-1, 1]. rng: draws the
    directions and the shifts, uniform in [0, 1) cells. Attributes: size, D = rho (bins + 2)^lambda; active,
    K = rho 2^lambda. Raises ValueError for sizes that are no positive integers, or more axes than observations.
    """

    def __init__(self, observations: int, grids: int, bins: int, axes: int, rng: np.random.Generator):
        self.observations = checks.positive_int("observations", observations)
        self.grids = checks.positive_int("grids", grids)
        self.bins, self.axes = checks.positive_int("bins", bins), checks.positive_int("axes", axes)
        if axes > observations:
            checks.fail("axes", axes, f"at most the {observations} observations")
        self.projection = rng.normal(size=(grids, observations, axes))
        self.projection /= np.abs(self.projection).sum(axis=1, keepdims=True)
        self.shift = rng.random((grids, axes))
        self.corners = np.indices((2,) * axes).reshape(axes, -1).T  # [2^lambda, lambda]
        self.strides = (bins + 2) ** np.arange(axes)
        self.size, self.active = grids * (bins + 2) ** axes, grids * 2**axes

    def __call__(self, x):
        """x [N, O] in [-1, 1] -> index [N, K] and weight [N, K]. Raises ValueError for other shapes or numbers."""
        x = checks.finite("x", x)
        if x.ndim != 2 or x.shape[1] != self.observations:
            checks.fail("x.shape", x.shape, f"[N, {self.observations}]")
        if np.abs(x).max() > 1 + 1e-9:
            checks.fail("x", float(x.flat[np.abs(x).argmax()]), "in [-1, 1]")
        z = np.einsum("no,goa->nga", np.clip(x, -1, 1), self.projection)
        cells = (z + 1) / 2 * self.bins + self.shift  # [N, rho, lambda], in 0 .. bins + 1
        low = np.clip(np.floor(cells), 0, self.bins).astype(int)
        part = (cells - low)[:, :, None]  # how far towards the next node, along each axis
        weight = np.where(self.corners, part, 1 - part).prod(axis=3) / self.grids  # [N, rho, 2^lambda]
        index = (low[:, :, None] + self.corners) @ self.strides
        index += (np.arange(self.grids) * (self.size // self.grids))[:, None]
        return index.reshape(len(x), -1), weight.reshape(len(x), -1)


class FollowTheLeader:
    """A linear model y = W^T phi, fitted row by row: `update` after each row, `predict` at any time.

    features: D. outputs: length of y. ridge: the regulariser, above 0. Attributes: A [D, D], B [D, outputs],
    W [D, outputs]; near [D, M] and neighbours [D], the numbers of the features that were ever active together with
    each. A lies in memory as a whole, D^2 numbers, but only what was met is read. Raises ValueError for other sizes.
    """

    def __init__(self, features: int, outputs: int, ridge: float):
        size, outputs = checks.positive_int("features", features), checks.positive_int("outputs", outputs)
        self.A = np.zeros((size, size))
        np.fill_diagonal(self.A, checks.positive("ridge", ridge))
        self.B, self.W = np.zeros((size, outputs)), np.zeros((size, outputs))
        self.near, self.neighbours = np.arange(size)[:, None].repeat(8, axis=1), np.ones(size, int)

    def update(self, index, weight, target) -> int:
        """One row: active features [K] (all different), their weights [K], target [outputs].

        Returns the multiplications it needed, K^3 / 3 for the solution of K equations and `outputs` for each neighbour
        of an active feature. Raises ValueError for other shapes or numbers.
        """
        index, weight, target = np.asarray(index), checks.finite("weight", weight), checks.finite("target", target)
        if index.ndim != 1 or index.shape != weight.shape:
            checks.fail("index.shape", index.shape, f"[K], as the weights of shape {weight.shape}")
        if target.shape != self.B.shape[1:]:
            checks.fail("target.shape", target.shape, f"{self.B.shape[1:]}")
        grown, block = np.multiply.outer(weight, weight), (index[:, None], index)
        first = (self.A[block] == 0) & (grown != 0)  # pairs that meet for the first time
        self.A[block] += grown
        self.B[index] += np.multiply.outer(weight, target)
        if first.any():
            self._meet(index, first)
        many = self.neighbours[index]
        near = self.near[index, : many.max()]  # [K, M]
        there = self.A.take(near + len(self.A) * index[:, None])  # faster than A[index[:, None], near]
        there *= np.arange(near.shape[1]) < many[:, None]
        inside = self.A[block]
        rest = (there[:, None] @ self.W.take(near, axis=0))[:, 0] - inside @ self.W[index]  # A_S,rest W_rest
        self.W[index] = np.linalg.solve(inside, self.B[index] - rest)
        return len(index) ** 3 // 3 + int(many.sum()) * self.B.shape[1]

    def predict(self, index, weight):
        """y [N, outputs] for rows of active features: index [N, K], weight [N, K]."""
        return np.einsum("nk,nko->no", weight, self.W[index])

    def _meet(self, index, first) -> None:
        """Note the pairs [K, K] that are new; the table of neighbours widens where it is full."""
        most = int((self.neighbours[index] + first.sum(axis=1)).max())
        if most > self.near.shape[1]:
            self.near = np.pad(self.near, ((0, 0), (0, max(most, 2 * self.near.shape[1]) - self.near.shape[1])))
        for row, new in zip(index, first, strict=True):
            others = index[new]
            start = self.neighbours[row]
            self.near[row, start : start + len(others)] = others
            self.neighbours[row] += len(others)


def leader(features: SparseFeatures, x, y, asked, ridge: float):
    """What the exact leader says at `asked` [M, O]: W = A^-1 B, solved once for all rows x [N, O], y [N, outputs].

    Its D equations take about D^3 / 3 multiplications and D^2 numbers. Returns [M, outputs]. Raises ValueError as
    features do, and for a ridge that is not above 0.
    """
    A = checks.positive("ridge", ridge) * np.eye(features.size)
    rows = np.zeros((len(x), features.size))
    index, weight = features(x)
    np.put_along_axis(rows, index, weight, axis=1)
    W = np.linalg.solve(A + rows.T @ rows, rows.T @ y)
    index, weight = features(asked)
    return np.einsum("mk,mko->mo", weight, W[index])


def overlap(features: SparseFeatures, shares, rng: np.random.Generator, directions: int = 8):
    """phi(0)^T phi(s u) / phi(0)^T phi(0) at shares s [T] in [0, 1] of the way u to the edge of the space -> [T].

    The mean over random directions; u is as long as the space [-1, 1]^O allows, so s means the same for each O.
    """
    shares, total = checks.finite("shares", shares), 0.0
    for way in rng.normal(size=(directions, features.observations)):
        index, weight = features(shares[:, None] * way / np.abs(way).max())
        middle = np.zeros(features.size)
        (first,), (share,) = features(np.zeros((1, features.observations)))
        middle[first] = share
        total = total + (weight * middle[index]).sum(axis=1) / (share**2).sum()
    return total / directions
