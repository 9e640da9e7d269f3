"""Rules and learners in the same fisheries, on the same test episodes: constants by grid, a logistic optimum, PPO.

What notebooks/05_model_based/pdg_control.ipynb measures with; its knobs and what is done with the numbers stand there.
"""

import functools
import itertools
import warnings

import numpy as np

from rlkit import checks, envs
from rlkit.envs import fishery
from rlkit.evaluations import of_kind
from rlkit.model_based import one_stock
from rlkit.model_based.ppo import ppo
from rlkit.offline.rows import Agent

CONDITIONS = {  # name -> (world, its options)
    "one stock": ("fishery-one-species", {}),
    "one of three": ("fishery", {"harvested": 1}),
    "two of three": ("fishery", {}),
    "two, calm": ("fishery", {"noise": 0.05}),
    "two, drift": ("fishery", {"drift": True}),
}
GROUPS = (("one stock",), ("one of three",), ("two of three", "two, calm", "two, drift"))  # sizes alike in each
RULES = {  # arm -> (act of its numbers, the largest number on the grid)
    "constant mortality": (fishery.mortality, 0.5),
    "constant escapement": (fishery.escapement, 1.0),
}
TUNING_SEED, LOGGED, HARDEST = 10_000, 50, 0.3
GRIDS = {1: ((41, 300), (21, 300)), 2: ((11, 100), (7, 300))}  # fished stocks -> points of each and episodes, twice
TEST, LOG, POINTS = 11, 12, 500  # streams of a seed; points that a Gaussian process is fitted to


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
    flat = functools.partial(_by_row, act)
    return float(play(flat, [simulator], [np.random.default_rng(seed)], episodes)[0].mean())


def _by_row(act, seen):
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


def measure(kept, arm, conditions, seeds, steps, episodes):
    """One cell of a sweep: an arm in conditions of one size -> (mean return, rows), and what it learnt into `kept`.

    Rows have kind "row", arm, condition, seed, return (mean of `episodes` test episodes of the seed), lost (share that
    ended early), curve (PPO: returns while it trained), numbers (of a tuned rule) and, with one stock, exact (the
    expected return, by dynamic programming). The arm "PPO" makes the rows of "PPO + GP" as well. kept: a dictionary
    that is given (arm, condition) -> act(observations [N, O]) -> [N, A], of the first seed.
    """
    keys = [(condition, seed) for condition in conditions for seed in seeds]
    curves, numbers = [[] for _ in keys], {}
    if arm == "PPO":
        agent, looks = Agent(), []
        for step in ppo([world(c) for c, _ in keys], [s for _, s in keys], steps=steps, agent=agent):
            looks.append(step.metrics["return"])
        curves = np.stack(looks, axis=1).round(2).tolist()
        acts = [functools.partial(_one, agent, row) for row in range(len(keys))]
    elif arm in RULES:
        numbers = {condition: tune(arm, condition) for condition in conditions}
        acts = [RULES[arm][0](numbers[condition]) for condition, _ in keys]
    elif arm == "logistic optimum":
        acts = [logistic_rule(*key)[0] for key in keys]
    else:
        acts = [fishery.guarded(*fishery.EXPERT) for _ in keys]
    found = {arm: (acts, agent.act if arm == "PPO" else functools.partial(_each, acts))}
    if arm == "PPO":
        smoothed = [smooth(act, *key) for act, key in zip(acts, keys, strict=True)]
        found["PPO + GP"] = (smoothed, functools.partial(_each, smoothed))
    rows = []
    for name, (each, act) in found.items():
        made, lost = play(
            act, [world(c) for c, _ in keys], [np.random.default_rng([s, TEST]) for _, s in keys], episodes
        )
        for row, (condition, seed) in enumerate(keys):
            kept.setdefault((name, condition), each[row])
            extra = {"exact": exact(each[row])} if condition == "one stock" else {}
            extra |= {"numbers": numbers[condition]} if numbers else {}
            curve = curves[row] if name == "PPO" else []
            said = {"return": round(float(made[row].mean()), 4), "lost": float(lost[row].mean()), "curve": curve}
            rows.append({"kind": "row", "arm": name, "condition": condition, "seed": seed} | said | extra)
    return {"return": float(np.mean([row["return"] for row in rows]))}, rows


def _one(agent, row, observations):
    return agent.act(observations)[row]


def _each(acts, seen):
    return np.stack([act(x) for act, x in zip(acts, seen, strict=True)])


def exact(act) -> float:
    """The expected return of a policy of the single fishery, by dynamic programming, from the middle start."""

    def left(stocks):
        share = (np.clip(act(stocks[:, None].astype(np.float32))[:, 0], -1, 1) + 1) / 2
        return stocks * (1 - share)

    noise = world("one stock").noise
    return one_stock.exact_return(one_stock.single_growth, noise, left, fishery.ALONE["start"])


def results(run, value="return") -> dict:
    """arm -> condition -> values [S] of the rows of `measure`, in the order of seeds, as far as the run has come."""
    found, rows = {}, of_kind(run, "row")
    for (arm, condition), here in rows.groupby(["arm", "condition"], sort=False) if len(rows) else ():
        found.setdefault(arm, {})[condition] = np.array(here.sort_values("seed")[value].tolist())
    return found


def played(kept, again, arm, condition, episodes=200, seed=7):
    """Episodes of an arm of `kept` as `envs.Trajectories`; starts and noise are those of `seed`, the same for all.

    again: seeds, steps and episodes of `measure`, with which an arm that is not in `kept` is made.
    """
    if (arm, condition) not in kept:
        group = next(group for group in GROUPS if condition in group)
        measure(kept, "PPO" if arm == "PPO + GP" else arm, group, **again)
    act = kept[arm, condition]
    return envs.rollout(world(condition), lambda count, rng: act, np.random.default_rng(seed), episodes)


def what_is_lost(trajectories) -> dict:
    """Share of episodes that ended with X, with Y, with Z lost; and the mean of X + 1.1 Y after the catch, the
    predator's food: below 1 it gets rarer. trajectories: of a fishery of three stocks, two of them fished.
    """
    p = trajectories
    gone = p.states[:, -1, :3] <= fishery.COLLAPSE  # [E, 3]
    shares = (np.clip(p.actions, -1, 1) + 1) / 2
    food = (p.states[:, :-1, :2] * (1 - shares)) @ [1, fishery.TASTE]  # [E, T]
    lived = np.arange(food.shape[1]) < p.lengths[:, None]
    return {f"lost: {name}": gone[:, i].mean() for i, name in enumerate("XYZ")} | {"food": food[lived].mean()}


def relative(run, arms) -> dict:
    """arm -> condition -> returns [S] over the mean return of constant mortality there, for conditions that have it."""
    found = results(run)
    base = {condition: values.mean() for condition, values in found.get("constant mortality", {}).items()}
    return {arm: {c: v / base[c] for c, v in found[arm].items() if c in base} for arm in arms if arm in found}
