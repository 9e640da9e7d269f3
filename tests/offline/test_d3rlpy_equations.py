"""TD3+BC, IQL and CQL against the equations of d3rlpy 2.8.1, written out for one batch with plain loops.

Each learner takes one step, whose metrics hold the losses of the first batch under the initial weights. Beside it the
same batch, weights and noise go through d3rlpy's equations, one transition and one network at a time, in float64.
"""

import math

import numpy as np
import pytest
import torch

from rlkit.offline.algorithms import cql, discrete_cql, iql, td3_bc
from rlkit.offline.heads import imitation, squashed
from rlkit.offline.networks import Network
from rlkit.offline.rows import Rows
from tests.offline.one_step import Discrete, OneStep, dataset, last

ONE = {"steps": 1, "evaluate_every": 1, "episodes": 1}
SIZE = {"batch_size": 8, "hidden": (8, 8)}


def world(simulator, ends=False):
    """One-step data; with ends=False two thirds of the rows go on, so that discounted future values count."""
    data = dataset(simulator, rows=60)
    if not ends:
        object.__setattr__(data, "terminated", np.arange(60) % 3 == 0)
    return data


def perceptron(network, member, x):
    """One network of seed 0 as d3rlpy's encoder and last layer: x [in] -> [out], float64."""
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        x = x @ weight[member].detach().double() + bias[member, 0].detach().double()
        x = x.clamp(min=0) if layer < len(network.weights) - 1 else x
    return x


class Parts:
    """The first batch of seed 0, and the networks that its learner starts from."""

    def __init__(self, data, simulator, actor_outputs=1):
        rows = self.rows = Rows(data, [0], batch_size=8, simulator=simulator)
        self.batch = next(rows.batches(1))[1]
        size, width = rows.observation_size, rows.action_size
        self.width, inputs = width, size if rows.discrete else size + width
        self.actor = rows.network((size, 8, 8, width * actor_outputs))
        self.critic = rows.network((inputs, 8, 8, width if rows.discrete else 1), members=2, salt=1)
        self.alone = rows.network((inputs, 8, 8, width if rows.discrete else 1), salt=1)
        self.value = rows.network((size, 8, 8, 1), salt=2)

    def transitions(self):
        """(s, a, r, s', 1 - terminal) one after another, float64."""
        b = self.batch
        tensors = (b.observations, b.actions, b.rewards, b.next_observations, b.continues)
        for row in range(8):
            yield [t[0, row] if t.dtype == torch.int64 else t[0, row].double() for t in tensors]

    def q(self, member, s, a):
        return perceptron(self.critic, member, torch.cat((s, a)))[0]


def mean(values):
    return float(sum(values)) / len(values)


def test_td3_bc_critic_loss_is_d3rlpys():
    """Sum over critics of the mean squared error, target policy smoothing, minimum of the targets: no difference."""
    simulator = OneStep()
    data = world(simulator)
    step = last(td3_bc.td3_bc(data, [0], simulator=simulator, **ONE, **SIZE))
    parts, errors = Parts(data, simulator), [[], []]
    noise = next(parts.rows.noise(8, parts.width))[0].double()
    for row, (s, a, r, after, goes_on) in enumerate(parts.transitions()):
        smooth = (0.2 * noise[row]).clamp(-0.5, 0.5)
        action = (torch.tanh(perceptron(parts.actor, 0, after)) + smooth).clamp(-1, 1)
        y = r + 0.99 * goes_on * min(parts.q(0, after, action), parts.q(1, after, action))
        for member in (0, 1):
            errors[member].append((parts.q(member, s, a) - y) ** 2)
    assert float(step.metrics["critic_loss"][0]) == pytest.approx(mean(errors[0]) + mean(errors[1]), rel=1e-5)


def test_td3_bc_actor_loss_is_d3rlpys():
    """-alpha mean Q / mean |Q| + mean squared distance to the data, over rows and action dimensions: no difference."""
    rng = np.random.default_rng(0)
    q, actions, taken = rng.normal(size=8), rng.uniform(-1, 1, (8, 3)), rng.uniform(-1, 1, (8, 3))
    scale = 2.5 / mean([abs(value) for value in q])
    distances = [(taken[row, d] - actions[row, d]) ** 2 for row in range(8) for d in range(3)]
    tensors = [torch.tensor(x)[None] for x in (q, actions, taken)]
    assert float(td3_bc.actor_loss(*tensors, 2.5)) == pytest.approx(-scale * mean(q) + mean(distances), rel=1e-12)


@pytest.mark.parametrize("tau, beta", [(0.7, 3.0), (0.9, 10.0)])
def test_iql_losses_are_d3rlpys(tau, beta):
    """Value and critic loss and the weights: no difference. d3rlpy adds the two losses up for one optimiser, and takes
    its weights after that step, where ours are those of the value before it."""
    simulator = OneStep()
    data = world(simulator)
    step = last(iql.iql(data, [0], tau=tau, beta=beta, simulator=simulator, **ONE, **SIZE))
    parts, values, weights, errors = Parts(data, simulator), [], [], [[], []]
    for s, a, r, after, goes_on in parts.transitions():
        advantage = min(parts.q(0, s, a), parts.q(1, s, a)) - perceptron(parts.value, 0, s)[0]
        values.append(abs(tau - (1.0 if advantage < 0 else 0.0)) * advantage**2)
        weights.append(min(math.exp(beta * advantage), 100.0))
        y = r + 0.99 * goes_on * perceptron(parts.value, 0, after)[0]
        for member in (0, 1):
            errors[member].append((parts.q(member, s, a) - y) ** 2)
    assert float(step.metrics["value_loss"][0]) == pytest.approx(mean(values), rel=1e-5)
    assert float(step.metrics["weight"][0]) == pytest.approx(mean(weights), rel=1e-5)
    assert float(step.metrics["critic_loss"][0]) == pytest.approx(mean(errors[0]) + mean(errors[1]), rel=1e-5)


def test_iql_actor_loss_is_d3rlpys_at_deviation_root_half_up_to_a_constant():
    """d3rlpy: -mean weight log N(a; tanh(mu), sigma). At sigma^2 = 1/2 the quadratic term is our sum (tanh(mu) - a)^2;
    the rest, weight (log sigma + log(2 pi) / 2) a dimension, does not depend on mu: departure 2 of iql.py."""
    rng = np.random.default_rng(0)
    outputs, actions, weight = rng.normal(size=(8, 3)), rng.uniform(-1, 1, (8, 3)), rng.uniform(0, 5, 8)
    sigma, theirs, constants = math.sqrt(0.5), [], []
    for row in range(8):
        log_chance = 0.0
        for d in range(3):
            standard = (actions[row, d] - math.tanh(outputs[row, d])) / sigma
            log_chance += -0.5 * standard**2 - math.log(sigma) - 0.5 * math.log(2 * math.pi)
        theirs.append(-weight[row] * log_chance)
        constants.append(weight[row] * 3 * (math.log(sigma) + 0.5 * math.log(2 * math.pi)))
    distance = imitation(torch.tensor(outputs)[None], torch.tensor(actions)[None])
    ours = float((torch.tensor(weight) * distance).mean())
    assert ours == pytest.approx(mean(theirs) - mean(constants), rel=1e-12)


@pytest.mark.parametrize("samples", [1, 2, 10])
def test_cql_critic_loss_is_half_of_d3rlpys_minus_a_constant(samples):
    """Theirs: sum over critics of [mean (Q - y)^2 + weight mean(log sum exp - Q)], weight = 2 alpha. Ours is half of it
    (departure 1 of cql.py) minus alpha log(3 samples) a critic, for we take the mean in log sum exp (departure 2). The
    target is the reference's, of a sampled action; d3rlpy's default is the mode (departure 4)."""
    alpha, simulator = 1.7, OneStep()
    data = world(simulator)
    step = last(cql.cql(data, [0], alpha=alpha, samples=samples, simulator=simulator, **ONE, **SIZE))
    parts, errors, gaps = Parts(data, simulator, actor_outputs=2), [[], []], [[], []]
    noise = next(parts.rows.noise(3 * samples + 1, 8, parts.width))[0].double()
    for row, (s, a, r, after, goes_on) in enumerate(parts.transitions()):
        z = noise[:, row]  # [3 samples + 1, A]
        here, there = perceptron(parts.actor, 0, s), perceptron(parts.actor, 0, after)
        pairs = [sample(here, z[k]) for k in range(samples)] + [sample(there, z[samples + k]) for k in range(samples)]
        y = r + 0.99 * goes_on * min(parts.q(member, after, pairs[samples][0]) for member in (0, 1))
        pairs += [(torch.erf(z[2 * samples + k] / 2**0.5), parts.width * math.log(0.5)) for k in range(samples)]
        for member in (0, 1):
            taken = parts.q(member, s, a)
            gaps[member].append(logsumexp([parts.q(member, s, x) - log_chance for x, log_chance in pairs]) - taken)
            errors[member].append((taken - y) ** 2)
    theirs = sum(mean(errors[m]) + 2 * alpha * mean(gaps[m]) for m in (0, 1))
    ours = float(step.metrics["critic_loss"][0])
    assert ours == pytest.approx(theirs / 2 - 2 * alpha * math.log(3 * samples), rel=1e-5)
    penalty = mean(gaps[0]) + mean(gaps[1]) - 2 * math.log(3 * samples)
    assert float(step.metrics["penalty"][0]) == pytest.approx(penalty, rel=1e-4)


def logsumexp(values):
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))


def sample(outputs, noise):
    """An action of a squashed Gaussian and its log density, by change of variables: outputs [2 A], noise [A]."""
    actions, log_chance = [], 0.0
    for d in range(len(noise)):
        mu, log_sigma, z = float(outputs[d]), float(outputs[len(noise) + d]), float(noise[d])
        actions.append(math.tanh(mu + math.exp(log_sigma) * z))
        log_chance += -0.5 * z * z - log_sigma - 0.5 * math.log(2 * math.pi) - math.log(1 - actions[-1] ** 2)
    return torch.tensor(actions, dtype=torch.float64), log_chance


def test_cql_actor_loss_and_temperature_are_d3rlpys():
    """Actor: mean [T log pi - min Q], no difference. Temperature: theirs descends -T (log pi - A), whose slope by log T
    is T times ours (departure 6): the same sign, and the same zero."""
    rng = np.random.default_rng(0)
    outputs, noise, q = rng.normal(size=(8, 4)), rng.normal(size=(8, 2)), rng.normal(size=(2, 8))
    temperature = 0.3
    chances = [sample(torch.tensor(outputs[row]), torch.tensor(noise[row]))[1] for row in range(8)]
    theirs = mean([temperature * chances[row] - min(q[0, row], q[1, row]) for row in range(8)])
    log_chance = squashed(torch.tensor(outputs)[None], torch.tensor(noise)[None])[1]
    ours = cql.actor_loss(torch.tensor(q)[None], log_chance, torch.tensor([temperature], dtype=torch.float64))
    assert float(ours) == pytest.approx(theirs, rel=1e-9)

    log_t = torch.tensor(math.log(temperature), dtype=torch.float64, requires_grad=True)
    (-log_t.exp() * (mean(chances) - 2)).backward()
    assert float(log_t.grad) == pytest.approx(temperature * float(cql.temperature_slope(log_chance, -2)), rel=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 4.0])
def test_discrete_cql_loss_is_d3rlpys_while_errors_stay_below_one(alpha):
    """Theirs: mean Huber(Q - y) + alpha mean(log sum exp - Q), double DQN: no difference where |Q - y| < 1. Beyond it
    the Huber loss is |Q - y| - 1/2, ours stays 1/2 (Q - y)^2 (departure 1 of discrete_cql.py)."""
    simulator = Discrete()
    data = world(simulator)
    step = last(discrete_cql.discrete_cql(data, [0], alpha=alpha, simulator=simulator, **ONE, **SIZE))
    parts, huber, excess, gaps = Parts(data, simulator), [], [], []
    for s, a, r, after, goes_on in parts.transitions():
        q, later = perceptron(parts.alone, 0, s), perceptron(parts.alone, 0, after)
        best = max(range(3), key=lambda k: later[k])  # chosen by the critic, valued by the target: equal at first
        error = abs(q[a] - (r + 0.99 * goes_on * later[best]))
        huber.append(0.5 * error**2 if error < 1 else error - 0.5)
        excess.append(0.5 * (error - 1) ** 2 if error > 1 else 0.0)
        gaps.append(logsumexp(list(q)) - q[a])
    assert sum(e > 0 for e in excess) not in (0, 8), "the batch has errors on both sides of 1"
    theirs = mean(huber) + alpha * mean(gaps)
    assert float(step.metrics["critic_loss"][0]) == pytest.approx(theirs + mean(excess), rel=1e-5)


def test_double_dqn_chooses_by_the_critic_and_values_by_the_target(monkeypatch):
    """As d3rlpy's: compared at the 40th step, when the two choose differently."""
    critics, olds, calls, build, freeze, loss = [], [], [], Rows.network, Network.frozen, discrete_cql.critic_loss
    monkeypatch.setattr(Rows, "network", lambda *a, **k: critics.append(build(*a, **k)) or critics[-1])
    monkeypatch.setattr(Network, "frozen", lambda network: olds.append(freeze(network)) or olds[-1])

    def watched(q, actions, target, alpha):
        calls.append((target[0], freeze(critics[0]), freeze(olds[0])))  # before the step of the critic
        return loss(q, actions, target, alpha)

    monkeypatch.setattr(discrete_cql, "critic_loss", watched)
    simulator = Discrete()
    data, shared = world(simulator), {"evaluate_every": 40, "episodes": 1, "learning_rate": 0.03}
    last(discrete_cql.discrete_cql(data, [0], steps=40, alpha=0.1, simulator=simulator, **shared, **SIZE))
    (target, critic, old), differ = calls[-1], 0
    batch = list(Rows(data, [0], batch_size=8, simulator=simulator).batches(40))[-1][1]
    for row in range(8):
        after = batch.next_observations[0, row].double()
        now, before = perceptron(critic, 0, after).tolist(), perceptron(old, 0, after).tolist()
        differ += now.index(max(now)) != before.index(max(before))
        y = float(batch.rewards[0, row]) + 0.99 * float(batch.continues[0, row]) * before[now.index(max(now))]
        assert float(target[row]) == pytest.approx(y, rel=1e-5, abs=1e-6)
    assert differ
