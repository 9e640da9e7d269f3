"""The enumerable policy: its lists, its sums against brute force over ordered groups, and against sampling."""

import doctest
import itertools

import numpy as np
import pytest
import torch
from scipy.stats import binom

from rlkit import stats
from rlkit.lm import exact
from rlkit.rlvr import objectives

cosine = torch.nn.functional.cosine_similarity


def rewards_of(policy, seed=0, kinds=2):
    """A reward in {0, ..., 1} for each completion; the first is correct, so that none is all wrong."""
    draw = torch.Generator().manual_seed(seed)
    rewards = torch.randint(kinds, (len(policy.ids),), generator=draw).double() / (kinds - 1)
    rewards[0] = 1
    return rewards


def near(policy, seed, size):
    """A policy of the same shape whose logits are off by normal noise."""
    other = exact.TreePolicy(policy.vocabulary, policy.length, seed=seed, scale=size)
    with torch.no_grad():
        other.logits += policy.logits
    return other


# --- the list of completions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("V", "T", "N"), [(2, 1, 2), (5, 1, 5), (3, 2, 7), (4, 3, 40), (2, 5, 6), (6, 4, 781)])
def test_every_completion_is_listed_once(V, T, N):
    policy = exact.TreePolicy(V, T)
    ids, mask = exact.enumerate(policy)
    assert ids.shape == mask.shape == (N, T) and N == sum((V - 1) ** t for t in range(T + 1))
    texts = [tuple(row[keep].tolist()) for row, keep in zip(ids, mask, strict=True)]
    assert len(set(texts)) == N
    for text in texts:
        assert 0 not in text[:-1] and (text[-1] == 0 or len(text) == T)
    assert (ids[~mask] == 0).all()
    assert policy.logits.shape == (sum((V - 1) ** t for t in range(T)), V)


def test_token_probabilities_are_those_of_the_prefix():
    policy = exact.TreePolicy(3, 3, seed=4)
    ids, mask = exact.enumerate(policy)
    logp = exact.log_probabilities(policy).detach()
    assert (logp[~mask] == 0).all() and (logp[mask] < 0).all()
    prefixes = {tuple(row[:t].tolist()) for row, keep in zip(ids, mask, strict=True) for t in range(keep.sum())}
    assert len(prefixes) == len(policy.logits)
    for prefix in prefixes:  # the tokens after a prefix make one distribution: V different numbers that add up to 1
        t = len(prefix)
        here = [i for i in range(len(ids)) if mask[i, t] and tuple(ids[i, :t].tolist()) == prefix]
        next_token = {int(ids[i, t]): float(logp[i, t].exp()) for i in here}
        assert sorted(next_token) == [0, 1, 2] and sum(next_token.values()) == pytest.approx(1)
        assert all(float(logp[i, t].exp()) == next_token[int(ids[i, t])] for i in here)
    assert exact.probabilities(policy).sum().item() == pytest.approx(1)


def test_the_policy_comes_from_its_seed_alone():
    torch.manual_seed(1)
    first = exact.TreePolicy(4, 2, seed=7).logits
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(first, exact.TreePolicy(4, 2, seed=7).logits)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, exact.TreePolicy(4, 2, seed=8).logits)
    assert exact.TreePolicy(4, 2, scale=0).logits.abs().max() == 0
    assert exact.TreePolicy(4, 2, dtype=torch.float32).logits.dtype == torch.float32


def test_with_one_token_it_is_a_softmax_bandit():
    policy = exact.TreePolicy(5, 1, seed=1)
    rewards = torch.tensor([0.0, 1, 0, 0.5, 0], dtype=torch.float64)
    p = policy.logits[0].detach().softmax(0)
    (gradient,) = torch.autograd.grad(exact.expected_reward(policy, rewards), policy.logits)
    torch.testing.assert_close(gradient[0], p * (rewards - p @ rewards))  # Williams


# --- sums over completions ----------------------------------------------------------------------------------------


def test_expected_reward_and_entropy_against_samples():
    policy = exact.TreePolicy(4, 3, seed=2)
    rewards = rewards_of(policy)
    drawn = exact.sample(policy, 40_000, seed=0)
    found = rewards[drawn]
    assert (found.mean() - exact.expected_reward(policy, rewards)).abs() < 4 * found.std() / 200
    surprise = -exact.log_probabilities(policy).sum(1).detach()[drawn]
    assert (surprise.mean() - exact.entropy(policy)).abs() < 4 * surprise.std() / 200
    frequency = np.bincount(drawn, minlength=40) / 40_000
    p = exact.probabilities(policy).detach().numpy()
    assert (np.abs(frequency - p) < 5 * np.sqrt(p * (1 - p) / 40_000) + 1e-9).all()
    assert torch.equal(drawn[:5], exact.sample(policy, 40_000, seed=0)[:5])
    assert exact.sample(policy, (3, 2), seed=0).shape == (3, 2)


def test_kl_by_brute_force_and_its_gradient():
    policy, other = exact.TreePolicy(3, 3, seed=0), exact.TreePolicy(3, 3, seed=1)
    p, q = exact.probabilities(policy).detach(), exact.probabilities(other).detach()
    assert exact.kl(policy, other).item() == pytest.approx(float((p * (p / q).log()).sum()))
    assert exact.kl(policy, policy).item() == pytest.approx(0, abs=1e-15)
    assert exact.kl(policy, other).item() != pytest.approx(exact.kl(other, policy).item(), rel=0.01)
    # by the chain rule it is also the sum over prefixes of the chance to get there times the KL of the next token
    logp, logq = policy.logits.detach().log_softmax(-1), other.logits.detach().log_softmax(-1)
    here = (logp.exp() * (logp - logq)).sum(-1)  # [nodes]
    tokens = exact.log_probabilities(policy).detach()
    before = (tokens.cumsum(1) - tokens).exp()  # [N, T]: chance of the prefix before each token
    reach = {int(n): float(b) for n, b in zip(policy.nodes[policy.mask], before[policy.mask], strict=True)}
    assert exact.kl(policy, other).item() == pytest.approx(sum(reach[n] * float(here[n]) for n in reach))
    torch.autograd.gradcheck(lambda x: _kl_of(x, other), policy.logits.detach().requires_grad_())


def _kl_of(logits, other):
    policy = exact.TreePolicy(other.vocabulary, other.length)
    del policy.logits
    policy.logits = logits
    return exact.kl(policy, other)


def test_pass_at_k_is_what_the_estimator_estimates():
    """The unbiased estimate from n samples, averaged over all outcomes of the n samples, is the true pass@k."""
    policy = exact.TreePolicy(3, 3, seed=3)
    correct = (torch.arange(15) % 4 == 1).double()
    p = float(exact.expected_reward(policy, correct).detach())
    n = 6
    c = np.arange(n + 1)
    chance = np.array([binom.pmf(i, n, p) for i in c])
    for k in range(1, n + 1):
        assert exact.pass_at_k(policy, correct, k) == pytest.approx(float(chance @ stats.pass_at_k(n, c, k)))
    curve = exact.pass_at_k(policy, correct, [1, 2, 4])
    assert curve.shape == (3,) and curve[0] == pytest.approx(p) and (np.diff(curve) > 0).all()
    assert exact.pass_at_k(policy, torch.zeros(15), [1, 100]).tolist() == [0, 0]
    assert exact.pass_at_k(policy, torch.ones(15), 3) == pytest.approx(1)


# --- the exact gradient of an objective ---------------------------------------------------------------------------


def brute_force(policy, rewards, objective, G, old, reference):
    """Every ordered group of G completions, one call of the objective and one backward for each."""
    ids, mask = exact.enumerate(policy)
    p = exact.probabilities(old).detach()
    old_logp = exact.log_probabilities(old).detach()
    other = None if reference is None else exact.log_probabilities(reference).detach()
    logp = exact.log_probabilities(policy)
    total = 0.0
    for group in itertools.product(range(len(ids)), repeat=G):
        rows = list(group)
        weights = objective.advantages(rewards[None, rows])
        normaliser = objective.normaliser(mask[None, rows], weights, policy.length)
        part = objectives.rows(weights)
        loss, _ = objective.loss(
            logp[rows], old_logp[rows], None if other is None else other[rows], mask[rows], part, normaliser
        )
        total = total - p[rows].prod() * loss
    return torch.autograd.grad(total, policy.logits)[0]


OBJECTIVES = [(name, {}) for name in objectives.names()] + [
    ("reinforce", {"baseline": "batch", "aggregation": "token"}),
    ("grpo", {"beta": 0.3, "kl": "k2"}),
    ("dapo", {"beta": 0.3, "kl_times_ratio": True}),
    ("psr", {"over": "all", "aggregation": "sequence"}),
    ("nsr", {"aggregation": "constant"}),
    ("nft", {"normalize": 2, "neg_weight": 0.5, "beta": 0.1}),
]


@pytest.mark.parametrize(("name", "options"), OBJECTIVES)
@pytest.mark.parametrize("on_policy", [True, False])
def test_the_expected_gradient_is_that_of_all_ordered_groups(name, options, on_policy):
    policy, reference = exact.TreePolicy(3, 2, seed=0), exact.TreePolicy(3, 2, seed=2)
    old = policy if on_policy else near(policy, seed=1, size=0.5)
    objective = objectives.make(name, **options)
    reference = reference if objective.needs_reference else None
    rewards = rewards_of(policy, kinds=2 if name in ("psr", "nsr", "w_reinforce", "nft") else 3)
    for G in (2, 3):
        found = exact.expected_gradient(policy, rewards, objective, G, old=old, reference=reference)
        expected = brute_force(policy, rewards, objective, G, old, reference)
        assert expected.abs().max() > 1e-4
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_group_of_one_and_of_four():
    policy = exact.TreePolicy(2, 2, seed=5)  # 3 completions: 81 ordered groups of 4
    rewards = torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
    for name, G in (("reinforce", 1), ("w_reinforce", 1), ("grpo", 4), ("nft", 4), ("gspo", 4)):
        objective = objectives.make(name)
        found = exact.expected_gradient(policy, rewards, objective, G)
        torch.testing.assert_close(found, brute_force(policy, rewards, objective, G, policy, None), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", ["grpo", "dapo", "nsr"])
def test_the_expected_gradient_against_monte_carlo(name):
    """8,000 sampled groups of 4 and plain autograd: each entry within 5 standard errors."""
    policy = exact.TreePolicy(4, 3, seed=0)
    old = near(policy, seed=3, size=0.2)
    rewards, objective, groups, G = rewards_of(policy), objectives.make(name), 8000, 4
    drawn = exact.sample(old, (groups, G), seed=1)
    mask, old_logp = policy.mask, exact.log_probabilities(old).detach()
    logp = exact.log_probabilities(policy).detach()
    weights = objective.advantages(rewards[drawn])  # no objective of these looks beyond its own group
    scale = []
    for p in range(groups):
        one = type(weights)(*(field[p : p + 1] for field in weights))
        scale.append(objective.normaliser(mask[drawn[p]][None], one, policy.length))
    rows = drawn.flatten()
    per_row = objectives.credit(objective, logp[rows], old_logp[rows], None, mask[rows], objectives.rows(weights), 1.0)
    per_row = per_row / torch.tensor(scale).repeat_interleave(G)[:, None]
    # gradient in the logits of one token: one-hot minus probabilities, in the row of its prefix
    probabilities = policy.logits.detach().softmax(-1)
    nodes, ids = policy.nodes[rows], policy.ids[rows]
    slope = torch.nn.functional.one_hot(ids, 4) - probabilities[nodes]  # [rows, T, V]
    sums = torch.zeros(groups, *policy.logits.shape, dtype=torch.float64)
    group = torch.arange(groups).repeat_interleave(G)[:, None].expand_as(nodes)
    sums.index_put_((group, nodes), per_row[..., None] * slope, accumulate=True)
    exactly = exact.expected_gradient(policy, rewards, objective, G, old=old)
    error = sums.std(0) / groups**0.5
    assert ((sums.mean(0) - exactly).abs() <= 5 * error + 1e-12).all()
    assert error.max() < 0.1 * exactly.abs().max()  # the test could tell


def test_rloo_is_the_true_policy_gradient_up_to_the_constant_length():
    policy = exact.TreePolicy(4, 3, seed=1)
    rewards = rewards_of(policy, kinds=5)
    (true,) = torch.autograd.grad(exact.expected_reward(policy, rewards), policy.logits)
    for name, G, factor in (("rloo", 3, 1), ("rloo", 4, 1), ("reinforce", 1, 1), ("dr_grpo", 4, 3 / 4)):
        found = exact.expected_gradient(policy, rewards, objectives.make(name), G)
        torch.testing.assert_close(found, true * factor / policy.length, rtol=0, atol=1e-12)
    biased = exact.expected_gradient(policy, rewards, objectives.grpo(), 4)
    assert cosine(biased.flatten(), true.flatten(), dim=0) < 0.9999


def test_the_policy_itself_gets_no_gradient_and_stays():
    policy = exact.TreePolicy(3, 2, seed=0)
    before = policy.logits.detach().clone()
    exact.expected_gradient(policy, rewards_of(policy), objectives.grpo(), 3)
    assert policy.logits.grad is None and torch.equal(policy.logits, before)


# --- what is refused ----------------------------------------------------------------------------------------------


def one_line(call, *parts):
    with pytest.raises(ValueError) as error:
        call()
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


def test_bad_arguments_are_one_line():
    policy, other = exact.TreePolicy(3, 2), exact.TreePolicy(4, 2)
    rewards, objective = rewards_of(policy), objectives.grpo()
    one_line(lambda: exact.TreePolicy(1, 2), "vocabulary=1: must be at least 2")
    one_line(lambda: exact.TreePolicy(2, 101), "length=101: must be at most 100")
    one_line(lambda: exact.TreePolicy(50, 5), "vocabulary=50, length=5: must give at most 100000 completions")
    one_line(lambda: exact.expected_reward(policy, [1.0]), "rewards of shape (1,): must be [7]")
    one_line(lambda: exact.expected_reward(policy, [float("nan")] * 7), "rewards[0]=nan: must be finite")
    one_line(lambda: exact.pass_at_k(policy, [2.0] * 7, 1), "correct[0]=2.0: must be in [0, 1]")
    one_line(lambda: exact.pass_at_k(policy, [1.0] * 7, [1, 0]), "k=[1, 0]: must be whole numbers of at least 1")
    one_line(lambda: exact.kl(policy, other), "reference with vocabulary=4, length=2: must have the policy's 3 and 2")
    one_line(lambda: exact.expected_gradient(policy, rewards, objective, 3, old=other), "old with vocabulary=4")
    one_line(lambda: exact.expected_gradient(policy, rewards, objective, 0), "group_size=0: must be a positive integer")
    one_line(
        lambda: exact.expected_gradient(policy, rewards, objectives.bnpo(), 3), "objective='bnpo': must have a loss"
    )
    many = exact.TreePolicy(4, 4)
    distinct = torch.arange(len(many.ids)).double()
    one_line(lambda: exact.expected_gradient(many, distinct, objective, 4), "group_size=4: 121 kinds of completions")


def test_the_examples_in_the_docstring_run():
    found = doctest.testmod(exact)
    assert found.attempted > 5 and found.failed == 0
