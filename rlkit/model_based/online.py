"""The part that all online learners of this chapter share: live, remember, be evaluated."""

import numpy as np
import torch

from rlkit import checks
from rlkit.model_based.replay import Replay
from rlkit.model_based.soft_actor_critic import SoftActorCritic
from rlkit.model_based.worlds import Worlds
from rlkit.offline.evaluate import play
from rlkit.offline.rows import generator
from rlkit.runs import Step


class Online:
    """S seeds in their worlds with a SoftActorCritic and a Replay of what they lived.

    simulator: with continuous actions; seeds: integers. warm_up: first steps, with uniform actions and no learning.
    """

    def __init__(
        self,
        simulator,
        seeds,
        *,
        warm_up: int = 200,
        batch_size: int = 64,
        evaluate_every: int = 500,
        episodes: int = 5,
        capacity: int = 20_000,
        **learner,
    ):
        if simulator.actions:
            checks.fail("simulator", simulator.name, "one with continuous actions")
        self.simulator, self.seeds = simulator, [checks.seed(seed) for seed in seeds]
        self.warm_up = checks.positive_int("warm_up", warm_up)
        self.batch_size = checks.positive_int("batch_size", batch_size)
        self.evaluate_every = checks.positive_int("evaluate_every", evaluate_every)
        self.episodes = checks.positive_int("episodes", episodes)
        sizes = (simulator.observation_size, simulator.action_size)
        self.learner, self.replay = SoftActorCritic(self.seeds, *sizes, **learner), Replay(self.seeds, *sizes, capacity)
        self.worlds, self.generators = Worlds(simulator, self.seeds), [generator(seed, "dreams") for seed in self.seeds]
        self._explorers = [generator(seed, "exploration") for seed in self.seeds]

    def lived(self, steps: int):
        """Live `steps` steps and remember them; yields the number of each from the end of the warm-up on."""
        act, size = self.learner.explorer(self._explorers), self.simulator.action_size
        for step in range(1, checks.positive_int("steps", steps) + 1):
            if step <= self.warm_up:
                actions = np.stack([g.uniform(-1, 1, size) for g in self._explorers]).astype(np.float32)
            else:
                actions = act(torch.from_numpy(self.worlds.observations)[:, None])[:, 0].numpy()
            self.replay.add(*(column[:, None] for column in self.worlds.step(actions)))
            if step >= self.warm_up:
                yield step

    def refit(self, model, step: int, model_every: int, model_steps: int) -> dict:
        """Fit a model that has `fit` to all that was lived, at the first step after the warm-up and each `model_every`
        steps; returns model_error [S] where it was fitted, else nothing. Exact is never fitted."""
        error = {}
        if hasattr(model, "fit") and (step == self.warm_up or step % model_every == 0):
            for fitted in model.fit(self.replay, steps=model_steps):
                error = {"model_error": fitted.metrics["holdout_error"]}
        return error

    def due(self, step: int, steps: int) -> bool:
        """Whether to report after this step."""
        return step % self.evaluate_every == 0 or step == steps

    def report(self, step: int, **numbers) -> Step:
        """The Step of a learner: the mean return [S] of each policy without noise, and what else it measured."""
        simulators = [self.simulator] * len(self.seeds)
        made = play(self.learner.agent().act, simulators, self.seeds, self.episodes)[0].mean(1)
        return Step(step, {"return": made, **numbers})
