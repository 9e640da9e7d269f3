"""What models know of the pan flute, and one with a known mistake: for notebooks/05_model_based/model_based_gen."""

import numpy as np
import torch

from rlkit import envs
from rlkit.model_based.exact import Exact
from rlkit.model_based.replay import Replay
from rlkit.model_based.worlds import Worlds


class ChancesApart(Exact):
    """The true model of a pan flute with one mistake: by chance each last cell sounds on its own, with probability
    1 / n^2, where in truth all of them do or none."""

    def __init__(self, simulator):
        super().__init__(envs.simulator("pan-flute", pipes=simulator.actions, spontaneous=False))

    def step(self, observations, actions, generators, order=None):
        """As Exact, with the last cells' chances drawn apart, from the seeds' generators."""
        after, *rest = super().step(observations, actions, generators, order)
        last, n = self.simulator.last, self.simulator.actions
        drawn = np.stack([g.random((observations.shape[1], n)) < n**-2 for g in generators])
        after[..., last] = after[..., last].maximum(torch.from_numpy(drawn).to(after.dtype))
        return after, *rest


def played(pipes, actions):
    """The cells [T + 1, O] of a flute before the first and after each of T actions, from silence and without chance."""
    world = envs.simulator("pan-flute", pipes=pipes, spontaneous=False)
    states = [np.zeros((1, world.observation_size))]
    for action in actions:
        states.append(world.step(states[-1], np.array([action]), np.zeros((1, 0)))[0])
    return np.concatenate(states)


def taught(model, world, lived, steps=1_000):
    """The model, fitted by `steps` gradient steps to the first `lived` real steps of a random player of each seed."""
    worlds = Worlds(world, model.seeds)
    replay = Replay(model.seeds, world.observation_size, 1, lived, discrete=True)
    draws = [np.random.default_rng([seed, 36]) for seed in model.seeds]
    for actions in np.stack([draw.integers(world.actions, size=lived) for draw in draws], 1):
        replay.add(*(column[:, None] for column in worlds.step(actions)))
    for _ in model.fit(replay, steps=steps):
        pass
    return model


def expects(model, states, actions):
    """What the model of the first seed expects: the chance of each next cell [N, O], and the reward [N].

    model: a Factored for one seed.
    """
    seen = torch.tensor(np.asarray(states), dtype=torch.float32)[None]
    chances, rewards = model.predict(seen, torch.tensor(np.asarray(actions))[None])
    return chances[0].numpy(), rewards[0].numpy()


def _asked(model, world, quality, episodes=20, seed=7):
    """A player of this quality (see envs.behaviour), `episodes` without chance events: the true next cells, the model's
    chances, [N, O] both, and the columns of the last cells."""
    quiet = envs.simulator("pan-flute", pipes=world.actions, spontaneous=False)
    played = envs.rollout(quiet, envs.behaviour(quiet, quality), np.random.default_rng(seed), episodes)
    cells = played.observations  # [E, T + 1, O]
    before, after = (part.reshape(-1, cells.shape[2]) for part in (cells[:, :-1], cells[:, 1:]))
    return after, expects(model, before, played.actions.ravel())[0], quiet.last


def surety(model, world, quality):
    """The mean chance that the model gives to all that chance cannot change, where a player of this quality goes.

    prod_j p(s'_j) over the true next cells s', without the silent last ones, which may sound by themselves: 1 for a
    perfect model.
    """
    after, chances, last = _asked(model, world, quality)
    right = np.where(after > 0.5, chances, 1 - chances)
    right[:, last] = np.where(after[:, last] > 0.5, right[:, last], 1.0)
    return float(right.prod(axis=1).mean())


def by_itself(model, world, quality):
    """The mean chance that the model gives to a last cell that nothing makes sound, where such a player goes: 1 / n^2
    for a perfect model."""
    after, chances, last = _asked(model, world, quality)
    return float(chances[:, last][after[:, last] < 0.5].mean())


def chords(model, world):
    """By k from 0 to n: the chance of all last cells next where k are about to sound, the reward expected where k do.

    Two [n + 1]. The k longest pipes have a note; pipe 1, whose one cell is its last, is blown for k = n alone.
    """
    n, last = world.actions, world.last
    about, now = np.zeros((2, n + 1, world.observation_size))
    for k in range(n + 1):
        about[k, last[max(n - k, 1) :] - 1] = 1.0
        now[k, last[n - k :]] = 1.0
    blow = np.array([n - 1] * n + [0])
    return expects(model, about, blow)[0][:, last].prod(axis=1), expects(model, now, blow)[1]
