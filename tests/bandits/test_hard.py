"""The hard problems are what they say: two distributions each, the declared concentrability, and they do hurt."""

import numpy as np
import pytest

from rlkit.bandits import empirical_best, hard, lcb, most_played
from rlkit.bandits.hard import GAPS, hard_problems, hard_ring, worst_case
from rlkit.runs import Run


@pytest.mark.parametrize("S", [1, 2, 10, 50])
@pytest.mark.parametrize("C", [1, 1.01, 1.5, 4])
@pytest.mark.parametrize("N", [50, 1_000, 100_000])
def test_distributions_and_concentrability(S, C, N):
    problems = hard_problems(S, C, N)
    assert len(problems) == 1 + 2 * len(GAPS)
    for problem in problems:
        assert problem.rho.sum() == pytest.approx(1) and (problem.rho >= 0).all()
        assert problem.mu.sum() == pytest.approx(1) and (problem.mu >= 0).all()
        assert ((problem.mean >= 0) & (problem.mean <= 1)).all()
        assert (problem.mean[:, -1] > problem.mean[:, :-1].max(axis=1)).all()  # the best arm is the last
        there = problem.rho > 0
        assert (problem.rho[there] / problem.mu[there, -1]).max() == pytest.approx(C)


def test_only_shifted_problems_hold_contexts_more_often_than_they_come():
    problems = hard_problems(10, 1.5, 1_000)
    for problem in problems:
        same = np.allclose(problem.mu.sum(axis=1), problem.rho)
        assert same == (not problem.name.startswith("shifted"))


def _loss(problem, N, rule):
    rng = np.random.default_rng(5)
    count = rng.multinomial(N, problem.mu.ravel(), size=300).reshape(-1, *problem.mu.shape)
    arm = rule(count, rng.binomial(count, problem.mean))
    gap = problem.mean.max(axis=1, keepdims=True) - problem.mean
    return (problem.rho * gap[np.arange(len(gap)), arm]).sum(axis=1).mean()


def test_each_kind_hurts_the_rule_it_is_meant_for():
    N = 10_000
    lucky, rival = hard_problems(1, 1.01, N)[0], hard_problems(1, 4, N)
    assert _loss(lucky, N, empirical_best) > 0.25
    assert _loss(lucky, N, lambda count, total: lcb(count, total, np.log(2 * 10 * N))) == 0
    assert _loss(rival[8], N, lambda count, total: most_played(count)) == pytest.approx(0.5)
    small = rival[3]
    assert _loss(small, N, lambda count, total: lcb(count, total, np.log(2 * 10 * N))) > 2 * _loss(
        small, N, empirical_best
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((0, 2, 100), "S=0"), ((2, 0.5, 100), "C=0.5"), ((2, 9, 100), "C=9"), ((20, 2, 10), "N=10")],
)
def test_bad_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=f"^{named}: must be "):
        hard_problems(*arguments)


@pytest.mark.parametrize(("C", "N"), [(1, 100), (1.01, 1_000), (4, 100_000)])
def test_ring_is_a_markov_chain_whose_best_policy_is_covered_as_declared(C, N):
    P, mean, mu = hard_ring(C, N)
    assert P.shape == (5, 10, 5) and P.sum(axis=-1) == pytest.approx(np.ones((5, 10)))
    assert mu.sum() == pytest.approx(1) and (mu >= 0).all()
    # Discounted visits of the best policy from a uniform start, by the linear equations d = (1 - g) start + g P' d.
    at = np.arange(5)
    visits = np.linalg.solve(np.eye(5) - 0.9 * P[at, -1].T, 0.1 * np.full(5, 0.2))
    assert (visits / mu[:, -1]).max() == pytest.approx(C)
    # No other arm is as good, by value iteration on the true world.
    value = np.zeros(5)
    for _ in range(500):
        value = (mean + 0.9 * P @ value).max(axis=-1)
    assert ((mean + 0.9 * P @ value).argmax(axis=-1) == 9).all()


def test_worst_case_is_chosen_after_the_mean_over_seeds():
    loss = np.array([[[3.0, 0.0], [2.0, 1.0]], [[0.0, 0.0], [2.0, 3.0]]])  # [2 seeds, 2 problems, 2 sizes]
    assert worst_case(loss).tolist() == [[2.0, 1.0], [2.0, 3.0]]
    with pytest.raises(ValueError, match=r"^loss\.shape=\(2, 2\): must be "):
        worst_case(loss[0])


def test_the_kinds_are_where_the_slices_say():
    names = [problem.name.split()[0].rstrip(",") for problem in hard_problems(10, 1.5, 1_000)]
    kinds = {"lucky": hard.LUCKY, "rival": hard.RIVALS, "shifted": hard.SHIFTED}
    assert {name: set(names[kind]) for name, kind in kinds.items()} == {name: {name} for name in kinds}
    assert names[hard.AS_USED] == names[:9] and names[hard.ALL] == names


def test_overview_accounts_for_all_problems_and_all_pulls():
    rows = hard.overview(10, 1.5, 1_000)
    assert sum({row["problem"]: row["how many"] for row in rows}.values()) == len(hard_problems(10, 1.5, 1_000))
    for kind in ("lucky arms", "rival", "shifted"):
        kinds = [row for row in rows if row["problem"] == kind]
        pulls = [row["best, pulls"] + 8 * row["each of 8, pulls"] + row["tenth, pulls"] for row in kinds]
        contexts = {1: [10], 2: [1, 9]}[len(kinds)]
        assert np.dot(contexts, pulls) == pytest.approx(1_000)
        assert np.dot(contexts, [row["share, %"] for row in kinds]) == pytest.approx(100)


def test_unseen_loss_is_what_a_guess_loses_where_the_log_has_nothing():
    problem, N = hard_problems(10, 1.01, 300)[0], 300
    rng = np.random.default_rng(0)
    empty = rng.multinomial(N, problem.mu.sum(axis=1), size=20_000) == 0  # [R, S]
    gap = problem.mean.max(axis=1, keepdims=True) - problem.mean
    guess = gap[np.arange(10), rng.integers(0, 10, (20_000, 10))]
    assert hard.unseen_loss(problem, N) == pytest.approx((problem.rho * guess * empty).sum(axis=1).mean(), rel=0.05)


def test_ring_log_holds_every_transition_once():
    P, _, _ = hard_ring(4, 1_000)
    count, reward, following = hard.ring_log(4, 1_000, seed=1, logs=3, gamma=0.6)
    assert count.shape == (3, 19, 5, 10)  # T = ln(1000) / 0.4 = 17.3, rounded up, and one more part
    assert (count.sum(axis=(1, 2, 3)) == 1_000).all() and (following.sum(axis=-1) == count).all()
    assert ((0 <= reward) & (reward <= count)).all() and (following[..., P == 0] == 0).all()


def test_ring_value_lost_is_exact():
    best, habit = np.full((1, 5), 9), np.zeros((1, 5), dtype=int)
    assert hard.ring_value_lost(4, 1_000, best, 0.6) == 0
    assert hard.ring_value_lost(4, 1_000, habit, 0.6) == pytest.approx(0.5 / 0.4)
    both = np.concatenate([best, habit])
    assert hard.ring_value_lost(4, 1_000, both, 0.6) == pytest.approx(0.25 / 0.4)


def test_ring_losses_gives_the_planner_the_split_log_and_then_the_whole():
    seen = []

    def plan(count, reward, following, L, gamma):
        seen.append((count.shape[1], count[:, 0].sum() / len(count), L))
        return np.full((len(count), 5), 9)

    lost = hard.ring_losses(plan, 4, 1_000, [0, 1], logs=2, sweeps=7)
    assert {name: len(values) for name, values in lost.items()} == dict.fromkeys(lost, 2)
    assert lost["VI-LCB"].tolist() == [0, 0] and lost["most played"].min() > 1
    L = np.log(2 * 19 * 5 * 10 * 1_000)
    assert seen[:3] == [(19, seen[0][1], pytest.approx(L)), (7, 1_000, pytest.approx(L)), (7, 1_000, 0)]
    assert seen[0][1] < 200


def test_losses_of_a_sweep_come_back_in_the_order_of_the_grid(tmp_path):
    run, grid, problems = Run.create("grid", {"seeds": [0, 1]}, root=tmp_path), ((10, 100), (1, 2), (1, 4)), range(17)
    assert hard.grid_losses(run, ["a"], grid) == {}
    cells = [(n, s, c) for n in range(2) for s in range(2) for c in range(2)]
    for step, (n, s, c) in enumerate(cells):
        if step == 7:  # the last cell is missing: only the first N is whole
            assert hard.grid_losses(run, ["a"], grid)["a"].shape == (2, 17, 1, 2, 2)
            with pytest.raises(ValueError, match="was stopped"):
                hard.grid_losses(run, ["a"], grid, whole=True)
        run.log(step, **{f"a {p}": [1 + p + 0.1 * n + 0.01 * s + 0.001 * c, 0.0] for p in problems})
    loss = hard.grid_losses(run, ["a"], grid, whole=True)["a"]
    assert loss.shape == (2, 17, 2, 2, 2) and (loss[1] == 1e-7).all()
    assert loss[0, 3, 1, 0, 1] == pytest.approx(4.101)
    found = hard.worst_panels({"a": loss}, {"t": (hard.RIVALS, 1, 0)})["t"]["a"]
    assert found[0].tolist() == pytest.approx([9.01, 9.11])


def test_slopes_between_two_sizes():
    N, loss = [10, 100, 1_000, 10_000], np.array([[1.0, 0.1, 0.01, 0.01], [1.0, 0.1, 0.01, 0.01]])
    assert hard.slope_between(N, loss, until=1_000).tolist() == pytest.approx([-1, -1])
    table = hard.slope_table(N, {"t": {"a": loss}}, {"early": (0, 1_000), "late": (1_000, np.inf)})
    assert table == {("t", "early"): {"a": pytest.approx(-1)}, ("t", "late"): {"a": pytest.approx(0)}}
