"""The zoo: optimal values against their closed forms, and what makes each world hard."""

import numpy as np
import pytest

from rlkit import mdps


def optimum(world):
    return float(world.start @ mdps.value_iteration(world, tolerance=1e-12)[0])


def uniform(world):
    return np.full(world.rewards.shape, 1 / world.actions)


@pytest.mark.parametrize("size", [2, 5, 10, 30])
def test_deep_sea_pays_for_right_moves_alone(size):
    world = mdps.deep_sea(size)
    costs = 0.01 / size * (1 - 0.99**size) / 0.01
    assert optimum(world) == pytest.approx(0.99 ** (size - 1) - costs, abs=1e-12)
    right = np.tile([0.0, 1.0], (world.states, 1))
    assert mdps.expected_return(world, right, horizon=size) == pytest.approx(0.99, abs=1e-12)
    assert world.states == size * (size + 1) // 2 + 2
    treasure = np.linalg.matrix_power(world.transitions.mean(axis=1), size)[0, world.names.index("G")]
    assert treasure == pytest.approx(0.5**size, rel=1e-12)


def test_deep_sea_is_left_alone_when_the_treasure_is_too_far():
    world = mdps.deep_sea(10, discount=0.3)
    assert optimum(world) == 0
    assert mdps.greedy(mdps.value_iteration(world)[1])[0].tolist() == [1, 0]


def test_deep_sea_by_hand():
    """Size 2: cells (0, 0), (1, 0), (1, 1), ground, treasure."""
    world = mdps.deep_sea(2)
    assert world.transitions.argmax(axis=2).tolist() == [[1, 2], [3, 3], [3, 4], [3, 3], [4, 4]]
    assert np.allclose(world.rewards, [[0, -0.005], [0, -0.005], [0, 0.995], [0, 0], [0, 0]])
    assert world.positions.tolist() == [[0, 0], [1, 0], [1, 1], [2, 0], [2, 2]]
    assert world.names == ("S", ".", ".", ".", "G")


@pytest.mark.parametrize("length", [2, 3, 8])
@pytest.mark.parametrize("stick", [0.0, 0.25, 0.9, 1.0])
def test_sticky_corridor_in_closed_form(length, stick):
    world, d = mdps.sticky_corridor(length, stick), length - 1
    values = mdps.value_iteration(world, tolerance=1e-12)[0]
    assert values[0] == pytest.approx((1 - stick) * 0.9 ** (d - 1) / (1 - stick * 0.9), abs=1e-12)
    assert np.allclose(values[d:-1], 0.9 ** np.arange(d - 1, -1, -1.0), rtol=0, atol=1e-12)


def test_sticky_corridor_remembers_the_last_move():
    """The same cell and action lead elsewhere after another move, with the chances of the words."""
    world = mdps.sticky_corridor(4, 0.25)
    at = {(row, column): state for state, (row, column) in enumerate(world.positions.astype(int).tolist())}
    after_left, after_right = at[0, 1], at[1, 1]
    for action, chance in ((0, 1.0), (1, 0.25)):
        assert world.transitions[after_left, action, at[0, 0]] == chance
    for action, chance in ((0, 0.25), (1, 1.0)):
        assert world.transitions[after_right, action, at[1, 2]] == chance
    assert world.transitions[at[1, 2], 0, world.names.index("G")] == world.rewards[at[1, 2], 0] == 0.25
    assert world.names[at[1, 3]] == "G" and world.start[at[0, 0]] == 1


def test_combination_lock_in_closed_form():
    """At random the time T to open has E z^T = p^n z^n (1 - p z) / (1 - z + (1 - p) p^n z^(n+1)), and the value is
    E g^(T - 1); Feller (1968), XIII.7, on runs of successes."""
    for length, actions in ((1, 2), (3, 2), (8, 4)):
        world = mdps.combination_lock(length, actions, seed=1)
        values = mdps.value_iteration(world, tolerance=1e-12)[0]
        assert np.allclose(values[:-1], 0.9 ** np.arange(length - 1, -1, -1.0), rtol=0, atol=1e-12)
        assert ((world.transitions.argmax(axis=2) > 0).sum(axis=1)[:-1] == 1).all(), "one right action in each state"
        p, z, n = 1 / actions, 0.9, length
        run = p**n * z**n * (1 - p * z) / (1 - z + (1 - p) * p**n * z ** (n + 1))
        assert mdps.expected_return(world, uniform(world)) == pytest.approx(run / z, rel=1e-9)
        chain = world.transitions.mean(axis=1)[:-1, :-1]
        steps = np.linalg.solve(np.eye(length) - chain, np.ones(length))[0]
        assert steps == pytest.approx(actions * (actions**length - 1) / (actions - 1), rel=1e-9)


def test_the_seed_is_the_combination():
    one, same, other = (mdps.combination_lock(8, 4, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.transitions, same.transitions)
    assert not np.array_equal(one.transitions, other.transitions)
    digits = mdps.combination_lock(400, 4, seed=0).transitions[np.arange(400), :, np.arange(1, 401)].sum(axis=0)
    assert digits.sum() == 400 and abs(digits - 100).max() < 40, "each action is right equally often"


def test_a_garnet_has_as_many_branches_as_asked_for():
    world = mdps.random_mdp(30, 5, branching=4, seed=2)
    assert ((world.transitions > 0).sum(axis=2) == 4).all()
    assert np.array_equal(world.transitions, mdps.random_mdp(30, 5, branching=4, seed=2).transitions)
    assert not np.array_equal(world.rewards, mdps.random_mdp(30, 5, branching=4, seed=3).rewards)
    assert set(mdps.random_mdp(6, 2, branching=1).transitions.ravel()) == {0.0, 1.0}
    many = mdps.random_mdp(40, 40, branching=2, seed=0)
    chances, reached = many.transitions[many.transitions > 0], (many.transitions > 0).sum(axis=(0, 1))
    assert abs((chances < 0.25).mean() - 0.25) < 0.03, "a cut at random: uniform chances"
    assert abs(reached - 80).max() < 5 * 80**0.5, "each state is reached equally often: 3,200 ends over 40 states"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mdps.deep_sea(1), "size=1: must be at least 2"),
        (lambda: mdps.deep_sea(2.5), r"size=2\.5: must be a positive integer"),
        (lambda: mdps.deep_sea(discount=1), "discount=1: must be above 0 and below 1"),
        (lambda: mdps.sticky_corridor(1), "length=1: must be at least 2"),
        (lambda: mdps.sticky_corridor(stick=1.5), r"stick=1\.5: must be in \[0, 1\]"),
        (lambda: mdps.sticky_corridor(stick=[0.1, 0.2]), "stick=array.*: must be one number"),
        (lambda: mdps.combination_lock(0), "length=0: must be a positive integer"),
        (lambda: mdps.combination_lock(actions=1), "actions=1: must be at least 2"),
        (lambda: mdps.combination_lock(seed=-1), "seed=-1: must be an integer of at least 0"),
        (lambda: mdps.random_mdp(3, branching=4), "branching=4: must be at most 3, the number of states"),
        (lambda: mdps.random_mdp(states=0), "states=0: must be a positive integer"),
    ],
)
def test_bad_input_is_named_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
