"""Problems on which a rule that learns from a fixed log does badly, each with a declared concentrability.

The log holds N pulls of S contexts and A arms. Concentrability is C = max_s rho(s) / mu(s, a*(s)), with rho(s) how
often context s comes and mu(s, a) how often the log holds the pair: how thinly the log covers the best arm.
"""

from typing import NamedTuple

import numpy as np

from rlkit import checks

ARMS = 10
GAPS = (0.5, 0.71, 1, 1.41, 2, 2.83, 4, np.inf)  # in units of 1 / sqrt(pulls of the best arm), cut at 0.5
CROWD = 3  # in a shifted problem, pulls of the rival for each one of the best arm


class Problem(NamedTuple):
    """name; rho [S] and mu [S, A], both summing to 1; mean [S, A], the expected rewards. The best arm comes last."""

    name: str
    rho: np.ndarray
    mu: np.ndarray
    mean: np.ndarray


def hard_problems(S: int, C: float, N: int) -> list[Problem]:
    """Seventeen problems of concentrability C that are meant to hurt, for logs of N pulls.

    lucky (1): eight arms of mean 0.3 are pulled about once in the log, where one reward of 1 makes them look better
        than the best arm (0.8); all contexts but the first come about once in N. After Proposition 1 of Rashidinejad
        et al. (2021), arXiv 2103.12021, and the missing mass S / N of their Theorem 4.
    rival (8): in every context one worse arm has all pulls that the best arm leaves; one problem per entry of GAPS.
    shifted (8): only contexts 1, 2, ... have a rival, with three pulls for each of the best arm: the log holds these
        contexts more often than they come. With S = 1 or C = 1 this is impossible, and the rivals stand here again.

    S: contexts; C >= 1, and at most 4 (a shifted problem has no more room); N >= S. Raises ValueError otherwise.
    """
    S, N = checks.positive_int("S", S), checks.positive_int("N", N)
    if not 1 <= checks.positive("C", C) <= 1 + CROWD:
        checks.fail("C", C, f"from 1 to {1 + CROWD}")
    if N < S:
        checks.fail("N", N, f"at least S = {S}")
    return [_lucky(S, C, N), *_rivals(S, C, N, shifted=False), *_rivals(S, C, N, shifted=S > 1 and C > 1)]


def _lucky(S, C, N):
    rho, mu, mean = np.full(S, 1 / N), np.zeros((S, ARMS)), np.full((S, ARMS), 0.3)
    rho[0] = 1 - (S - 1) / N
    mu[:, -1] = rho / C
    mu[:, 1:-1] = np.minimum(1 / N, rho * (1 - 1 / C) / (ARMS - 2))[:, None]
    mu[:, 0] = np.maximum(rho - mu[:, 1:].sum(axis=1), 0)  # what is left goes to an arm that pays nothing
    mean[:, -1], mean[:, 0] = 0.8, 0.0
    return Problem("lucky arms", rho, mu, mean)


def _rivals(S, C, N, shifted):
    rho, mu = np.full(S, 1 / S), np.zeros((S, ARMS))
    if shifted:
        rho[0], rho[1:] = 1 - (C - 1) / CROWD, (C - 1) / CROWD / (S - 1)
    mu[:, -1] = rho / C
    mu[int(shifted) :, 0] = (CROWD if shifted else C - 1) * rho[int(shifted) :] / C
    for gap in np.minimum(0.5, np.array(GAPS) / np.sqrt(N * mu[-1, -1])):
        mean = np.zeros((S, ARMS))
        mean[:, -1], mean[:, 0] = (1 + gap) / 2, (1 - gap) / 2
        yield Problem(f"{'shifted' if shifted else 'rival'}, gap {gap:.3g}", rho, mu, mean)


def hard_ring(C: float, N: int, states: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same traps with consequences: transitions P [S, A, S], mean rewards [S, A], what the log holds mu [S, A].

    The states form a ring. The last action is the best: it moves on and pays 0.8. Action 0, the rival, moves on and
    pays 0.3. The eight in between stay where they are, pay 0.3, and are each tried about once in N. From a uniform
    start the best policy visits all states equally, so concentrability is C = 1 / (S mu(s, best)).

    C >= 1; N: transitions in the log; states: S. Raises ValueError otherwise.
    """
    S, N = checks.positive_int("states", states), checks.positive_int("N", N)
    if checks.positive("C", C) < 1:
        checks.fail("C", C, "at least 1")
    P, mean = np.zeros((S, ARMS, S)), np.full((S, ARMS), 0.3)
    P[:, 1:-1] = np.eye(S)[:, None]
    P[:, [0, -1]] = np.roll(np.eye(S), 1, axis=1)[:, None]
    mu = np.full((S, ARMS), min(1 / N, (1 - 1 / C) / (S * (ARMS - 2))))
    mean[:, -1], mu[:, -1] = 0.8, 1 / (S * C)
    mu[:, 0] = np.maximum(1 / S - mu[:, 1:].sum(axis=1), 0)
    return P, mean, mu


def worst_case(loss) -> np.ndarray:
    """The loss on the worst problem of each size: [seeds, problems, sizes] -> [seeds, sizes].

    The problem is chosen by its mean over the seeds; choosing it seed by seed would make noise look like hardness.
    Raises ValueError for other shapes or NaN.
    """
    loss = checks.finite("loss", loss)
    if loss.ndim != 3:
        checks.fail("loss.shape", loss.shape, "[seeds, problems, sizes]")
    return np.take_along_axis(loss, loss.mean(axis=0).argmax(axis=0)[None, None], axis=1)[:, 0]
