"""WhatIf: credit, clip mask and advantages against hand-computed numbers, and the controls that change them."""

import math
import re

import numpy as np
import pytest

from rlkit.runs import Run
from rlkit.widgets import what_if_numbers as numbers
from rlkit.widgets import what_if_views as views
from rlkit.widgets.what_if import WhatIf

torch = pytest.importorskip("torch")
from rlkit.rlvr import objectives  # noqa: E402 - needs torch

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>\u202e"
GRPO = {"name": "grpo", "options": {}}


def sample(p, g, reward, ratios, **more):
    """A row whose tokens have these ratios of the new policy to the one that sampled."""
    old = [-1.0] * len(ratios)
    row = {
        "kind": "sample", "problem": f"p{p}", "group": p, "sample": g, "prompt": f"prompt {p} :",
        "tokens": [f"t{i}" for i in range(len(ratios))], "logp_sampled": old,
        "logp_new": [o + math.log(r) for o, r in zip(old, ratios, strict=True)], "logp_reference": [-1.5] * len(ratios),
        "reward": reward, "reward_parts": {"correct": reward, "format": 1.0}, "finish_reason": "stop",
    }  # fmt: skip
    return {**row, **more}


def rows():
    """Two groups of two: one with both rewards, one that is dead; lengths 1 and 4."""
    return [
        sample(0, 0, 1.0, [1.0]),
        sample(0, 1, 0.0, [1.0, 1.5, 0.5, 1.1]),
        sample(1, 0, 0.0, [1.0]),
        sample(1, 1, 0.0, [1.0, 1.0, 1.0, 1.0]),
    ]


def random_rows(groups=4, size=4, seed=0):
    rng = np.random.default_rng(seed)
    return [
        sample(p, g, float(g % 2), np.exp(rng.normal(0, 0.3, rng.integers(1, 9))).tolist())
        for p in range(groups)
        for g in range(size)
    ]


def outcome(name, found=None, rewards=None, **options):
    found = found or numbers.batch(rows(), 4)
    return numbers.outcome(found, name, options, found.rewards if rewards is None else rewards)


def make(root, steps=((3, None),), config=None):
    run = Run.create("demo", {"objective": GRPO, "max_new_tokens": 4} if config is None else config, root=root)
    for step, logged in steps:
        run.log(step, reward=0.5)
        run.log_rollouts(step, rows() if logged is None else logged)
    run.finish()
    return run


A = 0.5 / (math.sqrt(0.5) + 1e-4)  # of rewards 1 and 0: their mean is 0.5, their std with ddof 1 is sqrt(0.5)


def test_grpo_by_hand():
    found = outcome("grpo")
    assert found.advantage == pytest.approx(np.array([[A, -A], [0, 0]]))
    # A negative advantage is clipped below 0.8 only: the ratio 0.5, not the ratio 1.5. Each token has 1/|o| of its row.
    assert found.credit[0, 0] == pytest.approx(A)
    assert found.credit[1] == pytest.approx([-A / 4, -1.5 * A / 4, 0, -1.1 * A / 4])
    assert found.clipped.tolist() == [[False] * 4, [False, False, True, False], [False] * 4, [False] * 4]
    assert found.normaliser == 4 and found.ratio == pytest.approx((0.5, 1.5))
    assert numbers.dead(found).tolist() == [False, True]
    assert numbers.per_sample(found)[0] == pytest.approx([A, 3.6 * A / 4])


def test_the_four_cases_of_the_clip():
    logged = [sample(0, 0, 1.0, [1.5, 0.5]), sample(0, 1, 0.0, [1.5, 0.5])]
    assert outcome("dapo", numbers.batch(logged, 2)).clipped.tolist() == [[True, False], [False, True]]
    wide = outcome("dapo", numbers.batch(logged, 2), clip_low=None, clip_high=None)
    assert not wide.clipped.any() and wide.credit == pytest.approx(np.array([[1.5 * A, 0.5 * A], [-1.5 * A, -0.5 * A]]))


def test_an_objective_that_weighs_tokens_alike_gives_long_completions_more():
    logged = [sample(0, 0, 1.0, [1.0] * 10), sample(0, 1, 0.0, [1.0] * 100)]
    found = numbers.batch(logged, 100)
    alike, by_length = numbers.per_sample(outcome("grpo", found)), numbers.per_sample(outcome("dapo", found))
    assert alike[0, 1] / alike[0, 0] == pytest.approx(1) and by_length[0, 1] / by_length[0, 0] == pytest.approx(10)


def test_beta_adds_the_gradient_of_the_kl_and_hides_no_clipped_token():
    found = outcome("grpo", beta=0.1)
    # logp_new = -1 and reference = -1.5: d k3 / d logp = 1 - exp(-0.5)
    assert found.credit[2, 0] == pytest.approx(-0.1 * (1 - math.exp(-0.5)))
    assert found.clipped.sum() == 1 and found.clipped[1, 2]


def test_nsr_leaves_correct_samples_out():
    found = outcome("nsr")
    assert found.kept.tolist() == [[False, True], [True, True]] and found.credit[0].tolist() == [0, 0, 0, 0]
    assert found.normaliser == 4 + 1 + 4 and outcome("nsr", over="all").normaliser == 10
    assert numbers.dead(found).tolist() == [False, False]
    assert numbers.used(numbers.batch(rows(), 4), found).sum(axis=1).tolist() == [0, 4, 1, 4]


def test_the_cosine_by_hand():
    # credits over the tokens: reinforce (1 for sample 0, else 0), and dr_grpo +-1/2 with the clipped token at 0
    plain, centred = outcome("reinforce"), outcome("dr_grpo")
    norm = math.sqrt(0.25 * (1 + 1 + 1.5**2 + 1.1**2))
    assert numbers.cosine(plain, centred) == pytest.approx(0.5 / norm)
    assert numbers.cosine(plain, plain) == pytest.approx(1)
    dead = outcome("grpo", rewards=np.ones((2, 2)))
    assert math.isnan(numbers.cosine(dead, plain)) and numbers.dead(dead).all()


@pytest.mark.parametrize("name", objectives.names())
def test_the_clip_mask_is_what_the_loss_counts_and_the_credit_is_the_objectives(name):
    found = numbers.batch(random_rows(), 8)
    options = {"cap": 1.2} if name == "cispo" else {}
    made = numbers.outcome(found, name, options, found.rewards)
    assert made.clipped.sum() / numbers.used(found, made).sum() == pytest.approx(made.share)
    assert made.clipped.any() or name in ("reinforce", "rloo")
    objective = objectives.make(name, **options)
    weights = objective.advantages(found.rewards)
    normaliser = objective.normaliser(found.mask.reshape(4, 4, -1), weights, 8)
    same = objectives.credit(
        objective, found.logp, found.old, found.reference, found.mask, objectives.rows(weights), normaliser
    )
    assert made.credit.tolist() == same.tolist()


def test_rows_come_back_in_order_of_group_and_sample():
    mixed = [rows()[i] for i in (3, 0, 2, 1)]
    found = numbers.batch(mixed, 4)
    assert found.prompts == ["prompt 1 :", "prompt 0 :"] and found.rewards.tolist() == [[0, 0], [1, 0]]
    assert found.mask.sum(1).tolist() == [1, 4, 1, 4] and found.parts["format"].tolist() == [[1, 1], [1, 1]]
    assert found.notes == []


def test_masked_tokens_take_no_part():
    logged = rows()
    logged[1] |= {"mask": [1, 1, 1, 0]}
    found = numbers.batch(logged, 4)
    assert found.mask.sum(1).tolist() == [1, 3, 1, 4] and outcome("grpo", found).credit[1, 3] == 0


def test_groups_that_cannot_be_used_are_left_out_and_counted():
    broken = rows() + [sample(2, 0, 1.0, [1.0]), sample(3, 0, math.nan, [1.0]), sample(3, 1, 1.0, [1.0])]
    broken += [sample(4, 0, 1.0, [1.0], logp_new=[-1.0, -1.0]), sample(4, 1, 1.0, [1.0])]
    found = numbers.batch(broken, 4)
    assert len(found.prompts) == 2 and "3 of 5 groups are left out" in found.notes[0]


@pytest.mark.parametrize("column", ["logp_new", "logp_sampled", "logp_reference", "tokens", "reward_parts"])
def test_a_missing_column_is_named(column, tmp_path):
    logged = [{name: value for name, value in row.items() if name != column} for row in rows()]
    view = WhatIf(make(tmp_path, [(3, logged)]))
    assert f"{column}" in view.status.value.lower() and "not stored" in view.status.value
    found = numbers.batch(logged, 4)
    if column in ("logp_new", "logp_sampled"):
        assert not outcome("grpo", found).clipped.any() and outcome("grpo", found).ratio == (1.0, 1.0)
    assert view.bounds["beta"].disabled == (column == "logp_reference")


def test_without_rewards_or_log_probabilities_it_says_what_is_needed(tmp_path):
    with pytest.raises(ValueError, match="without reward or logp_sampled"):
        numbers.batch([{"kind": "sample", "completion": "x"}])
    with pytest.raises(ValueError, match="no group has whole"):
        numbers.batch([sample(0, 0, math.nan, [1.0]), sample(0, 1, 1.0, [1.0])])
    view = WhatIf(make(tmp_path, [(0, [{"kind": "sample", "completion": "x"}])]))
    assert "without reward or logp_sampled" in view.status.value + view.picture.value


def test_the_weights_that_trained_are_recovered():
    found = numbers.batch(rows(), 4)
    assert numbers.part_weights(found) == ({"correct": 1.0, "format": 0.0}, True)
    mixed = found._replace(rewards=0.9 * found.parts["correct"] + 0.1 * found.parts["format"])
    weights, exact = numbers.part_weights(mixed)
    assert exact and weights == pytest.approx({"correct": 0.9, "format": 0.1})
    assert numbers.weighted(mixed, weights) == pytest.approx(mixed.rewards)
    drawn = found._replace(rewards=np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert numbers.part_weights(drawn) == ({"correct": 1.0, "format": 0.0}, False)


def test_a_batch_of_a_sweep_has_its_arm_and_seed_in_its_name():
    known = {0: [sample(0, 0, 1.0, [1.0], arm="nsr", seed=2, at=40)], 5: [sample(0, 0, 1.0, [1.0])]}
    assert list(numbers.batches(known)) == ["arm nsr, seed 2, step 40", "step 5"]


def test_the_widget_starts_as_logged_and_shows_both_sides(tmp_path):
    view = WhatIf(
        make(tmp_path, [(3, None), (7, None)], {"objective": {"name": "grpo", "options": {"clip_high": 0.3}}})
    )
    assert view.step.value == "step 7" and view.group.value == 0  # the newest batch, the first group that is not dead
    assert view.objective.value == "grpo" and view.bounds["clip_high"].value == 0.3
    assert "logged: grpo" in view.picture.value and "1.000 (0°" in view.picture.value
    assert "1 of 2 (50.0 %)" in view.picture.value  # dead groups
    assert "the longest completion, 4, stands in" in view.status.value
    view.objective.value = "dr_grpo"
    assert "chosen: dr_grpo" in view.picture.value and "+0.707" in view.picture.value and "+0.5" in view.picture.value
    assert view.chosen()["options"]["aggregation"] == "constant"
    view.reset.click()
    assert view.objective.value == "grpo" and "1.000 (0°" in view.picture.value


def test_only_the_options_of_the_objective_are_enabled(tmp_path):
    view = WhatIf(make(tmp_path))
    assert not view.bounds["clip_low"].disabled and "cap" not in view.options
    view.objective.value = "cispo"
    assert view.bounds["clip_low"].disabled and view.bounds["clip_high"].disabled and view.options["cap"].value == 5
    assert "clip_low" not in view.chosen()["options"] and not view.bounds["beta"].disabled
    view.objective.value = "nsr"
    assert view.options["over"].value == "kept" and "cap" not in view.options
    hidden = {name: view.options[name].layout.display == "none" for name in ("kl", "over")}
    assert hidden == {"kl": True, "over": False}
    view.bounds["beta"].value = 0.04
    assert view.options["kl"].layout.display != "none"


def test_clip_beta_and_options_change_the_numbers(tmp_path):
    view = WhatIf(make(tmp_path))
    assert "1 of 10 (10.0 %)" in view.picture.value  # clipped tokens
    view.bounds["clip_low"].value = 0.6
    assert "1 of 10" in view.picture.value and "0 of 10 (0.0 %)" in view.picture.value
    view.bounds["clip_low"].value = 0  # no bound
    assert view.chosen()["options"]["clip_low"] is None and "0 of 10 (0.0 %)" in view.picture.value
    view.options["aggregation"].value = "token"
    normaliser = re.search(r">normaliser</td><td[^>]*>4</td><td[^>]*>10<", view.picture.value)
    assert normaliser


def test_weights_of_the_parts_change_the_rewards(tmp_path):
    logged = rows()
    logged[2]["reward_parts"]["format"] = 0.0
    view = WhatIf(make(tmp_path, [(3, logged)]))
    view.group.value = 1
    view.weights["format"].value = 0.5
    # group 1 now has rewards 0 and 0.5 and is no longer dead
    assert "0 → 0.5" in view.picture.value and "0 of 2 (0.0 %)" in view.picture.value
    assert view.chosen()["weights"] == {"correct": 1.0, "format": 0.5}


def test_rewards_that_an_objective_refuses_are_said_in_the_picture(tmp_path):
    view = WhatIf(make(tmp_path))
    view.objective.value = "nsr"
    view.weights["format"].value = 1.0
    assert "This cannot be computed" in view.picture.value and "must be in [0, 1]" in view.picture.value
    view.weights["format"].value = 0.0
    assert "chosen: nsr" in view.picture.value


def test_rewards_that_no_weights_give_stay_until_a_weight_changes(tmp_path):
    logged = [{**row, "reward": float(i in (0, 3))} for i, row in enumerate(rows())]
    view = WhatIf(make(tmp_path, [(3, logged)]))
    assert "stay as they are until a weight changes" in view.status.value and "1.000 (0°" in view.picture.value
    view.weights["format"].value = 0.5
    assert "are replaced by the weighted sum" in view.status.value


def test_stored_advantages_are_held_against_the_recomputed(tmp_path):
    right = [{**row, "advantage": a} for row, a in zip(rows(), (A, -A, 0.0, 0.0), strict=True)]
    assert "by the run equal those" in WhatIf(make(tmp_path, [(3, right)])).status.value
    wrong = [{**row, "advantage": 0.0} for row in rows()]
    assert "differ by up to 0.707" in WhatIf(make(tmp_path, [(3, wrong)])).status.value


def test_the_strip_tells_sign_and_clip_without_colour(tmp_path):
    view = WhatIf(make(tmp_path))
    strip = view.picture.value.split("Credit of each token")[1]
    text = re.sub("<[^>]+>", "|", strip)
    assert "+0.71" in text and "−0.18" in text and "−0.27" in text  # A, -A / 4, -1.5 A / 4
    assert text.count("×") == 2  # one token, logged and chosen
    assert 'tabindex="0"' in view.picture.value


def test_all_groups_shows_every_group_and_the_weight_of_length(tmp_path):
    view = WhatIf(make(tmp_path))
    view.group.value = -1
    page = view.picture.value
    assert "0: prompt 0 :" in page and "1: prompt 1 :" in page and page.count(">dead<") >= 2
    assert "The groups as a table" in page and "by completion, %" in page
    assert page.count('role="img"') == 2


def test_credit_by_length_in_words():
    length, share = np.array([1.0, 2.0, 3.0, 4.0]), np.array([10.0, 20.0, 30.0, 40.0])
    assert views._by_length(length, share) == "15.00 % and 35.00 %"
    assert views._by_length(length, 0 * share) == "no credit"


def test_every_control_has_a_label_and_the_twin_says_where_they_stand(tmp_path):
    view = WhatIf(make(tmp_path))
    controls = [child for row in view.box.children[:3] for child in row.children]
    assert len(controls) == 14 and all(control.description for control in controls)
    page = view._repr_mimebundle_()["text/html"]
    assert page == view.to_html() and "Chosen: grpo (" in page and "clip_low 0.2" in page and "correct 1" in page


def test_another_batch_and_what_was_logged_since(tmp_path):
    run = Run.create("live", {"objective": GRPO}, root=tmp_path)
    view = WhatIf(run)
    assert "No rollouts are logged yet" in view.status.value and view.to_html()
    run.log_rollouts(1, rows())
    view.refresh.click()
    assert view.step.value == "step 1" and "logged: grpo" in view.picture.value
    run.log_rollouts(2, [{**row, "reward": 1.0, "reward_parts": {"correct": 1.0}} for row in rows()])
    view.refresh.click()
    assert view.step.value == "step 1" and len(view.step.options) == 2
    view.step.value = "step 2"
    assert view.group.value == -1 and "2 of 2 (100.0 %)" in view.picture.value  # every group is dead
    assert "no angle between them" in view.picture.value
    run.finish()


def test_an_unknown_objective_is_said(tmp_path):
    view = WhatIf(make(tmp_path, config={}))
    assert "does not say its objective: grpo stands in" in view.status.value


def test_hostile_text_stays_text(tmp_path):
    more = {"tokens": [HOSTILE], "prompt": HOSTILE, "finish_reason": HOSTILE, "arm": HOSTILE}
    logged = [sample(0, g, float(g), [1.0], **more, reward_parts={"correct": float(g), HOSTILE: 0.5}) for g in range(2)]
    view = WhatIf(make(tmp_path, [(3, logged)]))
    pages = [view.to_html(), view.status.value, view.picture.value]
    view.group.value = -1
    pages += [view.picture.value, view.to_html(), *(control.description for control in view.weights.values())]
    assert all("<script" not in page and "<img" not in page for page in pages)


def test_anything_but_a_run_is_refused():
    with pytest.raises(TypeError, match="must be a Run"):
        WhatIf("x")


def test_a_batch_that_cannot_be_read_does_not_break_the_others(tmp_path):
    view = WhatIf(make(tmp_path, [(3, [{"kind": "sample", "completion": "x"}]), (7, None)]))
    view.step.value = "step 3"
    assert "without reward or logp_sampled" in view.status.value and view.picture.value == ""
    view.objective.value = "dapo"
    view.bounds["clip_high"].value = 0.1
    assert "without reward or logp_sampled" in view.to_html()
    view.step.value = "step 7"
    assert view.objective.value == "grpo" and "1.000 (0°" in view.picture.value


def test_groups_of_one_completion_are_said_not_raised(tmp_path):
    """As a PPO run read from UNIPO has them: grpo, which stands in, compares completions of a group."""
    alone = [sample(p, 0, float(p), [1.0, 1.2]) for p in range(2)]
    view = WhatIf(make(tmp_path, steps=((1, alone),), config={"max_new_tokens": 4}))
    assert "grpo cannot be computed of this batch" in view.to_html()
