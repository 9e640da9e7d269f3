"""The NumPy answers to exercises say the same as the library."""

import numpy as np
import pytest

from rlkit import envs
from rlkit.exercises import references

torch = pytest.importorskip("torch")  # not among Colab's versions in tests/colab
from rlkit import offline  # noqa: E402
from rlkit.offline import goals  # noqa: E402
from rlkit.rlhf import kl_reinforce, optimum, ppo_losses  # noqa: E402
from rlkit.rlhf import losses as preference_losses  # noqa: E402
from rlkit.rlvr import losses, objectives  # noqa: E402


def test_clipped_gain_is_minus_the_loss():
    ratio, advantage = np.meshgrid([0.1, 0.79, 0.81, 1.0, 1.19, 1.21, 3.0], [-2.0, -0.5, 0.0, 0.5, 2.0])
    loss, _ = losses.clip_surrogate(torch.tensor(ratio), torch.tensor(advantage), 0.2, 0.2)
    np.testing.assert_allclose(references.clipped_gain(ratio, advantage, 0.2), -loss.numpy())


def test_k3_is_the_estimate():
    logp, reference = np.random.default_rng(0).normal(size=(2, 50))
    expected = losses.kl_estimate(torch.tensor(logp), torch.tensor(reference), "k3")
    np.testing.assert_allclose(references.k3(logp, reference), expected.numpy())


def test_token_log_probability_is_torch_log_softmax():
    rng = np.random.default_rng(1)
    logits, token = rng.normal(size=(6, 9)) * 300, rng.integers(9, size=6)
    for temperature in (0.5, 1.0, 2.0):
        expected = (torch.tensor(logits) / temperature).log_softmax(-1)[torch.arange(6), torch.tensor(token)]
        np.testing.assert_allclose(references.token_log_probability(logits, token, temperature), expected.numpy())


def test_token_weights_are_the_gradient_of_dr_grpo():
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], dtype=torch.bool)
    objective = objectives.reinforce()  # aggregation "constant", advantages are the rewards
    weights = objective.advantages([[1.0, 1.0, 1.0]])
    logp = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    normaliser = objective.normaliser(mask[None], weights, 5)
    loss, _ = objective.loss(logp, logp.detach(), None, mask, objectives.rows(weights), normaliser)
    (gradient,) = torch.autograd.grad(loss, logp)
    np.testing.assert_allclose(references.token_weights(mask.numpy(), 5), -gradient.numpy())


def test_nft_credit_is_that_of_the_objective():
    ratio, correct = np.meshgrid([0.3, 0.9, 1.0, 1.1, 2.0, 9.0], [0.0, 1.0])
    for accuracy in (0.02, 0.25, 0.9):
        same = torch.full((12,), accuracy, dtype=torch.float64)
        row = torch.tensor(correct.ravel()) - same, same > 0, same
        old = -torch.tensor(ratio.reshape(12, 1)).log()
        args = (torch.zeros(12, 1, dtype=torch.float64), old, None, torch.ones(12, 1), objectives.Weights(*row), 1.0)
        expected = objectives.credit(objectives.nft(normalize=0), *args)[:, 0]
        found = references.nft_credit(ratio.ravel(), correct.ravel(), accuracy)
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6)


def test_huber_slope_is_the_gradient_of_torch_huber_loss():
    error = torch.tensor([-9.0, -1.0, -0.5, 0.0, 0.25, 1.5, 40.0], dtype=torch.float64, requires_grad=True)
    for threshold in (0.3, 1.0, 5.0):
        loss = torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="sum", delta=threshold)
        (gradient,) = torch.autograd.grad(loss, error)
        np.testing.assert_allclose(references.huber_slope(error.detach().numpy(), threshold), gradient.numpy())


def test_expectile_loss_is_that_of_iql():
    from rlkit.offline.algorithms import iql

    difference = torch.tensor([-2.0, -0.5, 0.0, 0.25, 3.0], dtype=torch.float64)
    for tau in (0.5, 0.7, 0.99):
        expected = float(iql.expectile_loss(difference, tau))
        np.testing.assert_allclose(references.expectile_loss(difference.numpy(), tau), expected, rtol=1e-6)


def test_score_spread_is_the_spread_of_the_scores():
    returns = np.array([120.0, -40.0, 900.0])
    scores = (returns + 280.0) / 12_415.0
    np.testing.assert_allclose(references.score_spread(returns, -280.0, 12_135.0), (scores.mean(), scores.std(ddof=1)))


def test_second_critic_makes_each_ordered_pair_of_different_critics_once():
    first, other = (grid.ravel() for grid in np.meshgrid(np.arange(4), np.arange(3), indexing="ij"))
    pairs = set(zip(first.tolist(), references.second_critic(first, other).tolist(), strict=True))
    assert pairs == {(a, b) for a in range(4) for b in range(4) if a != b}


def test_after_swap_is_that_of_the_library():
    rng = np.random.default_rng(5)
    for places in (1, 2, 6, 300):
        seen = rng.random((places, places)) < 1.2 / places
        np.testing.assert_array_equal(references.after_swap(seen), goals.after_swap(seen))


def test_episode_weights_are_those_of_weighted_datasets():
    dataset = offline.build("point-maze-u", "medium", transitions=1_000, seed=1)
    of_rows = offline.transforms.weight(dataset, "return", alpha=0.3).weights
    expected = of_rows[dataset.episode_starts] / of_rows[dataset.episode_starts].sum()
    np.testing.assert_allclose(references.episode_weights(dataset.returns, 0.3), expected)
    np.testing.assert_array_equal(references.episode_weights(np.full(4, 3.0), 0.3), np.full(4, 0.25))


def test_chi_square_conjugate_is_that_of_f_dvl_and_a_supremum():
    from rlkit.offline.algorithms import f_dvl

    y, w = np.linspace(-12, 6, 73), np.linspace(0, 6, 60_001)
    found = references.chi_square_conjugate(y)
    np.testing.assert_allclose(found, f_dvl.conjugate(torch.tensor(y), "chi-square").numpy(), atol=1e-12)
    np.testing.assert_allclose(found, (w[:, None] * y - (w[:, None] - 1) ** 2).max(axis=0), atol=1e-6)


def test_smith_action_brings_the_tank_to_its_target_when_it_arrives():
    pipe = envs.simulator("delay-pipe", history=5)
    under_way = np.array([[0.3, -0.2, 0.1, 0.0, 0.25]])
    state = np.concatenate([[[1.0, 1.08, 0.0]], under_way], axis=1)  # level, target, demand, the actions under way
    seen = pipe.observe(state).astype(float)
    action = references.smith_action(seen[:, 0], seen[:, 1], seen[:, 2:])
    for _ in range(6):  # the action of now acts in the sixth step
        state, reward, _ = pipe.step(state, action[:, None], np.zeros((1, 3)))
        action = np.zeros(1)
    np.testing.assert_allclose(state[:, 0], 1.08, atol=1e-6)
    np.testing.assert_allclose(reward, 1.0, atol=1e-5)


def test_two_hot_is_one_grid_of_sparse_features():
    from rlkit.model_based.sparse_features import SparseFeatures

    features, x = SparseFeatures(1, 1, 5, 1, np.random.default_rng(0)), np.linspace(-1, 1, 101)[:, None]
    place = (x[:, 0] * features.projection[0, 0, 0] + 1) / 2 * 5 + features.shift[0, 0]
    index, weight = features(x)
    rows = np.zeros((101, features.size))
    np.put_along_axis(rows, index, weight, axis=1)
    np.testing.assert_allclose(references.two_hot(place, features.size), rows, atol=1e-12)


def test_filtered_error_is_what_the_filter_chooses_on_average():
    from rlkit.model_based.reward_consistent import dynamics_reward

    rng = np.random.default_rng(2)
    chances, errors = rng.random((5, 8)), rng.random(8)
    weights = (dynamics_reward(torch.tensor(chances)[None])[0] / 0.1).softmax(0).numpy()
    assert references.filtered_error(chances, errors) == pytest.approx(float(weights @ errors))


def test_edge_cells_are_those_that_counted_dreams_leave():
    from types import SimpleNamespace

    from rlkit.model_based.edge_of_reach import Counted

    world = envs.simulator("point-box")
    counted = Counted(
        SimpleNamespace(simulator=world, observation_size=2), offline.build(world, "random", 30, 0), [0], remember=4
    )
    counted.left[:], counted.arrived[:] = -np.inf, -np.inf  # dreams alone, no log
    rng, places = np.random.default_rng(0), torch.from_numpy(counted.centres())
    dreams = rng.integers(0, 1600, size=(700, 5))
    for now, after in zip(dreams.T[:-1], dreams.T[1:], strict=True):
        counted.model.step = lambda *given, after=after: (places[None, after], None, None)
        counted.step(places[None, now], None, None)
    np.testing.assert_array_equal(references.edge_cells(dreams), np.flatnonzero(counted.ever()[1][0]))


def test_counted_model_is_the_empirical_mdp_where_there_are_data():
    from rlkit import mdps

    world = mdps.random_mdp(6, 3, 2, seed=0)
    data = mdps.sampled(world, np.ones_like(world.rewards), 40, np.random.default_rng(0))
    model, counts = mdps.model_of(data, world)
    found = references.counted_model(data.states, data.actions, data.next_states, (6, 3))
    assert (counts == 0).any()
    np.testing.assert_allclose(found[counts > 0], model.transitions[counts > 0])
    assert not found[counts == 0].any()


def test_dream_return_is_that_of_value_expansion_without_a_value():
    from rlkit.model_based.algorithms.value_expansion import discounted

    rng = np.random.default_rng(0)
    rewards, continues = rng.normal(size=(50, 6)), (rng.random((50, 6)) < 0.8).astype(float)
    parts = ([torch.tensor(x).T[t][None] for t in range(6)] for x in (rewards, continues))
    expected = discounted(*parts, torch.zeros(1, 50), 0.9)[0]
    np.testing.assert_allclose(references.dream_return(rewards, continues, 0.9), expected.numpy())


def test_largest_doubt_is_mopos_penalty():
    from rlkit.model_based.penalties import largest_deviation

    deviation = np.random.default_rng(0).random((7, 20, 4))
    expected = largest_deviation(torch.tensor(deviation)[None])[0]
    np.testing.assert_allclose(references.largest_doubt(deviation), expected.numpy())


def test_spectral_norm_is_that_of_the_critics_bound_and_of_numpy():
    from rlkit.model_based.lipschitz import SpectralBound
    from rlkit.offline.networks import Network

    network = Network([np.random.default_rng(3)], (4, 16, 8, 1), members=2)
    found = SpectralBound(network, 1.0).norms()  # after 100 rounds and one
    for weight, sigma in zip(network.weights, found, strict=True):
        for matrix, norm in zip(weight.detach().numpy().astype(float), sigma.flatten(), strict=True):
            assert references.spectral_norm(matrix, 101) == pytest.approx(float(norm), rel=1e-5)
            assert references.spectral_norm(matrix, 500) == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-4)


def test_best_of_n_law_is_the_exact_one():
    from rlkit.exercises.cases import EXERCISES
    from rlkit.rlhf import optimum

    for prior, reward, n in EXERCISES["rlhf/best_of_n_law"].cases(np.random.default_rng(0)):
        expected = optimum.best_of_n(torch.tensor(prior).log(), torch.tensor(reward), n).exp()
        np.testing.assert_allclose(references.best_of_n_law(prior, reward, n), expected.numpy(), rtol=1e-9)


def test_two_divergences_are_those_of_the_exact_optimum():
    from rlkit.exercises.cases import EXERCISES
    from rlkit.rlhf import optimum

    for log_pi, log_prior, reward, beta in EXERCISES["rlhf/two_divergences"].cases(np.random.default_rng(0)):
        pi, prior = torch.tensor(log_pi), torch.tensor(log_prior)
        star = optimum.tilt(prior, torch.tensor(reward), float(beta))
        expected = [optimum.kl(pi, star).item(), optimum.kl(star, pi).item()]
        found = references.two_divergences(log_pi, log_prior, reward, beta)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_text_credit_is_minus_the_gradient_of_the_loss():
    from rlkit.exercises.cases import EXERCISES

    for reward, value, ratio, clip, beta in EXERCISES["rlhf/text_credit"].cases(np.random.default_rng(0)):
        log_reference = torch.tensor(-3.0 - np.arange(len(reward)))
        logp = (log_reference + torch.tensor(ratio).log()).requires_grad_()
        weight = (logp - log_reference).detach().exp().clamp(1 - clip, 1 + clip)
        advantage = torch.tensor(reward - value).clamp(min=0)
        loss = (-advantage * weight * logp + beta * (logp - log_reference)).sum()
        (gradient,) = torch.autograd.grad(loss, logp)
        found = references.text_credit(reward, value, ratio, clip, beta)
        np.testing.assert_allclose(found, -gradient.numpy(), atol=1e-12)


def test_reset_push_is_the_gradient_of_the_chance_of_success():
    from rlkit.exercises.cases import EXERCISES

    for chances, fraction in EXERCISES["rlhf/reset_push"].cases(np.random.default_rng(0)):
        logits = torch.tensor(chances).logit().requires_grad_()
        right, H = logits.sigmoid(), len(chances)
        success = (1 - fraction) * right.prod() + fraction * sum(right[h:].prod() for h in range(H)) / H
        (gradient,) = torch.autograd.grad(success, logits)
        np.testing.assert_allclose(references.reset_push(chances, fraction), gradient.numpy(), atol=1e-12)


def test_the_exercises_of_the_chapter_on_preferences_are_the_library():
    rng = np.random.default_rng(11)
    log_prior, reward = np.log(rng.dirichlet(np.ones(40))), rng.normal(size=40)
    for beta in (0.01, 1.0, 50.0):
        expected = optimum.tilt(torch.tensor(log_prior), torch.tensor(reward), beta).numpy()
        np.testing.assert_allclose(references.tilt(log_prior, reward, beta), expected, atol=1e-12)
    rewards, values, logp, frozen = rng.normal(size=(4, 6, 5))
    mask = np.arange(5) < np.array([[5], [4], [3], [2], [1], [5]])
    given = [torch.tensor(x) for x in (rewards, values, mask)]
    for discount, trace_decay in ((1.0, 0.95), (0.9, 0.0), (0.5, 1.0)):
        advantages, _ = ppo_losses.gae(*given, discount, trace_decay)
        for row, inside in enumerate(mask):
            own = references.gae(rewards[row, inside], values[row, inside], discount, trace_decay)
            np.testing.assert_allclose(own, advantages[row, mask[row]].numpy())
    sides = rng.normal(size=(4, 30))
    expected = preference_losses.dpo(*map(torch.tensor, sides), 0.3).numpy()
    np.testing.assert_allclose(references.dpo_loss(*sides, 0.3), expected)
    paid = kl_reinforce.penalised(given[0][:, :1], torch.tensor(logp), torch.tensor(frozen), given[2], 0.7)
    np.testing.assert_allclose(references.penalised_reward(rewards[:, 0], logp, frozen, mask, 0.7), paid[:, 0].numpy())
