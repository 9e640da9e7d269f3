"""play and summarise: shapes, regret, seeds, the example of the package, bad input."""

import doctest
import inspect

import numpy as np
import pytest
from sklearn.datasets import load_digits

import rlkit.bandits
from rlkit.bandits import (
    Pull,
    abrupt,
    bernoulli,
    classification,
    epsilon_greedy,
    gaussian,
    gradient_bandit,
    kl_ucb,
    lai_robbins,
    linear,
    linear_thompson,
    linucb,
    optimistic,
    play,
    random_walk,
    sliding_window_ucb,
    summarise,
    testbed,
    thompson_beta,
    thompson_gaussian,
    ucb1,
)

BINARY = [bernoulli([0.2, 0.5, 0.8]), abrupt([[0.1, 0.9], [0.9, 0.1]], every=7)]
REAL = [gaussian([0.0, 1.0], sd=0.5), testbed(4), random_walk(3, drift=0.1)]
CONTEXT = [linear(np.eye(3)), classification([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], ["a", "b", "a"])]
ANY_REWARD = [epsilon_greedy(), optimistic(), gradient_bandit(), ucb1(), thompson_gaussian(), sliding_window_ucb(5)]
PAIRS = (
    [(policy, arms) for policy in ANY_REWARD for arms in BINARY + REAL + CONTEXT]
    + [(policy, arms) for policy in (kl_ucb(), thompson_beta()) for arms in BINARY]
    + [(policy, arms) for policy in (linucb(), linear_thompson()) for arms in CONTEXT]
)
named = pytest.mark.parametrize(("policy", "arms"), PAIRS, ids=lambda thing: type(thing).__name__)


def same(one, other):
    return all(np.array_equal(a, b) if a is not None else b is None for a, b in zip(one, other, strict=True))


@named
def test_every_policy_on_every_kind_of_arms(policy, arms):
    pulls = list(play(policy, arms, steps=30, runs=6, seed=3))
    assert [pull.step for pull in pulls] == list(range(1, 31))
    for pull in pulls:
        assert pull.action.shape == pull.reward.shape == pull.regret.shape == pull.optimal.shape == (6,)
        assert pull.action.min() >= 0 and pull.action.max() < arms.arms
        assert pull.regret.min() >= 0, "SMPyBandits issue 163: regret was negative"
        assert np.array_equal(pull.optimal, pull.regret == 0)
        assert pull.context is None if not arms.features else pull.context.shape == (6, arms.features)


@named
def test_reruns_are_bit_identical(policy, arms):
    """The same policy object played again starts fresh; another seed gives other pulls."""
    first = list(play(policy, arms, steps=30, runs=6, seed=3))
    again = list(play(policy, arms, steps=30, runs=6, seed=3))
    other = list(play(policy, arms, steps=30, runs=6, seed=4))
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not all(same(a, b) for a, b in zip(first, other, strict=True))


def test_two_plays_interleaved_do_not_disturb_each_other():
    alone = [pull.action for pull in play(ucb1(), testbed(), 20, 5, seed=1)]
    policy, arms = ucb1(), testbed()
    pairs = zip(play(policy, arms, 20, 5, seed=1), play(policy, arms, 20, 5, seed=2), strict=True)
    assert all(np.array_equal(a, pair[0].action) for a, pair in zip(alone, pairs, strict=True))


def test_global_random_state_is_neither_read_nor_moved():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    list(play(epsilon_greedy(), testbed(), 5, 5, seed=0))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_policies_with_one_seed_meet_the_same_world():
    """Same contexts, same labels; and the same noise: two policies that pull the same arm get the same reward."""
    arms = linear(np.eye(3), sd=1.0)
    one, other = (list(play(policy, arms, 40, 8, seed=5)) for policy in (linucb(), epsilon_greedy(1.0)))
    agreed = 0
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.context, b.context)
        equal = a.action == b.action
        assert np.array_equal(a.reward[equal], b.reward[equal])
        agreed += equal.sum()
    assert agreed > 20


def test_play_is_a_generator_and_checks_at_the_call():
    assert inspect.isgenerator(play(ucb1(), testbed(), 1, 1, seed=0))
    with pytest.raises(ValueError, match="steps"):
        play(ucb1(), testbed(), -3, 1, seed=0)


def test_regret_is_the_expected_gap_and_ties_are_all_optimal():
    for pull in play(epsilon_greedy(1.0), bernoulli([0.5, 0.9, 0.9]), 20, 50, seed=0):
        assert np.array_equal(pull.regret, np.where(pull.action == 0, 0.9 - 0.5, 0.0))
        assert np.array_equal(pull.optimal, pull.action > 0)


def test_reward_means_and_spreads_match_the_arms():
    cases = ((bernoulli([0.3]), 0.3, 0.21**0.5), (gaussian([2.0], sd=3.0), 2.0, 3.0))
    for arms, mean, sd in cases:
        rewards = np.concatenate([pull.reward for pull in play(epsilon_greedy(), arms, 20, 5000, seed=1)])
        assert abs(rewards.mean() - mean) < 5 * sd / len(rewards) ** 0.5
        assert abs(rewards.std() - sd) < 0.02 * sd


def test_testbed_draws_its_arms_per_run():
    world = testbed(10, mean=4.0).start(4000, np.random.default_rng(0))
    assert world.mean.shape == (4000, 10)
    assert abs(world.mean.mean() - 4) < 0.03 and abs(world.mean.std() - 1) < 0.02
    assert world.gap.min() == 0 and (world.gap.min(axis=1) == 0).all()


def test_random_walk_variance_grows_with_time():
    arms, steps = random_walk(5, drift=0.1), 50
    world = arms.start(4000, np.random.default_rng(0))
    for _ in range(steps):
        arms.observe(world)
    assert abs(world.mean.std() / (0.1 * steps**0.5) - 1) < 0.02


def test_abrupt_changes_on_time_and_cycles():
    arms = abrupt([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], every=2)
    best = [pull.optimal[pull.action == 0] for pull in play(epsilon_greedy(1.0), arms, 8, 40, seed=0)]
    assert [bool(b.all()) for b in best] == [False, False, True, True, True, True, False, False]
    assert all(len(b) and (b.all() or not b.any()) for b in best)


def test_linear_arms_pay_the_inner_product():
    theta = np.array([[1.0, 2.0], [-1.0, 0.5]])
    for pull in play(epsilon_greedy(1.0), linear(theta, sd=0.0), 10, 20, seed=0):
        mean = pull.context @ theta.T
        assert np.allclose(pull.reward, mean[np.arange(20), pull.action])
        assert np.allclose(pull.regret, mean.max(axis=1) - mean[np.arange(20), pull.action])


def test_classification_shows_every_row_once_per_pass():
    X, y = np.arange(10.0)[:, None], np.arange(10) % 3
    pulls = list(play(epsilon_greedy(1.0), classification(X, y), 20, 4, seed=0))
    rows = np.array([pull.context[:, 0] for pull in pulls]).astype(int)  # [20, R]
    assert all(sorted(rows[:10, r]) == list(range(10)) == sorted(rows[10:, r]) for r in range(4))
    assert len({tuple(rows[i : i + 10, r]) for r in range(4) for i in (0, 10)}) == 8, "orders differ"
    for pull in pulls:
        assert np.array_equal(pull.reward, pull.action == pull.context[:, 0] % 3)


def test_lai_robbins_slope_by_hand():
    kl = 0.4 * np.log(0.4 / 0.6) + 0.6 * np.log(0.6 / 0.4)
    assert lai_robbins(bernoulli([0.4, 0.6, 0.6])) == pytest.approx(0.2 / kl)
    assert lai_robbins(gaussian([0.0, 1.0, 3.0], sd=2.0)) == pytest.approx(2 * 4 / 3 + 2 * 4 / 2)
    assert lai_robbins(bernoulli([0.5, 1.0])) == 0, "an arm that always pays needs no logarithm"


def test_the_example_of_the_package_runs():
    result = doctest.testmod(rlkit.bandits)
    assert result.attempted >= 5 and result.failed == 0


def test_the_overview_names_every_public_name():
    hidden = {"Pull", "kl_bernoulli", "random_argmax"}
    assert [name for name in rlkit.bandits.__all__ if name not in rlkit.bandits.__doc__ and name not in hidden] == []
    assert all(getattr(rlkit.bandits, name).__doc__ for name in rlkit.bandits.__all__)


def test_reprs_say_the_knobs():
    assert repr(epsilon_greedy(0.2)) == "epsilon_greedy(epsilon=0.2, step_size=None, initial=0.0)"
    assert repr(bernoulli([0.1, 0.9])) == "bernoulli(p=array([0.1, 0.9]))"
    assert repr(CONTEXT[1]) == "classification(3 rows, 2 features, 2 classes)"


def hand_made_pulls():
    """Two runs, four steps, numbers one can add up."""
    rewards, regrets = [[1, 0], [0, 0], [1, 1], [1, 3]], [[0, 1], [2, 1], [0, 0], [0, 4]]
    for step, (reward, regret) in enumerate(zip(rewards, regrets, strict=True), start=1):
        regret = np.array(regret, dtype=float)
        yield Pull(step, np.zeros(2, int), np.array(reward, dtype=float), regret, regret == 0)


def test_summarise_by_hand():
    steps = list(summarise(hand_made_pulls()))
    assert [step.step for step in steps] == [1, 2, 3, 4]
    assert [step.metrics["reward"] for step in steps] == [0.5, 0.0, 1.0, 2.0]
    assert [step.metrics["optimal"] for step in steps] == [0.5, 0.0, 1.0, 0.5]
    assert [step.metrics["regret"] for step in steps] == [0.5, 2.0, 2.0, 4.0]
    last = steps[-1].metrics
    assert last["reward_se"] == pytest.approx(np.std([1, 3], ddof=1) / 2**0.5)
    assert last["regret_se"] == pytest.approx(np.std([2, 6], ddof=1) / 2**0.5)
    assert (last["regret_q10"], last["regret_q90"]) == (pytest.approx(2.4), pytest.approx(5.6))
    assert all(isinstance(value, float) for value in last.values()) and steps[-1].rollouts is None


def test_summarise_every_averages_over_the_pulls_between_steps_and_keeps_the_rest():
    steps = list(summarise(hand_made_pulls(), every=3, quantiles=(0.5,)))
    assert [step.step for step in steps] == [3, 4]
    assert steps[0].metrics["reward"] == pytest.approx(0.5) and steps[1].metrics["reward"] == 2.0
    assert [step.metrics["regret"] for step in steps] == [2.0, 4.0]
    assert "regret_q50" in steps[0].metrics and "regret_q10" not in steps[0].metrics


def test_summarise_of_one_run_has_no_standard_errors():
    (step,) = summarise(play(ucb1(), testbed(), 5, 1, seed=0), every=5)
    assert not [name for name in step.metrics if name.endswith("_se")]
    assert np.isfinite(list(step.metrics.values())).all()


def test_summarise_consumes_as_it_goes():
    steps = summarise(play(ucb1(), testbed(), 10**9, 2, seed=0))
    assert next(steps).step == 1 and next(steps).step == 2


class Always:
    """A reader's own policy, in its smallest form."""

    def __init__(self, answer):
        self.answer = answer

    def start(self, runs, arms, features, rng):
        return None

    def choose(self, state, context=None):
        return self.answer

    def update(self, state, action, reward, context=None):
        pass


class Broken(bernoulli):
    def pull(self, world, action):
        return np.full(len(action), np.nan)


def test_your_own_policy_needs_three_methods():
    assert [pull.optimal.all() for pull in play(Always(np.array([1, 1])), bernoulli([0, 1]), 3, 2, seed=0)] == [
        True
    ] * 3


def drain(policy=None, arms=None, steps=2, runs=2, seed=0):
    return list(play(policy or ucb1(), arms or bernoulli([0.2, 0.8]), steps, runs, seed))


X, Y = load_digits(return_X_y=True)
BAD = [
    (lambda: drain(steps=-3), "steps=-3: must be a positive integer"),
    (lambda: drain(steps=0), "steps=0: must be a positive integer"),
    (lambda: drain(steps=2.5), "steps=2.5: must be a positive integer"),
    (lambda: drain(runs=0), "runs=0: must be a positive integer"),
    (lambda: drain(seed=0.5), "seed=0.5: must be an integer of at least 0"),
    (lambda: drain(seed=None), "seed=None: must be an integer of at least 0"),
    (lambda: drain(seed=-1), "seed=-1: must be an integer of at least 0"),
    (lambda: drain(policy=ucb1), "policy=.*ucb1.*: must be a policy such as epsilon_greedy"),
    (lambda: drain(policy="ucb1"), "policy='ucb1': must be a policy such as"),
    (lambda: drain(arms=[0.2, 0.8]), r"arms=\[0.2, 0.8\]: must be arms such as bernoulli"),
    (lambda: drain(policy=Always(np.array([0, 2]))), r"action at step 1=.*: must be 2 integers in \[0, 2\)"),
    (lambda: drain(policy=Always(np.array([0, -1]))), r"action at step 1=.*: must be 2 integers in \[0, 2\)"),
    (lambda: drain(policy=Always(np.array([0.0, 1.0]))), r"action at step 1=.*: must be 2 integers"),
    (lambda: drain(policy=Always(np.array([0]))), r"action at step 1=.*: must be 2 integers"),
    (lambda: drain(arms=Broken([0.2])), r"reward at step 1=array\(\[nan, nan\]\): must be 2 finite numbers"),
    (lambda: drain(policy=linucb()), "features=0: must be at least 1"),
    (lambda: drain(policy=thompson_beta(), arms=testbed()), r"reward\[0\]=.*: must be 0 or 1 for thompson_beta"),
    (lambda: drain(policy=kl_ucb(), arms=gaussian([5.0])), r"reward\[0\]=.*: must be in \[0, 1\]"),
    (lambda: bernoulli([]), r"p=\[\]: must be not empty"),
    (lambda: bernoulli([0.2, 1.2]), r"p\[1\]=1.2: must be in \[0, 1\]"),
    (lambda: bernoulli([0.2, -0.1]), r"p\[1\]=-0.1: must be in \[0, 1\]"),
    (lambda: bernoulli([0.2, np.nan]), r"p\[1\]=nan: must be finite"),
    (lambda: bernoulli(0.5), "p=array.*: must be a list of one number per arm"),
    (lambda: gaussian([]), r"mean=\[\]: must be not empty"),
    (lambda: gaussian([np.nan]), r"mean\[0\]=nan: must be finite"),
    (lambda: gaussian([0.0], sd=-1), "sd=-1: must be at least 0"),
    (lambda: gaussian([0.0], sd=np.nan), "sd=nan: must be finite"),
    (lambda: testbed(0), "arms=0: must be a positive integer"),
    (lambda: testbed(10, mean=np.inf), "mean=inf: must be finite"),
    (lambda: random_walk(0), "arms=0: must be a positive integer"),
    (lambda: random_walk(drift=-1), "drift=-1: must be at least 0"),
    (lambda: abrupt([[0.5, 2.0]]), r"p\[0, 1\]=2.0: must be in \[0, 1\]"),
    (lambda: abrupt([0.5, 0.2]), "p=array.*: must be a table with one row per phase"),
    (lambda: abrupt([[0.5]], every=0), "every=0: must be a positive integer"),
    (lambda: linear([]), r"theta=\[\]: must be not empty"),
    (lambda: linear([1.0]), "theta=array.*: must be a table with one row per arm"),
    (lambda: linear([[np.nan]]), r"theta\[0, 0\]=nan: must be finite"),
    (lambda: linear([[1.0]], sd=-0.1), "sd=-0.1: must be at least 0"),
    (lambda: classification(np.zeros((0, 4)), []), r"X=.*: must be not empty"),
    (lambda: classification([1.0, 2.0], [0, 1]), "X=array.*: must be a table with one row per example"),
    (lambda: classification(X, Y[:5]), "y=array.*: must be 1797 labels, one per row of X"),
    (lambda: classification([[np.nan]], [0]), r"X\[0, 0\]=nan: must be finite"),
    (lambda: lai_robbins(testbed()), r"arms=testbed\(.*\): must be bernoulli"),
    (lambda: summarise([], every=0), "every=0: must be a positive integer"),
    (lambda: summarise([], quantiles=(10,)), r"quantiles\[0\]=10.0: must be in \[0, 1\]"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_gives_one_line_that_names_argument_and_value(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
