"""PPO: proximal policy optimisation for continuous actions, many seeds side by side (Schulman et al. 2017, 1707.06347).

Departures from the paper:
1. Networks 64 x 64 with ReLU instead of tanh; policy and values share no layer. The deviation is an output as well,
   and the policy's last layer starts at a hundredth of its usual size: at first all states have almost one policy.
2. Rewards are divided by the running deviation of their discounted sum, each seed's own; learning rates fall to 0 in a
   straight line. Both are common practice (Huang et al. 2022, The 37 implementation details of PPO).
3. Gradients are clipped to a norm of 0.5, those of policy and values apart, each seed's own.
4. Actions are drawn from a Gaussian and clipped by the world; the ratio is that of the unclipped ones. No entropy.
5. The clock that cuts an episode does not end the return: the value of the last observation stands for the rest.
"""

import math

import numpy as np
import torch

from rlkit import checks
from rlkit.model_based.copies import Copies, RunningDeviation
from rlkit.offline.networks import Network
from rlkit.offline.rows import Agent
from rlkit.runs import Step

LOG_DEVIATION, START_DEVIATION, NORM = (-4.0, 1.0), -0.7, 0.5  # bounds, start, and the largest norm of a gradient
STREAM = 7  # of this learner's generators, each with a salt


def gae(rewards, values, next_values, terminated, ended, discount, trace):
    """Generalised advantages, A_t = d_t + discount trace A_{t+1} with d_t = r_t + discount V(s_{t+1}) - V(s_t).

    All [T, ...]. next_values: V of what followed before a new episode began. V(s_{t+1}) counts as 0 where `terminated`;
    the sum stops where `ended` (terminated, or cut by the clock). trace: lambda; 0 gives d_t, 1 the return less V(s_t).
    Returns tensors [T, ...]. Source: Schulman et al. 2016 (1506.02438), equation 16.
    """
    change = rewards + discount * next_values * ~terminated - values
    advantages, ahead = torch.empty_like(change), torch.zeros_like(change[0])
    for t in reversed(range(len(change))):
        advantages[t] = ahead = change[t] + discount * trace * ahead * ~ended[t]
    return advantages


def policy_loss(log_new, log_old, advantages, clip):
    """-mean_b min(w A, clip(w, 1 - clip, 1 + clip) A), w = exp(log_new - log_old): [S, B] each -> [S]. Equation 7."""
    ratio = (log_new - log_old).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean(-1)


def log_chance(outputs, actions):
    """log N(action; mean, deviation), summed over A: outputs [..., 2 A] (means, log deviations), actions [..., A]."""
    mean, log_deviation = halves(outputs)
    standard = (actions - mean) * (-log_deviation).exp()
    return (-0.5 * standard.square() - log_deviation - 0.5 * math.log(2 * math.pi)).sum(-1)


def halves(outputs):
    """Means and log deviations [..., A] from a policy's outputs [..., 2 A]."""
    mean, log_deviation = outputs.chunk(2, -1)
    return mean, (START_DEVIATION + log_deviation).clamp(*LOG_DEVIATION)


def value_loss(values, targets):
    """mean_b (V(s) - target)^2: values, targets [S, B] -> [S]."""
    return (values - targets).square().mean(-1)


def per_seed(values):
    """Values [S, B] less their mean, over their deviation, each seed's own."""
    return (values - values.mean(-1, keepdim=True)) / (values.std(-1, keepdim=True) + 1e-8)


def ppo(
    simulator,
    seeds,
    *,
    steps: int = 150_000,
    copies: int = 32,
    length: int = 64,
    epochs: int = 10,
    batches: int = 4,
    discount: float = 0.99,
    trace: float = 0.95,
    clip: float = 0.2,
    learning_rate: float = 1e-3,
    hidden=(64, 64),
    agent: Agent | None = None,
):
    """A learner: yields a Step after each update: return (of the training episodes that ended last), deviation,
    value_loss, clipped (share of ratios outside 1 +- clip), each [S]. The step counts environment steps of one seed.

    simulator: a Simulator with continuous actions, or one for each seed, all with the same sizes. steps: environment
    steps of each seed, cut to whole updates of `copies` times `length`. Each update goes `epochs` times through them in
    `batches` parts. agent: an Agent to look at while it trains; it acts by the mean. Raises ValueError for fewer steps
    than one update, or for discrete actions.
    """
    torch.set_num_threads(1)
    seeds, count = [checks.seed(seed) for seed in seeds], copies * length
    simulators = list(simulator) if isinstance(simulator, list | tuple) else [simulator] * len(seeds)
    size, width = _sizes(simulators, seeds)
    if checks.positive_int("steps", steps) < count or count % checks.positive_int("batches", batches):
        checks.fail("(steps, batches)", (steps, batches), f"at least {count} steps, and a divisor of {count}")
    weights, first, worlds, order = ([np.random.default_rng([s, STREAM, salt]) for s in seeds] for salt in range(4))
    actor = Network(weights, (size, *hidden, 2 * width), learning_rate=learning_rate)
    critic = Network(first, (size, *hidden, 1), learning_rate=learning_rate)
    for last in (actor.weights[-1], actor.biases[-1]):
        last.data.mul_(0.01)
    worlds, deviation = Copies(simulators, worlds, copies), RunningDeviation(len(seeds), copies)
    functions = {"act": lambda x: actor(x, 0)[..., :width], "value": lambda x: critic(x, 0)[..., 0]}
    (agent or Agent()).become_plain(len(seeds), size, **functions)

    @torch.no_grad()
    def act(x, noise):
        mean, log_deviation = halves(actor(x, 0))
        return mean + log_deviation.exp() * noise

    for update in range(1, steps // count + 1):
        for network in (actor, critic):
            network.optimiser.param_groups[0]["lr"] = learning_rate * (1 - (update - 1) * count / steps)
        played = worlds.play(act, length)
        scaled = played.rewards / deviation(played.rewards, played.ended, discount)[:, None]
        scaled, terminated, ended = map(torch.from_numpy, (scaled.astype(np.float32), *played[-2:]))  # [T, S, E]
        x, after, u = (torch.from_numpy(part).movedim(1, 0).flatten(1, 2) for part in played[:3])  # [S, T E, ...]
        with torch.no_grad():
            values, following = (critic(z, 0).view(len(seeds), length, copies).movedim(1, 0) for z in (x, after))
            advantages = gae(scaled, values, following, terminated, ended, discount, trace)
            targets, advantages = (a.movedim(1, 0).flatten(1) for a in (advantages + values, advantages))  # [S, T E]
            old = log_chance(actor(x, 0), u)
        for _ in range(epochs):
            shuffled = torch.from_numpy(np.stack([g.permutation(count) for g in order]))  # [S, T E]
            for part in shuffled.chunk(batches, 1):
                pick = (torch.arange(len(seeds))[:, None], part)
                new = log_chance(actor(x[pick], 0), u[pick])
                actor.descend(policy_loss(new, old[pick], per_seed(advantages[pick]), clip), clip=NORM)
                loss = value_loss(critic(x[pick], 0)[..., 0], targets[pick])
                critic.descend(loss, clip=NORM)
        with torch.no_grad():
            outputs = actor(x, 0)
            outside = ((log_chance(outputs, u) - old).exp() - 1).abs().gt(clip).float().mean(-1)
            spread = halves(outputs)[1].exp().mean((-1, -2))
        numbers = {"deviation": spread, "value_loss": loss.detach(), "clipped": outside}
        yield Step(update * count, {"return": worlds.last.copy(), **numbers})


def _sizes(simulators, seeds):
    """Observation and action size that all worlds share."""
    if not seeds or len(simulators) != len(seeds):
        raise ValueError(f"simulator: {len(simulators)} of them for {len(seeds)} seeds: must be one for each")
    sizes = {(s.observation_size, s.action_size, s.noise_size) for s in simulators}
    if len(sizes) > 1 or simulators[0].action_size is None:
        checks.fail("simulator", [s.name for s in simulators], "worlds with continuous actions, alike in all sizes")
    return simulators[0].observation_size, simulators[0].action_size
