"""Analytic gradients: the policy climbs the return of its dreams, through the model's own derivatives.

Heess et al. 2015 (1510.09142, stochastic value gradients); with SAC's critics at the end of the dream as in Clavera et
al. 2020 (2005.08068, MAAC).

Departures from them:
1. Critics learn at lived transitions, with SAC's target; MAAC's also learn at dreamt ones.
2. The model's noise is drawn anew (reparametrised); SVG infers the noise of what was lived.
3. No clipping of long gradients: Adam bounds each step.
"""

import torch

from rlkit import checks
from rlkit.model_based.algorithms.value_expansion import soft_value
from rlkit.model_based.dynamics import Dynamics
from rlkit.model_based.exact import Exact
from rlkit.model_based.online import Online
from rlkit.offline.rows import Agent


def path_loss(learner, model, observations: torch.Tensor, horizon: int, generators) -> torch.Tensor:
    """- mean_b soft_value(s_b): what the actor descends, its gradient going through every imagined step; -> [S].

    learner: a SoftActorCritic. observations [S, B, O]. horizon 0: SAC's loss of the actor.
    """
    return -soft_value(learner, model, observations, horizon, generators).mean(1)


def analytic(
    simulator,
    seeds,
    *,
    steps: int = 2_000,
    horizon: int = 3,
    updates: int = 1,
    model_every: int = 100,
    model_steps: int = 300,
    terminates=None,
    members: int = 7,
    elites: int = 5,
    model=None,
    agent: Agent | None = None,
    **shared,
):
    """A learner: yields a Step each `evaluate_every` real steps: return, critic_loss, q, temperature, model_error, [S].

    Each `model_every` real steps the model is fitted to all that was lived (`model_steps` gradient steps). Each real
    step is followed by `updates` gradient steps: critics on lived transitions, the actor on dreams of `horizon` steps
    from their states. model: a model of your own whose step is differentiable, which Exact is not. shared: what `sac`
    takes. Raises ValueError for an Exact model.
    """
    online, horizon = Online(simulator, seeds, **shared), checks.positive_int("horizon", horizon)
    if isinstance(model, Exact):
        checks.fail("model", model, "one whose step is differentiable, such as Dynamics")
    sizes = (simulator.observation_size, simulator.action_size)
    model = model or Dynamics(seeds, *sizes, members=members, elites=elites, terminates=terminates)
    learner, updates = online.learner, checks.positive_int("updates", updates)
    learner.agent(agent)
    descend = lambda soft, batch: path_loss(soft, model, batch.observations, horizon, online.generators)  # noqa: E731
    numbers = {}
    for step in online.lived(steps):
        numbers |= online.refit(model, step, model_every, model_steps)
        for _ in range(updates):
            numbers |= learner.update(online.replay.sample(online.batch_size), policy_loss=descend)
        if online.due(step, steps):
            yield online.report(step, **numbers)
