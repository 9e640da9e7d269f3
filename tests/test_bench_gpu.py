"""The GPU benchmark's own code, on a CPU at its smallest: what it builds, what it puts in place, how it judges."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("bitsandbytes")
from safetensors import safe_open
from safetensors.torch import load_file

from rlkit import lm
from rlkit.lm import decoding, scoring
from tests.bench import bench_qlora, gpu

ROOT = Path(__file__).resolve().parents[1]
SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1800,
    "tie_word_embeddings": True,
}
LANE = gpu.Lane(prompt=8, tokens=4, rank=4, repeats=1, shapes={"1.5b": SHAPE})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    made = tmp_path_factory.mktemp("models")
    gpu.build(made / "1.5b", SHAPE)
    return made


@pytest.fixture(scope="module")
def loaded(folder):
    return lm.load(folder / "1.5b", quantize="nf4", lora=4, device="cpu")


def tensors(folder) -> dict:
    return {name: t for file in sorted(folder.glob("*.safetensors")) for name, t in load_file(file).items()}


# ---- what it builds


def test_the_random_model_has_the_weights_it_says_and_one_file_for_each_layer(folder):
    found = tensors(folder / "1.5b")
    assert found["model.layers.1.mlp.down_proj.weight"].shape == (64, 128)
    assert found["model.layers.0.self_attn.k_proj.weight"].shape == (32, 64)
    assert "lm_head.weight" not in found  # tied
    assert {t.dtype for t in found.values()} == {torch.bfloat16}
    assert found["model.embed_tokens.weight"].float().std().item() == pytest.approx(0.02, rel=0.02)
    assert found["model.norm.weight"].eq(1).all() and found["model.layers.0.self_attn.q_proj.bias"].eq(0).all()
    with safe_open(folder / "1.5b" / "model-00002-of-00004.safetensors", "pt") as file:
        assert all(name.startswith("model.layers.0.") for name in file.keys())


def test_the_seed_alone_decides_the_weights_and_an_untied_model_has_a_head(folder, tmp_path):
    untied = SHAPE | {"tie_word_embeddings": False}
    one, other, seed = (
        tensors(gpu.build(tmp_path / name, untied, seed)) for name, seed in (("one", 0), ("other", 0), ("seed", 1))
    )
    assert one["lm_head.weight"].shape == (1800, 64)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["lm_head.weight"], seed["lm_head.weight"])
    before = (tmp_path / "one" / "config.json").stat().st_mtime_ns
    gpu.build(tmp_path / "one", untied)
    assert (tmp_path / "one" / "config.json").stat().st_mtime_ns == before  # it is built once


def test_the_shapes_are_those_of_qwen(monkeypatch):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    shapes, found = gpu.lane(quick=False).shapes, {}
    for name, shape in shapes.items():
        with torch.device("meta"):
            found[name] = sum(p.numel() for p in Qwen2ForCausalLM(Qwen2Config(**shape)).parameters())
    assert found == {"1.5b": 1_543_714_304, "7b": 7_615_616_512}


def test_no_completion_can_end_early(loaded):
    model, tokenizer = loaded
    assert tokenizer.eos_token_id == 1800 == model.get_output_embeddings().weight.shape[0]
    drawn = lm.sample(model, tokenizer, [gpu.prompt(tokenizer, 8)], 8, 40, temperature=50.0)
    assert drawn.finish == ["length"] * 8 and drawn.mask.all() and drawn.mask.shape == (8, 40)


def test_a_prompt_is_made_of_words_of_one_token(loaded):
    _, tokenizer = loaded
    text = gpu.prompt(tokenizer, 8)
    assert len(text.split()) == 8 and all(len(tokenizer(" " + word)["input_ids"]) == 1 for word in text.split())
    assert gpu.prompt(tokenizer, 8) == text


def test_the_reward_is_the_share_of_early_letters():
    assert gpu.reward("ab yz") == pytest.approx(0.4) and gpu.reward("") == 0


# ---- what it puts in place


def test_the_ways_of_decoding_are_the_ones_they_say_and_draw_the_same_tokens(loaded, monkeypatch):
    model, tokenizer = loaded
    made, drawn = [], []
    for kind in (decoding.Growing, decoding.Fixed):
        monkeypatch.setattr(kind, "forward" if kind is decoding.Fixed else "advance", spy(kind, made))
    for way in ("growing cache", "fixed cache, step by step"):
        with gpu.decoding_by(way):
            drawn.append(lm.sample(model, tokenizer, [gpu.prompt(tokenizer, 8)], 4, 6, seed=3))
    assert made == ["Growing"] * 5 + ["Fixed"] * 5
    assert torch.equal(drawn[0].ids, drawn[1].ids)
    torch.testing.assert_close(drawn[0].logp, drawn[1].logp, rtol=0, atol=1e-5)
    assert not decoding.pays(torch.device("cpu"), 100)  # what was put in place is gone again


def spy(kind, made):
    original = kind.forward if kind is decoding.Fixed else kind.advance

    def noted(self, *arguments):
        made.append(kind.__name__)
        return original(self, *arguments)

    return noted


def test_the_full_forward_is_another_way_to_the_same_gradient(loaded, monkeypatch):
    model, tokenizer = loaded
    drawn = lm.sample(model, tokenizer, [gpu.prompt(tokenizer, 8), "x"], 4, 6, seed=3)
    plain, calls, found = scoring._plain, [], {}
    monkeypatch.setattr(scoring, "_plain", lambda *given: calls.append(1) or plain(*given))
    for shared in (True, False):
        for recompute in (True, False):
            logp = bench_qlora.backward(model, drawn, shared, recompute)
            gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
            found[shared, recompute] = logp, gradient.clone()
        assert len(calls) == (0 if shared else 2)
    for logp, gradient in found.values():
        torch.testing.assert_close(logp, found[False, False][0], rtol=0, atol=1e-5)
        torch.testing.assert_close(gradient, found[False, False][1], rtol=0, atol=1e-3)
    assert found[False, False][1].abs().max() > 0.1


def test_logits_get_the_range_of_a_trained_model(folder):
    model, tokenizer = lm.load(folder / "1.5b", quantize="nf4", lora=4, device="cpu")
    drawn = lm.sample(model, tokenizer, [gpu.prompt(tokenizer, 8)], 8, 8)
    before = lm.score_tokens(model, drawn, entropy=True)[1].mean().item()
    assert gpu.like_trained(model, drawn.prompt_ids) == pytest.approx(3, abs=1e-3)
    after = lm.score_tokens(model, drawn, entropy=True)[1].mean().item()
    assert before > 7 and after < 3  # nats; log 1800 = 7.5
    assert all(p.any() for name, p in model.named_parameters() if "lora_B" in name)


def test_sampler_and_scorer_agree_in_fp32(folder):
    rows = {row["work"]: row["ours"] for row in gpu.sampler(LANE, folder)}
    assert rows["difference in float32, mean of 32 tokens"] < 1e-4 and rows["largest"] < 1e-3
    assert rows["99th percentile"] <= rows["largest"]
    assert rows["standard deviation of the logits"] == pytest.approx(3, abs=1e-3)


def test_an_update_is_timed_both_ways(folder):
    rows = list(gpu.update(LANE, folder))
    assert [row["work"].split(";")[0] for row in rows] == ["layers recomputed", "layers kept"]
    assert all(row["ours"] > 0 and row["ratio"] == pytest.approx(row["theirs"] / row["ours"]) for row in rows)


def test_an_engine_that_does_not_run_is_said_and_the_others_are_measured(folder, monkeypatch):
    def broken():
        raise RuntimeError("no such kernel")

    real = gpu.engines

    def with_a_broken_one(*given):
        return {"nothing": broken} | real(*given)

    monkeypatch.setattr(gpu, "engines", with_a_broken_one)
    rows = {row["work"]: row for row in gpu.rollouts(LANE, folder)}
    assert rows["against nothing, which does not run: RuntimeError: no such kernel"]["ours"] is None
    assert rows["growing cache, the kit's choice"]["ours"] == rows["against generate"]["ours"]
    assert rows["against generate, static cache"]["theirs"] > 0


# ---- how it judges and keeps


def line(must, unit="GB", ours=5.0, ratio=0.5):
    return {"work": "w", "unit": unit, "ours": ours, "theirs": 10.0, "ratio": ratio, "must": must}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (line(""), ""),
        (line("<= 1 x and <= 6 GB"), "reached"),
        (line("<= 1 x and <= 4.9 GB"), "MISSED <= 4.9 GB"),
        (line("<= 0.4 x and <= 4.9 GB"), "MISSED <= 0.4 x, <= 4.9 GB"),
        (line(">= 2 x", "tokens/s", ratio=2.0), "reached"),
        (line(">= 2 x", "tokens/s", ratio=1.99), "MISSED >= 2 x"),
        (line(">= 1 tokens/s", "tokens/s", ours=None), "MISSED >= 1 tokens/s"),
    ],
)
def test_verdict(row, expected):
    assert gpu.verdict(row) == expected


@pytest.mark.parametrize("must", ["fast", "<= 6 s", "< 6 GB"])
def test_a_condition_that_nobody_can_check_is_refused(must):
    with pytest.raises(ValueError, match=r"must='.*': must be like '<= 6 GB' or '>= 2 x'"):
        gpu.verdict(line(must))


def test_ratio_says_how_many_times_faster_or_how_much_of_theirs():
    assert [gpu.row("w", unit, 2.0, 8.0)["ratio"] for unit in ("s", "tokens/s", "GB")] == [4, 0.25, 0.25]
    assert gpu.row("w", "s", 2.0)["ratio"] is None
    assert gpu.row("w", "s", float("nan"), 1.0) == gpu.row("w", "s", None, 1.0)


@pytest.mark.parametrize(("each", "turns"), [(1, 4), (8, 3), (40, 2)])
def test_a_way_that_takes_long_is_timed_fewer_times_but_once(each, turns, monkeypatch):
    now, ran = [0.0], []
    monkeypatch.setattr(gpu, "clock", lambda: now[0])

    def work():
        ran.append(1)
        now[0] += each + (100 if len(ran) == 1 else 0)  # the first one warms up

    assert gpu.seconds_of(work, repeats=3) == each and len(ran) == turns


def test_a_run_that_is_cut_short_keeps_the_sections_before(monkeypatch, tmp_path):
    def measure(name, command):
        if name == "update":
            raise KeyboardInterrupt
        return [{"section": name, **line(""), "verdict": ""}], {"card": "C"}

    monkeypatch.setattr(gpu, "measure", measure)
    monkeypatch.setattr(gpu, "RESULT", tmp_path / "results.json")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(KeyboardInterrupt):
        gpu.main([])
    kept = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["section"] for row in kept] == ["1.5b", "sampler", "rollouts"]


def test_a_section_that_fails_keeps_its_rows_and_says_why(tmp_path, capfd):
    script = tmp_path / "section.py"
    good = {"work": "w", "unit": "s", "ours": 1.0, "theirs": 2.0, "ratio": 2.0, "must": ">= 3 x"}
    script.write_text(
        f"print('loading', end='')\nprint('\\n{gpu.MARK}' + '{json.dumps({'card': 'C'})}')\n"
        f"print('{gpu.MARK}' + '{json.dumps(good)}')\nraise MemoryError('out of memory: 3 GB are missing')\n"
    )
    rows, place = gpu.measure("update", [sys.executable, str(script)])
    assert place == {"card": "C"} and "loading" in capfd.readouterr().err
    assert rows[0] == good | {"section": "update", "verdict": "MISSED >= 3 x"}
    assert rows[1]["verdict"] == "FAILED (exit status 1): MemoryError: out of memory: 3 GB are missing"
    assert rows[1]["ours"] is None and len(rows) == 2


def test_one_failing_section_leaves_the_others_and_is_no_success(monkeypatch, tmp_path, capsys):
    asked = []

    def measure(name, command):
        asked.append(name)
        said = "FAILED (exit status 1): no" if name == "1.5b" else ""
        return [{"section": name, **line(""), "verdict": said}], {"card": None}

    monkeypatch.setattr(gpu, "measure", measure)
    monkeypatch.setattr(gpu, "RESULT", tmp_path / "results.json")
    assert gpu.main([]) == 1 and asked == list(gpu.SECTIONS)
    assert gpu.main(["--only", "7b", "--only", "update"]) == 0 and asked[5:] == ["update", "7b"]
    assert "7b: a GRPO step of the 7B shape" in capsys.readouterr().out
    assert not (tmp_path / "results.json").exists()  # a CPU's numbers are not kept
    with pytest.raises(SystemExit):
        gpu.main(["--only", "8b"])


def test_results_of_one_card_are_kept_section_by_section(tmp_path):
    file, here = tmp_path / "new" / "bench-gpu.json", {"card": "C", "versions": {"torch": "2.13"}}

    def stored(place, *sections, ours=1.0):
        gpu.store(file, place, [{"section": name, **line("", ours=ours), "verdict": ""} for name in sections])
        found = json.loads(file.read_text())
        return found, [(row["section"], row["ours"]) for row in found["rows"]]

    record, rows = stored(here, "1.5b", "7b")
    assert rows == [("1.5b", 1.0), ("7b", 1.0)]
    assert record["format"] == "rlkit-bench" and record["card"] == "C" and record["rows"][0]["date"] == record["date"]
    assert stored(here, "1.5b", "update", ours=2.0)[1] == [("1.5b", 2.0), ("update", 2.0), ("7b", 1.0)]
    assert stored(here | {"card": "D"}, "7b", ours=3.0)[1] == [("7b", 3.0)]
    assert [f.name for f in file.parent.iterdir()] == ["bench-gpu.json"]  # written whole, nothing left behind


def test_make_bench_does_not_take_it():
    assert "gpu" not in {file.stem for file in (ROOT / "tests" / "bench").glob("bench_*.py")}


BARE = """
import importlib.machinery, sys

MISSING = {"IPython", "ipywidgets", "plotly", "scipy", "sklearn", "ipykernel", "traitlets", "matplotlib"}

class Bare(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in MISSING else super().find_spec(name, path, target)

sys.meta_path[:] = [Bare if finder is importlib.machinery.PathFinder else finder for finder in sys.meta_path]
"""


@pytest.mark.slow
def test_it_runs_without_the_packages_of_notebooks(tmp_path):
    """As a file, from another folder, where IPython, ipywidgets, plotly, scipy and scikit-learn are not installed."""
    pytest.importorskip("trl")
    (tmp_path / "sitecustomize.py").write_text(BARE)
    bare = os.environ | {"PYTHONPATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "tests" / "bench" / "gpu.py"), "--quick", "--only", "1.5b"]
    probe = [sys.executable, "-c", "import scipy"]
    assert "No module named 'scipy'" in subprocess.run(probe, env=bare, capture_output=True, text=True).stderr
    done = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"1.5b: a GRPO step of the 1.5B shape: {gpu.NO_CARD}" in done.stdout
    assert "CPU lane" in done.stdout and "2 rows; failed or missed: 0" in done.stdout
    (against,) = [text for text in done.stdout.splitlines() if text.strip().startswith("against TRL")]
    ours, theirs, ratio = (float(word) for word in against.split() if word[0].isdigit())
    assert ours > 0 and theirs > 0 and ratio == pytest.approx(ours / theirs, rel=0.05)
    assert not (ROOT / "data" / "results" / "bench-gpu.json").exists() or "wrote" not in done.stdout
