"""What `rlkit.rlvr.trl.ObjectiveTrainer` is given: settings and prompts checked, a task as rewards and data."""

import dataclasses

from rlkit import checks
from rlkit.lm.rollouts import end_tokens
from rlkit.rlvr.arguments import default_problems
from rlkit.rlvr.objectives import Objective

# Settings of GRPOConfig whose part the objective plays. They must stay as TRL has them, or one would think they act.
REPLACED = """
    loss_type importance_sampling_level epsilon epsilon_high delta beta use_bias_correction_kl scale_rewards
    multi_objective_aggregation mask_truncated_completions top_entropy_quantile off_policy_mask_threshold entropy_coef
    use_adaptive_entropy sync_ref_model
""".split()
# Settings that change what is sampled from, and the values at which they do not.
NEUTRAL = {"top_p": (1.0,), "top_k": (0, -1, None), "min_p": (None, 0.0), "repetition_penalty": (1.0,)}
NEUTRAL |= {"generation_kwargs": (None, {}), "use_vllm": (False,), "use_transformers_continuous_batching": (False,)}


def check(args, objective, data, tokenizer, dynamic_sampling, log_rollouts_every) -> None:
    """Raise ValueError, in one line, for arguments that contradict the objective, the data or each other."""
    if not isinstance(objective, Objective):
        checks.fail("objective", objective, "one of rlkit.rlvr.objectives, such as objectives.nsr()")
    if not hasattr(args, "num_generations"):
        checks.fail("args", args, "a trl.GRPOConfig")
    for field in dataclasses.fields(args):
        if field.name in REPLACED and getattr(args, field.name) != field.default:
            allowed = f"left at {field.default!r}: {objective.name} takes its place; its own options say what you want"
            checks.fail(f"args.{field.name}", getattr(args, field.name), allowed)
    for name, values in NEUTRAL.items():
        if getattr(args, name) not in values:
            allowed = f"{values[0]!r}: the loss is about the whole distribution of the model, so that is sampled from"
            checks.fail(f"args.{name}", getattr(args, name), allowed)
    checks.positive("args.temperature", args.temperature)
    checks.positive_int("args.max_completion_length", args.max_completion_length)
    cuts, at_once = args.gradient_accumulation_steps, args.steps_per_generation
    if at_once % cuts:
        allowed = f"a multiple of gradient_accumulation_steps={cuts}: an update takes whole parts of one batch"
        checks.fail("args.steps_per_generation", at_once, allowed)
    if checks.count("dynamic_sampling", dynamic_sampling):
        rows, size = args.per_device_train_batch_size * at_once, args.num_generations
        if rows % size:
            allowed = f"0 where the {rows} completions of a process do not hold whole groups of num_generations={size}"
            checks.fail("dynamic_sampling", dynamic_sampling, allowed)
    if log_rollouts_every is not None:
        checks.positive_int("log_rollouts_every", log_rollouts_every)
    _check_data(data, args.generation_batch_size // args.num_generations)
    _check_prompts(data["prompt"], tokenizer)


def _check_data(data, prompts: int) -> None:
    columns = getattr(data, "column_names", None)
    if not hasattr(data, "__getitem__") or not columns or "prompt" not in columns:
        checks.fail("train_dataset", data, "a datasets.Dataset with a column prompt")
    pictures = {"image", "images"} & set(columns)
    if pictures:
        checks.fail("train_dataset.column_names", columns, f"without {pictures.pop()!r}: only text is trained on")
    if len(data) < prompts:
        checks.fail("len(train_dataset)", len(data), f"at least {prompts}, the prompts of one batch of completions")


def _check_prompts(prompts, tokenizer) -> None:
    mark, bos = template_mark(tokenizer), tokenizer.bos_token
    adds_bos = bool(bos) and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
    for i, prompt in enumerate(prompts):
        name = f"train_dataset['prompt'][{i}]"
        if not isinstance(prompt, str):
            if mark is None:
                checks.fail(name, prompt, "a text: the tokenizer has no chat template for messages")
        elif mark and mark not in prompt:
            allowed = "messages, [{'role': 'user', 'content': ...}]: a text skips the tokenizer's chat template"
            checks.fail(name, prompt, f"{allowed} unless apply_chat_template(..., add_generation_prompt=True) made it")
        elif adds_bos and prompt.startswith(bos):
            checks.fail(name, prompt, f"without its {bos!r}: the tokenizer puts one in front, so there would be two")


def template_mark(tokenizer) -> str | None:
    """What stands in every text that the tokenizer's chat template makes: what it puts behind a user's message, up to
    where the answer starts, or else in front of it. None without a template."""
    if not tokenizer.chat_template:
        return None
    message = [{"role": "user", "content": "rlkit"}]
    text = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    before, _, behind = text.rpartition("rlkit")
    return behind.strip() or before.strip()


def text_of(tokenizer, ids: list, ends) -> str:
    """A completion as `lm.sample` gives it: its tokens as text, without the end token, other special tokens shown."""
    kept = ids[:-1] if ids and ids[-1] in ends else ids
    return tokenizer.decode(kept, clean_up_tokenization_spaces=False)


def from_task(model, tokenizer, task, problems: list | None = None, *, seed: int = 0) -> dict:
    """model, processing_class, reward_funcs and train_dataset of a task, for `ObjectiveTrainer(**from_task(...), ...)`.

    One reward function for each part that task.verify names; its attribute reward_weight is the part's weight, 0 for a
    part that is only looked at, so that their weighted sum is task.reward. Each completion is verified once, as
    `lm.sample` would decode it. The data set has the columns prompt, problem (its id) and index (into the problems).
    Where the tokenizer has a chat template, prompts are messages, [{"role": "user", "content": problem.prompt}], unless
    the problems' own come from the template already.

    problems: default as in `rlvr.train`, 1,024 training problems drawn from `seed`, or what the task has.
    Raises ValueError for no problem.
    """
    from datasets import Dataset  # slow to import

    problems = list(default_problems(task, seed) if problems is None else problems)
    if not problems:
        checks.fail("problems", problems, "at least one problem")
    ends, mark = set(end_tokens(model, tokenizer).tolist()), template_mark(tokenizer)
    texts = [problem.prompt for problem in problems]
    if mark is not None and not any(mark in text for text in texts):
        texts = [[{"role": "user", "content": text}] for text in texts]
    last = [None, None]  # the completions judged last, and their parts: TRL asks for one part after the other

    def verified(completion_ids: list, index: list) -> list:
        if last[0] is not completion_ids:
            texts = [text_of(tokenizer, ids, ends) for ids in completion_ids]
            last[:] = completion_ids, [task.verify(problems[i], t) for i, t in zip(index, texts, strict=True)]
        return last[1]

    def function(name: str):
        def part(completion_ids, index, **_):
            return [float(parts[name]) for parts in verified(completion_ids, index)]

        part.__name__, part.reward_weight = name, float(task.weights.get(name, 0.0))
        return part

    rewards = [function(name) for name in task.verify(problems[0], "")]
    ids = [problem.id for problem in problems]
    data = Dataset.from_dict({"prompt": texts, "problem": ids, "index": list(range(len(problems)))})
    return {"model": model, "processing_class": tokenizer, "reward_funcs": rewards, "train_dataset": data}
