"""Learning from a fixed set of texts with a reward each: no new text is drawn, none is scored again.

The reward of a whole text is weighed by what the reference policy would have got for the same prompt (`fit_values`);
`learn` is the loop that every weighted likelihood shares. Baheti et al. 2023, arXiv 2305.14718 (A-LoL), and baselines.
"""

import numpy as np
import torch

from rlkit import checks
from rlkit.lm import prefix
from rlkit.lm.rollouts import score_tokens
from rlkit.rlhf.draws import written
from rlkit.rlhf.preference_rollouts import as_rollouts, on
from rlkit.rlhf.reward_models import adamw, descend
from rlkit.runs import Step

AT_ONCE = 1024  # texts that the reference scores at a time


class ValueHead(torch.nn.Module):
    """V(x) = sigmoid(w . relu(A sum_t a_t h_t)), a = softmax(q . h): hidden states h [B, T, D], mask [B, T] -> [B].

    One learnt query q looks at the prompt's tokens; what it finds goes through one hidden layer. Values are in (0, 1).
    """

    def __init__(self, width: int, seed: int):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(checks.seed(seed))
            self.query = torch.nn.Linear(width, 1, bias=False)
            self.layers = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, 1))

    def forward(self, hidden, mask):
        attention = self.query(hidden)[..., 0].masked_fill(~mask, -torch.inf).softmax(-1)  # [B, T]
        return self.layers((attention[..., None] * hidden).sum(1))[:, 0].sigmoid()


def fit_values(model, tokenizer, prompts: list, rewards, *, steps: int, learning_rate: float, seed: int) -> tuple:
    """(V [P], errors [steps]): the value of each prompt under `model`, which is frozen, and how its fit went.

    rewards [P, G], in [0, 1]: of G samples of the model for each prompt. A `ValueHead` on the model's last hidden
    states is fitted by Adam to all P * G of them at once; errors are mean squares before each step. The same seed
    gives the same bits. Raises ValueError for rewards of another shape or outside [0, 1].
    """
    target = torch.as_tensor(checks.probability("rewards", rewards), dtype=torch.float32)
    if target.dim() != 2 or len(target) != len(prompts):
        checks.fail("rewards.shape", tuple(target.shape), f"[{len(prompts)}, G], one row for each prompt")
    ids, mask = prefix.encode(tokenizer, prompts, prefix.device(model))
    positions = (mask.long().cumsum(1) - 1).clamp(min=0)
    body = prefix.inner(model).get_decoder()
    with prefix.dropout_off(model), torch.no_grad():
        seen = {"input_ids": ids, "attention_mask": mask.long(), "position_ids": positions, "use_cache": False}
        hidden = body(**seen).last_hidden_state.float()  # [P, Tp, D]
    head = ValueHead(hidden.shape[-1], seed).to(hidden.device)
    optimizer, errors = adamw(head, learning_rate), []
    for step in range(1, checks.positive_int("steps", steps) + 1):
        error = (head(hidden, mask.bool())[:, None] - target.to(hidden.device)).square().mean()
        descend(error, optimizer, 1.0, step)
        errors.append(error.item())
    with torch.no_grad():
        return head(hidden, mask.bool()).cpu().double().numpy(), np.array(errors)


def learn(
    model,
    tokenizer,
    prompts: list,
    completions: list,
    weights,
    loss,
    *,
    chances,
    steps: int,
    learning_rate: float,
    max_new_tokens: int | None,
    batch: int = 128,
    seed: int = 0,
    clip_gradient: float = 1.0,
):
    """Train the trainable parameters of `model` in place on fixed texts; yields one Step an update, from 1.

    Each update draws `batch` rows with replacement, row i with probability chances[i] / sum(chances), and minimises
    the mean of loss(logp [B, T], reference [B, T], mask [B, T], weights [B]) -> [B] by AdamW with a constant learning
    rate. logp, reference: log-probabilities of the tokens (nats, 0 outside mask) under the model as it is and as it
    was at the start. weights, chances [N]: one for each text; chances of at least 0. max_new_tokens: the task's; a
    text of just as many tokens was cut and has no <eos>. The same arguments and weights give the same bits.

    Metrics of the batch before its update: loss; change, the mean of log pi - log pi_ref in nats a text; weight, the
    mean weight; rows, how many different texts were drawn so far; gradient_norm, before the cut at clip_gradient.
    Raises ValueError for bad arguments, FloatingPointError, before the update, for a number that is not finite.
    """
    steps, batch = checks.positive_int("steps", steps), checks.positive_int("batch", batch)
    weights, chances = checks.finite("weights", weights), checks.finite("chances", chances)
    for name, values in (("weights", weights), ("chances", chances), ("prompts", prompts)):
        if len(values) != len(completions):
            checks.fail(f"len({name})", len(values), f"{len(completions)}, one for each completion")
    if chances.min() < 0 or chances.sum() == 0:
        checks.fail("chances", chances.tolist(), "at least 0, and one of them above")
    optimizer, clip_gradient = adamw(model, learning_rate), checks.positive("clip_gradient", clip_gradient)
    data = on(as_rollouts(tokenizer, prompts, [[text] for text in completions], max_new_tokens), model.device)
    rng = np.random.default_rng(checks.seed(seed))

    def updates():
        seen = set()
        with torch.no_grad():
            parts = torch.arange(len(completions)).split(AT_ONCE)
            reference = torch.cat([score_tokens(model, data, rows) for rows in parts])  # [N, T]
        for step in range(1, steps + 1):
            rows = torch.as_tensor(rng.choice(len(chances), batch, p=chances / chances.sum()))
            seen.update(rows.tolist())
            logp, frozen, mask = score_tokens(model, data, rows), reference[rows], data.mask[rows]  # [B, T]
            weight = torch.as_tensor(weights[rows], dtype=torch.float32, device=logp.device)
            value = loss(logp, frozen, mask, weight).mean()
            found = {"loss": value.item(), "change": (logp.detach() - frozen).sum(1).mean().item()}
            found |= {"weight": weight.mean().item(), "rows": float(len(seen))}
            yield Step(step, found | {"gradient_norm": descend(value, optimizer, clip_gradient, step)})

    return updates()


def swapped(values, share: float, seed: int) -> np.ndarray:
    """values [N], a share of which have changed places among each other: noise that leaves the distribution alone."""
    values = checks.finite("values", values).copy()
    rng = np.random.default_rng(checks.seed(seed))
    some = rng.choice(len(values), round(float(checks.probability("share", share)) * len(values)), replace=False)
    values[some] = values[rng.permutation(some)]
    return values


def derived_pairs(prompts: list, completions: list, rewards, seed: int) -> list:
    """Rows {"prompt", "chosen", "rejected"}: texts of one prompt, paired at random, each at most once.

    The one with the higher reward is chosen; pairs of equal rewards are left out.
    """
    rng, rows = np.random.default_rng(checks.seed(seed)), []
    for prompt in dict.fromkeys(prompts):
        of = rng.permutation([i for i, other in enumerate(prompts) if other == prompt])
        for a, b in zip(of[::2], of[1::2], strict=False):
            if rewards[a] != rewards[b]:
                won, lost = (a, b) if rewards[a] > rewards[b] else (b, a)
                rows.append({"prompt": prompt, "chosen": completions[won], "rejected": completions[lost]})
    return rows


def distinct(texts: list, n: int = 2) -> float:
    """Distinct-n: different n-grams of words, as a share of all n-grams of the texts together; NaN where none is.

    Source: Li et al. 2016 (arXiv 1510.03055), section 5.3.
    """
    n, grams = checks.positive_int("n", n), []
    for text in texts:
        words = text.split()
        grams += zip(*(words[i:] for i in range(n)), strict=False)
    return len(set(grams)) / len(grams) if grams else float("nan")


def tested(model, reference, tokenizer, task, problems: list, *, samples: int, seed: int) -> tuple:
    """(metrics, rewards [P, G], texts: P lists of G) of G = samples texts that the model writes for each problem.

    metrics: reward, the task's, mean; words, mean length; distinct_2: `distinct` of one text for each problem, mean
    over G such sets, those without a bigram aside; entropy: -mean log pi of a token (nats); kl: mean of log pi -
    log pi_ref of a text (nats), an estimate of KL(pi || reference). The same seed draws with the same random numbers.
    """
    drawn, rewards, texts, kl = written(model, reference, tokenizer, task, problems, samples=samples, seed=seed)
    rewards = rewards.numpy()
    found = {"reward": rewards.mean(), "words": np.mean([len(text.split()) for text in drawn.text])}
    found |= {"distinct_2": np.nanmean([distinct(one) for one in zip(*texts, strict=True)])}
    found |= {"entropy": -(drawn.logp.sum() / drawn.mask.sum()).item()}
    return found | {"kl": kl}, rewards, texts
