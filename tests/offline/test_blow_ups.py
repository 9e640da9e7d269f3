"""Growth of values: what is noted at each look, what counts as blown up, and that a real learner can be watched."""

import numpy as np
import pandas as pd
import pytest

from rlkit import offline
from rlkit.offline import blow_ups
from rlkit.offline.algorithms.iql import expectile_loss
from rlkit.offline.algorithms.xql import gumbel_loss
from rlkit.runs import Run, Step
from tests.offline.one_step import OneStep, dataset

LOG = dataset(OneStep(), rows=400)
KEYS = [("a", 0.5, 3), ("a", 0.5, 4)]


class Grows:
    """|Q| of the two rows at three looks; V is 0."""

    def __init__(self, sizes):
        self.sizes, self.look = np.array(sizes), -1

    def learner(self):
        for look in range(self.sizes.shape[1]):
            self.look = look
            yield Step(100 * (look + 1), {"score": np.array([0.1, 0.2]) * look})

    def q(self, observations, actions):
        assert observations.shape == (2, 20, 1) and actions.shape == (2, 20, 1)
        values = np.zeros((2, 20))
        values[:, 7] = -self.sizes[:, self.look]
        return values

    def value(self, observations):
        return np.zeros(observations.shape[:2])


def test_what_is_noted():
    agent = Grows([[1, 2, 3], [1, np.nan, 4]])
    metrics, rows = blow_ups.watch(agent.learner(), agent, KEYS, [LOG, LOG])
    assert metrics == {"score": pytest.approx(0.3)}
    assert rows[0]["at"] == [100, 200, 300] and rows[1]["score"] == [0.0, 0.2, 0.4]
    assert rows[0]["size"] == [1, 2, 3] and rows[1]["size"] == [1, blow_ups.NO_NUMBER, 4]
    counts = np.array(rows[0]["histogram"])
    assert counts.sum() == 20 and counts[20] == 19  # the bin around 0
    assert blow_ups.EDGES[np.flatnonzero(counts)[0]] <= -3 <= blow_ups.EDGES[np.flatnonzero(counts)[0] + 1]


def test_blown_is_ten_times_the_bound_at_any_look_or_no_number(tmp_path):
    agent = Grows([[1, 101, 3], [1, 100, 100]])
    run = Run.create("growth", {"seeds": [3, 4]}, root=tmp_path)
    metrics, rows = blow_ups.watch(agent.learner(), agent, KEYS, [LOG, LOG])
    run.log_rollouts(0, rows)
    run.log(0, **metrics)
    found = blow_ups.results(run, 10.0)
    assert found["blown"].tolist() == [1.0, 0.0] and found["final"].tolist() == [0.2, 0.4]
    assert np.array_equal(blow_ups.by_seed(found, "a", "blown"), [[1.0], [0.0]])
    assert blow_ups.results(run, 11.0)["blown"].tolist() == [0.0, 0.0]
    table = blow_ups.overview(found)
    assert table.loc["a"].tolist() == [[0.5], [0.5], [52], [101], [0.3]]  # of last sizes 3 and 100; round to even
    with pytest.raises(ValueError, match="arm='b'"):
        blow_ups.by_seed(found, "b", "blown")


def made(**finals):
    """Rows of arms with knobs 1.0 and 0.5 and two seeds: the largest |Q| is 100 times the score, at both looks."""
    rows = []
    for arm, scores in finals.items():  # [knobs, S]
        for knob, of_seeds in zip((1.0, 0.5), scores, strict=True):
            for seed, score in enumerate(of_seeds):
                sizes = [100 * score, 100 * score]
                rows.append({"arm": arm, "knob": knob, "seed": seed, "size": sizes, "blown": 0.0, "final": score})
    return pd.DataFrame(rows)


def test_no_number_is_said_and_the_largest_number_before_it_is_kept():
    found = made(a=[[0.1, 0.2], [0.3, 0.4]])
    found.at[0, "size"] = [70.0, blow_ups.NO_NUMBER]
    assert blow_ups.overview(found).loc["a", "largest |Q|"] == ["no number", 35]
    assert blow_ups.overview(found).loc["a", "most seen"] == [70, 40]
    found.at[0, "size"] = found.at[1, "size"] = [blow_ups.NO_NUMBER] * 2
    assert blow_ups.overview(found).loc["a", "most seen"] == ["no number", 40]


def test_overshoot_sets_the_prediction_beside_the_difference():
    found = made(a=[[0.5, 0.7], [0.3, 0.3]], b=[[0.1, 0.1], [0.2, 0.2]])
    table = blow_ups.overshoot(found, {"a": ("b", lambda knob: 2 * knob)}, 50, 0.5)
    assert list(table.index) == [("a", 1.0), ("a", 0.5)]
    assert table.to_numpy() == pytest.approx(np.array([[2, 100, 50, np.exp(-1)], [1, 50, 10, np.exp(-0.5)]]))


def test_leads_are_over_the_mean_of_a_group_and_paired_by_seed():
    found = made(a=[[0.5, 0.7], [0.3, 0.5]], b=[[0.1, 0.3], [0.3, 0.5]], c=[[0.3, 0.5], [0.1, 0.3]])
    table = blow_ups.leads(found, {"both": ["b", "c"]})
    assert table["mean"].tolist() == [0.5, 0.3, 0.3] and table["best knob"].tolist() == [0.6, 0.4, 0.4]
    assert table["lead over both"].tolist() == ["+0.20 (+0.20 to +0.20)", "–", "–"]  # the same with each seed


def test_no_number_at_the_end_is_left_out_of_the_histogram():
    agent = Grows([[1, np.inf], [1, 2]])
    rows = blow_ups.watch(agent.learner(), agent, KEYS, [LOG, LOG])[1]
    assert [sum(row["histogram"]) for row in rows] == [19, 20] and rows[0]["size"][-1] == blow_ups.NO_NUMBER


def test_a_learner_watched():
    agent = offline.Agent()
    how = {"steps": 40, "batch_size": 16, "hidden": (16, 16), "evaluate_every": 20, "episodes": 2}
    learner = offline.iql([LOG, LOG], [3, 4], agent=agent, simulator=OneStep(), **how)
    _, rows = blow_ups.watch(learner, agent, KEYS, [LOG, LOG])
    q = np.abs(agent.q(LOG.observations[::20], np.stack([LOG.actions[::20]] * 2))).max(axis=1)
    assert [row["size"][-1] for row in rows] == pytest.approx(q, rel=1e-4)


def test_arms_side_by_side_are_each_arm_alone():
    arms = {
        "gumbel": (lambda u, beta: gumbel_loss(u, beta, None, rescale=False), (0.5, 2.0), None),
        "expectile": (expectile_loss, (0.7, 0.9), None),
    }
    how = {"steps": 40, "sharpness": 3.0, "discount": 0.9, "polyak": 0.02, "evaluate_every": 20, "episodes": 2}
    how |= {"batch_size": 16, "simulator": OneStep()}
    with pytest.raises(ValueError, match="as many for each arm"):
        blow_ups.train(arms | {"c": (expectile_loss, (0.7,), None)}, [3, 4], lambda seed: LOG, **how)
    with pytest.raises(ValueError, match="of one gradient limit"):
        blow_ups.train(arms | {"c": (expectile_loss, (0.7, 0.9), 1.0)}, [3, 4], lambda seed: LOG, **how)
    _, rows = blow_ups.train(arms, [3, 4], lambda seed: LOG, **how)
    keys = [(row["arm"], row["knob"], row["seed"]) for row in rows]
    assert keys == [(a, k, s) for a, (_, knobs, _) in arms.items() for k in knobs for s in (3, 4)]
    _, alone = blow_ups.train({"expectile": (expectile_loss, (0.9,), None)}, [3, 4], lambda seed: LOG, **how)
    assert [row["size"] for row in rows[-2:]] == [pytest.approx(row["size"], rel=1e-3) for row in alone]
    agent = offline.Agent()
    plain = {name: how[name] for name in ("steps", "discount", "polyak", "evaluate_every", "episodes", "batch_size")}
    learner = offline.iql(LOG, [3, 4], tau=0.9, beta=3.0, agent=agent, simulator=OneStep(), **plain)
    _, library = blow_ups.watch(learner, agent, KEYS, [LOG, LOG])
    assert [row["size"] for row in library] == [pytest.approx(row["size"], rel=1e-3) for row in alone]
