"""Datasets made from datasets: weighted, corrupted, without actions, relabelled, augmented.

Each is a pure function of a dataset (and a seed): the one it was given stays as it is, and the facts of the new one say
what was done.
"""

import dataclasses

import numpy as np

from rlkit import checks

TARGETS = {"observations": "observations", "actions": "actions", "rewards": "rewards", "dynamics": "next_observations"}
STEPS, STEP_SIZE = 100, 0.01  # of the adversary's Adam


def weight(dataset, kind="return", alpha=0.1, top=0.1):
    """Give each transition the weight of its episode, for a sampler that draws rows in proportion to weights.

        return:     w[i] = exp((m[i] - 1) / alpha), m = minmax(G): a softmax over episodes up to a factor
        advantage:  the same with minmax(G - V(s0)), V a least-squares line on the first observations
        top:        1 for the best share `top` of episodes (rounded down, at least one; ties: the earlier), else 0

    G: the episodes' undiscounted returns. Min-max comes before the exponential, so neither unit nor origin of rewards
    matters; equal returns give equal weights. alpha: above 0. Hong et al. 2023 (arXiv 2306.13085), whose code,
    like this, gives each transition its episode's weight undivided. Raises: ValueError.
    """
    checks.one_of("kind", kind, ("return", "advantage", "top"))
    returns = dataset.returns
    if kind == "top":
        if not 0 < checks.finite("top", top) <= 1:
            checks.fail("top", top, "in (0, 1]")
        count = max(1, int(top * len(returns) + 1e-9))
        weights = np.zeros(len(returns))
        weights[np.argsort(-returns, kind="stable")[:count]] = 1.0
    else:
        checks.positive("alpha", alpha)
        gain = returns
        if kind == "advantage":
            first = dataset.observations[dataset.episode_starts].astype(np.float64)
            design = np.column_stack([np.ones(len(first)), first - first.mean(axis=0)])  # [E, 1 + O]
            gain = returns - design @ np.linalg.lstsq(design, returns, rcond=None)[0]
        gain = gain - gain.max()
        spread = -gain.min()
        # What is left of returns that V explains in full is rounding, not advantage.
        worth = spread > 1e-9 * np.abs(returns).max()
        weights = np.exp(gain / (spread * alpha)) if worth else np.ones(len(gain))
    done = {"kind": kind} | ({"top": top} if kind == "top" else {"alpha": alpha})
    return _changed(dataset, {"weighted": done}, weights=weights[dataset.episode_of])


def return_positive_sided_variance(dataset) -> float:
    """RPSV: mean over episodes of max(G - mean(G), 0)^2, in squared units of return.

    How far some episodes are above the average one, so how much weighting can gain: Hong et al. 2023
    (arXiv 2306.13085).
    """
    return float((np.maximum(dataset.returns - dataset.returns.mean(), 0) ** 2).mean())


def corrupt(dataset, what, rate=0.3, scale=1.0, *, seed, mode="random", critic=None, reward_scale=30.0):
    """Spoil rows drawn with chance `rate` each; the same seed with a larger rate spoils these alike, and more.

        random:       x + U(-scale, scale) std(x), one draw for each number; rewards: reward_scale U(-scale, scale);
                      actions that are numbers: uniform over all of them
        adversarial:  x + d std(x), d in [-scale, scale] by 100 steps of Adam (0.01 scale) down critic's value,
                      from a random d; rewards: -scale times the reward

    what: "observations", "actions", "rewards", or "dynamics" (next observations); the copy of an observation in the
    row above stays clean. std: of that column over the whole dataset. critic(observations [B, O], actions [B, A]) ->
    values, differentiable, in torch; for dynamics it sees the spoilt next observation and the action that the data
    takes next (at an episode's end: the last one), so `lambda o, a: q(o, actor(o))` attacks through a policy.
    facts["corrupted"] gains a record: what, rate, scale, seed, mode, rows. Nothing is clipped.

    Yang et al. 2023 (arXiv 2310.12955) and its code; there Adam starts anew in each step, here it keeps
    its moments. Raises: ValueError, also where hidden actions would be needed.
    """
    name = TARGETS[checks.one_of("what", what, tuple(TARGETS))]
    checks.one_of("mode", mode, ("random", "adversarial"))
    checks.probability("rate", rate)
    checks.positive("scale", scale)
    checks.positive("reward_scale", reward_scale)
    attack = mode == "adversarial" and what != "rewards"
    if hidden_rows(dataset).any() and (what == "actions" or attack):
        checks.fail("what", what, "another one: some rows of this dataset have no actions")
    if attack and not callable(critic):
        checks.fail("critic", critic, "a function of observations and actions for mode='adversarial'")
    if attack and what == "actions" and dataset.discrete:
        checks.fail("mode", mode, "'random' for actions that are numbers")
    rng = np.random.default_rng(checks.seed(seed))
    rows = np.flatnonzero(rng.random(len(dataset)) < rate)
    spoilt = getattr(dataset, name).copy()
    if what == "actions" and dataset.discrete:
        spoilt[rows] = rng.integers(dataset.actions_count, size=spoilt.shape)[rows]
    elif what == "rewards":
        random = reward_scale * rng.uniform(-scale, scale, spoilt.shape)[rows]
        spoilt[rows] = random if mode == "random" else -scale * spoilt[rows]
    else:
        push = rng.uniform(-scale, scale, spoilt.shape)[rows]  # in standard deviations
        std = spoilt.std(axis=0, dtype=np.float64)
        if attack:
            push = _attack(critic, what, dataset, rows, push, std, scale)
        spoilt[rows] = spoilt[rows] + push * std
    record = {"what": what, "rate": rate, "scale": scale, "seed": seed, "mode": mode, "rows": rows}
    facts = {"corrupted": dataset.facts.get("corrupted", []) + [record]}
    if name.endswith("observations"):
        facts["disconnected"] = True
    return _changed(dataset, facts, **{name: spoilt})


def _attack(critic, what, dataset, rows, push, std, scale):
    """The push [B, O or A] in [-scale, scale] that lowers critic's value, each row by itself."""
    import torch

    following = np.where(dataset.terminated | dataset.truncated, np.arange(len(dataset)), np.arange(len(dataset)) + 1)
    actions = dataset.actions[following if what == "dynamics" else slice(None)][rows]
    observations = (dataset.next_observations if what == "dynamics" else dataset.observations)[rows]
    clean = [torch.from_numpy(observations), torch.from_numpy(actions)]
    moved = int(what == "actions")
    spread = torch.from_numpy(std.astype(np.float32))
    push = torch.from_numpy(push.astype(np.float32)).requires_grad_()
    adam = torch.optim.Adam([push], lr=STEP_SIZE * scale)
    for _ in range(STEPS):
        spoilt = clean.copy()
        spoilt[moved] = clean[moved] + push * spread
        value = critic(*spoilt).sum()  # a sum: no row feels another
        push.grad = torch.autograd.grad(value, push)[0]  # the critic's own gradients stay as they are
        adam.step()
        with torch.no_grad():
            push.clamp_(-scale, scale)
    return push.detach().numpy()


def hidden_rows(dataset) -> np.ndarray:
    """Which rows have no action: bool [N]."""
    return dataset.actions == -1 if dataset.discrete else np.isnan(dataset.actions).all(axis=1)


def hide_actions(dataset, episodes):
    """Take the actions out of some episodes: NaN, or -1 where actions are numbers.

    episodes: their numbers, or bool [E]. Adds to facts: hidden_actions and episode_hidden. Raises: ValueError.
    """
    count = len(dataset.episode_ends)
    chosen, allowed = np.asarray(episodes), f"episodes of 0 to {count - 1}, or one bool for each"
    fits = chosen.shape == (count,) if chosen.dtype == bool else chosen.ndim == 1 and chosen.dtype.kind in "iu"
    if not fits or (chosen.dtype != bool and ((chosen < 0) | (chosen >= count)).any()):
        checks.fail("episodes", episodes, allowed)
    hide = np.zeros(count, bool)
    hide[chosen] = True
    actions = dataset.actions.copy()
    actions[hide[dataset.episode_of]] = -1 if dataset.discrete else np.nan
    hidden = np.logical_or(hide, dataset.facts.get("episode_hidden", False))
    return _changed(dataset, {"hidden_actions": True, "episode_hidden": hidden}, actions=actions)


def relabel(dataset, rewards):
    """Other rewards: an array [N], or a function of (observations, actions, next_observations) that returns one.

    The references in facts stay those of the world itself. Raises: ValueError.
    """
    if callable(rewards):
        rewards = rewards(dataset.observations, dataset.actions, dataset.next_observations)
    return _changed(dataset, _relabelled(dataset, "rewards"), rewards=rewards)


def relabel_actions(dataset, actions):
    """Other actions for every row, of the shape of the old ones and none hidden. To keep those that are known:

        relabel_actions(data, np.where(hidden_rows(data)[:, None], predicted, data.actions))

    Raises: ValueError.
    """
    if np.shape(actions) != dataset.actions.shape:
        checks.fail("actions.shape", np.shape(actions), f"{dataset.actions.shape}")
    facts = _relabelled(dataset, "actions") | {"hidden_actions": False}
    return _changed(dataset, facts, actions=actions)


def augment(dataset, noise, *, seed):
    """Blurred observations: s + e and s' + e with the same e ~ N(0, (noise std(s))^2), so that s' - s stays.

    noise: at least 0, in standard deviations of each column. S4RL's Gaussian noise (Sinha et al. 2021, arXiv
    2103.06326), relative and the same for s and s'. Raises: ValueError.
    """
    if checks.finite("noise", noise) < 0:
        checks.fail("noise", noise, "at least 0")
    rng = np.random.default_rng(checks.seed(seed))
    std = dataset.observations.std(axis=0, dtype=np.float64)
    blur = noise * std * rng.standard_normal(dataset.observations.shape)
    seen = {name: getattr(dataset, name) + blur for name in ("observations", "next_observations")}
    return _changed(dataset, {"augmented": {"noise": noise, "seed": seed}, "disconnected": True}, **seen)


def _relabelled(dataset, name):
    return {"relabelled": sorted({*dataset.facts.get("relabelled", []), name})}


def _changed(dataset, facts, **arrays):
    return dataclasses.replace(dataset, facts=dataset.facts | facts, **arrays)
