"""Dataset: what it derives from its arrays, and one line that names episode and step for what it refuses."""

import dataclasses

import numpy as np
import pytest

from rlkit.offline.dataset import Dataset

FACTS = {"simulator": "toy", "quality": "medium", "behaviour_return": 3.0, "random_return": 1.0, "expert_return": 5.0}


def arrays(lengths=(3, 1, 2)):
    """Episodes of these lengths; observations count rows, an episode's last next observation is its own number."""
    n, ends = sum(lengths), np.cumsum(lengths) - 1
    observations = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    following = np.concatenate([observations[1:], [[0, 0]]])
    following[ends] = -1 - np.arange(len(lengths))[:, None]
    terminated, truncated = np.zeros(n, bool), np.zeros(n, bool)
    terminated[ends[::2]], truncated[ends[1::2]] = True, True
    return {
        "observations": observations,
        "actions": np.linspace(-1, 1, n)[:, None],
        "rewards": np.arange(1, n + 1),
        "next_observations": following,
        "terminated": terminated,
        "truncated": truncated,
    }


def made(facts=FACTS, **changes):
    return Dataset(**arrays() | changes, facts=facts)


def test_types_and_what_follows_from_the_arrays():
    data = made()
    assert [getattr(data, name).dtype for name in ("observations", "actions", "rewards")] == [np.float32] * 3
    assert len(data) == 6 and not data.discrete and data.weights is None
    assert data.episode_starts.tolist() == [0, 3, 4] and data.episode_ends.tolist() == [2, 3, 5]
    assert data.episode_of.tolist() == [0, 0, 0, 1, 2, 2] and data.step_of.tolist() == [0, 1, 2, 0, 0, 1]
    assert data.returns.tolist() == [6, 4, 11]
    assert data.score([1, 3, 9]).tolist() == [0, 0.5, 2]


def test_integers_are_discrete_actions():
    data = made({"actions": 4}, actions=np.array([0, 1, 3, 2, 0, 1], np.int32))
    assert data.discrete and data.actions.dtype == np.int64 and data.actions_count == 4
    with pytest.raises(ValueError, match=r"actions.shape=\(6, 1\): must be \[N\], discrete actions, to count them"):
        made().actions_count  # noqa: B018


def test_chosen_episodes_keep_their_facts():
    corrupted = [{"what": "rewards", "rows": [1, 3, 4]}]
    facts = FACTS | {"episode_returns": [6.0, 4.0, 11.0], "coverage": 0.5, "corrupted": corrupted}
    data = made(facts, weights=np.arange(6.0))
    some = data.episodes([2, 0])
    assert some.rewards.tolist() == [5, 6, 1, 2, 3] and some.weights.tolist() == [4, 5, 0, 1, 2]
    assert some.facts["episode_returns"] == [11, 6] and some.facts["behaviour_return"] == 8.5
    assert some.facts["corrupted"][0]["rows"] == [0, 3] and "coverage" not in some.facts
    assert data.episodes(np.array([True, False, False])).returns.tolist() == [6]
    assert data.episodes([1, 1]).rewards.tolist() == [4, 4]
    assert data.facts == facts, "the dataset itself stays as it is"


def test_concatenate_is_the_inverse_of_taking_episodes_apart():
    facts = FACTS | {"episode_returns": [6.0, 4.0, 11.0], "corrupted": [{"what": "rewards", "rows": [1, 3, 4]}]}
    data = made(facts)
    again = Dataset.concatenate([data.episodes([0]), data.episodes([1, 2])])
    for field in dataclasses.fields(data):
        if field.name not in ("facts", "weights"):
            assert np.array_equal(getattr(again, field.name), getattr(data, field.name))
    assert again.facts["episode_returns"] == [6, 4, 11] and again.facts["behaviour_return"] == 7
    assert sorted(row for record in again.facts["corrupted"] for row in record["rows"]) == [1, 3, 4]


def test_concatenate_keeps_apart_what_differs():
    both = Dataset.concatenate([made(FACTS | {"seed": 0}), made(FACTS | {"seed": 1, "hidden_actions": True})])
    assert both.facts["simulator"] == "toy" and both.facts["hidden_actions"] is True
    assert both.facts["parts"] == [{"seed": 0}, {"seed": 1}]
    assert both.facts["behaviour_return"] is None, "not known without the returns of each episode"


def test_summary_shows_what_is_known():
    assert repr(made()) == "Dataset(toy, medium: 6 transitions, 3 episodes)"
    text = str(made(FACTS | {"coverage": 0.25, "coverage_of": "of free cells", "hidden_actions": True}))
    assert "return: behaviour 3, random 1, expert 5, optimal unknown" in text
    assert "coverage: 0.25 of free cells" in text and "changed: hidden actions" in text


def changed(name, row, value):
    array = np.array(arrays()[name], dtype=bool if name in ("terminated", "truncated") else float)
    array[row] = value
    return {name: array}


def discrete(row, value):
    actions = np.zeros(6, int)
    actions[row] = value
    return {"actions": actions}


@pytest.mark.parametrize(
    ("changes", "facts", "message"),
    [
        (changed("observations", 4, np.nan), {}, r"observations\[episode 2, step 0\]=nan: must be finite"),
        (changed("actions", 2, np.inf), {}, r"actions\[episode 0, step 2\]=inf: must be finite"),
        (changed("rewards", 3, -np.inf), {}, r"rewards\[episode 1, step 0\]=-inf: must be finite"),
        (changed("rewards", 5, 1e39), {}, r"rewards\[episode 2, step 1\]=inf: must be finite"),
        (changed("next_observations", 5, np.nan), {}, r"next_observations\[episode 2, step 1\]=nan: must be finite"),
        (changed("terminated", 5, False), {}, r"truncated\[episode 2, step 1\]=False: must be True where terminated"),
        (changed("truncated", 3, False), {}, r"next_observations\[episode 1, step 0\]=.*no episode ends here"),
        (
            changed("next_observations", 1, 7),
            {},
            r"next_observations\[episode 0, step 1\]=\[7.0, 7.0\]: must be the obs",
        ),
        ({"weights": [1, 1, 1, -1, 1, 1]}, {}, r"weights\[episode 1, step 0\]=-1.0: must be at least 0"),
        ({"weights": [1, 1, 1, 1, 1, np.nan]}, {}, r"weights\[episode 2, step 1\]=nan: must be finite"),
        ({"weights": np.zeros(6)}, {}, r"weights=.*must be above 0 in some row"),
        (
            {"weights": np.ones(5)},
            {},
            r"weights.shape, weights.dtype=\(\(5,\), 'float64'\): must be \[N\] numbers, N=6",
        ),
        ({"observations": np.zeros(6)}, {}, r"observations.shape=\(6,\): must be \[N, O\]"),
        ({"observations": np.zeros((0, 2))}, {}, r"observations.shape=\(0, 2\): must be \[N, O\]"),
        ({"actions": np.zeros(6)}, {}, r"actions.shape, actions.dtype=\(\(6,\), 'float64'\): must be \[N, A\]"),
        ({"actions": np.zeros((5, 1))}, {}, r"actions.shape, actions.dtype=\(\(5, 1\), 'float64'\): must be .* N=6"),
        ({"rewards": np.zeros((6, 1))}, {}, r"rewards.shape, rewards.dtype=\(\(6, 1\), 'float64'\): must be \[N\] n"),
        ({"rewards": ["a"] * 6}, {}, r"rewards.shape, rewards.dtype=\(\(6,\), '<U1'\): must be \[N\] numbers"),
        ({"next_observations": np.zeros((6, 3))}, {}, r"next_observations.shape.*\(6, 2\)"),
        ({"truncated": [0, 0, 0, np.nan, 0, 0]}, {}, r"truncated=.*: must be True or False in each row"),
        (
            {"terminated": np.ones(4, bool)},
            {},
            r"terminated.shape, terminated.dtype=\(\(4,\), 'bool'\): must be \[N\] b",
        ),
        (discrete(3, 4), {"actions": 4}, r"actions\[episode 1, step 0\]=4: must be in 0 to 3"),
        (discrete(3, -1), {"actions": 4}, r"actions\[episode 1, step 0\]=-1: must be in 0 to 3"),
        (discrete(3, 1), {}, r"facts\['actions'\]=None: must be a positive integer"),
        ({}, {"episode_quality": ["random"]}, r"facts\['episode_quality'\]=.*one entry for each of 3 episodes"),
        ({}, {"discount": np.nan}, "facts: must be what JSON can hold"),
        ({}, {"simulator": object()}, "facts: must be what JSON can hold"),
        ({}, None, "facts=None: must be a dictionary"),
    ],
)
def test_what_is_refused_is_named_in_one_line(changes, facts, message):
    with pytest.raises(ValueError, match=message) as error:
        made(facts, **changes)
    assert "\n" not in str(error.value)


def test_facts_allow_what_they_say():
    torn, hidden = changed("next_observations", 1, 7), changed("actions", slice(0, 3), np.nan)
    assert made({"disconnected": True}, **torn).next_observations[1].tolist() == [7, 7]
    assert np.isnan(made({"hidden_actions": True}, **hidden).actions[:3]).all()
    assert made({"hidden_actions": True, "actions": 2}, **discrete(0, -1)).actions[0] == -1
    half = np.zeros((6, 2))
    half[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"actions\[episode 1, step 0\]=nan: must be finite"):
        made({"hidden_actions": True}, actions=half)


@pytest.mark.parametrize("indices", [[3], [-4], [], [0.0], [[0]], [True], "all", np.zeros(3, bool)])
def test_episodes_that_are_not_there(indices):
    with pytest.raises(ValueError, match=r"indices=.*: must be episodes of 0 to 2, or one bool for each"):
        made().episodes(indices)


def test_what_does_not_fit_together():
    with pytest.raises(ValueError, match=r"datasets=.*: must be a list of at least one dataset"):
        Dataset.concatenate([])
    with pytest.raises(ValueError, match=r"datasets\[1\]=Dataset.*: must be like datasets\[0\]"):
        Dataset.concatenate([made(), made({"actions": 4}, **discrete(0, 0))])
    with pytest.raises(ValueError, match=r"random_return.*=\(None, None\): must be two different numbers"):
        made({}).score(1)
