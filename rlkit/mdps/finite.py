"""A finite Markov decision process as tables: everything that can be asked of it has an exact answer (solve.py)."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rlkit import checks


def _table(name, values, shape, meaning, check=checks.finite):
    """A read-only copy of values; raises ValueError unless it has the shape."""
    array = np.array(check(name, values))
    if array.shape != shape:
        raise ValueError(f"{name} of shape {array.shape}: must be {shape}, {meaning}")
    array.setflags(write=False)
    return array


def check_rows(name, table):
    """Raise ValueError unless each last axis of table [..., K] sums to 1 (to 1e-9), naming the first that does not."""
    total = table.sum(axis=-1)
    bad = np.argwhere(np.abs(total - 1) > 1e-9)
    if len(bad):
        where = ", ".join(str(int(i)) for i in bad[0])
        checks.fail(f"sum of {name}[{where}]" if where else f"sum of {name}", float(total[tuple(bad[0])]), "1")


@dataclass(frozen=True, eq=False, repr=False)
class FiniteMDP:
    """A finite MDP with N states and A actions, checked once and read-only from then on.

    transitions: [N, A, N], the chance P(next | state, action). rewards: [N, A], the expected reward r(state, action).
    start: [N], the chance of each first state. discount: gamma, inside (0, 1). terminal: [N], True where an episode
    ends; such a state leads to itself and pays 0, so that every sum over time is right without a special case.
    names: N short texts, or None; positions: [N, 2] row and column, or None (both for drawing).

    Sutton and Barto (2018), sections 3.1 and 3.4 (absorbing states). Raises: ValueError, one line, for tables that do
    not fit each other, chances that do not sum to 1 (within 1e-9), or a terminal state that moves or pays.
    """

    transitions: np.ndarray
    rewards: np.ndarray
    start: np.ndarray
    discount: float
    terminal: np.ndarray
    names: tuple[str, ...] | None = None
    positions: np.ndarray | None = None

    def __post_init__(self):
        shape = np.shape(self.transitions)
        if len(shape) != 3 or shape[0] != shape[2]:
            raise ValueError(f"transitions of shape {shape}: must be [N, A, N], states by actions by next states")
        states, actions, _ = shape
        put = object.__setattr__
        put(self, "transitions", _table("transitions", self.transitions, shape, "[N, A, N]", checks.probability))
        put(self, "rewards", _table("rewards", self.rewards, (states, actions), "one per state and action"))
        put(self, "start", _table("start", self.start, (states,), "one per state", checks.probability))
        check_rows("transitions", self.transitions)
        check_rows("start", self.start)
        if not 0 < checks.positive("discount", self.discount) < 1:
            checks.fail("discount", self.discount, "above 0 and below 1")
        put(self, "discount", float(self.discount))
        put(self, "terminal", _table("terminal", self.terminal, (states,), "one per state").astype(bool))
        self.terminal.setflags(write=False)
        for state in np.flatnonzero(self.terminal):
            if (self.transitions[state, :, state] != 1).any() or self.rewards[state].any():
                checks.fail("terminal state", int(state), "absorbing: lead to itself with chance 1 and reward 0")
        if self.names is not None:
            put(self, "names", tuple(self.names))
            if len(self.names) != states:
                raise ValueError(f"names of length {len(self.names)}: must be {states}, one per state")
        if self.positions is not None:
            put(self, "positions", _table("positions", self.positions, (states, 2), "row and column of each state"))

    def __repr__(self):
        ends = f"{self.terminal.sum()} terminal"
        return f"FiniteMDP({self.states} states, {self.actions} actions, discount={self.discount}, {ends})"

    @property
    def states(self) -> int:
        """N."""
        return self.rewards.shape[0]

    @property
    def actions(self) -> int:
        """A."""
        return self.rewards.shape[1]

    @cached_property
    def _successors(self):
        """The K next states that can happen [N, A, K] and their cumulative chances [N, A, K]; few, so draws are fast.

        Where fewer than K can happen, the likeliest one is repeated: rounding never reaches an impossible state.
        """
        order = np.argsort(-self.transitions, axis=2, kind="stable")[..., : (self.transitions > 0).sum(axis=2).max()]
        chance = np.take_along_axis(self.transitions, order, axis=2)
        return np.where(chance > 0, order, order[..., :1]), chance.cumsum(axis=2)

    def sample(self, states, actions, uniforms):
        """Next states by inverse CDF: the same uniforms in [0, 1] give the same next states.

        Args: states, actions, uniforms: arrays of one shape. Returns: next states, integers of that shape.
        """
        table, cumulative = self._successors
        which = (uniforms[..., None] >= cumulative[states, actions, :-1]).sum(axis=-1)  # the last takes what is left
        return table[states, actions, which]
