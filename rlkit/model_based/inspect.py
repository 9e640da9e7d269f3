"""Looks into a model: its dreams beside what would have happened, and where over the states it is wrong."""

import math

import numpy as np
import torch

from rlkit import checks
from rlkit.model_based.dreams import imagine
from rlkit.offline.rows import generator

LOOPS = {
    "own": "Closed loop: in the truth and in each dream the policy acts on what it sees there.",
    "same": "Open loop: each dream is given the actions that the policy took in the truth.",
}


def _placed(model, simulator) -> None:
    if not hasattr(simulator, "place"):
        checks.fail("simulator", simulator, "one with place(observations): its observations tell its state")
    if simulator.observation_size != model.observation_size:
        checks.fail("simulator.observation_size", simulator.observation_size, f"{model.observation_size}, the model's")


def dream_of(model, simulator, policies: dict, seeds, *, row: int = 0, dreams: int = 20, actions: str = "own"):
    """What DreamExplorer asks: a function dream(start [O], horizon T, policy's name), of K = `dreams` dreams, ->

        {"truth": [T + 1, O], "dreams": [K, T + 1, O], "rewards": (truth [T], dreams [K, T]), "words": str}

    model: anything with `step`; dreams are shared out among the elites of an ensemble and stay with theirs (TS-infinity
    of PETS, Chua et al. 2018). policies: name -> function of observations [S, B, O], without noise of its own.
    seeds: integers, one for each of the model's S rows; row: which of them is shown. actions: "own", closed loop, or
    "same", open loop with the truth's actions (the last one again after its end). The same call gives the same numbers,
    and a longer dream begins with the shorter one. After a terminal step observations are NaN and rewards 0. A start
    that cannot be observed is put where `simulator.place` sees it. Raises ValueError for a simulator without `place` or
    of another size, another row, and in dream for a start of another size or an unknown policy.
    """
    _placed(model, simulator)
    seeds = [checks.seed(seed) for seed in seeds]
    if checks.count("row", row) >= len(seeds):
        checks.fail("row", row, f"below {len(seeds)}, the number of seeds")
    checks.positive_int("dreams", dreams)
    checks.one_of("actions", actions, LOOPS)
    order = _shares(model, len(seeds), dreams)

    def dream(start, horizon, policy):
        act = policies[checks.one_of("policy", policy, list(policies))]
        start = checks.finite("start", start)
        if start.shape != (model.observation_size,):
            raise ValueError(f"start of shape {start.shape}: must be [{model.observation_size}]")
        truth, paid, played = _live(simulator, start, checks.positive_int("horizon", horizon), act, seeds, row)
        if actions == "same":
            steps = iter(played)

            def act(seen):
                return next(steps).expand(*seen.shape[:2], *played.shape[1:])

        first = torch.from_numpy(truth[0]).expand(len(seeds), dreams, -1)
        made = imagine(model, act, first, horizon, [generator(seed, "dreams") for seed in seeds], order=order)
        alive, seen = made.alive[row].numpy() > 0, made.observations[row].numpy()  # [K, T], [K, T + 1, O]
        seen[:, 1:][~alive] = np.nan
        rewards = np.where(alive, made.rewards[row].numpy(), 0.0)
        return {"truth": truth, "dreams": seen, "rewards": (paid, rewards), "words": LOOPS[actions]}

    return dream


def _shares(model, seeds, dreams):
    """An order for `step` in which each dream stays with one elite; None for a model without elites."""
    while hasattr(model, "model"):  # pessimism is a model around a model
        model = model.model
    if not hasattr(model, "ensemble"):
        return None
    elites = model.ensemble.elites.shape[1]
    return torch.arange(elites * math.ceil(dreams / elites)).expand(seeds, -1)


def _live(simulator, start, horizon, act, seeds, row):
    """The true rollout: observations [T + 1, O], NaN after the end; rewards [T]; actions [T, A] or [T] as a tensor."""
    rng, states = generator(seeds[row], "world"), simulator.place(start[None].astype(np.float32))
    truth = np.full((horizon + 1, simulator.observation_size), np.nan, np.float32)
    truth[0], rewards, played, ended = simulator.observe(states)[0], np.zeros(horizon), [], False
    for t in range(horizon):
        if not ended:
            with torch.no_grad():
                chosen = act(torch.from_numpy(truth[t]).expand(len(seeds), 1, -1))[row]  # [1, A] or [1]
            noise = rng.standard_normal((1, simulator.noise_size))
            states, reward, over = simulator.step(states, chosen.numpy(), noise)
            truth[t + 1], rewards[t], ended = simulator.observe(states)[0], reward[0], bool(over[0])
        played.append(chosen[0])
    return truth, rewards, torch.stack(played)


def errors_over(model, simulator, x_edges, y_edges, lift, *, actions=None, row: int = 0):
    """One-step error and doubt of a Dynamics in the middles of a grid's cells: two of [Y, X], for `error_map`.

        error^2 = mean over actions and outputs of (mean_m mu_m - truth)^2 / scale^2
        doubt^2 = mean over actions and outputs of (var_m mu_m + mean_m sigma_m^2) / scale^2

    mu_m, sigma_m: what member m of all M predicts; outputs: next observations and the reward; scale: the deviation of
    each output in the data that the model was fitted to, so both have no unit. doubt is the deviation of the mixture of
    all members. x_edges [X + 1], y_edges [Y + 1]; lift(x [N], y [N]) -> observations [N, O], also of states that the
    data lack. actions [K, A] in [-1, 1], by default -1, 0 and 1 in all components, or whole numbers [K], by default all
    of them. row: which of the model's S rows. The truth takes its steps with noise 0. Raises ValueError for a simulator
    without `place` or of another size, another row, edges that do not grow, and observations of another shape.
    """
    _placed(model, simulator)
    if checks.count("row", row) >= len(model.ensemble.seeds):
        checks.fail("row", row, f"below {len(model.ensemble.seeds)}, the number of the model's seeds")
    middles = []
    for name, edges in (("x_edges", x_edges), ("y_edges", y_edges)):
        edges = checks.finite(name, edges)
        if edges.ndim != 1 or len(edges) < 2 or (np.diff(edges) <= 0).any():
            checks.fail(name, edges.tolist(), "at least two numbers, each larger than the one before")
        middles.append((edges[1:] + edges[:-1]) / 2)
    x, y = np.meshgrid(*middles)  # [Y, X]
    seen = np.asarray(lift(x.ravel(), y.ravel()), dtype=np.float32)
    if seen.shape != (x.size, model.observation_size):
        raise ValueError(f"lift gives observations of shape {seen.shape}: must be [{x.size}, {model.observation_size}]")
    if actions is None and simulator.actions:
        actions = np.arange(simulator.actions)
    elif actions is None:
        actions = np.repeat([[-1.0], [0.0], [1.0]], simulator.action_size, axis=1)
    actions = np.asarray(actions, dtype=np.int64 if simulator.actions else np.float32)
    asked, chosen = seen.repeat(len(actions), axis=0), np.concatenate([actions] * len(seen))  # [N * K, ...]
    states = simulator.place(asked)
    after, rewards, _ = simulator.step(states, chosen, np.zeros((len(asked), simulator.noise_size)))
    truth = np.column_stack((simulator.observe(after), rewards))  # [N * K, O + 1]
    every = len(model.ensemble.seeds)
    with torch.no_grad():
        inputs = (torch.from_numpy(a).expand(every, *a.shape) for a in (asked, chosen))
        following, paid, deviation = model.predict(*inputs)
    scale = model.ensemble.y_scale[row, 0].double().numpy()
    mean = torch.cat((following[row], paid[row, ..., None]), -1).double().numpy()  # [M, N * K, O + 1]
    variance = mean.var(axis=0) + np.square(deviation[row].double().numpy()).mean(axis=0)
    squared = np.square((mean.mean(axis=0) - truth) / scale), variance / scale**2
    return tuple(np.sqrt(s.reshape(len(seen), -1).mean(axis=1)).reshape(x.shape) for s in squared)
