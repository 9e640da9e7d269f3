"""The vocabulary of the tiny models: 256 whole words, so that a completion reads as it was sampled.

Text is words joined by single spaces. Encoding splits at white space, decoding joins with single spaces, so text of
known words survives the round trip exactly; any other word becomes `<unk>`. Id 0 is `<pad>`, 1 `<eos>`, 2 `<unk>`, then
the numbers 0 to 179, the signs and the words of every task, filled with `<unused_i>` to 256. The stored models are
trained on these ids: a word never moves; a new one comes last, where an `<unused_i>` was.
"""

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

SIZE = 256
CONTEXT = 512  # tokens that a tiny model can read
LARGEST = 179  # the largest number that is one word
PAD, END, UNKNOWN = "<pad>", "<eos>", "<unk>"

SIGNS = "+ - * / ( ) = ; , . : -> < > #".split()
SPOKEN = (
    "countdown mod knights graph "  # the first word of a prompt names the task
    "steps direct code prose answer so then x "
    "start with add subtract multiply by to get "
    "A B C D E says is are knight knave knaves and or not same if one of suppose "
    "degree distance from connected yes no none path neighbours reach"
).split()
_KNOWN = [PAD, END, UNKNOWN, *map(str, range(LARGEST + 1)), *SIGNS, *SPOKEN]
WORDS = _KNOWN + [f"<unused_{i}>" for i in range(SIZE - len(_KNOWN))]  # WORDS[i] is the word of id i


def tokenizer(words: tuple | None = None) -> PreTrainedTokenizerFast:
    """A new tokenizer over `WORDS`: no start token, padding on the left, and no tidying of spaces when it decodes.

    words: a vocabulary of its own instead. Then `<eos>` is id 0 and the padding too, words[i] is id i + 1, and there is
    nothing else: what a model can write is exactly these words. Encoding any other word raises.
    """
    listed = WORDS if words is None else [END, *words]
    unknown = {"unk_token": UNKNOWN} if words is None else {}
    core = Tokenizer(WordLevel({word: i for i, word in enumerate(listed)}, **unknown))
    core.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD if words is None else END,
        eos_token=END,
        **unknown,
        padding_side="left",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
