"""TRL's trainer with the kit's objectives against the kit's own learner: losses, weights, processes, runs.

A model of 0.03 M parameters and completions of a few words; plain SGD where weights are compared, since Adam moves a
weight by the learning rate however small its gradient is.
"""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from rlkit import paths
from rlkit.lm.rollouts import Rollouts, judge, sample, score_tokens
from rlkit.lm.tasks import Problem
from rlkit.rlvr import batches, objectives, updates
from rlkit.rlvr.objectives import Weights
from rlkit.runs import Run
from rlkit.widgets import Gauges, RewardCurves, SampleInspector, WhatIf
from tests.rlvr import toy

pytest.importorskip("trl")
from datasets import Dataset
from trl import GRPOConfig

from rlkit.rlvr import trl
from tests.rlvr import trl_two_processes as two

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Runs by name, and what TRL writes, go to a folder of the test."""
    monkeypatch.setattr(paths, "home", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)


def settings(rows=24, size=6, cuts=1, **options):
    usual = dict(
        output_dir="trl", use_cpu=True, bf16=False, report_to=[], disable_tqdm=True, save_strategy="no", max_steps=2,
        per_device_train_batch_size=rows // cuts, gradient_accumulation_steps=cuts, num_generations=size,
        max_completion_length=6, max_grad_norm=0.0, lr_scheduler_type="constant", gradient_checkpointing=False,
    )  # fmt: skip
    return GRPOConfig(**usual | options)


def build(objective, given, task=toy.LONGER, kind=trl.ObjectiveTrainer, problems=40, sgd=True, **options):
    """A trainer of the toy on (model, tokenizer), not yet trained; what is no argument of it goes to GRPOConfig."""
    own = {n: options.pop(n) for n in ("dynamic_sampling", "run", "log_rollouts_every", "callbacks") if n in options}
    if sgd:
        steps = torch.optim.SGD([p for p in given[0].parameters() if p.requires_grad], lr=two.SPEED)
        own["optimizers"] = (steps, torch.optim.lr_scheduler.LambdaLR(steps, lambda _: 1.0))
    data = trl.from_task(*given, task, task.problems(problems, seed=1))
    own = {"run": "toy", "log_rollouts_every": 1} | own
    return kind(**data, args=settings(**options), objective=objective, **own)


def trained(*arguments, **options):
    trainer = build(*arguments, **options)
    trainer.train()
    return trainer


def metric(run, name):
    return run.series(name)[1][:, 0].tolist()


def rows_of(run, step):
    return run.rollouts(step).to_dict("records")


def pack(tokenizer, prompts: list, completions: list, size: int, temperature: float) -> Rollouts:
    """Texts and token ids as Rollouts; logp is for the caller to fill."""
    from rlkit.lm import prefix

    prompt_ids, prompt_mask = prefix.encode(tokenizer, prompts)
    width = max(map(len, completions))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in completions])
    mask = torch.arange(width) < torch.tensor([len(row) for row in completions])[:, None]
    how = [""] * len(completions)
    return Rollouts(prompts, size, prompt_ids, prompt_mask, ids, mask, ids * 0.0, how, how, temperature, 1.0, 0)


def as_rollouts(tokenizer, rows: list, size: int, temperature: float) -> Rollouts:
    """Logged rows as the kit's Rollouts."""
    prompts = [row["prompt"] for row in rows[::size]]
    return pack(tokenizer, prompts, [row["token_ids"] for row in rows], size, temperature)


def own_step(model, rollouts, objective, weights, reference, limit=6) -> dict:
    """One step of the kit's learner, by plain SGD, without clipping."""
    trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
    step, groups = torch.optim.SGD(trainable.values(), lr=two.SPEED), range(len(rollouts.prompts))
    how = {"max_new_tokens": limit, "micro_batch": None, "entropy_bonus": 0.0, "clip_gradient": None}
    return updates.update(model, trainable, step, rollouts, objective, weights, reference, groups, **how)


def close(first, second, tolerance=1e-5):
    first, second = (dict(model.named_parameters()) for model in (first, second))
    for name, p in first.items():
        torch.testing.assert_close(
            p, second[name], rtol=0, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )


# ---- the same numbers as the kit's learner

OBJECTIVES = {
    "grpo": {"beta": 0.2},
    "dr_grpo": {"beta": 0.2, "kl": "k1", "kl_times_ratio": True},
    "dapo": {},
    "gspo": {},
    "cispo": {"cap": 1.1},
    "nsr": {},
    "w_reinforce": {},
    "nft": {},
    "reinforce": {"baseline": "batch"},
    "rloo": {},
}


def follow(trainer, model, updates_per_batch=1, size=6, temperature=0.8):
    """Repeat the training of `trainer` with the kit's learner on `model`, from the completions that were logged; the
    losses, norms, entropies and KL must agree at every step, and the weights at the end."""
    run, objective, tokenizer = trainer.run, trainer._rl, trainer.processing_class
    parameters = [p for p in model.parameters() if p.requires_grad]
    start = updates.snapshot(parameters)
    for step in range(1, run.last_step + 1):
        if (step - 1) % updates_per_batch == 0:
            rows = rows_of(run, step)
            rollouts = as_rollouts(tokenizer, rows, size, temperature)
            with torch.no_grad():
                rollouts = rollouts._replace(logp=score_tokens(model, rollouts))
            told = torch.cat([torch.tensor(row["logp_sampled"]) for row in rows])
            torch.testing.assert_close(told, rollouts.logp[rollouts.mask], rtol=1e-5, atol=1e-5)
            weights = objective.advantages(torch.tensor([row["reward"] for row in rows]).reshape(-1, size))
            assert [row["advantage"] for row in rows] == pytest.approx(weights.advantage.flatten().tolist())
            reference = None
            if objective.needs_reference:
                with updates.weights_of(parameters, start):
                    reference, _ = updates.scores(model, rollouts, None)
        with torch.no_grad():
            logp = score_tokens(model, rollouts)
        found = own_step(model, rollouts, objective, weights, reference)
        values = {name: metric(run, name)[step - 1] for name in ("loss", "gradient_norm", "ratio_min", "ratio_max")}
        assert values == {name: pytest.approx(found[name], abs=1e-5, rel=1e-5) for name in values}
        assert metric(run, "entropy")[step - 1] == pytest.approx(found["entropy"] / found["tokens"], abs=1e-5)
        assert metric(run, "clipped")[step - 1] == pytest.approx(found["clipped"], abs=1e-6)
        if reference is not None:
            kl = batches.kl(rollouts._replace(logp=logp), reference)
            assert metric(run, "kl")[step - 1] == pytest.approx(kl, abs=1e-5)
    close(trainer.model, model)


@pytest.mark.parametrize(("name", "cuts"), [*((name, 4) for name in OBJECTIVES), ("grpo", 1), ("dapo", 1), ("nsr", 1)])
def test_losses_and_weights_are_those_of_the_learner(name, cuts):
    objective = objectives.make(name, **OBJECTIVES[name])
    trainer = trained(objective, two.start(), cuts=cuts, temperature=0.8)
    assert trainer.run.last_step == 2 and 1.5 < np.mean(metric(trainer.run, "length")) <= 6
    assert max(metric(trainer.run, "gradient_norm")) > 0.01  # or all this would hold of nothing
    if objective.needs_reference:
        assert metric(trainer.run, "kl")[0] == pytest.approx(0, abs=1e-9) and metric(trainer.run, "kl")[-1] > 1e-3
    follow(trainer, two.start()[0])


@pytest.mark.parametrize("name", ["grpo", "gspo", "nft"])
def test_later_updates_on_a_batch_have_the_old_policy_before_the_first(name):
    objective = objectives.make(name, **OBJECTIVES[name])
    trainer = trained(objective, two.start(), cuts=2, num_iterations=2, max_steps=4, temperature=0.8)
    run = trainer.run
    assert [round(v, 5) for v in metric(run, "ratio_max")][::2] == [1, 1] and min(metric(run, "ratio_max")[1::2]) > 1.01
    assert run.series("reward")[0].tolist() == [1, 3] and metric(run, "updates") == [1, 2, 3, 4]
    assert sorted(run.rollouts()["step"].unique()) == [1, 3]
    follow(trainer, two.start()[0], updates_per_batch=2)


class Watched(trl.ObjectiveTrainer):
    """Keeps the micro-batches that it was dealt, as they are."""

    def _compute_loss(self, model, inputs):
        self.dealt = [*getattr(self, "dealt", []), inputs]
        return super()._compute_loss(model, inputs)


def test_a_batch_of_several_optimizer_steps_has_a_normaliser_for_each():
    objective = objectives.nsr()  # whose normaliser counts the tokens of the wrong completions alone
    how = {"rows": 24, "cuts": 2, "per_device_train_batch_size": 4, "steps_per_generation": 6, "max_steps": 6}
    trainer = trained(objective, two.start(), kind=Watched, temperature=0.8, **how)
    tokenizer, (model, _) = trainer.processing_class, two.start()
    assert trainer.run.series("reward")[0].tolist() == [1, 4] and len(trainer.dealt) == 12
    ids = [row["token_ids"] for row in rows_of(trainer.run, 1)]
    found = [r[m.bool()].tolist() for d in trainer.dealt[:6] for r, m in zip(d["completion_ids"], d["completion_mask"])]  # noqa: B905
    assert sorted(found) == sorted(ids)
    for step in range(6):
        pair = trainer.dealt[2 * step : 2 * step + 2]

        def texts(name, pair=pair):
            return [
                r[m.bool()].tolist() for d in pair for r, m in zip(d[f"{name}_ids"], d[f"{name}_mask"], strict=True)
            ]

        rollouts = pack(tokenizer, [tokenizer.decode(p) for p in texts("prompt")], texts("completion"), 1, 0.8)
        old = torch.zeros(rollouts.mask.shape)
        flat = torch.cat([d["old_per_token_logps"][d["completion_mask"].bool()] for d in pair])
        rollouts = rollouts._replace(logp=old.masked_scatter(rollouts.mask, flat))
        weights = Weights(*(torch.cat([d[name] for d in pair])[:, None] for name in Weights._fields))
        report = own_step(model, rollouts, objective, weights, None)
        assert metric(trainer.run, "loss")[step] == pytest.approx(report["loss"], abs=1e-5)
    assert max(metric(trainer.run, "ratio_max")) > 1.01  # the second and third step are off-policy
    close(trainer.model, model)


def test_an_adapter_has_the_start_as_its_reference_and_the_base_stays():
    trainer = trained(objectives.grpo(beta=0.2), adapted(), cuts=2, temperature=0.8, max_steps=4)
    assert metric(trainer.run, "kl")[0] == pytest.approx(0, abs=1e-9) and metric(trainer.run, "kl")[-1] > 1e-4
    base = two.start()[0].get_input_embeddings().weight
    assert torch.equal(trainer.model.get_base_model().get_input_embeddings().weight, base)
    follow(trainer, adapted()[0])


def adapted():
    model, tokenizer = two.start()
    return toy.adapted(model, r=8, lora_alpha=64, lora_dropout=0.5), tokenizer


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.0, 0.2])
def test_4_bit_weights_give_the_adapter_the_gradient_of_the_learner(tmp_path, beta):
    pytest.importorskip("bitsandbytes")
    model, _ = two.start()
    model.save_pretrained(tmp_path / "model")
    four = dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)

    def fresh():
        quantized = transformers.BitsAndBytesConfig(**four)
        read = transformers.AutoModelForCausalLM.from_pretrained
        loaded = read(tmp_path / "model", quantization_config=quantized, device_map="cpu")
        return toy.adapted(loaded, r=8, lora_alpha=64), toy.fresh()[1]

    given = fresh()
    stored = {n: p.detach().clone() for n, p in given[0].named_parameters() if not p.requires_grad}
    assert any(p.dtype == torch.uint8 for p in stored.values())
    trainer = trained(objectives.grpo(beta=beta), given, cuts=2, temperature=0.8, max_steps=4)
    trainable = [p for p in trainer.model.parameters() if p.requires_grad]
    assert {p.dtype for p in trainable} == {torch.float32}  # TRL would have made them bf16
    assert min(metric(trainer.run, "gradient_norm")) > 0.01
    assert all(torch.equal(p, stored[n]) for n, p in trainer.model.named_parameters() if n in stored)
    follow(trainer, fresh()[0])


@pytest.mark.parametrize("checkpointing", [False, True])
def test_dropout_is_off_and_checkpointing_changes_nothing(checkpointing):
    given = two.start()
    for layer in given[0].model.layers:
        layer.self_attn.attention_dropout = 0.5
    trainer = trained(objectives.grpo(), given, cuts=2, gradient_checkpointing=checkpointing, temperature=0.8)
    follow(trainer, two.start()[0])


@pytest.mark.parametrize("bf16", [False, True])
def test_what_sampled_is_what_scores(bf16, monkeypatch):
    (model, tokenizer), drawn = toy.fresh(), []
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(5)  # a distribution far from flat, so that bf16 would show
    model = toy.adapted(model, init_lora_weights=False)  # accelerate's own switch to bf16 does not reach its generate
    trainer = build(objectives.grpo(), (model, tokenizer), temperature=0.8, bf16=bf16, max_steps=1)
    generate = trainer.model.generate

    def watched(**options):
        found = generate(**options, output_scores=True, return_dict_in_generate=True)
        drawn[:] = [step.float().log_softmax(-1) for step in found.scores]
        return found.sequences

    monkeypatch.setattr(trainer.model, "generate", watched)
    trainer.train()
    for i, row in enumerate(rows_of(trainer.run, 1)):
        sampled = [drawn[t][i, token].item() for t, token in enumerate(row["token_ids"])]
        assert row["logp_sampled"] == pytest.approx(sampled, abs=1e-5)


def test_learned_positions_do_not_count_the_padding():
    """Regression: TRL scores rows behind padding at other positions than generate sampled them at."""
    _, tokenizer = toy.fresh()
    ends = dict(eos_token_id=tokenizer.eos_token_id, bos_token_id=None, pad_token_id=tokenizer.pad_token_id)
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_positions=64, n_embd=16, n_layer=1, n_head=2, initializer_range=0.3, **ends
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.GPT2LMHeadModel(config)
    prompts = ["7 :", "7 8 9 10 11 12 13 14 15 :", "1 2 3 :", "4 :"]
    data = Dataset.from_dict({"prompt": prompts})
    how = settings(size=6, max_steps=1, learning_rate=0.0)
    reward = lambda completions, **_: [float(len(text)) for text in completions]  # noqa: E731
    trainer = trl.ObjectiveTrainer(
        model, reward, how, data, tokenizer, objective=objectives.grpo(), run="x", log_rollouts_every=1
    )
    trainer.train()
    model.eval()
    with torch.no_grad():
        for row in rows_of(trainer.run, 1):
            ids = torch.tensor([tokenizer(row["prompt"])["input_ids"] + row["token_ids"]])
            logp = model(input_ids=ids).logits[0].log_softmax(-1)[:-1].gather(1, ids[0, 1:, None])[:, 0]
            assert row["logp_sampled"] == pytest.approx(logp[-len(row["token_ids"]) :].tolist(), abs=1e-5)


def test_the_same_seed_gives_the_same_bits():
    first, second, other = (
        trained(objectives.dapo(), two.start(), dynamic_sampling=1, size=3, rows=12, sgd=False, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first.run.metrics().equals(second.run.metrics()) and rows_of(first.run, 2) == rows_of(second.run, 2)
    assert toy.same(toy.weights(first.model), toy.weights(second.model))
    assert not toy.same(toy.weights(first.model), toy.weights(other.model))


# ---- several processes


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    root = str(Path(two.__file__).parents[2])
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", two.__file__]
    environment = os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    subprocess.run([*launch, str(tmp_path)], env=environment, check=True, timeout=500, cwd=root)
    assert (tmp_path / "done-0").exists() and (tmp_path / "done-1").exists()
    for name in list(two.CASES)[:3]:
        folder, case = tmp_path / "alone" / name, two.CASES[name]
        folder.mkdir(parents=True)
        alone, shared = two.train(folder, name, processes=1).run, Run.load(tmp_path / name / "run")
        assert len(shared.rollouts()) == len(alone.rollouts()) > 0
        for one, other in zip(alone.rollouts().to_dict("records"), shared.rollouts().to_dict("records"), strict=True):
            assert one["token_ids"] == other["token_ids"] and one["prompt"] == other["prompt"]
            assert one["advantage"] == pytest.approx(other["advantage"])
        for metric_ in alone.metric_names:
            assert metric(shared, metric_) == pytest.approx(metric(alone, metric_), abs=1e-5), metric_
        assert max(metric(alone, "gradient_norm")) > 0.01 and "objective" in case
        first, second = (load_file(f / "weights.safetensors") for f in (folder, tmp_path / name))
        start = toy.weights(two.start()[0])
        assert max((first[n] - start[n]).abs().max() for n in first) > 1e-3
        for n in first:
            torch.testing.assert_close(first[n], second[n], rtol=0, atol=1e-5)
    dynamic = Run.load(tmp_path / "dynamic sampling" / "run")
    for step in (1, 2):
        rewards = dynamic.rollouts(step)["reward"].to_numpy().reshape(8, 3)
        assert (rewards.min(1) < rewards.max(1)).all()
    assert all(g > 8 and g % 8 == 0 for g in metric(dynamic, "groups"))


# ---- it learns; dynamic sampling


@pytest.mark.parametrize("name", ["grpo", "nsr"])
def test_it_reaches_the_optimum_of_the_toy(name):
    how = {"rows": 64, "size": 8, "cuts": 2, "max_steps": 18, "max_completion_length": 2}
    how |= {"max_grad_norm": 1.0, "learning_rate": 0.02, "log_rollouts_every": None}
    trainer = trained(objectives.make(name), toy.fresh(), toy.TASK, problems=160, sgd=False, **how)
    rewards = metric(trainer.run, "reward")
    assert len(rewards) == 18 and 0.1 < np.mean(rewards[:3]) < 0.5 and np.mean(rewards[-3:]) > 0.9
    assert trainer.run.state == "finished" and not len(trainer.run.rollouts())


@pytest.mark.parametrize("size", [3, 6])
def test_dynamic_sampling_leaves_no_dead_group_and_counts_every_token(size):
    how = {"rows": 24, "size": size, "cuts": 2, "max_completion_length": 2, "sgd": False, "learning_rate": 0.01}
    plain = trained(objectives.dapo(), toy.fresh(), toy.TASK, run="plain", **how).run
    trainer = trained(objectives.dapo(), toy.fresh(), toy.TASK, dynamic_sampling=8, **how)
    run, tokens = trainer.run, 0
    assert max(metric(plain, "dead_groups")) > 0 and "groups" not in plain.metric_names
    for step in (1, 2):
        found = run.rollouts(step)
        rewards = found["reward"].to_numpy().reshape(24 // size, size)
        assert (rewards.min(1) < rewards.max(1)).all()
        assert all(found["group"] == np.repeat(np.arange(24 // size), size))
        groups, dead = (metric(run, name)[step - 1] for name in ("groups", "dead_groups"))
        assert groups % (24 // size) == 0 and groups * (1 - dead) >= 24 // size and 0 <= dead < 1
        tokens += groups * size * metric(run, "length")[step - 1]
        assert metric(run, "tokens")[step - 1] == pytest.approx(tokens)
    assert max(metric(run, "groups")) > 24 // size
    assert set(run.rollouts()["problem"]) <= set(trainer.train_dataset["problem"])


def test_groups_that_stay_dead_leave_the_loss():
    never = toy.TASK.with_weights(correct=0.0)
    how = {"rows": 24, "size": 3, "dynamic_sampling": 2, "max_completion_length": 2, "sgd": False}
    trainer = trained(objectives.nsr(), toy.fresh(), never, learning_rate=0.01, **how)  # nsr would take wrong answers
    assert metric(trainer.run, "groups") == [24, 24] and metric(trainer.run, "dead_groups") == [1, 1]
    assert metric(trainer.run, "loss") == [0, 0] and metric(trainer.run, "gradient_norm") == [0, 0]
    assert not len(trainer.run.rollouts()) and toy.same(toy.weights(trainer.model), toy.weights(toy.fresh()[0]))
    plain = trained(objectives.nsr(), toy.fresh(), never, **how | {"dynamic_sampling": 0}, learning_rate=0.01)
    assert metric(plain.run, "gradient_norm")[0] > 0.01


def test_what_remains_of_a_batch_is_weighed_as_if_the_rest_had_not_been_sampled():
    """The baseline of the batch, and the normaliser, are those of the groups with a signal."""
    objective, how = objectives.reinforce(baseline="batch"), {"rows": 24, "size": 2, "dynamic_sampling": 1}
    trainer = trained(objective, two.start(), temperature=0.8, **how)
    rows = rows_of(trainer.run, 1)
    assert 0 < len(rows) < 24 and metric(trainer.run, "groups")[0] == 24
    follow(trainer, two.start()[0], size=2)


# ---- tasks, prompts, runs


def test_rewards_are_those_of_the_task_judged_as_the_kit_does():
    task = toy.LONGER.with_weights(correct=0.7, format=0.2)
    model, tokenizer = two.start()
    problems = task.problems(12, seed=3)
    drawn = judge(sample(model, tokenizer, problems, 4, 6, seed=1), task, problems)
    ids = [row[m].tolist() for row, m in zip(drawn.ids, drawn.mask, strict=True)]
    given = trl.from_task(model, tokenizer, task, problems)
    data, index = given["train_dataset"], [i for i in range(12) for _ in range(4)]
    assert data["prompt"][:] == [p.prompt for p in problems] and data["problem"][:] == [p.id for p in problems]
    found = {f.__name__: f(completion_ids=ids, index=index) for f in given["reward_funcs"]}
    assert {n: v.flatten().tolist() for n, v in drawn.reward_parts.items()} == found
    assert {f.__name__: f.reward_weight for f in given["reward_funcs"]} == {"correct": 0.7, "format": 0.2}
    with pytest.raises(ValueError, match=r"^problems=\[\]: must be at least one problem$"):
        trl.from_task(model, tokenizer, task, [])


def test_each_completion_is_verified_once_and_the_text_is_what_was_sampled():
    seen = []
    task = toy.LONGER.with_weights(format=0.5)
    watched = type(task)(
        **vars(task) | {"parts": lambda problem, text: (seen.append(text), toy.parts(problem, text))[1]}
    )
    trainer = trained(objectives.grpo(), two.start(), watched, max_steps=1)
    rows = rows_of(trainer.run, 1)
    assert seen[1:] == [row["completion"] for row in rows]  # the first call asks for the names of the parts
    for row in rows:
        parts = toy.parts(Problem("", "", {}), row["completion"])
        assert row["reward_parts"] == parts and row["reward"] == parts["correct"] + 0.5 * parts["format"]
    assert {row["finish_reason"] for row in rows} == {"stop", "length"}
    assert metric(trainer.run, "truncated")[0] == np.mean([row["finish_reason"] == "length" for row in rows])
    for name in ("correct", "format"):
        assert metric(trainer.run, f"reward_{name}")[0] == np.mean([row["reward_parts"][name] for row in rows])
    assert metric(trainer.run, "length")[0] == np.mean([len(row["token_ids"]) for row in rows])


def test_reward_functions_of_ones_own_and_one_that_does_not_apply():
    def short(completions, **_):
        return [1.0 if len(text) < 12 else 0.0 for text in completions]

    def seldom(completions, **_):
        return [1.0 if i % 2 else None for i in range(len(completions))]

    model, tokenizer = two.start()
    data = Dataset.from_dict({"prompt": ["1 2 :", "3 4 :", "5 6 :", "7 8 :"]})
    how = settings(max_steps=1, reward_weights=[1.0, 0.5], log_completions=True)
    objective = objectives.rloo()
    trainer = trl.ObjectiveTrainer(
        model, [short, seldom], how, data, tokenizer, objective=objective, run="own", log_rollouts_every=1
    )
    trainer.train()
    rows = rows_of(trainer.run, 1)
    for i, row in enumerate(rows):
        assert row["reward"] == row["reward_parts"]["short"] + (0.5 if i % 2 else 0.0) and row["problem"] is None
    assert metric(trainer.run, "reward_seldom") == [1.0]
    wanted = objective.advantages(torch.tensor([row["reward"] for row in rows]).reshape(4, 6)).advantage.flatten()
    assert list(trainer._logs["advantages"]) == pytest.approx(wanted.tolist())  # TRL's table, too


TEMPLATE = (
    "{% for message in messages %}? {{ message['content'] }} ;{% endfor %}{% if add_generation_prompt %} A :{% endif %}"
)


def test_a_task_goes_through_the_chat_template():
    model, tokenizer = two.start()
    tokenizer.chat_template = TEMPLATE.replace("?", "suppose")
    trainer = trained(objectives.grpo(), (model, tokenizer), max_steps=1)
    problems = toy.LONGER.problems(40, seed=1)
    assert trainer.train_dataset["prompt"][0] == [{"role": "user", "content": problems[0].prompt}]
    asked = {p.id: f"suppose {p.prompt} ; A :" for p in problems}
    assert all(row["prompt"] == asked[row["problem"]] for row in rows_of(trainer.run, 1))
    assert max(metric(trainer.run, "reward_correct")) > 0  # the content of a message is what is judged
    made = [p._replace(prompt=asked[p.id]) for p in problems]
    assert trl.from_task(model, tokenizer, toy.LONGER, made)["train_dataset"]["prompt"][0] == made[0].prompt


def test_a_text_that_would_skip_the_chat_template_is_refused():
    model, tokenizer = two.start()
    tokenizer.chat_template = TEMPLATE
    made = tokenizer.apply_chat_template([{"role": "user", "content": "1"}], tokenize=False, add_generation_prompt=True)
    with pytest.raises(
        ValueError, match=r"^train_dataset\['prompt'\]\[1\]='2 :': must be messages, .*chat template"
    ) as e:
        prompts(model, tokenizer, [made, "2 :", made, made])
    assert "\n" not in str(e.value)
    prompts(model, tokenizer, [made] * 4)
    tokenizer.chat_template = None
    with pytest.raises(
        ValueError, match=r"^train_dataset\['prompt'\]\[0\]=.*: must be a text: the tokenizer has no chat"
    ):
        prompts(model, tokenizer, [[{"role": "user", "content": "1"}]] * 4)


def test_a_second_bos_is_refused():
    from tests.lm.test_rollouts import TemplateProcessing, words

    processor = TemplateProcessing(single="a $A", special_tokens=[("a", 3)])
    tokenizer = words(bos="a", processor=processor)
    with pytest.raises(ValueError, match=r"^train_dataset\['prompt'\]\[0\]='a b': must be without its 'a': .* two$"):
        prompts(None, tokenizer, ["a b"] * 4)


def prompts(model, tokenizer, texts: list):
    data, reward = Dataset.from_dict({"prompt": texts}), lambda completions, **_: [0.0] * len(completions)
    return trl.ObjectiveTrainer(model, reward, settings(), data, tokenizer, objective=objectives.grpo())


def test_widgets_show_the_run():
    trainer = trained(objectives.grpo(beta=0.1), two.start(), num_iterations=2, max_steps=4, cuts=2)
    run = Run.load(trainer.run.path)
    assert run.config["objective"] == objectives.describe(objectives.grpo(beta=0.1))
    assert run.config["max_new_tokens"] == 6 and run.config["steps"] == 4 and run.state == "finished"
    reward = metric(run, "reward")[-1]
    assert f"{reward:.3g}" in RewardCurves(run, metric="reward").to_html()
    rack = Gauges(run)
    readings = rack.readings()
    assert not [name for name, reading in readings.items() if "not logged" in reading.state]
    assert all(f"<b>{name}</b>" in rack.to_html() for name in readings)
    page = SampleInspector(run).to_html()
    row = rows_of(run, 3)[0]
    assert row["prompt"] in page and "24 completions in 4 groups" in page and "KL to the reference" in page
    assert row["reward"] == 1 and f"{row['advantage']:+.3g}" in page
    what = WhatIf(run).to_html()
    assert "cannot be computed" not in what and "grpo" in what and "stands in for it" not in what
    assert "The advantages stored by the run equal those recomputed here" in what


def test_epochs_are_counted_into_steps():
    how = {
        "max_steps": -1,
        "num_train_epochs": 2,
        "problems": 9,
        "num_iterations": 2,
        "cuts": 2,
        "log_rollouts_every": 3,
    }
    run = trained(objectives.grpo(), two.start(), **how).run
    assert run.config["steps"] == run.last_step == 8 and run.state == "finished"  # 2 batches of 4 prompts an epoch
    assert sorted(run.rollouts()["step"].unique()) == [1, 3, 5, 7]  # first steps of the batches with 1, 3, 6 and 8


def test_a_run_is_whole_after_an_error_in_a_reward():
    calls = []

    def parts(problem, completion):
        calls.append(completion)
        if len(calls) > 1 + 24 * 2 + 5:
            raise RuntimeError("the judge is <b>ill</b>")
        return toy.parts(problem, completion)

    task = type(toy.LONGER)(**vars(toy.LONGER) | {"parts": parts})
    trainer = build(objectives.grpo(), two.start(), task, max_steps=5)
    with pytest.raises(RuntimeError, match="the judge is <b>ill</b>"):
        trainer.train()
    run = Run.load(trainer.run.path)
    assert run.state == "failed" and run.error == "RuntimeError: the judge is <b>ill</b>"
    assert run.last_step == 2 and len(run.rollouts()) == 48
    assert "&lt;b&gt;ill" in RewardCurves(run).to_html() and "<b>ill" not in RewardCurves(run).to_html()


def test_a_reward_that_is_no_number_and_a_loss_that_is_not_finite_end_the_run():
    task = type(toy.LONGER)(
        **vars(toy.LONGER) | {"parts": lambda *_: {"correct": float("nan"), "format": float("nan")}}
    )
    trainer = build(objectives.grpo(), two.start(), task)
    with pytest.raises(ValueError, match=r"^rewards\[0, 0\]=nan: must be finite$"):
        trainer.train()
    assert trainer.run.state == "failed"
    objective = objectives.grpo()
    broken = objective._replace(loss=lambda *a: (objective.loss(*a)[0] * float("nan"), objective.loss(*a)[1]))
    trainer = build(broken, two.start(), run=None)
    with pytest.raises(FloatingPointError, match=r"^loss=nan at step 1: must be finite$"):
        trainer.train()
    assert trainer.run is None


# ---- arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss_type": "grpo"}, r"args\.loss_type='grpo': must be left at 'dapo': nsr takes its place; .*"),
        ({"beta": 0.04}, r"args\.beta=0\.04: must be left at 0\.0: nsr takes its place; .*"),
        ({"epsilon_high": 0.28}, r"args\.epsilon_high=0\.28: must be left at None: .*"),
        ({"scale_rewards": "none"}, r"args\.scale_rewards='none': must be left at 'group': .*"),
        ({"entropy_coef": 0.1}, r"args\.entropy_coef=0\.1: must be left at 0\.0: .*"),
        ({"top_p": 0.9}, r"args\.top_p=0\.9: must be 1\.0: the loss is about the whole distribution .*"),
        ({"top_k": 50}, r"args\.top_k=50: must be 0: .*"),
        ({"min_p": 0.1}, r"args\.min_p=0\.1: must be None: .*"),
        ({"repetition_penalty": 1.1}, r"args\.repetition_penalty=1\.1: must be 1\.0: .*"),
        ({"generation_kwargs": {"typical_p": 0.9}}, r"args\.generation_kwargs=.*: must be None: .*"),
        ({"temperature": 0.0}, r"args\.temperature=0\.0: must be a finite number above 0"),
        ({"max_completion_length": None}, r"args\.max_completion_length=None: must be a positive integer"),
        ({"cuts": 2, "steps_per_generation": 3}, r"args\.steps_per_generation=3: must be a multiple of .*=2: .*"),
        ({"dynamic_sampling": -1}, r"dynamic_sampling=-1: must be an integer of at least 0"),
        ({"log_rollouts_every": 0}, r"log_rollouts_every=0: must be a positive integer"),
        ({"problems": 3}, r"len\(train_dataset\)=3: must be at least 4, the prompts of one batch of completions"),
        ({"objective": "nsr"}, r"objective='nsr': must be one of rlkit\.rlvr\.objectives, such as objectives\.nsr\(\)"),
        ({"run": "a b"}, r"name='a b': must be 1 to 100 letters.*"),
    ],
)
def test_bad_arguments(options, message):
    objective = options.pop("objective", objectives.nsr())
    with pytest.raises(ValueError, match=f"^{message}$") as error:
        build(objective, two.start(), **options)
    assert "\n" not in str(error.value)


def test_neutral_settings_and_those_of_trl_itself_pass():
    how = {"top_k": 0, "min_p": 0.0, "generation_kwargs": {}, "steps_per_generation": 4, "cuts": 2, "rows": 24}
    build(objectives.nsr(), two.start(), per_device_train_batch_size=6, **how)


def test_bad_data():
    model, tokenizer = two.start()
    reward, how = (lambda completions, **_: [0.0] * len(completions)), {"objective": objectives.grpo()}
    for data in ([{"prompt": "1"}] * 4, Dataset.from_dict({"text": ["1"] * 4})):
        with pytest.raises(ValueError, match=r"^train_dataset=.*: must be a datasets.Dataset with a column prompt$"):
            trl.ObjectiveTrainer(model, reward, settings(), data, tokenizer, **how)
    with pytest.raises(ValueError, match=r"^args=None: must be a trl.GRPOConfig$"):
        trl.ObjectiveTrainer(model, reward, None, data, tokenizer, **how)
    data = Dataset.from_dict({"prompt": ["1"] * 4, "image": ["x"] * 4})
    with pytest.raises(ValueError, match=r"^train_dataset\.column_names=.*: must be without 'image': only text.*$"):
        trl.ObjectiveTrainer(model, reward, settings(), data, tokenizer, **how)
    data = Dataset.from_dict({"prompt": ["1"] * 4})
    with pytest.raises(ValueError, match=r"^reward_funcs=.*: must be functions of different names.*$"):
        trl.ObjectiveTrainer(model, [reward, reward], settings(), data, tokenizer, **how)


def test_a_group_that_lies_on_two_processes_cannot_be_exchanged():
    args = settings(rows=24, size=8)
    args.per_device_train_batch_size = 12  # as each of two processes has it
    model, tokenizer = two.start()
    given = trl.from_task(model, tokenizer, toy.LONGER, toy.LONGER.problems(9, seed=1))
    with pytest.raises(
        ValueError, match=r"^dynamic_sampling=1: must be 0 where the 12 completions .*num_generations=8$"
    ):
        trl.ObjectiveTrainer(**given, args=args, objective=objectives.dapo(), dynamic_sampling=1)


def test_without_trl_one_line_says_what_to_install(monkeypatch):
    for name in ("rlkit.rlvr.trl", "rlkit.rlvr.trl_scorer"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(ImportError, match=r'^rlkit\.rlvr\.trl needs trl: pip install "rlkit-notebooks\[trl\]"$'):
        importlib.import_module("rlkit.rlvr.trl")


def test_the_users_own_arguments_are_left_as_they_are():
    args, (model, tokenizer) = settings(), two.start()
    before = json.dumps(args.to_dict(), default=str, sort_keys=True)
    given = trl.from_task(model, tokenizer, toy.LONGER, toy.LONGER.problems(9, seed=1))
    trainer = trl.ObjectiveTrainer(**given, args=args, objective=objectives.grpo(beta=0.1))
    assert json.dumps(args.to_dict(), default=str, sort_keys=True) == before
    assert trainer.args.reward_weights == [1.0, 0.0]
