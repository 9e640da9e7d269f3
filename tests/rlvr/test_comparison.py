"""Better, worse, or cannot tell: what the interval allows, on the same problems under the same conditions."""

import numpy as np
import pytest

from rlkit import evaluations, lm, rlvr
from rlkit.lm import tasks
from rlkit.rlvr.comparison import BETTER, UNKNOWN, WORSE
from rlkit.runs import Run
from rlkit.stats import pass_at_k
from tests.rlvr import toy

PROBLEMS = [f"p{i}" for i in range(40)]


def run_of(tmp_path, arms: dict, samples=16, **labels):
    """A run with one evaluation for each arm and seed; arms: name -> chance [S] that a sample is right."""
    run = Run.create("compared", root=tmp_path)
    rng = np.random.default_rng(0)
    rows = []
    for arm, chances in arms.items():
        for seed, chance in enumerate(chances):
            correct = rng.binomial(samples, chance, size=len(PROBLEMS))
            rows.append(evaluations.row(PROBLEMS, correct, samples, at=5, arm=arm, seed=seed, **labels))
    run.log(0, done=1.0)
    run.log_rollouts(0, rows)
    return run


def test_words_follow_the_interval_and_never_the_estimate(tmp_path):
    run = run_of(tmp_path, {"base": [0.2] * 4, "up": [0.5] * 4, "down": [0.05] * 4, "noisy": [0.05, 0.4, 0.1, 0.45]})
    found = rlvr.compare(run)
    assert [one.k for one in found.differences[:3]] == [1, 4, 16]
    assert found.of("up", 1).verdict == BETTER and found.of("down", 1).verdict == WORSE
    noisy = found.of("noisy", 1)
    assert noisy.difference.estimate > 0 and noisy.difference.low < 0 and noisy.verdict == UNKNOWN
    assert UNKNOWN in repr(found) and "40 held-out problems, 16 samples each, 4 training runs" in found._repr_html_()
    for one in found.differences:
        assert one.difference.estimate == pytest.approx(one.value - one.other)


def test_numbers_are_the_unbiased_estimates(tmp_path):
    run = run_of(tmp_path, {"base": [0.2, 0.2], "up": [0.5, 0.5]})
    counts, samples, _ = evaluations.counts(run)
    wanted = {arm: np.mean(pass_at_k(samples, correct, 4)) for arm, correct in counts.items()}
    one = rlvr.compare(run, k=[4]).of("up", 4)
    assert (one.value, one.other) == (pytest.approx(wanted["up"]), pytest.approx(wanted["base"]))


def test_one_training_run_is_compared_over_problems_and_says_so(tmp_path):
    found = rlvr.compare(run_of(tmp_path, {"base": [0.2], "up": [0.6]}))
    assert found.of("up", 1).verdict == BETTER
    assert "one training run: nothing is said about another seed" in found.about


def test_equal_models_are_seldom_told_apart(tmp_path):
    words = [
        rlvr.compare(run_of(tmp_path, {"base": [p] * 3, "same": [p] * 3}), k=[1]).of("same", 1).verdict
        for p in np.linspace(0.1, 0.9, 20)
    ]
    assert words.count(UNKNOWN) >= 18


def test_other_conditions_are_not_compared(tmp_path):
    run = run_of(tmp_path, {"base": [0.2, 0.2]}, temperature=1.0)
    row = evaluations.row(PROBLEMS, [3] * 40, 16, at=5, arm="up", seed=0, temperature=0.6)
    run.log_rollouts(0, [row, row | {"seed": 1}])
    with pytest.raises(ValueError, match=r"evaluated with temperature 0.6 and 1.0: must be one for all arms"):
        rlvr.compare(run)
    with pytest.raises(ValueError, match=r"^arm='nobody': must be one of 'base', 'up'"):
        rlvr.compare(run_of(tmp_path, {"base": [0.2], "up": [0.5]}), arms=["nobody"])


def test_evaluations_say_budget_and_prompts():
    """A template for the tuned model alone, or a longer budget, confounds a published before and after."""
    model, tokenizer = toy.fresh()
    problems = toy.TASK.problems(4, 0, "test")
    row = rlvr.evaluate(model, tokenizer, toy.TASK, problems, samples=2)
    other = [p._replace(prompt=f"1 {p.prompt}") for p in problems]
    changed = rlvr.evaluate(model, tokenizer, toy.TASK, other, samples=2)
    assert row["max_new_tokens"] == 2 and row["problems"] == changed["problems"]
    assert row["prompts"] != changed["prompts"]
    assert row["prompts"] == rlvr.evaluate(model, tokenizer, toy.TASK, problems[::-1], samples=2)["prompts"]


TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def test_a_chat_template_stands_around_the_prompt_and_the_verifier_judges_the_same():
    _, tokenizer = toy.fresh()
    task = lm.tasks.countdown(numbers=4, largest=100)
    assert tasks.with_chat_template(task, tokenizer) is task  # the shipped models know no turns
    tokenizer.chat_template = TEMPLATE
    chat = tasks.with_chat_template(task, tokenizer, system="Be brief.")
    plain, turned = task.problems(5, 0, "test"), chat.problems(5, 0, "test")
    assert [p.id for p in turned] == [p.id for p in plain] and [p.facts for p in turned] == [p.facts for p in plain]
    assert turned[0].prompt == f"<system>Be brief.<user>{plain[0].prompt}<assistant>"
    assert chat.verify(turned[0], "1 + 2") == task.verify(plain[0], "1 + 2")
    tokenizer.chat_template = TEMPLATE.replace("m.content", "m.content | upper")
    shouting = tasks.with_chat_template(lm.tasks.from_reasoning_gym("chain_sum"), tokenizer)
    with pytest.raises(ValueError, match="one that keeps the prompt"):
        shouting.problems(1, 0, "test")
