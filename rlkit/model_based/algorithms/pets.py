"""PETS: no policy at all; plan in the learnt ensemble before each step (Chua et al. 2018, 1805.12114).

Departures from the paper:
1. What planners.py and ensemble.py list. The reward is learnt; theirs is known.
2. The elites of the ensemble answer, as in this chapter's other learners; theirs are all members.
3. One refit each `model_every` steps, as in MBPO; theirs after each episode.
4. Nothing is evaluated apart, for each step costs a search: the returns are those of the episodes that were lived.
"""

import numpy as np
import torch

from rlkit import checks
from rlkit.model_based.dynamics import Dynamics
from rlkit.model_based.planners import cem, returns_in, shift
from rlkit.model_based.replay import Replay
from rlkit.model_based.worlds import Worlds
from rlkit.offline.rows import generator
from rlkit.runs import Step


def pets(
    simulator,
    seeds,
    *,
    steps: int = 1_000,
    horizon: int = 15,
    candidates: int = 60,
    best: int = 10,
    rounds: int = 3,
    particles: int = 5,
    discount: float = 1.0,
    warm_up: int = 200,
    model_every: int = 100,
    model_steps: int = 300,
    evaluate_every: int = 200,
    terminates=None,
    members: int = 7,
    elites: int = 5,
    model=None,
):
    """A learner: yields a Step each `evaluate_every` real steps: return, planned and model_error, each [S].

    After `warm_up` uniform actions each step is the first of a plan: `cem` with `candidates`, its `best` ones and
    `rounds`, over `horizon` steps with `particles` dreams each, from the last plan shifted by a step (from 0 in a new
    episode). All seeds plan in one batch. Each `model_every` steps the model is fitted to all that was lived.
    return: the mean of the episodes that ended since the last report, NaN where none did. planned: the mean score of
    the plans since then, i.e. what the model promised of the next `horizon` steps. terminates, model: as in mbpo; with
    Exact it plans in the world itself. Raises ValueError for sizes below 1 and a simulator with discrete actions.
    """
    if simulator.actions:
        checks.fail("simulator", simulator.name, "one with continuous actions")
    seeds = [checks.seed(seed) for seed in seeds]
    sizes = (simulator.observation_size, simulator.action_size)
    given = {"steps": steps, "horizon": horizon, "warm_up": warm_up, "model_every": model_every}
    for name, number in (given | {"evaluate_every": evaluate_every, "best": best}).items():
        checks.positive_int(name, number)
    if best > checks.positive_int("candidates", candidates):
        checks.fail("best", best, f"at most candidates={candidates}")
    model = model or Dynamics(seeds, *sizes, members=members, elites=elites, terminates=terminates)
    worlds, replay = Worlds(simulator, seeds), Replay(seeds, *sizes, steps)
    explorers, generators = ([generator(seed, stream) for seed in seeds] for stream in ("exploration", "dreams"))
    plan, promised, error = torch.zeros(len(seeds), horizon, sizes[1]), [], {}
    for step in range(1, steps + 1):
        if step <= warm_up:
            actions = np.stack([g.uniform(-1, 1, sizes[1]) for g in explorers]).astype(np.float32)
        else:
            if hasattr(model, "fit") and (step == warm_up + 1 or (step - 1) % model_every == 0):
                for fitted in model.fit(replay, steps=model_steps):
                    error = {"model_error": fitted.metrics["holdout_error"]}
            now = torch.from_numpy(worlds.observations)
            score = returns_in(model, now, generators, particles=particles, discount=discount)
            search = {"candidates": candidates, "elites": best, "rounds": rounds, "mean": plan}
            found = cem(score, horizon, sizes[1], generators, **search)
            actions, plan = found.actions[:, 0].numpy(), shift(found.actions)
            promised.append(found.score)
        lived = worlds.step(actions)
        replay.add(*(column[:, None] for column in lived))
        fresh = (worlds.observations != lived.next_observations).any(1)  # an episode has ended
        plan[torch.from_numpy(fresh)] = 0
        if step % evaluate_every == 0 or step == steps:
            made = [np.mean(ended) if ended else np.nan for ended in worlds.finished]
            mean = torch.stack(promised).mean(0).numpy() if promised else np.full(len(seeds), np.nan)
            yield Step(step, {"return": np.array(made), "planned": mean, **error})
            promised.clear()
            for ended in worlds.finished:
                ended.clear()
