"""What a model costs in memory, by part: counted on the model itself, foreseen before it is loaded or trained.

GB are 10^9 bytes. A part of training: frozen weights; trainable weights, their gradient (as large) and AdamW's two
moments (twice as large); what a forward keeps for the backward (activations); keys and values of the sampler (cache).
"""

import gc
from typing import NamedTuple

import psutil
import torch
from torch import nn

from rlkit import html
from rlkit.html import size

NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)  # a weight: 4 bits, an 8-bit scale for 64, an fp32 scale for 256 of those
SPARE = 0.9  # share of the free memory that a plan may fill: the rest is for workspaces and fragments


class Memory(NamedTuple):
    """Bytes by part: weights (frozen, 4-bit scales included), trainable, gradient, optimizer. `total` adds them up."""

    weights: int
    trainable: int
    gradient: int
    optimizer: int

    @property
    def total(self) -> int:
        return sum(self)

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} {size(value)}" for name, value in self._asdict().items())
        return f"Memory({parts}; total {size(self.total)})"

    def _repr_html_(self) -> str:
        rows = [(name, size(value)) for name, value in [*self._asdict().items(), ("total", self.total)]]
        return html.table(("part", "memory"), rows, caption="Memory of the model and of AdamW")


def memory(model) -> Memory:
    """What the model occupies now, and what training it with AdamW adds at once: gradient and two moments."""
    frozen = trained = 0
    for p in model.parameters():  # tied weights come once
        stored = p.numel() * p.element_size() + sum(t.nbytes for t in _scales(getattr(p, "quant_state", None)))
        trained, frozen = (trained + stored, frozen) if p.requires_grad else (trained, frozen + stored)
    frozen += sum(buffer.nbytes for buffer in model.buffers())
    return Memory(frozen, trained, trained, 2 * trained)


def _scales(state) -> list:
    """The tensors of a bitsandbytes quantisation state."""
    if state is None:
        return []
    own = [t for t in (state.absmax, state.code, state.offset) if isinstance(t, torch.Tensor)]
    return own + (_scales(state.state2) if getattr(state, "nested", False) else [])


def free(device) -> int:
    """Bytes that can be taken on a device now: of the card, with what torch holds unused; of the machine for a CPU."""
    device = torch.device(device)
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    return psutil.virtual_memory().available


def used(device) -> int:
    """Bytes in use: what torch's tensors occupy on a card, what this process occupies in the machine's memory."""
    device = torch.device(device)
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else psutil.Process().memory_info().rss


def expected(config, dtype, four_bits: bool, rank: int) -> Memory:
    """The Memory of a model that is not loaded, from its configuration; rank: of LoRA on all linear layers, or 0.

    The model is built without storage, so that its shapes are those of the real one.
    """
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    head = model.get_output_embeddings()
    linear = [m for m in model.modules() if isinstance(m, nn.Linear) and m is not head]
    inside = sum(m.weight.numel() for m in linear)
    count, width = sum(p.numel() for p in model.parameters()), torch.finfo(dtype).bits // 8
    weights = count * width - (inside * (width - NF4_BYTES) if four_bits else 0)
    adapter = 4 * rank * sum(m.in_features + m.out_features for m in linear)
    trained = adapter if rank else 0
    return Memory(round(weights), trained, trained, 2 * trained)


def refuse_too_large(config, name, dtype, device, quantization, rank: int) -> None:
    """Raise MemoryError, before weights are read, if the model does not fit on the device; says what would."""
    if device.type == "meta":
        return
    needs, here = expected(config, dtype, quantization is not None, rank), free(device)
    if needs.total > here:
        gc.collect()  # a model that nobody names any more may still be held by a cycle
        here = free(device)
    if needs.total <= here:
        return
    cures = []
    if not quantization:
        small = expected(config, dtype, True, rank).total
        cures.append(f"quantize='nf4' needs {size(small)}" + (" (too much as well)" if small > here else ""))
    if rank:
        cures.append(f"lora={max(rank // 4, 1)} saves {size(4 * needs.trainable * (1 - max(rank // 4, 1) / rank))}")
    if device.type == "cuda" and dtype == torch.float32:
        cures.append("a 16-bit dtype halves its weights")
    raise MemoryError(
        f"{name}: needs {size(needs.total)} on {device} (weights {size(needs.weights)}, training them or an adapter "
        f"{size(needs.total - needs.weights)}), {size(here)} are free: {size(needs.total - here)} are missing; "
        + "; ".join([*cures, "or take a smaller model"])
    )
