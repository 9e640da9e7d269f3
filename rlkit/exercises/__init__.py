"""Exercises whose reference solution is the library itself: write the function, check it, read the tested source.

An exercise is one notebook cell, tagged `exercise`, that stands alone: its own imports, the function with `...` in its
place, and as its last line `check(name, function)`. The blank runs without an exception and says "not done yet";
tests/notebooks/test_exercises.py runs each such cell alone, blank and with the reference in its place. Its arguments
have the names that the library's function has. Afterwards `solution(name)` shows the source of that function.

    import numpy as np
    from rlkit.exercises import check

    def ucb_index(mean, count, t):
        ...

    check("bandits/ucb_index", ucb_index)

To add an exercise, add a row to EXERCISES in cases.py. predict() asks the reader a question before a run, and
outcome() shows the kept answer beside what was measured.
"""

from rlkit.exercises.cases import EXERCISES, Exercise
from rlkit.exercises.checking import Check, Source, check, reference, solution
from rlkit.exercises.predictions import Outcome, Predict, outcome, predict

__all__ = [
    "EXERCISES",
    "Check",
    "Exercise",
    "Outcome",
    "Predict",
    "Source",
    "check",
    "outcome",
    "predict",
    "reference",
    "solution",
]
