"""Planners: functions whose maximum is known, and the linear world, whose optimum is exact."""

import numpy as np
import pytest
import torch

from rlkit import envs
from rlkit.envs import linear
from rlkit.model_based import Dynamics, Exact, cem, random_shooting, returns_in, shift
from rlkit.offline.rows import generator


def drawing(seeds):
    return [generator(seed, "dreams") for seed in seeds]


def parabola(peak):
    """score(actions) = -sum (a - peak)^2, for a peak [S, T, A]."""
    return lambda actions: -(actions - peak[:, None]).square().sum((2, 3))


def test_cem_finds_the_peak_of_a_parabola_also_outside_of_the_bounds():
    peak = torch.tensor([[[0.3, -0.6], [0.0, 0.9]], [[2.0, -0.5], [-3.0, 0.1]]])  # [S = 2, T = 2, A = 2]
    plan = cem(parabola(peak), 2, 2, drawing([0, 1]), candidates=200, elites=20, rounds=20)
    assert plan.actions.numpy() == pytest.approx(peak.clamp(-1, 1).numpy(), abs=0.01)
    assert torch.equal(plan.score, parabola(peak)(plan.actions[:, None])[:, 0])


def test_first_round_of_cem_by_hand():
    """One round from the same draws: clipped normals, the mean of the elites, a share of the old mean kept."""
    peak, first = torch.full((1, 1, 1), 0.8), torch.full((1, 1, 1), 0.5)
    plan = cem(
        parabola(peak), 1, 1, drawing([3]), candidates=7, elites=2, rounds=1, mean=first, deviation=2, smoothing=0.25
    )
    noise = drawing([3])[0].standard_normal((7, 1, 1), dtype=np.float32).ravel()
    actions = np.clip(0.5 + 2 * noise, -1, 1)
    best = actions[np.argsort(np.abs(actions - 0.8))[:2]]
    assert plan.actions.item() == pytest.approx(0.25 * 0.5 + 0.75 * best.mean(), abs=1e-6)


def test_the_deviation_shrinks_to_that_of_the_elites():
    """Second round from the same draws, with smoothing 0.5: its candidates have half of either deviation."""
    seen = []

    def score(actions):
        seen.append(actions[0, :, 0, 0].numpy())
        return -actions[..., 0, 0].abs()

    cem(score, 1, 1, drawing([0]), candidates=50, elites=5, rounds=2, deviation=0.2, smoothing=0.5)
    kept = seen[0][np.argsort(np.abs(seen[0]), kind="stable")[:5]]
    rng = drawing([0])[0]
    rng.standard_normal((50, 1, 1), dtype=np.float32)
    noise = rng.standard_normal((50, 1, 1), dtype=np.float32).ravel()
    assert seen[1] == pytest.approx(0.5 * kept.mean() + (0.1 + 0.5 * kept.std()) * noise, abs=1e-6)


def test_random_shooting_is_as_near_as_order_statistics_say():
    """One number, peak at 0: the least of K uniform distances is 1 / (K + 1) on average."""
    seeds, k = range(2_000), 9
    plan = random_shooting(lambda a: -a[..., 0, 0].abs(), 1, 1, drawing(seeds), candidates=k)
    near = -plan.score.numpy().astype(float)
    assert near.mean() == pytest.approx(1 / (k + 1), abs=4 * near.std() / 2_000**0.5)
    assert torch.equal(plan.actions.abs()[:, 0, 0], -plan.score)


def starts(seeds, noise):
    world = envs.simulator("linear", noise=noise)
    states = np.concatenate([world.start(np.random.default_rng(seed), 1) for seed in seeds])
    return world, states, torch.from_numpy(world.observe(states))


def test_with_the_true_model_cem_nears_the_exact_optimum_and_shooting_does_not():
    """10 steps, 1,000 evaluations for both, 16 starts: at most 0.05 is lost against at least 1 (optimum: -4.1)."""
    world, states, seen = starts(range(16), noise=0.0)
    best = linear.optimal(world, 10).value(states)
    score = returns_in(Exact(world), seen, drawing(range(16)))
    planned = cem(score, 10, 2, drawing(range(16)), candidates=200, elites=20, rounds=5)
    shot = random_shooting(score, 10, 2, drawing(range(16)), candidates=1_000)
    lost, missed = best - planned.score.numpy(), best - shot.score.numpy()
    assert lost.min() > -1e-4 and lost.max() < 0.05 and missed.min() > 1
    assert lost.mean() == pytest.approx(0.018, abs=0.01) and missed.mean() == pytest.approx(1.6, abs=0.3)


def test_planning_anew_in_each_step_is_nearly_optimal_in_a_noisy_world():
    """8 steps, the rest of the episode planned from each state (in the world without noise, where the best actions are
    the same): the return of 40 starts is that of the optimal controller within 0.05, on the same noise."""
    seeds, steps = range(40), 8
    world, states, _ = starts(seeds, noise=0.05)
    optimum, quiet, rng = linear.optimal(world, steps), envs.simulator("linear", noise=0.0), np.random.default_rng(0)
    plan, made, ideal, other = torch.zeros(40, steps + 1, 2), 0.0, 0.0, states
    for t in range(steps):
        score = returns_in(Exact(quiet), torch.from_numpy(world.observe(states)), drawing(seeds))
        plan = cem(score, steps - t, 2, drawing(seeds), candidates=150, elites=15, mean=plan[:, 1:]).actions
        noise = rng.standard_normal((40, 2))
        states, paid, _ = world.step(states, plan[:, 0].numpy(), noise)
        other, best, _ = world.step(other, -other @ optimum.gains[t].T, noise)
        made, ideal = made + paid, ideal + best
    assert abs(made - ideal).max() < 0.15 and (made - ideal).mean() == pytest.approx(0, abs=0.05)


class Halves:
    """Two members: the first pays its action, the second pays 10; who is asked goes by `order` as in an Ensemble."""

    observation_size = 1

    def __init__(self):
        self.orders = []

    def step(self, observations, actions, generators, order=None):
        self.orders.append(order)
        s, b = observations.shape[:2]
        second = torch.zeros(s, b).scatter(1, order[:, b // 2 :], 1.0)
        continues = 1 - (actions[..., 0] < 0).float()  # a negative action ends the dream
        return observations, second * 10 + (1 - second) * actions[..., 0], continues


def test_returns_are_discounted_averaged_over_members_and_end_with_the_dream():
    actions = torch.tensor([[[[0.5], [1.0], [0.2]], [[0.25], [-1.0], [0.7]]]])  # [S = 1, K = 2, T = 3, A = 1]
    model = Halves()
    score = returns_in(model, torch.zeros(1, 1), drawing([0]), particles=2, discount=0.5)(actions)
    first = [0.5 + 0.5 * 1 + 0.25 * 0.2, 0.25 - 0.5]
    second = [10 + 5 + 2.5, 10 + 5]
    assert score.numpy() == pytest.approx(np.array([np.add(first, second) / 2]))
    assert all(torch.equal(order, model.orders[0]) for order in model.orders), "each particle keeps its member"


def test_every_candidate_meets_each_elite_of_a_real_ensemble():
    """Members that differ by a constant reward: all candidates that do the same get the same score, the mean."""
    model = Dynamics([0, 1], 2, 1, members=3, elites=3, hidden=(8,))
    with torch.no_grad():
        for weight in model.ensemble.network.parameters:
            weight.zero_()
        bias = model.ensemble.network.biases[-1].view(2, 3, -1)  # [S, M, 2 * 3]: means, then log variances
        bias[..., 2] = torch.tensor([1.0, 2.0, 6.0])
        bias[..., 3:] = -30.0
    model.ensemble._choose(model.ensemble.elites)
    score = returns_in(model, torch.zeros(2, 2), drawing([0, 1]), particles=3)(torch.zeros(2, 50, 4, 1))
    assert score.numpy() == pytest.approx(np.full((2, 50), 4 * 3.0), abs=0.1)


def test_seed_3_of_10_is_seed_3_alone_and_the_same_again():
    def planned(seeds):
        _, _, seen = starts(seeds, noise=0.05)
        world = Exact(envs.simulator("linear"))
        score = returns_in(world, seen, drawing(seeds), particles=2)
        found = cem(score, 6, 2, drawing(seeds), candidates=40)
        return found, random_shooting(score, 6, 2, drawing(seeds), candidates=40)

    many, again, alone = planned(range(10)), planned(range(10)), planned([3])
    for one, same, single in zip(many, again, alone, strict=True):
        assert torch.equal(one.actions, same.actions) and torch.equal(one.score, same.score)
        assert one.actions[3].numpy() == pytest.approx(single.actions[0].numpy(), abs=1e-6)
        assert one.score[3].item() == pytest.approx(single.score[0].item(), abs=1e-5)


def test_a_plan_is_shifted_by_one_step_and_helps_the_next():
    actions = torch.arange(6.0).view(1, 3, 2)
    assert shift(actions).tolist() == [[[2, 3], [4, 5], [0, 0]]]
    peak = torch.full((20, 5, 2), 0.7)
    warm = cem(parabola(peak), 5, 2, drawing(range(20)), rounds=1, mean=peak - 0.05)
    cold = cem(parabola(peak), 5, 2, drawing(range(20)), rounds=1)
    assert warm.score.mean() > cold.score.mean() / 3


def test_what_is_not_a_number_is_the_worst():
    score = lambda a: torch.where(a[..., 0, 0] > 0, torch.nan, a[..., 0, 0])  # noqa: E731
    assert -0.1 < random_shooting(score, 1, 1, drawing([0])).score.item() < 0


FLAT = lambda actions: actions.sum((2, 3))  # noqa: E731
BAD = [
    (lambda g: cem(FLAT, 0, 1, g), "horizon=0: must be a positive integer"),
    (lambda g: random_shooting(FLAT, 0, 1, g), "horizon=0: must be a positive integer"),
    (lambda g: random_shooting(FLAT, 1, 1, g, candidates=0), "candidates=0: must be a positive integer"),
    (lambda g: cem(FLAT, 1, 1, g, elites=11, candidates=10), "elites=11: must be at most candidates=10"),
    (lambda g: cem(FLAT, 1, 1, g, rounds=0), "rounds=0: must be a positive integer"),
    (lambda g: cem(FLAT, 1, 1, g, deviation=0), "deviation=0: must be a finite number above 0"),
    (lambda g: cem(FLAT, 1, 1, g, smoothing=1), r"smoothing=1: must be in \[0, 1\)"),
    (lambda g: cem(FLAT, 2, 1, g, mean=torch.zeros(1, 1, 1)), r"mean of shape \(1, 1, 1\): must be \[1, 2, 1\]"),
    (lambda g: cem(lambda a: a[..., 0], 2, 1, g), r"scores of shape \(1, 100, 2\): must be \[1, 100\]"),
    (lambda g: returns_in(Halves(), torch.zeros(1, 2), g), r"observations of shape \(1, 2\): must be \[1, 1\]"),
    (lambda g: returns_in(Halves(), torch.zeros(1, 1), g, particles=0), "particles=0: must be a positive integer"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_gives_one_line_that_names_argument_and_value(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call(drawing([0]))
    assert "\n" not in str(error.value)
