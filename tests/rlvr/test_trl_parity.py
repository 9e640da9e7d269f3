"""Our losses against TRL's own code: GRPOTrainer._compute_loss, in value and in the gradient of the logits.

The trainer object is made without __init__ (which wants a model and a data set) and gets the attributes that the
method reads, from a real GRPOConfig; its model returns the log-probabilities of given logits. How TRL divides the loss
of one of A micro-batches (gradient accumulation steps), of B rows each:

    grpo, gspo    mean over its rows of the mean over tokens, / A        = whole batch, where all B are equal
    dr_grpo       sum over its tokens / (B L), / A                       = whole batch, where all B are equal
    dapo, cispo   sum over its tokens / tokens of the generation batch   = whole batch, always
    bnpo          mean over its tokens, / A                              depends on the cut
"""

from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch

from rlkit.rlvr import objectives

trl = pytest.importorskip("trl")
from accelerate import Accelerator  # noqa: E402
from trl.trainer.utils import nanstd  # noqa: E402

P, G, T, V, PROMPT, LONGEST = 2, 4, 9, 13, 2, 12
B = P * G
LENGTHS = torch.tensor([9, 2, 5, 1, 7, 7, 3, 9])


class Logits(torch.nn.Module):
    """A model that gives each row its own logits [B, T, V]; the first prompt token names the row."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(logits)

    def forward(self, input_ids, attention_mask, labels, fused_lm_head):
        logp = self.logits[input_ids[:, 0]].log_softmax(-1)
        chosen = logp.gather(-1, labels[:, -T:].clamp(min=0)[..., None])[..., 0]
        padded = torch.nn.functional.pad(chosen, (PROMPT, 0))
        entropy = torch.nn.functional.pad(-(logp.exp() * logp).sum(-1), (PROMPT, 0))
        return SimpleNamespace(log_probs=padded, entropy=entropy)


@pytest.fixture(scope="module")
def batch():
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(B, T, V, generator=draw, dtype=torch.float64)
    ids = torch.randint(V, (B, T), generator=draw)
    mask = torch.arange(T) < LENGTHS[:, None]
    logp = logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0]
    old = logp + 0.4 * torch.randn(B, T, generator=draw, dtype=torch.float64)
    reference = logp + 0.5 * torch.randn(B, T, generator=draw, dtype=torch.float64)
    rewards = torch.tensor([[1.0, 0, 0, 0.25], [0, 1, 1, 0]], dtype=torch.float64)
    ratio = (logp - old).exp()[mask]
    assert ratio.min() < 0.5 and ratio.max() > 2  # away from 1, on both sides
    return SimpleNamespace(logits=logits, ids=ids, mask=mask, old=old, reference=reference, rewards=rewards)


def theirs(batch, advantages, cuts, tmp_path, *, loss_type, beta, correction, scale_level, low, high):
    """TRL's loss, gradient of the logits, and logged metrics, added up over the micro-batches."""
    config = trl.GRPOConfig(
        output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to=[], loss_type=loss_type, beta=beta,
        importance_sampling_level=scale_level, epsilon=low, epsilon_high=high, use_bias_correction_kl=correction,
        max_completion_length=LONGEST, num_generations=G, per_device_train_batch_size=B // len(cuts),
        gradient_accumulation_steps=len(cuts), steps_per_generation=len(cuts),
    )  # fmt: skip
    trainer = trl.GRPOTrainer.__new__(trl.GRPOTrainer)
    trainer.args, trainer.accelerator = config, Accelerator(cpu=True)
    trainer.state = SimpleNamespace(global_step=0)
    trainer.model = Logits(batch.logits.clone()).train()
    trainer.loss_type, trainer.beta, trainer.importance_sampling_level = loss_type, beta, scale_level
    trainer.epsilon_low, trainer.epsilon_high = config.epsilon, config.epsilon_high
    trainer.max_completion_length, trainer.current_gradient_accumulation_steps = LONGEST, len(cuts)
    trainer.aux_loss_enabled, trainer._entropy_bonus_enabled, trainer.use_vllm = False, False, False
    trainer.top_entropy_quantile, trainer.off_policy_mask_threshold = 1.0, None
    trainer._metrics = {"train": defaultdict(list)}
    total = 0.0
    for rows in cuts:
        prompt = torch.stack([rows, torch.zeros_like(rows)], 1)
        inputs = {
            "prompt_ids": prompt, "prompt_mask": torch.ones_like(prompt), "completion_ids": batch.ids[rows],
            "completion_mask": batch.mask[rows].long(), "advantages": advantages[rows],
            "old_per_token_logps": batch.old[rows], "ref_per_token_logps": batch.reference[rows],
            "num_items_in_batch": batch.mask.sum(),
        }  # fmt: skip
        total = total + trainer._compute_loss(trainer.model, inputs)
    total.backward()
    return total.item(), trainer.model.logits.grad, trainer._metrics["train"]


def ours(batch, objective, cuts):
    logits = batch.logits.clone().requires_grad_()
    logp = logits.log_softmax(-1).gather(-1, batch.ids[..., None])[..., 0]
    weights = objective.advantages(batch.rewards)
    normaliser = objective.normaliser(batch.mask.view(P, G, T), weights, LONGEST)
    total, infos = 0.0, []
    for rows in cuts:
        reference = batch.reference[rows] if objective.needs_reference else None
        part = objectives.rows(weights, rows)
        loss, info = objective.loss(logp[rows], batch.old[rows], reference, batch.mask[rows], part, normaliser)
        total, infos = total + loss, [*infos, info]
    total.backward()
    return total.item(), logits.grad, infos


HALVES = list(torch.arange(B).split(B // 2))
CASES = {
    "grpo": ("grpo", "token", {"clip_high": 0.28}),
    "dr_grpo": ("dr_grpo", "token", {"clip_high": 0.28}),
    "dapo": ("dapo", "token", {}),
    "bnpo": ("bnpo", "token", {"clip_high": 0.28}),
    "cispo": ("cispo", "token", {"cap": 1.5}),
    "gspo": ("grpo", "sequence", {"clip_low": 0.1, "clip_high": 0.15}),
}


@pytest.mark.parametrize("correction", [False, True], ids=["plain_kl", "kl_times_ratio"])
@pytest.mark.parametrize("beta", [0.0, 0.04])
@pytest.mark.parametrize("name", CASES)
def test_the_loss_and_its_gradient_are_those_of_trl(name, beta, correction, batch, tmp_path):
    loss_type, level, options = CASES[name]
    objective = objectives.make(name, beta=beta, kl_times_ratio=correction, **options)
    low = options.get("clip_low", 0.2)
    high = options.get("cap", options.get("clip_high", 0.28))
    advantages = objective.advantages(batch.rewards).advantage.flatten()
    settings = dict(loss_type=loss_type, beta=beta, correction=correction, scale_level=level, low=low, high=high)
    value, gradient, metrics = theirs(batch, advantages, HALVES, tmp_path, **settings)
    mine, my_gradient, infos = ours(batch, objective, HALVES)
    assert gradient.abs().max() > 1e-3
    assert mine == pytest.approx(value, abs=1e-9)
    torch.testing.assert_close(my_gradient, gradient, rtol=0, atol=1e-9)
    if name not in ("cispo", "gspo"):
        assert [info["clipped"].item() for info in infos] == pytest.approx(metrics["clip_ratio/region_mean"])
        assert min(metrics["clip_ratio/region_mean"]) > 0  # the clip acts in this batch
    if beta and not correction:
        assert [info["kl"].item() for info in infos] == pytest.approx(metrics["kl"])
    if name != "bnpo":  # two micro-batches of TRL are our whole batch
        whole, whole_gradient, _ = ours(batch, objective, [torch.arange(B)])
        assert whole == pytest.approx(value, abs=1e-9)
        torch.testing.assert_close(whole_gradient, gradient, rtol=0, atol=1e-9)


def test_the_correction_and_the_beta_matter_in_this_batch(batch):
    """Otherwise the parity above could hold by ignoring them."""
    found = {}
    for beta, correction in [(0.0, False), (0.04, False), (0.04, True)]:
        found[beta, correction] = ours(batch, objectives.grpo(beta=beta, kl_times_ratio=correction), HALVES)[1]
    gradients = list(found.values())
    assert (gradients[0] - gradients[1]).abs().max() > 1e-3
    assert (gradients[1] - gradients[2]).abs().max() > 1e-3


def test_bnpo_of_trl_depends_on_the_cut_and_dapo_does_not(batch, tmp_path):
    advantages = objectives.dapo().advantages(batch.rewards).advantage.flatten()
    for loss_type, same in (("bnpo", False), ("dapo", True)):
        settings = dict(loss_type=loss_type, beta=0.0, correction=False, scale_level="token", low=0.2, high=0.28)
        one = theirs(batch, advantages, [torch.arange(B)], tmp_path, **settings)[1]
        two = theirs(batch, advantages, HALVES, tmp_path, **settings)[1]
        assert torch.allclose(one, two, atol=1e-12) is same


@pytest.mark.parametrize("name", ["grpo", "dapo", "cispo", "gspo", "bnpo"])
def test_the_advantages_use_the_std_of_trl(name, batch):
    rewards = batch.rewards  # nanstd counts in float32: hence 1e-6
    expected = (rewards - rewards.mean(1, keepdim=True)) / (nanstd(rewards, dim=1, keepdim=True) + 1e-4)
    torch.testing.assert_close(objectives.make(name).advantages(rewards).advantage, expected, rtol=0, atol=1e-6)
