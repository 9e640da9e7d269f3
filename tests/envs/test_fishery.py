"""Fisheries: the equations by hand, what ends them, what is not observed, and what simple rules earn."""

import numpy as np
import pytest

from rlkit import envs
from rlkit.envs import fishery


def test_one_year_of_three_stocks_by_hand():
    world = envs.simulator("fishery", noise=0.1)
    states = np.array([[0.6, 0.5, 0.8, 10.0]])
    after, rewards, lost = world.step(states, np.array([[-0.5, 0.0]]), np.array([[1.0, -1.0, 0.5]]))
    x, y, z = 0.6 * 0.75, 0.5 * 0.5, 0.8  # a quarter of X and half of Y are caught first
    expected = (
        x + x * (1 - x) - 0.3 * z * x**2 / (0.09 + x**2) - 0.1 * x * y + 0.1 * x,
        y + y * (1 - y) - 1.1 * 0.3 * z * y**2 / (0.09 + y**2) - 0.1 * x * y - 0.1 * y,
        z + z * (0.1 * (x + 1.1 * y) - 0.1) + 0.1 * z * 0.5,
    )
    assert after[0] == pytest.approx([*expected, 11.0], abs=1e-12)
    assert rewards[0] == pytest.approx(0.15 + 0.25) and not lost[0]
    assert np.array_equal(world.observe(after), after[:, :3].astype(np.float32)), "the year is not seen"


def test_one_year_of_a_single_stock_by_hand():
    world = envs.simulator("fishery-one-species", noise=0.2)
    after, rewards, lost = world.step(np.array([[0.8, 3.0]]), np.array([[0.0]]), np.array([[0.5]]))
    assert after[0] == pytest.approx([0.4 + 0.4 * 0.6 - 0.1 * 0.16 / 0.25 + 0.2 * 0.4 * 0.5, 4.0])
    assert rewards[0] == pytest.approx(0.4) and not lost[0]


@pytest.mark.parametrize("stock", [0, 1, 2])
def test_any_lost_stock_ends_it_and_early_losses_cost_more(stock):
    world = envs.simulator("fishery", noise=0.0)
    states = np.array([[0.6, 0.5, 0.8, 0.0], [0.6, 0.5, 0.8, 99.0]])
    states[:, stock] = 0.02
    _, rewards, lost = world.step(states, -np.ones((2, 2)), np.zeros((2, 3)))
    assert lost.all() and rewards == pytest.approx([-100.0, -1.0])


def test_stocks_never_fall_below_nothing():
    world = envs.simulator("fishery", noise=0.1)
    after, _, lost = world.step(world.start(np.random.default_rng(0), 5), np.zeros((5, 2)), np.full((5, 3), -50.0))
    assert (after[:, :3] == 0).all() and lost.all()


def test_drift_halves_the_growth_of_x_in_a_hundred_years():
    world, stocks = envs.simulator("fishery", noise=0.0, drift=True), np.tile([0.5, 0.5, 0.7], (4, 1))
    grown = world.grow(stocks, np.array([0.0, 50.0, 100.0, 180.0]), np.zeros((4, 3)))
    steady = envs.simulator("fishery", noise=0.0).grow(stocks, np.zeros(4), np.zeros((4, 3)))
    assert steady[:, 0] - grown[:, 0] == pytest.approx([0, 0.0625, 0.125, 0.125]), "r_x x (1 - x), r_x from 1 to 0.5"
    assert np.array_equal(steady[:, 1:], grown[:, 1:])


def test_with_one_fished_stock_the_other_is_left_alone():
    world = envs.simulator("fishery", harvested=1, noise=0.0)
    states = world.start(np.random.default_rng(0), 3)
    after, rewards, _ = world.step(states, np.full((3, 1), 1.0), np.zeros((3, 3)))
    assert world.action_size == 1 and rewards + (after[:, 0] <= 0.05) * 100 == pytest.approx(states[:, 0])
    assert (after[:, 1] > 0.5).all()


def test_without_catch_all_three_live_on():
    world = envs.simulator("fishery")
    still = envs.rollout(world, lambda count, rng: fishery.mortality([0.0, 0.0]), np.random.default_rng(0), 300)
    assert (still.lengths == 200).all() and (still.rewards == 0).all()


def test_rules_as_shares():
    seen = np.array([[0.8, 0.4, 0.5], [0.2, 0.9, 0.1]], np.float32)
    assert (fishery.mortality([0.3, 0.1])(seen) + 1) / 2 == pytest.approx(np.array([[0.3, 0.1]] * 2))
    assert (fishery.escapement([0.4, 0.5])(seen) + 1) / 2 == pytest.approx(np.array([[0.5, 0], [0, 4 / 9]]), abs=1e-6)
    found = fishery.guarded_catch(seen.astype(float), [0.3, 0.3], 1.0, 0.3)
    assert found == pytest.approx(np.array([[0.625, 0.25], [0, 1 - 0.5 / 0.9]]), abs=1e-6)
    assert fishery.guarded([0.4, 0.5], 0.0, 0.3)(seen) == pytest.approx(fishery.escapement([0.4, 0.5])(seen))


@pytest.mark.parametrize(("name", "known"), [("fishery", (-46, 30, 68)), ("fishery-one-species", (-25, 23, 36))])
def test_behaviours_earn_what_the_docstring_says(name, known):
    found = envs.references(name)
    assert [found[quality] for quality in envs.QUALITIES] == pytest.approx(known, abs=1)


def test_watching_the_predator_beats_both_constants_where_two_stocks_are_fished():
    """The constants are close to the best of their kinds (a grid on other seeds)."""
    world = envs.simulator("fishery")
    acts = fishery.mortality([0.27, 0.26]), fishery.escapement([0.42, 0.48]), fishery.guarded(*fishery.EXPERT)
    earned = [
        envs.returns(envs.rollout(world, lambda count, rng, act=act: act, np.random.default_rng(3), 400)).mean()
        for act in acts
    ]
    assert earned[2] > earned[0] + 3 > earned[1] + 10


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("fishery", {"harvested": 3}, "harvested=3: must be one of 1, 2"),
        ("fishery", {"noise": -0.1}, "noise=-0.1: must be a number of at least 0"),
        ("fishery", {"drift": "yes"}, "drift='yes': must be one of False, True"),
        ("fishery-one-species", {"noise": [0.1, 0.2]}, r"noise=\[0.1, 0.2\]: must be a number"),
    ],
)
def test_bad_options_are_refused_in_one_line(name, options, words):
    with pytest.raises(ValueError, match=words):
        envs.simulator(name, **options)
