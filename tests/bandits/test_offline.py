"""Choices and estimates from logged data: by hand, and by enumerating every data set a tiny problem can give."""

from itertools import product

import numpy as np
import pytest

from rlkit.bandits import doubly_robust, empirical_best, ips, lcb, lcb_index, most_played, optimistic_best, snips

# Choices


def test_choices_by_hand():
    """One lucky pull: the empirical best believes it, pessimism does not, and cloning never looked."""
    count, total = np.array([1.0, 100.0, 0.0, 150.0]), np.array([1.0, 80.0, 0.0, 30.0])
    assert empirical_best(count, total) == 0
    assert lcb(count, total, L=2.0) == 1
    assert most_played(count) == 3
    assert optimistic_best(count, total, L=2.0) == 2
    assert optimistic_best(count[[0, 1, 3]], total[[0, 1, 3]], L=2.0) == 0


def test_lcb_index_by_hand():
    index = lcb_index(np.array([[4.0, 0.0], [1.0, 25.0]]), np.array([[3.0, 0.0], [1.0, 5.0]]), L=2.0)
    assert index == pytest.approx(np.array([[0.75 - 0.5, -np.inf], [1 - 1, 0.2 - 0.2]]))


def test_lcb_bonus_is_root_l_over_2n():
    """Two arms whose bounds cross where sqrt(L / 2N) says: 0.9 - sqrt(L / 8) against 0.5 - sqrt(L / 200)."""
    count, total = np.array([4.0, 100.0]), np.array([3.6, 50.0])
    crossing = (0.4 / (8**-0.5 - 200**-0.5)) ** 2
    assert lcb(count, total, crossing * 0.999) == 0 and lcb(count, total, crossing * 1.001) == 1


def test_choices_are_row_by_row_for_any_leading_axes():
    rng = np.random.default_rng(0)
    count = rng.integers(1, 6, (5, 4, 3)).astype(float)
    count[..., 0] *= rng.integers(0, 2, (5, 4))  # some arms without data
    total = rng.random((5, 4, 3)) * count  # no ties
    mean = np.divide(total, count, out=np.full(count.shape, -np.inf), where=count > 0)
    assert np.array_equal(empirical_best(count, total), mean.argmax(axis=-1))
    bound = mean - np.sqrt(1.5 / (2 * np.maximum(count, 1)))
    assert np.array_equal(lcb(count, total, 1.5), bound.argmax(axis=-1))
    distinct = rng.permuted(np.tile([0.0, 1.0, 2.0], (5, 4, 1)), axis=-1)
    assert np.array_equal(most_played(distinct), distinct.argmax(axis=-1))


def test_an_arm_without_data_is_never_preferred_and_ties_are_random():
    count, total = np.tile([0.0, 5.0, 0.0], (1000, 1)), np.tile([0.0, 0.0, 0.0], (1000, 1))
    assert (empirical_best(count, total) == 1).all() and (lcb(count, total, 50.0) == 1).all()
    nothing = np.zeros((9000, 3))
    for choice in (empirical_best(nothing, nothing), lcb(nothing, nothing, 1.0), most_played(nothing)):
        assert np.bincount(choice) / 9000 == pytest.approx(1 / 3, abs=0.03)
    assert np.array_equal(most_played(nothing, seed=1), most_played(nothing, seed=1))
    assert not np.array_equal(most_played(nothing, seed=1), most_played(nothing, seed=2))


# Estimates: two contexts, three arms, rewards 0 or 1, data sets of n = 2, all 144 of them

CONTEXT = np.array([0.3, 0.7])
BEHAVIOUR = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
TARGET = np.array([[0.1, 0.1, 0.8], [0.9, 0.1, 0.0]])
MEAN = np.array([[0.2, 0.9, 0.4], [0.7, 0.1, 0.5]])
VALUE = (CONTEXT[:, None] * TARGET * MEAN).sum()


def every_dataset(n=2):
    """All data sets of n pulls with their probabilities: context, action, reward [D, n] and probability [D]."""
    pulls = list(product(range(2), range(3), (0, 1)))
    chance = [CONTEXT[x] * BEHAVIOUR[x, a] * (MEAN[x, a] if r else 1 - MEAN[x, a]) for x, a, r in pulls]
    index = np.array(list(product(range(len(pulls)), repeat=n)))
    x, a, r = np.array(pulls)[index].transpose(2, 0, 1)
    return x, a, r, np.array(chance)[index].prod(axis=1)


def test_ips_is_unbiased_by_enumeration():
    x, a, r, chance = every_dataset()
    assert len(chance) == 144 and chance.sum() == pytest.approx(1, abs=1e-12)
    assert chance @ ips(r, BEHAVIOUR[x, a], TARGET[x, a]) == pytest.approx(VALUE, abs=1e-14)
    assert chance @ r.mean(axis=1) != pytest.approx(VALUE, abs=0.05), "the plain mean values the behaviour policy"


def test_snips_is_biased_bounded_and_consistent():
    x, a, r, chance = every_dataset()
    usable = TARGET[x, a].sum(axis=1) > 0
    estimate = snips(r[usable], BEHAVIOUR[x, a][usable], TARGET[x, a][usable])
    assert estimate.min() >= 0 and estimate.max() <= 1 < ips(r, BEHAVIOUR[x, a], TARGET[x, a]).max()
    assert abs(chance[usable] @ estimate / chance[usable].sum() - VALUE) > 0.01
    rng = np.random.default_rng(0)
    x = (rng.random(200_000) < CONTEXT[1]).astype(int)
    a = (rng.random(len(x))[:, None] > np.cumsum(BEHAVIOUR, axis=1)[x]).sum(axis=1)
    r = rng.random(len(x)) < MEAN[x, a]
    assert snips(r, BEHAVIOUR[x, a], TARGET[x, a]) == pytest.approx(VALUE, abs=0.01)


def test_snips_by_hand_and_shift_equivariance():
    reward, propensity, target = np.array([1.0, 0.0, 3.0]), np.array([0.5, 0.25, 0.1]), np.array([0.5, 0.5, 0.3])
    assert snips(reward, propensity, target) == pytest.approx((1 * 1 + 2 * 0 + 3 * 3) / 6)
    assert ips(reward, propensity, target) == pytest.approx(10 / 3)
    assert snips(reward + 7, propensity, target) == pytest.approx(7 + 10 / 6)


def test_doubly_robust_is_unbiased_if_either_part_is_right():
    x, a, r, chance = every_dataset()
    wrong_model = np.array([[0.9, 0.1, 0.1], [0.0, 1.0, 0.3]])
    wrong_propensity = np.full((2, 3), 1 / 3)

    def expected(propensity, model):
        return chance @ doubly_robust(a, r, propensity[x, a], TARGET[x], model[x])

    assert expected(BEHAVIOUR, wrong_model) == pytest.approx(VALUE, abs=1e-14)
    assert expected(wrong_propensity, MEAN) == pytest.approx(VALUE, abs=1e-14)
    assert expected(BEHAVIOUR, MEAN) == pytest.approx(VALUE, abs=1e-14)
    assert abs(expected(wrong_propensity, wrong_model) - VALUE) > 0.05


def test_doubly_robust_has_less_variance_than_ips_with_a_right_model():
    x, a, r, chance = every_dataset()
    variances = [
        chance @ (estimate - VALUE) ** 2
        for estimate in (
            doubly_robust(a, r, BEHAVIOUR[x, a], TARGET[x], MEAN[x]),
            ips(r, BEHAVIOUR[x, a], TARGET[x, a]),
        )
    ]
    assert variances[0] < 0.5 * variances[1]


def test_doubly_robust_with_a_zero_model_is_ips():
    x, a, r, _ = every_dataset()
    zero = doubly_robust(a, r, BEHAVIOUR[x, a], TARGET[x], np.zeros((*a.shape, 3)))
    assert zero == pytest.approx(ips(r, BEHAVIOUR[x, a], TARGET[x, a]), abs=1e-15)


NAN, ROW = float("nan"), [[0.5, 0.5]]
BAD = [
    (lambda: ips([], [], []), r"reward=\[\]: must be not empty"),
    (lambda: ips([NAN], [0.5], [0.5]), r"reward\[0\]=nan: must be finite"),
    (lambda: ips([1.0], [0.0], [0.5]), "propensity=0.0: must be above 0"),
    (lambda: ips([1.0], [1.5], [0.5]), r"propensity\[0\]=1.5: must be in \[0, 1\]"),
    (lambda: ips([1.0], [0.5], [-0.5]), r"target\[0\]=-0.5: must be in \[0, 1\]"),
    (lambda: ips([1.0, 0.0], [0.5], [0.5]), r"reward.shape=\(2,\): must be that of propensity \(1,\)"),
    (lambda: snips([], [], []), r"reward=\[\]: must be not empty"),
    (lambda: snips([1.0], [0.0], [0.5]), "propensity=0.0: must be above 0"),
    (lambda: snips([1.0], [0.5], [0.0]), "target=0.0: must be above 0 for at least one"),
    (lambda: doubly_robust([], [], [], [], []), r"target=\[\]: must be not empty"),
    (lambda: doubly_robust([0], [NAN], [0.5], ROW, ROW), r"reward\[0\]=nan: must be finite"),
    (lambda: doubly_robust([0], [1.0], [0.0], ROW, ROW), "propensity=0.0: must be above 0"),
    (lambda: doubly_robust([2], [1.0], [0.5], ROW, ROW), r"action=array\(\[2\]\): must be integers in \[0, 2\)"),
    (lambda: doubly_robust([0.5], [1.0], [0.5], ROW, ROW), r"action=array\(\[0.5\]\): must be integers"),
    (lambda: doubly_robust([0], [1.0], [0.5], ROW, [[NAN, 0.0]]), r"model\[0, 0\]=nan: must be finite"),
    (lambda: doubly_robust([0], [1.0], [0.5], ROW, [[0.5]]), r"model.shape=\(1, 1\): must be that of target"),
    (lambda: empirical_best([], []), r"count=\[\]: must be not empty"),
    (lambda: empirical_best([1.0], [NAN]), r"total\[0\]=nan: must be finite"),
    (lambda: empirical_best([-1.0], [0.0]), "count=-1.0: must be at least 0 everywhere"),
    (lambda: empirical_best([1.0, 2.0], [0.0]), r"total.shape=\(1,\): must be \(2,\), the shape of count"),
    (lambda: lcb([1.0], [0.0], 0), "L=0: must be a finite number above 0"),
    (lambda: optimistic_best([1.0], [0.0], -1), "L=-1: must be a finite number above 0"),
    (lambda: most_played([]), r"count=\[\]: must be not empty"),
    (lambda: most_played([1.0, 1.0], seed="a"), "seed='a': must be an integer of at least 0"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_gives_one_line_that_names_argument_and_value(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
