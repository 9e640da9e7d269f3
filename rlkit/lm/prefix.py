"""A causal language model over prompts that many rows share: each prompt runs once, its cache is repeated for its rows.

Prompts are padded on the left, so that every completion starts at the same column; the mask hides the padding and
positions count from each prompt's first token. That works for any causal model of transformers whose cache can be
repeated row by row, with adapters and quantised weights too. Others, with recurrent states for instance, run every
row's whole text again: slower, the same numbers.
"""

import inspect
import warnings
from contextlib import contextmanager
from copy import copy

import torch
from tokenizers.models import WordLevel
from torch.nn.functional import one_hot, pad
from transformers.cache_utils import CacheLayerMixin

from rlkit import checks

REPACKS = "support_avx512bf16_for_cpu"  # of a bitsandbytes layer, where it may repack


@contextmanager
def dropout_off(model):
    """The model in eval mode inside the block; each module's own mode comes back after it.

    bitsandbytes, on some CPUs, repacks 4-bit weights at the first forward in eval mode: into bf16 arithmetic, far from
    what the scorer computes, and without a gradient ever after. It is told not to.
    Raises ValueError for weights that were repacked before.
    """
    modes = [(module, module.training) for module in model.modules()]
    for module, _ in modes:
        if hasattr(module, REPACKS):
            setattr(module, REPACKS, False)
            if getattr(getattr(module.weight, "quant_state", None), "packing_format_for_cpu", False):
                raise ValueError(
                    "model: bitsandbytes repacked its 4-bit weights when it ran in eval mode: they give no gradient; "
                    "load it again, and sample and score with rlkit before anything else runs it"
                )
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def encode(tokenizer, prompts: list, device=None) -> tuple:
    """(ids [P, T], mask [P, T] bool): the prompts as they are, padded on the left.

    No chat template is applied. Special tokens are added as the tokenizer does, but no second <bos> where the text
    brings its own. Raises ValueError for a prompt without a token.
    """
    refuse_unknown(tokenizer, prompts)
    bos, rows = tokenizer.bos_token, []
    for i, prompt in enumerate(prompts):
        ids = tokenizer(prompt, add_special_tokens=not (bos and prompt.startswith(bos)))["input_ids"]
        if not ids:
            checks.fail(f"prompts[{i}]", prompt, "a text of at least one token")
        rows.append(ids)
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), padding(tokenizer))
    mask = torch.zeros(ids.shape, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, longest - len(row) :] = torch.tensor(row)
        mask[i, longest - len(row) :] = True
    return ids.to(device), mask.to(device)


def refuse_unknown(tokenizer, texts: list) -> None:
    """Raise ValueError for a word that a vocabulary of whole words without <unk> (the style models have one) lacks."""
    model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    if tokenizer.unk_token is None and isinstance(model, WordLevel):
        known = tokenizer.get_vocab()
        unknown = next((word for text in texts for word in text.split() if word not in known), None)
        if unknown is not None:
            checks.fail("word", unknown, f"one of this model's {len(known)}: {' '.join(known)}")


def padding(tokenizer) -> int:
    """The id that fills up rows; where none is declared, <eos>: masks go by length, so it never hides a sampled one."""
    return tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id


@contextmanager
def instead(module, forward):
    """The module with another forward inside the block; one that this instance had before comes back after it."""
    own = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if own is None:
            del module.forward  # that of its class shows again
        else:
            module.forward = own


def device(model):
    """Where the model takes its ids."""
    return model.get_input_embeddings().weight.device


def inner(model):
    """The model of transformers inside an adapter's, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def forward(model):
    """call(ids [B, T], mask [B, past + T] or None, positions [B, T], cache, keep) -> (logits [B, keep, V], cache).

    The model's forward with the arguments that it knows; with cache=None it makes one, with keep only the last `keep`
    positions go through the head. cache=False runs without any.
    """
    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        raise ValueError(
            "model: has a prompt-learning adapter: must be a plain model or have adapters of weights (LoRA)"
        )
    known = inspect.signature(inner(model).forward).parameters

    def call(ids, mask, positions, cache, keep: int):
        options = {"position_ids": positions} if "position_ids" in known else {}
        options |= {"logits_to_keep": keep} if "logits_to_keep" in known else {}
        options |= {"use_cache": False} if cache is False else {"use_cache": True, "past_key_values": cache}
        out = model(input_ids=ids, attention_mask=mask, **options)
        return out.logits[:, -keep:], out.get("past_key_values")

    return call


def start(call, ids, mask, cache=None) -> tuple:
    """(logits [P, V] after each prompt, cache) of left-padded prompts [P, T]; keeps the gradient.

    cache: an empty one to fill, or None for the model's own. The cache is None, and a warning says so, for a model
    whose cache cannot be repeated row by row.
    """
    full = bool(mask.all())
    logits, cache = call(ids, None if full else mask.long(), (mask.long().cumsum(1) - 1).clamp(min=0), cache, 1)
    layers = getattr(cache, "layers", None) or [cache]
    for layer in layers:
        if layer is cache or hasattr(layer, "recurrent_states") or not hasattr(layer, "reorder_cache"):
            warn_without_cache(type(layer).__name__)
            return logits[:, -1], None
    return logits[:, -1], cache


def warn_without_cache(name: str) -> None:
    """Say (once, as Python's warnings do) that prompts are not shared."""
    warnings.warn(
        f"the model's cache ({name}) cannot be shared by the rows of a prompt: every row runs its whole text again",
        stacklevel=2,
    )


def columns(prompt_mask, steps: int):
    """Mask [b, T + steps] and positions of left-padded prompts with `steps` tokens behind them."""
    seen = pad(prompt_mask.long(), (0, steps), value=1)
    return seen, (seen.cumsum(1) - 1).clamp(min=0)


def select(cache, index):
    """The rows `index` [B] of a cache, in that order and repeated as often as they stand there; the cache stays."""
    chosen = copy(cache)
    chosen.layers = [copy(layer) for layer in cache.layers]
    for layer in chosen.layers:
        plain = type(layer).reorder_cache is CacheLayerMixin.reorder_cache  # an index_select of keys and values
        if plain and torch.is_grad_enabled() and layer.get_seq_length() > 0:
            layer.keys, layer.values = (Rows.apply(x, index) for x in (layer.keys, layer.values))
        else:
            layer.reorder_cache(index)
    return chosen


class Rows(torch.autograd.Function):
    """values[index] for values [P, ...] and index [B], with a gradient by one matrix product.

    That of index_select adds the rows up one by one: a sixth of an update at prompts of 128 tokens, on a CPU.
    """

    @staticmethod
    def forward(ctx, values, index):
        ctx.save_for_backward(index)
        ctx.count = len(values)
        return values.index_select(0, index)

    @staticmethod
    def backward(ctx, gradient):
        (index,) = ctx.saved_tensors
        owner = one_hot(index, ctx.count).to(gradient.dtype)  # [B, P]
        return (owner.T @ gradient.flatten(1)).unflatten(1, gradient.shape[1:]), None
