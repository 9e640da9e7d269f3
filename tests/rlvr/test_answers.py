"""answer_rows: what SampleInspector needs of answers to held-out problems."""

import json

import pytest

pytest.importorskip("torch")

from rlkit import lm
from rlkit.lm import models
from rlkit.rlvr.answers import answer_rows


@pytest.fixture(scope="module")
def drawn():
    task = lm.tasks.countdown(numbers=3, largest=30)
    problems = task.problems(3, seed=0, split="test")
    model, tokenizer = models.fresh("xs", 0)
    rollouts = lm.sample(model, tokenizer, problems, 4, task.max_new_tokens, seed=1)
    return tokenizer, rollouts, lm.judge(rollouts, task, problems), problems


def test_a_row_is_one_completion_and_its_tokens(drawn):
    tokenizer, _, judged, problems = drawn
    rows = answer_rows(tokenizer, judged, problems, reference=judged.logp - 1, prompts=2)
    assert len(rows) == 8
    assert json.loads(json.dumps(rows)) == rows
    for number, row in enumerate(rows):
        group, sample = divmod(number, 4)
        length = int(judged.mask[number].sum())
        assert (row["problem"], row["group"], row["sample"]) == (problems[group].id, group, sample)
        assert (row["prompt"], row["completion"]) == (problems[group].prompt, judged.text[number])
        assert len(row["tokens"]) == len(row["logp_sampled"]) == len(row["logp_reference"]) == length
        written = row["tokens"][:-1] if row["finish_reason"] == "stop" else row["tokens"]
        assert " ".join(written) == row["completion"]
        assert row["logp_sampled"] == pytest.approx(judged.logp[number, :length].tolist())
        assert row["logp_reference"][0] == pytest.approx(row["logp_sampled"][0] - 1)
        assert row["reward"] == row["reward_parts"]["correct"] == judged.reward_parts["correct"][group, sample]


def test_all_prompts_and_no_reference_by_default(drawn):
    tokenizer, _, judged, problems = drawn
    rows = answer_rows(tokenizer, judged, problems)
    assert len(rows) == 12
    assert "logp_reference" not in rows[0]


def test_rollouts_that_nobody_judged_are_refused(drawn):
    tokenizer, rollouts, _, problems = drawn
    with pytest.raises(ValueError, match=r"rollouts: .*must be judged"):
        answer_rows(tokenizer, rollouts, problems)
