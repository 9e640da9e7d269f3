"""What `rlkit.rlvr.trl.ObjectiveTrainer` logs: a Step of a Run for every optimizer step, named as `rlvr.train` does."""

import math
import traceback

import torch
from accelerate.utils import gather_object
from transformers import TrainerCallback

from rlkit.rlvr import objectives
from rlkit.rlvr.losses import kl_estimate
from rlkit.runs import Run, Step


def steps_per_batch(args) -> int:
    """Optimizer steps on one batch of completions."""
    return args.num_iterations * args.steps_per_generation // args.gradient_accumulation_steps


def open_run(name: str, args, objective, problems: int, dynamic_sampling: int) -> Run:
    """A new run in runs/ whose config says what widgets ask for. problems: how many there are to train on."""
    prompts = args.generation_batch_size // args.num_generations
    steps = math.ceil(args.num_train_epochs * (problems // prompts) * steps_per_batch(args))
    config = {
        "engine": "trl",
        "objective": objectives.describe(objective),
        "max_new_tokens": args.max_completion_length,
    }
    config |= {"steps": args.max_steps if args.max_steps > 0 else steps, "seed": args.seed}
    config |= {"prompts_per_step": prompts, "group_size": args.num_generations, "temperature": args.temperature}
    return Run.create(name, config | {"learning_rate": args.learning_rate, "dynamic_sampling": dynamic_sampling})


def seen(loss, info: dict, logp, reference, entropy, mask) -> torch.Tensor:
    """What a micro-batch adds to the metrics of its optimizer step, [8]; see `summary`. mask: of the live groups."""
    kl = torch.zeros_like(logp) if reference is None else kl_estimate(logp, reference)
    tokens, kept = mask.sum(), info["tokens"]
    values = [loss, (entropy * mask).sum(), (kl * mask).sum(), tokens, info["clipped"] * kept, kept]
    return torch.stack([v.detach().float() for v in (*values, info["ratio_min"], info["ratio_max"])])


def summary(found: torch.Tensor, with_reference: bool) -> dict:
    """The metrics of an optimizer step from `seen` of all its micro-batches on all processes, [N, 8]."""
    loss, entropy, kl, tokens, clipped, kept = found[:, :6].sum(0).tolist()
    tokens = max(tokens, 1.0)  # 0 where dynamic sampling found nothing to train on
    metrics = {"kl": kl / tokens} if with_reference else {}
    metrics |= {"entropy": entropy / tokens}
    metrics |= {"ratio_min": found[:, 6].min().item(), "ratio_max": found[:, 7].max().item()}
    return metrics | {"clipped": clipped / max(kept, 1.0), "loss": loss}


class Told:
    """Stands in front of a trainer of TRL: `_ended(state, error)` hears how training ended, whatever it raised, and
    gradient_norm is that of the last optimizer step, before the cut."""

    gradient_norm = math.nan

    def train(self, *args, **options):
        """As Trainer.train; the run is told how it ended."""
        try:
            result = super().train(*args, **options)
        except KeyboardInterrupt:
            self._ended("stopped")
            raise
        except BaseException as error:
            self._ended("failed", "".join(traceback.format_exception_only(error)).strip())
            raise
        self._ended("finished" if self.state.global_step >= self.state.max_steps else "stopped")
        return result

    def training_step(self, *args, **options):
        loss = super().training_step(*args, **options)
        if self.accelerator.sync_gradients:  # the gradient of the optimizer step is whole, and not yet clipped
            gradients = [p.grad for p in self.model.parameters() if p.requires_grad and p.grad is not None]
            scale = self.accelerator.scaler.get_scale() if self.accelerator.scaler else 1.0  # of fp16
            self.gradient_norm = torch.nn.utils.get_total_norm(gradients).item() / scale
        return loss


class Recorder(TrainerCallback):
    """Collects what a trainer measures in an optimizer step and logs it when the step is made.

    run: a Run, or None on processes that have none. sampled, rows: set with the first step of a batch; micro: one
    entry of `seen` for each micro-batch.
    """

    def __init__(self, trainer, every: int | None):
        self.trainer, self.every, self.run, self.expected, self.tokens = trainer, every, None, False, 0
        self.sampled, self.rows, self.micro = {}, [], []

    def open(self, run: Run | str | None, *described) -> None:
        """Take a run, on the main process; a name makes a new one."""
        self.expected = any(gather_object([run is not None]))  # so that no process waits for rows that none gathers
        if self.trainer.accelerator.is_main_process:
            self.run = open_run(run, *described) if isinstance(run, str) else run

    def wants_rows(self) -> bool:
        """Whether a batch that is drawn now has a step whose rows are to be logged; the same on every process."""
        state, args = self.trainer.state, self.trainer.args
        coming = range(state.global_step + 1, state.global_step + 1 + steps_per_batch(args))
        due = any(step in (1, state.max_steps) or step % self.every == 0 for step in coming) if self.every else False
        return due and self.expected

    def on_step_end(self, args, state, control, **_):
        found = self.trainer.accelerator.gather(torch.stack(self.micro)).cpu()
        found = summary(found, self.trainer.reference is not None) | {"gradient_norm": self.trainer.gradient_norm}
        own = self.trainer._metrics["train"]  # TRL logs what stands here; loss and norm are among Trainer's own
        for name, value in found.items():
            if name not in ("loss", "gradient_norm"):
                own[name].append(value)
        if self.run is not None:
            counted = {"tokens": float(self.tokens), "updates": float(state.global_step)}
            self.run.record(Step(state.global_step, self.sampled | found | counted, self.rows or None))
        self.sampled, self.rows, self.micro = {}, [], []

    def finish(self, state: str, error: str | None = None) -> None:
        if self.run is not None:
            self.run.finish(state, error=error)
