"""What a decision transformer may see, what it learns from, how it acts; RvS-R beside it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch.nn import functional

from rlkit.offline import Agent, Dataset, Rows, bc, build, decision_transformer
from rlkit.offline.algorithms.decision_transformer import sequence_loss
from rlkit.offline.algorithms.rvs import average_to_go, rvs
from rlkit.offline.evaluate import returns
from rlkit.offline.heads import imitation
from rlkit.offline.sequences import Player, Transformer, Windows, returns_to_go

STEPS = 6  # of an episode in the toy world


def toy_world(discrete=False, noise=0.0, scale=1.0):
    """Six steps that pay the action (numbers: 2 a - 1), plus noise; the observation is where the episode started."""

    def step(states, actions, drawn):
        pay = 2 * actions - 1.0 if discrete else actions[:, 0].astype(float)
        return states, scale * (pay + noise * drawn[:, 0]), np.zeros(len(states), bool)

    return SimpleNamespace(
        horizon=STEPS,
        noise_size=1,
        start=lambda rng, count: rng.standard_normal((count, 2)),
        observe=lambda states: states.astype(np.float32),
        step=step,
    )


def toy_data(discrete=False, lengths=(STEPS,) * 60, seed=0):
    """Every other episode acts well (0.8, or 1), every other badly (-0.8, or 0)."""
    rng, lengths = np.random.default_rng(seed), np.array(lengths)
    episode = np.repeat(np.arange(len(lengths)), lengths)
    good, ends = episode % 2 == 0, np.zeros(len(episode), bool)
    ends[np.cumsum(lengths) - 1] = True
    observations = rng.standard_normal((len(lengths), 2))[episode]
    actions = good.astype(int) if discrete else np.where(good, 0.8, -0.8)[:, None]
    rewards = np.where(good, 1.0, -1.0) if discrete else actions[:, 0]
    facts = {"actions": 2, "random_return": 0.0, "expert_return": 4.0}
    return Dataset(observations, actions, rewards, observations, np.zeros_like(ends), ends, facts=facts)


@pytest.fixture(scope="module")
def maze():
    return build("point-maze-u", "medium", 2_000, seed=0)


def transformer(seeds=2, sizes=(3, 2), horizon=9, width=8, layers=2):
    generators = [np.random.default_rng(seed) for seed in range(seeds)]
    return Transformer(generators, sizes, horizons=[horizon] * seeds, width=width, layers=layers)


def tokens(seeds=2, batch=3, steps=5, sizes=(3, 2)):
    rng = np.random.default_rng(1)
    shape, times = (seeds, batch, steps), torch.arange(steps).expand(seeds, batch, steps)
    drawn = [rng.standard_normal((*shape, *more)).astype(np.float32) for more in ((), sizes[:1], sizes[1:])]
    return [*map(torch.from_numpy, drawn), times]


def predicted(model, inputs):
    return model(*inputs).detach().view(*inputs[0].shape, -1)  # [S, B, K, A]


# What a prediction may see


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("kind", "first"), [(0, 2), (1, 2), (2, 3)])
def test_a_token_changes_what_follows_and_never_what_precedes(layers, kind, first):
    """R_2 and s_2 are seen from step 2 on, a_2 from step 3 on: to the last bit before, visibly after."""
    model, inputs = transformer(layers=layers), tokens()
    before = predicted(model, inputs)
    inputs[kind][:, :, 2] += 1.0
    after = predicted(model, inputs)
    assert torch.equal(after[:, :, :first], before[:, :, :first])
    assert ((after - before)[:, :, first:].abs().amax(-1) > 1e-6).all()


def test_what_stands_behind_an_episodes_end_changes_no_prediction_and_no_loss():
    rows = Rows(toy_data(), [0, 1], batch_size=3, simulator=toy_world())
    model = transformer(sizes=(2, 1))
    window = Windows(rows, 5)(np.array([[3, 0, 4], [5, 2, 1]]))
    real = window.real.bool()
    assert real.sum(-1).tolist() == [[3, 5, 2], [1, 4, 5]]
    changed = [torch.where(real.view(*real.shape, *[1] * (x.ndim - 3)), x, x + 7) for x in window[:4]]
    outputs, others = (model(*inputs) for inputs in (window[:4], changed))
    flat = real.flatten(1)
    assert torch.equal(outputs[flat], others[flat]) and not torch.equal(outputs[~flat], others[~flat])
    losses = [sequence_loss(o, a, window.real) for o, a in ((outputs, window.actions), (others, changed[2]))]
    assert torch.equal(*losses)
    by_hand = [
        imitation(o[None, m], a.flatten(0, 1)[None, m]).mean()
        for o, a, m in zip(outputs, changed[2], flat, strict=True)
    ]
    torch.testing.assert_close(losses[0], torch.stack(by_hand))


def test_the_transformer_is_its_equations():
    """Seed 1 of 2, written out token by token."""
    model, (wanted, seen, taken, times) = transformer(), tokens()
    r, s, a, kinds, *layers, head, bias, clock = (parameter[1].detach() for parameter in model.parameters)
    for b in range(3):
        x = []
        for t in range(5):
            for kind, token in enumerate((wanted[1, b, t, None] @ r, seen[1, b, t] @ s, taken[1, b, t] @ a)):
                x.append(token + kinds[0, kind] + clock[t])
        x = torch.stack(x)
        for into, shift, mix, up, lift, down in (layers[:6], layers[6:]):
            query, key, value = (functional.layer_norm(x, (8,)) @ into + shift).chunk(3, -1)
            seen_by = [torch.softmax(key[: i + 1] @ query[i] / 8**0.5, 0) @ value[: i + 1] for i in range(15)]
            x = x + torch.stack(seen_by) @ mix
            x = x + (functional.layer_norm(x, (8,)) @ up + lift).relu() @ down
        by_hand = functional.layer_norm(x[1::3], (8,)) @ head + bias
        torch.testing.assert_close(predicted(model, [wanted, seen, taken, times])[1, b], by_hand, atol=1e-5, rtol=1e-5)


def test_times_past_the_longest_episode_share_the_last_embedding():
    model, inputs = transformer(horizon=4), tokens()
    inputs[3] = torch.full((2, 3, 5), 3)
    last = predicted(model, inputs)
    inputs[3] = torch.full((2, 3, 5), 40)
    assert torch.equal(predicted(model, inputs), last)
    inputs[3] = torch.full((2, 3, 5), 2)
    assert not torch.equal(predicted(model, inputs), last)


def test_a_seeds_longest_episode_is_its_own():
    """Beside a seed with longer episodes it has the same numbers and shares the same last time."""
    inputs, generators = tokens(), [np.random.default_rng(seed) for seed in (0, 1)]
    inputs[3] = inputs[3] + 3
    beside = Transformer(generators, (3, 2), horizons=[4, 9], width=8, layers=2)
    alone = predicted(transformer(seeds=1, horizon=4), [x[:1] for x in inputs])
    torch.testing.assert_close(predicted(beside, inputs)[:1], alone)


# What it learns from


def test_returns_to_go_by_hand():
    data = toy_data(lengths=(3, 2, 1))
    assert returns_to_go(data) == pytest.approx([2.4, 1.6, 0.8, -1.6, -0.8, 0.8], abs=1e-6)
    assert average_to_go(data) == pytest.approx([0.8, 0.8, 0.8, -1.6 / 3, -0.4, 0.8 / 3], abs=1e-6)


@pytest.mark.parametrize("discrete", [False, True])
def test_windows_hold_consecutive_steps_of_one_episode(discrete):
    """Every start of two datasets against plain indexing, after an end the last step again."""
    both = [toy_data(discrete, (5, 1, 3, 4)), toy_data(discrete, (2, 6), seed=1)]
    rows = Rows(both, [0, 1], simulator=toy_world(discrete))
    windows = Windows(rows, 4)
    assert windows.best.tolist() == [data.returns.max() for data in both] and windows.horizons.tolist() == [5, 6]
    starts = np.stack([np.arange(13), np.arange(13) % 8])
    window = windows(starts)
    for row, data in enumerate(both):
        to_go = returns_to_go(data)
        scaled = (to_go - to_go.mean()) / to_go.std()
        for place, first in enumerate(starts[row]):
            end = data.episode_ends[data.episode_of[first]]
            at = np.minimum(np.arange(first, first + 4), end)
            assert window.real[row, place].tolist() == [first + k <= end for k in range(4)]
            assert window.times[row, place].tolist() == data.step_of[at].tolist()
            assert np.array_equal(window.actions[row, place].numpy(), data.actions[at])
            assert window.returns[row, place].numpy() == pytest.approx(scaled[at], abs=1e-5)
            normal = (data.observations[at] - rows.mean[row].numpy()) / rows.scale[row].numpy()
            assert window.observations[row, place].numpy() == pytest.approx(normal, abs=1e-6)


def test_windows_start_uniformly_over_episodes_and_steps():
    data = toy_data(lengths=(5, 1, 3, 4))
    rows = Rows(data, [0, 1], batch_size=50, simulator=toy_world())
    windows, counts = Windows(rows, 4), np.zeros((2, 4, 5))
    starts = np.cumsum([0, 5, 1, 3])
    for _, batch in rows.batches(200):
        first = batch.indices - starts[data.episode_of[batch.indices]]
        assert np.array_equal(windows(batch.indices).times[..., 0].numpy(), first)
        for row in range(2):
            np.add.at(counts[row], (data.episode_of[batch.indices[row]], first[row]), 1)
    for row in counts:
        seen = row[row > 0]
        assert len(seen) == 13 and ((seen - 10_000 / 13) ** 2 / (10_000 / 13)).sum() < chi2.ppf(0.999, df=12)


# How it acts


def test_a_player_meets_the_episodes_of_every_other_learner():
    """With the same constant action in both, the returns are the same numbers, worlds shared or not."""
    data, worlds = toy_data(), [toy_world(noise=1.0), toy_world(noise=0.5, scale=2.0)]
    rows = Rows(data, [4, 5, 6], episodes=7, simulator=[worlds[0], worlds[1], worlds[0]])
    model = transformer(seeds=3, sizes=(2, 1), layers=1)
    for parameter, value in zip(model.parameters[-3:-1], (0.0, 0.3), strict=True):
        parameter.data[:] = value  # the outputs: no weight, one bias
    player = Player(model, Windows(rows, 3), 5.0)
    made = returns(player, player.rows)
    constant = Agent().become(rows, act=lambda x: torch.full((*x.shape[:2], 1), 0.3).tanh())
    assert np.array_equal(made, returns(constant, rows)) and len(np.unique(made)) == 21
    last = np.stack(
        [player.rows.simulators[0].paid[:7], player.rows.simulators[1].paid, player.rows.simulators[0].paid[7:]]
    )
    np.testing.assert_allclose(5.0 - player.wanted + last, made, atol=1e-12)  # the last reward comes too late to matter


def test_a_player_sees_what_a_window_holds():
    """In a world without noise a prediction while playing is the one for the same steps as a batch."""
    rows = Rows(toy_data(), [0, 1], episodes=1, simulator=toy_world())
    model, windows, wants = transformer(sizes=(2, 1)), Windows(rows, 4), [2.0, -1.0]
    player, actions = Player(model, windows, wants), []
    act = player.act
    player.act = lambda seen: actions.append(act(seen)) or actions[-1]
    returns(player, player.rows)
    taken = np.stack(actions, 2)  # [S, 1, T, 1]
    paid = np.cumsum(taken[..., 0], -1) - taken[..., 0]
    inputs = (
        windows.scaled(np.array(wants)[:, None] - paid[:, 0, 2:]),
        player.past[0][1],
        torch.from_numpy(taken[:, :, 2:]),
    )
    seen = inputs[1][:, :, None].expand(-1, -1, 4, -1)
    outputs = model(inputs[0][:, None], seen, inputs[2], torch.arange(2, 6).expand(2, 1, 4))
    np.testing.assert_allclose(torch.tanh(outputs[:, -1]).detach().numpy(), actions[-1][:, 0], atol=1e-6)


# What it learns


def last(learner):
    return list(learner)[-1].metrics


@pytest.mark.parametrize("learner", [decision_transformer, rvs])
@pytest.mark.parametrize(("discrete", "best"), [(False, 4.8), (True, 6.0)])
def test_it_makes_the_return_it_is_asked_for(learner, discrete, best):
    """Half of the data acts well, half badly, from the same states: the target alone tells them apart."""
    data, world = toy_data(discrete), toy_world(discrete)
    agent = Agent()
    made = last(learner(data, range(3), steps=200, targets=(-best,), simulator=world, agent=agent))
    assert np.asarray(made["return"]) == pytest.approx(best, abs=0.1 * best)
    assert np.asarray(made[f"return@{-best:g}"]) == pytest.approx(-best, abs=0.1 * best)
    good = 1 if discrete else 0.8
    assert agent.act(data.observations) == pytest.approx(good, abs=0.2), "by default it is asked for the best"
    blind = np.asarray(last(bc(data, range(3), steps=200, simulator=world))["return"])
    assert blind.mean() < 0.6 * best, "cloning both alike, one makes neither"


@pytest.mark.parametrize("learner", [decision_transformer, rvs])
def test_seed_3_of_10_is_seed_3_alone(maze, learner):
    many, one = Agent(), Agent()
    ten = last(learner(maze, range(10), steps=100, episodes=2, agent=many))
    alone = last(learner(maze, [3], steps=100, episodes=2, agent=one))
    seen = maze.observations[:50]
    np.testing.assert_allclose(many.act(seen)[3], one.act(seen)[0], atol=1e-6)
    np.testing.assert_allclose(ten["imitation_loss"][3], alone["imitation_loss"][0], rtol=1e-5)
    assert not np.allclose(many.act(seen)[3], many.act(seen)[4], atol=1e-2)


@pytest.mark.parametrize("learner", [decision_transformer, rvs])
def test_a_second_run_gives_the_same_bits(maze, learner):
    first, second = (last(learner(maze, [0, 1], steps=40, episodes=2, targets=(9,))) for _ in range(2))
    assert set(first) == {"return", "score", "imitation_loss", "return@9"}
    for metric, values in first.items():
        assert np.array_equal(np.asarray(values), np.asarray(second[metric])), metric


@pytest.mark.parametrize("learner", [decision_transformer, rvs])
def test_datasets_on_the_seed_axis_are_what_each_is_alone(learner):
    """Other lengths and other returns beside it change nothing for a row."""
    both = [toy_data(), toy_data(lengths=(3, 5, 4, 5, 2, 9) * 5, seed=1)]
    mixed, alone, world = Agent(), Agent(), toy_world(noise=0.1)
    together = last(learner(both, [5, 5], steps=60, agent=mixed, simulator=world))
    for row, data in enumerate(both):
        apart = last(learner(data, [5], steps=60, agent=alone, simulator=world))
        np.testing.assert_allclose(mixed.act(data.observations)[row], alone.act(data.observations)[0], atol=1e-5)
        np.testing.assert_allclose(together["return"][row], apart["return"][0], atol=1e-3)


BAD = [
    ({"context": 0}, "context=0: must be a positive integer"),
    ({"width": 0}, "width=0: must be a positive integer"),
    ({"layers": 1.5}, "layers=1.5: must be a positive integer"),
    ({"targets": (3.0, np.nan)}, r"targets\[1\]=nan: must be finite"),
    ({"steps": 0}, "steps=0: must be a positive integer"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_gives_one_line_that_names_argument_and_value(options, message):
    with pytest.raises(ValueError, match=message) as error:
        next(decision_transformer(toy_data(), [0], simulator=toy_world(), **options))
    assert "\n" not in str(error.value)
