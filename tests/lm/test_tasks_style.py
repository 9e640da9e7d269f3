"""The rubric of taste: by hand, for many at once as for one, on hostile text; and what the corpus is made of."""

import itertools

import numpy as np
import pytest

from rlkit.lm import tasks, vocabulary
from rlkit.lm.tasks.style import LEXICONS, parts_of, rewards

SHORT, LONG = tasks.style(), tasks.style("long", length=16, topics=4, opening=True)
MOON = next(p for p in SHORT.problems(6, 0, "all") if p.prompt == "moon sings")


def ids_of(problem, texts, width):
    """Rows of ids, 0 after the end."""
    number = {word: i + 1 for i, word in enumerate(LEXICONS[problem.facts["lexicon"]])}
    rows = [[number[word] for word in text.split()] for text in texts]
    return np.array([row + [0] * (width - len(row)) for row in rows])


@pytest.mark.parametrize(
    ("text", "coverage", "fluency", "repetition", "reward"),
    [
        ("the old moon sings softly", 1, 1, 0, 2),
        ("the moon sings", 1, 1, 0, 2),
        ("moon sings", 1, 2 / 3, 0, 5 / 3),  # nothing but a determiner may open a text
        ("the moon", 0.5, 2 / 3, 0, 0.5 + 2 / 3),  # a noun does not end one
        ("moon moon", 0.5, 0, 0.5, 0),
        ("the the moon sings", 1, 4 / 5, 0, 1.8),  # determiners may come again, but not side by side
        ("very very very very very", 0, 0, 0.8, -0.8),
        ("", 0, 0, 0, 0),
    ],
)
def test_the_rubric_by_hand(text, coverage, fluency, repetition, reward):
    parts = SHORT.verify(MOON, text)
    assert [parts[name] for name in ("coverage", "fluency", "repetition")] == pytest.approx(
        [coverage, fluency, repetition]
    )
    assert SHORT.reward(parts) == pytest.approx(reward)
    assert parts["correct"] == (reward == 2)
    assert parts["length"] == len(text.split()) and parts["intensity"] == text.split().count("very")


def test_coverage_counts_only_behind_the_opening_where_the_task_says_so():
    problem = LONG.problems(1, 0, "all")[0]
    noun, verb, other, also = problem.facts["topics"]
    text = f"the {noun} {verb} and every {other} {also}"
    plain, opened = LONG.verify(problem, text), LONG.verify(problem, f"once {text}")
    assert (plain["opening"], plain["coverage"], plain["correct"], LONG.reward(plain)) == (0, 0, 0, 1)
    assert (opened["opening"], opened["coverage"], opened["correct"], LONG.reward(opened)) == (1, 1, 1, 2)


def test_many_at_once_are_each_by_itself():
    rng = np.random.default_rng(0)
    for task, problem in ((SHORT, MOON), (LONG, LONG.problems(1, 3, "all")[0])):
        texts = [" ".join(rng.choice(LEXICONS[problem.facts["lexicon"]], rng.integers(0, 6))) for _ in range(200)]
        together = parts_of(problem, ids_of(problem, texts, 8))
        for i, text in enumerate(texts):
            assert task.verify(problem, text) == {name: value[i] for name, value in together.items()}
        alone = [task.reward(task.verify(problem, text)) for text in texts]
        assert rewards(task, problem, ids_of(problem, texts, 8)).tolist() == pytest.approx(alone)


def test_a_gold_text_of_the_short_lexicon_is_found_by_listing_them_all():
    everything = [" ".join(t) for n in range(1, 5) for t in itertools.product(LEXICONS["short"], repeat=n)]
    best = [text for text in everything if SHORT.verify(MOON, text)["correct"]]
    assert "the old moon sings" in best and all("moon sings" in text and text.startswith("the") for text in best)
    assert max(SHORT.reward(SHORT.verify(MOON, text)) for text in everything[:2000]) == 2


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "the\u00a0moon sings", "x " * 30_000, "MOON", "the 月"])
def test_any_other_word_fits_nowhere_and_is_no_format(text):
    parts = SHORT.verify(MOON, text)
    assert parts["format"] == 0 and parts["correct"] == 0 and all(np.isfinite(list(parts.values())))
    assert SHORT.reward(parts) <= 1


def test_a_biased_annotator_is_the_same_task_with_other_weights():
    flattered = SHORT.with_weights(intensity=0.5)
    text = "the very old moon sings"
    assert flattered.reward(flattered.verify(MOON, text)) == 2.5 and SHORT.reward(SHORT.verify(MOON, text)) == 2


@pytest.mark.parametrize("task", [SHORT, tasks.style("long", length=8), LONG], ids=lambda task: task.name)
def test_demonstrations_are_mediocre_and_fit(task):
    rng, tokenizer = np.random.default_rng(0), vocabulary.tokenizer(task.words)
    drawn = [(problem := task.one(rng, "all"), task.demonstrate(problem, rng)) for _ in range(500)]
    scores = np.array([task.reward(task.verify(problem, text)) for problem, text in drawn])
    assert 0.5 < scores.mean() < 1.5 and scores.std() > 0.15
    assert max(len(tokenizer(text)["input_ids"]) for _, text in drawn) <= task.max_new_tokens
    assert all(task.verify(problem, text)["format"] for problem, text in drawn)
    perfect = [task.demonstrate(problem, rng, slip=0.0) for problem, _ in drawn]
    fluency = np.array([task.verify(p, t)["fluency"] for (p, _), t in zip(drawn, perfect, strict=True)])
    assert (fluency > 0.75).all() and (fluency == 1).mean() > 0.4  # a walk ends in mid-sentence when room runs out


def test_the_corpus_rarely_opens_as_it_should():
    rng = np.random.default_rng(1)
    opened = [LONG.verify(p := LONG.one(rng, "all"), LONG.demonstrate(p, rng))["opening"] for _ in range(2000)]
    assert 0.03 < np.mean(opened) < 0.09


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lexicon": "huge"}, "lexicon='huge': must be one of"),
        ({"length": 0}, "length=0: must be"),
        ({"length": 101}, "length=101: must be at most 100"),
        ({"topics": 3}, "topics=3: must be 2, or 4 with the long lexicon"),
        ({"topics": 4}, "topics=4: must be 2, or 4 with the long lexicon"),
        ({"opening": True}, "opening=True: must be False with the short lexicon"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tasks.style(**options)
