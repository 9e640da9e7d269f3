"""TRL as the second engine: its GRPOTrainer with any objective of rlkit.rlvr.objectives in place of its losses."""

import copy

import torch

try:
    import datasets  # noqa: F401 - so that its absence is named here
    from accelerate.utils import gather_object

    from rlkit.rlvr.trl_scorer import Scorer
except ModuleNotFoundError as error:
    if error.name not in ("accelerate", "datasets", "transformers", "trl"):
        raise
    raise ImportError(f'rlkit.rlvr.trl needs {error.name}: pip install "rlkit-notebooks[trl]"') from error

from rlkit import checks
from rlkit.rlvr import batches, objectives, trl_arguments, trl_batches, trl_runs, updates
from rlkit.rlvr.evaluation import derive
from rlkit.rlvr.objectives import Weights
from rlkit.rlvr.trl_arguments import from_task
from rlkit.runs import Run

__all__ = ["ObjectiveTrainer", "from_task"]

MORE = 6  # purpose of a random draw, after those of batches.py and learner.py


class ObjectiveTrainer(trl_runs.Told, Scorer):
    """TRL's GRPOTrainer that minimises an objective of the kit; TRL samples, deals out, scores, clips and steps.

    model, reward_funcs, args (a trl.GRPOConfig), train_dataset, processing_class (a tokenizer), callbacks, optimizers
    and peft_config are those of GRPOTrainer. For a task of the kit:

        given = trl.from_task(model, tokenizer, task, problems)
        trl.ObjectiveTrainer(**given, args=args, objective=rlvr.nsr(), run="nsr").train()

    The advantages are objective.advantages(rewards [P, G]) of the whole batch of completions, over all processes; a
    reward is the sum of the reward functions times args.reward_weights (default: each one's attribute reward_weight,
    else 1). The loss of a micro-batch is objective.loss with one normaliser of all completions that make the optimizer
    step, over gradient accumulation and processes: it depends on neither. The old log-probabilities are those before
    the first update on the batch. A reference policy, where the objective's beta needs one, is the policy as it was
    given (a new adapter switched off): a copy of the trainable weights, put in place for one pass. Sampler and scorer
    are one distribution, see trl_scorer.Scorer.

    dynamic_sampling (DAPO, arXiv 2503.14476, section 3.2): up to that many more rounds of other prompts, until each
    process has its number of groups with unequal rewards; surplus is dropped. Groups that are dead even then stay in
    TRL's batch but are taken out of the loss.
    run: a Run, or a name for a new one in runs/ with the config that widgets ask for; `trainer.run` is it, on the main
    process. Every optimizer step is logged as a Step, numbered from 1: loss, gradient_norm, entropy, kl (with a
    reference), ratio_min, ratio_max, clipped, tokens, updates, as in `rlvr.train` but of this step's completions and
    the policy that it found; and with the first step on a batch what was sampled for it: reward, reward_<function>,
    dead_groups, groups (with dynamic_sampling), truncated, length.
    log_rollouts_every: rows of kind "sample" (batches.rows, without logp_new) of a batch that has step 1, a multiple of
    it, or the last step, logged with its first step.

    What the objective decides (args.loss_type, epsilon, beta, scale_rewards, ...; trl_arguments.REPLACED) must be left
    as TRL has it, and what cuts the distribution that is sampled from (top_p, top_k, ...) must be neutral.
    Raises ValueError for bad arguments, and for a text prompt that would skip the tokenizer's chat template, in one
    line each; FloatingPointError for a loss that is not finite. Whatever training raises, the run is whole and says it.
    """

    def __init__(
        self,
        model,
        reward_funcs,
        args,
        train_dataset,
        processing_class,
        *,
        objective,
        dynamic_sampling: int = 0,
        run: Run | str | None = None,
        log_rollouts_every: int | None = None,
        callbacks: list | None = None,
        optimizers: tuple = (None, None),
        peft_config=None,
    ):
        trl_arguments.check(args, objective, train_dataset, processing_class, dynamic_sampling, log_rollouts_every)
        functions, args = reward_funcs if isinstance(reward_funcs, list) else [reward_funcs], copy.copy(args)
        if args.reward_weights is None:
            args.reward_weights = [float(getattr(function, "reward_weight", 1.0)) for function in functions]
        self._rl, self._rounds = objective, 1 + dynamic_sampling
        self._recorder = trl_runs.Recorder(self, log_rollouts_every)
        super().__init__(
            model,
            functions,
            args,
            train_dataset,
            processing_class=processing_class,
            callbacks=[self._recorder, *(callbacks or [])],
            optimizers=optimizers,
            peft_config=peft_config,
        )
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise ValueError("args: FSDP or DeepSpeed: must be one process, or several that each hold the whole model")
        if self.aux_loss_enabled:
            checks.fail("args.router_aux_loss_coef", self.router_aux_loss_coef, "0.0: no objective has such a term")
        if len(set(self.reward_func_names)) < len(functions):
            checks.fail("reward_funcs", self.reward_func_names, "functions of different names: runs tell them apart so")
        self._trainable = [p for p in self.model.parameters() if p.requires_grad]
        self.reference = updates.snapshot(self._trainable) if objective.needs_reference else None
        self._recorder.open(run, args, objective, len(train_dataset), dynamic_sampling)

    @property
    def run(self) -> Run | None:
        """The run that is logged to; None on processes other than the main one."""
        return self._recorder.run

    def _ended(self, state: str, error: str | None = None) -> None:
        self._recorder.finish(state, error)

    # ---- first stage: sample, judge, advantages of the whole batch

    def _calculate_rewards(self, *args):
        self._judged.append(super()._calculate_rewards(*args))  # [P * G, functions], of all processes
        return self._judged[-1]

    def _others(self, number: int, rows: int) -> list:
        """This process's rows of a further round: other prompts, which the seed and the step alone decide."""
        own, processes = rows // self.num_generations, self.accelerator.num_processes
        seed, first = derive(self.args.seed, MORE, self.state.global_step), (number - 1) * own * processes
        order = batches.order(len(self.train_dataset), first, own * processes, seed)
        mine = order[self.accelerator.process_index * own :][:own]
        return [self.train_dataset[i] for i in mine for _ in range(self.num_generations)]

    def _generate_and_score_completions(self, inputs):
        accelerator, here, names = self.accelerator, len(inputs), self.reward_func_names
        shape, dynamic = (self.num_generations, accelerator.num_processes), self._rounds > 1
        drawn, examples, self._judged = [], [], []
        for number in range(self._rounds):
            examples += self._others(number, here) if number else inputs
            drawn.append(super()._generate_and_score_completions(examples[-here:]))
            pool = trl_batches.pool(self._judged, self.args.reward_weights, *shape, dynamic)
            if pool.enough:
                break
        everything, weights = trl_batches.join(drawn), trl_batches.weigh(self._rl, pool)
        mine = trl_batches.own(pool, accelerator.process_index, here)
        rows = {name: values[mine] for name, values in everything.items()}
        how = {"batch_size": self._train_batch_size}
        if self.reference is not None:
            with torch.no_grad(), updates.weights_of(self._trainable, self.reference):
                rows["reference"], _ = self.scores(rows, self.model, **how)
        log, ends = self._recorder, self.eos_token_ids
        log.sampled, tokens = trl_batches.measured(accelerator, everything, pool, names, ends, dynamic)
        log.tokens += tokens
        if log.wants_rows():
            with torch.no_grad():
                logp, entropy = self.scores(rows, self.model, compute_entropy=True, **how)
            told = trl_batches.gathered(accelerator, {"old_per_token_logps": logp, "entropy": entropy} | rows)
            problems = gather_object([examples[i].get("problem") for i in mine])
            if log.run is not None:
                told = told, pool, weights, problems, names, self.processing_class, ends, self.temperature
                log.rows = trl_batches.samples(*told)
        latest = self._rl.advantages(pool.rewards[-len(pool.chosen) :])  # TRL's own table shows the last round
        self._logs["advantages"].extend(latest.advantage.flatten().tolist())
        first = accelerator.process_index * here
        live = pool.live.repeat_interleave(self.num_generations)[first : first + here]
        return rows | objectives.rows(weights, range(first, first + here))._asdict() | {"live": live}

    # ---- second stage: the loss of a micro-batch, with the normaliser of its optimizer step

    def _prepare_inputs(self, generation_batch):
        inputs, cuts = super()._prepare_inputs(generation_batch), self.args.gradient_accumulation_steps
        if self._step % cuts == 0:
            first = self._step % self.args.steps_per_generation
            parts, longest = self._buffered_inputs[first : first + cuts], self.max_completion_length
            self._normaliser = trl_batches.normaliser(self.accelerator, self._rl, parts, longest)
        return inputs

    def _compute_loss(self, model, inputs):
        logp, entropy = self.scores(inputs, model, compute_entropy=True)
        mask, reference = inputs["completion_mask"].bool(), inputs.get("reference")
        old = inputs.get("old_per_token_logps", logp.detach())  # not given where the policy is still what it was
        weights = Weights(*(inputs[name] for name in Weights._fields))
        loss, info = self._rl.loss(logp, old, reference, mask, weights, self._normaliser)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"loss={loss.item()} at step {self.state.global_step + 1}: must be finite")
        mask = mask & inputs["live"].to(mask.device)[:, None]
        self._recorder.micro.append(trl_runs.seen(loss, info, logp, reference, entropy, mask))
        return loss * self.accelerator.num_processes  # over which the gradient is averaged
