"""The dataset explorer against counts and means made by hand; walls, quantiles, speed, hostile facts."""

import re
import time

import numpy as np
import pytest

from rlkit import envs
from rlkit.widgets.dataset_explorer import DatasetExplorer

offline = pytest.importorskip("rlkit.offline", exc_type=ImportError)
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>"


def made(observations, rewards, lengths, **facts):
    """A dataset whose actions do not matter."""
    observations, ends = np.asarray(observations, dtype=np.float32), np.cumsum(lengths) - 1
    truncated = np.isin(np.arange(len(observations)), ends)
    return offline.Dataset(
        observations,
        np.zeros((len(observations), 1)),
        np.asarray(rewards, dtype=float),
        observations,
        np.zeros(len(observations), bool),
        truncated,
        facts={"disconnected": True} | facts,
    )


def rows(page, caption):
    """The cells of the table with this caption."""
    (body,) = re.findall(rf"<caption[^>]*>{re.escape(caption)}</caption>(.*?)</table>", page, re.S)
    return [re.findall("<td[^>]*>([^<]*)</td>", row) for row in re.findall("<tr>(.*?)</tr>", body)][1:]


@pytest.fixture
def maze():
    """States 0 1 | 2 of S . G: episode 0 goes 0, 1, is paid 2; episode 1 stays in 0 for 3 steps, unpaid."""
    states = np.eye(3)[[0, 1, 0, 0, 0]]
    facts = {"episode_quality": ["expert", HOSTILE], "behaviour_return": 1.0, "expert_return": 2.0}
    return made(states, [0, 2, 0, 0, 0], [2, 3], simulator="maze", options={"layout": ["S.G"]}, **facts)


def test_a_finite_maze_counts_per_cell(maze):
    view = DatasetExplorer(maze, envs.simulator("maze", layout=["S.G"]))
    page = view.picture.value
    assert rows(page, "visits") == [["0", "0", "4", "4"], ["0", "1", "1", "1"], ["0", "2", "0", "–"]]
    assert "Hatched: no transition starts there (1 of 3 cells)" in page


def test_colours_are_means_per_cell(maze):
    view = DatasetExplorer(maze, envs.simulator("maze", layout=["S.G"]))
    view.controls["colour"].value = "reward"
    assert [row[3] for row in rows(view.picture.value, "reward")] == ["0", "2", "–"]
    view.controls["colour"].value = "return-to-go"
    assert [row[3] for row in rows(view.picture.value, "return-to-go")] == ["0.5", "2", "–"]
    view.controls["colour"].value = "share of expert"
    assert [row[3] for row in rows(view.picture.value, "share of expert")] == ["0.25", "1", "–"]
    assert ">–</text>" in view.picture.value, "no number where there is no data"


def test_the_quantile_chooses_the_episode(maze):
    view = DatasetExplorer(maze, envs.simulator("maze", layout=["S.G"]))
    view.controls["return_quantile"].value = 0
    assert "episode 1, 3 steps, return 0" in view.picture.value
    view.controls["return_quantile"].value = 100
    assert "episode 0, 2 steps, return 2" in view.picture.value
    assert rows(view.to_html(), "2 of 2 steps") == [["0", "0", "0", "2"], ["1", "1", "2", "2"]]
    assert [control.description for control in view.controls.values()] == ["colour", "return quantile"]


def test_a_plane_without_a_simulator():
    """Three points in the corners and in the middle of the first two observations."""
    data = made([[0, 0, 9], [1, 0, 9], [1, 0, 9]], [1, 2, 4], [1, 2], labels=["height (m)", "speed", "rest"])
    view = DatasetExplorer(data)
    view.controls["colour"].value = "reward"
    page = view.picture.value
    told = rows(page, "The 2 most visited of 2 squares, by their middles")
    assert [row[2:] for row in told] == [["2", "3"], ["1", "1"]]
    assert [float(row[0]) for row in told] == pytest.approx([1.0, 0.0], abs=0.03)
    assert "height (m)" in page and "reward of a square, 1 to 3" in page


def test_one_observation_is_drawn_over_time():
    data = made([[5.0], [7.0], [6.0]], [0, 0, 0], [3])
    assert "step of the episode" in DatasetExplorer(data).picture.value


def test_a_point_maze_is_drawn_with_its_walls():
    maze = envs.simulator("point-maze-u")
    cell = np.argwhere(~maze.walls)[0]
    inside, outside = [cell[1] + 0.5, cell[0] + 0.5, 0, 0], [0.5, 0.5, 0, 0]
    data = made([inside, inside, outside], [0, 1, 0], [3], simulator="point-maze-u", options={})
    page = DatasetExplorer(data).picture.value
    assert page.count('fill-opacity="0.6"') == maze.walls.sum()
    assert "1 rows lie inside walls" in page
    assert rows(page, "visits")[0] == [str(cell[0]), str(cell[1]), "2", "2"]


def test_references_and_returns_stand_in_the_histogram(maze):
    page = DatasetExplorer(maze, envs.simulator("maze", layout=["S.G"])).picture.value
    assert ">behaviour: 1<" in page and ">expert: 2<" in page and "2 episodes, returns 0 to 2" in page
    kept = made([[0.0, 0]] * 3, [0, 0, 0], [1, 2], episode_returns=[5.0, 7.0])
    assert "2 episodes, returns 5 to 7" in DatasetExplorer(kept).picture.value, "those of the world itself"


def test_hostile_facts_are_escaped(maze):
    facts = dict.fromkeys(("simulator", "quality", "coverage"), HOSTILE) | {"labels": [HOSTILE] * 3}
    facts |= {"episode_quality": [HOSTILE, "expert"], "behaviour_return": HOSTILE, "options": HOSTILE}
    view = DatasetExplorer(made(maze.observations, maze.rewards, [2, 3], **facts))
    for _, colour in view.controls["colour"].options:
        view.controls["colour"].value = colour
        page = view.to_html()
        assert "<script" not in page and "<img" not in page and "&lt;script" in page


def test_facts_of_a_world_that_cannot_be_made_give_a_plane(maze):
    for options in ({"layout": "nowhere"}, {"unknown": 1}):
        data = made(maze.observations, maze.rewards, [2, 3], simulator="maze", options=options)
        assert "observation 0" in DatasetExplorer(data).picture.value
    with pytest.raises(ValueError, match=r"observations.shape=\(5, 3\): must be \[N, 4\], one-hot states"):
        DatasetExplorer(maze, envs.simulator("maze", layout=["S..G"]))


def test_twenty_thousand_rows_are_drawn_at_once():
    rng = np.random.default_rng(0)
    data = made(rng.normal(size=(20_000, 4)), rng.normal(size=20_000), [100] * 200)
    view = DatasetExplorer(data)
    begun = time.process_time()
    view.controls["colour"].value = "return-to-go"
    assert time.process_time() - begun < 0.5
    assert len(view.picture.value) < 250_000, "squares, not points"


def test_static_twin_and_bundle(maze):
    view = DatasetExplorer(maze)
    assert view._repr_mimebundle_()["text/html"] == view.to_html()
    assert "colour: visits, return quantile: 75" in view.to_html()
    assert 'role="img"' in view.to_html() and "The path as a table" in view.to_html()
