"""Bandits: one decision at a time, many runs at once.

A policy pulls one of A arms, sees its reward, and learns. `play` is a generator that lets it do so in R runs at once;
`summarise` turns its pulls into the Steps that a Run stores and a widget draws.

>>> from rlkit.bandits import bernoulli, play, summarise, thompson_beta
>>> arms = bernoulli([0.2, 0.5, 0.8])
>>> for pull in play(thompson_beta(), arms, steps=100, runs=500, seed=0):
...     pass
>>> pull.step, pull.action.shape, bool(pull.optimal.mean() > 0.8)
(100, (500,), True)
>>> for step in summarise(play(thompson_beta(), arms, steps=100, runs=500, seed=0), every=50):
...     print(step.step, sorted(step.metrics)[:3])
50 ['optimal', 'optimal_se', 'regret']
100 ['optimal', 'optimal_se', 'regret']

In a notebook: `live(summarise(play(...)))`.

    arms        bernoulli(p)  gaussian(mean, sd)  testbed(arms, mean)
      moving    random_walk(arms, drift)  abrupt(p, every)
      context   linear(theta, sd)  classification(X, y)
    policies    epsilon_greedy(epsilon, step_size, initial)  optimistic(initial, step_size)
                gradient_bandit(step_size, baseline)  ucb1(c)  kl_ucb(c)  sliding_window_ucb(window, xi)
                thompson_beta(a, b)  thompson_gaussian(sd, prior_mean, prior_sd)
      context   linucb(alpha, ridge)  linear_thompson(sd, ridge)
    indices     ucb_index(mean, count, t, c)  kl_ucb_index(mean, count, t, c)  lcb_index(count, total, L)
                incremental_mean(mean, count, reward)  lai_robbins(arms)
    softmax     softmax(H)  softmax_gradient(H, advantage)  sampled_gradients(H, advantage, samples, seed)
    offline     empirical_best(count, total)  lcb(count, total, L)  optimistic_best(count, total, L)
                most_played(count)  ips(reward, propensity, target)  snips(reward, propensity, target)
                doubly_robust(action, reward, propensity, target, model)

Your own policy is any object with start, choose and update (policies.py says how), your own arms any with start,
observe and pull (arms.py).
"""

from rlkit.bandits.arms import abrupt, bernoulli, gaussian, lai_robbins, random_walk, testbed
from rlkit.bandits.contextual import classification, linear, linear_thompson, linucb
from rlkit.bandits.offline import (
    doubly_robust,
    empirical_best,
    ips,
    lcb,
    lcb_index,
    most_played,
    optimistic_best,
    snips,
)
from rlkit.bandits.play import Pull, play, summarise
from rlkit.bandits.policies import epsilon_greedy, gradient_bandit, incremental_mean, optimistic, random_argmax
from rlkit.bandits.softmax import sampled_gradients, softmax, softmax_gradient
from rlkit.bandits.thompson import thompson_beta, thompson_gaussian
from rlkit.bandits.ucb import kl_bernoulli, kl_ucb, kl_ucb_index, sliding_window_ucb, ucb1, ucb_index

__all__ = [
    "Pull",
    "abrupt",
    "bernoulli",
    "classification",
    "doubly_robust",
    "empirical_best",
    "epsilon_greedy",
    "gaussian",
    "gradient_bandit",
    "incremental_mean",
    "ips",
    "kl_bernoulli",
    "kl_ucb",
    "kl_ucb_index",
    "lai_robbins",
    "lcb",
    "lcb_index",
    "linear",
    "linear_thompson",
    "linucb",
    "most_played",
    "optimistic",
    "optimistic_best",
    "play",
    "random_argmax",
    "random_walk",
    "sampled_gradients",
    "sliding_window_ucb",
    "snips",
    "softmax",
    "softmax_gradient",
    "summarise",
    "testbed",
    "thompson_beta",
    "thompson_gaussian",
    "ucb1",
    "ucb_index",
]
