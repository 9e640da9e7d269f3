"""Deep Dyna: DQN whose batches are dreamt (Sutton 1990; Young, Ramesh, Kirsch and Schmidhuber 2022, 2211.02222).

Departures from the authors' code:
1. What dqn.py lists. Softmax exploration is epsilon-greedy here, in dreams as in the world.
2. Dreams are made in waves and kept for `retain` of them, instead of anew for each update.
3. The model is fitted in bouts, each `model_every` real steps, instead of one gradient step for each of Q's.
"""

from rlkit import checks
from rlkit.model_based.algorithms.dqn import dqn, explorer
from rlkit.model_based.dreams import dreamt, imagine
from rlkit.model_based.replay import Replay
from rlkit.offline.rows import generator
from rlkit.runs import Step


def deep_dyna(
    simulator,
    seeds,
    model,
    *,
    horizon: int = 1,
    rollouts: int = 64,
    dream_every: int = 10,
    retain: int = 10,
    model_every: int = 250,
    model_steps: int = 500,
    batch_size: int = 64,
    epsilon: float = 0.1,
    **shared,
):
    """A learner: yields the Steps of dqn with model_updates and, once a model was fitted, model_loss, each [S].

    model: None, and this is dqn; or anything with `step`, fitted to all that was lived each `model_every` real steps if
    it has `fit`: Factored, Dynamics(discrete=True), Exact. Each `dream_every` real steps `rollouts` dreams of `horizon`
    steps start from lived states and follow the policy of now; the last `retain` waves are what updates draw from.
    shared: what dqn takes; number and size of the updates are dqn's, and no batch holds a lived transition.
    """
    if model is None:
        yield from dqn(simulator, seeds, batch_size=batch_size, epsilon=epsilon, **shared)
        return
    seeds = [checks.seed(seed) for seed in seeds]
    checks.positive_int("dream_every", dream_every), checks.positive_int("model_every", model_every)
    waves = checks.positive_int("rollouts", rollouts) * checks.positive_int("horizon", horizon)
    dreams = Replay(seeds, simulator.observation_size, 1, waves * checks.positive_int("retain", retain), discrete=True)
    generators, said, spent = [generator(seed, "dreams") for seed in seeds], {}, 0

    def source(replay, network, step):
        nonlocal said, spent
        if hasattr(model, "fit") and (not spent or step % model_every == 0):
            for fitted in model.fit(replay, steps=model_steps):
                said = {"model_loss": fitted.metrics["loss"]}
            spent += model_steps
        if not dreams.size.any() or step % dream_every == 0:
            starts = replay.sample(rollouts).observations
            dreamt(dreams, imagine(model, explorer(network, generators, epsilon), starts, horizon, generators))
        return lambda: dreams.sample(batch_size)

    for step in dqn(simulator, seeds, batch_size=batch_size, epsilon=epsilon, source=source, **shared):
        yield Step(step.step, step.metrics | said | {"model_updates": [spent] * len(seeds)})
