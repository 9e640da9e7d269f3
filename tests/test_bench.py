"""The judge of `make bench`: which condition a row misses."""

import pytest

from tests.bench.__main__ import HERE, main, missed


def row(must, ours=0.3, ratio=25.0):
    return {"work": "", "ours": ours, "theirs": None, "ratio": ratio, "must": must}


@pytest.mark.parametrize(
    ("must", "expected"),
    [
        ("<= 0.3 s", []),
        ("<= 0.29 s", ["<= 0.29 s"]),
        (">= 25x", []),
        (">= 1,000 x", [">= 1,000 x"]),
        ("<= 0.4 s and >= 20 x", []),
        ("<= 0.2 s, >= 30 x", ["<= 0.2 s", ">= 30 x"]),
        ("<= 0.2 GB", ["<= 0.2 GB"]),
        ("printed", []),
    ],
)
def test_missed(must, expected):
    assert missed(row(must)) == expected


def test_what_could_not_be_measured_is_missed():
    assert missed(row(">= 20 x", ratio=None)) == [">= 20 x"]


def test_a_condition_that_nobody_can_check_is_refused():
    with pytest.raises(ValueError, match="must='fast': must be like"):
        missed(row("fast"))


def test_a_name_that_no_benchmark_has_is_no_success(capsys):
    assert main(["nothing-of-this-name"]) == 1


def test_every_benchmark_states_its_rows():
    assert [f.name for f in HERE.glob("bench_*.py") if "def rows()" not in f.read_text(encoding="utf-8")] == []
