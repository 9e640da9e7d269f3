"""PPO on tokens, for RLHF: a critic, generalised advantages, a clipped ratio, and the KL inside the reward.

Each token pays beta (log pi - log pi_ref), the last one is paid the reward of its completion (Ziegler et al. 2019,
arXiv 1909.08593; Stiennon et al. 2020, 2009.01325; InstructGPT, 2203.02155). Advantages and losses: ppo_losses.py.

Departures from them and from PPO (Schulman et al. 2017, 1707.06347):
1. The critic is a small network on what the reference's head reads, h_t, with the mean of h_1 .. h_t and the share of
   tokens used up. The reference runs once anyway, for the KL, so values cost no pass through a model, neither does
   their gradient disturb the policy; of a QLoRA model no second copy is held. InstructGPT trains a whole model. On
   short style texts it explains 0.13 of the variance of returns, h_t alone 0.04; the true values 0.28, of one prompt.
2. The critic takes CRITIC_STEPS steps on all tokens of a batch, on its own learning rate, before the policy moves.
3. Advantages are not whitened unless asked for: at the optimum pi_ref exp(r / beta) / Z they are all 0, and divided by
   their deviation they would be noise of size 1. With one seed on short style texts (beta 0.5, 60 steps), KL(pi || pi*)
   was 0.067 with whitening and 0.042 without.
4. beta is fixed; Ziegler et al. steer it towards a KL. No entropy bonus, no pretraining loss, discount 1 by default.
5. AdamW without weight decay, a constant learning rate. Sampled and scored at temperature 1, dropout off.
"""

import torch

from rlkit import checks
from rlkit.lm import prefix
from rlkit.rlhf import on_policy, ppo_losses
from rlkit.rlhf.critic import Critic, fit
from rlkit.rlvr import batches, updates
from rlkit.rlvr.evaluation import derive
from rlkit.rlvr.losses import Objective, weigh

CRITIC = 7  # purpose of a random draw, after those of rlvr and on_policy


def objective(advantages, clip: float) -> Objective:
    """The clipped surrogate of advantages [B, T], mean over the tokens, for `rlvr.updates.update`. The rows of a
    micro-batch find their advantages by their numbers, which weights.advantage holds."""

    def normaliser(mask, weights, max_new_tokens):
        return float(mask.sum())

    def loss(logp, old, reference, mask, weights, normaliser):
        own = advantages[weights.advantage.long().to(advantages.device)].to(logp)
        loss, ratio, clipped = ppo_losses.policy_loss(logp, old, own, mask, clip)
        inside = ratio.detach()[mask]
        info = {"ratio_min": inside.min(), "ratio_max": inside.max(), "tokens": mask.sum()}
        return loss.sum() / normaliser, info | {"clipped": clipped.sum() / mask.sum()}

    return Objective("ppo", {"clip": clip}, False, None, normaliser, loss)


def ppo(
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
    updates_per_batch: int = 4,
    mini_batches: int = 1,
    clip: float = 0.2,
    value_clip: float = 0.2,
    critic_learning_rate: float = 3e-3,
    discount: float = 1.0,
    trace_decay: float = 0.95,
    whiten: bool = False,
    clip_gradient: float | None = 1.0,
    micro_batch: int | None = None,
    prefixes=None,
    log_rollouts_every: int | None = None,
):
    """Train the trainable parameters of `model` in place; a generator of `rlkit.runs.Step`, numbered 0 to `steps`.

    Arguments, metrics and errors as `rlhf.reinforce`, and:
    updates_per_batch passes over a batch, each in `mini_batches` parts of whole groups. clip: of the ratio; value_clip:
    of a value (units of reward). discount, trace_decay: gamma and lambda of `ppo_losses.gae`. whiten: advantages.
    group_size: from 1; no advantage compares completions. prefixes: dataset resets (DR-PO, arXiv 2404.08495).

    Metrics besides: value_loss (before the critic's steps); explained_variance: of returns, by the values that
    advantages were taken with. Logged rows: advantage, the mean over tokens; token_advantages and values, one a token.
    """
    settings = {"beta": beta, "clip_gradient": clip_gradient, "learning_rate": learning_rate, "problems": problems}
    settings |= {"steps": steps, "prompts_per_step": prompts_per_step, "group_size": group_size, "seed": seed}
    settings |= {"micro_batch": micro_batch, "log_rollouts_every": log_rollouts_every}
    trainable, given, how = on_policy.check(model, task, **settings)
    for name, value in {"updates_per_batch": updates_per_batch, "mini_batches": mini_batches}.items():
        checks.positive_int(name, value)
    positive = {"clip": clip, "value_clip": value_clip, "critic_learning_rate": critic_learning_rate}
    for name, value in positive.items():
        checks.positive(name, value)
    for name, value in {"discount": discount, "trace_decay": trace_decay}.items():
        checks.probability(name, value)
    if mini_batches > prompts_per_step:
        checks.fail("mini_batches", mini_batches, f"at most prompts_per_step={prompts_per_step}")

    def training():
        size = model.config.get_text_config().hidden_size
        critic = Critic(size, task.max_new_tokens, derive(seed, CRITIC)).to(prefix.device(model))
        own, values_of = list(trainable.values()), list(critic.parameters())
        optimizer = torch.optim.AdamW(own, lr=learning_rate, weight_decay=0.0, fused=True)
        critic_optimizer = torch.optim.AdamW(values_of, lr=critic_learning_rate, weight_decay=0.0, fused=True)

        def learn(step, batch, reference, read):
            rollouts, P, mask = batch.rollouts, len(batch.problems), batch.rollouts.mask
            features = critic.features(read)  # [B, T, 2 D + 1]
            with torch.no_grad():
                values = critic(features) * mask  # [B, T]
            paid = ppo_losses.token_rewards(batch.rewards.flatten(), rollouts.logp, reference, mask, beta)
            advantages, returns = ppo_losses.gae(paid, values, mask, discount, trace_decay)
            value_loss = fit(critic, critic_optimizer, features, values, returns, mask, value_clip)
            used = ppo_losses.whiten(advantages, mask) if whiten else advantages
            surrogate, numbers = objective(used, clip), torch.arange(len(mask)).reshape(P, -1).double()
            weights, done = weigh(numbers, numbers), []
            for number in range(updates_per_batch):
                for part in batches.parts(P, mini_batches, derive(seed, batches.SHUFFLE, step, number)):
                    done.append(
                        updates.update(model, trainable, optimizer, rollouts, surrogate, weights, None, part, **how)
                    )
            metrics = {"objective": paid.sum(1).mean().item(), "value_loss": value_loss, "updates": len(done)}
            metrics |= {"explained_variance": ppo_losses.explained(values, returns, mask)}
            fields = {"advantage": used.sum(1) / mask.sum(1), "token_advantages": used, "values": values}
            return metrics | updates.summary(done, mini_batches), fields

        yield from on_policy.train(
            model, tokenizer, task, reward, learn, own + values_of, hidden=True, prefixes=prefixes, **given
        )

    return training()
