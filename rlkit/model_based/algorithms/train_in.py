"""Train a policy in a model, from the states of a log: what MOPO, MOReL, RAVL and MOREC share."""

from rlkit import checks
from rlkit.model_based.dreams import dreamt, imagine
from rlkit.model_based.replay import Replay, mixed
from rlkit.model_based.soft_actor_critic import SoftActorCritic
from rlkit.offline.evaluate import play
from rlkit.offline.rows import Agent, generator, worlds
from rlkit.runs import Step


def train_in(
    model,
    dataset,
    seeds,
    *,
    steps: int = 5_000,
    horizon: int = 5,
    rollouts: int = 100,
    dream_every: int = 50,
    retain: int = 20,
    real_share: float = 0.05,
    batch_size: int = 64,
    evaluate_every: int = 1_000,
    episodes: int = 5,
    simulator=None,
    agent: Agent | None = None,
    target=None,
    watch=None,
    **learner,
):
    """A learner: yields a Step each `evaluate_every` gradient steps: return, critic_loss, q, temperature, each [S].

    model: anything with `step`, already fitted; pessimism is a model around a model (see mopo, morel). dataset: a
    rlkit.offline.Dataset or one for each seed: its states start the dreams, its transitions are `real_share` of each
    batch. Each `dream_every` steps `rollouts` dreams of `horizon` steps begin; the last `retain` such waves are kept.
    simulator: where policies are evaluated; None for what the dataset names. target: (learner, batch) -> [S, B], what
    the critics learn, in place of the usual one. watch: (learner, step) -> more metrics [S] at each report. learner:
    what SoftActorCritic takes.
    """
    seeds = [checks.seed(seed) for seed in seeds]
    log = Replay.of(dataset, seeds)
    soft = SoftActorCritic(seeds, log.observation_size, log.action_size, **learner)
    dreams = Replay(seeds, log.observation_size, log.action_size, retain * rollouts * horizon)
    if simulator is None:
        simulator = worlds(list(dataset) if isinstance(dataset, list | tuple) else [dataset] * len(seeds))
    elif not isinstance(simulator, list | tuple):
        simulator = [simulator] * len(seeds)
    generators = [generator(seed, "dreams") for seed in seeds]
    policy, real = soft.explorer(generators), round(checks.finite("real_share", real_share) * batch_size)
    agent = soft.agent(agent)
    for step in range(1, checks.positive_int("steps", steps) + 1):
        if (step - 1) % dream_every == 0:
            dreamt(dreams, imagine(model, policy, log.sample(rollouts).observations, horizon, generators))
        batch = dreams.sample(batch_size - real)
        batch = mixed(log.sample(real), batch) if real else batch
        numbers = soft.update(batch, target=None if target is None else target(soft, batch))
        if step % evaluate_every == 0 or step == steps:
            if simulator is not None:
                numbers["return"] = play(agent.act, simulator, seeds, episodes)[0].mean(1)
            yield Step(step, numbers | ({} if watch is None else watch(soft, step)))
