"""Language models to work with: the shipped tiny ones, a local folder, an adapter, or a model of the hub.

The shipped models are `Qwen3ForCausalLM` in fp32 with tied embeddings and the word-level tokenizer of vocabulary.py, so
PEFT, TRL and bitsandbytes treat them like any other. Only safetensors are read, and no code that a model brings runs.
"""

import contextlib
import json
import re
import threading
from pathlib import Path

import torch
from huggingface_hub import constants, get_session
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.utils import logging

from rlkit import checks, paths
from rlkit.lm import adapters, footprint, vocabulary
from rlkit.lm.adapters import lora_config
from rlkit.lm.model_cards import card, names

__all__ = ["SIZES", "card", "fresh", "load", "lora_config", "names", "save"]

SPREAD = 0.08  # of initial weights: the usual 0.02 is for widths of thousands; at these it starts slowly
# size -> hidden size, layers, heads. XS 0.03, S 0.11, M 0.8 million parameters.
SIZES = {"xs": (32, 2, 2), "s": (64, 2, 4), "m": (128, 4, 4)}
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
PROBE_SECONDS = 4


def fresh(size: str, seed: int, words: tuple | None = None) -> tuple:
    """(model, tokenizer) of a size of `SIZES`, untrained: weights from N(0, 0.08^2), norms 1, drawn from `seed` alone.

    words: a vocabulary of its own (see `vocabulary.tokenizer`); None: the shared one of 256 words.
    Raises ValueError for an unknown size or a bad seed.
    """
    hidden, layers, heads = SIZES[checks.one_of("size", size, tuple(SIZES))]
    tokenizer = vocabulary.tokenizer(words)
    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=hidden * 5 // 2,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=hidden // heads,
        max_position_embeddings=vocabulary.CONTEXT,
        initializer_range=SPREAD,
        tie_word_embeddings=True,
        use_sliding_window=False,
        dtype="float32",
        **ends,
    )
    generator = torch.Generator().manual_seed(checks.seed(seed))
    with torch.random.fork_rng(devices=[]):  # the constructor draws from the global state: leave that as it was
        model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():  # tied weights come once
            if parameter.dim() > 1:
                parameter.normal_(0.0, SPREAD, generator=generator)
            else:
                parameter.fill_(1.0)
    # Without these, generate(do_sample=True) would cut the distribution to its 50 likeliest tokens.
    model.generation_config = GenerationConfig(do_sample=True, temperature=1.0, top_k=0, top_p=1.0, **ends)
    return model.eval(), tokenizer


def load(name_or_path, *, quantize=None, lora=None, dtype=None, device=None, seed: int = 0) -> tuple:
    """(model, tokenizer), the model in eval mode: dropout is off in sampling, scoring and training alike.

    name_or_path: a shipped model (`names()`), a local folder (relative to the working folder, else the repository; a
    plain model or a PEFT adapter), or a hub id `owner/name`, looked for in the local cache first.
    quantize: "nf4" holds the weights of all linear layers but the head in 4 bits (bitsandbytes, on CUDA and on CPUs);
    they cannot be trained, an adapter on them can. lora: a rank, for an adapter on all linear layers, or a
    peft.LoraConfig; the adapter is new, in fp32, drawn from `seed`, and alone is trainable.
    device: "cpu", "cuda", ...; None takes CUDA where there is one, the CPU for a shipped model.
    dtype: of weights and products; None: fp32 on CPUs and for shipped models, on CUDA bf16 from compute capability 8.0
    and fp16 before, whatever the file holds. Without an adapter, train in fp32: 16 bits swallow small updates.

    A shipped model is so small that threads only cost: loading one sets torch.set_num_threads(1) for this process.
    A tokenizer without a padding token pads with its end token; rlkit masks by length, so that end token still counts.

    Raises ValueError for what does not exist (it lists what does) or holds no safetensors, and for bad arguments;
    ConnectionError at once for a hub id that is not in the cache while the hub cannot be reached; MemoryError, before
    weights are read, that says how much is missing and what would fit.
    """
    text, seed = str(name_or_path), checks.seed(seed)
    shipped = text in names()
    device = adapters.place(device, shipped)
    if dtype is None:
        dtype = torch.float32 if shipped else adapters.dtype_of(device)
    config = None if lora is None else adapters.lora_config(lora)
    quantization = adapters.quantization(quantize, dtype)
    how = {"dtype": dtype, "device": device, "quantization": quantization, "rank": config.r if config else 0}
    if shipped:
        torch.set_num_threads(1)
        with _no_progress_bar():
            model, tokenizer = _read(paths.data("models") / text, **how)
    elif folder := next((f for f in (Path(text), paths.home() / text) if text and f.is_dir()), None):
        if _is_adapter(folder) and config:
            checks.fail("lora", lora, f"None: {folder} holds an adapter already")
        model, tokenizer = (_adapter if _is_adapter(folder) else _folder)(folder, **how)
    elif HUB_ID.fullmatch(text):
        model, tokenizer = _hub(text, **how)
    else:
        checks.fail("name_or_path", text, f"one of {', '.join(names())}; or a folder; or a hub id like owner/name")
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ValueError(f"name_or_path={text!r}: its tokenizer has neither a padding nor an end token")
        tokenizer.pad_token = tokenizer.eos_token
    if config:
        model = adapters.attach(model, config, seed)
    elif quantization and not hasattr(model, "peft_config"):
        model.requires_grad_(False)  # what is left in full precision (embeddings, norms) is not to drift alone
    return model.eval(), tokenizer


def save(model, tokenizer, folder) -> None:
    """Write model (or adapter) and tokenizer as safetensors and JSON into a folder that `load` reads."""
    with _no_progress_bar():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextlib.contextmanager
def _no_progress_bar():
    """Without the bar that transformers draws, which lasts longer than reading or writing a tiny model."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar() if shown else None


def _read(source, dtype, device, quantization, rank, **options) -> tuple:
    options |= {"trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(source, **options)
    config = AutoConfig.from_pretrained(source, **options)
    if quantization and getattr(config, "quantization_config", None):
        raise ValueError(f"quantize='nf4': must be None: {source} is quantised already")
    footprint.refuse_too_large(config, source, dtype, device, quantization, rank)
    if quantization:
        options |= {"quantization_config": quantization, "device_map": {"": device}}
    model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, use_safetensors=True, **options)
    return model.to(device), tokenizer


def _is_adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").is_file()


def _folder(folder: Path, **how) -> tuple:
    for wanted in ("config.json", "*.safetensors", "tokenizer*"):
        if not any(folder.glob(wanted)):
            raise ValueError(
                f"{folder}: not a model that rlkit loads: it holds no {wanted} (pickled weights are not read)"
            )
    return _read(folder, **how)


def _adapter(folder: Path, quantization, rank, **how) -> tuple:
    """The adapter's base model with the adapter on it, ready for more training."""
    from peft import PeftModel  # slow to import, and most models have no adapter

    if not (folder / "adapter_model.safetensors").is_file():
        raise ValueError(f"{folder}: its adapter_model.safetensors is missing (pickled weights are not read)")
    base = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8")).get("base_model_name_or_path") or ""
    # An adapter of a shipped model remembers the folder that this one lay in, perhaps on another machine.
    name, folder_of = Path(base).name, Path(base)
    ours = name in names() and (not folder_of.is_dir() or folder_of.samefile(paths.data("models") / name))
    shipped = name if ours else base
    if Path(shipped).is_dir() and _is_adapter(Path(shipped)):
        raise ValueError(f"{folder}: its base {base} is an adapter too: must be a plain model")
    model, tokenizer = load(shipped, quantize="nf4" if quantization else None, **how)
    if any(folder.glob("tokenizer*")):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    with adapters.without_their_warning():
        return PeftModel.from_pretrained(model, folder, is_trainable=True, use_safetensors=True), tokenizer


def _hub(name: str, **how) -> tuple:
    try:
        return _read(name, **how, local_files_only=True)
    except OSError:  # not (wholly) in the cache
        pass
    if not _hub_answers():
        raise ConnectionError(
            f"name_or_path={name!r}: not in the local cache, and the hub cannot be reached: go online once to fetch "
            f"it, copy its folder here and load that, or take a shipped model ({', '.join(names())})"
        )
    try:
        return _read(name, **how)
    except OSError as error:
        raise ValueError(f"name_or_path={name!r}: {str(error).strip().splitlines()[0]}") from error


def _hub_answers() -> bool:
    """Whether the hub answers within seconds: from_pretrained alone would retry for half a minute before it says no."""
    if constants.HF_HUB_OFFLINE:
        return False
    answers = []

    def ask():
        try:
            answers.append(get_session().head(constants.ENDPOINT, timeout=PROBE_SECONDS))
        except Exception:  # noqa: BLE001 - whatever fails, there is no answer
            return

    thread = threading.Thread(target=ask, daemon=True)  # a name server that is silent heeds no timeout of ours
    thread.start()
    thread.join(PROBE_SECONDS + 1)
    return bool(answers)
