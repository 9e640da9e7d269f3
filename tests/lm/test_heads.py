"""The head apart from the model: the numbers and gradients of all logits at once, in less memory; fp32 from 16 bits."""

import pytest
import torch
import transformers
from torch.multiprocessing.reductions import StorageWeakRef

from rlkit.lm import heads, models, plans, scoring
from rlkit.lm.rollouts import sample, score_tokens
from tests.rlvr import toy

PROMPTS = ["1 2 3 :", "9 10 :"]


def scored(model, drawn):
    """(logp, entropy, gradients) of the same sum, from whatever path score_tokens takes now."""
    model.zero_grad()
    logp, entropy = score_tokens(model, drawn, entropy=True)
    (torch.linspace(-1, 1, logp.numel()).view_as(logp) * (logp + 0.3 * entropy)).sum().backward()
    return logp.detach(), entropy.detach(), [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("kind", ["tied", "adapter on the head"])
def test_few_tokens_at_a_time_give_the_same_numbers_and_gradients(kind, monkeypatch):
    model, tokenizer = toy.fresh()
    if kind != "tied":
        with torch.random.fork_rng():
            torch.manual_seed(0)
            import peft

            config = peft.LoraConfig(
                r=2, target_modules=["q_proj", "lm_head"], init_lora_weights=False, lora_dropout=0.5
            )
            model = peft.get_peft_model(model, config).train()
    drawn = sample(model, tokenizer, PROMPTS, 4, 6, seed=2)
    at_once = scored(model, drawn)
    monkeypatch.setattr(heads, "AT_ONCE", 7 * model.config.vocab_size)  # seven tokens
    asked = []
    comes_apart = heads.comes_apart
    monkeypatch.setattr(heads, "comes_apart", lambda m: asked.append(comes_apart(m)) or asked[-1])
    parts = scored(model, drawn)
    assert asked and all(asked)
    for one, other in zip(at_once, parts, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-6)
    assert "forward" not in vars(heads.of(model))  # the head is itself again


def test_all_logits_never_stand_in_memory_together(monkeypatch):
    model, _ = models.fresh("xs", seed=0)
    every = plans.activations(model, 8, 4, 64)
    monkeypatch.setattr(heads, "AT_ONCE", 16 * model.config.vocab_size)
    assert plans.activations(model, 8, 4, 64) < every - 8 * 63 * model.config.vocab_size * 4


def test_a_soft_cap_after_the_head_keeps_the_model_whole(monkeypatch):
    config = transformers.Gemma2Config(
        vocab_size=300, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, eos_token_id=1, final_logit_softcapping=2.0,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    assert not heads.comes_apart(model)
    monkeypatch.setattr(heads, "AT_ONCE", 1)
    drawn = sample(model, toy.fresh()[1], PROMPTS, 2, 4, seed=0)
    assert (score_tokens(model, drawn) - drawn.logp).abs().max() < 1e-5
    assert heads.comes_apart(toy.fresh()[0])


def test_sixteen_bit_heads_make_logits_in_fp32():
    """A logit near 20 in bf16 is right to 0.06 only: sampler and scorer would differ by the head's rounding alone."""
    model, tokenizer = models.fresh("s", seed=0)
    with torch.no_grad():
        model.model.norm.weight.mul_(12)  # logits as far apart as a trained model's
    model = model.to(torch.bfloat16).requires_grad_(False)
    _call, project = heads.apart(model, 1)
    hidden = torch.randn(5, 64, dtype=torch.bfloat16, generator=torch.Generator().manual_seed(0))
    weight = model.get_output_embeddings().weight
    exact = hidden.double() @ weight.double().T
    assert project(hidden).dtype == torch.float32
    assert (project(hidden) - exact).abs().max() < 1e-4 < (hidden @ weight.T - exact).abs().max()
    leaf = hidden.clone().requires_grad_()
    project(leaf).square().sum().backward()
    wanted = (2 * exact) @ weight.double()
    assert (leaf.grad - wanted).norm() < 0.02 * wanted.norm()
    drawn = sample(model, tokenizer, PROMPTS, 8, 12, seed=2)
    gap = (score_tokens(model, drawn).detach() - drawn.logp)[drawn.mask].abs()
    assert gap.mean() < 2e-2


def test_an_entropy_that_no_loss_uses_keeps_no_logits_of_other_parts(monkeypatch):
    """A part is recomputed in backward; what it saved for an unused output would wait for the end of the backward."""
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(1, 12, 4, generator=draw).requires_grad_()
    weight, ids = torch.randn(4, 50, generator=draw), torch.randint(50, (1, 12), generator=draw)
    monkeypatch.setattr(heads, "AT_ONCE", 100)  # two tokens a part
    made, alive = [], []

    def project(part):
        alive.append(sum(not storage.expired() for storage in made))
        logits = part @ weight
        made.append(StorageWeakRef(logits.untyped_storage()))
        return logits

    logp, entropy = scoring._log_probabilities(hidden, ids, 1.0, True, False, project)
    forward = len(alive)
    logp.sum().backward()
    assert len(alive) - forward == 6 and max(alive[forward:]) <= 1
    leaf = hidden.detach().requires_grad_()
    full = (leaf @ weight).log_softmax(-1)
    full.gather(-1, ids[..., None]).sum().backward()
    torch.testing.assert_close(hidden.grad, leaf.grad)
    torch.testing.assert_close(entropy, -(full.exp() * full).sum(-1).detach())
    assert not entropy.requires_grad
