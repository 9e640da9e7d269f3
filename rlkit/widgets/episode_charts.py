"""One episode of several policies in a near-real world: what the plant did, and what each policy did to it."""

import numpy as np

from rlkit import checks
from rlkit.widgets import show, svg

SEEN = {  # world -> column of the state that is drawn, its sign, its name; level lines; what the action is
    "delay-pipe": (0, 1, "level of the tank, m", {}, "pump"),
    "glucose": (0, 1, "glucose, mg/dL", {"upper end": 180, "lower end": 70}, "insulin (0: the basal rate)"),
    "rocket": (3, -1, "speed of descent, m/s", {}, "thrust"),
    "safe-cart": (1, 1, "speed, m/s", {"limit": 2}, "push"),
}


def episode_page(simulator, played: dict, episode: int, order) -> str:
    """Charts of one episode as HTML: the state that matters, with its target or limits, and the first action.

    simulator: one of the worlds of SEEN. played: arm -> envs.Trajectories, all of the same starts and noise. order: the
    arms of all pictures of a notebook; each keeps the colour, dash and mark of its place there, and target and limits
    have the next one. A rocket's path comes first; meals are named below. Returns are said in words. Raises ValueError
    for another world, an episode that is not among them, or an arm that is not in the order.
    """
    column, sign, words, levels, action = SEEN[checks.one_of("simulator", simulator.name, tuple(SEEN))]
    order, (state, path, pushes, returns) = tuple(order), ([], [], [], [])
    for arm, p in played.items():
        checks.one_of("arm", arm, order)
        if not 0 <= episode < len(p.lengths):
            checks.fail("episode", episode, f"0 to {len(p.lengths) - 1}")
        end, place = p.lengths[episode], order.index(arm)
        states, steps = p.states[episode, : end + 1], np.arange(end + 1)
        state.append(svg.Line(arm, steps, sign * states[:, column], place=place))
        path.append(svg.Line(arm, states[:, 0], states[:, 1], place=place))
        pushes.append(svg.Line(arm, steps[:-1], p.actions[episode, :end, 0], place=place))
        returns.append(f"{arm} {p.rewards[episode].sum():.1f}")
    longest = max(len(line.x) for line in state) - 1
    state += [svg.level(name, (0, longest), at, len(order)) for name, at in levels.items()]
    said = "Return of this episode: " + ", ".join(returns) + "."
    if simulator.name == "delay-pipe":
        state.append(svg.Line("target", steps, states[:, 1], place=len(order)))
    if simulator.name == "glucose":
        meals = sorted(zip(states[0, 8:11], states[0, 11:], strict=True))
        said += " Meals: " + ", ".join(f"{size:.0f} g at step {when:.0f}" for when, size in meals) + "."
    charts = [(state, "step", words), (pushes, "step", f"{action}, from -1 to 1")]
    if simulator.name == "rocket":
        charts = [(path, "x, m", "height, m"), *charts]
    drawn = [svg.chart(lines, y, x, y, said, height=230) for lines, x, y in charts]
    return "".join(drawn) + show.note(said)
