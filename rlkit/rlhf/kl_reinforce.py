"""REINFORCE with the KL inside the reward, and a leave-one-out baseline: maximises E[r] - beta KL(pi || pi_ref).

The gradient of that objective is E[(R - b) grad log pi], R = r - beta log(pi / pi_ref) of the whole completion, for the
gradient of log pi itself is 0 on average. The optimum is pi_ref exp(r / beta) / Z. There R is the same number, beta log
Z, for every completion, so the gradient has no noise left: what keeps a run away from it is its step size.

Departures from RLOO (Ahmadian et al. 2024, arXiv 2402.14740), which this is:
1. One update a batch, so every ratio is 1 and nothing is off-policy.
2. AdamW without weight decay and with a constant learning rate; the norm of the gradient is cut at clip_gradient.
3. The reference is the policy that training starts from. Sampled and scored at temperature 1, dropout off.
"""

import torch

from rlkit.rlhf import on_policy
from rlkit.rlvr import updates
from rlkit.rlvr.losses import grid
from rlkit.rlvr.objectives import rloo

OBJECTIVE = rloo(aggregation="constant")  # its gradient is that of the objective, divided by max_new_tokens


def penalised(rewards, logp, reference, mask, beta: float):
    """r - beta log(pi / pi_ref) of each completion, [P, G] float64.

    rewards [P, G]; logp, reference [B, T], row p * G + g: log-probabilities (nats) of the sampled tokens under the
    policy that drew them and under the reference; entries outside mask are not read.
    """
    drift = torch.where(mask.bool(), logp - reference, 0.0).sum(1).double()
    rewards = grid(rewards)
    return rewards - beta * drift.cpu().view(rewards.shape)


def reinforce(
    model,
    tokenizer,
    task,
    reward,
    *,
    beta: float,
    steps: int,
    learning_rate: float,
    seed: int = 0,
    problems: list | None = None,
    prompts_per_step: int = 16,
    group_size: int = 16,
    clip_gradient: float | None = 1.0,
    micro_batch: int | None = None,
    prefixes=None,
    log_rollouts_every: int | None = None,
):
    """Train the trainable parameters of `model` in place; a generator of `rlkit.runs.Step`, numbered 0 to `steps`.

    reward: a function (rollouts, problems) -> [P, G], what is optimised (`rlhf.gold(task)`, or a reward model's).
    beta: weight of the KL (nats) to the reference, the start policy; 0: none. group_size: at least 2.
    problems, micro_batch, clip_gradient: as in `rlvr.train`. The same arguments and weights give the same bits.
    prefixes: None, or a function (problem, rng) -> text that all completions of that prompt begin with; "" for none.
      It counts towards task.max_new_tokens, and what is rewarded is the whole completion; it is given, not learnt.
    log_rollouts_every: rows of kind "sample" at step 1, at its multiples and at the last step.

    Metrics, of the batch sampled before the step's update:
      reward: mean of what is optimised. gold, reward_<part>: the task's judgement, never optimised.
      kl: mean over completions of the sum over tokens of log pi - log pi_ref (nats), an unbiased estimate of
      KL(pi || pi_ref). objective: mean of r - beta log(pi / pi_ref), what is maximised.
      entropy: mean over tokens, nats. length, truncated, tokens (so far), updates (so far), loss, gradient_norm,
      ratio_min, ratio_max, clipped: as in `rlvr.train`; length and tokens without a prefix's.

    Raises ValueError for bad arguments and FloatingPointError for a number that is not finite: the model is then as
    after the last step, and the batch is in runs/failed.
    """
    settings = {"beta": beta, "clip_gradient": clip_gradient, "learning_rate": learning_rate, "problems": problems}
    settings |= {"steps": steps, "prompts_per_step": prompts_per_step, "group_size": group_size, "seed": seed}
    settings |= {"micro_batch": micro_batch, "log_rollouts_every": log_rollouts_every}
    trainable, given, how = on_policy.check(model, task, smallest_group=2, **settings)

    def training():
        parameters = list(trainable.values())
        optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.0, fused=True)

        def learn(step, batch, reference, _):
            rollouts = batch.rollouts
            rewards = penalised(batch.rewards, rollouts.logp, reference, rollouts.mask, beta)
            weights = OBJECTIVE.advantages(rewards)
            everything = range(len(batch.problems))
            found = updates.update(model, trainable, optimizer, rollouts, OBJECTIVE, weights, None, everything, **how)
            metrics = {"objective": rewards.mean().item(), "updates": 1} | updates.summary([found], 1)
            return metrics, {"advantage": weights.advantage.flatten()}

        yield from on_policy.train(model, tokenizer, task, reward, learn, parameters, prefixes=prefixes, **given)

    return training()
