"""The batch of a training step: which problems, their rollouts, what was rewarded, which groups are kept."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from rlkit.lm.rollouts import Rollouts, judge, sample
from rlkit.rlvr import checkpoints
from rlkit.rlvr.evaluation import derive
from rlkit.rlvr.losses import kl_estimate

CONTROLS = (None, "random", "shuffled")
ORDER, SAMPLING, CONTROL, SHUFFLE = 1, 2, 3, 4  # purposes of random draws; each has generators of its own


class Batch(NamedTuple):
    """What a step trains on, and what it had to sample for that.

    rollouts of the P groups that are kept; problems [P]; rewards [P, G] float64, what the objective gets; judged
    [N, G], what the task gave to all N groups sampled, kept or not; dead [N]; cursor: problems taken so far; tokens:
    sampled in this step; length, truncated: mean tokens and share cut off, of all sampled.
    """

    rollouts: Rollouts
    problems: list
    rewards: torch.Tensor
    judged: torch.Tensor
    used: torch.Tensor
    parts: dict
    dead: torch.Tensor
    cursor: int
    tokens: int
    truncated: float


def order(problems: int, first: int, count: int, seed: int) -> list:
    """Indices of `count` problems from the `first`-th on: epoch after epoch, each in a random order of its own."""
    epochs = range(first // problems, (first + count - 1) // problems + 1)
    shuffled = {e: np.random.default_rng([seed, ORDER, e]).permutation(problems) for e in epochs}
    return [int(shuffled[i // problems][i % problems]) for i in range(first, first + count)]


def rewards_of(task, parts: dict) -> torch.Tensor:
    """[P, G] float64: the task's reward of each rollout, from its named parts (each [P, G])."""
    names, values = list(parts), torch.stack([part.double().cpu() for part in parts.values()], -1).tolist()
    return torch.tensor([[task.reward(dict(zip(names, v, strict=True))) for v in g] for g in values]).double()


def controlled(rewards: torch.Tensor, control: str | None, seed: int) -> torch.Tensor:
    """What the objective gets in place of the rewards [P, G].

    None: the rewards. "random": a fair coin for each completion, 0 or 1, which knows nothing of the task ("Spurious
    Rewards", arXiv 2506.10947). "shuffled": the same rewards, permuted over the whole batch: their distribution stays,
    what earned them does not.
    """
    rng = np.random.default_rng(seed)
    if control == "random":
        return torch.from_numpy(rng.integers(0, 2, size=tuple(rewards.shape)).astype(float))
    if control == "shuffled":
        return rewards.reshape(-1)[torch.from_numpy(rng.permutation(rewards.numel()))].reshape(rewards.shape)
    return rewards


def groups_of(rollouts: Rollouts, groups: list) -> Rollouts:
    """The rollouts of some prompts alone."""
    size = rollouts.group_size
    rows = [g * size + i for g in groups for i in range(size)]
    parts = None if rollouts.reward_parts is None else {n: v[groups] for n, v in rollouts.reward_parts.items()}
    return rollouts._replace(
        prompts=[rollouts.prompts[g] for g in groups],
        prompt_ids=rollouts.prompt_ids[groups],
        prompt_mask=rollouts.prompt_mask[groups],
        ids=rollouts.ids[rows],
        mask=rollouts.mask[rows],
        logp=rollouts.logp[rows],
        text=[rollouts.text[r] for r in rows],
        finish=[rollouts.finish[r] for r in rows],
        reward_parts=parts,
    )


def join(several: list) -> Rollouts:
    """Rollouts of several calls of `sample` as one: prompts padded on the left, completions on the right."""
    if len(several) == 1:
        return several[0]

    def stack(name, left):
        tensors = [getattr(r, name) for r in several]
        width = max(t.shape[1] for t in tensors)
        # What stands under a mask that is False does not matter, so 0 does for every padding.
        return torch.cat([F.pad(t, (width - t.shape[1], 0) if left else (0, width - t.shape[1])) for t in tensors])

    return several[0]._replace(
        prompts=[one for r in several for one in r.prompts],
        text=[one for r in several for one in r.text],
        finish=[one for r in several for one in r.finish],
        reward_parts={n: torch.cat([r.reward_parts[n] for r in several]) for n in several[0].reward_parts},
        **{name: stack(name, True) for name in ("prompt_ids", "prompt_mask")},
        **{name: stack(name, False) for name in ("ids", "mask", "logp")},
    )


def collect(model, tokenizer, task, problems, *, prompts, group_size, temperature, seed, step, cursor, control, extra):
    """Sample and judge `prompts` groups; with extra > 0, DAPO's dynamic sampling (arXiv 2503.14476, section 3.2).

    Then groups whose rewards are all equal are dropped and up to `extra` more rounds drawn, until `prompts` groups are
    left; surplus is dropped too. What was dropped still counts as sampled. Returns a Batch, perhaps of fewer groups.
    """
    drawn, used, judged, taken = [], [], [], []
    for number in range(1 + extra):
        some = [problems[i] for i in order(len(problems), cursor, prompts, seed)]
        cursor += prompts
        rollouts = sample(
            model,
            tokenizer,
            some,
            group_size,
            task.max_new_tokens,
            temperature=temperature,
            seed=derive(seed, SAMPLING, step, number),
        )
        drawn.append(judge(rollouts, task, some))
        judged.append(rewards_of(task, drawn[-1].reward_parts))
        used.append(controlled(judged[-1], control, derive(seed, CONTROL, step, number)))
        taken += some
        rewards = torch.cat(used)  # [N, G]
        dead = (rewards == rewards[:, :1]).all(1)  # [N]; NaN equals nothing
        if int((~dead).sum()) >= prompts or not rewards.isfinite().all():
            break
    rollouts = join(drawn)
    keep = torch.nonzero(~dead)[:prompts, 0].tolist() if extra else list(range(len(taken)))
    return Batch(
        rollouts=groups_of(rollouts, keep) if extra else rollouts,
        problems=[taken[g] for g in keep],
        rewards=rewards[keep],
        judged=torch.cat(judged),
        used=rewards,
        parts=rollouts.reward_parts,
        dead=dead,
        cursor=cursor,
        tokens=int(rollouts.mask.sum()),
        truncated=rollouts.finish.count("length") / len(rollouts.finish),
    )


def refuse_not_finite(batch: Batch) -> None:
    """Raise FloatingPointError for a reward, or a log-probability of the sampler, that is not finite; names the row."""
    if not batch.rewards.isfinite().all():
        group, sample_ = torch.nonzero(~batch.rewards.isfinite())[0].tolist()
        value, problem = batch.rewards[group, sample_].item(), batch.problems[group].id
        raise FloatingPointError(f"reward={value} of problem {problem!r}, group {group}, sample {sample_}")
    bad = torch.nonzero(~batch.rollouts.logp.isfinite().all(1))[:1, 0].tolist()
    if bad:
        raise FloatingPointError(f"the sampler's log-probability of row {bad[0]} is not finite")


def measured(batch: Batch, control, extra: int) -> dict:
    """Metrics of what was sampled, dropped groups included."""
    rows = batch.judged.numel()
    metrics = {"reward": batch.judged.mean().item()}
    metrics |= {f"reward_{name}": value.double().mean().item() for name, value in batch.parts.items()}
    metrics |= {"control_reward": batch.used.mean().item()} if control else {}
    metrics |= {"groups": float(len(batch.judged))} if extra else {}
    metrics |= {"dead_groups": batch.dead.double().mean().item(), "truncated": batch.truncated}
    return metrics | {"length": batch.tokens / rows}


def kl(rollouts: Rollouts, reference) -> float:
    """k3 of KL(policy || reference), mean over the tokens: exp(d) - 1 - d with d = log pi_ref - log pi."""
    return kl_estimate(rollouts.logp, reference)[rollouts.mask.bool()].double().mean().item()


def parts(groups: int, mini_batches: int, seed: int) -> list:
    """The mini-batches of a pass: all groups once, in a random order; in their own order where there is one part."""
    shuffled = np.random.default_rng(seed).permutation(groups) if mini_batches > 1 else np.arange(groups)
    return [part.tolist() for part in np.array_split(shuffled, min(mini_batches, groups))]


def rows(tokenizer, batch: Batch, weights, entropy, new, reference) -> list:
    """One row of kind "sample" for each completion of the batch; lists of numbers are cut to its tokens.

    reward is what the objective got; under a control it is not what reward_parts, the task's judgement, add up to.
    entropy, new (log-probabilities after the step's updates), reference: [B, T]; reference may be None.
    """
    rollouts, size = batch.rollouts, batch.rollouts.group_size
    advantage, rewards = weights.advantage.tolist(), batch.rewards.tolist()
    parts_ = {name: value.tolist() for name, value in rollouts.reward_parts.items()}
    words, found = {}, []
    for row, (text, finish) in enumerate(zip(rollouts.text, rollouts.finish, strict=True)):
        group, sample_ = divmod(row, size)
        length = int(rollouts.mask[row].sum())
        ids = rollouts.ids[row, :length].tolist()
        for token in ids:
            words.setdefault(token, tokenizer.decode([token]))
        numbers = {"logp_sampled": rollouts.logp, "logp_new": new, "logp_reference": reference, "entropy": entropy}
        numbers = {name: v[row, :length].tolist() for name, v in numbers.items() if v is not None}
        found.append(
            {
                "kind": "sample",
                "problem": batch.problems[group].id,
                "group": group,
                "sample": sample_,
                "prompt": rollouts.prompts[group],
                "completion": text,
                "tokens": [words[token] for token in ids],
                "token_ids": ids,
                **numbers,
                "reward": rewards[group][sample_],
                "reward_parts": {name: value[group][sample_] for name, value in parts_.items()},
                "advantage": advantage[group][sample_],
                "finish_reason": finish,
            }
        )
    return found


def keep_failed(folder, step: int, batch: Batch | None, weights, note: dict):
    """Save the batch of a step that failed; returns its folder. Without a batch the sampler failed: rows are empty."""
    if batch is None:
        return checkpoints.save_failed(folder, f"failed-step-{step}", None, [], note)
    rollouts, size = batch.rollouts, batch.rollouts.group_size
    told = [
        {
            "row": row,
            "problem": batch.problems[row // size].id,
            "prompt": rollouts.prompts[row // size],
            "completion": text,
            "finish_reason": rollouts.finish[row],
            "reward": repr(batch.rewards[row // size, row % size].item()),
            "advantage": None if weights is None else weights.advantage[row // size, row % size].item(),
        }
        for row, text in enumerate(rollouts.text)
    ]
    return checkpoints.save_failed(folder, f"failed-step-{step}", rollouts, told, note)
