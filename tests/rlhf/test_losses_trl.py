"""Our losses of pairs against TRL's trainers, on the same batch of a real model: the value and the gradient of every
weight to 1e-5. Completions are of unequal lengths, some cut and some ended by an <eos> whose id is the padding's too.

In TRL's IPO a completion's log-probability is the mean over its tokens; ours, like the paper's, is the sum.
"""

import pytest
import torch

from rlkit import lm
from rlkit.rlhf import losses
from rlkit.rlhf.preference_rollouts import pairs_of
from rlkit.rlhf.reward_models import RewardModel

trl = pytest.importorskip("trl")

from rlkit.rlhf import trl as ours  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

BETA, LENGTH = 0.3, 5
ROWS = [
    {"prompt": "moon sings", "chosen": "the old moon sings softly", "rejected": "the the"},
    {"prompt": "cat sleeps", "chosen": "the cat sleeps", "rejected": "sea sings cat moon"},
    {"prompt": "sea sings", "chosen": "", "rejected": "the very old sea sings"},
    {"prompt": "sea sleeps", "chosen": "the sea sleeps softly", "rejected": "old"},
]
TOKENS = torch.tensor([[5, 3], [4, 5], [1, 5], [5, 2]])  # of chosen and rejected, <eos> included where the text ended


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def settings(kind, **options):
    usual = dict(output_dir="trl", use_cpu=True, bf16=False, report_to=[], disable_tqdm=True, save_strategy="no")
    return kind(**usual | {"per_device_train_batch_size": 4, "gradient_checkpointing": False} | options)


def moved(model, seed=0):
    """The model with noise on its weights, so that it is not its reference."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))
    return model


def gradients(loss, model) -> dict:
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def theirs(trainer, model):
    """TRL's loss of the whole data set as one batch, and its gradients."""
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, batch)
    return loss.detach(), gradients(loss, model)


def agree(found, expected):
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=1e-5)
    assert found[1].keys() == expected[1].keys()
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=0, atol=1e-5, msg=name)
    assert max(gradient.abs().max() for gradient in expected[1].values()) > 1e-2


def log_probabilities(model, tokenizer):
    """Of chosen and rejected, summed over tokens [4, 2], and how many tokens there are [4, 2]."""
    data = pairs_of(tokenizer, ROWS, LENGTH)
    return lm.score_tokens(model, data).sum(1).view(-1, 2), data.mask.sum(1).view(-1, 2)


def test_bradley_terry_is_that_of_their_reward_trainer():
    model, tokenizer = lm.load("xs-style")
    scorer = RewardModel(moved(model), tokenizer, max_new_tokens=LENGTH)
    torch.nn.init.normal_(scorer.head, generator=torch.Generator().manual_seed(1))
    found = theirs(ours.RewardTrainer(scorer, ROWS, settings(trl.RewardConfig)), scorer)
    rewards = scorer(pairs_of(tokenizer, ROWS, LENGTH), torch.arange(8)).view(-1, 2)
    loss = losses.bradley_terry(rewards[:, 0], rewards[:, 1]).mean()
    assert (rewards[:, 0] - rewards[:, 1]).abs().min() > 0.05
    agree(found, (loss.detach(), gradients(loss, scorer)))


@pytest.mark.parametrize("lora", [None, 4])
@pytest.mark.parametrize("kind", ["sigmoid", "ipo"])
def test_dpo_and_ipo_are_those_of_their_dpo_trainer(kind, lora):
    model, tokenizer = lm.load("xs-style", lora=lora)
    args = settings(trl.DPOConfig, beta=BETA, loss_type=kind)
    with torch.no_grad():
        reference, tokens = log_probabilities(model, tokenizer)
    assert torch.equal(tokens, TOKENS)
    trainer = ours.DPOTrainer(model, tokenizer, ROWS, args, max_new_tokens=LENGTH)
    if lora:
        for i, (_, p) in enumerate((n, p) for n, p in model.named_parameters() if "lora_B" in n):
            torch.nn.init.normal_(p, std=0.1, generator=torch.Generator().manual_seed(i))
    else:
        moved(model)
    found = theirs(trainer, model)
    logp, _ = log_probabilities(model, tokenizer)
    if kind == "ipo":
        logp, reference = logp / tokens, reference / tokens
    parts = *logp.unbind(1), *reference.unbind(1)
    assert losses.margin(*parts).abs().max() > 0.1
    loss = {"sigmoid": losses.dpo, "ipo": losses.ipo}[kind](*parts, BETA).mean()
    agree(found, (loss.detach(), gradients(loss, model)))


def test_ipo_of_sums_is_another_loss():
    """So beta of one means something else in the other: 1 / (2 beta) nats a completion here, nats a token there."""
    model, tokenizer = lm.load("xs-style")
    with torch.no_grad():
        reference, tokens = log_probabilities(model, tokenizer)
        logp, _ = log_probabilities(moved(model), tokenizer)
    of_sums = losses.ipo(*logp.unbind(1), *reference.unbind(1), BETA)
    of_means = losses.ipo(*(logp / tokens).unbind(1), *(reference / tokens).unbind(1), BETA)
    assert (of_sums - of_means).abs().min() > 0.05
