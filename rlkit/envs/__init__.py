"""Worlds for control: simulators that step thousands of episodes in one NumPy array, and policies that act in them.

>>> import numpy as np
>>> from rlkit import envs
>>> maze = envs.simulator("point-maze-u")
>>> played = envs.rollout(maze, envs.behaviour(maze, "expert"), np.random.default_rng(0), episodes=50)
>>> played.observations.shape, bool(envs.returns(played).mean() > 60)
((50, 101, 4), True)

    simulator(name, **options)       one of `names()`; simulator.py says what it offers
    behaviour(simulator, quality)    the factory of a "random", "medium" or "expert" policy
    rollout(simulator, factory, rng, episodes, steps) -> Trajectories;  returns(trajectories) -> [E]
    references(simulator)            mean returns of the three, and the optimal one where it is known
    draw(simulator)                  the floor plan of a point maze

With Gymnasium installed each name is also an environment, "rlkit/PointMaze-U-v0" and so on, and
`gym_rollout(env_id, factory, seed, episodes)` plays any other (gym.py). The simulators need NumPy and SciPy alone.
"""

import importlib
import importlib.util

from rlkit import checks
from rlkit.envs.behaviours import QUALITIES, behaviour, references, wander
from rlkit.envs.point_maze import PointMaze, draw
from rlkit.envs.rollouts import Trajectories, returns, rollout

# name -> (module of rlkit.envs, class, options)
_WORLDS = {
    f"point-maze-{layout}" + ("-dense" if reward == "dense" else ""): (
        "point_maze",
        "PointMaze",
        {"layout": layout, "reward": reward},
    )
    for layout in ("u", "medium", "four-rooms")
    for reward in ("sparse", "dense")
} | {
    "pendulum": ("pendulum", "Pendulum", {}),
    "maze": ("maze", "Maze", {}),
    "maze-corridor": ("maze", "Maze", {"layout": "corridor"}),
    "maze-u": ("maze", "Maze", {"layout": "u"}),
    "maze-rooms": ("maze", "Maze", {"layout": "rooms"}),
    "maze-risky": ("maze", "Maze", {"layout": "risky"}),
    "delay-pipe": ("delay_pipe", "DelayPipe", {}),
    "glucose": ("glucose", "Glucose", {}),
    "linear": ("linear", "Linear", {}),
    "mountain-car": ("mountain_car", "MountainCar", {}),
    "refrigerator": ("refrigerator", "Refrigerator", {}),
    "point-box": ("point_box", "PointBox", {}),
    "rocket": ("rocket", "Rocket", {}),
    "safe-cart": ("safe_cart", "SafeCart", {}),
    "pan-flute": ("pan_flute", "PanFlute", {}),
    "button-grid": ("button_grid", "ButtonGrid", {}),
    "fishery": ("fishery", "Fishery", {}),
    "fishery-one-species": ("fishery", "SingleFishery", {}),
}


def names() -> tuple[str, ...]:
    """What `simulator` accepts."""
    return tuple(_WORLDS)


def simulator(name, **options):
    """A new simulator: `name` is one of `names()`, options are those of its class (say lag=0.3 for a point maze).

    Raises ValueError, in one line that lists the names, for any other name; the class checks the options.
    """
    if not isinstance(name, str) or name not in _WORLDS:
        checks.fail("name", name, "one of " + ", ".join(_WORLDS))
    module, kind, fixed = _WORLDS[name]
    made = getattr(importlib.import_module(f"rlkit.envs.{module}"), kind)(**fixed | options)
    made.recipe = {"simulator": name, "options": options}  # a dataset notes it: policies are evaluated in it later
    return made


__all__ = [
    "QUALITIES",
    "PointMaze",
    "Trajectories",
    "behaviour",
    "draw",
    "names",
    "references",
    "returns",
    "rollout",
    "simulator",
    "wander",
]

if importlib.util.find_spec("gymnasium"):
    from rlkit.envs.gym import GymEnv, GymVectorEnv, gym_rollout, register

    register(_WORLDS)
    __all__ += ["GymEnv", "GymVectorEnv", "gym_rollout"]
