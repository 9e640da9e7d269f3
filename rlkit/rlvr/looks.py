"""Looks at a policy along its training: exact chances, KL from the base, entropy; arms compared at equal progress.

A look is a row of kind "look" in the cells of a sweep: {"arm", "seed", "at", "kl", "entropy", "q": [P], ...}.
"""

import numpy as np
import pandas as pd

from rlkit import checks
from rlkit.evaluations import of_kind
from rlkit.rlvr.experiments import at_matched

KIND = "look"
LABELS = ("step", "kind", "arm", "seed")
BY = ("updates", "pass@1", "KL")  # what arms can be compared at


def look(model, base, tokenizer, task, problems, *, settings=None, samples: int = 8, seed: int = 0) -> dict:
    """What a policy is now, on held-out problems: {"kind", "kl", "entropy", and a list of P chances for each setting}.

    settings: name -> options of `rlkit.lm.chances.chances`; default {"q": {}}, the exact chance that one try is right
    at temperature 1, for Countdown. From `samples` completions of each problem at temperature 1: kl, the k3 estimate of
    KL(policy || base) summed over a completion, nats per completion; entropy, minus the mean log-probability of a
    token, nats.
    """
    from rlkit import lm  # torch, which reading looks does not need
    from rlkit.lm.chances import chances

    drawn = lm.sample(model, tokenizer, problems, samples, task.max_new_tokens, seed=seed)
    ratio = (lm.score_tokens(base, drawn).detach() - drawn.logp)[drawn.mask].double()  # log of base over policy
    kl, entropy = (ratio.expm1() - ratio).sum() / len(drawn.text), -drawn.logp[drawn.mask].mean()
    found = {"kind": KIND, "kl": kl.item(), "entropy": entropy.item()}
    for name, setting in ({"q": {}} if settings is None else settings).items():
        found[name] = chances(model, tokenizer, problems, **setting).round(6).tolist()
    return found


def followed(run, **labels) -> dict:
    """The looks of a run along each arm's training: arm -> name -> array, [S, E] for numbers, [S, E, P] for lists.

    labels: only rows with these values (part="test"). Seeds in order, looks by `at`. A name that only some of a seed's
    looks have, such as chances at another temperature, has those alone on its axis E. Empty while there is no look.
    Raises ValueError if the seeds of an arm were not looked at equally often.
    """
    rows = of_kind(run, KIND, **labels).dropna(axis=1, how="all")
    found = {}
    for arm, own in rows.groupby("arm", sort=False) if len(rows) else ():
        seeds = [one.sort_values("at", kind="stable") for _, one in own.groupby("seed")]
        if len({len(one) for one in seeds}) > 1:
            raise ValueError(f"arm {arm!r}: {[len(one) for one in seeds]} looks: must be equally many for every seed")
        names = [name for name in own if name not in (*LABELS, *labels) and own[name].notna().any()]
        found[arm] = {name: np.stack([np.stack(one[name].dropna().tolist()) for one in seeds]) for name in names}
    return found


def gained(run, k, index: tuple = ("arm", "seed"), **labels):
    """pass@k of every path's last look minus that of its first, means over problems: a DataFrame, a column for each k.

    index: the labels that tell paths apart, here the names of the rows. labels: as for `followed`.
    """
    from rlkit.lm.chances import pass_at

    rows, index = of_kind(run, KIND, **labels).dropna(axis=1, how="all"), list(index)
    rows = rows.sort_values("at", kind="stable")
    rows[index] = rows[index].convert_dtypes()  # a label that other rows lack came back as a fraction
    q = rows.groupby(index, sort=False)["q"]
    first, last = (pass_at(np.stack(look.tolist()), k).mean(1) for look in (q.first(), q.last()))  # [N, K]
    return pd.DataFrame(last - first, q.last().index, list(k))


def progress(path: dict, by: str) -> np.ndarray:
    """How far a path of `followed` has come at each look [S, E]: updates, pass@1 (mean of q), or KL."""
    checks.one_of("by", by, BY)
    return path["q"].mean(-1) if by == "pass@1" else path["kl" if by == "KL" else "at"].astype(float)


def equal(paths: dict, by: str, values: dict) -> dict:
    """values where `by` first reaches what every path reaches, seed by seed: arm -> [S, ...], from [S, E, ...].

    The target of a seed is the smallest of the arms' largest progress; between two looks lies a straight line.
    """
    x = {arm: progress(paths[arm], by) for arm in values}
    target = np.min([found.max(1) for found in x.values()], axis=0)  # [S]
    flat = {arm: np.asarray(y).reshape(*x[arm].shape, -1) for arm, y in values.items()}
    return {arm: at_matched(x[arm], y, target).reshape(values[arm][:, 0].shape) for arm, y in flat.items()}


def compared(paths: dict, k, base: str = "base") -> dict:
    """pass@k at equal progress: {"equal updates": arm -> [S, P, K], "equal pass@1": ..., "equal KL": ...}.

    paths: arm -> path of `followed`, with the arm `base`, which is not trained: its first look stands beside the others
    in each comparison, and sets no target. k: [K].
    """
    from rlkit.lm.chances import pass_at

    checks.one_of("base", base, tuple(paths))
    along = {arm: pass_at(path["q"], k) for arm, path in paths.items() if arm != base}  # [S, E, P, K]
    start = {base: pass_at(paths[base]["q"][:, 0], k)}
    return {f"equal {by}": equal(paths, by, along) | start for by in BY}


def at_equal(paths: dict, k, names: dict | None = None, base: str = "base") -> pd.DataFrame:
    """`compared` as a table of means over seeds and problems: a row for each comparison and arm, the base first.

    Columns: pass@k minus the base's for each k, then entropy (nats per token) and KL (nats per completion) at the same
    place of the path. paths, k, base: as for `compared`; names: arm -> what to call it.
    """
    start = [paths[base][x][:, 0].mean() for x in ("entropy", "kl")]
    names, rows = names or {}, {("start", base): [*np.zeros(len(k)), *start]}
    arms = [arm for arm in paths if arm != base]
    for (how, values), by in zip(compared(paths, k, base).items(), BY, strict=True):
        own = [equal(paths, by, {arm: paths[arm][x] for arm in arms}) for x in ("entropy", "kl")]
        for arm in arms:
            gain = (values[arm] - values[base]).mean((0, 1))
            rows[how, arm] = [*gain, *(x[arm].mean() for x in own)]
    index = pd.MultiIndex.from_tuples([(how, names.get(arm, arm)) for how, arm in rows])
    return pd.DataFrame(list(rows.values()), index, [*(f"pass@{n} - {base}" for n in k), "entropy", "KL"])


def mean_ranks(values: dict) -> dict:
    """name -> mean over the last axis of its rank among all names, 1 for the largest; ties share the mean rank."""
    table = np.stack(list(values.values()))  # [names, ..., K]
    above = (table[:, None] > table[None]).sum(0)
    level = (table[:, None] == table[None]).sum(0) - 1
    return dict(zip(values, (1 + above + level / 2).mean(-1), strict=True))


def lead(values: dict, name) -> np.ndarray:
    """By how much the best mean rank of all others is behind that of `name` (`mean_ranks`): above 0 if it leads."""
    ranks = mean_ranks(values)
    return np.min([rank for other, rank in ranks.items() if other != name], axis=0) - ranks[name]
