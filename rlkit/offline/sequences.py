"""What is learnt from sequences: returns-to-go, windows of episodes, S causal transformers side by side, how they act.

A window that an episode's end cuts is padded on the right. A causal transformer never looks to the right, so what
stands there changes no prediction, and the loss leaves it out.
"""

import copy
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from rlkit import checks
from rlkit.offline.heads import greedy
from rlkit.offline.networks import Flat
from rlkit.offline.rows import Rows


def returns_to_go(dataset) -> np.ndarray:
    """R_t = r_t + r_{t+1} + ... to the end of the episode, for each row of a dataset, undiscounted: float64 [N]."""
    summed = np.cumsum(dataset.rewards, dtype=np.float64)
    return summed[dataset.episode_ends[dataset.episode_of]] - summed + dataset.rewards


class Beside:
    """Numbers that stand beside the transitions, function(dataset) -> [N] or [N, C], looked up for a batch.

    `beside(indices [S, ...]) -> [S, ...] or [S, ..., C]`, float32: positions in each row's own dataset, as in
    `Batch.indices`.
    """

    def __init__(self, rows: Rows, function):
        self.table = torch.from_numpy(np.concatenate([function(data) for data in rows.different]).astype(np.float32))
        self.starts = torch.from_numpy(rows.starts)

    def __call__(self, indices: torch.Tensor) -> torch.Tensor:
        places = indices + self.starts.view(-1, *[1] * (indices.ndim - 1))
        return self.table.index_select(0, places.flatten()).view(*indices.shape, *self.table.shape[1:])


class Window(NamedTuple):
    """K steps of one episode for each row and place of a batch; after its end the last one repeats."""

    returns: torch.Tensor  # [S, B, K], to go, in deviations from their mean over the dataset
    observations: torch.Tensor  # [S, B, K, O], normalised
    actions: torch.Tensor  # [S, B, K, A], or whole numbers [S, B, K]
    times: torch.Tensor  # [S, B, K], step in the episode, from 0
    real: torch.Tensor  # [S, B, K], 1 for a step of the episode, 0 for padding


class Windows:
    """`windows(indices [S, B]) -> Window` of the K steps from each of these transitions on.

    indices as in `Batch`: uniform over all (episode, step), or by dataset.weights. best: the highest return of each
    row's dataset, float64 [S]. horizons: its longest episode, [S].
    """

    def __init__(self, rows: Rows, context: int):
        self.rows, self.context = rows, checks.positive_int("context", context)
        to_go = {id(data): returns_to_go(data) for data in rows.different}
        self.mean, self.scale = (
            np.array([getattr(to_go[id(data)], name)() for data in rows.datasets])[:, None] for name in ("mean", "std")
        )
        self.scale = np.where(self.scale > 0, self.scale, 1.0)  # [S, 1]: where all returns are equal, they tell nothing
        self.best = np.array([data.returns.max() for data in rows.datasets])
        self.horizons = np.array([1 + data.step_of.max() for data in rows.datasets])
        self.left = Beside(rows, lambda data: data.episode_ends[data.episode_of] - np.arange(len(data)))

        def columns(data):
            own = [to_go[id(data)], data.step_of, *data.actions.reshape(len(data), -1).T, *data.observations.T]
            return np.stack(own, 1)

        self.columns = Beside(rows, columns)

    def scaled(self, returns: np.ndarray) -> torch.Tensor:
        """Returns-to-go [S, B] in deviations from their mean, float32."""
        return torch.from_numpy(((returns - self.mean) / self.scale).astype(np.float32))

    def __call__(self, indices) -> Window:
        first, ahead = torch.as_tensor(indices)[..., None], torch.arange(self.context)
        left = self.left(first)  # [S, B, 1] steps that follow in the episode
        found = self.columns(first + torch.minimum(ahead, left.long()))  # [S, B, K, 2 + A + O]
        size = self.rows.observation_size
        actions, observations = found[..., 2:-size], found[..., -size:]
        shift, scale = (torch.from_numpy(x).float()[..., None] for x in (self.mean, self.scale))
        return Window(
            (found[..., 0] - shift) / scale,
            (observations - self.rows.mean[:, None]) / self.rows.scale[:, None],
            actions[..., 0].long() if self.rows.discrete else actions,
            found[..., 1].long(),
            (ahead <= left).float(),
        )


class Transformer(Flat):
    """S causal transformers: three tokens a step, R_t, s_t, a_t, read at s_t -> an actor's outputs [S, B * K, A].

    x = W_kind token + b_kind + time_t; each layer x += attention(LN x), x += W max(0, W LN(x) + b), with one head and
    4 d hidden units; outputs W LN(x) + b. The output at step t depends on R_1, s_1, a_1, ..., R_t, s_t alone.
    generators: one for each seed. sizes: (O, A). horizons: times that have an embedding in each seed, [S]; later ones
    share the last.
    """

    def __init__(self, generators, sizes, *, horizons, width: int, layers: int, learning_rate: float = 1e-3):
        d, (observations, self.outputs) = checks.positive_int("width", width), sizes
        layer = [((d, 3 * d), d), ((1, 3 * d), d), ((d, d), d), ((d, 4 * d), d), ((1, 4 * d), d), ((4 * d, d), 4 * d)]
        made = [((1, d), 1), ((observations, d), observations), ((self.outputs, d), self.outputs), ((1, 3, d), d)]
        made += layer * checks.positive_int("layers", layers) + [((d, self.outputs), d), ((1, self.outputs), d)]
        made += [((int(max(horizons)), d), d)]  # last: another seed's longer horizon changes no draw of this one
        self.last = torch.as_tensor(horizons)[:, None, None] - 1
        super().__init__(generators, *zip(*made, strict=True), learning_rate=learning_rate)

    def __call__(self, returns, observations, actions, times) -> torch.Tensor:
        """As the fields of Window, normalised alike -> [S, B * K, A]."""
        *embeddings, kinds = self.parameters[:4]
        layers, (head, bias, clock) = self.parameters[4:-3], self.parameters[-3:]
        if not actions.is_floating_point():
            actions = functional.one_hot(actions, self.outputs).float()
        (rows, batch, steps), width = returns.shape, clock.shape[-1]
        places = torch.minimum(times, self.last) + clock.shape[1] * torch.arange(rows)[:, None, None]  # [S, B, K]
        time = functional.embedding(places.flatten(1), clock.flatten(0, 1))  # [S, B * K, d]
        read = (returns[..., None], observations, actions)
        tokens = [torch.baddbmm(time, x.flatten(1, 2), weight) for x, weight in zip(read, embeddings, strict=True)]
        x = (torch.stack(tokens, 2) + kinds).view(rows, batch, 3 * steps, width)
        visible = torch.ones(3 * steps, 3 * steps, dtype=torch.bool).tril()
        for start in range(0, len(layers), 6):
            last = start + 6 == len(layers)
            x = _layer(x, visible, layers[start : start + 6], slice(1, None, 3) if last else slice(None))
        return torch.baddbmm(bias, functional.layer_norm(x, (width,)).flatten(1, 2), head)


def _layer(x, visible, parameters, kept):
    """One layer, for the tokens that are kept: in the last one the states alone are read. x [S, B, 3 K, d]."""
    into, shift, mix, up, lift, down = parameters
    rows, batch, tokens, width = x.shape
    normal = functional.layer_norm(x, (width,)).flatten(1, 2)
    triple = torch.baddbmm(shift, normal, into).view(rows * batch, 1, tokens, 3 * width)
    query, key, value = triple.split(width, -1)
    seen = functional.scaled_dot_product_attention(query[:, :, kept], key, value, attn_mask=visible[kept])
    x = torch.baddbmm(x[:, :, kept].flatten(1, 2), seen.reshape(rows, -1, width), mix)
    hidden = torch.baddbmm(lift, functional.layer_norm(x, (width,)), up).relu_()
    return torch.baddbmm(x, hidden, down).view(rows, batch, -1, width)


def blank_actions(rows: Rows, *shape: int) -> torch.Tensor:
    """Zeros in the place of actions, [*shape, A], or whole numbers [*shape]."""
    return torch.zeros(shape, dtype=torch.long) if rows.discrete else torch.zeros(*shape, rows.action_size)


class _Listening:
    """A simulator that remembers what its last step paid."""

    def __init__(self, simulator):
        self._simulator, self.paid = simulator, None

    def __getattr__(self, name: str):
        return getattr(self._simulator, name)

    def step(self, states, actions, noise):
        after, self.paid, terminated = self._simulator.step(states, actions, noise)
        return after, self.paid, terminated


class Player:
    """Plays one episode each: acts on its last K steps, and wants less by each reward that it receives.

    `evaluate.returns(player, player.rows)` gives it the starts and the noise that every other learner meets. targets:
    the return that is wanted at first, a number or one for each row [S]. One player plays once.
    """

    def __init__(self, model: Transformer, windows: Windows, targets):
        simulators, self.rows = windows.rows.simulators, copy.copy(windows.rows)
        self.worlds = {id(world): _Listening(world) for world in simulators or ()}
        self.rows.simulators = simulators and [self.worlds[id(world)] for world in simulators]
        self.model, self.windows, self.time, self.past = model, windows, 0, []
        self.wanted = np.broadcast_to(np.asarray(targets, dtype=np.float64), len(self.rows))[:, None]

    def act(self, observations: np.ndarray) -> np.ndarray:
        """The next action of each episode: observations [S, E, O] -> [S, E, A], or [S, E]."""
        shape, discrete = observations.shape[:2], self.rows.discrete
        if self.past:
            paid = np.empty(shape)
            for world in self.worlds.values():  # rows that share a world step as one array
                members = [row for row, other in enumerate(self.rows.simulators) if other is world]
                paid[members] = world.paid.reshape(len(members), -1)
            self.wanted = self.wanted - paid
        blank = blank_actions(self.rows, *shape)  # the one that is to be chosen: no prediction sees it
        seen = (torch.from_numpy(observations) - self.rows.mean) / self.rows.scale
        wanted = self.windows.scaled(np.broadcast_to(self.wanted, shape))
        self.past = [*self.past, (wanted, seen, blank)][-self.windows.context :]
        window = [torch.stack(part, 2) for part in zip(*self.past, strict=True)]
        times = torch.arange(self.time + 1)[-len(self.past) :].expand(*shape, -1)
        with torch.no_grad():
            outputs = self.model(*window, times).view(*shape, len(self.past), -1)[:, :, -1]
        actions = greedy(outputs, discrete)
        self.past[-1], self.time = (wanted, seen, actions), self.time + 1
        return actions.numpy()
