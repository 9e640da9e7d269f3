"""MVE: the critics' target looks H imagined steps ahead (Feinberg et al. 2018, 1803.00101).

Departures from the paper:
1. On top of a soft actor-critic; theirs is DDPG. Entropy enters the imagined rewards as it enters its target.
2. Critics learn at lived states alone. The paper also trains them at each imagined one (its "TD-k trick").
3. An ensemble as in MBPO, each imagined step asked of one elite; theirs is one deterministic network.
"""

import numpy as np
import torch

from rlkit import checks
from rlkit.model_based.dynamics import Dynamics
from rlkit.model_based.online import Online
from rlkit.offline.heads import squashed
from rlkit.offline.rows import Agent


def discounted(rewards, continues, value: torch.Tensor, discount: float) -> torch.Tensor:
    """r_0 + discount c_0 (r_1 + discount c_1 (... + discount c_(H-1) value)): lists of H tensors [S, B] -> [S, B]."""
    for reward, goes_on in zip(reversed(rewards), reversed(continues), strict=True):
        value = reward + discount * goes_on * value
    return value


def soft_value(learner, model, observations, horizon: int, generators, critic=None) -> torch.Tensor:
    """What the policy earns from observations [S, B, O] on, H = horizon steps in the model: [S, B], differentiable.

        sum_(t < H) discount^t alive_t (r_t - T log pi_t) + discount^H alive_H (min_m Q_m(s_H, a_H) - T log pi_H)

    learner: a SoftActorCritic, T its temperature. generators: one np.random.Generator for each seed, for actions and
    the model. critic: the network of Q; None for the learner's own.
    """
    temperature, shape = learner.log_temperature.detach().exp()[:, None], (observations.shape[1], learner.width)
    now, rewards, continues = observations, [], []
    for step in range(horizon + 1):
        noise = torch.from_numpy(np.stack([g.standard_normal(shape, dtype=np.float32) for g in generators]))
        actions, log_chance = squashed(learner.actor(now, member=0), noise)
        if step < horizon:
            now, paid, goes_on = model.step(now, actions, generators)
            rewards.append(paid - temperature * log_chance)
            continues.append(goes_on)
    value = learner.q(now, actions, critic).amin(1) - temperature * log_chance
    return discounted(rewards, continues, value, learner.discount)


def expanded(learner, model, batch, horizon: int, generators) -> torch.Tensor:
    """The critics' target r + discount continues soft_value(s'), with the old critics: [S, B]. horizon 0: SAC's."""
    with torch.no_grad():
        value = soft_value(learner, model, batch.next_observations, horizon, generators, learner.old_critic)
        return batch.rewards + learner.discount * batch.continues * value


def mve(
    simulator,
    seeds,
    *,
    steps: int = 2_000,
    horizon: int = 3,
    updates: int = 1,
    model_every: int = 100,
    model_steps: int = 300,
    terminates=None,
    members: int = 7,
    elites: int = 5,
    model=None,
    agent: Agent | None = None,
    **shared,
):
    """A learner: yields a Step each `evaluate_every` real steps: return, critic_loss, q, temperature, model_error, [S].

    Each `model_every` real steps the model is fitted to all that was lived (`model_steps` gradient steps). Each real
    step is followed by `updates` gradient steps on lived batches whose target looks `horizon` imagined steps ahead.
    model: a model of your own, as in mbpo. shared: what `sac` takes.
    """
    online, horizon = Online(simulator, seeds, **shared), checks.positive_int("horizon", horizon)
    sizes = (simulator.observation_size, simulator.action_size)
    model = model or Dynamics(seeds, *sizes, members=members, elites=elites, terminates=terminates)
    learner, updates = online.learner, checks.positive_int("updates", updates)
    learner.agent(agent)
    numbers = {}
    for step in online.lived(steps):
        numbers |= online.refit(model, step, model_every, model_steps)
        for _ in range(updates):
            batch = online.replay.sample(online.batch_size)
            numbers |= learner.update(batch, target=expanded(learner, model, batch, horizon, online.generators))
        if online.due(step, steps):
            yield online.report(step, **numbers)
