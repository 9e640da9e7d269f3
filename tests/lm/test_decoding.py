"""The fixed cache of CUDA graphs, here without a graph: the same completions as with the cache that grows."""

import itertools

import pytest
import torch

from rlkit.lm import decoding, models
from rlkit.lm.rollouts import sample, score_tokens
from tests.rlvr import toy

PROMPTS = ["1 2 3 4 5 6 7 8 :", "9 10 :", "11 12 13 :"]


def ending(attention="sdpa"):
    """A model whose completions end at different lengths."""
    model, tokenizer = toy.ending()
    model.set_attn_implementation(attention)
    return model, tokenizer


@pytest.fixture
def fixed(monkeypatch):
    """Every sampling takes the path of a GPU, without its graph; the sizes of batches it went through are recorded."""
    sizes = []
    monkeypatch.setattr(decoding, "pays", lambda device, steps: True)
    forward = decoding.Fixed.forward
    monkeypatch.setattr(decoding.Fixed, "forward", lambda self: sizes.append(len(self.token)) or forward(self))
    return sizes


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("prompts", [PROMPTS, PROMPTS[:1]], ids=["padded", "full"])
def test_the_fixed_cache_draws_what_the_growing_one_draws(prompts, attention, fixed, monkeypatch):
    model, tokenizer = ending(attention)
    drawn = sample(model, tokenizer, prompts, 16, 24, seed=4)
    assert fixed and fixed[0] == 16 * len(prompts)
    monkeypatch.undo()
    grown = sample(model, tokenizer, prompts, 16, 24, seed=4)
    assert torch.equal(drawn.ids, grown.ids) and torch.equal(drawn.mask, grown.mask)
    assert (drawn.logp - grown.logp).abs().max() < 1e-5
    assert (drawn.logp - score_tokens(model, drawn)).abs().max() < 1e-5


def test_rows_leave_by_halves_since_each_size_is_recorded_anew(fixed):
    model, tokenizer = ending()
    sample(model, tokenizer, PROMPTS, 16, 24, seed=4)
    changes = [b / a for a, b in itertools.pairwise(fixed) if a != b]
    assert changes and max(changes) <= 0.5


def test_adapters_and_four_bit_weights_decode_alike(tmp_path, fixed, monkeypatch):
    pytest.importorskip("bitsandbytes")
    models.save(*toy.ending(), tmp_path)
    model, tokenizer = models.load(tmp_path, quantize="nf4", lora=4)
    drawn = sample(model, tokenizer, PROMPTS, 4, 12, seed=4)
    monkeypatch.undo()
    assert torch.equal(drawn.ids, sample(model, tokenizer, PROMPTS, 4, 12, seed=4).ids)


def test_a_model_with_sliding_windows_keeps_its_own_cache(fixed):
    """Its layers hide what is out of the window by themselves; one mask for all would show it to them again."""
    from transformers import AutoModelForCausalLM, MistralConfig

    config = MistralConfig(
        vocab_size=300, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, sliding_window=4, eos_token_id=1,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).eval()
    sample(model, toy.fresh()[1], PROMPTS, 2, 6, seed=0)
    assert fixed == []


def test_graphs_are_for_cuda_alone():
    assert not decoding.pays(torch.device("cpu"), 1000)
    assert decoding.pays(torch.device("cuda"), 1000) and not decoding.pays(torch.device("cuda"), 2)
