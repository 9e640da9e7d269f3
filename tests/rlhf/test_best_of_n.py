"""Best-of-n: the sampler against the exact law, one pool for every n against all subsets."""

import itertools

import numpy as np
import pytest
import torch

from rlkit import lm
from rlkit.lm import exact
from rlkit.lm.tasks.style import rewards as rubric
from rlkit.rlhf import best_samples, optimum, preferences
from rlkit.rlhf.best_samples import best_of_n, expected_best

TASK = lm.tasks.style()
PROBLEMS = TASK.problems(6, seed=0, split="all")


@pytest.fixture(scope="module")
def base():
    torch.set_num_threads(1)
    return lm.load("xs-style")


@pytest.fixture(scope="module")
def listed(base):
    """(log pi [N], gold reward [N], completion -> its number) of the first problem."""
    policy = exact.NetworkPolicy(*base, PROBLEMS[0].prompt, TASK.max_new_tokens)
    with torch.no_grad():
        logp = exact.log_probabilities(policy).sum(-1)
    number = {text: i for i, text in enumerate(exact.texts(policy, base[1]))}
    return logp, torch.tensor(rubric(TASK, PROBLEMS[0], policy.ids)), number


def z(values, truth):
    """Standard errors between the mean of a sample and the truth."""
    return (values.mean().item() - truth) / (values.std().item() / len(values) ** 0.5)


@pytest.mark.parametrize("n", [1, 3, 8])
def test_samples_have_the_reward_and_the_kl_of_the_exact_law(base, listed, n):
    logp, gold, number = listed
    law = optimum.best_of_n(logp, gold, n)
    samples, reward = 600, preferences.gold(TASK)
    chosen, rewards = best_of_n(*base, PROBLEMS[:1], reward, n=n, samples=samples, max_new_tokens=5, seed=3)
    rows = torch.tensor([number[text] for text in chosen.text])
    assert torch.allclose(rewards[0], gold[rows]) and rewards.shape == (1, samples)
    assert abs(z(rewards[0], optimum.expected(law, gold).item())) < 3
    true = optimum.kl(law, logp).item()
    change = (law - logp)[rows]  # log of what the law says of a sample over what the policy says: its mean is the KL
    assert (abs(z(change, true)) < 3 and change.std() / samples**0.5 < 0.04) if n > 1 else change.abs().max() < 1e-9
    assert true <= optimum.best_of_n_bound(n) + 1e-12
    often = torch.bincount(gold[rows].unique(return_inverse=True)[1]).double() / samples
    levels, level = gold.unique(return_inverse=True)
    share = torch.zeros(len(levels)).double().index_add(0, level, law.exp())[torch.isin(levels, gold[rows])]
    assert ((often - share).abs() < 4 * (share * (1 - share) / samples).sqrt() + 1e-3).all()


def test_best_of_one_is_the_policy_and_ties_go_to_the_first(base):
    def nothing(rollouts, problems):
        return torch.zeros(len(problems), rollouts.group_size)

    options = {"max_new_tokens": 5, "seed": 2}
    one, _ = best_of_n(*base, PROBLEMS[:2], preferences.gold(TASK), n=1, samples=6, **options)
    drawn = lm.sample(*base, PROBLEMS[:2], 6, 5, seed=one.seed)
    assert one.text == drawn.text and torch.equal(one.ids, drawn.ids) and torch.equal(one.logp, drawn.logp)
    first, rewards = best_of_n(*base, PROBLEMS[:2], nothing, n=3, samples=2, **options)
    assert first.text == [drawn.text[i] for i in (0, 3, 6, 9)] and first.group_size == 2 and not rewards.any()


def test_what_comes_back_are_rollouts_that_everything_else_reads(base, monkeypatch):
    reward = preferences.gold(TASK)
    options = {"n": 4, "samples": 3, "max_new_tokens": 5, "seed": 1}
    chosen, rewards = best_of_n(*base, PROBLEMS, reward, **options)
    assert rewards.shape == (6, 3) and torch.equal(reward(chosen, PROBLEMS), rewards)
    assert chosen.prompts == [problem.prompt for problem in PROBLEMS] and chosen.reward_parts is None
    assert (lm.score_tokens(base[0], chosen) - chosen.logp).abs().max() < 1e-5
    again, same = best_of_n(*base, PROBLEMS, reward, **options)
    assert again.text == chosen.text and torch.equal(same, rewards)
    monkeypatch.setattr(best_samples, "ROWS", 24)  # two problems at a time
    calls = []

    def counted(rollouts, problems):
        calls.append((len(problems), len(rollouts.ids)))
        return reward(rollouts, problems)

    few, rewards = best_of_n(*base, PROBLEMS, counted, **options)
    assert calls == [(2, 24)] * 3 and torch.equal(reward(few, PROBLEMS), rewards)
    assert few.prompts == chosen.prompts and few.text != chosen.text  # each call has draws of its own


@pytest.mark.parametrize("ties", [False, True])
def test_one_pool_serves_every_n_as_all_its_subsets_would(ties):
    rng = np.random.default_rng(0)
    rewards = rng.integers(0, 3, size=(4, 7)).astype(float) if ties else rng.normal(size=(4, 7))
    values = rng.normal(size=(4, 7))
    for n in range(1, 8):
        for row, found in enumerate(expected_best(rewards, values, n).tolist()):
            best = []
            for subset in itertools.combinations(range(7), n):
                top = max(rewards[row, list(subset)])
                best.append(np.mean([values[row, i] for i in subset if rewards[row, i] == top]))
            assert found == pytest.approx(np.mean(best), abs=1e-12)


def test_a_pool_has_the_mean_of_the_exact_law(base, listed):
    logp, gold, number = listed
    proxy = torch.tensor([float(text.count("o")) for text in number])  # a reward that is not the gold one
    drawn = torch.multinomial(logp.exp(), 400 * 32, replacement=True, generator=torch.Generator().manual_seed(0))
    pools = drawn.view(400, 32)
    for n in (1, 4, 16):
        law = optimum.best_of_n(logp, proxy.double(), n)
        assert abs(z(expected_best(proxy[pools], gold[pools], n), optimum.expected(law, gold).item())) < 3


def test_a_large_pool_does_not_overflow():
    rewards = torch.arange(5000.0)[None]
    assert expected_best(rewards, rewards, 5000).item() == pytest.approx(4999)
    assert expected_best(rewards, torch.ones(1, 5000), 1000).item() == pytest.approx(1)


def test_bad_input_is_named_in_one_line(base):
    reward = preferences.gold(TASK)
    for options, message in (
        ({"n": 0}, "n=0: must be a positive integer"),
        ({"samples": 0}, "samples=0: must be a positive integer"),
        ({"seed": -1}, "seed=-1: must be an integer of at least 0"),
        ({"problems": []}, r"problems=\[\]: must be at least one problem"),
        ({"reward": lambda rollouts, problems: torch.zeros(3)}, r"reward of shape \(3,\): must be finite and \[2, 2\]"),
        ({"reward": lambda rollouts, problems: torch.full((2, 2), torch.nan)}, "must be finite"),
    ):
        given = {"problems": PROBLEMS[:2], "reward": reward, "n": 2, "max_new_tokens": 5} | options
        with pytest.raises(ValueError, match=message) as error:
            best_of_n(*base, **given)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="n=4: must be at most 3"):
        expected_best(torch.zeros(1, 3), torch.zeros(1, 3), 4)
    with pytest.raises(ValueError, match=r"must be the same \[P, M\]"):
        expected_best(torch.zeros(1, 3), torch.zeros(3), 2)
    with pytest.raises(ValueError, match=r"rewards\[0, 1\]=nan: must be finite"):
        expected_best([[0.0, np.nan]], [[0.0, 0.0]], 2)
