"""Token heat maps: the numbers against arithmetic, the marks against their signs, hostile tokens as text."""

import math
import re

import numpy as np
import pytest

from rlkit.widgets import heat

NAN = float("nan")
ROW = {
    "tokens": ["a", "b", "c"],
    "logp_sampled": [-1.0, -2.0, -0.5],
    "logp_new": [-0.5, -2.0, -1.0],
    "logp_reference": [-1.5, -2.0, 0.0],
    "entropy": [0.3, 0.0, 1.0],
}


def text(page):
    return re.sub("<[^>]*>", "", page)


def test_ratio_and_kl_are_what_they_are_by_hand():
    assert heat.values(ROW, "logp", 3).tolist() == [-1.0, -2.0, -0.5]
    assert heat.values(ROW, "ratio", 3).tolist() == [0.5, 0.0, -0.5]
    k3 = [math.exp(d) - d - 1 for d in (-0.5, 0.0, 0.5)]
    assert heat.values(ROW, "kl", 3) == pytest.approx(k3) and min(k3) >= 0
    assert heat.values(ROW, "entropy", 3).tolist() == [0.3, 0.0, 1.0]


def test_what_was_not_sampled_or_not_logged_has_no_number():
    masked = ROW | {"mask": [1, 0, 1], "logp_new": [-0.5, -2.0]}
    assert np.array_equal(heat.values(masked, "ratio", 3), [0.5, NAN, NAN], equal_nan=True)
    assert np.isnan(heat.values({"tokens": ["a"]}, "logp", 1)).all()


def test_only_metrics_whose_columns_are_there_are_offered():
    assert heat.available(["logp_sampled"]) == ["logp"]
    assert heat.available(["logp_sampled", "logp_new"]) == ["logp", "ratio"]
    assert heat.available(["logp_sampled", "reward", "entropy"]) == ["logp", "entropy", "credit"]
    assert heat.available(["reward"]) == []


def test_the_limit_is_a_round_number_that_outliers_do_not_set():
    assert heat.limit([np.linspace(-3, 3, 1000)]) == 5
    assert heat.limit([np.ones(1000), np.array([1e6]), np.array([NAN, np.inf])]) == 1
    assert heat.limit([np.zeros(99), np.array([0.03])]) == pytest.approx(0.05)
    assert heat.limit([np.zeros(5)]) == heat.limit([]) == heat.limit([np.array([NAN])]) == 0


@pytest.mark.parametrize(
    ("value", "mark"),
    [(1.0, "+++"), (0.5, "++"), (0.2, "+"), (0.0, "·"), (-0.2, "−"), (-0.5, "−−"), (-9.0, "−−−"), (NAN, "&nbsp;")],
)
def test_sign_and_size_are_told_without_colour(value, mark):
    assert text(heat.cell("x", value, "ratio", 1.0)) == "x" + mark


def test_a_bar_grows_where_the_sign_does_not_matter():
    shown = [text(heat.cell("x", -v, "logp", 1.0))[1:] for v in (0.0, 0.3, 0.6, 1.0)]
    assert shown == list(heat.BARS)


def test_colour_goes_with_the_sign_and_is_absent_at_zero():
    assert heat.UP in heat.cell("x", 0.5, "credit", 1.0) and heat.DOWN in heat.cell("x", -0.5, "credit", 1.0)
    assert "background" not in heat.cell("x", 0.0, "credit", 1.0)
    assert "background" not in heat.cell("x", 0.0, "credit", 0.0)
    assert heat.MUCH in heat.cell("x", -0.5, "logp", 1.0)


def test_the_numbers_can_be_read_without_a_pointer():
    page = heat.heat_map(ROW, heat.values(ROW, "ratio", 3), "ratio", 1.0, written=True)
    assert text(page) == "a+0.5b0c−0.5"
    table = heat.token_table(ROW, {m: heat.values(ROW, m, 3) for m in ("logp", "ratio")})
    assert "<td" in table and ">+0.5</td>" in table and ">1.65</td>" in table and "3 tokens" in table


def test_the_legend_is_made_of_the_same_cells_and_says_what_they_mean():
    legend = heat.legend("ratio", 0.5)
    assert all(heat.cell(*cell, "ratio", 0.5) in legend for cell in [("≤ −0.5", -0.5), ("0", 0.0), ("≥ +0.5", 0.5)])
    assert "more likely" in legend and heat.UP in legend and heat.DOWN in legend
    assert "0 for every token" in heat.legend("credit", 0.0)
    for metric in heat.METRICS:
        assert heat.METRICS[metric].label in heat.legend(metric, 1.0)


@pytest.mark.parametrize("token", ["<script>alert(1)</script>", "\u202eabc", "\x00", "\ud800", "\"'>", "a" * 10_000])
def test_hostile_tokens_are_short_visible_text(token):
    row = {"tokens": [token], "logp_sampled": [-1.0]}
    for page in (heat.heat_map(row, np.array([-1.0]), "logp", 1.0), heat.token_table(row, {"logp": np.array([-1.0])})):
        assert "<script" not in page and "\u202e" not in page and "\x00" not in page and "\ud800" not in page
        assert len(page) < 1500
        page.encode("utf-8")


def test_blank_tokens_can_be_seen():
    assert [heat.name(token) for token in ("", " ", "\n", " a", "\t")] == ["(empty)", "␣", "⏎", " a", "⇥"]


def test_long_completions_say_how_long_they_are():
    row = {"tokens": ["t"] * 5000}
    page = heat.heat_map(row, np.zeros(5000), "entropy", 1.0)
    assert page.count("title=") == heat.MOST and f"{heat.MOST} of 5,000 tokens" in page
    assert "the first 200 of 5,000" in heat.token_table(row, {"entropy": np.zeros(5000)})
    assert "No tokens were logged" in heat.token_table({}, {})
