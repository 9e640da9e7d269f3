"""MBPO: a soft actor-critic that learns from short imagined rollouts (Janner et al. 2019, 1906.08253).

Departures from the reference implementation:
1. What soft_actor_critic.py and ensemble.py list. The reward is learnt, and the world never ends unless told when.
2. A fixed rollout length instead of a schedule, for its effect is what the chapter asks about.
3. The dream buffer holds the last `retain` refits' dreams, counted in transitions.
"""

from rlkit import checks
from rlkit.model_based.dreams import dreamt, imagine
from rlkit.model_based.dynamics import Dynamics
from rlkit.model_based.online import Online
from rlkit.model_based.replay import Replay, mixed
from rlkit.offline.rows import Agent


def mbpo(
    simulator,
    seeds,
    *,
    steps: int = 2_000,
    horizon: int = 1,
    updates: int = 10,
    rollouts: int = 1_000,
    model_every: int = 100,
    model_steps: int = 300,
    real_share: float = 0.1,
    retain: int = 10,
    terminates=None,
    members: int = 7,
    elites: int = 5,
    model: Dynamics | None = None,
    regulariser=None,
    agent: Agent | None = None,
    **shared,
):
    """A learner: yields a Step each `evaluate_every` real steps: return, critic_loss, q, temperature, model_error, [S].

    Each `model_every` real steps the model is fitted to all that was lived (`model_steps` gradient steps), and
    `rollouts` dreams of `horizon` steps start in lived states, so it also sets how fresh dreams are. Each real step is
    followed by `updates` gradient steps on batches of which `real_share` is real. retain: how many refits' dreams are
    kept. model: a model of your own, with `fit(replay, steps=...)` and `step`; Exact is never fitted. regulariser: see
    SoftActorCritic.update. shared: what `sac` takes.
    """
    online = Online(simulator, seeds, **shared)
    sizes = (simulator.observation_size, simulator.action_size)
    model = model or Dynamics(seeds, *sizes, members=members, elites=elites, terminates=terminates)
    if not 0 <= checks.finite("real_share", real_share) <= 1:
        checks.fail("real_share", real_share, "in [0, 1]")
    horizon, rollouts = checks.positive_int("horizon", horizon), checks.positive_int("rollouts", rollouts)
    dreams = Replay(seeds, *sizes, checks.positive_int("retain", retain) * rollouts * horizon)
    real, policy = round(real_share * online.batch_size), online.learner.explorer(online.generators)
    online.learner.agent(agent)
    numbers = {}
    for step in online.lived(steps):
        numbers |= online.refit(model, step, model_every, model_steps)
        if step == online.warm_up or step % model_every == 0:
            starts = online.replay.sample(rollouts).observations
            dreamt(dreams, imagine(model, policy, starts, horizon, online.generators))
        for _ in range(updates):
            batch = dreams.sample(online.batch_size - real) if real < online.batch_size else None
            if real:
                lived = online.replay.sample(real)
                batch = lived if batch is None else mixed(lived, batch)
            numbers |= online.learner.update(batch, regulariser=regulariser)
        if online.due(step, steps):
            yield online.report(step, **numbers)
