"""What is written for verl: rows, reward.py, settings, refusals. verl itself reads it in tests/verl: make test-verl."""

import dataclasses
import importlib.util
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

from rlkit import paths, rlvr
from rlkit.lm import tasks
from rlkit.lm.tasks.countdown import problem as countdown_problem
from rlkit.rlvr import arguments, verl
from tests.rlvr import toy

COUNTDOWN = tasks.countdown(numbers=3, largest=20).with_weights(format=0.25)
HOSTILE = ["", "</script>", "\x00\ud800", "1 + ", "(" * 5000, "9" * 5000, "１ + ２", "answer", "a\u2028b"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "home", lambda: tmp_path)


def export(task=COUNTDOWN, objective=None, **options):
    options = {"steps": 20, "learning_rate": 1e-6, "model": "owner/name"} | options
    return verl.export_verl("out", task, objective=objective or rlvr.grpo(), **options)


def reward(folder):
    """compute_score of reward.py, from the file, as verl loads it."""
    spec = importlib.util.spec_from_file_location("reward_of_a_test", folder / "reward.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.compute_score


def settings(folder, *path):
    found = yaml.safe_load((folder / "config.yaml").read_text())
    for key in path:
        found = found[key]
    return found


def test_the_rows_are_in_the_format_of_verl():
    problems, held_out = COUNTDOWN.problems(20, seed=1), COUNTDOWN.problems(5, seed=2, split="test")
    folder = export(problems=problems, evaluation=held_out)
    assert sorted(f.name for f in folder.iterdir()) == sorted(
        ["README.md", "config.yaml", "reward.py", "run.sh", "test.parquet", "train.parquet"]
    )
    for split, expected in (("train", problems), ("test", held_out)):
        rows = pd.read_parquet(folder / f"{split}.parquet")
        assert list(rows) == ["data_source", "prompt", "ability", "reward_model", "extra_info"]
        assert len(rows) == len(expected)
        for i, (row, problem) in enumerate(zip(rows.to_dict("records"), expected, strict=True)):
            assert row["data_source"] == COUNTDOWN.name and row["ability"] == "countdown"
            assert list(row["prompt"]) == [{"role": "user", "content": problem.prompt}]
            assert row["reward_model"]["style"] == "rule"
            assert tasks.Problem(**json.loads(row["reward_model"]["ground_truth"])) == problem
            assert row["extra_info"] == {"split": split, "index": i, "problem": problem.id}


def test_problems_are_those_of_train_and_held_out_ones_of_the_test_split():
    folder = export(seed=7)
    ids = [e["problem"] for e in pd.read_parquet(folder / "train.parquet")["extra_info"]]
    assert ids == [p.id for p in arguments.default_problems(COUNTDOWN, 7)]
    held_out = [e["problem"] for e in pd.read_parquet(folder / "test.parquet")["extra_info"]]
    assert held_out == [p.id for p in COUNTDOWN.problems(128, seed=7, split="test")]
    assert {tasks.split_of(problem) for problem in held_out} == {"test"}


def test_fewer_problems_than_a_batch_come_several_times():
    problems = COUNTDOWN.problems(3, seed=0)
    folder = export(problems=problems, prompts_per_step=8, steps=20)
    rows = pd.read_parquet(folder / "train.parquet")
    assert [e["problem"] for e in rows["extra_info"]] == [p.id for p in problems] * 3
    assert settings(folder, "trainer", "total_epochs") == 20  # one batch of 8 an epoch, the ninth row is dropped


REAL = {
    "countdown": lambda: COUNTDOWN,
    "arithmetic": lambda: tasks.arithmetic().with_weights(chain=0.5),
    "knights": lambda: tasks.knights(people=2).with_weights(people=-0.5),
    "graphs": lambda: tasks.graphs(nodes=5),
    "gym": lambda: tasks.from_reasoning_gym("basic_arithmetic"),
    "math": lambda: tasks.with_math_verify([(f"What is half of {n}?", f"\\frac{{{n}}}{{2}}") for n in range(60)]),
    "toy": lambda: toy.TASK,
}


@pytest.mark.parametrize("name", REAL)
def test_the_reward_is_that_of_the_verifier(name):
    task, rng = REAL[name](), np.random.default_rng(0)
    problems = task.problems(4, seed=3)
    folder = export(task, problems=problems, evaluation=task.problems(1, seed=4, split="test"))
    score, seen = reward(folder), set()
    rows = pd.read_parquet(folder / "train.parquet").to_dict("records")
    for row, problem in zip(rows, problems, strict=False):
        right = task.demonstrate(problem, rng)
        for text in (right, right[:-1], right * 2, *HOSTILE):
            parts = task.verify(problem, text)
            found = score(row["data_source"], text, row["reward_model"]["ground_truth"], row["extra_info"], more=1)
            assert found == {"score": task.reward(parts), "acc": parts["correct"]} | {
                f"reward_{part}": value for part, value in parts.items()
            }
            seen.add(parts["correct"])
    assert seen == {0.0, 1.0}


@pytest.mark.slow
def test_reward_py_runs_in_a_process_of_its_own_and_needs_nothing_but_rlkit(tmp_path):
    folder = export(problems=[countdown_problem([1, 2, 3], 6)])
    code = "import json, sys; sys.path.insert(0, sys.argv[1]); import reward; import pandas as pd\n"
    code += "truth = pd.read_parquet(sys.argv[1] + '/train.parquet')['reward_model'][0]['ground_truth']\n"
    code += "print(json.dumps(reward.compute_score('x', '1 + 2 + 3', truth)))"
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["score"] == 1.25


def test_the_settings_of_train_have_the_names_of_verl():
    folder = export(
        steps=30, learning_rate=2e-5, seed=3, prompts_per_step=32, group_size=8, temperature=0.7, weight_decay=0.01,
        clip_gradient=None, updates_per_batch=2, mini_batches=4, evaluate_every=10, evaluation_samples=4,
        model="some/folder", problems=COUNTDOWN.problems(100, seed=0),
    )  # fmt: skip
    data, actor = settings(folder, "data"), settings(folder, "actor_rollout_ref", "actor")
    longest = max(len(p[0]["content"]) for p in pd.read_parquet(folder / "train.parquet")["prompt"])
    assert data["train_batch_size"] == 32 and data["max_response_length"] == COUNTDOWN.max_new_tokens
    assert longest <= data["max_prompt_length"] <= longest + 260 and data["seed"] == 3
    assert actor["optim"] == {"lr": 2e-5, "weight_decay": 0.01, "clip_grad": 1e9}
    assert (actor["ppo_mini_batch_size"], actor["ppo_epochs"]) == (8, 2)
    rollout = settings(folder, "actor_rollout_ref", "rollout")
    assert (rollout["n"], rollout["temperature"]) == (8, 0.7)
    assert rollout["val_kwargs"] == {"do_sample": True, "n": 4, "temperature": 0.7}
    trainer = settings(folder, "trainer")
    assert (trainer["total_training_steps"], trainer["test_freq"], trainer["total_epochs"]) == (30, 10, 10)
    assert settings(folder, "actor_rollout_ref", "model", "path") == "some/folder"
    assert "countdown-grpo" in (folder / "README.md").read_text()
    assert "verl.trainer.main_ppo" in (folder / "run.sh").read_text()


OBJECTIVES = {
    "grpo": ({}, "grpo", True, {"loss_agg_mode": "seq-mean-token-mean", "clip_ratio_high": 0.2}),
    "dapo": ({}, "grpo", True, {"loss_agg_mode": "token-mean", "clip_ratio_low": 0.2, "clip_ratio_high": 0.28}),
    "dr_grpo": ({}, "grpo", False, {"loss_agg_mode": "seq-mean-token-sum-norm", "loss_scale_factor": 10}),
    "rloo": ({}, "rloo", False, {"clip_ratio_low": 1.0, "clip_ratio_high": 1e9, "clip_ratio_c": 1e9}),
    "gspo": ({"clip_high": 5e-4}, "grpo", True, {"policy_loss": {"loss_mode": "gspo"}, "clip_ratio_high": 5e-4}),
    "cispo": ({"cap": 4.0}, "grpo", True, {"policy_loss": {"loss_mode": "cispo"}, "clip_ratio_high": 3.0}),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_have_the_names_of_verl(name):
    options, estimator, by_std, expected = OBJECTIVES[name]
    folder = export(objective=rlvr.make(name, beta=0.04, kl="k2", **options))
    algorithm = settings(folder, "algorithm")
    assert algorithm == {"adv_estimator": estimator, "norm_adv_by_std_in_grpo": by_std}
    actor = settings(folder, "actor_rollout_ref", "actor")
    assert expected.items() <= actor.items()
    assert (actor["use_kl_loss"], actor["kl_loss_coef"], actor["kl_loss_type"]) == (True, 0.04, "mse")
    assert set(OBJECTIVES) == set(verl.OBJECTIVES)


@pytest.mark.parametrize("name", sorted({*rlvr.names(), "bnpo"} - set(verl.OBJECTIVES)))
def test_what_verl_cannot_express_is_refused_with_a_list_of_what_it_can(name):
    listed = "grpo, dapo, dr_grpo, gspo, cispo, rloo"
    with pytest.raises(ValueError, match=f"^objective='{name}': must be one that verl can express: {listed}$"):
        export(objective=rlvr.make(name))


def parts_of_this_test(problem, completion):
    return {"correct": 0.0, "format": 0.0}


def of(prompt="2 :", facts=None, weights=None, parts=parts_of_this_test):
    """A task of one problem."""
    problem = tasks.Problem("2", prompt, {} if facts is None else facts)
    return tasks.Task("one", weights or {"correct": 1.0}, 2, lambda rng: problem, parts, lambda p, rng: "2"), [problem]


LAMBDA = of(parts=lambda problem, completion: {"correct": 0.0})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": rlvr.grpo(ddof=0)}, "ddof=0: must be 1"),
        ({"objective": rlvr.grpo(beta=0.1, kl_times_ratio=True)}, "kl_times_ratio=True: must be False"),
        ({"mini_batches": 3}, "mini_batches=3: must be a divisor of prompts_per_step=16"),
        ({"model": ""}, "model='': must be a hub id"),
        ({"model": "a/${oc.env:HOME}"}, "model=.*: must be a hub id"),
        ({"steps": 0}, "steps=0: must be a positive integer"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0: must be a finite number above 0"),
        ({"group_size": 1}, "group_size=1: must be at least 2 for grpo"),
        ({"evaluation": []}, r"evaluation=\[\]: must be None, or at least one problem"),
        ({"task": LAMBDA[0], "problems": LAMBDA[1]}, "task.parts=.*: must be a function of a module"),
        (dict(zip(("task", "problems"), of(facts={"a": (1,)}), strict=True)), "problem '2': its facts must come back"),
        (dict(zip(("task", "problems"), of(facts={"a": {1}}), strict=True)), "problem '2': must be text and facts"),
        (dict(zip(("task", "problems"), of(facts={"a": float("nan")}), strict=True)), "problem '2': must be text and"),
        (dict(zip(("task", "problems"), of(prompt="\ud800"), strict=True)), "problem '2': must be text and facts"),
        (dict(zip(("task", "problems"), of(weights={"correct": float("inf")}), strict=True)), r"task.weights\['corr"),
    ],
)
def test_bad_arguments_are_refused_in_one_line_and_write_nothing(options, message, tmp_path):
    options = {"evaluation": COUNTDOWN.problems(1, seed=0, split="test")} | options
    with pytest.raises(ValueError, match=f"^{message}") as raised:
        export(**options)
    assert "\n" not in str(raised.value) and not (tmp_path / "out").exists()


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "out").mkdir()
    export()
    before = (tmp_path / "out" / "config.yaml").read_text()
    with pytest.raises(ValueError, match="folder='out': must be new or empty: nothing is overwritten"):
        export(objective=rlvr.dapo())
    assert (tmp_path / "out" / "config.yaml").read_text() == before


def test_the_same_arguments_write_the_same_files(tmp_path):
    first = {f.name: f.read_bytes() for f in export().iterdir()}
    (tmp_path / "out").rename(tmp_path / "other")
    assert {f.name: f.read_bytes() for f in export().iterdir()} == first


def test_a_name_of_a_task_cannot_leave_its_place(tmp_path):
    name = '"""\nimport os  # ${oc.env:HOME} ../../x'
    task = dataclasses.replace(COUNTDOWN, name=name)
    folder = export(task)
    assert name not in (folder / "reward.py").read_text() and callable(reward(folder))
    assert settings(folder, "trainer", "experiment_name").count("/") == 0
    assert "$" not in (folder / "config.yaml").read_text()
    assert set(pd.read_parquet(folder / "train.parquet")["data_source"]) == {name}
