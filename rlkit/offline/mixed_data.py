"""Datasets in which few episodes are an expert's, and one learner on many of them side by side: for traj_weighting."""

import numpy as np
from scipy.stats import rankdata

from rlkit import checks, envs
from rlkit.offline import transforms
from rlkit.offline.building import build
from rlkit.stats import paired_bootstrap

WORLDS = {  # name -> simulator and its options
    "sparse": ("point-maze-u", {}),
    "dense": ("point-maze-u-dense", {}),
    "stochastic": ("point-maze-u-dense", {"noise": 2.0}),
}
SHARES = (0.01, 0.05, 0.1, 0.5)  # of experts among the episodes
MAZES = [(world, share) for world in ("sparse", "dense") for share in SHARES]
FIVE = [(world, 0.05) for world in WORLDS]
BOTH = ("uniform", "AW")


def mixed(world, share, seed, transitions=20_000):
    """A dataset of `world`, one of WORLDS, with a share of expert's episodes among random ones."""
    name, options = WORLDS[checks.one_of("world", world, tuple(WORLDS))]
    return build(envs.simulator(name, **options), {"expert": share, "random": 1 - share}, transitions, seed)


def relative_rpsv(dataset) -> float:
    """The positive-sided variance of returns over the squared gap between expert and random player: no unit."""
    gap = dataset.facts["expert_return"] - dataset.facts["random_return"]
    return transforms.return_positive_sided_variance(dataset) / gap**2


def arms_of(learner, setting):
    """(world, share, sampler) of each arm of a learner: what is measured where.

    Published setting: uniform and AW on all datasets; at 5 % also RW, top 10 % and half AW (dense) and RW (stochastic).
    CQL has uniform and AW alone, at 5 and 50 %. Loosened: uniform and AW, two mazes, 5 %. BC: all and the best tenth.
    """
    if learner == "BC":
        return [(*place, sampler) for place in FIVE for sampler in ("uniform", "top 10 %")]
    places = FIVE[:2] if setting == "loosened" else [*MAZES, FIVE[2]]
    if learner == "CQL":
        places = [place for place in places if place[1] in (0.05, 0.5)]
    arms = [(*place, sampler) for place in places for sampler in BOTH]
    if setting == "published" and learner != "CQL":
        arms += [("dense", 0.05, sampler) for sampler in ("RW", "top 10 %", "half AW")] + [("stochastic", 0.05, "RW")]
    return arms


def train(learner, setting, seeds, steps, *, learn, samplers, transitions=20_000, **hyper):
    """One cell of a sweep: a learner with all its arms x seeds side by side; each seed has datasets of its own.

    learn: such as offline.iql, called with hyper. samplers: name -> function of a dataset that returns a weighted one.
    Returns (metrics, rows): "<learner>, <setting>, <world>, <share>, <sampler>" -> score after the last step [S],
    "RPSV, <world>, <share>" -> `relative_rpsv` [S], and rows of kind "scores" for `rlkit.widgets.learner_curves`: the
    mean score of uniform and AW over the two mazes with 5 % experts.
    """
    arms, made = arms_of(learner, setting), {}
    for world, share, _ in arms:
        if (world, share) not in made:
            made[world, share] = [mixed(world, share, seed, transitions) for seed in seeds]
    sets = [samplers[sampler](data) for world, share, sampler in arms for data in made[world, share]]
    behaviour = np.mean([d.score(d.facts["behaviour_return"]) for place in FIVE[:2] for d in made[place]])
    rows, names = [], [f"{learner}, {setting}, {world}, {share:g}, {sampler}" for world, share, sampler in arms]
    how = {"steps": steps, "evaluate_every": max(1, steps // 4), "episodes": 20}
    for step in learn(sets, list(seeds) * len(arms), **how, **hyper):
        scores = dict(zip(names, step.metrics["score"].reshape(len(arms), -1).round(4).tolist(), strict=True))
        if learner != "BC":
            row = {"kind": "scores", "learner": f"{learner}, {setting}", "at": step.step, "behaviour": behaviour}
            for s in BOTH:
                found = [scores[f"{learner}, {setting}, {world}, {share:g}, {s}"] for world, share in FIVE[:2]]
                row[s] = np.mean(found, axis=0)
            rows.append(row)
    spread = {f"RPSV, {w}, {share:g}": [relative_rpsv(data) for data in sets] for (w, share), sets in made.items()}
    return scores | spread, rows


def scores(run, learner, world, share, setting="published") -> dict:
    """sampler -> scores after the last step [S], of a run that `train` filled, as far as there are any."""
    start = f"{learner}, {setting}, {world}, {share:g}, "
    return {name.removeprefix(start): run.series(name)[1][0] for name in run.metric_names if name.startswith(start)}


def score_table(run, learners: dict) -> dict:
    """(setting, learner, maze, "5%") -> sampler -> "mean ± standard error" of the scores over seeds, as text.

    learners: setting -> names. Where a learner has two settings, rows of a setting "better of both" hold for each
    sampler that has both the one of higher mean: chosen by the very scores they show, for every sampler alike.
    """
    found = {}
    for setting, names in learners.items():
        for learner in names:
            for world, share in dict.fromkeys(arm[:2] for arm in arms_of(learner, setting)):
                found[setting, learner, world, f"{share:.0%}"] = scores(run, learner, world, share, setting)
    both = {}
    for (_, *place), row in found.items():
        both.setdefault(tuple(place), []).append(row)
    for place, rows in both.items():
        if len(rows) > 1 and all(rows):
            shared = [sampler for sampler in rows[0] if all(sampler in row for row in rows)]
            found["better of both", *place] = {s: max((row[s] for row in rows), key=np.mean) for s in shared}
    return {key: {sampler: _in_words(x) for sampler, x in row.items()} for key, row in found.items()}


def _in_words(x) -> str:
    """The mean of x [S] and its standard error; one seed has none."""
    error = f" ± {x.std(ddof=1) / np.sqrt(len(x)):.2f}" if len(x) > 1 else ""
    return f"{x.mean():.2f}{error}"


def gain(run, learners, places, one="AW", other="uniform", setting="published") -> np.ndarray:
    """Score with one sampler minus score with the other, mean over learners and (world, share), [S]."""
    found = [scores(run, learner, *place, setting) for learner in learners for place in places]
    return np.mean([sampled[one] - sampled[other] for sampled in found], axis=0)


def rpsv_of(run) -> np.ndarray:
    """`relative_rpsv` of the datasets of MAZES, [S, 8]."""
    return np.stack([run.series(f"RPSV, {world}, {share:g}")[1][0] for world, share in MAZES], axis=1)


def rank_correlation(x, y) -> np.ndarray:
    """Spearman's: the correlation of the ranks along the last axis; x, y [..., N], ties share their mean rank."""
    x, y = (rankdata(values, axis=-1) - (np.shape(values)[-1] + 1) / 2 for values in (x, y))
    return (x * y).sum(-1) / np.sqrt((x**2).sum(-1) * (y**2).sum(-1))


def rank_intervals(x, y) -> dict:
    """Where -> "estimate [low, high]" of `rank_correlation` of x and y [S, 8], measured on MAZES, as text.

    Of the means over seeds, with 95 % intervals over seeds (`rlkit.stats.paired_bootstrap`): over both mazes in one
    list, and within each. Intervals widened for few seeds may leave [-1, 1].
    """
    found = {}
    for where, part in {"both mazes": slice(0, 8), "sparse maze": slice(0, 4), "dense maze": slice(4, 8)}.items():
        each = {"x": x[:, part], "y": y[:, part]}
        interval = paired_bootstrap(each, lambda mean: rank_correlation(mean["x"], mean["y"]))
        found[where] = f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
    return found
