"""Transforms against closed forms: each is pure, seeded, and says in the facts what it did."""

import dataclasses

import numpy as np
import pytest
import torch

from rlkit.offline.dataset import Dataset
from rlkit.offline.transforms import (
    augment,
    corrupt,
    hidden_rows,
    hide_actions,
    relabel,
    relabel_actions,
    return_positive_sided_variance,
    weight,
)
from rlkit.offline.well_formed import ARRAYS


def made(returns=(0.0, 5.0, 10.0), length=4, start=None, seed=0, facts=None):
    """Episodes of these returns, all paid in their last step; first observations at `start` [E, 2]."""
    rng, n = np.random.default_rng(seed), len(returns)
    walk = rng.standard_normal((n, length + 1, 2)).astype(np.float32)
    if start is not None:
        walk[:, 0] = start
    rewards, truncated = np.zeros((n, length)), np.zeros((n, length), bool)
    rewards[:, -1], truncated[:, -1] = returns, True
    return Dataset(
        observations=walk[:, :-1].reshape(-1, 2),
        actions=rng.uniform(-1, 1, (n * length, 1)),
        rewards=rewards.ravel(),
        next_observations=walk[:, 1:].reshape(-1, 2),
        terminated=np.zeros(n * length, bool),
        truncated=truncated.ravel(),
        facts=facts or {},
    )


def numbered(data, actions=4):
    """The same with discrete actions."""
    drawn = np.random.default_rng(9).integers(actions, size=len(data))
    return dataclasses.replace(data, actions=drawn, facts=data.facts | {"actions": actions})


def per_episode(data):
    weights = data.weights.reshape(len(data.episode_ends), -1)
    assert (weights == weights[:, :1]).all(), "each transition has its episode's weight"
    return weights[:, 0] / weights[:, 0].sum()


# Weights


def test_softmax_is_of_minmax_returns_not_of_raw_returns():
    """Regression for weighted_datasets.py of harness-offline-rl, which normalises and then takes softmax of the raw
    returns: one unit at alpha = 0.1 is there a ratio of e^10 = 22,026, whatever the other returns are."""
    share = per_episode(weight(made((0.0, 1.0, 100.0))))
    assert share[1] / share[0] == pytest.approx(np.exp(0.01 / 0.1))
    assert share[2] / share[0] == pytest.approx(np.exp(10))


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_return_weights_in_closed_form(alpha):
    share = per_episode(weight(made((2.0, 4.0, 10.0)), "return", alpha=alpha))
    exact = np.exp(np.array([0, 0.25, 1]) / alpha)
    assert share == pytest.approx(exact / exact.sum(), rel=1e-12)


def test_unit_and_origin_of_returns_do_not_matter():
    plain, other = (weight(made(np.array([1.0, 2.0, 5.0]) * a + b)) for a, b in ((1, 0), (64, -512)))
    assert plain.weights == pytest.approx(other.weights, rel=1e-6)
    flat = weight(made((3.0, 3.0, 3.0)))
    assert flat.weights.tolist() == [1.0] * 12, "equal returns, equal weights"


def test_advantage_weights_take_out_what_the_start_explains():
    """G = 3 x0 - 2 y0 + luck, luck made orthogonal to the line's columns: so the fit leaves exactly the luck."""
    rng = np.random.default_rng(1)
    start = rng.standard_normal((40, 2)).astype(np.float32).astype(float)
    design = np.column_stack([np.ones(40), start])
    luck = rng.standard_normal(40)
    luck -= design @ np.linalg.lstsq(design, luck, rcond=None)[0]
    data = made(100 + 3 * start[:, 0] - 2 * start[:, 1] + luck, start=start)
    exact = np.exp((luck - luck.min()) / (luck.max() - luck.min()) / 0.1)
    assert per_episode(weight(data, "advantage")) == pytest.approx(exact / exact.sum(), rel=1e-3)
    assert np.abs(per_episode(weight(data, "return")) - exact / exact.sum()).max() > 0.01


def test_advantage_weights_with_one_start_are_return_weights():
    data = made((0.0, 2.0, 3.0, 8.0), start=np.ones((4, 2)))
    assert weight(data, "advantage").weights == pytest.approx(weight(data, "return").weights, rel=1e-9)


def test_advantages_that_are_rounding_give_equal_weights():
    data = made((1.0, 7.0, 3.0))  # three episodes, three coefficients: V explains all
    assert weight(data, "advantage").weights.tolist() == [1.0] * 12


def test_top_is_uniform_over_the_best_episodes():
    data = weight(made(np.arange(20.0)[::-1]), "top", top=0.1)
    assert np.unique(data.episode_of[data.weights > 0]).tolist() == [0, 1] and set(data.weights) == {0.0, 1.0}
    tie = weight(made((5.0, 9.0, 9.0)), "top", top=0.4)
    assert np.unique(tie.episode_of[tie.weights > 0]).tolist() == [1], "the earlier of equals, rounded down"
    assert weight(made((5.0, 9.0)), "top", top=0.1).weights.sum() == 4, "at least one"
    assert data.facts["weighted"] == {"kind": "top", "top": 0.1}


def test_return_positive_sided_variance_by_hand():
    assert return_positive_sided_variance(made((0.0, 0.0, 0.0, 8.0))) == 36 / 4
    assert return_positive_sided_variance(made((8.0, 8.0, 8.0, 0.0))) == 3 * 4 / 4


# Corruption


@pytest.mark.parametrize(("what", "name"), [("observations",) * 2, ("actions",) * 2, ("dynamics", "next_observations")])
def test_random_corruption_is_uniform_in_standard_deviations(what, name):
    data = made(np.zeros(2_000), seed=2)
    spoilt = corrupt(data, what, rate=0.3, scale=0.5, seed=7)
    rows = np.array(spoilt.facts["corrupted"][0]["rows"])
    assert len(rows) / len(data) == pytest.approx(0.3, abs=0.02)
    push = (getattr(spoilt, name) - getattr(data, name)) / getattr(data, name).std(axis=0)
    clean = np.setdiff1d(np.arange(len(data)), rows)
    assert not push[clean].any() and push[rows].all(axis=1).mean() > 0.99
    assert np.abs(push).max() <= 0.5 + 1e-4
    assert push[rows].std() == pytest.approx(0.5 / 3**0.5, rel=0.03) and abs(push[rows].mean()) < 0.01
    for other in set(ARRAYS) - {name}:
        assert np.array_equal(getattr(spoilt, other), getattr(data, other))
    record = spoilt.facts["corrupted"][0]
    assert record == {"what": what, "rate": 0.3, "scale": 0.5, "seed": 7, "mode": "random", "rows": rows.tolist()}
    assert spoilt.facts.get("disconnected", False) == (what != "actions")


def test_random_rewards_are_uniform_up_to_the_reward_scale():
    data = made(np.full(1_000, 5.0))
    spoilt = corrupt(data, "rewards", rate=0.5, scale=2.0, seed=0)
    drawn = spoilt.rewards[spoilt.facts["corrupted"][0]["rows"]]
    assert drawn.std() == pytest.approx(60 / 3**0.5, rel=0.05) and 55 < np.abs(drawn).max() <= 60
    small = corrupt(data, "rewards", rate=0.5, scale=2.0, seed=0, reward_scale=3)
    assert np.abs(small.rewards[small.facts["corrupted"][0]["rows"]]).max() <= 6


def test_adversarial_rewards_change_their_sign():
    data = made((1.0, 2.0, 3.0))
    spoilt = corrupt(data, "rewards", rate=1.0, scale=0.5, seed=0, mode="adversarial")
    assert np.array_equal(spoilt.rewards, -0.5 * data.rewards)


def test_random_numbers_for_actions_that_are_numbers():
    data = numbered(made(np.zeros(1_000)))
    spoilt = corrupt(data, "actions", rate=0.4, seed=0)
    rows = spoilt.facts["corrupted"][0]["rows"]
    assert np.bincount(spoilt.actions[rows]) / len(rows) == pytest.approx([0.25] * 4, abs=0.03)


def test_a_larger_rate_spoils_the_same_rows_and_more():
    data = made(np.zeros(200))
    few, many = (corrupt(data, "rewards", rate=rate, seed=3).facts["corrupted"][0]["rows"] for rate in (0.1, 0.5))
    assert set(few) < set(many)
    some, more = (corrupt(data, "observations", rate=rate, seed=3) for rate in (0.1, 0.5))
    assert np.array_equal(some.observations[few], more.observations[few]), "and in the same way"
    again, other = (corrupt(data, "rewards", rate=0.5, seed=seed) for seed in (3, 4))
    assert again.facts["corrupted"][0]["rows"] == many != other.facts["corrupted"][0]["rows"]


def test_corruptions_add_up_in_the_facts_and_the_first_dataset_stays():
    data = made()
    before = {name: getattr(data, name).copy() for name in ARRAYS}
    twice = corrupt(corrupt(data, "rewards", seed=0), "dynamics", seed=1)
    assert [record["what"] for record in twice.facts["corrupted"]] == ["rewards", "dynamics"]
    assert all(np.array_equal(getattr(data, name), before[name]) for name in ARRAYS) and data.facts == {}


@pytest.mark.parametrize("what", ["observations", "actions", "dynamics"])
def test_the_adversary_goes_down_a_linear_critic_to_the_edge_of_the_ball(what):
    """Under a constant gradient each of Adam's 100 steps is 0.01 scale long: from the random start d0, one scale down
    in the direction of the critic, or as far as the edge."""
    data = made(np.zeros(100), seed=4)
    w = torch.tensor([2.0, -1.0])
    critic = lambda o, a: a[:, 0] if what == "actions" else o @ w  # noqa: E731
    name = {"dynamics": "next_observations"}.get(what, what)
    spoilt = corrupt(data, what, rate=1.0, scale=0.5, seed=5, mode="adversarial", critic=critic)
    random = corrupt(data, what, rate=1.0, scale=0.5, seed=5)
    std = getattr(data, name).std(axis=0)
    push, first = ((getattr(d, name) - getattr(data, name)) / std for d in (spoilt, random))
    sign = np.array([1.0]) if what == "actions" else np.sign(w.numpy())
    assert sign * push == pytest.approx(np.maximum(sign * first - 0.5, -0.5), abs=2e-3)


def test_the_adversary_of_dynamics_sees_the_next_action_of_the_data():
    data, seen = made(np.zeros(3)), []
    critic = lambda o, a: (seen.append(a), o.sum(dim=1))[1]  # noqa: E731
    corrupt(data, "dynamics", rate=1.0, seed=0, mode="adversarial", critic=critic)
    expected = data.actions[[1, 2, 3, 3, 5, 6, 7, 7, 9, 10, 11, 11]]
    assert np.array_equal(seen[0].numpy(), expected) and len(seen) == 100


def test_the_adversary_leaves_the_critic_alone_and_rows_apart():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    critic = lambda o, a: net(torch.cat([o, a], dim=1))[:, 0]  # noqa: E731
    data = made(np.zeros(20), seed=6)
    spoilt = corrupt(data, "observations", rate=0.5, seed=1, mode="adversarial", critic=critic)
    assert all(p.grad is None for p in net.parameters())
    value = lambda d: critic(torch.from_numpy(d.observations), torch.from_numpy(d.actions)).detach().numpy()  # noqa: E731
    random = corrupt(data, "observations", rate=0.5, seed=1)
    rows = spoilt.facts["corrupted"][0]["rows"]
    assert (value(spoilt)[rows] < value(random)[rows] + 1e-6).mean() > 0.95 and value(spoilt).mean() < value(
        data
    ).mean()
    every = corrupt(data, "observations", rate=1.0, seed=1, mode="adversarial", critic=critic)
    assert every.observations[rows] == pytest.approx(spoilt.observations[rows], abs=1e-3), "no row feels another"


# Actions, rewards, noise


def test_hidden_actions_are_gone_and_come_back_by_relabelling():
    data = made()
    hidden = hide_actions(data, [0, 2])
    assert np.isnan(hidden.actions).ravel().tolist() == [True] * 4 + [False] * 4 + [True] * 4
    assert hidden.facts == {"hidden_actions": True, "episode_hidden": [True, False, True]}
    assert hide_actions(hidden, np.array([False, True, False])).facts["episode_hidden"] == [True] * 3
    filled = np.where(hidden_rows(hidden)[:, None], 0.5, hidden.actions)
    again = relabel_actions(hidden, filled)
    assert again.actions[:4].tolist() == [[0.5]] * 4 and np.array_equal(again.actions[4:8], data.actions[4:8])
    assert not again.facts["hidden_actions"] and again.facts["relabelled"] == ["actions"]
    with pytest.raises(ValueError, match=r"actions\[episode 0, step 0\]=nan: must be finite"):
        relabel_actions(hidden, hidden.actions)


def test_hidden_numbers_are_minus_one():
    data = hide_actions(numbered(made()), [1])
    assert hidden_rows(data).tolist() == [False] * 4 + [True] * 4 + [False] * 4
    assert data.actions[4:8].tolist() == [-1] * 4 and data.episodes([0, 2]).facts["episode_hidden"] == [False, False]


def test_other_rewards_from_an_array_or_a_function():
    data = made(facts={"expert_return": 9.0})
    paid = relabel(data, lambda o, a, n: np.linalg.norm(n - o, axis=1) + a[:, 0])
    moved = np.linalg.norm(data.next_observations - data.observations, axis=1)
    assert paid.rewards == pytest.approx(moved + data.actions[:, 0])
    assert relabel(data, np.ones(12)).returns.tolist() == [4, 4, 4]
    assert paid.facts == {"expert_return": 9.0, "relabelled": ["rewards"]}
    with pytest.raises(ValueError, match=r"rewards\[episode 1, step 0\]=nan: must be finite"):
        relabel(data, np.where(np.arange(12) == 4, np.nan, 0))
    with pytest.raises(ValueError, match=r"rewards.shape, rewards.dtype=\(\(3,\), 'float64'\)"):
        relabel(data, np.ones(3))


def test_augmented_observations_keep_their_displacement():
    data = made(np.zeros(1_000), seed=3)
    blurred = augment(data, 0.1, seed=2)
    e = blurred.observations - data.observations
    assert e.std(axis=0) == pytest.approx(0.1 * data.observations.std(axis=0), rel=0.05)
    assert blurred.next_observations - data.next_observations == pytest.approx(e, abs=1e-5)
    assert blurred.facts == {"augmented": {"noise": 0.1, "seed": 2}, "disconnected": True}
    assert np.array_equal(augment(data, 0, seed=2).observations, data.observations)
    assert np.array_equal(augment(data, 0.1, seed=2).observations, blurred.observations)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: weight(d, "best"), "kind='best': must be one of 'return', 'advantage', 'top'"),
        (lambda d: weight(d, alpha=0), "alpha=0: must be a finite number above 0"),
        (lambda d: weight(d, "top", top=1.5), r"top=1.5: must be in \(0, 1\]"),
        (lambda d: corrupt(d, "states", seed=0), "what='states': must be one of 'observations', 'actions', 'rewards'"),
        (lambda d: corrupt(d, "rewards", rate=2, seed=0), r"rate=2.0: must be in \[0, 1\]"),
        (lambda d: corrupt(d, "rewards", scale=0, seed=0), "scale=0: must be a finite number above 0"),
        (lambda d: corrupt(d, "rewards", seed=0.5), "seed=0.5: must be an integer of at least 0"),
        (lambda d: corrupt(d, "rewards", seed=0, mode="bad"), "mode='bad': must be one of 'random', 'adversarial'"),
        (
            lambda d: corrupt(d, "actions", seed=0, mode="adversarial"),
            "critic=None: must be a function of observations",
        ),
        (lambda d: corrupt(hide_actions(d, [0]), "actions", seed=0), "what='actions': must be another one: some rows"),
        (
            lambda d: corrupt(numbered(d), "actions", seed=0, mode="adversarial", critic=lambda o, a: o),
            "mode='adversarial': must be 'random' for actions that are numbers",
        ),
        (lambda d: hide_actions(d, [3]), r"episodes=\[3\]: must be episodes of 0 to 2, or one bool for each"),
        (lambda d: hide_actions(d, [True]), r"episodes=\[True\]: must be episodes of 0 to 2, or one bool for each"),
        (lambda d: relabel_actions(d, np.zeros(12)), r"actions.shape=\(12,\): must be \(12, 1\)"),
        (lambda d: augment(d, -1, seed=0), "noise=-1: must be at least 0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call(made())
    assert "\n" not in str(error.value)
