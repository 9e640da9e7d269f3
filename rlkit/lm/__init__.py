"""Language models small enough for a laptop, tasks whose answers can be checked, and rollouts.

>>> from rlkit import lm
>>> task = lm.tasks.countdown(numbers=4, largest=100)
>>> problems = task.problems(4, seed=0)
>>> model, tokenizer = lm.load("s-countdown")
>>> rollouts = lm.sample(model, tokenizer, problems, 8, task.max_new_tokens, seed=0)
>>> rollouts = lm.judge(rollouts, task, problems)
>>> rollouts.reward_parts["correct"].shape
torch.Size([4, 8])

    models      names()  load(name_or_path, quantize="nf4", lora=16)  save(model, tokenizer, folder)  card(name)
    memory      memory(model)  plan(model, ...)  watched(learner, model)  checkpointing.switch(model)
    tasks       tasks.countdown  arithmetic  knights  graphs  from_reasoning_gym  with_math_verify
    rollouts    sample(...) -> Rollouts  judge(rollouts, task, problems)  score_tokens(model, rollouts)
    supervised  fit(model, tokenizer, draw, ...)
    exact       exact.TreePolicy: a policy whose completions can all be enumerated
"""

import importlib

try:
    import torch  # noqa: F401
    import transformers  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError(f'rlkit.lm needs {error.name}: pip install "rlkit-notebooks[lm]"') from error

# What the package offers and the module it lives in: imported when first asked for, so that tasks need no PEFT.
_HOME = {
    "Rollouts": "rollouts",
    "card": "models",
    "checkpointing": None,
    "exact": None,
    "fit": "supervised",
    "judge": "rollouts",
    "load": "models",
    "lora_config": "models",
    "memory": "footprint",
    "names": "models",
    "plan": "plans",
    "sample": "rollouts",
    "save": "models",
    "score_tokens": "rollouts",
    "tasks": None,
    "watched": "watching",
    "watching": None,
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'rlkit.lm' has no {name!r}; it has {', '.join(__all__)}")
    module = importlib.import_module(f"rlkit.lm.{_HOME[name] or name}")
    return getattr(module, name) if _HOME[name] else module


def __dir__():
    return __all__
