"""The rules of the fisheries measured: the best constants of a grid, a logistic model planned with, a policy smoothed.

And `play`, in which they and what is learnt meet the same episodes.
"""

import functools
import itertools
import warnings

import numpy as np

from rlkit import checks, envs
from rlkit.envs import fishery
from rlkit.model_based import one_stock

CONDITIONS = {  # name -> (world, its options)
    "one stock": ("fishery-one-species", {}),
    "one of three": ("fishery", {"harvested": 1}),
    "two of three": ("fishery", {}),
    "two, calm": ("fishery", {"noise": 0.05}),
    "two, drift": ("fishery", {"drift": True}),
}
RULES = {  # arm -> (act of its numbers, the largest number on the grid)
    "constant mortality": (fishery.mortality, 0.5),
    "constant escapement": (fishery.escapement, 1.0),
}
TUNING_SEED, LOGGED, HARDEST = 10_000, 50, 0.3
GRIDS = {1: ((41, 300), (21, 300)), 2: ((11, 100), (7, 300))}  # fished stocks -> points of each and episodes, twice
LOG, POINTS = 12, 500  # stream of a seed; points that a Gaussian process is fitted to


@functools.cache
def world(condition):
    """The simulator of a condition, always the same object. Raises ValueError for others."""
    name, options = CONDITIONS[checks.one_of("condition", condition, tuple(CONDITIONS))]
    return envs.simulator(name, **options)


def play(act, simulators, generators, episodes: int):
    """R worlds times E episodes of act(observations [R, E, O]) -> [R, E, A]: returns [R, E], lost early [R, E].

    Starts and noise come from one generator for each world, so that all policies meet the same ones.
    """
    states = [s.start(g, episodes) for s, g in zip(simulators, generators, strict=True)]
    shape = (simulators[0].horizon, episodes, simulators[0].noise_size)
    noise = [g.standard_normal(shape) for g in generators]
    total, alive = np.zeros((len(states), episodes)), np.ones((len(states), episodes), bool)
    for t in range(shape[0]):
        actions = act(np.stack([s.observe(state) for s, state in zip(simulators, states, strict=True)]))
        for row, simulator in enumerate(simulators):
            states[row], rewards, lost = simulator.step(states[row], actions[row], noise[row][t])
            total[row] += rewards * alive[row]
            alive[row] &= ~lost
    return total, ~alive


def tune(arm, condition) -> list:
    """The numbers of a rule [A] with the best mean return: a coarse grid, then a finer one around its best point.

    All points meet the same episodes, those of TUNING_SEED, which no result uses.
    """
    rule, most = RULES[checks.one_of("arm", arm, tuple(RULES))]
    simulator, best, reach = world(condition), np.full(world(condition).action_size, most / 2), most / 2
    for number, (points, episodes) in enumerate(GRIDS[len(best)]):
        grid = np.unique([np.clip(b + reach * np.linspace(-1, 1, points), 0, most) for b in best], axis=1)
        candidates = np.array(list(itertools.product(*grid)))  # [N, A]
        earned = [_mean_return(rule(c), simulator, [TUNING_SEED, number], episodes) for c in candidates]
        best, reach = candidates[int(np.argmax(earned))], reach * 2 / (points - 1)
    return best.round(4).tolist()


def _mean_return(act, simulator, seed, episodes) -> float:
    flat = functools.partial(by_row, act)
    return float(play(flat, [simulator], [np.random.default_rng(seed)], episodes)[0].mean())


def by_row(act, seen):
    """act of observations [N, O], asked with [R, E, O]."""
    return act(seen.reshape(-1, seen.shape[-1])).reshape(*seen.shape[:2], -1)


def logistic_rule(condition, seed):
    """The act that is optimal where each fished stock grows alone, by a logistic model; and the models, one a stock.

    The models are fitted to LOGGED episodes of the real fishery, in each of which a constant share between 0 and
    HARDEST of each stock is caught; then planned with exactly (`one_stock.plan`), as the policy of the first year.
    """
    simulator, rng = world(condition), np.random.default_rng([checks.seed(seed), LOG])
    rates = rng.uniform(0, HARDEST, (LOGGED, simulator.action_size))
    played = envs.rollout(simulator, lambda count, rng: lambda seen: 2 * rates - 1, rng, LOGGED)
    lived = np.arange(simulator.horizon) < played.lengths[:, None]  # [E, T]
    models, plans = [], []
    for stock in range(simulator.action_size):
        left = played.states[:, :-1, stock] * (1 - rates[:, stock, None])
        models.append(one_stock.fit_logistic(left[lived], played.states[:, 1:, stock][lived]))
        found = one_stock.plan(one_stock.logistic_growth(*models[-1][:2]), models[-1].noise)
        plans.append((found.stocks, found.left[0]))

    def act(seen):
        stocks = seen[:, : len(plans)].astype(float)
        left = np.stack([np.interp(x, *plan) for x, plan in zip(stocks.T, plans, strict=True)], axis=1)
        return 2 * fishery.kept(stocks, left) - 1

    return act, models


def smooth(act, condition, seed):
    """A policy act(observations [N, O]) as a Gaussian process of the stocks: the mean that POINTS of its points leave.

    The points are drawn from 20 of its own episodes. Kernel: a constant times RBF, and white noise; its numbers are the
    likeliest ones, by scikit-learn.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, WhiteKernel

    rng = np.random.default_rng([checks.seed(seed), LOG])
    played = envs.rollout(world(condition), lambda count, rng: act, rng, 20)
    seen = np.concatenate([x[:length] for x, length in zip(played.observations, played.lengths, strict=True)])
    seen = seen[rng.choice(len(seen), min(POINTS, len(seen)), replace=False)].astype(float)
    process = GaussianProcessRegressor(1.0 * RBF(10.0) + WhiteKernel(0.1), random_state=0)
    with warnings.catch_warnings():  # the noise of a policy without noise is as small as it may be
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(seen, np.clip(act(seen), -1, 1))
    return lambda seen: process.predict(seen.astype(float)).reshape(len(seen), -1)
