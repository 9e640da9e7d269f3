"""Tasks whose answers can be checked: problems from a seed, verifiers with named parts, demonstrations.

>>> from rlkit.lm import tasks
>>> task = tasks.countdown(numbers=4, largest=100)
>>> problem = task.problems(1, seed=0)[0]
>>> parts = task.verify(problem, "1 + 2")
>>> task.reward(parts), sorted(parts)
(0.0, ['correct', 'format', 'numbers'])
"""

from rlkit.lm.tasks.arithmetic import arithmetic
from rlkit.lm.tasks.countdown import countdown
from rlkit.lm.tasks.graphs import graphs
from rlkit.lm.tasks.knights import knights
from rlkit.lm.tasks.task import SPLITS, Problem, Task, split_of

__all__ = ["SPLITS", "Problem", "Task", "arithmetic", "countdown", "graphs", "knights", "split_of"]
