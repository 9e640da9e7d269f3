"""Reinforcement learning with verifiable rewards, as a generator: sample, judge, advantages, updates, log."""

import torch

from rlkit import paths
from rlkit.lm.adapters import adapter_is_new
from rlkit.rlvr import arguments, batches, checkpoints, updates
from rlkit.rlvr.evaluation import derive, evaluate, held_out
from rlkit.runs import Step

EVALUATION = 5  # purpose of a random draw, after those of batches.py


def train(
    model,
    tokenizer,
    task,
    objective,
    *,
    steps: int,
    learning_rate: float,
    seed: int = 0,
    problems: list | None = None,
    prompts_per_step: int = 16,
    group_size: int = 16,
    temperature: float = 1.0,
    top_p: float = 1.0,
    weight_decay: float = 0.0,
    clip_gradient: float | None = 1.0,
    updates_per_batch: int = 1,
    mini_batches: int = 1,
    micro_batch: int | None = None,
    reference: bool | None = True,
    reset_reference_every: int | None = None,
    dynamic_sampling: int = 0,
    control: str | None = None,
    entropy_bonus: float = 0.0,
    evaluate_every: int | None = None,
    evaluation: list | None = None,
    evaluation_samples: int = 16,
    log_rollouts_every: int | None = None,
    checkpoint=None,
):
    """Train the trainable parameters of `model` in place; a generator of `rlkit.runs.Step`, numbered 0 to `steps`.

    One step: `group_size` completions of each of `prompts_per_step` problems are sampled at `temperature`, judged by
    `task`, weighed by objective.advantages, and the objective's loss is minimised by AdamW with a constant learning
    rate: `updates_per_batch` passes over the batch, each over all its groups in `mini_batches` parts of whole groups,
    drawn anew for each pass, one update per part. The log-probabilities of the sampler are the old ones of every
    ratio. Dropout stays off. The same arguments and weights give the same bits.

    problems: default 1,024 training problems of the task drawn from `seed` (512, 256, ... where it has fewer), taken
      in a random order, epoch after epoch; with fewer than prompts_per_step a problem has several groups in a batch.
    top_p: only 1, since a cut distribution is not the one that the loss is about. clip_gradient: largest norm, or None.
    micro_batch: rows that go through the model at once, at most (None: all of a mini-batch), for want of memory. The
      gradient stays the same, as objective.normaliser is taken over the mini-batch of each update.
    reference: True: the start policy, for the metric kl and the objective's beta. A new LoRA adapter is switched off
      for it; otherwise a copy of the trainable parameters is put in place for one pass. None: neither, where beta is 0.
      reset_reference_every: after that many updates, at the end of their step, the reference becomes the policy.
    dynamic_sampling: up to that many more rounds of sampling, until `prompts_per_step` groups have unequal rewards.
    control: None, "random" (a fair coin for each completion) or "shuffled" (rewards permuted over the batch).
    entropy_bonus: weight of the mean entropy of a token, from the full distribution, added to what is maximised.
    evaluation: held-out problems, `evaluation_samples` each at `temperature`, at steps 0, evaluate_every, twice that,
      ..., and the last; always with the same random numbers.
    log_rollouts_every: rows of kind "sample" at step 1, at the multiples of it, and at the last step: all completions
      that the step trained on. Their logp_new is after the step's updates; their reward is what the objective got.
    checkpoint: a folder, relative to the repository as runs are. A process killed at any moment and started again with
      the same arguments and the same start model, on the same machine, versions and number of threads, continues bit
      for bit; see `continued` for what is logged. Other arguments, or another start model, raise ValueError at the
      first step. A task is known by its name, weights and max_new_tokens: what its functions do is not compared.

    Metrics at step 0, before any update: tokens and updates, both 0, and test_pass@1, test_pass@4, ... where there is
    an evaluation. From step 1 on, of the batch sampled by the policy before the step's updates:
      reward, reward_<part>: means over all completions sampled, as the task judged them, also under a control.
      control_reward (under a control): mean of what the objective got. dead_groups: share of groups whose rewards, as
      the objective got them, are all equal: no signal in most objectives. groups (with dynamic_sampling): all sampled.
      truncated: share cut off at task.max_new_tokens. length: mean tokens, <eos> included.
      kl: k3 estimate of KL(policy || reference) per token. entropy: mean over tokens, nats, in the first pass.
      ratio_min, ratio_max, clipped: over all updates; clipped is the share of tokens at a bound of the ratio, where
      the gradient is gone (cispo's cap and nft's floor keep it). loss, gradient_norm (before the cut): means over the
      updates. A loss near 0 is expected: advantages of a group add up to 0.
      tokens: sampled so far, dropped groups included, without evaluation. updates: so far.
      test_pass@k, and a row of kind "evaluation", after the step's updates.

    Raises ValueError for bad arguments, in one line each. Raises FloatingPointError at a reward, loss or gradient that
    is not finite: the batch is saved beside the checkpoint or in runs/failed, and the model is as after the last step.
    """
    settings = dict(locals())
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    problems = arguments.check(settings, trainable)
    sampling = {"prompts": prompts_per_step, "group_size": group_size, "temperature": temperature, "seed": seed}
    sampling |= {"control": control, "extra": dynamic_sampling}
    how = {"max_new_tokens": task.max_new_tokens, "micro_batch": micro_batch}
    how |= {"entropy_bonus": entropy_bonus, "clip_gradient": clip_gradient}

    def test(step: int) -> tuple:
        """(metrics, rows) of the held-out problems, at the steps that have an evaluation."""
        if evaluation is None or not (step in (0, steps) or (evaluate_every and step % evaluate_every == 0)):
            return {}, []
        options = {"samples": evaluation_samples, "temperature": temperature, "seed": derive(seed, EVALUATION)}
        row = evaluate(model, tokenizer, task, evaluation, at=step, split="test", **options)
        return held_out(row), [row]

    def training():
        parameters = list(trainable.values())
        optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)
        base = bool(reference) and adapter_is_new(model)  # the start policy is the model without its adapter
        frozen = updates.snapshot(parameters) if reference and not base else None  # the reference policy
        state = {"step": -1, "cursor": 0, "tokens": 0, "updates": 0, "reset": 0}
        made_with = arguments.describe(settings, problems)
        folder = None if checkpoint is None else paths.home() / checkpoint
        if folder:
            made_with["model"] = checkpoints.fingerprint(model)
            stored, reset = checkpoints.restore(folder, made_with, trainable, optimizer)
            state, frozen = stored or state, reset or frozen

        def save():
            if folder:
                changed = frozen if state["reset"] else None
                checkpoints.save(folder, made_with, state, trainable, optimizer, changed)

        if state["step"] < 0:
            metrics, rows = test(0)
            yield Step(0, {"tokens": 0.0, "updates": 0.0} | metrics, rows or None)
            state["step"] = 0
            save()

        for step in range(state["step"] + 1, steps + 1):
            good = updates.snapshot(parameters) if updates_per_batch * mini_batches > 1 else None
            batch = weights = None
            try:
                # sample and judge
                cursor = state["cursor"]
                batch = batches.collect(model, tokenizer, task, problems, step=step, cursor=cursor, **sampling)
                batches.refuse_not_finite(batch)
                rollouts, groups = batch.rollouts, len(batch.problems)

                # advantages, and what the reference says
                weights = objective.advantages(batch.rewards) if groups else None
                metrics, log_reference, entropy = batches.measured(batch, control, dynamic_sampling), None, None
                if reference and groups:
                    with updates.adapter_off(model) if frozen is None else updates.weights_of(parameters, frozen):
                        log_reference, _ = updates.scores(model, rollouts, micro_batch)
                    metrics["kl"] = batches.kl(rollouts, log_reference)
                log_rows = groups and log_rollouts_every and (step in (1, steps) or step % log_rollouts_every == 0)
                if log_rows:
                    _, entropy = updates.scores(model, rollouts, micro_batch)

                # updates
                done, given = [], (model, trainable, optimizer, rollouts, objective, weights, log_reference)
                for number in range(updates_per_batch if groups else 0):
                    for part in batches.parts(groups, mini_batches, derive(seed, batches.SHUFFLE, step, number)):
                        done.append(updates.update(*given, part, **how))
            except FloatingPointError as error:
                if good is not None:
                    updates.put(parameters, good)
                note = {"error": str(error), "step": step, "arguments": made_with}
                where = batches.keep_failed(folder, step, batch, weights, note)
                raise FloatingPointError(
                    f"step {step}: {error}. The last good step is {step - 1}; the model is as after it. "
                    f"What was sampled and rewarded is in {where}: look at batch.json"
                ) from None

            # log
            state |= {"step": step, "cursor": batch.cursor, "tokens": state["tokens"] + batch.tokens}
            state["updates"] += len(done)
            if reset_reference_every and state["updates"] - state["reset"] >= reset_reference_every:
                frozen, state["reset"] = updates.snapshot(parameters), state["updates"]
            metrics |= updates.summary(done, mini_batches)
            metrics |= {"tokens": float(state["tokens"]), "updates": float(state["updates"])}
            rows = []
            if log_rows:
                log_new, _ = updates.scores(model, rollouts, micro_batch)
                rows = batches.rows(tokenizer, batch, weights, entropy, log_new, log_reference)
            tested, evaluated = test(step)
            yield Step(step, metrics | tested, rows + evaluated or None)
            save()

    return training()


def continued(learner, run):
    """The steps of `learner` that `run` does not hold yet: so that a run killed and started again has each step once.

    A checkpoint is written when the step after it is asked for, that is when its step has been logged. So a step that
    was logged but not checkpointed is computed again, with identical numbers, and left out here; of a step whose
    rollouts were partly written, the rest is passed on. Give the run that was logged to before:

        run = Run.load(path)
        live(rlvr.continued(rlvr.train(..., checkpoint=folder), run), run)

    Raises ValueError if the learner starts later than the step after the run's last: that is another run's checkpoint.
    """
    last = -1 if run.last_step is None else run.last_step
    for step in learner:
        if step.step > last + 1:
            raise ValueError(f"run {run.name!r}: its last step is {last}, but the learner goes on at step {step.step}")
        if step.step == last + 1:
            last += 1
            written = len(run.rollouts(step.step)) if step.rollouts else 0
            yield step._replace(rollouts=step.rollouts[written:]) if written else step
