"""AWAC: the policy's density, its weighted likelihood, and what it learns where the answer is known."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from rlkit.offline.algorithms.awac import actor_loss, awac, mean_and_log_deviation, sample
from rlkit.offline.algorithms.iql import weights
from rlkit.offline.rows import Agent
from tests.offline.one_step import Discrete, OneStep, best, dataset, last

QUICK = {"steps": 100, "batch_size": 16, "hidden": (16, 16), "evaluate_every": 50, "episodes": 2}


def drawn(*shape, seed=0, scale=1.0):
    return torch.tensor(np.random.default_rng(seed).normal(0, scale, shape))


def test_loss_is_the_weighted_likelihood_of_a_gaussian():
    outputs, actions, weight = drawn(2, 5, 6), drawn(2, 5, 3, seed=1), drawn(2, 5, seed=2).exp()
    policy = Normal(outputs[..., :3].tanh(), outputs[..., 3:].exp())
    expected = -(weight * policy.log_prob(actions).sum(-1)).mean(-1)
    assert torch.allclose(actor_loss(outputs, actions, weight), expected, rtol=1e-12)


def test_deviations_are_kept_within_their_bounds():
    mean, log_deviation = mean_and_log_deviation(torch.tensor([[0.0, 2.0, -80.0, 80.0]]))
    assert mean.tolist() == [[0.0, pytest.approx(np.tanh(2.0))]] and log_deviation.tolist() == [[-5.0, 2.0]]


def test_gradient_by_finite_differences():
    outputs, actions, weight = drawn(2, 4, 4).requires_grad_(), drawn(2, 4, 2, seed=1), drawn(2, 4, seed=2).exp()
    assert torch.autograd.gradcheck(lambda x: actor_loss(x, actions, weight), outputs)


def test_minimum_is_the_weighted_mean_and_deviation():
    actions, weight = torch.tensor([[[-0.5], [0.1], [0.7]]]), torch.tensor([[1.0, 4.0, 2.0]])
    share = weight / weight.sum()
    mean = (share * actions[..., 0]).sum()
    deviation = (share * (actions[..., 0] - mean).square()).sum().sqrt()
    outputs = torch.stack((torch.atanh(mean), deviation.log())).requires_grad_()
    actor_loss(outputs.expand(1, 3, 2), actions, weight).sum().backward()
    assert outputs.grad.tolist() == pytest.approx([0, 0], abs=1e-6)


def test_samples_have_the_policy_s_moments_and_are_clipped():
    outputs, noise = torch.tensor([0.3, np.log(0.2)]).expand(100_000, 2), drawn(100_000, 1).float()
    actions = sample(outputs, noise)
    assert actions.mean().item() == pytest.approx(np.tanh(0.3), abs=0.003)
    assert actions.std().item() == pytest.approx(0.2, abs=0.002)
    assert sample(torch.tensor([0.0, 1.0]), torch.tensor([3.0])).tolist() == [1.0]


def test_weights_are_the_exponential_of_the_advantage_up_to_a_hundred():
    advantage = torch.tensor([[-1.0, 0.0, 1.0, 50.0]])
    assert weights(advantage, 1 / 0.5)[0].tolist() == pytest.approx([np.exp(-2), 1, np.exp(2), 100])


def test_small_temperature_takes_the_best_action_of_the_data_and_a_large_one_imitates():
    """Three actions alike in the data, mean 0; advantages 1 - V, -V, -3 - V give the first the weight e^(1 / 0.3)."""
    agent, states = Agent(), np.array([[-0.8], [-0.3], [0.3], [0.8]])
    kept = {"hidden": (32, 32), "steps": 1000, "evaluate_every": 1000, "simulator": OneStep()}
    step = last(awac(dataset(OneStep()), [0, 1, 0, 1], temperature=[0.3, 0.3, 1e6, 1e6], agent=agent, **kept))
    act = agent.act(states)
    assert np.abs(act[:2] - best(states)).max() < 0.15 and step.metrics["return"][:2].min() > 0.8
    assert np.abs(act[2:]).mean() < 0.12 and step.metrics["weight"][2:].tolist() == pytest.approx([1, 1], abs=1e-4)


def test_critics_learn_what_actions_pay():
    agent, states = Agent(), np.array([[-0.5], [0.5]])
    kept = {"hidden": (32, 32), "steps": 500, "evaluate_every": 500, "simulator": OneStep()}
    last(awac(dataset(OneStep()), [0], agent=agent, **kept))
    paid = [agent.q(states, np.float32(a * np.sign(states))[None])[0] for a in (0.6, 0.0, -0.6)]
    assert np.array(paid) == pytest.approx(np.array([[1, 1], [0, 0], [-3, -3]]), abs=0.3)


def test_a_seed_of_ten_learns_what_it_learns_alone_and_reruns_are_the_same_bits():
    data, temperatures = dataset(OneStep()), np.linspace(0.5, 2, 10).tolist()

    def learnt(seeds, temperature):
        agent = Agent()
        step = last(awac(data, seeds, temperature=temperature, simulator=OneStep(), agent=agent, **QUICK))
        return agent.act(np.linspace(-1, 1, 7)[:, None]), {k: np.asarray(v) for k, v in step.metrics.items()}

    (act, ten), (again, same) = learnt(range(10), temperatures), learnt(range(10), temperatures)
    alone, one = learnt([3], temperatures[3:4])
    assert np.array_equal(act, again) and all(np.array_equal(ten[k], same[k]) for k in ten)
    assert act[3] == pytest.approx(alone[0], abs=1e-6)
    assert {k: ten[k][3] for k in ten} == pytest.approx({k: one[k][0] for k in one}, abs=1e-6, rel=1e-5)


BAD = [
    (OneStep(), {"temperature": 0}, "temperature=0: must be above 0"),
    (OneStep(), {"temperature": [1.0, float("inf")]}, r"temperature\[1\]=inf: must be finite"),
    (Discrete(), {}, "dataset=.*: must be one with continuous actions"),
]


@pytest.mark.parametrize(("world", "options", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_is_refused_at_once(world, options, message):
    with pytest.raises(ValueError, match=message):
        awac(dataset(world, rows=10), [0, 1], simulator=world, **options)
