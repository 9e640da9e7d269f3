"""The learner: it learns where the optimum is known, its gradient is the objective's, its numbers are what they say.

A model of 0.03 M parameters and completions of a few words, so that a training takes about a second.
"""

import inspect
import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rlkit import evaluations, paths, rlvr
from rlkit.live import live
from rlkit.lm.rollouts import judge, sample, score_tokens
from rlkit.rlvr import batches, updates
from rlkit.runs import Run
from rlkit.stats import pass_at_k
from tests.rlvr import toy


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """What a failing step saves goes to a folder of the test."""
    monkeypatch.setattr(paths, "home", lambda: tmp_path)


def train(steps, objective=None, task=toy.TASK, model=None, **options):
    """(steps, model) of a training of the toy."""
    model, tokenizer = model or toy.fresh()
    options = toy.SETTINGS | {"reference": None} | options
    return list(rlvr.train(model, tokenizer, task, objective or rlvr.grpo(), steps=steps, **options)), model


def metric(steps, name):
    return [step.metrics[name] for step in steps if name in step.metrics]


# ---- it learns


@pytest.mark.parametrize("name", rlvr.names())
def test_every_objective_reaches_the_optimum(name):
    rewards = metric(train(18, rlvr.make(name), learning_rate=0.02)[0], "reward")
    assert 0.1 < np.mean(rewards[:3]) < 0.5 and np.mean(rewards[-3:]) > 0.9


@pytest.mark.parametrize("control", ["random", "shuffled"])
def test_controls_stay_at_the_base(control):
    steps, _ = train(24, control=control)
    rewards, used = metric(steps, "reward"), metric(steps, "control_reward")
    assert abs(np.mean(rewards[-8:]) - 0.25) < 0.1  # 512 completions: standard error 0.02; the policy drifts a little
    assert used == rewards if control == "shuffled" else abs(np.mean(used) - 0.5) < 0.05


def test_controls_are_what_they_say():
    rewards = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.0, 0.25]]).double()
    shuffled = [batches.controlled(rewards, "shuffled", seed) for seed in range(50)]
    assert all(sorted(s.flatten().tolist()) == sorted(rewards.flatten().tolist()) for s in shuffled)
    assert np.allclose(torch.stack(shuffled).mean(0), rewards.mean(), atol=0.2)  # over the whole batch, not the group
    coins = torch.stack([batches.controlled(rewards, "random", seed) for seed in range(500)])
    assert set(coins.unique().tolist()) == {0.0, 1.0} and abs(coins.mean() - 0.5) < 0.03
    assert batches.controlled(rewards, None, 0) is rewards


def test_lora_learns_and_leaves_the_base_alone():
    model, tokenizer = toy.fresh()
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(5)  # or the head, which has no adapter, would say the same to all
    base = toy.weights(model)
    model = toy.adapted(model, r=8, lora_alpha=32)
    steps, _ = train(12, model=(model, tokenizer), reference=True)
    rewards = metric(steps, "reward")
    assert rewards[0] < 0.3 and np.mean(rewards[-3:]) > 0.9
    after = {n.replace("base_model.model.", "").replace(".base_layer", ""): p for n, p in toy.weights(model).items()}
    assert all(torch.equal(after[name], value) for name, value in base.items())
    assert metric(steps, "kl")[0] == pytest.approx(0, abs=1e-9) and metric(steps, "kl")[-1] > 0.01


# ---- bits


def test_the_same_seed_gives_the_same_bits_and_touches_no_global_state():
    options = {"log_rollouts_every": 2, "reference": True, "mini_batches": 2, "updates_per_batch": 2}
    options |= {"evaluation": toy.TASK.problems(3, seed=1, split="test"), "dynamic_sampling": 1, "prompts_per_step": 4}
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002 - to see that the learner leaves the global state alone
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    first, model = train(3, **options)
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == np.random.get_state()[1].tolist()  # noqa: NPY002
    torch.manual_seed(12)
    second, other = train(3, **options)
    assert first == second and toy.same(toy.weights(model), toy.weights(other))
    assert train(3, seed=1, **options)[0] != first


def test_micro_batches_do_not_change_what_is_learned():
    options = {"task": toy.LONGER, "reference": True, "entropy_bonus": 0.01, "mini_batches": 2, "prompts_per_step": 4}
    first, whole = train(3, rlvr.grpo(beta=0.04), model=toy.ending(), **options)
    second, cut = train(3, rlvr.grpo(beta=0.04), model=toy.ending(), micro_batch=5, **options)
    assert 1.5 < first[1].metrics["length"] < 5  # rows of different lengths, or this test would not see much
    start = torch.cat([p.flatten() for p in toy.weights(toy.ending()[0]).values()])
    one, other = (torch.cat([p.flatten() for p in toy.weights(m).values()]) - start for m in (whole, cut))
    # Adam moves a weight by the learning rate however small its gradient is: there, rounding shows. The gradient
    # itself is held far tighter below.
    assert (one - other).norm() < 0.02 * one.norm()
    for a, b in zip(first[1:], second[1:], strict=True):
        assert {k: pytest.approx(v, rel=1e-2, abs=1e-4) for k, v in a.metrics.items()} == b.metrics


# ---- the gradient


def naive(model, rollouts):
    """Log-probabilities [B, T] and entropies by one plain forward per row: no cache, no padding, no sharing."""
    size, shape = rollouts.group_size, rollouts.ids.shape
    logp, entropy = [], []
    for row in range(shape[0]):
        length = int(rollouts.mask[row].sum())
        prompt = rollouts.prompt_ids[row // size][rollouts.prompt_mask[row // size].bool()]
        ids = torch.cat([prompt, rollouts.ids[row, :length]])
        logits = model(input_ids=ids[None]).logits[0, len(prompt) - 1 : -1].double() / rollouts.temperature
        logits = logits.log_softmax(-1)
        logp.append(logits.gather(1, ids[len(prompt) :, None])[:, 0])
        entropy.append(-(logits.exp() * logits).sum(1))
    return logp, entropy


def one_step(objective, micro_batch, entropy_bonus=0.0, groups=range(4)):
    """(gradients of `updates.update`, its report, rollouts, rewards, model) for a batch of 4 groups of 6."""
    model, tokenizer = toy.ending()
    problems = toy.LONGER.problems(4, seed=2)
    rollouts = judge(sample(model, tokenizer, problems, 6, 6, temperature=0.8, seed=3), toy.LONGER, problems)
    rewards = rollouts.reward_parts["correct"]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)  # keeps the gradient, changes nothing
    how = {"max_new_tokens": 6, "micro_batch": micro_batch, "entropy_bonus": entropy_bonus, "clip_gradient": None}
    weights, trainable = objective.advantages(rewards), dict(model.named_parameters())
    report = updates.update(model, trainable, optimizer, rollouts, objective, weights, None, groups, **how)
    return [p.grad.clone() for p in model.parameters()], report, rollouts, rewards, model


def relative(found, wanted):
    difference = sum((a - b).square().sum() for a, b in zip(found, wanted, strict=True))
    return math.sqrt(difference / sum(b.square().sum() for b in wanted))


@pytest.mark.parametrize("name", rlvr.names())
def test_micro_batches_do_not_change_the_gradient(name):
    (whole, first, *_), (cut, second, *_) = (one_step(rlvr.make(name), m, entropy_bonus=0.1) for m in (None, 5))
    assert relative(cut, whole) < 1e-5
    for key in ("loss", "gradient_norm", "entropy", "tokens", "kept"):
        assert first[key] == pytest.approx(second[key], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("micro_batch", [None, 5])
def test_the_gradient_is_that_of_grpo_written_out(micro_batch):
    found, report, rollouts, rewards, model = one_step(rlvr.grpo(), micro_batch)
    advantage = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
    assert (advantage != 0).any()
    logp, _ = naive(model, rollouts)
    loss = -sum(a * (lp - lp.detach()).exp().mean() for a, lp in zip(advantage.flatten(), logp, strict=True)) / 24
    wanted = torch.autograd.grad(loss, list(model.parameters()))
    assert relative(found, wanted) < 2e-5
    assert report["gradient_norm"] == pytest.approx(math.sqrt(sum(float(g.square().sum()) for g in wanted)), rel=1e-5)


def test_the_gradient_of_a_mini_batch_is_normalised_over_that_mini_batch():
    groups = [3, 1]
    found, report, rollouts, rewards, model = one_step(rlvr.dapo(), 5, entropy_bonus=0.1, groups=groups)
    advantage = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
    logp, entropy = naive(model, rollouts)
    chosen = [g * 6 + i for g in groups for i in range(6)]
    tokens = sum(len(logp[r]) for r in chosen)
    loss = -sum(advantage.flatten()[r] * (logp[r] - logp[r].detach()).exp().sum() for r in chosen) / tokens
    bonus = sum(entropy[r].sum() for r in chosen) / tokens
    wanted = torch.autograd.grad(loss - 0.1 * bonus, list(model.parameters()))
    assert relative(found, wanted) < 2e-5
    assert report["tokens"] == tokens and report["entropy"] / tokens == pytest.approx(bonus.item(), rel=1e-5)
    assert report["loss"] == pytest.approx((loss - 0.1 * bonus).item(), abs=1e-6)


def test_train_uses_that_gradient():
    """The norm that a training reports is that of the whole batch, computed here from the rows that it logged."""
    steps, _ = train(1, rlvr.dr_grpo(), toy.LONGER, toy.ending(), log_rollouts_every=1, micro_batch=7)
    model, _ = toy.ending()
    loss, prompt_of = 0.0, {}
    for row in steps[1].rollouts:
        prompt = prompt_of.setdefault(row["prompt"], [toy.fresh()[1](row["prompt"])["input_ids"]])[0]
        ids = torch.tensor(prompt + row["token_ids"])
        logp = model(input_ids=ids[None]).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        logp = logp.gather(1, ids[len(prompt) :, None])[:, 0]
        assert torch.allclose(logp, torch.tensor(row["logp_sampled"]), atol=1e-5)
        loss = loss - row["advantage"] * logp.sum() / (64 * 6)
    norm = torch.stack([g.norm() for g in torch.autograd.grad(loss, list(model.parameters()))]).norm().item()
    assert steps[1].metrics["gradient_norm"] == pytest.approx(norm, rel=1e-4)


def test_on_policy_the_ratio_is_one_and_the_loss_of_grpo_near_zero():
    steps, _ = train(4, rlvr.grpo(), toy.LONGER, toy.ending())
    for step in steps[1:]:
        assert abs(step.metrics["ratio_min"] - 1) < 1e-5 and abs(step.metrics["ratio_max"] - 1) < 1e-5
        assert step.metrics["clipped"] == 0 and step.metrics["gradient_norm"] > 1e-3
        assert abs(step.metrics["loss"]) < 1e-5  # as expected: the advantages of a group add up to 0


def test_old_log_probabilities_are_those_of_the_sampler_at_its_temperature():
    model, tokenizer = toy.ending()
    rollouts = sample(model, tokenizer, toy.LONGER.problems(4, seed=0), 8, 6, temperature=0.7, seed=1)
    with torch.no_grad():
        again, _ = updates.scores(model, rollouts, micro_batch=5)
    assert (again - rollouts.logp).abs().max() < 1e-5


# ---- passes, mini-batches, clipping, references


def test_passes_and_mini_batches():
    steps, _ = train(2, rlvr.grpo(), updates_per_batch=3, mini_batches=3)
    assert metric(steps, "updates") == [0, 9, 18]
    last = steps[-1].metrics
    assert last["ratio_min"] < 0.99 and last["ratio_max"] > 1.01 and 0 < last["clipped"] < 1
    parts = batches.parts(8, 3, seed=0)
    assert sorted(g for part in parts for g in part) == list(range(8)) and [len(p) for p in parts] == [3, 3, 2]
    assert batches.parts(8, 3, seed=1) != parts and batches.parts(2, 3, seed=0) in ([[0], [1]], [[1], [0]])
    assert batches.parts(8, 1, seed=0) == [list(range(8))]


def test_clipping_limits_how_far_many_passes_go():
    wide, narrow = (
        train(3, rlvr.grpo(clip_low=clip, clip_high=clip), updates_per_batch=8, reference=True)[0]
        for clip in (None, 0.05)
    )
    assert metric(wide, "clipped") == [0, 0, 0] and all(c > 0.05 for c in metric(narrow, "clipped"))
    assert metric(wide, "kl")[-1] > 2 * metric(narrow, "kl")[-1]


def test_weight_decay_clip_gradient_and_learning_rate_reach_the_optimizer():
    _, plain = train(1)
    base = toy.weights(toy.fresh()[0])
    _, decayed = train(1, weight_decay=0.5)
    for name, p in toy.weights(plain).items():
        wanted = p - 0.01 * 0.5 * base[name]
        assert torch.allclose(toy.weights(decayed)[name], wanted, atol=1e-6)
    _, clipped = train(1, clip_gradient=1e-12)  # far below Adam's epsilon of 1e-8: almost nothing moves
    moved = max(float((p - base[name]).abs().max()) for name, p in toy.weights(clipped).items())
    assert moved < 1e-4 < max(float((p - base[name]).abs().max()) for name, p in toy.weights(plain).items())


def test_reference_is_the_start_policy():
    start, tokenizer = toy.fresh()
    steps, _ = train(5, rlvr.grpo(beta=0.1), reference=True, log_rollouts_every=5)
    kl = metric(steps, "kl")
    assert kl[0] == pytest.approx(0, abs=1e-9) and kl[-1] > 1e-3
    rows = steps[5].rollouts
    d = np.concatenate([np.subtract(r["logp_reference"], r["logp_sampled"]) for r in rows])
    assert kl[-1] == pytest.approx(np.mean(np.exp(d) - 1 - d), rel=1e-3)
    row = rows[9]
    ids = torch.tensor(tokenizer(row["prompt"])["input_ids"] + row["token_ids"])
    logits = start(input_ids=ids[None]).logits[0, -len(row["token_ids"]) - 1 : -1].log_softmax(-1)
    wanted = logits.gather(1, torch.tensor(row["token_ids"])[:, None])[:, 0].tolist()
    assert row["logp_reference"] == pytest.approx(wanted, abs=1e-5)


def test_beta_holds_the_policy_near_the_reference():
    free, held = (train(12, rlvr.grpo(beta=beta), reference=True)[0] for beta in (0.0, 5.0))
    assert metric(held, "kl")[-1] < 0.6 * metric(free, "kl")[-1]


def test_reference_resets():
    steps, _ = train(6, reference=True, reset_reference_every=3)
    kl = metric(steps, "kl")
    assert kl[0] < 1e-9 and kl[3] < 1e-9 < 1e-5 < min(kl[1], kl[2], kl[4], kl[5])


def test_an_adapter_that_is_not_new_is_its_own_reference():
    """As in LoRA after SFT: the start policy is base plus adapter, not the base that disabling the adapter leaves."""
    model, tokenizer = toy.fresh()
    model = toy.adapted(model, r=4, init_lora_weights=False)
    steps, _ = train(2, model=(model, tokenizer), reference=True)
    kl = metric(steps, "kl")
    assert kl[0] == pytest.approx(0, abs=1e-9) and kl[1] > 1e-6


@pytest.mark.slow
def test_qlora_trains_on_a_cpu(tmp_path):
    """4-bit weights, adapters on them: the same code path as with a large model on a GPU."""
    pytest.importorskip("bitsandbytes")
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    model, tokenizer = toy.fresh()
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(5)
    model.save_pretrained(tmp_path / "model")
    four = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", quantization_config=four, device_map="cpu")
    model = toy.adapted(model, r=8, lora_alpha=32)
    stored = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}
    assert any(p.dtype == torch.uint8 for p in stored.values())
    steps, _ = train(12, model=(model, tokenizer), reference=True, checkpoint=tmp_path / "checkpoint")
    assert metric(steps, "reward")[0] < 0.3 and np.mean(metric(steps, "reward")[-3:]) > 0.7
    assert all(torch.equal(p, stored[name]) for name, p in model.named_parameters() if name in stored)


def test_only_what_requires_a_gradient_is_trained():
    model, tokenizer = toy.fresh()
    for name, p in model.named_parameters():
        p.requires_grad_("mlp" in name)
    before = toy.weights(model)
    train(2, model=(model, tokenizer), reference=True)
    for name, p in toy.weights(model).items():
        assert torch.equal(p, before[name]) == ("mlp" not in name)


# ---- dynamic sampling and dead groups


def test_dynamic_sampling_fills_the_batch_and_counts_every_token():
    plain, _ = train(3, group_size=3, log_rollouts_every=1)
    steps, _ = train(3, group_size=3, log_rollouts_every=1, dynamic_sampling=8)
    assert all(0 < step.metrics["dead_groups"] < 1 for step in plain[1:])
    tokens = 0
    for step in steps[1:]:
        rewards = np.array([row["reward"] for row in step.rollouts]).reshape(8, 3)
        assert (rewards.min(1) < rewards.max(1)).all()  # 8 groups, each with a signal
        assert step.metrics["groups"] >= 16 and step.metrics["groups"] % 8 == 0
        assert 0 < step.metrics["dead_groups"] < 1  # of all that were sampled
        tokens += step.metrics["groups"] * 3 * step.metrics["length"]
        assert step.metrics["tokens"] == pytest.approx(tokens)
        assert abs(step.metrics["reward"] - 0.25) < 0.15  # of all sampled: the kept groups alone have about 1/2


def test_dynamic_sampling_gives_up_after_its_rounds():
    never = toy.TASK.with_weights(correct=0.0)
    steps, model = train(3, task=never, dynamic_sampling=2)
    assert [step.metrics["groups"] for step in steps[1:]] == [24, 24, 24] and metric(steps, "updates") == [0, 0, 0, 0]
    assert metric(steps, "dead_groups") == [1, 1, 1] and "gradient_norm" not in steps[-1].metrics
    assert toy.same(toy.weights(model), toy.weights(toy.fresh()[0]))


def test_fewer_groups_than_mini_batches_are_left():
    steps, _ = train(3, group_size=2, dynamic_sampling=1, prompts_per_step=2, mini_batches=2, seed=3)
    assert all(0 <= b - a <= 2 for a, b in zip(metric(steps, "updates"), metric(steps, "updates")[1:], strict=False))


def test_join_and_choose_groups():
    model, tokenizer = toy.ending()
    problems = toy.LONGER.problems(3, seed=0)
    several = [
        judge(sample(model, tokenizer, some, 4, 6, seed=i), toy.LONGER, some)
        for i, some in enumerate([problems[:2], [problems[2]._replace(prompt="1 2 3 4 5 :")], problems[:1]])
    ]
    joined = batches.join(several)
    assert len(joined.text) == 16 and joined.reward_parts["correct"].shape == (4, 4)
    with torch.no_grad():
        apart = [score_tokens(model, r) for r in several]
        together = score_tokens(model, joined)
        second = batches.groups_of(joined, [2])
        assert torch.allclose(score_tokens(model, second)[:, : apart[1].shape[1]], apart[1], atol=1e-5)
    at = 0
    for one in apart:
        rows, width = one.shape
        assert torch.allclose(together[at : at + rows, :width], one, atol=1e-5)
        assert not joined.mask[at : at + rows, width:].any()
        at += rows
    assert second.text == several[1].text and second.finish == several[1].finish and second.prompts == ["1 2 3 4 5 :"]


# ---- what it reports


def test_metrics_and_rows_agree():
    steps, model = train(3, rlvr.grpo(), toy.LONGER, toy.ending(), log_rollouts_every=2, reference=True)
    assert [step.step for step in steps] == [0, 1, 2, 3] and steps[0].metrics == {"tokens": 0.0, "updates": 0.0}
    assert [len(step.rollouts or ()) for step in steps] == [0, 64, 64, 64]  # 1, the multiples of 2, the last
    for step in steps[1:]:
        rows, m = step.rollouts, step.metrics
        assert m["reward"] == m["reward_correct"] == pytest.approx(np.mean([r["reward"] for r in rows]))
        assert m["reward_format"] == pytest.approx(np.mean([r["reward_parts"]["format"] for r in rows]))
        assert m["truncated"] == np.mean([r["finish_reason"] == "length" for r in rows])
        assert m["length"] == np.mean([len(r["token_ids"]) for r in rows])
        rewards = np.array([r["reward"] for r in rows]).reshape(8, 8)
        assert m["dead_groups"] == np.mean(rewards.min(1) == rewards.max(1))
        assert m["entropy"] == pytest.approx(np.mean([e for r in rows for e in r["entropy"]]), rel=1e-4)
        advantage = (rewards - rewards.mean(1, keepdims=True)) / (rewards.std(1, ddof=1, keepdims=True) + 1e-4)
        assert np.allclose([r["advantage"] for r in rows], advantage.flatten())
        for i, row in enumerate(rows):
            assert (row["kind"], row["group"], row["sample"]) == ("sample", i // 8, i % 8)
            n = len(row["token_ids"])
            numbers = ("tokens", "logp_sampled", "logp_new", "logp_reference", "entropy")
            assert all(len(row[name]) == n for name in numbers) and "mask" not in row
            words = row["tokens"][:-1] if row["finish_reason"] == "stop" else row["tokens"]
            assert " ".join(words) == row["completion"] and row["prompt"].startswith(row["problem"])
            assert row["tokens"][-1] == "<eos>" or row["finish_reason"] == "length"
    json.dumps([step.rollouts for step in steps], allow_nan=False)
    assert sum(m["length"] * 64 for m in (s.metrics for s in steps[1:])) == steps[-1].metrics["tokens"]
    row = steps[-1].rollouts[5]  # logp_new: after the updates, that is by the model as it is now
    ids = torch.tensor(toy.fresh()[1](row["prompt"])["input_ids"] + row["token_ids"])
    logits = model(input_ids=ids[None]).logits[0, -len(row["token_ids"]) - 1 : -1].log_softmax(-1)
    now = logits.gather(1, torch.tensor(row["token_ids"])[:, None])[:, 0].tolist()
    assert row["logp_new"] == pytest.approx(now, abs=1e-5) and row["logp_new"] != row["logp_sampled"]


def test_updates_raise_the_probability_of_what_was_rewarded():
    steps, _ = train(2, rlvr.dr_grpo(), log_rollouts_every=1)
    change = [(r["advantage"], r["logp_new"][0] - r["logp_sampled"][0]) for r in steps[2].rollouts]
    assert np.mean([c for a, c in change if a > 0]) > 0 > np.mean([c for a, c in change if a < 0])


def test_entropy_bonus_keeps_entropy_up():
    plain, bonus = (train(25, entropy_bonus=b)[0] for b in (0.0, 1.0))
    assert metric(bonus, "entropy")[-1] > metric(plain, "entropy")[-1] + 0.5


def test_a_run_holds_what_the_widgets_need():
    model, tokenizer = toy.fresh()
    problems = toy.TASK.problems(5, seed=1, split="test")
    run = Run.create("toy", {"objective": rlvr.describe(rlvr.dapo()), "seed": 3})
    options = toy.SETTINGS | {"evaluation": problems, "evaluation_samples": 8, "evaluate_every": 2}
    learner = rlvr.train(model, tokenizer, toy.TASK, rlvr.dapo(), steps=4, log_rollouts_every=4, **options)
    live(learner, run).wait()
    assert run.last_step == 4 and "test_pass@4" in run.metric_names and run.series("reward")[0].tolist() == [1, 2, 3, 4]
    assert run.series("test_pass@1")[0].tolist() == [0, 2, 4]
    table = evaluations.table(run)
    assert table["at"].tolist() == [0, 2, 4] and set(table["split"]) == {"test"} and set(table["seed"]) == {3}
    correct, samples, ids = evaluations.counts(run)
    assert samples == 8 and ids == [p.id for p in problems]
    wanted = pass_at_k(8, correct["toy"][0], 4).mean()
    assert run.series("test_pass@4")[1][-1, 0] == pytest.approx(wanted)
    assert (run.rollouts(4)["kind"] == "sample").sum() == 64


def test_evaluate_counts_the_part_correct_alone():
    model, tokenizer = toy.fresh()
    problems = toy.TASK.problems(12, seed=1, split="test")
    backwards = toy.TASK.with_weights(correct=-3.0, format=1.0)
    rows = [rlvr.evaluate(model, tokenizer, t, problems, samples=32, seed=5) for t in (toy.TASK, backwards)]
    assert rows[0] == rows[1] and rows[0]["problems"] == [p.id for p in problems] and rows[0]["samples"] == 32
    share = np.mean(rows[0]["correct"]) / 32
    assert abs(share - 0.25) < 0.1 and len(set(rows[0]["correct"])) > 1
    small = rlvr.evaluate(model, tokenizer, toy.TASK, problems, samples=32, max_rows=20, at=7, arm="base", split="test")
    assert (small["at"], small["arm"], small["split"], small["temperature"], small["top_p"]) == (
        7,
        "base",
        "test",
        1,
        1,
    )
    assert abs(np.mean(small["correct"]) / 32 - 0.25) < 0.1
    greedy = rlvr.evaluate(model, tokenizer, toy.TASK, problems, samples=4, temperature=0)
    assert set(greedy["correct"]) <= {0, 4}
    with pytest.raises(ValueError, match=r"^problems="):
        rlvr.evaluate(model, tokenizer, toy.TASK, [], samples=4)


def test_evaluation_has_the_same_random_numbers_at_every_step():
    problems = toy.TASK.problems(6, seed=1, split="test")
    options = {"evaluation": problems, "evaluate_every": 1, "learning_rate": 1e-12}
    counts = [step.rollouts[0]["correct"] for step in train(3, **options)[0]]
    assert counts[0] == counts[1] == counts[2] == counts[3] and sum(counts[0]) > 0
    assert train(1, seed=1, **options)[0][0].rollouts[0]["correct"] != counts[0]


def test_problems_come_epoch_after_epoch():
    first, second = batches.order(5, 0, 5, seed=0), batches.order(5, 5, 5, seed=0)
    assert sorted(first) == sorted(second) == [0, 1, 2, 3, 4]
    assert batches.order(5, 3, 9, seed=0) == [*first, *second, *batches.order(5, 10, 5, seed=0)][3:12]
    assert batches.order(50, 0, 50, seed=0) != batches.order(50, 0, 50, seed=1)
    one = toy.TASK.problems(1, seed=0)
    steps, _ = train(1, problems=one, log_rollouts_every=1)
    assert {row["problem"] for row in steps[1].rollouts} == {one[0].id}
    assert len({(row["group"], row["sample"]) for row in steps[1].rollouts}) == 64


# ---- where it stops


def nan_loss(at: int, kind: str):
    """GRPO whose loss, or whose gradient alone, is NaN from the `at`-th call on."""
    objective, calls = rlvr.grpo(), [0]

    def loss(logp, *rest):
        value, info = objective.loss(logp, *rest)
        calls[0] += 1
        if calls[0] < at:
            return value, info
        return value + (logp.sum() * math.nan if kind == "loss" else (logp.sum() * 0).abs().sqrt()), info

    return objective._replace(loss=loss)


@pytest.mark.parametrize("kind", ["loss", "gradient", "reward", "logits"])
def test_what_is_not_finite_stops_with_the_batch_saved(kind, tmp_path):
    model, tokenizer = toy.fresh()
    calls = [0]

    def parts(problem, completion):
        calls[0] += 1
        return toy.parts(problem, completion) | ({"correct": math.nan} if kind == "reward" and calls[0] == 150 else {})

    task = toy.TASK if kind != "reward" else toy.Task("broken", toy.TASK.weights, 2, toy.draw, parts, None)
    objective = nan_loss(3, kind) if kind in ("loss", "gradient") else rlvr.grpo()
    steps = rlvr.train(model, tokenizer, task, objective, steps=9, **toy.SETTINGS)
    after = [(next(steps).step, toy.weights(model)) for _ in range(3)][-1]
    if kind == "logits":
        with torch.no_grad():
            model.get_input_embeddings().weight[7] = math.nan
        after = after[0], toy.weights(model)
    with pytest.raises(FloatingPointError) as caught:
        next(steps)
    text = str(caught.value)
    assert "step 3" in text and "last good step is 2" in text and "\n" not in text
    named = {"loss": "loss=nan", "gradient": "gradient_norm=nan: model.", "reward": "reward=nan of problem"}
    named |= {"logits": "logits hold NaN"}  # that is the sampler's own refusal: there is no batch yet
    assert named[kind] in text
    now = toy.weights(model)
    assert all(torch.equal(now[n].nan_to_num(9), after[1][n].nan_to_num(9)) for n in now)
    folder = tmp_path / "runs" / "failed" / "failed-step-3"
    assert str(folder) in text
    told = json.loads((folder / "batch.json").read_text())
    assert told["step"] == 3 and told["arguments"]["group_size"] == 8 and told["error"] in text
    if kind == "logits":
        return
    assert len(told["rows"]) == 64
    assert {"problem", "prompt", "completion", "reward", "advantage"} <= set(told["rows"][0])
    if kind == "reward":
        assert [i for i, row in enumerate(told["rows"]) if row["reward"] == "nan"] == [149 - 128]
    tensors = load_file(folder / "batch.safetensors")
    assert tensors["ids"].shape[0] == 64 and tensors["logp"].shape == tensors["mask"].shape
    with pytest.raises(StopIteration):
        next(steps)


def test_a_failure_after_some_updates_of_a_step_undoes_them(tmp_path):
    model, tokenizer = toy.fresh()
    options = toy.SETTINGS | {"updates_per_batch": 2, "checkpoint": tmp_path / "here"}
    steps = rlvr.train(model, tokenizer, toy.TASK, nan_loss(4, "loss"), steps=9, **options)
    for _ in range(2):
        next(steps)
    before = toy.weights(model)
    with pytest.raises(FloatingPointError, match="step 2: loss=nan"):
        next(steps)
    assert toy.same(before, toy.weights(model))
    assert (tmp_path / "here" / "failed-step-2" / "batch.json").is_file()


REFUSED = [
    ({"top_p": 0.9}, "top_p=0.9: must be 1 in training"),
    ({"temperature": 0}, "temperature=0: must be above 0: greedy"),
    ({"temperature": -1.0}, "temperature=-1.0: must be"),
    ({"group_size": 1}, "group_size=1: must be at least 2 for grpo"),
    ({"group_size": 0}, "group_size=0: must be"),
    ({"problems": []}, r"problems=\[\]: must be at least one"),
    ({"evaluation": []}, r"evaluation=\[\]: must be"),
    ({"evaluate_every": 3}, "evaluate_every=3: must be None where evaluation=None"),
    ({"steps": 0}, "steps=0: must be"),
    ({"learning_rate": 0.0}, "learning_rate=0.0: must be"),
    ({"seed": -1}, "seed=-1: must be"),
    ({"control": "wrong"}, "control='wrong': must be one of"),
    ({"mini_batches": 9}, "mini_batches=9: must be at most prompts_per_step=8"),
    ({"micro_batch": 0}, "micro_batch=0: must be"),
    ({"weight_decay": -0.1}, "weight_decay=-0.1: must be"),
    ({"entropy_bonus": math.nan}, "entropy_bonus=nan: must be"),
    ({"clip_gradient": 0}, "clip_gradient=0: must be"),
    ({"dynamic_sampling": -1}, "dynamic_sampling=-1: must be"),
    ({"reset_reference_every": 3}, "reset_reference_every=3: must be None where there is no reference"),
    ({"objective": rlvr.grpo(beta=0.1)}, "reference=None: must be True, since grpo has beta"),
]


@pytest.mark.parametrize(("wrong", "message"), REFUSED, ids=[next(iter(wrong)) for wrong, _ in REFUSED])
def test_bad_arguments_are_refused_at_the_call_in_one_line(wrong, message):
    model, tokenizer = toy.fresh()
    options = toy.SETTINGS | {"steps": 2, "reference": None, "objective": rlvr.grpo()} | wrong
    with pytest.raises(ValueError, match="^" + message) as caught:
        rlvr.train(model, tokenizer, toy.TASK, options.pop("objective"), **options)
    assert "\n" not in str(caught.value)


def test_held_out_means_held_out():
    model, tokenizer = toy.fresh()
    problems = toy.TASK.problems(4, seed=0)
    with pytest.raises(ValueError, match=r"^evaluation=.* held out"):
        rlvr.train(
            model,
            tokenizer,
            toy.TASK,
            rlvr.grpo(),
            steps=1,
            learning_rate=1,
            problems=problems,
            evaluation=problems[3:],
        )


def test_nothing_to_train():
    model, tokenizer = toy.fresh()
    model.requires_grad_(False)
    with pytest.raises(ValueError, match=r"^model: has no parameter"):
        rlvr.train(model, tokenizer, toy.TASK, rlvr.grpo(), steps=1, learning_rate=1e-3)


def test_one_completion_a_group_is_enough_where_groups_do_not_matter():
    for objective in (rlvr.reinforce(), rlvr.psr(), rlvr.nsr(), rlvr.w_reinforce()):
        steps, _ = train(1, objective, group_size=1)
        assert steps[1].metrics["gradient_norm"] > 0


def test_every_argument_is_explained():
    described = inspect.getdoc(rlvr.train)
    missing = [name for name in inspect.signature(rlvr.train).parameters if name not in described]
    assert set(missing) <= {"learning_rate", "seed", "tokenizer", "weight_decay"}, missing
