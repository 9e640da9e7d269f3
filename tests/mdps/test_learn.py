"""Tabular learners against the exact answers that they should come to."""

import numpy as np
import pytest
from scipy.stats import chi2

from rlkit import mdps
from rlkit.runs import Run

SMALL = mdps.maze(["S..", ".#.", "..G"], slip=0.1, discount=0.9)


def falling(visits):
    return visits**-0.8


def everywhere(world):
    return np.ones(world.rewards.shape)


def last(learner):
    *_, step = learner
    return step


# Data and models


def test_samples_follow_weights_and_transitions():
    weights = mdps.occupancy(SMALL, mdps.mixed(mdps.greedy(mdps.value_iteration(SMALL)[1]), 0.5))
    batch = mdps.sampled(SMALL, weights, 50_000, np.random.default_rng(0))
    assert not SMALL.terminal[batch.states].any()
    assert np.array_equal(batch.rewards, SMALL.rewards[batch.states, batch.actions])
    chance = np.where(SMALL.terminal[:, None], 0, weights)
    expected = 50_000 * (chance / chance.sum())[..., None] * SMALL.transitions  # [N, A, N]
    seen = np.zeros(expected.shape)
    np.add.at(seen, (batch.states, batch.actions, batch.next_states), 1)
    can = expected > 0
    assert seen[~can].sum() == 0
    assert ((seen - expected)[can] ** 2 / expected[can]).sum() < chi2.ppf(0.999, df=can.sum() - 1)


def test_a_model_is_shares_and_means():
    """Three tries of one pair, by hand; every other pair stays where it is, unpaid."""
    batch = mdps.Transitions(
        states=np.array([0, 0, 0, 1]),
        actions=np.array([1, 1, 1, 0]),
        rewards=np.array([1.0, 2.0, 6.0, -1.0]),
        next_states=np.array([1, 1, 3, 1]),
    )
    model, counts = mdps.model_of(batch, SMALL)
    assert counts.sum() == 4 and counts[0, 1] == 3 and counts[1, 0] == 1
    assert np.allclose(model.transitions[0, 1, [1, 3]], [2 / 3, 1 / 3])
    assert (model.rewards[0, 1], model.rewards[1, 0]) == (3.0, -1.0)
    rest = counts == 0
    assert (model.transitions[rest] == np.repeat(np.eye(8), 4, axis=0).reshape(8, 4, 8)[rest]).all()
    assert not model.rewards[rest].any()
    other, _ = mdps.model_of(batch, mdps.maze(["S..", ".#.", "..G"], slip=0.7, discount=0.9))
    assert np.array_equal(model.transitions, other.transitions), "the dynamics of `like` are never read"


def test_much_data_gives_the_world_back():
    batch = mdps.sampled(SMALL, everywhere(SMALL), 200_000, np.random.default_rng(1))
    model, counts = mdps.model_of(batch, SMALL)
    assert counts[~SMALL.terminal].min() > 6_000
    assert np.abs(model.transitions - SMALL.transitions).max() < 0.02
    assert np.allclose(model.rewards, SMALL.rewards, atol=1e-12)
    assert np.abs(mdps.value_iteration(model)[1] - mdps.value_iteration(SMALL)[1]).max() < 0.01


# Q-learning


def test_one_update_by_hand_and_per_seed():
    q = np.zeros((2, 3, 2))
    q[0, 1], q[1, 1] = [1.0, 4.0], [2.0, -1.0]
    mdps.q_update(q, np.array([0, 2]), np.array([1, 0]), np.array([1.0, 0.0]), np.array([1, 1]), 0.5, 0.9)
    expected = np.zeros((2, 3, 2))
    expected[0, 1], expected[1, 1] = [1.0, 4.0], [2.0, -1.0]
    expected[0, 0, 1], expected[1, 2, 0] = 0.5 * (1 + 0.9 * 4), 0.5 * 0.9 * 2
    assert np.allclose(q, expected)


def test_q_learning_comes_to_the_optimum():
    """It acts at random and learns the best: rates n^-0.8, 60,000 steps, every entry within 0.04 of q*."""
    first, *_, end = mdps.q_learning(SMALL, seeds=[0, 1, 2, 3], steps=60_000, rate=falling, epsilon=1.0)
    assert end.step == 60_000 and first.step == 1_000
    assert end.metrics["error"].max() < 0.04 < 0.1 < first.metrics["error"].min()
    best = SMALL.start @ mdps.value_iteration(SMALL)[0]
    assert np.allclose(end.metrics["return"], best, atol=1e-9)


def test_seeds_rerun_bit_for_bit_and_alone_as_together():
    together = last(mdps.q_learning(SMALL, [4, 3, 9], steps=2_500))
    again = last(mdps.q_learning(SMALL, [4, 3, 9], steps=2_500))
    alone = last(mdps.q_learning(SMALL, [3], steps=2_500))
    for one, two, three in zip(together.rollouts, again.rollouts, [None, *alone.rollouts, None], strict=True):
        assert one["seed"] == two["seed"] and np.array_equal(one["q"], two["q"])
        assert three is None or np.array_equal(one["q"], three["q"])
    assert not np.array_equal(together.rollouts[0]["q"], together.rollouts[1]["q"])
    assert together.metrics["error"][1] == alone.metrics["error"][0]


def test_without_noise_sweeps_at_rate_1_are_exact():
    """Every pair in turn, 20 times, in a world without slip: the distance to q* is rounding."""
    world = mdps.maze("u", slip=0.0, discount=0.9)
    states, actions = np.divmod(np.arange(world.states * 4), 4)
    after = world.transitions[states, actions].argmax(axis=1)
    batch = mdps.Transitions(states, actions, world.rewards[states, actions], after)
    order = np.tile(np.arange(len(states)), 20)
    step = last(mdps.q_learning_offline(world, batch, order[None], rate=1.0, every=10_000))
    assert step.step == 20 * 44
    assert step.metrics["error"][0] < 1e-12


def test_on_a_batch_it_comes_to_the_optimum_of_the_batch():
    """300 transitions, taken in three random orders: near q* of the empirical model, not of the world."""
    batch = mdps.sampled(SMALL, everywhere(SMALL), 300, np.random.default_rng(2))
    model, counts = mdps.model_of(batch, SMALL)
    assert counts[~SMALL.terminal].min() > 0
    orders = np.random.default_rng(3).integers(300, size=(3, 60_000))
    step = last(mdps.q_learning_offline(SMALL, batch, orders, rate=falling, every=60_000))
    target, world = mdps.value_iteration(model)[1], mdps.value_iteration(SMALL)[1]
    for row in step.rollouts:
        assert np.abs(row["q"] - target).max() < 0.03
    assert np.abs(target - world).max() > 0.05, "the batch says something else than the world"


def test_a_run_keeps_errors_and_tables(tmp_path):
    run = Run.create("tabular", {"seeds": [5, 6]}, root=tmp_path)
    for step in mdps.q_learning(SMALL, [5, 6], steps=300, every=100):
        run.log(step.step, **step.metrics)
        run.log_rollouts(step.step, step.rollouts)
    rows = Run.load(run.path).rollouts()
    assert len(rows) == 6 and rows.seed.tolist() == [5, 6] * 3
    assert np.array_equal(np.array(rows.q.iloc[-1]), step.rollouts[-1]["q"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mdps.q_learning(SMALL, [], 10), r"seeds=\[\]: must be a list of at least one seed"),
        (lambda: mdps.q_learning(SMALL, [-1], 10), r"seed=-1: must be an integer of at least 0"),
        (lambda: mdps.q_learning(SMALL, [0], 0), r"steps=0: must be a positive integer"),
        (lambda: mdps.q_learning(SMALL, [0], 10, rate=1.5), r"rate=1.5: must be above 0 and at most 1"),
        (lambda: mdps.q_learning(SMALL, [0], 10, epsilon=2), r"epsilon=2.0: must be in \[0, 1\]"),
        (lambda: mdps.q_learning(SMALL, [0], 10, every=0), r"every=0: must be a positive integer"),
    ],
)
def test_bad_input_of_q_learning_is_named_at_once(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_bad_data_is_named():
    one = np.zeros(3, dtype=int)
    good = mdps.Transitions(one, one, np.zeros(3), one)
    order = np.zeros((1, 5), dtype=int)
    for change, message in [
        ({"states": np.array([0, 8, 0])}, r"states\[1\]=8.0: must be a whole number from 0 to 7"),
        ({"actions": np.array([0, 0, 4])}, r"actions\[2\]=4.0: must be a whole number from 0 to 3"),
        ({"next_states": np.array([0.5, 0, 0])}, r"next_states\[0\]=0.5: must be a whole number"),
        ({"rewards": np.array([0, np.nan, 0])}, r"rewards\[1\]=nan: must be finite"),
        ({"rewards": np.zeros(2)}, r"rewards of shape \(2,\): must be \[B\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            mdps.model_of(good._replace(**change), SMALL)
        with pytest.raises(ValueError, match=message):
            mdps.q_learning_offline(SMALL, good._replace(**change), order)
    with pytest.raises(ValueError, match=r"order=\[0, 3\]: must be from 0 to 2"):
        mdps.q_learning_offline(SMALL, good, np.array([[0, 3]]))
    with pytest.raises(ValueError, match=r"order of shape \(3,\)"):
        mdps.q_learning_offline(SMALL, good, one)
    with pytest.raises(ValueError, match=r"weights of shape \(1, 4\)"):
        mdps.sampled(SMALL, np.ones((1, 4)), 5, np.random.default_rng(0))
    only_the_end = np.where(SMALL.terminal[:, None], 1.0, np.zeros((8, 4)))
    with pytest.raises(ValueError, match="above 0 for some state that is not terminal"):
        mdps.sampled(SMALL, only_the_end, 5, np.random.default_rng(0))
