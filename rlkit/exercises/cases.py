"""The exercises: where each one's reference lives, and the cases on which a reader's function is compared with it.

Cases are tuples of arguments. Edge cases come first and are small, so the first difference a reader sees is readable;
random inputs are rounded for the same reason.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Exercise(NamedTuple):
    """`place` is "module:function" (imported only when needed); `cases(rng)` lists tuples of its arguments."""

    place: str
    cases: Callable[[np.random.Generator], list[tuple]]


def _counts(rng, arms: int) -> np.ndarray:
    """How often each arm was pulled [A]; about one arm in six never was."""
    return np.where(rng.random(arms) < 1 / 6, 0.0, rng.integers(1, 40, size=arms))


def _ucb_index(rng):
    cases = [
        (np.array([0.5]), np.array([1.0]), 1),
        (np.array([0.5, 0.5]), np.array([10.0, 1.0]), 11),
        (np.array([0.25, 0.0]), np.array([4.0, 0.0]), 4),
        (np.array([0.0, 1.0, 0.5]), np.array([100.0, 100.0, 800.0]), 1000),
    ]
    for arms in (*rng.integers(2, 6, size=30), 10):
        count = _counts(rng, arms)
        mean = np.where(count > 0, rng.random(arms).round(3), 0.0)
        cases.append((mean, count, max(int(count.sum()), 1)))
    return cases


def _incremental_mean(rng):
    cases = [(0.0, 1, 0.75), (0.5, 2, 0.5), (0.25, 4, 1.0), (5.0, 1, 0.0), (-1.5, 1_000_000, 2.0)]
    for _ in range(30):
        mean, reward = rng.normal(size=2).round(3).tolist()
        cases.append((mean, int(rng.integers(1, 100)), reward))
    return cases


def _softmax_gradient(rng):
    cases = [
        (np.array([0.0, 0.0]), np.array([1.0, 0.0])),
        (np.array([0.0]), np.array([1.0])),
        (np.array([1.0, 0.0, -1.0]), np.array([2.0, 2.0, 2.0])),  # no arm is better: no gradient
        (np.array([0.0, 0.0, 0.0]), np.array([-1.0, 0.0, 0.0])),
        (np.array([1000.0, 1000.0]), np.array([1.0, 0.0])),  # exp(1000) overflows
    ]
    for arms in (*rng.integers(2, 6, size=30), 10):
        cases.append((rng.normal(size=arms).round(3), rng.normal(size=arms).round(3)))
    return cases


def _ips(rng):
    cases = [
        (np.array([1.0]), np.array([0.5]), np.array([0.5])),
        (np.array([1.0]), np.array([0.25]), np.array([1.0])),
        (np.array([1.0, 0.0, 1.0]), np.array([0.5, 0.5, 0.25]), np.array([0.0, 0.0, 0.0])),
        (np.array([2.0, -1.0]), np.array([1.0, 0.1]), np.array([0.5, 0.2])),
    ]
    for pulls in (*rng.integers(2, 6, size=30), 200):
        propensity = rng.uniform(0.05, 1.0, size=pulls).round(3)
        cases.append((rng.normal(size=pulls).round(3), propensity, rng.random(pulls).round(3)))
    return cases


def _lcb_index(rng):
    cases = [
        (np.array([1.0]), np.array([1.0]), 0.5),
        (np.array([100.0, 1.0]), np.array([50.0, 1.0]), 2.0),
        (np.array([4.0, 0.0]), np.array([1.0, 0.0]), 1.0),  # an arm without data
        (np.array([10.0, 10.0]), np.array([5.0, 5.0]), 1e-3),
    ]
    for arms in (*rng.integers(2, 6, size=30), 10):
        count = _counts(rng, arms)
        cases.append((count, (count * rng.random(arms)).round(2), round(float(rng.uniform(0.1, 5.0)), 2)))
    return cases


def _effective_number(rng):
    cases = [
        (np.array([0.5, 0.5]), np.array([True, True])),
        (np.array([0.25, 0.25, 0.5]), np.array([True, True, False])),  # the wrong answer's probability is no matter
        (np.array([0.5, 0.0, 0.5]), np.array([True, True, False])),  # 0 log 0 is 0
        (np.array([0.6, 0.2, 0.2]), np.array([True, True, False])),
    ]
    for answers in (*rng.integers(3, 7, size=30), 60):
        probability = rng.dirichlet(np.ones(answers)).round(3) + 0.001
        cases.append((probability / probability.sum(), np.arange(answers) < rng.integers(1, answers)))
    return cases


def _kl_optimum(rng):
    cases = [
        (np.array([0.5, 0.5]), np.array([1.0, 0.0]), 1.0),
        (np.array([0.1, 0.3, 0.6]), np.array([1.0, 1.0, 0.0]), 0.5),
        (np.array([0.1, 0.3, 0.6]), np.array([1.0, 1.0, 1.0]), 0.5),  # nothing to choose: the prior
        (np.array([0.1, 0.3, 0.6]), np.array([1.0, 1.0, 0.0]), 0.001),  # exp(1000) overflows
    ]
    for answers in (*rng.integers(2, 6, size=30), 10):
        prior = (rng.dirichlet(np.ones(answers)) + 0.01).round(3)
        cases.append((prior / prior.sum(), rng.normal(size=answers).round(2), round(float(rng.uniform(0.1, 2)), 2)))
    return cases


def _clipped_gain(rng):
    cases = [(np.array([r]), np.array([a]), 0.2) for a in (1.0, -1.0) for r in (1.0, 1.5, 0.5)]
    for tokens in (*rng.integers(2, 6, size=30), 10):
        ratio = rng.uniform(0.3, 2.0, size=tokens).round(2)
        cases.append((ratio, rng.normal(size=tokens).round(2), float(rng.choice([0.1, 0.2, 0.4]))))
    return cases


def _k3(rng):
    cases = [(np.array([-1.0]), np.array([-1.0])), (np.array([-1.0]), np.array([-2.0])), (np.array([-2.0, -1.0]),) * 2]
    return cases + [tuple(-rng.exponential(size=(2, n)).round(3)) for n in (*rng.integers(2, 6, size=30), 10)]


def _token_log_probability(rng):
    cases = [
        (np.array([[1.0, 0.0]]), np.array([0]), 1.0),
        (np.array([[1.0, 0.0]]), np.array([0]), 0.5),
        (np.array([[1000.0, 0.0]]), np.array([1]), 0.7),  # exp(1000) overflows
    ]
    for tokens in rng.integers(1, 5, size=30):
        words = int(rng.integers(2, 5))
        temperature = float(rng.choice([0.5, 0.7, 1.0, 1.5]))
        cases.append((rng.normal(size=(tokens, words)).round(2), rng.integers(words, size=tokens), temperature))
    return cases


def _token_weights(rng):
    cases = [(np.array([[1.0, 1.0]]), 2), (np.array([[1.0, 0.0], [1.0, 1.0]]), 2), (np.array([[1.0, 1.0, 0.0]]), 5)]
    for completions in rng.integers(1, 5, size=30):
        most = int(rng.integers(2, 6))
        length = rng.integers(1, most + 1, size=completions)
        cases.append(((np.arange(most) < length[:, None]).astype(float), most + int(rng.integers(3))))
    return cases


def _nft_credit(rng):
    cases = [(np.array([r]), np.array([c]), 0.25) for c in (1.0, 0.0) for r in (1.0, 0.5, 2.0)]
    cases.append((np.array([6.0]), np.array([0.0]), 0.25))  # 1 - q ratio is negative
    for tokens in (*rng.integers(2, 6, size=30), 10):
        ratio = rng.uniform(0.3, 2.5, size=tokens).round(2)
        cases.append((ratio, rng.integers(0, 2, size=tokens).astype(float), round(float(rng.uniform(0.05, 0.95)), 2)))
    return cases


def _pass_at_k(rng):
    cases = [(8, 0, 4), (8, 8, 4), (8, 1, 1), (8, 1, 8), (8, 3, 2), (6, 2, 3), (8, 6, 3)]  # the last: n - c < k
    cases.append((256, 1, 256))
    for _ in range(30):
        n = int(rng.integers(2, 257))
        cases.append((n, int(rng.integers(0, n + 1)), int(rng.integers(1, n + 1))))
    return cases


def _at_matched(rng):
    cases = [
        (np.array([0.0, 0.5]), np.array([2.0, 4.0]), 0.25),
        (np.array([0.2, 0.5, 0.3, 0.6]), np.array([1.0, 2.0, 3.0, 4.0]), 0.4),  # the first crossing of three
        (np.array([0.2, 0.5, 0.3, 0.6]), np.array([1.0, 2.0, 3.0, 4.0]), 0.1),  # beyond it from the start
        (np.array([0.2, 0.5, 0.3, 0.4]), np.array([1.0, 2.0, 3.0, 4.0]), 0.7),  # never there
        (np.array([0.2, 0.2, 0.3]), np.array([1.0, 5.0, 3.0]), 0.2),
    ]
    for looks in rng.integers(2, 8, size=30):
        x = np.cumsum(rng.normal(0.1, 0.1, size=looks)).round(2)
        cases.append((x, rng.normal(size=looks).round(2), round(float(rng.uniform(0, 0.5)), 3)))
    return cases


def _pressure(rng):
    cases = [
        (np.array([0.5, 0.3, 0.2]), np.array([0.5, 0.5, 0.5]), np.array([9.0, 3.0, 1.0])),  # nothing to choose
        (np.array([0.5, 0.5]), np.array([1.0, 0.0]), np.array([1.0, 1.0])),
        (np.array([0.5, 0.5]), np.array([1.0, 0.0]), np.array([10.0, 2.0])),
        (np.array([1.0, 0.0]), np.array([0.5, 1.0]), np.array([4.0, 4.0])),  # what is never chosen is never pushed
        (np.array([0.5, 0.3, 0.2]), np.array([0.62, 0.7, 0.1]), np.array([24.0, 21.0, 4.0])),
    ]
    for number in (*rng.integers(2, 6, size=30), 10):
        share = (rng.dirichlet(np.ones(number)) + 0.01).round(3)
        cases.append((share / share.sum(), rng.random(number).round(2), rng.integers(1, 30, size=number).astype(float)))
    return cases


def _historical_variance(rng):
    cases = [
        (np.array([[0.0, 1.0]]),),
        (np.array([[0.25, 0.25, 0.25]]),),  # the same at each visit
        (np.array([[0.0, 0.0], [0.5, 1.0]]),),
        (np.array([[0.0, 0.5, 1.0], [1.0, 0.0, 0.5], [0.0, 0.0, 0.25]]),),  # the order of the visits is no matter
    ]
    for problems in (*rng.integers(1, 4, size=30), 10):
        cases.append(((rng.integers(0, 9, size=(problems, int(rng.integers(2, 6)))) / 8),))
    return cases


def _text_credit(rng):
    cases = [
        (np.array([0.9, 0.5]), np.array([0.7, 0.7]), np.array([1.0, 1.0]), 0.9, 0.0),  # better and worse than the model
        (np.array([0.9, 0.9, 0.9]), np.array([0.7, 0.7, 0.7]), np.array([0.01, 1.5, 8.0]), 0.9, 0.0),  # both clips
        (np.array([0.9, 0.5]), np.array([0.7, 0.7]), np.array([3.0, 0.2]), 0.0, 0.0),  # no ratio
        (np.array([0.75, 0.95, 0.5]), np.array([0.7, 0.7, 0.7]), np.array([1.0, 1.0, 1.0]), 0.0, 0.1),
    ]
    for number in (*rng.integers(2, 6, size=30), 10):
        reward, value = rng.random((2, number)).round(2)
        ratio = np.exp(rng.normal(0, 1.5, size=number)).round(3)
        cases.append((reward, value, ratio, float(rng.choice([0.0, 0.2, 0.9])), float(rng.choice([0.0, 0.1, 0.2]))))
    return cases


def _huber_slope(rng):
    cases = [
        (np.array([0.5, -0.5]), 1.0),  # near: as of the squared error
        (np.array([3.0, -3.0]), 1.0),  # far: no steeper than the threshold
        (np.array([3.0, -3.0]), 10.0),
        (np.array([0.0, 0.25, -40.0]), 0.25),
    ]
    for number in (*rng.integers(2, 6, size=30), 10):
        cases.append((rng.normal(0, 3, size=number).round(2), round(float(rng.uniform(0.1, 4)), 2)))
    return cases


def _lagged_action(rng):
    at = np.array
    cases = [
        (at([0.0]), at([0.0]), at([0.25]), 0.0, 0.1, 2.5, 0.0),  # a full push from rest
        (at([0.0]), at([0.0]), at([0.05]), 0.8, 0.1, 2.5, 0.0),  # the same, of a slow motor
        (at([0.0]), at([0.25]), at([0.5]), 0.8, 0.1, 2.5, 0.0),  # the push stays
        (at([1.0]), at([1.0]), at([1.0]), 0.5, 0.1, 2.5, 1.0),  # against drag
    ]
    for size in rng.integers(1, 5, size=30):
        speeds = (rng.normal(size=size).round(2) for _ in range(3))
        cases.append((*speeds, float(rng.choice([0.0, 0.5, 0.8])), 0.1, float(rng.choice([1.0, 2.5])), 1.0))
    return cases


def _expectile_loss(rng):
    cases = [
        (np.array([1.0]), 0.9),
        (np.array([-1.0]), 0.9),
        (np.array([1.0, -1.0, 0.0]), 0.5),  # the mean's loss, halved
        (np.array([2.0, -1.0]), 0.7),
    ]
    for number in (*rng.integers(2, 6, size=30), 64):
        cases.append((rng.normal(size=number).round(2), round(float(rng.uniform(0.5, 0.99)), 2)))
    return cases


def _score_spread(rng):
    cases = [
        (np.array([0.0, 10.0]), 0.0, 10.0),
        (np.array([5.0, 5.0]), -20.0, 30.0),  # all seeds alike: no spread, whatever the origin
        (np.array([100.0, 300.0]), -280.0, 12_135.0),
    ]
    for seeds in (*rng.integers(2, 6, size=30), 10):
        low, span = np.round(rng.normal(0, 50), 1), np.round(rng.uniform(10, 200), 1)
        cases.append(((low + span * rng.random(seeds)).round(1), float(low), float(low + span)))
    return cases


def _second_critic(rng):
    cases = [(np.array([0, 1]), np.array([0, 0])), (np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1] * 3))]
    for critics in (*rng.integers(2, 6, size=30), 10):
        cases.append((rng.integers(critics, size=6), rng.integers(critics - 1, size=6)))
    return cases


def _after_swap(rng):
    cases = [(np.eye(3, dtype=bool),), (np.eye(4, dtype=bool) | np.eye(4, k=1, dtype=bool),)]
    for places in (*rng.integers(2, 8, size=30), 300):  # 300: products of bytes would overflow
        cases.append((rng.random((places, places)) < 1.2 / places,))
    return [*cases, (np.ones((256, 256), dtype=bool),)]


def _episode_weights(rng):
    cases = [
        (np.array([0.0, 1.0]), 1.0),
        (np.array([10.0, 20.0, 30.0]), 0.1),  # units are no matter
        (np.array([-1300.0, -1300.0, -130.0]), 0.1),  # nor is the origin
        (np.array([4.0, 4.0, 4.0]), 0.1),  # nothing to choose
        (np.array([0.0, 9000.0]), 0.1),  # exp(90000) overflows
    ]
    for episodes in (*rng.integers(2, 6, size=30), 20):
        returns = (rng.normal(size=episodes) * 10 ** rng.uniform(-1, 3)).round(2)
        cases.append((returns, round(float(rng.uniform(0.05, 1)), 2)))
    return cases


def _chi_square_conjugate(rng):
    cases = [
        (np.array([0.0, 2.0, -1.0]),),
        (np.array([-2.0, -3.0]),),  # w would be below 0
        (np.array([-4.0, -5.0, -40.0]),),  # where the parabola turns positive again
    ]
    for size in (*rng.integers(2, 6, size=30), 10):
        cases.append((rng.normal(0, 4, size=size).round(2),))
    return cases


def _smith_action(rng):
    at = np.array
    cases = [
        (at([1.0]), at([1.05]), at([[0.0, 0.0, 0.0, 0.0, 0.0]])),  # nothing under way
        (at([1.0]), at([1.05]), at([[0.5, 0.0, 0.0, 0.0, 0.0]])),  # what is missing is already under way
        (at([1.0]), at([1.0]), at([[0.0, 0.0, 0.0, 0.0, 0.25]])),  # too much is
        (at([0.5]), at([1.5]), at([[0.0, 0.0, 0.0, 0.0, 0.0]])),  # more than the pump can do
        (at([1.0, 1.0]), at([1.0, 1.25]), at([[0.0, -0.25, 0.0, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5, 0.5]])),
    ]
    for size in rng.integers(1, 5, size=30):
        level, target = rng.normal(1, 0.05, size=(2, size)).round(2)
        cases.append((level, target, rng.uniform(-0.4, 0.4, size=(size, 5)).round(2)))
    return cases


def _guarded_catch(rng):
    at = np.array
    cases = [
        (at([[0.8, 0.5, 0.6]]), at([0.4, 0.4]), 1.0, 0.3),  # predators enough: constant escapement
        (at([[0.8, 0.5, 0.1]]), at([0.4, 0.4]), 1.0, 0.3),  # predators rare: leave more
        (at([[0.3, 0.9, 0.5]]), at([0.4, 0.4]), 1.0, 0.3),  # less there than should be left: no catch
        (at([[0.8, 0.5, 0.1]]), at([0.4, 0.4]), 0.0, 0.3),  # no guard
        (at([[1.0, 1.0, 0.3], [1.0, 1.0, 0.2]]), at([0.2, 0.3]), 2.0, 0.3),
    ]
    for size in rng.integers(1, 5, size=30):
        stocks = rng.uniform(0.1, 1.2, size=(size, 3)).round(2)
        cases.append((stocks, rng.uniform(0.1, 0.6, size=2).round(2), round(float(rng.uniform(0, 2)), 2), 0.35))
    return cases


def _two_hot(rng):
    cases = [
        (np.array([0.0]), 2),
        (np.array([0.25]), 2),
        (np.array([1.0]), 2),  # the last node
        (np.array([1.0, 2.0]), 4),  # on a node: one weight is 1
        (np.array([0.5, 2.75]), 4),
    ]
    return cases + [
        (rng.uniform(0, n - 1, size=rng.integers(1, 5)).round(2), int(n)) for n in rng.integers(2, 7, size=30)
    ]


def _filtered_error(rng):
    cases = [
        (np.array([[0.5, 0.5]]), np.array([0.0, 1.0])),  # no difference: the mean error
        (np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([0.25, 4.0])),
        (np.array([[1.0, 1.0]]), np.array([1.0, 3.0])),  # log of 0 without the clip
        (np.array([[1.0, 0.5], [0.0, 0.5]]), np.array([1.0, 2.0])),  # the mean comes before the log
    ]
    for candidates in (*rng.integers(2, 6, size=30), 10):
        cases.append((rng.random((rng.integers(1, 5), candidates)).round(2), rng.random(candidates).round(2)))
    return cases


def _edge_cells(rng):
    cases = [
        (np.array([[0, 1]]),),
        (np.array([[0, 1, 2], [2, 3, 4]]),),  # 2 ends one dream and begins another
        (np.array([[5, 4, 4]]),),  # it stood still: its last step began there
        (np.array([[3, 2, 1], [9, 5, 1]]),),  # two dreams end in one cell
        (np.array([[1, 2], [2, 1]]),),  # none is at the edge
    ]
    return cases + [(rng.integers(0, 15, size=(rng.integers(1, 5), rng.integers(2, 6))),) for _ in range(30)]


def _bellman_consistent(rng):
    q = np.array([[[1.0, 0.0], [2.0, 0.0]], [[1.5, 0.0], [2.0, 0.0]]])  # two Q of two states
    cases = [
        (q, np.array([0]), np.array([0]), np.array([0.5]), np.array([1]), 0.5),  # the second: 1.5 = 0.5 + 0.5 * 2
        (q, np.array([1]), np.array([0]), np.array([1.0]), np.array([1]), 0.5),  # both: 2 = 1 + 0.5 * 2
        (q, np.array([1, 0]), np.array([0, 0]), np.array([1.0, 0.5]), np.array([1, 1]), 0.5),  # on both transitions
        (q, np.array([0]), np.array([1]), np.array([0.0]), np.array([0]), 0.0),  # no future
    ]
    for steps in rng.integers(1, 5, size=20):
        tables = rng.integers(0, 3, size=(30, 3, 2)).astype(float)
        s, a, after = rng.integers(3, size=steps), rng.integers(2, size=steps), rng.integers(3, size=steps)
        truth = tables[0]
        cases.append((tables, s, a, truth[s, a] - 0.5 * truth[after].max(axis=1), after, 0.5))  # the first one obeys
    return cases


def _counted_model(rng):
    at = np.array
    cases = [
        (at([0]), at([0]), at([1]), (2, 1)),
        (at([0, 0]), at([0, 0]), at([1, 1]), (2, 1)),  # the same twice
        (at([0, 0, 0, 0]), at([0, 0, 0, 1]), at([0, 1, 1, 0]), (2, 2)),
        (at([2, 2]), at([1, 0]), at([0, 2]), (3, 2)),
    ]
    for count in rng.integers(1, 30, size=20):
        n, a = int(rng.integers(2, 5)), int(rng.integers(1, 4))
        cases.append((rng.integers(n, size=count), rng.integers(a, size=count), rng.integers(n, size=count), (n, a)))
    return cases


def _dream_return(rng):
    at = np.array
    cases = [
        (at([[1.0, 1.0, 1.0]]), at([[1.0, 1.0, 1.0]]), 1.0),
        (at([[1.0, 1.0, 1.0]]), at([[1.0, 1.0, 1.0]]), 0.5),
        (at([[1.0, 2.0, 4.0]]), at([[1.0, 0.0, 1.0]]), 1.0),  # ends with its second step
        (at([[5.0, 2.0]]), at([[0.0, 0.0]]), 0.9),  # ends with its first
        (at([[1.0], [2.0]]), at([[1.0], [0.0]]), 0.9),
    ]
    for length in rng.integers(2, 7, size=30):
        rewards = rng.normal(size=(rng.integers(1, 4), length)).round(2)
        cases.append((rewards, (rng.random(rewards.shape) < 0.8).astype(float), round(float(rng.uniform(0.5, 1)), 2)))
    return cases


def _largest_doubt(rng):
    at = np.array
    cases = [
        (at([[[3.0, 4.0]]]),),
        (at([[[3.0, 4.0]], [[1.0, 1.0]]]),),  # two members
        (at([[[3.0, 4.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 2.0]]]),),  # each row has a member of its own
        (at([[[3.0, 0.0]], [[0.0, 3.5]]]),),  # the norm of one member, not the largest of each output
    ]
    return cases + [
        (rng.uniform(0.1, 2, size=(rng.integers(2, 8), rng.integers(1, 4), 4)).round(2),) for _ in range(30)
    ]


def _spectral_norm(rng):
    cases = [
        (np.array([[3.0]]), 1),
        (np.array([[3.0, 0.0], [0.0, 1.0]]), 1),  # one round is not enough
        (np.array([[3.0, 0.0], [0.0, 1.0]]), 20),
        (np.array([[1.0, -2.0, 2.0]]), 2),
        (np.array([[2.0], [1.0], [-2.0]]), 2),
    ]
    for rows, columns, rounds in rng.integers(1, 6, size=(30, 3)):
        cases.append((rng.normal(size=(rows, columns)).round(2) + 0.1, int(rounds)))
    return cases


def _best_of_n_law(rng):
    at = np.array
    cases = [
        (at([0.5, 0.5]), at([0.0, 1.0]), 2),
        (at([0.2, 0.8]), at([1.0, 1.0]), 3),  # all equal: nothing to choose
        (at([0.1, 0.2, 0.3, 0.4]), at([2.0, 1.0, 1.0, 0.0]), 2),  # two share a level
        (at([0.25, 0.75]), at([5.0, -5.0]), 1),
        (at([0.001, 0.999]), at([1.0, 0.0]), 1000),
    ]
    for size, levels, n in zip(rng.integers(2, 8, 30), rng.integers(1, 5, 30), rng.integers(1, 20, 30), strict=True):
        cases.append((rng.dirichlet(np.ones(size)) * 0.9 + 0.1 / size, rng.integers(levels, size=size) / 2, int(n)))
    return cases


def _two_divergences(rng):
    log = np.log
    cases = [
        (log([0.5, 0.5]), log([0.5, 0.5]), np.array([0.0, 0.0]), 1.0),  # the optimum is the start: both are 0
        (log([0.5, 0.5]), log([0.5, 0.5]), np.array([0.0, 1.0]), 1.0),
        (log([0.9, 0.1]), log([0.2, 0.8]), np.array([0.0, -2.0]), 0.5),
        (log([0.25, 0.75]), log([0.5, 0.5]), np.array([-1000.0, -1001.0]), 1.0),  # exp(-1000) is 0
    ]
    for size in (*rng.integers(2, 6, size=30), 10):
        pi, prior = (log(rng.dirichlet(np.ones(size)) * 0.9 + 0.1 / size) for _ in range(2))
        cases.append((pi, prior, -rng.exponential(2.0, size).round(2), float(rng.choice([0.25, 1.0]))))
    return cases


def _reset_push(rng):
    at = np.array
    cases = [
        (at([0.5]), 0.0),
        (at([0.5, 0.5]), 0.0),  # always from the prompt
        (at([0.5, 0.5]), 1.0),  # the second word is also tried alone
        (at([0.05, 0.6, 0.6]), 0.5),
    ]
    for words in (*rng.integers(2, 6, size=30), 10):
        cases.append((rng.uniform(0.05, 0.95, size=words).round(2), float(rng.choice([0.0, 0.25, 0.5, 1.0]))))
    return cases


def _gap(rng):
    cases = [
        (np.array([0.0, 3.0, 1.0]), np.array([0.0, 1.0, 0.5])),
        (np.array([2.0, 0.0]), np.array([0.0, 1.0])),  # what looked like a peak was luck
        (np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.0])),
    ]
    for looks in (*rng.integers(2, 8, size=20), 30):
        cases.append(tuple(rng.permutation(np.arange(looks)) / 4 + rng.normal(size=looks).round(2) for _ in range(2)))
    return cases


def _tilt(rng):
    half = np.log(np.array([0.5, 0.5]))
    cases = [
        (half, np.array([0.0, 1.0]), 1.0),
        (half, np.array([0.0, 1.0]), 1e-4),  # exp(10,000) overflows
        (np.log(np.array([0.25, 0.75])), np.array([3.0, 3.0]), 0.5),  # equal rewards: nothing moves
        (np.log(np.array([0.9, 0.1])), np.array([-1.0, 1.0]), 100.0),
    ]
    for N in (*rng.integers(2, 6, size=30), 10):
        prior = np.log(rng.dirichlet(np.ones(N)).round(3) + 0.001)
        prior = prior - np.log(np.exp(prior).sum())
        cases.append((prior, rng.normal(size=N).round(2), float(rng.choice([0.01, 0.1, 1.0, 10.0]))))
    return cases


def _gae(rng):
    cases = [
        (np.array([2.0]), np.array([0.5]), 1.0, 0.95),  # one token: nothing comes after it
        (np.array([0.0, 1.0]), np.array([0.5, 0.75]), 1.0, 0.0),
        (np.array([0.0, 1.0]), np.array([0.5, 0.75]), 1.0, 1.0),
        (np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, 0.0]), 0.5, 0.5),
    ]
    for T in rng.integers(1, 7, size=30):
        rewards, values = rng.normal(size=(2, T)).round(2)
        discount, trace_decay = rng.choice([0.0, 0.5, 0.9, 1.0], size=2).tolist()
        cases.append((rewards, values, discount, trace_decay))
    return cases


def _dpo_loss(rng):
    same = np.array([-3.0, -5.0]), np.array([-4.0, -2.0])
    cases = [
        (*same, *same, 0.1),  # the policy is the reference: log 2, whatever the reference prefers
        (np.array([-2.0]), np.array([-4.0]), np.array([-3.0]), np.array([-3.0]), 1.0),
        (np.array([-4.0]), np.array([-2.0]), np.array([-3.0]), np.array([-3.0]), 1.0),
        (np.array([-900.0]), np.array([-1.0]), np.array([-1.0]), np.array([-900.0]), 1.0),  # exp(1798) overflows
    ]
    for B in rng.integers(1, 5, size=30):
        cases.append((*-rng.exponential(5, size=(4, B)).round(2), float(rng.choice([0.05, 0.1, 1.0]))))
    return cases


def _penalised_reward(rng):
    one = np.ones((1, 2))
    cases = [
        (np.array([1.0]), -one, -2 * one, one, 0.5),  # it likes the text more than the reference did: it pays
        (np.array([1.0]), -2 * one, -one, one, 0.5),
        (np.array([1.0]), -one, -one, one, 0.5),
        (np.array([0.0]), np.array([[-1.0, 7.0]]), np.array([[-3.0, -7.0]]), np.array([[1.0, 0.0]]), 1.0),  # padding
    ]
    for _ in range(30):
        logp, reference = -rng.exponential(2, size=(2, 3, 4)).round(2)
        mask = (np.arange(4) < rng.integers(1, 5, size=(3, 1))).astype(float)
        cases.append((rng.normal(size=3).round(2), logp, reference, mask, float(rng.choice([0.0, 0.1, 1.0]))))
    return cases


EXERCISES = {
    "bandits/incremental_mean": Exercise("rlkit.bandits.policies:incremental_mean", _incremental_mean),
    "bandits/ucb_index": Exercise("rlkit.bandits.ucb:ucb_index", _ucb_index),
    "bandits/softmax_gradient": Exercise("rlkit.bandits.softmax:softmax_gradient", _softmax_gradient),
    "bandits/ips": Exercise("rlkit.bandits.offline:ips", _ips),
    "bandits/lcb_index": Exercise("rlkit.bandits.offline:lcb_index", _lcb_index),
    "dual-rl/chi_square_conjugate": Exercise("rlkit.exercises.references:chi_square_conjugate", _chi_square_conjugate),
    "echo-chamber/pressure": Exercise("rlkit.rlvr.replicator:pressure", _pressure),
    "edge-of-reach/edge_cells": Exercise("rlkit.exercises.references:edge_cells", _edge_cells),
    "grpo/clipped_gain": Exercise("rlkit.exercises.references:clipped_gain", _clipped_gain),
    "grpo/k3": Exercise("rlkit.exercises.references:k3", _k3),
    "grpo/token_log_probability": Exercise("rlkit.exercises.references:token_log_probability", _token_log_probability),
    "grpo/token_weights": Exercise("rlkit.exercises.references:token_weights", _token_weights),
    "limit-of-rlvr/pass_at_k": Exercise("rlkit.stats:pass_at_k", _pass_at_k),
    "lipschitz-mbrl/spectral_norm": Exercise("rlkit.exercises.references:spectral_norm", _spectral_norm),
    "losse/two_hot": Exercise("rlkit.exercises.references:two_hot", _two_hot),
    "model-based-gen/bellman_consistent": Exercise("rlkit.mdps.hypotheses:bellman_consistent", _bellman_consistent),
    "model-based/counted_model": Exercise("rlkit.exercises.references:counted_model", _counted_model),
    "model-based/dream_return": Exercise("rlkit.exercises.references:dream_return", _dream_return),
    "model-based/largest_doubt": Exercise("rlkit.exercises.references:largest_doubt", _largest_doubt),
    "morec/filtered_error": Exercise("rlkit.exercises.references:filtered_error", _filtered_error),
    "neorl2/smith_action": Exercise("rlkit.exercises.references:smith_action", _smith_action),
    "nft/nft_credit": Exercise("rlkit.exercises.references:nft_credit", _nft_credit),
    "nsr/at_matched": Exercise("rlkit.rlvr.experiments:at_matched", _at_matched),
    "nsr/effective_number": Exercise("rlkit.rlvr.tabular:effective_number", _effective_number),
    "nsr/kl_optimum": Exercise("rlkit.rlvr.tabular:kl_optimum", _kl_optimum),
    "offline/expectile_loss": Exercise("rlkit.exercises.references:expectile_loss", _expectile_loss),
    "offline/score_spread": Exercise("rlkit.exercises.references:score_spread", _score_spread),
    "offline/second_critic": Exercise("rlkit.exercises.references:second_critic", _second_critic),
    "one-shot-rlvr/historical_variance": Exercise("rlkit.rlvr.history:historical_variance", _historical_variance),
    "pdg-control/guarded_catch": Exercise("rlkit.envs.fishery:guarded_catch", _guarded_catch),
    "rlhf/gap": Exercise("rlkit.rlhf.overoptimisation:gap", _gap),
    "rlhf/dpo_loss": Exercise("rlkit.exercises.references:dpo_loss", _dpo_loss),
    "rlhf/gae": Exercise("rlkit.exercises.references:gae", _gae),
    "rlhf/penalised_reward": Exercise("rlkit.exercises.references:penalised_reward", _penalised_reward),
    "rlhf/tilt": Exercise("rlkit.exercises.references:tilt", _tilt),
    "rlhf/best_of_n_law": Exercise("rlkit.exercises.references:best_of_n_law", _best_of_n_law),
    "rlhf/reset_push": Exercise("rlkit.exercises.references:reset_push", _reset_push),
    "rlhf/text_credit": Exercise("rlkit.exercises.references:text_credit", _text_credit),
    "rlhf/two_divergences": Exercise("rlkit.exercises.references:two_divergences", _two_divergences),
    "riql/huber_slope": Exercise("rlkit.exercises.references:huber_slope", _huber_slope),
    "ss-orl/lagged_action": Exercise("rlkit.exercises.references:lagged_action", _lagged_action),
    "stitching/after_swap": Exercise("rlkit.exercises.references:after_swap", _after_swap),
    "traj-weighting/episode_weights": Exercise("rlkit.exercises.references:episode_weights", _episode_weights),
}
