"""Mazes: a drawing becomes the MDP that one sees in it."""

import numpy as np
import pytest

from rlkit import mdps
from rlkit.mdps.maze import drawing

UP, RIGHT, DOWN, LEFT = range(4)


def test_a_drawing_becomes_its_tables():
    """2 by 3 cells with one wall: every chance below is written by hand."""
    world = mdps.maze("S.T\n.#G", slip=0.2, discount=0.9)
    assert world.names == ("S", ".", "T", ".", "G")
    assert world.positions.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 2]]
    assert world.terminal.tolist() == [False, False, True, False, True]
    assert world.start.tolist() == [1, 0, 0, 0, 0]
    assert np.allclose(world.transitions[0, RIGHT], [0.1, 0.8, 0, 0.1, 0])  # up is outside: stay
    assert np.allclose(world.transitions[0, UP], [0.9, 0.1, 0, 0, 0])
    assert np.allclose(world.transitions[1, UP], [0.1, 0.8, 0.1, 0, 0])
    assert np.allclose(world.transitions[1, DOWN], [0.1, 0.8, 0.1, 0, 0])  # below is wall
    assert np.allclose(world.transitions[3, LEFT], [0.1, 0, 0, 0.9, 0])
    assert np.allclose(world.rewards[1], [-0.1, -0.8, -0.1, 0])
    for end in (2, 4):
        assert (world.transitions[end] == np.eye(5)[end]).all()
        assert not world.rewards[end].any()


@pytest.mark.parametrize(("layout", "states", "moves"), [("corridor", 6, 5), ("u", 11, 10), ("rooms", 68, 16)])
def test_without_slip_the_value_is_discount_to_the_moves(layout, states, moves):
    world = mdps.maze(layout, slip=0.0, discount=0.9)
    assert world.states == states
    assert world.start @ mdps.value_iteration(world)[0] == pytest.approx(0.9 ** (moves - 1), abs=1e-9)


def test_the_risky_way_pays_only_without_slip():
    """At the start: right, between the traps, while the floor is dry; up and around when it is slippery."""
    best = {}
    for slip in (0.0, 0.02, 0.1):
        world = mdps.maze("risky", slip=slip)
        _, q = mdps.value_iteration(world)
        best[slip] = int(q[world.start.argmax()].argmax())
    assert best == {0.0: RIGHT, 0.02: RIGHT, 0.1: UP}
    assert world.names.count("T") == 10
    safe = mdps.greedy(q)
    trapped = mdps.occupancy(world, safe)[[name == "T" for name in world.names]].sum()
    assert trapped == pytest.approx(0, abs=1e-12), "the long way never meets a trap"
    bold = safe.copy()
    row = world.positions[:, 0] == world.positions[world.start.argmax(), 0]
    bold[row & ~world.terminal] = np.eye(4)[RIGHT]
    assert mdps.expected_return(world, bold) < mdps.expected_return(world, safe) - 0.2


def test_text_lines_and_indentation_are_one_drawing():
    lines = ["S.", ".G"]
    for same in ("S.\n.G", "\n    S.\n    .G\n", tuple(lines)):
        assert drawing(same) == lines
    two = mdps.maze(["S.S", "..G"])
    assert two.start.tolist() == [0.5, 0, 0.5, 0, 0, 0]


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("labyrinth", r"layout='labyrinth': must be one of 'corridor', 'u', 'rooms', 'risky', or the lines"),
        ("S..\n.xG", r"layout, row 2, column 2='x': must be one of # \. S G T"),
        (["S. G"], r"layout, row 1, column 3=' ': must be one of"),
        (["S.", "..G"], r"layout, row 2='\.\.G': must be 2 letters long, as row 1 is"),
        (["..", ".G"], r"layout='\.\./\.G': must be a drawing with at least one S"),
        (["S."], r"layout='S\.': must be a drawing with at least one G"),
        ([], r"layout=\[\]: must be a name, or the lines of a drawing"),
        ("\n", r"layout=\[\]: must be a name, or the lines of a drawing"),
        (7, r"layout=7: must be a name, or the lines of a drawing"),
        (["SG", 3], r"layout=\['SG', 3\]: must be a name"),
    ],
)
def test_a_bad_drawing_is_named_in_one_line(layout, message):
    with pytest.raises(ValueError, match=message) as caught:
        mdps.maze(layout)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("slip", [-0.1, 1.1, [0.1, 0.2], float("nan")])
def test_a_bad_slip_is_named(slip):
    with pytest.raises(ValueError, match="slip"):
        mdps.maze("u", slip=slip)
