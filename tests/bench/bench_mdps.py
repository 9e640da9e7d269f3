"""Finite MDPs: value iteration on dense tables, policy iteration beside it, and Dyna-Q with ten seeds in one array.

CPU-seconds by time.process_time, medians of several rounds; what is compared takes turns, so that a slow minute of the
machine hits both. Run with OMP_NUM_THREADS=1.
"""

import statistics
import time

import numpy as np

from rlkit import mdps

REPEATS, STEPS, PLANNING = 7, 1_000, 10
SEEDS = list(range(10))


def timed(function, *arguments):
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def medians(*functions):
    """CPU-seconds of each function; they take turns, after one round that is not counted."""
    rounds = [[timed(function) for function in functions] for _ in range(REPEATS + 1)][1:]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def row(work, ours, theirs, must):
    return {"work": work, "ours": ours, "theirs": theirs, "ratio": theirs and theirs / ours, "must": must}


def rows() -> list:
    """Three rows; the first two solve one MDP (gamma 0.95, all 400 next states possible) to 1e-8, or exactly."""
    world = mdps.random_mdp(400, 4, branching=400, seed=0, discount=0.95)
    exact = mdps.policy_iteration(world)[0]
    assert np.abs(mdps.value_iteration(world, 1e-8)[0] - exact).max() <= 1e-8, "not solved"
    sweeps, solves = medians(lambda: mdps.value_iteration(world, 1e-8), lambda: mdps.policy_iteration(world))
    maze = mdps.maze("rooms", slip=0.0)
    together, alone = medians(
        lambda: list(mdps.dyna_q(maze, SEEDS, STEPS, PLANNING, rate=1.0)),
        lambda: [list(mdps.dyna_q(maze, [seed], STEPS, PLANNING, rate=1.0)) for seed in SEEDS],
    )
    dyna = f"Dyna-Q, {STEPS:,} real steps x {PLANNING} dreams, 68 states, 10 seeds in one array, against one by one"
    return [
        row("value iteration on a dense 400x4 MDP to 1e-8", sweeps, None, "<= 0.15 s"),
        row("policy iteration on the same MDP, against value iteration", solves, sweeps, "printed"),
        row(dyna, together, alone, "printed"),
    ]


if __name__ == "__main__":
    for line in rows():
        print(line)
