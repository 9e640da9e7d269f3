"""One full GRPO step, sampling included, against TRL's GRPOTrainer: the same model, prompts, batch, reward, settings.

Both run in this process on one thread, take turns, and are charged for what a step costs once they are set up: the
CPU-seconds between the ends of two steps that lie STEPS apart. Medians of REPEATS. Run with OMP_NUM_THREADS=1.
"""

import statistics
import time

import numpy as np
import torch

from rlkit.lm import models
from rlkit.lm.rollouts import sample
from rlkit.lm.tasks import Problem, Task
from rlkit.lm.vocabulary import WORDS
from tests.bench.bench_qlora import STEPS, our_step, trl_steps

PROMPTS, GROUP, REPEATS = 16, 16, 3
AT_ONCE = 64  # rows that TRL takes through the model together: of 32, 64, 128 and 256 its fastest here


def policy(mean_length: float | None):
    """The 0.79 M model, untrained; with a mean length, its completions end after each token with chance 1 / mean."""
    model, tokenizer = models.fresh("m", seed=0)
    if mean_length is not None:
        with torch.no_grad():  # one coordinate of the residual stream is the same for all tokens; <eos> reads it best
            weight = model.get_input_embeddings().weight  # [V, d], tied with the head
            weight[:, 0] = 1.0
            hidden = model.model(torch.arange(3, 67)[None]).last_hidden_state[..., 0].mean().item()
            weight[tokenizer.eos_token_id, 0] += np.log(len(WORDS) / mean_length) / hidden
            for seed in range(5):  # the odds of <eos> go with the inverse of the mean length
                found = sample(model, tokenizer, prompts(12), 16, 64, seed=seed).mask.sum(1).double().mean().item()
                weight[tokenizer.eos_token_id, 0] += np.log(found / mean_length) / hidden
    return model, tokenizer


def prompts(tokens: int, count: int = 64) -> list:
    """Texts of that many tokens, all different."""
    rng = np.random.default_rng(0)
    return [" ".join(WORDS[i] for i in rng.integers(3, 183, size=tokens - 1)) + " :" for _ in range(count)]


def even(completion: str) -> float:
    """The reward: the share of even numbers among the words."""
    words = completion.split(" ")
    return sum(word.isdigit() and int(word) % 2 == 0 for word in words) / len(words)


def ours(tokens: int, longest: int, mean_length):
    """(CPU-seconds, mean length) of one of our steps."""
    model, tokenizer = policy(mean_length)
    problems = [Problem(text, text, {}) for text in prompts(tokens)]

    def parts(problem, completion):
        return {"format": 1.0, "correct": even(completion)}

    task = Task("even", {"correct": 1.0}, longest, None, parts, None)
    return our_step(model, tokenizer, task, problems, PROMPTS, GROUP)


def theirs(tokens: int, longest: int, mean_length, rows_at_once: int = AT_ONCE):
    """(CPU-seconds, mean length) of one step of TRL."""
    model, tokenizer = policy(mean_length)
    ends, lengths = trl_steps(
        model,
        tokenizer,
        prompts(tokens),
        lambda prompts, completions: [even(completion) for completion in completions],
        clock=time.process_time,
        peft_config=None,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        per_device_train_batch_size=rows_at_once,
        gradient_accumulation_steps=PROMPTS * GROUP // rows_at_once,
        num_generations=GROUP,
        max_completion_length=longest,
        max_steps=1 + STEPS,
    )
    return (ends[-1] - ends[0]) / STEPS, statistics.mean(map(statistics.mean, lengths))


def compare(work: str, must: str, *shape) -> dict:
    """One row: medians of the two taking turns. Raises AssertionError if the two do not do the same work."""
    rounds = [(ours(*shape), theirs(*shape)) for _ in range(REPEATS)]
    length, other = (statistics.mean(r[i][1] for r in rounds) for i in (0, 1))
    assert abs(length / other - 1) < 0.1, f"completions of {length:.1f} and {other:.1f} tokens: not the same work"
    seconds, trl = (statistics.median(r[i][0] for r in rounds) for i in (0, 1))
    work = f"GRPO step, {PROMPTS} prompts x {GROUP}, {work} (mean {length:.1f}), against TRL"
    return {"work": work, "ours": seconds, "theirs": trl, "ratio": trl / seconds, "must": must}


def rows() -> list:
    """Three shapes; `ours` and `theirs` in CPU-seconds for one step, `ratio` theirs / ours."""
    torch.set_num_threads(1)
    return [
        compare("prompts of 12 tokens, completions of at most 16", ">= 1.5 x", 12, 16, None),
        compare("prompts of 128 tokens, completions of at most 16", ">= 3.5 x", 128, 16, None),
        compare("prompts of 12 tokens, completions of at most 64", ">= 2.5 x", 12, 64, 16),
    ]


if __name__ == "__main__":
    for line in rows():
        print(line)
