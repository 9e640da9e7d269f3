"""Loading: shipped names, folders, adapters and hub ids; safetensors alone; what fails says what to do."""

import json
import socket
import subprocess
import sys
import time

import pytest
import torch
from huggingface_hub import constants
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open

from rlkit.lm import models, vocabulary

IDS = torch.tensor([[3, 4, 5, 6]])


@pytest.fixture(scope="module")
def tiny():
    torch.set_num_threads(1)
    return models.fresh("xs", 0)


@pytest.fixture
def folder(tiny, tmp_path):
    models.save(*tiny, tmp_path / "model")
    return tmp_path / "model"


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


@pytest.mark.parametrize(("size", "least", "most"), [("xs", 30e3, 35e3), ("s", 105e3, 115e3), ("m", 350e3, 800e3)])
def test_the_sizes_are_those_that_the_kit_promises(size, least, most):
    model, _ = models.fresh(size, 0)
    assert least <= model.num_parameters() <= most
    assert model.lm_head.weight is model.model.embed_tokens.weight and not model.training
    assert model.dtype == torch.float32 and model.config.vocab_size == vocabulary.SIZE


def test_a_fresh_model_is_its_seed_alone():
    before = torch.get_rng_state()
    a, b, c = (models.fresh("xs", seed)[0].state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["lm_head.weight"], c["lm_head.weight"])
    spread = a["model.layers.0.mlp.gate_proj.weight"].std().item()
    assert spread == pytest.approx(0.08, rel=0.1) and (a["model.norm.weight"] == 1).all()


def test_save_and_load_keep_every_bit_and_the_tokenizer(tiny, folder):
    model, tokenizer = models.load(folder)
    assert torch.equal(logits(model), logits(tiny[0])) and not model.training
    text = "mod 23 : 7 + 15 - 9 :"
    assert tokenizer(text)["input_ids"] == tiny[1](text)["input_ids"]
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert (tokenizer.pad_token, tokenizer.eos_token, tokenizer.padding_side) == ("<pad>", "<eos>", "left")
    assert sorted(f.suffix for f in folder.iterdir() if f.suffix != ".json") == [".safetensors"]


def test_generate_draws_from_the_whole_distribution(folder):
    """A stock generation config would sample from the 50 likeliest tokens only, and call that temperature 1."""
    model, tokenizer = models.load(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ids = torch.full((2000, 1), 5)
        drawn = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=1)[:, 1]
    assert len(drawn.unique()) > 200  # an untrained model is close to uniform over 256
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_dtype_and_device_are_what_was_asked_for(folder):
    assert models.load(folder)[0].dtype == torch.float32
    assert models.load(folder, dtype=torch.bfloat16)[0].dtype == torch.bfloat16
    assert models.load(folder, device="cpu")[0].device.type == "cpu"
    assert models.load(folder, device="meta")[0].device.type == "meta"


def test_a_relative_folder_is_one_of_the_working_folder(folder, tiny, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert torch.equal(logits(models.load("model")[0]), logits(tiny[0]))


def test_an_adapter_folder_loads_base_and_adapter_ready_to_train_on(tiny, folder, tmp_path):
    base, tokenizer = models.load(folder)
    with torch.random.fork_rng(devices=[]):
        model = get_peft_model(base, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    models.save(model, tokenizer, tmp_path / "adapter")
    loaded, _ = models.load(tmp_path / "adapter")
    assert isinstance(loaded, PeftModel) and not loaded.training
    assert torch.equal(logits(loaded), logits(model)) and not torch.equal(logits(loaded), logits(tiny[0]))
    trained = {name for name, p in loaded.named_parameters() if p.requires_grad}
    assert trained and all("lora_" in name for name in trained)


def test_an_adapter_of_an_adapter_is_refused(folder):
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(folder)}))
    (folder / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="is an adapter too: must be a plain model"):
        models.load(folder)


def test_pickled_weights_are_not_read(tiny, folder):
    torch.save(tiny[0].state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"holds no \*.safetensors \(pickled weights are not read\)"):
        models.load(folder)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(folder)}))
    (folder / "adapter_model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"adapter_model.safetensors is missing \(pickled weights are not read\)"):
        models.load(folder)


def test_code_that_a_model_brings_does_not_run(folder, tmp_path):
    mark = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Evil: pass\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError):
        models.load(folder)
    assert not mark.exists()


def test_a_folder_that_holds_no_model_says_what_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"not a model that rlkit loads: it holds no config\.json"):
        models.load(tmp_path)


@pytest.mark.parametrize("name", ["nothing-here", "", "a/b/c", "../x y", "owner/"])
def test_an_unknown_name_lists_what_there_is(name):
    with pytest.raises(ValueError) as caught:
        models.load(name)
    text = str(caught.value)
    assert text.startswith(f"name_or_path={name!r}: must be ") and "\n" not in text
    assert all(known in text for known in models.names())


def test_a_tokenizer_without_padding_pads_with_its_end(tiny, tmp_path):
    model, tokenizer = tiny[0], vocabulary.tokenizer()
    tokenizer.pad_token = None
    models.save(model, tokenizer, tmp_path)
    _, loaded = models.load(tmp_path)
    assert loaded.pad_token_id == loaded.eos_token_id == 1


@pytest.mark.parametrize("offline", [True, False])
def test_without_network_a_hub_id_fails_at_once_and_says_what_to_do(monkeypatch, tmp_path, offline):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    asked = []

    def no_network(*arguments, **options):
        asked.append(arguments[0])
        raise socket.gaierror("no network")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    with pytest.raises(ConnectionError) as caught:
        models.load("nobody/nothing-of-the-kind")
    text = str(caught.value)
    assert text.startswith("name_or_path='nobody/nothing-of-the-kind': not in the local cache, and the hub cannot be")
    assert "copy its folder here" in text and "\n" not in text and all(name in text for name in models.names())
    assert len(asked) == (0 if offline else 1)  # from_pretrained alone would ask six times, waiting 23 s in between


def test_a_name_server_that_never_answers_does_not_hold_it_up(monkeypatch):
    monkeypatch.setattr(models, "PROBE_SECONDS", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: time.sleep(60))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    asleep = []
    monkeypatch.setattr(models.threading.Thread, "join", lambda thread, timeout: asleep.append(timeout))
    assert models._hub_answers() is False and asleep == [1.1]


@pytest.mark.slow
def test_a_hub_id_in_the_cache_needs_no_network(monkeypatch, tmp_path, tiny):
    snapshot = tmp_path / "models--owner--name" / "snapshots" / ("0" * 40)
    models.save(*tiny, snapshot)
    refs = tmp_path / "models--owner--name" / "refs"
    refs.mkdir()
    (refs / "main").write_text("0" * 40)
    code = (
        "import torch\nfrom rlkit.lm import models\nmodel, tokenizer = models.load('owner/name')\n"
        "print(float(model(input_ids=torch.tensor([[3, 4, 5, 6]])).logits.double().sum()))"
    )
    environment = {"HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1", "PATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(logits(tiny[0]).double().sum().item(), abs=1e-4)


def test_what_is_written_is_safetensors_with_tied_weights_once(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        names = set(file.keys())
    assert "lm_head.weight" not in names and "model.embed_tokens.weight" in names
