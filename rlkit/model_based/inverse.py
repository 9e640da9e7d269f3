"""The inverse model: which action led from one observation to the next, learnt from transitions."""

import torch

from rlkit.model_based.ensemble import Ensemble
from rlkit.model_based.replay import Replay


class Inverse:
    """p(a | s, s') from a Gaussian ensemble on (s, s' - s): a model to label steps with that lost their actions.

    observation_size: O. action_size: A; continuous. The rest is Ensemble's. Raises ValueError for observations of
    other sizes, and for a Replay whose actions are numbers.
    """

    def __init__(self, seeds, observation_size: int, action_size: int, **ensemble):
        self.observation_size, self.action_size = observation_size, action_size
        self.ensemble = Ensemble(seeds, 2 * observation_size, action_size, **{"salt": 50} | ensemble)

    def __repr__(self):
        return f"Inverse({self.observation_size} observations, {self.action_size} actions, {self.ensemble!r})"

    def _inputs(self, observations: torch.Tensor, next_observations: torch.Tensor) -> torch.Tensor:
        for name, given in (("observations", observations), ("next_observations", next_observations)):
            if given.shape[-1] != self.observation_size:
                raise ValueError(
                    f"{name} of shape {tuple(given.shape)}: must end in {self.observation_size}, "
                    "the size that this model was made for"
                )
        return torch.cat(
            (observations, next_observations - observations), -1
        )  # steps are small: their difference tells

    def fit(self, replay: Replay, *, steps: int = 2_000, holdout: float = 0.1):
        """A learner: fits the ensemble to all transitions that each seed has; yields Steps as `Ensemble.fit`."""
        if replay.discrete:
            raise ValueError("replay with discrete actions: must be continuous ones")
        data = replay.all()
        inputs = self._inputs(data.observations, data.next_observations)
        yield from self.ensemble.fit(inputs, data.actions, steps=steps, holdout=holdout)

    def predict(self, observations, next_observations) -> tuple[torch.Tensor, torch.Tensor]:
        """Every member's mean action and deviation, two of [S, M, B, A]."""
        return self.ensemble.predict(self._inputs(observations, next_observations))
