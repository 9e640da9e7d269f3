"""Pictures of policies beside a posterior: what judges let pass, the map of reward and KL, what each policy writes."""

import itertools

import numpy as np

from rlkit import evaluations
from rlkit.html import COLOURS, table
from rlkit.widgets import show, svg

DISTANCES = {"KL(pi || pi*)": "reverse", "KL(pi* || pi)": "forward"}
MARKS = (1 / 16, 1, 4, 16, 64)  # judges: where the frontier has its marks
WRITTEN = 100_000  # texts of the simulation


def passed(judges: int, prompt: int) -> str:
    """The likeliest texts under pi* at beta = 1 / judges, beside those of 100,000 written texts that passed, and what
    the judge knows of each from his labels; HTML.

    prompt: the seed of a world.
    """
    from rlkit.rlhf import optimum, posteriors  # needs torch, which the first chapters run without

    world, rng = posteriors.world(prompt), np.random.default_rng(0)
    star = world.star(1 / judges)
    chance = (judges * world.reward).exp().numpy()
    count = rng.binomial(rng.multinomial(WRITTEN, world.log_prior.softmax(0).numpy()), chance)
    head = ("text", "pi_0, %", "one judge's P(ok), %", "pi*, %", f"of {count.sum():,} that passed, %")
    head += ("annotator's points", f"times among the {posteriors.LABELS:,} labels", "accepted there")
    rows = []
    for i in star.topk(8).indices.tolist():
        shares = (world.log_prior[i].exp(), world.reward[i].exp(), star[i].exp(), count[i] / max(count.sum(), 1))
        labels = (f"{world.points[i]:.3g}", world.seen[i], world.accepted[i])
        rows.append((world.texts[i], *(f"{100 * float(share):.3g}" for share in shares), *labels))
    log_z, kl = optimum.log_partition(world.log_prior, world.reward, 1 / judges), optimum.kl(star, world.log_prior)
    words = f"Z = {float(log_z.exp()):.2g} is the share that passes. Mean reward "
    words += f"{float(optimum.expected(star, world.reward)):.3f}, KL(pi* || pi_0) = {float(kl):.2f} nats, "
    words += f"{posteriors.held_by(star)} texts hold 90 % of the mass."
    plural = "judge" if judges == 1 else "judges"
    return table(head, rows, f"After {judges:,} {plural}, prompt: {world.prompt}") + show.note(words)


def ended(run, seed: int) -> dict:
    """arm -> the row (kind "end") that it left, of the arms that this seed has finished."""
    return {row["arm"]: row for row in evaluations.of_kind(run, "end", seed=seed).to_dict("records")}


def _places(run) -> dict:
    """arm -> its colour and mark: 1, 2, ... as they ran (0 is the frontier); an exact arm has its twin's colour."""
    arms = list(dict.fromkeys(evaluations.of_kind(run, "end")["arm"])) if run.rollouts().size else []
    places = {arm: number for number, arm in enumerate(arms, 1)}
    twins = {arm: places.get(arm.removesuffix(" exact"), place) for arm, place in places.items()}
    return {arm: twins[arm] + len(COLOURS) * (twins[arm] != place) for arm, place in places.items()}


def plane(run, seed: int, learners=None) -> str:
    """The map of one seed: mean reward over KL(pi || pi_0), the exact frontier, a path for each finished arm.

    learners: only these arms; None: all.
    """
    from rlkit.rlhf import optimum, posteriors

    world, places = posteriors.world(seed), _places(run)
    steps = [np.geomspace(a, b, 13)[1:] for a, b in itertools.pairwise(MARKS)]
    betas = 1 / np.concatenate([MARKS[:1], *steps])  # 49: the five marks that a line has are at MARKS
    edge = optimum.frontier(world.log_prior, world.reward, world.reward, betas.tolist())
    lines = [svg.Line("frontier", *(one.numpy() for one in edge), place=0)]
    for arm, row in ended(run, seed).items():
        kl, reward = np.asarray(row["path"]["kl"]), np.asarray(row["path"]["reward"])
        if learners is None or arm in learners:
            lines.append(svg.Line(arm, kl, reward, place=places[arm]))
    title = f"Seed {seed}, prompt: {world.prompt}"
    words = "; ".join(f"{line.label} ends at {line.y[-1]:.3f}, KL {line.x[-1]:.2f}" for line in lines)
    return svg.chart(lines, title, "KL(pi || pi_0), nats", "mean reward, nats", words, height=420)


def beside_best(run, arm: str, number: int) -> list:
    """Means over seeds of [KL(pi || pi_0), reward, texts, the most reward at that KL, how much is missing]: `arm` at
    point `number` of its recorded path (-1: its end). Reward and what is missing in nats."""
    from rlkit.rlhf import posteriors

    rows = evaluations.of_kind(run, "end", arm=arm)
    kl, reward, texts = ([path[name][number] for path in rows["path"]] for name in ("kl", "reward", "texts"))  # [S]
    best = [posteriors.best_at(posteriors.world(seed), far) for seed, far in zip(rows["seed"], kl, strict=True)]
    return [float(np.mean(one)) for one in (kl, reward, texts, best, np.subtract(best, reward))]


def distances(run, distance: str) -> str:
    """log10 of a distance (a key of DISTANCES) over the steps: the mean over seeds, in a band of one standard error."""
    lines = []
    for arm, place in _places(run).items():
        paths = [path for path in evaluations.of_kind(run, "end", arm=arm)["path"] if DISTANCES[distance] in path]
        if paths:
            values = np.log10(np.maximum([path[DISTANCES[distance]] for path in paths], 1e-4))
            steps = np.linspace(0, run.config["train steps"], values.shape[1])
            lines.append(svg.mean_and_error(arm, steps, values)._replace(place=place))
    words = "; ".join(f"{line.label} ends at {10 ** line.y[-1]:.3f} nats" for line in lines)
    label = f"log10 of {distance}: -1 is 0.1 nats, -2 is 0.01"
    return svg.chart(lines, f"{distance}, mean over seeds", "step", label, words, height=380)


def written(run, seed: int, judges: int) -> str:
    """The ten likeliest texts of pi_0, pi* and three learners (those that are there), with probability and P(ok)."""
    from rlkit.rlhf import posteriors

    world, rows, columns = posteriors.world(seed), ended(run, seed), {}
    number = {text: i for i, text in enumerate(world.texts)}
    for name, log_p in (("pi_0", world.log_prior), (f"pi* {judges}", world.star(1 / judges))):
        columns[name] = [(world.texts[i], float(log_p[i].exp())) for i in log_p.topk(10).indices.tolist()]
    columns |= {arm: rows[arm]["likely"] for arm in (f"KL-RL {judges}", f"GDC {judges}", "no KL") if arm in rows}
    lines = []
    for likely in columns.values():
        line = [f"{text} {100 * p:.1f} ({float(world.reward[number[text]].exp()):.2f})" for text, p in likely]
        lines.append([*line, f"all others {100 * max(0.0, 1 - sum(p for _, p in likely)):.1f}"])
    best = int(world.reward.argmax())
    chance, once = float(world.reward[best].exp()), float((-world.log_prior[best]).exp())
    words = f"In percent; in brackets the judge's P(ok). His favourite is '{world.texts[best]}', P(ok) = {chance:.3f}; "
    words += f"pi_0 writes it once in {once:,.0f} texts."
    return table(list(columns), zip(*lines, strict=True), f"Prompt: {world.prompt}") + show.note(words)
