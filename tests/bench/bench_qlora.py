"""QLoRA on a CPU: an update with shared prompts beside the full forward of every row, and a GRPO step beside TRL's.

CPU-seconds by time.process_time, medians of turns taken in this process on one thread. On both sides 4-bit weights are
kept from being repacked (`rlkit.lm.prefix.dropout_off` tells them so for good): bitsandbytes does that on some CPUs
when a model runs in eval mode, and their gradients are wrong after it.
"""

import contextlib
import io
import statistics
import tempfile
import time
import warnings
from unittest import mock

import numpy as np
import torch

from rlkit import lm, rlvr
from rlkit.lm import adapters, checkpointing, models, prefix, scoring
from rlkit.lm.vocabulary import WORDS

REPEATS, STEPS, RANK = 5, 3, 8
PROMPTS, GROUP, PROMPT, TOKENS = 4, 16, 64, 16  # of the update
STEP = 16, 16  # prompts and rollouts of each, of the GRPO step
AT_ONCE = 128  # rows that TRL takes through the model together: 64, 128 and 256 cost it about the same here
RATE = 1e-6  # so small that the policy, and with it the lengths, stay as they are


def medium() -> tuple:
    """(model, tokenizer): the 0.8 M model, untrained, in NF4 with a new adapter."""
    with tempfile.TemporaryDirectory() as folder:
        lm.save(*models.fresh("m", seed=0), folder)
        return lm.load(folder, quantize="nf4", lora=RANK)


def in_full():
    """Inside the block `score_tokens` runs prompt and completion of every row, whether layers recompute or not."""

    def full(model, call, prompt_ids, prompt_mask, recompute):
        return scoring._plain(call, prompt_ids, prompt_mask)

    return mock.patch.object(scoring, "_shared", full)


def backward(model, rollouts, shared: bool, recompute: bool):
    """log-probabilities [B, T] of the rollouts, after their sum has left its gradient in the adapter."""
    checkpointing.switch(model, recompute)
    model.zero_grad()
    with contextlib.nullcontext() if shared else in_full():
        logp = lm.score_tokens(model, rollouts, entropy=True)[0]
    logp.sum().backward()
    return logp.detach()


def updates() -> list:
    """Three rows: shared prompts against the full forward, the same with recomputed layers, and how far they differ."""
    model, tokenizer = medium()
    rng = np.random.default_rng(0)
    prompts = [" ".join(WORDS[i] for i in rng.integers(3, 183, size=PROMPT)) for _ in range(PROMPTS)]
    rollouts = lm.sample(model, tokenizer, prompts, GROUP, TOKENS, seed=0)
    ways = [(shared, recompute) for recompute in (False, True) for shared in (True, False)]
    used, logp = {way: [] for way in ways}, {}
    for _ in range(REPEATS + 1):  # the first one warms up
        for way in ways:
            start = time.process_time()
            logp[way] = backward(model, rollouts, *way)
            used[way].append(time.process_time() - start)
    seconds = {way: statistics.median(found[1:]) for way, found in used.items()}
    furthest = max((logp[way] - logp[False, False]).abs().max().item() for way in ways)
    assert furthest < 1e-5, f"log-probabilities differ by {furthest:.1e}: not the same work"
    batch = f"NF4 and LoRA, update of {PROMPTS} x {GROUP} rollouts, {PROMPT} + {TOKENS} tokens"
    table = []
    for recompute, name, must in ((False, "", ">= 1.8 x"), (True, ", layers recomputed", "printed")):
        ours, theirs = seconds[True, recompute], seconds[False, recompute]
        work = f"{batch}{name}; theirs: full forward"
        table.append({"work": work, "ours": ours, "theirs": theirs, "ratio": theirs / ours, "must": must})
    work = f"the same, log-probabilities shared against full: largest difference {furthest:.1e} nats"
    return [*table, {"work": work, "ours": None, "theirs": None, "ratio": None, "must": "printed"}]


def problems_of(task, count: int = 64) -> list:
    """Training problems whose prompts all differ, so that TRL's reward finds the problem by its prompt."""
    found = task.problems(count, seed=0)
    assert len({problem.prompt for problem in found}) == count
    return found


def ours(task) -> tuple:
    """(CPU-seconds, mean length) of one of our steps."""
    return our_step(*lm.load("s-countdown", quantize="nf4", lora=RANK), task, problems_of(task), *STEP)


def our_step(model, tokenizer, task, problems, prompts: int, group: int) -> tuple:
    """(CPU-seconds, mean length) of one of our steps, between the ends of two that lie STEPS apart."""
    learner = rlvr.train(
        model,
        tokenizer,
        task,
        rlvr.grpo(),
        steps=1 + STEPS,
        learning_rate=RATE,
        problems=problems,
        prompts_per_step=prompts,
        group_size=group,
        reference=None,
    )
    ends, lengths = [], []
    for step in learner:
        ends.append(time.process_time())
        lengths += [step.metrics["length"]] if step.step else []
    return (ends[-1] - ends[1]) / STEPS, statistics.mean(lengths)


def theirs(task, rows_at_once: int = AT_ONCE) -> tuple:
    """(CPU-seconds, mean length) of one step of TRL."""
    model, tokenizer = lm.load("s-countdown", quantize="nf4")
    known = {problem.prompt: problem for problem in problems_of(task)}

    def reward(prompts, completions, **_):
        judged = (task.verify(known[p], c) for p, c in zip(prompts, completions, strict=True))
        return [task.reward(parts) for parts in judged]

    ends, lengths = trl_steps(
        model,
        tokenizer,
        list(known),
        reward,
        clock=time.process_time,
        peft_config=adapters.lora_config(RANK),
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        per_device_train_batch_size=rows_at_once,
        gradient_accumulation_steps=STEP[0] * STEP[1] // rows_at_once,
        num_generations=STEP[1],
        max_completion_length=task.max_new_tokens,
        max_steps=1 + STEPS,
    )
    return (ends[-1] - ends[0]) / STEPS, statistics.mean(map(statistics.mean, lengths))


def trl_steps(model, tokenizer, prompts, reward, *, clock, peft_config, **arguments) -> tuple:
    """(clock at the end of each step, lengths of all completions of each step) of TRL's GRPOTrainer without vLLM.

    arguments: of GRPOConfig. The rest is as in `rlvr.train` with `rlvr.grpo()`: no reference, the plain softmax.
    """
    import datasets
    import transformers
    import trl

    ends, lengths = [], []

    class Clock(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            ends.append(clock())

    def rewarded(prompts, completions, completion_ids, **_):
        lengths.append([len(ids) for ids in completion_ids])
        return reward(prompts=prompts, completions=completions)

    with prefix.dropout_off(model):  # tells 4-bit weights not to be repacked; the modes come back
        pass
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = trl.GRPOConfig(
            output_dir=folder,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            loss_type="grpo",
            beta=0.0,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            report_to="none",
            disable_tqdm=True,
            logging_strategy="no",
            save_strategy="no",
            **arguments,
        )
        data = datasets.Dataset.from_dict({"prompt": prompts})
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a summary at the end
            trainer = trl.GRPOTrainer(
                model,
                rewarded,
                args=config,
                train_dataset=data,
                processing_class=tokenizer,
                peft_config=peft_config,
                callbacks=[Clock()],
            )
            trainer.train()
    states = [getattr(p, "quant_state", None) for p in model.parameters()]
    assert not any(getattr(state, "packing_format_for_cpu", False) for state in states), "repacked"
    return ends, lengths


def steps() -> dict:
    """One row: a GRPO step, ours and TRL's taking turns. Raises AssertionError if the two do not do the same work."""
    task = lm.tasks.countdown(numbers=4, largest=100)
    turns = [(ours(task), theirs(task)) for _ in range(REPEATS)]
    length, other = (statistics.mean(turn[i][1] for turn in turns) for i in (0, 1))
    assert abs(length / other - 1) < 0.1, f"completions of {length:.1f} and {other:.1f} tokens: not the same work"
    seconds, trl = (statistics.median(turn[i][0] for turn in turns) for i in (0, 1))
    work = f"NF4 and LoRA, GRPO step, {STEP[0]} prompts x {STEP[1]} on s-countdown (mean {length:.1f}), against TRL"
    return {"work": work, "ours": seconds, "theirs": trl, "ratio": trl / seconds, "must": ">= 1.5 x"}


def rows() -> list:
    """`ours` and `theirs` in CPU-seconds, `ratio` = theirs / ours."""
    torch.set_num_threads(1)
    return [*updates(), steps()]


if __name__ == "__main__":
    for line in rows():
        print(line)
