"""How many rows go through a model together: what a forward would keep for the backward is measured, not kept."""

from typing import NamedTuple

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from rlkit import checks, html
from rlkit.lm import checkpointing, footprint, heads, prefix
from rlkit.lm.footprint import Memory, size
from rlkit.lm.rollouts import Rollouts, score_tokens

LOGITS = 5  # tensors as large as a chunk of logits that live at once while it is recomputed


class Plan(NamedTuple):
    """What a training step is going to need, in bytes but for the first two.

    micro_batch: rows through the model at once. checkpointing: whether layers must recompute in backward.
    memory: of model and AdamW. activations: of one micro-batch. cache: what sampling a step's rows takes, their keys
    and values first of all. free: what can be taken on the device, the gradient and moments not yet taken included.
    """

    micro_batch: int
    checkpointing: bool
    memory: Memory
    activations: int
    cache: int
    free: int

    @property
    def peak(self) -> int:
        """The model with AdamW, and the larger of activations and cache: the two never stand in memory together."""
        return self.memory.total + max(self.activations, self.cache)

    def __repr__(self) -> str:
        how = f"{self.micro_batch} rows at once{', layers recomputed in backward' if self.checkpointing else ''}"
        parts = f"{self.memory}, activations {size(self.activations)}, cache {size(self.cache)}"
        return f"Plan({how}; peak {size(self.peak)}: {parts})"

    def _repr_html_(self) -> str:
        parts = self.memory._asdict() | {"activations": self.activations, "cache": self.cache}
        rows = [*((name, size(value)) for name, value in parts.items()), ("peak", size(self.peak))]
        how = " (layers recomputed in backward)" if self.checkpointing else ""
        return html.table(("part", "memory"), rows, caption=f"A step of {self.micro_batch} rows at once{how}")


def plan(
    model, *, prompts: int, group_size: int, prompt_tokens: int, completion_tokens: int, free: float | None = None
) -> Plan:
    """The largest micro-batch that fits, without gradient checkpointing if a whole group fits, else with it.

    A step samples prompts * group_size rows, each of prompt_tokens and completion_tokens at most. What a forward keeps
    is measured on one and on two rows and grows in a line. free: bytes to plan for; None: what is free on the model's
    device, less a tenth. Nothing is changed: pass micro_batch to `rlvr.train`, and where plan.checkpointing is True
    call `lm.checkpointing.switch(model)`. Raises MemoryError, with what is missing and what to change, if not even one
    row fits.
    """
    group_size = checks.positive_int("group_size", group_size)
    rows = checks.positive_int("prompts", prompts) * group_size
    lengths = (
        checks.positive_int("prompt_tokens", prompt_tokens),
        checks.positive_int("completion_tokens", completion_tokens),
    )
    device, memory = prefix.device(model), footprint.memory(model)
    free = footprint.SPARE * footprint.free(device) if free is None else checks.positive("free", free)
    room = free - memory.gradient - memory.optimizer
    cache = rows * row_bytes(model, *lengths)
    if cache > room:
        _refuse(cache - room, "the sampler's cache", f"fewer than {rows} rows a step, or shorter completions")
    was_on = checkpointing.checkpointed(model)
    try:
        checkpointing.switch(model, False)
        plain = _line(model, *lengths)
        checkpointing.switch(model, True)
        layers = checkpointing.checkpointed(model)
        kept = _line(model, *lengths)
    finally:
        checkpointing.switch(model, False)
        for layer in was_on:
            layer.gradient_checkpointing = True
    chunk = _chunk(model, rows, lengths[1])

    def needs(count: int, recompute: bool) -> float:
        """Bytes of a micro-batch; a layer that recomputes and a chunk of logits are never there together."""
        groups = -(-count // group_size)  # each runs its prompt once
        whole = plain[0] * groups + plain[1] * count
        if not recompute:
            return whole + chunk
        return kept[0] * groups + kept[1] * count + max(chunk, whole / max(len(layers), 1))

    for recompute in (False, True):
        most = max((n for n in range(1, rows + 1) if needs(n, recompute) <= room), default=0)
        if most >= (1 if recompute else min(rows, group_size)):
            count = most if most < group_size else most // group_size * group_size
            return Plan(count, recompute, memory, round(needs(count, recompute)), round(cache), round(free))
    cure = "shorter completions or prompts, a smaller LoRA rank, or a smaller model"
    _refuse(needs(1, True) - room, "one row of a training step", cure)


def _refuse(missing: float, what: str, cure: str):
    raise MemoryError(f"{what} does not fit: {size(missing)} are missing; change: {cure}")


def row_bytes(model, prompt_tokens: int, completion_tokens: int) -> int:
    """Bytes that sampling one row takes: its keys and values, and the logits of its next token."""
    return (prompt_tokens + completion_tokens) * cache_bytes(model) + 4 * len(model.get_input_embeddings().weight)


def rows_at_once(model, prompt_tokens: int, completion_tokens: int, most: int = 1024) -> int:
    """How many rows can be sampled at once: `most`, or the power of two below what is free on the model's device."""
    room = footprint.SPARE * footprint.free(prefix.device(model))
    fits = int(room // row_bytes(model, prompt_tokens, completion_tokens))
    return most if fits >= most else 2 ** max(fits.bit_length() - 1, 0)


def cache_bytes(model) -> int:
    """Bytes of keys and values for one token of one row; 0 for a model whose cache cannot be shared."""
    ids = torch.zeros(1, 2, dtype=torch.long, device=prefix.device(model))
    with torch.no_grad(), prefix.dropout_off(model):
        _, cache = prefix.start(prefix.forward(model), ids, torch.ones_like(ids).bool())
    return 0 if cache is None else sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers) // 2


def _line(model, prompt_tokens: int, completion_tokens: int) -> tuple:
    """(base, each): a forward of n rows of one prompt keeps base + each * n bytes."""
    one, two = (activations(model, n, prompt_tokens, completion_tokens) for n in (1, 2))
    each = max(two - one, 1)
    return max(one - each, 0), each


def _chunk(model, rows: int, completion_tokens: int) -> int:
    """Bytes of the logits that a head taken apart has in memory at once; 0 where all logits are kept, and counted."""
    if heads.apart(model, 2 * completion_tokens)[1] is None:
        return 0
    every = rows * completion_tokens * len(model.get_output_embeddings().weight)
    return LOGITS * 4 * min(heads.AT_ONCE, every)


def activations(model, rows: int, prompt_tokens: int, completion_tokens: int) -> int:
    """Bytes that a forward of `rows` completions of one prompt keeps for its backward, parameters not counted.

    The forward runs, but nothing is kept: autograd hands over each tensor that it would save, and it is only counted,
    once for each piece of storage.
    """
    device, seen, total = prefix.device(model), {}, 0
    own = {StorageWeakRef(t.untyped_storage()).cdata for t in [*model.parameters(), *model.buffers()]}

    def count(tensor):
        nonlocal total
        reference = StorageWeakRef(tensor.untyped_storage())  # holds the address, not the memory
        if reference.cdata not in own and reference.cdata not in seen:
            seen[reference.cdata] = reference
            total += tensor.untyped_storage().nbytes()

    def never(_):
        raise RuntimeError("this forward was only counted: it has no backward")

    ids = torch.zeros(rows, completion_tokens, dtype=torch.long, device=device)
    prompt = torch.zeros(1, prompt_tokens, dtype=torch.long, device=device)
    full = torch.ones_like(ids).bool()
    fake = Rollouts(
        [""], rows, prompt, torch.ones_like(prompt).bool(), ids, full, full.float(), [""] * rows, [], 1.0, 1.0, 0
    )
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, never):
        score_tokens(model, fake, entropy=True)
    return total
