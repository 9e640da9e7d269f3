"""Best-of-n: draw n completions, keep the one that the reward likes best. The policy is never trained.

Its exact law on an enumerable policy is `rlkit.rlhf.optimum.best_of_n`, the bound of its KL `best_of_n_bound` there.
"""

import numpy as np
import torch
from scipy.special import gammaln

from rlkit import checks
from rlkit.lm.rollouts import Rollouts, sample
from rlkit.rlvr import batches
from rlkit.rlvr.evaluation import derive

ROWS = 4096  # completions drawn at once, about


def best_of_n(
    model, tokenizer, problems: list, reward, *, n: int, samples: int = 1, max_new_tokens: int, seed: int = 0
) -> tuple:
    """(rollouts of P problems with G = samples completions each, their rewards [P, G]), each the best of its own n.

    reward(rollouts, problems) -> [P, G] is what a learner takes: `reward_model.rewards`, `rlhf.gold(task)`. Of equal
    rewards the first drawn is kept, so that ties are shared in proportion to the policy. The recorded logp is the
    policy's, not that of the best of n. The same seed gives the same completions. Raises ValueError for bad arguments,
    and for a reward that is not finite or of another shape.
    """
    n, samples = checks.positive_int("n", n), checks.positive_int("samples", samples)
    problems, seed = list(problems), checks.seed(seed)
    if not problems:
        checks.fail("problems", problems, "at least one problem")
    at_once, kept, rewards = max(ROWS // (n * samples), 1), [], []
    for start in range(0, len(problems), at_once):
        some = problems[start : start + at_once]
        drawn = sample(model, tokenizer, some, n * samples, max_new_tokens, seed=derive(seed, start))
        judged = torch.as_tensor(reward(drawn, some)).detach().cpu().double()
        if judged.shape != (len(some), n * samples) or not judged.isfinite().all():
            raise ValueError(f"reward of shape {tuple(judged.shape)}: must be finite and {[len(some), n * samples]}")
        best, index = judged.view(-1, n).max(1)  # [P * samples]; the first of equal ones
        kept.append(_rows(drawn, torch.arange(len(index)) * n + index, samples))
        rewards.append(best.view(-1, samples))
    return batches.join(kept)._replace(reward_parts=None), torch.cat(rewards)


def _rows(rollouts: Rollouts, rows, group_size: int) -> Rollouts:
    """Some rows of the rollouts, group_size for each prompt."""
    tensors = {name: getattr(rollouts, name)[rows.to(rollouts.ids.device)] for name in ("ids", "mask", "logp")}
    texts = {name: [getattr(rollouts, name)[row] for row in rows.tolist()] for name in ("text", "finish")}
    return rollouts._replace(group_size=group_size, reward_parts={}, **tensors, **texts)


def expected_best(rewards, values, n: int) -> torch.Tensor:
    """The mean value of the best of n by reward, without bias, from M >= n completions of each prompt: [P] float64.

    Over all subsets of n of the M: the one with rank i by reward (1 is the least) is the best of C(i - 1, n - 1) of
    C(M, n). Ties share their weight. rewards, values [P, M]: what chooses, and what is averaged (the gold reward; the
    rewards themselves). One pool of samples thus serves every n. Source: Nakano et al. 2021, arXiv 2112.09332,
    appendix I. Raises ValueError for n above M, shapes that differ, numbers that are not finite.
    """
    rewards, values = (checks.finite(name, x) for name, x in (("rewards", rewards), ("values", values)))
    if rewards.ndim != 2 or rewards.shape != values.shape:
        raise ValueError(f"rewards of shape {rewards.shape}, values of shape {values.shape}: must be the same [P, M]")
    total = rewards.shape[1]
    if checks.positive_int("n", n) > total:
        checks.fail("n", n, f"at most {total}, the number of completions of each prompt")
    rank = np.arange(n, total + 1)
    weight = np.zeros(total)  # of each rank
    weight[n - 1 :] = np.exp(_log_choose(rank - 1, n - 1) - _log_choose(total, n))
    means = []
    for reward, value in zip(rewards, values, strict=True):
        _, level = np.unique(reward, return_inverse=True)  # [M]: equal rewards, equal level
        shares = np.bincount(level, weights=weight[np.argsort(np.argsort(reward, kind="stable"))])
        means.append(shares @ (np.bincount(level, weights=value) / np.bincount(level)))
    return torch.tensor(means, dtype=torch.float64)


def _log_choose(n, k):
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
