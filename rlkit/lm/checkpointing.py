"""Gradient checkpointing by hand: layers recompute in backward, and the cache of a shared prompt still goes through.

transformers switches the cache off under checkpointing, since a layer that is recomputed would write into it again. The
cache layers here are written once or never: a recomputed layer finds what it found before.
"""

import contextlib
from contextlib import contextmanager

import torch
from torch.utils.checkpoint import checkpoint
from transformers.cache_utils import DynamicCache, DynamicLayer
from transformers.modeling_layers import GradientCheckpointingLayer

from rlkit.lm import prefix


def switch(model, on: bool = True) -> None:
    """Turn gradient checkpointing of every layer on or off."""
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.gradient_checkpointing = on


def checkpointed(model) -> list:
    """The layers whose gradient checkpointing is on."""
    layers = (module for module in model.modules() if isinstance(module, GradientCheckpointingLayer))
    return [layer for layer in layers if layer.gradient_checkpointing]


@contextmanager
def recomputing(layers: list):
    """Layers that keep their inputs alone inside the block and recompute in backward, dropout off both times.

    The modes that a module has during backward, when the block is over, do not matter.
    """

    def by_hand(layer):
        forward = layer.forward

        def quiet(*arguments, **options):
            with prefix.dropout_off(layer):  # in eval mode transformers does not checkpoint the layer once more
                return forward(*arguments, **options)

        def run(*arguments, **options):
            return checkpoint(quiet, *arguments, use_reentrant=False, preserve_rng_state=False, **options)

        return run

    with contextlib.ExitStack() as around:
        for layer in layers:
            around.enter_context(prefix.instead(layer, by_hand(layer)))
        yield


class WrittenOnce(DynamicLayer):
    """Keeps the keys and values of the prompts when they first come by; a recomputation passes through."""

    def update(self, key_states, value_states, *args, **kwargs):
        if not self.is_initialized:
            self.keys, self.values, self.is_initialized = key_states, value_states, True
        return key_states, value_states


class ReadOnly(DynamicLayer):
    """Keys and values of prompts, for rows that each go on from one of them; what comes behind them is not kept.

    The prompt of every row is copied for the caller, inside the layer that recomputes: no copy waits for backward.
    """

    def __init__(self, keys, values, prompt):
        super().__init__()
        self.keys, self.values, self.prompt, self.is_initialized = keys, values, prompt, True

    def update(self, key_states, value_states, *args, **kwargs):
        pairs = (self.keys, key_states), (self.values, value_states)
        return tuple(torch.cat([prefix.Rows.apply(own, self.prompt), more], dim=-2) for own, more in pairs)


def prompt_cache(model):
    """An empty cache to run prompts with under `recomputing`, or None for a model whose cache is not a plain one."""
    cache = DynamicCache(config=prefix.inner(model).config)
    if not cache.layers or any(type(layer) is not DynamicLayer for layer in cache.layers):
        return None
    cache.layers = [WrittenOnce() for _ in cache.layers]
    return cache


def read_only(cache, prompt):
    """A cache of the rows' prompts `prompt` [B], which a recomputation cannot change."""
    chosen = DynamicCache()
    chosen.layers = [ReadOnly(layer.keys, layer.values, prompt) for layer in cache.layers]
    return chosen
