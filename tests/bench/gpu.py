"""QLoRA on one GPU beside TRL and transformers: speed, memory, and how far sampler and scorer are apart.

    python -m tests.bench.gpu [--only NAME ...] [--quick]        or        python tests/bench/gpu.py ...

One card, one run, the same tokens for all: a group of 8 completions of one prompt, none of which ends early. Models
have the shapes of Qwen2.5 and random weights, so nothing is fetched. Each section has a process of its own, so that
memory and failures stay there. What a GPU measured goes to data/results/bench-gpu.json, section by section for one
card and one set of versions (not with --quick). Without a GPU the same code measures small shapes on the CPU, and
nothing is kept. Exit status 1: a section failed, or a row misses what it must reach.

It needs torch, transformers, peft, trl, bitsandbytes and what they bring; rlkit is the checkout that it lies in.
"""

import argparse
import contextlib
import gc
import itertools
import json
import math
import os
import re
import shutil
import statistics
import string
import subprocess
import sys
import tempfile
import time
import warnings
from collections import deque
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from rlkit import declarations, lm, provenance, rlvr  # noqa: E402
from rlkit.lm import adapters, checkpointing, decoding, footprint, prefix  # noqa: E402
from rlkit.lm.tasks import Problem, Task  # noqa: E402
from rlkit.rlvr import updates  # noqa: E402
from tests.bench import bench_qlora  # noqa: E402

RESULT = ROOT / "data" / "results" / "bench-gpu.json"
NO_CARD = "not measured: no CUDA device"
MARK = "row "  # in front of what a section tells its parent
GROUP, RATE = 8, bench_qlora.RATE
ENOUGH = 15  # seconds of turns that are timed: a way of sampling that needs minutes is not run four times
LIMITS = {"1.5b": 6.0, "7b": 8.8}  # GB that a training step may take
SPREAD, LOUD, LOUDER = 3.0, 148, 2.6  # see like_trained
FIRST_WORD = 2 * 26 * 26 + 256  # ids below: letters and pairs of the tokenizer, not words


class Lane(NamedTuple):
    """Tokens of the prompt and of each completion, rank of LoRA, repeats, and shapes by name: for a card or a CPU."""

    prompt: int
    tokens: int
    rank: int
    repeats: int
    shapes: dict


def lane(quick: bool) -> Lane:
    """What this machine measures."""
    names = "hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads vocab_size".split()

    def shape(*sizes, tied):
        return dict(zip(names, sizes, strict=True), tie_word_embeddings=tied)

    if torch.cuda.is_available():
        large = {"1.5b": shape(1536, 8960, 28, 12, 2, 151_936, tied=True)}
        large |= {"7b": shape(3584, 18_944, 28, 28, 4, 152_064, tied=False)}
        return Lane(256, 256, 32, 1 if quick else 3, large)
    small = {"1.5b": shape(256, 704, 4, 4, 2, 4000, tied=True), "7b": shape(256, 1024, 3, 8, 2, 4000, tied=False)}
    return Lane(32, 8 if quick else 32, 8, 1 if quick else 3, small)


# ---- a random model on disk


def build(folder: Path, shape: dict, seed: int = 0) -> Path:
    """Write a Qwen2 model of that shape and its tokenizer as files that `lm.load` reads, once; returns the folder.

    Weights from N(0, 0.02^2), norms 1, biases 0, in bf16, one file for each layer, drawn on the card where there is one
    (the numbers depend on that, and on the seed). The end token has the first id behind the vocabulary: no logit is its
    own, so it is never sampled and every completion has its full length.
    """
    from safetensors.torch import save_file
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    if (folder / "model.safetensors.index.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    rope = {"rope_type": "default", "rope_theta": 1e6}
    config = Qwen2Config(**shape, rms_norm_eps=1e-6, rope_parameters=rope, dtype="bfloat16")
    config.architectures = ["Qwen2ForCausalLM"]
    with torch.device("meta"):
        model = Qwen2ForCausalLM(config)
    shards, device = {}, "cuda" if torch.cuda.is_available() else "cpu"
    for name, parameter in model.named_parameters():  # tied weights come once
        layer = re.match(r"model\.layers\.\d+", name)
        shards.setdefault(layer[0] if layer else name, []).append((name, parameter.shape))
    generator, placed = torch.Generator(device).manual_seed(seed), {}
    for number, tensors in enumerate(shards.values(), 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        drawn = {}
        for name, size in tensors:
            value = torch.full(size, float(name.endswith("norm.weight")), device=device, dtype=torch.bfloat16)
            drawn[name] = (value.normal_(0, 0.02, generator=generator) if len(size) > 1 else value).cpu()
        save_file(drawn, folder / file, metadata={"format": "pt"})
        placed |= dict.fromkeys(drawn, file)
    words(shape["vocab_size"]).save_pretrained(folder)
    config.save_pretrained(folder)
    GenerationConfig(do_sample=True, eos_token_id=shape["vocab_size"], pad_token_id=0).save_pretrained(folder)
    index = {"metadata": {}, "weight_map": placed}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))  # last: only then is it whole
    return folder


def words(size: int):
    """A tokenizer of Qwen2's kind with `size` ids, of which those from FIRST_WORD on are words of four letters like
    " aBcD" in one token each; id `size` is the end token.

    AutoTokenizer gives every Qwen2 model a tokenizer of this class, whatever was saved. Lower and upper case alternate,
    so that pairs of letters join in one way only.
    """
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers.models.qwen2 import Qwen2Tokenizer

    pairs = [a + b for a in string.ascii_lowercase for b in string.ascii_uppercase]
    known = [*sorted(ByteLevel.alphabet()), *pairs, *("Ġ" + pair for pair in pairs)]  # Ġ stands for the space
    four = ["Ġ" + a + b for a, b in itertools.islice(itertools.product(pairs, pairs), size - len(known))]
    joins = [tuple(pair) for pair in pairs] + [("Ġ", pair) for pair in pairs] + [(word[:3], word[3:]) for word in four]
    vocabulary = {word: i for i, word in enumerate([*known, *four])}
    ends = {"eos_token": "<end>", "pad_token": known[0], "unk_token": None}
    return Qwen2Tokenizer(vocab=vocabulary, merges=joins, padding_side="left", **ends)


def prompt(tokenizer, tokens: int) -> str:
    """A text of that many tokens."""
    draw = torch.Generator().manual_seed(0)
    text = tokenizer.decode(torch.randint(FIRST_WORD, len(tokenizer) - 1, (tokens,), generator=draw).tolist())
    assert len(tokenizer(text)["input_ids"]) == tokens
    return text


def reward(completion: str) -> float:
    """The share of early letters among all: it differs a little between completions, so that no group is dead."""
    return sum(map(completion.count, string.ascii_letters[:13])) / max(len(completion), 1)


# ---- what is measured with


def clock() -> float:
    """Seconds: of the wall once the card is idle; of this process where there is no card."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def start_peaks() -> None:
    """From here on `peaks` counts; what is free goes back to the card."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peaks() -> tuple:
    """(allocated, reserved): GB, the most that torch's tensors and its allocator took; None without a card."""
    if not torch.cuda.is_available():
        return None, None
    return torch.cuda.max_memory_allocated() / 1e9, torch.cuda.max_memory_reserved() / 1e9


def seconds_of(function, repeats: int) -> float:
    """The median of some turns, after one to warm up; of fewer where they have taken ENOUGH seconds, but of one."""
    taken = []
    while len(taken) < 2 or (len(taken) <= repeats and sum(taken[1:]) < ENOUGH):
        start = clock()
        function()
        taken.append(clock() - start)
    return statistics.median(taken[1:])


def row(work: str, unit: str, ours, theirs=None, must: str = "") -> dict:
    """A line of the table. ratio: how many times faster ours is; for other units than tokens/s and s, ours / theirs.

    What is not finite counts as not measured.
    """
    ours, theirs = (value if value is not None and math.isfinite(value) else None for value in (ours, theirs))
    both = ours is not None and theirs is not None
    ratio = (theirs / ours if unit == "s" else ours / theirs) if both else None
    must = must if torch.cuda.is_available() else ""  # the marks are for a card
    return {"work": work, "unit": unit, "ours": ours, "theirs": theirs, "ratio": ratio, "must": must}


# ---- sections: each yields rows


def steps(name: str, lane: Lane, folder: Path):
    """A full GRPO step: sampling, scoring, update. Ours first, then TRL's on the same files."""
    made, count = build(folder / name, lane.shapes[name]), GROUP * lane.tokens
    seconds, (allocated, reserved), plan = our_step(made, lane, LIMITS[name])
    how = f"{plan.micro_batch} rows at once, layers {'recomputed' if plan.checkpointing else 'kept'}"
    yield row(f"ours alone ({how})", "tokens/s", count / seconds)
    start_peaks()
    trl, (trl_allocated, trl_reserved) = trl_step(made, lane)
    yield row("against TRL", "tokens/s", count / seconds, count / trl, ">= 2 x")
    if allocated is not None:
        within = f"<= 1 x and <= {LIMITS[name]} GB"
        foreseen = f"peak of tensors (lm.plan: {plan.peak / 1e9:.2f} GB)"
        yield row(foreseen, "GB", allocated, trl_allocated, within)
        yield row("peak that the allocator holds", "GB", reserved, trl_reserved, within)


def our_step(made: Path, lane: Lane, limit: float) -> tuple:
    """(seconds, peaks, plan) of `rlvr.train` with what `lm.plan` says for a card of `limit` GB."""
    model, tokenizer = lm.load(made, quantize="nf4", lora=lane.rank)
    room = None
    if torch.cuda.is_available():
        room = footprint.SPARE * (limit * 1e9 - torch.cuda.memory_allocated())
    shape = {"prompts": 1, "group_size": GROUP, "prompt_tokens": lane.prompt, "completion_tokens": lane.tokens}
    plan = lm.plan(model, **shape, free=room)
    checkpointing.switch(model, plan.checkpointing)

    def parts(problem, completion):
        return {"format": 1.0, "correct": reward(completion)}

    text = prompt(tokenizer, lane.prompt)
    learner = rlvr.train(
        model,
        tokenizer,
        Task("letters", {"correct": 1.0}, lane.tokens, None, parts, None),
        rlvr.grpo(),
        steps=1 + lane.repeats,
        learning_rate=RATE,
        problems=[Problem(text, text, {})],
        prompts_per_step=1,
        group_size=GROUP,
        micro_batch=plan.micro_batch,
        reference=None,
    )
    start_peaks()
    ends = []
    for step in learner:
        ends.append(clock())
        assert step.step == 0 or step.metrics["length"] == lane.tokens, f"{step.metrics['length']} tokens: not full"
        assert step.step == 0 or step.metrics["gradient_norm"] > 0, "no gradient"
    return (ends[-1] - ends[1]) / lane.repeats, peaks(), plan


def trl_step(made: Path, lane: Lane) -> tuple:
    """(seconds, peaks) of TRL's GRPOTrainer without vLLM: its defaults for memory, the whole group at once."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = adapters.place(None, shipped=False)
    dtype = adapters.dtype_of(device)
    options = {"dtype": dtype, "quantization_config": adapters.quantization("nf4", dtype), "device_map": {"": device}}
    model, tokenizer = AutoModelForCausalLM.from_pretrained(made, **options), AutoTokenizer.from_pretrained(made)
    start_peaks()
    ends, lengths = bench_qlora.trl_steps(
        model,
        tokenizer,
        [prompt(tokenizer, lane.prompt)],
        lambda prompts, completions: [reward(completion) for completion in completions],
        clock=clock,
        peft_config=adapters.lora_config(lane.rank),
        use_cpu=device.type == "cpu",
        bf16=dtype == torch.bfloat16,
        fp16=dtype == torch.float16,
        per_device_train_batch_size=GROUP,
        num_generations=GROUP,
        max_completion_length=lane.tokens,
        max_steps=1 + lane.repeats,
    )
    assert lengths == [[lane.tokens] * GROUP] * (1 + lane.repeats), f"TRL's completions are not all full: {lengths}"
    return (ends[-1] - ends[0]) / lane.repeats, peaks()


def like_trained(model, ids, seed: int = 0) -> float:
    """Give random weights the logits of a trained model, and the adapter a part in them; returns their deviation.

    The final norm is scaled until logits have a standard deviation of SPREAD, which alone would leave an entropy of
    many nats; so one token in LOUD has LOUDER times the logit: a few dozens of those share nearly all probability.
    """
    inner, draw = prefix.inner(model), torch.Generator(ids.device).manual_seed(seed)
    with torch.no_grad(), prefix.dropout_off(model):
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.02, generator=draw)
        inner.get_output_embeddings().weight[::LOUD] *= LOUDER
        for _ in range(2):  # 16-bit weights: a second time corrects the rounding of the first
            inner.model.norm.weight *= SPREAD / inner(input_ids=ids, use_cache=False).logits.float().std()
        return inner(input_ids=ids, use_cache=False).logits.float().std().item()


def sampler(lane: Lane, folder: Path):
    """How far the sampler's log-probabilities are from the scorer's, at the logits of a trained model."""
    yield from apart(lane, folder, None, "<= 0.02 nats")
    if torch.cuda.is_available():  # fp16 rounds eight times finer than bf16 (arXiv 2510.26788)
        yield from apart(lane, folder, torch.float16, "")


def apart(lane: Lane, folder: Path, dtype, must: str):
    """The rows of `sampler` for one dtype of weights and products; None: that of the device."""
    made = build(folder / "1.5b", lane.shapes["1.5b"])
    model, tokenizer = lm.load(made, quantize="nf4", lora=lane.rank, dtype=dtype)
    text = prompt(tokenizer, lane.prompt)
    deviation = like_trained(model, prefix.encode(tokenizer, [text], prefix.device(model))[0])
    drawn = lm.sample(model, tokenizer, [text], GROUP, lane.tokens, seed=0)
    with torch.no_grad():
        scored, entropy = lm.score_tokens(model, drawn, entropy=True)
    gap = (drawn.logp - scored).abs()[drawn.mask]
    precision = str(prefix.inner(model).dtype).removeprefix("torch.")
    work = f"difference in {precision}, mean of {gap.numel()} tokens"
    yield row(work, "nats", gap.mean().item(), None, must)
    yield row("99th percentile", "nats", gap.quantile(0.99).item())
    yield row("largest", "nats", gap.max().item())
    # Only in this range do the numbers above say something about trained models.
    yield row("standard deviation of the logits", "nats", deviation, None, ">= 2.5 nats and <= 3.5 nats")
    unsure = entropy[drawn.mask].mean().item()
    yield row("entropy of the next token", "nats", unsure, None, ">= 0.5 nats and <= 2 nats")


DOES_NOT_RUN = (AssertionError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError)
WAYS = {  # how the kit can decode: what stands in decoding.py's place
    "growing cache": {"pays": lambda *_: False},
    "fixed cache, step by step": {"pays": lambda *_: True, "recorded": lambda function: None},
    "fixed cache, CUDA graph": {"pays": lambda *_: True},
}


@contextlib.contextmanager
def decoding_by(name: str):
    """Inside the block the kit samples in that way of WAYS."""
    with contextlib.ExitStack() as stack:
        for part, value in WAYS[name].items():
            stack.enter_context(mock.patch.object(decoding, part, value))
        yield


def rollouts(lane: Lane, folder: Path):
    """Tokens a second of sampling: the kit's three ways, then those of transformers."""
    model, tokenizer = lm.load(build(folder / "1.5b", lane.shapes["1.5b"]), quantize="nf4", lora=lane.rank)
    text, count, rates = prompt(tokenizer, lane.prompt), GROUP * lane.tokens, {}
    ids = prefix.encode(tokenizer, [text], prefix.device(model))[0].expand(GROUP, -1)
    chosen = "fixed cache, CUDA graph" if decoding.pays(ids.device, lane.tokens) else "growing cache"
    recording, record = [], decoding.recorded

    def sampled():
        assert lm.sample(model, tokenizer, [text], GROUP, lane.tokens, seed=0).mask.sum() == count

    def timed(function):
        start = clock()
        run = record(function)
        recording.append(clock() - start)
        return run

    for name in WAYS if torch.cuda.is_available() else [name for name in WAYS if "graph" not in name]:
        work = f"{name}, the kit's choice" if name == chosen else name
        with mock.patch.object(decoding, "recorded", timed), decoding_by(name), warnings.catch_warnings():
            warnings.filterwarnings("error", "no CUDA graph")
            try:
                rates[name] = count / seconds_of(sampled, lane.repeats)
            except UserWarning as error:
                yield row(f"{work}: {error}"[:300], "tokens/s", None, None, ">= 1 tokens/s")
                continue
        yield row(work, "tokens/s", rates[name])
    if recording:
        yield row("of that, recording the graph of a step", "s", statistics.median(recording))
    best = rates.get(chosen, max(rates.values()))
    for name, run in engines(model, lane, ids).items():
        try:
            rate = count / seconds_of(run, lane.repeats)
        except DOES_NOT_RUN as error:
            yield row(f"against {name}, which does not run: {type(error).__name__}: {error}"[:300], "", None)
            continue
        yield row(f"against {name}", "tokens/s", best, rate)


def engines(model, lane: Lane, ids) -> dict:
    """name -> a function that samples as many tokens by the library's own means; those that may break things last."""
    from transformers import GenerationConfig

    def config(**options):
        sampling = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
        ends = {"eos_token_id": prefix.inner(model).config.vocab_size, "pad_token_id": 0}
        return GenerationConfig(max_new_tokens=lane.tokens, **sampling, **ends, **options)

    def generate(**options):
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "generation_config": config(**options)}
        with torch.no_grad():
            out = model.generate(**given)
        assert out.shape == (GROUP, lane.prompt + lane.tokens)

    def batched():
        with torch.no_grad():
            out = model.generate_batch(ids.tolist(), generation_config=config(), progress_bar=False)
        assert [len(answer.generated_tokens) for answer in out.values()] == [lane.tokens] * GROUP

    static = {"cache_implementation": "static"}
    found = {"generate": generate, "generate, static cache": partial(generate, **static, disable_compile=True)}
    if torch.cuda.is_available():  # on a CPU the first does not compile, the second takes minutes to lay out its cache
        found |= {"generate, static cache, compiled": partial(generate, **static), "generate_batch": batched}
    return found


def update(lane: Lane, folder: Path):
    """An optimizer step on the whole group: with the shared prompt and by the full forward of every row."""
    model, tokenizer = lm.load(build(folder / "1.5b", lane.shapes["1.5b"]), quantize="nf4", lora=lane.rank)
    text = prompt(tokenizer, lane.prompt)
    drawn = lm.sample(model, tokenizer, [text], GROUP, lane.tokens, seed=0)
    objective, trainable = rlvr.grpo(), {name: p for name, p in model.named_parameters() if p.requires_grad}
    weights = objective.advantages(torch.tensor([[reward(answer) for answer in drawn.text]]))
    optimizer = torch.optim.AdamW(trainable.values(), lr=RATE, fused=True)
    given = model, trainable, optimizer, drawn, objective, weights, None, [0]
    how = {"max_new_tokens": lane.tokens, "micro_batch": None, "entropy_bonus": 0.0, "clip_gradient": 1.0}
    for recompute in (True, False):  # the one that takes less memory first
        checkpointing.switch(model, recompute)
        found = {}
        for shared in (True, False):
            start_peaks()
            with contextlib.nullcontext() if shared else bench_qlora.in_full():
                seconds = seconds_of(lambda: updates.update(*given, **how), lane.repeats)
            found[shared] = seconds, peaks()[0]
        (ours, memory), (theirs, full_memory) = found[True], found[False]
        work = f"layers {'recomputed' if recompute else 'kept'}; theirs: prompt and completion of every row"
        yield row(work, "s", ours, theirs)
        if memory is not None:
            yield row("peak of tensors", "GB", memory, full_memory)


SECTIONS = {
    "1.5b": ("a GRPO step of the 1.5B shape", partial(steps, "1.5b")),
    "sampler": ("|log-probability sampled - scored|, 1.5B shape, logits of a trained model's range", sampler),
    "rollouts": ("sampling, 1.5B shape", rollouts),
    "update": ("an update on the group, 1.5B shape", update),
    "7b": ("a GRPO step of the 7B shape", partial(steps, "7b")),
}


# ---- the run


def verdict(row: dict) -> str:
    """Empty, "reached", or "MISSED" and the conditions that do not hold. Raises ValueError on one nobody can check."""
    failed = []
    for condition in row["must"].split(" and ") if row["must"] else ():
        found = re.fullmatch(r"(<=|>=) ([\d.]+) (\S+)", condition)
        if found is None or found[3] not in ("x", row["unit"]):
            raise ValueError(f"must={condition!r}: must be like '<= 6 {row['unit']}' or '>= 2 x'")
        value, limit = row["ratio" if found[3] == "x" else "ours"], float(found[2])
        if value is None or not (value <= limit if found[1] == "<=" else value >= limit):
            failed.append(condition)
    return "MISSED " + ", ".join(failed) if failed else "reached" if row["must"] else ""


def here(lane: Lane) -> dict:
    """What numbers depend on: card, driver, CUDA, versions, and what was asked for."""
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    driver = None
    if card and shutil.which("nvidia-smi"):
        ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        driver = subprocess.run(ask, capture_output=True, text=True).stdout.strip().split("\n")[0]
    asked = lane._asdict() | {"group": GROUP}
    return {"card": card, "driver": driver, "cuda": torch.version.cuda, "versions": provenance.versions()} | asked


def measure(name: str, command: list) -> tuple:
    """(rows, here) of a section that `command` runs; what else it prints passes on to stderr.

    A section that fails adds a row that says why.
    """
    rows, place, tail = [], {}, deque(maxlen=60)
    one_card = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    alone = {"CUDA_VISIBLE_DEVICES": one_card, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with subprocess.Popen(command, env=os.environ | alone, **pipes) as child:
        for line in filter(str.strip, child.stdout):
            if not line.startswith(MARK):
                tail.append(line.rstrip())
                print(line, end="", file=sys.stderr, flush=True)
            elif "work" in (found := json.loads(line.removeprefix(MARK))):
                rows.append({"section": name, **found, "verdict": verdict(found)})
                print(table(rows[-1:]).split("\n")[-1], file=sys.stderr, flush=True)  # a run may be cut short
            else:
                place = found
    if child.returncode:
        said = [line for line in tail if re.match(r"[\w.]*(Error|Exception|Interrupt|Warning)\b", line)] or [""]
        why = f"FAILED (exit status {child.returncode}): {said[-1][:200]}"
        empty = dict.fromkeys(("ours", "theirs", "ratio"))
        rows.append({"section": name, "work": name, "unit": "", **empty, "must": "", "verdict": why})
    return rows, place


def table(rows: list) -> str:
    """The rows for people, below the title of their section."""

    def number(value, unit):
        return "" if value is None else f"{value:,.0f} {unit}" if value >= 1000 else f"{value:,.3g} {unit}"

    lines, titles = [("", "ours", "theirs", "ratio", "must be", "")], {}
    for row in rows:
        values = [number(row[name], row["unit"]) for name in ("ours", "theirs")]
        titles.setdefault(row["section"], len(lines))
        lines.append(("  " + row["work"], *values, number(row["ratio"], "x"), row["must"], row["verdict"]))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    text = ["  ".join([*map(str.ljust, line, widths), line[5]]).rstrip() for line in lines]
    for name, first in reversed(titles.items()):
        text.insert(first, f"{name}: {SECTIONS[name][0]}")
    return "\n".join(text)


def store(file: Path, place: dict, rows: list) -> None:
    """Keep rows, replacing those of their sections; rows of another card or other versions go."""
    old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    kept = old.get("rows", []) if all(old.get(name) == value for name, value in place.items()) else []
    new = {row["section"] for row in rows}
    date, kept = declarations.now(), [row for row in kept if row["section"] not in new]
    rows = sorted(kept + [row | {"date": date} for row in rows], key=lambda row: list(SECTIONS).index(row["section"]))
    declarations.write(file, "rlkit-bench", place | {"date": date, "git": provenance.git_state(), "rows": rows})


def main(arguments: list | None = None) -> int:
    """Run sections, print the table, keep what a GPU measured; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", action="append", choices=SECTIONS, help="this section (may be given again)")
    parser.add_argument("--quick", action="store_true", help="one repeat; keeps nothing")
    parser.add_argument("--section", nargs=2, help=argparse.SUPPRESS)  # name, folder: in the section's own process
    chosen = parser.parse_args(arguments)
    if chosen.section:
        name, folder = chosen.section
        section(name, lane(chosen.quick), Path(folder))
        return 0
    names, card, rows, place = chosen.only or list(SECTIONS), torch.cuda.is_available(), [], {}
    if not card:
        print("\n".join(f"{name}: {SECTIONS[name][0]}: {NO_CARD}" for name in names))
    with tempfile.TemporaryDirectory() as folder:
        for name in [name for name in SECTIONS if name in names]:
            print(f"{name} ...", file=sys.stderr, flush=True)
            command = [sys.executable, __file__, "--section", name, folder, *(["--quick"] if chosen.quick else [])]
            found, said = measure(name, command)
            rows, place = rows + found, said or place
            if card and place and not chosen.quick:
                store(RESULT, place, found)
    failed = [row for row in rows if row["verdict"].startswith(("FAILED", "MISSED"))]
    what = place.get("card") or "CPU lane: the same code, small shapes in the place of the real ones; nothing is judged"
    print(f"\n{what}\n{table(rows)}\n\n{len(rows)} rows; failed or missed: {len(failed)}")
    if card and place and not chosen.quick:
        print(f"wrote {RESULT.relative_to(ROOT)}")
    return int(bool(failed) or not rows)


def section(name: str, lane: Lane, folder: Path) -> None:
    """Run one section and print a line for each row as soon as it is there."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    for found in itertools.chain([here(lane)], SECTIONS[name][1](lane, folder)):
        print("\n" + MARK + json.dumps(found), flush=True)


if __name__ == "__main__":
    sys.exit(main())
