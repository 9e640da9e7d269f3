"""Datasets on disk: Minari opens ours, ours opens Minari's, bit for bit; broken files say which file is broken."""

import sys
import warnings

import numpy as np
import pytest

from rlkit.offline.building import build
from rlkit.offline.files import from_minari, load, save, to_minari
from rlkit.offline.transforms import corrupt, hide_actions, weight
from rlkit.offline.well_formed import ARRAYS

minari = pytest.importorskip("minari")
from gymnasium import spaces  # noqa: E402
from minari.data_collector import EpisodeBuffer  # noqa: E402


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path


def made(kind):
    data = build("maze" if "discrete" in kind else "point-maze-u", {"expert": 0.5, "random": 0.5}, 400, seed=0)
    changes = {
        "weighted": lambda: weight(data),
        "corrupted": lambda: corrupt(weight(data), "dynamics", seed=0),
        "hidden": lambda: hide_actions(data, [0]),
        "hidden-discrete": lambda: hide_actions(data, [0]),
    }
    return changes.get(kind, lambda: data)()


def assert_same(one, other):
    for name in ARRAYS:
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype == np.float32), name
    assert (one.weights is None) == (other.weights is None)
    assert one.weights is None or np.array_equal(one.weights, other.weights)
    assert one.facts == other.facts


@pytest.mark.parametrize("kind", ["continuous", "discrete", "weighted", "corrupted", "hidden", "hidden-discrete"])
def test_there_and_back_is_exact(kind, folder):
    data = made(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stored = to_minari(data, f"rlkit/{kind}-v0")
    assert stored.total_steps == len(data) and stored.total_episodes == len(data.episode_ends)
    assert_same(from_minari(stored), data)
    assert_same(from_minari(f"rlkit/{kind}-v0"), data)
    assert_same(load(save(data, folder / "plain")), data)


def test_minari_sees_episodes_spaces_and_reference_scores():
    data = made("continuous")
    to_minari(data, "rlkit/seen-v0")
    stored = minari.load_dataset("rlkit/seen-v0")
    assert stored.action_space == spaces.Box(-1, 1, (2,), np.float32) and stored.observation_space.shape == (4,)
    start, end = data.episode_starts[1], data.episode_ends[1]
    assert np.array_equal(stored[1].observations[:-1], data.observations[start : end + 1])
    assert np.array_equal(stored[1].observations[-1], data.next_observations[end])
    assert stored[1].truncations[-1] and stored[1].rewards.sum() == pytest.approx(data.returns[1])
    assert minari.get_normalized_score(stored, data.returns) == pytest.approx(data.score(data.returns))
    to_minari(made("discrete"), "rlkit/seen-discrete-v0")
    assert minari.load_dataset("rlkit/seen-discrete-v0").action_space == spaces.Discrete(4)


def foreign(name, episodes, action_space, observation_space=None):
    observation_space = spaces.Box(-9, 9, (2,), np.float64) if observation_space is None else observation_space
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return minari.create_dataset_from_buffers(
            name, episodes, action_space=action_space, observation_space=observation_space
        )


def episode(actions, rewards, ended="terminations", observations=None, **more):
    steps = len(rewards)
    flags = {"terminations": np.zeros(steps, bool), "truncations": np.zeros(steps, bool)}
    if ended:
        flags[ended][-1] = True
    seen = np.arange(2.0 * steps + 2).reshape(-1, 2) / 7 if observations is None else observations
    return EpisodeBuffer(observations=seen, actions=actions, rewards=np.array(rewards, float), **flags, **more)


def test_a_dataset_that_others_made():
    both = [
        episode(np.array([5, 6, 7]), [1, 2, 3], infos={"weights": np.zeros(4), "next_observations": np.zeros(4)}),
        episode(np.array([6]), [0.5], "truncations"),
    ]
    data = from_minari(foreign("theirs-v0", both, spaces.Discrete(3, start=5)))
    assert data.actions.tolist() == [0, 1, 2, 1] and data.actions_count == 3
    assert data.observations.dtype == np.float32 and data.observations[1] == pytest.approx([2 / 7, 3 / 7])
    assert data.next_observations[2] == pytest.approx([6 / 7, 1]), "what follows the last step is kept"
    assert data.terminated.tolist() == [False, False, True, False] and data.truncated[3]
    assert data.returns.tolist() == [6, 0.5] and data.weights is None, "their infos have their own meaning"
    expected = {"simulator": "theirs-v0", "actions": 3, "episode_returns": [6.0, 0.5], "behaviour_return": 3.25}
    assert data.facts == expected


BOX = spaces.Box(-1, 1, (1,), np.float32)


@pytest.mark.parametrize(
    ("episodes", "action_space", "observation_space", "message"),
    [
        (
            [episode(np.zeros((2, 1)), [0, 0]), episode(np.zeros((3, 1)), [0, 0, 0], None)],
            BOX,
            None,
            r"truncations\[episode 1, step 2\]=False: must be True: this episode has no end",
        ),
        (
            [episode(np.zeros((2, 1)), [0, 0], observations=np.zeros((2, 2)))],
            BOX,
            None,
            r"observations, actions, rewards of episode 0=\(2, 2, 2\): must be T \+ 1, T and T rows",
        ),
        (
            [episode(np.zeros((2, 1)), [0, 0]), episode(np.zeros((2, 1)), [0, np.nan])],
            BOX,
            None,
            r"rewards\[episode 1, step 1\]=nan: must be finite",
        ),
        ([episode(np.zeros((1, 2)), [0])], spaces.MultiBinary(2), None, "action_space=.*: must be Discrete, or a Box"),
        (
            [episode(np.zeros((1, 1)), [0], observations=np.zeros((2, 2, 2)))],
            BOX,
            spaces.Box(0, 1, (2, 2)),
            "observation_space=.*: must be a Box with one axis",
        ),
        ([], BOX, None, "dataset='bad-v0': must be a dataset of at least one episode"),
    ],
)
def test_minari_data_that_do_not_fit(episodes, action_space, observation_space, message):
    stored = foreign("bad-v0", episodes, action_space, observation_space)
    with pytest.raises(ValueError, match=message) as error:
        from_minari(stored)
    assert "\n" not in str(error.value)


def test_names_that_minari_does_not_have_or_has_already():
    with pytest.raises(ValueError, match="dataset='nobody/nothing-v0': must be a dataset that Minari has here"):
        from_minari("nobody/nothing-v0")
    with pytest.raises(ValueError, match="dataset_id='nothing': must be new, text like"):
        to_minari(made("continuous"), "nothing")
    to_minari(made("continuous"), "twice-v0")
    with pytest.raises(ValueError, match=r"dataset_id='twice-v0': must be new, .*already exists"):
        to_minari(made("continuous"), "twice-v0")


def test_without_minari_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(ImportError, match=r'Minari files need minari: pip install "rlkit-notebooks\[control\]"'):
        from_minari("nobody/nothing-v0")


def cut(file):
    file.write_bytes(file.read_bytes()[:-200])


def half(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] + b"\0" * 64 + content[len(content) // 2 + 64 :])


def foreign_file(file):
    with file.open("wb") as stream:
        np.savez(stream, points=np.zeros(3))


def pickled(file):
    with file.open("wb") as stream:
        np.savez(stream, observations=np.array([{"a": 1}], dtype=object))


@pytest.mark.parametrize("name", ["dataset.npz", "facts.json"])
@pytest.mark.parametrize(
    "spoil",
    [
        cut,
        half,
        foreign_file,
        pickled,
        lambda f: f.write_bytes(b""),
        lambda f: f.write_text("hello"),
        lambda f: f.unlink(),
    ],
    ids=["cut", "half", "foreign", "pickled", "empty", "text", "missing"],
)
def test_a_broken_file_is_named_in_one_line(folder, name, spoil):
    save(made("continuous"), folder / "plain")
    spoil(folder / "plain" / name)
    with pytest.raises(ValueError, match=name) as error:
        load(folder / "plain")
    assert "\n" not in str(error.value) and str(folder / "plain" / name) in str(error.value)


def test_contents_are_checked_as_well(folder):
    save(made("continuous"), folder)
    with np.load(folder / "dataset.npz") as stored:
        arrays = dict(stored)
    arrays["rewards"][150] = np.nan
    np.savez(folder / "dataset.npz", **arrays)
    with pytest.raises(ValueError, match=r"rewards\[episode 1, step 50\]=nan: must be finite"):
        load(folder)
