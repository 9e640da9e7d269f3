"""MOPO: a soft actor-critic trained in a model whose rewards pay for its doubt (Yu et al. 2020, 2005.13239).

Departures from the reference implementation:
1. What soft_actor_critic.py, ensemble.py and train_in.py list: small networks, short runs, one fixed rollout length.
2. Worlds never end in dreams unless `terminates` says when; theirs know each task's rule.
"""

from rlkit.model_based.algorithms.train_in import train_in
from rlkit.model_based.dynamics import Dynamics
from rlkit.model_based.penalties import Penalised
from rlkit.model_based.replay import Replay
from rlkit.runs import Step


def fitted(dataset, seeds, model_steps: int = 2_000, **model):
    """A Dynamics fitted to the log of each seed, that log as a Replay, and the held-out error [S] of the fit.

    model: what Dynamics takes beside the sizes.
    """
    log = Replay.of(dataset, seeds)
    made = Dynamics(log.seeds, log.observation_size, log.action_size, **model)
    *_, last = made.fit(log, steps=model_steps)
    return made, log, last.metrics["holdout_error"]


def mopo(
    dataset,
    seeds,
    *,
    penalty=1.0,
    model_steps: int = 2_000,
    members: int = 7,
    elites: int = 5,
    terminates=None,
    low=None,
    high=None,
    **train,
):
    """A learner: yields the Steps of `train_in`, with model_error [S], the held-out error of the fit that came before.

    reward = r - penalty max_m ||sigma_m(s, a)||, over all members (`penalties.largest_deviation`)

    dataset: a rlkit.offline.Dataset or one for each seed. penalty: a number, or one for each seed [S]; 0 is train_in
    with a fitted model. members, elites, terminates, low, high: see Dynamics. train: what train_in takes, e.g. steps,
    horizon. Raises ValueError as these.
    """
    ensemble = {"members": members, "elites": elites, "terminates": terminates, "low": low, "high": high}
    model, log, error = fitted(dataset, seeds, model_steps, **ensemble)
    for step in train_in(Penalised(model, penalty), dataset, log.seeds, **train):
        yield Step(step.step, step.metrics | {"model_error": error})
