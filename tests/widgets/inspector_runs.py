"""Runs with completions as a learner logs them, made from a seed: what the tests of SampleInspector look at."""

import numpy as np

from rlkit.runs import Run

OBJECTIVE = {"name": "grpo", "options": {}}


def completions(step, prompts=6, group_size=8, seed=0, same_prompts=True):
    """Rows of one step, as rlvr.train logs them: sums to write down, right more often at later steps.

    Prompt 0 is too easy and always right, so its group is dead; one completion in ten is cut off at 12 tokens.
    """
    rng = np.random.default_rng([seed, step])
    rows = []
    for p in range(prompts):
        a, b = (p + 2, p + 3) if same_prompts else rng.integers(2, 40, 2).tolist()
        skill = 1.0 if p == 0 else min(0.9, 0.15 + step / 60)
        group = [_completion(rng, a, b, skill, p, g, step) for g in range(group_size)]
        rewards = np.array([row["reward"] for row in group])
        for row in group:
            row["advantage"] = float((row["reward"] - rewards.mean()) / (rewards.std(ddof=1) + 1e-4))
        rows += group
    return rows


def _completion(rng, a, b, skill, p, g, step):
    right, cut = rng.random() < skill, p > 0 and rng.random() < 0.1
    answer = a + b if right else a + b + int(rng.integers(1, 4))
    words = f"steps {a} + {b} = {answer} ; answer {answer}".split()
    words = (["steps"] + ["so"] * 11) if cut else words if right or rng.random() < 0.8 else words[:-2]
    tokens = words if cut else words + ["<eos>"]
    entropy = rng.gamma(2.0, 0.3, len(tokens)) / (1 + step / 20)
    logp = -rng.gamma(1.0, 1.0, len(tokens)) * entropy
    correct, formed = float(right and not cut), float(not cut and "answer" in words)
    drift = rng.normal(0, 0.05, len(tokens))
    return {
        "kind": "sample", "problem": f"sum-{a}-{b}", "group": p, "sample": g, "prompt": f"sum {a} + {b} :",
        "completion": " ".join(words), "tokens": tokens, "token_ids": rng.integers(3, 256, len(tokens)).tolist(),
        "logp_sampled": logp.tolist(), "logp_new": (logp + drift + (0.1 if correct else -0.1)).tolist(),
        "logp_reference": (logp + rng.normal(0, 0.2, len(tokens))).tolist(), "entropy": entropy.tolist(),
        "reward": correct, "reward_parts": {"correct": correct, "format": formed},
        "finish_reason": "length" if cut else "stop",
    }  # fmt: skip


def make(root, steps=(0, 10, 20), name="demo", config=None, **how):
    """A finished run with completions at the given steps."""
    run = Run.create(name, {"objective": OBJECTIVE, "max_new_tokens": 12} if config is None else config, root=root)
    for step in steps:
        run.log(step, reward=step / 100)
        run.log_rollouts(step, completions(step, **how))
        run.log_rollouts(step, [{"kind": "evaluation", "at": step, "samples": 4, "problems": ["a"], "correct": [1]}])
    run.finish()
    return run
