"""Seeds side by side: each row sees its own data and its own random numbers, and learns what it learns alone."""

import dataclasses

import numpy as np
import pytest
import torch

from rlkit import envs, offline
from rlkit.offline import Agent, Rows, bc, iql, td3_bc, transforms
from rlkit.offline.building import build
from rlkit.offline.evaluate import returns, trajectories

LEARNERS = {"bc": bc, "td3_bc": td3_bc, "iql": iql}


@pytest.fixture(scope="module")
def dataset():
    return build("point-maze-u", "medium", 3_000, seed=0)


@pytest.fixture(scope="module")
def other():
    return build("point-maze-u", "random", 2_000, seed=1)


def last(learner):
    return list(learner)[-1].metrics


@pytest.mark.parametrize("name", LEARNERS)
def test_seed_3_of_10_is_seed_3_alone(dataset, name):
    many, one = Agent(), Agent()
    ten = last(LEARNERS[name](dataset, range(10), steps=100, episodes=2, agent=many))
    alone = last(LEARNERS[name](dataset, [3], steps=100, episodes=2, agent=one))
    seen = dataset.observations[:50]
    # IQL's exponential weights make more of a rounding error: 2e-6 where others stay at 1e-7
    np.testing.assert_allclose(many.act(seen)[3], one.act(seen)[0], atol=5e-6 if name == "iql" else 1e-6)
    for metric in set(ten) - {"return", "score"}:
        np.testing.assert_allclose(np.asarray(ten[metric])[3], np.asarray(alone[metric])[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_second_run_gives_the_same_bits(dataset, name):
    first, second = (last(LEARNERS[name](dataset, range(3), steps=60, episodes=2)) for _ in range(2))
    for metric, values in first.items():
        assert np.array_equal(np.asarray(values), np.asarray(second[metric])), metric


def test_conditions_on_the_seed_axis_are_what_each_is_alone(dataset, other):
    mixed = last(td3_bc([dataset, other], [5, 5], steps=80, alpha=[2.5, 0.5], episodes=2))
    for row, (data, alpha) in enumerate(((dataset, 2.5), (other, 0.5))):
        alone = last(td3_bc(data, [5], steps=80, alpha=alpha, episodes=2))
        np.testing.assert_allclose(np.asarray(mixed["q"])[row], np.asarray(alone["q"])[0], rtol=1e-5)
        assert abs(mixed["score"][row] - alone["score"][0]) < 1e-3


def test_batches_hold_the_rows_they_name(dataset, other):
    rows = Rows([dataset, other], [0, 1], batch_size=8, normalise=False)
    for _, batch in rows.batches(3):
        for row, data in enumerate((dataset, other)):
            picked = batch.indices[row]
            assert np.array_equal(batch.observations[row].numpy(), data.observations[picked])
            assert np.array_equal(batch.actions[row].numpy(), data.actions[picked])
            assert np.array_equal(batch.rewards[row].numpy(), data.rewards[picked])
            assert np.array_equal(batch.next_observations[row].numpy(), data.next_observations[picked])
            assert np.array_equal(batch.continues[row].numpy(), ~data.terminated[picked])
            assert np.array_equal(batch.pairs[row, :, -2:].numpy(), data.actions[picked])


def test_a_cut_episode_goes_on_and_a_finished_one_does_not():
    maze = build("maze", "medium", 2_000, seed=0)
    rows = Rows(maze, [0], batch_size=2_000)
    _, batch = next(rows.batches(1))
    picked = batch.indices[0]
    assert maze.terminated[picked].any() and maze.truncated[picked].any()
    assert np.array_equal(batch.continues[0].numpy() == 0, maze.terminated[picked])


def test_weights_say_how_often_a_row_is_drawn(dataset):
    weighted = transforms.weight(dataset, "top", top=0.1)
    rows = Rows(weighted, [0], batch_size=20_000)
    _, batch = next(rows.batches(1))
    counts = np.bincount(batch.indices[0], minlength=len(dataset))
    assert (counts[weighted.weights == 0] == 0).all()
    best = set(np.flatnonzero(dataset.returns >= np.quantile(dataset.returns, 0.9)))
    assert set(dataset.episode_of[counts > 0]) <= best
    kept = counts[weighted.weights > 0]
    assert abs(kept.std() / np.sqrt(kept.mean()) - 1) < 0.15  # as a uniform draw scatters


def test_observations_are_normalised_by_their_own_dataset(dataset, other):
    rows = Rows([dataset, other], [0, 1], batch_size=4_000)
    _, batch = next(rows.batches(1))
    assert float(batch.observations.mean(1).abs().max()) < 0.1
    assert float((batch.observations.std(1) - 1).abs().max()) < 0.1


def test_evaluation_repeats_its_starts_and_counts_what_the_simulator_pays(dataset):
    agent, rows = Agent(), Rows(dataset, range(3), episodes=4)
    agent.become(rows, act=lambda x: torch.zeros(*x.shape[:-1], 2))
    first, path = trajectories(agent, rows)
    again, _ = trajectories(agent, rows)
    assert np.array_equal(first, again) and first.shape == (3, 4) and path.shape == (3, 4, 101, 4)
    assert np.array_equal(path[:, :, 0], path[:, :, -1])  # no force, no movement
    alone = Rows(dataset, [2], episodes=4)
    agent.become(alone, act=lambda x: torch.zeros(*x.shape[:-1], 2))
    assert np.array_equal(returns(agent, alone)[0], first[2])


def test_an_action_that_is_no_number_does_nothing(dataset):
    agent, rows = Agent(), Rows(dataset, [0], episodes=4)
    agent.become(rows, act=lambda x: torch.zeros(*x.shape[:-1], 2))
    still = returns(agent, rows)
    agent.become(rows, act=lambda x: torch.full((*x.shape[:-1], 2), float("nan")))
    assert np.array_equal(returns(agent, rows), still)


def test_an_agent_says_what_it_lacks(dataset):
    agent = Agent()
    with pytest.raises(RuntimeError, match="nothing yet: take a step first"):
        agent.act(dataset.observations[:2])
    list(bc(dataset, [0], steps=2, episodes=1, agent=agent))
    assert agent.act(dataset.observations[:2]).shape == (1, 2, 2)
    with pytest.raises(RuntimeError, match="agent has no value: it has act"):
        agent.value(dataset.observations[:2])


def test_bad_arguments_are_named(dataset):
    maze = build("maze", "random", 200, seed=0)
    hidden = transforms.hide_actions(dataset, [0])
    for arguments, words in (
        (dict(dataset=[dataset], seeds=[0, 1]), "dataset: 1 of them for 2 seeds"),
        (dict(dataset=dataset, seeds=[]), "seeds=.*at least one seed"),
        (dict(dataset=dataset, seeds=[-1]), "seed=-1"),
        (dict(dataset=[dataset, maze], seeds=[0, 1]), "other observations or actions"),
        (dict(dataset=hidden, seeds=[0]), "action-free"),
        (dict(dataset=dataset, seeds=[0], batch_size=0), "batch_size=0"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            Rows(**arguments)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"alpha of shape \(3,\)"):
        next(td3_bc(dataset, [0, 1], alpha=[1.0, 2.0, 3.0]))


@pytest.mark.parametrize("name", [*LEARNERS, "decision_transformer"])
def test_a_log_from_a_world_of_others_trains_without_evaluation(dataset, name):
    foreign = dataclasses.replace(dataset, facts={"simulator": "Hopper-v5"})
    agent = Agent()
    step = list(getattr(offline, name)(foreign, [0], steps=3, agent=agent))[-1]
    assert step.metrics and not {"return", "score"} & set(step.metrics)
    assert agent.act(dataset.observations[:2]).shape == (1, 2, 2)
    with pytest.raises(ValueError, match="simulator=None: must be one to evaluate"):
        returns(agent, Rows(foreign, [0]))


def test_a_simulator_that_nobody_can_make_again_has_to_be_passed(dataset):
    lost = dataclasses.replace(dataset, facts=dataset.facts | {"options": None})
    with pytest.raises(ValueError, match=r"simulator='point-maze-u' of .* pass simulator=\.\.\."):
        Rows(lost, [0])
    assert len(Rows(lost, [0], simulator=envs.simulator("point-maze-u")).simulators) == 1


def test_datasets_of_one_recipe_share_their_simulator(dataset, other):
    first, second = Rows([dataset, other], [0, 1]).simulators
    assert first is second


def test_discrete_rows_without_action_are_refused_as_well():
    hidden = transforms.hide_actions(build("maze", "random", 300, seed=0), [0])
    with pytest.raises(ValueError, match="action-free"):
        Rows(hidden, [0])
