"""Memory: counted on tensors, foreseen from a configuration, planned from a forward that keeps nothing."""

import pytest
import torch
from transformers import Qwen2Config

from rlkit import lm, rlvr
from rlkit.lm import checkpointing, footprint, models, plans, watching
from rlkit.lm.rollouts import sample, score_tokens
from rlkit.runs import Step
from tests.rlvr import toy

LARGE = Qwen2Config(
    hidden_size=3584, intermediate_size=18944, num_hidden_layers=28, num_attention_heads=28, num_key_value_heads=4,
    vocab_size=152064, tie_word_embeddings=False,
)  # fmt: skip


def test_every_tensor_is_counted_once():
    model, _ = toy.fresh()  # its head and its embedding are one tensor
    found = lm.memory(model)
    assert found.trainable == 4 * sum(p.numel() for p in model.parameters()) == found.gradient
    assert found.optimizer == 2 * found.trainable and found.weights == sum(b.nbytes for b in model.buffers())
    assert found.total == sum(found)
    adapter = lm.memory(toy.adapted(model, r=2))
    assert adapter.weights > 10 * adapter.trainable > 0


def test_four_bits_are_counted_with_their_scales_and_foreseen_from_the_configuration():
    pytest.importorskip("bitsandbytes")
    model, _ = lm.load("m-countdown", quantize="nf4", lora=8)
    found, plain = lm.memory(model), lm.memory(lm.load("m-countdown")[0])
    head = model.get_input_embeddings().weight.nbytes
    assert 0.12 < (found.weights - head) / (plain.trainable - head) < 0.16  # 4.127 bits of 32, code book and norms
    foreseen = footprint.expected(model.config, torch.float32, True, 8)
    assert foreseen.trainable == found.trainable
    assert foreseen.weights == pytest.approx(found.weights, rel=0.1)  # code books of 1 kB a layer count here


def test_the_sizes_of_a_large_model_are_those_of_its_shapes():
    plain = footprint.expected(LARGE, torch.bfloat16, False, 0)
    assert plain.weights == 2 * 7_615_616_512  # what its card says
    four = footprint.expected(LARGE, torch.bfloat16, True, 32)
    assert 5.3e9 < four.weights < 5.7e9 and four.trainable == 4 * 80_740_352  # r (in + out) of all linear layers


def test_a_model_that_does_not_fit_says_what_is_missing_before_it_starts(monkeypatch, tmp_path):
    models.save(*models.fresh("m", seed=0), tmp_path)
    monkeypatch.setattr(footprint, "free", lambda device: 1.5e6)
    read = []
    monkeypatch.setattr(models.AutoModelForCausalLM, "from_pretrained", lambda *a, **k: read.append(1))
    with pytest.raises(MemoryError) as caught:
        lm.load(tmp_path, lora=16)
    text = str(caught.value)
    assert "\n" not in text and not read
    for words in ("on cpu", "1.5 MB are free", "are missing", "quantize='nf4' needs", "lora=4 saves", "smaller model"):
        assert words in text, text


def test_activations_are_what_autograd_keeps():
    """Counted without keeping them, and counted while they are kept."""
    model, tokenizer = toy.fresh()
    held = {}

    def keep(tensor):
        held[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    fake = torch.zeros(3, 6, dtype=torch.long)
    drawn = sample(model, tokenizer, ["5 6 7 :"], 3, 6, seed=0)
    drawn = drawn._replace(ids=fake, mask=torch.ones_like(fake).bool(), prompt_ids=torch.zeros(1, 4, dtype=torch.long))
    drawn = drawn._replace(prompt_mask=torch.ones(1, 4).bool())
    own = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        score_tokens(model, drawn, entropy=True)
    kept = sum(t.untyped_storage().nbytes() for pointer, t in held.items() if pointer not in own)
    assert plans.activations(model, 3, 4, 6) == pytest.approx(kept, rel=0.02)


def test_activations_grow_in_a_line_with_the_rows():
    model, _ = toy.fresh()
    one, two, eight = (plans.activations(model, rows, 12, 10) for rows in (1, 2, 8))
    assert eight == pytest.approx(one + 7 * (two - one), rel=0.02)


SIZES = {"prompts": 4, "group_size": 8, "prompt_tokens": 12, "completion_tokens": 16}


def test_a_plan_takes_what_fits_and_recomputes_where_it_must():
    model, _ = models.fresh("m", seed=0)
    base = lm.memory(model)
    room = base.gradient + base.optimizer
    roomy = lm.plan(model, **SIZES, free=room + 1e9)
    assert roomy.micro_batch == 32 and not roomy.checkpointing
    group = lm.plan(model, **SIZES, free=room + roomy.activations * 0.5)
    assert group.micro_batch in (8, 16) and not group.checkpointing  # whole groups, whose prompt runs once
    tight = lm.plan(model, **SIZES, free=room + roomy.activations * 0.2)
    assert tight.checkpointing and 1 <= tight.micro_batch <= 32
    for plan, share in ((roomy, 1), (group, 0.5), (tight, 0.2)):
        assert max(plan.activations, plan.cache) <= max(share * roomy.activations, plan.cache)
        assert plan.peak == base.total + max(plan.activations, plan.cache)
    assert checkpointing.checkpointed(model) == []  # nothing was changed
    text = roomy._repr_html_() + repr(tight)
    assert "32 rows at once" in text and "layers recomputed in backward" in text


def test_a_plan_that_cannot_be_says_what_is_missing():
    model, _ = models.fresh("m", seed=0)
    room = 3 * lm.memory(model).trainable
    cache = 80 * plans.cache_bytes(model)
    for share, words in ((0.9, "the sampler's cache does not fit"), (1.1, "one row of a training step does not fit")):
        with pytest.raises(MemoryError, match=words) as caught:
            sizes = {"prompts": 1, "group_size": 1, "prompt_tokens": 64, "completion_tokens": 16}
            lm.plan(model, **sizes, free=room + share * cache)
        assert "are missing; change:" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"^group_size=0: must be a positive integer"):
        lm.plan(model, **SIZES | {"group_size": 0})


def test_the_cache_is_counted_on_the_model_itself():
    model, _ = models.fresh("m", seed=0)
    assert plans.cache_bytes(model) == 4 * 2 * 4 * 32 * 4  # layers, keys and values, heads, width, fp32


def test_watched_steps_are_the_learners_own_with_what_they_cost():
    def learner():
        model, tokenizer = toy.fresh()
        return rlvr.train(model, tokenizer, toy.TASK, rlvr.grpo(), steps=3, **toy.SETTINGS), model

    plain, (steps, model) = list(learner()[0]), learner()
    seen = list(lm.watched(steps, model))
    for one, other in zip(plain, seen, strict=True):
        more = {name: other.metrics[name] for name in ("memory_peak", "step_seconds")}
        assert other.metrics == one.metrics | more and more["memory_peak"] > 5e7 and 0 < more["step_seconds"] < 60


def test_a_watched_learner_that_stops_or_fails_is_closed():
    closed = []

    def learner():
        try:
            yield Step(0, {"reward": 1.0})
            raise RuntimeError("the learner's own")
        finally:
            closed.append(True)

    model, _ = toy.fresh()
    watched = lm.watched(learner(), model)
    next(watched)
    watched.close()
    assert closed == [True]
    with pytest.raises(RuntimeError, match="the learner's own"):
        list(lm.watched(learner(), model))


def test_what_the_gauge_reads():
    model, _ = toy.fresh()
    found = watching.described(model)
    assert found["trainable"] == lm.memory(model).trainable and found["device"] == "CPU"
    assert found["limit"] > found["used"] > 5e7


@pytest.mark.parametrize(
    ("count", "text"),
    [(5.53e9, "5.53 GB"), (45.6e6, "45.6 MB"), (999.7e6, "1.00 GB"), (131_100, "131.1 kB"), (12, "12 B")],
)
def test_sizes_for_people(count, text):
    assert footprint.size(count) == text


def test_sampling_takes_as_many_rows_as_fit(monkeypatch):
    model, _ = models.fresh("m", seed=0)
    one = plans.row_bytes(model, 12, 16)
    assert one == 28 * 4096 + 4 * model.config.vocab_size
    for room, rows in ((2000, 1024), (1000, 512), (5.5, 4), (0.1, 1)):
        monkeypatch.setattr(footprint, "free", lambda device, r=room: r * one / footprint.SPARE * 1.001)
        assert plans.rows_at_once(model, 12, 16) == rows
