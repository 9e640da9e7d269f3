"""DPO and IPO: the closed form on the population of preferences, the learner against what it should compute.

On the tree of 40 completions nothing is sampled, so that equal means equal.
"""

import copy
import math

import pytest
import torch

from rlkit import lm, rlhf
from rlkit.lm import exact
from rlkit.lm.tasks.style import rewards as rubric
from rlkit.rlhf import direct_preferences, optimum, preferences
from rlkit.rlhf.direct_preferences import dpo, expected_loss

TASK = lm.tasks.style()
PROBLEM = TASK.problems(6, seed=0, split="all")[0]
ROWS = [
    {"prompt": "cat sings", "chosen": "the cat sings", "rejected": "the the the the the"},
    {"prompt": "moon sleeps", "chosen": "the old moon sleeps softly", "rejected": "very"},
    {"prompt": "sea sings", "chosen": "", "rejected": "sea sea sea"},
]


@pytest.fixture
def base():
    torch.set_num_threads(1)
    return lm.load("xs-style")


@pytest.fixture(scope="module")
def labelled():
    """1,200 noisy preferences between completions of the base."""
    torch.set_num_threads(1)
    drawn = preferences.pairs(*lm.load("xs-style"), TASK, 1200, seed=1)
    return preferences.label(TASK, *drawn, noise=0.25, seed=1)


def log_policy(policy):
    with torch.no_grad():
        return exact.log_probabilities(policy).sum(-1)


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


# ---- the population of preferences


def tree():
    """(policy, reference, rewards [N]) with 40 completions, the policy at the reference."""
    reference = exact.TreePolicy(4, 3, seed=1)
    rewards = torch.randn(len(reference.ids), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return copy.deepcopy(reference), reference, rewards


def minimise(policy, loss):
    """The policy at the minimum of a smooth loss, by exact gradients; returns the largest gradient left."""
    optimizer = torch.optim.LBFGS([policy.logits], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)
    closure()
    return policy.logits.grad.abs().max().item()


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_dpo_on_the_population_of_preferences_is_the_closed_form(beta):
    """The implicit reward is known only up to a constant, which the normalised policy does not see: so it is exact."""
    policy, reference, rewards = tree()
    optimal = optimum.tilt(log_policy(reference), rewards, beta)
    apart = optimum.kl(log_policy(policy), optimal).item()
    assert minimise(policy, lambda: expected_loss(policy, reference, rewards, beta)) < 1e-4
    found = optimum.kl(log_policy(policy), optimal).item()
    assert found < 0.02 < apart and found < 1e-5  # 0.02 nats is what is promised
    implicit = beta * (log_policy(policy) - log_policy(reference)) - rewards
    assert implicit.std() < 0.02  # a constant


def test_ipo_on_the_population_of_preferences_is_its_closed_form():
    """pi_ref exp(P(y beats a draw of pi_ref) / beta) / Z: Azar et al. 2023, equation 7 with Psi the identity."""
    policy, reference, rewards = tree()
    wins = (rewards[:, None] - rewards[None, :]).sigmoid() @ log_policy(reference).exp()
    optimal = optimum.tilt(log_policy(reference), wins, 0.2)
    apart = optimum.kl(log_policy(policy), optimal).item()
    assert minimise(policy, lambda: expected_loss(policy, reference, rewards, 0.2, "ipo")) < 1e-4
    assert optimum.kl(log_policy(policy), optimal).item() < 1e-5 < 0.02 < apart


def test_the_population_loss_is_the_mean_over_sampled_preferences():
    policy, reference, rewards = tree()
    with torch.no_grad():
        policy.logits += torch.randn(policy.logits.shape, generator=torch.Generator().manual_seed(3)).double()
    pairs = exact.sample(reference, (40_000, 2), seed=0)
    won = (
        torch.rand(len(pairs), generator=torch.Generator().manual_seed(1))
        < (rewards[pairs[:, 0]] - rewards[pairs[:, 1]]).sigmoid()
    )
    chosen, rejected = torch.where(won, pairs[:, 0], pairs[:, 1]), torch.where(won, pairs[:, 1], pairs[:, 0])
    logp, frozen = log_policy(policy), log_policy(reference)
    for name, loss in direct_preferences.LOSSES.items():
        values = loss(logp[chosen], logp[rejected], frozen[chosen], frozen[rejected], 0.7)
        true = expected_loss(policy, reference, rewards, 0.7, name).item()
        assert abs(values.mean().item() - true) < 3 * values.std().item() / 200


def test_dpo_with_swapped_pair_moves_the_policy_away_from_the_optimum():
    policy, reference, rewards = tree()
    optimal = optimum.tilt(log_policy(reference), rewards, 1.0)
    before = optimum.kl(log_policy(policy), optimal).item()
    minimise(policy, lambda: expected_loss(policy, reference, -rewards, 1.0))  # what was rejected stands as chosen
    after = optimum.kl(log_policy(policy), optimal).item()
    assert after > 2 * before
    inverted = optimum.tilt(log_policy(reference), -rewards, 1.0)
    assert optimum.kl(log_policy(policy), inverted) < 1e-5  # the optimum of the negated reward


@pytest.mark.slow
def test_the_learner_with_swapped_pair_loses_gold_reward(base, labelled):
    swapped = [row | {"chosen": row["rejected"], "rejected": row["chosen"]} for row in labelled]
    found = {}
    for name, rows in (("right", labelled), ("swapped", swapped)):
        model, tokenizer = lm.load("xs-style")
        policy = exact.NetworkPolicy(model, tokenizer, PROBLEM.prompt, 5)
        gold = torch.tensor(rubric(TASK, PROBLEM, policy.ids))
        before = log_policy(policy)
        optimal = optimum.tilt(before, gold / 0.25, 1.0)
        for _ in dpo(model, tokenizer, rows, beta=1.0, steps=25, learning_rate=1e-3, max_new_tokens=5):
            pass
        after = log_policy(policy)
        start, end = optimum.expected(before, gold), optimum.expected(after, gold)
        found[name] = (end - start).item(), (optimum.kl(after, optimal) - optimum.kl(before, optimal)).item()
    assert found["right"][0] > 0.1 and found["right"][1] < -0.3
    assert found["swapped"][0] < -0.1 and found["swapped"][1] > 0.3


# ---- the learner


def naive(model, tokenizer, prompt, completion):
    """log pi of a completion by a plain forward; <eos> belongs to it where it has fewer than five words."""
    prompt, ids = tokenizer(prompt)["input_ids"], tokenizer(completion)["input_ids"]
    ids += [tokenizer.eos_token_id] if len(ids) < 5 else []
    logp = model(input_ids=torch.tensor([prompt + ids])).logits[0].log_softmax(-1)
    return logp[torch.arange(len(prompt) - 1, len(prompt) + len(ids) - 1), torch.tensor(ids)].sum()


@pytest.mark.parametrize("name", ["sigmoid", "ipo"])
def test_loss_gradient_and_metrics_are_those_of_the_equation(base, name):
    model, tokenizer = base
    reference, beta, options = copy.deepcopy(model), 0.3, {"learning_rate": 2e-4, "max_new_tokens": 5, "loss": name}
    learner = dpo(model, tokenizer, ROWS, beta=beta, steps=2, batch=3, clip_gradient=1e9, **options)
    first = next(learner).metrics
    assert first["loss"] == pytest.approx(math.log(2) if name == "sigmoid" else 1 / (4 * beta**2), rel=1e-5)
    assert first["accuracy"] == 0.5 and abs(first["margin"]) + abs(first["chosen_change"]) < 1e-5
    moved = copy.deepcopy(model)
    second = next(learner).metrics
    changes = []
    for row in ROWS:
        with torch.no_grad():
            before = [naive(reference, tokenizer, row["prompt"], row[side]) for side in ("chosen", "rejected")]
        after = [naive(moved, tokenizer, row["prompt"], row[side]) for side in ("chosen", "rejected")]
        changes.append(torch.stack([a - b for a, b in zip(after, before, strict=True)]))
    changes = torch.stack(changes)  # [3, 2]
    h = changes[:, 0] - changes[:, 1]
    loss = (-(beta * h).sigmoid().log() if name == "sigmoid" else (h - 1 / (2 * beta)).square()).mean()
    loss.backward()
    norm = torch.stack([p.grad.norm() for p in moved.parameters() if p.grad is not None]).norm()
    assert second["loss"] == pytest.approx(loss.item(), rel=1e-4)
    assert second["gradient_norm"] == pytest.approx(norm.item(), rel=1e-3)
    assert second["margin"] == pytest.approx(beta * h.mean().item(), abs=1e-4) != 0
    assert second["chosen_change"] == pytest.approx(changes[:, 0].mean().item(), abs=1e-4)
    assert second["rejected_change"] == pytest.approx(changes[:, 1].mean().item(), abs=1e-4)
    assert second["accuracy"] == (h > 0).double().mean()
    assert second["loss"] < first["loss"]


def test_the_chosen_ones_fall_too_at_a_small_beta(base, labelled):
    """The well-known drop: the loss sees the difference alone."""
    *_, last = dpo(*base, labelled, beta=0.1, steps=60, learning_rate=1e-3, max_new_tokens=5)
    assert last.metrics["rejected_change"] < last.metrics["chosen_change"] < -0.5


def test_the_same_seed_gives_the_same_bits(labelled):
    def run(seed=0):
        model, tokenizer = lm.load("xs-style")
        given = {"steps": 4, "batch": 16, "learning_rate": 1e-3, "max_new_tokens": 5, "seed": seed}
        return list(dpo(model, tokenizer, labelled[:40], beta=0.5, **given)), weights(model)

    state = torch.get_rng_state()
    (first, one), (second, other) = run(), run()
    assert first == second and all(torch.equal(one[name], other[name]) for name in one)
    assert [step.step for step in first] == [1, 2, 3, 4]
    assert run(seed=1)[0] != first and torch.equal(state, torch.get_rng_state())


def test_an_adapter_learns_and_the_reference_is_its_base(labelled):
    model, tokenizer = lm.load("xs-style", lora=8)
    before = weights(model)
    given = {"learning_rate": 1e-2, "max_new_tokens": 5}
    steps = list(dpo(model, tokenizer, labelled, beta=0.5, steps=15, **given))
    after = weights(model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "lora_" in name}
    assert steps[0].metrics["margin"] == 0 and steps[-1].metrics["margin"] > 0.1
    # Going on from here, the reference is the policy as it now is, its adapter included.
    again = next(dpo(model, tokenizer, labelled, beta=0.5, steps=1, **given)).metrics
    assert again["chosen_change"] == 0 and again["loss"] == pytest.approx(math.log(2))


def test_each_row_is_scored_by_the_reference_once(base, labelled, monkeypatch):
    scored, plain = [], direct_preferences.score_tokens

    def counted(model, rollouts, rows):
        scored.append((len(rows), torch.is_grad_enabled()))
        return plain(model, rollouts, rows)

    monkeypatch.setattr(direct_preferences, "score_tokens", counted)
    monkeypatch.setattr(direct_preferences, "AT_ONCE", 60)
    list(dpo(*base, labelled[:100], beta=0.5, steps=3, batch=50, learning_rate=1e-3, max_new_tokens=5))
    assert scored == [(120, False), (80, False)] + [(100, True)] * 3


def test_a_diverged_model_is_refused_before_the_update(base):
    model, tokenizer = base
    model.model.norm.weight.data[0] = torch.nan
    before = weights(model)["model.embed_tokens.weight"]
    with pytest.raises(FloatingPointError, match="step 1: loss=nan"):
        next(dpo(model, tokenizer, ROWS, beta=0.5, steps=1, learning_rate=1e-3, max_new_tokens=5))
    assert torch.equal(before, weights(model)["model.embed_tokens.weight"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 0}, "beta=0: must be a finite number above 0"),
        ({"loss": "hinge"}, "loss='hinge': must be one of 'sigmoid', 'ipo'"),
        ({"steps": 0}, "steps=0: must be a positive integer"),
        ({"batch": 0}, "batch=0: must be a positive integer"),
        ({"learning_rate": 0}, "learning_rate=0: must be a finite number above 0"),
        ({"clip_gradient": 0}, "clip_gradient=0: must be a finite number above 0"),
        ({"rows": []}, r"rows=\[\]: must be at least one preference"),
        ({"rows": [{"prompt": "cat sings", "chosen": "the", "rejected": None}]}, r"rows\[0\]=.*: must be a dictionary"),
        ({"max_new_tokens": 3}, "completion='the the the the the': must be of at most max_new_tokens=3 tokens, not 5"),
    ],
)
def test_bad_arguments_are_named_in_one_line_at_the_call(base, options, message):
    given = {"rows": ROWS, "beta": 0.1, "steps": 1, "learning_rate": 1e-3, "max_new_tokens": 5} | options
    with pytest.raises(ValueError, match=message) as error:
        rlhf.dpo(*base, **given)
    assert "\n" not in str(error.value)


def test_rewards_of_another_shape_are_refused():
    policy, reference, rewards = tree()
    with pytest.raises(ValueError, match=r"rewards of shape \(3,\): must be \[40\]"):
        expected_loss(policy, reference, rewards[:3], 1.0)
    with pytest.raises(ValueError, match="loss='kto': must be one of"):
        expected_loss(policy, reference, rewards, 1.0, "kto")
