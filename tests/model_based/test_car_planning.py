"""Planning on the mountain car: interpolation, values against the true world, and the practice that moves."""

import numpy as np
import pytest

from rlkit.envs.mountain_car import MountainCar
from rlkit.model_based import car_planning


class Truth:
    """A model that knows: the true change, read back from the inputs."""

    def __init__(self):
        self.seen = []

    def update(self, x, y):
        self.seen.append(x)
        assert y == pytest.approx(self.predict(x), abs=1e-6)

    def predict(self, x):
        states = x[..., :2] * car_planning.SPAN + car_planning.CENTRE
        return car_planning.truth(states, np.rint(x[..., 2]).astype(int) + 1)


def test_interpolation_keeps_planes_and_nodes():
    nodes = car_planning.GRID.reshape(-1, 2)
    plane = 3 - 2 * nodes[:, 0] + 5 * nodes[:, 1]
    states = np.random.default_rng(0).uniform([-1.2, -0.07], [0.6, 0.07], (500, 2))
    index, weight = car_planning.corners(states)
    assert (plane[index] * weight).sum(axis=1) == pytest.approx(3 - 2 * states[:, 0] + 5 * states[:, 1], abs=1e-12)
    index, weight = car_planning.corners(nodes)
    assert (nodes[index] * weight[..., None]).sum(axis=1) == pytest.approx(nodes, abs=1e-12)


def test_inputs_lie_in_the_unit_cube():
    x = car_planning.inputs(car_planning.STATES, car_planning.ACTIONS)
    assert x.shape == (3 * 41**2, 3) and x.min(axis=0) == pytest.approx(-1) and x.max(axis=0) == pytest.approx(1)


def test_the_plan_of_the_true_model_drives_better_than_the_rule_and_its_values_are_those_returns():
    changes = car_planning.truth(car_planning.STATES, car_planning.ACTIONS)[None]
    values, q = car_planning.replan(np.zeros((1, 41**2)), changes, car_planning.LONG)
    starts = MountainCar().start(np.random.default_rng(0), 50)[None]
    found = car_planning.returns(q, starts)
    assert -108 < found.mean() < -98, "the expert of rlkit.envs has -119"
    assert car_planning.best_return() == pytest.approx(found.mean(), abs=4)
    index, weight = car_planning.corners(starts[0])
    promised = (values[0][index] * weight).sum(axis=1)
    paid = -(1 - 0.99 ** -found[0]) / 0.01  # discounted
    assert np.mean(promised) == pytest.approx(np.mean(paid), rel=0.05)
    assert np.median(np.abs(promised / paid - 1)) < 0.05, "interpolation errs where one more swing is needed"
    assert values.max() <= 0 and values[0].reshape(41, 41)[-1].max() > -2


def test_a_goal_that_is_never_met_is_worth_one_over_one_minus_the_discount():
    still = np.zeros((1, 3 * 41**2, 2))  # nothing ever moves
    values, _ = car_planning.replan(np.zeros((1, 41**2)), still, 60)
    left = values[0].reshape(41, 41)[:-3]
    assert left == pytest.approx(-(1 - 0.99**60) / 0.01, rel=1e-9)


def test_practice_moves_through_the_world_once_and_the_true_model_ends_at_its_plan():
    model = Truth()
    found = car_planning.practice(model, [0, 1], 1_000, 2)
    where = np.array(model.seen)[:, :, 0] * car_planning.SPAN[0] + car_planning.CENTRE[0]  # [T, S]
    tenths = where.reshape(10, 100, 2).mean(axis=(1, 2))
    assert where[0].min() > 0.3 and tenths[0] > 0 and tenths[-1] < -0.7 and (np.diff(tenths[1:]) < 0).all()
    assert where[-300:].max() < 0.2, "nobody comes back to the goal's hill"
    assert found["return"].shape == found["error"].shape == (2, 2)
    assert (found["return"] > -114).all() and (found["return"][:, 0] == found["return"][:, 1]).all()
    assert found["error"] == pytest.approx(0, abs=1e-12)
    alone = car_planning.practice(Truth(), [1], 1_000, 2)
    assert (alone["return"][0] == found["return"][1]).all()


def test_greedy_prefers_the_better_action():
    q = np.zeros((2, 41**2, 3))
    q[0, :, 2], q[1, :, 0] = 1, 1
    assert (car_planning.greedy(q, np.zeros((2, 4, 2))) == [[2] * 4, [0] * 4]).all()
