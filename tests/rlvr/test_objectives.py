"""Each objective by hand: advantages, clip cases, token weights, normalisers, and what is refused."""

import doctest
import json
import math

import pytest
import torch

from rlkit.rlvr import objectives
from rlkit.rlvr.losses import clip_surrogate, kl_estimate
from rlkit.rlvr.objectives import Weights, credit, rows

ALL = [*objectives.names(), "bnpo"]
ADDITIVE = objectives.names()
CLIPPED = [name for name in ALL if "clip_high" in objectives.make(name).options]


def weights(*advantages, accuracy=0.5):
    advantage = torch.tensor(advantages, dtype=torch.float64)
    return Weights(advantage, torch.ones_like(advantage, dtype=torch.bool), torch.full_like(advantage, accuracy))


def random_batch(P=3, G=4, T=7, seed=0):
    draw = torch.Generator().manual_seed(seed)
    logp = -torch.rand(P * G, T, generator=draw, dtype=torch.float64) - 0.05
    old = logp + 0.3 * torch.randn(P * G, T, generator=draw, dtype=torch.float64)
    reference = logp + 0.3 * torch.randn(P * G, T, generator=draw, dtype=torch.float64)
    mask = torch.arange(T) < torch.randint(1, T + 1, (P * G,), generator=draw)[:, None]
    rewards = torch.tensor([[1.0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 0]], dtype=torch.float64)
    return logp, old, reference, mask, rewards


# --- advantages ---------------------------------------------------------------------------------------------------


def test_advantages_by_hand():
    rewards = [[1.0, 0, 0, 0], [1, 1, 1, 1]]

    def first(objective):
        advantage = objective.advantages(rewards).advantage
        return [round(x, 6) for x in advantage[0].tolist()], advantage[1].tolist()

    assert first(objectives.reinforce()) == ([1, 0, 0, 0], [1, 1, 1, 1])
    assert first(objectives.reinforce(baseline="batch")) == ([0.375, -0.625, -0.625, -0.625], [0.375] * 4)
    assert first(objectives.dr_grpo()) == ([0.75, -0.25, -0.25, -0.25], [0] * 4)
    assert first(objectives.rloo()) == ([1, -0.333333, -0.333333, -0.333333], [0] * 4)
    assert first(objectives.psr()) == ([1, 0, 0, 0], [1] * 4)
    assert first(objectives.nsr()) == ([0, -1, -1, -1], [0] * 4)
    assert first(objectives.w_reinforce()) == ([0.1, -1, -1, -1], [0.1] * 4)
    std = 0.5  # with ddof 1: sqrt((0.75^2 + 3 * 0.25^2) / 3)
    expected = [round(x / (std + 1e-4), 6) for x in (0.75, -0.25, -0.25, -0.25)]
    for name in ("grpo", "dapo", "gspo", "cispo", "bnpo"):
        assert first(objectives.make(name)) == (expected, [0] * 4)


def test_what_is_kept_and_the_group_accuracy():
    rewards = [[1.0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
    assert objectives.psr().advantages(rewards).kept.tolist() == [[True, False, False, False], [True] * 4, [False] * 4]
    assert objectives.nsr().advantages(rewards).kept.tolist() == [[False, True, True, True], [False] * 4, [True] * 4]
    assert objectives.nft().advantages(rewards).kept.tolist() == [[True] * 4, [False] * 4, [False] * 4]
    for objective in (objectives.psr(over="all"), objectives.nsr(over="all"), objectives.w_reinforce()):
        assert objective.advantages(rewards).kept.all()
    for name in ALL:
        assert objectives.make(name).advantages(rewards).accuracy.tolist() == [[0.25] * 4, [1.0] * 4, [0.0] * 4]


def test_std_says_its_ddof():
    """One success in 8: 2.474 when the squares are divided by G - 1 (TRL), 2.645 when by G (GRPO-Zero)."""
    rewards = [[1.0, 0, 0, 0, 0, 0, 0, 0]]
    sample = math.sqrt((7 / 8) ** 2 / 7 + (1 / 8) ** 2)
    population = math.sqrt(7) / 8
    for ddof, std, shown in ((1, sample, 2.474), (0, population, 2.645)):
        found = objectives.grpo(ddof=ddof).advantages(rewards).advantage[0, 0].item()
        assert found == pytest.approx((7 / 8) / (std + 1e-4), abs=1e-12) and round(found, 3) == shown
        assert (torch.tensor(rewards).double().std(correction=ddof) - std).abs() < 1e-12


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "dapo", "rloo", "gspo", "cispo"])
@pytest.mark.parametrize("value", [0.1, 1.1, -1 / 3, 1e6 + 0.1])
def test_a_group_of_equal_rewards_has_advantage_zero_to_the_bit(name, value):
    rewards = torch.full((2, 6), value, dtype=torch.float64)
    assert objectives.make(name).advantages(rewards).advantage.tolist() == [[0.0] * 6] * 2


@pytest.mark.parametrize("name", ALL)
def test_a_nan_reward_is_one_clear_error(name):
    rewards = torch.zeros(3, 4)
    rewards[2, 1] = float("nan")
    with pytest.raises(ValueError, match=r"^rewards\[2, 1\]=nan: must be finite$"):
        objectives.make(name).advantages(rewards)
    rewards[2, 1] = float("inf")
    with pytest.raises(ValueError, match=r"^rewards\[2, 1\]=inf: must be finite$"):
        objectives.make(name).advantages(rewards)


@pytest.mark.parametrize("name", ["psr", "nsr", "w_reinforce", "nft"])
def test_rewards_outside_0_and_1_are_refused_where_right_and_wrong_matter(name):
    with pytest.raises(ValueError, match=r"^rewards\[0, 1\]=1.1: must be in \[0, 1\]$"):
        objectives.make(name).advantages([[0.0, 1.1]])


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "dapo", "rloo", "gspo", "cispo", "nft"])
def test_a_group_of_one_is_refused_where_it_is_compared_with_itself(name):
    with pytest.raises(ValueError, match=r"rewards of shape \(4, 1\): must be \[P, G\] with G of at least 2"):
        objectives.make(name).advantages(torch.zeros(4, 1))


# --- ratio and clip -----------------------------------------------------------------------------------------------

# sign of A, ratio: what -min(rho A, clip(rho, 0.8, 1.28) A) and its gradient in log pi are, by hand
CLIP_CASES = [
    (+1.0, 2.0, -1.28, 0.0, True),  # good and far enough up: stop
    (+1.0, 0.5, -0.5, -0.5, False),  # good and gone down: bring it back
    (-1.0, 0.5, +0.8, 0.0, True),  # bad and far enough down: stop
    (-1.0, 2.0, +2.0, +2.0, False),  # bad and gone up: bring it back
    (+1.0, 1.1, -1.1, -1.1, False),  # inside the range nothing is clipped
    (-1.0, 0.9, +0.9, +0.9, False),
]


@pytest.mark.parametrize(("advantage", "ratio", "loss", "gradient", "clipped"), CLIP_CASES)
def test_the_four_clip_cases(advantage, ratio, loss, gradient, clipped):
    logp = torch.tensor([[-1.0]], dtype=torch.float64, requires_grad=True)
    old = (logp - math.log(ratio)).detach()
    for name in CLIPPED:  # gspo too: with one token: the ratio of the sequence is that of the token
        objective = objectives.make(name, clip_low=0.2, clip_high=0.28)
        found, info = objective.loss(logp, old, None, torch.ones(1, 1), weights(advantage), 1.0)
        (slope,) = torch.autograd.grad(found, logp)
        assert found.item() == pytest.approx(loss), name
        assert slope.item() == pytest.approx(gradient), name
        assert info["clipped"].item() == clipped
        assert info["ratio_min"].item() == pytest.approx(ratio) == info["ratio_max"].item()


def test_without_bounds_nothing_is_clipped():
    ratio = torch.tensor([0.01, 100.0], dtype=torch.float64)
    loss, clipped = clip_surrogate(ratio, torch.tensor([-1.0, 1.0]), None, None)
    assert loss.tolist() == [0.01, -100.0] and not clipped.any()
    loss, clipped = clip_surrogate(ratio, torch.tensor([-1.0, 1.0]), None, 0.2)
    assert loss.tolist() == [0.01, -1.2] and clipped.tolist() == [False, True]


def test_gspo_has_one_ratio_per_completion():
    """Two tokens with ratios 2 and 1/2: the completion's ratio is 1, so it is not clipped; tokens alone would be."""
    log_ratio = torch.tensor([[math.log(2), -math.log(2), 0.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, False]])
    logp = torch.full((1, 3), -1.0, dtype=torch.float64)
    args = (logp, logp - log_ratio, None, mask, weights(1.0), 1.0)
    assert objectives.gspo().loss(*args)[1]["clipped"].item() == 0
    assert objectives.grpo().loss(*args)[1]["clipped"].item() == 0.5
    # s A / |o| for each token, whatever its own ratio
    assert credit(objectives.gspo(), *args).tolist() == [[pytest.approx(0.5), pytest.approx(0.5), 0.0]]
    logp = logp + torch.tensor([[0.3, 0.1, 9.0]])  # s = exp(0.2), the padding does not count
    loss, info = objectives.gspo(clip_high=0.1).loss(logp, logp - 0.2, None, mask, weights(1.0), 1.0)
    assert loss.item() == pytest.approx(-1.1) and info["ratio_max"].item() == pytest.approx(math.exp(0.2))
    assert info["clipped"].item() == 1


def test_cispo_weighs_by_the_capped_ratio_and_drops_no_token():
    ratios = torch.tensor([[0.5, 2.0, 20.0]], dtype=torch.float64)
    logp = torch.tensor([[-1.0, -2.0, -3.0]], dtype=torch.float64)
    for advantage in (1.0, -1.0):
        args = (logp, logp - ratios.log(), None, torch.ones(1, 3), weights(advantage), 1.0)
        assert credit(objectives.cispo(cap=5.0), *args)[0].tolist() == pytest.approx(
            [0.5 * advantage, 2 * advantage, 5 * advantage]
        )
        loss, info = objectives.cispo(cap=5.0).loss(*args)
        assert loss.item() == pytest.approx(advantage * (0.5 * 1 + 2 * 2 + 5 * 3))
        assert info["clipped"].item() == pytest.approx(1 / 3)


def test_nft_by_hand():
    """q = 1/4. Right: log rho. Wrong: log max((1 - q rho) / (1 - q), 1), whose gradient outlives the maximum."""
    logp = torch.tensor([[-1.0], [-1.0], [-1.0]], dtype=torch.float64)
    ratio = torch.tensor([[1.5], [0.5], [2.0]], dtype=torch.float64)
    part = weights(0.75, -0.25, -0.25, accuracy=0.25)
    args = (logp, logp - ratio.log(), None, torch.ones(3, 1), part, 1.0)
    implied = (1 - 0.125) / 0.75  # 7/6 for rho = 1/2; for rho = 2 it is 2/3, below 1
    loss, info = objectives.nft(normalize=0).loss(*args)
    assert loss.item() == pytest.approx(-math.log(1.5) - math.log(implied) - 0.0)
    assert info["clipped"].item() == pytest.approx(1 / 3)
    slopes = [1.0, -(0.25 * 0.5 / 0.75) / implied, -(0.25 * 2.0 / 0.75) / 1.0]
    assert credit(objectives.nft(normalize=0), *args)[:, 0].tolist() == pytest.approx(slopes)
    for normalize, weight in ((1, 0.75), (2, math.sqrt(3))):
        found = credit(objectives.nft(normalize=normalize), *args)[:, 0].tolist()
        assert found == pytest.approx([weight * slope for slope in slopes])
    rft = credit(objectives.nft(normalize=0, neg_weight=0.0), *args)[:, 0].tolist()
    assert rft == pytest.approx([1.0, 0, 0])
    low = credit(objectives.nft(normalize=0, eps=0.1), *args)[:, 0].tolist()
    assert low[2] == pytest.approx(-(0.5 / 0.75) / (2 / 3))  # with a lower floor 2/3 stands


def test_nft_keeps_the_accuracy_away_from_0_and_1():
    part = Weights(torch.tensor([-0.999]).double(), torch.tensor([True]), torch.tensor([0.999]).double())
    logp = torch.full((1, 1), -1.0, dtype=torch.float64)
    found = credit(objectives.nft(normalize=0), logp, logp, None, torch.ones(1, 1), part, 1.0).item()
    assert found == pytest.approx(-0.98 / 0.02)


# --- how tokens are averaged --------------------------------------------------------------------------------------


def credit_per_token(objective, lengths=(10, 100), L=128, advantage=(1.0, 1.0)):
    """Weight of one token of each completion in the gradient of the loss, one group, ratio 1."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    part = weights(*advantage)
    grouped = Weights(*(field[None] for field in part))
    normaliser = objective.normaliser(mask[None], grouped, L)
    logp = torch.full(mask.shape, -1.0, dtype=torch.float64)
    found = credit(objective, logp, logp, None, mask, part, normaliser) / normaliser
    assert (found[~mask] == 0).all()
    return found[:, 0].tolist()


def test_token_weights_for_lengths_10_and_100():
    short, long = credit_per_token(objectives.grpo())
    assert short / long == pytest.approx(10) and short == pytest.approx(1 / (2 * 10))
    for name in ("dapo", "bnpo", "cispo"):
        short, long = credit_per_token(objectives.make(name))
        assert short == pytest.approx(long) and short == pytest.approx(1 / 110)
    for name in ("dr_grpo", "rloo", "reinforce"):
        short, long = credit_per_token(objectives.make(name))
        assert short == pytest.approx(long) and short == pytest.approx(1 / (2 * 128))
    short, long = credit_per_token(objectives.gspo())
    assert short / long == pytest.approx(10)
    assert credit_per_token(objectives.grpo()) != pytest.approx(credit_per_token(objectives.dr_grpo()))


@pytest.mark.parametrize("name", [name for name in ALL if name != "bnpo"])
def test_every_objective_takes_every_aggregation(name):
    expected = {"token": (1 / 110, 1 / 110), "sequence": (1 / 20, 1 / 200), "constant": (1 / 256, 1 / 256)}
    for aggregation, (short, long) in expected.items():
        objective = objectives.make(name, aggregation=aggregation)
        advantage = (0.5, 0.5) if name == "nft" else (1.0, 1.0)  # NFT: right answers, r = A + q = 1
        weight = 0.5 if name == "nft" else 1.0  # 1 - q
        found = credit_per_token(objective, advantage=advantage)
        assert found == pytest.approx([weight * short, weight * long])


def test_the_normaliser_counts_only_what_is_kept():
    rewards, mask = [[1.0, 0, 0, 0]], torch.arange(6) < torch.tensor([2, 6, 6, 6])[:, None]

    def count(objective, L=8):
        return objective.normaliser(mask[None], objective.advantages(rewards), L)

    assert count(objectives.psr()) == 2 and count(objectives.psr(over="all")) == 20
    assert count(objectives.nsr()) == 18 and count(objectives.nsr(over="all")) == 20
    assert count(objectives.psr(aggregation="sequence")) == 1
    assert count(objectives.nsr(aggregation="constant")) == 24
    assert count(objectives.w_reinforce()) == 20
    nothing = objectives.psr().advantages([[0.0, 0, 0, 0]])
    assert objectives.psr().normaliser(mask[None], nothing, 8) == 1


@pytest.mark.parametrize("name", ADDITIVE)
@pytest.mark.parametrize("beta", [0.0, 0.04])
def test_micro_batches_add_up_to_the_batch(name, beta):
    logp, old, reference, mask, rewards = random_batch()
    objective = objectives.make(name, beta=beta)
    part = objective.advantages(rewards)
    normaliser = objective.normaliser(mask.view(3, 4, -1), part, 9)

    def run(cuts):
        leaf = logp.clone().requires_grad_()
        total = sum(objective.loss(leaf[i], old[i], reference[i], mask[i], rows(part, i), normaliser)[0] for i in cuts)
        return total.item(), torch.autograd.grad(total, leaf)[0]

    whole, gradient = run([torch.arange(12)])
    assert gradient.abs().max() > 0
    shuffled = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    for cuts in (shuffled.split(1), shuffled.split(5), torch.arange(12).split([1, 11])):
        value, found = run(cuts)
        assert value == pytest.approx(whole, abs=1e-12)
        torch.testing.assert_close(found, gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_what_lies_outside_the_mask_or_is_not_kept_is_never_read(name):
    logp, old, reference, mask, rewards = random_batch()
    objective = objectives.make(name, beta=0.1)
    part = objective.advantages(rewards)
    normaliser = objective.normaliser(mask.view(3, 4, -1), part, 9)
    clean = objective.loss(logp, old, reference, mask, rows(part), normaliser)
    unread = ~(mask & rows(part).kept[:, None])
    spoiled = [torch.where(unread, torch.nan, x) for x in (logp, old, reference)]
    leaf = spoiled[0].requires_grad_()
    loss, info = objective.loss(leaf, *spoiled[1:], mask, rows(part), normaliser)
    assert loss.item() == clean[0].item()
    assert all(torch.equal(info[key], clean[1][key]) for key in clean[1])
    (gradient,) = torch.autograd.grad(loss, leaf)
    assert gradient.isfinite().all() and (gradient[unread] == 0).all()
    inside = leaf.detach().clone()
    inside[rows(part).kept.nonzero()[0, 0], 0] = torch.nan  # but a NaN that counts is not hidden
    assert objective.loss(inside, *spoiled[1:], mask, rows(part), normaliser)[0].isnan()


@pytest.mark.parametrize("name", ALL)
def test_a_batch_without_signal_has_loss_zero_and_a_gradient(name):
    """Nothing kept, or all advantages 0: the loss still has a graph, so that a learner can call backward."""
    logp, old, _, mask, _ = random_batch()
    objective = objectives.make(name)
    part = objective.advantages(torch.zeros(3, 4))
    part = part._replace(kept=torch.zeros(3, 4, dtype=torch.bool))
    leaf = logp.requires_grad_()
    loss, info = objective.loss(leaf, old, None, mask, rows(part), objective.normaliser(mask.view(3, 4, -1), part, 9))
    assert loss.item() == 0 and torch.autograd.grad(loss, leaf)[0].abs().max() == 0
    assert info["ratio_min"] == info["ratio_max"] == 1 and info["clipped"] == 0 and info["tokens"] == 0


# --- KL -----------------------------------------------------------------------------------------------------------


def test_kl_estimates_by_hand():
    logp, reference = torch.tensor(math.log(0.5)), torch.tensor(math.log(0.25))
    assert kl_estimate(logp, reference, "k1").item() == pytest.approx(math.log(2))
    assert kl_estimate(logp, reference, "k2").item() == pytest.approx(math.log(2) ** 2 / 2)
    assert kl_estimate(logp, reference, "k3").item() == pytest.approx(0.5 - math.log(0.5) - 1)
    assert kl_estimate(logp, reference).item() == kl_estimate(logp, reference, "k3").item()
    tiny = torch.tensor(1e-6, dtype=torch.float32)
    assert kl_estimate(torch.zeros(()), tiny, "k3").item() == pytest.approx(5e-13, rel=0.2, abs=1e-13)


@pytest.mark.parametrize("kl", ["k1", "k2", "k3"])
@pytest.mark.parametrize("times_ratio", [False, True])
@pytest.mark.parametrize("name", ["grpo", "dapo", "cispo", "psr", "nft"])
def test_beta_adds_the_estimate_per_token(name, kl, times_ratio):
    logp, old, reference, mask, rewards = random_batch()
    plain = objectives.make(name)
    part = plain.advantages(rewards)
    normaliser = plain.normaliser(mask.view(3, 4, -1), part, 9)
    with_kl = objectives.make(name, beta=0.3, kl=kl, kl_times_ratio=times_ratio)
    found = credit(with_kl, logp, old, reference, mask, rows(part), normaliser)
    without = credit(plain, logp, old, None, mask, rows(part), normaliser)
    d = reference - logp
    slope = {"k1": torch.ones_like(d), "k2": -d, "k3": 1 - d.exp()}[kl]  # of the estimate in log pi
    value = {"k1": -d, "k2": d**2 / 2, "k3": d.exp() - 1 - d}[kl]
    if times_ratio:
        slope = (logp - old).exp() * (slope + value)
    slope = slope * mask * rows(part).kept[:, None]
    if plain.options["aggregation"] == "sequence":
        slope = slope / mask.sum(1, keepdim=True)
    torch.testing.assert_close(found, without - 0.3 * slope, rtol=0, atol=1e-12)


def test_the_reference_is_asked_for_where_it_is_needed():
    logp, old, reference, mask, rewards = random_batch()
    objective = objectives.grpo(beta=0.04)
    assert objective.needs_reference and not objectives.grpo().needs_reference
    part = rows(objective.advantages(rewards))
    with pytest.raises(ValueError, match=r"^reference=None: must be .* because beta=0.04$"):
        objective.loss(logp, old, None, mask, part, 1.0)
    watched = objectives.grpo().loss(logp, old, reference, mask, part, 1.0)  # watched, but not in the loss
    assert watched[0].item() == objectives.grpo().loss(logp, old, None, mask, part, 1.0)[0].item()
    assert watched[1]["kl"].item() == pytest.approx(kl_estimate(logp, reference)[mask].mean().item())


# --- names, options, credit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_an_objective_can_be_written_down_and_made_again(name):
    options = {"beta": 0.02, "kl": "k2"}
    objective = objectives.make(name, **options)
    stored = json.loads(json.dumps(objectives.describe(objective)))
    assert stored["name"] == name == objective.name
    again = objectives.make(stored["name"], **stored["options"])
    assert again.options == objective.options and again.options["beta"] == 0.02
    logp, old, reference, mask, rewards = random_batch()
    part = rows(objective.advantages(rewards))
    losses = [x.loss(logp, old, reference, mask, part, 1.0)[0].item() for x in (objective, again)]
    assert losses[0] == losses[1]


def test_names_are_the_eleven():
    assert objectives.names() == [
        "reinforce", "rloo", "grpo", "dr_grpo", "dapo", "gspo", "cispo", "psr", "nsr", "w_reinforce", "nft",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ppo", {}, "name='ppo': must be one of 'reinforce', 'rloo', 'grpo'"),
        ("grpo", {"aggregation": "mean"}, "aggregation='mean': must be one of 'token', 'sequence', 'constant'"),
        ("grpo", {"kl": "k4"}, "kl='k4': must be one of 'k1', 'k2', 'k3'"),
        ("grpo", {"beta": -0.1}, "beta=-0.1: must be a number of at least 0"),
        ("grpo", {"beta": float("nan")}, "beta=nan: must be finite"),
        ("grpo", {"clip_low": 0}, "clip_low=0: must be a finite number above 0"),
        ("grpo", {"ddof": 2}, "ddof=2: must be one of 0, 1"),
        ("cispo", {"cap": -1.0}, "cap=-1.0: must be a finite number above 0"),
        ("reinforce", {"baseline": "group"}, "baseline='group': must be one of 'none', 'batch'"),
        ("psr", {"over": "some"}, "over='some': must be one of 'kept', 'all'"),
        ("w_reinforce", {"positive": -1}, "positive=-1: must be a number of at least 0"),
        ("nft", {"normalize": 3}, "normalize=3: must be one of 0, 1, 2"),
        ("nft", {"eps": 0}, "eps=0: must be a finite number above 0"),
    ],
)
def test_bad_options_are_one_line(name, options, message):
    with pytest.raises(ValueError) as error:
        objectives.make(name, **options)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_an_unknown_option_names_itself():
    with pytest.raises(TypeError, match="epsilon"):
        objectives.make("grpo", epsilon=0.2)


def test_rows_are_prompt_times_group_size_plus_place():
    part = objectives.dr_grpo().advantages([[1.0, 0.0], [0.0, 4.0]])
    assert rows(part).advantage.tolist() == [0.5, -0.5, -2.0, 2.0]
    assert rows(part, [3, 0]).advantage.tolist() == [2.0, 0.5]
    assert rows(part, torch.tensor([True, False, False, True])).accuracy.tolist() == [0.5, 2.0]


def test_credit_is_minus_the_gradient_in_any_precision():
    logp, old, _, mask, rewards = random_batch()
    objective = objectives.grpo()
    part = rows(objective.advantages(rewards))
    found = credit(objective, logp.float(), old.float(), None, mask, part, 12.0)
    assert found.dtype == torch.float32 and found.shape == logp.shape
    ratio = (logp - old).exp()
    advantage = part.advantage[:, None]
    alive = torch.where(advantage > 0, ratio <= 1.2, ratio >= 0.8) & mask
    expected = ratio * advantage * alive / mask.sum(1, keepdim=True)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)


def test_the_examples_in_the_docstring_run():
    found = doctest.testmod(objectives)
    assert found.attempted > 5 and found.failed == 0
