"""How fast bandits are played: 2,000 runs at once, against one pull at a time and against mabwiser's online loop.

CPU-seconds by time.process_time, median of five, alternating with what they are compared to, so that both meet the same
load of the machine. Run with OMP_NUM_THREADS=1.
"""

import statistics
import time

import numpy as np

from rlkit.bandits import epsilon_greedy, play, testbed, ucb1

RUNS, STEPS, REPEATS = 2_000, 1_000, 5


def one_pull_at_a_time(runs, steps, seed, epsilon=0.1):
    """The baseline: the testbed as a textbook loop, one np.argmax and one rng.normal per pull. Returns mean reward."""
    rng, total = np.random.default_rng(seed), 0.0
    for _ in range(runs):
        means, estimates, counts = rng.normal(size=10), np.zeros(10), np.zeros(10)
        for _ in range(steps):
            action = rng.integers(10) if rng.random() < epsilon else np.argmax(estimates)
            reward = rng.normal(means[action], 1.0)
            counts[action] += 1
            estimates[action] += (reward - estimates[action]) / counts[action]
            total += reward
    return total / (runs * steps)


def mabwiser_loop(steps, seed):
    """mabwiser's UCB1, predict and partial_fit once per pull; the rewards' noise is drawn before the clock starts."""
    from mabwiser.mab import MAB, LearningPolicy

    rng = np.random.default_rng(seed)
    means, noise, arms = rng.normal(size=10), rng.normal(size=steps), list(range(10))
    learner = MAB(arms, LearningPolicy.UCB1(alpha=1.0), seed=seed)
    learner.fit(arms, list(means))
    start = time.process_time()
    for step in range(steps):
        action = learner.predict()
        learner.partial_fit([action], [means[action] + noise[step]])
    return time.process_time() - start


def drained(policy, runs, steps, seed=0):
    """CPU-seconds to play without looking at the pulls."""
    start = time.process_time()
    for _ in play(policy, testbed(), steps, runs, seed):
        pass
    return time.process_time() - start


def timed(function, *arguments):
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def medians(*functions):
    """Each function returns CPU-seconds; they take turns."""
    rounds = [[function() for function in functions] for _ in range(REPEATS)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def row(work, ours, theirs, must):
    return {"work": work, "ours": ours, "theirs": theirs, "ratio": theirs and theirs / ours, "must": must}


def rows() -> list:
    """Three comparisons; `ours` and `theirs` in CPU-seconds for the same number of pulls, `ratio` theirs / ours."""
    mean = np.mean([pull.reward.mean() for pull in play(epsilon_greedy(0.1), testbed(), 200, 200, seed=1)])
    assert abs(mean - one_pull_at_a_time(200, 200, seed=1)) < 0.2, "the two do not play the same game"
    pulls, few, many = RUNS * STEPS, 20, f"{RUNS:,} runs x {STEPS:,} steps, testbed, "
    ours, theirs = medians(
        lambda: drained(epsilon_greedy(0.1), RUNS, STEPS),
        lambda: timed(one_pull_at_a_time, few, STEPS, 0) * RUNS / few,
    )
    table = [row(many + "epsilon-greedy, against a loop over pulls", ours, theirs, "<= 0.4 s and >= 20x")]
    try:
        mabwiser_loop(10, seed=0)
        ours, theirs, alone = medians(
            lambda: drained(ucb1(), RUNS, STEPS),
            lambda: mabwiser_loop(2_000, seed=0) * pulls / 2_000,
            lambda: drained(ucb1(), 1, 5_000) * pulls / 5_000,
        )
        table.append(row(many + "UCB1, against mabwiser's online loop", ours, theirs, ">= 500x"))
    except ImportError:
        ours, alone = medians(lambda: drained(ucb1(), RUNS, STEPS), lambda: drained(ucb1(), 1, 5_000) * pulls / 5_000)
        table.append(row(many + "UCB1 (pip install mabwiser to compare)", ours, None, ">= 500x"))
    table.append(row(many + "UCB1, against one run at a time", ours, alone, "printed"))
    return table


if __name__ == "__main__":
    for line in rows():
        print(line)
