"""Tasks whose answers can be checked: problems from a seed, verifiers with named parts, demonstrations.

>>> from rlkit.lm import tasks
>>> task = tasks.countdown(numbers=4, largest=100)
>>> problem = task.problems(1, seed=0)[0]
>>> parts = task.verify(problem, "1 + 2")
>>> task.reward(parts), sorted(parts)
(0.0, ['correct', 'format', 'numbers'])

    countdown(numbers, largest, operand)    arithmetic(modulus, terms, operations)
    knights(people)                         graphs(kind, nodes)
    style(lexicon, length, topics)          no answer to check, but a rubric of taste: for preferences
    from_reasoning_gym(name, **options)     with_math_verify(rows)      for real models
    with_chat_template(task, tokenizer)     its prompts as the turns that an instructed model knows

The modules hold more: `from rlkit.lm.tasks.countdown import problem, solutions, value`.
"""

from rlkit.lm.tasks.adapters import from_reasoning_gym, with_math_verify
from rlkit.lm.tasks.arithmetic import arithmetic
from rlkit.lm.tasks.countdown import countdown
from rlkit.lm.tasks.graphs import graphs
from rlkit.lm.tasks.knights import knights
from rlkit.lm.tasks.style import style
from rlkit.lm.tasks.task import SPLITS, Problem, Task, split_of, with_chat_template

__all__ = [
    "SPLITS",
    "Problem",
    "Task",
    "arithmetic",
    "countdown",
    "from_reasoning_gym",
    "graphs",
    "knights",
    "split_of",
    "style",
    "with_chat_template",
    "with_math_verify",
]
