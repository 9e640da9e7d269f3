"""A training that is killed and started again continues bit for bit; another training is refused.

The killed ones are processes of their own, ended by SIGKILL wherever they happen to be.
"""

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rlkit import rlvr
from rlkit.rlvr import checkpoints
from rlkit.runs import Run, Step
from tests.rlvr import toy

STEPS = 12
OPTIONS = toy.SETTINGS | {"prompts_per_step": 4, "mini_batches": 2, "updates_per_batch": 2, "dynamic_sampling": 1}
OPTIONS |= {"reset_reference_every": 9, "entropy_bonus": 0.01, "log_rollouts_every": 2, "micro_batch": 12}
OPTIONS |= {"evaluate_every": 3, "evaluation_samples": 4, "evaluation": toy.TASK.problems(3, seed=1, split="test")}


def learner(folder=None, model=None, objective=None, task=toy.TASK, **options):
    model, tokenizer = model or toy.fresh()
    options = {"steps": STEPS} | OPTIONS | options
    return rlvr.train(model, tokenizer, task, objective or rlvr.grpo(beta=0.01), checkpoint=folder, **options), model


def whole(**options):
    """(steps, weights) of a training that nothing interrupts."""
    steps, model = learner(**options)
    return list(steps), toy.weights(model)


@pytest.fixture(scope="module")
def uninterrupted():
    return whole()


# ---- SIGKILL


def work(folder: str, run: str | None) -> None:
    """What the killed process does: train with a checkpoint, log each step into a Run, keep the final weights."""
    os.environ["OMP_NUM_THREADS"] = "1"
    folder = Path(folder)
    run = Run.load(run) if run else Run.create("killed", root=str(folder / "runs"))
    (folder / "started.new").write_text(str(run.path))
    os.replace(folder / "started.new", folder / "started")
    steps, model = learner(folder / "checkpoint")
    for step in rlvr.continued(steps, run):
        run.record(step)
    run.finish()
    save_file(toy.weights(model), folder / "final.new")
    os.replace(folder / "final.new", folder / "final.safetensors")


def lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.is_file() else 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_any_moment_it_continues_bit_for_bit(seed, tmp_path, uninterrupted):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.rlvr.test_resume"])
    rng, kills, run = random.Random(seed), [], None
    while not (tmp_path / "final.safetensors").is_file():
        (tmp_path / "started").unlink(missing_ok=True)
        process = context.Process(target=work, args=(str(tmp_path), run))
        process.start()
        while not (tmp_path / "started").is_file() and process.is_alive():
            time.sleep(0.001)
        run = (tmp_path / "started").read_text()
        log = Path(run) / "metrics.jsonl"
        if len(kills) < 6:
            enough = lines(log) + rng.choice([0, 1, 1, 2, 3])  # somewhere after that many more steps
            while lines(log) < enough and process.is_alive():
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.06))
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
                kills.append(lines(log))
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
    assert len(kills) >= 4
    steps, weights = uninterrupted
    logged = Run.load(run)
    assert logged.state == "finished"
    # Every step once, with the numbers of the uninterrupted training; its rollouts too, each row once.
    records = [json.loads(line) for line in log.read_text().splitlines()]
    metrics = [(r["step"], r["metrics"]) for r in records if "metrics" in r]
    assert metrics == [(step.step, step.metrics) for step in steps]
    rows = [json.loads(line) for line in (log.parent / "rollouts.jsonl").read_text().splitlines()]
    wanted = [row | {"step": step.step} for step in steps for row in step.rollouts or ()]
    assert rows == json.loads(json.dumps(wanted))
    assert toy.same(load_file(tmp_path / "final.safetensors"), {n: weights[n] for n in weights})


# ---- stopped between two steps


@pytest.mark.parametrize("at", [0, 1, 4, 9, 12])
def test_stopped_after_any_step_it_continues_bit_for_bit(at, tmp_path, uninterrupted):
    steps, _ = learner(tmp_path)
    first = [next(steps) for _ in range(at + 1)]
    steps.close()
    again, model = learner(tmp_path)
    rest = list(again)
    # The last step was given out but the next was not asked for, so it is computed again, with the same numbers.
    assert rest[0] == first[-1] and first[:-1] + rest == uninterrupted[0]
    assert toy.same(toy.weights(model), uninterrupted[1])
    done, model = learner(tmp_path)
    assert list(done) == [] and toy.same(toy.weights(model), uninterrupted[1])


def test_a_checkpoint_changes_no_number(tmp_path, uninterrupted):
    steps, model = learner(tmp_path)
    assert list(steps) == uninterrupted[0] and toy.same(toy.weights(model), uninterrupted[1])
    assert [file.name for file in tmp_path.iterdir()] == [checkpoints.FILE]  # one file, replaced whole


def test_adapters_resume(tmp_path):
    def adapted():
        model, tokenizer = toy.fresh()
        return toy.adapted(model, r=4), tokenizer

    wanted, weights = whole(model=adapted(), steps=4)
    steps, _ = learner(tmp_path, model=adapted(), steps=4)
    first = [next(steps) for _ in range(3)]
    size = (tmp_path / checkpoints.FILE).stat().st_size
    again, model = learner(tmp_path, model=adapted(), steps=4)
    assert first[:-1] + list(again) == wanted and toy.same(toy.weights(model), weights)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert size < 3 * 4 * trained + 20_000  # the adapter and its moments, not the base


def test_what_a_killed_writer_left_behind_does_no_harm(tmp_path, uninterrupted):
    steps, _ = learner(tmp_path)
    first = [next(steps) for _ in range(3)]
    half = (tmp_path / checkpoints.FILE).read_bytes()[:1000]
    (tmp_path / (checkpoints.FILE + ".new")).write_bytes(half)
    again, _ = learner(tmp_path)
    assert first[:-1] + list(again) == uninterrupted[0]


# ---- another training


CHANGED = [
    ({"seed": 1}, "seed=0, now seed=1"),
    ({"learning_rate": 0.02}, "learning_rate=0.01, now learning_rate=0.02"),
    ({"steps": STEPS + 1}, "steps=12, now steps=13"),
    ({"control": "random"}, 'control=null, now control="random"'),
    ({"objective": rlvr.dapo()}, 'objective={"name": "grpo"'),
    ({"objective": rlvr.grpo(beta=0.02)}, 'objective={"name": "grpo"'),
    ({"task": toy.TASK.with_weights(format=0.5)}, 'task={"name": "toy"'),
    ({"problems": toy.TASK.problems(9, seed=0)}, "problems="),
    ({"evaluation": toy.TASK.problems(4, seed=1, split="test")}, "evaluation="),
]


@pytest.mark.parametrize(
    ("changed", "message"), CHANGED, ids=[f"{next(iter(c))}{i}" for i, (c, _) in enumerate(CHANGED)]
)
def test_a_changed_argument_is_refused_by_name(changed, message, tmp_path):
    steps, _ = learner(tmp_path)
    next(steps), next(steps)
    with pytest.raises(ValueError, match="it was made with") as caught:
        next(learner(tmp_path, **changed)[0])
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_another_model_is_refused(tmp_path):
    steps, model = learner(tmp_path)
    next(steps), next(steps), next(steps)
    for other in ((model, toy.fresh()[1]), toy.ending()):  # the trained model itself is not the start model either
        with pytest.raises(ValueError, match=r"it was made with model=.* same start model"):
            next(learner(tmp_path, model=other)[0])


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_foreign_file_is_refused(content, tmp_path):
    file = tmp_path / checkpoints.FILE
    if content is None:
        save_file({"x": torch.zeros(2)}, file)
    else:
        file.write_bytes(content)
    with pytest.raises(ValueError, match="is no checkpoint of") as caught:
        next(learner(tmp_path)[0])
    assert "\n" not in str(caught.value)


# ---- logging each step once


def steps_from(first: int, last: int):
    for step in range(first, last + 1):
        yield Step(step, {"x": float(step)}, [{"row": i} for i in range(3)])


def test_continued_passes_on_what_the_run_does_not_hold(tmp_path):
    run = Run.create("once", root=str(tmp_path))
    for step in rlvr.continued(steps_from(0, 2), run):
        run.record(step)
    run.log_rollouts(3, [{"row": 0}, {"row": 1}])  # killed between a step's rollouts and its metrics
    found = list(rlvr.continued(steps_from(2, 4), Run.load(run.path)))
    assert [(step.step, len(step.rollouts)) for step in found] == [(3, 1), (4, 3)] and found[0].rollouts == [{"row": 2}]
    with pytest.raises(ValueError, match="its last step is 2, but the learner goes on at step 5"):
        list(rlvr.continued(steps_from(5, 6), run))
