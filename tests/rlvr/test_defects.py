"""Mistakes that were found in public code, each as a test that ours passes and the mistake fails.

Every test writes the wrong formula down, and holds both against the same check: a test that cannot tell them apart
would prove nothing.
"""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom

from rlkit import stats
from rlkit.lm import exact
from rlkit.rlvr import objectives
from rlkit.rlvr.losses import clip_surrogate, kl_estimate, standardise
from rlkit.rlvr.objectives import Weights, credit, rows

POLICY = exact.TreePolicy(4, 3, seed=0)
CORRECT = (torch.arange(len(POLICY.ids)) % 4 == 1).double()


def weights(*advantages):
    advantage = torch.tensor(advantages, dtype=torch.float64)
    return Weights(advantage, torch.ones_like(advantage, dtype=torch.bool), torch.full_like(advantage, 0.5))


def slope(function, ratio, advantage):
    """d loss / d log pi of one token at a given ratio."""
    log_ratio = torch.tensor(math.log(ratio), dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(function(log_ratio.exp(), torch.tensor(advantage)), log_ratio)[0].item()


def cosine(a, b):
    return float(torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0))


# --- ratio and clip -----------------------------------------------------------------------------------------------


def test_inverted_clip_max_for_negative_advantages():
    """torch.maximum where A < 0: goes on pushing a bad token that is already far down, and lets go of one that rose."""

    def ours(ratio, advantage):
        return clip_surrogate(ratio, advantage, 0.2, 0.2)[0]

    def inverted(ratio, advantage):
        free, clipped = ratio * advantage, ratio.clamp(0.8, 1.2) * advantage
        return -torch.where(advantage >= 0, torch.minimum(free, clipped), torch.maximum(free, clipped))

    def is_ppo(function):
        return slope(function, 0.5, -1.0) == 0 and slope(function, 2.0, -1.0) == pytest.approx(2.0)

    assert is_ppo(ours) and not is_ppo(inverted)
    assert slope(inverted, 0.5, -1.0) == pytest.approx(0.5) and slope(inverted, 2.0, -1.0) == 0
    assert slope(ours, 1.5, 1.0) == slope(inverted, 1.5, 1.0) == 0  # for A > 0 both are right: half the tests pass


def test_sequence_ratio_without_the_length_mean():
    """The product of the token ratios, for 100 tokens of ratio 1.02, is 7.2; GSPO's ratio is 1.02."""
    logp = torch.full((1, 100), -1.0, dtype=torch.float64)
    old = logp - math.log(1.02)
    product = (logp - old).sum(-1).exp().item()
    info = objectives.gspo().loss(logp, old, None, torch.ones(1, 100), weights(1.0), 1.0)[1]
    assert info["ratio_max"].item() == pytest.approx(1.02) and product == pytest.approx(1.02**100) and product > 7


def test_cispo_cap_read_as_an_epsilon():
    """A cap of 5 is a ratio of 5. Read as 1 + epsilon it would be 6."""
    logp = torch.zeros(1, 1, dtype=torch.float64)

    def as_epsilon(ratio, epsilon_max=5.0):
        return ratio.clamp(max=1 + epsilon_max)

    def ours(ratio):
        return credit(objectives.cispo(cap=5.0), logp, logp - ratio.log(), None, torch.ones(1, 1), weights(1.0), 1.0)

    for ratio, expected in ((2.0, 2.0), (5.5, 5.0), (50.0, 5.0)):
        ratio = torch.tensor(ratio, dtype=torch.float64)
        assert ours(ratio).item() == pytest.approx(expected)
    assert as_epsilon(torch.tensor(50.0)).item() == 6.0


def test_nft_with_an_ordinary_clamp():
    """With the floor at 1 an ordinary clamp takes the gradient of every wrong token whose ratio is above 1."""
    q = 0.25

    def ordinary(ratio, advantage):
        return -((1 - q * ratio) / (1 - q)).clamp(min=1.0).log()

    def ours(ratio, advantage):
        part = Weights(torch.tensor([-q]).double(), torch.tensor([True]), torch.tensor([q]).double())
        log_ratio = ratio.log()[None, None]
        return objectives.nft(normalize=0).loss(log_ratio, 0 * log_ratio.detach(), None, torch.ones(1, 1), part, 1.0)[0]

    for ratio in (1.1, 2.0):
        assert slope(ordinary, ratio, -1.0) == 0
        assert slope(ours, ratio, -1.0) == pytest.approx(q * ratio / (1 - q))
    assert slope(ordinary, 0.5, -1.0) == pytest.approx(slope(ours, 0.5, -1.0))  # below 1 they agree


# --- KL -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_inverted_kl(estimator):
    """log pi - log pi_ref put in the place of log pi_ref - log pi, with samples from pi: k1 then rewards drift."""
    reference = exact.TreePolicy(4, 3, seed=1)
    logp = exact.log_probabilities(POLICY).detach()
    other = exact.log_probabilities(reference).detach()
    true = exact.kl(POLICY, reference).item()

    def mean(value):
        return float((logp.sum(1).exp() * (value * POLICY.mask).sum(1)).sum())

    ours, inverted = mean(kl_estimate(logp, other, estimator)), mean(kl_estimate(other, logp, estimator))
    assert ours == pytest.approx(true, rel=1e-12)
    assert inverted == pytest.approx(-true) if estimator == "k1" else abs(inverted / true - 1) > 0.2


def test_k3_without_expm1_in_float32():
    """exp(d) - d - 1 of a small d loses its digits to rounding, even its sign; expm1(d) - d keeps the scale."""
    d = torch.linspace(-3e-4, 3e-4, 2001)[torch.arange(2001) != 1000]
    true = d.double().expm1() - d.double()
    naive, ours = d.exp() - d - 1, kl_estimate(torch.zeros_like(d), d, "k3")

    def error(found):
        return float((found.double() - true).abs().mean() / true.mean())

    assert error(ours) < 0.002 < 0.5 < error(naive)


# --- how tokens are averaged --------------------------------------------------------------------------------------


def test_drgrpo_that_keeps_the_mean_of_each_sequence():
    """Leaving out the std alone is not Dr. GRPO: a token of a short completion still counts ten times."""
    mask = torch.arange(100) < torch.tensor([10, 100])[:, None]
    logp = torch.full(mask.shape, -1.0, dtype=torch.float64)

    def ratio_of_token_weights(objective):
        found = credit(objective, logp, logp, None, mask, weights(1.0, 1.0), 1.0)
        return float(found[0, 0] / found[1, 0])

    half_done = objectives.dr_grpo(aggregation="sequence")
    assert ratio_of_token_weights(objectives.dr_grpo()) == pytest.approx(1)
    assert ratio_of_token_weights(half_done) == pytest.approx(10)
    rewards = [[1.0, 0, 0, 0]]
    assert torch.equal(half_done.advantages(rewards).advantage, objectives.dr_grpo().advantages(rewards).advantage)


def test_a_normaliser_per_micro_batch():
    """Dividing each micro-batch by its own number of tokens makes the step depend on the size of the device."""
    draw = torch.Generator().manual_seed(0)
    logp = -torch.rand(8, 10, generator=draw, dtype=torch.float64)
    mask = torch.arange(10) < torch.tensor([1, 10, 2, 9, 10, 1, 3, 3])[:, None]
    objective = objectives.dapo()
    weights = objective.advantages([[1.0, 0, 0, 0], [1, 1, 1, 0]])

    def step(size, per_micro_batch):
        leaf, cuts = logp.clone().requires_grad_(), torch.arange(8).split(size)
        whole = objective.normaliser(mask.view(2, 4, 10), weights, 10)
        total = 0.0
        for i in cuts:
            normaliser = float(mask[i].sum()) * len(cuts) if per_micro_batch else whole
            total = total + objective.loss(leaf[i], logp[i], None, mask[i], rows(weights, i), normaliser)[0]
        return torch.autograd.grad(total, leaf)[0]

    def is_invariant(per_micro_batch):
        return all(torch.allclose(step(n, per_micro_batch), step(8, per_micro_batch), atol=1e-14) for n in (1, 2, 4))

    assert is_invariant(False) and not is_invariant(True)
    apart = (step(1, True) - step(8, True)).norm() / step(8, True).norm()
    assert apart > 0.5  # not a matter of rounding


def test_the_loss_of_the_last_micro_batch_logged_as_the_loss():
    logp, mask = torch.full((4, 2), -1.0, dtype=torch.float64), torch.ones(2, 2, 2)
    objective = objectives.nsr(over="all")
    weights = objective.advantages([[1.0, 1], [0, 0]])
    normaliser = objective.normaliser(mask, weights, 2)
    parts = [
        objective.loss(logp[i], logp[i], None, mask.view(4, 2)[i], rows(weights, i), normaliser)[0].item()
        for i in torch.arange(4).split(2)
    ]
    whole = objective.loss(logp, logp, None, mask.view(4, 2), rows(weights), normaliser)[0].item()
    assert whole == pytest.approx(sum(parts)) and parts == [0.0, 0.5]
    assert sum(parts[::-1]) == sum(parts) and parts[::-1][-1] != parts[-1]  # the last one depends on the order


# --- advantages ---------------------------------------------------------------------------------------------------


def test_std_without_naming_its_ddof():
    """One success in 8: 2.474 with ddof 1, 2.645 with ddof 0. Two kits' "GRPO" differ by 7 % in every step."""
    rewards = torch.tensor([[1.0, 0, 0, 0, 0, 0, 0, 0]], dtype=torch.float64)
    assert objectives.grpo().options["ddof"] == 1
    by_torch = (rewards - rewards.mean()) / (rewards.std(correction=1) + 1e-4)
    by_numpy = (rewards - rewards.mean()) / (np.std(rewards.numpy()) + 1e-4)  # its default is ddof 0
    torch.testing.assert_close(objectives.grpo().advantages(rewards).advantage, by_torch)
    torch.testing.assert_close(standardise(rewards, 0), by_numpy)
    assert float(by_numpy[0, 0] / by_torch[0, 0]) == pytest.approx(math.sqrt(8 / 7), abs=1e-3)


def test_groups_keyed_by_the_text_of_the_prompt():
    """Two groups of one prompt keep their own baselines; merged by text, they would share one."""
    rewards = torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 0]], dtype=torch.float64)  # the same prompt, drawn twice
    merged = (rewards - rewards.mean()).tolist()
    assert objectives.dr_grpo().advantages(rewards).advantage.tolist() == [[0.75, *[-0.25] * 3], [*[0.25] * 3, -0.75]]
    assert merged == [[0.5, *[-0.5] * 3], [*[0.5] * 3, -0.5]]


def test_nan_rewards_that_vanish():
    """A reward of NaN is an error, not an advantage of 0 and not one of NaN for its whole group."""
    rewards = torch.tensor([[1.0, float("nan"), 0, 0]])
    silent = torch.nan_to_num(rewards - rewards.nanmean(1, keepdim=True))
    assert silent.isfinite().all()
    with pytest.raises(ValueError, match=r"rewards\[0, 1\]=nan: must be finite"):
        objectives.grpo().advantages(rewards)


def test_nsr_mistaken_for_the_limit_of_w_reinforce():
    """As lambda goes to 0, W-REINFORCE goes to NSR over all samples. NSR as its authors run it divides by the tokens of
    the wrong completions alone: another step, larger by all tokens / wrong tokens."""
    G = 4
    limit = exact.expected_gradient(POLICY, CORRECT, objectives.w_reinforce(positive=0.0), G)

    def is_the_limit(over):
        return torch.allclose(exact.expected_gradient(POLICY, CORRECT, objectives.nsr(over=over), G), limit, atol=1e-14)

    assert is_the_limit("all") and not is_the_limit("kept")
    mask = torch.arange(6) < torch.tensor([2, 2, 6, 6])[:, None]
    logp = torch.full(mask.shape, -1.0, dtype=torch.float64)

    def step(objective):
        weights = objective.advantages([[1.0, 1, 0, 0]])
        normaliser = objective.normaliser(mask[None], weights, 6)
        return credit(objective, logp, logp, None, mask, rows(weights), normaliser) / normaliser

    torch.testing.assert_close(step(objectives.nsr()), step(objectives.w_reinforce(positive=0.0)) * 16 / 12)


# --- sampler and scorer -------------------------------------------------------------------------------------------


def test_eos_masked_because_pad_is_eos():
    """Token 0 ends a completion and fills it up. A mask of "not padding" by its value drops the act of ending: the
    completions' probabilities no longer add up to 1, and the gradient is not that of the reward."""
    ids, mask = exact.enumerate(POLICY)
    assert (ids[~mask] == 0).all() and (ids[mask] == 0).any()
    rewards = (mask.sum(1) == 1).double() + (mask.sum(1) == 2).double()  # what ends early is right

    def total(mask):
        return (exact.log_probabilities(POLICY) * mask).sum(1).exp().sum().item()

    def step(mask):
        logp = exact.log_probabilities(POLICY)
        objective = objectives.reinforce()
        weights = objective.advantages(rewards[None])
        weights = weights._replace(advantage=weights.advantage * exact.probabilities(POLICY).detach())
        loss, _ = objective.loss(logp, logp.detach(), None, mask, rows(weights), 1.0)
        return -torch.autograd.grad(loss, POLICY.logits)[0]

    true = torch.autograd.grad(exact.expected_reward(POLICY, rewards), POLICY.logits)[0]
    by_value = ids != 0
    assert total(mask) == pytest.approx(1) and total(by_value) > 1.5
    torch.testing.assert_close(step(mask), true, rtol=0, atol=1e-14)
    assert cosine(step(by_value), true) < 0.9
    # the chance to end at once is an action like any other; by value it is never reinforced
    assert step(mask)[0, 0] > 0.01 and step(by_value)[0, 0] < 0


@pytest.mark.parametrize("temperature", [0.6, 1.5])
def test_sampler_different_from_scorer(temperature):
    """Drawn at one temperature, scored at another: before any update the ratios should be 1 and are not, and the
    gradient is that of another policy's reward."""
    warm = exact.TreePolicy(4, 3, seed=0)
    with torch.no_grad():
        warm.logits /= temperature
    sampled, scored = exact.log_probabilities(warm).detach(), exact.log_probabilities(POLICY).detach()

    def ratios(logp):
        part = Weights(CORRECT, torch.ones(len(CORRECT), dtype=torch.bool), CORRECT)
        info = objectives.grpo().loss(logp, sampled, None, POLICY.mask, part, 1.0)[1]
        return info["ratio_min"].item(), info["ratio_max"].item()

    assert ratios(sampled) == (1.0, 1.0)
    assert ratios(scored)[0] < 0.9 and ratios(scored)[1] > 1.1
    p = exact.probabilities(warm).detach()
    gap = float((p * (scored - sampled).sum(1)).sum() / (p * POLICY.mask.sum(1)).sum())
    assert gap < -0.02  # nats per token, on average
    assert gap == pytest.approx(-exact.kl(warm, POLICY).item() / float((p * POLICY.mask.sum(1)).sum()))


def test_entropy_divided_twice():
    """The mean sampled -log pi per token, divided by the number of tokens once more, is no entropy: it shrinks as the
    batch grows."""
    true = exact.entropy(POLICY).item()
    per_token = true / float((exact.probabilities(POLICY).detach() * POLICY.mask.sum(1)).sum())

    def estimates(n):
        drawn = exact.sample(POLICY, n, seed=0)
        logp, mask = exact.log_probabilities(POLICY).detach()[drawn], POLICY.mask[drawn]
        mean = float(-(logp * mask).sum() / mask.sum())
        return mean, mean / float(mask.sum())

    for n in (2_000, 20_000):
        once, twice = estimates(n)
        assert once == pytest.approx(per_token, rel=0.03)
        assert twice < 0.01 * per_token
    assert estimates(2_000)[1] / estimates(20_000)[1] == pytest.approx(10, rel=0.05)


# --- evaluation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "k", "p", "times"), [(8, 4, 0.2, 2.5), (64, 8, 0.05, 9.4)])
def test_pass_at_k_from_the_first_k_samples(n, k, p, times):
    """any(first k of n) has the right mean and several times the variance of the estimate from all n."""
    c = np.arange(n + 1)
    chance = binom.pmf(c, n, p)
    estimate = stats.pass_at_k(n, c, k)
    mean = float(chance @ estimate)
    variance = float(chance @ (estimate - mean) ** 2)
    true = 1 - (1 - p) ** k
    assert mean == pytest.approx(true)
    assert true * (1 - true) / variance == pytest.approx(times, abs=0.05)


@pytest.mark.parametrize(
    ("n", "c", "k", "unbiased", "plug_in"), [(8, 1, 4, 0.5, 0.414), (8, 3, 2, 0.642857, 0.609), (6, 2, 3, 0.8, 0.704)]
)
def test_pass_at_k_by_plugging_in_the_rate(n, c, k, unbiased, plug_in):
    """1 - (1 - c/n)^k is too low."""
    assert stats.pass_at_k(n, c, k) == pytest.approx(unbiased, abs=1e-6)
    assert 1 - (1 - c / n) ** k == pytest.approx(plug_in, abs=1e-3)
    assert plug_in < unbiased
