"""The dynamics reward and the filter: by hand, seed by seed, and on a law whose truth is known."""

import numpy as np
import pytest
import torch

from rlkit import envs
from rlkit.envs import refrigerator
from rlkit.model_based import Dynamics, Replay, held_out
from rlkit.model_based import reward_consistent as consistent
from rlkit.model_based.reward_consistent import DynamicsReward, Filtered, candidates, consensus
from rlkit.model_based.side_by_side import SideBySide
from rlkit.offline.rows import generator
from rlkit.runs import Run, Step


def law(seed, count=1_500):
    """Rows of s' = s + sin(3 s) a + noise, on [-1, 1]."""
    rng = np.random.default_rng(seed)
    seen, actions = rng.uniform(-1, 1, (2, count, 1)).astype(np.float32)
    after = seen + np.sin(3 * seen) * actions + 0.05 * rng.normal(size=seen.shape)
    return seen, actions, after.astype(np.float32)


def replay(seeds):
    made = Replay(seeds, 1, 1, 1_500)
    columns = [np.stack(c) for c in zip(*(law(seed) for seed in seeds), strict=True)]
    made.add(columns[0], columns[1], np.zeros((len(seeds), 1_500)), columns[2], np.ones((len(seeds), 1_500)))
    return made


def draws(seeds):
    return [generator(seed, "dreams") for seed in seeds]


def height(observations, actions, after):
    """A score: the candidate itself."""
    return after[..., 0]


def fixed(observations, actions, after):
    """A score that prefers later candidates: softmax gives 0.1, 0.2, 0.3, 0.4."""
    return torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4]))[None, :, None].expand(after.shape[:3])


def rows(count, seeds):
    seen, actions, _ = law(99, count)
    return (torch.from_numpy(a).expand(len(seeds), -1, -1) for a in (seen, actions))


def test_the_reward_by_hand():
    chances = torch.tensor([[[0.5, 1.0], [0.9, 1.0]], [[0.0, 0.2], [0.0, 0.4]]])  # [2 seeds, 2 discriminators, 2 rows]
    expected = -np.log([[0.3, 0.001], [1.0, 0.7]])
    assert consistent.dynamics_reward(chances).numpy() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_the_discriminators_loss_by_hand():
    real, made = torch.tensor([[0.0, np.log(3)]]), torch.tensor([[0.0, -np.log(3)]])  # chances 1/2, 3/4 and 1/2, 1/4
    expected = -np.mean(np.log([0.5, 0.75])) - np.mean(np.log([0.5, 0.75]))
    assert consistent.discriminator_loss(real.float(), made.float()).numpy() == pytest.approx([expected])


@pytest.fixture(scope="module")
def learnt():
    reward = DynamicsReward([0, 1], 1, 1, archived=8)
    steps = list(reward.fit(replay([0, 1]), steps=640))
    return reward, steps


def test_it_tells_true_transitions_from_false_ones(learnt):
    reward, steps = learnt
    seen, actions = rows(300, [0, 1])
    truth = seen + torch.sin(3 * seen) * actions
    offsets = torch.tensor([0.0, 0.2, -0.2, 0.6, -0.6])
    after = truth[:, None] + offsets[:, None, None]  # [S, 5, B, 1]
    mean = reward(seen, actions, after).mean(2)  # [S, 5]
    assert (mean[:, 0] > mean[:, 3:].amax(1) + 0.1).all(), "0.6 off scores less"
    assert (reward(seen, actions, after).argmax(1) <= 2).float().mean() > 0.8
    assert len(steps) == 8 and (steps[-1].metrics["policy_error"] < 0.4).all()


def test_the_archive_holds_discriminators_of_different_ages(learnt):
    reward, _ = learnt
    seen, actions = rows(50, [0, 1])
    chances = reward.chances(seen, actions, seen[:, None])
    assert chances.shape == (2, 8, 1, 50)
    assert (chances[:, 0] - chances[:, -1]).abs().mean() > 0.01
    assert torch.equal(reward(seen, actions, seen[:, None]), consistent.dynamics_reward(chances).detach())


def test_a_seed_among_three_is_that_seed_alone():
    found = []
    for seeds in ([2, 3, 4], [3]):
        reward = DynamicsReward(seeds, 1, 1, archived=3)
        list(reward.fit(replay(seeds), steps=90))
        seen, actions = rows(20, seeds)
        found.append(reward(seen, actions, seen[:, None])[1 if len(seeds) > 1 else 0])
    assert found[0].numpy() == pytest.approx(found[1].numpy(), abs=1e-5)


def test_candidates_come_from_elites_alone_and_each_resample_is_a_new_draw():
    model = Dynamics([0, 1], 1, 1, members=4, elites=2)
    model.ensemble._choose(torch.tensor([[3, 1], [0, 2]]))
    seen, actions = rows(4_000, [0, 1])
    after, rewards = candidates(model, seen, actions, draws([0, 1]), resamples=3)
    mean, paid, _ = model.predict(seen, actions)
    assert after.shape == (2, 6, 4_000, 1) and rewards.shape == (2, 6, 4_000)
    for place, member in enumerate((3, 1, 3, 1, 3, 1)):
        assert (after[0, place] - mean[0, member]).mean().abs() < 0.1
        assert (rewards[0, place] - paid[0, member]).mean().abs() < 0.1
    assert (after[:, 0] - after[:, 2]).abs().min() > 0


def test_the_filter_takes_the_best_or_draws_by_softmax():
    model = Dynamics([0], 1, 1, members=3, elites=2)
    seen, actions = rows(3_000, [0])
    drawn, paid = candidates(model, seen, actions, draws([0]))
    after, rewards, continues = Filtered(model, height, temperature=0).step(seen, actions, draws([0]))
    assert torch.equal(after, drawn.amax(1)) and continues.all()
    assert torch.equal(rewards, paid.gather(1, drawn[..., 0].argmax(1, keepdim=True))[:, 0])
    after, _, _ = Filtered(model, fixed, temperature=1.0).step(seen, actions, draws([0]))
    shares = (after[:, None] == drawn).float().mean((0, 2, 3))
    assert shares.numpy() == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.03)


def test_a_threshold_ends_what_scores_less():
    model = Dynamics([0], 1, 1, members=3, elites=2)
    seen, actions = rows(500, [0])
    after, _, continues = Filtered(model, height, temperature=0, threshold=0.3).step(seen, actions, draws([0]))
    assert torch.equal(continues, (after[..., 0] >= 0.3).float()) and 0 < continues.mean() < 1


def test_consensus_prefers_the_middle_and_arms_side_by_side_do_not_touch():
    model = Dynamics([0, 1], 1, 1, members=3, elites=3)
    seen, actions = rows(40, [0, 1])
    middle = model.predict(seen, actions)[0].mean(1, keepdim=True).detach()
    assert consensus(model)(seen, actions, torch.cat((middle + 1, middle, middle - 0.1), 1)).argmax(1).eq(1).all()
    arms = [model, Filtered(model, consensus(model), temperature=0)]
    double = seen.repeat(2, 1, 1), actions.repeat(2, 1, 1)
    whole = SideBySide(arms).step(*double, draws([0, 1, 0, 1]))
    for place, arm in enumerate(arms):
        alone = arm.step(seen, actions, draws([0, 1]))
        assert all(torch.equal(w[2 * place : 2 * place + 2], a) for w, a in zip(whole, alone, strict=True))


def test_the_held_out_region_is_in_no_log_and_in_every_question():
    for task in held_out.TASKS:
        data = held_out.log(task, 1000)
        assert not held_out.inside(task, data.observations).any() and len(data) > 4_000
        seen, actions = held_out.questions(task, 500, 7)
        assert held_out.inside(task, seen).all() and np.abs(actions).max() <= 1
        assert 0 <= data.rewards.min() and data.rewards.max() <= 1


def test_errors_against_the_law_by_hand_and_the_oracle():
    world = envs.simulator("refrigerator")
    model = Dynamics([0, 1], 1, 1, members=3, elites=2)
    model.ensemble.y_scale = torch.tensor([[[0.5, 1.0]], [[2.0, 1.0]]])
    seen, actions = (torch.from_numpy(a).expand(2, -1, -1) for a in held_out.questions("refrigerator", 30, 1))
    truth = world.step(seen[0].numpy().astype(float), actions[0].numpy(), np.zeros((30, 1)))[0]
    after = torch.from_numpy(truth.astype(np.float32))[None, None] + torch.tensor([0.1, -0.3])[:, None, None]
    found = held_out.errors(model, world, seen, actions, after.expand(2, 2, -1, -1))
    expected = np.array([[0.2, 0.6], [0.05, 0.15]])[:, :, None]
    assert found.numpy() == pytest.approx(np.broadcast_to(expected, found.shape), abs=1e-3)
    assert torch.equal(held_out.oracle(model, world)(seen, actions, after.expand(2, 2, -1, -1)), -found)


def test_the_rank_statistic_by_hand():
    score = torch.tensor([[[3.0, 1.0, 2.0, 0.0]], [[0.0, 1.0, 2.0, 3.0]]])
    error = torch.tensor([[[0.1, 0.2, 0.8, 0.9]], [[0.1, 0.2, 0.8, 0.9]]])
    assert held_out.ranked(score, error) == pytest.approx([0.75, 0.0]), "of four pairs three, and none"


def quick(task, seeds):
    """`held_out.learnt` in few steps."""
    return held_out.learnt(task, seeds, 30, 32)


def arms(model, reward, world):
    return {"MOPO": model, "oracle": Filtered(model, held_out.oracle(model, world), temperature=0)}


def test_a_cell_of_the_sweep_measures_all_arms_and_the_run_gives_them_back(monkeypatch, tmp_path):
    learnt_in_full, kept = held_out.learnt, {}
    monkeypatch.setattr(held_out, "learnt", lambda task, seeds: learnt_in_full(task, seeds, 30, 32))
    metrics, rows = held_out.train(arms, kept, "refrigerator", [0, 1], steps=20, penalty=1.0, episodes=2)
    found = {name: np.asarray(value) for name, value in metrics.items()}
    assert (found["error, oracle"] < found["error, MOREC"]).all() and (found["auc, r^D, on the log"] <= 1).all()
    assert np.array(rows[0]["scores"]).shape == (5, 2, 2) and rows[0]["arms"] == ["MOPO", "oracle"]
    assert np.array(rows[0]["scores"])[-1, 1] == pytest.approx(found["oracle, score"])
    run = Run.create("morec", {"seeds": [0, 1]}, root=tmp_path)
    assert held_out.results(run) == {}
    run.record(Step(0, metrics, [{"kind": "cell", "task": "refrigerator"}, *rows]))
    again = held_out.results(run)["refrigerator"]
    assert again.keys() == found.keys() and again["MOPO, score"] == pytest.approx(found["MOPO, score"])


def test_the_first_choice_is_asked_what_one_step_asks():
    model, reward = quick("refrigerator", [0, 1])
    world, asked = envs.simulator("refrigerator"), held_out.questions("refrigerator", 400, 7)
    found = held_out.one_step(model, reward, world, [0, 1], *asked)
    by_truth = held_out.first_choice("refrigerator", model, held_out.oracle(model, world), [0, 1])
    near = held_out.first_choice("refrigerator", model, consensus(model), [0, 1])
    assert by_truth == pytest.approx(found["error, oracle"]), "the same candidates"
    assert near == pytest.approx(found["error, consensus"])
    assert (held_out.first_choice("refrigerator", model, reward, [0, 1]) > by_truth).all()


def test_over_the_plane_errors_are_those_of_the_candidates():
    model, reward = quick("refrigerator", [0, 1])
    temperature, power = np.meshgrid(np.linspace(1, 11, 6), np.linspace(0, 1, 4))
    views = held_out.over_plane(model, reward, [0, 1], temperature, power)
    state, action = (torch.from_numpy(a.ravel().astype(np.float32)) for a in (temperature, 2 * power - 1))
    state, action = (a.expand(2, -1)[..., None] for a in (state, action))
    after, _ = candidates(model, state, action, draws([0, 1]))
    truth = temperature + refrigerator.change(temperature, power)
    error = np.abs(after[..., 0].numpy().reshape(2, 10, 4, 6) - np.clip(truth, 0, 12))
    error = (error / model.ensemble.y_scale[:, None, :, :1].numpy()).mean(1)
    assert views["error of a random elite's draw"] == pytest.approx(error, abs=1e-4)
    assert all(view.shape == (2, 4, 6) for view in views.values())


def test_dreams_of_the_refrigerator_start_together_and_the_truth_reaches_the_target():
    model, _ = quick("refrigerator", [0, 1])
    ends = Filtered(model, height, temperature=0, threshold=8.5)
    went = held_out.cooled(ends, [0, 1], 9.0, 6, count=10)
    assert went.shape == (2, 10, 7) and (went[..., 0] == 9).all()
    gone = np.isnan(went)
    assert (gone[..., 1:] >= gone[..., :-1]).all(), "what has ended stays so"
    assert (np.nan_to_num(went[..., 1:-1][gone[..., 2:]], nan=0.0) < 8.5).all(), "only below the threshold"
    path = held_out.truly_cooled(9.0, 20)
    assert path[0] == 9 and abs(path[-1] - refrigerator.TARGET) < 0.1 and (np.diff(path[:8]) < -0.5).all()


def test_bad_input_is_refused_in_one_line():
    with pytest.raises(ValueError, match="steps=5: must be at least archived=16"):
        next(DynamicsReward([0], 1, 1).fit(replay([0]), steps=5))
    with pytest.raises(ValueError, match="archive=None: must be fitted first"):
        DynamicsReward([0], 1, 1)(*(torch.zeros(1, 2, 1),) * 2, torch.zeros(1, 1, 2, 1))
    with pytest.raises(ValueError, match="task='tank': must be one of"):
        held_out.log("tank", 0)
