"""The distance to the optimum, against its definition; long texts and the listed model, against known values."""

import doctest
import math

import numpy as np
import pandas as pd
import pytest
import torch

from rlkit import lm
from rlkit.lm import exact
from rlkit.rlhf import asymptotics, optimum, types

P, R = (0.5, 0.3, 0.2), (0.0, 1.0, 2.5)


def test_the_example_of_the_module():
    assert doctest.testmod(asymptotics).failed == 0


def test_what_any_policy_lacks_is_beta_times_its_distance():
    generator = torch.Generator().manual_seed(0)
    prior, other, reward = torch.randn(3, 40, generator=generator, dtype=torch.float64)
    for mix in (0.1, 0.5, 1.0):
        law = (prior.log_softmax(-1) + mix * other).log_softmax(-1)
        found = asymptotics.beside_optimum(law, prior.log_softmax(-1), reward)
        assert found["lacks"] > 0 and found["lacks"] == pytest.approx(found["beta"] * found["apart"], rel=1e-6)


def test_the_tilt_lacks_nothing_the_base_neither_and_beyond_the_last_tilt_the_best_reward_is_the_measure():
    source = types.source(P, R, 10)
    tilted = asymptotics.beside_optimum(optimum.tilt(*source, 1.7), *source)
    assert tilted["lacks"] == pytest.approx(0, abs=1e-9) and tilted["beta"] == pytest.approx(1.7)
    assert asymptotics.beside_optimum(source[0], *source)["lacks"] == pytest.approx(0, abs=1e-9)
    greedy = types.source((0.5**50, 0.3**50, 1 - 0.5**50 - 0.3**50), R, 10)[0]  # nearly always the best text
    beyond = asymptotics.beside_optimum(greedy, source[0], -source[1])  # by the reverse reward
    assert beyond["optimum"] == 0 and beyond["lacks"] == pytest.approx(25) and "beta" not in beyond


def test_long_texts_have_the_numbers_of_the_atlas():
    first, share, cold = asymptotics.long_texts(P, R, 120, 0.05, temperatures=[0.5])
    assert first["gap"] / 120 == pytest.approx(0.046, abs=5e-4) and first["far"] / 120 <= 0.012
    assert first["bound"] == pytest.approx(6 - 1 + math.exp(-6)) and 0.99 < first["kl"] / first["bound"] < 1
    assert first["narrow"] < first["spread"] / 2
    assert share["lacks"] > first["lacks"] > 0 and share["kl"] == pytest.approx(first["kl"], rel=0.02)
    assert cold["reward"] < cold["base"] and cold["policy"] == "temperature 0.5"


def test_random_sources_are_their_seeds():
    p, r, delta = asymptotics.random_source(3)
    assert p.sum() == pytest.approx(1) and (r.min(), r.max()) == (0, 1)
    assert 0 < delta < -0.5 * math.log(p[r.argmax()]) + 1e-12
    assert (p == asymptotics.random_source(3)[0]).all() and (p != asymptotics.random_source(4)[0]).any()


@pytest.mark.slow
def test_the_listed_model_adds_up_and_gold_has_ties():
    policy, prior, gold = asymptotics.listed(0)
    assert prior.exp().sum().item() == pytest.approx(1, abs=1e-6) and len(prior) == 66_430
    assert len(gold.unique()) < 100 and gold.max().item() == 2
    texts = exact.texts(policy, lm.load("xs-style")[1])
    problem = asymptotics.problems()[0]
    for i in (0, 17, 4_000, 66_429):
        assert gold[i].item() == pytest.approx(asymptotics.TASK.reward(asymptotics.TASK.verify(problem, texts[i])))


def test_there_are_six_problems():
    assert len({problem.prompt for problem in asymptotics.problems()}) == 6


@pytest.mark.slow
def test_answers_have_the_exact_numbers():
    rows = asymptotics.answers(0, draws=[2, 64], shares=[0.5], temperatures=[1.0], seeds=[3, 4])
    two, many, share, same, *prizes = rows
    assert two["kl"] < two["bound"] == pytest.approx(math.log(2) - 0.5) and two["lacks"] > 0
    _, prior, gold = asymptotics.listed(0)
    best = gold == gold.max()
    mass = prior[best].exp().sum().item()
    assert many["reward"] == pytest.approx(2, abs=1e-3) and many["kl"] == pytest.approx(-math.log(mass), abs=0.02)
    assert many["bound"] - many["kl"] > 0.5  # ties
    assert share["knob"] == 0.5 and share["kl"] == pytest.approx(math.log(2), abs=0.05)
    assert same["policy"] == "temperature" and same["kl"] == pytest.approx(0, abs=1e-6)
    assert [row["seed"] for row in prizes] == [3, 4] and prizes[0]["reward"] != prizes[1]["reward"]
    assert all(row["bound"] - 0.1 < row["kl"] < row["bound"] for row in prizes)  # no ties, but some likely texts


def test_the_optimum_is_a_straight_line_over_the_reward_and_best_of_n_stays_below_ln_n():
    source = types.source(P, R, 20)
    laws = asymptotics.at_equal_kl(*source, 16)
    kls = {name: optimum.kl(law, source[0]).item() for name, law in laws.items()}
    assert kls["optimum"] == pytest.approx(kls["best of N"], abs=1e-8) and kls["base"] == 0
    assert kls["best share"] == pytest.approx(kls["best of N"], rel=0.05)
    levels, ratio, upto = asymptotics.by_reward(laws["optimum"], *source)
    beta = optimum.beta_at(*source, kls["optimum"])
    slopes = (ratio[1:] - ratio[:-1]) / (levels[1:] - levels[:-1])
    assert slopes.tolist() == pytest.approx([1 / beta] * len(slopes)) and upto[-1] == pytest.approx(1)
    assert asymptotics.by_reward(laws["best of N"], *source)[1].max() < math.log(16)
    assert len(asymptotics.by_reward(laws["base"], *source, points=7)[0]) == 7


def test_growth_is_best_of_n_alone():
    rows = [row | {"seed": -1} for n in (5, 10) for row in asymptotics.long_texts(P, R, n, 0.05)]
    rows += [rows[0] | {"seed": 3}, {"kind": "cell", "length": 5, "delta": 0.05}]
    found = asymptotics.growth(pd.DataFrame(rows))
    assert found["whole text"]["KL to it, 0.05"] == [[rows[0]["far"], rows[2]["far"]]]
    assert found["per symbol"]["short of, 0.05"][0] == pytest.approx([0.2238, 0.1878], abs=1e-4)
    assert asymptotics.growth(pd.DataFrame()) == {"per symbol": {}, "whole text": {}}


def test_by_length_has_the_beta_of_delta_alone_and_the_limit_of_the_kl():
    rows = pd.DataFrame([asymptotics.long_texts(P, R, n, 0.15)[0] for n in (5, 20, 200)])
    found = asymptotics.by_length(rows)
    expected = optimum.beta_at(*types.source(P, R, 10), 1.5)
    assert found["beta"].tolist() == pytest.approx([expected] * 3, rel=1e-6)
    assert found.loc[(0.15, 5), "formula of KL to it"] < 0  # a limit: no use on short texts
    assert found.loc[(0.15, 200), "formula of KL to it"] == pytest.approx(rows["far"][2], abs=0.05)
    assert found["short of"].tolist() == rows["gap"].tolist() and (found["lacks"] < found["short of"]).all()


@pytest.mark.slow
def test_against_kl_has_every_policy_once_below_an_optimum_that_goes_on():
    knobs = {"draws": [2, 8, 16, 64], "shares": [0.5], "temperatures": [0.5, 0.02]}
    rows = pd.DataFrame(asymptotics.answers(0, seeds=[], **knobs))
    found = asymptotics.against_kl(rows, 0)
    sizes = {name: len(x) for name, (x, _) in found.items() if name != "optimum"}
    own = {"best of N, below 16": 2, "best of N, from 16": 2, "best share": 1, "temperature": 2}
    assert sizes == own | {"formula, best of N": 3}
    assert found["formula, best of N"][0].tolist() == [optimum.best_of_n_bound(n) for n in (8, 16, 64)]
    kl, most = found["optimum"]
    assert (kl[-1], most[-1]) == (optimum.best_of_n_bound(64), 2) and (kl[1:] >= kl[:-1] - 1e-12).all()
    for name, (x, y) in found.items():
        assert name == "formula, best of N" or (y <= np.interp(x, kl, most) + 1e-3).all()


def test_other_sources_are_a_row_each():
    rows = [row | {"seed": 3, "world": "texts"} for n in (10, 5) for row in asymptotics.long_texts(P, R, n, 0.05)]
    rows += [rows[0] | {"seed": -1}, {"world": "samples", "seed": 3}]
    found = asymptotics.other_sources(pd.DataFrame(rows))
    assert found.index.tolist() == [3] and found.loc[3].to_dict() == {5: rows[2]["far"], 10: rows[0]["far"]}
