"""A language model whose completions are all listed: against the scorer, the sampler and a tree of the same numbers."""

import pytest
import torch

from rlkit import lm
from rlkit.lm import exact, models, supervised, tasks

TASK = tasks.style()
WORDS = ("a", "b", "c")


@pytest.fixture(scope="module")
def small():
    model, tokenizer = models.fresh("xs", 3, WORDS)
    return model, tokenizer, exact.NetworkPolicy(model, tokenizer, "a c", 4)


def test_the_vocabulary_is_the_words_and_the_end(small):
    model, tokenizer, policy = small
    assert len(tokenizer) == model.config.vocab_size == policy.vocabulary == 4
    assert tokenizer.eos_token_id == tokenizer.pad_token_id == 0 and tokenizer("c a")["input_ids"] == [3, 1]
    assert exact.texts(policy, tokenizer)[:3] == ["", "a", "a a"]


def test_it_lists_what_a_tree_lists_and_its_chances_add_up_to_one(small):
    _, _, policy = small
    tree = exact.TreePolicy(4, 4)
    assert torch.equal(policy.ids, tree.ids) and torch.equal(policy.mask, tree.mask)
    assert exact.probabilities(policy).sum().item() == pytest.approx(1, abs=1e-12)
    with torch.no_grad():
        tree.logits.copy_(policy.rows())
    assert torch.allclose(exact.log_probabilities(tree), exact.log_probabilities(policy))
    assert exact.kl(tree, policy).item() == pytest.approx(0, abs=1e-12)


def test_its_chances_are_the_samplers_and_the_scorers(small):
    model, tokenizer, policy = small
    drawn = lm.sample(model, tokenizer, ["a c"], 2000, 4, seed=5)
    with torch.no_grad():
        listed = exact.log_probabilities(policy)
    at = {tuple(ids): i for i, ids in enumerate(policy.ids.tolist())}
    width = drawn.ids.shape[1]
    rows = [at[tuple(ids + [0] * (4 - width))] for ids in (drawn.ids * drawn.mask).tolist()]
    assert torch.allclose(listed[rows][:, :width].float(), drawn.logp, atol=2e-5)
    frequency = torch.bincount(torch.tensor(rows), minlength=len(at)) / 2000
    p = listed.sum(1).exp()
    worst = ((frequency - p) / (p * (1 - p) / 2000).sqrt()).abs()[p > 0.003].max()
    assert worst < 4.5


def test_the_exact_gradient_is_that_of_the_weights(small):
    model, _, policy = small
    reward = torch.linspace(-1, 1, len(policy.ids)).double()
    exact.expected_reward(policy, reward).backward()
    weight = model.model.layers[0].mlp.up_proj.weight
    slope, size = weight.grad[3, 4].item(), 1e-2
    with torch.no_grad():
        found = []
        for sign in (1, -2):
            weight[3, 4] += sign * size
            found.append(exact.expected_reward(policy, reward).item())
        weight[3, 4] += size
    model.zero_grad()
    assert slope == pytest.approx((found[0] - found[1]) / (2 * size), rel=0.02, abs=1e-6) and slope != 0


def test_the_shipped_base_lists_66430_completions_of_each_prompt():
    model, tokenizer = lm.load("xs-style")
    policy = exact.NetworkPolicy(model, tokenizer, TASK.problems(1, 0, "all")[0].prompt, TASK.max_new_tokens)
    with torch.no_grad():
        p = exact.probabilities(policy)
    assert len(p) == 66_430 and p.sum().item() == pytest.approx(1, abs=1e-12) and p.min() > 0


def test_a_word_that_the_vocabulary_lacks_is_named(small):
    model, tokenizer, _ = small
    with pytest.raises(ValueError, match="word='<b>d': must be one of this model's 4: "):
        lm.sample(model, tokenizer, ["a <b>d"], 2, 3)
    with pytest.raises(ValueError, match="word='e': must be one of this model's 4: "):
        supervised.encode(tokenizer, [("a", "b e")])


def test_what_cannot_be_listed_is_refused(small):
    model, tokenizer, policy = small
    with pytest.raises(ValueError, match="vocabulary=4, length=20: must give at most 100000 completions"):
        exact.NetworkPolicy(model, tokenizer, "a", 20)
    with pytest.raises(ValueError, match=r"tokenizer.eos_token_id=1: must be 0"):
        exact.NetworkPolicy(*models.fresh("xs", 0), "1 + 1", 2)
    with pytest.raises(ValueError, match="policy='NetworkPolicy': must be a TreePolicy"):
        exact.expected_gradient(policy, [0.0] * len(policy.ids), None, 2)
