"""Over-optimisation: what a policy that climbs a proxy loses of the gold reward, and whether better proxies lose less.

No torch at module level: an exercise needs none.
"""

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from rlkit import checks
from rlkit.evaluations import of_kind
from rlkit.stats import paired_bootstrap

FORMS = {"RL": np.log, "best of n": lambda d: d}  # what beta multiplies in gold = d (alpha - beta f(d))


def gap(first, second) -> np.ndarray:
    """How far a curve falls from its peak to its end, without the bias of picking the highest of noisy points: [...].

    first, second [..., E]: the same E looks estimated twice, from samples that share nothing. The look that is highest
    in one half is picked, its height over the last look is read from the other half; both ways, and their mean. A flat
    curve has a gap of 0 on average, where max - last of one curve is always at least 0. Raises ValueError.
    """
    halves = checks.finite("first", first), checks.finite("second", second)
    if halves[0].shape != halves[1].shape or halves[0].ndim < 1 or halves[0].shape[-1] < 2:
        raise ValueError(f"first, second of shapes {halves[0].shape}, {halves[1].shape}: must both be [..., E >= 2]")
    falls = []
    for picking, reading in (halves, halves[::-1]):
        peak = picking.argmax(-1)[..., None]
        falls.append(np.take_along_axis(reading, peak, -1)[..., 0] - reading[..., -1])
    return (falls[0] + falls[1]) / 2


def rises(curve, least: float = 0.9) -> np.ndarray:
    """Whether curves [..., E] rise all the way but for noise: rank correlation with the looks of at least `least`."""
    curve = checks.finite("curve", curve)
    return spearman(curve, np.broadcast_to(np.arange(curve.shape[-1]), curve.shape)) >= least


def spearman(x, y) -> np.ndarray:
    """Spearman's rank correlation along the last axis, ties at their mean rank: [..., N], [..., N] -> [...].

    0 where all x or all y are equal: then nothing is ranked. Raises ValueError.
    """
    x, y = checks.finite("x", x), checks.finite("y", y)
    if x.shape != y.shape or x.ndim < 1 or x.shape[-1] < 2:
        raise ValueError(f"x, y of shapes {x.shape}, {y.shape}: must both be [..., N >= 2]")
    a, b = (rankdata(values, axis=-1) - (values.shape[-1] + 1) / 2 for values in (x, y))
    size = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return np.where(size > 0, (a * b).sum(-1) / np.where(size > 0, size, 1), 0.0)


def fit(kl, gain, form: str = "RL") -> tuple:
    """(alpha, beta, share of variance) of gain = d (alpha - beta f(d)), d = sqrt(kl), by least squares.

    kl [E] above 0, nats; gain [E]: gold reward over that of the start. form: "RL" has f(d) = log d, "best of n" has
    f(d) = d: the two forms of Gao, Schulman and Hilton 2022 (arXiv 2210.10760), section 3.1. The share of variance may
    be below 0: both forms pass through 0 and a mean need not. Raises ValueError.
    """
    f = FORMS[checks.one_of("form", form, tuple(FORMS))]
    kl, gain = checks.finite("kl", kl), checks.finite("gain", gain)
    if kl.ndim != 1 or kl.shape != gain.shape or len(kl) < 3 or (kl <= 0).any():
        checks.fail("kl", kl, "at least three numbers above 0, as many as gain")
    d = np.sqrt(kl)
    columns = np.stack([d, -d * f(d)], 1)
    (alpha, beta), *_ = np.linalg.lstsq(columns, gain, rcond=None)
    left = ((gain - columns @ [alpha, beta]) ** 2).sum()
    return float(alpha), float(beta), float(1 - left / ((gain - gain.mean()) ** 2).sum())


def height(kl, alpha: float, beta: float, form: str = "RL") -> np.ndarray:
    """d (alpha - beta f(d)) at kl above 0: see `fit`."""
    d = np.sqrt(checks.finite("kl", kl))
    return d * (alpha - beta * FORMS[checks.one_of("form", form, tuple(FORMS))](d))


def look(model, reference, tokenizer, task, problems: list, reward, *, samples: int, seed: int) -> dict:
    """Where a policy of a style task stands, from `samples` (a multiple of 4) completions of every problem.

    gold_first, gold_second: mean gold reward of either half of the completions; gold_error: standard error of one half,
    within problems; proxy: mean of reward(rollouts, problems) -> [P, G]; proxy_spread: its standard deviation; kl: mean
    over completions of sum log pi - log pi_ref (nats), pi_ref the model `reference`; accuracy: of pairs of completions
    of a problem that differ in gold reward, the share that reward ranks as gold does, ties half (a half without pairs).
    """
    import torch

    from rlkit.lm.rollouts import sample, score_tokens
    from rlkit.lm.tasks.style import rewards as rubric
    from rlkit.rlhf.reward_models import share_ranked

    if checks.positive_int("samples", samples) % 4:
        checks.fail("samples", samples, "a multiple of 4: two halves, each in pairs")
    drawn = sample(model, tokenizer, problems, samples, task.max_new_tokens, seed=seed)
    ids = drawn.ids.view(len(problems), samples, -1).numpy()  # [P, G, T]
    gold = torch.tensor(np.stack([rubric(task, p, own) for p, own in zip(problems, ids, strict=True)]))
    proxy = torch.as_tensor(reward(drawn, problems)).detach().double()
    with torch.no_grad():
        drift = ((drawn.logp - score_tokens(reference, drawn)) * drawn.mask).sum(1)
    ahead, believed = (x[:, ::2] - x[:, 1::2] for x in (gold, proxy))  # [P, G / 2]
    agreed = (ahead.sign() * believed)[ahead != 0]
    first, second = gold[:, : samples // 2], gold[:, samples // 2 :]
    return {
        "gold_first": first.mean().item(),
        "gold_second": second.mean().item(),
        "gold_error": (gold.var(1).mean() / first.numel()).sqrt().item(),
        "proxy": proxy.mean().item(),
        "proxy_spread": proxy.std().item(),
        "kl": drift.double().mean().item(),
        "accuracy": share_ranked(agreed) if len(agreed) else 0.5,
    }


def followed(learner, looking, at) -> dict:
    """Drain a learner and look after each of the steps in `at` (0: before any update): name -> list [E], and at [E].

    looking(step) -> name -> number, as a closure over `look`. Raises ValueError where no step was to be looked at.
    """
    found = {}
    for step in learner:
        if step.step in at:
            for name, value in ({"at": step.step} | looking(step.step)).items():
                found.setdefault(name, []).append(value)
    if not found:
        checks.fail("at", at, "steps that the learner yields")
    return found


def best_fit(model, learner) -> float:
    """Drain `fit_reward` (with held_out) and leave the reward model as it was when its validation loss was lowest;
    returns that loss."""
    best, kept = np.inf, None
    for step in learner:
        loss = step.metrics.get("validation_loss", np.inf)
        if loss < best:
            best, kept = loss, {name: value.detach().clone() for name, value in model.state_dict().items()}
    if kept is None:
        raise ValueError("learner: it logged no validation_loss: must be fit_reward(..., held_out=rows)")
    model.load_state_dict(kept)
    return best


def accuracies(model, task, problems: list, a: list, b: list, rows: list) -> dict:
    """What a reward model gets right of the pairs (a, b) [B] of texts about problems [B], ties half.

    "accuracy on the base": of the pairs that differ in gold reward, task.reward, the share ranked as gold does.
    "accuracy, own labels": the share ranked as in rows [B], the choices that an annotator made of the same pairs.
    """
    from rlkit.rlhf.preferences import utilities
    from rlkit.rlhf.reward_models import share_ranked

    prompts = [problem.prompt for problem in problems]
    believed = (model.of(prompts, a) - model.of(prompts, b)).double()
    ahead = believed.new_tensor(utilities(task, problems, a) - utilities(task, problems, b))
    chosen = believed.new_tensor([1.0 if row["chosen"] == x else -1.0 for row, x in zip(rows, a, strict=True)])
    right = share_ranked((ahead.sign() * believed)[ahead != 0])
    return {"accuracy on the base": right, "accuracy, own labels": share_ranked(chosen * believed)}


def texts(model, tokenizer, task, problems: list, reward, **labels) -> list:
    """Two completions of each problem as rows of kind "text": prompt, completion, gold and proxy, and the labels.

    reward(rollouts, problems) -> [P, G] is the proxy. labels: among them seed, which the completions are drawn with.
    """
    from rlkit.lm.rollouts import judge, sample
    from rlkit.rlhf.preferences import gold

    drawn = sample(model, tokenizer, problems, 2, task.max_new_tokens, seed=checks.seed(labels["seed"]))
    drawn = judge(drawn, task, problems)
    numbers = (of(drawn, problems).flatten().tolist() for of in (gold(task), reward))
    prompts = [problem.prompt for problem in problems for _ in range(2)]
    told = zip(prompts, drawn.text, *numbers, strict=True)
    return [{"kind": "text", **labels, "prompt": x, "completion": y, "gold": g, "proxy": p} for x, y, g, p in told]


def paths(run) -> pd.DataFrame:
    """A line for each row of kind "path" in a run: what `followed` found of one policy, with labels, capacity and seed,
    which become the index.

    at (steps), gold, proxy, kl, accuracy: arrays over looks [E], proxy in standard deviations of the base's texts from
    their mean. end: gold at the last look. gap: see `gap`. fall: proxy `rises` and the gap is above two standard errors
    of a half (the largest of the run's). by_gold: gold where it is highest, picked in one half of the texts, read in
    the other; by_proxy: gold where proxy is highest; start: gold before the first step. silent: the reward model gives
    every text of the path the same reward. Other numbers in the row come along.
    """
    found = []
    for row in of_kind(run, "path").dropna(axis=1, how="all").to_dict("records"):
        first, second, proxy = (np.array(row.pop(name)) for name in ("gold_first", "gold_second", "proxy"))
        spread, error = row.pop("proxy_spread")[0], max(row.pop("gold_error"))
        gold, fall, proxy = (first + second) / 2, float(gap(first, second)), (proxy - proxy[0]) / (spread or 1.0)
        row |= {name: np.array(row[name]) for name in ("at", "kl", "accuracy")}
        row |= {"gold": gold, "proxy": proxy, "end": gold[-1], "gap": fall}
        row |= {"fall": bool(fall > 2 * error and rises(proxy))}
        found.append(
            row
            | {"by_gold": gold[-1] + fall, "by_proxy": gold[proxy.argmax()]}
            | {"start": gold[0], "silent": bool(np.ptp(proxy) == 0)}
        )
    names = ["labels", "capacity", "seed"]
    return pd.DataFrame(found).set_index(names).sort_index() if found else pd.DataFrame()


def at_kl(found: pd.DataFrame, kl: float) -> pd.Series:
    """Gold of each policy of `paths` where it first is `kl` nats from the base, between looks on a straight line in KL;
    NaN where it never got that far."""
    return found.apply(
        lambda row: np.interp(kl, np.maximum.accumulate(row["kl"]), row["gold"]) if row["kl"].max() >= kl else np.nan,
        axis=1,
    ).astype(float)


def means(found: pd.DataFrame) -> pd.DataFrame:
    """A line for each reward model of `paths`: the mean over its runs that are not silent, and how many are."""
    spoke = found[~found["silent"]].assign(at=lambda own: at_kl(own, 4))
    names = {"start": "gold, start", "by_gold": "gold, best look", "by_proxy": "gold, proxy's best look"}
    names |= {"at": "gold at KL = 4", "end": "gold, last step", "gap": "gap", "fall": "fall", "to": "KL"}
    columns = ["accuracy on the base", "accuracy, own labels", *names]
    who = ["labels", "capacity"]
    told = spoke.assign(to=spoke["kl"].str[-1])[columns].astype(float).rename(columns=names).groupby(who).mean()
    silent = found["silent"].groupby(who).sum()
    return told.reindex(silent.index).assign(silent=silent)


def beside(found: pd.DataFrame) -> pd.DataFrame:
    """What a verdict over all reward models of `paths` leaves open, means over seeds with 95 % intervals.

    Without silent reward models: share of runs that fall, gap, share of seeds in which the best policy is not that of
    the most accurate; and rank correlations of accuracy on the base with gold: at the end over all, over those that
    are not silent, among those of one kind, and where policies are 2, 4 or 8 nats from the base. "a guide that knows":
    gold at the end of one seed with its mean over the other seeds, all reward models: what noise leaves to any guide.
    A seed with fewer than two reward models does not count, nor does a line with fewer than two seeds.
    """
    every = found.drop("gold", errors="ignore")
    own = every[~every["silent"]]

    def ranks(rows, gold=None):
        rows = rows.assign(at=rows["end"] if gold is None else gold).dropna(subset="at")
        seeds = [one for _, one in rows.groupby("seed") if len(one) > 1]
        return [spearman(one["accuracy on the base"], one["at"]) for one in seeds]

    by_seed, ends = own.groupby("seed"), every["end"].unstack(["labels", "capacity"]).to_numpy(float)
    others = [np.delete(ends, place, 0).mean(0) for place in range(len(ends))] if len(ends) > 1 else []
    best = [rows["accuracy on the base"].idxmax() != rows["end"].idxmax() for _, rows in by_seed]
    lines = {"share that fall": by_seed["fall"].mean(), "gap": by_seed["gap"].mean()}
    lines |= {"the best is not the most accurate": best, "ranks": ranks(own), "ranks, silent ones too": ranks(every)}
    lines |= {f"ranks, {kind} alone": ranks(rows) for kind, rows in own.groupby("capacity")}
    lines |= {f"ranks at KL = {kl}": ranks(own, at_kl(own, kl)) for kl in (2, 4, 8)}
    lines["ranks, a guide that knows"] = [spearman(one, mean) for one, mean in zip(ends, others, strict=False)]
    told = {}
    for name, values in lines.items():
        if len(values) > 1:
            found = paired_bootstrap({"": np.asarray(values, dtype=float)}, lambda mean: mean[""])
            told[name] = {"mean": found.estimate, "low": found.low, "high": found.high}
    return pd.DataFrame.from_dict(told, orient="index")
