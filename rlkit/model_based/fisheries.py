"""Rules and learners in the same fisheries, on the same test episodes: constants by grid, a logistic optimum, PPO.

What notebooks/05_model_based/pdg_control.ipynb measures with; its knobs and what is done with the numbers stand there.
"""

import functools

import numpy as np

from rlkit import envs
from rlkit.envs import fishery
from rlkit.evaluations import of_kind
from rlkit.model_based import one_stock
from rlkit.model_based.algorithms.ppo import ppo
from rlkit.model_based.fishery_rules import CONDITIONS, GRIDS, RULES, by_row, logistic_rule, play, smooth, tune, world
from rlkit.offline.rows import Agent
from rlkit.stats import paired_bootstrap

__all__ = [
    "CONDITIONS", "GROUPS", "careful", "measure", "numbers", "played", "relative", "results", "what_is_lost", "world"
]  # fmt: skip

GROUPS = (("one stock",), ("one of three",), ("two of three", "two, calm", "two, drift"))  # sizes alike in each
TEST = 11  # the stream of a seed from which its test episodes come


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
    """Where returns come from: lost episodes or the catch, and what the predator had to eat.

    Share of episodes that ended with X, with Y, with Z lost; mean return of all episodes, and of those not lost; mean
    year of a loss; means over years of the catch, of Z, and of the food X + 1.1 Y after the catch, also over the years
    with Z below 0.2 alone; share of years with food above 1, in which Z grows. NaN where there is none. trajectories:
    of a fishery of three stocks, two of them fished.
    """
    p = trajectories
    gone = p.states[:, -1, :3] <= fishery.COLLAPSE  # [E, 3]
    shares, stocks = (np.clip(p.actions, -1, 1) + 1) / 2, p.states[:, :-1]
    lived = np.arange(stocks.shape[1]) < p.lengths[:, None]  # [E, T]
    food, lost, made = ((1 - shares) * stocks[..., :2]) @ [1, fishery.TASTE], gone.any(1), p.rewards.sum(1)
    found = {f"lost: {name}": gone[:, i].mean() for i, name in enumerate("XYZ")}
    found |= {"return": made.mean(), "return, not lost": _mean(made[~lost]), "year of loss": _mean(p.lengths[lost])}
    found |= {"catch in a year": (shares * stocks[..., :2]).sum(-1)[lived].mean(), "Z": stocks[..., 2][lived].mean()}
    found |= {"food": food[lived].mean(), "food, Z < 0.2": _mean(food[lived & (stocks[..., 2] < 0.2)])}
    return found | {"years with food > 1": (food[lived] > 1).mean()}


def _mean(values) -> float:
    return float(values.mean()) if len(values) else float("nan")


def numbers(run) -> dict:
    """condition -> what the rules of a run were found to be, as texts; and simulated years, of a grid at most.

    m and S of the tuned constants; S_X + 1.1 S_Y, the most food that this escapement leaves; r and K of the logistic
    models of seed 0, and what their plan leaves of a stock of 1, in the first year. Two numbers: X, Y.
    """
    rows, table = of_kind(run, "row"), {}
    trained = int(of_kind(run, "cell")["steps"].iloc[0])
    for condition in CONDITIONS:
        here = rows[rows["condition"] == condition]
        m, left = (here[here["arm"] == arm]["numbers"].iloc[0] for arm in RULES)
        act, models = logistic_rule(condition, 0)
        table[condition] = {"m": _text(m), "S": _text(left), "S_X + 1.1 S_Y": "–"}
        if len(left) == 2:
            table[condition]["S_X + 1.1 S_Y"] = f"{left @ np.array([1, fishery.TASTE]):.2f}"
        table[condition] |= {f"logistic {name}": _text([getattr(x, field) for x in models])
                             for name, field in (("r", "rate"), ("K", "capacity"))}  # fmt: skip
        table[condition]["logistic S"] = _text((1 - act(np.ones((1, 3)))[0]) / 2)
        years = fishery.YEARS * sum(points ** len(m) * episodes for points, episodes in GRIDS[len(m)])
        table[condition] |= {"years of a grid": f"{years:,}", "years of PPO": f"{trained:,}"}
    return table


def _text(values) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def relative(run, arms) -> dict:
    """arm -> condition -> returns [S] over the mean return of constant mortality there, for conditions that have it.

    The constants are named "mortality" and "escapement", for short.
    """
    found = results(run)
    base = {condition: values.mean() for condition, values in found.get("constant mortality", {}).items()}
    return {
        arm.removeprefix("constant "): {c: v / base[c] for c, v in found[arm].items() if c in base}
        for arm in arms
        if arm in found
    }


def careful(run, condition, shares) -> dict:
    """name -> {"return", "lost", "PPO earns more by"}: shares of the best constant mortality's numbers, and the
    watchful rule and PPO as the run has them. Means over the seeds' own test episodes, which are those of the run; the
    last is a mean with its 95 % interval, paired by seed.
    """
    rows = of_kind(run, "row", condition=condition)
    rows = rows[rows["arm"] == "constant mortality"].sort_values("seed")
    seeds, rates = rows["seed"].astype(int).tolist(), np.array(rows["numbers"].iloc[0])
    episodes = int(of_kind(run, "cell")["episodes"].iloc[0])
    found = {}
    for share in shares:
        act = functools.partial(by_row, fishery.mortality(share * rates))
        made, lost = play(
            act, [world(condition)] * len(seeds), [np.random.default_rng([s, TEST]) for s in seeds], episodes
        )
        found[f"{share:.0%} of the best constant mortality"] = (made.mean(1), lost.mean(1))
    for arm in ("watchful rule", "PPO"):
        found[arm] = tuple(results(run, what)[arm][condition] for what in ("return", "lost"))
    table = {}
    for name, (made, lost) in found.items():
        gap = paired_bootstrap({"PPO": found["PPO"][0], "other": made}, lambda mean: mean["PPO"] - mean["other"])
        text = "–" if name == "PPO" else f"{gap.estimate:+.2f} ({gap.low:+.2f} to {gap.high:+.2f})"
        table[name] = {"return": made.mean(), "lost": lost.mean(), "PPO earns more by": text}
    return table
