"""check() against right, blank, wrong, raising and misbehaving functions; solution() against the library's source."""

import inspect
import json

import numpy as np
import pytest

from rlkit.exercises import EXERCISES, Exercise, check, checking, reference, solution
from rlkit.html import escape


def scaled(values, factor):
    """What the small exercise of these tests asks for: values [A] times factor."""
    return values * factor


def split(values, factor):
    return values.sum(), np.flatnonzero(values > factor)


def _cases(rng):
    return [(np.array([1.0, 2.0]), 0.0), (np.array([1.0, 2.0]), 3.0), (rng.normal(size=4), 2.0)]


@pytest.fixture
def small(monkeypatch):
    """A registry with two small exercises whose references are in this file."""
    registry = {name: Exercise(f"{__name__}:{name}", _cases) for name in ("scaled", "split")}
    monkeypatch.setattr(checking, "EXERCISES", registry)


@pytest.mark.parametrize("name", EXERCISES)
def test_every_reference_passes_its_own_check(name):
    result = check(name, reference(name))
    assert result.passed and bool(result), result
    assert len(EXERCISES[name].cases(np.random.default_rng(0))) >= 20


@pytest.mark.parametrize("name", EXERCISES)
def test_the_cases_are_the_same_each_time_and_no_reference_changes_its_input(name):
    first = EXERCISES[name].cases(np.random.default_rng(0))
    assert repr(first) == repr(EXERCISES[name].cases(np.random.default_rng(0)))
    for case in first:
        before = repr(case)
        answer = np.asarray(reference(name)(*case))
        assert answer.size == 0 or np.isfinite(answer).any()
        assert repr(case) == before


@pytest.mark.parametrize("name", EXERCISES)
def test_a_function_that_is_right_but_for_one_per_mille_is_caught(name):
    def nearly(*arguments):
        return np.asarray(reference(name)(*arguments)) * 1.001

    assert not check(name, nearly)


def test_the_ucb_index_written_anew_passes_and_its_usual_mistakes_do_not():
    def index(mean, count, t):
        bonus = [np.sqrt(2 * np.log(t) / n) if n else np.inf for n in count]
        return [m + b for m, b in zip(mean, bonus, strict=True)]  # a list will do

    def without_two(mean, count, t):
        return mean + np.sqrt(np.log(t) / np.maximum(count, 1e-9))

    def unpulled_arm_is_nan(mean, count, t):
        return np.where(count > 0, mean + np.sqrt(2 * np.log(t) / np.maximum(count, 1)), np.nan)

    assert check("bandits/ucb_index", index)
    result = check("bandits/ucb_index", without_two)
    assert not result and dict(result.rows)["first difference"] == "at index [0]"
    result = check("bandits/ucb_index", unpulled_arm_is_nan)
    assert dict(result.rows)["yours"].endswith("nan]") and dict(result.rows)["right"].endswith("inf]")


def test_a_softmax_gradient_that_overflows_is_caught():
    def overflows(preferences, advantage):
        with np.errstate(over="ignore", invalid="ignore"):
            p = np.exp(preferences) / np.exp(preferences).sum()
            return p * (advantage - p @ advantage)

    result = check("bandits/softmax_gradient", overflows)
    assert not result and "1000" in dict(result.rows)["preferences"]


def blank(values, factor): ...


def blank_return(values, factor):
    return ...


def blank_raise(values, factor):
    raise NotImplementedError


def blank_inside(values, factor):
    product = ...
    return values + product


def blank_in_ufunc(values, factor):
    return np.sqrt(...)


def blank_in_where(values, factor):
    return np.where(values > 0, ..., 0.0)


def blank_in_tuple(values, factor):
    return [..., [0.0, None]]


BLANKS = [blank, blank_return, blank_raise, blank_inside, blank_in_ufunc, blank_in_where, blank_in_tuple]


@pytest.mark.parametrize("function", BLANKS)
def test_a_blank_is_not_done_yet(small, function):
    result = check("scaled", function)
    assert not result and "not done yet" in repr(result) and "not done yet" in result.to_html() and not result.rows


def test_the_first_case_that_differs_is_shown_with_input_kind_yours_and_right(small):
    result = check("scaled", lambda values, factor: values * min(factor, 2))
    assert not result.passed and "Case 2 of 3" in result.message
    assert result.rows == (
        ("values", "[1., 2.]"),
        ("factor", "3.0"),
        ("expected", "an array of shape (2,), numbers"),
        ("yours", "[2., 4.]"),
        ("right", "[3., 6.]"),
        ("first difference", "at index [0]"),
    )


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda values, factor: (values * factor)[:, None], "an array of shape (2, 1), numbers"),
        (lambda values, factor: 0.0, "a number"),
        (lambda values, factor: (values * factor).astype(str), "an array of shape (2,), dtype <U32"),
        (lambda values, factor: values > 9, "an array of shape (2,), True or False"),
        (lambda values, factor: values * factor + 0j, "an array of shape (2,), dtype complex128"),
        (lambda values, factor: "text", "a str, not numbers"),
        (lambda values, factor: (v for v in values), "a generator, not numbers"),
        (lambda values, factor: {"a": 1}, "a dict, not numbers"),
        (lambda values, factor: [[1.0], [1.0, 2.0]], "cannot be read as numbers"),
        (lambda values, factor: values * np.nan, "[nan, nan]"),
    ],
)
def test_an_answer_of_the_wrong_shape_dtype_or_kind_is_told_in_words(small, function, words):
    result = check("scaled", function)
    assert not result and words in dict(result.rows)["yours"]


def test_integers_are_fine_where_they_are_equal_to_the_right_floats(small):
    assert check(
        "scaled", lambda values, factor: values * factor if len(values) == 4 else (values * factor).astype(int)
    )


def test_a_tuple_is_compared_part_by_part(small):
    assert check("split", split)
    assert dict(check("split", lambda v, f: (v.sum(), np.array([9]))).rows)["differs in"] == "part 1 of the tuple"
    assert "a tuple of 3" in dict(check("split", lambda v, f: (1, 2, 3)).rows)["yours"]
    whole = check("split", lambda v, f: (v.sum(), np.flatnonzero(v > f).astype(float)))
    assert dict(whole.rows)["yours"] == "an array of shape (2,), numbers"
    assert "whole numbers" in dict(whole.rows)["expected"]


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def raises(error):
    def function(values, factor):
        raise error

    return function


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda values, factor: values / "x" * 0, "TypeError"),
        (lambda values: values, "takes 1 positional argument but 2 were given"),
        (raises(ValueError("two\nlines")), "ValueError: two lines"),
        (raises(SystemExit(1)), "SystemExit: 1"),
        (raises(Unprintable()), "Unprintable"),
        (raises(AssertionError("x" * 5000)), "AssertionError: xxx"),
        (lambda values, factor: forever(values), "RecursionError"),
    ],
)
def test_an_exception_becomes_one_line_and_never_leaves_check(small, function, words):
    result = check("scaled", function)
    shown = dict(result.rows)["yours raises"]
    assert not result and words in shown and "\n" not in shown and len(shown) <= 300


def forever(values):
    return forever(values)


def test_the_line_of_the_readers_code_that_raised_is_named(small):
    def wrong(values, factor):
        return values.no_such_thing

    assert dict(check("scaled", wrong).rows)["yours raises"].endswith("at: return values.no_such_thing")


def test_a_keyboard_interrupt_still_interrupts(small):
    with pytest.raises(KeyboardInterrupt):
        check("scaled", raises(KeyboardInterrupt()))


def test_a_function_that_changes_its_input_fails_even_if_its_answer_is_right(small):
    def in_place(values, factor):
        values *= factor
        return values

    result = check("scaled", in_place)
    assert not result and "changes the arrays" in dict(result.rows)["yours"]


def test_something_that_is_no_function_is_told_so(small):
    result = check("scaled", np.zeros(3))
    assert not result and "not a ndarray" in result.message


def test_what_the_readers_function_says_is_escaped(small):
    result = check("scaled", raises(ValueError("<script>alert(1)</script>")))
    assert "<script>" not in result.to_html() and "&lt;script&gt;" in result.to_html()
    assert result._repr_html_() == result.to_html()


@pytest.mark.parametrize("call", [lambda name: check(name, blank), solution, reference])
@pytest.mark.parametrize("name", ["bandits/ucb", None, ["x"], "a\nb" * 1000])
def test_an_unknown_name_is_refused_in_one_line_that_lists_what_exists(call, name):
    with pytest.raises(ValueError, match="must be one of bandits/") as error:
        call(name)
    assert "\n" not in str(error.value) and all(known in str(error.value) for known in EXERCISES)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_is_the_librarys_own_source(name):
    shown = solution(name)
    source = inspect.getsource(reference(name))
    assert repr(shown).endswith(source.rstrip())
    text = shown.to_html().split("<pre", 1)[1].split(">", 1)[1].removesuffix("</pre>")
    assert escape("def ").strip() in text and shown._repr_html_() == shown.to_html()
    plain = "".join(part.split(">", 1)[-1] for part in text.split("<"))
    assert plain.rstrip() == escape(source).rstrip()


def test_a_check_and_a_solution_have_text_and_html_twins_in_ipython():
    from IPython.core.formatters import DisplayFormatter

    for shown in (check("bandits/ips", blank), solution("bandits/ips")):
        data, _ = DisplayFormatter().format(shown)
        assert data["text/plain"] == repr(shown) and data["text/html"] == shown.to_html()
    json.dumps(data)
