"""What a model is loaded as: its device, its dtype, 4-bit weights, and the LoRA adapter that is trained on them."""

import contextlib
import importlib.util
import logging
import os
import warnings

import torch

from rlkit import checks

QUANTIZATIONS = (None, "nf4")
# On some CPUs bitsandbytes warns, when it is imported, of a missing kernel that rlkit keeps it from using.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def place(device, shipped: bool) -> torch.device:
    """The device to load on. None: this process's CUDA device where there is one, but the CPU for a shipped model,
    which is so small that a GPU only waits for it. Raises ValueError for a device that is not there.
    """
    if device is None:
        here = torch.cuda.is_available() and not shipped
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if here else torch.device("cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        checks.fail("device", device, "a torch device such as 'cpu' or 'cuda'")
    if found.type == "cuda" and not torch.cuda.is_available():
        checks.fail("device", str(device), f"'cpu' or None: torch {torch.__version__} finds no CUDA device here")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        checks.fail("device", str(device), f"'cuda:0' to 'cuda:{torch.cuda.device_count() - 1}'")
    return torch.device("cuda", torch.cuda.current_device()) if found.type == "cuda" and found.index is None else found


def dtype_of(device: torch.device) -> torch.dtype:
    """What weights are held in and computed with: bf16 on CUDA from compute capability 8.0, fp16 before, else fp32."""
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16


def quantization(quantize: str | None, dtype: torch.dtype):
    """None, or what transformers takes for NF4: 4 bits a weight, scales of 64 weights quantised once more.

    NF4 and double quantisation: QLoRA (Dettmers et al. 2023, arXiv 2305.14314), section 3. Weights are brought back to
    `dtype` for each product. Raises ValueError for another name, ImportError without bitsandbytes.
    """
    if checks.one_of("quantize", quantize, QUANTIZATIONS) is None:
        return None
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ImportError('quantize="nf4" needs bitsandbytes: pip install "rlkit-notebooks[qlora]"')
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def lora_config(rank):
    """peft's LoraConfig of that rank on all linear layers, alpha = rank, no dropout; a LoraConfig comes back as it is.

    An adapter adds (alpha / rank) B A x to W x, B zero at first. All linear layers and a learning rate about ten times
    that of full training: "LoRA Without Regret" (Thinking Machines, 2025). Raises ValueError for what is neither.
    """
    from peft import LoraConfig  # slow to import, and most models have no adapter

    if isinstance(rank, LoraConfig):
        return rank
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        checks.fail("lora", rank, "None, a rank of at least 1, or a peft.LoraConfig")
    return LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")


@contextlib.contextmanager
def without_their_warning():
    """Without the warning that PEFT reads a name which transformers gives up: no reader can do anything about it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield


def attach(model, config, seed: int):
    """The model with a new adapter in fp32, its A drawn from `seed` alone; everything else is frozen."""
    from peft import get_peft_model

    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), without_their_warning():  # PEFT draws from the global state
        torch.manual_seed(seed)
        model = get_peft_model(model, config)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            raise ValueError(f"lora: its weight {name} came out as {parameter.dtype}: must be float32")
    return model


def adapter_is_new(model) -> bool:
    """True if all that is trainable is LoRA with B zero: the model then is its base with the adapter switched off."""
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not hasattr(model, "disable_adapter") or not all("lora_" in name for name in trainable):
        return False
    return all(not p.any() for name, p in trainable.items() if "lora_B" in name or "lora_embedding_B" in name)
