"""Imitation from one demonstration and a log of mixed quality: both as one dataset, with a discriminator and without.

`recoil` departs from the authors' code so:
1. Its numbers are in units of the largest value: target 1 for the demonstration and a cost of 1 - discount in each step
   of the log, in place of 200 and 2 with discount 0.99. No cost for termination.
2. V by the expectile loss, which the authors' code offers beside Gumbel regression; no gradient penalty.
3. The policy imitates demonstration and log alike, by weight, with a fixed deviation.

`discriminator_imitation` departs from SMODICE's reference implementation so:
1. Labels of the discriminator are smoothed, in place of a gradient penalty; it learns beside V and the policy, and its
   logit is clipped at 10.
2. Each state of the log may be a first state: (1 - discount) V(s) is taken over the log, not over starts alone.
3. A policy of fixed deviation.

Both: networks 64 x 64 and batch 64, about half of it from each dataset; Adam at 1e-3.
"""

import dataclasses

import numpy as np
import torch
from torch.nn import functional

from rlkit import checks
from rlkit.offline.algorithms.iql import expectile, weights
from rlkit.offline.dataset import Dataset
from rlkit.offline.heads import imitation
from rlkit.offline.rows import Agent, Rows


def demonstrated(demonstration: Dataset, log: Dataset) -> Dataset:
    """Both datasets as one, first the demonstration's rows, with weights that draw half of all rows from either.

    facts["demonstrations"] is how many rows the demonstration has. References to score against are the log's.
    Raises ValueError where the two do not fit together, or have weights already.
    """
    for name, data in (("demonstration", demonstration), ("log", log)):
        if data.weights is not None:
            checks.fail(f"{name}.weights", data.weights, "None: both are given new ones")
    sizes = np.array([len(demonstration), len(log)])
    both = Dataset.concatenate([demonstration, log])
    facts = both.facts | {"demonstrations": int(sizes[0]), "behaviour_return": log.facts.get("behaviour_return")}
    return dataclasses.replace(both, weights=np.repeat(0.5 / sizes, sizes), facts=facts)


def demonstrations(rows: Rows) -> np.ndarray:
    """[S, 1]: how many rows of each dataset are demonstrations; batch.indices < demonstrations(rows) are these.

    Raises ValueError for a dataset that `demonstrated` has not made.
    """
    counts = [data.facts.get("demonstrations") for data in rows.datasets]
    if None in counts:
        checks.fail("facts['demonstrations']", None, "given for each dataset: make it by `demonstrated`")
    return np.array(counts)[:, None]


def share_loss(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """The mean of values [S, B] over the chosen [S, B] (1 or 0) of each batch -> [S]; 0 where none is chosen."""
    return (values * chosen).sum(-1) / chosen.sum(-1).clamp(min=1)


def recoil_target(shown: torch.Tensor, future: torch.Tensor, discount: float) -> torch.Tensor:
    """y of Q: 1 on the demonstration, discount V(s') - (1 - discount) on the log. shown bool, future V(s'): [S, B].

    So Q counts, discounted, the steps from here to what the demonstration does: 1 there, -1 where it is out of reach.
    Source: the code of Sikchi et al. 2024 (2302.08560), which bounds by it the linear terms of their equation.
    """
    return torch.where(shown, torch.ones_like(future), discount * future - (1 - discount))


def recoil(
    dataset,
    seeds,
    *,
    steps: int = 20_000,
    tau=0.7,
    sharpness=30.0,
    discount: float = 0.99,
    polyak: float = 0.005,
    learning_rate: float = 1e-3,
    hidden=(64, 64),
    agent: Agent | None = None,
    **shared,
):
    """A learner: yields a Step each `evaluate_every` steps with return, score, value_loss, critic_loss, q [S].

    ReCOIL (Sikchi et al. 2024, 2302.08560) with chi-square: each critic descends 1/2 (Q - y)^2 with `recoil_target`, V
    the expectile loss of min Q - V on the log, the policy imitates both with weights exp(sharpness (Q - V)) up to 100.

    dataset: made by `demonstrated`, or one for each seed, with continuous actions. tau, sharpness: numbers, or one for
    each seed. shared: batch_size, normalise, evaluate_every, episodes, simulator of `Rows`. agent: to look at while it
    trains. Raises ValueError for other datasets.
    """
    rows = Rows(dataset, seeds, discrete=False, **shared)
    first, tau, sharpness = demonstrations(rows), rows.column("tau", tau), rows.column("sharpness", sharpness)
    size, width = rows.observation_size, rows.action_size
    actor = rows.network((size, *hidden, width), learning_rate=learning_rate)
    critic = rows.network((size + width, *hidden, 1), members=2, learning_rate=learning_rate, salt=1)
    value = rows.network((size, *hidden, 1), learning_rate=learning_rate, salt=2)
    old_critic = critic.frozen()
    agent = (agent or Agent()).become(
        rows,
        act=lambda x: torch.tanh(actor(x, member=0)),
        q=lambda x, a: critic(torch.cat((x, a), -1))[..., 0].amin(1),
        value=lambda x: value(x, member=0)[..., 0],
    )
    for step, batch in rows.batches(steps):
        shown = torch.from_numpy(batch.indices < first)  # [S, B]
        with torch.no_grad():
            future = batch.continues * value(batch.next_observations, member=0)[..., 0]
            target = recoil_target(shown, future, discount)
            old = old_critic(batch.pairs)[..., 0].amin(1)
        advantage = old - value(batch.observations, member=0)[..., 0]
        v_loss = share_loss(expectile(advantage, tau), (~shown).float())
        value.descend(v_loss)
        weight = weights(advantage.detach(), sharpness)
        actor.descend((weight * imitation(actor(batch.observations, member=0), batch.actions)).mean(-1))
        q = critic(batch.pairs)[..., 0]  # [S, 2, B]
        critic_loss = 0.5 * (q - target[:, None]).square().mean(-1).sum(-1)
        critic.descend(critic_loss)
        old_critic.track(critic, polyak)
        if rows.due(step, steps):
            yield rows.report(step, agent, value_loss=v_loss, critic_loss=critic_loss, q=q.mean((-1, -2)))


def dual_value_loss(advantage, value, discount: float, chosen) -> torch.Tensor:
    """mean over the chosen of (1 - discount) V(s) + f*(x), x = R + discount V(s') - V(s): all [S, B] -> [S].

    f* is the conjugate of f(w) = (w - 1)^2 / 2 over w >= 0: x + x^2 / 2, flat at -1/2 below x = -1. Its slope
    max(x + 1, 0) is the density ratio of the best policy to the log. Source: Ma et al. 2022 (2202.02433).
    """
    x = advantage.clamp(min=-1.0)
    return share_loss((1 - discount) * value + x + x.square() / 2, chosen)


def discriminator_imitation(
    dataset,
    seeds,
    *,
    steps: int = 20_000,
    smoothing=0.0,
    discount: float = 0.99,
    learning_rate: float = 1e-3,
    hidden=(64, 64),
    agent: Agent | None = None,
    **shared,
):
    """A learner: yields a Step each `evaluate_every` steps with return, score, value_loss, discriminator_loss [S].

    A discriminator tells demonstration from log; its logit is R(s, a), an estimate of log density of the demonstration
    over that of the log. V descends `dual_value_loss` on the log, with its gradient through V(s) and V(s'), and the
    policy imitates the log with weights max(R + discount V(s') - V(s) + 1, 0), at most 100. SMODICE (Ma et al. 2022,
    2202.02433) with chi-square, on states and actions.

    dataset: made by `demonstrated`, or one for each seed, with continuous actions. smoothing: labels are 1 - smoothing
    and smoothing, at least 0 and below 1/2, a number or one for each seed. shared: batch_size, normalise,
    evaluate_every, episodes, simulator of `Rows`. agent: to look at while it trains. Raises ValueError for others.
    """
    if np.any((checks.finite("smoothing", smoothing) < 0) | (np.asarray(smoothing) >= 0.5)):
        checks.fail("smoothing", smoothing, "at least 0 and below 0.5")
    rows = Rows(dataset, seeds, discrete=False, **shared)
    first, smoothing = demonstrations(rows), rows.column("smoothing", smoothing)
    size, width = rows.observation_size, rows.action_size
    actor = rows.network((size, *hidden, width), learning_rate=learning_rate)
    judge = rows.network((size + width, *hidden, 1), learning_rate=learning_rate, salt=1)
    value = rows.network((size, *hidden, 1), learning_rate=learning_rate, salt=2)
    agent = (agent or Agent()).become(
        rows,
        act=lambda x: torch.tanh(actor(x, member=0)),
        q=lambda x, a: judge(torch.cat((x, a), -1), member=0)[..., 0],
        value=lambda x: value(x, member=0)[..., 0],
    )
    for step, batch in rows.batches(steps):
        shown = torch.from_numpy(batch.indices < first).float()  # [S, B]
        logit = judge(batch.pairs, member=0)[..., 0]
        labels = shown * (1 - 2 * smoothing) + smoothing
        judge_loss = functional.binary_cross_entropy_with_logits(logit, labels, reduction="none").mean(-1)
        judge.descend(judge_loss)
        now, after = (value(x, member=0)[..., 0] for x in (batch.observations, batch.next_observations))
        advantage = logit.detach().clamp(-10, 10) + discount * batch.continues * after - now
        v_loss = dual_value_loss(advantage, now, discount, 1 - shown)
        value.descend(v_loss)
        weight = (advantage.detach() + 1).clamp(0, 100)
        outputs = actor(batch.observations, member=0)
        actor.descend(share_loss(weight * imitation(outputs, batch.actions), 1 - shown))
        if rows.due(step, steps):
            yield rows.report(step, agent, value_loss=v_loss, discriminator_loss=judge_loss)
