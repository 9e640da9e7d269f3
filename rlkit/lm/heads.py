"""The head by itself: hidden states come out of the model, and few tokens at a time become logits, in fp32.

A vocabulary of 150,000 makes the logits of 2,000 tokens 1.2 GB, several times over in a backward. And a head that
computes in bf16 rounds a logit of 20 to the nearest 0.125: sampler and scorer then disagree by that alone.
"""

from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import nn

from rlkit.lm import prefix

AT_ONCE = 2**24  # logits in memory at once: 64 MiB in fp32
HALVES = (torch.bfloat16, torch.float16)
_apart = WeakKeyDictionary()  # model -> whether its logits are its head's output, found out once


def of(model):
    """The module that makes logits, with its adapter if it has one, or None."""
    return prefix.inner(model).get_output_embeddings()


@contextmanager
def hidden_states(model):
    """Inside the block the model returns hidden states [B, T, D] where it returns logits."""
    with prefix.instead(of(model), lambda hidden: hidden):
        yield


def comes_apart(model) -> bool:
    """True if the model's logits are what its head makes of its hidden states, and nothing comes after (soft caps)."""
    if model not in _apart:
        _apart[model] = isinstance(of(model), nn.Module) and _same(model)
    return _apart[model]


def _same(model) -> bool:
    """True if what the head returns comes out as it is: tried with numbers so far apart that a soft cap would show."""
    wide = prefix.inner(model).get_input_embeddings().weight.shape[0]
    ids = torch.zeros(1, 1, dtype=torch.long, device=prefix.device(model))

    def far_apart(hidden):
        return torch.linspace(-100, 100, wide, device=hidden.device).to(hidden.dtype)[None, None]

    with torch.no_grad(), prefix.dropout_off(model), prefix.instead(of(model), far_apart):
        logits = prefix.inner(model)(input_ids=ids, use_cache=False).logits
    return torch.equal(logits, far_apart(logits))


def apart(model, tokens: int, always: bool = False) -> tuple:
    """(call, project): `prefix.forward(model)` and None, or, for many tokens or a head in 16 bits, the two apart.

    Then call returns hidden states in place of logits, and project(hidden [n, D]) takes them to logits [n, V] in fp32,
    with a gradient for hidden states and a trainable head. always: apart in any case; raises ValueError for a model
    that changes logits behind its head.
    """
    call, head = prefix.forward(model), of(model)
    weight = getattr(head, "weight", None)
    large = weight is None or tokens * weight.shape[0] > AT_ONCE
    if always and not comes_apart(model):
        raise ValueError(f"model: {type(prefix.inner(model)).__name__}'s logits must be what its head returns")
    if not (always or large or weight.dtype in HALVES) or not comes_apart(model):
        return call, None

    def hidden(*arguments):
        with hidden_states(model):
            return call(*arguments)

    def project(hidden):
        if type(head) is nn.Linear and head.bias is None and not weight.requires_grad and weight.dtype in HALVES:
            return Product.apply(hidden, weight)
        with prefix.dropout_off(head):
            return head(hidden).float()

    return hidden, project


class Product(torch.autograd.Function):
    """hidden [n, D] weight [V, D]^T in fp32 from 16-bit numbers: sums are fp32 anyway, here they are not rounded."""

    @staticmethod
    def forward(ctx, hidden, weight):
        ctx.save_for_backward(weight)
        ctx.dtype = hidden.dtype
        if hidden.device.type != "cpu":  # which has no such product
            return torch.mm(hidden.to(weight.dtype), weight.T, out_dtype=torch.float32)
        return hidden.float() @ weight.float().T

    @staticmethod
    def backward(ctx, gradient):
        (weight,) = ctx.saved_tensors
        return (gradient.to(weight.dtype) @ weight).to(ctx.dtype), None
