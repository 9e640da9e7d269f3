"""MOReL: train where the members of an ensemble agree; elsewhere the dream ends, at a cost (Kidambi et al. 2020,
2005.05951).

Departures from the paper and the authors' code:
1. The planner is a soft actor-critic (train_in), not natural policy gradient.
2. HALT pays `cost` once and ends the dream; theirs is an absorbing state that pays in every step, in the paper, and a
   reward at the end of a cut trajectory, in the code.
3. The reward is learnt with the dynamics; theirs is known. Doubt looks at next observations alone, as theirs does.
4. The threshold is the largest disagreement in the log, divided by `pessimism`; the paper tunes it for each task.
"""

from rlkit import checks
from rlkit.model_based.algorithms.mopo import fitted
from rlkit.model_based.algorithms.train_in import train_in
from rlkit.model_based.penalties import Halting, halt_threshold
from rlkit.runs import Step


def morel(
    dataset,
    seeds,
    *,
    pessimism: float = 1.0,
    cost=None,
    discount: float = 0.99,
    model_steps: int = 2_000,
    members: int = 4,
    terminates=None,
    low=None,
    high=None,
    **train,
):
    """A learner: yields the Steps of `train_in`, with model_error and threshold, each [S].

    A step is unknown, and halts, where max_ij ||f_i(s, a) - f_j(s, a)|| > threshold = (the largest in the log) /
    pessimism. pessimism: above 0; more halts sooner. cost: of a halt, a number or one for each seed; None for the worst
    reward of the log in every step to come, max(0, -min r) / (1 - discount). All members are elites. The rest is
    as in mopo. Raises ValueError as these.
    """
    ensemble = {"members": members, "elites": members, "terminates": terminates, "low": low, "high": high}
    if not 0 <= checks.finite("discount", discount) < 1:
        checks.fail("discount", discount, "in [0, 1)")
    pessimism = checks.positive("pessimism", pessimism)
    model, log, error = fitted(dataset, seeds, model_steps, **ensemble)
    data = log.all()
    threshold = halt_threshold(model, data.observations, data.actions) / pessimism  # [S]
    if cost is None:
        cost = (-data.rewards.amin(1)).clamp(min=0) / (1 - discount)
    halting = Halting(model, threshold, cost)
    for step in train_in(halting, dataset, log.seeds, discount=discount, **train):
        yield Step(step.step, step.metrics | {"model_error": error, "threshold": threshold})
