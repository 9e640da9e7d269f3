"""Learners that start in the middle of texts, side by side: their way, what they write, and its words."""

from rlkit import checks
from rlkit.evaluations import of_kind
from rlkit.html import table
from rlkit.widgets import score_charts, show, svg


def progress(run, looks: dict, arms: tuple) -> str:
    """A chart for each look of `dataset_resets.followed`, as HTML: a line for each arm that was followed, in the
    colour of its place in `arms`; mean over seeds in a band of one standard error. looks: metric -> words."""
    from rlkit.rlvr.experiments import CURVE, curves

    if not any(set(looks) & set(curve) for curve in of_kind(run, CURVE).get("curve", ())):
        return show.note("The first learner is still at work.")
    page = ""
    for look, words in looks.items():
        found, lines = curves(run, look), []
        for arm, some in found.groupby("arm", sort=False):
            values = some.pivot(index="seed", columns="step", values="value")
            line = svg.mean_and_error(arm, values.columns.to_numpy(), values.to_numpy())
            lines.append(line._replace(place=arms.index(arm)))
        ends = ", ".join(f"{line.label} {svg.number(line.y[-1], 3)}" for line in lines)
        page += svg.chart(lines, words, "step", words, f"{words} at the last step: {ends}", height=230)
    return page + show.note("Line: mean over seeds; band: one standard error each way, with two seeds or more.")


def ends(run, arms: tuple, rival: str) -> str:
    """Gold reward of each arm's texts, and the chance that one of them beats a text of `rival`: `score_grid`."""
    from rlkit.rlhf import dataset_resets  # needs torch, which the first chapters run without

    gold, shown = dataset_resets.gold_of(run), {}
    for arm in arms:
        wins = dataset_resets.beats(gold[arm], gold[rival]).mean(1)
        shown[arm] = {"gold reward of a text": gold[arm].mean((1, 2)), f"chance to beat a text by {rival}": wins}
    even = {"an even chance, of the right column:": 0.5}
    return score_charts.score_grid(shown, even, f"Texts written from the prompt, {len(wins)} seeds")


def side_by_side(run, task, problems: list, prompt: int, texts_of_each: int, arms: tuple) -> str:
    """`texts_of_each` texts of every arm about the problem of number `prompt`, of the first seed, with their rubric."""
    from rlkit.rlhf import dataset_resets

    rows, seen = [], dataset_resets.results(run)
    seen = seen[seen["seed"] == seen["seed"].min()].set_index("arm")["texts"]
    if prompt >= min(map(len, seen)):
        checks.fail("prompt", prompt, f"below {min(map(len, seen))}: texts about no more prompts were kept")
    for arm in arms:
        for text in seen[arm][prompt][:texts_of_each]:
            judged = task.verify(problems[prompt], text)
            numbers = [task.reward(judged), *(judged[part] for part in ("coverage", "fluency", "repetition"))]
            rows.append((arm, text, *(f"{x:.2f}" for x in numbers)))
    heads = ("arm", "text", "gold", "coverage", "fluency", "repetition")
    return table(heads, rows, f"Asked for: {problems[prompt].prompt}")
