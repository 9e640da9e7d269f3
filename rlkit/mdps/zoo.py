"""A small zoo: worlds that are hard for one reason each, most with an optimal value that fits in one line.

All are FiniteMDPs with names and positions for drawing (S start, G goal), as mazes are.
"""

import numpy as np

from rlkit import checks
from rlkit.mdps.finite import FiniteMDP


def _at_least_two(name, value):
    if checks.positive_int(name, value) < 2:
        checks.fail(name, value, "at least 2")
    return int(value)


def _ends(transitions, terminal):
    """Terminal states lead to themselves, in place."""
    transitions[terminal] = np.eye(len(transitions))[terminal][:, None]


def deep_sea(size=10, discount=0.99):
    """DeepSea, where each step towards the treasure costs and only n right moves in a row find it.

    A diver sinks one row a step through n = size rows, `left` (action 0) or `right` (action 1). A move to the right
    costs 0.01 / n. To move right in the last row's last column pays 1 and ends in the treasure G; every other move in
    the last row ends on the ground. States: the n (n + 1) / 2 cells that can be reached, row by row, then ground and G.

    A uniform policy finds the treasure with chance 2^-n. Going right is optimal where it pays more than 0:

        v* = max(0, gamma^(n-1) - 0.01 / n (1 - gamma^n) / (1 - gamma)),   undiscounted: 1 - 0.01

    Osband et al. (2020), Behaviour Suite. Args: size: an integer of at least 2; discount inside (0, 1).
    Returns: FiniteMDP. Raises: ValueError for another size or discount.
    """
    size = _at_least_two("size", size)
    cells = [(row, column) for row in range(size) for column in range(row + 1)]
    number = {cell: state for state, cell in enumerate(cells)}
    ground, treasure = len(cells), len(cells) + 1
    transitions, rewards = np.zeros((len(cells) + 2, 2, len(cells) + 2)), np.zeros((len(cells) + 2, 2))
    for state, (row, column) in enumerate(cells):
        transitions[state, 0, number.get((row + 1, max(column - 1, 0)), ground)] = 1.0
        transitions[state, 1, number.get((row + 1, column + 1), ground)] = 1.0
        rewards[state, 1] = -0.01 / size
    corner = number[size - 1, size - 1]
    transitions[corner, 1] = np.eye(len(cells) + 2)[treasure]
    rewards[corner, 1] += 1.0
    terminal = np.arange(len(cells) + 2) >= ground
    _ends(transitions, terminal)
    names = ("S", *"." * len(cells), "G")
    positions = np.array([*cells, (size, 0), (size, size)])
    return FiniteMDP(transitions, rewards, np.eye(len(cells) + 2)[0], discount, terminal, names, positions)


def sticky_corridor(length=8, stick=0.25, discount=0.9):
    """A corridor with sticky actions: with chance `stick` the last move is made again, whatever the action.

    So a state is a cell and the last move made (row 0 of the drawing: left; row 1: right); who sees the cell alone sees
    no Markov process. `left` (action 0) stops at the wall of cell 0, where episodes start after a move to the left;
    `right` (action 1) pays 1 on arrival in the goal, cell length - 1, d = length - 1 moves away.

        after a right move, k moves away:  v* = gamma^(k-1)
        at the start:                      v* = (1 - stick) gamma^(d-1) / (1 - stick gamma)

    Sticky actions: Machado et al. (2018), section 5. Args: length: an integer of at least 2; stick in [0, 1]; discount
    inside (0, 1). Returns: FiniteMDP with 2 (length - 1) + 1 states. Raises: ValueError for other values.
    """
    length, stick = _at_least_two("length", length), checks.probability("stick", stick)
    if stick.ndim:
        checks.fail("stick", stick, "one number")
    cells = length - 1
    goal = 2 * cells  # states: cells after a left move, cells after a right move, the goal
    transitions, rewards = np.zeros((goal + 1, 2, goal + 1)), np.zeros((goal + 1, 2))
    for state in range(goal):
        last, cell = divmod(state, cells)
        ends = (max(cell - 1, 0), cells + cell + 1)  # after left, after right; the last of these is the goal
        for action in range(2):
            transitions[state, action, ends[action]] += 1 - stick
            transitions[state, action, ends[last]] += stick
    terminal = np.arange(goal + 1) == goal
    _ends(transitions, terminal)
    rewards[:-1] = transitions[:-1, :, goal]
    names = ("S", *"." * (goal - 1), "G")
    positions = np.array([divmod(state, cells) for state in range(goal)] + [(1, cells)])
    return FiniteMDP(transitions, rewards, np.eye(goal + 1)[0], discount, terminal, names, positions)


def combination_lock(length=8, actions=4, seed=0, discount=0.9):
    """A combination lock: one right action in each of `length` states, any other one leads back to the first.

    The last right action pays 1 and opens the lock, G. The combination is drawn from the seed.

        v*(k right actions away) = gamma^(k-1);   at random it takes A (A^length - 1) / (A - 1) steps on average

    Args: length: a positive integer; actions: an integer of at least 2; seed; discount inside (0, 1).
    Returns: FiniteMDP with length + 1 states. Raises: ValueError for other values.
    """
    length, actions = checks.positive_int("length", length), _at_least_two("actions", actions)
    combination = np.random.default_rng(checks.seed(seed)).integers(actions, size=length)
    places = np.arange(length)
    transitions, rewards = np.zeros((length + 1, actions, length + 1)), np.zeros((length + 1, actions))
    transitions[:, :, 0] = 1.0
    transitions[places, combination, 0] = 0.0
    transitions[places, combination, places + 1] = 1.0
    rewards[length - 1, combination[-1]] = 1.0
    terminal = np.arange(length + 1) == length
    _ends(transitions, terminal)
    names, positions = ("S", *"." * (length - 1), "G"), np.stack([np.zeros(length + 1), np.arange(length + 1)], axis=1)
    return FiniteMDP(transitions, rewards, np.eye(length + 1)[0], discount, terminal, names, positions)


def random_mdp(states=20, actions=4, branching=3, seed=0, discount=0.9):
    """A Garnet: a random MDP where each (state, action) leads to `branching` states, drawn without replacement.

    Their chances are the gaps of uniform cuts of [0, 1], a flat Dirichlet; rewards are N(0, 1) for each (s, a); each
    state starts equally often, and none is terminal. No names or positions: there is nothing to draw, and no optimum
    but by solving. Archibald, McKinnon and Thomas (1995).

    Args: states, actions: positive integers; branching: from 1 to states; seed; discount inside (0, 1).
    Returns: FiniteMDP. Raises: ValueError for other values.
    """
    states, actions = checks.positive_int("states", states), checks.positive_int("actions", actions)
    if checks.positive_int("branching", branching) > states:
        checks.fail("branching", branching, f"at most {states}, the number of states")
    rng = np.random.default_rng(checks.seed(seed))
    ends = rng.random((states, actions, states)).argsort(axis=2)[..., :branching]
    transitions = np.zeros((states, actions, states))
    cuts = np.sort(rng.random((states, actions, branching - 1)), axis=2)
    np.put_along_axis(transitions, ends, np.diff(cuts, prepend=0.0, append=1.0), axis=2)
    rewards = rng.standard_normal((states, actions))
    return FiniteMDP(transitions, rewards, np.full(states, 1 / states), discount, np.zeros(states, dtype=bool))
