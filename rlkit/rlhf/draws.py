"""The completions of a step of RLHF: from a prompt, or from a given beginning of a completion; rewarded as a whole."""

import torch

from rlkit import checks
from rlkit.lm import prefix
from rlkit.lm.rollouts import judge, sample, score_tokens
from rlkit.rlvr import batches


def draw(model, tokenizer, task, reward, problems, starts, group_size, seed) -> batches.Batch:
    """Completions of each problem that begin with its start (a text, "" for none), rewarded and judged as a whole.

    The start is part of the prompt of what is sampled, so no gradient flows into it. Reward and task see the problem's
    own prompt and a completion that holds it. What was sampled beyond task.max_new_tokens less the start's tokens is
    cut off before anyone looks. Raises ValueError for a start that leaves no room, or rewards that are not [P, G].
    """
    first = [tokenizer(start, add_special_tokens=False)["input_ids"] if start else [] for start in starts]
    for start, ids in zip(starts, first, strict=True):
        if len(ids) >= task.max_new_tokens:
            checks.fail("prefix", start, f"of fewer tokens than max_new_tokens={task.max_new_tokens}")
    room = torch.tensor([task.max_new_tokens - len(ids) for ids in first])  # [P]
    texts = [joined(problem.prompt, start) for problem, start in zip(problems, starts, strict=True)]
    rollouts = sample(model, tokenizer, texts, group_size, int(room.max()), seed=seed)
    rollouts = cut(rollouts, room.repeat_interleave(group_size), tokenizer)
    whole = rollouts if not any(first) else completed(rollouts, problems, starts, first, tokenizer)
    whole = judge(whole, task, problems)
    rewards = torch.as_tensor(reward(whole, problems)).detach().double().cpu()
    if rewards.shape != (len(problems), group_size):
        raise ValueError(f"reward(...) of shape {tuple(rewards.shape)}: must be [{len(problems)}, {group_size}]")
    return batches.Batch(
        rollouts=rollouts._replace(reward_parts=whole.reward_parts),
        problems=problems,
        rewards=rewards,
        judged=batches.rewards_of(task, whole.reward_parts),
        used=rewards,
        parts=whole.reward_parts,
        dead=(rewards == rewards[:, :1]).all(1),
        cursor=0,
        tokens=int(rollouts.mask.sum()),
        truncated=rollouts.finish.count("length") / len(rollouts.finish),
    )


def written(model, reference, tokenizer, task, problems: list, *, samples: int, seed: int) -> tuple:
    """(rollouts, rewards [P, G], texts, kl) of G = samples completions that the model writes for each problem.

    The rollouts are judged, rewards are the task's own; texts: P lists of G; kl: mean of log pi - log pi_ref of a
    completion (nats), an estimate of KL(pi || reference). The same seed draws with the same random numbers.
    """
    drawn = judge(sample(model, tokenizer, problems, samples, task.max_new_tokens, seed=seed), task, problems)
    with torch.no_grad():
        frozen = score_tokens(reference, drawn)
    texts = [drawn.text[row : row + samples] for row in range(0, len(drawn.text), samples)]
    return drawn, batches.rewards_of(task, drawn.reward_parts), texts, (drawn.logp - frozen).sum(1).mean().item()


def joined(text: str, more: str) -> str:
    """The two with a space between them, unless one is empty or white space stands there already."""
    apart = text and more and not text[-1].isspace() and not more[0].isspace()
    return f"{text} {more}" if apart else text + more


def cut(rollouts, room, tokenizer):
    """The rollouts with at most room [B] tokens a row; a row that loses any ends by "length"."""
    room, lengths = room.to(rollouts.mask.device), rollouts.mask.sum(1)
    long = (lengths > room).nonzero()[:, 0].tolist()
    if not long:
        return rollouts
    width = int(torch.minimum(lengths, room).max())
    mask = (rollouts.mask & (torch.arange(rollouts.mask.shape[1], device=room.device) < room[:, None]))[:, :width]
    text, finish = list(rollouts.text), list(rollouts.finish)
    for row in long:
        text[row] = tokenizer.decode(rollouts.ids[row, : int(room[row])], clean_up_tokenization_spaces=False)
        finish[row] = "length"
    logp = rollouts.logp[:, :width].masked_fill(~mask, 0.0)
    return rollouts._replace(ids=rollouts.ids[:, :width], mask=mask, logp=logp, text=text, finish=finish)


def completed(rollouts, problems, starts, first, tokenizer):
    """The rollouts as a reward sees them: the problems' own prompts, completions that hold their start.

    first: the starts as ids, one list a prompt. logp is 0 at the tokens of a start: nobody drew them.
    """
    size, prompts = rollouts.group_size, [problem.prompt for problem in problems]
    lengths = rollouts.mask.sum(1).tolist()
    wide = max(n + len(first[row // size]) for row, n in enumerate(lengths))
    ids = rollouts.ids.new_zeros(len(lengths), wide)
    mask, logp = torch.zeros_like(ids, dtype=torch.bool), rollouts.logp.new_zeros(ids.shape)
    for row, n in enumerate(lengths):
        given = first[row // size]
        end = len(given) + n
        ids[row, : len(given)] = ids.new_tensor(given)
        ids[row, len(given) : end], logp[row, len(given) : end] = rollouts.ids[row, :n], rollouts.logp[row, :n]
        mask[row, :end] = True
    prompt_ids, prompt_mask = prefix.encode(tokenizer, prompts, ids.device)
    text = [joined(starts[row // size], text) for row, text in enumerate(rollouts.text)]
    new = {"prompts": prompts, "prompt_ids": prompt_ids, "prompt_mask": prompt_mask, "text": text}
    return rollouts._replace(ids=ids, mask=mask, logp=logp, **new)
