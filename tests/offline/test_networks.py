"""Many networks as one: the same numbers as torch's own layers, one network at a time."""

import numpy as np
import pytest
import torch

from rlkit.offline.networks import Network


def generators(seeds):
    return [np.random.default_rng(seed) for seed in seeds]


def plain(network: Network, row: int) -> torch.nn.Sequential:
    """One of the networks as torch writes it."""
    layers = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        linear = torch.nn.Linear(*weight.shape[1:])
        linear.weight.data, linear.bias.data = weight[row].detach().T.clone(), bias[row, 0].detach().clone()
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def test_outputs_gradients_and_adam_equal_those_of_torch_one_network_at_a_time():
    network = Network(generators(range(3)), (4, 8, 8, 2), members=2, learning_rate=1e-2)
    alone = [plain(network, row) for row in range(6)]
    optimisers = [torch.optim.Adam(one.parameters(), lr=1e-2) for one in alone]
    torch.manual_seed(0)
    for _ in range(5):
        x, y = torch.randn(3, 16, 4), torch.randn(3, 16, 2)
        together = network(x)  # [S, M, B, 2]
        assert together.shape == (3, 2, 16, 2)
        losses = (together - y[:, None]).square().mean((-1, -2)).sum(-1)  # [S]
        network.descend(losses)
        for row, (one, optimiser) in enumerate(zip(alone, optimisers, strict=True)):
            out = one(x[row // 2])
            torch.testing.assert_close(together[row // 2, row % 2], out, rtol=1e-5, atol=1e-6)
            optimiser.zero_grad()
            (out - y[row // 2]).square().mean().backward()
            optimiser.step()
            first = next(one.parameters())
            torch.testing.assert_close(network.weights[0].grad[row], first.grad.T, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(network.weights[0][row], first.T, rtol=1e-4, atol=1e-5)


def test_one_member_is_that_member():
    network = Network(generators(range(3)), (4, 8, 1), members=2)
    x = torch.randn(3, 5, 4)
    for member in (0, 1):
        torch.testing.assert_close(network(x, member), network(x)[:, member])


def test_a_seed_has_its_own_weights_whoever_trains_beside_it():
    ten, one = Network(generators(range(10)), (4, 8, 1), members=2), Network(generators([3]), (4, 8, 1), members=2)
    for many, single in zip(ten.weights, one.weights, strict=True):
        assert torch.equal(many[6:8], single)
    assert not torch.equal(ten.weights[0][0], ten.weights[0][1])  # members differ as well


def test_initial_weights_are_uniform_as_in_torch():
    network = Network(generators(range(200)), (16, 32, 1))
    bound = 1 / 4
    drawn = network.weights[0].detach()
    assert drawn.abs().max() <= bound and drawn.abs().max() > 0.999 * bound
    assert abs(float(drawn.std()) - bound / 3**0.5) < 1e-3


def test_a_target_network_follows_and_takes_no_gradient():
    network = Network(generators([0]), (2, 4, 1))
    target = network.frozen()
    assert not any(p.requires_grad for p in target.parameters)
    before = target.flat.clone()
    network.descend(network(torch.ones(1, 3, 2)).square().mean((1, 2, 3)))
    assert torch.equal(target.flat, before)
    target.track(network, 0.25)
    torch.testing.assert_close(target.flat, 0.75 * before + 0.25 * network.flat)
    assert torch.equal(target.weights[0].flatten(), target.flat[:8])  # weights are views of the flat vector


def test_a_loss_moves_its_own_network_alone():
    critic, actor = Network(generators([0]), (2, 4, 1)), Network(generators([1]), (2, 4, 2))
    before = critic.flat.clone()
    actor.descend(-critic(torch.tanh(actor(torch.ones(1, 3, 2), 0)), 0).mean((1, 2)))
    assert torch.equal(critic.flat, before) and float(critic.gradient.abs().max()) == 0
    assert float(actor.gradient.abs().max()) > 0


@pytest.mark.parametrize("name, value", [("members", 0), ("learning_rate", -1.0)])
def test_bad_arguments_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}"):
        Network(generators([0]), (2, 1), **{name: value})
