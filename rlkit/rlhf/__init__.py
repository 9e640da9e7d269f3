"""Reinforcement learning from human feedback: preferences, reward models, PPO, DPO, and the optimum they aim at.

preferences  preferences.pairs(model, ...)  preferences.label(annotator, ...)  gold(task)
             read_preferences(path)  write_preferences(path, rows)  as_trl(rows)
rewards      RewardModel(model, tokenizer, ...)  bag_of_words(tokenizer, ...)  fit_reward(model, rows, ...)
             judges.fresh(size, seed, words)  fit_judge(judge, rows, ...)
losses       losses.bradley_terry  losses.dpo  losses.ipo
learners     reinforce(model, tokenizer, task, reward, beta=, ...)  ppo(...)
             dpo(model, tokenizer, rows, beta=, ...)  best_of_n(model, tokenizer, problems, reward, n=, ...)
fixed texts  offline_texts.learn(...): weighted likelihoods  offline_texts.fit_values(...)  offline_texts.tested(...)
TRL          trl.RewardTrainer(reward_model, rows, args, ...)  trl.DPOTrainer(model, tokenizer, rows, args, ...)
optimum      optimum.tilt  optimum.frontier  optimum.best_of_n: exact, where all completions can be listed
             Listed(model, tokenizer, task): where every policy stands
types        types.source(chances, rewards, length): long texts of independent symbols, exact by counting
"""

import importlib

# What the package offers and the module it lives in: imported when first asked for; files and labels need no torch.
_HOME = {"gold": "preferences", "Listed": "listed"}
_HOME |= dict.fromkeys("read_preferences write_preferences as_trl".split(), "preference_files")
_HOME |= {"reinforce": "kl_reinforce", "ppo": "token_ppo"}  # a module named like its function would hide it
_HOME |= {"dpo": "direct_preferences", "best_of_n": "best_samples", "expected_best": "best_samples"}
_HOME |= dict.fromkeys("RewardModel bag_of_words fit_reward".split(), "reward_models")
_HOME |= dict.fromkeys("Judge fit_judge".split(), "judges")
__all__ = sorted([*_HOME, "judges", "losses", "offline_texts", "optimum", "preferences", "trl", "types"])


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module 'rlkit.rlhf' has no {name!r}; it has {', '.join(__all__)}")
    try:
        module = importlib.import_module(f"rlkit.rlhf.{_HOME.get(name, name)}")
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "transformers"):
            raise
        raise ImportError(f'rlkit.rlhf.{name} needs {error.name}: pip install "rlkit-notebooks[lm]"') from error
    return getattr(module, name) if name in _HOME else module


def __dir__():
    return __all__
