"""Exported completions: JSONL gives them back, CSV holds nothing that a spreadsheet would execute."""

import csv
import json

import pytest

from rlkit.widgets import rollout_files
from tests.widgets.inspector_runs import completions


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_jsonl_gives_back_exactly_what_was_logged(tmp_path):
    rows = [*completions(0), {"step": 1, "completion": "=1+1\u202e\ud800\x00", "reward": float("inf")}]
    path = rollout_files.save(rows, tmp_path / "deep" / "a.jsonl")
    assert [json.loads(line) for line in path.read_text().splitlines()] == rows


def test_csv_has_a_column_per_reward_part_and_lists_as_json(tmp_path):
    rows = [row | {"step": 4} for row in completions(0)]
    read = read_csv(rollout_files.save(rows, tmp_path / "a.csv"))
    assert len(read) == len(rows) and next(iter(read[0])) == "step"
    assert float(read[9]["reward_parts.correct"]) == rows[9]["reward_parts"]["correct"]
    assert json.loads(read[9]["logp_sampled"]) == rows[9]["logp_sampled"]
    assert float(read[9]["advantage"]) == rows[9]["advantage"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "  =", "＝", "＠"])
def test_a_formula_in_a_completion_becomes_text(tmp_path, start):
    formula = f"{start}HYPERLINK(1)"
    path = rollout_files.save([{"completion": formula, formula: "x", "reward_parts": {formula: 1}}], tmp_path / "a.csv")
    (row,) = read_csv(path)
    assert row["completion"] == f"'{formula}" and not any(name.startswith(rollout_files.FORMULA) for name in row)


def test_numbers_stay_numbers_and_half_a_surrogate_pair_is_written_out(tmp_path):
    rows = [{"reward": -0.5, "ok": True, "none": None, "bad": float("nan"), "text": 'a,"b"\nc \ud800'}]
    (row,) = read_csv(rollout_files.save(rows, tmp_path / "a.csv"))
    assert row == {"step": "", "reward": "-0.5", "ok": "True", "none": "", "bad": "nan", "text": 'a,"b"\nc \\ud800'}


def test_other_endings_are_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"must be a file name that ends in \.csv or \.jsonl$"):
        rollout_files.save([], tmp_path / "a.xlsx")


def test_an_unused_name_is_found_beside_those_that_are_there(tmp_path):
    path = tmp_path / "a.csv"
    assert rollout_files.unused(path) == path
    path.touch()
    (tmp_path / "a-2.csv").touch()
    assert rollout_files.unused(path) == tmp_path / "a-3.csv"
