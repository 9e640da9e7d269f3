"""Soft actor-critic: losses by hand, diversity against every pair, and problems whose optimum is known."""

import itertools

import numpy as np
import pytest
import torch

from rlkit.model_based import SoftActorCritic, sac
from rlkit.model_based.replay import Replay
from rlkit.model_based.soft_actor_critic import actor_loss, alignment, critic_loss
from rlkit.offline.heads import squashed
from tests.model_based.aim import Aim


def filled(seeds, count=200, size=3, width=2):
    replay = Replay(seeds, size, width, count)
    for row, seed in enumerate(seeds):
        rng = np.random.default_rng([seed, 17])
        block = [
            rng.standard_normal((count, size)),
            rng.uniform(-1, 1, (count, width)),
            rng.standard_normal((count, 1)),
        ]
        block += [rng.standard_normal((count, size)), (rng.random((count, 1)) < 0.9).astype(float)]
        replay._put(row, torch.from_numpy(np.concatenate(block, 1, dtype=np.float32)))
    return replay


def test_losses_by_hand():
    q, y = torch.tensor([[[1.0, 2.0], [0.0, 4.0]]]), torch.tensor([[2.0, 2.0]])
    assert critic_loss(q, y).tolist() == [0.5 + 4.0]
    assert actor_loss(q, torch.tensor([[0.5, 1.5]]), torch.tensor([0.2])).tolist() == pytest.approx([0.2 - 1.0])


def test_alignment_is_the_sum_over_all_pairs():
    slopes = torch.randn(2, 5, 7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    by_pairs = sum(
        torch.nn.functional.cosine_similarity(slopes[:, i], slopes[:, j], dim=-1).mean(-1)
        for i, j in itertools.permutations(range(5), 2)
    )
    torch.testing.assert_close(alignment(slopes), by_pairs / 4)
    same = slopes[:, :1].expand(-1, 5, -1, -1)
    torch.testing.assert_close(alignment(same), torch.full((2,), 5.0, dtype=torch.float64))


def test_the_target_is_what_the_equation_says_and_stops_at_a_terminal_step():
    soft, replay = SoftActorCritic([0, 1], 3, 2, critics=4, discount=0.9), filled([0, 1])
    batch, noise = replay.sample(8), torch.randn(2, 8, 2, generator=torch.Generator().manual_seed(1))
    soft.log_temperature.data = torch.tensor([-1.0, 0.5])
    found = soft.target(batch, noise)
    for s in range(2):
        actions, log_chance = squashed(soft.actor(batch.next_observations, member=0)[s], noise[s])
        pairs = torch.cat((batch.next_observations[s], actions), 1)
        values = torch.stack([soft.old_critic(pairs.expand(2, -1, -1), member=m)[s, :, 0] for m in range(4)])
        soft_value = values.amin(0) - soft.log_temperature[s].exp() * log_chance
        expected = batch.rewards[s] + 0.9 * batch.continues[s] * soft_value
        torch.testing.assert_close(found[s], expected.detach(), rtol=1e-5, atol=1e-6)
    ended = batch.continues == 0
    assert ended.any() and torch.equal(found[ended], batch.rewards[ended])


@pytest.mark.parametrize("diversity", [0.0, 1.0])
def test_seed_3_of_5_is_seed_3_alone_and_bits_repeat(diversity):
    def trained(seeds):
        soft, replay = SoftActorCritic(seeds, 3, 2, critics=3, diversity=diversity), filled(seeds)
        for _ in range(60):
            numbers = soft.update(replay.sample(32))
        return soft.prefer(torch.linspace(-1, 1, 12).view(1, 4, 3).expand(len(seeds), -1, -1)), numbers

    (many, said), (again, _), (alone, once) = trained(range(5)), trained(range(5)), trained([3])
    assert torch.equal(many, again)
    np.testing.assert_allclose(many[3].detach(), alone[0].detach(), atol=1e-5)
    for name, value in said.items():
        np.testing.assert_allclose(value[3], once[name][0], rtol=1e-4, atol=1e-5)


def test_diversity_turns_the_slopes_of_critics_apart():
    slopes = []
    for diversity in (0.0, 2.0):
        soft, replay = SoftActorCritic([0, 1], 3, 2, critics=5, diversity=diversity), filled([0, 1])
        for _ in range(300):
            soft.update(replay.sample(32))
        batch = replay.sample(64)
        actions = batch.actions.repeat_interleave(5, 0).requires_grad_()
        q = soft._apart(batch.observations, actions)
        torch.testing.assert_close(q, soft.q(batch.observations, batch.actions))
        slope = torch.autograd.grad(q.sum(), actions)[0].view(2, 5, 64, 2)
        slopes.append(alignment(slope).mean())
    assert slopes[1] < slopes[0] - 0.3, slopes


def test_a_target_and_a_regulariser_of_ones_own_are_used():
    soft, replay = SoftActorCritic([0], 3, 2), filled([0])
    asked = []

    def flat(learner, batch):
        asked.append(learner)
        return 10.0 * learner.q(batch.observations, batch.actions).square().mean((1, 2))

    for _ in range(800):
        batch = replay.sample(64)
        numbers = soft.update(batch, target=torch.full((1, 64), 3.0), regulariser=flat)
    # both critics minimise (q - 3)^2 and 5 q^2 each: q = 3 / 6
    assert asked[0] is soft and abs(float(numbers["q"]) - 0.5) < 0.05


def test_it_finds_the_best_action():
    *_, last = sac(Aim(), range(3), steps=1_200, warm_up=100, evaluate_every=600, episodes=200, entropy=-4.0)
    assert (last.metrics["return"] > -0.01).all(), last.metrics["return"]  # random actions earn about -0.42


def test_discrete_worlds_are_refused_in_one_line():
    from rlkit import envs

    with pytest.raises(ValueError, match=r"simulator='maze.*': must be one with continuous actions"):
        next(sac(envs.simulator("maze-corridor"), [0]))
