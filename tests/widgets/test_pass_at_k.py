"""PassAtK: numbers against hand counts and rlkit.stats, what is paired with what, the picture, the controls."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from rlkit import evaluations
from rlkit.runs import Run
from rlkit.stats import paired_bootstrap, pass_at_k
from rlkit.widgets import pass_numbers as numbers
from rlkit.widgets import pass_views as views
from rlkit.widgets.pass_at_k import PassAtK

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>\u202e"


def make(root, rows, name="runs", finish=True, **config):
    run = Run.create(name, config, root=root)
    for step, row in enumerate(rows):
        run.log_rollouts(step, [row])
        run.log(step, done=1.0)
    if finish:
        run.finish()
    return run


def row(correct, at, samples=8, problems="abcdefgh", **labels):
    return evaluations.row(list(problems[: len(correct)]), correct, samples, at=at, **labels)


def arm(correct, samples=8, at=1, problems="abcdefgh"):
    correct = np.array(correct)
    return numbers.Arm(at, list(range(len(correct))), list(problems[: correct.shape[1]]), samples, correct)


def grow(seeds=3, problems=12, samples=16):
    """Rows of two arms with their steps 0, 5 and 9: "up" rises at every k, "flat" stays as it was."""
    rng, rows = np.random.default_rng(0), []
    names = [f"p{i}" for i in range(problems)]
    skill = np.linspace(0.05, 0.6, problems)
    for seed in range(seeds):
        zero = rng.binomial(samples, skill).tolist()
        for name, gain in (("up", 0.3), ("flat", 0.0)):
            for at in (0, 5, 9):
                later = rng.binomial(samples, skill + gain * at / 9).tolist()
                rows.append(evaluations.row(names, later if at else zero, samples, at=at, arm=name, seed=seed))
    return rows


def test_a_curve_is_the_unbiased_estimate_by_hand():
    k, mean, found, over = numbers.curve(arm([[1, 3], [8, 0]]))
    assert k == [1, 2, 4, 8] and over == "2 seeds, 2 problems"
    by_hand = [(1 / 8 + 3 / 8 + 1 + 0) / 4, (1 / 4 + 9 / 14 + 1) / 4, (1 / 2 + 13 / 14 + 1) / 4, 3 / 4]
    assert mean == pytest.approx(by_hand)
    assert (found.low <= mean).all() and (mean <= found.high).all()


def test_the_k_are_powers_of_two_and_the_number_of_samples():
    assert numbers.grid(1) == [1] and numbers.grid(8) == [1, 2, 4, 8] and numbers.grid(12) == [1, 2, 4, 8, 12]


def test_intervals_are_those_of_stats_over_what_there_is():
    values = np.random.default_rng(0).uniform(size=(3, 5, 2))

    def effect(mean):
        return mean["a"]

    crossed, over = numbers.interval({"a": values}, effect)
    same = paired_bootstrap({"a": values}, effect, axes=("seed", "problem"), replicates=numbers.REPLICATES)
    assert over == "3 seeds, 5 problems" and crossed.low.tolist() == same.low.tolist()
    one, over = numbers.interval({"a": values[:1]}, effect)
    assert over == "one seed, 5 problems"
    assert one.high.tolist() == paired_bootstrap({"a": values[0]}, effect, replicates=numbers.REPLICATES).high.tolist()
    seeds, over = numbers.interval({"a": values[:, :1]}, effect)
    assert over == "3 seeds, one problem" and seeds.seeds == 3
    assert numbers.interval({"a": values[:1, :1]}, effect) == (None, "none: one seed, one problem")


def test_a_difference_is_paired_by_seed_and_problem_whatever_their_order():
    first = numbers.Arm(9, [0, 1], ["a", "b"], 4, np.array([[4, 2], [4, 0]]))
    second = numbers.Arm(0, [1, 0], ["b", "a"], 4, np.array([[0, 2], [2, 2]]))  # seed 1 first, problem b first
    one, other = numbers.pair(first, second)
    assert one.tolist() == [[4, 2], [4, 0]] and other.tolist() == [[2, 2], [2, 0]]
    k, mean, found, _ = numbers.difference(first, second)
    assert k == [1, 2, 4] and mean[0] == pytest.approx((4 - 2 + 4 - 2) / 16)
    assert mean[2] == pytest.approx(0) and found.low[2] == found.high[2] == 0


def test_pairing_makes_the_interval_narrow_where_all_problems_move_alike():
    hard_to_easy = np.array([[0, 2, 4, 6, 8, 10, 12, 14]] * 3)
    before, after = arm(hard_to_easy, 16), arm(hard_to_easy + 1, 16)
    _, mean, found, _ = numbers.difference(after, before)
    assert mean[0] == pytest.approx(1 / 16) and found.high[0] - found.low[0] < 1e-9
    alone = numbers.curve(after)[2]
    assert alone.high[0] - alone.low[0] > 0.2


def test_what_cannot_be_paired_is_not():
    one = arm([[1, 2], [1, 2]])
    assert numbers.difference(one, arm([[1, 2], [1, 2]], problems="xy")) is None
    other = arm([[1, 2], [1, 2]])._replace(seeds=[7, 8])
    assert numbers.pair(one, other) is None
    single = arm([[3, 4]])._replace(seeds=[7])
    assert numbers.pair(one, single) is None
    assert numbers.pair(one, single, True)[1].tolist() == [[3, 4], [3, 4]]  # one base for all seeds


def test_a_difference_goes_as_far_as_both_have_samples():
    k, mean, _, _ = numbers.difference(arm([[8, 0], [8, 0]], 8), arm([[2, 0], [2, 0]], 4))
    assert k == [1, 2, 4] and mean[0] == pytest.approx((1 - 0.5) / 2)


def test_problems_gained_and_lost_by_hand():
    base, later = arm([[4, 0, 3, 8]]), arm([[3, 4, 4, 8]])
    assert numbers.solved(base, 1).tolist() == [True, False, False, True]
    assert numbers.flips(later, base, 1) == (["b", "c"], ["a"])
    # at k = 2: 3 of 8 give 1 - 5 * 4 / 56 = 0.64, so a and c are solved on both sides
    assert numbers.flips(later, base, 2) == (["b"], [])
    assert numbers.flips(later, arm([[1]]), 1) is None and numbers.flips(later, base, 16) is None


def test_solved_averages_over_the_seeds():
    assert numbers.solved(arm([[8, 8], [0, 0]]), 1).tolist() == [True, True]
    assert numbers.solved(arm([[8, 7], [0, 0]]), 1).tolist() == [True, False]


def test_what_chance_alone_moves_is_the_binomial_tail():
    up, down = numbers.by_chance(arm([[2, 1, 0, 4]], 4), 1)  # solved where at least 2 of 4 are correct
    assert down == pytest.approx(5 / 16, abs=0.08)  # P(Bin(4, 1/2) < 2)
    assert up == pytest.approx(1 - 0.75**4 - 4 * 0.25 * 0.75**3, abs=0.08)  # P(Bin(4, 1/4) >= 2)
    assert numbers.by_chance(arm([[0, 4]], 4), 1) == (0, 0)
    assert numbers.by_chance(arm([[2, 1, 0, 4]], 4), 1) == (up, down)


def test_an_arm_in_several_runs_is_one_arm_unless_a_seed_appears_twice(tmp_path):
    runs = [make(tmp_path, [row([s, 2], 3)], f"run{s}", arm="nsr", seed=s) for s in (1, 0)]
    rows = numbers.read(runs)
    found = numbers.arms(rows)
    assert list(found) == ["nsr"] and found["nsr"].seeds == [0, 1] and found["nsr"].correct.tolist() == [[0, 2], [1, 2]]
    again = make(tmp_path, [row([5, 5], 3)], "run0", arm="nsr", seed=0)
    assert set(numbers.arms(numbers.read([*runs, again]))) == {"run0: nsr", "run1: nsr", "run0-2: nsr"}
    twice = [make(tmp_path, [row([5, 5], 3)], "same") for _ in range(2)]
    assert set(numbers.arms(numbers.read(twice))) == {"same", "same-2"}


def test_the_last_step_is_one_that_all_seeds_have(tmp_path):
    rows = [row([1], 0, seed=0), row([2], 5, seed=0), row([3], 9, seed=0), row([1], 0, seed=1), row([4], 5, seed=1)]
    read = numbers.read([make(tmp_path, rows, arm="x")])
    assert numbers.steps(read) == [0, 5, 9]
    assert numbers.arms(read)["x"].at == 5 and numbers.arms(read)["x"].correct.tolist() == [[2], [4]]
    assert numbers.arms(read, 9)["x"].seeds == [0] and numbers.arms(read, 7) == {}


def test_seeds_with_other_problems_are_refused(tmp_path):
    rows = [row([1, 2], 0, seed=0), row([1, 2], 0, seed=1, problems="xy")]
    with pytest.raises(ValueError, match=r"arm 'x', step 0: its seeds must share problems"):
        numbers.arms(numbers.read([make(tmp_path, rows, arm="x")]))


def test_the_base_is_the_arm_of_that_name_else_step_0(tmp_path):
    named = [row([1, 1], 0, arm="base", seed=0), row([2, 2], 5, arm="x", seed=0), row([9, 9], 0, 16, arm="x", seed=0)]
    read = numbers.read([make(tmp_path, named)])
    assert numbers.bases(read, {"x": None})["x"][1].correct.tolist() == [[1, 1]]
    zero = [row([1, 1], 0, arm=a, seed=s) for a in "xy" for s in range(2)] + [row([2, 2], 5, arm="x", seed=0)]
    read = numbers.read([make(tmp_path, zero)])
    found = numbers.bases(read, numbers.arms(read))
    assert {name for name, _ in found.values()} == {"base"} and found["x"][1] is found["y"][1]
    read = numbers.read([make(tmp_path, [row([1, 1], 0, arm="x"), row([1, 2], 0, arm="y")])])
    assert [name for name, _ in numbers.bases(read, numbers.arms(read)).values()] == ["base of x", "base of y"]
    read = numbers.read([make(tmp_path, [row([1, 1], 3, arm="x")])])
    assert numbers.bases(read, numbers.arms(read)) == {}


def test_evaluations_that_differ_in_a_label_are_settings_of_their_own(tmp_path):
    rows = [row([c, c], 4, arm="x", temperature=t, note="same") for c, t in ((1, 1.0), (2, 0.6))]
    rows += [row([3, 3], 4, arm="x", split="train", temperature=1.0, note="same")]
    view = PassAtK(make(tmp_path, rows))
    assert [value for _, value in view.setting.options] == [
        "test, temperature 1.0", "test, temperature 0.6", "train, temperature 1.0",
    ]  # fmt: skip
    view.setting.value = "test, temperature 0.6"
    view.k.value = 1
    assert ">0.250</td>" in view.picture.value


def heights(picture, series):
    """Heights in px of the points of the line with this colour or, for the base, dotted in the text's colour."""
    path = re.findall(r'<path d="(M[^"]*L[^"]*)" stroke="([^"]+)" stroke-width="2" stroke-dasharray="([^"]+)"', picture)
    chosen = [p for p, colour, dash in path if (colour, dash) == series]
    return [tuple(map(float, point)) for point in re.findall(r"([\d.]+) ([\d.]+)", chosen[0])]


def test_the_picture_is_logarithmic_in_k_with_the_base_underneath():
    base, later = arm([[1, 1, 1]] * 2), arm([[4, 4, 4]] * 2)
    picture = views.chart([views.line("x", later)], [views.line("base", base)], 4)
    ET.fromstring(picture)
    under, above = heights(picture, ("currentColor", "1 4")), heights(picture, ("#0B78B8", "none"))
    gaps = np.diff([x for x, _ in above])
    assert gaps == pytest.approx([gaps[0]] * 3, abs=0.11)
    assert all(a[1] < b[1] for a, b in zip(above[:-1], under[:-1], strict=True))  # up is smaller
    assert above[-1][1] == pytest.approx(under[-1][1])  # pass@8 is 1 for both
    assert picture.index('stroke-dasharray="1 4"') < picture.index('stroke="#0B78B8"')
    line = re.search(r'M([\d.]+) 34V\d+" stroke="currentColor" stroke-opacity="0.7"', picture)
    assert float(line[1]) == pytest.approx(above[2][0], abs=0.1) and ">k = 4<" in picture


def test_the_difference_has_a_line_at_0_and_may_be_negative():
    picture = views.chart([views.gain("x", arm([[1, 1]]), arm([[4, 4]]))], [], 2, views.GAIN)
    ET.fromstring(picture)
    zero = re.search(r'<path d="M56 ([\d.]+)H\d+" stroke="currentColor" stroke-width="2"', picture)
    points = heights(picture, ("#0B78B8", "none"))
    assert points[0][1] > float(zero[1]) and points[-1][1] == pytest.approx(float(zero[1]), abs=0.1)


def test_an_empty_picture_says_so(tmp_path):
    ET.fromstring(views.chart([], [], 1))
    view = PassAtK(make(tmp_path, [{"kind": "sample", "completion": "x"}]))
    assert "nothing to draw yet" in view.picture.value and "No evaluation is logged yet" in view.to_html()


def test_the_verdict_is_words_about_the_paired_interval():
    assert views.verdict(0.01, 0.2) == "above the base" and views.verdict(-0.2, -0.01) == "below the base"
    assert views.verdict(-0.1, 0.1) == views.verdict(0.0, 0.0) == "not told apart from the base"


def test_the_widget_tells_the_arms_from_the_base_and_from_each_other(tmp_path):
    view = PassAtK(make(tmp_path, grow()))
    view.k.value = 1
    page = view.picture.value
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", line) for line in re.findall(r"<tr>(.*?)</tr>", page)]
    table = {line[0]: line for line in cells if len(line) == 8}
    assert list(table) == ["base", "up", "flat"]
    assert table["up"][7] == "above the base" and table["flat"][7] == "not told apart from the base"
    rows = [r for r in grow() if r["at"] in (0, 9)]
    share = {at: np.mean([r["correct"] for r in rows if r["at"] == at and r["arm"] == "up"]) / 16 for at in (0, 9)}
    assert table["up"][3] == f"{share[9]:.3f}" and table["up"][5] == f"{share[9] - share[0]:+.3f}"
    assert "up is above flat by" in page and "are not told apart" not in page


def test_k_stands_in_the_menu_and_on_the_slider(tmp_path):
    view = PassAtK(make(tmp_path, grow()))
    assert view.k.value == view.slide.value == 8
    view.slide.value = 2
    assert view.k.value == 2 and "At k = 2" in view.picture.value
    view.k.value = 16
    assert view.slide.value == 16 and "At k = 16" in view.picture.value
    controls = view.box.children[0].children
    assert all(control.description for control in controls)


def test_the_training_step_can_be_chosen(tmp_path):
    rows = [r for r in grow() if not (r["arm"] == "flat" and r["at"] == 5)]
    view = PassAtK(make(tmp_path, rows))
    assert [value for _, value in view.at.options] == ["last", 0, 5, 9]
    view.at.value = 5
    assert "Without an evaluation at this step: flat." in view.picture.value
    view.at.value = 0
    assert ">not told apart from the base<" in view.picture.value and ">above the base<" not in view.picture.value


def test_one_seed_is_said_and_the_table_twin_has_all_numbers(tmp_path):
    view = PassAtK(make(tmp_path, grow(seeds=1)))
    assert "one seed, 12 problems" in view.picture.value and "not another training run" in view.picture.value
    assert view.twin.value == ""
    view.numbers.value = True
    assert view.twin.value.count("<tr>") == 1 + 3 * 5  # head; base, up, flat at k = 1, 2, 4, 8, 16
    view.kind.value = views.GAIN
    assert view.twin.value.count("<tr>") == 1 + 2 * 5


def test_few_samples_are_said_where_k_is_beyond_them(tmp_path):
    rows = [row([1, 2, 3], 0, 8, arm="x"), row([4, 4, 4], 9, 8, arm="x"), row([4, 4, 4], 9, 4, arm="y")]
    view = PassAtK(make(tmp_path, rows))
    view.k.value = 8
    assert "only 4 samples" in view.picture.value
    view.k.value = 2
    assert "no base to pair with" in view.picture.value


def test_problems_gained_are_listed_with_their_prompts_escaped(tmp_path):
    run = make(tmp_path, [row([0, 0], 0, arm="x"), row([8, 0], 9, arm="x")], finish=False)
    run.log_rollouts(9, [{"kind": "sample", "problem": "a", "prompt": HOSTILE}])
    page = PassAtK(run).to_html()
    assert "gained (1) and lost (0)" in page and "&lt;script&gt;alert(1)" in page and "\\u202e" in page
    assert "<script" not in page and "<img" not in page and ">0.00 → 1.00<" in page


def test_hostile_names_stay_text(tmp_path):
    rows = [row([1, 2], at, arm=HOSTILE, split=HOSTILE, problems=[HOSTILE, "b"]) for at in (0, 3)]
    view = PassAtK(make(tmp_path, rows))
    view.numbers.value = True
    for page in (view.picture.value, view.twin.value, view.to_html()):
        assert "<script" not in page and "<img" not in page
    ET.fromstring(re.search(r"<svg.*?</svg>", view.picture.value, re.DOTALL)[0])


def test_it_follows_a_run_that_grows(tmp_path):
    run = Run.create("live", {"arm": "x"}, root=tmp_path)
    view = PassAtK(run)
    assert "No evaluation is logged yet" in view.picture.value
    run.log_rollouts(0, [row([1, 2, 3], 0)])
    run.log_rollouts(1, [row([4, 5, 6], 7)])
    run.finish()
    assert ">7</td>" in view.picture.value and run._watchers == []
    assert view._repr_mimebundle_()["text/html"] == view.to_html()


def test_bad_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="at least one Run"):
        PassAtK()
    with pytest.raises(TypeError, match="must be Runs"):
        PassAtK("x")


def test_the_estimate_is_not_the_plug_in_one():
    assert numbers.each(arm([[1]]), 4)[0] == pytest.approx(0.5) == pass_at_k(8, 1, 4)  # plug-in: 0.414
