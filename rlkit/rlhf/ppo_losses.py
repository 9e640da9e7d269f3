"""PPO on the tokens of completions, as pure functions: rewards, advantages, losses. What is outside mask is not read.

A completion is an episode: state t is the prompt and the tokens before token t, action t is token t, [B, T]. It ends
with its last token, whether that is <eos> or the one where the task stops: beyond it nothing is worth anything.
"""

import torch

from rlkit import checks
from rlkit.rlvr.losses import clip_surrogate


def token_rewards(rewards, logp, reference, mask, beta: float):
    """-beta (log pi - log pi_ref) at each token, plus the reward of the completion at its last one: [B, T], fp32.

    rewards [B]; logp, reference [B, T]: log-probabilities (nats) of the sampled tokens under the policy that drew them
    and under the reference. Their sum over a completion is r - beta log(pi / pi_ref), whose mean under pi is
    E[r] - beta KL(pi || pi_ref): a policy that drifts pays. Source: Ziegler et al. 2019 (1909.08593), equation 2.
    """
    mask = mask.bool()
    drift = torch.where(mask, logp, 0.0) - torch.where(mask, reference, 0.0)
    last = mask & ~torch.nn.functional.pad(mask[:, 1:], (0, 1))
    return torch.where(last, rewards.to(drift)[:, None], 0.0) - beta * drift


def gae(rewards, values, mask, discount: float, trace_decay: float):
    """(advantages, returns), both [B, T] and 0 outside mask: A_t = d_t + discount trace_decay A_{t+1} with
    d_t = r_t + discount V(s_{t+1}) - V(s_t), and A_t + V(s_t), what V is fitted to.

    rewards, values = V(s_t): [B, T]. V past the last token is 0, whatever stands there: the episode is over.
    trace_decay 0 gives the TD error d_t, 1 the discounted sum of rewards from t on less V(s_t). Raises ValueError for
    one outside [0, 1]. Source: Schulman et al. 2016 (1506.02438), equation 16.
    """
    checks.probability("discount", discount), checks.probability("trace_decay", trace_decay)
    mask = mask.bool()
    rewards, values = torch.where(mask, rewards, 0.0), torch.where(mask, values, 0.0)
    change = rewards + discount * torch.nn.functional.pad(values[:, 1:], (0, 1)) - values
    advantages, ahead = torch.empty_like(change), torch.zeros_like(change[:, 0])
    for t in reversed(range(change.shape[1])):
        advantages[:, t] = ahead = change[:, t] + discount * trace_decay * ahead
    return advantages, advantages + values


def whiten(advantages, mask):
    """(A - mean) / (std + 1e-8) over the tokens of the batch, 0 outside mask: [B, T]."""
    mask = mask.bool()
    inside = advantages[mask]
    white = (advantages - inside.mean()) / (inside.std(correction=0) + 1e-8)
    return torch.where(mask, white, 0.0)


def policy_loss(logp, old, advantages, mask, clip: float):
    """-min(w A, clip(w, 1 - clip, 1 + clip) A) at each token, w = exp(logp - old), 0 outside mask.

    logp, old, advantages: [B, T]. Returns (loss, ratio, clipped), each [B, T]; clipped: where the gradient is gone.
    Source: Schulman et al. 2017 (1707.06347), equation 7.
    """
    mask = mask.bool()
    ratio = (torch.where(mask, logp, 0.0) - torch.where(mask, old, 0.0)).exp()
    loss, clipped = clip_surrogate(ratio, torch.where(mask, advantages, 0.0), clip, clip)
    return loss, ratio, clipped & mask


def value_loss(values, old, returns, mask, clip: float):
    """max((V - R)^2, (V_old + clip(V - V_old, -clip, clip) - R)^2) / 2 at each token, [B, T], 0 outside mask.

    The gradient is gone where V is beyond V_old by more than clip and the cut V is the farther one from R: a value
    moves at most clip a batch towards its return. values, old (of before the step's updates), returns: [B, T].
    Source: the PPO of OpenAI Baselines, and with it Ziegler et al. 2019 and InstructGPT (2203.02155).
    """
    mask = mask.bool()
    values, old, returns = (torch.where(mask, x, 0.0) for x in (values, old, returns))
    cut = old + (values - old).clamp(-clip, clip)
    return torch.maximum((values - returns).square(), (cut - returns).square()) / 2


def explained(values, returns, mask) -> float:
    """1 - Var(R - V) / Var(R) over the tokens inside mask: 1 if values say all, 0 if they say no more than a constant.

    NaN where all returns are equal. values, returns: [B, T].
    """
    mask = mask.bool()
    left, spread = (returns - values)[mask].double().var(correction=0), returns[mask].double().var(correction=0)
    return (1 - left / spread).item() if spread > 0 else float("nan")
