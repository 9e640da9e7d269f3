"""Exact chances against sampling and the verifier, at the settings of an evaluation."""

import numpy as np
import pytest

from rlkit import lm
from rlkit.lm.chances import chances, pass_at
from rlkit.lm.tasks.countdown import solutions

TASK = lm.tasks.countdown(numbers=4)
SAMPLES = 600


@pytest.fixture(scope="module")
def base():
    return lm.load("s-countdown")


@pytest.mark.parametrize("setting", [{}, {"temperature": 0.6, "top_p": 0.95}], ids=["temperature 1", "the paper's"])
def test_the_verifier_finds_as_many_among_samples(base, setting):
    problems = TASK.problems(12, seed=5, split="validation")
    q = chances(*base, problems, **setting)
    drawn = lm.sample(*base, problems, SAMPLES, TASK.max_new_tokens, seed=3, **setting)
    found = lm.judge(drawn, TASK, problems).reward_parts["correct"].mean(1).numpy()
    assert q.min() >= 0 and q.max() > 0.05
    assert np.abs(found - q).max() < 4 * np.sqrt(0.25 / SAMPLES)
    assert abs(found.mean() - q.mean()) < 4 * np.sqrt((q * (1 - q)).mean() / SAMPLES / len(q))


def test_it_is_the_sum_over_the_answers_given_whatever_shares_the_batch(base):
    problems = TASK.problems(3, seed=6)
    longer = lm.tasks.countdown(numbers=5).problems(1, seed=6)  # a prompt of another length
    alone = [chances(*base, [problem])[0] for problem in (*problems, *longer)]
    np.testing.assert_allclose(chances(*base, [*problems, *longer]), alone, rtol=1e-4)
    parts = [chances(*base, problems[:1], lambda _, text=text: [text])[0] for text in solutions(problems[0])]
    assert len(parts) > 1 and sum(parts) == pytest.approx(alone[0], rel=1e-4)
    assert chances(*base, problems[:1], lambda _: []).tolist() == [0.0]


def test_one_answer_is_the_product_of_its_tokens(base):
    problem = TASK.problems(1, seed=7)[0]
    drawn = lm.sample(*base, [problem], 4, TASK.max_new_tokens, seed=1)
    for text, logp in zip(drawn.text, drawn.logp, strict=True):
        assert chances(*base, [problem], lambda _, text=text: [text])[0] == pytest.approx(logp.sum().exp().item(), 1e-3)


def test_pass_at():
    np.testing.assert_allclose(pass_at([0.0, 0.5, 1.0], [1, 2]), [[0, 0], [0.5, 0.75], [1, 1]], atol=1e-12)
    assert pass_at([[1e-12]], [256])[0, 0, 0] == pytest.approx(256e-12)  # no digits lost


@pytest.mark.parametrize("bad", [{"temperature": 0}, {"top_p": 0}, {"top_p": 1.5}, {"problems": []}])
def test_bad_arguments(base, bad):
    arguments = {"problems": TASK.problems(1, seed=1)} | bad
    with pytest.raises(ValueError, match=next(iter(bad))):
        chances(*base, **arguments)
