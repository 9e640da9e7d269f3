"""KL-REINFORCE: exactly the gradient of E[r] - beta KL, the closed form as its end, and what it logs and refuses."""

import itertools

import numpy as np
import pytest
import torch

from rlkit import lm, paths, rlhf
from rlkit.lm import exact, tasks
from rlkit.lm.rollouts import Rollouts
from rlkit.lm.tasks.style import rewards as style_rewards
from rlkit.rlhf import optimum
from rlkit.rlhf.kl_reinforce import OBJECTIVE, penalised
from tests.rlhf import listed


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """What a failing step saves goes to a folder of the test."""
    monkeypatch.setattr(paths, "home", lambda: tmp_path)


def train(steps, reward=None, model=None, **options):
    """(steps, model) of a training of the listed task."""
    model, tokenizer = model or listed.fresh()
    given = {"beta": listed.BETA, "learning_rate": 1e-3, "problems": [listed.PROBLEM]} | options
    given = {"prompts_per_step": 4, "group_size": 8} | given
    reward = reward or rlhf.gold(listed.task())
    return list(rlhf.reinforce(model, tokenizer, listed.task(), reward, steps=steps, **given)), model


def weights(model) -> list:
    return [p.detach().clone() for p in model.parameters()]


# ---- the objective


def test_the_penalty_by_hand():
    logp = torch.tensor([[-1.0, -1.0], [-2.0, float("nan")]])
    reference = torch.tensor([[-2.0, -1.5], [-1.0, float("nan")]])
    mask = torch.tensor([[True, True], [True, False]])
    found = penalised([[1.0, 0.0]], logp, reference, mask, beta=0.5)
    assert found.tolist() == [[1.0 - 0.5 * 1.5, 0.5]]  # drift is paid for, its opposite is a gain
    assert penalised([[1.0, 0.0]], logp, reference, mask, beta=0.0).tolist() == [[1.0, 0.0]]


def test_its_expected_gradient_is_that_of_the_objective():
    """Over all pairs of completions, each with its probability: the gradient of E[r] - beta KL(pi || pi_ref)."""
    policy, reference = exact.TreePolicy(3, 2, seed=1), exact.TreePolicy(3, 2, seed=2)
    rewards = torch.tensor([0.3, -1.0, 0.5, 2.0, 0.0, 1.0, -0.7]).double()
    logp, other = exact.log_probabilities(policy), exact.log_probabilities(reference).detach()
    chance = logp.detach().sum(1).exp()
    loss = torch.zeros((), dtype=torch.float64)
    for pair in itertools.product(range(7), repeat=2):
        rows = list(pair)
        paid = penalised(rewards[rows][None], logp[rows].detach(), other[rows], policy.mask[rows], beta=0.4)
        given = OBJECTIVE.advantages(paid)
        row = type(given)(*(field[0] for field in given))
        normaliser = OBJECTIVE.normaliser(policy.mask[rows][None], given, policy.length)
        one, _ = OBJECTIVE.loss(logp[rows], logp[rows].detach(), None, policy.mask[rows], row, normaliser)
        loss = loss + chance[rows].prod() * one
    found = -torch.autograd.grad(loss, policy.logits)[0] * policy.length
    value = exact.expected_reward(policy, rewards) - 0.4 * exact.kl(policy, reference)
    assert torch.allclose(found, torch.autograd.grad(value, policy.logits)[0], atol=1e-12)


def test_at_the_optimum_there_is_no_noise():
    """R = r - beta log(pi* / pi_0) is beta log Z for every completion, so every advantage of a batch is 0."""
    model, tokenizer = listed.fresh()
    _, prior, rewards, best = listed.optimal(model, tokenizer)
    some = torch.tensor([0, 3, 17, 40, 41, 84])
    mask = torch.ones(6, 1, dtype=torch.bool)
    paid = penalised(rewards[some][None], best[some, None], prior[some, None], mask, listed.BETA)
    assert torch.allclose(paid, listed.BETA * optimum.log_partition(prior, rewards, listed.BETA), atol=1e-12)
    assert OBJECTIVE.advantages(paid).advantage.abs().max() < 1e-12


def exactly(model, policy, prior, rewards, beta, steps, learning_rate) -> float:
    """KL(pi || pi*) after ascent on REINFORCE's gradient summed over all completions: no sampling."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    for step in range(steps):
        if step == steps * 2 // 3:
            optimizer.param_groups[0]["lr"] = learning_rate / 5
        logp = exact.log_probabilities(policy).sum(1)  # [N]
        p, whole = logp.detach().exp(), torch.ones(len(logp), 1, dtype=torch.bool)
        paid = penalised(rewards[None], logp.detach()[:, None], prior[:, None], whole, beta)[0]
        loss = -(p * (paid - (p * paid).sum()) * logp).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return optimum.kl(listed.log_policy(policy), optimum.tilt(prior, rewards, beta)).item()


def test_exact_gradients_end_at_the_closed_form():
    model, tokenizer = listed.fresh()
    policy, prior, rewards, _ = listed.optimal(model, tokenizer)
    gap = exactly(model, policy, prior, rewards, listed.BETA, steps=150, learning_rate=2e-3)
    print(f"exact gradients: KL(pi || pi*) = {gap:.5f} nats")
    assert gap < 0.02


def test_exact_gradients_end_at_the_closed_form_of_the_style_task():
    """Texts of at most 3 words, 820 of them. Of 5 words, 66,430, exact gradients take minutes to get as near."""
    task = tasks.style("short", 3)
    model, tokenizer = lm.load("xs-style")
    problem = task.problems(1, seed=0)[0]
    policy = exact.NetworkPolicy(model, tokenizer, problem.prompt, task.max_new_tokens)
    prior, rewards = listed.log_policy(policy), torch.from_numpy(style_rewards(task, problem, policy.ids.numpy()))
    start = optimum.kl(prior, optimum.tilt(prior, rewards, 0.5)).item()
    gap = exactly(model, policy, prior, rewards, 0.5, steps=100, learning_rate=3e-3)
    print(f"exact gradients, {len(prior)} completions: KL(pi || pi*) = {gap:.5f} nats, {start:.2f} at the start")
    assert start > 0.3 and gap < 0.02


@pytest.mark.slow
def test_sampled_it_ends_near_the_closed_form_and_says_the_truth_about_it():
    model, tokenizer = listed.fresh()
    policy, prior, rewards, best = listed.optimal(model, tokenizer)
    steps, _ = train(80, model=(model, tokenizer), prompts_per_step=16, group_size=16)
    now = listed.log_policy(policy)
    gap, start = optimum.kl(now, best).item(), optimum.kl(prior, best).item()
    print(f"sampled: KL(pi || pi*) = {gap:.4f} nats, {start:.2f} at the start; what is left is steps not yet taken")
    assert start > 1 and gap < 0.02
    last, tail = steps[-1].metrics, steps[-20:]
    kl, reward = optimum.kl(now, prior).item(), optimum.expected(now, rewards).item()
    assert last["kl"] == pytest.approx(kl, abs=0.35) and last["reward"] == pytest.approx(reward, abs=0.15)
    assert np.mean([s.metrics["kl"] for s in tail]) == pytest.approx(kl, abs=0.1)
    assert steps[1].metrics["kl"] == pytest.approx(0, abs=1e-4)
    value = listed.BETA * optimum.log_partition(prior, rewards, listed.BETA).item()
    assert last["objective"] == pytest.approx(value, abs=0.05)  # beta log Z, less beta times the gap


def test_without_kl_it_collapses():
    model, tokenizer = listed.fresh()
    policy, prior, rewards, _ = listed.optimal(model, tokenizer)
    train(40, model=(model, tokenizer), beta=0.0, learning_rate=3e-3)
    now = listed.log_policy(policy)
    entropy = [-(p.exp() * p).sum().item() for p in (prior, now)]
    assert entropy[1] < 0.1 * entropy[0] and optimum.expected(now, rewards) > 1.7  # of 1.8, red red red


# ---- bits, metrics, rows


def test_the_same_seed_gives_the_same_bits_and_touches_no_global_state():
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002 - to see that the learner leaves the global state alone
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    first, model = train(3, log_rollouts_every=2)
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == np.random.get_state()[1].tolist()  # noqa: NPY002
    second, other = train(3, log_rollouts_every=2)
    assert first == second and all(map(torch.equal, weights(model), weights(other)))
    assert train(3, seed=1)[0][1].metrics != first[1].metrics


def test_micro_batches_do_not_change_the_step():
    (first, one), (second, other) = train(1), train(1, micro_batch=5)
    assert first[1].metrics == pytest.approx(second[1].metrics, rel=1e-4, abs=1e-6)
    # Adam moves a weight by the learning rate however small its gradient: most weights must agree, not each.
    assert np.mean([(a - b).abs().mean().item() for a, b in zip(weights(one), weights(other), strict=True)]) < 2e-5


def test_gold_is_logged_and_never_optimised():
    def proxy(rollouts: Rollouts, problems):
        assert [problem.prompt for problem in problems] == rollouts.prompts
        return torch.tensor([float("blue" in text) for text in rollouts.text]).view(len(problems), -1)

    steps, _ = train(40, proxy, beta=0.05, learning_rate=3e-3)
    first, last = steps[1].metrics, steps[-1].metrics
    assert last["reward"] > 0.9 > first["reward"] and last["gold"] < first["gold"]
    assert last["gold"] == pytest.approx(last["reward_worth"], abs=1e-6) and last["reward_format"] == 1


def test_rows_hold_what_was_sampled():
    steps, _ = train(2, log_rollouts_every=1)
    rows = steps[1].rollouts
    assert steps[0].rollouts is None and len(rows) == 32
    for row in rows:
        assert len(row["tokens"]) == len(row["logp_sampled"]) == len(row["logp_new"]) == len(row["logp_reference"])
        assert row["gold"] == pytest.approx(row["reward"], abs=1e-6)  # this reward is the gold one
    drift = [sum(row["logp_sampled"]) - sum(row["logp_reference"]) for row in rows]
    assert max(map(abs, drift)) < 1e-4  # sampler = scorer, and the reference is the start
    paid = np.array([row["reward"] for row in rows]).reshape(4, 8)
    wanted = (paid - paid.mean(1, keepdims=True)) * 8 / 7
    assert np.array([row["advantage"] for row in rows]).reshape(4, 8) == pytest.approx(wanted, abs=1e-4)
    assert steps[2].metrics["tokens"] == sum(len(row["tokens"]) for s in steps[1:] for row in s.rollouts)


# ---- what is refused, and what a failure leaves


@pytest.mark.parametrize(
    "options, message",
    [
        ({"beta": -0.1}, "^beta=-0.1: must be a number of at least 0$"),
        ({"beta": float("nan")}, "^beta=nan: must be finite$"),
        ({"group_size": 1}, "^group_size=1: must be at least 2"),
        ({"learning_rate": 0}, "^learning_rate=0: must be a finite number above 0$"),
        ({"problems": []}, r"^problems=\[\]: must be at least one problem$"),
        ({"seed": -1}, "^seed=-1: must be an integer"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(options, message):
    model, tokenizer = listed.fresh()
    given = {"beta": 0.1, "steps": 1, "learning_rate": 1e-3} | options
    with pytest.raises(ValueError, match=message):
        rlhf.reinforce(model, tokenizer, listed.task(), rlhf.gold(listed.task()), **given)


def test_rewards_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"^reward\(...\) of shape \(32,\): must be \[4, 8\]$"):
        train(1, lambda rollouts, problems: torch.zeros(32))


def test_after_a_nan_reward_the_model_is_as_after_the_last_step(tmp_path):
    calls, kept = [], []

    def reward(rollouts, problems):
        calls.append(1)
        rewards = rlhf.gold(listed.task())(rollouts, problems)
        if len(calls) == 3:
            kept.extend(weights(model))
            rewards[1, 2] = float("nan")
        return rewards

    model, tokenizer = listed.fresh()
    with pytest.raises(FloatingPointError, match="step 3: reward=nan of problem 'red grey', group 1, sample 2"):
        train(5, reward, model=(model, tokenizer))
    assert all(map(torch.equal, weights(model), kept))
    assert (tmp_path / "runs" / "failed" / "failed-step-3" / "batch.json").is_file()
