"""Pictures of policies beside a posterior."""

import re

import pytest

pytest.importorskip("torch")
from rlkit.html import COLOURS
from rlkit.rlhf import posteriors
from rlkit.runs import Run
from rlkit.widgets import posterior_charts


@pytest.fixture(scope="module")
def world():
    return posteriors.world(0)


@pytest.fixture
def run(world, tmp_path):
    run = Run.create("posterior", {"train steps": 5}, root=tmp_path)
    for number, (arm, beta) in enumerate({"no KL": 0.05, "GDC 1": 1.0, "KL-RL 1": 1.0, "GDC 1 exact": 1.0}.items()):
        law = world.star(beta)
        end = posteriors.place(law, world, 0 if arm == "no KL" else beta)
        path = {name: [1.0 if name in ("reverse", "forward") else 0.0, value] for name, value in end.items()}
        likely = [(world.texts[i], float(law[i].exp())) for i in law.topk(10).indices.tolist()]
        run.log_rollouts(number, [{"kind": "end", "arm": arm, "seed": 0, "end": end, "path": path, "likely": likely}])
    run.finish()
    return run


def test_passed_shows_theory_and_simulation_side_by_side(world):
    page = posterior_charts.passed(1, 0)
    assert "After 1 judge," in page and world.prompt in page
    rows = re.findall(r"<tr>(.*?)</tr>", page)[1:]
    cells = [re.findall(r">([^<>]+)</t[dh]>", row) for row in rows]
    assert len(cells) == 8
    star = world.star(1.0)
    for text, prior, chance, posterior, simulated, points, seen, accepted in cells:
        i = world.texts.index(text)
        assert float(points) == pytest.approx(world.points[i], abs=0.01)
        assert (int(seen), int(accepted)) == (world.seen[i], world.accepted[i])
        assert float(posterior) == pytest.approx(100 * star[i].exp().item(), rel=6e-3)
        assert float(simulated) == pytest.approx(float(posterior), abs=0.6)  # about 30,000 texts passed
        assert float(prior) < 100 and 0 < float(chance) < 100


def test_passed_with_more_judges_than_texts_get_by_still_shows():
    assert "of 0 that passed" in posterior_charts.passed(10**9, 0)


def test_the_map_has_a_path_for_each_finished_arm_in_its_own_colour(run, tmp_path):
    page = posterior_charts.plane(run, 0)
    assert all(f">{name}<" in page for name in ("frontier", "no KL", "GDC 1", "KL-RL 1", "GDC 1 exact"))
    one = posterior_charts.plane(run, 0, ("KL-RL 1",))
    assert COLOURS[3] in one and COLOURS[1] not in one and ">GDC 1<" not in one  # the third arm that ran
    twin = posterior_charts.plane(run, 0, ("GDC 1 exact",))
    assert COLOURS[2] in twin and COLOURS[4] not in twin  # the colour of GDC 1, which ran second
    empty = posterior_charts.plane(Run.create("empty", {}, root=tmp_path), 0)
    assert "frontier" in empty and "GDC 1" not in empty


def test_a_posterior_misses_nothing_of_the_best_and_the_start_model_some(run, world):
    kl, reward, texts, best, missing = posterior_charts.beside_best(run, "KL-RL 1", -1)
    there = posteriors.place(world.star(1.0), world, 1.0)
    assert (kl, reward, texts) == (there["kl"], there["reward"], there["texts"])
    assert missing == pytest.approx(0, abs=1e-6) and missing == best - reward
    rows = [{"kind": "end", "arm": "flat", "seed": 0, "path": {"kl": [1.0], "reward": [-1.0], "texts": [9]}}]
    run.log_rollouts(9, rows)
    star = world.star(posteriors.optimum.beta_at(world.log_prior, world.reward, 1.0))
    most = float(star.exp() @ world.reward)
    assert posterior_charts.beside_best(run, "flat", 0) == pytest.approx([1.0, -1.0, 9.0, most, most + 1.0])


def test_distances_leave_out_arms_without_a_posterior(run):
    page = posterior_charts.distances(run, "KL(pi || pi*)")
    assert ">KL-RL 1<" in page and ">GDC 1<" in page and ">no KL<" not in page
    assert "KL-RL 1 ends at 0.000 nats" in page


def test_written_lists_ten_texts_and_the_rest(run, world):
    page = posterior_charts.written(run, 0, 1)
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    assert len(rows) == 12 and rows[-1].count("all others") == 5
    best = world.texts[int(world.reward.argmax())]
    assert f"&#x27;{best}&#x27;" in page or f"'{best}'" in page
    unfinished = posterior_charts.written(run, 3, 1)  # a seed that did not run: the two laws alone
    assert unfinished.count("all others") == 2
