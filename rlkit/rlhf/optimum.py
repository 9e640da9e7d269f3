"""The optimum of KL-regularised reward, and the law of best-of-n, exact over the N completions that a policy can write.

>>> import torch
>>> from rlkit.rlhf import optimum
>>> prior = torch.tensor([0.5, 0.3, 0.2]).double().log()
>>> reward = torch.tensor([0.0, 1.0, 2.0]).double()
>>> [round(p, 3) for p in optimum.tilt(prior, reward, beta=1.0).exp().tolist()]
[0.179, 0.292, 0.529]
>>> [round(p, 3) for p in optimum.best_of_n(prior, reward, n=2).exp().tolist()]
[0.25, 0.39, 0.36]
"""

import math

import torch

from rlkit import checks


def log_partition(log_prior: torch.Tensor, reward: torch.Tensor, beta: float) -> torch.Tensor:
    """log Z = log sum_y pi_0(y) exp(r(y) / beta). log_prior, reward [N] -> scalar; differentiable."""
    _same(log_prior, reward=reward)
    return (log_prior + reward / checks.positive("beta", beta)).logsumexp(-1)


def tilt(log_prior: torch.Tensor, reward: torch.Tensor, beta: float) -> torch.Tensor:
    """log pi*(y) = log pi_0(y) + r(y) / beta - log Z: the policy that maximises E[r] - beta KL(pi || pi_0), [N].

    And E_pi[r] - beta KL(pi || pi_0) = beta log Z - beta KL(pi || pi*) for every pi. Source: Korbak, Perez and Buckley
    2022 (arXiv 2205.11275), equations 5 to 7; Rafailov et al. 2023 (arXiv 2305.18290), equation 4.
    """
    best = reward.detach().max()  # taken off both terms, which a small beta makes huge
    return log_prior + (reward - best) / checks.positive("beta", beta) - log_partition(log_prior, reward - best, beta)


def kl(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """KL(p || q) = sum_y p(y) (log p(y) - log q(y)), in nats; 0 log 0 is 0. [N], [N] -> scalar; differentiable."""
    _same(log_p, log_q=log_q)
    inside = log_p > -torch.inf
    difference = torch.where(inside, log_p, 0.0) - torch.where(inside, log_q, 0.0)
    return (log_p.exp() * difference).sum(-1)


def expected(log_p: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """E_p[values] = sum_y p(y) values(y). [N], [N] -> scalar; differentiable."""
    _same(log_p, values=values)
    return (log_p.exp() * values).sum(-1)


def frontier(log_prior: torch.Tensor, reward: torch.Tensor, gold: torch.Tensor, betas) -> tuple:
    """(KL [K], E[gold] [K]) of the tilts by `reward` at each beta: with reward = gold no policy of that KL has more.

    With another reward, a proxy, it is the way that its perfect optimiser goes.
    """
    tilts = [tilt(log_prior, reward, beta) for beta in betas]
    divergences = torch.stack([kl(one, log_prior) for one in tilts])
    return divergences, torch.stack([expected(one, gold) for one in tilts])


def beta_at(log_prior: torch.Tensor, reward: torch.Tensor, divergence: float, tolerance: float = 1e-10) -> float:
    """The beta whose tilt has KL(pi* || pi_0) = divergence, by bisection in log beta.

    Raises ValueError where no tilt has so much: at most -log of the prior's mass on the largest reward.
    """
    wanted = checks.positive("divergence", divergence)
    best = log_prior[reward == reward.max()].logsumexp(-1)
    if wanted >= -best.item() - tolerance:
        checks.fail("divergence", divergence, f"below {-best.item():.6g}, that of the largest reward alone")
    low, high = -60.0, 60.0  # of log beta: KL falls as beta rises
    while high - low > tolerance:
        middle = (low + high) / 2
        more = kl(tilt(log_prior, reward, math.exp(middle)), log_prior) > wanted
        low, high = (middle, high) if more else (low, middle)
    return math.exp((low + high) / 2)


def best_of_n(log_prior: torch.Tensor, reward: torch.Tensor, n: float) -> torch.Tensor:
    """log of the chance that y is the best of n independent draws by reward; the first of equal ones is taken. [N].

    n: at least 1; theory also asks for real ones, as exp(delta T) of texts of T tokens. Precise however large n is.

    With F(y) = P(reward <= r(y)) and q(y) = P(reward = r(y)) under pi_0:
    P(y) = pi_0(y) / q(y) [F(y)^n - (F(y) - q(y))^n]. Its KL to pi_0 is at most log n - (n - 1) / n (Beirami et al.
    2024, arXiv 2401.01879, theorem 3), and equals it where no two have the same reward and each is unlikely.
    """
    _same(log_prior, reward=reward)
    n = _draws(n)
    levels, level = reward.unique(return_inverse=True)  # rising
    mass = torch.zeros(len(levels), dtype=log_prior.dtype).index_add(0, level, log_prior.exp())  # [levels]
    upto = mass.cumsum(0).clamp(max=1.0)  # F
    above = torch.cat([mass.flip(0).cumsum(0).flip(0)[1:], mass.new_zeros(1)])  # 1 - F
    log_upto = torch.where(above < 0.5, torch.log1p(-above.clamp(max=0.5)), upto.log())  # precise at both ends
    # F^n - (F - q)^n = F^n (1 - (1 - q / F)^n), without the difference of two nearly equal numbers.
    share = (mass / upto.clamp(min=torch.finfo(mass.dtype).tiny)).clamp(max=1.0)
    log_level = n * log_upto + torch.log(-torch.expm1(n * torch.log1p(-share)))  # log P(the best is of this level)
    return log_prior - mass.log()[level] + log_level[level]


def best_of_n_bound(n) -> float:
    """log n - (n - 1) / n, in nats: no best-of-n is further from the policy it draws from."""
    n = _draws(n)
    return math.log(n) - (n - 1) / n


def _draws(n) -> float:
    if checks.positive("n", n) < 1:
        checks.fail("n", n, "at least 1")
    return float(n)


def _same(first, **others) -> None:
    for name, other in others.items():
        if other.shape != first.shape:
            raise ValueError(f"{name} of shape {tuple(other.shape)}: must be {tuple(first.shape)}, one per completion")
