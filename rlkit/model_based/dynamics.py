"""The forward model: where an action leads and what it pays, learnt from transitions."""

import torch
from torch.nn.functional import one_hot

from rlkit.model_based.ensemble import Ensemble
from rlkit.model_based.replay import Replay


class Dynamics:
    """s' = s + delta and r, both from a Gaussian ensemble on (s, a): a model to imagine in.

    observation_size: O. action_size: A, or how many actions there are with discrete=True (they enter as one-hot).
    terminates: known rule (observations, actions, next observations) -> bool [S, B], as in MOPO; None for a world that
    never ends. low, high: [O], where observations lie: what leaves is put back; None for no limits. The rest is
    Ensemble's. Raises ValueError for observations or actions of other sizes.
    """

    def __init__(
        self, seeds, observation_size, action_size, *, discrete=False, terminates=None, low=None, high=None, **ensemble
    ):
        self.observation_size, self.action_size, self.discrete = observation_size, action_size, discrete
        self.terminates = terminates
        self.low, self.high = (None if b is None else torch.as_tensor(b, dtype=torch.float32) for b in (low, high))
        self.ensemble = Ensemble(seeds, observation_size + action_size, observation_size + 1, **ensemble)

    def __repr__(self):
        return f"Dynamics({self.observation_size} observations, {self.action_size} actions, {self.ensemble!r})"

    def _inputs(self, observations: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        if observations.shape[-1] != self.observation_size:
            raise ValueError(
                f"observations of shape {tuple(observations.shape)}: must end in {self.observation_size}, "
                "the size that this model was made for"
            )
        if self.discrete:
            actions = one_hot(actions, self.action_size).to(observations.dtype)
        return torch.cat((observations, actions), -1)

    def fit(self, replay: Replay, *, steps: int = 2_000, holdout: float = 0.1):
        """A learner: fits the ensemble to the transitions of each seed; yields Steps as `Ensemble.fit`.

        Where seeds hold different numbers of them, each gives its first ones, as many as the shortest has.
        """
        data = replay.all()
        x = self._inputs(data.observations, data.actions)
        y = torch.cat((data.next_observations - data.observations, data.rewards[..., None]), -1)
        yield from self.ensemble.fit(x, y, steps=steps, holdout=holdout)

    def predict(self, observations, actions) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Every member's view: next observations [S, M, B, O], rewards [S, M, B], deviations [S, M, B, O + 1]."""
        mean, deviation = self.ensemble.predict(self._inputs(observations, actions))
        return observations[:, None] + mean[..., :-1], mean[..., -1], deviation

    def step(self, observations, actions, generators, order=None):
        """One imagined step, each row by one elite: -> next observations [S, B, O], rewards [S, B], continues [S, B].

        generators, order: those of `Ensemble.draw`.
        """
        y = self.ensemble.draw(self._inputs(observations, actions), generators, order)
        return self.landed(observations, actions, observations + y[..., :-1], y[..., -1])

    def within(self, observations: torch.Tensor) -> torch.Tensor:
        """Observations [..., O], put back where they leave the limits."""
        if self.low is None and self.high is None:
            return observations
        return observations.clamp(self.low, self.high)

    def landed(self, observations, actions, after, rewards):
        """What `step` returns for predicted next observations and rewards: within the limits, with the known ends."""
        after = self.within(after)
        if self.terminates is None:
            return after, rewards, torch.ones_like(rewards)
        return after, rewards, 1 - self.terminates(observations, actions, after).to(rewards.dtype)
