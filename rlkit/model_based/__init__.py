"""Model-based reinforcement learning: learn how the world answers, then plan or train in what was learnt.

>>> from rlkit import envs, model_based
>>> learner = model_based.mbpo(envs.simulator("pendulum"), seeds=range(5), steps=1_000)   # a generator of Steps

A model is anything with `step(observations [S, B, O], actions [S, B, A], generators) -> (next observations, rewards,
continues)`; S seeds side by side, one np.random.Generator for each.

    models      Dynamics, an Ensemble of Gaussian networks   Factored, one small network for each bit
                Inverse, from two states to an action        Exact, the simulator itself
    pessimism   Penalised, Halting: a model around a model   SideBySide, several models as one
    data        Replay, transitions of S seeds               Worlds, one copy of a simulator for each seed
    dreams      imagine(model, policy, starts, horizon, generators) -> Dream;  dream_of, errors_over to look at them
    planners    random_shooting  cem, of a score such as returns_in(model, observations, generators);  shift
    learners    online: sac  mbpo  mve  analytic  pets  ppo;  discrete actions: dqn  deep_dyna
                from a log: train_in  mopo  morel;  all with continuous actions but pets and ppo on SoftActorCritic
"""

import importlib

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError(f'rlkit.model_based needs {error.name}: pip install "rlkit-notebooks[control]"') from error

# What the package offers and the module it lives in: imported when first asked for.
_HOME = {
    "Dream": "dreams",
    "Dynamics": "dynamics",
    "Ensemble": "ensemble",
    "Exact": "exact",
    "Factored": "factored",
    "Halting": "penalties",
    "Inverse": "inverse",
    "Penalised": "penalties",
    "Plan": "planners",
    "Replay": "replay",
    "SideBySide": "side_by_side",
    "SoftActorCritic": "soft_actor_critic",
    "Worlds": "worlds",
    "analytic": "algorithms.analytic",
    "cem": "planners",
    "deep_dyna": "algorithms.deep_dyna",
    "dqn": "algorithms.dqn",
    "dream_of": "inspect",
    "errors_over": "inspect",
    "imagine": "dreams",
    "mbpo": "algorithms.mbpo",
    "mopo": "algorithms.mopo",
    "morel": "algorithms.morel",
    "mve": "algorithms.value_expansion",
    "pets": "algorithms.pets",
    "ppo": "algorithms.ppo",
    "random_shooting": "planners",
    "returns_in": "planners",
    "sac": "algorithms.sac",
    "shift": "planners",
    "train_in": "algorithms.train_in",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'rlkit.model_based' has no {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"rlkit.model_based.{_HOME[name]}"), name)


def __dir__():
    return __all__
