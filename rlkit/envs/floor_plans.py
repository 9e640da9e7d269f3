"""Floor plans of the point mazes, drawn with letters: '#' a wall, '.' free, 'G' the goal (free as well)."""

import numpy as np

from rlkit import checks

LAYOUTS = {
    "u": ("#####", "#...#", "###.#", "#G..#", "#####"),
    "medium": ("########", "#..#...#", "#.##.#.#", "#....#.#", "#.####.#", "#......#", "#.##.#G#", "########"),
    "four-rooms": (
        "###########",
        "#....#....#",
        "#....#....#",
        "#.........#",
        "#....#....#",
        "##.#####.##",
        "#....#....#",
        "#....#....#",
        "#.........#",
        "#....#...G#",
        "###########",
    ),
}
HORIZONS = {"u": 100, "medium": 150, "four-rooms": 150}


def read(layout):
    """Walls [H, W] bool and the goal's cell (row, column), or None, of a name of LAYOUTS or the lines of a drawing.

    Raises ValueError, in one line that names row and column, for a bad letter, a second G, or a border with a hole.
    """
    if isinstance(layout, str) and "\n" not in layout:
        lines = LAYOUTS.get(layout)
    else:
        lines = layout.strip("\n").split("\n") if isinstance(layout, str) else layout
    if not isinstance(lines, list | tuple) or not lines or not all(isinstance(line, str) for line in lines):
        checks.fail("layout", layout, f"one of {', '.join(map(repr, LAYOUTS))}, or the lines of a drawing")
    goal, lines = None, [line.strip() for line in lines]
    last_row, last_column = len(lines) - 1, len(lines[0]) - 1
    for row, line in enumerate(lines):
        if len(line) != last_column + 1:
            checks.fail(f"layout[{row}]", line, f"{last_column + 1} letters long, as the first line")
        for column, letter in enumerate(line):
            where = f"layout[{row}][{column}]"
            if letter not in "#.G":
                checks.fail(where, letter, "'#', '.' or 'G'")
            if letter != "#" and (row in (0, last_row) or column in (0, last_column)):
                checks.fail(where, letter, "'#', for the border is wall")
            if letter == "G" and goal is not None:
                checks.fail(where, letter, "the only G")
            goal = (row, column) if letter == "G" else goal
    walls = np.array([[letter == "#" for letter in line] for line in lines])
    if walls.all():
        checks.fail("layout", layout, "a drawing with a free cell")
    return walls, goal
