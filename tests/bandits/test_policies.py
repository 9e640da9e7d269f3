"""Each policy against its closed form, an exact enumeration or another solver."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import chi2, ks_1samp, norm

from rlkit.bandits import (
    epsilon_greedy,
    gradient_bandit,
    incremental_mean,
    kl_bernoulli,
    kl_ucb,
    kl_ucb_index,
    linear_thompson,
    linucb,
    optimistic,
    random_argmax,
    sampled_gradients,
    sliding_window_ucb,
    softmax,
    softmax_gradient,
    thompson_beta,
    thompson_gaussian,
    ucb1,
    ucb_index,
)


def started(policy, runs=1, arms=3, features=0, seed=0):
    return policy.start(runs, arms, features, np.random.default_rng(seed))


def pull(policy, state, action, reward, context=None):
    policy.update(state, np.array([action]), np.array([float(reward)]), context)


# Ties


def test_ties_are_broken_fairly():
    """Chi-squared over 60,000 rows whose arms 0, 2 and 3 tie; rows without a tie keep their winner."""
    scores = np.tile([1.0, 0.0, 1.0, 1.0], (60_000, 1))
    scores[::2] = [0.0, 3.0, 1.0, 1.0]
    action = random_argmax(scores, np.random.default_rng(0))
    assert (action[::2] == 1).all()
    counts = np.bincount(action[1::2], minlength=4)
    assert counts[1] == 0
    statistic = ((counts[[0, 2, 3]] - 10_000) ** 2 / 10_000).sum()
    assert statistic < chi2.ppf(0.999, df=2)


@pytest.mark.parametrize("order", ["C", "F"])
def test_random_argmax_is_argmax_without_ties(order):
    scores = np.asarray(np.random.default_rng(1).normal(size=(500, 7)), order=order)
    rng = np.random.default_rng(0)
    assert np.array_equal(random_argmax(scores, rng), scores.argmax(axis=1))
    assert rng.random() == np.random.default_rng(0).random(), "no draw without a tie"


def test_random_argmax_takes_infinities_and_names_nan():
    rng = np.random.default_rng(0)
    assert random_argmax(np.array([[-np.inf, 0.0], [np.inf, 1.0]]), rng).tolist() == [1, 0]
    assert set(random_argmax(np.full((200, 2), -np.inf), rng)) == {0, 1}
    for scores in ([[0.0, 1.0], [np.nan, 1.0]], [[2.0, 2.0], [np.nan, 1.0]]):
        with pytest.raises(ValueError, match=r"scores\[1\]=nan: must be a number"):
            random_argmax(np.array(scores), rng)


@pytest.mark.parametrize("policy", [epsilon_greedy(0.0), ucb1(), kl_ucb(), sliding_window_ucb(), optimistic()])
def test_the_first_pull_is_uniform(policy):
    state = started(policy, runs=40_000, arms=4)
    counts = np.bincount(policy.choose(state), minlength=4)
    assert ((counts - 10_000) ** 2 / 10_000).sum() < chi2.ppf(0.999, df=3)


# Averages and epsilon


def test_incremental_mean_is_the_mean():
    rewards, mean = np.random.default_rng(0).normal(size=(50, 4)), np.full(4, 9.0)
    for count, reward in enumerate(rewards, start=1):
        mean = incremental_mean(mean, count, reward)
        assert mean == pytest.approx(rewards[:count].mean(axis=0), abs=1e-14)


def test_sample_average_and_constant_step_by_hand():
    for step_size, expected in ((None, (1 + 0 + 4) / 3), (0.5, 0.5**3 * 2 + 0.125 * 1 + 0.25 * 0 + 0.5 * 4)):
        policy = epsilon_greedy(0.1, step_size=step_size, initial=2.0)
        state = started(policy)
        for reward in (1, 0, 4):
            pull(policy, state, 1, reward)
        assert state.mean[0].tolist() == pytest.approx([2.0, expected, 2.0])
        assert state.count[0].tolist() == [0, 3, 0]


def test_epsilon_greedy_explores_uniformly_with_probability_epsilon():
    policy = epsilon_greedy(0.3)
    state = started(policy, runs=100_000, arms=4)
    state.mean[:, 2] = 1.0
    share = np.bincount(policy.choose(state), minlength=4) / 100_000
    assert share == pytest.approx([0.075, 0.075, 0.775, 0.075], abs=0.005)


def test_optimistic_tries_every_arm_before_it_settles():
    policy = optimistic(5.0)
    state, seen = started(policy, runs=50, arms=6), []
    for _ in range(6):
        action = policy.choose(state)
        seen.append(action)
        policy.update(state, action, np.zeros(50))
    assert all(sorted(run) == list(range(6)) for run in np.array(seen).T)


# UCB


def test_ucb_index_by_hand():
    index = ucb_index(np.array([0.5, 0.2, 0.9]), np.array([4, 1, 0]), t=5)
    assert index[0] == pytest.approx(0.5 + np.sqrt(2 * np.log(5) / 4), abs=1e-15)
    assert index[1] == pytest.approx(0.2 + np.sqrt(2 * np.log(5)), abs=1e-15)
    assert index[2] == np.inf
    assert ucb_index([0.5], [4], t=5, c=0.5)[0] == pytest.approx(0.5 + np.sqrt(0.5 * np.log(5) / 4))


def test_ucb1_pulls_each_arm_once_and_then_follows_its_index():
    policy = ucb1()
    state = started(policy, runs=20, arms=5)
    first = []
    for _ in range(5):
        action = policy.choose(state)
        first.append(action)
        policy.update(state, action, action / 4)
    assert all(sorted(run) == list(range(5)) for run in np.array(first).T)
    assert (policy.choose(state) == 4).all() and (policy.scores(state)[:, 4] == 1 + np.sqrt(2 * np.log(5))).all()


@pytest.mark.parametrize("c", [0.0, 3.0])
def test_kl_ucb_index_against_a_solver(c):
    """scipy's brentq on every combination of mean, count and t, edges and near-edges included."""
    means = [0.0, 1e-9, 1e-4, 0.03, 0.3, 0.5, 0.9, 0.999, 1 - 1e-7, 1.0]
    for t in (1, 2, 3, 17, 1000, 10**7):
        budget = np.log(t) + c * np.log(max(np.log(t), 1))
        for count in (1, 2, 10, 300, 10**5):
            got = kl_ucb_index(np.array(means), np.full(len(means), count), t, c)
            for p, q in zip(means, got, strict=True):
                if p == 1 or budget == 0:
                    assert q == pytest.approx(p, abs=1e-9)
                    continue
                top = 1 - 1e-16

                def excess(x, p=p, n=count, budget=budget):
                    return n * kl_bernoulli(p, x) - budget

                truth = top if excess(top) < 0 else brentq(excess, p, top, xtol=1e-13, rtol=1e-14)
                assert q == pytest.approx(truth, abs=1e-8), (p, count, t)
                assert p <= q <= 1


def test_kl_ucb_index_of_an_unpulled_arm_is_infinite():
    assert kl_ucb_index([0.0, 0.5], [0, 1], 1).tolist() == [np.inf, 0.5]


def test_kl_ucb_index_is_never_above_ucb1():
    """Pinsker: the KL index lies below mean + sqrt(ln t / (2 count)), which lies below UCB1's."""
    rng = np.random.default_rng(0)
    mean, count = rng.random(1000), rng.integers(1, 50, 1000)
    index = kl_ucb_index(mean, count, 100)
    assert (index <= ucb_index(mean, count, 100, c=0.5) + 1e-9).all() and (index >= mean).all()


def test_sliding_window_equals_a_recount_from_scratch():
    policy, rng = sliding_window_ucb(window=7), np.random.default_rng(0)
    state, history = started(policy, runs=5, arms=3), []
    for t in range(40):
        action, reward = policy.choose(state), rng.integers(0, 2, 5).astype(float)
        policy.update(state, action, reward)
        history.append((action, reward))
        recent = history[-7:]
        count = sum((a[:, None] == np.arange(3)).astype(float) for a, _ in recent)
        total = sum((a[:, None] == np.arange(3)) * r[:, None] for a, r in recent)
        assert np.array_equal(state.count, count) and np.array_equal(state.total, total)
        index = total / np.maximum(count, 1) + np.sqrt(0.6 * np.log(min(t + 1, 7)) / np.maximum(count, 1))
        assert np.allclose(policy.scores(state), np.where(count > 0, index, np.inf))


# Thompson sampling


def test_beta_posterior_in_closed_form():
    policy = thompson_beta(a=2.0, b=3.0)
    state = started(policy)
    for reward in (1, 1, 0, 1):
        pull(policy, state, 2, reward)
    assert state.a[0].tolist() == [2, 2, 5] and state.b[0].tolist() == [3, 3, 4]
    assert policy.scores(state)[0].tolist() == pytest.approx([0.4, 0.4, 5 / 9])


def test_thompson_pulls_an_arm_as_often_as_it_is_believed_best():
    """P(Beta(3, 1) > Beta(1, 2)) by integration: 1 - E[(1 - x)^2], x ~ Beta(3, 1), = 0.9."""
    policy = thompson_beta()
    state = started(policy, runs=100_000, arms=2)
    state.a[:, 0], state.b[:, 1] = 3, 2
    assert (policy.choose(state) == 0).mean() == pytest.approx(0.9, abs=0.005)


def test_gaussian_posterior_is_the_conjugate_one():
    policy, rewards = thompson_gaussian(sd=2.0, prior_mean=1.0, prior_sd=0.5), [3.0, 5.0, 4.0]
    state = started(policy)
    for reward in rewards:
        pull(policy, state, 0, reward)
    mean, sd = policy.posterior(state)
    precision = 1 / 0.5**2 + 3 / 2.0**2
    assert mean[0].tolist() == pytest.approx([(1 / 0.25 + 12 / 4) / precision, 1.0, 1.0])
    assert sd[0].tolist() == pytest.approx([precision**-0.5, 0.5, 0.5])


def test_gaussian_thompson_pulls_as_often_as_believed_best():
    policy = thompson_gaussian(sd=1.0, prior_mean=0.0, prior_sd=1.0)
    state = started(policy, runs=100_000, arms=2)
    state.mean[:, 0], state.count[:, 0] = 1.0, 3.0  # N(0.75, 1/4) against N(0, 1)
    assert (policy.choose(state) == 0).mean() == pytest.approx(norm.cdf(0.75 / 1.25**0.5), abs=0.005)


# Softmax and the gradient bandit


def test_softmax_gradient_against_differences():
    rng = np.random.default_rng(0)
    preferences, advantage, h = rng.normal(size=5), rng.normal(size=5), 1e-6
    numeric = [
        (softmax(preferences + e) @ advantage - softmax(preferences - e) @ advantage) / (2 * h) for e in h * np.eye(5)
    ]
    assert softmax_gradient(preferences, advantage) == pytest.approx(numeric, abs=1e-9)
    assert softmax_gradient(preferences, advantage).sum() == pytest.approx(0, abs=1e-15)


def test_softmax_gradient_by_enumeration():
    """sum_a pi[a] advantage[a] (1[a = k] - pi[k]), term by term, for a batch of preferences."""
    rng = np.random.default_rng(1)
    preferences, advantage = rng.normal(size=(20, 4)), rng.normal(size=4)
    probability = softmax(preferences)
    terms = sum(probability[:, [a]] * advantage[a] * (np.eye(4)[a] - probability) for a in range(4))
    assert softmax_gradient(preferences, advantage) == pytest.approx(terms, abs=1e-15)


def test_rewarding_hits_and_punishing_misses_have_the_same_gradient_bit_for_bit():
    """PSR (A = r) and NSR (A = r - 1), exactly equal and not zero; by single pulls they differ."""
    rng = np.random.default_rng(2)
    preferences, reward = rng.normal(size=(1000, 6)), rng.integers(0, 2, (1000, 6)).astype(float)
    positive, negative = softmax_gradient(preferences, reward), softmax_gradient(preferences, reward - 1)
    assert np.array_equal(positive, negative) and np.abs(positive).max() > 0.1
    hits, misses = (sampled_gradients(preferences[0], reward[0] - b, 50, seed=0) for b in (0, 1))
    assert not np.allclose(hits.mean(axis=0), misses.mean(axis=0))


def test_sampled_gradients_are_unbiased_and_share_their_pulls():
    preferences, advantage = np.array([0.5, -1.0, 0.2]), np.array([1.0, 0.0, 2.0])
    exact = softmax_gradient(preferences, advantage)
    for shift in (0.0, 1.0):
        sample = sampled_gradients(preferences, advantage - shift, 200_000, seed=3)
        assert np.abs(sample.mean(axis=0) - exact).max() < 5 * sample.std() / 200_000**0.5
    one, other = (sampled_gradients(preferences, a, 100, seed=4) for a in (np.ones(3), np.full(3, 2.0)))
    assert np.array_equal(2 * one, other)


@pytest.mark.parametrize("baseline", [None, "mean", 1.5, -3])
def test_expected_step_of_the_gradient_bandit_is_the_exact_gradient(baseline):
    """Enumerate every arm from one state: sum_a pi[a] (H after - H before) = step_size * gradient, any baseline."""
    policy, preferences, q = gradient_bandit(0.3, baseline), np.array([0.4, -0.2, 1.0]), np.array([1.0, 3.0, 2.0])
    probability, expected = softmax(preferences), np.zeros(3)
    for action in range(3):
        state = started(policy)
        state.preferences[:], state.average[:], state.t = preferences, 0.7, 10
        pull(policy, state, action, q[action])
        expected += probability[action] * (state.preferences[0] - preferences)
    assert expected == pytest.approx(0.3 * softmax_gradient(preferences, q), abs=1e-15)


def test_gradient_bandit_mean_baseline_is_the_mean_of_earlier_rewards():
    policy = gradient_bandit(0.1)
    state = started(policy)
    pull(policy, state, 0, 5.0)
    assert state.preferences[0].tolist() == [0, 0, 0], "the first reward is its own baseline"
    pull(policy, state, 1, 8.0)
    assert state.preferences[0] == pytest.approx(0.1 * (8 - 5) * (np.eye(3)[1] - 1 / 3))
    assert state.average[0] == 6.5


def test_gradient_bandit_samples_its_softmax():
    policy = gradient_bandit()
    state = started(policy, runs=100_000)
    state.preferences[:] = [0.0, 1.0, -1.0]
    share = np.bincount(policy.choose(state), minlength=3) / 100_000
    assert share == pytest.approx(softmax(np.array([0.0, 1.0, -1.0])), abs=0.006)


# LinUCB and linear Thompson sampling


@pytest.mark.parametrize("ridge", [0.1, 1.0, 7.0])
def test_linucb_untrained_arm_scores_alpha_over_root_ridge_times_norm(ridge):
    """Regression for mabwiser 2.7.4, whose A_inv starts as A: with ridge 0.1 it explores ten times too little."""
    x = np.array([[3.0, 4.0]])
    policy = linucb(alpha=0.5, ridge=ridge)
    state = started(policy, arms=2, features=2)
    pull(policy, state, 0, 1.0, x)
    assert policy.scores(state, x)[0, 1] == pytest.approx(0.5 / np.sqrt(ridge) * 5.0, rel=1e-12)


def test_linucb_inverse_and_weights_equal_a_solver_after_many_updates():
    rng, runs, arms, d, ridge = np.random.default_rng(0), 4, 3, 6, 0.5
    policy = linucb(alpha=0.7, ridge=ridge)
    state = started(policy, runs, arms, d)
    gram, moment = np.tile(ridge * np.eye(d), (runs, arms, 1, 1)), np.zeros((runs, arms, d))
    for _ in range(300):
        x, action, reward = rng.normal(size=(runs, d)), rng.integers(0, arms, runs), rng.normal(size=runs)
        policy.update(state, action, reward, x)
        for r in range(runs):
            gram[r, action[r]] += np.outer(x[r], x[r])
            moment[r, action[r]] += reward[r] * x[r]
    inverse = np.linalg.inv(gram)
    theta = (inverse @ moment[..., None])[..., 0]
    assert state.inverse == pytest.approx(inverse, abs=1e-12) and state.theta == pytest.approx(theta, abs=1e-12)
    width = np.sqrt(np.einsum("rd,rade,re->ra", x, inverse, x))
    assert policy.scores(state, x) == pytest.approx(np.einsum("rad,rd->ra", theta, x) + 0.7 * width, abs=1e-10)


def test_linear_thompson_draws_the_law_of_x_beta():
    """The score of one arm against N(x . theta, sd^2 x^T A^-1 x), by Kolmogorov and Smirnov."""
    policy, runs = linear_thompson(sd=0.8, ridge=2.0), 20_000
    state = started(policy, runs, 1, 2)
    x = np.tile([[1.0, 2.0]], (runs, 1))
    policy.update(state, np.zeros(runs, int), np.full(runs, 3.0), np.tile([[1.0, 0.5]], (runs, 1)))
    drawn = []
    record = SimpleNamespace(standard_normal=lambda shape: drawn.append(state_rng.standard_normal(shape)) or drawn[-1])
    state_rng, state.rng = state.rng, record
    policy.choose(state, x)
    a = np.linalg.inv(2 * np.eye(2) + np.outer([1, 0.5], [1, 0.5]))
    mean, sd = x[0] @ a @ [3.0, 1.5], 0.8 * np.sqrt(x[0] @ a @ x[0])
    beta = np.random.default_rng(9).multivariate_normal(a @ [3.0, 1.5], 0.8**2 * a, size=runs) @ x[0]
    assert ks_1samp((beta - mean) / sd, norm.cdf).pvalue > 0.001, "x . beta has this law"
    assert ks_1samp(drawn[0][:, 0], norm.cdf).pvalue > 0.001 and policy.scores(state, x)[0, 0] == pytest.approx(mean)


def test_linear_thompson_pulls_as_often_as_believed_best():
    policy, runs = linear_thompson(sd=1.0, ridge=1.0), 100_000
    state = started(policy, runs, 2, 1)
    x = np.ones((runs, 1))
    for _ in range(3):
        policy.update(state, np.zeros(runs, int), np.ones(runs), x)  # arm 0: N(3/4, 1/4), arm 1: N(0, 1)
    assert (policy.choose(state, x) == 0).mean() == pytest.approx(norm.cdf(0.75 / 1.25**0.5), abs=0.005)


BAD = [
    (lambda: epsilon_greedy(1.5), r"epsilon=1.5: must be in \[0, 1\]"),
    (lambda: epsilon_greedy(-0.1), r"epsilon=-0.1: must be in \[0, 1\]"),
    (lambda: epsilon_greedy(float("nan")), "epsilon=nan: must be finite"),
    (lambda: epsilon_greedy(step_size=0), "step_size=0: must be a finite number above 0"),
    (lambda: epsilon_greedy(step_size=2), r"step_size=2: must be in \(0, 1\]"),
    (lambda: optimistic(float("inf")), "initial=inf: must be finite"),
    (lambda: gradient_bandit(-1), "step_size=-1: must be a finite number above 0"),
    (lambda: gradient_bandit(baseline="median"), "baseline='median': must be one of 'mean', None"),
    (lambda: gradient_bandit(baseline=float("nan")), "baseline=nan: must be finite"),
    (lambda: ucb1(0), "c=0: must be a finite number above 0"),
    (lambda: kl_ucb(-1), "c=-1: must be at least 0"),
    (lambda: kl_ucb_index([1.5], [1], 2), r"mean\[0\]=1.5: must be in \[0, 1\]"),
    (lambda: sliding_window_ucb(0), "window=0: must be a positive integer"),
    (lambda: sliding_window_ucb(xi=0), "xi=0: must be a finite number above 0"),
    (lambda: thompson_beta(a=0), "a=0: must be a finite number above 0"),
    (lambda: thompson_beta(b=-1), "b=-1: must be a finite number above 0"),
    (lambda: thompson_gaussian(sd=0), "sd=0: must be a finite number above 0"),
    (lambda: thompson_gaussian(prior_mean=float("nan")), "prior_mean=nan: must be finite"),
    (lambda: linucb(alpha=0), "alpha=0: must be a finite number above 0"),
    (lambda: linucb(ridge=0), "ridge=0: must be a finite number above 0"),
    (lambda: linear_thompson(sd=-1), "sd=-1: must be a finite number above 0"),
    (lambda: softmax_gradient([], []), r"preferences=\[\]: must be not empty"),
    (lambda: softmax_gradient([0.0], [np.nan]), r"advantage\[0\]=nan: must be finite"),
    (lambda: sampled_gradients([0.0], [1.0], 0, 0), "samples=0: must be a positive integer"),
    (lambda: sampled_gradients([0.0], [1.0], 5, 1.5), "seed=1.5: must be an integer of at least 0"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_gives_one_line_that_names_argument_and_value(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
