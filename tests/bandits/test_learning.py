"""Declared simulations with fixed seeds: do the policies learn what the textbooks and theorems say they learn?"""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from rlkit.bandits import (
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


def curve(policy, arms, steps, runs, every, seed=0):
    """Metric dictionaries, one per `every` pulls."""
    return [step.metrics for step in summarise(play(policy, arms, steps, runs, seed), every=every, quantiles=())]


# What Sutton and Barto (2018) draw: share of optimal pulls and mean reward over the last 100 of 1,000 pulls.
FIGURES = [
    ("2.2 epsilon 0.1", epsilon_greedy(0.1), testbed(), (0.75, 0.85), (1.28, 1.48)),
    ("2.2 epsilon 0.01", epsilon_greedy(0.01), testbed(), (0.48, 0.68), (1.18, 1.42)),
    ("2.2 greedy", epsilon_greedy(0.0), testbed(), (0.28, 0.43), (0.92, 1.12)),
    ("2.3 optimistic", optimistic(5.0, 0.1), testbed(), (0.80, 0.92), (1.38, 1.58)),
    ("2.4 UCB c = 2", ucb1(c=4.0), testbed(), (0.78, 0.92), (1.38, 1.58)),
    ("2.5 step 0.1, baseline", gradient_bandit(0.1), testbed(mean=4.0), (0.78, 0.92), (5.3, 5.6)),
    ("2.5 step 0.4, baseline", gradient_bandit(0.4), testbed(mean=4.0), (0.62, 0.82), (5.2, 5.55)),
    ("2.5 step 0.1, no baseline", gradient_bandit(0.1, None), testbed(mean=4.0), (0.40, 0.65), (4.8, 5.3)),
    ("2.5 step 0.4, no baseline", gradient_bandit(0.4, None), testbed(mean=4.0), (0.25, 0.50), (4.5, 5.1)),
]


@pytest.mark.parametrize(("policy", "arms", "optimal", "reward"), [f[1:] for f in FIGURES], ids=[f[0] for f in FIGURES])
def test_the_testbed_looks_like_the_book(policy, arms, optimal, reward):
    last = curve(policy, arms, 1000, 1000, every=100)[-1]
    assert optimal[0] < last["optimal"] < optimal[1]
    assert reward[0] < last["reward"] < reward[1]


def test_a_constant_step_follows_arms_that_drift():
    """Sutton and Barto, exercise 2.5."""
    arms = random_walk(10, drift=0.01)
    average, constant = (
        curve(epsilon_greedy(0.1, step_size=step), arms, 5000, 200, every=1000)[-1] for step in (None, 0.1)
    )
    assert constant["optimal"] > average["optimal"] + 0.1 and constant["reward"] > average["reward"] + 0.05


EASY = bernoulli([0.3, 0.5, 0.7])


@pytest.mark.parametrize("policy", [ucb1(), kl_ucb(), thompson_beta(), thompson_gaussian(0.5)], ids=repr)
def test_regret_grows_like_a_logarithm_and_stays_below_auers_bound(policy):
    """Auer et al. (2002), Theorem 1: 8 sum ln(n) / gap + (1 + pi^2 / 3) sum gap. Doubling time adds about ln 2."""
    regret = [m["regret"] for m in curve(policy, EASY, 8000, 200, every=1000)]
    bound = 8 * np.log(8000) * (1 / 0.2 + 1 / 0.4) + (1 + np.pi**2 / 3) * 0.6
    assert regret[-1] < bound
    assert regret[-1] - regret[3] < 0.35 * regret[3], "the second half costs far less than the first"


@pytest.mark.parametrize(
    ("policy", "arms"),
    [(kl_ucb(), EASY), (thompson_beta(), EASY), (ucb1(c=0.5), gaussian([0, 0.5, 1], sd=0.5))],
    ids=["kl_ucb", "thompson_beta", "ucb1 with c = 2 sd^2"],
)
def test_late_regret_grows_at_about_the_lai_robbins_slope(policy, arms):
    """The slope is a limit; at finite time one may lie below it, and lower-order terms may add to it."""
    regret = [m["regret"] for m in curve(policy, arms, 10_000, 300, every=1000)]
    slope = (regret[9] - regret[1]) / np.log(10_000 / 2000)
    assert 0.5 < slope / lai_robbins(arms) < 2.0


def test_better_policies_pay_less_and_guessing_pays_linearly():
    final = {
        repr(policy): curve(policy, EASY, 3000, 200, every=3000)[-1]["regret"]
        for policy in (epsilon_greedy(1.0), ucb1(), kl_ucb(), thompson_beta())
    }
    guess, ucb, kl, thompson = final.values()
    assert guess == pytest.approx(3000 * 0.2, rel=0.02)
    assert thompson < 0.5 * ucb and kl < 0.5 * ucb and ucb < 0.2 * guess


def test_a_window_follows_arms_that_jump():
    """The same index with and without forgetting."""
    arms = abrupt([[0.9, 0.5], [0.1, 0.5]], every=1000)
    window, forever = (curve(p, arms, 4000, 100, every=4000)[-1] for p in (sliding_window_ucb(200, 0.6), ucb1(c=0.6)))
    assert window["regret"] < 0.4 * forever["regret"]


@pytest.mark.parametrize("policy", [linucb(0.5), linear_thompson(0.3)], ids=repr)
def test_linear_policies_learn_linear_arms(policy):
    arms = linear(np.random.default_rng(0).normal(size=(5, 4)), sd=0.3)
    marks = curve(policy, arms, 1000, 50, every=250)
    assert marks[-1]["optimal"] > 0.95 > marks[0]["optimal"]
    assert marks[-1]["regret"] - marks[1]["regret"] < 0.1 * marks[1]["regret"]


def test_linucb_reads_digits_and_ucb1_cannot():
    X, y = load_digits(return_X_y=True)
    arms = classification(np.column_stack([X / 16, np.ones(len(X))]), y)
    assert curve(linucb(0.5), arms, 1797, 5, every=599)[-1]["reward"] > 0.9
    assert curve(ucb1(), arms, 1797, 5, every=599)[-1]["reward"] < 0.2
