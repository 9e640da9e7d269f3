"""The button grid: walk onto every button, and onto none twice.

    actions: 0 waits, 1 up, 2 left, 3 down, 4 right; who walks against the edge stays
    whoever steps onto a button toggles it, on or off; all are off at the start
    in a state where all are on, the next action is paid 1 and ends the episode

Places of the buttons and of the player are drawn anew for each episode. Young, Ramesh, Kirsch and Schmidhuber 2022
(2211.02222) and their code. Departure: the episode ends with the reward; theirs goes on with another grid.
"""

import functools

import numpy as np
from scipy.special import ndtri

from rlkit import checks
from rlkit.envs.behaviours import QUALITIES, slipping

MOVES = np.array([[0, 0], [-1, 0], [0, -1], [1, 0], [0, 1]])  # rows, columns
SLIPS = dict(zip(QUALITIES, (1.0, 0.75, 0.0), strict=True))  # shares of random actions


class ButtonGrid:
    """A size x size grid with n buttons as a Simulator (see simulator.py).

    States and observations are bits, [B, 3 size^2]: where the player is, which cells are buttons that are on, and which
    are buttons that are off. size: at least 2. buttons: n. spontaneous: whether all buttons go on by themselves with
    probability 1 / (10 size^2) in each step. Attribute parents [O + 1, O + 5], bool: which inputs (bits, then actions
    as one-hot) decide each next bit and, in the last row, the reward. Raises ValueError for other sizes.
    """

    name, action_size, actions, horizon = "button-grid", None, len(MOVES), 25

    def __init__(self, size=4, buttons=2, spontaneous=True):
        self.size, self.buttons = checks.positive_int("size", size), checks.positive_int("buttons", buttons)
        if size < 2:
            checks.fail("size", size, "at least 2")
        if buttons > size**2:
            checks.fail("buttons", buttons, f"at most size^2={size**2}")
        self.cells = size**2
        self.observation_size, self.noise_size, self.bounds = 3 * self.cells, 1 if spontaneous else 0, (0.0, 1.0)
        what = ("player", "button on", "button off")
        self.labels = tuple(
            f"{w}, row {c // size}, column {c % size} (0 or 1)" for w in what for c in range(self.cells)
        )
        place = np.stack(np.divmod(np.arange(self.cells), size), 1)  # [C, 2]
        near = np.abs(place[:, None] - place).sum(-1) <= 1  # [C, C]
        own, none, any_move = np.eye(self.cells, dtype=bool), np.zeros_like(near), np.ones((self.cells, 5), bool)
        player, button = np.hstack([near, none, none, any_move]), np.hstack([near, own, own, any_move])
        reward = np.repeat([False, True, False], [2 * self.cells, self.cells, len(MOVES)])
        self.parents = np.vstack([player, button, button, reward])
        self._event = ndtri(0.1 / self.cells)

    def start(self, rng, count):
        states = np.zeros((count, 3, self.cells))
        states[np.arange(count), 0, rng.integers(self.cells, size=count)] = 1.0
        spots = rng.permuted(np.tile(np.arange(self.cells), (count, 1)), axis=1)[:, : self.buttons]
        states[np.arange(count)[:, None], 2, spots] = 1.0
        return states.reshape(count, -1)

    def observe(self, states):
        return states.astype(np.float32)

    def place(self, observations):
        return observations.astype(float)

    def step(self, states, actions, noise):
        """One step: states [B, O], actions [B], noise [B, noise_size] -> (next states, rewards [B], terminated [B])."""
        player, on, off = states.reshape(len(states), 3, -1).transpose(1, 0, 2).copy()
        done, rows = ~off.any(axis=1), np.arange(len(states))
        here = player.argmax(axis=1)
        there = leads_of(self.size)[here, actions]
        moved = here != there
        on[rows, there], off[rows, there] = (
            np.where(moved, off[rows, there], on[rows, there]),
            np.where(moved, on[rows, there], off[rows, there]),
        )
        if self.noise_size:
            event = noise[:, 0] < self._event
            on[event], off[event] = on[event] + off[event], 0.0
        player[:] = 0.0
        player[rows, there] = 1.0
        return np.concatenate([player, on, off], axis=1), done.astype(float), done


@functools.cache
def leads_of(size):
    """The cell [C, 5] that each action leads to from each cell."""
    place = np.stack(np.divmod(np.arange(size**2), size), 1)
    return (place[:, None] + MOVES).clip(0, size - 1) @ [size, 1]


@functools.cache
def distances(size, spots):
    """The fewest moves [2^n, C] to all buttons on, by what is on (bit k for spots[k]) and the player's cell."""
    leads, cells, n = leads_of(size), np.arange(size**2), len(spots)
    toggle = np.array([1 << spots.index(c) if c in spots else 0 for c in cells])  # of stepping onto each cell
    moves, sets = leads[:, 1:], np.arange(1 << n)[:, None, None]
    after = np.where(moves != cells[:, None], sets ^ toggle[moves], sets)  # [2^n, C, 4]
    found = np.full((1 << n, size**2), np.inf)
    found[-1] = 0
    while True:
        better = np.minimum(found, 1 + found[after, moves[None]].min(-1))
        if (better == found).all():
            return found
        found = better


def quickest(observations):
    """The move [B] that begins a shortest way to all buttons on; 0 where all are on."""
    cells = observations.shape[1] // 3
    size, actions = round(cells**0.5), np.zeros(len(observations), int)
    for row, (player, on, off) in enumerate(observations.reshape(-1, 3, cells)):
        spots = tuple(np.flatnonzero(on + off).tolist())
        here, lit = int(player.argmax()), sum(1 << k for k, c in enumerate(spots) if on[c])
        if off.any():
            there = leads_of(size)[here]
            lits = [lit ^ (1 << spots.index(c)) if c != here and c in spots else lit for c in there.tolist()]
            actions[row] = distances(size, spots)[lits, there].argmin()
    return actions


def behaviour(quality):
    """The factory of the behaviour policy of a quality: "expert" takes a shortest way, "random" draws each action,
    "medium" is the expert with 75 % random actions."""
    return slipping(quickest, len(MOVES), SLIPS[quality])
