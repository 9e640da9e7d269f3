"""MOREC: a reward for dynamics, learnt adversarially from a log, that filters what a model dreams.

Luo, Xu, Cao and Yu 2023 (2310.05422); the average of clipped discriminators, softmax and threshold as in their code.

Departures:
1. The transition policy answers one step, from states and actions of the log. It follows the gradient through the last
   discriminator and that of the likelihood of the log; theirs makes whole rollouts and learns by reinforcement.
   Without the likelihood it did not find these laws in the few steps that a notebook has.
2. Its deviations stay above exp(-1.5) of the log's, in place of an entropy bonus; it learns at a third of the rate.
3. Discriminators see (s, a, s' - s), normalised. Archived outputs are averaged as they are; the authors' code first
   rescales them by what each gave to the log and to the transition policy.
"""

import numpy as np
import torch
from torch.nn.functional import softplus

from rlkit import checks
from rlkit.model_based.ensemble import gaussian_loss
from rlkit.offline.networks import Network, through
from rlkit.offline.rows import CHUNK, generator
from rlkit.runs import Step

CLIP = 0.999  # of each discriminator's chance
DEVIATION = (-1.5, 1.0)  # log deviations of the transition policy


def dynamics_reward(chances: torch.Tensor) -> torch.Tensor:
    """r^D = -log(1 - mean_d min(D_d, 0.999)): chances [S, D, ...] of D archived discriminators -> [S, ...]."""
    return -(1 - chances.clamp(max=CLIP).mean(1)).log()


def discriminator_loss(real: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    """-mean log D(real) - mean log (1 - D(made)), from logits [S, B] each -> [S]."""
    return softplus(-real).mean(-1) + softplus(made).mean(-1)


class DynamicsReward:
    """r^D(s, a, s') of S seeds: D discriminators, archived while a transition policy learns to fool the last of them.

    seeds: integers. observation_size, action_size: O, A. archived: D. After `fit`, calling it with observations
    [S, B, O], actions [S, B, A] and C candidates [S, C, B, O] gives r^D, [S, C, B].
    """

    def __init__(self, seeds, observation_size, action_size, *, archived=16, hidden=(64, 64), rate=3e-3):
        torch.set_num_threads(1)
        self.seeds, self.archived = [checks.seed(seed) for seed in seeds], checks.positive_int("archived", archived)
        self.size = observation_size
        inputs, s = observation_size + action_size, len(self.seeds)
        self.judge = self._network((inputs + observation_size, *hidden, 1), 30, rate)
        self.policy = self._network((inputs, 64, 64, 2 * observation_size), 31, rate / 3)
        self.mean, self.scale = (
            torch.zeros(s, 1, inputs + observation_size),
            torch.ones(s, 1, inputs + observation_size),
        )
        self.archive = None

    def _network(self, sizes, salt, rate) -> Network:
        own = [generator(seed, "weights", salt) for seed in self.seeds]
        return Network(own, sizes, learning_rate=rate)

    def fit(self, log, steps: int = 2_000, batch_size: int = 128):
        """A learner: yields a Step at each discriminator it archives, with the chances D gives to rows of the log
        (real) and to the transition policy (made), and the policy's error (root mean square, in deviations), each [S].

        log: a Replay. steps: of both networks, at least D. Raises ValueError for fewer.
        """
        if checks.positive_int("steps", steps) < self.archived:
            checks.fail("steps", steps, f"at least archived={self.archived}")
        data = log.all()
        table = torch.cat((data.observations, data.actions, data.next_observations - data.observations), -1)
        self.mean, self.scale = table.mean(1, keepdim=True), table.std(1, keepdim=True) + 1e-6
        table = (table - self.mean) / self.scale
        s, n, width = table.shape
        inputs = width - self.size
        generators = [generator(seed, "model", 30) for seed in self.seeds]
        starts, kept = torch.arange(s)[:, None] * n, []
        looks = {steps * k // self.archived for k in range(1, self.archived + 1)}
        for step in range(1, steps + 1):
            place = (step - 1) % CHUNK
            if place == 0:
                rows = torch.from_numpy(np.stack([g.integers(0, n, (CHUNK, batch_size)) for g in generators], 1))
                noise = [g.standard_normal((CHUNK, batch_size, self.size), dtype=np.float32) for g in generators]
                noise = torch.from_numpy(np.stack(noise, 1))
            real = table.flatten(0, 1).index_select(0, (rows[place] + starts).flatten()).view(s, batch_size, width)
            mean, log_deviation = self.policy(real[..., :inputs], member=0).chunk(2, -1)
            change = mean + log_deviation.clamp(*DEVIATION).exp() * noise[place]
            made = torch.cat((real[..., :inputs], change), -1)
            truth, false = self.judge(torch.cat((real, made.detach()), 1), member=0)[..., 0].chunk(
                2, 1
            )  # logits [S, B]
            self.judge.descend(discriminator_loss(truth, false))
            fooled = self.judge(made, member=0)[..., 0]
            away = gaussian_loss(mean, 2 * log_deviation.clamp(*DEVIATION), real[..., inputs:])
            self.policy.descend(softplus(-fooled).mean(-1) + away)
            if step in looks:
                kept.append([p.detach().clone() for p in self.judge.parameters])
                error = (mean - real[..., inputs:]).square().mean((1, 2)).sqrt()
                numbers = {"real": truth.sigmoid().mean(1), "made": false.sigmoid().mean(1), "policy_error": error}
                yield Step(step, {name: value.detach().numpy() for name, value in numbers.items()})
        joined = [torch.stack(each, 1).flatten(0, 1) for each in zip(*kept, strict=True)]  # [S*D, ...]
        self.archive = joined[::2], joined[1::2]

    def chances(self, observations, actions, after) -> torch.Tensor:
        """What each archived discriminator says: [S, B, O], [S, B, A], candidates [S, C, B, O] -> [S, D, C, B]."""
        if self.archive is None:
            raise ValueError("archive=None: must be fitted first")
        s, c, b, _ = after.shape
        known = torch.cat((observations, actions), -1)[:, None].expand(-1, c, -1, -1)
        x = torch.cat((known, after - observations[:, None]), -1).flatten(1, 2)  # [S, C*B, width]
        x = ((x - self.mean) / self.scale).repeat_interleave(self.archived, 0)
        return through(*self.archive, x).view(s, self.archived, c, b).sigmoid()

    def __call__(self, observations, actions, after) -> torch.Tensor:
        with torch.no_grad():
            return dynamics_reward(self.chances(observations, actions, after))


def candidates(model, observations, actions, generators, resamples: int = 2):
    """Draws of every elite, `resamples` each: next observations [S, C, B, O] and rewards [S, C, B], C = E resamples."""
    elites = model.ensemble.elites[:, :, None, None]  # [S, E, 1, 1]
    with torch.no_grad():
        following, rewards, deviation = model.predict(observations, actions)
    mean = torch.cat((following, rewards[..., None]), -1)
    mean, deviation = (
        a.gather(1, elites.expand(-1, -1, *a.shape[2:])).repeat(1, resamples, 1, 1) for a in (mean, deviation)
    )
    noise = np.stack([g.standard_normal(mean.shape[1:], dtype=np.float32) for g in generators])
    drawn = mean + deviation * torch.from_numpy(noise)
    return model.within(drawn[..., :-1]), drawn[..., -1]


class Filtered:
    """A step of `model` chosen among candidates by a score: the best one, or by softmax(score / temperature).

    model: a Dynamics. score: (observations, actions, candidates [S, C, B, O]) -> [S, C, B], a DynamicsReward for
    MOREC. resamples: draws of each elite. temperature: 0 for the best. threshold: a chosen step that scores less ends
    the dream; None for no limit.
    """

    def __init__(self, model, score, *, resamples: int = 2, temperature: float = 0.1, threshold=None):
        self.model, self.score, self.observation_size = model, score, model.observation_size
        self.resamples = checks.positive_int("resamples", resamples)
        self.temperature, self.threshold = float(temperature), threshold
        self.predict, self.ensemble = model.predict, model.ensemble  # what Penalised asks for

    def step(self, observations, actions, generators, order=None):
        after, rewards = candidates(self.model, observations, actions, generators, self.resamples)
        score = self.score(observations, actions, after)
        if self.temperature:
            gumbel = torch.from_numpy(np.stack([g.gumbel(size=score.shape[1:]) for g in generators]).astype(np.float32))
            chosen = (score / self.temperature + gumbel).argmax(1, keepdim=True)  # [S, 1, B], a draw by softmax
        else:
            chosen = score.argmax(1, keepdim=True)
        after = after.gather(1, chosen[..., None].expand(-1, -1, -1, after.shape[-1]))[:, 0]
        rewards, score = rewards.gather(1, chosen)[:, 0], score.gather(1, chosen)[:, 0]
        continues = torch.ones_like(rewards) if self.threshold is None else (score >= self.threshold).to(rewards.dtype)
        if self.model.terminates is not None:
            continues = continues * ~self.model.terminates(observations, actions, after)
        return after, rewards, continues


def consensus(model):
    """A score: minus the distance of a candidate to the mean of the elites' means, in deviations of the log."""

    def score(observations, actions, after):
        elites = model.ensemble.elites[:, :, None, None]
        with torch.no_grad():
            following = model.predict(observations, actions)[0]
        middle = following.gather(1, elites.expand(-1, -1, *following.shape[2:])).mean(1, keepdim=True)
        return -((after - middle) / model.ensemble.y_scale[:, None, :, :-1]).norm(dim=-1)

    return score
