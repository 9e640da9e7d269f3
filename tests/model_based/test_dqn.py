"""DQN: loss and target by hand, the optimum of a finite maze, and seeds that do not touch."""

import numpy as np
import pytest
import torch

from rlkit import envs, mdps
from rlkit.model_based import dqn
from rlkit.model_based.algorithms.dqn import explorer, q_loss, q_target, update
from rlkit.offline import Agent
from rlkit.offline.networks import Network
from rlkit.offline.rows import Batch


def test_loss_and_target_by_hand():
    q = torch.tensor([[[1.0, 2.0], [0.0, -1.0]], [[3.0, 0.0], [1.0, 1.0]]])
    actions, y = torch.tensor([[1, 0], [0, 1]]), torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    assert q_loss(q, actions, y).tolist() == [(1 + 4) / 2, (0 + 1) / 2]
    rewards, continues = torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 0.0]])
    assert q_target(q[:1], rewards, continues, 0.5).tolist() == [[2.0, 1.0]]  # 1 + max(1, 2) / 2, and an end


def test_an_update_descends_the_gradient_of_one_seed_alone_and_moves_its_target():
    def network():
        return Network([np.random.default_rng([s, 1]) for s in (0, 1)], (3, 8, 2), learning_rate=1e-2)

    rng = np.random.default_rng(0)
    seen, after = torch.tensor(rng.standard_normal((2, 2, 6, 3)), dtype=torch.float32)
    batch = Batch(seen, torch.zeros(2, 6, dtype=torch.long), torch.ones(2, 6), after, torch.ones(2, 6), None, None)
    now = network()
    old, before = now.frozen(), now.flat.clone()
    numbers = update(now, old, batch, 0.9, 0.1)
    target = q_target(old(after, member=0), batch.rewards, batch.continues, 0.9)
    assert numbers["q_loss"].shape == (2,) and torch.isfinite(target).all()
    torch.testing.assert_close(old.flat, 0.9 * before + 0.1 * now.flat)
    other = batch._replace(rewards=torch.tensor([[1.0] * 6, [5.0] * 6]))
    again = network()
    update(again, again.frozen(), other, 0.9, 0.1)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(now.weights, again.weights, strict=True))
    assert not torch.equal(now.weights[0][1], again.weights[0][1])


def test_epsilon_is_the_share_of_random_actions_and_the_rest_is_greedy():
    network = Network([np.random.default_rng(0)], (2, 4, 3), learning_rate=1e-3)
    seen = torch.zeros(1, 30_000, 2)
    best = int(network(seen[:, :1], member=0).argmax())
    actions = explorer(network, [np.random.default_rng(1)], 0.3)(seen)
    share = torch.bincount(actions[0], minlength=3) / 30_000
    expected = np.full(3, 0.1)
    expected[best] += 0.7
    np.testing.assert_allclose(share, expected, atol=0.01)


def test_it_finds_the_optimum_of_a_corridor():
    world, agent = envs.simulator("maze-corridor", slip=0.0), Agent()
    *_, last = dqn(world, [0, 1], steps=600, warm_up=100, evaluate_every=300, learning_rate=3e-3, agent=agent)
    assert (last.metrics["return"] == envs.references(world)["optimal"]).all() and (
        last.metrics["updates"] == 501
    ).all()
    greedy = agent.act(np.eye(world.observation_size, dtype=np.float32))
    best = mdps.greedy(mdps.value_iteration(world.mdp)[1])
    for seed in range(2):
        played = np.eye(4)[greedy[seed]]
        assert mdps.expected_return(world.mdp, played) == pytest.approx(mdps.expected_return(world.mdp, best))


def test_seed_3_of_5_is_seed_3_alone_and_bits_repeat():
    world = envs.simulator("pan-flute", pipes=3)

    def trained(seeds):
        agent = Agent()
        (step,) = dqn(world, seeds, steps=160, warm_up=60, evaluate_every=160, agent=agent)
        return step.metrics, agent.act(np.random.default_rng(0).integers(2, size=(50, 6)).astype(np.float32))

    (said, acts), (again, same), (alone, single) = trained(range(5)), trained(range(5)), trained([3])
    assert all(np.array_equal(said[name], again[name]) for name in said) and np.array_equal(acts, same)
    assert np.array_equal(acts[3], single[0]) and said["return"][3] == alone["return"][0]
    assert float(said["q_loss"][3]) == pytest.approx(float(alone["q_loss"][0]), rel=1e-3)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"epsilon": 1.5}, r"epsilon=1.5: must be in \[0, 1\]"),
        ({"updates": 0}, "updates=0: must be a positive integer"),
        ({"steps": 0}, "steps=0: must be a positive integer"),
    ],
)
def test_bad_input_is_refused_in_one_line(options, line):
    with pytest.raises(ValueError, match=f"^{line}$"):
        next(dqn(envs.simulator("maze-corridor"), [0], **options))
    with pytest.raises(ValueError, match=r"^simulator='pendulum': must be one with discrete actions$"):
        next(dqn(envs.simulator("pendulum"), [0]))
