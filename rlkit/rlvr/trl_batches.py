"""The batches of `rlkit.rlvr.trl.ObjectiveTrainer`: TRL's tensors of several rounds and processes, as the kit has them.

Over all processes a round has P groups of G completions. A process holds its share of B rows, as TRL deals them out:
process * B + row = group * G + sample.
"""

from types import SimpleNamespace
from typing import NamedTuple

import torch
import torch.nn.functional as F

from rlkit.lm.rollouts import Rollouts
from rlkit.rlvr import batches
from rlkit.rlvr.objectives import Weights
from rlkit.rlvr.trl_arguments import text_of

COLUMNS = "prompt_ids prompt_mask completion_ids completion_mask old_per_token_logps".split()


class Pool(NamedTuple):
    """All groups drawn for a batch, round after round: N = rounds * P.

    parts [N, G, functions]; rewards [N, G]; dead [N]: all rewards of the group are equal; chosen: P of the N positions,
    process after process, that make the batch; live [P]: which of those are trained on; enough: no more rounds needed.
    """

    parts: torch.Tensor
    rewards: torch.Tensor
    dead: torch.Tensor
    chosen: list
    live: torch.Tensor
    enough: bool


def pool(judged: list, weights: list, size: int, processes: int, dynamic: bool) -> Pool:
    """The Pool of rounds that were judged, each [P * G, functions]; a reward is the weighted sum of the functions.

    A function that does not apply says NaN and is left out of the sum; where none applies the reward is NaN.
    dynamic: each process keeps its number of its own groups, so that no completion moves: those with a signal first,
    in the order drawn; where they do not suffice, dead ones fill up, and are not trained on.
    """
    parts = torch.cat(judged).cpu().double().unflatten(0, (-1, size))
    rewards = (parts * torch.tensor(weights, dtype=torch.float64)).nansum(-1)
    rewards = rewards.masked_fill(parts.isnan().all(-1), torch.nan)
    dead = (rewards == rewards[:, :1]).all(1)
    groups = len(dead) // len(judged)
    if not dynamic:
        return Pool(parts, rewards, dead, list(range(groups)), torch.ones(groups, dtype=torch.bool), True)
    chosen, own, gone = [], groups // processes, dead.tolist()
    for process in range(processes):
        mine = [r * groups + process * own + g for r in range(len(judged)) for g in range(own)]
        chosen += sorted(mine, key=gone.__getitem__)[:own]  # a stable sort: the order drawn stays
    live = ~dead[chosen]
    return Pool(parts, rewards, dead, chosen, live, bool(live.all()))


def weigh(objective, pool: Pool) -> Weights:
    """The objective's Weights [P, G] of the batch; groups that are not live are out, as if never sampled."""
    rewards = pool.rewards[pool.chosen]
    if pool.live.all():
        return objective.advantages(rewards)
    weights = Weights(torch.zeros_like(rewards), torch.zeros_like(rewards).bool(), torch.zeros_like(rewards))
    if pool.live.any():
        for whole, part in zip(weights, objective.advantages(rewards[pool.live]), strict=True):
            whole[pool.live] = part
    return weights


def join(rounds: list) -> dict:
    """The tensors of several rounds, [rounds * B, T]: prompts padded on the left, the rest on the right.

    What stands under a mask that is 0 does not matter, so 0 does for every padding.
    """

    def stack(name):
        width = max(one[name].shape[1] for one in rounds)
        gaps = [width - one[name].shape[1] for one in rounds]
        pads = [(gap, 0) if name.startswith("prompt") else (0, gap) for gap in gaps]
        return torch.cat([F.pad(one[name], pad) for one, pad in zip(rounds, pads, strict=True)])

    return {name: stack(name) for name in COLUMNS if name in rounds[0]}


def own(pool: Pool, process: int, rows: int) -> list:
    """Where the batch's rows of a process stand among all that it drew, [B] indices into what `join` returns."""
    size, groups = pool.rewards.shape[1], len(pool.chosen)
    share = rows // size
    if pool.chosen == list(range(groups)):
        return list(range(rows))  # nothing was exchanged, and a group may lie on two processes
    mine = [divmod(position, groups) for position in pool.chosen[process * share :][:share]]
    return [(r * share + group - process * share) * size + i for r, group in mine for i in range(size)]


def normaliser(accelerator, objective, parts: list, max_new_tokens: int) -> float:
    """The objective's normaliser over the micro-batches `parts` of every process: all that make one optimizer step."""
    lengths = torch.cat([part["completion_mask"].sum(1) for part in parts])
    kept = torch.cat([part["kept"] for part in parts]).to(lengths)
    lengths, kept = (accelerator.gather(x).cpu()[None] for x in (lengths, kept))  # [1, N]
    mask = torch.arange(int(lengths.max())) < lengths[..., None]  # [1, N, T]
    unread = torch.zeros(kept.shape)
    return objective.normaliser(mask, Weights(unread, kept.bool(), unread), max_new_tokens)


def stopped(rows: dict, ends: list) -> torch.Tensor:
    """Whether each completion [B] sampled an end token."""
    last = (rows["completion_mask"].sum(1) - 1).clamp(min=0)[:, None]
    ids = rows["completion_ids"].gather(1, last)[:, 0]
    return torch.isin(ids, torch.tensor(ends, device=ids.device))


def measured(accelerator, drawn: dict, pool: Pool, names: list, ends: list, dynamic: bool) -> tuple[dict, int]:
    """(metrics of all that was sampled, dropped groups included; its number of tokens)."""
    lengths, stops = drawn["completion_mask"].sum(1), stopped(drawn, ends).int()
    lengths, stops = (accelerator.gather(x).cpu() for x in (lengths, stops))
    parts = {name: part[~part.isnan()] for name, part in zip(names, pool.parts.unbind(-1), strict=True)}
    cut, tokens = (1 - stops).double().mean().item(), int(lengths.sum())
    batch = batches.Batch(None, [], pool.rewards, pool.rewards, pool.rewards, parts, pool.dead, 0, tokens, cut)
    return batches.measured(batch, None, dynamic), tokens


def gathered(accelerator, rows: dict) -> dict:
    """The tensors of all processes, [P * G, T], padded alike, on the CPU."""

    def whole(name):
        padded = accelerator.pad_across_processes(rows[name].contiguous(), dim=1, pad_first=name.startswith("prompt"))
        return accelerator.gather(padded).cpu()

    return {name: whole(name) for name in sorted(rows)}  # every process in the same order


def samples(rows: dict, pool: Pool, weights: Weights, problems: list, names, tokenizer, ends, temperature) -> list:
    """The rows of kind "sample" of a batch, its live groups alone; see batches.rows.

    rows: what `gathered` returns, with entropy and perhaps reference [P * G, T]; problems: P * G ids or None. A
    prompt's text is what the model read, chat template included.
    """
    size, live = pool.rewards.shape[1], pool.live.nonzero()[:, 0].tolist()
    mask, prompt_mask = rows["completion_mask"].bool(), rows["prompt_mask"][::size].bool()
    prompts = [row[m] for row, m in zip(rows["prompt_ids"][::size], prompt_mask, strict=True)]
    completions = [row[m].tolist() for row, m in zip(rows["completion_ids"], mask, strict=True)]
    whole = Rollouts(
        prompts=[tokenizer.decode(prompt) for prompt in prompts],
        group_size=size,
        prompt_ids=rows["prompt_ids"][::size],
        prompt_mask=prompt_mask,
        ids=rows["completion_ids"],
        mask=mask,
        logp=rows["old_per_token_logps"],
        text=[text_of(tokenizer, row, ends) for row in completions],
        finish=["stop" if stop else "length" for stop in stopped(rows, ends).tolist()],
        temperature=temperature,
        top_p=1.0,
        seed=0,
        reward_parts=dict(zip(names, pool.parts[pool.chosen].unbind(-1), strict=True)),
    )
    kept, named = batches.groups_of(whole, live), [SimpleNamespace(id=problems[g * size]) for g in live]
    rewards, flat = pool.rewards[pool.chosen][live], [g * size + i for g in live for i in range(size)]
    batch = batches.Batch(kept, named, rewards, rewards, rewards, {}, pool.dead, 0, 0, 0.0)
    entropy, reference = (rows[name][flat] if name in rows else None for name in ("entropy", "reference"))
    return batches.rows(tokenizer, batch, Weights(*(f[live] for f in weights)), entropy, None, reference)
