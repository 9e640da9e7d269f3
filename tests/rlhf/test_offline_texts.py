"""Fixed texts with rewards: the value head, the weighted loop against gradients by hand, pairs, noise, diversity."""

import copy
import math

import numpy as np
import pytest
import torch

from rlkit import lm
from rlkit.lm.models import fresh
from rlkit.rlhf import offline_texts
from rlkit.rlhf.preference_rollouts import as_rollouts

TASK = lm.tasks.style("short", length=5)
PROBLEMS = TASK.problems(6, 0, "all")
PROMPTS = [problem.prompt for problem in PROBLEMS]


def model(seed=0):
    return fresh("xs", seed, words=TASK.words)


def likelihood(logp, reference, mask, weights):
    return -weights * logp.sum(1)


def learner(net, tokenizer, weights, chances, loss=likelihood, **how):
    texts = ["the cat sings", "the old moon sleeps", "sea sea sea sea sea", "very"]
    how = {"steps": 3, "learning_rate": 1e-3, "max_new_tokens": 5, "batch": 8, "seed": 4} | how
    return offline_texts.learn(
        net, tokenizer, PROMPTS[:2] * 2, texts, np.array(weights), loss, chances=np.array(chances), **how
    )


def test_values_find_the_mean_reward_of_each_prompt():
    net, tokenizer = model()
    rng = np.random.default_rng(0)
    mean = np.linspace(0.2, 0.8, 6)
    rewards = np.clip(mean[:, None] + rng.normal(size=(6, 400)) * 0.1, 0, 1)
    how = {"steps": 300, "learning_rate": 1e-2, "seed": 0}
    values, errors = offline_texts.fit_values(net, tokenizer, PROMPTS, rewards, **how)
    np.testing.assert_allclose(values, rewards.mean(1), atol=0.02)
    assert errors[0] > 0.03 and errors[-1] == pytest.approx(rewards.var(axis=1).mean(), rel=0.05)
    again, _ = offline_texts.fit_values(net, tokenizer, PROMPTS, rewards, **how)
    assert (again == values).all()


def test_the_head_does_not_look_at_padding():
    head, hidden = offline_texts.ValueHead(8, 0), torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[False, True, True], [True, True, True]])
    other = hidden.clone()
    other[0, 0] = 100.0
    assert torch.equal(head(hidden, mask), head(other, mask))
    assert torch.allclose(head(hidden[:1, 1:], mask[:1, 1:]), head(hidden, mask)[:1])


def test_an_update_minimises_the_weighted_mean_over_the_rows_that_were_drawn():
    net, tokenizer = model()
    before, twin = copy.deepcopy(net), copy.deepcopy(net)
    step = next(learner(net, tokenizer, [2.0, 1.0, 0.0, 3.0], [0, 1, 0, 0], steps=1, clip_gradient=1e9))
    rollouts = as_rollouts(tokenizer, PROMPTS[1:2], [["the old moon sleeps"]], 5)
    loss = -lm.score_tokens(twin, rollouts).sum()
    loss.backward()
    assert step.metrics["loss"] == pytest.approx(loss.item(), rel=1e-5)
    norm = math.sqrt(sum(p.grad.square().sum().item() for p in twin.parameters()))
    assert step.metrics["gradient_norm"] == pytest.approx(norm, rel=1e-4)
    assert step.metrics["change"] == pytest.approx(0, abs=1e-5)
    assert step.metrics["rows"] == 1 and step.metrics["weight"] == 1
    torch.optim.AdamW(twin.parameters(), lr=1e-3, weight_decay=0.0).step()
    for learnt, by_hand, start in zip(net.parameters(), twin.parameters(), before.parameters(), strict=True):
        assert torch.allclose(learnt, by_hand, atol=1e-5) and not torch.equal(learnt, start)


def test_the_loss_gets_the_start_as_reference_and_the_task_decides_about_the_end():
    seen = []

    def watching(logp, reference, mask, weights):
        seen.append((logp.detach(), reference, mask))
        return likelihood(logp, reference, mask, weights)

    net, tokenizer = model()
    steps = list(learner(net, tokenizer, [1, 1, 1, 1], [1, 1, 1, 1], watching))
    assert torch.allclose(seen[0][0], seen[0][1], atol=1e-5)  # at the start both are one policy
    assert steps[2].metrics["change"] > 0
    # words and <eos>; five words were cut and have none
    assert set(torch.cat([mask.sum(1) for _, _, mask in seen]).tolist()) == {2, 4, 5}
    assert steps[-1].metrics["rows"] == 4


def test_same_seed_same_bits_and_rows_are_drawn_in_proportion():
    runs = []
    for seed in (4, 4, 5):
        net, tokenizer = model()
        runs.append([s.metrics for s in learner(net, tokenizer, [0, 0, 1, 0], [0, 1, 3, 0], seed=seed, batch=400)])
    assert runs[0] == runs[1] != runs[2]
    assert [m["weight"] for m in runs[0]] == pytest.approx([0.75] * 3, abs=0.08)


def test_bad_arguments_name_themselves():
    net, tokenizer = model()
    for weights, chances, said in (
        ([1, 1], [1, 1, 1, 1], r"len\(weights\)=2: must be 4"),
        ([1, 1, 1, 1], [1, 1, 1, -1], "chances="),
        ([1, 1, 1, 1], [0, 0, 0, 0], "chances="),
        ([1, 1, 1, float("nan")], [1, 1, 1, 1], r"weights\[3\]=nan"),
    ):
        with pytest.raises(ValueError, match=said):
            learner(net, tokenizer, weights, chances)
    with pytest.raises(ValueError, match=r"rewards.shape=\(5, 2\): must be \[6, G\]"):
        offline_texts.fit_values(net, tokenizer, PROMPTS, np.zeros((5, 2)), steps=1, learning_rate=1e-2, seed=0)


def test_swapped_keeps_the_values_and_moves_the_share():
    values = np.arange(1000.0)
    noisy = offline_texts.swapped(values, 0.3, 0)
    assert sorted(noisy) == values.tolist() and 290 <= (noisy != values).sum() <= 300
    assert (offline_texts.swapped(values, 0.0, 0) == values).all()


def test_derived_pairs_put_the_higher_reward_first_and_use_each_text_once():
    prompts, texts = ["x", "y"] * 4, [f"t{i}" for i in range(8)]
    reward = dict(zip(texts, (1, 5, 2, 5, 3, 5, 4, 6), strict=True))
    rows = offline_texts.derived_pairs(prompts, texts, list(reward.values()), 0)
    used = [row[side] for row in rows for side in ("chosen", "rejected")]
    assert len(set(used)) == len(used) and [row["prompt"] for row in rows] == ["x", "x", "y"]  # one tie is left out
    for row in rows:
        assert reward[row["chosen"]] > reward[row["rejected"]]
        assert all(prompts[texts.index(row[side])] == row["prompt"] for side in ("chosen", "rejected"))


def test_distinct_by_hand():
    assert offline_texts.distinct(["a b a b", "a b"]) == 2 / 4
    assert offline_texts.distinct(["a b c"], 1) == 1 and offline_texts.distinct(["a a", "a"], 1) == 1 / 3
    assert math.isnan(offline_texts.distinct(["a", ""]))


def test_tested_counts_what_the_model_writes():
    (net, tokenizer), (other, _) = model(), model(1)
    found, rewards, texts = offline_texts.tested(net, other, tokenizer, TASK, PROBLEMS, samples=300, seed=3)
    assert rewards.shape == (6, 300) and [len(row) for row in texts] == [300] * 6
    assert rewards[4, 7] == pytest.approx(TASK.reward(TASK.verify(PROBLEMS[4], texts[4][7])), abs=1e-6)
    assert found["reward"] == rewards.mean()
    assert found["words"] == np.mean([len(text.split()) for row in texts for text in row])
    assert found["distinct_2"] == np.nanmean([offline_texts.distinct([row[g] for row in texts]) for g in range(300)])
    policies = [[lm.exact.NetworkPolicy(m, tokenizer, prompt, 5) for prompt in PROMPTS[:1]] for m in (net, other)]
    with torch.no_grad():
        kl = lm.exact.kl(policies[0][0], policies[1][0]).item()
    first, _, _ = offline_texts.tested(net, other, tokenizer, TASK, PROBLEMS[:1], samples=2000, seed=3)
    assert first["kl"] == pytest.approx(kl, rel=0.15)
    assert 0 < found["entropy"] < math.log(10)
    same, _, _ = offline_texts.tested(net, net, tokenizer, TASK, PROBLEMS, samples=20, seed=3)
    assert same["kl"] == pytest.approx(0, abs=1e-4)
