"""Datasets on disk: Minari's format, for others to open and to open others', and a plain folder of our own."""

import json
import pathlib
import re
import warnings
import zipfile
import zlib

import numpy as np

from rlkit import checks
from rlkit.offline.dataset import Dataset
from rlkit.offline.well_formed import ARRAYS

FACTS = "rlkit_facts"  # the key in Minari's metadata
SCORES = {"ref_min_score": "random_return", "ref_max_score": "expert_return"}  # Minari's names for the references


def to_minari(dataset, dataset_id):
    """Write a dataset into Minari's folder (MINARI_DATASETS_PATH, else the home folder) -> minari.MinariDataset.

    dataset_id: e.g. "rlkit/point-maze-u/medium-v0"; it must be new. Facts travel in the metadata, random and expert
    return as Minari's reference scores. Sampling weights, and next observations that are not the next row's, stand in
    the infos of each episode, one step later as Minari has them. Raises: ValueError for a bad or taken id.
    """
    minari, spaces = _minari()
    from minari.data_collector import EpisodeBuffer

    allowed = "new, text like 'name/of/dataset-v0'"
    if not isinstance(dataset_id, str) or not re.fullmatch(r".+-v\d+", dataset_id):
        checks.fail("dataset_id", dataset_id, allowed)
    weighted, disconnected = dataset.weights is not None, dataset.facts.get("disconnected")
    buffers = []
    for start, end in zip(dataset.episode_starts, dataset.episode_ends, strict=True):
        rows, infos = slice(start, end + 1), {}
        if disconnected:
            infos["next_observations"] = dataset.next_observations[[start, *range(start, end + 1)]]
        if weighted:
            infos["weights"] = np.concatenate([[0.0], dataset.weights[rows]])
        last = dataset.next_observations[end : end + 1]
        buffers.append(
            EpisodeBuffer(
                observations=np.concatenate([dataset.observations[rows], last]),  # [T + 1, O]
                actions=dataset.actions[rows],
                rewards=dataset.rewards[rows],
                terminations=dataset.terminated[rows],
                truncations=dataset.truncated[rows],
                infos=infos or None,
            )
        )
    if dataset.discrete:
        action_space = spaces.Discrete(dataset.actions_count)
    else:
        high = 1.0 if not (np.abs(dataset.actions) > 1).any() else np.inf
        action_space = spaces.Box(-high, high, dataset.actions.shape[1:], np.float32)
    with warnings.catch_warnings():
        # Minari warns of each detail of a publication that is missing: author, e-mail, link to code, environment.
        warnings.simplefilter("ignore", UserWarning)
        try:
            made = minari.create_dataset_from_buffers(
                dataset_id,
                buffers,
                action_space=action_space,
                observation_space=spaces.Box(-np.inf, np.inf, dataset.observations.shape[1:], np.float32),
                algorithm_name=str(dataset.facts.get("quality", "unknown")),
                description=repr(dataset),
            )
        except ValueError as error:
            checks.fail("dataset_id", dataset_id, f"{allowed} ({str(error).splitlines()[0]})")
    scores = {key: dataset.facts[name] for key, name in SCORES.items() if dataset.facts.get(name) is not None}
    made.storage.update_metadata({FACTS: json.dumps(dataset.facts), **scores})
    return made


def from_minari(dataset) -> Dataset:
    """Read a Minari dataset, one of ours or another, local or as `minari.load_dataset` returns it.

    dataset: a minari.MinariDataset or its id; observations in a Box of one axis, actions in such a Box or Discrete.
    Other people's float64 become float32; facts are then simulator (the environment's id), actions, episode_returns,
    behaviour_return, and random_return and expert_return where Minari has reference scores.
    Raises: ValueError of one line that names the episode (and step) for data that do not fit.
    """
    minari, spaces = _minari()
    if isinstance(dataset, str):
        try:
            dataset = minari.load_dataset(dataset)
        except (FileNotFoundError, ValueError) as error:
            checks.fail("dataset", dataset, f"a dataset that Minari has here ({str(error).splitlines()[0]})")
    space, acts = dataset.observation_space, dataset.action_space
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        checks.fail("observation_space", space, "a Box with one axis")
    discrete = isinstance(acts, spaces.Discrete)
    if not discrete and not (isinstance(acts, spaces.Box) and len(acts.shape) == 1):
        checks.fail("action_space", acts, "Discrete, or a Box with one axis")
    metadata = dataset.storage.metadata
    parts = {name: [] for name in (*ARRAYS, "weights")}
    for number, episode in enumerate(dataset.iterate_episodes()):
        for name, array in _episode(number, episode, FACTS in metadata).items():
            parts[name].append(array)
    if not parts["rewards"]:
        checks.fail("dataset", dataset.id, "a dataset of at least one episode")
    arrays = {name: np.concatenate(arrays) for name, arrays in parts.items() if arrays}
    if discrete:
        arrays["actions"] = arrays["actions"].astype(np.int64) - int(acts.start)
    if FACTS in metadata:
        return Dataset(**arrays, facts=json.loads(metadata[FACTS]))
    facts = {"simulator": dataset.env_spec.id if dataset.env_spec else dataset.id}
    facts |= {"actions": int(acts.n)} if discrete else {}
    facts |= {name: metadata[key] for key, name in SCORES.items() if metadata.get(key) is not None}
    returns = Dataset(**arrays, facts=facts).returns
    return Dataset(**arrays, facts=facts | {"episode_returns": returns, "behaviour_return": returns.mean()})


def _episode(number, episode, ours):
    steps = len(episode.rewards)
    if len(episode.observations) != steps + 1 or len(episode.actions) != steps or steps == 0:
        shown = (len(episode.observations), len(episode.actions), steps)
        checks.fail(f"observations, actions, rewards of episode {number}", shown, "T + 1, T and T rows, T at least 1")
    if not (episode.terminations[-1] or episode.truncations[-1]):
        checks.fail(f"truncations[episode {number}, step {steps - 1}]", False, "True: this episode has no end")
    infos = (episode.infos or {}) if ours else {}
    arrays = {
        "observations": episode.observations[:-1],
        "actions": np.asarray(episode.actions),
        "rewards": episode.rewards,
        "next_observations": infos["next_observations"][1:]
        if "next_observations" in infos
        else episode.observations[1:],
        "terminated": episode.terminations,
        "truncated": episode.truncations,
    }
    return arrays | ({"weights": infos["weights"][1:]} if "weights" in infos else {})


def save(dataset, folder) -> pathlib.Path:
    """Write folder/dataset.npz (plain arrays, no pickle) and folder/facts.json; what stood there is replaced."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = ARRAYS if dataset.weights is None else (*ARRAYS, "weights")
    np.savez(folder / "dataset.npz", **{name: getattr(dataset, name) for name in names})
    (folder / "facts.json").write_text(json.dumps(dataset.facts))
    return folder


def load(folder) -> Dataset:
    """Read what `save` wrote. Raises: ValueError that names a file that is missing, cut short or something else, and
    what `Dataset` raises for its contents."""
    file, facts = pathlib.Path(folder) / "dataset.npz", pathlib.Path(folder) / "facts.json"
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, EOFError, ValueError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        _unreadable(file, error)
    if set(arrays) - {"weights"} != set(ARRAYS):
        checks.fail(str(file), sorted(arrays), "a file with the arrays " + ", ".join(ARRAYS))
    try:
        known = json.loads(facts.read_text())
    except (OSError, ValueError) as error:
        _unreadable(facts, error)
    return Dataset(**arrays, facts=known)


def _unreadable(file, error):
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    raise ValueError(f"{file}: must be a whole file that `save` wrote ({reason})") from None


def _minari():
    try:
        import minari
        from gymnasium import spaces
    except ImportError as error:
        raise ImportError(f'Minari files need {error.name}: pip install "rlkit-notebooks[control]"') from None
    return minari, spaces
