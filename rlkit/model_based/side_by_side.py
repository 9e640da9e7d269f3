"""Several models of the same seeds as one model: arms of an experiment on the leading axis."""

import torch


class SideBySide:
    """K models of the same S seeds as one model of K S seeds, arm after arm: an experiment's arms on one axis."""

    def __init__(self, models):
        self.models, self.observation_size = list(models), models[0].observation_size

    def step(self, observations, actions, generators, order=None):
        k = len(self.models)
        parts = zip(observations.chunk(k), actions.chunk(k), strict=True)
        each = len(generators) // k
        made = [
            model.step(*part, generators[place * each : (place + 1) * each])
            for place, (model, part) in enumerate(zip(self.models, parts, strict=True))
        ]
        return tuple(torch.cat(column) for column in zip(*made, strict=True))
