"""A factored model of a world of bits: each next bit, and the reward, from its own parents alone.

    p(s', r | s, a) = prod_j p(s'_j | parents_j(s, a)) p(r | parents_r(s, a))

What is learnt of one bit holds wherever its parents look the same, also in states that were never seen as a whole.
"""

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from rlkit import checks
from rlkit.offline.networks import Flat
from rlkit.offline.rows import CHUNK, generator
from rlkit.runs import Step


def bits_loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """-log p without constants, averaged over rows: outputs, y [..., B, O + 1] -> [...].

    sum_j softplus(z_j) - z_j s'_j over the O bits, with chance sigmoid(z_j), plus (r - z_r)^2 / 2 for the reward, a
    Gaussian of variance 1.
    """
    bits = binary_cross_entropy_with_logits(outputs[..., :-1], y[..., :-1], reduction="none").sum(-1)
    return (bits + 0.5 * (outputs[..., -1] - y[..., -1]).square()).mean(-1)


class Factored:
    """S models; each of the O bits and the reward has one hidden layer of its own that sees its parents.

    seeds: integers. observation_size: O. action_size: how many actions there are (they enter as one-hot). mask: bool
    [O + 1, O + A], a row for each bit and the last for the reward: who its parents are; all true for a model that is
    told nothing. hidden: units of each. terminates: known rule (observations, actions, next observations) -> bool
    [S, B], None for a world that never ends. Raises ValueError for a mask, observations or actions that do not fit.
    """

    discrete = True

    def __init__(
        self,
        seeds,
        observation_size: int,
        action_size: int,
        mask,
        *,
        hidden: int = 16,
        learning_rate: float = 1e-2,
        batch_size: int = 64,
        terminates=None,
        salt: int = 40,
    ):
        torch.set_num_threads(1)
        self.seeds, self.salt, self.terminates = [checks.seed(seed) for seed in seeds], salt, terminates
        self.observation_size = checks.positive_int("observation_size", observation_size)
        self.action_size, self.batch_size = action_size, checks.positive_int("batch_size", batch_size)
        inputs, factors = observation_size + checks.positive_int("action_size", action_size), observation_size + 1
        mask = np.asarray(mask)
        if mask.shape != (factors, inputs) or mask.dtype != bool:
            raise ValueError(f"mask of shape {mask.shape}, {mask.dtype}: must be bool [{factors}, {inputs}]")
        checks.positive_int("hidden", hidden)
        self.mask = torch.from_numpy(mask.T.repeat(hidden, 1).astype(np.float32))  # [in, F * H]
        generators = [generator(seed, "weights", salt) for seed in self.seeds]
        shapes = [(inputs, factors * hidden), (1, factors * hidden), (factors, hidden), (factors,)]
        self.network = Flat(generators, shapes, (inputs, inputs, hidden, hidden), learning_rate=learning_rate)
        self._fits = 0

    def __repr__(self):
        return f"Factored({len(self.seeds)} seeds, {self.observation_size} bits, {self.action_size} actions)"

    def _inputs(self, observations: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        s, o = len(self.seeds), self.observation_size
        if observations.dim() != 3 or observations.shape[0] != s or observations.shape[2] != o:
            raise ValueError(
                f"observations of shape {tuple(observations.shape)}: must be [{s}, B, {o}], "
                "the size that this model was made for"
            )
        return torch.cat((observations, one_hot(actions, self.action_size).to(observations.dtype)), -1)

    def outputs(self, x: torch.Tensor) -> torch.Tensor:
        """Log odds of each bit and the mean reward: x [S, B, O + A] -> [S, B, O + 1]."""
        weight, bias, last, shift = self.network.parameters
        hidden = torch.baddbmm(bias, x, weight * self.mask).relu_()  # all factors of a seed in one product
        hidden = hidden.view(*x.shape[:2], *last.shape[1:])  # [S, B, F, H]
        return (hidden * last[:, None]).sum(-1) + shift[:, None]

    def predict(self, observations, actions) -> tuple[torch.Tensor, torch.Tensor]:
        """The chance that each next bit is 1, [S, B, O], and the mean reward [S, B]."""
        with torch.no_grad():
            outputs = self.outputs(self._inputs(observations, actions))
        return outputs[..., :-1].sigmoid(), outputs[..., -1]

    def fit(self, replay, *, steps: int = 500):
        """A learner: yields a Step ten times, with loss [S]; goes on from the weights of the last fit.

        Each gradient step takes batch_size rows of all that each seed has lived. Raises ValueError where observations
        are no bits.
        """
        data, checked = replay.all(), checks.positive_int("steps", steps)
        x = self._inputs(data.observations, data.actions)
        y = torch.cat((data.next_observations, data.rewards[..., None]), -1)
        if not ((y[..., :-1] == 0) | (y[..., :-1] == 1)).all():
            raise ValueError("next_observations: must be 0 or 1")
        (s, n, _), rows = y.shape, torch.cat((x, y), -1).flatten(0, 1)
        generators = [generator(seed, "model", self.salt, self._fits) for seed in self.seeds]
        self._fits += 1
        looks, starts = {checked * k // 10 for k in range(1, 11)}, n * np.arange(s)[:, None]
        for step in range(1, checked + 1):
            place = (step - 1) % CHUNK
            if place == 0:
                chunk = np.stack([g.integers(n, size=(CHUNK, self.batch_size)) for g in generators], 1) + starts
                chunk = torch.from_numpy(chunk).flatten(1)  # [CHUNK, S * B]
            picked = rows.index_select(0, chunk[place]).view(s, self.batch_size, -1)
            loss = bits_loss(self.outputs(picked[..., : x.shape[2]]), picked[..., x.shape[2] :])
            self.network.descend(loss)
            if step in looks:
                yield Step(step, {"loss": loss.detach().numpy()})

    def step(self, observations, actions, generators, order=None):
        """One imagined step with bits drawn, the reward at its mean: -> next observations [S, B, O], rewards [S, B],
        continues [S, B]. generators: one np.random.Generator for each seed; order is not used."""
        chances, rewards = self.predict(observations, actions)
        shape = (observations.shape[1], self.observation_size)
        drawn = torch.from_numpy(np.stack([g.random(shape, dtype=np.float32) for g in generators]))
        after = (drawn < chances).to(observations.dtype)
        if self.terminates is None:
            return after, rewards, torch.ones_like(rewards)
        return after, rewards, 1 - self.terminates(observations, actions, after).to(rewards.dtype)
