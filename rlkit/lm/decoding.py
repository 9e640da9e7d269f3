"""One token at a time for many rows: with a growing cache, with a fixed one inside a CUDA graph, or without any.

A step of a large model on a GPU is hundreds of small kernels, and Python starts them one by one: more slowly than they
run. A CUDA graph starts them all at once, but needs every tensor in the same place at every step: a cache of fixed
length whose next column is written in place. Rows that ended leave the batch: soon where the cache may be copied at the
price of a step, by halves where a new graph must be recorded.
"""

import warnings

import torch
from torch.nn.functional import pad
from transformers.cache_utils import CacheLayerMixin, DynamicCache, DynamicLayer

from rlkit.lm import prefix

WARM_UP = 2  # runs before a graph is recorded: libraries allocate what they need at their first
SHORTEST = 32  # steps from which on a recording, which costs about four of them, pays
FEWEST = 32  # rows: a step of fewer is as long as reading the weights, so that dropping some saves nothing
ALIGNED = 16  # a mask of another length is copied to an aligned one in every layer


def decoder(model, call, project, prompt_ids, prompt_mask, group_size: int, steps: int):
    """(logits [P, V] after each prompt, decoder) for `group_size` rows a prompt and up to `steps` tokens behind it.

    decoder.advance(token [b], step) -> logits [b, V] of the token after; decoder.keep(stay) leaves the rows `stay` [b];
    decoder.drops(rows, left): whether dropping the finished ones of so many rows pays.
    """
    project = project or (lambda hidden: hidden)
    logits, cache = prefix.start(call, prompt_ids, prompt_mask)
    prompt = torch.arange(len(prompt_ids) * group_size, device=prompt_ids.device) // group_size
    if cache is None:
        return project(logits), Uncached(call, project, prompt_ids[prompt], prompt_mask[prompt])
    rows = prefix.select(cache, prompt)
    if pays(prompt_ids.device, steps) and fixed_will_do(model, cache):
        return project(logits), Fixed(call, project, rows, prompt_mask[prompt], steps)
    return project(logits), Growing(call, project, rows, prompt_mask[prompt], steps)


def pays(device, steps: int) -> bool:
    """True where recording a step is worth it."""
    return device.type == "cuda" and steps >= SHORTEST


def an_eighth(rows: int, left: int) -> bool:
    """Copying a cache costs about one step."""
    return rows - left >= max(1, rows / 8)


class Uncached:
    """Runs the whole text of every row again: for models whose cache cannot be shared."""

    drops = staticmethod(an_eighth)

    def __init__(self, call, project, ids, mask):
        self.call, self.project, self.ids, self.mask = call, project, ids, mask

    def keep(self, stay):
        self.ids, self.mask = self.ids[stay], self.mask[stay]

    def advance(self, token, step: int):
        self.ids = torch.cat([self.ids, token[:, None]], 1)
        seen, positions = prefix.columns(self.mask, step + 1)
        return self.project(self.call(self.ids, seen, positions, False, 1)[0][:, -1])


class Growing:
    """The model's own cache, one column longer after each step."""

    drops = staticmethod(an_eighth)

    def __init__(self, call, project, cache, prompt_mask, steps: int):
        self.call, self.project, self.cache = call, project, cache
        self.positions, self.longest = prompt_mask.sum(1, keepdim=True), prompt_mask.shape[1]
        # Needed only to hide padding.
        self.seen = None if prompt_mask.all() else pad(prompt_mask.long(), (0, steps), value=1)

    def keep(self, stay):
        self.positions = self.positions[stay]
        self.seen = None if self.seen is None else self.seen[stay]
        self.cache.reorder_cache(stay)

    def advance(self, token, step: int):
        mask = None if self.seen is None else self.seen[:, : self.longest + step + 1]
        logits, self.cache = self.call(token[:, None], mask, self.positions + step, self.cache, 1)
        return self.project(logits[:, -1])


class Slots(CacheLayerMixin):
    """Keys and values [b, heads, length, d] of fixed length; each update writes the column that `column` [1] names."""

    def __init__(self, keys, values, column):
        super().__init__()
        self.keys, self.values, self.column, self.is_initialized = keys, values, column, True

    def lazy_initialization(self, key_states, value_states):
        """Nothing is left to do."""

    def update(self, key_states, value_states, *args, **kwargs):
        self.keys.index_copy_(2, self.column, key_states)
        self.values.index_copy_(2, self.column, value_states)
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int):
        return self.keys.shape[2], 0

    def get_seq_length(self) -> int:
        return self.keys.shape[2]

    def get_max_length(self) -> int:
        return self.keys.shape[2]


def fixed_will_do(model, cache) -> bool:
    """True if the model reads nothing but keys, values and the mask that it is given."""
    attention = getattr(prefix.inner(model).config, "_attn_implementation", None)
    return attention in ("sdpa", "eager") and all(type(layer) is DynamicLayer for layer in cache.layers)


class Fixed:
    """A cache of fixed length; on CUDA the step is recorded once as a graph and replayed."""

    def __init__(self, call, project, cache, prompt_mask, steps: int):
        self.call, self.project = call, project
        self.positions, self.longest = prompt_mask.sum(1, keepdim=True), prompt_mask.shape[1]
        dtype, device = cache.layers[0].keys.dtype, prompt_mask.device
        more = steps + -(self.longest + steps) % ALIGNED  # columns behind the prompt
        self.column = torch.zeros(1, dtype=torch.long, device=device)
        # What is added to attention scores: 0 where a column may be seen, the lowest number where not. [b, 1, 1, L]
        hidden = torch.finfo(dtype).min
        self.mask = torch.full((len(prompt_mask), 1, 1, self.longest + more), hidden, dtype=dtype, device=device)
        self.mask[:, 0, 0, : self.longest].masked_fill_(prompt_mask, 0)
        self.cache = DynamicCache()
        self.cache.layers = []
        for layer in cache.layers:
            wide = (pad(tensor, (0, 0, 0, more)) for tensor in (layer.keys, layer.values))
            self.cache.layers.append(Slots(*wide, self.column))
            layer.keys = layer.values = None  # not both caches at once
        self.token = self.replay = None

    @staticmethod
    def drops(rows: int, left: int) -> bool:
        """Fewer rows need a new recording."""
        return rows > FEWEST and left <= rows / 2

    def keep(self, stay):
        self.token = self.replay = None  # it holds the old tensors
        self.positions, self.mask = self.positions[stay], self.mask[stay]
        for layer in self.cache.layers:
            layer.keys, layer.values = layer.keys[stay], layer.values[stay]

    def advance(self, token, step: int):
        fresh = self.token is None
        if fresh:
            self.token, self.position = token[:, None].clone(), self.positions + step
        self.token.copy_(token[:, None])
        self.position.copy_(self.positions + step)
        self.column.fill_(self.longest + step)
        self.mask[..., self.longest + step] = 0
        if fresh and token.device.type == "cuda":
            self.replay = recorded(self.forward)
        return self.replay() if self.replay else self.forward()

    def forward(self):
        logits, _ = self.call(self.token, self.mask, self.position, self.cache, 1)
        return self.project(logits[:, -1])


def recorded(function):
    """A function that replays the kernels of `function`() as a CUDA graph, with its result; None if that fails."""
    side, own = torch.cuda.Stream(), torch.cuda.current_stream()
    side.wait_stream(own)
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):  # each writes the same column with the same numbers
            function()
    own.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may use the card
            result = function()
    except RuntimeError as error:
        torch.cuda.set_stream(own)  # a recording that fails at its end does not put it back
        warnings.warn(f"no CUDA graph of this model, each step starts its kernels one by one: {error}", stacklevel=2)
        return None

    def run():
        graph.replay()
        return result

    return run
