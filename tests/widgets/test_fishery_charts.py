"""Fisheries as pictures: each arm with its own look, the loss where it is, the catch that the policy makes."""

import re

import numpy as np
import pytest

from rlkit import envs
from rlkit.envs import fishery
from rlkit.html import COLOURS
from rlkit.widgets.fishery_charts import catch_maps, stock_charts

ORDER = ("mortality", "escapement", "other")


def episodes(act):
    world = envs.simulator("fishery", noise=0.0)
    return envs.rollout(world, lambda count, rng: act, np.random.default_rng(0), 2)


def test_three_charts_with_the_look_of_each_arm_and_the_year_of_the_loss():
    played = {"escapement": episodes(fishery.escapement([0.3, 0.3])), "other": episodes(fishery.mortality([1.0, 1.0]))}
    page = stock_charts(played, 1, ORDER)
    assert page.count("<svg ") == 3 and page.index("Z, the predator") < page.index(">stock of X<")
    assert COLOURS[1] in page and COLOURS[2] in page and COLOURS[0] not in page
    year = played["escapement"].lengths[1]
    assert year < 200 and f"lost in year {year}" in page and "lost in year 1." in page


def test_maps_show_what_a_rule_catches():
    met = episodes(fishery.mortality([1.0, 1.0]))  # one year alone: X and Y about 0.5, Z 0.7
    page = catch_maps({"a": fishery.mortality([0.3, 0.7]), "b": fishery.escapement([0.5, 0.5])}, "X", 0.4, met)
    one, two = (re.findall(r">(\d+)</text>", part) for part in page.split("<svg ")[1:])
    assert one.count("30") == 120 and two.count("50") == 12 and two.count("0") >= 60, "X = 1: half; X to 0.5: nothing"
    page = catch_maps({"a": fishery.mortality([0.3, 0.7])}, "X", 0.5, met)
    assert 1 <= page.count('<g opacity="1">') <= 2 and page.count('<g opacity="0.25">') >= 118, "two starts"
    assert ">70</text>" in catch_maps({"a": fishery.mortality([0.3, 0.7])}, "Y", 0.4, met)


def test_bad_input_is_refused_in_one_line():
    played = {"other": episodes(fishery.mortality([0.1, 0.1]))}
    with pytest.raises(ValueError, match="episode=2: must be 0 to 1"):
        stock_charts(played, 2, ORDER)
    with pytest.raises(ValueError, match="arm='other': must be one of 'a'"):
        stock_charts(played, 0, ("a",))
    with pytest.raises(ValueError, match="stock='Z': must be one of 'X', 'Y'"):
        catch_maps({}, "Z", 0.4, played["other"])
