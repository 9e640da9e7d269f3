"""Reward models: a number for each completion, fitted to preferences between two completions of a prompt.

`RewardModel` reads every word in its place; `bag_of_words` counts words and is blind to their order, on purpose: it is
the misspecified proxy that a policy learns to exploit. Both are fitted by `fit_reward` and asked the same way.

Departures from Ouyang et al. 2022 (InstructGPT, arXiv 2203.02155), section 3.5:
1. A row is one pair; there, K ranked completions of a prompt make K (K - 1) / 2 pairs that share a batch.
2. The head starts at zero, so every reward does, and no seed is needed for it.
3. No bias afterwards that makes the mean reward of demonstrations 0: a constant moves no policy.
"""

import copy

import torch

from rlkit import checks
from rlkit.lm import prefix
from rlkit.lm.rollouts import Rollouts
from rlkit.rlhf import losses
from rlkit.rlhf.preference_rollouts import as_rollouts, every, pairs_of
from rlkit.rlvr.batches import order
from rlkit.runs import Step

TOKENS = 2**15  # that go through a reward model at once without gradient, about


class Scorer(torch.nn.Module):
    """What both kinds of reward model share. forward(rollouts, rows [B']) -> rewards [B'], with their gradient."""

    def __init__(self, tokenizer, max_new_tokens: int | None):
        super().__init__()
        self.tokenizer = tokenizer
        known = max_new_tokens is not None
        self.max_new_tokens = checks.positive_int("max_new_tokens", max_new_tokens) if known else None

    def rewards(self, rollouts: Rollouts, problems=None) -> torch.Tensor:
        """The reward of each completion, float32 [P, G], without gradient; problems are not looked at, so that this
        method is what a learner takes as its reward. The rollouts must be of a model with this tokenizer."""
        at_once = max(TOKENS // (rollouts.prompt_ids.shape[1] + rollouts.ids.shape[1]), 1)
        with torch.no_grad(), prefix.dropout_off(self):
            parts = [self(rollouts, rows) for rows in torch.arange(len(rollouts.ids)).split(at_once)]
        return torch.cat(parts).view(-1, rollouts.group_size)

    def of(self, prompts: list, completions: list) -> torch.Tensor:
        """The reward of completion b of prompt b, [B]: texts, ended or cut as max_new_tokens says (`as_rollouts`)."""
        if not prompts or len(prompts) != len(completions):
            checks.fail("len(completions)", len(completions), f"{len(prompts)}, one for each of at least one prompt")
        given = as_rollouts(self.tokenizer, prompts, [[text] for text in completions], self.max_new_tokens)
        return self.rewards(given)[:, 0]

    def over(self, policy, prompt: str) -> torch.Tensor:
        """The reward of each completion of an enumerable policy of `rlkit.lm.exact` with this vocabulary: [N] float64,
        as `rlkit.rlhf.optimum` takes it."""
        return self.rewards(every(policy, self.tokenizer, prompt))[0].double()


class RewardModel(Scorer):
    """r(x, y) = w . h, with h the last hidden state of a causal transformer that read prompt, completion and <eos>.

    model: any causal model of transformers, with adapters or without: a shipped or a fresh one, the policy itself. Its
    body is copied, so the model stays as it is; weights that are frozen (the base under an adapter) are shared.
    max_new_tokens: the task's, which tells where a text was cut (None: nowhere). w starts at 0 and has no bias, since
    preferences fix rewards only up to a constant for each prompt. Source: Stiennon et al. 2020, arXiv 2009.01325.
    """

    def __init__(self, model, tokenizer, *, max_new_tokens: int | None):
        super().__init__(tokenizer, max_new_tokens)
        body = prefix.inner(model).get_decoder()
        self.body = copy.deepcopy(body, {id(p): p for p in body.parameters() if not p.requires_grad}).eval()
        width = prefix.inner(model).config.get_text_config().hidden_size
        self.head = torch.nn.Parameter(torch.zeros(width, device=prefix.device(model)))

    def forward(self, rollouts: Rollouts, rows) -> torch.Tensor:
        device = self.head.device
        prompts = rows // rollouts.group_size
        ids = torch.cat([rollouts.prompt_ids[prompts], rollouts.ids[rows]], 1).to(device)  # [B', Tp + T]
        seen = torch.cat([rollouts.prompt_mask[prompts], rollouts.mask[rows]], 1).to(device)
        last = rollouts.prompt_ids.shape[1] + rollouts.mask[rows].sum(1).to(device) - 1  # [B']: the column of it
        # Padding on the right is never seen by a causal model, so only that on the left needs a mask.
        where = {} if rollouts.prompt_mask[prompts].all() else {"attention_mask": seen.long()}
        positions = (seen.long().cumsum(1) - 1).clamp(min=0)
        hidden = self.body(input_ids=ids, position_ids=positions, use_cache=False, **where).last_hidden_state
        return hidden[torch.arange(len(rows), device=device), last].float() @ self.head


class BagOfWords(Scorer):
    """r(x, y) = sum over the tokens of y of w(token, is it in x): see `bag_of_words`."""

    def __init__(self, tokenizer, max_new_tokens: int | None):
        super().__init__(tokenizer, max_new_tokens)
        self.weight = torch.nn.Parameter(torch.zeros(2, len(tokenizer)))  # [in the prompt, V]

    def forward(self, rollouts: Rollouts, rows) -> torch.Tensor:
        device = self.weight.device
        prompts, ids = rows // rollouts.group_size, rollouts.ids[rows].to(device)  # ids [B', T]
        words = rollouts.prompt_ids.masked_fill(~rollouts.prompt_mask, -1)[prompts].to(device)  # [B', Tp]
        inside = (ids[:, :, None] == words[:, None, :]).any(-1).long()
        return (self.weight[inside, ids] * rollouts.mask[rows].to(device)).sum(1)


def bag_of_words(tokenizer, *, max_new_tokens: int | None) -> BagOfWords:
    """A reward linear in how often each word occurs: a weight for every word, another where the prompt has it too.

    It sees length and <eos>, but neither order nor that a second mention of a topic adds nothing. Starts at 0; fit it
    with a learning rate near 0.05.
    """
    return BagOfWords(tokenizer, max_new_tokens)


def fit_reward(
    model: Scorer,
    rows: list,
    *,
    steps: int,
    learning_rate: float,
    batch: int = 64,
    seed: int = 0,
    held_out: list | None = None,
    evaluate_every: int | None = None,
    weight_decay: float = 0.0,
    clip_gradient: float = 1.0,
):
    """Fit a reward model in place to preferences; a generator of `rlkit.runs.Step`, one an update, numbered from 1.

    Each update minimises the Bradley-Terry loss, the mean of -log sigmoid(r(x, chosen) - r(x, rejected)), by AdamW with
    a constant learning rate over `batch` rows, epoch after epoch in random orders from `seed`; dropout stays off. The
    same arguments and weights give the same bits. Stop early by asking for no more steps.

    rows, held_out: dictionaries with prompt, chosen, rejected. Metrics, of the batch before its update: loss (nats),
    accuracy (share with r(chosen) > r(rejected), ties half), margin (mean difference), gradient_norm (before the cut at
    clip_gradient). With held_out: validation_loss, validation_accuracy, validation_margin after the update, at the
    multiples of evaluate_every and the last step, and at a step 0 before any update. Raises ValueError for bad
    arguments, FloatingPointError, before the update, for a loss or gradient that is not finite.
    """
    steps, batch, seed = checks.positive_int("steps", steps), checks.positive_int("batch", batch), checks.seed(seed)
    optimizer = adamw(model, learning_rate, weight_decay)
    clip_gradient = checks.positive("clip_gradient", clip_gradient)
    if evaluate_every is not None and held_out is None:
        checks.fail("evaluate_every", evaluate_every, "None where held_out=None")
    every = steps if evaluate_every is None else checks.positive_int("evaluate_every", evaluate_every)
    data = pairs_of(model.tokenizer, rows, model.max_new_tokens)
    validation = None if held_out is None else pairs_of(model.tokenizer, held_out, model.max_new_tokens)

    def test(step: int) -> dict:
        if validation is None or not (step % every == 0 or step == steps):
            return {}
        _, found = bradley_terry(model.rewards(validation))
        return {f"validation_{name}": value for name, value in found.items()}

    def updates():
        if validation is not None:
            yield Step(0, test(0))
        for step in range(1, steps + 1):
            chosen = 2 * torch.tensor(order(len(rows), (step - 1) * batch, batch, seed))
            with prefix.dropout_off(model):
                rewards = model(data, torch.stack([chosen, chosen + 1], 1).flatten()).view(-1, 2)  # [B, 2]
            value, found = bradley_terry(rewards)
            norm = descend(value, optimizer, clip_gradient, step)
            yield Step(step, found | {"gradient_norm": norm} | test(step))

    return updates()


def bradley_terry(rewards: torch.Tensor) -> tuple:
    """(mean loss, {"loss", "accuracy", "margin"}) of rewards [B, 2]: chosen, rejected."""
    margin = (rewards[:, 0] - rewards[:, 1]).detach()
    loss = losses.bradley_terry(rewards[:, 0], rewards[:, 1]).mean()
    return loss, {"loss": loss.item(), "accuracy": share_ranked(margin), "margin": margin.mean().item()}


def share_ranked(margin: torch.Tensor) -> float:
    """The share of margins above 0, a margin of 0 counting half."""
    return ((margin > 0).double() + 0.5 * (margin == 0).double()).mean().item()


def adamw(model, learning_rate: float, weight_decay: float = 0.0) -> torch.optim.AdamW:
    """AdamW over what is trainable. Raises ValueError for bad numbers and for a model with nothing to train."""
    learning_rate = checks.positive("learning_rate", learning_rate)
    if checks.finite("weight_decay", weight_decay) < 0:
        checks.fail("weight_decay", weight_decay, "a finite number of at least 0")
    weights = [p for p in model.parameters() if p.requires_grad]
    if not weights:
        raise ValueError("model: has no parameter that requires a gradient: nothing to train")
    return torch.optim.AdamW(weights, lr=learning_rate, weight_decay=weight_decay, fused=True)


def descend(loss: torch.Tensor, optimizer, clip_gradient: float, step: int) -> float:
    """One update; the norm of the gradient before its cut. Raises FloatingPointError, before the update, for NaN."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(weights, clip_gradient).item()
    if not (torch.isfinite(loss) and torch.isfinite(torch.tensor(norm))):
        raise FloatingPointError(f"step {step}: loss={loss.item()}, gradient_norm={norm}: lower learning_rate")
    optimizer.step()
    return norm
