"""Paper, TRL, this kit: no option without a row; TRL's column is the installed TRL's, the kit's what the code does."""

import dataclasses
import inspect
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from rlkit import rlvr
from rlkit.rlvr import defaults, objectives
from rlkit.rlvr.learner import train
from tests.rlvr import toy

# Arguments of train that are no hyper-parameter: what is trained on, how long, and what is watched.
NOT_ROWS = set("model tokenizer task objective steps seed problems micro_batch reference control checkpoint".split())
NOT_ROWS |= {"evaluate_every", "evaluation", "evaluation_samples", "log_rollouts_every"}
NAMES = objectives.names()
OF_TRL = ["grpo", "dr_grpo", "dapo", "gspo", "cispo"]
ASKED = {name: {"loss_type": name} for name in OF_TRL}
ASKED["gspo"] = {"loss_type": "grpo", "importance_sampling_level": "sequence"}


@pytest.fixture(scope="module")
def tables():
    """objective -> the table, by hyper-parameter."""
    found = defaults.table()
    return {name: part.set_index("hyper-parameter") for name, part in found.groupby("objective", sort=False)}


def shown(value) -> str:
    return "none" if value is None else defaults._shown(value)


# The kit's column


@pytest.mark.parametrize("name", NAMES)
def test_every_option_of_an_objective_and_of_train_has_its_row_and_its_value(name, tables):
    kit = tables[name]["kit"]
    options = objectives.describe(objectives.make(name))["options"]
    assert {key: kit[key] for key in options} == {key: shown(value) for key, value in options.items()}
    arguments = {key: p.default for key, p in inspect.signature(train).parameters.items() if key not in NOT_ROWS}
    assert kit["learning_rate"] == "no default" and arguments.pop("learning_rate") is inspect.Parameter.empty
    assert {key: kit[key] for key in arguments} == {key: shown(value) for key, value in arguments.items()}
    assert tables[name]["kit's source"]["beta"] == f"{name}(beta=)"
    assert "no option" not in set(kit)


def test_there_is_a_table_for_each_objective_and_one_for_adapters(tables):
    assert set(defaults.PAPERS) == set(defaults.TRL) == set(tables) == {*NAMES, "lora"}
    assert set(NOT_ROWS) <= set(inspect.signature(train).parameters)  # nothing is excused that is not there
    with pytest.raises(ValueError, match=r"^objective='ppo': must be one of None, 'reinforce', "):
        defaults.table("ppo")


@pytest.mark.parametrize("name", NAMES)
def test_the_formula_of_the_advantage_is_what_the_objective_computes(name, tables):
    rewards = torch.tensor([[1.0, 0.0, 0.25, 0.0], [1.0, 1.0, 0.0, 0.5]], dtype=torch.float64)
    mean, kit = rewards.mean(1, keepdim=True), tables[name]["kit"]
    formulas = {
        "r": lambda: rewards,
        "r - 1": lambda: rewards - 1,
        "r - mean": lambda: rewards - mean,
        "r - mean of the others": lambda: rewards - (4 * mean - rewards) / 3,
        "positive r - (1 - r)": lambda: float(kit["positive"]) * rewards - (1 - rewards),
        "(r - mean) / std": lambda: (
            (rewards - mean) / (rewards.std(1, correction=int(kit["ddof"]), keepdim=True) + float(kit["std_epsilon"]))
        ),
    }
    found = objectives.make(name).advantages(rewards).advantage
    torch.testing.assert_close(found, formulas[kit["advantage"]](), rtol=0, atol=1e-12)


def test_the_importance_ratio_is_seen_from_the_loss(tables):
    levels = {name: tables[name]["kit"]["ratio"] for name in NAMES}
    assert levels == dict.fromkeys(NAMES, "token") | {"gspo": "sequence, geometric mean"}


def test_training_does_what_the_table_says_without_an_option(tables, monkeypatch):
    """AdamW with its own betas, a constant learning rate from the first step on, no dropout, no autocast."""
    seen, step = [], torch.optim.AdamW.step
    model, tokenizer = toy.fresh()
    model.config.attention_dropout = 0.5

    def watched(self, *arguments, **options):
        group = self.param_groups[0]
        dtypes = {p.grad.dtype for p in group["params"]}
        state = (model.training, torch.is_autocast_enabled("cpu"), dtypes)
        seen.append((group["lr"], group["betas"], group["eps"], group["weight_decay"], *state))
        return step(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    list(rlvr.train(model, tokenizer, toy.TASK, rlvr.grpo(), steps=3, reference=None, **toy.SETTINGS))
    assert seen == [(0.01, (0.9, 0.999), 1e-8, 0.0, False, False, {torch.float32})] * 3
    kit = tables["grpo"]["kit"]
    assert (kit["schedule"], kit["warmup"], kit["adam_betas"]) == ("constant", "0", "0.9, 0.999")
    assert (kit["adam_epsilon"], kit["weight_decay"]) == ("1e-08", "0")
    assert (kit["dropout"], kit["precision"]) == ("off", "that of the weights")


def test_the_adapters_are_those_of_load(tables):
    from rlkit.lm import adapters

    kit, config = tables["lora"]["kit"], adapters.lora_config(4)
    assert (kit["alpha"], kit["lora_dropout"], kit["target_modules"]) == ("r", "0", "all-linear")
    assert (config.lora_alpha, config.lora_dropout, config.target_modules) == (4, 0, "all-linear")
    model = adapters.attach(toy.fresh()[0].to(torch.bfloat16), config, 0)
    assert {str(p.dtype) for p in model.parameters() if p.requires_grad} == {f"torch.{kit['adapter_dtype']}"}
    assert adapters.dtype_of(torch.device("cpu")) == torch.float32  # "or what the device has"
    assert kit["quantize"] == "none" and kit["double_quantization"] in ("yes", "needs bitsandbytes")


# The paper's column


def test_a_value_of_a_paper_has_a_source_that_can_be_looked_up():
    place = r"(sections?|equation|table|appendix|algorithm|figure) ?[\dA-D]|abstract|\.(py|sh|yaml|md)\b"
    for name, (_, source, cells) in defaults.PAPERS.items():
        assert re.search(r"arXiv \d{4}\.\d{5}$|Williams 1992", source), name
        bad = {key: where for key, (_, where) in cells.items() if not re.search(place, where)}
        assert not bad, name
        assert not set(cells) - {key for meanings in defaults.TOPICS.values() for key in meanings}, name


def test_what_the_papers_say_and_do_not_say(tables):
    said = {name: part["paper"] for name, part in tables.items()}
    assert list(said["grpo"][["beta", "group_size", "clip_low"]]) == ["0.04", "64", "not said"]
    assert list(said["dapo"][["clip_high", "max_new_tokens", "warmup"]]) == ["0.28", "20,480", "20"]
    assert list(said["gspo"][["clip_low", "clip_high", "beta"]]) == ["0.0003", "0.0004", "not said"]
    assert (said["cispo"]["cap"], said["cispo"]["adam_epsilon"]) == ("not said", "1e-15")
    assert (said["nsr"]["over"], said["nsr"]["entropy_bonus"]) == ("kept", "0.0001")
    assert "over" not in said["w_reinforce"] and said["w_reinforce"]["positive"] == "0.1"


# TRL's column


def fields(kind) -> dict:
    return {f.name: f.default for f in dataclasses.fields(kind) if f.default is not dataclasses.MISSING}


WORDS = {  # hyper-parameter -> field, and what its default is called in the table
    "reset_reference_every": ("sync_ref_model", {False: "none"}),
    "truncated": ("mask_truncated_completions", {False: "count as judged"}),
    "dropout": ("disable_dropout", {False: "as in the model"}),
    "target_modules": ("lora_target_modules", {None: "PEFT's choice for the model"}),
    "quantize": ("load_in_4bit", {False: "none"}),
    "advantage": ("scale_rewards", {"group": "(r - mean) / std"}),
}
NO_FIELD = {"entropy_bonus": "entropy", "dynamic_sampling": "dynamic|resampl|filter_groups"}
ELSEWHERE = {"GRPOTrainer", "RLOOTrainer", "GRPOConfig", "RLOOConfig", "nanstd"}  # what the tests below look at


@pytest.mark.parametrize("name", [*NAMES, "lora"])
def test_a_default_of_trl_is_that_of_the_installed_trl(name, tmp_path):
    trl = pytest.importorskip("trl")
    config = {"rloo": trl.RLOOConfig, "lora": trl.ModelConfig}.get(name, trl.GRPOConfig)
    known, asked = fields(config), {"loss_type", *ASKED.get(name, ())}
    found = {"lora_learning_rate": fields(trl.GRPOConfig)["learning_rate"]}
    if name != "lora":
        made = config(output_dir=str(tmp_path), report_to=[], use_cpu=True)
        found["prompts_per_step"] = made.generation_batch_size // made.num_generations
        found["mini_batches"] = made.steps_per_generation // made.gradient_accumulation_steps
        found["precision"] = {True: "bf16", False: "fp32"}[made.bf16]
        found["adam_betas"] = (made.adam_beta1, made.adam_beta2)
        found["clip_high"] = found["cap"] = made.epsilon if made.epsilon_high is None else made.epsilon_high
    checked = 0
    for key, (value, source) in defaults.TRL[name].items():
        if (source in ELSEWHERE and key not in found) or source in asked:
            continue
        if source == "no option":
            assert not [field for field in known if re.search(NO_FIELD[key], field)], key
        elif key in WORDS and source in known:
            assert (source, WORDS[key][1][known[source]]) == (WORDS[key][0], value), key
        else:
            theirs = found.get(key, known.get(source, "no such field"))
            assert value == theirs and isinstance(value, type(theirs) if key != "schedule" else str), key
        checked += 1
    assert checked >= (8 if name == "lora" else 20)


def test_the_advantages_of_trl_are_written_so():
    trl = pytest.importorskip("trl")
    from trl.trainer.utils import nanstd

    rewards = torch.tensor([1.0, 0, 0, 0, 0, 0, 0, 0])
    ddof, epsilon = defaults.TRL["grpo"]["ddof"][0], defaults.TRL["grpo"]["std_epsilon"][0]
    assert nanstd(rewards).item() == pytest.approx(rewards.std(correction=ddof).item(), abs=1e-7)
    assert fields(trl.GRPOConfig)["scale_rewards"] == "group"
    group, alone = inspect.getsource(trl.GRPOTrainer), inspect.getsource(trl.RLOOTrainer)
    for line in ("advantages = rewards - mean_grouped_rewards", "advantages = advantages / (std_rewards + 1e-4)"):
        assert line in group
    assert epsilon == 1e-4
    for line in (
        "baselines = (grouped_sum - grouped_rewards) / (scorable_counts - 1)",
        "advantages = rewards - baselines",
        "per_token_kl = old_per_token_logps - ref_per_token_logps",
        "rewards = rewards - self.beta * kl",
    ):
        assert line in alone
    assert "param.data = param.data.to(torch.bfloat16)" in group  # adapters on 4-bit weights
    for source in (group, alone):
        assert "args.epsilon_high if args.epsilon_high is not None else args.epsilon" in source


def loss_of_trl(trl, kind, config, batch) -> torch.Tensor:
    """TRL's own loss of one micro-batch; the trainer is made without __init__, which wants a model and a data set."""
    trainer = kind.__new__(kind)
    trainer.args, trainer.model = config, torch.nn.Linear(1, 1)
    trainer.accelerator = SimpleNamespace(
        gather=lambda x: x, gather_for_metrics=lambda x: x, reduce=lambda x, reduction: x, num_processes=1
    )
    for name in ("loss_type", "beta", "importance_sampling_level", "max_completion_length", "top_entropy_quantile"):
        setattr(trainer, name, getattr(config, name, None))
    trainer.epsilon_low, trainer.epsilon_high = config.epsilon, config.epsilon_high or config.epsilon
    trainer.off_policy_mask_threshold, trainer.current_gradient_accumulation_steps = None, 1
    trainer.aux_loss_enabled, trainer._entropy_bonus_enabled, trainer.use_vllm = False, False, False
    lists = SimpleNamespace(append=lambda value: None)
    trainer._metrics = {"train": type("Metrics", (dict,), {"__missing__": lambda self, key: lists})()}
    entropy = torch.zeros_like(batch.logp)
    trainer._get_per_token_logps_and_entropies = lambda *a, **k: (batch.logp, entropy, None)
    ones = torch.ones(len(batch.logp), 1, dtype=torch.long)
    inputs = {"prompt_ids": ones, "prompt_mask": ones, "completion_ids": batch.mask.long()}
    inputs |= {"completion_mask": batch.mask.long(), "num_items_in_batch": batch.mask.sum()}
    inputs |= {"advantages": batch.advantage, "old_logps": (batch.old * batch.mask).sum(1)}
    inputs |= {"old_per_token_logps": batch.old, "ref_per_token_logps": batch.reference}
    return trainer._compute_loss(trainer.model, inputs)


@pytest.fixture
def batch():
    draw = torch.Generator().manual_seed(0)

    def normal(scale):
        return scale * torch.randn(8, 6, generator=draw, dtype=torch.float64)

    logp = -1 + normal(0.2)
    mask = torch.arange(6) < torch.tensor([6, 2, 3, 1, 5, 6, 4, 2])[:, None]
    advantage = torch.randn(8, generator=draw, dtype=torch.float64)
    old, reference = logp + normal(0.4), logp + normal(0.4)
    return SimpleNamespace(logp=logp.requires_grad_(), old=old, reference=reference, mask=mask, advantage=advantage)


@pytest.mark.parametrize("beta", [None, 0.04], ids=["as it comes", "beta"])
@pytest.mark.parametrize("name", OF_TRL)
def test_the_column_of_trl_put_into_the_kit_is_the_loss_of_trl(name, beta, batch, tmp_path):
    """Clip, cap, ratio, aggregation and KL at once: the objective made of TRL's cells has TRL's value and gradient."""
    trl = pytest.importorskip("trl")
    cells = {key: value for key, (value, _) in defaults.TRL[name].items()}
    assert cells["loss"] == ", ".join(f'{key}="{value}"' for key, value in ASKED[name].items())
    more = {} if beta is None else {"beta": beta}
    asked = ASKED[name] | more | {"max_completion_length": 7}
    config = trl.GRPOConfig(output_dir=str(tmp_path), report_to=[], use_cpu=True, **asked)
    theirs = loss_of_trl(trl, trl.GRPOTrainer, config, batch)
    options = objectives.describe(objectives.make(name))["options"]
    objective = objectives.make(name, **{key: cells[key] for key in options} | more)
    weights = objectives.Weights(batch.advantage, torch.ones(8, dtype=torch.bool), torch.zeros(8, dtype=torch.float64))
    whole = objectives.Weights(*(field.reshape(2, 4) for field in weights))
    normaliser = objective.normaliser(batch.mask.view(2, 4, 6), whole, 7)
    ours, info = objective.loss(batch.logp, batch.old, batch.reference, batch.mask, weights, normaliser)
    gradients = [torch.autograd.grad(loss, batch.logp)[0] for loss in (theirs, ours)]
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-12) and gradients[0].abs().max() > 1e-3
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)
    assert info["clipped"] > 0  # the range, or the cap, acts here
    assert defaults._ratio(objectives.make(name)) == cells["ratio"]


def test_trl_s_cap_of_cispo_makes_a_fifth_of_the_gradient(batch, tmp_path):
    """Why the row `cap` matters: on-policy, TRL's cispo as it comes counts each ratio of 1 as 0.2."""
    trl = pytest.importorskip("trl")
    batch.old, found = batch.logp.detach(), []
    for more in ({}, {"epsilon_high": 5.0}):
        asked = {"loss_type": "cispo"} | more
        config = trl.GRPOConfig(output_dir=str(tmp_path), report_to=[], use_cpu=True, **asked)
        found.append(torch.autograd.grad(loss_of_trl(trl, trl.GRPOTrainer, config, batch), batch.logp)[0])
    torch.testing.assert_close(found[0], 0.2 * found[1], rtol=0, atol=1e-12)


def test_the_loss_of_rloo_is_about_whole_completions(batch, tmp_path):
    trl = pytest.importorskip("trl")
    cells = {key: value for key, (value, _) in defaults.TRL["rloo"].items()}
    assert (cells["ratio"], cells["aggregation"]) == ("sequence, product", "completion")
    config = trl.RLOOConfig(output_dir=str(tmp_path), report_to=[], use_cpu=True)
    ratio = ((batch.logp - batch.old) * batch.mask).sum(1).exp()
    clipped = ratio.clamp(1 - cells["clip_low"], 1 + cells["clip_high"])
    expected = -torch.minimum(ratio * batch.advantage, clipped * batch.advantage).mean()
    assert loss_of_trl(trl, trl.RLOOTrainer, config, batch).item() == pytest.approx(expected.item(), abs=1e-12)


VERSIONS = {
    "1.16.0": "TRL 1.16.0",
    "1.99.0": "TRL 1.16.0 (1.99.0 is installed here)",
    None: "TRL 1.16.0 (not installed",
}


@pytest.mark.parametrize("installed", VERSIONS)
def test_the_table_says_the_version_of_trl(installed, monkeypatch):
    def version(package):
        if package == "trl" and installed is None:
            raise defaults.metadata.PackageNotFoundError(package)
        return installed

    monkeypatch.setattr(defaults.metadata, "version", version)
    said = VERSIONS[installed]
    assert defaults.table("grpo").columns.name.startswith(said)
    assert said in defaults.html("grpo") and said in defaults.markdown("grpo")


# What differs, and how it looks


def test_what_differs_is_named_and_has_a_reason(tables):
    for name, part in tables.items():
        for key, row in part.iterrows():
            known = {who: row[who] for who in ("paper", "TRL") if row[who] not in ("not said", "not in TRL")}
            differ = [] if key == "loss" else [who for who, value in known.items() if value != row["kit"]]
            assert row["differ"] == ", ".join(differ), (name, key)
            assert bool(row["why it matters"]) is bool(differ), (name, key)
    assert tables["dr_grpo"]["differ"]["advantage"] == "TRL"  # scale_rewards stays "group"
    assert tables["grpo"]["differ"]["beta"] == "paper" and tables["dapo"]["differ"]["clip_high"] == "TRL"
    assert tables["gspo"]["differ"]["clip_low"] == "TRL" and tables["nft"]["differ"]["eps"] == ""


def test_the_share_of_groups_without_a_signal_is_right():
    dead = [f"{100 * (0.9**size + 0.1**size):.0f} %" for size in (8, 16)]
    assert f"{dead[0]} of groups of 8" in defaults.WHY["group_size"]
    assert f"{dead[1]} of groups of 16" in defaults.WHY["group_size"]


def test_html_escapes_every_cell_and_marks_what_differs(monkeypatch):
    hostile = '<script>alert("1")</script>|\u202e'
    name, source, cells = defaults.PAPERS["grpo"]
    monkeypatch.setitem(defaults.PAPERS, "grpo", (name + hostile, source, cells | {"beta": (hostile, hostile)}))
    monkeypatch.setitem(defaults.TRL, "grpo", defaults.TRL["grpo"] | {"beta": (hostile, hostile)})
    monkeypatch.setitem(defaults.WHY, "beta", hostile)
    monkeypatch.setitem(defaults.TOPICS["loss"], "beta", hostile)
    page = defaults.html("grpo")
    assert "<script" not in page and "\u202e" not in page
    assert page.count("&lt;script&gt;") == 2 + 2 + 2 + 1 + 1  # title twice; values, sources, meaning, reason
    assert "<strong>≠ &lt;script&gt;" in page
    text = defaults.markdown("grpo")
    assert "<script" not in text and text.count("&lt;script>") == 7
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")} == {6}


def test_html_and_markdown_hold_the_whole_table(tables):
    page, text = defaults.html(), defaults.markdown()
    assert page.count("<details") == text.count("### ") == len(tables)
    assert page.count('scope="row"') == sum(map(len, tables.values()))
    marked = sum(len(row.split(", ")) for part in tables.values() for row in part["differ"] if row)
    assert page.count("<strong>≠ ") == text.count("**≠ ") == marked > 100
    for part in text.split("### ")[1:]:
        lines = [line for line in part.splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {6}
        assert len(lines) == 2 + len(tables[part.split()[0]])
    assert " open" in defaults.html("grpo") and " open" not in page
    assert "`beta`: weight of the KL to the reference | **≠ 0.04** (section 4.2) | 0 (beta) | 0 (grpo(beta=))" in text


def test_the_module_needs_neither_torch_nor_trl():
    code = "import sys; from rlkit.rlvr import defaults; print(defaults.trl_version(), 'torch' in sys.modules)"
    code += "; assert not {'torch', 'trl', 'transformers', 'peft'} & set(sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == f"{defaults.trl_version()} False\n"
