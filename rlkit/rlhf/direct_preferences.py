"""Direct preference optimisation: a policy fitted to preferences, without a reward model and without sampling.

Departures from Rafailov et al. 2023 (arXiv 2305.18290), which trains with RMSprop and 150 steps of warm-up:
1. AdamW with a constant learning rate and a cut gradient, as everywhere in this kit.
2. Dropout is off in policy and reference alike.
3. The reference is always the policy that training starts from.
4. A completion that was cut at max_new_tokens gets no <eos>: the policy would never have drawn one there.
"""

import torch

from rlkit import checks
from rlkit.lm import exact
from rlkit.lm.rollouts import score_tokens
from rlkit.rlhf import losses
from rlkit.rlhf.preference_rollouts import on, pairs_of
from rlkit.rlhf.reward_models import adamw, descend, share_ranked
from rlkit.rlvr.batches import order
from rlkit.runs import Step

LOSSES = {"sigmoid": losses.dpo, "ipo": losses.ipo}
AT_ONCE = 512  # pairs that the reference scores at a time


def dpo(
    model,
    tokenizer,
    rows: list,
    *,
    beta: float,
    steps: int,
    learning_rate: float,
    max_new_tokens: int | None,
    loss: str = "sigmoid",
    batch: int = 64,
    seed: int = 0,
    clip_gradient: float = 1.0,
):
    """Train the trainable parameters of `model` in place; a generator of `rlkit.runs.Step`, one an update, from 1.

    With d(y) = log pi(y | x) - log pi_ref(y | x), sums over the tokens of a completion, each update minimises the mean
    over `batch` rows of -log sigmoid(beta (d(chosen) - d(rejected))) ("sigmoid", Rafailov et al. 2023, equation 7) or
    of (d(chosen) - d(rejected) - 1 / (2 beta))^2 ("ipo", Azar et al. 2023, arXiv 2310.12036, equation 17). Rows are
    taken epoch after epoch in random orders from `seed`. pi_ref is the model as it is at the first step: each row is
    scored by it once, before any update, so no second model is held, with an adapter or without. The same arguments
    and weights give the same bits.

    rows: dictionaries with prompt, chosen, rejected. max_new_tokens: the task's; a completion of fewer tokens ended
    with <eos>, one of just as many was cut and has none (None: all ended).

    Metrics, of the batch before its update: loss; accuracy: share of pairs that the implicit reward beta d ranks
    rightly, ties half; margin: mean beta (d(chosen) - d(rejected)); chosen_change, rejected_change: mean d of each, in
    nats a completion. Both usually fall: the loss sees their difference alone. gradient_norm, before the cut.
    Raises ValueError for bad arguments, FloatingPointError, before the update, for a loss or gradient not finite.
    """
    steps, batch, seed = checks.positive_int("steps", steps), checks.positive_int("batch", batch), checks.seed(seed)
    objective = LOSSES[checks.one_of("loss", loss, tuple(LOSSES))]
    beta, clip_gradient = checks.positive("beta", beta), checks.positive("clip_gradient", clip_gradient)
    optimizer = adamw(model, learning_rate)
    data = on(pairs_of(tokenizer, rows, max_new_tokens), model.device)

    def pairs(numbers) -> torch.Tensor:
        """log pi of chosen and rejected, [B, 2], of the rows of these numbers [B]."""
        both = torch.stack([2 * numbers, 2 * numbers + 1], 1)
        return score_tokens(model, data, both.flatten()).sum(1).view(-1, 2)

    def updates():
        with torch.no_grad():
            reference = torch.cat([pairs(numbers) for numbers in torch.arange(len(rows)).split(AT_ONCE)])  # [N, 2]
        for step in range(1, steps + 1):
            numbers = torch.tensor(order(len(rows), (step - 1) * batch, batch, seed))
            logp, frozen = pairs(numbers), reference[numbers]
            value = objective(logp[:, 0], logp[:, 1], frozen[:, 0], frozen[:, 1], beta).mean()
            change = (logp - frozen).detach()
            margin = beta * (change[:, 0] - change[:, 1])
            found = {"loss": value.item(), "accuracy": share_ranked(margin), "margin": margin.mean().item()}
            found |= {"chosen_change": change[:, 0].mean().item(), "rejected_change": change[:, 1].mean().item()}
            yield Step(step, found | {"gradient_norm": descend(value, optimizer, clip_gradient, step)})

    return updates()


def expected_loss(policy, reference, rewards, beta: float, loss: str = "sigmoid") -> torch.Tensor:
    """The loss on the population of preferences of an enumerable policy, differentiable: no pair is sampled.

    2 sum over a, b of pi_ref(a) pi_ref(b) sigmoid(r(a) - r(b)) loss(a chosen, b rejected): both completions are drawn
    from the reference, a Bradley-Terry annotator with rewards r [N] chooses, and the 2 is there because a may be either
    of the two. For "sigmoid" its minimum is the closed form pi_ref exp(r / beta) / Z. N^2 terms, for small trees;
    policy, reference: of `rlkit.lm.exact`. Raises ValueError for rewards of another shape, beta or loss.
    """
    objective = LOSSES[checks.one_of("loss", loss, tuple(LOSSES))]
    logp = exact.log_probabilities(policy).sum(-1)  # [N]
    with torch.no_grad():
        frozen = exact.log_probabilities(reference).sum(-1)
    rewards = torch.as_tensor(rewards).to(logp)
    if rewards.shape != logp.shape:
        raise ValueError(f"rewards of shape {tuple(rewards.shape)}: must be [{len(logp)}], one per completion")
    chosen, rejected = (index.flatten() for index in torch.meshgrid(*[torch.arange(len(logp))] * 2, indexing="ij"))
    weight = 2 * (frozen[chosen] + frozen[rejected]).exp() * (rewards[chosen] - rewards[rejected]).sigmoid()
    return (weight * objective(logp[chosen], logp[rejected], frozen[chosen], frozen[rejected], beta)).sum()
