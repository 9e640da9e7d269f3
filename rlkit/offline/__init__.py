"""Offline reinforcement learning: datasets built from seeds, and learners that train many seeds as one array.

>>> from rlkit import offline
>>> dataset = offline.build("point-maze-u", "medium", transitions=5_000, seed=0)
>>> learner = offline.iql(dataset, seeds=range(10), steps=5_000)     # a generator of Steps; drain it, or live(learner)

    datasets    Dataset  build(simulator, quality, ...)  transforms.weight, corrupt, hide_actions, relabel, augment
    files       save  load  to_minari  from_minari
    learners    bc  td3_bc  awac  iql  cql  xql  f_dvl  decision_transformer  rvs;
                discrete actions: bc  iql  xql  f_dvl  discrete_cql
    looking     Agent, filled while a learner trains
    reporting   rows_of(arms, seeds)  references(dataset)  report(run)
"""

import importlib

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError(f'rlkit.offline needs {error.name}: pip install "rlkit-notebooks[control]"') from error

# What the package offers and the module it lives in: imported when first asked for.
_HOME = {
    "Agent": "rows",
    "Dataset": "dataset",
    "Rows": "rows",
    "awac": "algorithms.awac",
    "bc": "algorithms.bc",
    "build": "building",
    "cql": "algorithms.cql",
    "decision_transformer": "algorithms.decision_transformer",
    "discrete_cql": "algorithms.discrete_cql",
    "f_dvl": "algorithms.f_dvl",
    "from_minari": "files",
    "iql": "algorithms.iql",
    "load": "files",
    "references": "reports",
    "report": "reports",
    "rows_of": "reports",
    "rvs": "algorithms.rvs",
    "save": "files",
    "td3_bc": "algorithms.td3_bc",
    "to_minari": "files",
    "transforms": None,
    "xql": "algorithms.xql",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'rlkit.offline' has no {name!r}; it has {', '.join(__all__)}")
    module = importlib.import_module(f"rlkit.offline.{_HOME[name] or name}")
    return getattr(module, name) if _HOME[name] else module


def __dir__():
    return __all__
