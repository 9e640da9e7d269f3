"""Sampler and scorer: one distribution, one prompt pass for many rows, and no change from who else is in the batch."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from scipy import stats
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from rlkit.lm import checkpointing, decoding, heads, prefix, rollouts, scoring
from rlkit.lm.rollouts import judge, sample, score_tokens

SHAPE = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
COMMON = SHAPE | dict(vocab_size=64, max_position_embeddings=96, eos_token_id=1, pad_token_id=0, bos_token_id=None)
SLIDING = dict(sliding_window=5, layer_types=["sliding_attention", "full_attention"])
GPT2 = dict(vocab_size=64, n_positions=96, n_embd=32, n_layer=2, n_head=4, eos_token_id=1, bos_token_id=1)
BLOOM = dict(vocab_size=64, hidden_size=32, n_layer=2, n_head=4, eos_token_id=1, pad_token_id=0)
CONFIGS = {
    "qwen3": (transformers.Qwen3Config, COMMON | dict(head_dim=8)),
    "qwen2": (transformers.Qwen2Config, COMMON),
    "llama": (transformers.LlamaConfig, COMMON),
    "gpt2": (transformers.GPT2Config, GPT2),
    # caches that forget, positions that are not an argument
    "mistral, sliding": (transformers.MistralConfig, COMMON | dict(sliding_window=5)),
    "gemma3, mixed": (transformers.Gemma3TextConfig, COMMON | SLIDING | dict(head_dim=8)),
    "bloom": (transformers.BloomConfig, BLOOM),
}
PROMPTS = ["a b c d", "e f g h i j k l m n o", "p", "q r s t u a"]  # lengths 4, 11, 1, 6


def words(size=64, pad="<pad>", bos=None, processor=None):
    """A word-level tokenizer: <pad> <eos> <unk>, then letters and fillers."""
    names = ["<pad>", "<eos>", "<unk>", *"abcdefghijklmnopqrstuvwxyz", *(f"w{i}" for i in range(size))][:size]
    core = Tokenizer(WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    core.pre_tokenizer = WhitespaceSplit()
    if processor:
        core.post_processor = processor
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token=pad, eos_token="<eos>", unk_token="<unk>", bos_token=bos
    )


def tiny(name="qwen3", seed=0, sharp=8.0, **options):
    """A random model whose distribution is far from flat."""
    kind, defaults = CONFIGS[name]
    config = kind(**(defaults | options))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(sharp)
    return model.eval()


def favour(model, token, by):
    """Add `by` to the logit of a token, whatever stands before it."""
    head = torch.nn.Linear(model.lm_head.in_features, model.lm_head.out_features)
    head.weight = model.lm_head.weight
    with torch.no_grad():
        head.bias.zero_()
        head.bias[token] = by
    model.lm_head = head
    return model


def plainly(model, drawn, temperature=1.0):
    """logp [B, T] by one full forward for each row alone: no padding, no cache, no batch. Differentiable."""
    table = []
    for row, ids in enumerate(drawn.ids):
        prompt = row // drawn.group_size
        before, ids = drawn.prompt_ids[prompt][drawn.prompt_mask[prompt]], ids[drawn.mask[row]]
        logits = model(input_ids=torch.cat([before, ids])[None], use_cache=False).logits[0, len(before) - 1 : -1]
        logp = (logits / temperature).log_softmax(-1).gather(-1, ids[:, None])[:, 0]
        table.append(torch.nn.functional.pad(logp, (0, drawn.ids.shape[1] - len(ids))))
    return torch.stack(table)


def gradient(model, logp, weights):
    """The gradient of sum(weights * logp) over all trainable parameters, in one vector."""
    trained = [p for p in model.parameters() if p.requires_grad]
    parts = torch.autograd.grad((logp * weights).sum(), trained, allow_unused=True)
    return torch.cat(
        [torch.zeros_like(p).flatten() if g is None else g.flatten() for p, g in zip(trained, parts, strict=True)]
    )


def weights_of(drawn):
    return torch.randn(drawn.mask.shape, generator=torch.Generator().manual_seed(1)) * drawn.mask


def agree(model, drawn, score=score_tokens, temperature=1.0, tolerance=1e-5):
    """Sampler, scorer and plain forward: the same values; scorer and plain forward: the same gradient."""
    weights = weights_of(drawn)
    scored, plain = score(model, drawn), plainly(model, drawn, temperature)
    assert (scored - drawn.logp).abs().max() <= tolerance
    assert (scored - plain).abs().max() <= tolerance
    ours, theirs = gradient(model, scored, weights), gradient(model, plain, weights)
    assert theirs.norm() > 0
    assert (ours - theirs).norm() <= 1e-5 * theirs.norm()


# One distribution


@pytest.mark.parametrize("name", CONFIGS)
def test_sampler_scorer_and_plain_forward_agree_in_value_and_gradient(name):
    model = tiny(name)
    drawn = sample(model, words(), PROMPTS, 3, 20, seed=5, temperature=0.7)
    assert len(set(drawn.mask.sum(1).tolist())) > 1 or name == "gpt2"
    agree(model, drawn, temperature=0.7)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_prompts_of_one_length_and_of_several_agree_under_both_attentions(attention):
    model = tiny(attn_implementation=attention)
    for prompts in (PROMPTS, ["a b c", "d e f"]):
        agree(model, sample(model, words(), prompts, 4, 12, seed=2))


@pytest.mark.parametrize("temperature", [0.05, 0.2, 0.5, 0.7, 1, 1.5])
def test_scorer_equals_sampler_at_any_temperature(temperature):
    """Regression: rollouts at T = 0.6 scored at T = 1 differ by a quarter nat a token."""
    model = tiny()
    drawn = sample(model, words(), PROMPTS, 8, 20, temperature=temperature, seed=3)
    difference = (score_tokens(model, drawn) - drawn.logp).abs().max().item()
    print(f"temperature {temperature}: largest |scorer - sampler| {difference:.1e}")
    assert difference <= (1e-4 if temperature >= 0.5 else 1e-4 / temperature)
    if temperature != 1:
        assert (score_tokens(model, drawn, temperature=1.0) - drawn.logp).abs().max() > 0.05


def test_completions_follow_the_softmax_at_the_temperature():
    """Chi-square over all completions of two tokens, against probabilities from full forwards; nothing leaks in."""
    model, temperature = tiny(seed=1, sharp=12.0, vocab_size=8), 1.4
    model.generation_config = transformers.GenerationConfig(
        do_sample=True, temperature=0.1, top_k=2, top_p=0.2, repetition_penalty=9.0, min_new_tokens=2, eos_token_id=1
    )
    drawn = sample(model, words(8), ["a b c"], 4000, 2, temperature=temperature, seed=11)

    def chances(heat):
        def step(ids):
            with torch.no_grad():
                return (model(torch.tensor([ids])).logits[0, -1] / heat).softmax(-1).double()

        first = step([3, 4, 5])
        both = {(i, j): first[i] * p for i in range(8) if i != 1 for j, p in enumerate(step([3, 4, 5, i]))}
        return {(1,): first[1]} | both

    seen = {}
    for ids, mask in zip(drawn.ids.tolist(), drawn.mask.sum(1).tolist(), strict=True):
        seen[tuple(ids[:mask])] = seen.get(tuple(ids[:mask]), 0) + 1

    def p_value(heat):
        expected = {key: 4000 * float(p) for key, p in chances(heat).items()}
        assert sum(expected.values()) == pytest.approx(4000)
        assert seen.keys() <= expected.keys()
        rare = [key for key, n in expected.items() if n < 5]
        cells = [([key], n) for key, n in expected.items() if n >= 5] + [(rare, sum(expected[k] for k in rare))]
        counts, means = zip(*((sum(seen.get(k, 0) for k in keys), n) for keys, n in cells if n), strict=True)
        counts, means = np.array(counts), np.array(means)
        return stats.chisquare(counts, means * counts.sum() / means.sum()).pvalue

    assert p_value(temperature) > 0.01
    assert p_value(1.0) < 1e-6


def test_pick_inverts_the_cumulative_distribution():
    logits = torch.tensor([0.5, 0.25, 0.0, 0.25, 0.0]).log()
    below_one = 1 - 2**-53
    uniform = torch.tensor([0.0, 0.499, 0.501, 0.749, 0.751, below_one], dtype=torch.float64)
    token, logp = rollouts.pick(logits.expand(6, -1), uniform, 1.0, 1.0)
    assert token.tolist() == [0, 0, 1, 1, 3, 3]  # never one of probability 0
    torch.testing.assert_close(logp.exp(), torch.tensor([0.5, 0.5, 0.25, 0.25, 0.25, 0.25]))
    token, _ = rollouts.pick(torch.tensor([[0.0, 1.0]]).log(), torch.zeros(1, dtype=torch.float64), 1.0, 1.0)
    assert token.tolist() == [1]


def test_pick_stays_inside_a_large_vocabulary():
    logits = torch.zeros(2, 150_000)
    token, _ = rollouts.pick(logits, torch.tensor([0.5, 1 - 2**-53], dtype=torch.float64), 1.0, 1.0)
    assert abs(token[0].item() - 75_000) <= 1
    assert token[1].item() == 149_999


def test_a_large_vocabulary_is_taken_some_rows_at_a_time(monkeypatch):
    logits = torch.randn(7, 50, generator=torch.Generator().manual_seed(0)) * 3
    uniform = torch.rand(7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    whole = rollouts.pick(logits, uniform, 0.7, 0.9)
    monkeypatch.setattr(heads, "AT_ONCE", 150)  # three rows
    assert all(torch.equal(a, b) for a, b in zip(whole, rollouts.pick(logits, uniform, 0.7, 0.9), strict=True))


def test_a_model_of_nan_is_refused():
    model = tiny()
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    for temperature in (0, 1):
        with pytest.raises(FloatingPointError, match=r"^model: its logits hold NaN"):
            sample(model, words(), PROMPTS, 2, 4, temperature=temperature)


# Evaluation only: top_p and temperature 0


def test_top_p_draws_from_the_nucleus_and_records_over_it():
    model, top_p = tiny(seed=2, sharp=12.0), 0.6
    drawn = sample(model, words(), PROMPTS, 20, 6, top_p=top_p, temperature=0.8, seed=4)
    tokens = 0
    for row, ids in enumerate(drawn.ids):
        prompt = row // 20
        before, ids = drawn.prompt_ids[prompt][drawn.prompt_mask[prompt]], ids[drawn.mask[row]]
        with torch.no_grad():
            table = (model(torch.cat([before, ids])[None]).logits[0, len(before) - 1 : -1] / 0.8).softmax(-1)
        for p, token, logp in zip(table, ids, drawn.logp[row], strict=False):
            ranked = p.sort(descending=True).values
            size = int((ranked.cumsum(0) < top_p).sum()) + 1  # the smallest set that holds top_p
            assert p[token] >= ranked[size - 1]
            assert logp.exp() == pytest.approx(float(p[token] / ranked[:size].sum()), abs=1e-5)
            tokens += 1
    assert tokens > 100
    with pytest.raises(ValueError, match=r"rollouts\.top_p=0\.6: must be"):
        score_tokens(model, drawn)
    full = score_tokens(model, drawn, temperature=0.8)
    assert bool((full <= drawn.logp + 1e-5)[drawn.mask].all())


def test_a_nucleus_of_one_token_is_certain():
    drawn = sample(tiny(), words(), PROMPTS, 2, 5, top_p=1e-9)
    assert bool((drawn.logp[drawn.mask] == 0).all())
    assert torch.equal(drawn.ids, sample(tiny(), words(), PROMPTS, 2, 5, temperature=0).ids)


def test_temperature_zero_is_greedy_and_records_the_softmax_at_one():
    model = tiny()
    drawn = sample(model, words(), PROMPTS, 2, 10, temperature=0)
    assert torch.equal(drawn.ids[::2], drawn.ids[1::2])
    ids = torch.cat([drawn.prompt_ids[1], drawn.ids[2][drawn.mask[2]]])  # prompt 1 is the longest: no padding
    choice = model(ids[None]).logits[0].argmax(-1)
    assert torch.equal(choice[len(drawn.prompt_ids[1]) - 1 : -1], ids[len(drawn.prompt_ids[1]) :])
    with pytest.raises(ValueError, match=r"rollouts\.temperature=0\.0: must be"):
        score_tokens(model, drawn)
    assert (score_tokens(model, drawn, temperature=1) - drawn.logp).abs().max() <= 1e-5


# Adapters, quantised weights, dropout, recomputation


def adapted(model, dropout=0.0):
    """With LoRA weights that are not zero."""
    kind = ["c_attn", "c_fc", "c_proj"] if model.config.model_type == "gpt2" else "all-linear"
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = LoraConfig(r=4, lora_alpha=8, lora_dropout=dropout, target_modules=kind, task_type="CAUSAL_LM")
        model = get_peft_model(model, config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(0, 0.3)
    return model


@pytest.mark.parametrize("name", ["qwen3", "gpt2"])
def test_lora_is_sampled_and_scored_with_its_adapter(name):
    model = adapted(tiny(name), dropout=0.5).train()
    drawn = sample(model, words(), PROMPTS, 3, 12, seed=5)
    scored = score_tokens(model, drawn)
    ours = gradient(model, scored, weights_of(drawn))
    assert model.training
    model.eval()
    agree(model, drawn)
    torch.testing.assert_close(ours, gradient(model, plainly(model, drawn), weights_of(drawn)), rtol=1e-4, atol=1e-5)
    with model.disable_adapter():
        assert (score_tokens(model, drawn) - drawn.logp).abs().max() > 0.1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_four_bit_weights_under_lora(tmp_path):
    """Regression: on CPUs with AVX512-BF16, eval mode repacks the weights: 1e-3 off, and wrong gradients, silently."""
    pytest.importorskip("bitsandbytes")
    wide = dict(hidden_size=64, intermediate_size=128, num_key_value_heads=4, head_dim=16)  # what the CPU kernel takes
    tiny(**wide, sharp=3.0).save_pretrained(tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path,
        quantization_config=transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
        ),
        dtype=torch.float32,
    )
    assert any(type(module).__name__ == "Linear4bit" for module in model.modules())
    model = adapted(model).eval()
    drawn = sample(model, words(), PROMPTS, 3, 12, seed=5)
    agree(model, drawn)
    layer = next(
        module
        for module in model.modules()
        if type(module).__name__ == "Linear4bit" and hasattr(module, prefix.REPACKS)
    )
    layer.weight.quant_state.packing_format_for_cpu = True  # as after a forward in eval mode on some CPUs
    with pytest.raises(ValueError, match=r"^model: bitsandbytes repacked its 4-bit weights"):
        score_tokens(model, drawn)


DROPOUT = {"gpt2": dict(attn_pdrop=0.5, resid_pdrop=0.5, embd_pdrop=0.5), "qwen3": dict(attention_dropout=0.5)}


@pytest.mark.parametrize("name", DROPOUT)
def test_dropout_is_off_and_the_mode_comes_back(name):
    model = tiny(name, **DROPOUT[name])
    quiet = sample(model, words(), PROMPTS, 3, 8, seed=5)
    model.train()
    next(iter(model.modules())).training = True
    model.lm_head.eval()  # a mixture of modes
    modes = [module.training for module in model.modules()]
    drawn = sample(model, words(), PROMPTS, 3, 8, seed=5)
    assert torch.equal(drawn.ids, quiet.ids)
    assert torch.equal(drawn.logp, quiet.logp)
    assert (score_tokens(model, drawn) - drawn.logp).abs().max() <= 1e-5
    assert [module.training for module in model.modules()] == modes
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError):
        sample(model, words(), PROMPTS, 3, 8, seed=5)
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("name", DROPOUT)
def test_gradient_checkpointing_recomputes_without_dropout(name, reentrant):
    """Layers recompute in backward, when the scorer's eval mode is over: dropout must stay off there too."""
    model = tiny(name, **DROPOUT[name])
    drawn = sample(model, words(), PROMPTS, 3, 8, seed=5)
    expected = gradient(model, score_tokens(model, drawn), weights_of(drawn))
    model.train()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
    runs, layer = [], checkpointing.checkpointed(model)[0]
    inside = next(layer.children()).register_forward_pre_hook(lambda *_: runs.append(1))
    scored = score_tokens(model, drawn)
    assert (scored - drawn.logp).abs().max() <= 1e-5
    before = len(runs)
    model.zero_grad()
    (scored * weights_of(drawn)).sum().backward()
    assert len(runs) == 2 * before  # once forward, once again in backward
    inside.remove()
    got = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in model.parameters()])
    assert (got - expected).norm() <= 1e-5 * expected.norm()
    assert all(module.training for module in model.modules())
    assert not any("forward" in vars(layer) for layer in checkpointing.checkpointed(model))  # as it was before
    with torch.no_grad():  # nothing to recompute: prompts are shared
        assert (score_tokens(model, drawn) - drawn.logp).abs().max() <= 1e-5


# Rows, batches, draws


@pytest.fixture(scope="module")
def drawn():
    """Completions of very different lengths, and their model."""
    model = favour(tiny(seed=4, sharp=5.0), 1, 1.0)
    return model, sample(model, words(), PROMPTS, 8, 40, seed=6)


def test_the_gradient_of_repeated_rows_is_the_sum_over_them():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4, 2, 3, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([3, 0, 3, 3, 1])  # one row three times, one never
    assert torch.equal(prefix.Rows.apply(values, index), values.index_select(0, index))
    assert torch.autograd.gradcheck(lambda x: prefix.Rows.apply(x, index), values)
    outer = torch.randn(5, 2, 3, 5, generator=generator, dtype=torch.float64)
    found, expected = (
        torch.autograd.grad((f(values, index) * outer).sum(), values)[0] for f in (prefix.Rows.apply, _pick)
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    assert (found[2] == 0).all()


def _pick(values, index):
    return values.index_select(0, index)


def test_rows_in_any_order_and_subset_score_the_same(drawn, monkeypatch):
    model, drawn = drawn
    weights = weights_of(drawn)
    lengths = sorted(drawn.mask.sum(1).tolist())
    assert lengths[0] <= 3 and lengths[-1] >= 20
    whole = score_tokens(model, drawn)
    order = torch.randperm(32, generator=torch.Generator().manual_seed(0))
    total = torch.zeros_like(gradient(model, whole, weights))
    for rows in order.split(5):
        part = score_tokens(model, drawn, rows)
        assert part.shape == (len(rows), drawn.ids.shape[1])
        assert (part - whole[rows]).abs().max() <= 1e-6
        total += gradient(model, part, weights[rows])
    expected = gradient(model, score_tokens(model, drawn), weights)
    assert (total - expected).norm() <= 1e-5 * expected.norm()
    assert (score_tokens(model, drawn, [9, 9, 0]) - whole[[9, 9, 0]]).abs().max() <= 1e-6
    for split in (0, 10**9):  # many passes, one pass
        monkeypatch.setattr(scoring, "SPLIT_AT", split)
        assert (score_tokens(model, drawn) - whole).abs().max() <= 1e-6


def test_passes_cover_every_row_and_save_padding(monkeypatch):
    lengths = sorted(torch.randint(1, 65, (200,), generator=torch.Generator().manual_seed(0)).tolist(), reverse=True)
    passes = scoring._passes(lengths)
    assert [begin for begin, _ in passes] + [200] == [0] + [end for _, end in passes]
    padded = sum((end - begin) * lengths[begin] for begin, end in passes)
    assert len(passes) > 2 and padded + scoring.SPLIT_AT * (len(passes) - 1) < 200 * lengths[0]
    assert scoring._passes([7] * 50) == [(0, 50)]


@pytest.mark.parametrize("prompts", [PROMPTS, ["a b c", "d e f"]], ids=["padded", "even"])
def test_dropping_finished_rows_changes_no_draw(prompts, monkeypatch):
    model = favour(tiny(seed=4, sharp=5.0), 1, 1.0)
    results = []
    for share in (0.0, 0.3, 2.0):  # at once, sometimes, never
        drops = staticmethod(lambda rows, left, share=share: rows - left >= max(1, share * rows))
        monkeypatch.setattr(decoding.Growing, "drops", drops)
        results.append(sample(model, words(), prompts, 8, 30, seed=7))
    for other in results[1:]:
        assert torch.equal(other.ids, results[0].ids)
        assert torch.equal(other.mask, results[0].mask)
        assert other.text == results[0].text
        assert (other.logp - results[0].logp).abs().max() <= 1e-6


def test_a_shorter_budget_is_a_prefix_of_a_longer_one(drawn):
    model, long = drawn
    short = sample(model, words(), PROMPTS, 8, 10, seed=6)
    assert torch.equal(short.ids, long.ids[:, :10])


def test_the_same_seed_gives_the_same_bits_and_leaves_the_global_state(drawn):
    model, first = drawn
    torch.manual_seed(123)
    state = torch.get_rng_state()
    again = sample(model, words(), PROMPTS, 8, 40, seed=6)
    assert torch.equal(state, torch.get_rng_state())
    for name in ("ids", "mask", "logp", "prompt_ids", "prompt_mask"):
        assert torch.equal(getattr(again, name), getattr(first, name))
    assert again.text == first.text
    assert not torch.equal(sample(model, words(), PROMPTS, 8, 40, seed=7).logp, first.logp)
    assert len(set(first.text[:8])) > 1  # the rows of a group differ


def test_each_prompt_runs_once_and_finished_rows_leave():
    model, shapes = favour(tiny(seed=4, sharp=5.0), 1, 1.0), []
    model.model.layers[0].register_forward_hook(
        lambda module, inputs, output: shapes.append(tuple(inputs[0].shape[:2]))
    )
    drawn = sample(model, words(), PROMPTS, 8, 30, seed=6)
    assert shapes[0] == (4, 11)
    assert all(width == 1 for _, width in shapes[1:])
    sizes = [rows for rows, _ in shapes[1:]]
    assert sizes[0] <= 32 and sizes == sorted(sizes, reverse=True) and sizes[-1] <= 8
    shapes.clear()
    rows = torch.tensor([9, 3, 8])  # prompts 1, 0, 1
    score_tokens(model, drawn, rows)
    assert shapes[0] == (2, 11)
    assert sum(count for count, _ in shapes[1:]) <= 3
    assert sum(count * width for count, width in shapes[1:]) < 3 * int(drawn.mask[rows].sum(1).max())
    shapes.clear()
    score_tokens(model, drawn, [0])
    assert shapes[0] == (1, 4)  # no column of padding that only other prompts need


def test_entropy_is_that_of_the_softmax_and_differentiable(drawn):
    model, drawn = drawn
    rows = torch.tensor([8, 31, 2])
    logp, entropy = score_tokens(model, drawn, rows, temperature=0.7, entropy=True)
    assert torch.equal(logp, score_tokens(model, drawn, rows, temperature=0.7))
    for i, row in enumerate(rows.tolist()):
        prompt = row // 8
        before, ids = drawn.prompt_ids[prompt][drawn.prompt_mask[prompt]], drawn.ids[row][drawn.mask[row]]
        logits = model(torch.cat([before, ids])[None]).logits[0, len(before) - 1 : -1] / 0.7
        expected = torch.distributions.Categorical(logits=logits).entropy()
        assert (entropy[i, : len(ids)] - expected).abs().max() <= 1e-5
        assert bool((entropy[i, len(ids) :] == 0).all())
        chosen = torch.eye(len(rows))[i][:, None]
        _, entropy = score_tokens(model, drawn, rows, temperature=0.7, entropy=True)
        ours, theirs = gradient(model, entropy, chosen), gradient(model, expected, torch.ones(()))
        assert (ours - theirs).norm() <= 1e-5 * theirs.norm()


# Where completions end


def test_sampled_eos_stays_in_the_mask_where_padding_is_eos():
    """Regression: a mask of "token is not pad" loses every sampled <eos> where pad = eos, so stopping is not learnt."""
    model, tokenizer = favour(tiny(seed=4, sharp=5.0), 1, 1.0), words(pad="<eos>")
    model.config.pad_token_id = 1
    drawn = sample(model, tokenizer, PROMPTS, 8, 30, seed=6)
    stopped = [row for row, reason in enumerate(drawn.finish) if reason == "stop"]
    assert len(stopped) > 5
    lengths = drawn.mask.sum(1)
    for row in stopped:
        last = lengths[row] - 1
        assert drawn.ids[row, last] == 1 and drawn.mask[row, last] and drawn.logp[row, last] < 0
        assert bool((drawn.ids[row, last:] == 1).all()) and not drawn.mask[row, last + 1 :].any()
        assert "<eos>" not in drawn.text[row]
    assert (score_tokens(model, drawn) - drawn.logp).abs().max() <= 1e-5
    same = sample(favour(tiny(seed=4, sharp=5.0), 1, 1.0), words(), PROMPTS, 8, 30, seed=6)
    assert torch.equal(drawn.mask, same.mask) and drawn.text == same.text


def test_finish_reasons_at_the_edges():
    always = favour(tiny(), 1, 1e4)
    drawn = sample(always, words(), PROMPTS, 2, 5)
    assert drawn.ids.tolist() == [[1]] * 8 and drawn.mask.all()
    assert drawn.text == [""] * 8 and drawn.finish == ["stop"] * 8
    assert score_tokens(always, drawn).shape == (8, 1)
    never = favour(tiny(), 1, -1e4)
    drawn = sample(never, words(), PROMPTS, 2, 5)
    assert drawn.finish == ["length"] * 8 and drawn.mask.all() and drawn.ids.shape == (8, 5)
    assert all(len(text.split()) == 5 for text in drawn.text)
    model = favour(tiny(seed=4, sharp=5.0), 1, 1.0)
    long = sample(model, words(), PROMPTS, 8, 40, seed=6)
    row = next(r for r in range(32) if long.finish[r] == "stop" and int(long.mask[r].sum()) > 2)
    budget = int(long.mask[row].sum())
    for tokens, reason in ((budget, "stop"), (budget - 1, "length")):  # <eos> as the very last token counts
        drawn = sample(model, words(), PROMPTS, 8, tokens, seed=6)
        assert drawn.finish[row] == reason and drawn.text[row] == long.text[row]


def test_a_row_is_what_was_sampled():
    """Padding, unknown and other special tokens that a model samples show in the text: a verifier must see them."""
    drawn = sample(favour(tiny(), 0, 1e4), words(), ["a"], 1, 3)
    assert drawn.text == ["<pad> <pad> <pad>"] and drawn.mask.tolist() == [[True] * 3]


@pytest.mark.parametrize("ends", [[1, 7, 9], 7, None])
def test_every_end_token_of_the_generation_config_ends(ends):
    model = tiny(seed=4)
    model.generation_config.eos_token_id = ends
    expected = {1} | set(ends if isinstance(ends, list) else [ends] if ends else [])
    drawn = sample(model, words(), PROMPTS, 16, 30, seed=6)
    last = drawn.ids.gather(1, drawn.mask.sum(1, keepdim=True) - 1)[:, 0].tolist()
    assert {end for end, reason in zip(last, drawn.finish, strict=True) if reason == "stop"} == expected
    for ids, mask in zip(drawn.ids.tolist(), drawn.mask.sum(1).tolist(), strict=True):
        assert not expected & set(ids[: mask - 1])


def test_a_model_without_end_tokens_is_refused():
    tokenizer = words()
    tokenizer.eos_token = None
    model = tiny()
    model.generation_config.eos_token_id = None
    with pytest.raises(ValueError, match=r"^tokenizer: has no eos_token_id"):
        sample(model, tokenizer, PROMPTS, 2, 4)


# Prompts


def test_prompts_are_used_as_they_are_with_one_bos():
    template = TemplateProcessing(single="<unk> $A", special_tokens=[("<unk>", 2)])
    tokenizer = words(bos="<unk>", processor=template)
    ids, mask = prefix.encode(tokenizer, ["a b", "<unk> a b", "c"])
    assert ids.tolist() == [[2, 3, 4], [2, 3, 4], [0, 2, 5]]
    assert mask.tolist() == [[True] * 3, [True] * 3, [False, True, True]]
    tokenizer.chat_template = "{{ 'never' }}"
    assert torch.equal(prefix.encode(tokenizer, ["a b", "<unk> a b", "c"])[0], ids)


def test_padding_hides_by_position_not_by_id():
    """A prompt may hold the padding id as a word of its own."""
    model, tokenizer = tiny(), words(pad="<eos>")
    drawn = sample(model, tokenizer, ["a <eos> b", "a b c d e f"], 3, 8, seed=2)
    assert drawn.prompt_mask.sum(1).tolist() == [3, 6]
    agree(model, drawn)


def test_equal_prompts_are_groups_of_their_own():
    drawn = sample(tiny(), words(), ["a b", "a b"], 4, 8, seed=1)
    assert drawn.prompts == ["a b", "a b"] and drawn.text[:4] != drawn.text[4:]
    problems = [SimpleNamespace(prompt="a b")] * 2
    assert torch.equal(sample(tiny(), words(), problems, 4, 8, seed=1).ids, drawn.ids)


# Judging


class Lengths:
    """A task that counts words."""

    def verify(self, problem, completion):
        return {"correct": float(len(completion.split()) > problem.facts), "format": 1.0}


def test_judge_puts_parts_by_prompt_and_group():
    problems = [SimpleNamespace(prompt=prompt, facts=i) for i, prompt in enumerate(PROMPTS)]
    drawn = sample(favour(tiny(), 1, 1.0), words(), problems, 3, 8, seed=1)
    judged = judge(drawn, Lengths(), problems)
    assert drawn.reward_parts is None and set(judged.reward_parts) == {"correct", "format"}
    for p, g in itertools.product(range(4), range(3)):
        expected = float(len(drawn.text[p * 3 + g].split()) > p)
        assert judged.reward_parts["correct"][p, g] == expected
    assert judged.reward_parts["correct"].shape == (4, 3) and judged.reward_parts["format"].dtype == torch.float32
    with pytest.raises(ValueError, match=r"^len\(problems\)=3: must be 4"):
        judge(drawn, Lengths(), problems[:3])
    with pytest.raises(ValueError, match=r"^problems\[0\]\.prompt='p': must be part of the sampled prompt"):
        judge(drawn, Lengths(), [problems[2], *problems[1:]])


# What is refused, in one line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(prompts=[]), "prompts=[]: must be a non-empty list of texts or problems"),
        (dict(prompts=["a", 3]), "prompts=['a', 3]: must be a non-empty list of texts or problems"),
        (dict(prompts=["a", ""]), "prompts[1]='': must be a text of at least one token"),
        (dict(group_size=0), "group_size=0: must be a positive integer"),
        (dict(max_new_tokens=2.5), "max_new_tokens=2.5: must be a positive integer"),
        (dict(max_new_tokens=90), "max_new_tokens=90: must be at most 85: the model reads 96 tokens"),
        (dict(temperature=-1.0), "temperature=-1.0: must be a finite number above 0"),
        (dict(temperature=float("nan")), "temperature=nan: must be a finite number above 0"),
        (dict(top_p=0.0), "top_p=0.0: must be above 0 and at most 1"),
        (dict(top_p=1.5), "top_p=1.5: must be in [0, 1]"),
        (dict(seed=-1), "seed=-1: must be an integer of at least 0"),
    ],
)
def test_bad_arguments_are_named(options, message):
    arguments = dict(prompts=PROMPTS, group_size=2, max_new_tokens=4) | options
    with pytest.raises(ValueError) as error:
        sample(tiny(), words(), **arguments)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


@pytest.mark.parametrize("rows", [[], [32], [-1], [0.5], [[1]], [True]])
def test_bad_rows_are_named(drawn, rows):
    with pytest.raises(ValueError, match=r"^rows="):
        score_tokens(*drawn, rows)


@pytest.mark.filterwarnings("ignore")
def test_a_model_whose_cache_cannot_be_repeated_runs_each_row_in_full_and_says_so():
    mamba = transformers.MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=1, eos_token_id=1)
    linear = transformers.Qwen3NextConfig(
        **COMMON,
        head_dim=8,
        linear_num_value_heads=2,
        linear_num_key_heads=2,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        num_experts=2,
        num_experts_per_tok=1,
        moe_intermediate_size=8,
        shared_expert_intermediate_size=8,
        layer_types=["linear_attention", "full_attention"],
    )
    for config in (mamba, linear):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = transformers.AutoModelForCausalLM.from_config(config).eval()
        with pytest.warns(UserWarning, match=r"^the model's cache \(\w+\) cannot be shared by the rows"):
            drawn = sample(model, words(), ["a b c", "d e f"], 3, 6, seed=1)
        agree(model, drawn)
        checkpointing.switch(model)
        assert (score_tokens(model, drawn) - drawn.logp).abs().max() <= 1e-5


def test_prompt_learning_adapters_are_refused():
    model = get_peft_model(tiny(), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))
    with pytest.raises(ValueError, match=r"^model: has a prompt-learning adapter"):
        sample(model, words(), PROMPTS, 2, 4)
