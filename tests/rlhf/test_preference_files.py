"""Preference files: each form there and back, TRL reading them, and everything that is wrong named by its line."""

import json
import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest

from rlkit.rlhf.preference_files import FORMS, as_trl, read_preferences, write_preferences
from rlkit.rlhf.preference_rows import apart

ROWS = [
    {"prompt": "moon sings", "chosen": "the moon sings softly", "rejected": "cat cat cat"},
    {"prompt": "sea sleeps", "chosen": "sea", "rejected": "old old sea", "id": "b", "annotator": "me", "seconds": 1.5},
    {"prompt": "cat", "chosen": "the cat", "rejected": "a dog", "id": 3, "left": "rejected", "again": True},
    {"prompt": "cat", "chosen": "the cat", "rejected": "no", "margin": 2.0, "problem": "cat", "info": {"mood": [1]}},
]
BLANK = [row | {side: f" {row[side]}" for side in ("chosen", "rejected")} for row in ROWS]
CHAT = [
    {
        "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"question {i}"}],
        "chosen": [{"role": "assistant", "content": f"yes {i}"}],
        "rejected": [{"role": "assistant", "content": f"yes {i}, and more"}],
    }
    for i in range(2)
]
HOSTILE = ["<script>x</script>", "\ud800 half", "a\x00\x1b[31m", "\u202eleft\u2028\u0085", '"}\n{"prompt": "', "=1+1"]


def put(tmp_path, *lines):
    """A file of these lines: dictionaries become JSON, bytes stay."""
    content = b"".join(x if isinstance(x, bytes) else json.dumps(x).encode() + b"\n" for x in lines)
    (tmp_path / "p.jsonl").write_bytes(content)
    return tmp_path / "p.jsonl"


def pair(chosen="a", rejected="b", prompt="p", **further):
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected} | further


# ---- there and back


def test_texts_come_back_with_the_blank_that_trl_needs(tmp_path):
    file = write_preferences(tmp_path / "new" / "p.jsonl", ROWS)
    assert read_preferences(file) == BLANK
    assert read_preferences(write_preferences(file, BLANK)) == BLANK
    assert sorted(p.name for p in file.parent.iterdir()) == ["p.jsonl"]


@pytest.mark.parametrize(
    ("prompt", "chosen"), [("p ", "a"), ("p\n", "a"), ("", "a")], ids=["blank", "line end", "no prompt"]
)
def test_no_blank_is_put_where_none_is_missing(tmp_path, prompt, chosen):
    assert as_trl([pair(chosen, prompt=prompt)]) == [pair(chosen, prompt=prompt)]


def test_messages_come_back_exactly_explicit_or_implicit(tmp_path):
    for form in FORMS:
        assert read_preferences(write_preferences(tmp_path / "p.jsonl", CHAT, form)) == CHAT
    line = json.loads((tmp_path / "p.jsonl").read_text().splitlines()[0])
    assert set(line) == {"chosen", "rejected"} and len(line["chosen"]) == 3


def test_texts_become_messages_of_user_and_assistant():
    assert as_trl(ROWS[1:2], "conversational") == [
        {
            "prompt": [{"role": "user", "content": "sea sleeps"}],
            "chosen": [{"role": "assistant", "content": "sea"}],
            "rejected": [{"role": "assistant", "content": "old old sea"}],
        }
        | {"id": "b", "annotator": "me", "seconds": 1.5}
    ]


def test_an_implicit_prompt_comes_back_unless_the_completions_begin_alike(tmp_path):
    file = write_preferences(tmp_path / "p.jsonl", ROWS, "implicit")
    assert json.loads(file.read_text().splitlines()[0])["rejected"] == "moon sings cat cat cat"
    assert read_preferences(file) == BLANK
    with pytest.raises(ValueError, match="row 1: chosen and rejected begin alike"):
        as_trl([ROWS[0], pair("the cat", "the sea")], "implicit")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_back_as_it_was(tmp_path, text):
    rows = [pair(" " + text, " b", "p", annotator=text, info={text: [text]})]
    assert read_preferences(write_preferences(tmp_path / "p.jsonl", rows)) == rows


def test_relative_paths_start_at_the_repository(tmp_path, monkeypatch):
    monkeypatch.setattr("rlkit.paths.home", lambda: tmp_path)
    write_preferences("runs/p.jsonl", ROWS)
    assert (tmp_path / "runs" / "p.jsonl").is_file() and len(read_preferences("runs/p.jsonl")) == 4


# ---- what is wrong, by line

WRONG = {
    "not JSON": b"{'prompt': 1}\n",
    "not UTF-8 (invalid start byte at byte 1)": b'"\xff"\n',
    "[1, 2] is no object": [1, 2],
    "it has no rejected": {"prompt": "p", "chosen": "a"},
    "it has no chosen and no rejected": {},
    "chosen must be text, or messages": pair(3),
    "rejected must be text, or messages": pair(rejected=[{"role": "user"}]),
    "prompt must be text, or messages": pair(prompt=["p"]),
    "must be all text or all messages": pair(prompt=[{"role": "user", "content": "p"}]),
    "chosen is empty": pair(" \n"),
    "rejected is empty": pair(rejected=""),
    "chosen and rejected are equal": pair("b ", "b"),
    "there is no prompt": {"chosen": "a", "rejected": "b"},
    "seconds must be a finite number": pair(seconds="3"),
    "margin must be a finite number": pair(margin=float("nan")),
    "id must be text or an integer": pair(id=[1]),
    "left must be 'chosen' or 'rejected'": pair(left=["chosen"]),
    "info must be a dictionary": pair(info="x"),
    "again must be true or false": pair(again=1),
    "messages, but line 1 is text": CHAT[0],
}


@pytest.mark.parametrize("told", WRONG)
def test_a_line_that_cannot_be_used_is_named_and_the_others_are_usable(tmp_path, told):
    good = pair("first", "last")
    file = put(tmp_path, good, WRONG[told], b"\n", good)
    with pytest.raises(ValueError, match=r"2 rows can be used: skip_bad=True returns them and warns\n  line 2: ") as e:
        read_preferences(file)
    assert told in str(e.value) and str(e.value).count("\n") == 1
    with pytest.warns(UserWarning, match="left out\n  line 2: ") as warned:
        assert read_preferences(file, skip_bad=True) == [good, good]
    assert told in str(warned[0].message) and warned[0].filename == __file__


def test_all_is_told_at_once_with_equal_things_in_one_line(tmp_path):
    lines = [pair("", "b"), pair("", "c"), pair(id=7), pair("x", "y", id=7), pair("b", "a"), pair("", "d"), b'{"pro']
    file = put(tmp_path, *lines)
    with pytest.raises(ValueError) as e:
        read_preferences(file)
    assert str(e.value).split("\n")[1:] == [
        "  lines 1-2, 6: chosen is empty",
        "  line 4: id 7 is that of line 3 already",
        "  line 5: the opposite of line 3, which prefers the other completion",
        "  line 7: not JSON (Unterminated string starting at: line 1 column 2 (char 1)) (torn: the file ends here)",
    ]


def test_both_ways_of_a_contradiction_are_data(tmp_path):
    lines = [pair(), pair("b ", " a"), pair("b", "a", "another prompt"), pair()]
    file = put(tmp_path, *lines)
    with pytest.raises(ValueError, match=r"line 2: the opposite of line 1.*\n.*line 4: the opposite of line 2"):
        read_preferences(file)
    with pytest.warns(UserWarning, match="kept, but to be known\n  line 2"):
        assert read_preferences(file, skip_bad=True) == lines


def test_the_same_judgement_twice_is_nothing_to_report(tmp_path):
    assert read_preferences(put(tmp_path, pair(id=1), pair(id=2))) == [pair(id=1), pair(id=2)]


def test_an_unknown_field_is_named_and_left_out(tmp_path):
    file = put(tmp_path, pair(anotator="me", id=1), pair("c", anotator="me"))
    with pytest.raises(ValueError, match="lines 1-2: unknown field 'anotator': its place is in info"):
        read_preferences(file)
    with pytest.warns(UserWarning, match="kept"):
        assert read_preferences(file, skip_bad=True) == [pair(id=1), pair("c")]


def test_a_null_is_an_absent_column(tmp_path):
    file = put(tmp_path, pair(id=None, info=None), {"prompt": None, "chosen": "p a", "rejected": "p b"})
    assert read_preferences(file) == [pair(), pair(" a", " b")]


def test_every_cut_of_the_last_line_loses_that_line_alone(tmp_path):
    whole = put(tmp_path, *ROWS[:2]).read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first + 1, len(whole) - 1):
        file = put(tmp_path, whole[:end])
        with pytest.warns(UserWarning, match="line 2: not JSON .*torn"):
            assert read_preferences(file, skip_bad=True) == ROWS[:1]
    assert read_preferences(put(tmp_path, whole[:-1])) == ROWS[:2]  # whole, without its line end


def test_a_deeply_nested_line_is_no_crash(tmp_path):
    with pytest.raises(ValueError, match="line 1: not JSON"):
        read_preferences(put(tmp_path, b"[" * 200_000 + b"\n"))


def test_nothing_and_no_file(tmp_path):
    assert read_preferences(put(tmp_path)) == []
    with pytest.raises(FileNotFoundError):
        read_preferences(tmp_path / "none.jsonl")


def test_what_cannot_be_read_is_not_written(tmp_path):
    write_preferences(tmp_path / "p.jsonl", ROWS)
    with pytest.raises(ValueError, match="cannot be written\n  row 1: chosen is empty\n  row 2: unknown field 'x'"):
        write_preferences(tmp_path / "p.jsonl", [pair(), pair(""), pair("c", x=1)])
    with pytest.raises(ValueError, match="row 1: id 1 is that of row 0 already"):
        as_trl([pair(id=1), pair("c", id=1)])
    with pytest.raises(ValueError, match="form='text': must be one of 'explicit'"):
        as_trl([], "text")
    assert read_preferences(tmp_path / "p.jsonl") == BLANK
    assert len(as_trl([pair(), pair("b", "a")])) == 2  # noise is written


def test_it_is_quick_on_many_lines(tmp_path):
    file = put(tmp_path, *(pair(f"a {i}", f"b {i}", id=i) for i in range(20_000)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_preferences(file)) == 20_000


def test_no_torch_no_transformers_no_datasets_is_imported():
    code = (
        "import sys, rlkit.rlhf.preference_files; print({'torch', 'transformers', 'datasets', 'trl'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


# ---- TRL's own reading


@pytest.mark.slow
def test_the_prompt_ends_where_trl_ends_it():
    extract = pytest.importorskip("trl.data_utils").extract_prompt
    texts = [("the sky is blue", "the sky is green"), ("the cat", "the cats"), ("ab cd", "ab"), ("ab c d", "ab c e")]
    both = texts + [(c["prompt"] + c["chosen"], c["prompt"] + c["rejected"]) for c in CHAT]
    both += [(x["chosen"], x["rejected"]) for x in as_trl(ROWS, "implicit")]
    for chosen, rejected in both:
        theirs = extract({"chosen": chosen, "rejected": rejected})
        assert apart(chosen, rejected) == (theirs["prompt"], theirs["chosen"], theirs["rejected"])


@pytest.mark.slow
def test_datasets_and_trl_read_what_is_written(tmp_path):
    """`datasets` loads each form, and TRL's DPO trainer cuts it into the words of prompt, chosen and rejected."""
    datasets = pytest.importorskip("datasets")
    dpo = pytest.importorskip("trl.trainer.dpo_trainer")
    reward = pytest.importorskip("trl.trainer.reward_trainer")
    from rlkit.lm import vocabulary

    tokenizer = vocabulary.tokenizer(tuple("moon sings the softly cat sea sleeps old a dog no".split()))
    trainer = SimpleNamespace(_tokenizer=tokenizer)
    settings = SimpleNamespace(dataset_num_proc=None, max_length=64, truncation_mode="keep_start")

    def loaded(form):
        file = write_preferences(tmp_path / f"{form}.jsonl", ROWS[:3], form)
        return datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))

    for form in ("explicit", "implicit"):
        table = loaded(form)
        assert table.column_names[-5:] == ["id", "annotator", "seconds", "left", "again"] and table[0]["id"] is None
        cut = dpo.DPOTrainer._prepare_dataset(trainer, table, tokenizer, settings, "train")
        words = [[tokenizer.decode(row[f"{name}_ids"]) for name in ("prompt", "chosen", "rejected")] for row in cut]
        assert words == [[r["prompt"], r["chosen"] + " <eos>", r["rejected"] + " <eos>"] for r in ROWS[:3]]
        cut = reward.RewardTrainer._prepare_dataset(trainer, table, tokenizer, settings, "train")
        assert [tokenizer.decode(r["chosen_ids"]) for r in cut] == [
            f"{r['prompt']} {r['chosen']} <eos>" for r in ROWS[:3]
        ]
    chat = loaded("conversational")
    assert chat[0]["chosen"] == [{"role": "assistant", "content": "the moon sings softly"}]
    assert chat[2]["left"] == "rejected" and chat[2]["again"] is True and chat[0]["again"] is None
