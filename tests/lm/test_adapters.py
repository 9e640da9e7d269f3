"""Loading in 4 bits with a LoRA adapter: what is trained, what stays, what is refused."""

import json
import shutil

import pytest
import torch
from peft import LoraConfig, PeftModel

from rlkit import lm, paths, rlvr
from rlkit.lm import adapters, models
from rlkit.stats import paired_bootstrap
from tests.rlvr import toy

pytest.importorskip("bitsandbytes")


def scores(model, tokenizer):
    """Log-probabilities of fixed completions."""
    drawn = lm.sample(models.fresh("s", seed=0)[0], tokenizer, ["1 2 :", "30 4 5 :"], 4, 6, seed=0)
    return lm.score_tokens(model, drawn).detach()


def frozen(model) -> dict:
    """Every byte of what is not trained, quantisation scales included."""
    kept = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}
    for name, p in model.named_parameters():
        if getattr(p, "quant_state", None) is not None:
            kept |= {f"{name} absmax": p.quant_state.absmax.clone(), f"{name} code": p.quant_state.code.clone()}
            kept[f"{name} absmax of absmax"] = p.quant_state.state2.absmax.clone()
    return kept


# ---- what is loaded


def test_nf4_holds_linear_layers_in_four_bits_twice_quantised_and_the_adapter_in_fp32():
    model, _tokenizer = lm.load("s-countdown", quantize="nf4", lora=4)
    four = {n: p for n, p in model.named_parameters() if p.dtype == torch.uint8}
    assert len(four) == 2 * 7  # q, k, v, o, gate, up, down of two layers
    assert all(p.quant_state.quant_type == "nf4" and p.quant_state.nested for p in four.values())
    assert all(p.quant_state.dtype == torch.float32 for p in four.values())
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * 14 and all("lora_" in n and p.dtype == torch.float32 for n, p in trained.items())
    assert not model.training and isinstance(model, PeftModel)
    config = model.peft_config["default"]
    assert (config.r, config.lora_alpha, config.lora_dropout) == (4, 4, 0.0)


def test_four_bits_are_near_the_model_and_not_the_model():
    full, tokenizer = lm.load("s-countdown")
    four, _ = lm.load("s-countdown", quantize="nf4")
    gap = (scores(full, tokenizer) - scores(four, tokenizer)).abs()
    assert 1e-3 < gap.mean() < 1.0


def test_without_an_adapter_nothing_of_a_quantised_model_is_trainable():
    model, tokenizer = lm.load("s-countdown", quantize="nf4")
    assert not any(p.requires_grad for p in model.parameters())
    with pytest.raises(ValueError, match="nothing to train"):
        rlvr.train(model, tokenizer, toy.TASK, rlvr.grpo(), steps=1, **toy.SETTINGS)


def test_an_adapter_is_drawn_from_its_seed_alone_and_starts_as_the_base():
    base, tokenizer = lm.load("s-countdown")
    one, again, other = (lm.load("s-countdown", lora=4, seed=seed)[0] for seed in (1, 1, 2))
    weights = [[p for p in model.parameters() if p.requires_grad] for model in (one, again, other)]
    assert all(torch.equal(a, b) for a, b in zip(*weights[:2], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))
    state = torch.random.get_rng_state()
    lm.load("s-countdown", lora=4)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(scores(one, tokenizer), scores(base, tokenizer))
    assert adapters.adapter_is_new(one) and not adapters.adapter_is_new(base)


def test_a_lora_config_of_ones_own_is_taken_as_it_is():
    model, _ = lm.load("s-countdown", lora=LoraConfig(r=3, lora_alpha=12, target_modules=["q_proj"]))
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    assert len(trained) == 2 * 2 and all("q_proj" in n for n in trained)
    assert model.peft_config["default"].lora_alpha == 12


def test_the_dtype_comes_from_the_device_not_from_the_file(tmp_path, monkeypatch):
    """Regression (TRL #4778): a model by name came out in fp32, the same one by from_pretrained as it was stored."""
    model, tokenizer = models.fresh("xs", seed=0)
    models.save(model.to(torch.bfloat16), tokenizer, tmp_path)
    assert lm.load(tmp_path, device="cpu")[0].dtype == torch.float32
    assert lm.load(tmp_path, dtype=torch.bfloat16)[0].dtype == torch.bfloat16
    cards = {(9, 0): torch.bfloat16, (8, 0): torch.bfloat16, (7, 5): torch.float16}
    for capability, wanted in cards.items():
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, c=capability: c)
        assert adapters.dtype_of(torch.device("cuda")) == wanted
    assert adapters.dtype_of(torch.device("cpu")) == torch.float32


def test_the_device_is_cuda_where_there_is_one_but_not_for_shipped_models(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert adapters.place(None, shipped=False) == torch.device("cuda", 3)
    assert adapters.place(None, shipped=True) == torch.device("cpu")


# ---- it learns, and only the adapter does


@pytest.mark.slow
def test_nf4_on_a_cpu_learns_and_leaves_the_base_alone(tmp_path):
    """pass@1 on held-out problems rises, with an interval over them above 0; the 4-bit weights keep every bit."""
    task = lm.tasks.countdown(numbers=4, largest=100)
    problems, how = task.problems(200, 7, "test"), {"samples": 16, "seed": 0}
    tuned, tokenizer = lm.load("s-countdown", quantize="nf4", lora=16, seed=0)
    before, base = frozen(tuned), rlvr.evaluate(tuned, tokenizer, task, problems, **how)
    learner = rlvr.train(tuned, tokenizer, task, rlvr.grpo(), steps=60, learning_rate=4e-3)
    kl = list(learner)[-1].metrics["kl"]
    after, row = frozen(tuned), rlvr.evaluate(tuned, tokenizer, task, problems, **how)
    assert before.keys() == after.keys() and all(torch.equal(before[n], after[n]) for n in before)
    assert all(p.any() for n, p in tuned.named_parameters() if "lora_" in n) and kl > 1e-3
    share = {arm: [count / 16 for count in one["correct"]] for arm, one in (("base", base), ("tuned", row))}
    gain = paired_bootstrap(share, lambda m: m["tuned"] - m["base"])  # problems are the units here
    assert gain.low > 0.02, gain
    lm.save(tuned, tokenizer, tmp_path / "adapter")
    assert [f.name for f in (tmp_path / "adapter").glob("*.safetensors")] == ["adapter_model.safetensors"]
    loaded, _ = lm.load(tmp_path / "adapter", quantize="nf4")
    assert torch.equal(scores(loaded, tokenizer), scores(tuned, tokenizer))
    assert all(p.requires_grad == ("lora_" in n) for n, p in loaded.named_parameters())


def test_the_reference_of_a_new_adapter_is_the_base_with_the_adapter_off(monkeypatch):
    """No copy is made, and numbers are those of a copy put in place."""
    from rlkit.rlvr import learner as learning

    def kl(new):
        monkeypatch.setattr(learning, "adapter_is_new", lambda model: new)
        model, tokenizer = lm.load("s-countdown", lora=4)
        task = lm.tasks.countdown(numbers=4, largest=100)
        options = {"steps": 3, "learning_rate": 1e-2, "prompts_per_step": 4, "group_size": 4}
        steps = list(rlvr.train(model, tokenizer, task, rlvr.grpo(beta=0.1), **options))
        assert all(p.requires_grad == ("lora_" in n) for n, p in model.named_parameters())
        return [step.metrics["kl"] for step in steps[1:]]

    assert kl(True) == pytest.approx(kl(False), rel=1e-4, abs=1e-9) and kl(True)[-1] > 1e-4


def test_gradients_of_fp16_weights_are_scaled_by_a_power_of_two_against_underflow():
    from rlkit.rlvr import updates

    model, _ = toy.fresh()
    assert updates.scale_of(model, 1000) == 1.0
    assert updates.scale_of(model.half(), 1000) == 1024.0


# ---- what is refused, in one line each


def refused(error, words, *arguments, **options):
    with pytest.raises(error) as caught:
        lm.load(*arguments, **options)
    assert words in str(caught.value) and "\n" not in str(caught.value), caught.value


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quantize": "int3"}, "quantize='int3': must be one of None, 'nf4'"),
        ({"quantize": True}, "quantize=True: must be one of None, 'nf4'"),
        ({"lora": 0}, "lora=0: must be None, a rank of at least 1, or a peft.LoraConfig"),
        ({"lora": True}, "lora=True: must be"),
        ({"lora": "all"}, "lora='all': must be"),
        ({"lora": 4, "seed": -1}, "seed=-1: must be"),
        ({"device": "gpu"}, "device='gpu': must be a torch device"),
    ],
)
def test_bad_arguments(options, words):
    refused(ValueError, words, "s-countdown", **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none():
    refused(ValueError, "device='cuda': must be 'cpu' or None: torch", "s-countdown", device="cuda")


def test_a_folder_without_weights_or_with_pickled_ones(tmp_path):
    models.save(*models.fresh("xs", seed=0), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    words = "holds no *.safetensors (pickled weights are not read)"
    refused(ValueError, words, tmp_path, quantize="nf4", lora=4)
    torch.save({}, tmp_path / "pytorch_model.bin")
    refused(ValueError, words, tmp_path, quantize="nf4", lora=4)


def test_a_tokenizer_with_neither_padding_nor_end(tmp_path):
    model, tokenizer = models.fresh("xs", seed=0)
    models.save(model, tokenizer, tmp_path)
    told = json.loads((tmp_path / "tokenizer_config.json").read_text())
    told = {k: v for k, v in told.items() if k not in ("pad_token", "eos_token")}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(told))
    refused(ValueError, "its tokenizer has neither a padding nor an end token", tmp_path)


def test_an_adapter_on_an_adapter_and_weights_quantised_twice(tmp_path):
    lm.save(*lm.load("xs-countdown", lora=2), tmp_path / "adapter")
    refused(ValueError, "lora=2: must be None", tmp_path / "adapter", lora=2)
    shutil.copytree(paths.data("models") / "xs-countdown", tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    refused(ValueError, "quantize='nf4': must be None", tmp_path / "model", quantize="nf4")


def test_without_bitsandbytes_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(adapters.importlib.util, "find_spec", lambda name: None)
    refused(ImportError, 'pip install "rlkit-notebooks[qlora]"', "s-countdown", quantize="nf4")


def test_parameters_in_sixteen_bits_are_not_trained():
    model, tokenizer = toy.fresh()
    with pytest.raises(ValueError, match="which swallows small updates: must be float32; load with lora"):
        rlvr.train(model.to(torch.bfloat16), tokenizer, toy.TASK, rlvr.grpo(), steps=1, **toy.SETTINGS)
