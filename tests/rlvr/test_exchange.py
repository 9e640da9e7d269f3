"""Runs from TRL and to and from UNIPO: real files of a real trainer, and rows that come back bit for bit."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from rlkit import paths, rlvr
from rlkit.live import live
from rlkit.rlvr import exchange, objectives
from rlkit.runs import Run, Step
from tests.rlvr import toy

HOSTILE = ["</script><b>&amp;", "\ud800 half", "a\x00b\x1b[31m\x7f", "\u202eright to left\u2028", '"\\u0041\\', "=1+1"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "home", lambda: tmp_path)


def rows_of(run):
    """The completions as logged, without the order of their columns."""
    return [row for row in run._rollouts.refresh() if row.get("kind", "sample") == "sample"]


# ---- TRL


def table(folder, step, advantage=0.0, **columns):
    """A file as TRL writes it."""
    number = len(next(iter(columns.values())))
    columns["advantage"] = advantage if isinstance(advantage, list) else [advantage] * number
    (folder / "completions").mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame({"step": [step] * number, **columns})
    frame.to_parquet(folder / "completions" / f"completions_{step:05d}.parquet")


def history(folder, *entries):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": list(entries)}))


def test_completions_of_trl_become_groups_with_rewards(tmp_path):
    folder = tmp_path / "out"
    columns = {"prompt": ["a"] * 4 + ["b"] * 2, "completion": list("uvwxyz"), "right": [1.0, 0, 0, 1, 0, None]}
    table(folder, 1, **columns, short=[0.5, 0.5, 0, 0, 0.25, None], problem=list("ppppqq"))
    table(folder, 3, prompt=["b"] * 2, completion=["s", "t"], right=[1.0, 1], short=[0.0, 0], problem=["q"] * 2)
    run = exchange.read_trl("out", reward_weights={"right": 1.0, "short": -2.0})
    found = run.rollouts()
    assert run.state == "finished" and run.path == tmp_path / "runs" / "trl"
    assert found["step"].tolist() == [1] * 6 + [3] * 2
    assert found["group"].tolist() == [0, 0, 1, 1, 2, 2, 0, 0] and found["sample"].tolist() == [0, 1] * 4
    assert found["reward"].tolist()[:5] == [0.0, -1.0, 0.0, 1.0, -0.5] and math.isnan(found["reward"][5])
    assert found["problem"].tolist() == list("ppppqqqq") and set(found["kind"]) == {"sample"}
    assert found["reward_parts"][0] == {"right": 1.0, "short": 0.5}
    assert not {"tokens", "token_ids", "logp_sampled", "finish_reason"} & set(found)  # TRL does not store them
    metrics = run.metrics().set_index("step")
    assert metrics.loc[1, "reward"] == pytest.approx(-0.1) and metrics.loc[1, "reward_right"] == pytest.approx(0.4)
    assert metrics["dead_groups"].tolist() == [0, 1]
    assert metrics["updates"].tolist() == [1, 3]


def test_messages_become_text(tmp_path):
    ask = {"role": "user", "content": "2 + 2 ?"}
    system = {"role": "system", "content": "Be brief."}
    answer = [{"role": "assistant", "content": "4"}]
    parts = [{"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "what is it ?"}]}]
    table(
        tmp_path / "a", 1, prompt=[[system, ask], [ask]], completion=[answer, answer], f=[1.0, 0], advantage=[0.0] * 2
    )
    table(tmp_path / "b", 1, prompt=[parts], completion=[answer], f=[1.0])
    found = exchange.read_trl("a").rollouts()
    assert found["prompt"].tolist() == ["system: Be brief.\nuser: 2 + 2 ?", "2 + 2 ?"]
    assert found["completion"].tolist() == ["4", "4"]
    assert exchange.read_trl("b").rollouts()["prompt"].tolist() == ["what is it ?"]


def test_the_log_of_the_trainer_comes_under_our_names(tmp_path):
    folder = tmp_path / "out"
    table(folder, 2, prompt=["a"] * 2, completion=["x", "y"], good=[1.0, 0], luck=[0.5, 0.5], advantage=[1.0, -1])
    entry = {"step": 2, "reward": 0.25, "rewards/good/mean": 0.25, "rewards/good/std": 0.1, "reward_std": 0.1}
    entry |= {"grad_norm": 2.0, "completions/mean_length": 7.0, "completions/clipped_ratio": 0.5, "kl": 0.01}
    entry |= {"frac_reward_zero_std": 0.125, "clip_ratio/region_mean": 0.0625, "loss": 0.5, "num_tokens": 99.0}
    history(folder / "checkpoint-9", {"step": 1, "loss": 9.0})
    history(
        folder / "checkpoint-10", {"step": 1, "loss": 1.0}, entry, {"step": 2, "train_runtime": 3.0, "train_loss": 5}
    )
    run = exchange.read_trl("out")
    metrics = run.metrics().set_index("step").loc[2].to_dict()
    wanted = {"reward": 0.25, "reward_good": 0.25, "gradient_norm": 2.0, "length": 7.0, "truncated": 0.5, "kl": 0.01}
    wanted |= {"dead_groups": 0.125, "clipped": 0.0625, "loss": 0.5, "updates": 2.0, "num_tokens": 99.0}
    assert {name: metrics[name] for name in wanted} == wanted
    assert "tokens" not in metrics  # TRL counts prompts too
    assert "train_loss" not in metrics and run.series("loss")[1].ravel().tolist() == [1.0, 0.5]
    assert run.config["reward_functions"] == {"good": 1.0}  # the log names it, so `luck` came from log_extra
    assert run.rollouts()["luck"].tolist() == [0.5, 0.5] and run.rollouts()["reward"].tolist() == [1.0, 0.0]


def test_weights_that_trl_did_not_store_are_asked_for(tmp_path):
    table(tmp_path / "out", 1, prompt=["a"] * 2, completion=["x", "y"], f=[1.0, 0], g=[1.0, 1], advantage=[1.0, -1])
    said = {"step": 1, "rewards/f/mean": 0.5, "rewards/g/mean": 1.0}
    history(tmp_path / "out", said | {"reward": 1.0})
    with pytest.raises(ValueError, match=r"reward_weights=None: must be TRL's weights of f, g: at step 1 .* 1\.5.* 1$"):
        exchange.read_trl("out")
    assert exchange.read_trl("out", reward_weights={"f": 1, "g": 0.5}).series("reward")[1] == 1.0
    history(tmp_path / "out", said | {"reward": 1.0, "rewards/g/mean": 0.25})  # a log of other rows decides nothing
    assert exchange.read_trl("out").rollouts()["reward"].tolist() == [2.0, 1.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "completions_00001.parquet").unlink(), r"folder='out': must be an output_dir of TRL"),
        (lambda f: (f / "completions_00002.parquet").write_bytes(b"PAR1nonsense"), r"_00002\.parquet: no parquet file"),
        (lambda f: pd.DataFrame({"a": [1]}).to_parquet(f / "completions_00002.parquet"), r"it has no column 'step'"),
        (
            lambda f: table(f.parent, 1, prompt=[1], completion=["x"], f=[1.0]),
            r"row 0: prompt=1: must",
        ),
        (
            lambda f: table(f.parent, 1, prompt=["a"], completion=["x"], f=[1.0], advantage=["?"]),
            r"advantage='\?': must",
        ),
        (lambda f: (f.parent / "trainer_state.json").write_text("[" * 10**5), r"trainer_state\.json: not JSON"),
        (lambda f: (f.parent / "trainer_state.json").write_text("{}"), r"it has no log_history"),
        (lambda f: history(f.parent, {"step": -1, "loss": 0.0}), r"log_history\[0\]\.step=-1: must be an integer"),
    ],
)
def test_what_is_not_trl_is_refused_in_one_line_and_leaves_no_run(change, message, tmp_path):
    table(tmp_path / "out", 1, prompt=["a"], completion=["x"], f=[1.0])
    change(tmp_path / "out" / "completions")
    with pytest.raises(ValueError, match=message) as raised:
        exchange.read_trl("out")
    assert "\n" not in str(raised.value) and not (tmp_path / "runs").exists()


def test_an_unknown_reward_function_is_refused(tmp_path):
    table(tmp_path / "out", 1, prompt=["a"], completion=["x"], f=[1.0], n=[3])
    with pytest.raises(ValueError, match=r"reward_weights='n': must be one of 'f'"):
        exchange.read_trl("out", reward_weights={"n": 1.0})


@pytest.mark.slow
def test_a_real_trainer_of_trl_is_read(tmp_path):
    trl = pytest.importorskip("trl")
    from datasets import Dataset

    from rlkit.widgets import RewardCurves, SampleInspector

    model, tokenizer = toy.fresh()
    problems = toy.TASK.problems(4, seed=0)
    told = []

    def correct(completions, problem, log_extra, **_):
        log_extra("problem", problem)
        told.append([toy.parts(None, text)["correct"] for text in completions])
        return told[-1]

    def words(completions, **_):
        return [float(len(text.split(" "))) for text in completions]

    config = trl.GRPOConfig(
        output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, report_to="none", max_steps=2, logging_steps=1,
        per_device_train_batch_size=8, num_generations=4, max_completion_length=2, reward_weights=[1.0, 0.5],
        log_completions=True, save_strategy="no", gradient_checkpointing=False, disable_tqdm=True, learning_rate=1e-2,
    )  # fmt: skip
    data = Dataset.from_list([{"prompt": p.prompt, "problem": p.id} for p in problems])
    trainer = trl.GRPOTrainer(
        model, reward_funcs=[correct, words], args=config, train_dataset=data, processing_class=tokenizer
    )
    trainer.train()
    trainer.save_state()
    with pytest.raises(ValueError, match="reward_weights=None: must be TRL's weights of correct, words"):
        exchange.read_trl(tmp_path / "out")
    run = exchange.read_trl(tmp_path / "out", reward_weights={"correct": 1.0, "words": 0.5})
    found = run.rollouts()
    assert found["step"].tolist() == [1] * 8 + [2] * 8 and found["group"].tolist() == ([0] * 4 + [1] * 4) * 2
    assert [parts["correct"] for parts in found["reward_parts"]] == told[0] + told[1]
    assert found["completion"].map(lambda text: toy.parts(None, text)["correct"]).tolist() == told[0] + told[1]
    by_id = {p.id: p.prompt for p in problems}
    assert [by_id[problem] for problem in found["problem"]] == found["prompt"].tolist()
    for (_, _), group in found.groupby(["step", "group"]):  # TRL's advantages are those of our rewards
        advantage = objectives.grpo().advantages([group["reward"].tolist()]).advantage[0]
        assert group["advantage"].tolist() == pytest.approx(advantage.tolist(), abs=1e-4)
    metrics = run.metrics().set_index("step")
    assert metrics["reward"].tolist() == pytest.approx(found.groupby("step")["reward"].mean().tolist(), abs=1e-5)
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    for ours, theirs in {
        "gradient_norm": "grad_norm",
        "length": "completions/mean_length",
        "entropy": "entropy",
    }.items():
        assert metrics[ours].tolist() == [entry[theirs] for entry in logged]
    assert "reward" in RewardCurves(run).to_html()
    assert found["completion"].iloc[-1] in SampleInspector(run).to_html()


# ---- UNIPO


def trained(objective=None, task=toy.LONGER, steps=3, **options):
    """A run of rlvr.train with rows at each step, and its config as WhatIf wants it."""
    model, tokenizer = toy.ending()
    objective = objective or rlvr.grpo(beta=0.04, clip_low=0.01, clip_high=0.02)
    config = {"objective": rlvr.describe(objective), "max_new_tokens": 6, "task": "toy", "learning_rate": 0.01}
    options = toy.SETTINGS | {"prompts_per_step": 4, "log_rollouts_every": 1, "updates_per_batch": 2} | options
    run = Run.create("trained", config)
    live(rlvr.train(model, tokenizer, task, objective, steps=steps, **options), run).wait()
    return run


def responses(file):
    document = json.loads(file.read_text(encoding="ascii"), parse_constant=pytest.fail)
    return document, [r for entry in document["entries"] for p in entry["prompts"] for r in p["responses"]]


def same(first, second):
    """Equal values, NaN to NaN, whatever the order of columns."""
    return json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)


def test_a_run_comes_back_the_same_from_unipo(tmp_path):
    evaluation = toy.LONGER.problems(3, seed=1, split="test")
    run = trained(evaluation=evaluation, evaluation_samples=4)
    assert any(row["kind"] == "evaluation" for row in run._rollouts.refresh())
    back = exchange.read_unipo(exchange.write_unipo(run, "out/run.json"), name="back")
    assert len(rows_of(run)) == 3 * 32 and same(rows_of(run), rows_of(back))
    assert len(back.rollouts()) == 96  # the evaluations are what the format cannot hold
    assert back.config == run.config and back.state == "finished"
    ours, theirs = run.metrics(), back.metrics()
    assert set(ours) == set(theirs) and "loss" in ours
    pd.testing.assert_frame_equal(ours, theirs[list(ours)])
    again = exchange.write_unipo(back, "out/again.json").read_text()
    assert json.loads(again)["entries"] == json.loads((tmp_path / "out/run.json").read_text())["entries"]


def test_the_file_is_in_the_form_of_unipo():
    run = trained(steps=1)
    document, found = responses(exchange.write_unipo(run, "run.json"))
    header, entry = document["header"], document["entries"][1]
    assert header["algorithm"] == "grpo" and header["task"] == "toy" and header["totalSteps"] == 1
    assert header["reward_strategy"] == "correct + format"
    assert header["hparams"]["clip_eps"] == [0.01, 0.02] and header["hparams"]["kl_coef"] == 0.04
    assert header["hparams"]["group_size"] == 8 and header["hparams"]["learning_rate"] == 0.01
    values = run.metrics().set_index("step").loc[1]
    assert entry["step"] == 1 and entry["metrics"]["policy_objective"] == -values["loss"]
    assert entry["metrics"]["grad_norm"] == values["gradient_norm"] and entry["metrics"]["reward"] == values["reward"]
    assert [len(p["responses"]) for p in entry["prompts"]] == [8] * 4 and len({r["id"] for r in found}) == 32
    row, response = rows_of(run)[0], found[0]
    assert response["tokens"]["ids"] == row["token_ids"] and response["tokens"]["strings"] == row["tokens"]
    assert response["tokens"]["old_log_probs"] == row["logp_sampled"]
    assert all(len(values) == response["response_length"] for values in response["tokens"].values())
    assert set(response["tokens"]["advantages"]) == {row["advantage"]}


def test_token_objective_and_token_kl_are_the_formula_of_grpo():
    """Written out from the stored numbers; the clip acts, and the KL is not 0."""
    run = trained()
    _, found = responses(exchange.write_unipo(run, "run.json"))
    clipped = 0
    for row, response in zip(rows_of(run), found, strict=True):
        tokens = response["tokens"]
        for t, value in enumerate(tokens["token_objective"]):
            ratio = math.exp(row["logp_new"][t] - row["logp_sampled"][t])
            d = row["logp_reference"][t] - row["logp_new"][t]
            kl = math.expm1(d) - d
            plain, cut = ratio * row["advantage"], min(max(ratio, 0.99), 1.02) * row["advantage"]
            clipped += cut < plain
            assert tokens["token_kl"][t] == pytest.approx(kl, abs=1e-12)
            assert value == pytest.approx(min(plain, cut) - 0.04 * kl, abs=1e-9)
    assert clipped > 20 and max(max(r["tokens"]["token_kl"]) for r in found) > 1e-3


@pytest.mark.parametrize("name", rlvr.names())
def test_the_token_objectives_add_up_to_the_loss_of_every_objective(name):
    """Averaged as the objective averages, they are minus its loss at logp_new, on the whole batch."""
    objective = rlvr.make(name, beta=0.03)
    run = trained(objective, steps=1)
    _, found = responses(exchange.write_unipo(run, "run.json"))
    rows = rows_of(run)
    longest = max(len(row["token_ids"]) for row in rows)
    padded = {
        column: torch.tensor([row[column] + [0.0] * (longest - len(row[column])) for row in rows]).double()
        for column in ("logp_new", "logp_sampled", "logp_reference")
    }
    mask = torch.arange(longest) < torch.tensor([len(row["token_ids"]) for row in rows])[:, None]
    weights = objective.advantages([[row["reward"] for row in rows[g : g + 8]] for g in range(0, 32, 8)])
    normaliser = objective.normaliser(mask.reshape(4, 8, -1), weights, 6)
    loss, _ = objective.loss(*padded.values(), mask, objectives.rows(weights), normaliser)
    sums = [sum(r["tokens"]["token_objective"]) for r in found]
    if objective.options["aggregation"] == "sequence":
        sums = [total / len(row["token_ids"]) for total, row in zip(sums, rows, strict=True)]
    assert any(sums) and -sum(sums) / normaliser == pytest.approx(loss.item(), abs=1e-7)


def test_hostile_text_and_numbers_survive():
    run = Run.create("hostile", {"note": HOSTILE})
    rows = [
        {"kind": "sample", "problem": text, "group": i, "sample": 0, "prompt": text, "completion": text * 2,
         "tokens": [text, ""], "token_ids": [1, 2], "logp_sampled": [-1.0, math.nan], "entropy": [math.nan, 0.5],
         "reward": math.nan, "reward_parts": {text: math.nan}, "advantage": math.nan, text: {"deep": [text]}}
        for i, text in enumerate(HOSTILE)
    ]  # fmt: skip
    run.record(Step(1, {"reward": math.nan, "</b>": math.inf, "loss": -math.inf}, rows))
    file = exchange.write_unipo(run, "hostile.json")
    responses(file)  # strict JSON, all ASCII
    back = exchange.read_unipo("hostile.json")
    assert same(rows_of(back), rows_of(run))
    assert back.config == run.config
    assert all(np.isnan(back.series(name)[1]).all() for name in ("reward", "</b>", "loss"))  # infinity is what is lost


def test_what_trl_logged_goes_on_to_unipo(tmp_path):
    table(tmp_path / "out", 1, prompt=["a"] * 2, completion=["x", "y"], f=[1.0, 0], advantage=[0.7, -0.7])
    run = exchange.read_trl("out")
    document, found = responses(exchange.write_unipo(run, "trl.json"))
    assert document["header"]["algorithm"] == "unknown" and "tokens" not in found[0]
    assert same(rows_of(exchange.read_unipo("trl.json")), rows_of(run))


def test_two_arms_are_two_batches():
    run = Run.create("sweep", {"objective": {"name": "dr_grpo", "options": {}}})
    numbers = {"logp_new": [-1.0], "logp_sampled": [-1.0], "token_ids": [5], "tokens": ["5"]}
    rows = [
        {"kind": "sample", "arm": arm, "seed": 0, "group": 0, "sample": i, "prompt": "p", "completion": "5",
         "reward": reward, "advantage": 0.0, **numbers}
        for arm, rewards in (("one", [1.0, 0.0]), ("two", [1.0, 0.0, 0.0, 0.0]))
        for i, reward in enumerate(rewards)
    ]  # fmt: skip
    run.log_rollouts(1, rows)
    document, found = responses(exchange.write_unipo(run, "sweep.json"))
    assert [len(p["responses"]) for p in document["entries"][0]["prompts"]] == [2, 4]
    values = [r["tokens"]["token_objective"][0] for r in found]
    assert values == pytest.approx([0.5, -0.5, 0.75, -0.25, -0.25, -0.25])
    assert same(rows_of(exchange.read_unipo("sweep.json")), rows_of(run))


def test_a_file_of_another_tool_is_read(tmp_path):
    tokens = {"ids": [1, 2], "strings": ["a", "b"], "log_probs": [-1, None], "values": [0.1, 0.2], "token_kl": [0, 0]}
    tokens |= {"advantages": [0.5, 0.25], "rewards": [0, 1]}
    answer = {"id": "x", "reward": 1, "response_text": "ab", "tokens": tokens}
    entry = {"step": 0, "metrics": {"policy_objective": 0.5, "reward": 1, "grad_norm": 2, "odd": None}}
    entry |= {"prompts": [{"prompt": "p", "responses": [answer, {"id": "y", "reward": None}]}]}
    header = {"algorithm": "ppo", "hparams": {"clip_eps": 0.2}}
    (tmp_path / "ppo.json").write_text(json.dumps({"header": header, "entries": [entry, {"step": 1}]}))
    run = exchange.read_unipo("ppo.json")
    first, second = rows_of(run)
    assert run.config == {"unipo": header} and run.last_step == 1
    assert (first["group"], first["sample"], second["sample"]) == (0, 0, 1) and first["prompt"] == "p"
    assert first["token_ids"] == [1, 2] and first["values"] == [0.1, 0.2] and first["advantages"] == [0.5, 0.25]
    assert first["token_rewards"] == [0.0, 1.0] and "token_kl" not in first
    assert first["logp_new"][0] == -1 and math.isnan(first["logp_new"][1])
    assert math.isnan(second["reward"]) and second["completion"] == ""
    assert run.series("loss")[1] == -0.5 and run.series("gradient_norm")[1] == 2 and np.isnan(run.series("odd")[1])


def edited(path: list, value):
    """A good document with one place changed."""
    tokens = {"ids": [1], "strings": ["a"], "log_probs": [-1.0]}
    answer = {"id": "x", "reward": 1.0, "response_text": "ab", "tokens": tokens}
    entry = {"step": 0, "metrics": {"reward": 1.0}, "prompts": [{"prompt": "p", "responses": [answer]}]}
    document = {"header": {"algorithm": "grpo"}, "entries": [entry]}
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(document)


ANSWER = ["entries", 0, "prompts", 0, "responses", 0]
AT = r"bad\.json: entries\[0\]\.prompts\[0\]\.responses\[0\]\."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"bad\.json: not strict JSON"),
        ("[" * 10**5, r"bad\.json: not strict JSON"),
        ('{"header": NaN}', r"NaN is no number of JSON"),
        ("[]", r"bad\.json=\[\]: must be an object"),
        (edited(["header"], []), r"bad\.json: header=\[\]: must be an object"),
        (edited(["entries"], None), r"bad\.json: entries=None: must be a list"),
        (edited(["entries", 0], 7), r"entries\[0\]=7: must be an object"),
        (edited(["entries", 0, "step"], "1"), r"entries\[0\]\.step='1': must be an integer of at least 0"),
        (edited(["entries", 0, "metrics", "kl"], "x"), r"metrics\['kl'\]='x': must be a finite number or null"),
        (edited(["entries", 0, "metrics", "kl"], 10**400), r"metrics\['kl'\]=1000.*: must be a finite number"),
        (edited(["entries", 0, "metrics", "kl"], True), r"metrics\['kl'\]=True: must be a finite number"),
        (edited(["entries", 0, "prompts", 0, "prompt"], None), r"prompts\[0\]\.prompt=None: must be a text"),
        (edited(["entries", 0, "prompts", 0, "responses"], {}), r"responses=\{\}: must be a list"),
        (edited(ANSWER, "x"), r"responses\[0\]='x': must be an object"),
        (edited([*ANSWER, "response_text"], 3), AT + r"response_text=3: must be a text"),
        (edited([*ANSWER, "reward"], [1]), AT + r"reward=\[1\]: must be a finite number or null"),
        (edited([*ANSWER, "tokens", "ids"], ["1"]), AT + r"tokens\.ids=\['1'\]: must be integers"),
        (edited([*ANSWER, "tokens", "strings"], [1]), AT + r"tokens\.strings=\[1\]: must be texts"),
        (edited([*ANSWER, "tokens", "log_probs"], [-1.0, -2.0]), AT + r"tokens\.log_probs, its length=2: must be that"),
        (edited([*ANSWER, "tokens", "log_probs"], ["a"]), AT + r"tokens\.log_probs\[0\]='a': must be a finite number"),
        (edited([*ANSWER, "rlkit"], 3), AT + r"rlkit=3: must be an object"),
    ],
)
def test_a_malformed_file_is_refused_in_one_line_and_leaves_no_run(text, message, tmp_path):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(ValueError, match=message) as raised:
        exchange.read_unipo("bad.json")
    assert "\n" not in str(raised.value) and not (tmp_path / "runs").exists()


def test_our_own_fields_cannot_replace_what_unipo_says(tmp_path):
    (tmp_path / "bad.json").write_text(edited([*ANSWER, "rlkit"], {"step": 9, "kind": "evaluation", "reward": "x"}))
    (row,) = rows_of(exchange.read_unipo("bad.json"))
    assert (row["step"], row["kind"], row["reward"]) == (0, "sample", 1.0)


def test_what_unipo_cannot_hold_is_refused():
    run = Run.create("seeds", {"seeds": [0, 1]})
    with pytest.raises(ValueError, match="nothing is logged yet"):
        exchange.write_unipo(run, "x.json")
    run.log(1, reward=[0.0, 1.0])
    with pytest.raises(ValueError, match=r"metrics\['reward'\]=\[0.0, 1.0\]: must be one number per step"):
        exchange.write_unipo(run, "x.json")
    with pytest.raises(ValueError, match=r"nowhere\.json: must be a file of UNIPO's JSON: it does not exist"):
        exchange.read_unipo("nowhere.json")
