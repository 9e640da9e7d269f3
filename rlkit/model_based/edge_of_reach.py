"""Edge-of-reach states, counted exactly, and true values to set against learnt ones (Sims et al. 2024, 2402.12527).

Dreams of k steps from the states of a log leave states that appear only as the last next state: their values are used
in targets and never learnt.
"""

import numpy as np
import torch

from rlkit.model_based.replay import Replay


class Counted:
    """A model that notes in which cells its dreams have been: `step` as the model's, and then `edge`.

    model: with `step` and `simulator`, as Exact. dataset: a Dataset, or one for each seed. remember: how many calls of
    `step` stay in the dream buffer (horizon times the waves that are kept). cells: along each axis of the first two
    observations, within the simulator's bounds. Attributes: first, last [S, cells^2]: the call in which a cell was
    left the last time, inf for cells of the log and -inf for never; arrived likewise, entered the last time.
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


def patched(counted: Counted):
    """A target for `train_in`: the usual one, but r + discount V of the policy itself where s' is at the edge of reach.

    The oracle patch of Sims et al. 2024, section 5: what is bootstrapped from at the edge is true.
    """

    def target(learner, batch):
        usual = learner.target(batch, learner.noise(batch.rewards.shape[1], learner.width))
        true = true_values(counted.model.simulator, learner.prefer, batch.next_observations, learner.discount)
        edge = torch.from_numpy(counted.edge(batch.next_observations))
        return torch.where(edge, batch.rewards + learner.discount * true, usual)

    return target


def area_under_curve(scores, positive) -> float:
    """The chance that a positive scores above a negative, ties half: Mann-Whitney's U over the number of pairs.

    scores [N], positive bool [N], both kinds present (ValueError otherwise).
    """
    scores, positive = np.asarray(scores, dtype=float), np.asarray(positive, dtype=bool)
    if positive.all() or not positive.any():
        raise ValueError(f"positive: {positive.sum()} of {len(positive)}: must hold both kinds")
    high, low = scores[positive], np.sort(scores[~positive])
    wins = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return float(wins.mean() / (2 * len(low)))
