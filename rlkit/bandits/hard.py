"""Problems on which a rule that learns from a fixed log does badly, each with a declared concentrability.

The log holds N pulls of S contexts and A arms. Concentrability is C = max_s rho(s) / mu(s, a*(s)), with rho(s) how
often context s comes and mu(s, a) how often the log holds the pair: how thinly the log covers the best arm.
"""

from typing import NamedTuple

import numpy as np

from rlkit import checks
from rlkit.stats import loglog_slope

ARMS = 10
GAPS = (0.5, 0.71, 1, 1.41, 2, 2.83, 4, np.inf)  # in units of 1 / sqrt(pulls of the best arm), cut at 0.5
CROWD = 3  # in a shifted problem, pulls of the rival for each one of the best arm
LUCKY, RIVALS, SHIFTED = slice(1), slice(1, 1 + len(GAPS)), slice(1 + len(GAPS), 1 + 2 * len(GAPS))
AS_USED, ALL = slice(1 + len(GAPS)), slice(1 + 2 * len(GAPS))  # problems whose log is drawn as it is used; all of them


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


def overview(S: int, C: float, N: int) -> list[dict]:
    """What hard_problems(S, C, N) builds, one row per kind of problem and of context: dictionaries for a table.

    Each row holds how many problems, the context, its share of use, and for the best arm, each of the eight, and the
    tenth arm (index 0) the mean reward (a range where the problems differ) and the expected pulls. Errors as there.
    """
    rows, problems = [], hard_problems(S, C, N)
    for kind, some in (("lucky arms", LUCKY), ("rival", RIVALS), ("shifted", SHIFTED)):
        first, means = problems[some][0], np.array([p.mean[0] for p in problems[some]])  # [problems, A]
        same = len(np.unique(np.column_stack([first.rho, first.mu]).round(12), axis=0)) == 1
        for s in (0,) if same else (0, 1):
            named = "each" if same else "the first" if s == 0 else "each other"
            row = {"problem": kind, "how many": len(means), "context": named, "share, %": float(100 * first.rho[s])}
            for arm, a in (("best", -1), ("each of 8", 1), ("tenth", 0)):
                low, high = means[:, a].min(), means[:, a].max()
                row[f"{arm}, mean"] = f"{low:.2g}" if low == high else f"{low:.2g} to {high:.2g}"
                row[f"{arm}, pulls"] = float(N * first.mu[s, a])
            rows.append(row)
    return rows


def unseen_loss(problem: Problem, N: int) -> float:
    """Expected reward lost in contexts that a log of N pulls never holds, by a rule that guesses there.

    sum_s rho(s) (1 - mu(s))^N (max_a r(s, a) - mean_a r(s, a)). No rule can lose less there whatever the order of the
    arms: without data all arms look alike. N: pulls in the log, above 0.
    """
    never = (1 - problem.mu.sum(axis=1)) ** checks.positive_int("N", N)  # [S]
    return float((problem.rho * never * (problem.mean.max(axis=1) - problem.mean.mean(axis=1))).sum())


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


def ring_log(C: float, N: int, seed: int, logs: int, gamma: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logs of N transitions of hard_ring(C, N), cut at random into T + 1 parts, T = ln N / (1 - gamma) rounded up.

    Returns pulls [R, T+1, S, A], summed rewards [R, T+1, S, A] (each reward is 0 or 1) and next states
    [R, T+1, S, A, S], how often each came. R = logs. Raises as hard_ring.
    """
    P, mean, mu = hard_ring(C, N)
    rng, parts = np.random.default_rng([checks.seed(seed), N, round(100 * C)]), int(np.log(N) / (1 - gamma)) + 2
    pulls = rng.multinomial(N, mu.ravel(), size=checks.positive_int("logs", logs)).reshape(logs, *mu.shape)  # [R, S, A]
    count = np.moveaxis(rng.multinomial(pulls, np.full(parts, 1 / parts)), -1, 1)  # [R, T+1, S, A]
    return count, rng.binomial(count, mean), rng.multinomial(count, P)


def ring_value_lost(C: float, N: int, policy, gamma: float) -> float:
    """How much less than the best policy's value, 0.8 / (1 - gamma), a policy of hard_ring(C, N) has: policy [R, S].

    Exact: the Bellman equations (I - gamma P) V = r of each policy are solved; mean over R and over start states.
    """
    P, mean, _ = hard_ring(C, N)
    at = np.arange(len(mean))
    value, best = (
        np.linalg.solve(np.eye(len(mean)) - gamma * P[at, a], mean[at, a][..., None]).mean()
        for a in (np.asarray(policy), np.full((1, len(mean)), -1))
    )
    return best - value


def ring_losses(plan, C: float, N: int, seeds, logs: int = 50, gamma: float = 0.6, sweeps: int = 60) -> dict:
    """Value lost in hard_ring by four methods on the same logs of N transitions: method -> mean over logs [seeds].

    plan(count, reward, following, L, gamma) -> policy [R, S] is VI-LCB, one sweep for each part of the log, as ring_log
    returns them. "VI-LCB" gets the parts, "VI-LCB, not split" the whole log in every sweep, "value iteration" that too
    with L = 0; L = ln(2 (T+1) S A N). "most played" copies the action with the most data in each state.
    """
    lost = {}
    for seed in seeds:
        log = ring_log(C, N, seed, logs, gamma)
        whole = [np.repeat(x.sum(axis=1, keepdims=True), sweeps, axis=1) for x in log]
        L = np.log(2 * log[0][0].size * N)
        policies = {"VI-LCB": plan(*log, L, gamma), "VI-LCB, not split": plan(*whole, L, gamma)}
        policies |= {"value iteration": plan(*whole, 0, gamma), "most played": whole[0][:, 0].argmax(-1)}
        for name, policy in policies.items():
            lost.setdefault(name, []).append(ring_value_lost(C, N, policy, gamma))
    return {name: np.array(losses) for name, losses in lost.items()}


def grid_losses(run, rules, grid, whole: bool = False) -> dict:
    """The losses that a sweep over N, then S, then C has logged as 'rule problem': rule -> [seeds, problems, N, S, C].

    grid: (all N, all S, all C). Only each N whose part of the grid is filled; {} where there is none. A loss below
    1e-7 counts as 1e-7: rates need a logarithm. whole: raise ValueError if the sweep was stopped before its end.
    """
    row, problems = len(grid[1]) * len(grid[2]), range(1 + 2 * len(GAPS))
    done = len(run.series(f"{rules[0]} 0")[0]) // row if run.metric_names else 0
    if whole and done < len(grid[0]):
        raise ValueError("the sweep was stopped: run its cell to the end, then go on from here")
    if not done:
        return {}
    shape = len(problems), done, len(grid[1]), len(grid[2]), -1
    found = {r: np.reshape([run.series(f"{r} {p}")[1][: done * row] for p in problems], shape) for r in rules}
    return {rule: np.maximum(np.moveaxis(loss, -1, 0), 1e-7) for rule, loss in found.items()}


def worst_panels(loss: dict, panels: dict) -> dict:
    """title -> rule -> loss [seeds, N] on the worst problem at each N, from grid_losses.

    panels: title -> (problems, a slice such as AS_USED; which S; which C), the last two as places in the grid.
    """
    return {
        title: {rule: worst_case(x[:, some, :, s, c]) for rule, x in loss.items()}
        for title, (some, s, c) in panels.items()
    }


def slope_between(N, loss, since=0, until=np.inf):
    """Slope of log loss [..., points] on log N, over the N from since to until. Errors as stats.loglog_slope."""
    N = np.asarray(N)
    part = (N >= since) & (N <= until)
    return loglog_slope(N[part], np.asarray(loss)[..., part])


def slope_table(N, panels: dict, spans: dict) -> dict:
    """(title, span) -> rule -> slope of the mean loss, for curves of worst_panels and spans: name -> (since, until)."""
    return {
        (title, span): {rule: slope_between(N, loss.mean(axis=0), *ends) for rule, loss in curves.items()}
        for title, curves in panels.items()
        for span, ends in spans.items()
    }


def worst_case(loss) -> np.ndarray:
    """The loss on the worst problem of each size: [seeds, problems, sizes] -> [seeds, sizes].

    The problem is chosen by its mean over the seeds; choosing it seed by seed would make noise look like hardness.
    Raises ValueError for other shapes or NaN.
    """
    loss = checks.finite("loss", loss)
    if loss.ndim != 3:
        checks.fail("loss.shape", loss.shape, "[seeds, problems, sizes]")
    return np.take_along_axis(loss, loss.mean(axis=0).argmax(axis=0)[None, None], axis=1)[:, 0]
