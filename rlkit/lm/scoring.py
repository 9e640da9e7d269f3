"""The log-probability of every sampled token under a model, with its gradient; each prompt runs once for its rows."""

import torch
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

from rlkit import checks
from rlkit.lm import checkpointing, heads, prefix

SPLIT_AT = 256  # tokens of padding that one more pass through the model is worth


def score_tokens(
    model,
    rollouts,
    rows=None,
    *,
    temperature: float | None = None,
    entropy: bool = False,
    entropy_gradient: bool = True,
    hidden: bool = False,
):
    """log pi(token | all before it) at each sampled token: [B', T] fp32 in nats, 0 where rollouts.mask is False.

    pi is softmax(logits / temperature) with dropout off, the distribution that `sample` recorded: by default at the
    rollouts' temperature. Differentiable: the unique prompts of the rows run once with a cache that keeps its gradient,
    the cache is repeated, and only completions run per row, longest first in passes of similar length.

    rows: indices [B'] into the rollouts, in any order; None for all. entropy=True returns (logp, entropy [B', T]) with
    entropy -sum_v pi(v) log pi(v) over the whole vocabulary, 0 where mask is False. It is differentiable too, unless
    entropy_gradient=False: then a backward keeps nothing for it. hidden=True appends what the head read before each
    token, [B', T, D], also 0 where mask is False, for a head of one's own.
    With gradient checkpointing on (model.gradient_checkpointing_enable()), layers keep their inputs alone and recompute
    in backward; prompts are shared all the same. A model whose cache cannot be repeated runs every row in full.
    A large vocabulary is taken a few tokens at a time, so that the logits of all never stand in memory together.
    Raises ValueError for rollouts at top_p below 1 or temperature 0 unless a temperature is given: their recorded
    numbers are not those of a softmax. And with hidden=True for a model that changes logits behind its head.
    """
    if temperature is None and (rollouts.top_p < 1 or rollouts.temperature == 0):
        name = "top_p" if rollouts.top_p < 1 else "temperature"
        checks.fail(
            f"rollouts.{name}", getattr(rollouts, name), "sampled from a softmax, or give a temperature to score at"
        )
    temperature = checks.positive("temperature", rollouts.temperature if temperature is None else temperature)
    mask = rollouts.mask
    rows = _indices(rows, len(mask)).to(mask.device)
    lengths, order = mask[rows].sum(1).sort(descending=True, stable=True)
    prompts, prompt = (rows // rollouts.group_size).unique(return_inverse=True)  # each prompt of the rows once
    used = rollouts.prompt_mask[prompts].any(0)
    prompt_ids, prompt_mask = (x[prompts][:, used] for x in (rollouts.prompt_ids, rollouts.prompt_mask))
    layers = checkpointing.checkpointed(model) if torch.is_grad_enabled() else []
    # With project, "logits" are hidden states until then.
    call, project = heads.apart(model, len(rows) * mask.shape[1], always=hidden)
    values = []
    with prefix.dropout_off(model), checkpointing.recomputing(layers):
        logits = _shared(model, call, prompt_ids, prompt_mask, bool(layers))
        for begin, end in _passes(lengths.tolist()):
            part = order[begin:end]
            ids = rollouts.ids[rows[part], : int(lengths[begin])]
            given, read = (temperature, entropy, entropy_gradient, project), logits(prompt[part], ids)
            values.append(_log_probabilities(read, ids, *given) + ([read] if hidden else []))
    back = order.argsort()
    result = []
    for value in zip(*values, strict=True):
        deeper = value[0].dim() - 2  # 1 for hidden states; pad counts dimensions from the last one
        value = torch.cat([pad(part, (*(0, 0) * deeper, 0, mask.shape[1] - part.shape[1])) for part in value])
        result.append(value[back].masked_fill(~mask[rows][(..., *(None,) * deeper)], 0.0))
    return tuple(result) if len(result) > 1 else result[0]


def _shared(model, call, prompt_ids, prompt_mask, recompute: bool):
    """logits(prompt [b], ids [b, t]) -> [b, t, V] of completions of prompts that run here, once.

    recompute: layers recompute in backward, so the cache must be one that they cannot change.
    """
    cache = None
    if recompute and (cache := checkpointing.prompt_cache(model)) is None:
        prefix.warn_without_cache(type(prefix.inner(model)).__name__)
        return _plain(call, prompt_ids, prompt_mask)
    first, cache = prefix.start(call, prompt_ids, prompt_mask, cache)
    if cache is None:
        return _plain(call, prompt_ids, prompt_mask)
    full, lengths = bool(prompt_mask.all()), prompt_mask.sum(1)

    def logits(prompt, ids):
        start, steps = first[prompt][:, None], ids.shape[1] - 1  # the last token predicts nothing
        if steps == 0:
            return start
        seen = None if full else pad(prompt_mask[prompt].long(), (0, steps), value=1)
        positions = lengths[prompt, None] + torch.arange(steps, device=ids.device)
        own = (checkpointing.read_only if recompute else prefix.select)(cache, prompt)
        rest, _ = call(ids[:, :-1], seen, positions, own, steps)
        return torch.cat([start, rest], 1)

    return logits


def _plain(call, prompt_ids, prompt_mask):
    """As `_shared`, by a forward of prompt and completion for every row, without a cache."""

    def logits(prompt, ids):
        steps = ids.shape[1] - 1
        seen, positions = prefix.columns(prompt_mask[prompt], steps)
        return call(torch.cat([prompt_ids[prompt], ids[:, :-1]], 1), seen, positions, False, steps + 1)[0]

    return logits


def _indices(rows, count: int) -> torch.Tensor:
    index = torch.arange(count) if rows is None else torch.as_tensor(rows)
    if index.dim() != 1 or not len(index) or index.is_floating_point() or index.dtype == torch.bool:
        checks.fail("rows", rows, "a non-empty list of row numbers")
    if not 0 <= int(index.min()) <= int(index.max()) < count:
        checks.fail("rows", rows, f"numbers from 0 to {count - 1}")
    return index.long()


def _passes(lengths: list, begin: int = 0) -> list:
    """(begin, end) of passes over descending lengths, cut while a cut saves more than SPLIT_AT tokens of padding."""
    saved = [(len(lengths) - i) * (lengths[0] - length) for i, length in enumerate(lengths)]
    cut = max(range(len(lengths)), key=saved.__getitem__)
    if saved[cut] <= SPLIT_AT:
        return [(begin, begin + len(lengths))]
    return _passes(lengths[:cut], begin) + _passes(lengths[cut:], begin + cut)


def _log_probabilities(logits, ids, temperature: float, entropy: bool, differentiable: bool, project=None) -> list:
    """[logp [b, t]] or [logp, entropy [b, t]] of logits [b, t, V], or of hidden states [b, t, D] that project takes to
    logits, a few tokens at a time; those are recomputed in backward."""
    if project is None:
        return _of_logits(logits, ids, temperature, entropy, differentiable)

    def some(hidden, ids):
        return _of_logits(project(hidden), ids, temperature, entropy, differentiable)

    hidden, tokens, values = logits.flatten(0, 1), ids.flatten(), []
    with torch.no_grad():
        size = max(heads.AT_ONCE // project(hidden[:1]).shape[-1], 1)
    for begin in range(0, len(tokens), size):
        part = hidden[begin : begin + size], tokens[begin : begin + size]
        kept = torch.is_grad_enabled() and hidden.requires_grad
        values.append(checkpoint(some, *part, use_reentrant=False, preserve_rng_state=False) if kept else some(*part))
    return [torch.cat(value).view_as(ids) for value in zip(*values, strict=True)]


def _of_logits(logits, ids, temperature: float, entropy: bool, differentiable: bool) -> list:
    """[logp] or [logp, entropy], shaped like ids [...], of logits [..., V]."""
    logits = logits.float()
    if temperature != 1:
        logits = logits / temperature
    total = logits.logsumexp(-1)
    logp = logits.gather(-1, ids[..., None])[..., 0] - total
    if not entropy:
        return [logp]
    # What a recomputed part saves for an output that no loss uses stays until the whole backward is over.
    with torch.set_grad_enabled(differentiable and torch.is_grad_enabled()):
        return [logp, total - (logits.softmax(-1) * logits).sum(-1)]
