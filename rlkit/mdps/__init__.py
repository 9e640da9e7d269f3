"""Finite Markov decision processes: worlds small enough that every question has an exact answer.

>>> from rlkit import mdps
>>> world = mdps.maze("risky")
>>> world
FiniteMDP(45 states, 4 actions, discount=0.95, 11 terminal)
>>> values, q = mdps.value_iteration(world)
>>> policy = mdps.greedy(q)
>>> round(mdps.expected_return(world, policy), 4) == round(float(world.start @ values), 4)
True

    worlds    FiniteMDP(transitions, rewards, start, discount, terminal)  maze(layout, slip, discount)  LAYOUTS  MOVES
              deep_sea(size)  sticky_corridor(length, stick)  combination_lock(length, actions, seed)
              random_mdp(states, actions, branching, seed)
    solvers   value_iteration(mdp)  policy_iteration(mdp)  policy_value(mdp, policy)  q_of(mdp, values)
              occupancy(mdp, policy)  expected_return(mdp, policy, horizon)
    policies  greedy(q)  softened(q, temperature)  mixed(policy, epsilon)
    learners  sampled(mdp, weights, count, rng) -> Transitions  model_of(batch, like)
              q_learning(mdp, seeds, steps)  q_learning_offline(mdp, batch, order)  q_update(q, ...)
              dyna_q(mdp, seeds, steps, planning)
    models    simulation_gap(mdp, model, policy) -> Gap  compounding(mdp, model, policy, steps)

N states, A actions; policies are tables of chances [N, A]. The same maze as a simulator with many copies in one array:
rlkit.envs.maze.Maze.
"""

from rlkit.mdps.dyna import dyna_q
from rlkit.mdps.finite import FiniteMDP
from rlkit.mdps.learn import Transitions, model_of, q_learning, q_learning_offline, q_update, sampled
from rlkit.mdps.maze import LAYOUTS, MOVES, maze
from rlkit.mdps.model_error import Gap, compounding, simulation_gap
from rlkit.mdps.solve import (
    expected_return,
    greedy,
    mixed,
    occupancy,
    policy_iteration,
    policy_value,
    q_of,
    softened,
    value_iteration,
)
from rlkit.mdps.zoo import combination_lock, deep_sea, random_mdp, sticky_corridor

__all__ = [
    "LAYOUTS",
    "MOVES",
    "FiniteMDP",
    "Gap",
    "Transitions",
    "combination_lock",
    "compounding",
    "deep_sea",
    "dyna_q",
    "expected_return",
    "greedy",
    "maze",
    "mixed",
    "model_of",
    "occupancy",
    "policy_iteration",
    "policy_value",
    "q_learning",
    "q_learning_offline",
    "q_of",
    "q_update",
    "random_mdp",
    "sampled",
    "simulation_gap",
    "softened",
    "sticky_corridor",
    "value_iteration",
]
