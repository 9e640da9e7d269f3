"""For a training that outgrows one machine: what verl (HybridFlow, arXiv 2409.19256) needs to go on with it.

Checked against verl 0.9.1: `make test-verl` loads an export with verl's own data set, reward manager and configuration.
"""

import inspect
import math
from pathlib import Path

import torch
import yaml

from rlkit import checks, paths
from rlkit.rlvr import arguments, verl_files
from rlkit.rlvr.learner import train

HELD_OUT = 128  # test problems, where no evaluation is given
OPEN = 1e9  # a bound of the ratio that never binds: verl cuts log-ratios at 20 itself, and exp(20) is 4.9e8
TEMPLATE = 256  # tokens that a chat template may put around a prompt
AGGREGATIONS = {"token": "token-mean", "sequence": "seq-mean-token-mean", "constant": "seq-mean-token-sum-norm"}
KL = {"k1": "kl", "k2": "mse", "k3": "low_var_kl"}
# objective -> verl's advantage, whether it divides by the standard deviation, and its policy loss
OBJECTIVES = {
    "grpo": ("grpo", True, "vanilla"),
    "dapo": ("grpo", True, "vanilla"),
    "dr_grpo": ("grpo", False, "vanilla"),
    "gspo": ("grpo", True, "gspo"),
    "cispo": ("grpo", True, "cispo"),
    "rloo": ("rloo", False, "vanilla"),
}


def export_verl(
    folder,
    task,
    *,
    objective,
    model: str,
    steps: int,
    learning_rate: float,
    seed: int = 0,
    problems: list | None = None,
    evaluation: list | None = None,
    prompts_per_step: int = 16,
    group_size: int = 16,
    temperature: float = 1.0,
    weight_decay: float = 0.0,
    clip_gradient: float | None = 1.0,
    updates_per_batch: int = 1,
    mini_batches: int = 1,
    evaluate_every: int | None = None,
    evaluation_samples: int = 16,
) -> Path:
    """Write a training as `rlvr.train` would do it into a new folder, for verl to do on many GPUs; returns the folder.

    train.parquet, test.parquet: columns data_source (task.name), prompt (one user message), ability, reward_model
    {style: "rule", ground_truth: the problem as JSON} and extra_info {split, index, problem}. reward.py: compute_score
    by the task's own verifier. config.yaml: verl's names for all settings. run.sh, README.md: the one command, and what
    differs there. More settings of verl (LoRA, GPUs, memory) may follow that command.

    model: the hub id, or the folder on the machine that trains, of a model with a chat template. evaluation: default
    128 test problems (64, 32, ... where the task has fewer). The other arguments are those of `train`, with the same
    meanings and defaults. Of problems fewer than prompts_per_step each comes several times, as several groups.
    The mapping of objectives, exact up to what README.md lists: grpo, dapo, dr_grpo, gspo and cispo are verl's
    adv_estimator grpo (dr_grpo without the standard deviation), rloo its rloo; gspo and cispo are loss modes of that
    name, the others vanilla with its dual clip off; clip ranges, cap, beta and aggregation have names of verl's own.

    Raises ValueError in one line for bad arguments, a folder that is not empty, an objective or option that verl cannot
    express, a verifier that no module holds, and problems that are not JSON; ImportError without pyarrow.
    """
    given = {name: value for name, value in locals().items() if name not in ("folder", "task")}
    if not isinstance(model, str) or not model.strip() or "${" in model:
        checks.fail("model", model, "a hub id like owner/name, or a folder")
    if evaluation is None:
        evaluation = arguments.default_problems(task, seed, HELD_OUT, "test")
    given["evaluation"] = evaluation
    defaults = {name: parameter.default for name, parameter in inspect.signature(train).parameters.items()}
    trained = {"model": torch.nn.Parameter(torch.zeros(1))}  # in place of the weights, which are elsewhere
    problems = arguments.check(defaults | given | {"task": task}, trained)
    if prompts_per_step % mini_batches:
        checks.fail("mini_batches", mini_batches, f"a divisor of prompts_per_step={prompts_per_step}: verl's are equal")
    verifier, loss = verl_files.verifier_of(task), loss_settings(objective, task.max_new_tokens)
    repeated = problems * -(-prompts_per_step // len(problems))
    train_rows, test_rows = (verl_files.rows(task, *some) for some in ((repeated, "train"), (evaluation, "test")))
    longest = max(len(row["prompt"][0]["content"].encode()) for row in train_rows + test_rows)
    config = {
        "hydra": {"searchpath": ["pkg://verl.trainer.config"]},
        "defaults": ["ppo_trainer", "_self_"],
        "data": {
            "train_batch_size": prompts_per_step,
            "max_prompt_length": longest + TEMPLATE,
            "max_response_length": task.max_new_tokens,
            "seed": seed,
        },
        "algorithm": loss["algorithm"],
        "actor_rollout_ref": {
            "model": {"path": model},
            "actor": loss["actor"]
            | {
                "optim": {
                    "lr": float(learning_rate),
                    "weight_decay": float(weight_decay),
                    "clip_grad": OPEN if clip_gradient is None else float(clip_gradient),
                },
                "ppo_mini_batch_size": prompts_per_step // mini_batches,
                "ppo_epochs": updates_per_batch,
                "use_dynamic_bsz": True,
                "ppo_max_token_len_per_gpu": max(16384, longest + TEMPLATE + task.max_new_tokens),
            },
            "rollout": {
                "name": "vllm",
                "tensor_model_parallel_size": 1,
                "n": group_size,
                "temperature": float(temperature),
                "seed": seed,
                "val_kwargs": {"do_sample": True, "n": evaluation_samples, "temperature": float(temperature)},
            },
        },
        "trainer": {
            "total_training_steps": steps,
            "total_epochs": math.ceil(steps / (len(repeated) // prompts_per_step)),
            "test_freq": evaluate_every or -1,
            "logger": ["console"],
            "project_name": "rlkit",
            "experiment_name": f"{train_rows[0]['ability']}-{objective.name}",
        },
    }
    home = paths.home() / folder
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        checks.fail("folder", str(folder), "new or empty: nothing is overwritten")
    home.mkdir(parents=True, exist_ok=True)
    verl_files.save(train_rows, home / "train.parquet")
    verl_files.save(test_rows, home / "test.parquet")
    told = {"title": config["trainer"]["experiment_name"], "train": len(train_rows), "test": len(test_rows)}
    texts = {
        "reward.py": verl_files.REWARD.format(**verifier),
        "config.yaml": yaml.safe_dump(config, sort_keys=False),
        "run.sh": verl_files.RUN,
        "README.md": verl_files.README.format(**told, objective=objective.name, template=TEMPLATE),
    }
    for name, text in texts.items():
        (home / name).write_text(text, encoding="utf-8")
    return home


def loss_settings(objective, max_new_tokens: int) -> dict:
    """The objective in verl's names: {"algorithm": settings, "actor": settings}."""
    if objective.name not in OBJECTIVES:
        checks.fail("objective", objective.name, f"one that verl can express: {', '.join(OBJECTIVES)}")
    options = objective.options
    if options.get("ddof") == 0:
        checks.fail("ddof", 0, "1: verl's standard deviation divides by G - 1")
    if options["beta"] and options["kl_times_ratio"]:
        checks.fail("kl_times_ratio", True, "False: verl does not multiply the KL by the ratio")
    estimator, by_std, mode = OBJECTIVES[objective.name]
    if mode == "cispo":
        low, high = None, options["cap"] - 1  # verl's bounds are relative, the cap is absolute
    else:
        low, high = options["clip_low"], options["clip_high"]
    actor = {
        "policy_loss": {"loss_mode": mode},
        "clip_ratio_low": 1.0 if low is None else float(low),  # a ratio is never below 0
        "clip_ratio_high": OPEN if high is None else float(high),
        "clip_ratio_c": OPEN,
        "loss_agg_mode": AGGREGATIONS[options["aggregation"]],
        "loss_scale_factor": max_new_tokens if options["aggregation"] == "constant" else None,
        "use_kl_loss": bool(options["beta"]),
    }
    if options["beta"]:
        actor |= {"kl_loss_coef": float(options["beta"]), "kl_loss_type": KL[options["kl"]]}
    return {"algorithm": {"adv_estimator": estimator, "norm_adv_by_std_in_grpo": by_std}, "actor": actor}
