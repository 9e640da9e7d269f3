"""Adapters: reasoning-gym's problems, its scorers kept from evaluating; math-verify from any thread; the referee."""

import json
import os
import signal
import threading

import numpy as np
import pytest

from rlkit.lm import tasks
from rlkit.lm.tasks import referee
from rlkit.lm.tasks.adapters import HUGE

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def legs():
    return tasks.from_reasoning_gym("leg_counting")


@pytest.fixture(scope="module")
def half():
    return tasks.with_math_verify([("What is one half?", r"\frac{1}{2}")])


# ---- reasoning-gym


def test_the_problems_are_those_of_reasoning_gym_and_its_answers_are_correct(legs):
    import reasoning_gym

    for problem in legs.problems(10, seed=0):
        assert json.loads(json.dumps(problem.facts)) == problem.facts
        entry = reasoning_gym.create_dataset("leg_counting", seed=problem.facts["seed"], size=1)[0]
        assert problem.prompt.startswith(entry["question"])
        assert legs.demonstrate(problem, RNG) == f"<answer>{entry['answer']}</answer>"
        right = legs.verify(problem, f"So many animals... {legs.demonstrate(problem, RNG)}\n")
        assert right == {"format": 1, "score": 1, "correct": 1}
        assert legs.verify(problem, "<answer>-1</answer>") == {"format": 1, "score": 0, "correct": 0}


def test_seeds_and_splits_of_an_adapted_data_set(legs):
    assert legs.problems(10, seed=1) == legs.problems(10, seed=1)
    ids = {split: {p.id for seed in range(4) for p in legs.problems(15, seed, split)} for split in tasks.SPLITS}
    assert (
        not ids["train"] & ids["test"] and not ids["train"] & ids["validation"] and not ids["validation"] & ids["test"]
    )
    assert legs.problems(5, seed=1) != legs.problems(5, seed=2)


def test_options_reach_the_data_set_and_are_named():
    task = tasks.from_reasoning_gym("leg_counting", max_new_tokens=64, min_animals=2, max_animals=2)
    assert task.max_new_tokens == 64
    assert task.name == "from_reasoning_gym('leg_counting', min_animals=2, max_animals=2)"
    assert all(problem.prompt.split("?")[0].count(",") == 2 for problem in task.problems(8, seed=0))


@pytest.mark.parametrize(
    "completion",
    [
        "{0}",
        "<answer>{0}",
        "<answer>{0}</answer> or so",  # the answer in the middle
        "<answer>{0}</answer><answer>{0}</answer>",  # answered twice
        "<answer>1</answer> <answer>{0}</answer>",
        "<answer>{0}</answer></answer>",
        "</answer>{0}<answer>",
        "<answer></answer>",
        "<ANSWER>{0}</ANSWER>",
        "<answer>" + "0" * 5000 + "{0}</answer>",
    ],
)
def test_the_answer_stands_once_between_its_tags_at_the_end(legs, completion):
    problem = legs.problems(1, seed=0)[0]
    whole = completion.replace("{0}", problem.facts["answer"])
    assert legs.verify(problem, whole) == {"format": 0, "score": 0, "correct": 0}


def test_a_number_among_others_is_not_correct_though_the_scorer_pays_a_part(legs):
    problem = legs.problems(1, seed=0)[0]
    listed = " ".join(map(str, range(1000)))  # the standard scorer pays for an answer that stands anywhere inside
    parts = legs.verify(problem, f"<answer>{listed}</answer>")
    assert parts["score"] < 1 and parts["correct"] == 0


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("leg_countin", "no data set of this name; near it: 'leg_counting'"),
        ("countdown", "must be a data set whose scorer takes its own answer without evaluating it"),
        ("simple_integration", "must be a data set whose scorer takes its own answer without evaluating it"),
        ("graph_color", "must be a data set that gives an answer of its own"),
        # defects of its scorers (0.1.25), each of which pays for a wrong answer
        ("complex_arithmetic", "must be a data set whose scorer does not take 'nan' for"),  # min(1, nan) is 1
        ("game_of_life_halting", "must be a data set whose scorer does not take 'nan' for 'True'"),  # bool("nan")
        ("coin_flip", r"must be a data set whose scorer does not take '0' for '0\."),  # any prefix
    ],
)
def test_a_data_set_that_cannot_be_judged_safely_is_refused_in_one_line(name, told):
    with pytest.raises(ValueError, match=told) as error:
        tasks.from_reasoning_gym(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"seed": 3}, "seed=3: must be left out"),
        ({"size": 3}, "size=3: must be left out"),
        ({"legs": 3}, "unexpected keyword argument 'legs'"),
        ({"min_animals": -1}, "AssertionError"),
        ({"min_animals": {1}}, "options=.*: must be made of numbers"),
        ({"max_new_tokens": 0}, "max_new_tokens=0: must be a positive integer"),
    ],
)
def test_a_bad_option_is_named(options, told):
    with pytest.raises(ValueError, match=told):
        tasks.from_reasoning_gym("leg_counting", **options)


def test_what_a_model_wrote_is_never_evaluated(tmp_path):
    # the scorer of spiral_matrix calls eval on any answer that is not the right text
    task = tasks.from_reasoning_gym("spiral_matrix")
    problem, trace = task.problems(1, seed=0)[0], tmp_path / "trace"
    attack = f"<answer>open({str(trace)!r}, 'w').write('x') and [1]</answer>"
    assert task.verify(problem, attack)["correct"] == 0
    assert not trace.exists()
    listed = str([int(n) for n in problem.facts["answer"].split()])
    assert task.verify(problem, f"<answer>{listed}</answer>")["correct"] == 0  # right, but only eval could read it


def test_what_a_scorer_raises_is_no_concern_of_ours():
    # the scorer of prime_factorization raises ValueError for what is no product
    task = tasks.from_reasoning_gym("prime_factorization")
    assert task.verify(task.problems(1, seed=0)[0], "<answer>x</answer>")["correct"] == 0


@pytest.mark.parametrize("answer", ["{0}\u200b", "\u202e{0}", "{0}\x00", "2**{0}", "{0}e99999", "\ud800{0}", "١{0}"])
def test_characters_that_hide_and_powers_are_refused_before_the_scorer_sees_them(legs, answer, monkeypatch):
    problem = legs.problems(1, seed=0)[0]
    monkeypatch.setattr(referee, "ask", lambda *_, **__: pytest.fail("the scorer was asked"))
    whole = f"<answer>{answer.replace('{0}', problem.facts['answer'])}</answer>"
    assert legs.verify(problem, whole) == {"format": 1, "score": 0, "correct": 0}


# ---- math-verify


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        (r"\frac{1}{2}", "0.5", 1),
        (r"\frac{1}{2}", "1/2", 1),
        (r"\frac{1}{2}", r"\frac12", 1),
        (r"\frac{1}{2}", "0.25", 0),
        (r"2\sqrt{2}", r"\sqrt{8}", 1),
        ("x^2+2x+1", "(x+1)^2", 1),
        (r"\{1, 2\}", r"\{2, 1\}", 1),
        ("[0, 1)", "[0, 1)", 1),
        ("[0, 1)", "[0, 1]", 0),
        ("1234", "1,234", 1),
        ("42", r"42 \text{ cm}", 1),
        (r"\text{Paris}", r"\text{Paris}", 1),
        (r"\text{Paris}", r"\text{London}", 0),
        ("2^{2^{10}}", "2^{2^{10}}", 1),  # a tower, but the same text
        # hacks
        ("2", "1, 2", 0),
        ("2", r"1 \text{ or } 2", 0),
        ("2", r"\{1, 2, 3\}", 0),
        ("2", r"\pm 2", 0),
        ("2", "x > 1", 0),
        ("2", "2 = 3", 0),
        ("2", r"\text{nan}", 0),
        ("2", r"\infty", 0),
    ],
)
def test_answers_that_math_verify_takes_and_those_that_it_does_not(gold, answer, correct):
    task = tasks.with_math_verify([("?", gold)])
    problem = task.draw(RNG)
    assert task.verify(problem, f"So it is $\\boxed{{{answer}}}$.") == {"format": 1, "correct": correct}
    assert task.verify(problem, task.demonstrate(problem, RNG)) == {"format": 1, "correct": 1}


@pytest.mark.parametrize(
    ("completion", "parts"),
    [
        (r"\boxed{3} no, \boxed{0.5}", (0, 1)),  # the last one counts, but there should be one
        (r"\boxed{0.5} no, \boxed{3}", (0, 0)),
        (r"\boxed{0.5", (0, 0)),
        (r"\boxed{}", (0, 0)),
        (r"\boxed 0.5", (0, 0)),
        ("0.5", (0, 0)),
        (r"\boxed{\boxed{0.5}}", (0, 1)),
        (r"\boxed{ 0.5 }" + "\n" * 1000, (1, 1)),
        ("thinking " * 20_000 + r"\boxed{0.5}", (1, 1)),
        ("thinking " * 200_000 + r"\boxed{0.5}", (0, 0)),  # a megabyte and more is not read
    ],
)
def test_the_last_box_is_the_answer(half, completion, parts):
    judged = half.verify(half.draw(RNG), completion)
    assert (judged["format"], judged["correct"]) == parts


HUGE_ONES = (
    "9**9**9**9; 9^{9^{9^{9}}}; 9^{9^9}; 10^{1000000000}; 2^{-99999}; 9999!; (12345)!; 9!!!; 3! !; 7^ ( 123456 )"
)


@pytest.mark.parametrize("formula", [*HUGE_ONES.split("; "), "9" * 101])
def test_huge_formulas_are_refused_before_they_are_parsed(half, formula, monkeypatch):
    monkeypatch.setattr(referee, "ask", lambda *_, **__: pytest.fail("it was parsed"))
    assert half.verify(half.draw(RNG), f"\\boxed{{{formula}}}") == {"format": 1, "correct": 0}


@pytest.mark.parametrize(
    "formula",
    ["2^{10}", "e^{-x^2}", "x^{2n+1}", "10^{-3}", "5!", "2^{x^2}", "x_{12345}", "3^{1000}", "n! (n-1)!", "12!"],
)
def test_ordinary_powers_and_factorials_are_not(formula):
    assert not HUGE.search(formula)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], r"rows=\[\]: must be not empty"),
        ([("a", "1"), ("b", "")], r"rows\[1\]=\('b', ''\): must be a question and its answer"),
        ([("a", 1)], r"rows\[0\]=\('a', 1\): must be a question"),
        ([("a", "1", "2")], r"rows\[0\]=.*: must be a question"),
        ([("a", "1"), ("a", "2")], r"rows\[1\]=\('a', '2'\): must be the only answer to its question"),
    ],
)
def test_rows_that_are_no_questions_are_named(rows, told):
    with pytest.raises(ValueError, match=told):
        tasks.with_math_verify(rows)


def test_rows_are_split_by_question_and_all_of_them_can_be_had():
    rows = [(f"What is {i} + 1?", str(i + 1)) for i in range(300)] * 2
    task = tasks.with_math_verify(rows, name="successors")
    counts = []
    for split in tasks.SPLITS:
        with pytest.raises(
            ValueError, match=f"n=301: must be at most .*: successors has no more distinct {split}"
        ) as e:
            task.problems(301, 0, split)
        counts.append(int(str(e.value).split("at most ")[1].split(":")[0]))
    assert sum(counts) == 300
    assert len(task.problems(counts[2], seed=9, split="test")) == counts[2]


# ---- the referee


def test_math_verify_works_outside_the_main_thread(half):
    """math-verify's timeouts use SIGALRM, which only a main thread may set: its issues 11, 50 and 55."""
    found = []

    def judge():
        for answer in ("0.5", "0.25"):
            found.append(half.verify(half.draw(RNG), f"\\boxed{{{answer}}}")["correct"])

    threads = [threading.Thread(target=judge) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 0, 0, 1, 1, 1]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGXCPU"), reason="this system does not limit processor time")
def test_what_would_run_for_ever_ends_and_the_next_question_is_answered():
    # Fraction("1e999999999") has a billion digits
    flip = {"name": "coin_flip", "options": {}, "seed": 0}
    assert referee.ask("score", 1, **flip, answer="1e999999999") is None
    assert referee.ask("equal", 1, gold="2", answer="((9^{9999})^{9999})^{9999}") is None
    assert referee.ask("equal", 5, gold="2", answer="4/2") == {"score": 1.0}


def test_a_process_that_died_is_replaced():
    assert referee.ask("equal", 5, gold="2", answer="2.0") == {"score": 1.0}
    referee._process.kill()
    referee._process.wait()
    assert referee.ask("equal", 5, gold="2", answer="3") == {"score": 0.0}


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_interrupt_of_the_whole_group_does_not_end_the_referee():
    # Jupyter interrupts the kernel's process group: an answer judged in a thread at that moment would count as wrong
    assert referee.ask("equal", 5, gold="2", answer="2") == {"score": 1.0}
    judge = referee._process
    os.kill(judge.pid, signal.SIGINT)
    assert referee.ask("equal", 5, gold="2", answer="2.0") == {"score": 1.0}
    assert referee._process is judge


def test_after_an_interrupt_no_reply_answers_another_question(monkeypatch):
    assert referee.ask("equal", 5, gold="2", answer="3") == {"score": 0.0}

    class Interrupted:
        def __init__(self, pipe):
            self.pipe = pipe

        def readline(self):
            raise KeyboardInterrupt

        def close(self):
            self.pipe.close()

    referee._process.stdout = Interrupted(referee._process.stdout)
    with pytest.raises(KeyboardInterrupt):
        referee.ask("equal", 5, gold="2", answer="3")
    assert referee.ask("equal", 5, gold="2", answer="2") == {"score": 1.0}


def test_another_process_draws_the_same_entries():
    # list_functions draws from the global random state, letter_jumble walks through a set
    def draw():
        return [
            referee.ask("draw", 10, name=name, options={}, seed=seed)
            for name in ("list_functions", "letter_jumble")
            for seed in range(3)
        ]

    first = draw()
    referee._end(referee._process)
    assert draw() == first


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    program = tmp_path / "program.py"
    program.write_text("import json\nfor line in iter(input, ''): print(json.dumps({'missing': 'antlr4'}), flush=True)")
    monkeypatch.setattr(referee, "PROGRAM", program)
    monkeypatch.setattr(referee, "_process", None)
    with pytest.raises(ImportError, match=r'antlr4 is missing: pip install "rlkit-notebooks\[tasks\]"'):
        tasks.with_math_verify([("a", "1")])
    referee._end(referee._process)
