"""PPO's pure functions by hand: token rewards, GAE and its limits, the clips by value and gradient, padding."""

import math

import pytest
import torch

from rlkit.rlhf import ppo_losses

NAN = float("nan")
D = torch.float64


def batch(seed=0, B=5, T=6, hole=0.0):
    """rewards, values [B, T] with `hole` outside the mask, and mask; row lengths 1 to T."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([1, 3, 6, 2, 5])[:B]
    mask = torch.arange(T) < lengths[:, None]
    rewards, values = (torch.randn(B, T, generator=draw, dtype=D) for _ in range(2))
    return *(torch.where(mask, x, hole) for x in (rewards, values)), mask


def by_hand(rewards, values, length, discount, trace_decay):
    """The recursion of GAE in plain numbers, from the last token back."""
    advantages = [0.0] * length
    for t in reversed(range(length)):
        following = values[t + 1] if t + 1 < length else 0.0
        ahead = advantages[t + 1] if t + 1 < length else 0.0
        advantages[t] = rewards[t] + discount * following - values[t] + discount * trace_decay * ahead
    return advantages


# ---- rewards of tokens


def test_each_token_pays_its_drift_and_the_last_one_is_paid():
    logp, reference = torch.tensor([[-1.0, -2.0, NAN]]).double(), torch.tensor([[-1.5, -1.0, NAN]]).double()
    mask = torch.tensor([[True, True, False]])
    found = ppo_losses.token_rewards(torch.tensor([2.0]), logp, reference, mask, beta=0.1)
    assert found.tolist() == [pytest.approx([-0.05, 2.1, 0.0])]  # -0.1 x 0.5, and 2 - 0.1 x (-1)
    assert ppo_losses.token_rewards(torch.tensor([2.0]), logp, reference, mask, beta=0.0).tolist() == [[0, 2, 0]]


def test_kl_is_not_inverted():
    """Named regression: k1 and k3 with the ratio upside down reward drift (facts: true KL 0.635, inverted -0.635).

    Drawn from pi, the mean of what a completion pays is beta KL(pi || pi_ref), above 0.
    """
    policy = torch.tensor([0.8, 0.1, 0.1]).double()
    reference = torch.full((3,), 1 / 3, dtype=D)
    logp, other, mask = policy.log()[:, None], reference.log()[:, None], torch.ones(3, 1, dtype=torch.bool)
    paid = -ppo_losses.token_rewards(torch.zeros(3), logp, other, mask, beta=1.0)[:, 0]
    divergence = (policy * (policy / reference).log()).sum()
    assert (policy * paid).sum().item() == pytest.approx(divergence.item(), abs=1e-12)
    assert divergence > 0.4 and paid[0] > 0  # the token that pi likes more than the reference does costs


# ---- advantages


@pytest.mark.parametrize("discount, trace_decay", [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (0.7, 0.0)])
def test_gae_is_the_recursion(discount, trace_decay):
    rewards, values, mask = batch()
    advantages, returns = ppo_losses.gae(rewards, values, mask, discount, trace_decay)
    for row, n in enumerate(mask.sum(1).tolist()):
        wanted = by_hand(rewards[row].tolist(), values[row].tolist(), n, discount, trace_decay)
        assert advantages[row, :n].tolist() == pytest.approx(wanted, abs=1e-12)
        assert returns[row, :n].tolist() == pytest.approx((advantages + values)[row, :n].tolist(), abs=1e-12)
    assert not advantages[~mask].any() and not returns[~mask].any()


def test_gae_of_three_tokens_in_numbers():
    rewards, values = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.5, 0.25, 0.5]])
    advantages, returns = ppo_losses.gae(rewards, values, torch.ones(1, 3, dtype=torch.bool), 1.0, 0.5)
    assert advantages.tolist() == [[0.0, 0.5, 0.5]]  # d = -1/4, 1/4, 1/2
    assert returns.tolist() == [[0.5, 0.75, 1.0]]


def test_limits_of_gae():
    """lambda 0: the TD error. lambda 1: the discounted return less the value."""
    rewards, values, mask = batch(1)
    following = torch.cat([values[:, 1:], torch.zeros(5, 1, dtype=D)], 1)
    td = rewards + 0.9 * following - values
    assert torch.allclose(ppo_losses.gae(rewards, values, mask, 0.9, 0.0)[0], td * mask, atol=1e-12)
    powers = 0.9 ** torch.arange(6, dtype=D)
    to_go = torch.stack([(rewards[:, t:] * powers[: 6 - t]).sum(1) for t in range(6)], 1)
    advantages, returns = ppo_losses.gae(rewards, values, mask, 0.9, 1.0)
    assert torch.allclose(advantages, (to_go - values) * mask, atol=1e-12)
    assert torch.allclose(returns, to_go * mask, atol=1e-12)  # with lambda 1 V learns from rewards alone


def test_no_value_is_bootstrapped_past_the_end():
    """Named regression: a critic says something at padding too, and after the last token of a row that was cut off."""
    rewards, values = torch.tensor([[0.0, 1.0, 0.0]]).double(), torch.tensor([[0.2, 0.3, 9.0]]).double()
    mask = torch.tensor([[True, True, False]])
    for trace_decay, first in ((0.0, 0.1), (1.0, 0.8)):
        advantages, _ = ppo_losses.gae(rewards, values, mask, 1.0, trace_decay)
        assert advantages.tolist() == [pytest.approx([first, 0.7, 0.0])]  # the last: 1 - 0.3, not 1 + 9 - 0.3
    full = torch.ones(1, 2, dtype=torch.bool)
    assert ppo_losses.gae(rewards[:, :2], values[:, :2], full, 1.0, 0.0)[0].tolist() == [pytest.approx([0.1, 0.7])]


@pytest.mark.parametrize("name, value", [("discount", 1.5), ("trace_decay", -0.1)])
def test_gae_refuses(name, value):
    options = {"discount": 1.0, "trace_decay": 0.95} | {name: value}
    with pytest.raises(ValueError, match=f"^{name}={value}: must be in"):
        ppo_losses.gae(*batch(), **options)


def test_whitening():
    advantages, _, mask = batch(2)
    white = ppo_losses.whiten(advantages, mask)
    assert white[mask].mean().item() == pytest.approx(0, abs=1e-12) and not white[~mask].any()
    assert white[mask].std(correction=0).item() == pytest.approx(1, abs=1e-6)
    slope = (white[mask][1] - white[mask][0]) / (advantages[mask][1] - advantages[mask][0])
    assert slope.item() == pytest.approx(1 / advantages[mask].std(correction=0).item(), rel=1e-6)


# ---- the policy's loss

# ratio, advantage -> loss, d loss / d logp (that of -w A is -w A; 0 where the clip has taken over), clipped
FOUR = [
    (1.5, 2.0, -2.4, 0.0, True),  # above the band, good: far enough
    (1.5, -2.0, 3.0, 3.0, False),  # above the band, bad: must come back
    (0.5, 2.0, -1.0, -1.0, False),  # below the band, good: must come back
    (0.5, -2.0, 1.6, 0.0, True),  # below the band, bad: far enough
]


@pytest.mark.parametrize("ratio, advantage, value, slope, cut", [*FOUR, (1.1, 2.0, -2.2, -2.2, False)])
def test_ratio_clip_by_value_and_gradient(ratio, advantage, value, slope, cut):
    old = torch.tensor([[-1.0]]).double()
    logp = (old + math.log(ratio)).requires_grad_()
    mask = torch.ones(1, 1, dtype=torch.bool)
    loss, found, clipped = ppo_losses.policy_loss(logp, old, torch.tensor([[advantage]]).double(), mask, 0.2)
    loss.sum().backward()
    assert loss.item() == pytest.approx(value, abs=1e-12) and logp.grad.item() == pytest.approx(slope, abs=1e-12)
    assert found.item() == pytest.approx(ratio, abs=1e-12) and clipped.item() is cut


# ---- the critic's loss

# V, V_old, R with clip 0.2 -> loss, d loss / d V
VALUES = [
    (0.1, 0.0, 1.0, 0.405, -0.9),  # inside the band: plain
    (0.5, 0.0, 1.0, 0.32, 0.0),  # moved too far towards R: the cut value, 0.2, is farther from it; no gradient
    (0.5, 0.0, 0.0, 0.125, 0.5),  # moved too far away from R: pulled back at full strength
    (1.5, 0.0, 1.0, 0.32, 0.0),  # beyond R, the cut value is still farther from it: no gradient
    (-0.5, 0.0, 1.0, 1.125, -1.5),  # below the band, away from R
    (-0.5, 0.0, -1.0, 0.32, 0.0),  # below the band, towards R
]


@pytest.mark.parametrize("value, old, returns, loss, slope", VALUES)
def test_value_clip_by_value_and_gradient(value, old, returns, loss, slope):
    v = torch.tensor([[value]], dtype=D, requires_grad=True)
    given = torch.tensor([[old]], dtype=D), torch.tensor([[returns]], dtype=D), torch.ones(1, 1, dtype=torch.bool)
    found = ppo_losses.value_loss(v, *given, 0.2)
    found.sum().backward()
    assert found.item() == pytest.approx(loss, abs=1e-12) and v.grad.item() == pytest.approx(slope, abs=1e-12)


def test_explained():
    returns, mask = torch.tensor([[1.0, 2.0, NAN], [3.0, NAN, NAN]]), torch.tensor([[1, 1, 0], [1, 0, 0]]).bool()
    assert ppo_losses.explained(returns.clone(), returns, mask) == 1
    assert ppo_losses.explained(torch.full((2, 3), 7.0), returns, mask) == pytest.approx(0)
    assert ppo_losses.explained(returns / 2, returns, mask) == pytest.approx(0.75)
    assert math.isnan(ppo_losses.explained(returns, torch.ones(2, 3), mask))


# ---- padding


def test_padding_is_never_read():
    """NaN outside the mask changes no value, and no gradient is NaN or reaches what stands there."""

    def everything(hole):
        rewards, values, mask = batch(3, hole=hole)
        leaf = torch.where(mask, rewards / 5 - 1, hole).requires_grad_()
        v = values.clone().requires_grad_()
        paid = ppo_losses.token_rewards(torch.arange(5.0), leaf.detach(), rewards - 1, mask, 0.3)
        advantages, returns = ppo_losses.gae(paid, values, mask, 1.0, 0.9)
        white = ppo_losses.whiten(torch.where(mask, advantages, hole), mask)
        old = torch.where(mask, leaf.detach() + 0.05, hole)
        loss, _, clipped = ppo_losses.policy_loss(leaf, old, torch.where(mask, white, hole), mask, 0.2)
        critic = ppo_losses.value_loss(v, values - 0.1, torch.where(mask, returns, hole), mask, 0.2)
        (loss.sum() + critic.sum()).backward()
        assert not loss[~mask].any() and not critic[~mask].any() and not clipped[~mask].any()
        assert not leaf.grad[~mask].any() and not v.grad[~mask].any()
        return paid, advantages, returns, white, loss, critic, leaf.grad, v.grad

    for clean, dirty in zip(everything(0.0), everything(NAN), strict=True):
        assert torch.equal(clean, dirty)
