"""What rlkit writes for verl, loaded by verl's own code: configuration, data set, reward manager, advantages, losses.

`make test-verl` runs this in .venv-verl; nothing here needs a GPU, vLLM or a running Ray.
"""

import asyncio
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from verl import DataProto
from verl.trainer.ppo.core_algos import agg_loss, get_adv_estimator_fn, get_policy_loss_fn, kl_penalty
from verl.trainer.ppo.reward import load_reward_manager
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import omega_conf_to_dataclass, validate_config
from verl.utils.dataset.rl_dataset import collate_fn, get_dataset_class

from rlkit import paths, rlvr
from rlkit.lm import models, prefix, tasks
from rlkit.rlvr import objectives, verl

P, G, T, LONGEST = 3, 4, 9, 12
B = P * G
LENGTHS = torch.tensor([9, 2, 5, 1, 7, 7, 3, 9, 4, 4, 8, 1])
TASKS = {
    "countdown": tasks.countdown(numbers=3, largest=20).with_weights(format=0.25),
    "arithmetic": tasks.arithmetic(),
    "knights": tasks.knights(people=2).with_weights(people=0.5),
    "graphs": tasks.graphs(nodes=5),
}
HOSTILE = ["", " ", "</script>", "\x00", "answer answer 3", "1 " * 30_000, "(((((", "__import__('os')", "９ + １"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "home", lambda: tmp_path)


def export(task=TASKS["countdown"], objective=None, **options):
    options = {"steps": 20, "learning_rate": 1e-6, "model": "owner/name", "prompts_per_step": 4} | options
    return verl.export_verl("export", task, objective=objective or rlvr.grpo(), **options)


def composed(folder, *overrides):
    """The configuration as `run.sh` has it composed."""
    files = {"data.train_files": "train.parquet", "data.val_files": "test.parquet"}
    files |= {"reward.custom_reward_function.path": "reward.py"}
    given = [f"{name}='{folder / file}'" for name, file in files.items()]
    with initialize_config_dir(config_dir=str(folder), version_base=None):
        return compose("config", overrides=[*given, *overrides])


def tokenizer():
    """The words of the tiny models, with a chat template that passes a message on as it is."""
    found = models.vocabulary.tokenizer()
    found.chat_template = "{{ messages[0]['content'] }}"
    return found


def leaves(tree, path=()):
    for name, value in tree.items():
        yield from leaves(value, (*path, name)) if isinstance(value, dict) else [((*path, name), value)]


# ---- configuration


@pytest.mark.parametrize("name", verl.OBJECTIVES)
def test_every_setting_is_one_of_verl_and_verl_finds_them_valid(name):
    folder = export(objective=rlvr.make(name, beta=0.04), mini_batches=2, updates_per_batch=3, evaluate_every=5)
    config = composed(folder)
    own = OmegaConf.to_container(default_config())
    written = yaml.safe_load((folder / "config.yaml").read_text())
    settings = [leaf for leaf in leaves(written) if leaf[0][0] not in ("hydra", "defaults")]
    assert len(settings) > 30
    for path, value in settings:
        place = own
        for key in path[:-1]:
            place = place[key]
        assert path[-1] in place, f"verl has no {'.'.join(path)}"
        assert OmegaConf.select(config, ".".join(path)) == value
    validate_config(config, need_reference_policy(config), need_critic(config))
    assert need_reference_policy(config) and not need_critic(config)
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    assert (actor.optim.lr, actor.optim.clip_grad, actor.ppo_mini_batch_size, actor.ppo_epochs) == (1e-6, 1.0, 2, 3)
    rollout = omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    assert (rollout.n, rollout.temperature, rollout.response_length) == (16, 1.0, TASKS["countdown"].max_new_tokens)
    assert not need_reference_policy(composed(folder, "actor_rollout_ref.actor.use_kl_loss=false"))


def test_the_command_of_run_sh_reaches_verl_and_takes_more_settings(tmp_path):
    folder = export().rename(tmp_path / "another place, = moved")
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    command = ["sh", str(folder / "run.sh"), "trainer.n_gpus_per_node=3", "--cfg", "job", "--resolve"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PATH": path}, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    config = OmegaConf.create(done.stdout)
    assert config.data.train_files == str(folder / "train.parquet") and config.trainer.n_gpus_per_node == 3
    assert config.reward.custom_reward_function.path == str(folder / "reward.py")
    assert config.actor_rollout_ref.rollout.n == 16 and config.algorithm.adv_estimator == "grpo"


# ---- data and rewards


@pytest.mark.parametrize("name", TASKS)
def test_the_data_set_of_verl_gives_the_prompts_and_problems(name):
    task = TASKS[name]
    problems, held_out = task.problems(10, seed=3), task.problems(5, seed=4, split="test")
    config = composed(export(task, problems=problems, evaluation=held_out), "data.filter_overlong_prompts=true")
    words = tokenizer()
    for files, expected in ((config.data.train_files, problems), (config.data.val_files, held_out)):
        data = get_dataset_class(config.data)(data_files=files, tokenizer=words, config=config.data)
        assert len(data) == len(expected)  # no prompt is longer than max_prompt_length
        batch = collate_fn([data[i] for i in range(len(data))])
        encoded, mask = prefix.encode(words, [p.prompt for p in expected])
        for i, problem in enumerate(expected):
            messages = batch["raw_prompt"][i]
            assert messages == [{"role": "user", "content": problem.prompt}] and batch["index"][i] == i
            ids = words.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
            assert ids == encoded[i][mask[i]].tolist()
            assert tasks.Problem(**yaml.safe_load(batch["reward_model"][i]["ground_truth"])) == problem


@pytest.mark.parametrize("name", TASKS)
def test_the_reward_manager_of_verl_gives_the_rewards_of_the_verifier(name):
    task, rng = TASKS[name], np.random.default_rng(0)
    problems = task.problems(8, seed=5)
    config = composed(export(task, problems=problems))
    words = tokenizer()
    manager = load_reward_manager(config, words)
    data = get_dataset_class(config.data)(data_files=config.data.train_files, tokenizer=words, config=config.data)
    seen = set()
    for i, problem in enumerate(problems):
        other = task.demonstrate(problems[i - 1], rng)
        for text in (task.demonstrate(problem, rng), other, other[: len(other) // 2]):
            ids = torch.tensor([[*words(text)["input_ids"], words.eos_token_id, words.pad_token_id]])
            tensors = {"responses": ids, "prompts": ids[:, :1], "input_ids": ids}
            tensors["attention_mask"] = torch.cat([ids[:, :1] * 0 + 1, (ids != words.pad_token_id).long()], 1)
            row = {key: np.array([data[i][key]], dtype=object) for key in ("data_source", "reward_model", "extra_info")}
            found = asyncio.run(run(manager, DataProto.from_dict(tensors, row)))
            parts = task.verify(problem, words.decode(words(text)["input_ids"]))
            assert found["reward_score"] == task.reward(parts)
            assert found["reward_extra_info"]["acc"] == parts["correct"]
            assert {part: found["reward_extra_info"][f"reward_{part}"] for part in parts} == parts
            seen.add(parts["correct"])
    assert seen == {0.0, 1.0}
    truth = data[0]["reward_model"]["ground_truth"]
    for text in HOSTILE:
        found = manager.compute_score(data_source=task.name, solution_str=text, ground_truth=truth, extra_info={})
        assert found["score"] == task.reward(task.verify(problems[0], text))


async def run(manager, data):
    manager.loop = asyncio.get_running_loop()
    return await manager.run_single(data)


# ---- advantages and losses


CASES = {
    "grpo": {"clip_high": 0.28},
    "dapo": {},
    "dr_grpo": {"clip_high": 0.28},
    "gspo": {"clip_low": 0.1, "clip_high": 0.15},
    "cispo": {"cap": 1.5},
    "rloo": {},
    "rloo, clipped": {"clip_low": 0.1, "clip_high": 0.3},
    "grpo, no lower bound": {"clip_low": None},
}
KINDS = [(0.0, "k3"), (0.04, "k1"), (0.04, "k2"), (0.04, "k3")]


@pytest.fixture(scope="module")
def batch():
    draw = torch.Generator().manual_seed(0)
    logp = -torch.rand(B, T, generator=draw, dtype=torch.float64) * 3
    old = logp + 0.6 * torch.randn(B, T, generator=draw, dtype=torch.float64)
    reference = logp + 0.5 * torch.randn(B, T, generator=draw, dtype=torch.float64)
    rewards = torch.tensor([[1.0, 0, 0, 0.25], [0, 1, 1, 0], [0.5, 0.5, 0, 0]], dtype=torch.float64)
    ratio = (logp - old).exp()
    assert ratio.min() < 0.3 and ratio.max() > 3.1  # beyond verl's dual clip, which must be off
    return logp, old, reference, rewards, torch.arange(T) < LENGTHS[:, None]


@pytest.mark.parametrize("case", CASES)
def test_the_advantages_are_those_of_verl(case, batch):
    *_, rewards, mask = batch
    objective = rlvr.make(case.split(",")[0], **CASES[case])
    config = composed(export(objective=objective))
    scores = torch.zeros(B, T)
    scores[torch.arange(B), LENGTHS - 1] = rewards.flatten().float()
    options = {"norm_adv_by_std_in_grpo": config.algorithm.norm_adv_by_std_in_grpo, "config": config.algorithm}
    estimator = get_adv_estimator_fn(config.algorithm.adv_estimator)
    theirs, _ = estimator(scores, mask.float(), index=np.repeat(np.arange(P), G), **options)
    ours = objective.advantages(rewards).advantage.flatten()
    # Their 1e-6 beside the standard deviation, our 1e-4: at 0.29, the smallest here, a share of 3.5e-4.
    tolerance = 4e-4 if config.algorithm.norm_adv_by_std_in_grpo else 1e-6
    for row in range(B):
        assert theirs[row][mask[row]].tolist() == pytest.approx([ours[row].item()] * LENGTHS[row], rel=tolerance)
    assert ours.abs().max() > 0.3


@pytest.mark.parametrize(("beta", "kl"), KINDS)
@pytest.mark.parametrize("aggregation", ["token", "sequence", "constant"])
@pytest.mark.parametrize("case", CASES)
def test_the_loss_and_its_gradient_are_those_of_verl(case, aggregation, beta, kl, batch):
    logp, old, reference, rewards, mask = batch
    objective = rlvr.make(case.split(",")[0], beta=beta, kl=kl, aggregation=aggregation, **CASES[case])
    weights = objective.advantages(rewards)
    normaliser = objective.normaliser(mask.view(P, G, T), weights, LONGEST)
    own = logp.clone().requires_grad_()
    loss, _ = objective.loss(own, old, reference, mask, objectives.rows(weights), normaliser)
    loss.backward()

    settings = verl.loss_settings(objective, LONGEST)["actor"]
    config = OmegaConf.create({"actor_rollout_ref": {"actor": settings}})
    actor = omega_conf_to_dataclass(OmegaConf.merge(default_config(), config).actor_rollout_ref.actor)
    theirs = logp.clone().requires_grad_()
    total = 0.0
    for rows in torch.arange(B).split(B // 2):  # two micro-batches of one mini-batch, as verl's ppo_loss has them
        whole = {"dp_size": 1, "batch_num_tokens": mask.sum(), "global_batch_size": B}
        actor.global_batch_info.update(whole | {"loss_scale_factor": actor.loss_scale_factor})
        advantages = weights.advantage.flatten()[rows, None].expand(-1, T)
        parts = dict(old_log_prob=old[rows], log_prob=theirs[rows], advantages=advantages, response_mask=mask[rows])
        policy = get_policy_loss_fn(actor.policy_loss.loss_mode)
        part, _ = policy(**parts, loss_agg_mode=actor.loss_agg_mode, config=actor)
        if actor.use_kl_loss:
            kld = kl_penalty(logprob=theirs[rows], ref_logprob=reference[rows], kl_penalty=actor.kl_loss_type)
            kld = agg_loss(kld, mask[rows], actor.loss_agg_mode, **actor.global_batch_info)
            part = part + actor.kl_loss_coef * kld
        total = total + part
    total.backward()
    assert own.grad.abs().max() > 1e-3
    assert total.item() == pytest.approx(loss.item(), abs=1e-7)
    torch.testing.assert_close(own.grad, theirs.grad, rtol=0, atol=1e-7)


_defaults = []


def default_config():
    """verl's own ppo_trainer, composed once, with what it leaves to be said."""
    if not _defaults:
        home = os.path.dirname(sys.modules["verl.trainer.config"].__file__)
        with initialize_config_dir(config_dir=home, version_base=None):
            overrides = ["actor_rollout_ref.rollout.name=vllm", "actor_rollout_ref.actor.use_dynamic_bsz=true"]
            _defaults.append(compose("ppo_trainer", overrides=overrides))
    return _defaults[0]
