"""The vocabulary: ids that never move, an exact round trip, the same tokenizer after saving and loading."""

import hashlib
import subprocess
import sys

import pytest
from transformers import AutoTokenizer

from rlkit import lm
from rlkit.lm import models, vocabulary

TEXT = "countdown 2 3 5 7 -> 24 : 3 * 5 + 7 + 2"


@pytest.fixture(scope="module", params=["built", "loaded", "loaded beside a model"])
def tokenizer(request, tmp_path_factory):
    if request.param == "built":
        return vocabulary.tokenizer()
    folder = tmp_path_factory.mktemp("tokenizer")
    if request.param == "loaded":
        vocabulary.tokenizer().save_pretrained(folder)
    else:  # AutoTokenizer looks at the model's type too
        models.save(*models.fresh("xs", seed=0), folder)
    return AutoTokenizer.from_pretrained(folder)


def test_the_ids_of_the_stored_models_stay_what_they_are():
    words = vocabulary.WORDS
    assert len(words) == len(set(words)) == 256
    assert words[:5] == ["<pad>", "<eos>", "<unk>", "0", "1"]
    assert words[3 + 179] == "179"
    assert words[247:] == [f"<unused_{i}>" for i in range(9)]
    used = hashlib.sha256(" ".join(words[:247]).encode()).hexdigest()
    assert used == "f242bda70331736bc4d2abd6f94a52a99e05ed3dc31ab8e9a60d818c1baf8ef9", (
        "an entry moved: the stored models no longer mean what they say"
    )


def test_every_word_is_its_id_and_reads_back(tokenizer):
    assert len(tokenizer) == 256
    text = " ".join(vocabulary.WORDS)
    assert tokenizer(text)["input_ids"] == list(range(256))
    assert tokenizer.decode(range(256)) == text
    assert tokenizer.decode(tokenizer(TEXT)["input_ids"]) == TEXT


def test_signs_keep_their_spaces_when_decoded(tokenizer):
    # clean_up_tokenization_spaces would turn " ." into "." and " ," into ","
    text = "start with 7 . add 15 , 3 ; ( 1 ) : x # 22"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_special_tokens_are_pad_end_and_unknown_and_none_starts_a_text(tokenizer):
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (0, 1, 2)
    assert tokenizer.bos_token_id is None
    assert tokenizer("")["input_ids"] == []
    assert tokenizer.decode([3, 1, 0], skip_special_tokens=True) == "0"


def test_padding_is_on_the_left_and_masked(tokenizer):
    batch = tokenizer(["1 2 3", "4"], padding=True)
    assert batch["input_ids"] == [[4, 5, 6], [0, 0, 7]]
    assert batch["attention_mask"] == [[1, 1, 1], [0, 0, 1]]


@pytest.mark.parametrize("word", ["180", "007", "Countdown", "٣", "3\u00b2", "+-", "☃"])
def test_what_is_no_word_is_unknown(tokenizer, word):
    assert tokenizer(f"1 {word} 2")["input_ids"] == [4, 2, 5]


def test_the_package_lists_what_it_offers():
    assert lm.tasks.countdown(3).name.startswith("countdown")
    assert "score_tokens" in dir(lm)
    with pytest.raises(AttributeError, match=r"no 'countdown'; it has .*tasks"):
        lm.countdown  # noqa: B018


@pytest.mark.parametrize("missing", ["torch", "transformers"])
def test_without_torch_or_transformers_one_line_says_what_to_install(missing):
    code = f"import sys; sys.modules[{missing!r}] = None\ntry:\n import rlkit.lm\nexcept ImportError as e:\n print(e)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == f'rlkit.lm needs {missing}: pip install "rlkit-notebooks[lm]"\n'
