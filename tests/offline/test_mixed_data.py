"""Mixed datasets and what one learner makes of them side by side."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from rlkit import offline
from rlkit.offline import mixed_data
from rlkit.runs import Run
from rlkit.stats import paired_bootstrap

SAMPLERS = {"uniform": lambda data: data, "top 10 %": lambda data: offline.transforms.weight(data, "top", top=0.1)}
SAMPLERS |= {"AW": lambda d: offline.transforms.weight(d, "advantage"), "RW": lambda d: offline.transforms.weight(d)}
SAMPLERS["half AW"] = SAMPLERS["AW"]


def test_a_mixed_dataset_has_its_share_of_experts_and_its_noise():
    data = mixed_data.mixed("stochastic", 0.1, seed=3)
    assert data.facts["options"] == {"noise": 2.0}
    assert data.facts["episode_quality"].count("expert") == 20 and len(data.episode_ends) == 200
    with pytest.raises(ValueError, match="world='cold': must be one of"):
        mixed_data.mixed("cold", 0.1, seed=3)


def test_relative_rpsv_of_two_kinds_of_returns():
    """A share p pays 1 and the rest 0: p (1 - p)^2."""
    data = mixed_data.mixed("sparse", 0.5, seed=0, transitions=400)
    rewards = np.zeros(len(data))
    rewards[data.episode_ends[0]] = data.facts["expert_return"] - data.facts["random_return"]
    share = 1 / len(data.episode_ends)
    assert mixed_data.relative_rpsv(offline.transforms.relabel(data, rewards)) == pytest.approx(
        share * (1 - share) ** 2
    )


def test_arms_are_those_that_the_claim_names():
    assert len(mixed_data.arms_of("IQL", "published")) == 22
    assert {share for _, share, _ in mixed_data.arms_of("CQL", "published")} == {0.05, 0.5}
    assert mixed_data.arms_of("CQL", "loosened") == mixed_data.arms_of("TD3+BC", "loosened")
    assert len(mixed_data.arms_of("BC", "published")) == 6


def test_a_cell_trains_its_arms_and_is_read_back(tmp_path):
    how = {"seeds": [1000, 1001], "steps": 4, "samplers": SAMPLERS, "transitions": 400}
    metrics, rows = mixed_data.train("BC", "published", learn=offline.bc, **how)
    more, curves = mixed_data.train("IQL", "loosened", learn=offline.iql, tau=0.9, **how)
    assert rows == [] and [row["at"] for row in curves] == [1, 2, 3, 4]
    run = Run.create("mixed", {"seeds": [1000, 1001]}, root=tmp_path)
    run.log(0, **metrics)
    run.log(1, **more)
    assert set(mixed_data.scores(run, "BC", "dense", 0.05)) == {"uniform", "top 10 %"}
    uniform, weighted = (np.array(more[f"IQL, loosened, sparse, 0.05, {s}"]) for s in mixed_data.BOTH)
    found = mixed_data.gain(run, ["IQL"], [("sparse", 0.05)], setting="loosened")
    np.testing.assert_allclose(found, weighted - uniform)
    both = np.mean([more[f"IQL, loosened, {world}, 0.05, AW"] for world in ("sparse", "dense")], axis=0)
    np.testing.assert_allclose(curves[-1]["AW"], both)


def test_rank_correlation_is_scipys_and_works_on_the_last_axis():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, size=(2, 3, 8)).astype(float)
    expected = [spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(mixed_data.rank_correlation(x, y), expected)
    interval = paired_bootstrap({"x": x, "y": y}, lambda m: mixed_data.rank_correlation(m["x"], m["y"]))
    assert interval.estimate == pytest.approx(spearmanr(x.mean(axis=0), y.mean(axis=0)).statistic)


def test_rank_intervals_take_the_list_of_both_mazes_apart():
    """Gain rises with x within each maze, but the maze of higher x has the lower gain."""
    x = np.array([[1, 2, 3, 4, 11, 12, 13, 14.0]] * 3)
    y = np.array([[5, 6, 7, 8, 1, 2, 3, 4.0]] * 3)
    expected = spearmanr(x[0], y[0]).statistic
    words = f"{expected:.2f} [{expected:.2f}, {expected:.2f}]"  # seeds that agree
    alone = "1.00 [1.00, 1.00]"
    found = mixed_data.rank_intervals(x, y)
    assert expected < 0 and found == {"both mazes": words, "sparse maze": alone, "dense maze": alone}


def test_the_score_table_has_means_standard_errors_and_the_better_setting(tmp_path):
    run = Run.create("mixed", {"seeds": [0, 1]}, root=tmp_path)
    published = {"IQL, published, sparse, 0.05, uniform": [0.1, 0.3], "IQL, published, sparse, 0.05, AW": [0.5, 0.5]}
    run.log(0, **published, **{"IQL, published, sparse, 0.05, RW": [0.9, 0.9]})
    run.log(1, **{f"IQL, loosened, sparse, 0.05, {s}": [0.4, 0.4] for s in mixed_data.BOTH})
    table = mixed_data.score_table(run, {"published": ["IQL"], "loosened": ["IQL"]})
    place = ("IQL", "sparse", "5%")
    assert table["published", *place] == {"uniform": "0.20 ± 0.10", "AW": "0.50 ± 0.00", "RW": "0.90 ± 0.00"}
    assert table["loosened", *place] == {"uniform": "0.40 ± 0.00", "AW": "0.40 ± 0.00"}
    assert table["better of both", *place] == {"uniform": "0.40 ± 0.00", "AW": "0.50 ± 0.00"}
    assert [key for key in table if key[0] == "better of both"] == [("better of both", *place)]
