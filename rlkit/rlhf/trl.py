"""TRL as the second engine: its RewardTrainer and DPOTrainer on the kit's models and preference files, QLoRA or not.

The tests run both on CPUs, in fp32 and on 4-bit weights. On GPUs and in several processes nobody has run them.
"""

import copy

import torch
from torch import nn

try:
    import trl

    from rlkit.rlhf.trl_recorded import Recorded, kept, put_back
except ModuleNotFoundError as error:
    if error.name not in ("accelerate", "datasets", "transformers", "trl"):
        raise
    raise ImportError(f'rlkit.rlhf.trl needs {error.name}: pip install "rlkit-notebooks[trl]"') from error

from transformers.modeling_outputs import SequenceClassifierOutput

from rlkit import checks
from rlkit.lm import adapters
from rlkit.rlhf.reward_models import RewardModel
from rlkit.runs import Run

__all__ = ["DPOTrainer", "RewardTrainer"]


class Classifier(nn.Module):
    """A RewardModel as RewardTrainer takes it: a classifier of sequences with one label, the reward.

    The reward is read at the last token that the attention mask has, the sampled <eos> included. (The classifiers of
    transformers look for the last id that is not the padding's. Where <eos> pads too, as in the kit's models of style
    and in many others, they read one token too early, and never see whether a text ended.) Rows padded on the right.
    """

    def __init__(self, scorer: RewardModel):
        super().__init__()
        self.scorer, self.config = scorer, copy.deepcopy(scorer.body.config)
        self.config.num_labels = 1

    def forward(self, input_ids, attention_mask, **_):
        hidden = self.scorer.body(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state
        last = attention_mask.sum(1) - 1  # [B]
        hidden = hidden[torch.arange(len(last), device=hidden.device), last].float()  # [B, D]
        with torch.autocast(hidden.device.type, enabled=False):  # in bf16 a reward would have three digits
            return SequenceClassifierOutput(logits=(hidden @ self.scorer.head)[:, None])  # [B, 1]

    def gradient_checkpointing_enable(self, **options):
        self.scorer.body.gradient_checkpointing_enable(**options)

    def gradient_checkpointing_disable(self):
        self.scorer.body.gradient_checkpointing_disable()

    def add_model_tags(self, tags):
        """For model cards of the hub, which nothing is sent to."""


class RewardTrainer(Recorded, trl.RewardTrainer):
    """TRL's RewardTrainer on a RewardModel: -log sigmoid(r(chosen) - r(rejected)), mean over the pairs.

        model, tokenizer = lm.load("s-style", quantize="nf4", lora=16)
        scorer = rlhf.RewardModel(model, tokenizer, max_new_tokens=8)
        trl.RewardTrainer(scorer, rows, RewardConfig(...), run="rewards").train()
        scorer.rewards(rollouts)  # [P, G]

    rows, held_out: preferences {"prompt", "chosen", "rejected"}, of text or messages, see trl_rows.texts. args: a
    trl.RewardConfig; its eval_strategy and eval_steps say when the held-out rows are looked at. callbacks, optimizers:
    as in Trainer. The scorer is trained in place: with an adapter that and the head, on 4-bit weights too.

    run: a Run, or a name for a new one in runs/; `trainer.run` is it, on the main process. Each optimizer step is
    logged as a Step, named as `rlhf.fit_reward` does, of its pairs before the update: loss, accuracy (a tie counts as
    wrong, as TRL has it), margin, gradient_norm (before the cut), and tokens (seen so far); validation_loss, ..., of
    held_out, after the update. Whatever training raises, the run is whole and says it.

    Raises ValueError for bad arguments, and for a text prompt that would skip the tokenizer's chat template, in one
    line each; FloatingPointError for a loss that is not finite.
    """

    def __init__(
        self,
        model: RewardModel,
        rows: list,
        args,
        *,
        held_out: list | None = None,
        run: Run | str | None = None,
        callbacks: list | None = None,
        optimizers: tuple = (None, None),
    ):
        if not isinstance(model, RewardModel):
            checks.fail("model", model, "an rlhf.RewardModel")
        self._check(model, args, trl.RewardConfig)
        how = {"joined": True, "longest": args.max_length}
        super().__init__(
            Classifier(model),
            copy.copy(args),
            **self._datasets(model.tokenizer, rows, held_out, model.max_new_tokens, **how),
            processing_class=model.tokenizer,
            callbacks=callbacks,
            optimizers=optimizers,
        )
        self._begin(run, {"method": "reward model", "loss": "bradley_terry"})

    def _ours(self, theirs: dict) -> dict:
        return {name: theirs[name] for name in ("accuracy", "margin")}


class DPOTrainer(Recorded, trl.DPOTrainer):
    """TRL's DPOTrainer on a model of the kit: -log sigmoid(beta [d(chosen) - d(rejected)]), mean over the pairs, with
    d(y) = log pi(y | x) - log pi_ref(y | x), sums over the tokens of a completion.

        model, tokenizer = lm.load("s-style", quantize="nf4", lora=16)
        trl.DPOTrainer(model, tokenizer, rows, DPOConfig(beta=0.1, ...), max_new_tokens=8, run="dpo").train()

    The reference is the policy as it was given: a new adapter switched off, or a frozen copy of an adapter that has
    learned already, or of a whole model. (TRL itself would read the reference of a whole model from where it came from,
    the hub for instance, even if it was trained since.) max_new_tokens: the task's; a completion of fewer tokens ended
    with <eos>, one of just as many was cut and has none (None: all ended). args: a trl.DPOConfig, losses included. With
    loss_type="ipo" TRL's d is the mean over the tokens of a completion, where `losses.ipo` and the paper have the sum.

    The rest is as in `RewardTrainer`. Logged, named as `rlhf.dpo` does: loss, accuracy, margin (mean of beta [d(chosen)
    - d(rejected)]), chosen_change, rejected_change (mean d, nats a completion), entropy (of a token of the rows, nats),
    gradient_norm, tokens. They tell nothing of what the policy itself would write: sample it.
    """

    def __init__(
        self,
        model,
        tokenizer,
        rows: list,
        args,
        *,
        max_new_tokens: int | None,
        held_out: list | None = None,
        run: Run | str | None = None,
        callbacks: list | None = None,
        optimizers: tuple = (None, None),
    ):
        if not isinstance(model, nn.Module):
            checks.fail("model", model, "a loaded model: lm.load(...) makes one")
        self._check(model, args, trl.DPOConfig)
        adapter, new, weights = hasattr(model, "peft_config"), adapters.adapter_is_new(model), kept(model)
        with adapters.without_their_warning():
            super().__init__(
                model,
                None if adapter else copy.deepcopy(model).requires_grad_(False),
                copy.copy(args),
                **self._datasets(tokenizer, rows, held_out, max_new_tokens, joined=False, longest=args.max_length),
                processing_class=tokenizer,
                callbacks=callbacks,
                optimizers=optimizers,
            )
        if new:
            self.model.delete_adapter("ref")  # TRL's copy of an adapter that does nothing yet: switched off is the same
        put_back(self.model, weights)
        self._begin(run, {"method": "dpo", "loss": "+".join(self.loss_types), "beta": self.beta})

    def _ours(self, theirs: dict) -> dict:
        found = {"accuracy": theirs["rewards/accuracies"], "margin": theirs["rewards/margins"]}
        found |= {f"{side}_change": theirs[f"rewards/{side}"] / self.beta for side in ("chosen", "rejected")}
        return found | {"entropy": theirs["entropy"]}
