"""A training with completions that are given, so that one process and two train on the same: run alone or by torchrun.

    python -m torch.distributed.run --standalone --nproc_per_node=2 tests/rlvr/trl_two_processes.py FOLDER

writes, for each case, weights and run to FOLDER. The rows of the global batch are the same however many processes
share them; what a row is completed with depends on its place in the global batch, on the step and the round alone.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file
from trl import GRPOConfig

from rlkit.rlvr import objectives, trl
from rlkit.runs import Run
from tests.rlvr import toy

ROWS, SIZE = 24, 6  # of the global generation batch, of a group
SPEED = 0.01  # learning rate of plain SGD: later ratios and the KL are away from 1 and 0
CASES = {
    "grpo, a reference": {"objective": objectives.grpo(beta=0.1, clip_low=0.05, clip_high=0.05), "iterations": 2},
    "dapo, a group on two processes": {"objective": objectives.dapo(), "size": 8},
    "nsr, kept rows": {"objective": objectives.nsr()},
    "dynamic sampling": {"objective": objectives.dr_grpo(), "size": 3, "rounds": 6, "steps": 2},
}


class Given(trl.ObjectiveTrainer):
    """Completions of 1 to 6 words drawn from a generator of their own; the first word is right once in four."""

    drawn = (-1, 0)  # (step, rounds drawn in it)

    def _generate_single_turn(self, prompt_ids, *_, **__):
        step, number = self.state.global_step, 0
        number = self.drawn[1] + 1 if self.drawn[0] == step else 0
        self.drawn = step, number
        found = []
        for row in range(len(prompt_ids)):
            place = self.accelerator.process_index * len(prompt_ids) + row
            draw = torch.Generator().manual_seed(10_000 * step + 1000 * number + place)
            length = int(torch.randint(1, 7, (), generator=draw))
            ids = torch.randint(3, 183, (length,), generator=draw).tolist()
            found.append(ids if length == 6 else [*ids, self.processing_class.eos_token_id])
        return found, None


def start():
    """A fresh model that ends some completions before the sixth word, and can be moved by a large plain step."""
    model, tokenizer = toy.fresh()
    with torch.no_grad():
        weight = model.get_input_embeddings().weight
        weight[:, 0], weight[tokenizer.eos_token_id, 0] = 0.4, 2.0
    return model, tokenizer


def train(folder: Path, name: str, processes: int) -> Given:
    """Train a case and write weights.safetensors and a run into folder."""
    case = {"size": SIZE, "rounds": 0, "steps": 3, "iterations": 1} | CASES[name]
    model, tokenizer = start()
    args = GRPOConfig(
        output_dir=str(folder / "trl"), use_cpu=True, bf16=False, report_to=[], disable_tqdm=True, save_strategy="no",
        per_device_train_batch_size=ROWS // 2 // processes, gradient_accumulation_steps=2, max_grad_norm=0.0,
        num_generations=case["size"], num_iterations=case["iterations"], max_steps=case["steps"],
        max_completion_length=6,
    )  # fmt: skip
    step = torch.optim.SGD(model.parameters(), lr=SPEED)
    trainer = Given(
        **trl.from_task(model, tokenizer, toy.LONGER, toy.LONGER.problems(40, seed=1)),
        args=args,
        objective=case["objective"],
        dynamic_sampling=case["rounds"],
        optimizers=(step, torch.optim.lr_scheduler.LambdaLR(step, lambda _: 1.0)),
        run=Run.create("run", root=folder) if int(args.process_index) == 0 else None,
        log_rollouts_every=1,
    )
    trainer.train()
    if trainer.run is not None:
        weights = {name: p.detach().clone() for name, p in model.named_parameters()}
        save_file(weights, folder / "weights.safetensors")
    return trainer


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name in CASES:
        place = Path(sys.argv[1]) / name
        place.mkdir(parents=True, exist_ok=True)
        ended = train(place, name, processes=2)
        assert ended.accelerator.num_processes == 2
    (Path(sys.argv[1]) / f"done-{ended.args.process_index}").write_text(json.dumps(list(CASES)))
