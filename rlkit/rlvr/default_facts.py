"""What papers and TRL say of hyper-parameters, as data for `rlkit.rlvr.defaults`.

A paper's value stands beside its source; what a paper does not say is left out. TRL's values are those of TRL_VERSION,
once it has been asked for this loss (the row `loss`), with all else as it comes; tests compare them with the installed
TRL.
"""

NOT_SAID, NO_DEFAULT, NO_OPTION, NOT_IN_TRL = "not said", "no default", "no option", "not in TRL"
TRL_VERSION = "1.16.0"

# topic -> name in this kit -> meaning
TOPICS = {
    "loss": {
        "loss": "how to ask for it",
        "advantage": "A of a completion, from the rewards r of its group",
        "ddof": "the std of G rewards divides by G - ddof",
        "std_epsilon": "added to the std",
        "baseline": "subtracted from the reward",
        "over": "completions that the loss is a mean over",
        "positive": "weight of correct completions beside wrong ones",
        "normalize": "weight of a group: 0 none, 1 as Dr. GRPO, 2 as GRPO",
        "neg_weight": "weight of wrong completions",
        "eps": "floor of the implicit ratio of wrong completions",
        "ratio": "importance ratio of a",
        "clip_low": "ratio clipped below 1 - clip_low",
        "clip_high": "ratio clipped above 1 + clip_high",
        "cap": "a ratio counts at most",
        "aggregation": 'the loss is a mean over ("constant": N L)',
        "beta": "weight of the KL to the reference",
        "kl": "estimator of that KL",
        "kl_times_ratio": "that KL times the ratio",
        "reset_reference_every": "updates after which the reference becomes the policy",
        "entropy_bonus": "weight of the entropy",
    },
    "sampling": {
        "prompts_per_step": "prompts",
        "group_size": "completions of each prompt, G",
        "temperature": "temperature",
        "top_p": "nucleus (1: whole distribution)",
        "top_k": "likeliest tokens only (0: all)",
        "max_new_tokens": "longest completion, L",
        "truncated": "completions cut off at L",
        "dynamic_sampling": "more rounds for groups with equal rewards",
    },
    "updates": {
        "updates_per_batch": "passes over a batch",
        "mini_batches": "updates of a pass",
        "learning_rate": "learning rate",
        "schedule": "learning rate over time",
        "warmup": "steps of warm-up",
        "adam_betas": "AdamW's betas",
        "adam_epsilon": "AdamW's epsilon",
        "weight_decay": "weight decay",
        "clip_gradient": "largest norm of the gradient",
        "dropout": "dropout",
        "precision": "precision",
    },
    "adapter": {
        "rank": "rank r",
        "alpha": "an adapter adds (alpha / r) B A",
        "lora_dropout": "dropout before A",
        "target_modules": "layers with an adapter",
        "lora_learning_rate": "learning rate of an adapter",
        "adapter_dtype": "adapter on 4-bit weights held in",
        "quantize": "4-bit weights",
        "double_quantization": "scales quantised once more",
        "compute_dtype": "4-bit weights multiplied in",
    },
}

# fmt: off
_YAML, _CORE = "authors' ppo_trainer.yaml", "authors' core_algos.py"
_VERL, _NFT, _DR = "verl's run_dapo_qwen2.5_32b.sh", "authors' train_7B.sh", "authors' train_zero_math.py"
_RESAMPLED, _REGRET = "until the batch is full", "TRL's lora_without_regret.md"
_ZHU = {  # psr, nsr and w_reinforce: one paper, one script
    "ratio": ("token", _CORE), "clip_low": (0.2, "appendix D.1"), "clip_high": (0.2, "appendix D.1"),
    "aggregation": ("tokens of the micro-batch", _CORE), "beta": (0.0, "appendix D.1"),
    "entropy_bonus": (1e-4, f"appendix D.1; 0.001 in the {_YAML}"), "prompts_per_step": (1024, "section 3.1"),
    "group_size": (8, "section 3.1"), "temperature": (1.0, "section 3.1"), "top_p": (1.0, _YAML),
    "top_k": (0, f"{_YAML}: -1"), "max_new_tokens": (3072, "authors' run_qwen2.5-math-7b_psr_nsr.sh"),
    "updates_per_batch": (1, _YAML), "mini_batches": (4, "appendix D.1: 256 of 1,024 prompts"),
    "learning_rate": (1e-6, "appendix D.1"), "schedule": ("constant", _YAML), "warmup": (0, _YAML),
    "clip_gradient": (1.0, _YAML),
}
_KEPT = {"over": ("kept", "authors' ray_trainer.py")}
# objective -> name, where it is, {hyper-parameter: (value, source)}
PAPERS = {
    "reinforce": ("REINFORCE", "Williams 1992", {"advantage": ("r - b, any baseline b", "section 4")}),
    "rloo": ("RLOO", "arXiv 2402.14740", {
        "advantage": ("r - mean of the others", "sections 2 and 3"), "ratio": ("none", "section 3.2"),
        "clip_low": ("none", "section 3.2"), "clip_high": ("none", "section 3.2"),
        "aggregation": ("completion", "section 3: it is one action"), "beta": (0.03, "appendix C, TL;DR; 0.10 for HH"),
        "kl": ("k1, in the reward", "sections 2 and 3"), "group_size": ("2 and 4", "table 1"),
        "mini_batches": (2, "appendix C"), "learning_rate": (1e-6, "appendix C, as in TRL's paper_index.md"),
    }),
    "grpo": ("DeepSeekMath", "arXiv 2402.03300", {
        "loss": ("GRPO", "equation 3"), "advantage": ("(r - mean) / std", "section 4.1.2"),
        "ratio": ("token", "equation 3"), "aggregation": ("sequence", "equation 3"), "beta": (0.04, "section 4.2"),
        "kl": ("k3", "equation 4"), "kl_times_ratio": (False, "equation 3"),
        "reset_reference_every": ("one iteration", "algorithm 1"),
        "prompts_per_step": ("a batch of 1,024", "section 4.2, without its unit"), "group_size": (64, "section 4.2"),
        "max_new_tokens": (1024, "section 4.2"), "updates_per_batch": (1, "section 4.2"),
        "mini_batches": (1, "section 4.2"), "learning_rate": (1e-6, "section 4.2"),
    }),
    "dr_grpo": ("Dr. GRPO", "arXiv 2503.20783", {
        "loss": ("Dr. GRPO", "figure 1"), "advantage": ("r - mean", "section 3"), "ratio": ("token", "figure 1"),
        "clip_low": (0.2, "table 6"), "clip_high": (0.2, "table 6"), "aggregation": ("constant", _DR),
        "beta": (0.0, "table 6"), "group_size": (8, "table 6"),
        "prompts_per_step": (128, "authors' qwen2.5-math-7b.sh"),
        "temperature": (1.0, "table 6"), "top_p": (1.0, "table 6"), "top_k": (0, "table 6: -1"),
        "max_new_tokens": (3000, "table 6"), "truncated": ("reward 0", _DR), "updates_per_batch": (1, "table 6"),
        "learning_rate": (1e-6, "table 6"), "schedule": ("constant", "table 6"), "adam_betas": ((0.9, 0.95), "table 6"),
        "weight_decay": (0.0, "table 6"), "clip_gradient": (1.0, "table 6"),
        "precision": ("bf16", "authors' qwen2.5-math-7b.sh"),
    }),
    "dapo": ("DAPO", "arXiv 2503.14476", {
        "loss": ("DAPO", "equation 8"), "advantage": ("(r - mean) / std", "equation 9"),
        "ratio": ("token", "equation 8"), "clip_low": (0.2, "section 4.1"), "clip_high": (0.28, "section 4.1"),
        "aggregation": ("tokens of the group", "equation 8"), "beta": (0.0, "section 2.3"),
        "entropy_bonus": (0.0, _VERL), "prompts_per_step": (512, "section 4.1"), "group_size": (16, "section 4.1"),
        "temperature": (1.0, _VERL), "top_p": (1.0, _VERL), "top_k": (0, f"{_VERL}: -1"),
        "max_new_tokens": (20480, "section 4.1"),
        "truncated": ("up to 1 off the reward in the last 4,096 tokens", "equation 13, section 4.1"),
        "dynamic_sampling": (_RESAMPLED, "section 3.2; 10 rounds at most in verl's script"),
        "mini_batches": (16, "section 4.1"), "learning_rate": (1e-6, "section 4.1"),
        "schedule": ("constant", "section 4.1"), "warmup": (20, "section 4.1; 10 in verl's script"),
        "weight_decay": (0.1, _VERL), "clip_gradient": (1.0, _VERL), "dropout": ("off", _VERL),
    }),
    "gspo": ("GSPO", "arXiv 2507.18071", {
        "loss": ("GSPO", "equation 5"), "advantage": ("(r - mean) / std", "equation 6"),
        "ratio": ("sequence, geometric mean", "equation 7"), "clip_low": (3e-4, "section 5.1"),
        "clip_high": (4e-4, "section 5.1"), "aggregation": ("sequence", "equation 5"),
        "mini_batches": (4, "section 5.1"),
    }),
    "cispo": ("MiniMax-M1", "arXiv 2506.13585", {
        "loss": ("CISPO", "equation 4"), "advantage": ("(r - mean) / std", "section 3.1"),
        "ratio": ("token", "equation 5"), "aggregation": ("tokens of the group", "equation 4"),
        "beta": (0.0, "section 3.1"), "max_new_tokens": ("40,000, later 80,000", "abstract"),
        "dynamic_sampling": (_RESAMPLED, "section 3.1, as DAPO"), "mini_batches": (16, "section 3.1"),
        "adam_betas": ((0.9, 0.95), "section 3.2"), "adam_epsilon": (1e-15, "section 3.2"),
        "precision": ("fp32 head", "section 3.2"),
    }),
    "psr": ("PSR", "arXiv 2506.01347", {"advantage": ("r", "section 2.2, with r = -1 as 0")} | _KEPT | _ZHU),
    "nsr": ("NSR", "arXiv 2506.01347", {"advantage": ("r - 1", "section 2.2, with r = -1 as 0")} | _KEPT | _ZHU),
    "w_reinforce": ("W-REINFORCE", "arXiv 2506.01347", {
        "advantage": ("positive r - (1 - r)", "equation 9, with r = -1 as 0"), "positive": (0.1, "section 5"),
    } | _ZHU),
    "nft": ("NFT", "arXiv 2505.18116", {
        "loss": ("NFT", "equation 10"), "advantage": ("r - mean", "section 4: on-policy with this normalize"),
        "normalize": (1, "section 5.1"), "neg_weight": (1.0, _NFT), "eps": (1.0, "section 5.1"),
        "ratio": ("token", "equation 10"), "aggregation": ("1,000", "authors' dp_actor.py"), "beta": (0.0, _NFT),
        "entropy_bonus": (0.0, _NFT), "prompts_per_step": (512, "section 5.1"), "group_size": (16, "section 5.1"),
        "temperature": (1.0, "section 5.1"), "top_p": (1.0, "authors' nft_trainer.yaml"),
        "top_k": (0, "authors' nft_trainer.yaml: -1"), "max_new_tokens": (3584, _NFT),
        "truncated": ("reward 0", "section 5.1"), "dynamic_sampling": (_RESAMPLED, f"{_NFT}: 10 rounds at most"),
        "updates_per_batch": (1, _NFT), "mini_batches": (16, "section 5.1"), "learning_rate": (1e-6, "section 5.1"),
        "schedule": ("constant", "authors' nft_trainer.yaml"), "warmup": (10, _NFT), "weight_decay": (0.1, _NFT),
        "clip_gradient": (1.0, _NFT), "dropout": ("off", _NFT), "precision": ("bf16", "authors' dp_actor.py"),
    }),
    "lora": ("LoRA Without Regret and QLoRA", "Thinking Machines 2025, arXiv 2305.14314", {
        "rank": ("1 to 32", f"{_REGRET}, section 2"), "alpha": (32, f"{_REGRET}, table"),
        "lora_dropout": ("0.1 up to 13B, then 0.05", "QLoRA, appendix B.2"),
        "target_modules": ("all-linear", f"{_REGRET}, section 1"),
        "lora_learning_rate": ("10 times that of full training", f"{_REGRET}, table"),
        "quantize": ("nf4", "QLoRA, section 3"), "double_quantization": (True, "QLoRA, section 3"),
        "compute_dtype": ("bfloat16", "QLoRA, appendix B.2"),
    }),
}

# TRL: a source that is a field's name is that field of GRPOConfig (rloo: RLOOConfig; lora: ModelConfig).
_TRAINING = {
    "reset_reference_every": ("none", "sync_ref_model"), "entropy_bonus": (0.0, "entropy_coef"),
    "prompts_per_step": (1, "generation_batch_size / num_generations, on one device"),
    "group_size": (8, "num_generations"), "temperature": (1.0, "temperature"), "top_p": (1.0, "top_p"),
    "top_k": (0, "top_k"), "max_new_tokens": (512, "max_completion_length"),
    "truncated": ("count as judged", "mask_truncated_completions"), "dynamic_sampling": (0, NO_OPTION),
    "updates_per_batch": (1, "num_iterations"), "mini_batches": (1, "steps_per_generation"),
    "learning_rate": (1e-6, "learning_rate"), "schedule": ("linear", "lr_scheduler_type"),
    "warmup": (0, "warmup_steps"), "adam_betas": ((0.9, 0.999), "adam_beta1, adam_beta2"),
    "adam_epsilon": (1e-8, "adam_epsilon"), "weight_decay": (0.0, "weight_decay"),
    "clip_gradient": (1.0, "max_grad_norm"), "dropout": ("as in the model", "disable_dropout"),
    "precision": ("bf16", "bf16=None: autocast"),
}
_CLIPPED = {"clip_low": (0.2, "epsilon"), "clip_high": (0.2, "epsilon_high=None: epsilon")}
_STD = {"ddof": (1, "nanstd"), "std_epsilon": (1e-4, "GRPOTrainer")}
_OTHER = {"loss": (NOT_IN_TRL, "loss_type")}


def _asked(aggregation: str, asked: str, more: dict, ratio: str = "token") -> dict:
    """TRL's cells for a loss of GRPOTrainer that is asked for by these arguments of GRPOConfig."""
    return _TRAINING | more | {
        "loss": (asked, "GRPOConfig"), "advantage": ("(r - mean) / std", "scale_rewards"),
        "ratio": (ratio, "importance_sampling_level"), "aggregation": (aggregation, "GRPOTrainer"),
        "beta": (0.0, "beta"), "kl": ("k3", "GRPOTrainer"), "kl_times_ratio": (True, "use_bias_correction_kl"),
    }


TRL = {
    "reinforce": _TRAINING | _OTHER, "psr": _TRAINING | _OTHER, "nsr": _TRAINING | _OTHER,
    "w_reinforce": _TRAINING | _OTHER, "nft": _TRAINING | _OTHER,
    "grpo": _asked("sequence", 'loss_type="grpo"', _STD | _CLIPPED),
    "dr_grpo": _asked("constant", 'loss_type="dr_grpo"', _CLIPPED),
    "dapo": _asked("token", 'loss_type="dapo"', _STD | _CLIPPED),
    "gspo": _asked("sequence", 'loss_type="grpo", importance_sampling_level="sequence"', _STD | _CLIPPED,
                   "sequence, geometric mean"),
    "cispo": _asked("token", 'loss_type="cispo"', _STD | {"cap": (0.2, "epsilon_high=None: epsilon")}),
    "rloo": _TRAINING | _CLIPPED | {
        "loss": ("RLOOTrainer", "RLOOConfig"), "advantage": ("r - mean of the others", "RLOOTrainer"),
        "ratio": ("sequence, product", "RLOOTrainer"), "aggregation": ("completion", "RLOOTrainer"),
        "beta": (0.05, "beta"), "kl": ("k1, in the reward", "RLOOTrainer"), "entropy_bonus": (0.0, NO_OPTION),
        "prompts_per_step": (4, "generation_batch_size / num_generations, on one device"),
        "group_size": (2, "num_generations"),
    },
    "lora": {
        "rank": (16, "lora_r"), "alpha": (32, "lora_alpha"), "lora_dropout": (0.05, "lora_dropout"),
        "target_modules": ("PEFT's choice for the model", "lora_target_modules"),
        "lora_learning_rate": (1e-6, "GRPOConfig"), "adapter_dtype": ("bfloat16", "GRPOTrainer"),
        "quantize": ("none", "load_in_4bit"), "double_quantization": (False, "use_bnb_nested_quant"),
        "compute_dtype": ("float32", "dtype"),
    },
}

# What the kit does without an option of its own, and the formulas of its advantages.
FIXED = {
    "top_k": (0, NO_OPTION), "max_new_tokens": ("as the task says", "task.max_new_tokens"),
    "truncated": ("count as judged", NO_OPTION), "schedule": ("constant", NO_OPTION), "warmup": (0, NO_OPTION),
    "dropout": ("off", NO_OPTION), "precision": ("that of the weights", "lm.load(dtype=)"),
}
ADVANTAGES = {
    "reinforce": "r", "rloo": "r - mean of the others", "grpo": "(r - mean) / std", "dr_grpo": "r - mean",
    "dapo": "(r - mean) / std", "gspo": "(r - mean) / std", "cispo": "(r - mean) / std", "psr": "r", "nsr": "r - 1",
    "w_reinforce": "positive r - (1 - r)", "nft": "r - mean",
}

_GROUP = "the equation divides by the tokens of a group, TRL and this kit by those of the batch: long groups weigh more"
_RARE = "the paper finds clipping rarely necessary; TRL's range is for the ratio of a whole completion"
_NEAR = "a geometric mean stays near 1: TRL's 0.2 never clips; ScaleRL (2510.13786, A.17) found 4e-3 the right order"
# Why a difference matters, in one line: (objective, hyper-parameter), else hyper-parameter.
WHY = {
    ("reinforce", "advantage"): 'baseline="batch" subtracts the mean reward: the same direction, less noise',
    ("dr_grpo", "advantage"): 'TRL still divides by the std, which favours prompts nearly always or never solved: '
                              'set scale_rewards="none"',
    "ratio": "a product over a long completion leaves any clip range at once; the paper updates without a ratio",
    ("rloo", "clip_low"): _RARE, ("rloo", "clip_high"): _RARE,
    ("gspo", "clip_low"): _NEAR, ("gspo", "clip_high"): _NEAR,
    ("dapo", "clip_high"): "clip-higher leaves unlikely tokens room to grow; TRL's epsilon_high=None means 0.2",
    "cap": "where epsilon_high is not set, TRL's cap is epsilon: a ratio of 1 counts as 0.2, a fifth of the gradient; "
           "4, 5 or 8 made no difference to ScaleRL (2510.13786, A.17)",
    ("dapo", "aggregation"): _GROUP, ("cispo", "aggregation"): _GROUP,
    ("rloo", "aggregation"): "a sum over the completion; here divided by the constant L: the same up to the scale",
    ("nft", "aggregation"): "a constant whatever the length and the batch: Adam does not see it, clip_gradient does",
    "aggregation": "a mean over a micro-batch depends on how the batch is cut; here it is over the whole batch",
    "beta": "a KL keeps the policy near its start; with verifiable rewards most leave it out (DAPO, section 2.3)",
    "kl": "in the reward it is centred with its group; here it is a term of the loss",
    "kl_times_ratio": "with the ratio its gradient is that of KL(policy, reference), else of KL(reference, policy)",
    "reset_reference_every": "a moving reference holds back each iteration, not the whole training",
    "entropy_bonus": "a bonus hides what the objective alone does to the entropy",
    "prompts_per_step": "more prompts, less noise; TRL's 8 completions a step are a few prompts: often no signal",
    "group_size": "at 10 % success 43 % of groups of 8 have equal rewards, thus no signal, and 19 % of groups of 16",
    "max_new_tokens": "a completion that is cut off is mostly judged wrong, so a short limit teaches brevity",
    "truncated": "a right answer may be punished for its length alone",
    "dynamic_sampling": "groups of equal rewards shrink the batch; TRL cannot resample, here 9 means 10 rounds at most",
    "mini_batches": "from the second update on the batch is off-policy: only then ratio and clip matter",
    "learning_rate": "1e-6 is for full training of a large model; LoRA wants ten times that, the shipped models 1e-3",
    "schedule": "TRL's falls to 0 at the last step, so a longer training differs from its first step on",
    "warmup": "Adam's first steps have full length, however noisy the gradient; a warm-up shortens them",
    "adam_betas": "a shorter memory of squared gradients follows a gradient whose size changes",
    "adam_epsilon": "MiniMax-M1 saw most gradients below 1e-14, which 1e-8 silences",
    "weight_decay": "at a learning rate of 1e-6, 0.1 takes 1e-7 of a weight per step: next to nothing",
    "dropout": "with dropout the policy that is trained is not the one that sampled: ratios off 1 from the start",
    "precision": "where sampler and learner round differently, ratios start off 1 (MiniMax-M1, section 3.2)",
    "rank": "an episode's reward holds about one bit: small ranks hold it",
    "alpha": "alpha / r scales an adapter and its steps: compare learning rates only at the same alpha / r",
    "lora_dropout": "with dropout the policy that is trained is not the one that sampled",
    "target_modules": "attention alone learns less, at any rank, and it is PEFT's choice for many models",
    "lora_learning_rate": "TRL's default is for full training: an adapter hardly moves with it",
    "adapter_dtype": "bfloat16 loses an update smaller than 1/256 of its weight",
    "quantize": "4 bits a weight are for models that do not fit otherwise: each load asks for them",
    "double_quantization": "saves about 0.4 bits a weight (QLoRA, section 3)",
    "compute_dtype": "float32 products are slow on GPUs; a T4 has no bfloat16",
}
# fmt: on
