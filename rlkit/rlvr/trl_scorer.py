"""TRL's GRPOTrainer with the kit's rule that sampler and scorer are one distribution, on 4-bit weights too."""

import inspect

import torch
from trl import GRPOTrainer

from rlkit.lm import checkpointing, prefix


class Scorer(GRPOTrainer):
    """GRPOTrainer whose model samples and scores alike; its arguments are those of GRPOTrainer.

    Dropout is off in both, with gradient checkpointing too; mixed precision is on in both or in neither. Positions
    count from each prompt's first token in both: TRL leaves them out where it scores, which moves a model with learned
    positions behind the padding of a prompt. bitsandbytes is told not to repack 4-bit weights on CPUs, where TRL
    samples from them before it trains. Trainable weights keep their dtype: TRL makes adapters on quantised weights
    bf16, which swallows small updates.
    """

    def __init__(self, model, *args, **options):
        own = {}
        if quantised(model):
            own = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
        super().__init__(model, *args, **options)
        for name, p in self.model.named_parameters():
            if p.requires_grad and quantised(self.model):
                p.data = own[name].to(p.device) if name in own else p.data.float()  # float: an adapter that TRL made
        with prefix.dropout_off(self.model):
            pass  # this is where bitsandbytes is told, and weights that were repacked before are refused

    def _send_telemetry(self):
        """Nothing is sent: the kit needs no network, and asks for none."""

    def scores(self, rows: dict, model, **options) -> tuple:
        """(logp, entropy or None) [B, T] of completions, nats, at args.temperature.

        rows: prompt_ids, prompt_mask, completion_ids, completion_mask. options: compute_entropy, batch_size.
        """
        ids, mask = (torch.cat([rows[f"prompt_{x}"], rows[f"completion_{x}"]], 1) for x in ("ids", "mask"))
        width = rows["completion_ids"].shape[1]
        return self._get_per_token_logps_and_entropies(model, ids, mask, width, **options)[:2]

    def _get_per_token_logps_and_entropies(self, model, *args, **options):
        known = inspect.signature(prefix.inner(self.model).forward).parameters

        def placed(**inputs):
            if "position_ids" in known:
                inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
            return model(**inputs)

        layers = checkpointing.checkpointed(self.model) if torch.is_grad_enabled() else []
        with prefix.dropout_off(self.model), checkpointing.recomputing(layers):
            return super()._get_per_token_logps_and_entropies(placed, *args, **options)

    def _generate_single_turn(self, *args, **options):
        with prefix.dropout_off(self.model), self.accelerator.autocast():
            return super()._generate_single_turn(*args, **options)


def quantised(model) -> bool:
    """Whether a model holds its weights in 4 or 8 bits."""
    return bool(getattr(model, "is_loaded_in_4bit", False) or getattr(model, "is_loaded_in_8bit", False))
