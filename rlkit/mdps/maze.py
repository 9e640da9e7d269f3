"""Mazes from a drawing: a world that one sees at a glance and solves exactly."""

import textwrap

import numpy as np

from rlkit import checks
from rlkit.mdps.finite import FiniteMDP

MOVES = {"up": (-1, 0), "right": (0, 1), "down": (1, 0), "left": (0, -1)}  # action number -> (rows, columns)
LETTERS = "#.SGT"
PAYS = {"G": 1.0, "T": -1.0}  # on arrival, which ends the episode

LAYOUTS = {
    "corridor": "S....G",
    "u": """
        S....
        ####.
        G....
    """,
    "rooms": """
        S...#....
        ....#....
        .........
        ....#....
        #.#####.#
        ....#....
        .........
        ....#....
        ....#...G
    """,
    # Straight ahead 8 moves past traps on both sides, or 18 moves around. Up to a slip of about 0.04 the risk pays.
    "risky": """
        .........
        .........
        .#######.
        .#######.
        .#######.
        .#TTTTT#.
        S.......G
        ##TTTTT##
    """,
}


def drawing(layout):
    """The lines of a maze: a named layout ("corridor", "u", "rooms", "risky"), a text of several lines, or a list.

    `#` is wall, and so is everything outside; `.` is free; episodes start in an `S` and end in a `G` (+1) or `T` (-1).

    Returns: list of equally long lines. Raises: ValueError, one line, for an unknown name, or with row and column
    (counted from 1) for a letter of another kind; also for lines of unequal length, and without `S` or `G`.
    """
    if isinstance(layout, str) and "\n" not in layout and layout not in LAYOUTS:
        checks.fail("layout", layout, f"one of {', '.join(map(repr, LAYOUTS))}, or the lines of a drawing")
    if isinstance(layout, str):
        layout = textwrap.dedent(LAYOUTS.get(layout, layout)).strip().splitlines()
    if not isinstance(layout, list | tuple) or not layout or not all(isinstance(line, str) for line in layout):
        checks.fail("layout", layout, "a name, or the lines of a drawing")
    for row, line in enumerate(layout, start=1):
        for column, letter in enumerate(line, start=1):
            if letter not in LETTERS:
                checks.fail(f"layout, row {row}, column {column}", letter, "one of " + " ".join(LETTERS))
        if len(line) != len(layout[0]):
            checks.fail(f"layout, row {row}", line, f"{len(layout[0])} letters long, as row 1 is")
    for letter in "SG":
        if not any(letter in line for line in layout):
            checks.fail("layout", "/".join(layout), f"a drawing with at least one {letter}")
    return list(layout)


def maze(layout="rooms", slip=0.1, discount=0.95):
    """A maze as a FiniteMDP: one state for each free cell, row by row; four actions, in the order of MOVES.

    A move succeeds with chance 1 - slip and turns to its left or right with slip / 2 each; who would hit a wall stays.
    To arrive at a goal pays 1, in a trap -1, and both end the episode. So rewards[s, a] is the chance of a goal minus
    that of a trap. `names` are the letters of the cells, `positions` their rows and columns, counted from 0.

    Args: layout: what `drawing` takes; slip in [0, 1]; discount inside (0, 1).
    Raises: ValueError for a drawing that is none (with row and column), or another slip or discount.
    """
    slip = checks.probability("slip", slip)
    if slip.ndim:
        checks.fail("slip", slip, "one number")
    lines = drawing(layout)
    cells = [(row, column) for row, line in enumerate(lines) for column, letter in enumerate(line) if letter != "#"]
    names = tuple(lines[row][column] for row, column in cells)
    number = {cell: state for state, cell in enumerate(cells)}
    pays = np.array([PAYS.get(name, 0.0) for name in names])  # [N]
    terminal = pays != 0
    steps = list(MOVES.values())
    transitions = np.zeros((len(cells), len(steps), len(cells)))
    for state, (row, column) in enumerate(cells):
        reached = [number.get((row + down, column + right), state) for down, right in steps]  # a wall: stay
        for action in range(4):
            for turn, chance in ((0, 1 - slip), (-1, slip / 2), (1, slip / 2)):
                end = state if terminal[state] else reached[(action + turn) % 4]
                transitions[state, action, end] += chance
    transitions[terminal] = np.eye(len(cells))[terminal][:, None]  # exactly 1, whatever the slip
    rewards = np.where(terminal[:, None], 0.0, transitions @ pays)
    first = np.array([name == "S" for name in names])
    return FiniteMDP(transitions, rewards, first / first.sum(), discount, terminal, names, np.array(cells))
