"""Policies beside the optimum of the same KL, and best-of-n on long texts: what `alignment_asymptotics` measures.

>>> from rlkit.rlhf import asymptotics, optimum, types
>>> source = types.source(chances=(0.5, 0.3, 0.2), rewards=(0.0, 1.0, 2.5), length=20)
>>> found = asymptotics.beside_optimum(optimum.best_of_n(*source, 20), *source)
>>> round(found["lacks"], 4), round(found["beta"] * found["apart"], 4)
(0.7563, 0.7563)
"""

import functools
import math

import numpy as np
import torch

from rlkit import checks, lm
from rlkit.lm import exact
from rlkit.lm.tasks.style import rewards as gold_rewards
from rlkit.rlhf import optimum, selection, types

TASK = lm.tasks.style()


def beside_optimum(log_p: torch.Tensor, log_prior: torch.Tensor, reward: torch.Tensor) -> dict:
    """A policy beside the tilt of the same KL; log_p, log_prior, reward [N] -> name -> float.

    kl: KL(pi || pi_0), nats; base, reward, optimum: expected reward of pi_0, of pi and of that tilt; lacks: optimum -
    reward; and, where a tilt of that KL exists, its beta and apart = KL(pi || tilt), with lacks = beta apart. Beyond
    -log of pi_0's mass on the largest reward there is none, and the optimum is that reward.
    """
    kl = optimum.kl(log_p, log_prior).item()
    (base, _), (own, _) = types.moments(log_prior, reward), types.moments(log_p, reward)
    found = {"kl": kl, "base": base, "reward": own, "optimum": reward.max().item()}
    if 0 < kl < -log_prior[reward == reward.max()].logsumexp(0).item() - 1e-9:
        beta = optimum.beta_at(log_prior, reward, kl)
        tilt = optimum.tilt(log_prior, reward, beta)
        found |= {"optimum": types.moments(tilt, reward)[0], "beta": beta, "apart": optimum.kl(log_p, tilt).item()}
    elif kl <= 0:
        found["optimum"] = base
    return found | {"lacks": found["optimum"] - own}


def random_source(seed: int) -> tuple:
    """(chances, rewards, delta) of three symbols: Dirichlet(2, 2, 2), uniform scaled to 0 to 1, and 0.03 to 0.5 times
    the KL per symbol of the best text."""
    rng = np.random.default_rng(checks.seed(seed))
    p, r = rng.dirichlet([2, 2, 2]), rng.random(3)
    return p / p.sum(), (r - r.min()) / np.ptp(r), -rng.uniform(0.03, 0.5) * math.log(p[r.argmax()])


def long_texts(chances, rewards, length: int, delta: float, temperatures=()) -> list:
    """One row per policy on texts of `length` symbols (`types.source`), best-of-N with N = exp(delta length) first.

    Each has the fields of `beside_optimum` and policy, length, delta. Best-of-N also has gap and far, its distance in
    expected reward and KL(best-of-N || tilt) to the tilt of KL = log N; formula, what `types.lag` says of gap; spread
    and narrow, the standard deviation of the reward under that tilt and under best-of-N; bound, log N - (N - 1) / N.
    Then the best share exp(-KL of best-of-N), and each temperature, which looks at no reward.
    """
    source, N = types.source(chances, rewards, length), math.exp(delta * length)
    best, beta = optimum.best_of_n(*source, N), optimum.beta_at(*source, delta * length)
    tilt = optimum.tilt(*source, beta)
    (most, spread), (own, narrow) = types.moments(tilt, source[1]), types.moments(best, source[1])
    row = {"policy": "best of N", "gap": most - own, "far": optimum.kl(best, tilt).item()}
    row |= {"formula": types.lag(spread, beta), "spread": spread, "narrow": narrow}
    found = [row | {"bound": optimum.best_of_n_bound(N)} | beside_optimum(best, *source)]
    laws = {"best share": selection.best_share(*source, math.exp(-found[0]["kl"]))}
    for temperature in temperatures:
        scaled = np.array(chances) ** (1 / checks.positive("temperature", temperature))
        laws[f"temperature {temperature}"] = types.source(scaled / scaled.sum(), rewards, length)[0]
    found += [{"policy": name} | beside_optimum(law, *source) for name, law in laws.items()]
    return [one | {"length": length, "delta": delta} for one in found]


@functools.lru_cache(maxsize=8)
def listed(number: int) -> tuple:
    """All answers of "xs-style" to problem `number` of `problems()`: (policy, log chances [N], gold rewards [N])."""
    problem = problems()[checks.count("number", number)]
    policy = exact.NetworkPolicy(*lm.load("xs-style"), problem.prompt, TASK.max_new_tokens)
    gold = torch.tensor(gold_rewards(TASK, problem, policy.ids)).round(decimals=9)  # equal sums stay equal
    with torch.no_grad():
        return policy, selection.tempered(policy, 1.0), gold


@functools.lru_cache(maxsize=1)
def problems() -> tuple:
    """The six problems of the task with the short lexicon."""
    return tuple(TASK.problems(6, 0, "all"))


def lottery(number: int, seed: int) -> torch.Tensor:
    """A standard normal reward for each answer to a problem, [N] float64: no sum over words, and without ties."""
    size = len(listed(number)[1])
    return torch.tensor(np.random.default_rng([checks.seed(seed), checks.count("number", number)]).normal(size=size))


def answers(number: int, *, draws, shares, temperatures, seeds, lottery_draws: int = 16) -> list:
    """One row per policy among the listed answers to a problem: number, paid_by, seed, policy, knob, `beside_optimum`.

    Paid by gold (seed -1): best-of-N for each N of draws, best share and temperature. Paid by a lottery for each seed:
    best-of-N with N = lottery_draws. knob: N, the share, the temperature.
    """
    policy, prior, gold = listed(number)
    laws = [("best of N", N, optimum.best_of_n(prior, gold, N)) for N in draws]
    laws += [("best share", share, selection.best_share(prior, gold, share)) for share in shares]
    with torch.no_grad():
        laws += [("temperature", t, selection.tempered(policy, t)) for t in temperatures]
    laws = [("gold", -1, gold, *law) for law in laws]
    for seed in seeds:
        prize = lottery(number, seed)
        best = optimum.best_of_n(prior, prize, lottery_draws)
        laws.append(("lottery", seed, prize, "best of N", lottery_draws, best))
    return [
        {"number": number, "paid_by": payer, "seed": seed, "policy": name, "knob": knob}
        | ({"bound": optimum.best_of_n_bound(knob)} if name == "best of N" else {})
        | beside_optimum(law, prior, reward)
        for payer, seed, reward, name, knob, law in laws
    ]


def at_equal_kl(log_prior: torch.Tensor, reward: torch.Tensor, n: float) -> dict:
    """name -> log law [N] of best-of-n, of the tilt and of the best share with its KL (as near as ties allow), and of
    the base."""
    best = optimum.best_of_n(log_prior, reward, n)
    kl = optimum.kl(best, log_prior).item()
    tilt = optimum.tilt(log_prior, reward, optimum.beta_at(log_prior, reward, kl))
    share = selection.best_share(log_prior, reward, math.exp(-kl))
    return {"optimum": tilt, "best of N": best, "best share": share, "base": log_prior}


def by_reward(log_p: torch.Tensor, log_prior: torch.Tensor, reward: torch.Tensor, points: int = 200) -> tuple:
    """(rewards, ln how much likelier than in the base, chance of at most this reward), at most `points` numbers each.

    For a policy that looks at a text's reward and chance alone; of each reward one text is asked.
    """
    levels, level = reward.unique(return_inverse=True)  # rising
    member = torch.zeros(len(levels), dtype=torch.long).scatter(0, level, torch.arange(len(level)))
    upto = torch.zeros(len(levels), dtype=log_p.dtype).index_add(0, level, log_p.exp()).cumsum(0)
    at = torch.linspace(0, len(levels) - 1, min(len(levels), checks.positive_int("points", points))).long()
    return tuple(x[at].numpy() for x in (levels, (log_p - log_prior)[member], upto))


def growth(rows) -> dict:
    """ "per symbol" and "whole text" -> curve -> [[value per length]] of best-of-N, for `widgets.rate_panels`.

    Curves: "short of, 0.05" is the gap at delta = 0.05, "KL to it, 0.05" is far. rows: a table of `long_texts`'s rows
    with a seed of -1, among others; lengths rise, and may not all be there yet.
    """
    rows = rows.reindex(columns=["policy", "seed", "length", "delta", "gap", "far"])
    parts = rows[(rows["policy"] == "best of N") & (rows["seed"] == -1) & rows["gap"].notna()].groupby("delta")
    return {
        title: {
            f"{name}, {delta:g}": [(part[what] / part["length"] ** power).tolist()]
            for name, what in (("short of", "gap"), ("KL to it", "far"))
            for delta, part in parts
        }
        for title, power in (("per symbol", 1), ("whole text", 0))
    }


def by_length(rows):
    """Best-of-N's rows of `long_texts`, a table, for reading: (delta, length) -> columns of numbers.

    beta is that of the tilt of KL = n delta, from gap = beta (far + n delta - kl); "KL to it, formula" is formula /
    beta - 1, for there kl tends to n delta - 1.
    """
    nats = rows["delta"] * rows["length"]
    beta = rows["gap"] / (rows["far"] + nats - rows["kl"])
    columns = {"gap": "short of", "formula": "its formula", "far": "KL to it", "limit": "formula of KL to it"}
    columns |= {"slope": "beta", "lacks": "lacks", "apart": "apart", "spread": "sd, optimum", "narrow": "sd, best of N"}
    columns |= {"kl": "KL to base", "bound": "its bound"}
    rows = rows.assign(slope=beta, limit=rows["formula"] / beta - 1).set_index(["delta", "length"])
    return rows[list(columns)].rename(columns=columns)


def against_kl(rows, number: int) -> dict:
    """Curve -> (KL, gold reward) of the optimum and of each policy among `answers`' rows, a table, paid by gold.

    Best-of-N is two curves, below and from N = 16; "formula" has its bound in place of its KL, without the smallest N.
    Beyond its last tilt the optimum is the full reward.
    """
    _, prior, gold = listed(number)
    rows = rows[rows["number"] == number].sort_values("kl")
    best = rows["policy"] == "best of N"
    names = rows["policy"].mask(best, "best of N, below 16").mask(best & (rows["knob"] >= 16), "best of N, from 16")
    found = {name: (part["kl"].to_numpy(), part["reward"].to_numpy()) for name, part in rows.groupby(names)}
    best = rows[best][1:]
    found["formula, best of N"] = (best["bound"].to_numpy(), best["reward"].to_numpy())
    line = optimum.frontier(prior, gold, gold, np.geomspace(20, 0.02, 60))
    end = best["bound"].max(), gold.max().item()
    line = [np.append(x.numpy(), last) for x, last in zip(line, end, strict=True)]
    return {"optimum": tuple(line)} | found


def other_sources(rows):
    """seed x length: KL(best-of-N || tilt of KL = n delta) on random sources, from a table of `long_texts`' rows."""
    rows = rows[(rows["policy"] == "best of N") & (rows["world"] == "texts") & (rows["seed"] >= 0)]
    return rows.astype({"seed": int, "length": int}).pivot(index="seed", columns="length", values="far")
