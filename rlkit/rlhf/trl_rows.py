"""Preferences as TRL's trainers get them: token ids, prompt and completion apart, as the kit samples them.

TRL would join prompt and completion as they stand and put <eos> behind each completion. The words of the kit's small
models are apart by spaces, so without a blank between them two would become one; and a completion that was cut off at
its last token never had an <eos>, so its log-probability would be another completion's. `pairs_of` does neither.
"""

from rlkit import checks
from rlkit.rlhf.preference_rollouts import FIELDS, pairs_of
from rlkit.rlvr.trl_arguments import template_mark


def texts(tokenizer, rows: list, name: str = "rows") -> list:
    """The rows with texts alone: prompt, chosen, rejected. A row is text already, or messages: a prompt [{"role":
    "user", "content": ...}], from which the tokenizer's chat template makes the text, and one assistant message each.

    Raises ValueError, in one line, for a field that is neither, for messages without a chat template, and for a text
    prompt that would skip the template.
    """
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        checks.fail(name, rows, 'a list of at least one {"prompt", "chosen", "rejected"}')
    mark, found = template_mark(tokenizer), []
    for i, row in enumerate(rows):
        places = {field: f"{name}[{i}]['{field}']" for field in FIELDS}
        own = {"prompt": _prompt(tokenizer, row.get("prompt"), mark, places["prompt"])}
        found.append(own | {field: _completion(row.get(field), places[field]) for field in FIELDS[1:]})
    return found


def _prompt(tokenizer, prompt, mark: str | None, name: str) -> str:
    if isinstance(prompt, list):
        if mark is None:
            checks.fail(name, prompt, "a text: the tokenizer has no chat template for messages")
        return tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    if not isinstance(prompt, str):
        checks.fail(name, prompt, "a text, or messages")
    if mark and mark not in prompt:
        allowed = "messages, [{'role': 'user', 'content': ...}]: a text skips the tokenizer's chat template"
        checks.fail(name, prompt, f"{allowed} unless apply_chat_template(..., add_generation_prompt=True) made it")
    return prompt


def _completion(completion, name: str) -> str:
    one = isinstance(completion, list) and len(completion) == 1 and isinstance(completion[0], dict)
    text = completion[0].get("content") if one else completion
    if not isinstance(text, str):
        checks.fail(name, completion, "a text, or one message, [{'role': 'assistant', 'content': ...}]")
    return text


def encoded(tokenizer, rows: list, max_new_tokens: int | None, *, joined: bool, longest: int | None) -> list:
    """Dictionaries prompt_ids, chosen_ids, rejected_ids, lists of ids, one for each row of `texts`.

    A completion of fewer than max_new_tokens tokens ends with <eos>, one of just as many was cut (None: all ended).
    joined: the prompt's ids stand in front of both, as RewardTrainer reads them. longest: TRL would leave out or cut
    rows with more tokens; here that raises ValueError.
    """
    data, found, most = pairs_of(tokenizer, rows, max_new_tokens), [], 0
    for i, (ids, mask) in enumerate(zip(data.prompt_ids, data.prompt_mask, strict=True)):
        prompt, ahead = ids[mask].tolist(), ids[mask].tolist() if joined else []
        pair = [data.ids[row][data.mask[row]].tolist() for row in (2 * i, 2 * i + 1)]
        found.append({"prompt_ids": prompt, "chosen_ids": ahead + pair[0], "rejected_ids": ahead + pair[1]})
        most = max(most, len(prompt) + max(map(len, pair)))
    if longest is not None and most > longest:
        checks.fail("args.max_length", longest, f"None or at least {most}: TRL would cut rows, or leave them out")
    return found
