"""TRL's trainers of preferences on the kit's models: what they are fed, what they train, what they log.

A model of 0.03 M parameters whose <eos> has the padding's id.
"""

import copy

import pytest
import torch

from rlkit import lm, paths, rlhf
from rlkit.rlhf import preferences
from rlkit.runs import Run

trl = pytest.importorskip("trl")
from transformers import Qwen3ForSequenceClassification, TrainerCallback  # noqa: E402

from rlkit.rlhf import trl as ours  # noqa: E402
from rlkit.rlhf import trl_rows  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

LENGTH = 5
TEMPLATE = "{% for m in messages %}{{ m['content'] }} {% endfor %}{% if add_generation_prompt %}very{% endif %}"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Runs by name, and what TRL writes, go to a folder of the test; nothing is sent anywhere."""
    monkeypatch.setattr(paths, "home", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", lambda *_, **__: pytest.fail("something was sent"))


@pytest.fixture(scope="module")
def rows():
    model, tokenizer = lm.load("xs-style")
    task = lm.tasks.style()
    return preferences.label(task, *preferences.pairs(model, tokenizer, task, 48, seed=1), noise=0.25, seed=1)


def settings(kind, **options):
    usual = dict(output_dir="trl", use_cpu=True, bf16=False, report_to=[], disable_tqdm=True, save_strategy="no")
    usual |= {"gradient_checkpointing": False, "lr_scheduler_type": "constant", "learning_rate": 3e-3, "max_steps": 3}
    return kind(**usual | {"per_device_train_batch_size": 48, "logging_steps": 2} | options)


def scorer(**how):
    model, tokenizer = lm.load("xs-style", **how)
    return rlhf.RewardModel(model, tokenizer, max_new_tokens=LENGTH)


def by_reward(rows, model=None, held_out=None, run="reward", callbacks=None, **options):
    args = settings(trl.RewardConfig, **options)
    return ours.RewardTrainer(model or scorer(), rows, args, held_out=held_out, run=run, callbacks=callbacks)


def by_dpo(rows, given=None, held_out=None, run="dpo", callbacks=None, **options):
    args, given = settings(trl.DPOConfig, beta=0.2, **options), given or lm.load("xs-style")
    how = {"held_out": held_out, "run": run, "callbacks": callbacks, "max_new_tokens": LENGTH}
    return ours.DPOTrainer(*given, rows, args, **how)


def trained(trainer):
    trainer.train()
    return trainer


def series(run, name):
    return run.series(name)[1][:, 0].tolist()


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


# ---- what they are fed


def test_they_are_fed_the_tokens_that_were_sampled():
    model, tokenizer = lm.load("xs-style")
    drawn = lm.sample(model, tokenizer, ["moon sings", "cat sleeps"], 8, LENGTH, seed=0)
    assert set(drawn.finish) == {"stop", "length"}
    own = [drawn.ids[i][drawn.mask[i]].tolist() for i in range(16)]
    rows = [
        {"prompt": drawn.prompts[i // 8], "chosen": drawn.text[i], "rejected": drawn.text[i + 1]} for i in range(15)
    ]
    prompts = [tokenizer(text)["input_ids"] for text in drawn.prompts]
    for joined in (False, True):
        given = trl_rows.encoded(tokenizer, rows, LENGTH, joined=joined, longest=None)
        for i, row in enumerate(given):
            ahead = prompts[i // 8] if joined else []
            expected = {"prompt_ids": prompts[i // 8], "chosen_ids": ahead + own[i], "rejected_ids": ahead + own[i + 1]}
            assert row == expected
    batch = next(iter(by_dpo(rows).get_train_dataloader()))
    assert batch["completion_mask"].sum() == sum(map(len, own[:15] + own[1:]))  # no <eos> is taken for padding


def test_messages_go_through_the_chat_template_and_a_text_that_would_skip_it_is_refused():
    _, tokenizer = lm.load("xs-style")
    text = {"prompt": "moon sings", "chosen": "the moon sings", "rejected": "old"}
    sides = {side: [{"role": "assistant", "content": text[side]}] for side in ("chosen", "rejected")}
    talk = {"prompt": [{"role": "user", "content": "moon sings"}], **sides}
    with pytest.raises(ValueError, match=r"rows\[0\]\['prompt'\]=.*: must be a text: .* no chat template"):
        trl_rows.texts(tokenizer, [talk])
    assert trl_rows.texts(tokenizer, [text | {"seconds": 2.0}]) == [text]
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = TEMPLATE
    assert trl_rows.texts(tokenizer, [talk]) == [text | {"prompt": "moon sings very"}]
    with pytest.raises(ValueError, match=r"rows\[1\]\['prompt'\]='moon sings': must be messages.* skips"):
        trl_rows.texts(tokenizer, [talk, text])
    assert trl_rows.texts(tokenizer, [text | {"prompt": "moon sings very"}])[0]["prompt"] == "moon sings very"
    two = talk | {"chosen": talk["chosen"] * 2}
    with pytest.raises(ValueError, match=r"rows\[0\]\['chosen'\]=.*: must be a text, or one message"):
        trl_rows.texts(tokenizer, [two])


def test_the_reward_is_read_at_the_sampled_end_where_transformers_reads_one_token_too_early():
    model, tokenizer = lm.load("xs-style")
    mine = rlhf.RewardModel(model, tokenizer, max_new_tokens=LENGTH)
    torch.nn.init.normal_(mine.head, generator=torch.Generator().manual_seed(0))
    drawn = lm.sample(model, tokenizer, ["moon sings"], 32, LENGTH, seed=0)
    whole = [torch.cat([drawn.prompt_ids[0], row[mask]]) for row, mask in zip(drawn.ids, drawn.mask, strict=True)]
    ids = torch.nn.utils.rnn.pad_sequence(whole, batch_first=True)
    mask = (torch.arange(ids.shape[1]) < torch.tensor([len(row) for row in whole])[:, None]).long()
    with torch.no_grad():
        found = ours.Classifier(mine)(ids, mask).logits[:, 0]
        theirs = Qwen3ForSequenceClassification(ours.Classifier(mine).config)
        theirs.model, theirs.score.weight.data = mine.body, mine.head.data[None]
        early = theirs(input_ids=ids, attention_mask=mask).logits[:, 0]
    torch.testing.assert_close(found, mine.rewards(drawn)[0], rtol=0, atol=1e-5)
    ended = torch.tensor([how == "stop" for how in drawn.finish])
    assert ended.any() and not ended.all()
    torch.testing.assert_close(early[~ended], found[~ended], rtol=0, atol=1e-5)
    assert (early - found)[ended].abs().min() > 1e-3


# ---- what they train


def close(run, steps, names):
    for name in names:
        expected = [step.metrics[name] for step in steps if name in step.metrics]
        assert series(run, name) == pytest.approx(expected, rel=1e-5, abs=1e-5), name


def test_reward_trainer_makes_the_steps_of_the_kits_own_fit(rows):
    mine, theirs = scorer(), scorer()
    torch.nn.init.normal_(mine.head, generator=torch.Generator().manual_seed(0))
    theirs.load_state_dict(mine.state_dict())
    run = trained(by_reward(rows, theirs)).run
    steps = list(rlhf.fit_reward(mine, rows, steps=3, learning_rate=3e-3, batch=48))
    close(run, steps, ["loss", "accuracy", "margin", "gradient_norm"])
    for name, p in mine.named_parameters():
        torch.testing.assert_close(theirs.get_parameter(name), p, rtol=0, atol=1e-4, msg=name)


@pytest.mark.parametrize("lora", [None, 4])
def test_dpo_trainer_makes_the_steps_of_the_kits_own_dpo(rows, lora):
    mine, theirs = (lm.load("xs-style", lora=lora, seed=3) for _ in range(2))
    run = trained(by_dpo(rows, theirs)).run
    how = {"beta": 0.2, "steps": 3, "learning_rate": 3e-3, "batch": 48, "max_new_tokens": LENGTH}
    steps = list(rlhf.dpo(*mine, rows, **how))
    close(run, steps, ["loss", "margin", "chosen_change", "rejected_change", "gradient_norm"])
    found, expected = series(run, "accuracy"), [step.metrics["accuracy"] for step in steps]
    assert found == pytest.approx([0.0, *expected[1:]], abs=1e-6) and expected[0] == 0.5  # at first all are ties
    for name, p in mine[0].named_parameters():
        torch.testing.assert_close(theirs[0].get_parameter(name), p, rtol=0, atol=1e-4, msg=name)
    assert run.config["loss"] == "sigmoid" and run.config["batch"] == 48 and run.config["steps"] == 3


def test_the_reference_is_the_policy_as_it_was_given(rows):
    """Not what its folder holds, nor a base whose adapter has learned already."""
    model, tokenizer = lm.load("xs-style")
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1.1)
    trainer = trained(by_dpo(rows, (model, tokenizer)))
    assert series(trainer.run, "loss")[0] == pytest.approx(0.693147, abs=1e-6)
    given = lm.load("xs-style", lora=4)
    assert list(trained(by_dpo(rows, given)).model.peft_config) == ["default"]  # new: switched off, no copy
    again = trained(by_dpo(rows, given))
    loss = series(again.run, "loss")
    assert loss[0] == pytest.approx(0.693147, abs=1e-6) and loss[2] < loss[0] - 1e-3
    assert sorted(again.model.peft_config) == ["default", "ref"]


def test_same_seed_same_bits_and_other_order_with_another(rows):
    def losses(seed):
        return series(trained(by_dpo(rows[:24], per_device_train_batch_size=8, seed=seed)).run, "loss")

    assert losses(1) == losses(1) != losses(2)


@pytest.mark.parametrize("build", [by_reward, by_dpo])
def test_a_step_does_not_depend_on_micro_batches(rows, build):
    whole, cut = (
        trained(build(rows, per_device_train_batch_size=48 // cuts, gradient_accumulation_steps=cuts)).run
        for cuts in (1, 4)
    )
    for name in ("loss", "margin", "gradient_norm"):
        assert series(cut, name) == pytest.approx(series(whole, name), abs=1e-5), name
    assert series(cut, "tokens") == series(whole, "tokens")


def unpacked(model):
    """Whether the model holds 4-bit weights, and bitsandbytes is told to leave them as they are."""
    layers = [m for m in model.modules() if hasattr(m, "support_avx512bf16_for_cpu")]
    assert not any(getattr(m.weight.quant_state, "packing_format_for_cpu", False) for m in layers)
    return layers and not any(m.support_avx512bf16_for_cpu for m in layers)


@pytest.mark.parametrize("build", [by_reward, by_dpo])
def test_adapters_on_four_bits_are_trained_in_fp32_and_evaluated_between(rows, build):
    pytest.importorskip("bitsandbytes")
    how = {"quantize": "nf4", "lora": 4}
    model = scorer(**how) if build is by_reward else lm.load("xs-style", **how)
    module = model if build is by_reward else model[0]
    before = weights(module)
    trainer = build(rows, model, rows[:16], learning_rate=1e-2, max_steps=8, eval_strategy="steps", eval_steps=2)
    trainer.evaluate()  # a forward in eval mode, before any training
    trainer.train()
    after, run = weights(module), trainer.run
    trainable = {name for name, p in module.named_parameters() if p.requires_grad}
    assert {name for name in after if not torch.equal(after[name], before[name])} == trainable
    assert {after[name].dtype for name in trainable} == {torch.float32} and unpacked(module)
    assert series(run, "validation_loss")[-1] < series(run, "validation_loss")[0] - 0.02
    assert run.series("validation_loss")[0].tolist() == [0, 2, 4, 6, 8]


@pytest.mark.slow
def test_gradient_checkpointing_changes_no_number(rows):
    for build in (by_reward, by_dpo):
        plain, saved = (trained(build(rows[:8], gradient_checkpointing=on, max_steps=2)).run for on in (False, True))
        assert series(saved, "loss") == pytest.approx(series(plain, "loss"), abs=1e-5)


# ---- what they log


def test_a_step_holds_what_was_measured_with_it_once(rows):
    run = trained(by_reward(rows, held_out=rows[:8], eval_strategy="steps", eval_steps=2, eval_on_start=True)).run
    assert run.metrics()["step"].tolist() == [0, 1, 2, 3] and run.state == "finished"
    assert run.series("validation_accuracy")[0].tolist() == [0, 2, 3]
    assert Run.load(run.path).config["engine"] == "trl"


class Breaks(TrainerCallback):
    def __init__(self, how):
        self.how = how

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == 2:
            if self.how is None:
                control.should_training_stop = True
            else:
                raise self.how


@pytest.mark.parametrize("build", [by_reward, by_dpo])
@pytest.mark.parametrize(
    ("how", "state"), [(RuntimeError("no more"), "failed"), (KeyboardInterrupt(), "stopped"), (None, "stopped")]
)
def test_however_it_ends_the_run_is_whole(rows, build, how, state):
    trainer = build(rows, callbacks=[Breaks(how)], max_steps=5)
    if how is None:
        trainer.train()
    else:
        with pytest.raises(type(how)):
            trainer.train()
    run = Run.load(trainer.run.path)
    assert run.state == state and run.last_step == (3 if how is None else 2)
    assert run.error == ("RuntimeError: no more" if state == "failed" else None)


def test_a_loss_that_is_not_finite_ends_it(rows):
    model, tokenizer = lm.load("xs-style")
    trainer = by_dpo(rows, (model, tokenizer))
    with torch.no_grad():
        model.get_input_embeddings().weight[3] = torch.nan
    with pytest.raises(FloatingPointError, match="loss=nan at step 1: must be finite"):
        trainer.train()
    assert trainer.run.state == "failed"


def test_bad_arguments_are_named_in_one_line(rows):
    def refused(text, build, *arguments, **options):
        with pytest.raises(ValueError, match=text) as error:
            build(*arguments, **options)
        assert "\n" not in str(error.value)

    model, tokenizer = lm.load("xs-style")
    refused(
        "model=.*: must be an rlhf.RewardModel", by_reward, rows, rlhf.bag_of_words(tokenizer, max_new_tokens=LENGTH)
    )
    refused("model='xs-style': must be a loaded model", by_dpo, rows, ("xs-style", tokenizer))
    refused("args.max_length=4: must be None or at least 7", by_dpo, rows, max_length=4)
    refused("args.pad_token='the': must be None", by_dpo, rows, pad_token="the")
    refused("rows=.*: must be a list of at least one", by_reward, [])
    refused(
        r"held_out\[0\]\['rejected'\]=None: must be a text", by_reward, rows, held_out=[{**rows[0], "rejected": None}]
    )
    refused("completion=.*: must be of at most", by_dpo, [rows[0] | {"chosen": "the old moon sings very softly"}])
    args = settings(trl.DPOConfig)
    refused("args=.*: must be a trl.RewardConfig", ours.RewardTrainer, scorer(), rows, args)
    model.requires_grad_(False)
    refused("model: has no parameter that requires a gradient", by_dpo, rows, (model, tokenizer))
