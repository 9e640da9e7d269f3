"""Draw the picture that opens the README: `.venv/bin/python data/picture/make.py` (about 15 CPU-seconds)."""

import pathlib

from rlkit.bandits import bernoulli, epsilon_greedy, play, summarise, thompson_beta, ucb1
from rlkit.plots import TEXT
from rlkit.widgets import svg

PROBABILITIES = [0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60]
PRESSES, GAMES, SEED = 10_000, 1_000, 0
LEARNERS = {"epsilon-greedy": epsilon_greedy(0.1), "UCB1": ucb1(), "Thompson sampling": thompson_beta()}

lines, spoken = [], []
for name, policy in LEARNERS.items():
    steps = list(summarise(play(policy, bernoulli(PROBABILITIES), PRESSES, GAMES, SEED), every=100))
    regret = [[s.step, s.metrics["regret"], 1.96 * s.metrics["regret_se"]] for s in steps]
    x, y, half = map(svg.finite, zip(*regret, strict=True))
    lines.append(svg.Line(name, x, y, y - half, y + half))
    spoken.append(f"{name}: {y[-1]:.0f} ± {half[-1]:.0f} coins lost")
title = f"Three learners, ten buttons, {GAMES:,} games each: coins lost"
picture = svg.chart(lines, title, "presses", "coins lost (regret, mean and 95 % interval)", "; ".join(spoken))
# A picture in a page of its own has no text colour to inherit: take the grey that reads on white and on black.
target = pathlib.Path(__file__).with_name("regret.svg")
target.write_text(picture.replace("color:inherit", f"color:{TEXT}"), encoding="utf-8")
print(target.name, *spoken, sep="\n")
