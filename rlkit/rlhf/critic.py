"""The critic of PPO on tokens: a small network on what the head of a language model reads, and how it is fitted."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from rlkit.rlhf import ppo_losses

WIDTH, CRITIC_STEPS = 64, 8


class Critic(nn.Module):
    """V(s_t) from what the reference's head reads: read [B, T, D] -> [B, T], 0 at first for every state.

    Features: h_t and the mean of h_1 .. h_t, each normalised, and t / max_new_tokens; one hidden layer.
    """

    def __init__(self, size: int, longest: int, seed: int):
        super().__init__()
        self.longest = longest
        self.first = nn.utils.skip_init(nn.Linear, 2 * size + 1, WIDTH)  # without a draw from the global state
        self.last = nn.utils.skip_init(nn.Linear, WIDTH, 1)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.first.weight.normal_(0.0, (2 * size + 1) ** -0.5, generator=generator)
            for parameter in (self.first.bias, self.last.weight, self.last.bias):
                parameter.zero_()

    def features(self, read):
        """[B, T, 2 D + 1]: they do not change while the critic learns."""
        read, T = read.float(), read.shape[1]
        time = torch.arange(1, T + 1, device=read.device, dtype=read.dtype)
        mean = read.cumsum(1) / time[:, None]
        used = (time / self.longest)[:, None].expand(*read.shape[:2], 1)
        return torch.cat([F.layer_norm(read, read.shape[2:]), F.layer_norm(mean, read.shape[2:]), used], -1)

    def forward(self, features):
        return self.last(torch.tanh(self.first(features)))[..., 0]


def fit(critic, optimizer, features, old, returns, mask, clip: float) -> float:
    """CRITIC_STEPS steps of the critic on the clipped value loss, mean over the tokens; returns the first loss."""
    losses = []
    for _ in range(CRITIC_STEPS):
        loss = ppo_losses.value_loss(critic(features), old, returns, mask, clip).sum() / mask.sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    if not all(map(math.isfinite, losses)):
        raise FloatingPointError(f"value_loss={losses}")
    return losses[0]
