"""The loss explorer against closed forms: minimisers, weights, CQL's optimality; controls and static twin."""

import re

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import logsumexp, softmax
from scipy.stats import expectile

pytest.importorskip("torch")

from rlkit.widgets import loss_explorer
from rlkit.widgets.loss_explorer import ADVANTAGES, COUNTS, KNOBS, LOSSES, RETURNS, SAMPLES, LossExplorer


def minimum(page):
    return float(re.search(r"Minimum at V = (-?[\d.]+);", page)[1])


@pytest.mark.parametrize("tau", KNOBS["tau"][0])
def test_the_minimum_is_the_expectile(tau):
    assert minimum(loss_explorer.expectile(tau)) == pytest.approx(expectile(SAMPLES, tau), abs=0.01)


@pytest.mark.parametrize("beta", [1.0, 3.0, 10.0])
def test_the_minimum_is_the_soft_maximum(beta):
    expected = beta * (logsumexp(SAMPLES / beta) - np.log(len(SAMPLES)))
    assert minimum(loss_explorer.gumbel(beta)) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("share", KNOBS["lambda_"][0])
def test_the_minimum_of_the_dual_loss_solves_its_equation(share):
    """lambda mean max(0, (Q - V) / 2 + 1) = 1 - lambda, the slope of the conjugate of chi-square."""
    V = brentq(lambda v: share * np.maximum(0, (SAMPLES - v) / 2 + 1).mean() - (1 - share), -5, 10)
    found = minimum(loss_explorer.dual(share, "chi-square"))
    assert found == pytest.approx(min(V, SAMPLES.max() + 0.5), abs=0.01), "or the edge of the picture"


def test_total_variation_has_its_own_minimum():
    assert minimum(loss_explorer.dual(0.9, "total-variation")) > minimum(loss_explorer.dual(0.6, "total-variation"))


def test_weights_and_effective_sample_size():
    weights = np.minimum(np.exp(2.0 * ADVANTAGES), 10)
    page = loss_explorer.weighting(2.0, 10)
    size = weights.sum() ** 2 / (weights**2).sum()
    assert float(re.search(r"/ sum w\^2: ([\d.]+) of 10", page)[1]) == pytest.approx(size, abs=0.01)
    assert f"{(weights == 10).sum()} of them at the cap of 10" in page
    equal = loss_explorer.weighting(0.1, 1)
    assert float(re.search(r"/ sum w\^2: ([\d.]+) of 10", equal)[1]) > 9.9


def test_alpha_moves_the_policy_from_the_data_to_the_highest_value():
    went = [float(re.search(r"goes to (-?[\d.]+):", loss_explorer.td3_bc(alpha))[1]) for alpha in KNOBS["alpha"][0]]
    assert went[0] == loss_explorer.DATA_ACTION and went[-1] == pytest.approx(0.6, abs=0.05)
    assert went == sorted(went)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 2.5])
def test_the_conservative_values_are_optimal(alpha):
    """alpha (softmax(Q) - share) + share (Q - return) = 0 for each action."""
    page = loss_explorer.conservative(alpha)
    rows = [re.findall("<td[^>]*>([^<]*)</td>", row) for row in re.findall("<tr>(.*?)</tr>", page)][1:]
    q, share = np.array([float(row[3]) for row in rows]), COUNTS / COUNTS.sum()
    slope = alpha * (softmax(q) - share) + share * (q - RETURNS)
    assert np.abs(slope).max() < 1e-4, "the numbers of the table have five digits"
    assert [row[1] for row in rows] == [str(count) for count in COUNTS]


def test_each_loss_shows_its_own_knobs_with_labels():
    view = LossExplorer()
    for loss, (_, knobs) in LOSSES.items():
        view.controls["loss"].value = loss
        shown = {name for name, control in view.controls.items() if control.layout.display != "none"}
        assert shown == {"loss", *knobs} == set(view.values())
        assert all(view.controls[name].description == name.rstrip("_") for name in shown)
        assert view.picture.value == LOSSES[loss][0](**{name: KNOBS[name][1] for name in knobs})


def test_a_slider_redraws_and_the_twin_says_where_it_stands():
    view = LossExplorer("trade-off: TD3+BC")
    before = view.picture.value
    view.controls["alpha"].value = 10.0
    assert view.picture.value != before and view.picture.value == loss_explorer.td3_bc(10.0)
    page = view.to_html()
    assert "loss: trade-off: TD3+BC, alpha: 10" in page and "tau" not in page
    assert 'role="img"' in page and "<table" in page and view._repr_mimebundle_()["text/html"] == page
    with pytest.raises(ValueError, match=r"loss='PPO': must be one of"):
        LossExplorer("PPO")
