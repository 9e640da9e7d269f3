"""The simulation lemma: never violated, attained where it can be, and by hand."""

from dataclasses import replace

import numpy as np
import pytest

from rlkit import mdps


def wrong(world, rng, share):
    """The world mixed with another random one: a model whose rows and rewards are off by up to about `share`."""
    other = rng.dirichlet(np.ones(world.states), size=world.rewards.shape)
    rewards = world.rewards + share * rng.standard_normal(world.rewards.shape)
    return replace(world, transitions=(1 - share) * world.transitions + share * other, rewards=rewards)


def cases(count):
    for seed in range(count):
        rng = np.random.default_rng(seed)
        states, actions = rng.integers(2, 12), rng.integers(1, 5)
        world = mdps.random_mdp(
            states, actions, rng.integers(1, states + 1), seed, discount=rng.choice([0.3, 0.9, 0.99])
        )
        yield world, wrong(world, rng, rng.choice([0.001, 0.1, 1.0])), rng.dirichlet(np.ones(actions), size=states)


def two_states(to_first, rewards=((1.0,), (0.0,)), discount=0.9):
    """One action; from each state to state 0 with the given chances."""
    table = np.stack([to_first, 1 - np.asarray(to_first)], axis=1)[:, None]
    return mdps.FiniteMDP(table, rewards, np.array([1.0, 0.0]), discount, np.zeros(2))


ONE = np.ones((2, 1))


def test_the_bounds_hold_in_200_random_worlds():
    tight = []
    for world, model, policy in cases(200):
        found = mdps.simulation_gap(world, model, policy)
        assert found.gap <= found.bound * (1 + 1e-9) and found.bound <= found.worst_case
        exact = mdps.expected_return(world, policy) - mdps.expected_return(model, policy)
        assert found.gap == pytest.approx(abs(exact), abs=1e-12)
        back = mdps.simulation_gap(model, world, policy)
        assert back == pytest.approx(found), "world and model may change places"
        tight.append(found.gap / found.bound)
    assert 0.2 < max(tight) <= 1


def test_the_distance_of_states_is_bounded_in_200_random_worlds():
    for world, model, policy in cases(200):
        distance, bound = mdps.compounding(world, model, policy, 15)
        epsilon = bound[0]
        assert (distance <= bound + 1e-12).all() and (distance <= 1 - (1 - epsilon) ** np.arange(1, 16) + 1e-12).all()
        assert np.allclose(bound, epsilon * np.arange(1, 16))


def test_the_right_model_has_no_gap():
    for world in (mdps.maze("risky"), mdps.sticky_corridor(), mdps.random_mdp()):
        policy = np.full(world.rewards.shape, 1 / world.actions)
        assert mdps.simulation_gap(world, world, policy) == (0, 0, 0, 0, 0)
        distance, bound = mdps.compounding(world, world, policy, 5)
        assert not distance.any() and not bound.any()


def test_two_states_by_hand():
    """State 0 pays 1 and stays for ever; the model leaks to state 1, unpaid and without return, with chance 0.1.

    J = 1 / 0.1 = 10 and Jhat = 1 / (1 - 0.9 * 0.9) = 100 / 19. eps_p = 0.2; span(V) = min(10, 100 / 19).
    """
    world, model = two_states([1.0, 0.0]), two_states([0.9, 0.0])
    found = mdps.simulation_gap(world, model, ONE)
    assert found.gap == pytest.approx(10 - 100 / 19)
    assert (found.reward_error, found.transition_error) == (0, pytest.approx(0.2))
    assert found.bound == pytest.approx(0.9 * 0.2 * (100 / 19) / (2 * 0.1))
    assert found.gap == pytest.approx(found.bound), "the lemma is attained"
    assert found.worst_case == pytest.approx(0.9 * 0.2 / (2 * 0.1**2))
    distance, bound = mdps.compounding(world, model, ONE, 4)
    assert np.allclose(distance, 1 - 0.9 ** np.arange(1, 5)), "the coupling is attained"
    assert np.allclose(bound, [0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("shift", [0.3, 1e-3])
def test_errors_of_both_kinds_are_attained_together(shift):
    """Each state leads to state 0 with chance 0.6, in the model with 0.6 - shift, and the model pays 0.5 too little:
    each later step is worth 0.5 + shift less, the first one 0.5."""
    world = two_states([0.6, 0.6])
    model = two_states([0.6 - shift, 0.6 - shift], rewards=((0.5,), (-0.5,)))
    found = mdps.simulation_gap(world, model, ONE)
    assert found.gap == pytest.approx(0.5 / 0.1 + shift * 0.9 / 0.1, rel=1e-12)
    assert found.gap == pytest.approx(found.bound, rel=1e-9)


def test_even_the_worst_case_is_approached():
    """The leaking state, with a leak that goes to 0: gap / worst_case = (1 - g) / (1 - g + g leak)."""
    for leak in (0.1, 1e-2, 1e-4, 1e-6):
        found = mdps.simulation_gap(two_states([1.0, 0.0]), two_states([1 - leak, 0.0]), ONE)
        assert found.gap / found.worst_case == pytest.approx(0.1 / (0.1 + 0.9 * leak), rel=1e-6)


def test_compounding_discounted_is_the_worst_case():
    """sum over t of gamma^t t eps_tv span(r) = gamma eps_p span(r) / (2 (1 - gamma)^2)."""
    world = mdps.sticky_corridor()
    model = replace(mdps.sticky_corridor(stick=0.5), rewards=world.rewards)
    policy = np.full(world.rewards.shape, 0.5)
    distance, bound = mdps.compounding(world, model, policy, 1_000)
    weights = 0.9 ** np.arange(1, 1_001) * np.ptp(world.rewards)
    found = mdps.simulation_gap(world, model, policy)
    assert weights @ bound == pytest.approx(found.worst_case, rel=1e-12)
    assert found.gap <= weights @ distance <= found.worst_case


def test_a_hundred_times_the_data_is_a_tenth_of_the_gap():
    """Means over 30 batches of 200 and of 20,000 transitions: both errors fall like 1 / sqrt(n)."""
    world = mdps.random_mdp(10, 2, branching=3, seed=0)
    policy, weights, rng = np.full((10, 2), 0.5), np.ones((10, 2)), np.random.default_rng(1)
    few, many = (
        np.mean([mdps.simulation_gap(world, mdps.model_of(batch, world)[0], policy) for batch in batches], axis=0)
        for batches in ([mdps.sampled(world, weights, n, rng) for _ in range(30)] for n in (200, 20_000))
    )
    gap, transition_error = mdps.Gap._fields.index("gap"), mdps.Gap._fields.index("transition_error")
    assert 6 < few[gap] / many[gap] < 16
    assert 8 < few[transition_error] / many[transition_error] < 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: mdps.maze("u"), r"model of shape \(11, 4\): must be \(6, 4\), states by actions"),
        (lambda w: replace(w, discount=0.5), r"discount of the model=0\.5: must be 0\.95, as in the world"),
        (lambda w: replace(w, start=np.eye(6)[1]), r"start of the model=\[0\.0, 1\.0, .*: must be that of the world"),
    ],
)
def test_a_model_that_does_not_fit_is_named_in_one_line(change, message):
    world = mdps.maze("corridor")
    policy = np.full((6, 4), 0.25)
    for call in (mdps.simulation_gap, lambda *args: mdps.compounding(*args, 3)):
        with pytest.raises(ValueError, match=message) as caught:
            call(world, change(world), policy)
        assert "\n" not in str(caught.value)


def test_bad_steps_and_policies_are_named():
    world = mdps.maze("corridor")
    with pytest.raises(ValueError, match="steps=0: must be a positive integer"):
        mdps.compounding(world, world, np.full((6, 4), 0.25), 0)
    with pytest.raises(ValueError, match=r"policy of shape \(2, 4\)"):
        mdps.simulation_gap(world, world, np.full((2, 4), 0.25))
