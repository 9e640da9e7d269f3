"""What holds for every task: splits, seeds, canonical ids, rewards, and demonstrations that a tiny model can write."""

import json
import math

import numpy as np
import pytest

from rlkit.lm import tasks, vocabulary
from rlkit.lm.tasks.task import PATIENCE, Problem, Task, number, split_of, words

STYLES = {
    "countdown": [{}],
    "arithmetic": [{"style": style} for style in ("steps", "direct", "code", "prose")],
    "knights": [{"style": "suppose"}, {"style": "direct"}],
    "graphs": [{"style": "evidence"}, {"style": "direct"}],
}
ALL = [
    *(tasks.countdown(numbers=n) for n in (3, 4, 5, 6)),
    tasks.arithmetic(),
    tasks.arithmetic(modulus=179, terms=8, operations="+-*"),
    *(tasks.knights(people=n) for n in (2, 3, 4, 5)),
    *(tasks.graphs(kind, nodes) for kind in ("degree", "distance", "connected") for nodes in (4, 8, 30)),
]


def styles(task):
    return STYLES[task.name.split("(")[0]]


@pytest.fixture(params=ALL, ids=lambda task: task.name)
def task(request):
    return request.param


@pytest.fixture(scope="module")
def tokenizer():
    return vocabulary.tokenizer()


def test_the_same_seed_gives_the_same_problems_and_another_seed_others(task):
    first, again, other = (task.problems(12, seed) for seed in (5, 5, 6))
    assert first == again
    assert {p.id for p in first} != {p.id for p in other}
    assert len({p.id for p in first}) == 12


def test_no_problem_is_in_two_splits_whatever_the_seed(task):
    seen = {split: set() for split in tasks.SPLITS}
    for seed in range(8):
        for split in tasks.SPLITS:
            seen[split] |= {p.id for p in task.problems(10, seed, split)}
    assert not seen["train"] & seen["test"]
    assert not seen["train"] & seen["validation"]
    assert not seen["validation"] & seen["test"]


def test_a_problem_is_its_id_and_its_facts_are_json(task):
    for problem in task.problems(15, 0):
        assert json.loads(json.dumps(problem.facts)) == problem.facts
        assert problem.prompt == f"{problem.id} :"  # so equal problems have equal ids and the other way round


def test_a_tiny_model_can_read_the_prompt_and_write_the_demonstration(task, tokenizer):
    rng = np.random.default_rng(0)
    for problem in task.problems(15, 1):
        for style in styles(task):
            completion = task.demonstrate(problem, rng, **style)
            whole = f"{problem.prompt} {completion}"
            ids = tokenizer(whole)["input_ids"]
            assert tokenizer.unk_token_id not in ids
            assert tokenizer.decode(ids) == whole
            assert len(ids) + 1 <= vocabulary.CONTEXT
            assert len(tokenizer(completion)["input_ids"]) + 1 <= task.max_new_tokens


def test_every_demonstration_is_correct(task):
    rng = np.random.default_rng(1)
    for problem in task.problems(15, 2):
        for style in styles(task):
            parts = task.verify(problem, task.demonstrate(problem, rng, **style))
            assert parts["format"] == parts["correct"] == 1
            assert set(parts) == set(task.weights)
            assert all(type(value) is float and math.isfinite(value) for value in parts.values())


def test_a_corpus_holds_problems_of_its_split_alone(task):
    pairs = task.examples(40, np.random.default_rng(3), split="validation")
    assert len(pairs) == 40
    assert all(split_of(prompt.removesuffix(" :")) == "validation" for prompt, _ in pairs)
    assert pairs == task.examples(40, np.random.default_rng(3), split="validation")


# ---- splits


def test_eight_tenths_of_the_ids_train_and_one_tenth_each_validates_and_tests():
    counts = {split: 0 for split in tasks.SPLITS}
    for i in range(20_000):
        counts[split_of(f"problem {i}")] += 1
    for split, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert counts[split] / 20_000 == pytest.approx(share, abs=0.01)


def test_the_split_of_a_problem_never_changes():
    known = {"train": ["x 0", "x 1", "x 3"], "validation": ["x 2", "x 19", "x 37"], "test": ["x 45", "x 46", "x 54"]}
    assert all(split_of(i) == split for split, ids in known.items() for i in ids)


def test_asking_for_more_problems_than_exist_says_in_one_line_how_many_there_are():
    task = tasks.arithmetic(modulus=3, terms=2, operations="+")
    with pytest.raises(
        ValueError, match=r"n=50: must be at most \d+: arithmetic\(.*\) has no more distinct train"
    ) as e:
        task.problems(50, seed=0)
    assert "\n" not in str(e.value)
    most = int(str(e.value).split("at most ")[1].split(":")[0])
    assert len(task.problems(most, seed=1)) == most


def test_a_task_without_a_problem_in_the_split_says_so_and_does_not_wait_for_ever():
    drawn = []
    only = Problem("x", "x :", {})
    task = Task("one", {"correct": 1.0}, 1, lambda rng: drawn.append(1) or only, lambda p, c: {}, lambda p, r: "")
    empty = "test" if split_of("x") != "test" else "train"
    with pytest.raises(ValueError, match=rf"split='{empty}': one has no such problem \({PATIENCE} draws\)"):
        task.one(np.random.default_rng(0), empty)
    with pytest.raises(ValueError, match="n=1: must be at most 0: one has no more distinct"):
        task.problems(1, 0, empty)
    assert len(drawn) == 2 * PATIENCE


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((0, 0), "n=0: must be a positive integer"),
        ((3, -1), "seed=-1: must be an integer of at least 0"),
        ((3, 0, "dev"), "split='dev': must be one of 'train', 'validation', 'test'"),
    ],
)
def test_bad_arguments_are_named(arguments, told):
    with pytest.raises(ValueError, match=told):
        tasks.countdown().problems(*arguments)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: tasks.countdown(numbers=2), "numbers=2: must be one of 3, 4, 5, 6"),
        (lambda: tasks.countdown(largest=0), "largest=0: must be a positive integer"),
        (lambda: tasks.countdown(operand=101), "operand=101: must be at most 100"),
        (lambda: tasks.arithmetic(modulus=1), "modulus=1: must be from 2 to 10000"),
        (lambda: tasks.arithmetic(terms=1), "terms=1: must be one of 2, 3, 4, 5, 6, 7, 8"),
        (lambda: tasks.arithmetic(operations="+/"), r"operations='\+/': must be some of"),
        (lambda: tasks.arithmetic(operations=""), "operations='': must be some of"),
        (lambda: tasks.knights(people=6), "people=6: must be one of 2, 3, 4, 5"),
        (lambda: tasks.graphs(kind="colour"), "kind='colour': must be one of 'degree', 'distance', 'connected'"),
        (lambda: tasks.graphs(nodes=3), "nodes=3: must be one of 4,"),
    ],
)
def test_bad_options_are_named(make, told):
    with pytest.raises(ValueError, match=told) as error:
        make()
    assert "\n" not in str(error.value)


# ---- rewards


def test_the_reward_is_the_weighted_sum_of_the_parts_and_correct_alone_by_default():
    task = tasks.countdown()
    parts = {"format": 1.0, "numbers": 1.0, "correct": 0.0}
    assert task.reward(parts) == 0
    assert task.with_weights(format=0.25, numbers=-0.5).reward(parts) == -0.25
    assert task.with_weights(correct=2).reward(parts | {"correct": 1.0}) == 2
    assert task.weights == {"correct": 1.0, "format": 0.0, "numbers": 0.0}  # the first task is unchanged


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", True, None])
def test_a_weight_is_a_finite_number_of_a_part_that_exists(value):
    with pytest.raises(ValueError, match=r"format=.*: must be a finite number"):
        tasks.countdown().with_weights(format=value)
    with pytest.raises(ValueError, match="part='formt': must be one of 'correct', 'format', 'numbers'"):
        tasks.countdown().with_weights(formt=1.0)


def test_a_missing_part_is_no_silent_zero():
    with pytest.raises(KeyError):
        tasks.countdown().reward({"format": 1.0})


@pytest.mark.parametrize("completion", [None, 3, b"3 * 5", ["3"]])
def test_what_is_no_string_is_our_own_mistake_and_raises(task, completion):
    with pytest.raises(ValueError, match=r"completion=.*: must be a string"):
        task.verify(task.problems(1, 0)[0], completion)


# ---- reading words and numbers


def test_a_number_is_written_in_ascii_digits_and_in_one_way():
    assert [number(word) for word in ("0", "7", "999999999")] == [0, 7, 999999999]
    odd = (
        "",
        "-1",
        "+1",
        "007",
        "00",
        "1_0",
        " 1",
        "1.0",
        "1e3",
        "٣",
        "３",
        "²",
        "1" * 10,
        "1" * 10**6,
        "None",
        "nan",
        "0x1",
    )
    assert [number(word) for word in odd] == [None] * len(odd)


def test_words_are_parted_by_ascii_space_alone():
    assert words(" a\tb\r\nc ") == ["a", "b", "c"]
    assert words("a\u00a0b\u2028c\x0bd") == ["a\u00a0b\u2028c\x0bd"]
    assert words("") == []
    assert words("x " * 1001) is None
    assert words("x" * 20_001) is None
