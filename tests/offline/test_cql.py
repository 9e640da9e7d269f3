"""Conservative Q-learning, continuous and discrete: closed forms, integrals, finite differences, seeds side by side."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import brentq, minimize

from rlkit.offline import Agent, Dataset
from rlkit.offline.algorithms import cql as continuous
from rlkit.offline.algorithms import discrete_cql as discrete
from rlkit.offline.algorithms.cql import cql
from rlkit.offline.algorithms.discrete_cql import discrete_cql
from rlkit.offline.heads import squashed
from rlkit.offline.networks import Network
from rlkit.offline.rows import Rows
from tests.offline.one_step import Discrete, OneStep, best, dataset, last

QUICK = {"batch_size": 16, "hidden": (16, 16), "episodes": 2}


@pytest.fixture
def networks(monkeypatch):
    """The networks of the learners started in a test, in order: actor and critic, or the critic alone."""
    made, build = [], Rows.network
    monkeypatch.setattr(Rows, "network", lambda *a, **k: made.append(build(*a, **k)) or made[-1])
    return made


# ---- discrete: two actions, one state


def bandit_values(chances, pays, alpha):
    """Q that minimises alpha (log sum exp Q - p.Q) + 1/2 p.(Q - r)^2 over two actions.

    Its gradient, alpha (pi_a - p_a) + p_a (Q_a - r_a) with pi = softmax Q, vanishes where
    Q_a = r_a + alpha (1 - pi_a / p_a). So d = Q_1 - Q_0, with pi_1 = sigmoid(d), solves one equation in one unknown:
    d = r_1 - r_0 + alpha (sigmoid(-d) / p_0 - sigmoid(d) / p_1), whose right side falls in d.
    """
    (p0, p1), (r0, r1) = chances, pays
    one = lambda d: 1 / (1 + np.exp(-d))  # noqa: E731
    d = brentq(lambda d: r1 - r0 + alpha * (one(-d) / p0 - one(d) / p1) - d, -100, 100, xtol=1e-14)
    return np.array([r0 + alpha * (1 - one(-d) / p0), r1 + alpha * (1 - one(d) / p1)])


@pytest.mark.parametrize("alpha", [0.0, 0.1, 1.0, 5.0])
@pytest.mark.parametrize("taken", [1, 3, 5])
def test_the_minimiser_on_two_actions_is_the_closed_form(alpha, taken):
    actions = torch.tensor([[0] * (10 - taken) + [1] * taken])
    pays = torch.tensor([0.3, 1.0], dtype=torch.float64)

    def loss(q):
        q = torch.tensor(q, requires_grad=True)
        value = discrete.critic_loss(q.expand(1, 10, 2), actions, pays[actions], alpha).sum()
        value.backward()
        return value.item(), q.grad.numpy()

    found = minimize(loss, np.zeros(2), jac=True, tol=1e-14, options={"gtol": 1e-10}).x
    chances = np.array([10 - taken, taken]) / 10
    expected = bandit_values(chances, pays.numpy(), alpha)
    assert found == pytest.approx(expected, abs=1e-6)
    assert chances @ expected == pytest.approx(chances @ pays.numpy(), abs=1e-9), "the mean over the data stays"


def test_pessimism_reverses_the_order_of_a_rare_and_a_common_action():
    assert np.diff(bandit_values([0.9, 0.1], [0.0, 0.2], 0.0)) == pytest.approx(0.2)
    assert np.diff(bandit_values([0.9, 0.1], [0.0, 0.2], 1.0)) < 0
    assert np.diff(bandit_values([0.5, 0.5], [0.0, 0.2], 1.0)) > 0, "with equal counts the better one stays better"


class Bandit(Discrete):
    actions = 2


def bandit():
    """100 pulls of two arms, the second in every fourth; they pay 0 and 1."""
    chosen, blank = (np.arange(100) % 4 == 3).astype(int), np.ones((100, 1))
    facts = {"random_return": 0.0, "expert_return": 1.0, "actions": 2}
    return Dataset(blank, chosen, chosen.astype(float), blank, blank[:, 0] > 0, blank[:, 0] < 0, facts=facts)


def test_the_learner_finds_the_closed_form_with_an_alpha_of_its_own_for_each_seed():
    agent = Agent()
    learner = discrete_cql(
        bandit(),
        [0, 0, 0],
        steps=500,
        alpha=[0.0, 0.5, 2.0],
        learning_rate=5e-3,
        simulator=Bandit(),
        evaluate_every=500,
        agent=agent,
        **QUICK,
    )
    list(learner)
    ones = np.ones((1, 1))
    learnt = np.stack([agent.q(ones, np.full((3, 1), a))[:, 0] for a in (0, 1)], -1)
    for values, alpha in zip(learnt, (0.0, 0.5, 2.0), strict=True):
        assert values == pytest.approx(bandit_values([0.75, 0.25], [0.0, 1.0], alpha), abs=0.1)
    assert agent.act(ones)[:, 0].tolist() == learnt.argmax(-1).tolist() == [1, 1, 0]
    assert agent.value(ones)[:, 0] == pytest.approx(learnt.max(-1))


def test_the_discrete_penalty_is_the_cross_entropy_of_softmax_q():
    q, actions = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0)), torch.arange(14).view(2, 7) % 3
    expected = [torch.nn.functional.cross_entropy(q[s], actions[s]) for s in range(2)]
    torch.testing.assert_close(discrete.penalty(q, actions), torch.stack(expected))


# ---- continuous: the sampled penalty


def test_importance_sampling_estimates_the_integral_of_exp_q():
    """Q(a) = 1 - 3 (a - 0.3)^2 on [-1, 1]; 3 x 20,000 samples: standard error below 0.01, found within 4 of them."""
    rng, n = np.random.default_rng(0), 20_000
    noise = torch.tensor(rng.standard_normal((2, n, 1)))
    outputs = torch.tensor([[[0.2, -0.3]], [[-0.5, 0.4]]], dtype=torch.float64)  # mean, log deviation of pi(s), pi(s')
    drawn, log_density = squashed(outputs, noise)
    even = torch.tensor(rng.uniform(-1, 1, (1, n)))
    actions = torch.cat((drawn[..., 0], even))  # [3, n]
    log_density = torch.cat((log_density, torch.full((1, n), -np.log(2.0))))
    q = 1 - 3 * (actions - 0.3).square()
    exact = np.log(quad(lambda a: np.exp(1 - 3 * (a - 0.3) ** 2), -1, 1)[0])

    ratio = (q - log_density).exp().numpy()
    error = np.sqrt((ratio.var(axis=1) / n).sum()) / 3 / np.exp(exact)  # of the mean of three means, then of its log
    assert error < 0.01
    found = continuous.log_sum_exp(q.view(1, 1, -1, 1), log_density.view(1, -1, 1))
    assert abs(float(found) - exact) < 4 * error
    for kind in range(3):  # and each kind alone
        alone = continuous.log_sum_exp(q[kind].view(1, 1, -1, 1), log_density[kind].view(1, -1, 1))
        assert abs(float(alone) - exact) < 4 * ratio[kind].std() / np.sqrt(n) / np.exp(exact)


def test_the_gradient_of_the_penalty_by_finite_differences():
    rng = np.random.default_rng(1)
    q, taken = rng.standard_normal((2, 2, 5, 3)), rng.standard_normal((2, 2, 3))
    log_density = torch.tensor(rng.standard_normal((2, 5, 3)))
    tensors = [torch.tensor(x, requires_grad=True) for x in (q, taken)]
    continuous.penalty(tensors[0], log_density, tensors[1]).sum().backward()
    for which, array in enumerate((q, taken)):
        for place in np.ndindex(array.shape):
            change = []
            for sign in (1, -1):
                moved = [q.copy(), taken.copy()]
                moved[which][place] += sign * 1e-5
                change.append(
                    float(continuous.penalty(torch.tensor(moved[0]), log_density, torch.tensor(moved[1])).sum())
                )
            assert float(tensors[which].grad[place]) == pytest.approx((change[0] - change[1]) / 2e-5, abs=1e-8)
    share = (tensors[0].detach() - log_density[:, None]).softmax(2) / 3  # pushed down where exp Q / density is large
    torch.testing.assert_close(tensors[0].grad, share)
    assert (tensors[1].grad + 1 / 3).abs().max() < 1e-12  # and up at the data's actions


def test_the_critic_loss_by_hand():
    taken, target = torch.tensor([[[1.0, 3.0], [0.0, 2.0]]]), torch.tensor([[1.0, 1.0]])
    loss = continuous.critic_loss(taken, target, torch.tensor([4.0]), torch.tensor([0.5]))
    assert loss.tolist() == [0.5 * 4 + 0.5 * ((0 + 4) / 2 + (1 + 1) / 2)]


def test_the_actor_loss_takes_the_lower_critic_and_the_temperature_moves_towards_the_target_entropy():
    q, log_chance = torch.tensor([[[1.0, 5.0], [2.0, 3.0]]]), torch.tensor([[-1.0, 2.0]])
    assert continuous.actor_loss(q, log_chance, torch.tensor([2.0])).tolist() == [2 * 0.5 - (1 + 3) / 2]
    slope = continuous.temperature_slope(torch.tensor([[-3.0, -3.0], [5.0, 5.0]]), -2.0)
    assert slope.tolist() == [5.0, -3.0]  # entropy 3 > -2: T falls; entropy -5 < -2: T grows


def test_a_last_layer_of_width_one_has_the_gradients_of_the_plain_form():
    network = Network([np.random.default_rng(s) for s in range(3)], (4, 8, 1), members=2)
    x = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    scale = torch.randn(3, 2, 5, 1, generator=torch.Generator().manual_seed(1))
    (network(x) * scale).sum().backward()
    mine = [x.grad.clone(), *(p.grad.clone() for p in network.parameters)]
    plain = torch.cat([x, x], 1).view(6, 5, 4)  # each seed twice
    for weight, bias in zip(network.weights, network.biases, strict=True):
        plain = plain @ weight + bias
        plain = plain.relu() if weight is not network.weights[-1] else plain
    expected = torch.autograd.grad((plain.view(3, 2, 5, 1) * scale).sum(), [x, *network.parameters])
    for one, other in zip(mine, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


# ---- the learners


def test_values_of_unseen_actions_sink_below_those_of_the_data():
    simulator, agent = OneStep(), Agent()
    states = np.linspace(0.2, 1, 9, dtype=np.float32)[:, None]
    data = dataset(simulator)
    learner = cql(
        data, [0, 0], alpha=[0.0, 5.0], steps=200, evaluate_every=200, agent=agent, simulator=simulator, **QUICK
    )
    step = last(learner)
    ends = [agent.q(states, np.full((2, 9, 1), a, np.float32)).mean(1) for a in (1.0, -1.0)]
    inside = agent.q(states, np.zeros((2, 9, 1), np.float32)).mean(1)
    free, careful = inside - np.maximum(*ends)
    assert careful > free + 1
    assert step.metrics["penalty"][1] < step.metrics["penalty"][0]


@pytest.mark.parametrize("learn", [cql, discrete_cql])
def test_seed_3_of_10_learns_what_seed_3_alone_learns_and_reruns_are_equal_bit_by_bit(learn, networks):
    simulator = OneStep() if learn is cql else Discrete()
    data = dataset(simulator)
    shared = dict(steps=100, evaluate_every=100, simulator=simulator, episodes=2)
    ten, again, one = (last(learn(data, seeds, **shared)) for seeds in (range(10), range(10), [3]))
    each = len(networks) // 3
    for first, second, alone in zip(networks[:each], networks[each : 2 * each], networks[2 * each :], strict=True):
        assert torch.equal(first.flat, second.flat)
        members = slice(3 * first.members, 4 * first.members)
        for many, single in zip(first.parameters, alone.parameters, strict=True):
            torch.testing.assert_close(many[members], single, rtol=0, atol=1e-6)
    for name, values in ten.metrics.items():
        assert np.array_equal(np.asarray(values), np.asarray(again.metrics[name]))
        assert float(values[3]) == pytest.approx(float(one.metrics[name][0]), abs=1e-4)
    assert len(set(np.asarray(ten.metrics["critic_loss"]).tolist())) == 10, "seeds differ from each other"


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 2, 10])
def test_the_best_action_of_the_data_is_learnt_with_few_samples_as_with_many(samples):
    simulator, agent = OneStep(), Agent()
    rates = {"learning_rate": 3e-3, "actor_rate": 1e-3}
    data, shared = dataset(simulator), {"steps": 400, "evaluate_every": 400, "simulator": simulator, "agent": agent}
    step = last(cql(data, range(3), alpha=0.1, samples=samples, **rates, **shared))
    states = np.concatenate([np.linspace(-1, -0.3, 20), np.linspace(0.3, 1, 20)]).astype(np.float32)[:, None]
    assert np.abs(agent.act(states) - best(states)).mean() < 0.2
    assert step.metrics["score"].min() > 0.8  # the behaviour has (1 + 0 - 3) / 3 = -0.67, so a score of 0.17


BAD = [
    (lambda: cql(dataset(Discrete()), [0], simulator=Discrete()), "dataset: its actions are numbers"),
    (lambda: discrete_cql(dataset(OneStep()), [0], simulator=OneStep()), "dataset: its actions are continuous"),
    (lambda: cql(dataset(OneStep()), [0], samples=0, simulator=OneStep()), "samples=0: must be a positive integer"),
    (lambda: cql(dataset(OneStep()), [0], alpha=[1, 2], simulator=OneStep()), r"alpha of shape \(2,\): must be"),
    (lambda: discrete_cql(bandit(), [0], alpha=[1, 2], simulator=Bandit()), r"alpha of shape \(2,\): must be"),
]


@pytest.mark.parametrize(("learner", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_gives_one_line_that_names_it(learner, message):
    with pytest.raises(ValueError, match=message) as error:
        next(learner())
    assert "\n" not in str(error.value)
