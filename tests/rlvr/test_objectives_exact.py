"""Objectives on a policy whose completions can all be listed: no sampling, so that equal means equal.

Two trees: LONG answers with 1 to 3 tokens, ONE with exactly one (a softmax bandit).
"""

import pytest
import torch

from rlkit.lm import exact
from rlkit.rlvr import objectives
from rlkit.rlvr.losses import kl_estimate

LONG, ONE = exact.TreePolicy(4, 3, seed=1), exact.TreePolicy(6, 1, seed=0)
TREES = pytest.mark.parametrize("policy", [LONG, ONE], ids=["unequal lengths", "one token"])


def correct(policy):
    rewards = torch.zeros(len(policy.ids), dtype=torch.float64)
    rewards[1::4] = 1
    return rewards


def near(policy, seed, size):
    other = exact.TreePolicy(policy.vocabulary, policy.length, seed=seed, scale=size)
    with torch.no_grad():
        other.logits += policy.logits
    return other


def cosine(a, b):
    return float(torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0))


def gradient(value, policy):
    return torch.autograd.grad(value, policy.logits)[0]


# --- KL -----------------------------------------------------------------------------------------------------------


def expected_estimate(policy, reference, estimator):
    """The mean over all completions of the sum over tokens."""
    with torch.no_grad():
        logp, other = exact.log_probabilities(policy), exact.log_probabilities(reference)
        value = kl_estimate(logp, other, estimator) * policy.mask
        return float((logp.sum(1).exp() * value.sum(1)).sum())


@TREES
@pytest.mark.parametrize("size", [0.1, 1.0, 3.0])
def test_k1_and_k3_have_the_mean_of_the_exact_kl_and_k2_has_not(policy, size):
    reference = near(policy, seed=5, size=size)
    true = exact.kl(policy, reference).item()
    assert true > 0
    for estimator in ("k1", "k3"):
        assert expected_estimate(policy, reference, estimator) == pytest.approx(true, rel=1e-10)
    bias = expected_estimate(policy, reference, "k2") / true - 1
    assert abs(bias) > (0.001 if size < 1 else 0.02)  # it shrinks as the two come together:
    assert abs(bias) < {0.1: 0.1, 1.0: 2.0, 3.0: 10.0}[size]


def loss_gradient(policy, reference, group_size=1, **options):
    """The expected gradient of the KL term alone: all rewards are 0."""
    objective = objectives.reinforce(beta=1.0, aggregation="constant", **options)
    rewards = torch.zeros(len(policy.ids))
    step = exact.expected_gradient(policy, rewards, objective, group_size, reference=reference)
    return -step * policy.length


def test_what_the_gradient_of_each_estimator_means():
    """As a loss on sampled tokens: k1 does nothing on average, k2 descends KL(pi || ref), k3 descends KL(ref || pi);
    with the ratio in front (TRL's use_bias_correction_kl) k1 and k3 descend KL(pi || ref) too."""
    policy = ONE
    reference = near(policy, seed=5, size=1.0)
    reverse = gradient(exact.kl(policy, reference), policy)
    forward = gradient(exact.kl(reference, policy), policy)
    assert cosine(reverse, forward) < 0.99
    found = {kl: loss_gradient(policy, reference, kl=kl) for kl in ("k1", "k2", "k3")}
    assert found["k1"].abs().max() < 1e-15
    torch.testing.assert_close(found["k2"], reverse, rtol=0, atol=1e-14)
    torch.testing.assert_close(found["k3"], forward, rtol=0, atol=1e-14)
    for kl in ("k1", "k3"):
        corrected = loss_gradient(policy, reference, kl=kl, kl_times_ratio=True)
        torch.testing.assert_close(corrected, reverse, rtol=0, atol=1e-14)


def test_with_several_tokens_the_corrected_gradient_is_that_of_each_token_only():
    """It leaves out that a token decides which later tokens are compared: close to the gradient of the KL, not it."""
    reference = near(LONG, seed=5, size=1.0)
    true = gradient(exact.kl(LONG, reference), LONG)
    found = loss_gradient(LONG, reference, kl="k3", kl_times_ratio=True)
    assert 0.8 < cosine(found, true) < 0.999


# --- positive and negative samples --------------------------------------------------------------------------------


def positive_and_negative(policy, G, **options):
    """Expected gradients of PSR and NSR."""
    return [
        exact.expected_gradient(policy, correct(policy), maker(**options), G)
        for maker in (objectives.psr, objectives.nsr)
    ]


@TREES
@pytest.mark.parametrize("G", [1, 2, 4])
def test_psr_and_nsr_have_the_same_expected_gradient(policy, G):
    """Over all samples, with a constant normaliser: they differ by a constant baseline, and E[grad log pi] = 0."""
    psr, nsr = positive_and_negative(policy, G, over="all", aggregation="constant")
    true = gradient(exact.expected_reward(policy, correct(policy)), policy) / policy.length
    assert true.norm() > 0.03
    torch.testing.assert_close(psr, nsr, rtol=0, atol=1e-15)
    torch.testing.assert_close(psr, true, rtol=0, atol=1e-15)


# normaliser, over: |PSR - NSR| / |PSR| and the cosine between the two, for LONG and groups of 4
APART = [
    ("constant", "all", 0.00, 1.000),
    ("sequence", "all", 4.11, 0.672),
    ("token", "all", 0.62, 0.936),
    ("constant", "kept", 0.63, 1.000),
    ("sequence", "kept", 1.31, 0.672),
    ("token", "kept", 0.46, 0.891),
]


@pytest.mark.parametrize(("aggregation", "over", "difference", "angle"), APART)
def test_what_parts_psr_and_nsr_and_by_how_much(aggregation, over, difference, angle):
    psr, nsr = positive_and_negative(LONG, 4, over=over, aggregation=aggregation)
    assert float((psr - nsr).norm() / psr.norm()) == pytest.approx(difference, abs=0.01)
    assert cosine(psr, nsr) == pytest.approx(angle, abs=0.001)


@TREES
def test_with_completions_of_one_length_only_the_kept_samples_part_them(policy):
    for aggregation in ("sequence", "token"):
        psr, nsr = positive_and_negative(policy, 4, over="all", aggregation=aggregation)
        assert torch.allclose(psr, nsr, rtol=0, atol=1e-15) is (policy is ONE)


@TREES
@pytest.mark.parametrize("G", [2, 4])
def test_over_the_kept_samples_the_step_is_longer_by_pass_at_G_over_pass_at_1(policy, G):
    """With a constant normaliser the direction stays. PSR grows by (1 - (1 - p)^G) / p, NSR by (1 - p^G) / (1 - p):
    averaging over the kept samples is a larger step for what is rare."""
    p = exact.expected_reward(policy, correct(policy)).item()
    every = positive_and_negative(policy, G, over="all", aggregation="constant")
    kept = positive_and_negative(policy, G, over="kept", aggregation="constant")
    for one, other, factor in zip(every, kept, [(1 - (1 - p) ** G) / p, (1 - p**G) / (1 - p)], strict=True):
        torch.testing.assert_close(other, one * factor, rtol=0, atol=1e-14)


def test_w_reinforce_is_lambda_psr_plus_nsr_over_all_samples():
    for aggregation in ("token", "sequence", "constant"):
        psr, nsr = positive_and_negative(LONG, 3, over="all", aggregation=aggregation)
        objective = objectives.w_reinforce(positive=0.1, aggregation=aggregation)
        found = exact.expected_gradient(LONG, correct(LONG), objective, 3)
        torch.testing.assert_close(found, 0.1 * psr + nsr, rtol=0, atol=1e-14)


# --- NFT ----------------------------------------------------------------------------------------------------------


def batch_gradient(objective, rewards, seed=0):
    """Gradient in LONG's logits of one on-policy batch, whose rewards [P, G] are given."""
    P, G = rewards.shape
    drawn = exact.sample(LONG, P * G, seed=seed)
    logp, mask = exact.log_probabilities(LONG)[drawn], LONG.mask[drawn]
    weights = objective.advantages(rewards)
    normaliser = objective.normaliser(mask.view(P, G, -1), weights, LONG.length)
    loss, _ = objective.loss(logp, logp.detach(), None, mask, objectives.rows(weights), normaliser)
    return gradient(loss, LONG)


@pytest.mark.parametrize("seed", range(5))
def test_nft_on_policy_is_dr_grpo_and_grpo(seed):
    """Prompts of very different accuracy, dead ones among them: the weight w(q) is what makes the two meet."""
    correct_of_16 = torch.tensor([0, 1, 2, 5, 8, 11, 15, 16])
    rewards = (torch.arange(16) < correct_of_16[:, None]).double()
    found = {n: batch_gradient(objectives.nft(normalize=n), rewards, seed) for n in (0, 1, 2)}
    dr_grpo = batch_gradient(objectives.dr_grpo(), rewards, seed)
    assert cosine(found[1], dr_grpo) >= 0.999999
    for ddof in (0, 1):
        grpo = batch_gradient(objectives.grpo(ddof=ddof, aggregation="constant"), rewards, seed)
        assert cosine(found[2], grpo) >= 0.999999
        assert max(cosine(found[0], grpo), cosine(found[1], grpo)) < 0.999
    assert max(cosine(found[0], dr_grpo), cosine(found[2], dr_grpo)) < 0.999
    assert cosine(batch_gradient(objectives.nft(neg_weight=0.0), rewards, seed), dr_grpo) < 0.999  # RFT is not


@pytest.mark.parametrize("name", objectives.names())
def test_for_one_prompt_every_objective_with_a_constant_normaliser_has_one_direction(name):
    """With rewards 0 and 1, E[grad log pi] = 0 leaves one direction: from the wrong to the right answers. So the
    objectives part only by length weights, between prompts, off-policy, and in their noise."""
    true = gradient(exact.expected_reward(LONG, correct(LONG)), LONG)
    found = exact.expected_gradient(LONG, correct(LONG), objectives.make(name, aggregation="constant"), 4)
    assert cosine(found, true) == pytest.approx(1, abs=1e-12)


def test_nft_of_one_batch_is_dr_grpo_to_the_scale():
    """Live groups only, so that both divide by the same: equal, not just parallel; and dead groups change nothing."""
    logp = -torch.rand(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mask = torch.arange(5) < torch.tensor([5, 2, 3, 1, 5, 4, 2, 2])[:, None]

    def found(objective, rewards):
        weights = objective.advantages(rewards)
        normaliser = objective.normaliser(mask.view(2, 4, 5), weights, 5)
        credits = objectives.credit(objective, logp, logp, None, mask, objectives.rows(weights), normaliser)
        return credits, credits / normaliser

    live, half_dead = [[1.0, 0, 0, 0], [1, 1, 0, 1]], [[1.0, 0, 0, 0], [1, 1, 1, 1]]
    nft, dr_grpo = found(objectives.nft(normalize=1), live), found(objectives.dr_grpo(), live)
    torch.testing.assert_close(nft[1], dr_grpo[1], rtol=0, atol=1e-14)
    nft, dr_grpo = found(objectives.nft(normalize=1), half_dead), found(objectives.dr_grpo(), half_dead)
    torch.testing.assert_close(nft[0], dr_grpo[0], rtol=0, atol=1e-14)  # the same credit,
    torch.testing.assert_close(nft[1], 2 * dr_grpo[1], rtol=0, atol=1e-14)  # but the dead half is no part of the mean
    population = found(objectives.grpo(ddof=0, aggregation="constant"), live)[0]
    torch.testing.assert_close(found(objectives.nft(normalize=2), live)[0], population, rtol=1e-3, atol=0)  # 1e-4 / std


def test_rft_is_psr_on_live_groups():
    """neg_weight=0 leaves maximum likelihood on the correct answers."""
    rft = exact.expected_gradient(ONE, correct(ONE), objectives.nft(normalize=0, neg_weight=0.0), 2)
    p = exact.probabilities(ONE).detach()
    right = correct(ONE)
    q = float(p @ right)
    score = torch.eye(6, dtype=torch.float64) - p  # [completion, logits]
    expected = 2 * q * (1 - q) * 0.5 * ((p * right / q) @ score)  # one of two correct, divided by N L = 2
    torch.testing.assert_close(rft[0], expected, rtol=0, atol=1e-14)


# --- the off-policy side ------------------------------------------------------------------------------------------


def test_the_unclipped_ratio_makes_old_samples_unbiased_for_one_token():
    """E_old[rho A grad log pi] = E_pi[A grad log pi]: one token's ratio corrects exactly, until it is clipped."""
    old = near(ONE, seed=3, size=0.5)
    rewards = correct(ONE)
    true = gradient(exact.expected_reward(ONE, rewards), ONE)
    found = exact.expected_gradient(ONE, rewards, objectives.reinforce(), 2, old=old)
    torch.testing.assert_close(found, true, rtol=0, atol=1e-15)
    clipped = exact.expected_gradient(ONE, rewards, objectives.reinforce(clip_low=0.2, clip_high=0.2), 2, old=old)
    assert float((clipped - true).norm() / true.norm()) > 0.01
