"""DreamExplorer against rollouts made by hand: when the truth leaves, what is drawn, what the controls do."""

import re

import numpy as np
import pytest

from rlkit.widgets import DreamExplorer
from rlkit.widgets.dream_charts import dream_chart, inside, leaving, spread, step_table

HOSTILE = "<script>alert(1)</script>"
OFF = np.array([-1.0, 0.0, 0.5])  # three dreams
asked = []


def dream(start, horizon, policy):
    """x stays, or grows from step 3 on with the policy "push"; dream k is off by OFF[k] step / 10; y mirrors x."""
    asked.append((tuple(start), horizon, policy))
    t = np.arange(horizon + 1)
    x = start[0] + (np.maximum(t - 3, 0) if policy == "push" else 0 * t)
    dreams = start[0] + OFF[:, None] * t / 10
    truth, dreams = np.stack([x, -x], axis=1), np.stack([dreams, -dreams], axis=2)
    return {"truth": truth, "dreams": dreams, "rewards": (np.ones(horizon), np.full((3, horizon), 2.0)), "words": "W."}


def explorer(**changed):
    how = {"starts": {"here": [1, 0], "there": [5, 0]}, "labels": ("x (m)", "y (m)"), "horizon": 10}
    return DreamExplorer(dream, **(how | {"policies": ("stay", "push")} | changed))


def cells(page):
    return [re.findall("<td[^>]*>([^<]*)</td>", row) for row in re.findall("<tr>(.*?)</tr>", page)]


def test_the_truth_leaves_after_the_last_step_inside():
    low, mean, high = spread(np.array([[0.0, -1, -2, -3], [0.0, 1, 2, 4]]))
    assert (low.tolist(), mean.tolist(), high.tolist()) == ([0, -1, -2, -3], [0, 0, 0, 0.5], [0, 1, 2, 4])
    assert inside(np.array([0.0, 1, 2.1, 0]), low, high) == 1, "that it comes back does not count"
    assert inside(np.array([0.0, 1, 2, 4]), low, high) == 3
    assert inside(np.array([1.0, 1, 2, 4]), low, high) == 0
    assert leaving(np.array([0.0, 1, 2.1, 0]), low, high) == "leaves the band after step 1"
    assert leaving(np.array([0.0, 1, 2, 4]), low, high) == "is in the band in all 3 steps"


def test_rounding_is_no_leaving_and_sizes_count():
    flat = np.full(4, 1e6)
    assert inside(flat + 5, flat, flat) == 3 and inside(flat + 50, flat, flat) == 0
    assert inside(np.full(4, 5e-6), np.zeros(4), np.zeros(4)) == 3


def test_what_has_ended_is_left_out_of_the_band():
    gone = np.nan
    low, mean, high = spread(np.array([[0.0, 1, gone, gone], [0.0, 3, 5, gone]]))
    np.testing.assert_array_equal(low, [0, 1, 5, gone])
    np.testing.assert_array_equal(mean, [0, 2, 5, gone])
    assert inside(np.array([0.0, 2, 5, 5]), low, high) == 2, "the truth goes on alone"
    assert inside(np.array([0.0, 2, gone, gone]), low, high) == 3, "a truth that has ended cannot leave"


def test_the_picture_says_when_and_draws_what_it_says():
    truth, dreams = np.array([0.0, 0, 3]), np.array([[0.0, 1, 2], [0, -1, -2]])
    page = dream_chart("x", truth, dreams, True, "title")
    assert "leaves the band after step 1" in page and 'role="img"' in page and "2 single dreams" in page
    assert page.count('stroke-width="0.8"') == 3, "two dreams and the legend"
    calm = dream_chart("x", truth * 0, dreams, False, "title")
    assert ">leaves the band" not in calm and "x: the truth is in the band in all 2 steps." in calm
    assert 'stroke-width="0.8"' not in calm
    assert "&lt;script" in dream_chart(HOSTILE, truth, dreams, True, HOSTILE)


def test_the_table_has_the_numbers_also_around_leaving():
    t = np.arange(21.0)
    rows = cells(step_table("x", np.where(t > 7, 3.0, 0.0), np.stack([t / 10, -t / 5])))[1:]
    assert [row[0] for row in rows] == ["0", "4", "7", "8", "12", "16", "20"]
    assert rows[3] == ["8", "3", "-0.4", "2.4", "3.4"]  # truth, mean of 0.8 and -1.6, width, error


def test_controls_choose_start_policy_quantity_horizon_and_lines():
    view = explorer()
    assert [c.description for c in view.controls.values()] == ["start at", "policy", "show", "horizon", "single dreams"]
    assert view.values()["horizon"] == 10 and "x (m): the truth is in the band in all 10 steps" in view.picture.value
    assert "10 in the truth, 20 dreamt" in view.picture.value and "W." in view.picture.value
    view.controls["policy"].value = "push"  # step 4: 1 against at most 0.5 * 0.4 above the start
    assert "x (m): the truth leaves the band after step 3" in view.picture.value
    view.controls["show"].value = "y (m)"
    assert "y (m): the truth leaves the band after step 3" in view.picture.value
    view.controls["horizon"].value = 3
    assert "y (m): the truth is in the band in all 3 steps. Return over 3 steps: 3 in the truth" in view.picture.value
    view.controls["start_at"].value = "there"
    assert "Start: x (m) 5, y (m) 0" in view.picture.value
    view.controls["single_dreams"].value = True
    assert "3 single dreams" in view.picture.value
    view.controls["show"].value = "return so far"
    assert cells(view.picture.value)[1:3] == [["0", "0", "0", "0", "0"], ["1", "1", "2", "0", "1"]]


def test_all_quantities_stand_in_one_table():
    view = explorer()
    view.controls["policy"].value = "push"
    rows = cells(view.picture.value)[-3:]
    assert rows[0] == ["x (m)", "after step 3", "1.5", "7.17"]  # 7 and the mean of OFF
    assert rows[2] == ["return so far", "after step 0", "0", "10"]


def test_each_rollout_is_asked_once_for_the_longest_horizon():
    view = explorer()
    asked.clear()
    for horizon in (2, 5, 10):
        view.controls["horizon"].value = horizon
    view.controls["policy"].value = "push"
    view.controls["policy"].value = "stay"
    assert asked == [((1.0, 0.0), 10, "push")]


def test_anywhere_has_sliders_that_show_only_then_and_lift_makes_the_observation():
    view = explorer(anywhere={"angle (rad)": (-2, 4)}, lift=lambda angle: [2 * angle, -angle])
    slider = view.controls["at angle (rad)"]
    assert slider.layout.display == "none" and "angle" not in view.to_html().split("<svg")[0]
    slider.value = 3  # out of use: another start is chosen
    assert "Start: x (m) 1, y (m) 0" in view.picture.value
    view.controls["start_at"].value = "anywhere"
    assert slider.layout.display == "" and slider.description == "angle (rad)" and (slider.min, slider.max) == (-2, 4)
    assert "Start: x (m) 6, y (m) -3" in view.picture.value
    assert "start at: anywhere, policy: stay, show: x (m), horizon: 10, single dreams: False, angle (rad): 3.0" in (
        view.to_html()
    )


def test_without_lift_coordinates_are_the_observation_and_without_starts_they_are_all_there_is():
    view = explorer(starts={}, anywhere={"x": (0, 8), "y": (-1, 1)})
    assert view.values()["start_at"] == "anywhere" and "Start: x (m) 4, y (m) 0" in view.picture.value
    assert view.controls["at x"].layout.display == ""


def test_the_end_of_the_truth_is_said():
    def ends(start, horizon, policy):
        made = dream(start, horizon, policy)
        made["truth"][6:] = np.nan
        return made

    view = DreamExplorer(ends, {"here": [1, 0]}, ("x", "y"), horizon=10)
    assert "The truth ends after step 5." in view.picture.value and "in the band in all 10 steps" in view.picture.value
    assert "nan" not in view.picture.value.lower()
    view.controls["horizon"].value = 5
    assert "The truth ends" not in view.picture.value


def test_the_static_twin_is_the_picture_with_its_knobs_in_words():
    view = explorer()
    page = view.to_html()
    assert view.picture.value in page and "start at: here, policy: stay" in page
    assert view._repr_mimebundle_()["text/html"] == page


def test_hostile_names_are_escaped():
    view = explorer(starts={HOSTILE: [1, 0]}, labels=(HOSTILE, "y"), policies=(HOSTILE,))
    assert "<script" not in view.to_html() and "&lt;script" in view.to_html()


BAD = [
    ({"starts": {}}, r"starts={}: must be name -> observation, not empty without anywhere"),
    ({"starts": {"a": [1]}}, r"starts\['a'\] of shape \(1,\): must be \[2\], one for each label"),
    ({"starts": {"a": [1, np.nan]}}, r"starts\['a'\]\[1\]=nan: must be finite"),
    ({"starts": {"anywhere": [1, 0]}, "anywhere": {"x": (0, 1), "y": (0, 1)}}, "starts='anywhere': must be another"),
    ({"labels": ("x", "x")}, r"labels=\['x', 'x'\]: must be names, each once"),
    ({"labels": ("x", "return so far")}, "labels=.*: must be names, each once"),
    ({"horizon": 0}, "horizon=0: must be a positive integer"),
    ({"policies": ()}, r"policy=\[\]: must be"),
    ({"anywhere": {"x": (0, 1)}}, r"anywhere=\['x'\]: must be 2 coordinates, or come with lift"),
    ({"anywhere": {"x": (1, 1)}, "lift": lambda x: [x, x]}, r"anywhere\['x'\]=\(1, 1\): must be \(lowest, highest\)"),
    ({"anywhere": {HOSTILE: (0, 1)}, "lift": lambda x: [x, x]}, "anywhere='<script.*: must be plain words"),
    ({"starts": {}, "anywhere": {"x": (0, 1)}, "lift": lambda x: [x]}, r"lift\(...\) of shape \(1,\): must be \[2\]"),
]


@pytest.mark.parametrize(("changed", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_gives_one_line_that_names_argument_and_value(changed, message):
    with pytest.raises(ValueError, match=message) as error:
        explorer(**changed)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("truth", r"dream gives truth of shape \(10, 2\): must be \[11, 2\]"),
        ("dreams", r"dream gives rewards\[1\] of shape \(3, 10\): must be \[2, 10\]"),
    ],
)
def test_what_dream_returns_is_checked(name, message):
    def short(start, horizon, policy):
        made = dream(start, horizon, policy)
        return made | {name: made[name][1:]}

    with pytest.raises(ValueError, match=message):
        DreamExplorer(short, {"here": [1, 0]}, ("x", "y"), horizon=10)
