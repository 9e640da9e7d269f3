"""The exact chance that one completion is right, where the right ones can be listed: pass@k without sampling."""

import numpy as np
import torch

from rlkit import checks
from rlkit.lm import prefix
from rlkit.lm.rollouts import nucleus
from rlkit.lm.supervised import encode
from rlkit.lm.tasks.countdown import solutions

ROWS = 2048  # answers that go through the model at once, about


@torch.no_grad()
def chances(model, tokenizer, problems: list, answers=solutions, *, temperature: float = 1.0, top_p: float = 1.0):
    """q(x) = sum over the right answers o of pi(o, <eos> | x), for each problem x: float64 array [P].

    answers: problem -> list of its right completions, each once; default: those of Countdown in + - * without
    parentheses (a verifier may accept others, which a model that never saw one all but never writes).
    pi is what `rlkit.lm.sample` draws from: softmax(logits / temperature), cut to the nucleus where top_p < 1.
    Raises ValueError for no problems, a temperature of 0 or less, or top_p outside (0, 1].
    """
    problems, temperature = list(problems), checks.positive("temperature", temperature)
    if not problems:
        checks.fail("problems", problems, "at least one problem")
    if not 0 < checks.probability("top_p", top_p) <= 1:
        checks.fail("top_p", top_p, "above 0 and at most 1")
    listed = [answers(problem) for problem in problems]
    pairs = [(problem.prompt, text) for problem, texts in zip(problems, listed, strict=True) for text in texts]
    chance, device = [np.zeros(0)], prefix.device(model)
    with prefix.dropout_off(model):
        for start in range(0, len(pairs), ROWS):
            ids, mask, shortest = encode(tokenizer, pairs[start : start + ROWS])  # [B, T]
            ids, mask = ids.to(device), mask[:, shortest:].to(device)
            kept = ids.shape[1] - shortest + 1
            logits = model(input_ids=ids, logits_to_keep=kept, use_cache=False).logits[:, :-1].float()
            logp = (logits / temperature).log_softmax(-1)  # [B, T - shortest, V]
            if top_p < 1:
                logp = nucleus(logp.flatten(0, 1), top_p).view_as(logp)
            logp = logp.gather(-1, ids[:, shortest:, None])[..., 0].masked_fill(~mask, 0.0)
            chance.append(logp.double().sum(1).exp().cpu().numpy())
    owner = np.repeat(np.arange(len(problems)), [len(texts) for texts in listed])
    return np.minimum(np.bincount(owner, weights=np.concatenate(chance), minlength=len(problems)), 1.0)


def pass_at(q, k):
    """pass@k from exact chances: 1 - (1 - q)^k; q [..., P], k [K] -> [..., P, K], for `stats.paired_bootstrap`."""
    q, k = np.asarray(q, dtype=float)[..., None], np.asarray(k)
    return -np.expm1(k * np.log1p(-np.minimum(q, 1 - 1e-15)))
