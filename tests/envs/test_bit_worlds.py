"""The pan flute and the button grid: by hand, their optimum by search, and who depends on whom by flipping bits."""

import numpy as np
import pytest

from rlkit import envs
from rlkit.envs import button_grid, pan_flute

QUIET = np.zeros((1, 0))


def test_the_tune_of_three_pipes_by_hand():
    world = envs.simulator("pan-flute", pipes=3, spontaneous=False)
    state, cells, paid = np.zeros((1, 6)), [], []
    for action in (2, 1, 0, 0):  # the longest pipe first: all arrive together
        state, reward, ended = world.step(state, np.array([action]), QUIET)
        cells.append("".join(str(int(c)) for c in world.observe(state)[0]))
        paid.append(reward[0])
        assert not ended.any()
    assert cells == ["000100", "010010", "101001", "100000"] and paid == [0, 0, 0, 1]
    assert world.last.tolist() == [0, 2, 5]


@pytest.mark.parametrize("pipes", [2, 3, 4])
def test_a_tune_takes_n_steps_and_the_expert_plays_the_most_that_fit(pipes):
    """From random starts: the expert's count over 8 steps against a search over all sequences of actions."""
    world = envs.simulator("pan-flute", pipes=pipes, spontaneous=False)
    starts = world.start(np.random.default_rng(0), 40)
    values = {}

    def value(state, left):
        if left == 0:
            return 0.0
        if (state, left) not in values:
            here = np.tile(np.array(state), (pipes, 1))
            after, paid, _ = world.step(here, np.arange(pipes), np.zeros((pipes, 0)))
            values[state, left] = paid[0] + max(value(tuple(s), left - 1) for s in after)
        return values[state, left]

    state, got = starts, np.zeros(40)
    for _ in range(8):
        state, paid, _ = world.step(state, pan_flute.tune(state, pipes), np.zeros((40, 0)))
        got += paid
    assert got.tolist() == [value(tuple(s), 8) for s in starts]


def test_all_pipes_sound_by_themselves_once_in_n_squared_steps():
    world = envs.simulator("pan-flute", pipes=5)
    noise = np.random.default_rng(0).standard_normal((200_000, 1))
    after, _, _ = world.step(np.zeros((200_000, 15)), np.full(200_000, 4), noise)
    assert after[:, world.last].all(axis=1).mean() == pytest.approx(1 / 25, rel=0.03)


def test_the_grid_by_hand():
    world = envs.simulator("button-grid", size=2, buttons=2, spontaneous=False)
    state = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0]], float)  # player top left, buttons top right, bottom left
    seen = []
    for action in (2, 4, 1, 2, 3, 0):  # against the edge, right, against the edge, left, down, wait
        state, reward, ended = world.step(state, np.array([action]), QUIET)
        seen.append((*np.flatnonzero(state[0]).tolist(), reward[0], ended[0]))
    on_right, all_on = (1, 5, 10, 0.0, False), (2, 5, 6, 0.0, False)
    assert seen[:3] == [(0, 9, 10, 0.0, False), on_right, on_right]
    assert seen[3:] == [(0, 5, 10, 0.0, False), all_on, (2, 5, 6, 1.0, True)]


def test_a_button_toggles_and_each_start_is_a_grid():
    world = envs.simulator("button-grid", size=3, buttons=3)
    states = world.start(np.random.default_rng(0), 500).reshape(500, 3, 9)
    assert (states.sum(-1) == [1, 0, 3]).all() and len(np.unique(states[:, 2], axis=0)) == 84  # all of 9 over 3
    two = envs.simulator("button-grid", size=2, buttons=1, spontaneous=False)
    state = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]], float)
    for action, on in ((4, True), (2, True), (4, False)):
        state, _, _ = two.step(state, np.array([action]), QUIET)
        assert bool(state[0, 4:8].any()) is on


def test_the_expert_takes_the_fewest_moves():
    """Breadth-first from the start, with the simulator's own step."""
    world = envs.simulator("button-grid", size=3, buttons=2, spontaneous=False)
    for start in world.start(np.random.default_rng(1), 20):
        front, depth = {tuple(start)}, 0
        while not any(not np.any(s[18:]) for s in front):
            rows = np.repeat(np.array(sorted(front)), 5, axis=0)
            front, depth = {tuple(s) for s in world.step(rows, np.tile(np.arange(5), len(front)), QUIET)[0]}, depth + 1
        state, taken = start[None], 0
        while state[0, 18:].any():
            state, _, _ = world.step(state, button_grid.quickest(state), QUIET)
            taken += 1
        assert taken == depth


@pytest.mark.parametrize("name", ["pan-flute", "button-grid"])
def test_nothing_but_parents_decides_a_bit(name):
    """Change one input that is no parent: the bit stays. Each parent changes its bit somewhere."""
    world = envs.simulator(name, spontaneous=False)
    played = envs.rollout(world, envs.behaviour(world, "medium"), np.random.default_rng(0), 60)
    states, o = played.observations[:, :-1].reshape(-1, world.observation_size), world.observation_size
    decided = np.zeros_like(world.parents)
    for action in range(world.actions):
        actions = np.full(len(states), action)
        after, paid, _ = world.step(states.astype(float), actions, np.zeros((len(states), 0)))
        outputs = np.c_[after, paid]
        for column in range(o):
            if name == "button-grid" and column < world.cells:
                continue  # a player in two places or in none is no state; moved below
            other = states.astype(float)
            other[:, column] = 1 - other[:, column]
            after, paid, _ = world.step(other, actions, np.zeros((len(states), 0)))
            decided[:, column] |= (np.c_[after, paid] != outputs).any(axis=0)
        for more in range(world.actions):
            after, paid, _ = world.step(states.astype(float), np.full(len(states), more), np.zeros((len(states), 0)))
            changed = (np.c_[after, paid] != outputs).any(axis=0)
            decided[:, o + action] |= changed & world.parents[:, o + action]
            assert not (changed & ~(world.parents[:, o + action] | world.parents[:, o + more])).any()
    assert not (decided & ~world.parents).any()
    skip = world.cells if name == "button-grid" else 0
    assert (decided == world.parents)[:, skip:o].all() and (decided == world.parents)[:, o:].all()


def test_a_player_far_away_decides_nothing():
    world = envs.simulator("button-grid", spontaneous=False)
    states = world.start(np.random.default_rng(0), 300)
    for action in range(5):
        after, _, _ = world.step(states, np.full(300, action), np.zeros((300, 0)))
        changed = after != states
        here = states[:, :16].argmax(axis=1)
        for row, cell in enumerate(here):
            assert world.parents[:-1, cell][changed[row]].all()


@pytest.mark.parametrize("name", ["pan-flute", "button-grid"])
def test_references_are_in_order_and_states_are_told_by_what_is_seen(name):
    world = envs.simulator(name)
    found = envs.references(world)
    share = (found["medium"] - found["random"]) / (found["expert"] - found["random"])
    assert found["expert"] > found["random"] + 0.3 and 0.35 < share < 0.75
    states = world.start(np.random.default_rng(0), 9)
    assert (world.place(world.observe(states)) == states).all()


@pytest.mark.parametrize(
    ("name", "options", "line"),
    [
        ("pan-flute", {"pipes": 1}, "pipes=1: must be at least 2"),
        ("pan-flute", {"pipes": 2.5}, "pipes=2.5: must be a positive integer"),
        ("button-grid", {"size": 1}, "size=1: must be at least 2"),
        ("button-grid", {"size": 2, "buttons": 5}, r"buttons=5: must be at most size\^2=4"),
    ],
)
def test_bad_sizes_are_refused_in_one_line(name, options, line):
    with pytest.raises(ValueError, match=f"^{line}$"):
        envs.simulator(name, **options)
