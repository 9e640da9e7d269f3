"""Shares and accuracies of formats against counts of samples and by hand; expert iteration on a task that it solves."""

import numpy as np
import pytest

pytest.importorskip("torch")

from rlkit import lm, rlvr
from rlkit.lm import models
from rlkit.lm.tasks import Problem, Task
from rlkit.rlvr import formats, replicator
from rlkit.runs import Step
from tests.rlvr.toy import GOOD, TASK, fresh

WORDS = ("code", "prose", "direct")


@pytest.fixture(scope="module")
def untrained():
    task = lm.tasks.arithmetic(modulus=10, terms=3)
    return (*models.fresh("xs", 0), task, task.problems(3, 0, "test"))


def test_shares_are_the_frequencies_of_first_words(untrained):
    model, tokenizer, _, problems = untrained
    exact = formats.shares(model, tokenizer, problems, WORDS)
    assert exact.shape == (3, 3)
    drawn = lm.sample(model, tokenizer, problems, 4000, 1, seed=3)
    for number, word in enumerate(WORDS):
        found = np.array([text == word for text in drawn.text]).reshape(3, -1).mean(1)
        assert found == pytest.approx(exact[:, number], abs=4.5 * np.sqrt(exact[:, number].max() / 4000))
    words = [word for word in tokenizer.convert_ids_to_tokens(range(256)) if word != tokenizer.unk_token]
    assert formats.shares(model, tokenizer, problems, words).sum(1) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("words", "says"), [(("code", "so answer"), "so answer"), (("nonsense",), "nonsense")])
def test_a_format_is_one_known_token(untrained, words, says):
    model, tokenizer, _, problems = untrained
    with pytest.raises(ValueError, match=says):
        formats.shares(model, tokenizer, problems, words)


def test_shares_need_a_problem(untrained):
    with pytest.raises(ValueError, match="problems"):
        formats.shares(*untrained[:2], [], WORDS)


def test_accuracy_is_judged_with_the_format_given():
    def parts(problem, completion):  # right after "code" only; the first word is in the prompt, not in the completion
        return {"format": 1.0, "correct": float(not completion.startswith("prose"))}

    task = Task("any", {"correct": 1.0}, 2, lambda rng: None, parts, lambda problem, rng: "7")
    model, tokenizer = models.fresh("xs", 0)
    found = formats.accuracies(
        model, tokenizer, task, [Problem("a", "1 :", {}), Problem("b", "2 :", {})], WORDS, samples=8
    )
    assert found.shape == (2, 3)
    assert (found >= 7 / 8).all()
    again = formats.accuracies(
        model, tokenizer, task, [Problem("a", "1 :", {}), Problem("b", "2 :", {})], WORDS, samples=8
    )
    assert (found == again).all()


def test_accuracy_of_a_trained_model_depends_on_the_format():
    model, tokenizer = lm.load("xs-formats-0")
    task = lm.tasks.arithmetic(modulus=10, terms=3)
    problems = task.problems(40, 0, "validation")
    found = formats.accuracies(model, tokenizer, task, problems, WORDS, samples=8).mean(0)
    card = {word: row["correct"] for word, row in lm.card("xs-formats-0")["evaluation"]["first_words"].items()}
    assert found == pytest.approx([card[word] for word in WORDS], abs=0.12)
    assert formats.shares(model, tokenizer, problems, WORDS).mean(0) == pytest.approx([0.5, 0.3, 0.2], abs=0.05)


def test_watched_adds_what_the_model_is_after_each_step(untrained):
    model, tokenizer, task, problems = untrained
    steps = [Step(n, {"loss": 1.0}, [{"kind": "x"}]) for n in range(5)]
    found = list(formats.watched(steps, model, tokenizer, task, problems, WORDS, every=2, samples=2))
    share = formats.shares(model, tokenizer, problems, WORDS).mean(0)
    for before, after in zip(steps, found, strict=True):
        assert (after.step, after.rollouts, after.metrics["loss"]) == (before.step, before.rollouts, 1.0)
        assert [after.metrics[f"share_{word}"] for word in WORDS] == share.tolist()
        assert ("accuracy_code" in after.metrics) == (after.step % 2 == 0)


def test_what_a_sweep_keeps_of_formats_is_read_back(untrained):
    from rlkit.runs import Run
    from rlkit.widgets.mixtures import share_panels

    _, _, task, problems = untrained
    openings = {"code": "x", "prose": "start", "direct": "answer"}
    run = Run.create("formats")
    assert formats.paths(run, WORDS) == {}
    assert "still at work" in share_panels(run, WORDS, {1: "one"})
    models_of = {}
    for number, (arm, steps) in enumerate({"grpo": 2, "base": 0}.items()):
        model, tokenizer = models_of[arm] = models.fresh("xs", 1)
        run.log_rollouts(number, [{"kind": "cell"}])  # a row without a seed makes the others' a fraction
        learner = [Step(0, {"tokens": 0.0})]
        if steps:
            options = {"steps": steps, "learning_rate": 0.01, "prompts_per_step": 2, "group_size": 4, "seed": 1}
            learner = rlvr.train(model, tokenizer, task, rlvr.grpo(), **options)
        metrics, rows = formats.followed(
            learner, model, tokenizer, task, problems, openings, samples=16, seed=1, every=2, show=problems[:2], arm=arm
        )
        run.log(number, **metrics)
        run.log_rollouts(number, rows)
    found, ends = formats.paths(run, WORDS), formats.outcomes(run, WORDS)
    assert {key: path.shape for key, path in found.items()} == {("grpo", 1): (3, 3), ("base", 1): (1, 3)}
    for arm, (model, tokenizer) in models_of.items():
        share = formats.shares(model, tokenizer, problems, WORDS).mean(0)
        row = ends.loc[(arm, 1)]
        assert found[arm, 1][-1] == pytest.approx(share, abs=1e-4)
        assert row[list(WORDS)].tolist() == pytest.approx(share.tolist(), abs=1e-4)
        assert (row["leads"], row["lead"]) == (WORDS[share.argmax()], found[arm, 1][-1].max())
        assert row["entropy"] == pytest.approx(replicator.entropy(found[arm, 1][-1]))
        given = [formats.opened(problem, "prose") for problem in problems]
        assert given[0].prompt == problems[0].prompt + " prose"
        assert row["kept_prose"] == pytest.approx(formats.shares(model, tokenizer, given, ["start"]).mean(), abs=1e-4)
        chance = formats.shares(model, tokenizer, problems, WORDS)  # [P, F]
        second = [
            formats.shares(model, tokenizer, [formats.opened(p, w) for p in problems], ["start"])[:, 0] for w in WORDS
        ]
        assert row["written_prose"] == pytest.approx((chance * np.stack(second, axis=1)).sum(1).mean(), abs=1e-4)
        assert row["lead_written"] == max(row[f"written_{word}"] for word in WORDS)
        assert row["pass@1"] <= row["pass@4"] <= row["pass@16"]
    answers = run.rollouts().query("kind == 'sample'")
    assert answers.groupby("arm")["prompt"].value_counts().tolist() == [8, 8, 8, 8]
    page = share_panels(run, WORDS, {1: "one"})
    assert "one, grpo" in page
    assert "one, base" not in page


def accuracy(model, tokenizer) -> float:
    problems = TASK.problems(32, 5, "test")
    return np.mean(rlvr.evaluate(model, tokenizer, TASK, problems, samples=16, seed=2)["correct"]) / 16


def test_expert_iteration_imitates_what_was_right():
    model, tokenizer = fresh()
    before = accuracy(model, tokenizer)
    options = {"prompts_per_step": 8, "group_size": 8, "updates_per_round": 5}
    steps = list(formats.expert_iteration(model, tokenizer, TASK, steps=20, learning_rate=0.01, seed=1, **options))
    assert [step.step for step in steps] == list(range(21))
    assert steps[0].metrics == {"tokens": 0.0, "updates": 0.0}
    assert len(GOOD) / 256 == pytest.approx(before, abs=0.1)
    assert accuracy(model, tokenizer) > before + 0.3
    tokens = [step.metrics["tokens"] for step in steps[1:]]
    assert len(set(tokens)) == 4  # rounds
    assert tokens[4] == tokens[0] > 5 * 64  # a round asks for all its answers at once, one word or two each
    assert steps[-1].metrics["reward"] > steps[1].metrics["reward"]


def test_expert_iteration_is_the_same_again():
    def last():
        model, tokenizer = fresh()
        options = {"prompts_per_step": 4, "group_size": 4, "updates_per_round": 2}
        return list(formats.expert_iteration(model, tokenizer, TASK, steps=3, learning_rate=0.01, seed=7, **options))[
            -1
        ]

    assert last() == last()


def test_nothing_right_is_nothing_to_imitate():
    task = Task("never", {"correct": 1.0}, 2, TASK.draw, lambda p, c: {"format": 0.0, "correct": 0.0}, TASK.demonstrate)
    model, tokenizer = fresh()
    learner = formats.expert_iteration(
        model, tokenizer, task, steps=2, learning_rate=0.01, prompts_per_step=2, group_size=2
    )
    assert next(learner).step == 0
    with pytest.raises(ValueError, match="nothing to imitate"):
        next(learner)


def test_expert_iteration_takes_the_problems_that_there_are():
    """A task of fewer than 1,024 training problems, as in `train`."""
    task = lm.tasks.arithmetic(modulus=5, terms=2)
    with pytest.raises(ValueError):
        task.problems(1024, 0, "train")
    model, tokenizer = models.fresh("xs", 0)
    assert next(formats.expert_iteration(model, tokenizer, task, steps=1, learning_rate=0.01)).step == 0
