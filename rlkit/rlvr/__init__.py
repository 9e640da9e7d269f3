"""Reinforcement learning with verifiable rewards: objectives, the learner, experiments.

objectives  reinforce  rloo  grpo  dr_grpo  dapo  gspo  cispo  psr  nsr  w_reinforce  nft
            make(name, **options)  describe(objective)  names()  credit(objective, ...)
learner     train(model, tokenizer, task, objective, ...)  continued(learner, run)  evaluate(model, ...)
elsewhere   trl.ObjectiveTrainer  export_verl(folder, task, ...)  read_trl  read_unipo  write_unipo
defaults    table(objective): paper, TRL's default, this kit
experiments collect(learner, **labels)  curves(run, metric)  at_matched(x, y, target)  compare(run, base)
"""

import importlib

# What the package offers and the module it lives in: imported when first asked for, so that the parts that are NumPy
# alone (experiments, tabular) need no torch, and the objectives no transformers.
_HOME = dict.fromkeys("Objective Weights credit describe make names rows".split(), "objectives")
_HOME |= dict.fromkeys("reinforce rloo grpo dr_grpo dapo gspo cispo psr nsr w_reinforce nft".split(), "objectives")
_HOME |= {"train": "learner", "continued": "learner", "evaluate": "evaluation"}
_HOME |= dict.fromkeys(("collect", "curves", "at_matched"), "experiments")
_HOME |= {"compare": "comparison", "ObjectiveTrainer": "trl", "export_verl": "verl"}
_HOME |= dict.fromkeys(("read_trl", "read_unipo", "write_unipo"), "exchange")
__all__ = sorted([*_HOME, "defaults", "objectives", "trl"])


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module 'rlkit.rlvr' has no {name!r}; it has {', '.join(__all__)}")
    try:
        module = importlib.import_module(f"rlkit.rlvr.{_HOME.get(name, name)}")
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "transformers"):
            raise
        raise ImportError(f'rlkit.rlvr.{name} needs {error.name}: pip install "rlkit-notebooks[lm]"') from error
    return getattr(module, name) if name in _HOME else module


def __dir__():
    return __all__
