"""The fixed cache of CUDA graphs, here without a graph: the same completions as with the cache that grows."""

import itertools

import pytest
import torch
from peft import get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config
from transformers.cache_utils import DynamicCache, DynamicLayer

from rlkit.lm import adapters, decoding, heads, models
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


def test_rows_leave_by_halves_and_not_below_what_a_step_costs_anyway(fixed):
    model, tokenizer = ending()
    sample(model, tokenizer, PROMPTS, 64, 24, seed=4)
    changes = [b / a for a, b in itertools.pairwise(fixed) if a != b]
    assert changes and max(changes) <= 0.5
    assert min(fixed[:-1]) > decoding.FEWEST / 2 and not decoding.Fixed.drops(decoding.FEWEST, 1)


def test_the_cache_is_gone_when_sampling_is_over(fixed, monkeypatch):
    """A reference cycle would hold it until the garbage collector comes by: on a card that is gigabytes."""
    import gc
    import weakref

    made = []
    init = decoding.Fixed.__init__
    monkeypatch.setattr(
        decoding.Fixed, "__init__", lambda self, *a: (init(self, *a), made.append(weakref.ref(self)))[0]
    )
    gc.disable()
    try:
        sample(*ending(), PROMPTS, 4, 8, seed=4)
        assert made and made[0]() is None
    finally:
        gc.enable()


def test_adapters_and_four_bit_weights_decode_alike(tmp_path, fixed, monkeypatch):
    pytest.importorskip("bitsandbytes")
    models.save(*toy.ending(), tmp_path)
    model, tokenizer = models.load(tmp_path, quantize="nf4", lora=4)
    drawn = sample(model, tokenizer, PROMPTS, 4, 12, seed=4)
    monkeypatch.undo()
    assert torch.equal(drawn.ids, sample(model, tokenizer, PROMPTS, 4, 12, seed=4).ids)


def test_a_model_with_sliding_windows_keeps_its_own_cache(fixed):
    """Its layers hide what is out of the window by themselves; one mask for all would show it to them again."""
    config = MistralConfig(
        vocab_size=300, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, sliding_window=4, eos_token_id=1,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).eval()
    sample(model, toy.fresh()[1], PROMPTS, 2, 6, seed=0)
    assert fixed == []


class Operations(TorchDispatchMode):
    """Every operation inside, with the devices of what it returns."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        parts = out if isinstance(out, tuple | list) else [out]
        self.seen.append((str(function), {p.device.type for p in parts if isinstance(p, torch.Tensor)}))
        return out


def graph_breakers(function) -> list:
    """Operations that a CUDA graph cannot record: those that hand a number to Python or make a tensor on the host.

    On the meta device there are no numbers, so that a function which looks at one raises.
    """
    with Operations() as operations, torch.no_grad():
        function()
    assert operations.seen
    words = ("_local_scalar_dense", "nonzero", "unique", "masked_select")
    return [name for name, devices in operations.seen if "cpu" in devices or any(word in name for word in words)]


@pytest.mark.parametrize("config", [Qwen2Config, Qwen3Config, LlamaConfig])
def test_a_step_of_the_fixed_cache_asks_the_host_for_nothing(config):
    """What a CUDA graph needs, looked at without a GPU: 16-bit weights, an adapter in fp32, on the meta device."""
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 300}
    with torch.device("meta"):
        heads_ = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
        model = AutoModelForCausalLM.from_config(config(**shape, **heads_), dtype=torch.bfloat16)
        model = get_peft_model(model, adapters.lora_config(4), low_cpu_mem_usage=True).eval().requires_grad_(False)
        heads._apart[model] = True  # to find that out needs numbers
        call, project = heads.apart(model, 8)
        mask, empty = torch.ones(8, 6).bool(), torch.zeros(8, 2, 6, 16, dtype=torch.bfloat16)
        cache = DynamicCache()
        cache.layers = [DynamicLayer(), DynamicLayer()]
        for layer in cache.layers:
            layer.update(empty, empty)
        fixed = decoding.Fixed(call, project, cache, mask, 20)
        fixed.token, fixed.position = torch.zeros(8, 1).long(), fixed.positions.clone()
    assert graph_breakers(fixed.forward) == []
    assert graph_breakers(lambda: torch.ones(1)) == ["aten.ones.default"]  # it would be seen
    with pytest.raises(RuntimeError):
        graph_breakers(lambda: fixed.token.sum().item())


def test_graphs_are_for_cuda_alone():
    assert not decoding.pays(torch.device("cpu"), 1000)
    assert decoding.pays(torch.device("cuda"), 1000) and not decoding.pays(torch.device("cuda"), 16)
