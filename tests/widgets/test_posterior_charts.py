"""Pictures of policies beside a posterior."""

import re

import pytest

from rlkit.rlhf import posteriors
from rlkit.runs import Run
from rlkit.widgets import posterior_charts

ARMS = ("no KL", "KL-RL 1", "GDC 1")


@pytest.fixture(scope="module")
def world():
    return posteriors.world(0)


@pytest.fixture
def run(world, tmp_path):
    run = Run.create("posterior", {}, root=tmp_path)
    for number, (arm, beta) in enumerate({"GDC 1": 1.0, "no KL": 0.05, "KL-RL 1": 1.0}.items()):
        law = world.star(beta)
        end = posteriors.place(law, world, 0 if arm == "no KL" else beta)
        path = {name: [1.0 if name in ("reverse", "forward") else 0.0, value] for name, value in end.items()}
        likely = [(world.texts[i], float(law[i].exp())) for i in law.topk(10).indices.tolist()]
        run.log_rollouts(number, [{"kind": "end", "arm": arm, "seed": 0, "end": end, "path": path, "likely": likely}])
    run.finish()
    return run


def test_passed_shows_theory_and_simulation_side_by_side(world):
    page = posterior_charts.passed(world, 1)
    assert "After 1 judge," in page and world.prompt in page
    rows = re.findall(r"<tr>(.*?)</tr>", page)[1:]
    cells = [re.findall(r">([^<>]+)</t[dh]>", row) for row in rows]
    assert len(cells) == 8
    star = world.star(1.0)
    for text, prior, chance, posterior, simulated in cells:
        i = world.texts.index(text)
        assert float(posterior) == pytest.approx(100 * star[i].exp().item(), rel=6e-3)
        assert float(simulated) == pytest.approx(float(posterior), abs=0.6)  # about 30,000 texts passed
        assert float(prior) < 100 and 0 < float(chance) < 100


def test_passed_with_more_judges_than_texts_get_by_still_shows(world):
    assert "of 0 that passed" in posterior_charts.passed(world, 10**9)


def test_the_map_has_a_path_for_each_finished_arm_in_its_own_colour(run, world, tmp_path):
    page = posterior_charts.plane(run, ARMS, 0, world)
    places = [page.index(f">{name}<") for name in ("frontier", "GDC 1", "no KL", "KL-RL 1")]
    assert places == sorted(places)
    from rlkit.html import COLOURS

    assert page.count(COLOURS[3]) > 0 and page.count(COLOURS[1]) > 0
    empty = posterior_charts.plane(Run.create("empty", {}, root=tmp_path), ARMS, 0, world)
    assert "frontier" in empty and "GDC 1" not in empty


def test_distances_leave_out_arms_without_a_posterior(run):
    page = posterior_charts.distances(run, ARMS, "KL(pi || pi*)", 5)
    assert ">KL-RL 1<" in page and ">GDC 1<" in page and ">no KL<" not in page
    assert "KL-RL 1 ends at 0.000 nats" in page


def test_written_lists_ten_texts_and_the_rest(run, world):
    page = posterior_charts.written(run, 0, 1, world)
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    assert len(rows) == 12 and rows[-1].count("all others") == 5
    best = world.texts[int(world.reward.argmax())]
    assert f"&#x27;{best}&#x27;" in page or f"'{best}'" in page
