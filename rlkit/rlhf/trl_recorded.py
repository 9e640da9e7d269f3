"""What the kit adds to TRL's trainers of preferences: rows encoded as the kit samples, 4-bit weights kept right, a Run.

Nothing here is about a loss: that is TRL's own.
"""

import math

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback

from rlkit import checks
from rlkit.lm import adapters, prefix
from rlkit.rlhf import trl_rows
from rlkit.rlvr.trl_runs import Told
from rlkit.rlvr.trl_scorer import quantised
from rlkit.runs import Run, Step

# Settings whose part the given model and tokenizer play: left as TRL has them, or one would think they act.
REPLACED = ("chat_template_path", "eos_token", "model_init_kwargs", "pad_token")


class Recorder(TrainerCallback):
    """Tells a trainer when a step is over and what TRL found on held-out rows."""

    def __init__(self, trainer):
        self.trainer = trainer

    def on_step_end(self, args, state, control, **_):
        self.trainer.measured(state.global_step)

    def on_evaluate(self, args, state, control, metrics, **_):
        self.trainer.validated(state.global_step, metrics)


class Recorded(Told):
    """Stands in front of one of TRL's trainers: class DPOTrainer(Recorded, trl.DPOTrainer).

    Such a class has `_ours(theirs)`, the kit's metrics from TRL's (each name -> number).
    """

    def _check(self, model, args, kind) -> None:
        """Raise ValueError for what cannot be trained here. Called before TRL's trainer is made."""
        if not isinstance(args, kind):
            checks.fail("args", args, f"a trl.{kind.__name__}")
        for name in REPLACED:
            if getattr(args, name, None) is not None:
                checks.fail(f"args.{name}", getattr(args, name), "None: model and tokenizer are given ready")
        if not any(p.requires_grad for p in model.parameters()):
            raise ValueError("model: has no parameter that requires a gradient: nothing to train")
        with prefix.dropout_off(model):
            pass  # bitsandbytes is told not to repack 4-bit weights on CPUs, before TRL runs the model in eval mode
        self.run, self._losses, self._waiting = None, [], None

    def _datasets(self, tokenizer, rows, held_out, max_new_tokens, **how) -> dict:
        """train_dataset and eval_dataset of TRL's trainer."""
        given = {"rows": rows} if held_out is None else {"rows": rows, "held_out": held_out}
        found = [trl_rows.texts(tokenizer, own, name) for name, own in given.items()]
        found = [Dataset.from_list(trl_rows.encoded(tokenizer, own, max_new_tokens, **how)) for own in found]
        return {"train_dataset": found[0], "eval_dataset": found[1] if len(found) == 2 else None}

    def _begin(self, run: Run | str | None, config: dict) -> None:
        """After TRL's trainer is made: who logs, and where to."""
        self.remove_callback(PrinterCallback)  # it prints what the run holds
        self.add_callback(Recorder(self))
        if not self.accelerator.is_main_process:
            return
        args, rows = self.args, len(self.train_dataset)
        pairs = args.per_device_train_batch_size * args.gradient_accumulation_steps * self.accelerator.num_processes
        steps = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * math.ceil(rows / pairs))
        config = {"engine": "trl"} | config | {"steps": steps, "seed": args.seed, "learning_rate": args.learning_rate}
        self.run = Run.create(run, config | {"batch": pairs, "preferences": rows}) if isinstance(run, str) else run

    # ---- what TRL's trainer does otherwise

    def _prepare_dataset(self, dataset, *_):
        return dataset  # token ids already

    def _send_telemetry(self):
        """Nothing is sent: the kit needs no network, and asks for none."""

    def compute_loss(self, model, inputs, *args, **options):
        found = super().compute_loss(model, inputs, *args, **options)
        loss = (found[0] if isinstance(found, tuple) else found).detach()
        if not torch.isfinite(loss):
            raise FloatingPointError(f"loss={loss.item()} at step {self.state.global_step + 1}: must be finite")
        if self.model.training:
            self._losses.append(loss)
        return found

    def train(self, *args, **options):
        """As Trainer.train; the run is told how it ended, whatever training raises."""
        with adapters.without_their_warning():
            return super().train(*args, **options)

    # ---- the run

    def measured(self, step: int) -> None:
        """An optimizer step is made: keep its metrics, means over its micro-batches, until the next one begins."""
        loss = self.accelerator.gather(torch.stack(self._losses)).mean().item()
        cuts, since = len(self._losses), self._metrics["train"]  # lists of all micro-batches since TRL's last log
        found = self._ours({name: sum(values[-cuts:]) / len(values[-cuts:]) for name, values in since.items()})
        found |= {"loss": loss, "gradient_norm": self.gradient_norm}
        self._record()
        self._losses, self._waiting = [], Step(step, found | {"tokens": float(self._total_train_tokens)})

    def validated(self, step: int, metrics: dict) -> None:
        """Held-out rows were looked at, after the update of `step`."""
        theirs = {name.removeprefix("eval_"): value for name, value in metrics.items() if name.startswith("eval_")}
        found = {f"validation_{name}": value for name, value in (self._ours(theirs) | {"loss": theirs["loss"]}).items()}
        if self._waiting is not None and self._waiting.step == step:
            found = self._waiting.metrics | found
        self._waiting = Step(step, found)
        self._record()

    def _record(self) -> None:
        if self._waiting is not None and self.run is not None:
            self.run.record(self._waiting)
        self._waiting = None

    def _ended(self, state: str, error: str | None = None) -> None:
        self._record()
        if self.run is not None:
            self.run.finish(state, error=error)


def kept(model) -> dict:
    """Copies of what is trainable on 4-bit weights: TRL makes that bf16, which swallows small updates."""
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad} if quantised(model) else {}


def put_back(model, weights: dict) -> None:
    """Trainable weights as `kept` found them."""
    for name, p in model.named_parameters():
        if name in weights:
            p.data = weights[name].to(p.device)
