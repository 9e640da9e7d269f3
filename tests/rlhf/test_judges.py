"""The judge: exact verdicts, an order that cancels, and what it learns from preferences."""

import numpy as np
import pytest
import torch

from rlkit import lm
from rlkit.lm import models
from rlkit.rlhf import judges, preferences
from rlkit.rlhf.judges import Judge, fit_judge, question

TASK = lm.tasks.style()
PROMPTS, A, B = ["cat sings", "moon sleeps", "sea"], ["the cat sings", "", "sea sea"], ["the", "old moon sleeps", "old"]


@pytest.fixture
def judge():
    torch.set_num_threads(1)
    return judges.fresh("xs", 0, TASK.words)


class Placed(Judge):
    """A judge that says "first" with 0.9 of the 0.8 that it gives to verdicts, whatever it reads."""

    def verdicts(self, prompts, a, b):
        return torch.tensor([0.72, 0.08, 0.2]).double().expand(len(prompts), 2, 3)


def planted(n, seed):
    """n preferences for the text with "old" in it."""
    rng, rows, others = np.random.default_rng(seed), [], [word for word in TASK.words if word != "old"]
    for _ in range(n):
        chosen, rejected = ([*rng.choice(others, 3)] for _ in range(2))
        chosen[rng.integers(3)] = "old"
        rows.append({"prompt": "cat sings", "chosen": " ".join(chosen), "rejected": " ".join(rejected)})
    return rows


def columns(rows):
    return ([row[name] for row in rows] for name in ("prompt", "chosen", "rejected"))


def test_verdicts_are_the_exact_probabilities_of_the_next_word(judge):
    found = judge.verdicts(PROMPTS, A, B)
    assert found.shape == (3, 2, 3) and torch.allclose(found.sum(-1), torch.ones(3, 2).double())
    vocabulary = [judge.tokenizer(word)["input_ids"][0] for word in ("first", "second")]
    for row, (prompt, a, b) in enumerate(zip(PROMPTS, A, B, strict=True)):
        for order, texts in enumerate(((a, b), (b, a))):
            ids = torch.tensor([judge.tokenizer(question(prompt, *texts))["input_ids"]])
            with torch.no_grad():
                p = judge.model(input_ids=ids).logits[0, -1].double().softmax(-1)
            assert found[row, order, :2].tolist() == pytest.approx(p[vocabulary].tolist(), abs=1e-6)


def test_few_questions_at_a_time(judge, monkeypatch):
    whole = judge.verdicts(PROMPTS, A, B)
    monkeypatch.setattr(judges, "ROWS", 2)
    assert torch.allclose(judge.verdicts(PROMPTS, A, B), whole, atol=1e-6)


def test_both_orders_cancel_the_place(judge):
    there, back = judge.prefer(PROMPTS, A, B), judge.prefer(PROMPTS, B, A)
    assert torch.allclose(there + back, torch.ones(3).double(), atol=1e-9)
    assert torch.allclose(judge.position_bias(PROMPTS, A, B), judge.position_bias(PROMPTS, B, A), atol=1e-9)
    assert torch.allclose(judge.prefer(PROMPTS, A, A), torch.full((3,), 0.5).double(), atol=1e-7)
    placed = Placed(*judge)
    assert torch.allclose(placed.prefer(PROMPTS, A, B), torch.full((3,), 0.5).double())
    assert torch.allclose(placed.position_bias(PROMPTS, A, B), torch.full((3,), 0.4).double())


def test_what_is_no_verdict_counts_as_nothing(judge, monkeypatch):
    table = torch.tensor([[[0.3, 0.1, 0.6], [0.02, 0.08, 0.9]]]).double()
    monkeypatch.setattr(Judge, "verdicts", lambda self, prompts, a, b: table)
    assert judge.prefer(["x"], ["y"], ["z"]).item() == pytest.approx((0.75 + 0.8) / 2)
    assert judge.position_bias(["x"], ["y"], ["z"]).item() == pytest.approx((0.75 + 0.2) / 2 - 0.5)


def test_a_judge_learns_what_is_preferred_and_forgets_the_place(judge):
    held = planted(200, 1)
    *_, last = fit_judge(judge, planted(300, 0), steps=80, learning_rate=1e-2, batch=64)
    chance = judge.prefer(*columns(held))
    assert (chance > 0.5).double().mean() > 0.95 and chance.mean() > 0.9
    assert last.metrics["loss"] < np.log(2) / 4  # a judge that cannot tell has log(2) / 2
    assert judge.verdicts(*columns(held))[..., 2].mean() < 0.05
    assert judge.position_bias(*columns(held)).mean().abs() < 0.05


def test_every_row_is_asked_in_both_orders(judge, monkeypatch):
    rows, taken = planted(5, 0), {}
    monkeypatch.setattr(judges.supervised, "fit", lambda model, tokenizer, draw, **how: taken.update(draw=draw, **how))
    fit_judge(judge, rows, steps=1, learning_rate=1e-3, batch=7)
    assert taken["batch"] == 7
    seen = taken["draw"](np.random.default_rng(0), 8)
    assert [verdict for _, verdict in seen] == ["first"] * 4 + ["second"] * 4
    known = {text: row for row in rows for text in (question(row["prompt"], row["chosen"], row["rejected"]),)}
    for (forth, _), (back, _) in zip(seen[:4], seen[4:], strict=True):
        row = known[forth]
        assert back == question(row["prompt"], row["rejected"], row["chosen"])
    assert len(taken["draw"](np.random.default_rng(0), 7)) == 7


def test_the_same_seed_gives_the_same_bits():
    def run(seed=0):
        judge = judges.fresh("xs", 0, TASK.words)
        steps = list(fit_judge(judge, planted(20, 0), steps=3, learning_rate=1e-2, batch=8, seed=seed))
        return steps, judge.prefer(PROMPTS, A, B).tolist()

    assert run() == run() != run(seed=1)


def test_its_vocabulary_is_that_of_the_texts_and_four_words_more(judge):
    assert len(judge.tokenizer) == 1 + len(TASK.words) + 4
    assert len(judges.fresh("xs", 0, (*TASK.words, "first", ":")).tokenizer) == 1 + len(TASK.words) + 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (([], [], []), r"=\(0, 0, 0\): must be equal and at least 1"),
        ((PROMPTS, A, B[:2]), r"=\(3, 3, 2\): must be equal and at least 1"),
    ],
)
def test_lists_that_do_not_match_are_refused(judge, given, message):
    with pytest.raises(ValueError, match=message):
        judge.prefer(*given)


def test_a_vocabulary_without_verdicts_and_bad_rows_are_refused(judge):
    with pytest.raises(ValueError, match="must be one that holds 'first' and 'second'"):
        Judge(*models.fresh("xs", 0)).prefer(["1"], ["2"], ["3"])  # both are unknown words there
    with pytest.raises(ValueError, match=r"rows=\[\]: must be at least one preference"):
        fit_judge(judge, [], steps=1, learning_rate=1e-3)
    with pytest.raises(ValueError, match="steps=0: must be a positive integer"):
        fit_judge(judge, planted(2, 0), steps=0, learning_rate=1e-3)


@pytest.mark.slow
def test_a_judge_of_the_rubric_is_nearly_as_good_as_its_noise_allows():
    torch.set_num_threads(1)
    problems, a, b = preferences.pairs(*lm.load("xs-style"), TASK, 2500, seed=1)
    rows = preferences.label(TASK, problems, a, b, noise=0.25, seed=1)
    judge = judges.fresh("xs", 0, TASK.words)
    for _ in fit_judge(judge, rows[:2000], steps=200, learning_rate=5e-3):
        pass
    held = [problem.prompt for problem in problems[2000:]], a[2000:], b[2000:]
    true = torch.tensor(preferences.chance(TASK, problems[2000:], *held[1:], 0.25))
    chance = judge.prefer(*held)
    right = torch.where(chance > 0.5, true, 1 - true).mean()
    best = torch.maximum(true, 1 - true).mean()
    assert 0.8 < best < 0.9 and right > 0.66  # 0.5 is a coin
    assert judge.position_bias(*held).mean().abs() < 0.1 and judge.verdicts(*held)[..., 2].mean() < 0.05
