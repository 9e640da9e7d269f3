"""Gradient checkpointing with a shared prompt: the gradients of the plain forward, and less memory for it."""

import pytest
import torch

from rlkit.lm import checkpointing, models, plans
from rlkit.lm.rollouts import sample, score_tokens
from tests.rlvr import toy

PROMPTS = ["1 2 3 4 5 6 7 8 :", "9 10 :"]


def drawn_from(model, tokenizer):
    return sample(model, tokenizer, PROMPTS, 6, 8, seed=1)


def gradients(model, drawn) -> list:
    """Of a weighted sum of log-probabilities and entropies, for each trainable parameter."""
    model.zero_grad()
    logp, entropy = score_tokens(model, drawn, entropy=True)
    weights = torch.linspace(-1, 1, logp.numel()).view_as(logp)
    (weights * (logp + 0.3 * entropy) * drawn.mask).sum().backward()
    return [p.grad.clone() for p in model.parameters() if p.requires_grad and p.grad is not None]


@pytest.fixture
def quantised(tmp_path):
    """NF4 weights under a LoRA that is not zero."""
    pytest.importorskip("bitsandbytes")
    models.save(*models.fresh("s", seed=3), tmp_path)
    model, tokenizer = models.load(tmp_path, quantize="nf4", lora=4)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(0, 0.3, generator=torch.Generator().manual_seed(0))
    return model, tokenizer


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_gradients_are_those_of_the_plain_forward_bit_for_bit(kind):
    model, tokenizer = toy.fresh()
    model = toy.adapted(model, r=4, init_lora_weights=False, lora_dropout=0.3) if kind == "lora" else model
    drawn = drawn_from(model, tokenizer)
    plain = gradients(model, drawn)
    checkpointing.switch(model)
    assert plain and all(torch.equal(a, b) for a, b in zip(plain, gradients(model, drawn), strict=True))


def test_gradients_of_nf4_weights_are_those_of_the_plain_forward_bit_for_bit(quantised):
    model, tokenizer = quantised
    drawn = drawn_from(model, tokenizer)
    plain = gradients(model, drawn)
    checkpointing.switch(model)
    assert plain and all(torch.equal(a, b) for a, b in zip(plain, gradients(model, drawn), strict=True))


def test_a_prompt_still_runs_once_for_its_rows():
    """transformers would switch the cache off, and every row would run its prompt again."""
    model, tokenizer = toy.fresh()
    drawn = drawn_from(model, tokenizer)
    checkpointing.switch(model)
    tokens = []
    hook = model.get_input_embeddings().register_forward_hook(
        lambda module, args, out: tokens.append(out[..., 0].numel())
    )
    score_tokens(model, drawn)
    hook.remove()
    assert sum(tokens) <= drawn.prompt_ids.numel() + drawn.ids.numel() < drawn.ids.numel() * 2


def test_backward_may_run_in_any_mode_and_after_other_forwards():
    model, tokenizer = toy.fresh()
    drawn = drawn_from(model, tokenizer)
    plain = gradients(model, drawn)
    checkpointing.switch(model)
    logp, entropy = score_tokens(model, drawn, entropy=True)
    score_tokens(model, drawn)
    sample(model, tokenizer, PROMPTS, 2, 4, seed=9)
    model.zero_grad()
    model.train()
    weights = torch.linspace(-1, 1, logp.numel()).view_as(logp)
    (weights * (logp + 0.3 * entropy) * drawn.mask).sum().backward()
    later = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(plain, later, strict=True))


def test_it_saves_memory_and_switches_off_again():
    model, _ = models.fresh("m", seed=0)
    plain = plans.activations(model, 4, 32, 16)
    checkpointing.switch(model)
    assert len(checkpointing.checkpointed(model)) == 4
    assert plans.activations(model, 4, 32, 16) < 0.5 * plain
    checkpointing.switch(model, False)
    assert checkpointing.checkpointed(model) == [] and plans.activations(model, 4, 32, 16) == plain


def test_no_copy_of_a_prompt_waits_for_backward():
    """A row's copy of its prompt's keys and values is made again: on a 7B model they would be 57 kB a token."""
    import gc

    model, tokenizer = models.fresh("s", seed=0)
    prompt = " ".join(str(i) for i in range(100)) + " :"
    drawn = sample(model, tokenizer, [prompt], 16, 4, seed=1)
    checkpointing.switch(model)
    gc.collect()
    before = {id(x) for x in gc.get_objects() if isinstance(x, torch.Tensor)}
    logp = score_tokens(model, drawn)
    gc.collect()
    held = [x for x in gc.get_objects() if isinstance(x, torch.Tensor) and id(x) not in before and x.dim() == 4]
    copies = [x.shape for x in held if x.shape[0] == 16 and x.shape[2] >= 100]
    assert logp.requires_grad and copies == []
