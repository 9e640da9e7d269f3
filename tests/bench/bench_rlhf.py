"""One PPO step of RLHF against the kit's GRPO step: the same model, prompts, rollouts and number of updates.

Both run in this process on one thread, take turns, and are charged for what a step costs once they are set up.
Medians of REPEATS. Run with OMP_NUM_THREADS=1.
"""

import statistics
import time

from rlkit import lm, rlhf, rlvr

STEPS, REPEATS = 3, 5


def seconds(learner) -> float:
    """CPU-seconds of a step: between the ends of two that lie STEPS apart."""
    ends = [time.process_time() for step in learner if step.step >= 1]
    return (ends[-1] - ends[0]) / STEPS


def step_of(ppo: bool, updates: int) -> float:
    """One measurement, from the shipped weights, with that many updates on each batch."""
    model, tokenizer = lm.load("s-countdown")
    task = lm.tasks.countdown(numbers=4)
    given = {"steps": 1 + STEPS, "learning_rate": 1e-4, "problems": task.problems(64, seed=0), "seed": 0}
    given |= {"prompts_per_step": 16, "group_size": 16, "updates_per_batch": updates}
    if ppo:
        return seconds(rlhf.ppo(model, tokenizer, task, rlhf.gold(task), beta=0.05, **given))
    return seconds(rlvr.train(model, tokenizer, task, rlvr.grpo(), **given))


def rows() -> list:
    """PPO beside GRPO with the four updates a batch that PPO has by default, and with one."""
    table = []
    for updates in (4, 1):
        rounds = [(step_of(True, updates), step_of(False, updates)) for _ in range(REPEATS)]
        ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
        work = f"PPO step (token critic, GAE), 0.11M, 16 x 16 rollouts, updates: {updates}, against the kit's GRPO step"
        table.append({"work": work, "ours": ours, "theirs": theirs, "ratio": theirs / ours, "must": ">= 0.625 x"})
    return table
