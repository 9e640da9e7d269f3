"""A policy so small that all its completions can be listed: true gradients, pass@k and KL to hold estimates against.

A TreePolicy answers one prompt with up to T tokens out of V, of which token 0 ends the completion, and has one row of
logits for every prefix. With T = 1 it is a softmax bandit with V arms. A NetworkPolicy is a language model's answer to
one prompt, listed in the same way. Everything below is a sum over its N completions; nothing is sampled except by
`sample`.

>>> import torch
>>> from rlkit.lm import exact
>>> policy = exact.TreePolicy(vocabulary=3, length=2, seed=0)
>>> ids, mask = exact.enumerate(policy)
>>> ids.tolist()
[[0, 0], [1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2]]
>>> mask.sum(1).tolist()  # the first token of the first completion ends it
[1, 2, 2, 2, 2, 2, 2]
>>> round(exact.probabilities(policy).sum().item(), 12)
1.0
"""

import functools
import itertools
import math

import numpy as np
import torch

from rlkit import checks
from rlkit.lm import prefix

MOST_COMPLETIONS = 100_000
LONGEST = 100
MOST_GROUPS = 20_000  # distinct kinds of groups; each costs about 0.1 ms


class TreePolicy(torch.nn.Module):
    """One row of logits per prefix: logits [nodes, V], normal with standard deviation scale, from seed.

    vocabulary V: tokens, at least 2, token 0 ends a completion; length T: most tokens of a completion. A completion
    ends with token 0 or with its T-th token, so N = sum_{t<T} (V-1)^t + (V-1)^T. Raises ValueError beyond 100,000.
    """

    def __init__(self, vocabulary: int, length: int, *, seed: int = 0, scale: float = 1.0, dtype=torch.float64):
        super().__init__()
        V, T = _shape(self, vocabulary, length)
        generator = torch.Generator().manual_seed(checks.seed(seed))
        noise = torch.randn(len(_tree(V, T)[3]), V, generator=generator, dtype=torch.float64)
        self.logits = torch.nn.Parameter((checks.finite("scale", scale).item() * noise).to(dtype))

    def rows(self) -> torch.Tensor:
        """The logits of every prefix, [nodes, V]."""
        return self.logits


class NetworkPolicy(torch.nn.Module):
    """A language model's completions of one prompt, at temperature 1: the same lists as a TreePolicy's, its own logits.

    The model's whole vocabulary counts (V = all ids, so it must be small), id 0 must be its only end token, and a
    completion has at most `length` tokens. Every call runs the model once over all (V-1)^(T-1) longest prefixes, with
    a gradient for its weights; sums are in float64. Raises ValueError beyond 100,000 completions.
    """

    def __init__(self, model, tokenizer, prompt: str, length: int):
        super().__init__()
        if tokenizer.eos_token_id != 0:
            checks.fail("tokenizer.eos_token_id", tokenizer.eos_token_id, "0: token 0 ends a completion")
        V = model.get_input_embeddings().weight.shape[0]
        _, T = _shape(self, V, length)
        starts = _tree(V, T)[3]
        longest = [start for start in starts if len(start) == T - 1]
        number = dict(zip(longest, range(len(longest)), strict=True))
        # Any longest prefix that begins with a shorter one has the logits after that one on its way.
        row = [number[start + (1,) * (T - 1 - len(start))] for start in starts]
        self.model = model
        prompt_ids, _ = prefix.encode(tokenizer, [prompt])
        self.register_buffer("prompt", prompt_ids, persistent=False)  # [1, Tp]
        self.register_buffer("prefixes", torch.tensor(longest).reshape(len(longest), T - 1), persistent=False)
        self.register_buffer("place", torch.tensor([row, [len(start) for start in starts]]), persistent=False)

    def rows(self) -> torch.Tensor:
        """The logits after every prefix, [nodes, V] float64."""
        ids = torch.cat([self.prompt.expand(len(self.prefixes), -1), self.prefixes], 1)
        with prefix.dropout_off(self.model):
            logits = self.model(input_ids=ids, logits_to_keep=self.length, use_cache=False).logits  # [., T, V]
        return logits[self.place[0], self.place[1]].double()


@functools.lru_cache(maxsize=8)
def _tree(V: int, T: int) -> tuple:
    """(ids [N, T], nodes [N, T], lengths [N], prefixes): all completions and, numbered, what they are drawn from.

    nodes: the number of the prefix that each token follows; prefixes[number]: its tokens.
    """
    ids, nodes, lengths, prefixes = [], [], [], []

    def walk(start, path):
        path = (*path, len(prefixes))
        prefixes.append(start)
        for token in range(V):
            completion = (*start, token)
            if token and len(completion) < T:
                walk(completion, path)
                continue
            padding = [0] * (T - len(completion))
            ids.append([*completion, *padding])
            nodes.append([*path, *padding])
            lengths.append(len(completion))

    walk((), ())
    return torch.tensor(ids), torch.tensor(nodes), torch.tensor(lengths), prefixes


def _shape(policy, vocabulary: int, length: int) -> tuple:
    """(V, T), checked, after the lists of completions are among the policy's buffers."""
    V, T = checks.positive_int("vocabulary", vocabulary), checks.positive_int("length", length)
    if V < 2:
        checks.fail("vocabulary", vocabulary, "at least 2: token 0 ends a completion")
    if T > LONGEST:
        checks.fail("length", length, f"at most {LONGEST}")
    size = sum((V - 1) ** t for t in range(T + 1))
    if size > MOST_COMPLETIONS:
        raise ValueError(f"vocabulary={V}, length={T}: must give at most {MOST_COMPLETIONS} completions, not {size}")
    ids, nodes, lengths, _ = _tree(V, T)
    policy.vocabulary, policy.length = V, T
    policy.register_buffer("ids", ids)  # [N, T]
    policy.register_buffer("nodes", nodes)  # [N, T]: the row that each token is drawn from
    policy.register_buffer("mask", torch.arange(T) < lengths[:, None])  # [N, T]
    return V, T


def texts(policy, tokenizer) -> list:
    """The N completions as text, without the end."""
    words = [tokenizer.decode([token]) for token in range(policy.vocabulary)]
    return [" ".join(words[token] for token in row if token) for row in policy.ids.tolist()]


def enumerate(policy) -> tuple[torch.Tensor, torch.Tensor]:
    """All completions: ids [N, T], padded with 0, and mask [N, T], True for each token including the ending 0."""
    return policy.ids, policy.mask


def log_probabilities(policy) -> torch.Tensor:
    """log pi of each token of each completion, [N, T], 0 outside the mask; differentiable in its weights."""
    return policy.rows().log_softmax(-1)[policy.nodes, policy.ids] * policy.mask


def probabilities(policy) -> torch.Tensor:
    """pi of each completion, [N], adding up to 1; differentiable."""
    return log_probabilities(policy).sum(-1).exp()


def expected_reward(policy, rewards) -> torch.Tensor:
    """sum_i pi(o_i) r_i, differentiable: its gradient is the true policy gradient. rewards [N]."""
    return (probabilities(policy) * _vector(policy, "rewards", rewards)).sum()


def pass_at_k(policy, correct, k):
    """The true pass@k = 1 - (1 - p)^k with p the chance of a correct completion. correct [N]: 0 or 1; k: number or
    array of whole numbers. Returns a float or an array."""
    correct = _vector(policy, "correct", correct)
    checks.probability("correct", correct)
    k = np.asarray(k)
    if k.size == 0 or (k < 1).any() or (k != np.floor(k)).any():
        checks.fail("k", k.tolist(), "whole numbers of at least 1")
    with torch.no_grad():
        p = min(float((probabilities(policy) * correct).sum()), 1.0)
    value = -np.expm1(k * np.log1p(-p)) if p < 1 else np.ones(k.shape)
    return float(value) if value.ndim == 0 else value


def kl(policy, reference) -> torch.Tensor:
    """KL(pi || pi_ref) = sum_i pi(o_i) (log pi(o_i) - log pi_ref(o_i)), over whole completions; differentiable."""
    _alike(policy, "reference", reference)
    logp, other = log_probabilities(policy).sum(-1), log_probabilities(reference).sum(-1)
    return (logp.exp() * (logp - other)).sum()


def entropy(policy) -> torch.Tensor:
    """-sum_i pi(o_i) log pi(o_i), over whole completions, in nats; differentiable."""
    logp = log_probabilities(policy).sum(-1)
    return -(logp.exp() * logp).sum()


def sample(policy, shape, seed: int) -> torch.Tensor:
    """Numbers of completions drawn from the policy, of the given shape: enumerate(policy)[0][numbers] are tokens."""
    generator = torch.Generator().manual_seed(checks.seed(seed))
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    drawn = torch.multinomial(probabilities(policy).detach(), math.prod(shape), replacement=True, generator=generator)
    return drawn.reshape(shape)


def expected_gradient(policy, rewards, objective, group_size, *, old=None, reference=None) -> torch.Tensor:
    """The exact expectation of -(gradient of the loss) over all groups of G completions, like policy.logits.

    It is the direction of an average step: for `rloo` with aggregation "constant" that of the true policy gradient,
    divided by T. The batch is one prompt, its G completions are drawn from old (None: the policy itself), and
    max_new_tokens is T.

    Sum over groups: a group's baseline, scale and normaliser depend on its completions only through their rewards and
    lengths. So completions of equal reward and length form a class of probability q_c; the groups with k_c members of
    class c come with probability G! prod_c q_c^k_c / k_c!, and completion i of class c is in them k_c p_i / q_c times
    on average. That is the sum over all multisets of completions, in far fewer terms.

    rewards [N]; objective: any with advantages, normaliser and a loss that adds up over rows, as all of
    rlkit.rlvr.objectives (not bnpo). Raises ValueError where there are more than 20,000 kinds of groups.
    """
    if not isinstance(policy, TreePolicy):
        checks.fail("policy", type(policy).__name__, "a TreePolicy: the gradient has a row for every prefix")
    G = checks.positive_int("group_size", group_size)
    rewards, old = _vector(policy, "rewards", rewards), policy if old is None else old
    _alike(policy, "old", old)
    if reference is not None:
        _alike(policy, "reference", reference)
    if objective.options.get("aggregation", "micro_batch") == "micro_batch":
        raise ValueError(f"objective={objective.name!r}: must have a loss that adds up over rows")
    keys = torch.stack([rewards.double(), policy.mask.sum(1).double()], 1)  # [N, 2]
    classes, member = keys.unique(dim=0, return_inverse=True)  # [C, 2], [N]
    C = len(classes)
    if math.comb(C + G - 1, G) > MOST_GROUPS:
        raise ValueError(
            f"group_size={G}: {C} kinds of completions (reward and length) make {math.comb(C + G - 1, G)} kinds of "
            f"groups: must be at most {MOST_GROUPS}"
        )
    positions = torch.arange(policy.length)
    with torch.no_grad():
        old_logp = log_probabilities(old)
        p = old_logp.sum(-1).exp()  # [N]
        reference_logp = None if reference is None else log_probabilities(reference)
    q = torch.zeros(C, dtype=p.dtype).index_add(0, member, p)  # [C]
    numbers = [(member == c).nonzero()[:, 0] for c in range(C)]
    logp = log_probabilities(policy)
    leaf, gradient = logp.detach().requires_grad_(), torch.zeros_like(logp)
    for group in itertools.combinations_with_replacement(range(C), G):
        mask = positions < classes[list(group), 1][None, :, None]  # [1, G, T]
        weights = objective.advantages(classes[list(group), 0][None])  # [1, G]
        normaliser = objective.normaliser(mask, weights, policy.length)
        count = np.bincount(group, minlength=C)
        chance = math.factorial(G) * math.prod(float(q[c]) ** k / math.factorial(k) for c, k in _pairs(count))
        index, fields, often = [], [], []
        for c, k in _pairs(count):
            index.append(numbers[c])
            fields += [group.index(c)] * len(numbers[c])
            often.append(chance * k * p[numbers[c]] / q[c].clamp(min=torch.finfo(q.dtype).tiny))  # [members of c]
        index, row = torch.cat(index), type(weights)(*(field[0, fields] for field in weights))
        others = None if reference is None else reference_logp[index]
        loss, _ = objective.loss(leaf[index], old_logp[index], others, policy.mask[index], row, normaliser)
        part = torch.autograd.grad(loss, leaf)[0]
        gradient[index] -= part[index] * torch.cat(often)[:, None]
    return torch.autograd.grad(logp, policy.logits, gradient)[0]


def _pairs(count):
    """(class, how many) for each class that occurs."""
    return [(int(c), int(count[c])) for c in np.flatnonzero(count)]


def _alike(policy, name, other):
    if (other.vocabulary, other.length) != (policy.vocabulary, policy.length):
        raise ValueError(
            f"{name} with vocabulary={other.vocabulary}, length={other.length}: "
            f"must have the policy's {policy.vocabulary} and {policy.length}"
        )


def _vector(policy, name, values):
    """Finite numbers, one per completion, as a tensor [N]."""
    values = values.detach().cpu() if isinstance(values, torch.Tensor) else values
    dtype = policy.logits.dtype if isinstance(policy, TreePolicy) else torch.float64
    values = torch.from_numpy(np.array(checks.finite(name, values))).to(dtype)
    if values.shape != (len(policy.ids),):
        raise ValueError(f"{name} of shape {tuple(values.shape)}: must be [{len(policy.ids)}], one per completion")
    return values
